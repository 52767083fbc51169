"""The start and the end of every lesson: check its parameters, report its results.

The parameters of a lesson are in one cell with the papermill tag `parameters`, each annotated
(`epochs: int = 12`). `check` reads the annotations. `report` puts the results into the notebook as
one output of MIME type `MIME`, which `batch.lessons` reads.

Source: papermill, https://papermill.readthedocs.io/en/latest/usage-parameterize.html
"""

import difflib
import os
import platform
import sys
import threading
import time
from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple

import psutil

from tutorial_utils import data, models
from tutorial_utils._support import reports
from tutorial_utils._support.arguments import check_choice, check_whole, is_finite
from tutorial_utils._support.files import as_path
from tutorial_utils._support.memory import GIB, available_bytes

MIME = reports.MIME
LIVE = "application/vnd.jupyter.widget-view+json"  # a widget's output that needs a running kernel

RANGES = {
    "epochs": (1, 1000),
    "batch_size": (1, 1024),
    "augmentations": (1, 64),
    "seed": (0, 2**32 - 1),
    "seeds": (2, 1000),
    "jobs": (1, 64),
    "val_percent": (1, 98),
    "test_percent": (1, 98),
    "distance": (0, 32),
}
CHOICES = {"arch": models.ARCHS, "weights": models.WEIGHTS}
PARAMETER_TYPES = (str, int, float, bool, list, dict, tuple, type(None))
SHELL_NAMES = {"In", "Out", "exit", "quit", "open", "get_ipython"}


def check(namespace: dict[str, Any], *, vgg16_gib: float = 0.0) -> None:
    """Check a lesson's parameters before any work is done.

    Call it as `lesson.check(globals())` right after the parameters cell. The first call also
    rejects names that the parameters cell does not declare; papermill only warns about them.

    Used in every lesson.

    Args:
        namespace: the notebook's globals, with the annotations of the parameters cell.
        vgg16_gib: GiB of memory that the lesson needs with `arch = "vgg16"`.

    Raises:
        ValueError: if a value is out of range or of the wrong type, or a parameter is unknown.
        MemoryError: if `arch` is "vgg16" and less memory than that is available.
        RuntimeError: if Python's assertions are off.
    """
    check_assertions()
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
    if namespace.get("arch") == "vgg16" and not namespace.get("_lesson_checked"):
        _check_memory(vgg16_gib)
    namespace["_lesson_checked"] = True


def check_assertions() -> None:
    """Raise RuntimeError if Python's assertions are off: the lessons check their claims by them.

    Source: https://docs.python.org/3/using/cmdline.html#cmdoption-O
    """
    if sys.flags.optimize:
        raise RuntimeError(
            "Python's assertions are off (python -O, or PYTHONOPTIMIZE is set), and the lessons "
            "check what they claim by assertions: run Python without -O, and unset PYTHONOPTIMIZE"
        )


def report(lesson: str, **results: Any) -> None:
    """Put the lesson's results into the notebook, as text and as JSON of type `MIME`.

    Seconds since the kernel started, peak memory in bytes and versions are added.

    Used in every lesson.

    Args:
        lesson: the file name of the lesson without its suffix, such as "06_training".
        **results: values that JSON can hold. Some names have a meaning: `images` and `weights`
            (str), `val_accuracy` (float, or a dict of floats by network), `curves` (a dict of
            lists of epochs by network), which is left out of the text.

    Raises:
        ValueError: if `val_accuracy` is not such a number or dict.
    """
    from IPython.display import display  # what measures without a notebook runs without it

    _check_accuracy(results.get("val_accuracy"))
    process = psutil.Process()
    result = {
        "lesson": lesson,
        **results,
        "seconds": round(time.time() - process.create_time(), 1),
        "peak_bytes": peak_bytes(),
        "versions": versions(),
    }
    lines = [f"  {name}: {value}" for name, value in results.items() if name != "curves"]
    text = "\n".join([f"result of lesson {lesson}", *lines])
    display({MIME: result, "text/plain": text}, raw=True)


def peak_bytes() -> int:
    """Return the peak memory of this process so far, in bytes (resident set size).

    Used in lesson 08.
    """
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def find_device():
    """Return the device for a lesson: the GPU that torch can use, or else the processor.

    A GPU is what `torch.accelerator` finds, such as CUDA's or Apple's. The environment variable
    ANTS_BEES_DEVICE overrides it, for example with "cpu".

    Used in lessons 04, 05, 06, 07, 08, 09, 10, 11, 12, 13, 14.

    Returns:
        A `torch.device`.

    Raises:
        ValueError: if ANTS_BEES_DEVICE names no device of torch.

    Source:
        https://docs.pytorch.org/docs/stable/accelerator.html
    """
    import torch

    if name := os.environ.get("ANTS_BEES_DEVICE", "").strip():
        try:
            return torch.device(name)
        except RuntimeError as error:
            raise ValueError(
                f"ANTS_BEES_DEVICE must name a device of torch, such as cpu or cuda, not {name!r}"
            ) from error
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


class Cost(NamedTuple):
    """What a piece of work returned, its duration, and its peak memory above the start."""

    result: Any
    seconds: float
    peak_bytes: int


def measure(work: Callable[[], Any]) -> Cost:
    """Run `work()` and measure its duration and its peak memory, by itself.

    The peak of a process never falls, so after a large piece of work it says nothing about a
    smaller one. Here the memory in use is read every 2 ms while the work runs: the process's
    resident memory, which includes pages of mapped files. If `find_device` gives an NVIDIA GPU, it
    is PyTorch's own count of GPU memory. The duration includes all that is queued on a GPU. Do not
    nest calls.

    Used in lesson 08.

    Args:
        work: a function without arguments. What it raises is raised again.

    Returns:
        The result, the seconds, and the highest memory minus that at the start, in bytes.
    """
    import torch

    kind, process = find_device().type, psutil.Process()
    gpu = kind == "cuda"
    if kind != "cpu":
        torch.accelerator.synchronize()
    if gpu:
        torch.cuda.reset_peak_memory_stats()

    def used() -> int:
        return torch.cuda.max_memory_allocated() if gpu else process.memory_info().rss

    samples, done = [used()], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            samples.append(used())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    start = time.perf_counter()
    try:
        result = work()
        if kind != "cpu":
            torch.accelerator.synchronize()
        seconds = time.perf_counter() - start
    finally:
        done.set()
        watcher.join()
    return Cost(result, seconds, max(*samples, used()) - samples[0])


def versions() -> dict[str, str]:
    """Return the versions of Python, torch and torchvision.

    Used in lesson 00.
    """
    import torch
    import torchvision

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }


def _check_memory(needed_gib: float) -> None:
    free_gib = available_bytes() / GIB
    if free_gib < needed_gib:
        raise MemoryError(
            f"this lesson needs {needed_gib:g} GiB of memory with arch = 'vgg16', and "
            f"{free_gib:.1f} GiB are free: set arch = 'alexnet', or close other programs"
        )


def _check_unknown(namespace: dict[str, Any], declared: dict[str, Any]) -> None:
    for name, value in namespace.items():
        if name.startswith("_") or name in declared or name in SHELL_NAMES:
            continue
        if not isinstance(value, PARAMETER_TYPES):
            continue
        near = difflib.get_close_matches(name, declared, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"unknown parameter {name!r}; allowed: {', '.join(sorted(declared))}{hint}"
        )


def _check_value(name: str, value: Any, kind: Any) -> None:
    if name in RANGES:
        check_whole(name, value, *RANGES[name])
    elif name in CHOICES:
        check_choice(name, value, CHOICES[name])
    elif name in CHECKS:
        CHECKS[name](value)
    elif isinstance(kind, type) and not isinstance(value, kind):
        raise ValueError(f"{name} must be {kind.__name__}, not {value!r}")


def _check_lr(value: Any) -> None:
    if not is_finite(value) or not 0 < value <= 1:
        raise ValueError(
            f"lr must be a number above 0 and at most 1, not {value!r} "
            "(in a YAML file write 1.0e-3: 1e-3 is read as text)"
        )


def _check_source(value: Any) -> None:
    _check_text("source", value)
    if value not in data.SOURCES and not (value and as_path(value).is_dir()):
        raise ValueError(
            f"source must be one of {', '.join(data.SOURCES)}, or a folder that exists, not "
            f"{value!r}"
        )


def _check_folder(value: Any) -> None:
    """Allow the path of a folder, or "" for the lesson's own images."""
    _check_text("folder", value)
    if value and not as_path(value).is_dir():
        raise ValueError(
            f"folder must be a folder that exists, or '' for the lesson's own images, not "
            f"{value!r}. A relative path starts from the folder in which the lesson runs"
        )


def _check_model_folder(value: Any) -> None:
    """Allow the path of a folder, which may not exist yet, or "" to save nothing."""
    _check_text("model_folder", value)
    if value and as_path(value).exists() and not as_path(value).is_dir():
        raise ValueError(f"model_folder must be a folder, and {value!r} is a file")


def _check_text(name: str, value: Any) -> None:
    if isinstance(value, str):
        return
    quotes = ""
    if isinstance(value, int | float):  # a command line reads 2024 as a number
        quotes = (
            f": write {name} = '{value}' in a notebook, -p '{name}=\"{value}\"' on the course's "
            f"command line, -r {name} {value} for papermill"
        )
    raise ValueError(f"{name} must be text, not {value!r}{quotes}")


def _check_accuracy(value: Any) -> None:
    """Raise ValueError unless a value is None, a number, or a dict of numbers by network."""
    values = value.values() if isinstance(value, dict) else [value]
    if value is not None and not all(isinstance(number, Real) for number in values):
        raise ValueError(f"val_accuracy must be a number, or a dict of numbers, not {value!r}")


CHECKS = {
    "lr": _check_lr,
    "source": _check_source,
    "folder": _check_folder,
    "model_folder": _check_model_folder,
}
