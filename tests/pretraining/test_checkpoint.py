"""Checkpoints of a pretraining: older ones are read, others are refused with the reason."""

import os

import checkpoint
import pytest
import torch

RUN = {"arch": "alexnet", "classes": ["a", "b"], "images": [20, 64]}


def test_a_checkpoint_is_read_back(tmp_path):
    path = tmp_path / "new folder" / "state"
    checkpoint.write(path, {"run": RUN, "step": 3})
    assert checkpoint.read(path) == {"format": 1, "run": RUN, "step": 3}


def test_a_checkpoint_with_the_older_key_is_read(tmp_path):
    old = {"arch": "alexnet", "classes": ["a", "b"], checkpoint.OLD_KEY: [20, 64]}
    checkpoint.write(tmp_path / "state", {"run": old})
    assert checkpoint.read(tmp_path / "state")["run"] == RUN


@pytest.mark.parametrize(
    ("state", "reason"),
    [({"format": 2, "run": RUN}, "its format is 2, not 1"), ([1], "indices"), (None, "")],
)
def test_a_broken_checkpoint_is_refused(tmp_path, state, reason):
    path = tmp_path / "state"
    if state is None:
        path.write_bytes(b"no checkpoint")
    else:
        torch.save(state, path)
    with pytest.raises(ValueError, match=f"state cannot be read as a checkpoint .*{reason}"):
        checkpoint.read(path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"arch": "vgg16"}, "of another run: its arch is alexnet, this run's is vgg16"),
        ({"images": [21, 64]}, r"its images is \[20, 64\], this run's is \[21, 64\]"),
        ({"classes": ["c"]}, r"its classes is 2 \(a, ...\), this run's is 1 \(c, ...\)"),
        ({"later": 1}, "its later is None, this run's is 1"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, changed, message):
    checkpoint.check_same(tmp_path, RUN, dict(RUN))
    with pytest.raises(ValueError, match=message):
        checkpoint.check_same(tmp_path, RUN, RUN | changed)


def test_no_space_left_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    def full(content, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    path = tmp_path / "state"
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(OSError, match="the disk is full.*there is none yet"):
            checkpoint.write(path, {})
    checkpoint.write(path, {"run": RUN})
    before = path.read_bytes()
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="the disk is full.*the one before it is unchanged"):
        checkpoint.write(path, {})
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["state"]
