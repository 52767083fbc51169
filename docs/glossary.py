"""Build docs/glossary.md from the definitions in the lessons: `make glossary`.

A lesson defines a term in a sentence that stands on its own, with the term in bold italics:
`A ***logit*** is the raw score that a classifier gives one class.` The glossary lists these
sentences in alphabetical order and links the lesson of each.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import nbformat

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "glossary.md"
TERM = re.compile(r"\*\*\*(.+?)\*\*\*")
SENTENCE_END = re.compile(r"(?<=[.?!])\s+(?=[A-Z*`(\[])")
ABBREVIATIONS = re.compile(r"\b(e\.g|i\.e|vs)\.\s")
HEAD = """# Glossary

<!-- Built from the lessons by `make glossary`. -->

Every term of the course, in the sentence that explains it where it first appears.
"""


class Definition(NamedTuple):
    """A term, the sentence that defines it, and the lesson's file name without its suffix."""

    term: str
    sentence: str
    lesson: str


def definitions(folder: Path = ROOT / "notebooks") -> list[Definition]:
    """Return the definitions in all lessons, in the order of the course."""
    return [
        Definition(" ".join(term.split()), sentence, path.stem)
        for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))
        for sentence in _sentences(path)
        for term in TERM.findall(sentence)
    ]


def page(found: list[Definition]) -> str:
    """Return the glossary as Markdown."""
    entries = []
    for term, sentence, lesson in sorted(found, key=lambda entry: entry.term.lower()):
        text = sentence.replace(f"***{term}***", f"**{term}**").replace("***", "")
        entries.append(f"- {text} ([lesson {lesson[:2]}](../notebooks/{lesson}.ipynb))\n")
    return HEAD + "\n" + "".join(entries)


def _sentences(path: Path) -> Iterator[str]:
    """Yield the sentences of a lesson's prose; lists, quotes and tables count as paragraphs."""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "markdown":
            continue
        for paragraph in re.split(r"\n\s*\n|\n(?=[-|>#]|\d+\. )", cell.source):
            text = ABBREVIATIONS.sub("\\1.\u00a0", " ".join(paragraph.split()))
            yield from SENTENCE_END.split(re.sub(r"^(?:[->] )+|^\d+\. |^\*\*\w+\.\*\* ", "", text))


def main() -> int:
    """Write the page."""
    TARGET.write_text(page(definitions()), encoding="utf-8")
    print(f"written: {TARGET.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
