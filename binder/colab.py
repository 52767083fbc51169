"""Print the requirements of an environment with Colab's versions: `python binder/colab.py`.

That is what lessons and tests need, with Colab's versions (colab-constraints.txt), without
JupyterLab, which Colab does not have, and with onnx as the bootstrap cell would have it installed.
"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ABSENT = {"jupyterlab"}
BUILD = "setuptools>=77,<82"  # torch 2.11 takes no later one, and the wheel needs no earlier one


def name_of(line: str) -> str:
    """Return a requirement's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", line)[0]).lower()


def requirements(path: Path) -> dict[str, str]:
    """Return {name: requirement} of a file, comments and options left out."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return {name_of(line): line for line in lines if line and line[0] not in "#-"}


def merged(root: Path = ROOT) -> list[str]:
    """Return the requirements with Colab's versions."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = requirements(root / "requirements.txt")
    found |= requirements(root / "tests" / "requirements.txt")
    found |= {name_of(line): line for line in project["optional-dependencies"]["colab"]}
    found |= requirements(root / "binder" / "colab-constraints.txt") | {"setuptools": BUILD}
    return [line for name, line in sorted(found.items()) if name not in ABSENT]


if __name__ == "__main__":
    print("\n".join(merged()))
