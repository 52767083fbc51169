"""Write the repository's address into every file that names it: `make badges REPO=... REF=...`.

The address is defined in pyproject.toml: `Repository` in [project.urls] and `ref` in
[tool.tutorial]. From there it is copied into every lesson (Binder and Colab badges below the title,
and a bootstrap cell that installs the package where it is missing), the solutions and the README.
Stored outputs are not changed; where a bootstrap cell is inserted, it has no output, and the
execution counts of the cells after it rise by one.

Sources:
    Binder's links: https://mybinder.readthedocs.io/en/latest/howto/lab_workspaces.html
    Colab's links to notebooks on GitHub: https://openincolab.com
"""

import argparse
import copy
import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import nbformat

ROOT = Path(__file__).resolve().parent.parent
FIRST_LESSON = "00_start_here.ipynb"
PACKAGE = "tutorial_utils[colab]"
MARK = 'find_spec("tutorial_utils")'  # identifies a bootstrap cell
COLLAPSED = {"cellView": "form", "jupyter": {"source_hidden": True}}  # in Colab and JupyterLab
BADGE = re.compile(r"^\[!\[(?:Open in Binder|Open in Colab|Tests)\]\(.*\)\n?", re.M)

OWNER = re.compile(r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}")
NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}")
REF = re.compile(r"(?!.*\.\.)[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?")
# A name in a text, where a full stop may end the sentence.
WORD = r"[\w-]+(?:\.[\w-]+)*"


class Address(NamedTuple):
    """Where the course is published.

    Attributes:
        repo: "owner/name" on GitHub.
        ref: the branch or tag that the badges open.
    """

    repo: str
    ref: str


def read(root: Path = ROOT) -> Address:
    """Return the address in pyproject.toml."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    url = project["project"]["urls"]["Repository"]
    return check(url.removeprefix("https://github.com/"), project["tool"]["tutorial"]["ref"])


def check(repo: str, ref: str) -> Address:
    """Return the address, after checking that Binder, Colab and pip can all use it.

    Raises:
        ValueError: if GitHub does not allow one of the two, or a link cannot contain it.
    """
    owner, slash, name = repo.partition("/")
    if not slash or not OWNER.fullmatch(owner) or not NAME.fullmatch(name):
        raise ValueError(
            f"REPO must be owner/name as on GitHub (letters, digits, hyphens; in the name also "
            f"dots and underscores), not {repo!r}; for example REPO=ants-and-bees/ants-and-bees"
        )
    if name.endswith(".git"):
        raise ValueError(f"REPO must be written without .git, not {repo!r}: use {repo[:-4]!r}")
    if not REF.fullmatch(ref) or ref.endswith(".lock"):
        raise ValueError(
            f"REF must be a branch or tag of letters, digits, dots, hyphens and underscores (a "
            f"slash would break Binder's links), not {ref!r}; for example REF=v1.0"
        )
    return Address(repo, ref)


def badges(notebook: str, address: Address, *, images: str = "../images/") -> str:
    """Return the two lines of Markdown that open a notebook on Binder and on Colab.

    The badges' images are files of the course, so a reader without a network sees them too.
    """
    binder = f"https://mybinder.org/v2/gh/{address.repo}/{address.ref}?urlpath=lab/tree/notebooks/"
    colab = f"https://colab.research.google.com/github/{address.repo}/blob/{address.ref}/notebooks/"
    return (
        f"[![Open in Binder]({images}binder.svg)]({binder}{notebook})\n"
        f"[![Open in Colab]({images}colab.svg)]({colab}{notebook})\n"
    )


def bootstrap(address: Address) -> str:
    """Return the source of the cell that installs the package where it is missing."""
    return (
        "# @title Install the course on Colab. Elsewhere nothing happens.\n"
        "from importlib.util import find_spec\n"
        "\n"
        f"if {MARK} is None:\n"
        f'    %pip install -q "{PACKAGE} @ git+https://github.com/{address.repo}@{address.ref}"'
    )


def rewrite(text: str, old: Address, new: Address) -> str:
    """Return a text in which every address of the course is the new one.

    Links to Binder and Colab, installs and clones are always the course's own; any other link to
    GitHub is only if it names the old address.
    """
    github, any_repo = r"https://github\.com/", rf"{WORD}/{WORD}"
    owner, _, name = new.repo.partition("/")
    rules = {
        rf"(https://mybinder\.org/v2/gh/){any_repo}/{WORD}": rf"\g<1>{new.repo}/{new.ref}",
        rf"(https://colab\.research\.google\.com/github/){any_repo}/blob/{WORD}": (
            rf"\g<1>{new.repo}/blob/{new.ref}"
        ),
        rf"(git\+{github}){any_repo}(?:@{WORD})?": rf"\g<1>{new.repo}@{new.ref}",
        rf"(git clone {github}){any_repo}": rf"\g<1>{new.repo}",
        rf"({github}){any_repo}(?=/actions/workflows/)": rf"\g<1>{new.repo}",
        rf"https://[\w-]+\.github\.io/{WORD}": f"https://{owner}.github.io/{name}",
        rf"({github}){re.escape(old.repo)}/(blob|tree)/{WORD}": rf"\g<1>{new.repo}/\g<2>/{new.ref}",
        rf"({github}){re.escape(old.repo)}(?![\w-])": rf"\g<1>{new.repo}",
    }
    for pattern, replacement in rules.items():
        text = re.sub(pattern, replacement, text)
    return text


def write(new: Address, root: Path = ROOT) -> list[Path]:
    """Write the address into every file that names it; return the files that changed."""
    return [path for path, text in _planned(new, root) if _replace(path, text)]


def stale(root: Path = ROOT) -> list[Path]:
    """Return the files that do not agree with the address in pyproject.toml."""
    planned = _planned(read(root), root)
    return [path for path, text in planned if text != path.read_text(encoding="utf-8")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the address, or with --check only print which files are stale."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repo", default="", help="owner/name (that in pyproject.toml)")
    parser.add_argument("--ref", default="", help="branch or tag (that in pyproject.toml)")
    parser.add_argument("--check", action="store_true", help="write nothing, print the stale files")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    try:
        now = read(options.root)
        new = check(options.repo or now.repo, options.ref or now.ref)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    found = stale(options.root) if options.check else write(new, options.root)
    for path in found:
        print(f"{'stale' if options.check else 'written'}: {path.relative_to(options.root)}")
    print(f"{new.repo} at {new.ref}: {len(found)} files {'stale' if options.check else 'changed'}")
    return 1 if options.check and found else 0


def _planned(new: Address, root: Path) -> list[tuple[Path, str]]:
    """Return every file that names the address, with the text it should have."""
    old = read(root)
    lessons = sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    solutions = sorted((root / "notebooks" / "solutions").glob("*.ipynb"))
    plan = [(root / "pyproject.toml", _project(root / "pyproject.toml", new))]
    plan.append((root / "README.md", _readme(root / "README.md", old, new)))
    citation = root / "CITATION.cff"
    plan.append((citation, rewrite(citation.read_text(encoding="utf-8"), old, new)))
    plan += [(path, _lesson(path, old, new)) for path in lessons]
    return plan + [(path, _notebook(path, old, new)) for path in solutions]


def _replace(path: Path, text: str) -> bool:
    if path.read_text(encoding="utf-8") == text:
        return False
    path.write_text(text, encoding="utf-8", newline="\n")
    return True


def _project(path: Path, new: Address) -> str:
    text = path.read_text(encoding="utf-8")
    url = f'Repository = "https://github.com/{new.repo}"'
    text = re.sub(r'^Repository = ".*"$', url, text, count=1, flags=re.M)
    return re.sub(r'^ref = ".*"$', f'ref = "{new.ref}"', text, count=1, flags=re.M)


def _readme(path: Path, old: Address, new: Address) -> str:
    text = rewrite(path.read_text(encoding="utf-8"), old, new)
    runs = f"https://github.com/{new.repo}/actions/workflows/test.yml"
    tests = f"[![Tests]({runs}/badge.svg)]({runs})\n"
    return _under_title(text, tests + badges(FIRST_LESSON, new, images="images/"))


def _under_title(text: str, lines: str) -> str:
    """Return a text with these lines below its title, instead of older badges."""
    title, _, rest = BADGE.sub("", text).partition("\n")
    return f"{title}\n\n{lines}\n{rest.lstrip()}"


def _lesson(path: Path, old: Address, new: Address) -> str:
    book = nbformat.read(path, as_version=4)
    before = copy.deepcopy(book)
    _rewrite_cells(book, old, new)
    book.cells[0].source = _under_title(book.cells[0].source, badges(path.name, new))
    index = next((i for i, cell in enumerate(book.cells) if MARK in cell.source), None)
    if index is None:
        _insert(book, nbformat.v4.new_code_cell(bootstrap(new), id=f"{path.stem[:2]}-bootstrap"))
        index = 1
    book.cells[index].source = bootstrap(new)
    book.cells[index].metadata |= COLLAPSED
    return _text(path, before, book)


def _notebook(path: Path, old: Address, new: Address) -> str:
    book = nbformat.read(path, as_version=4)
    before = copy.deepcopy(book)
    _rewrite_cells(book, old, new)
    return _text(path, before, book)


def _rewrite_cells(book: nbformat.NotebookNode, old: Address, new: Address) -> None:
    for cell in book.cells:
        cell.source = rewrite(cell.source, old, new)


def _insert(book: nbformat.NotebookNode, cell: nbformat.NotebookNode) -> None:
    """Insert a cell after the first one, and raise the execution counts after it by one."""
    code = [other for other in book.cells if other.cell_type == "code"]
    if any(other.execution_count for other in code):
        cell.execution_count = 1
    for counted in [*code, *(output for other in code for output in other.outputs)]:
        if counted.get("execution_count"):
            counted.execution_count += 1
    book.cells.insert(1, cell)


def _text(path: Path, before: nbformat.NotebookNode, after: nbformat.NotebookNode) -> str:
    """Return the notebook's text, byte for byte that of the file if no cell changed."""
    if before == after:
        return path.read_text(encoding="utf-8")
    return nbformat.writes(after) + "\n"


if __name__ == "__main__":
    sys.exit(main())
