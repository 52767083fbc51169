"""Tests of `cli.commands`: what each command prints, writes and deletes."""

from pathlib import Path

import pytest

from tutorial_utils import synthetic
from tutorial_utils._support import cache
from tutorial_utils.cli.main import main


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        ("doctor", ["torch 2.", "device:", "network: none, TUTORIAL_OFFLINE", "weights: demo"]),
        ("fetch", ["not everything could be downloaded"]),
    ],
)
def test_what_is_there_and_what_could_not_be_downloaded(
    command, parts, capsys, monkeypatch, tiny_set
):
    monkeypatch.setenv("ANTS_BEES_DIR", str(tiny_set))
    assert main([command]) == 0
    printed = capsys.readouterr().out
    assert all(part in printed for part in parts)


def test_draw_writes_images_and_prints_how_to_use_them(capsys, draws_five, tmp_path):
    assert main(["draw", str(tmp_path / "set"), "--seed", "3"]) == 0
    printed = capsys.readouterr()
    assert f"ANTS_BEES_DIR={tmp_path / 'set'}" in printed.out
    assert "5/5 [" in printed.err, "the progress bar ends at the number of images"
    assert len(list((tmp_path / "set" / "train").rglob("*.jpg"))) == 3


def test_draw_leaves_a_folder_in_use_as_it_is(capsys, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["draw", str(tmp_path)]) == 1
    assert "is not empty; choose a new folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_draw_takes_a_tilde_for_the_home_folder(monkeypatch, home):
    folders = []
    monkeypatch.setattr(synthetic, "write", lambda folder, **more: folders.append(folder))
    assert main(["draw", "~/set"]) == 0
    assert folders == [home / "set"]


@pytest.fixture
def full_cache(tmp_path, monkeypatch) -> Path:
    """Return a cache with images, features, a sweep's results and a kit's lessons."""
    monkeypatch.setenv("ANTS_BEES_CACHE", str(tmp_path / "cache"))
    sizes = {"features-12ab": 2, "kit-34cd": 4, "sweep-drawn": 1, "synthetic-2": 3}
    for name, size in sizes.items():
        (tmp_path / "cache" / name).mkdir(parents=True)
        (tmp_path / "cache" / name / "file").write_bytes(bytes(size * 1_000_000))
    return tmp_path / "cache"


def test_cache_lists_what_it_holds(full_cache, capsys):
    assert main(["cache"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "       2.0 MB  features-12ab"
    assert lines[-1] == f"      10.0 MB  in all, in {full_cache}"


def test_clear_deletes_and_names_the_features_only(full_cache, capsys):
    assert main(["cache", "--clear"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["       2.0 MB  features-12ab  deleted", "freed 2.0 MB"]
    assert [name for name, _ in cache.entries()] == ["kit-34cd", "sweep-drawn", "synthetic-2"]


def test_clear_all_names_everything_that_it_deletes(full_cache, capsys):
    names = [name for name, _ in cache.entries()]
    assert main(["cache", "--clear", "--all"]) == 0
    printed = capsys.readouterr().out
    assert [line.split()[2] for line in printed.splitlines() if "deleted" in line] == names
    assert "freed 10.0 MB" in printed
    assert cache.entries() == []


def test_clear_prints_what_another_process_uses(full_cache, capsys):
    with cache.locked("synthetic-2"):
        assert main(["cache", "--clear", "--all"]) == 1
    printed = capsys.readouterr().out
    assert "synthetic-2 was not deleted: another process is using it" in printed
    assert "synthetic-2  deleted" not in printed and "freed 7.0 MB" in printed
    assert [name for name, _ in cache.entries()] == ["synthetic-2"]


def test_all_without_clear_deletes_nothing(full_cache, capsys):
    assert main(["cache", "--all"]) == 1
    assert "--all goes with --clear: nothing was deleted" in capsys.readouterr().err
    assert len(cache.entries()) == 4


def test_the_help_of_all_names_what_it_deletes(capsys):
    with pytest.raises(SystemExit):
        main(["cache", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for part in ("also the images", "results of lesson 13's sweeps", "the lessons of a kit"):
        assert part in text


def test_a_parameter_without_a_value_is_explained(capsys):
    assert main(["lessons", "-p", "epochs"]) == 1
    assert "-p takes NAME=VALUE" in capsys.readouterr().err
