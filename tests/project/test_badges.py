"""`make badges`: one address everywhere, changed everywhere at once, and outputs unchanged."""

import re
import shutil
import sys
from pathlib import Path

import nbformat
import papermill
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
if str(ROOT / "binder") not in sys.path:
    sys.path.insert(0, str(ROOT / "binder"))

import badges  # noqa: E402

NEW = badges.Address("bee-lab/ants.2", "v1.0-rc1")
LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
ANY = re.compile(
    r"mybinder\.org/v2/gh/[^)\s]+|colab\.research\.google\.com/github/[^)\s]+"
    r"|git\+https://[^\"'\s]+|git clone https://\S+"
)


@pytest.fixture
def small(tmp_path):
    """Return a tiny course with a lesson that has no badges yet."""
    (tmp_path / "pyproject.toml").write_text(
        '[project.urls]\nRepository = "https://github.com/a/b"\n\n[tool.tutorial]\nref = "main"\n'
    )
    (tmp_path / "CITATION.cff").write_text("repository-code: https://github.com/a/b\n")
    (tmp_path / "README.md").write_text(
        "# Course\n\nRead it.\n\n    git clone https://github.com/a/b\n"
    )
    (tmp_path / "notebooks" / "solutions").mkdir(parents=True)
    code = nbformat.v4.new_code_cell
    cells = [
        nbformat.v4.new_markdown_cell("# 00 One\n\n**The question.** What?"),
        nbformat.v4.new_markdown_cell("## Set up\n\nThe parameters."),
        code("epochs: int = 1", metadata={"tags": ["parameters"]}, execution_count=1),
        nbformat.v4.new_markdown_cell("Then a sum."),
        code("epochs + 1", execution_count=2),
    ]
    data = {"text/plain": "2"}
    result = nbformat.v4.new_output("execute_result", data, execution_count=2)
    cells[-1].outputs = [result]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(book, tmp_path / "notebooks" / "00_one.ipynb")
    return tmp_path


def everything(root: Path) -> dict[str, str]:
    paths = [root / name for name in ("pyproject.toml", "CITATION.cff", "README.md")]
    paths += sorted(root.rglob("*.ipynb"))
    return {p.relative_to(root).as_posix(): p.read_text(encoding="utf-8") for p in paths}


def lesson(root: Path) -> nbformat.NotebookNode:
    return nbformat.read(root / "notebooks" / "00_one.ipynb", as_version=4)


def test_no_address_is_stale():
    found = [path.name for path in badges.stale()]
    assert not found, f"{found} do not agree with pyproject.toml: make badges"


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_every_lesson_has_its_badges_and_its_bootstrap_cell(path):
    address = badges.read()
    book = nbformat.read(path, as_version=4)
    assert badges.badges(path.name, address) in book.cells[0].source
    cells = [cell for cell in book.cells if badges.MARK in cell.source]
    assert [cell.source for cell in cells] == [badges.bootstrap(address)]
    assert cells == [book.cells[1]], "it comes before any other code"
    assert cells[0].outputs == [], "where the package is installed, it is silent"


def test_the_command_changes_every_address_and_back(tmp_path, capsys):
    copied = tmp_path
    for name in ("pyproject.toml", "CITATION.cff", "README.md"):
        shutil.copy(ROOT / name, copied / name)
    shutil.copytree(ROOT / "notebooks", copied / "notebooks")
    now = badges.read(copied)
    badges.write(now, copied)
    before = everything(copied)
    assert badges.main(["--root", str(copied), "--repo", NEW.repo, "--ref", NEW.ref]) == 0
    assert f"written: {Path('notebooks', LESSONS[0].name)}" in capsys.readouterr().out
    for name, text in everything(copied).items():
        assert now.repo not in text, f"{name} still names {now.repo}"
        for found in ANY.findall(text):
            assert NEW.repo in found, f"{name}: {found}"
            assert NEW.ref in found or found.startswith("git clone"), f"{name}: {found}"
    assert badges.read(copied) == NEW
    assert badges.stale(copied) == badges.write(NEW, copied) == []
    assert badges.main(["--root", str(copied)]) == 0
    assert "bee-lab/ants.2 at v1.0-rc1: 0 files changed" in capsys.readouterr().out
    badges.write(now, copied)
    assert everything(copied) == before


def test_it_inserts_what_is_missing_and_keeps_the_outputs(small):
    written = badges.write(badges.read(small), small)
    assert [path.name for path in written] == ["README.md", "00_one.ipynb"]
    book = lesson(small)
    nbformat.validate(book)
    assert book.cells[0].source.startswith("# 00 One\n\n[![Open in Binder]")
    assert book.cells[0].source.endswith("00_one.ipynb)\n\n**The question.** What?")
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, 3]
    assert code[0].source == badges.bootstrap(badges.Address("a/b", "main"))
    assert code[0].outputs == [] and code[0].metadata == badges.COLLAPSED
    assert code[2].outputs[0].execution_count == 3
    assert code[2].outputs[0].data == {"text/plain": "2"}
    readme = (small / "README.md").read_text()
    assert readme.startswith("# Course\n\n[![Tests](https://github.com/a/b/actions/workflows/")
    assert readme.endswith("\n\nRead it.\n\n    git clone https://github.com/a/b\n")


def test_a_cell_is_not_counted_in_a_notebook_that_was_not_run(small):
    book = lesson(small)
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.execution_count, cell.outputs = None, []
    nbformat.write(book, small / "notebooks" / "00_one.ipynb")
    badges.write(badges.read(small), small)
    assert [c.execution_count for c in lesson(small).cells if c.cell_type == "code"] == [None] * 3


def test_a_stale_file_is_named(small, capsys):
    badges.write(badges.read(small), small)
    path = small / "notebooks" / "00_one.ipynb"
    path.write_text(path.read_text().replace("gh/a/b/main", "gh/a/fork/main"))
    assert badges.stale(small) == [path]
    assert badges.main(["--root", str(small), "--check"]) == 1
    assert "stale: notebooks" in capsys.readouterr().out
    assert "fork" in path.read_text(), "--check writes nothing"
    assert badges.main(["--root", str(small)]) == 0
    assert badges.main(["--root", str(small), "--check"]) == 0


def test_the_bootstrap_cell_runs_silently_and_leaves_the_parameters_alone(small):
    badges.write(badges.read(small), small)
    path = small / "notebooks" / "00_one.ipynb"
    assert list(papermill.inspect_notebook(str(path))) == ["epochs"]
    papermill.execute_notebook(path, small / "out.ipynb", {"epochs": 4}, progress_bar=False)
    book = nbformat.read(small / "out.ipynb", as_version=4)
    assert next(cell for cell in book.cells if badges.MARK in cell.source).outputs == []
    assert book.cells[-1].outputs[0].data["text/plain"] == "5"


def test_the_bootstrap_cell_installs_where_the_package_is_missing():
    from IPython.core.inputtransformer2 import TransformerManager

    source = badges.bootstrap(NEW).replace("tutorial_utils", "no_such_package")
    calls = []

    class Shell:
        def run_line_magic(self, name, line):
            calls.append(f"%{name} {line}")

    exec(TransformerManager().transform_cell(source), {"get_ipython": Shell})
    assert calls == [
        '%pip install -q "no_such_package[colab] @ git+https://github.com/bee-lab/ants.2@v1.0-rc1"'
    ]


def test_texts_of_others_are_left_alone():
    text = "see https://github.com/pytorch/vision and https://github.com/a/bc, a/b, x@main."
    old = badges.Address("a/b", "main")
    assert badges.rewrite(text, old, NEW) == text
    mine = "https://github.com/a/b/blob/main/x.md, https://github.com/a/b. https://a.github.io/b/"
    assert badges.rewrite(mine, old, NEW) == (
        "https://github.com/bee-lab/ants.2/blob/v1.0-rc1/x.md, "
        "https://github.com/bee-lab/ants.2. https://bee-lab.github.io/ants.2/"
    )


@pytest.mark.parametrize(
    ("repo", "ref", "message"),
    [
        ("ants", "main", "REPO must be owner/name .* not 'ants'"),
        ("a/b/c", "main", "REPO must be owner/name"),
        ("https://github.com/a/b", "main", "REPO must be owner/name .*for example REPO="),
        ("-a/b", "main", "REPO must be owner/name"),
        ("a/..", "main", "REPO must be owner/name"),
        ("a/b c", "main", "REPO must be owner/name"),
        ("a/$(x)", "main", "REPO must be owner/name"),
        ("a/b.git", "main", "REPO must be written without .git, not 'a/b.git': use 'a/b'"),
        ("a/b", "feature/x", "REF must be a branch or tag .*slash would break.* not 'feature/x'"),
        ("a/b", "v1..2", "REF must be a branch or tag"),
        ("a/b", "v1.lock", "REF must be a branch or tag"),
        ("a/b", "-f", "REF must be a branch or tag"),
        ("a/b", "main;rm", "REF must be a branch or tag"),
        ("a/b", "v1.", "REF must be a branch or tag"),
    ],
)
def test_a_bad_address_is_explained_and_nothing_is_written(repo, ref, message, small, capsys):
    with pytest.raises(ValueError, match=message):
        badges.check(repo, ref)
    before = everything(small)
    assert badges.main([f"--root={small}", f"--repo={repo}", f"--ref={ref}"]) == 2
    assert re.search(f"error: {message}", capsys.readouterr().err)
    assert everything(small) == before
