"""What the book adds to Sphinx: executed lessons, formulas as MathML, a search that finds "1x1".

`docs/conf.py` registers it. Everything works without a network.

Sources:
    Sphinx's events: https://www.sphinx-doc.org/en/master/extdev/event_callbacks.html
    MathML: https://www.w3.org/TR/MathML3/
"""

import re
from pathlib import Path

import nbformat
from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish
from sphinx.util import logging

ROOT = Path(__file__).resolve().parent.parent
LESSON = re.compile(r"notebooks/\d\d_\w+")
START = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Ants and Bees</title>\n'

log = logging.getLogger(__name__)


class SearchSizes(SearchEnglish):
    """English with sizes as one word: the lessons write 3×3, and people type 3x3.

    Python splits the pages, and JavaScript splits what is typed, by the same rule.
    """

    js_splitter_code = """
function splitQuery(query) {
  return query.replace(/(\\d)\\s?×\\s?(?=\\d)/g, "$1x")
    .split(/[^\\p{Letter}\\p{Number}_\\p{Emoji_Presentation}]+/gu)
    .filter(term => term);
}
"""

    def split(self, text: str) -> list[str]:
        """Return the words of a text."""
        return super().split(re.sub(r"(\d)\s?×\s?(?=\d)", r"\1x", text))


def setup(app: Sphinx) -> dict:
    """Register the parts, and print which lessons the book shows."""
    app.add_html_math_renderer(
        "mathml", inline_renderers=(_inline, None), block_renderers=(_block, None)
    )
    app.config.html_math_renderer = "mathml"
    app.add_search_language(SearchSizes)
    app.add_config_value("executed_lessons", str(ROOT / "build" / "lessons"), "env")
    app.connect("builder-inited", _print_source)
    app.connect("source-read", _read_lesson)
    app.connect("doctree-read", _leave_out_of_search)
    app.connect("build-finished", _write_start)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def executed(name: str, folder: Path, root: Path = ROOT) -> Path | None:
    """Return the executed notebook of a lesson, None if there is none of the lesson as it is now.

    Args:
        name: the lesson's file name without its suffix.
        folder: where `make lessons` has put the executed notebooks.
        root: the repository's root.
    """
    path = folder / f"{name}.ipynb"
    same = path.is_file() and _sources(path) == _sources(root / "notebooks" / path.name)
    return path if same else None


def _sources(path: Path) -> list[str]:
    """Return the sources of a notebook's cells, without the cell in which papermill sets values."""
    cells = nbformat.read(path, as_version=4).cells
    return [c.source for c in cells if "injected-parameters" not in c.metadata.get("tags", [])]


def _print_source(app: Sphinx) -> None:
    names = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    found = [name for name in names if executed(name, Path(app.config.executed_lessons))]
    counts = {
        "executed by make lessons": len(found),
        "with the outputs stored in notebooks/": len(names) - len(found),
    }
    print("lessons: " + ", ".join(f"{count} {how}" for how, count in counts.items() if count))


def _read_lesson(app: Sphinx, docname: str, content: list[str]) -> None:
    """Give Sphinx the executed lesson, prepared for a page.

    Code that JupyterLab folds is folded here too. What only a program can show is left out: a
    widget, which has an image beside it, and a lesson's result, which has a twin in plain text.
    """
    if not LESSON.fullmatch(docname):
        return
    path = executed(Path(docname).name, Path(app.config.executed_lessons))
    text = path.read_text(encoding="utf-8") if path else content[0]
    book = nbformat.reads(text, as_version=4)
    for cell in book.cells:
        for output in cell.get("outputs", []):
            for kind in [k for k in output.get("data", {}) if k.startswith("application/vnd.")]:
                del output["data"][kind]
        if cell.metadata.get("jupyter", {}).get("source_hidden"):
            cell.metadata.setdefault("tags", []).append("hide-input")
    content[0] = nbformat.writes(book)


def _leave_out_of_search(app: Sphinx, doctree) -> None:
    """Leave the text of a worked answer out of the search: who searches shall not read it first."""
    name = app.env.current_document.docname
    if name.startswith("notebooks/solutions/"):
        app.env.metadata[name]["nosearch"] = True


def _inline(translator, node) -> None:
    translator.body.append(tex2mathml(node.astext()))
    raise SkipNode


def _block(translator, node) -> None:
    translator.body.append(f'<div class="formula">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise SkipNode


def _write_start(app: Sphinx, error: Exception | None) -> None:
    """Write the first page of the folder, which leads to the book's front page."""
    if error is None:
        target = f"{app.config.root_doc}.html"
        page = f'{START}<meta http-equiv="refresh" content="0; url={target}">\n'
        page += f'<h1>Ants and Bees</h1><p><a href="{target}">The book</a></p></html>\n'
        (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")
