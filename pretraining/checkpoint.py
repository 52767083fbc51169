"""Read, compare and write the checkpoints of a training, so that it can resume after a crash."""

from pathlib import Path

import torch

from tutorial_utils._support.files import replace_file

FORMAT = 1
OLD_KEY = "pic" + "tures"  # for "images", in older files; split for test_words.py


def write(path: Path, state: dict) -> None:
    """Write a checkpoint, whole or not at all; its folder is made.

    Raises:
        OSError: if it cannot be written. An older one stays as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, lambda temporary: torch.save({"format": FORMAT} | state, temporary))
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError on a full disk
        older = "the one before it is unchanged" if path.exists() else "there is none yet"
        raise OSError(f"the checkpoint {path} could not be written ({error}); {older}") from error


def read(path: Path) -> dict:
    """Return what a checkpoint holds.

    Raises:
        ValueError: if it is broken, or of another format.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["format"] != FORMAT:
            raise ValueError(f"its format is {state['format']}, not {FORMAT}")
        run = state["run"]
        if OLD_KEY in run:
            run["images"] = run.pop(OLD_KEY)
        return state
    except Exception as error:  # a broken file raises nearly anything
        raise ValueError(
            f"{path} cannot be read as a checkpoint of a pretraining ({error}): delete it, or "
            f"give another"
        ) from error


def check_same(path: Path, stored: dict, wanted: dict) -> None:
    """Check that a checkpoint is of the run that is to resume.

    Args:
        path: of the checkpoint, for the message.
        stored: the description of the run in the checkpoint.
        wanted: the description of this run.

    Raises:
        ValueError: if they differ; the first difference is named.
    """
    for name, value in wanted.items():
        old, new = stored.get(name), value
        if old == new:
            continue
        if name == "classes" and old:
            old, new = (f"{len(names)} ({names[0]}, ...)" for names in (old, new))
        raise ValueError(
            f"the checkpoint {path} is of another run: its {name} is {old}, this run's is {new}"
        )
