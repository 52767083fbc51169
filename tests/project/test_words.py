"""The field's own words: no term of the project's own dialect in the package or the documents."""

import ast
import re
import subprocess
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SEARCHED = (
    "tutorial_utils",
    "tests",
    "pretraining",
    "bench",
    "images",
    "binder",
    "docs",
    ".github",
)
DOCUMENTS = ("README.md", "Makefile", "pyproject.toml", "requirements.txt")
WORDS = {
    r"pictures?": "image; photograph for the real ones; synthetic image for the drawn ones",
    r"drawings|drawn (?:set|images?|ones)": "synthetic images",
    r"kept (?:features|values|outputs?|runs?|files?)|what (?:was|is) kept": "cached, stored",
    r"(?:answered|answers?|classified|classifies) rightly|rightly": "classified correctly, correct",
    r"a number to (?:stand )?beside": "baseline",
    r"by lot|as chance will have it": "at random",
    r"let go|lets go": "deleted, freed",
    r"asked for by name|ask(?:ed|s)? for by name": "chosen explicitly, explicit",
    r"as it comes|of which|the like|thereof|one may|nobody (?:means|reads|knows)": "plain English",
    r"divides the two|hold(?:s|ing)? (?:it |them |this )?against": "compare, check against",
    r"is told|for people|says? why": "print, raise, return",
    r"keepers?|(?<!\.)drafts?": "checkpoint, temporary file",  # Image.draft is Pillow's
    r"places": "paths, devices, indices, positions",
    r"directions? (?:one|it) may": "span (subspace)",
    r"likewise": "also, the same for",
}
PATTERN = re.compile("|".join(rf"\b(?:{word})\b" for word in WORDS), re.I)
# What a docstring's first word may not be: functions return, raise, print or do.
FIRST = re.compile(r"(?:Say|Says|Tell|Tells|Ask|Asks|Answer|Answers|Refuse|Refuses|Hand|Hold)\b")
FREE = {"tests/project/test_words.py"}  # it names them all
LESSONS = re.compile(r"notebooks/.*\.ipynb")
DATED = re.compile(r"bench/\d{4}-")  # reports of earlier versions stay as they were written


def searched() -> list[str]:
    """Return the files that git knows, or would add, below the folders and documents above."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    suffixes = (".py", ".md", ".js", ".css", ".yml", ".txt", ".toml")
    return sorted(
        name
        for name in names
        if (ROOT / name).is_file()
        and name not in FREE
        and not DATED.match(name)
        and (
            name in DOCUMENTS
            or LESSONS.match(name)
            or (name.split("/")[0] in SEARCHED and name.endswith(suffixes))
        )
    )


def lines(name: str) -> list[str]:
    """Return the lines of a file, of a notebook the sources and the outputs in words."""
    text = (ROOT / name).read_text(encoding="utf-8")
    if not name.endswith(".ipynb"):
        return text.splitlines()
    parts = []
    for cell in nbformat.reads(text, as_version=4).cells:
        parts.append(cell.source)
        for output in cell.get("outputs", []):
            parts += [output.get("text", ""), output.get("data", {}).get("text/plain", "")]
    return "\n".join(parts).splitlines()


@pytest.mark.parametrize("name", searched())
def test_no_word_of_a_private_dialect(name):
    found = [
        f"{name}:{number}: {match[0]!r} in {line.strip()[:90]!r}"
        for number, line in enumerate(lines(name), 1)
        for match in PATTERN.finditer(line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", [name for name in searched() if name.endswith(".py")])
def test_a_docstring_says_what_is_done_or_returned(name):
    found = []
    for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            text = ast.get_docstring(node) or ""
            if FIRST.match(text):
                found.append(f"{name}:{node.lineno}: {node.name}: {text.splitlines()[0]}")
    assert not found, "\n".join(found)
