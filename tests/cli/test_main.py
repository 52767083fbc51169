"""Tests of `cli.main`: exit codes, wrong usage, a reader that ends early, cheap imports."""

import subprocess
import sys

import pytest

import tutorial_utils
from tutorial_utils.cli import commands
from tutorial_utils.cli.main import main


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, tutorial_utils; "
        "print(sorted({'torch', 'matplotlib', 'ipywidgets', 'numpy', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_modules_load_when_first_used_and_unknown_ones_are_named():
    assert tutorial_utils.training.fit
    with pytest.raises(AttributeError, match="has no attribute 'trainning'"):
        tutorial_utils.trainning  # noqa: B018


@pytest.mark.parametrize(
    "wrong",
    ["", "dance", "draw", "predict", "predict m"]
    + [f"predict m a.png {options}" for options in ("--top 0", "--top two", "--json --csv")],
)
def test_wrong_usage_exits_with_2(wrong):
    with pytest.raises(SystemExit) as caught:
        main(wrong.split())
    assert caught.value.code == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows reports it in other words")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("entries", [1, 3000])
def test_a_reader_that_ends_early_is_no_error(entries, unbuffered, tmp_path, monkeypatch):
    # As `| head -1` does; with few lines it shows only when the buffer is written at the end.
    monkeypatch.setenv("ANTS_BEES_CACHE", str(tmp_path))
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    for number in range(entries):
        (tmp_path / f"features-{number:04d}-one-of-many").mkdir()
    code = "import sys; from tutorial_utils.cli.main import main; sys.stdin.read(); "
    command = [sys.executable, "-c", code + "sys.exit(main(['cache']))"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
    process.stdout.close()
    process.stdin.close()
    printed = process.stderr.read()
    assert (process.wait(), printed) == (1, b"")


def test_another_broken_pipe_is_named(monkeypatch, capsys):
    def broken(options):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(commands, "cache", broken)
    assert main(["cache"]) == 1
    assert "Broken pipe" in capsys.readouterr().err
