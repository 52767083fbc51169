"""The command line and the package as a whole: cheap to import, exit codes right."""

import subprocess
import sys
from pathlib import Path

import pytest

import tutorial_utils
from tutorial_utils.cli import main as main_module
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


def test_doctor_says_what_is_there(capsys, monkeypatch, tmp_path):
    drawn(tmp_path / "set")
    monkeypatch.setenv("ANTS_BEES_DIR", str(tmp_path / "set"))
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    for part in ("torch 2.", "device:", "network: none, TUTORIAL_OFFLINE", "weights: demo"):
        assert part in printed


def test_fetch_says_what_it_could_not_get(capsys, monkeypatch, tmp_path):
    drawn(tmp_path / "set")
    monkeypatch.setenv("ANTS_BEES_DIR", str(tmp_path / "set"))
    assert main(["fetch"]) == 0
    assert "not everything could be fetched" in capsys.readouterr().out


def test_draw_writes_a_set_and_says_how_to_use_it(capsys, monkeypatch, tmp_path):
    from tutorial_utils import synthetic

    write = synthetic.write
    few = {"train": {"ants": 2, "bees": 1}, "val": {"ants": 1, "bees": 1}}
    monkeypatch.setattr(synthetic, "write", lambda folder, **more: write(folder, **few, **more))
    assert main(["draw", str(tmp_path / "set"), "--seed", "3"]) == 0
    assert f"ANTS_BEES_DIR={tmp_path / 'set'}" in capsys.readouterr().out
    assert len(list((tmp_path / "set" / "train").rglob("*.jpg"))) == 3


def test_draw_refuses_a_folder_in_use(capsys, tmp_path):
    (tmp_path / "kept.txt").write_text("mine")
    assert main(["draw", str(tmp_path)]) == 1
    assert "is not empty; name a new folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


@pytest.mark.parametrize("wrong", ["epochs", "=3", "1x=2"])
def test_a_parameter_without_a_value_is_explained(wrong, capsys):
    assert main(["lessons", "-p", wrong]) == 1
    assert "-p takes NAME=VALUE" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [[], ["dance"], ["draw"]])
def test_wrong_usage_exits_with_2(wrong, capsys):
    with pytest.raises(SystemExit) as caught:
        main(wrong)
    assert caught.value.code == 2


def drawn(folder: Path) -> None:
    from tutorial_utils import synthetic

    synthetic.write(folder, train={"ants": 2, "bees": 2}, val={"ants": 1, "bees": 1}, seed=0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows says it in other words")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("entries", [1, 3000])
def test_a_reader_who_leaves_early_is_no_error(entries, unbuffered, tmp_path, monkeypatch):
    # As `| head -1` does; with few lines it shows only when the buffer is written at the end.
    monkeypatch.setenv("ANTS_BEES_CACHE", str(tmp_path))
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    for number in range(entries):
        (tmp_path / f"features-{number:04d}-of-many-kept-ones").mkdir()
    code = "import sys; from tutorial_utils.cli.main import main; sys.stdin.read(); "
    command = [sys.executable, "-c", code + "sys.exit(main(['cache']))"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
    process.stdout.close()
    process.stdin.close()
    said = process.stderr.read()
    assert (process.wait(), said) == (1, b"")


def test_another_broken_pipe_is_named(monkeypatch, capsys):
    def broken(options):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(main_module, "_cache", broken)
    assert main(["cache"]) == 1
    assert "Broken pipe" in capsys.readouterr().err


def test_cache_lists_and_clears(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ANTS_BEES_CACHE", str(tmp_path))
    for name, size in (("drawn-2", 3_000_000), ("features-12ab", 2_000_000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(bytes(size))
    assert main(["cache"]) == 0
    listed = capsys.readouterr().out
    assert "3.0 MB  drawn-2" in listed
    assert "5.0 MB  in all" in listed
    assert main(["cache", "--clear"]) == 0
    assert capsys.readouterr().out.startswith("freed 2.0 MB")
    assert [path.name for path in tmp_path.iterdir()] == ["drawn-2"]
    assert main(["cache", "--all"]) == 1
    assert "goes with --clear" in capsys.readouterr().err
    assert main(["cache", "--clear", "--all"]) == 0
    assert list(tmp_path.iterdir()) == []
