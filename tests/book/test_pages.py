"""The built book: no warning, a page for every lesson, live links, launch buttons, formulas."""

import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class Page(HTMLParser):
    """What a page links to and loads, and the anchors that it has."""

    def __init__(self, path: Path):
        super().__init__()
        self.links, self.loads, self.anchors = [], [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors.add(found.get("id"))
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if found.get(LOADS.get(tag, "")):
            self.loads.append(found[LOADS[tag]])


@pytest.fixture(scope="module")
def pages(book):
    return {path.resolve(): Page(path) for path in book.pages()}


def read(book, name: str) -> str:
    return (book.folder / name).read_text(encoding="utf-8")


def test_the_build_prints_one_line_and_no_warning(book):
    assert book.printed == "lessons: 15 with the outputs stored in notebooks/\n"


def test_every_lesson_answer_and_document_is_a_page(book):
    sources = [*LESSONS, *(ROOT / "notebooks/solutions").glob("*.ipynb")]
    sources += [*(ROOT / "docs").glob("*.md"), *(ROOT / "bench").glob("*.md")]
    for path in sources:
        assert (book.folder / path.relative_to(ROOT).with_suffix(".html")).is_file(), path.name
    assert (book.folder / "tutorial_utils/assets/README.html").is_file()


def test_links_and_anchors_inside_the_book_are_live(pages):
    dead, seen = [], 0
    for path, page in pages.items():
        for link in page.links + page.loads:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            seen += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            missing = anchor and target in pages and anchor not in pages[target].anchors
            if not target.is_file() or missing:
                dead.append(f"{path.name}: {link}")
    assert seen > 1000
    assert not dead, "\n".join(dead)


def test_no_page_names_a_file_of_another_host_to_load(pages, book):
    assert len(pages) > 40
    for path, page in pages.items():
        outside = [link for link in page.loads if urlsplit(link).netloc]
        assert not outside, f"{path.name}: {outside}"
    for path in book.folder.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", text), path.name


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_a_lesson_has_its_buttons_its_answers_and_its_figures(book, path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    repo = project["project"]["urls"]["Repository"].removeprefix("https://github.com/")
    ref = project["tool"]["tutorial"]["ref"]
    text = read(book, f"notebooks/{path.stem}.html")
    binder = f"https://mybinder.org/v2/gh/{repo}/{ref}?urlpath=lab/tree/notebooks/{path.name}"
    colab = f"https://colab.research.google.com/github/{repo}/blob/{ref}/notebooks/{path.name}"
    for link in (binder, colab):
        assert text.count(f'href="{link}"') == 2, "the badge and the theme's button"
    assert f'href="solutions/{path.stem}.html"' in text
    assert 'src="data:image/' in text
    assert "application/vnd." not in text and "skipping unknown" not in text


def test_the_front_page_lists_lessons_and_pages_in_order(book, pages):
    links = pages[(book.folder / "docs" / "index.html").resolve()].links
    lessons = [link for link in links if re.match(r"\.\./notebooks/\d\d_\w+\.html$", link)]
    names = [f"../notebooks/{path.stem}.html" for path in LESSONS]
    assert list(dict.fromkeys(lessons)) == names
    for path in (ROOT / "docs").glob("*.md"):
        assert path.stem == "index" or f"{path.stem}.html" in links
    assert 'url=docs/index.html"' in read(book, "index.html")


def test_formulas_are_mathml(book):
    text = read(book, "notebooks/13_one_run.html")
    assert text.count("<math") >= 8 and "<msqrt>" in text
    block = read(book, "notebooks/02_alexnet.html")
    assert re.search(r'<div class="formula"><math [^>]*display="block"', block)
    assert "<script" in text and "mathjax.js" not in (text + block).lower()


def test_the_bootstrap_cell_is_folded(book):
    text = read(book, "notebooks/02_alexnet.html")
    folded = re.search(r"<details class=\"[^\"]*hide.*?</details>", text, re.S)[0]
    assert "find_spec" in folded


def test_what_is_typed_and_what_is_written_find_the_same_size(book):
    index = read(book, "searchindex.js")
    assert re.search(r'"1x1":', index) and re.search(r'"11x11":', index)
    assert "function splitQuery" in read(book, "_static/language_data.js")
