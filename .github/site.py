"""Make a site of executed lessons: `python .github/site.py build build/site`.

Reads what `make lessons` wrote (`lessons/NN_name.html`, `results.csv`), links the lessons to pages
instead of notebooks, and adds an index with the table of results.
"""

import csv
import html
import re
import shutil
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STYLE = (
    "body{font:1rem/1.6 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left}"
)


def build(built: Path, site: Path, root: Path = ROOT) -> list[Path]:
    """Write the site and return its lessons' pages.

    Raises:
        FileNotFoundError: if there are no executed lessons.
    """
    pages = sorted((built / "lessons").glob("[0-9][0-9]_*.html"))
    if not pages:
        raise FileNotFoundError(f"no executed lessons in {built / 'lessons'}: run make lessons")
    (site / "lessons").mkdir(parents=True, exist_ok=True)
    shutil.copytree(root / "images", site / "images", dirs_exist_ok=True)
    source, names = _source(root), {page.stem for page in pages}
    for page in pages:
        text = _linked(page.read_text(encoding="utf-8"), names, source)
        (site / "lessons" / page.name).write_text(text, encoding="utf-8")
    index = _index(pages, built / "results.csv", source)
    (site / "index.html").write_text(index, encoding="utf-8")
    return [site / "lessons" / page.name for page in pages]


def _source(root: Path) -> str:
    """Return the address of the files on GitHub."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return f"{project['project']['urls']['Repository']}/blob/{project['tool']['tutorial']['ref']}"


def _linked(text: str, names: set[str], source: str) -> str:
    """Return a page whose links lead to other pages, or to GitHub for files that are none."""

    def link(match: re.Match) -> str:
        target = match[1]
        if target == "../README.md":
            return 'href="../index.html"'
        if target.removesuffix(".ipynb") in names:
            return f'href="{target.removesuffix(".ipynb")}.html"'
        path = target.removeprefix("../") if target.startswith("../") else f"notebooks/{target}"
        return f'href="{source}/{path}"'

    return re.sub(r'href="((?:\.\./)?[\w./-]+\.(?:ipynb|md))"', link, text)


def _index(pages: list[Path], results: Path, source: str) -> str:
    """Return the index: links to the lessons and the table of results."""
    items = "".join(
        f'<li><a href="lessons/{page.name}">{html.escape(_title(page))}</a></li>' for page in pages
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Ants and Bees</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
        f'<h1>Ants and Bees</h1><p>The executed lessons. <a href="{source}/README.md">'
        f"About the course</a>.</p><ul>{items}</ul>{_table(results)}</html>\n"
    )


def _title(page: Path) -> str:
    """Return a page's title: its first heading, without the link that nbconvert adds to it."""
    found = re.search(r"<h1[^>]*>(.*?)</h1>", page.read_text(encoding="utf-8"), re.S)
    text = re.sub(r"<a class=\"anchor-link\".*?</a>|<[^>]+>", "", found[1]) if found else page.stem
    return html.unescape(text).strip()


def _table(results: Path) -> str:
    if not results.exists():
        return ""
    with results.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    cells = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    lines = "".join(
        f"<tr>{''.join(f'<td>{html.escape(value)}</td>' for value in row)}</tr>" for row in rows
    )
    return f"<h2>Results of this run</h2><table><tr>{cells}</tr>{lines}</table>"


if __name__ == "__main__":
    print(f"{len(build(Path(sys.argv[1]), Path(sys.argv[2])))} pages in {sys.argv[2]}")
