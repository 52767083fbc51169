"""Faults of checkpoints: damaged files, two runs in one folder, a run that was killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import filelock
import pytest
from tiny_runs import head, run, same

import tutorial_utils
from tutorial_utils import checkpoints, training
from tutorial_utils._support import checksums

REPO = Path(tutorial_utils.__file__).parents[1]
OLD = REPO / "tests" / "old_files" / "checkpoint-1"
WEIGHTS, OPTIMIZER = "weights-0002.safetensors", "optimizer-0002.safetensors"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the folder of a run's checkpoint after two epochs."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run(epochs=2, checkpoint=folder)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    """Return a copy of it."""
    return shutil.copytree(whole, tmp_path / "run")


@pytest.fixture(scope="module")
def expected():
    """Return the network of a run of three epochs."""
    return run(epochs=3)[0]


def flip(path, index, bit=0):
    content = bytearray(path.read_bytes())
    content[index] ^= 1 << bit
    path.write_bytes(content)


def resumed(folder):
    return run(epochs=3, checkpoint=folder, resume=True)[0]


@pytest.mark.parametrize("name", [WEIGHTS, OPTIMIZER, checkpoints.MANIFEST])
@pytest.mark.parametrize("percent", range(1, 100, 7))
def test_a_flipped_bit_is_noticed(name, percent, folder, expected):
    path = folder / name
    flip(path, path.stat().st_size * percent // 100, bit=percent % 7)
    try:
        network = resumed(folder)
    except (ValueError, FileNotFoundError) as error:
        assert str(folder) in str(error) and "\n" not in str(error).strip()
        assert any(cure in str(error) for cure in ("rain again", "this version reads"))
    else:  # a space of the header or of the JSON text
        assert same(network, expected)


@pytest.mark.parametrize("bit", range(8))
def test_no_bit_of_the_weights_can_flip_unnoticed(bit, folder, expected):
    path, before = folder / WEIGHTS, head()
    content = path.read_bytes()
    training.load_checkpoint(before, folder)
    for index in range(len(content)):
        flip(path, index, bit)
        network = head()
        try:
            training.load_checkpoint(network, folder)
            assert same(network, before), index
        except ValueError as error:
            assert str(path) in str(error)
        path.write_bytes(content)


def altered(folder, **changes):
    """Change the manifest of a checkpoint."""
    path = folder / checkpoints.MANIFEST
    manifest = json.loads(path.read_text())
    manifest |= {key: change(manifest[key]) for key, change in changes.items()}
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "changes",
    [
        {"frozen": lambda text: text[::-1]},
        {"recipe": lambda recipe: recipe | {"lr": 1e-2, "seed": 1}},
        {"history": lambda history: history | {"stopped": "stopped"}},
        {"optimizer": lambda state: {"0": {"step": 7}}},
        {"files": lambda names: names | {"best": names["optimizer"]}},
        {checksums.KEY: lambda text: ""},
        {checksums.KEY: lambda text: None},
        {checksums.KEY: lambda text: text.upper()},
    ],
)
def test_an_altered_manifest_is_noticed(changes, folder):
    altered(folder, **changes)
    with pytest.raises(ValueError, match=r"checkpoint.json is damaged: .*train again into another"):
        resumed(folder)


def test_a_checksum_under_another_key_is_no_old_manifest(folder):
    path = folder / checkpoints.MANIFEST
    path.write_text(path.read_text().replace(checksums.KEY, "sha257"))
    with pytest.raises(ValueError, match="checkpoint.json is damaged"):
        training.load_checkpoint(head(), folder)


def test_the_weights_of_an_optimiser_are_no_weights(folder):
    shutil.copy(folder / OPTIMIZER, folder / WEIGHTS)
    with pytest.raises(ValueError, match=f"{WEIGHTS} is from another network"):
        training.load_checkpoint(head(), folder)


def test_an_old_checkpoint_loads_and_one_line_says_that_it_has_no_checksum(tmp_path, capsys):
    folder = shutil.copytree(OLD, tmp_path / "run")
    with pytest.raises(ValueError, match="build it with the same weights"):
        training.load_checkpoint(head(), folder)  # another network than the old file's
    line = f"{folder / checkpoints.MANIFEST} is of an earlier version: it has no checksum to check"
    assert capsys.readouterr().err.splitlines() == [line]


# Two runs and one folder


def test_a_second_run_in_the_folder_of_the_first_raises_at_once(tmp_path):
    def second(history):
        with pytest.raises(OSError, match=rf"another run is writing .*{tmp_path}: wait until"):
            run(checkpoint=tmp_path, resume=True)
        tried.append(history.last.epoch)

    tried = []
    network, _ = run(epochs=2, checkpoint=tmp_path, on_epoch=second)
    assert tried == [1, 2]
    assert same(network, run(epochs=2)[0])
    run(epochs=3, checkpoint=tmp_path, resume=True)  # the first has released it


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, FloatingPointError, ValueError])
def test_a_run_that_ends_by_an_error_lets_the_next_one_in(error, tmp_path):
    def fail(history):
        raise error

    if error is KeyboardInterrupt:
        run(checkpoint=tmp_path, on_epoch=fail)
    else:
        with pytest.raises(error) as caught:  # as a notebook keeps it, with all that was in use
            run(checkpoint=tmp_path, on_epoch=fail)
        assert caught.tb is not None
    assert same(run(checkpoint=tmp_path, resume=True)[0], run()[0])


def test_a_run_that_does_not_start_lets_the_next_one_in(folder):
    with pytest.raises(ValueError, match="already holds a checkpoint") as caught:
        run(epochs=3, checkpoint=folder)
    resumed(folder)
    assert caught.tb is not None


@pytest.mark.parametrize("error", [OSError(38, "Function not implemented"), NotImplementedError()])
def test_a_disk_without_locks_gets_its_checkpoints(error, tmp_path, monkeypatch):
    def refuse(self, timeout=None):
        raise error

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    run(epochs=2, checkpoint=tmp_path)
    assert training.load_checkpoint(head(), tmp_path, which="last").epoch == 2


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from tiny_runs import run

def die(history):
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

run(epochs=3, checkpoint=sys.argv[1], on_epoch=die)
"""


@pytest.mark.long
def test_the_lock_of_a_killed_run_is_free(tmp_path, expected):
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(REPO / "tests")]
    killed = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(REPO)}, timeout=300)
    assert killed.returncode == -getattr(signal, "SIGKILL", signal.SIGTERM)
    assert (tmp_path / checkpoints.LOCK).exists()
    assert training.load_checkpoint(head(), tmp_path).epoch == 1
    assert same(resumed(tmp_path), expected)


# Disk full


@pytest.mark.parametrize("name", ["weights-0002", "optimizer-0002", "checkpoint"])
def test_a_full_disk_names_the_file_and_keeps_the_checkpoint_before(name, tmp_path, monkeypatch):
    whole_write = os.replace

    def full(source, target):
        if Path(target).name.startswith(name) and (tmp_path / "weights-0001.safetensors").exists():
            raise OSError(28, "No space left on device")
        whole_write(source, target)

    if name == "checkpoint":  # the first one is written
        run(epochs=1, checkpoint=tmp_path)
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match=r"epoch 2 could not be written: .*epoch 1 is in"):
        run(epochs=2, checkpoint=tmp_path, resume=True)
    monkeypatch.undo()
    assert training.load_checkpoint(head(), tmp_path, which="last").epoch == 1
    assert not list(tmp_path.glob("*.tmp"))
