"""Compare Colab's published versions with ours: `python binder/check_colab.py`.

Exits with 1 if a version in colab-constraints.txt is not the one that Colab has now.

Source: https://github.com/googlecolab/backend-info, pip-freeze.gpu.txt
"""

import sys
import urllib.request
from pathlib import Path

import colab

LIST = "https://raw.githubusercontent.com/googlecolab/backend-info/main/pip-freeze.gpu.txt"


def differences(published: str, ours: dict[str, str]) -> list[str]:
    """Return a line for each of our versions that the published list does not have.

    Args:
        published: the text of the list, `name==version` in each line; a local version such as
            "+cu128" is ignored.
        ours: {name: "name==version"}.
    """
    lines = [line.partition("+")[0].strip() for line in published.splitlines() if "==" in line]
    theirs = {colab.name_of(line): line.partition("==")[2] for line in lines if line[0] != "#"}
    pairs = [(name, line.partition("==")[2], theirs.get(name)) for name, line in ours.items()]
    return [
        f"{name}: {own} here, {new or 'none'} on Colab" for name, own, new in pairs if own != new
    ]


if __name__ == "__main__":
    with urllib.request.urlopen(LIST, timeout=30) as answer:
        text = answer.read().decode()
    constraints = Path(__file__).with_name("colab-constraints.txt")
    found = differences(text, colab.requirements(constraints))
    print("\n".join(found) or "Colab's versions are ours.")
    sys.exit(bool(found))
