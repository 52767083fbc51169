"""Run lessons side by side, as many as the processors and the free memory allow.

What a lesson needs is in the line at its head, which `make bench-lessons` measures and writes.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any, NamedTuple

from tutorial_utils._support import memory
from tutorial_utils.batch import storage, workers

UNKNOWN_GIB = 2.0  # of a notebook without such a line; Binder gives no more
MEMORY = re.compile(r"Memory: ([\d.]+) GiB offline, ([\d.]+) GiB online")
TIME = re.compile(r"Computing on two CPU cores: (\d+) minutes? offline")


class Needs(NamedTuple):
    """What a lesson needs: peak memory in GiB, and whole minutes on two cores, 0 if unknown."""

    gib: float
    minutes: int


def needs(notebook: Path) -> Needs:
    """Return what a notebook declares in its first cell."""
    try:
        text = storage.read_source(str(notebook)).cells[0].source
    except Exception:  # running it reports the damage
        text = ""
    gib, minutes = MEMORY.search(text), TIME.search(text)
    most = max(map(float, gib.groups())) if gib else UNKNOWN_GIB
    return Needs(most, int(minutes[1]) if minutes else 0)


def run_all(
    function: Callable, calls: dict[Path, tuple], jobs: int | None = None
) -> Iterator[tuple[Path, Any]]:
    """Call a function for each notebook, and yield the results as they end.

    One call at a time is made in this process, more in worker processes.

    The longest lesson starts first. A lesson waits until its memory is free, unless it would run
    alone.

    Args:
        function: importable by the worker processes.
        calls: the arguments for each notebook.
        jobs: calls at a time; None for what fits this machine.

    Yields:
        Notebook, and what the call returned, or the exception that it raised.
    """
    need = {notebook: needs(notebook) for notebook in calls}
    waiting = sorted(calls, key=lambda notebook: -need[notebook].minutes)
    free_gib = memory.available_bytes() / memory.GIB
    jobs = jobs or fitting(list(need.values()), free_gib)
    running: dict[futures.Future, Path] = {}
    ended: list[tuple[Path, Any]] = []
    with workers.Processes(jobs) if jobs > 1 else _Here() as pool:
        while waiting or running or ended:
            if jobs == 1:  # the next call blocks, and Ctrl-C in it must not lose this result
                yield from ended
                ended = []
            used_gib = sum(need[notebook].gib for notebook in running.values())
            for notebook in list(waiting):
                fits = not running or used_gib + need[notebook].gib <= free_gib
                if fits and len(running) < jobs:
                    running[pool.submit(function, *calls[notebook])] = notebook
                    used_gib += need[notebook].gib
                    waiting.remove(notebook)
            yield from ended  # while the next ones run
            done = futures.wait(running, return_when=futures.FIRST_COMPLETED).done
            ended = [(running.pop(one), one.exception() or one.result()) for one in done]


class _Here(futures.Executor):
    """Makes each call at once, in this process."""

    def submit(self, function: Callable, /, *args: Any, **more: Any) -> futures.Future:
        """Return the future of one call, which is done."""
        future: futures.Future = futures.Future()
        try:
            future.set_result(function(*args, **more))
        except Exception as error:
            future.set_exception(error)
        return future


def fitting(need: Sequence[Needs], free_gib: float) -> int:
    """Return how many lessons may run at a time: one for two processors, but two on two."""
    processors = os.cpu_count() or 1
    most = max(processors // 2, min(processors, 2))
    at_once = int(free_gib / min((one.gib for one in need), default=UNKNOWN_GIB))
    return max(1, min(most, at_once, len(need)))
