"""Every command that the README, docs/ and the lessons show is one that the package has."""

import json
import re
import shlex
from pathlib import Path

import papermill
import pytest

from tutorial_utils.cli import commands
from tutorial_utils.cli.parser import make_parser
from tutorial_utils.cli.values import read_values, split_pair

ROOT = Path(__file__).resolve().parent.parent.parent


def texts() -> list[str]:
    """Return the pages and the lessons' text, without their code."""
    books = [*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "notebooks/solutions").glob("*.ipynb")]
    cells = [cell for book in books for cell in json.loads(book.read_text("utf-8"))["cells"]]
    prose = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    return [*(page.read_text("utf-8") for page in pages), *prose]


def shown_commands() -> list[str]:
    """Return the commands that stand in blocks of shell, or in a sentence between backticks."""
    found = set()
    for text in texts():
        for block in re.findall(r"^```(?:bash|sh)\n(.*?)^```", text, re.M | re.S):
            found |= set(block.replace("\\\n", " ").splitlines())
        prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
        found |= {" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)}
    starts = ("python -m tutorial_utils ", "papermill ")
    found = {line.partition("#")[0].strip() for line in found if line.startswith(starts)}
    return sorted(line for line in found if ", " not in line)  # that is a list of commands


def declared(notebook: str) -> set[str]:
    return set(papermill.inspect_notebook(str(ROOT / notebook)))


def test_commands_are_found():
    assert len(shown_commands()) >= 12
    assert sum(line.startswith("papermill") for line in shown_commands()) >= 2


@pytest.mark.parametrize("line", shown_commands())
def test_a_command_that_is_shown_is_understood(line):
    words = shlex.split(line)
    if words[0] == "papermill":
        at = [position for position, word in enumerate(words) if word == "-p"]
        assert {words[position + 1] for position in at} <= declared(words[1])
        assert len(words) == 3 + 3 * len(at), "papermill takes NOTEBOOK OUT and -p NAME VALUE"
        return
    options = make_parser().parse_args(words[3:])
    if options.run is commands.sweep:
        names = dict(map(split_pair, options.parameters))
        assert names.keys() <= declared(options.notebook)
        assert all(read_values(values) for values in names.values())
    elif options.run is commands.lessons:
        known = set().union(*(declared(f"notebooks/{p.name}") for p in lessons()))
        assert {split_pair(text)[0] for text in options.parameters} <= known


def lessons() -> list[Path]:
    return sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
