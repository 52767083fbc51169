"""The glossary: built from the lessons, complete, and no term used before it is explained."""

import re
import sys
from collections import Counter
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT / "docs") not in sys.path:
    sys.path.insert(0, str(ROOT / "docs"))

import glossary  # noqa: E402

FOUND = glossary.definitions()
SET_UP = re.compile(r"The first cell holds the parameters, .*? can replace\.")  # another meaning
NEEDED = {
    "convolution",
    "dense layer",
    "logit",
    "softmax",
    "cross-entropy",
    "gradient descent",
    "momentum",
    "adam",
    "epoch",
    "seed",
    "receptive field",
    "p-value",
}


def prose(source: str) -> str:
    """Return a cell's running text: no code, links, headings, folded answers, or forward pointers.

    A sentence that names the lesson in which a word is explained may use it.
    """
    source = SET_UP.sub("", source)
    source = re.sub(r"<details>.*?</details>|```.*?```", "", source, flags=re.S)
    source = re.sub(r"^#.*$|^\|.*$", "", source, flags=re.M)
    source = re.sub(r"`[^`]*`|\]\([^)]*\)", " ", source)
    sentences = glossary.SENTENCE_END.split(source)
    return " ".join(text for text in sentences if not re.search(r"\b[Ll]essons? \d\d", text))


def uses() -> list[tuple[str, int, str]]:
    """Return (lesson, cell, text) of all prose after each lesson's opening."""
    return [
        (path.stem, number, prose(cell.source))
        for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
        for number, cell in enumerate(nbformat.read(path, as_version=4).cells)
        if number and cell.cell_type == "markdown"
    ]


def test_the_page_is_current():
    built = glossary.page(FOUND)
    assert glossary.TARGET.read_text(encoding="utf-8") == built, "make glossary"


def test_each_term_is_defined_once():
    counted = Counter(entry.term.lower() for entry in FOUND)
    assert not [term for term, count in counted.items() if count > 1]
    assert not NEEDED - set(counted)


@pytest.mark.parametrize("entry", FOUND, ids=lambda entry: entry.term)
def test_a_definition_stands_on_its_own(entry):
    assert entry.sentence[0].isupper() or entry.sentence[0] in "*`", entry.sentence
    assert entry.sentence.endswith("."), entry.sentence
    assert not re.match(r"(It|They|This|That|These|Those|Both|Here)\b", entry.sentence)
    assert len(entry.sentence.split()) >= 6, entry.sentence


@pytest.mark.parametrize("entry", FOUND, ids=lambda entry: entry.term)
def test_no_term_is_used_before_it_is_explained(entry):
    word = re.compile(rf"\b{re.escape(entry.term)}(?:s|es)?\b", re.I)
    for lesson, number, text in uses():
        if f"***{entry.term}***" in text or lesson > entry.lesson:
            return
        found = word.search(text)
        assert not found, f"{lesson}, cell {number}: {found[0]!r} in {text!r}"
