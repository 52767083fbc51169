"""Docstrings name the lessons that use a function ("Used in lessons 04 to 06 and 09.")."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "tutorial_utils"
FILES = [*PACKAGE.glob("*.py"), *(PACKAGE / "plots").glob("*.py"), PACKAGE / "batch" / "lessons.py"]
FILES += (PACKAGE / "own_images").glob("*.py")


def code_of(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


CODE = {
    path.stem[:2]: code_of(path) for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
}


def functions() -> list[tuple[str, str, str]]:
    """Return (module, name, docstring) of all public functions in FILES."""
    return [
        ("plots" if path.parent.name == "plots" else path.stem, node.name, ast.get_docstring(node))
        for path in sorted(FILES)
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]


def named(docstring: str) -> set[str]:
    """Return the numbers of the lessons that a docstring names."""
    text = " ".join((docstring or "").split())
    if re.search(r"Used in (?:every lesson|all lessons)\.", text):
        return set(CODE)
    found = re.search(r"Used in lessons? ([\d, toand]+)\.", text)
    found = re.sub(r"(\d\d) to (\d\d)", spelled_out, found[1]) if found else ""
    return set(re.findall(r"\d\d", found))


def spelled_out(pair: re.Match) -> str:
    return " ".join(f"{number:02d}" for number in range(int(pair[1]), int(pair[2]) + 1))


@pytest.mark.parametrize(("module", "name", "docstring"), functions(), ids=lambda part: part[:20])
def test_a_docstring_names_the_lessons_that_use_a_function(module, name, docstring):
    used = {lesson for lesson, code in CODE.items() if re.search(rf"\b{module}\.{name}\b", code)}
    assert named(docstring) == used
