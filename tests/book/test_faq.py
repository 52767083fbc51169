"""docs/faq.md: every error that it shows is one that the code can print."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"^```text\n(.*?)^```", PAGE, re.M | re.S)


def text_of(node: ast.AST) -> str:
    """Return a text in the code, with "…" for each value that is put into it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) for part in node.values)
    return "…"


def texts() -> set[str]:
    """Return every text in the package."""
    paths = (ROOT / "tutorial_utils").rglob("*.py")
    nodes = [n for path in paths for n in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    return {
        text_of(node).strip() for node in nodes if isinstance(node, ast.Constant | ast.JoinedStr)
    }


@pytest.fixture(scope="module")
def in_code():
    return texts()


def test_there_are_errors():
    assert len(SHOWN) >= 25


@pytest.mark.parametrize("shown", SHOWN, ids=lambda text: text[:40])
def test_the_code_has_the_error(in_code, shown):
    assert shown.strip() in in_code
