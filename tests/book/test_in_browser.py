"""The book in a real browser, opened from disk: no request leaves, axe, widths, search."""

from urllib.parse import quote

import harness
import pytest

PARTS = ["docs", "notebooks/0", "notebooks/1", "notebooks/solutions", "bench", "tutorial_utils"]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 800}
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Code has thousands of coloured words, and axe takes seconds for them: see test_contrast.
SLOW = ["color-contrast"]


def pages_of(book, part: str):
    names = [path.relative_to(book.folder).as_posix() for path in book.pages()]
    below = "notebooks/solutions/"
    return [n for n in names if n.startswith(part) and (part in below or below not in n)]


def test_the_parts_are_the_whole_book(book):
    found = {name for part in PARTS for name in pages_of(book, part)}
    rest = {path.relative_to(book.folder).as_posix() for path in book.pages()} - found
    assert rest == {"index.html", "search.html", "genindex.html"}


@pytest.mark.parametrize("part", PARTS)
def test_pages_from_disk(book, page, watch, part):
    faults, names = [], pages_of(book, part)
    assert names
    for name in names:
        page.set_viewport_size(DESKTOP)
        page.goto((book.folder / name).as_uri())
        faults += [f"{name}: {fault}" for fault in harness.axe(page, without=SLOW)]
        page.set_viewport_size(PHONE)
        if page.evaluate(TOO_WIDE) > 0:
            faults.append(f"{name} is wider than a phone")
    assert not faults, "\n".join(faults)
    watch.check()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["docs/faq.html", "notebooks/05_head_swap.html"])
def test_contrast(book, page, watch, name, scheme):
    page.emulate_media(color_scheme=scheme)
    page.goto((book.folder / name).as_uri())
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    assert harness.axe(page) == []
    watch.check()


@pytest.mark.long
@pytest.mark.parametrize("part", PARTS)
def test_contrast_of_all_pages(book, page, part):
    faults = []
    for name in pages_of(book, part):
        page.goto((book.folder / name).as_uri())
        faults += [f"{name}: {fault}" for fault in harness.axe(page)]
    assert not faults, "\n".join(faults)


def test_the_first_page_leads_to_the_front_page(book, page, watch):
    page.goto((book.folder / "index.html").as_uri())
    page.wait_for_url("**/docs/index.html")
    watch.check()


@pytest.mark.parametrize(
    ("words", "lesson"),
    [
        ("frozen", "04 Freezing"),
        ("softmax", "05 Head swap"),
        ("1x1", "03 VGG16"),
        ("1×1", "03 VGG16"),
    ],
)
def test_search_finds(book, page, watch, words, lesson):
    page.goto(f"{(book.folder / 'search.html').as_uri()}?q={quote(words)}")
    page.locator("#search-results li a").filter(has_text=lesson).first.wait_for()
    assert not watch.outside
    if words == "frozen":  # a worked answer is found by its title alone
        found = page.locator("#search-results li a").evaluate_all("all => all.map(a => a.href)")
        assert not [link for link in found if "/solutions/" in link]
        assert harness.axe(page) == []


def test_search_from_a_page(book, page, watch):
    page.goto((book.folder / "notebooks" / "03_vgg16.html").as_uri())
    page.keyboard.press("Control+k")
    page.keyboard.type("1x1")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=1x1")
    page.locator("#search-results li a").filter(has_text="03 VGG16").first.wait_for()
    assert not watch.outside


def test_a_reveal_opens_by_keyboard(book, page, watch):
    page.goto((book.folder / "notebooks" / "02_alexnet.html").as_uri())
    summary = page.locator(".bd-article blockquote summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert summary.evaluate("node => node.parentElement.open")
    watch.check()
