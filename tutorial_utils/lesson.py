"""What every lesson does at its start and at its end: check its parameters, report its results.

A lesson's parameters stand in one cell with the papermill tag `parameters`, each annotated
(`epochs: int = 12`). `check` reads the annotations and refuses what makes no sense before any
work is done. `report` puts the results into the notebook as one output of MIME type `MIME`,
which `experiments` reads back.

Source: papermill, https://papermill.readthedocs.io/en/latest/usage-parameterize.html
"""

import difflib
import math
import platform
import sys
import time
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import psutil
from IPython.display import display

from tutorial_utils import data, models

MIME = "application/vnd.tutorial.result+json"
LIVE = "application/vnd.jupyter.widget-view+json"  # the half of a widget that needs its kernel

RANGES = {
    "epochs": (1, 1000),
    "batch_size": (1, 1024),
    "augmentations": (1, 64),
    "seed": (0, 2**32 - 1),
    "val_percent": (1, 99),
    "distance": (0, 32),
}
PLAIN = (str, int, float, bool, list, dict, tuple, type(None))
SHELL_NAMES = {"In", "Out", "exit", "quit", "open", "get_ipython"}


def check(namespace: dict[str, Any]) -> None:
    """Refuse parameters that make no sense, before any work is done.

    Call it as `lesson.check(globals())` right after the parameters cell. The first call also
    refuses names that the parameters cell does not declare, which papermill only warns about.

    Args:
        namespace: the notebook's globals, with the annotations of the parameters cell.

    Raises:
        ValueError: for a value out of range or of the wrong kind, or an unknown parameter. The
            text says what was given, what is allowed, and what to do.
    """
    declared = namespace.get("__annotations__", {})
    if not declared:
        raise ValueError(
            "this notebook declares no parameters: run the cell tagged 'parameters' first, "
            "the one with lines such as 'epochs: int = 12'"
        )
    if not namespace.get("_lesson_checked"):
        _check_unknown(namespace, declared)
    for name, kind in declared.items():
        if name in namespace:
            _check_value(name, namespace[name], kind)
    namespace["_lesson_checked"] = True


def report(lesson: str, **results: Any) -> None:
    """Put the lesson's results into the notebook, for people and for programs.

    Seconds since the kernel started, peak memory in bytes and versions are added.

    Args:
        lesson: the lesson's file name without its ending, such as "06_training".
        **results: whatever JSON can hold. Used by name where present: `images` and `weights`
            (str), `val_accuracy` (float or dict of floats by network), `curves` (dict of lists
            of epochs by network).
    """
    process = psutil.Process()
    result = {
        "lesson": lesson,
        **results,
        "seconds": round(time.time() - process.create_time(), 1),
        "peak_bytes": peak_bytes(),
        "versions": versions(),
    }
    shown = {k: v for k, v in results.items() if k != "curves"}
    text = "\n".join([f"result of lesson {lesson}", *(f"  {k}: {v}" for k, v in shown.items())])
    display({MIME: result, "text/plain": text}, raw=True)


def peak_bytes() -> int:
    """Return the most memory that this process has held so far, in bytes (resident set)."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def versions() -> dict[str, str]:
    """Return the versions that a result depends on, by name."""
    import torch
    import torchvision

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }


def _check_unknown(namespace: dict[str, Any], declared: dict[str, Any]) -> None:
    for name, value in namespace.items():
        if name.startswith("_") or name in declared or name in SHELL_NAMES:
            continue
        if not isinstance(value, PLAIN):
            continue
        near = difflib.get_close_matches(name, declared, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"unknown parameter {name!r}; this lesson takes {', '.join(sorted(declared))}{hint}"
        )


def _check_value(name: str, value: Any, kind: Any) -> None:
    if name in RANGES:
        _check_whole(name, value)
    elif name == "lr":
        _check_rate(name, value)
    elif name == "arch":
        _check_choice(name, value, models.ARCHS)
    elif name == "weights":
        _check_choice(name, value, models.WEIGHTS)
    elif name == "source":
        _check_source(name, value)
    elif name == "folder":
        _check_folder(name, value)
    elif name == "model_folder":
        _check_model_folder(name, value)
    elif isinstance(kind, type) and not isinstance(value, kind):
        raise ValueError(f"{name} must be {kind.__name__}, got {value!r}")


def _check_whole(name: str, value: Any) -> None:
    low, high = RANGES[name]
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or not low <= value <= high:
        raise ValueError(f"{name} must be a whole number from {low} to {high}, got {value!r}")


def _check_rate(name: str, value: Any) -> None:
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not 0 < value <= 1:
        raise ValueError(
            f"{name} must be a number above 0 and at most 1, got {value!r} "
            "(in a YAML file write 1.0e-3: 1e-3 is read as text)"
        )


def _check_choice(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")


def _check_source(name: str, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be text, got {value!r}")
    if value not in data.SOURCES and not Path(value).is_dir():
        raise ValueError(
            f"{name} must be one of {', '.join(data.SOURCES)}, or a folder that exists, "
            f"got {value!r}"
        )


def _check_folder(name: str, value: Any) -> None:
    """Allow the path of a folder, or "" for what the lesson has of its own."""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text, got {value!r}")
    if value and not Path(value).expanduser().is_dir():
        raise ValueError(
            f"{name} must be a folder that exists, or '' for the images of the lesson, got "
            f"{value!r}. A relative path counts from where the lesson runs; an absolute one is "
            f"the same from everywhere"
        )


def _check_model_folder(name: str, value: Any) -> None:
    """Allow the path of a folder, there or not yet, or "" to keep nothing."""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text, got {value!r}")
    if value and (place := Path(value).expanduser()).exists() and not place.is_dir():
        raise ValueError(f"{name} must name a folder, and {value!r} is a file: name another")
