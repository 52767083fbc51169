"""Processes to work in, each replaced when the system kills it.

A `ProcessPoolExecutor` that loses one process gives up all that it was asked for, and does not
say whose fault it was. Here every process is a pool of its own: when it dies, its one call is
tried once more, and the calls of the others are not touched.

Source: concurrent.futures, https://docs.python.org/3/library/concurrent.futures.html
"""

import contextlib
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import (
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import psutil


class Processes(Executor):
    """Runs calls in `jobs` processes, as any `concurrent.futures` executor does.

    The processors are divided: OMP_NUM_THREADS is set for the processes and what they start,
    unless it is set already. A call whose process died twice raises `BrokenProcessPool`.

    Args:
        jobs: how many processes. Each starts with its first call.
    """

    def __init__(self, jobs: int) -> None:
        self._threads = ThreadPoolExecutor(jobs)  # one waits for each process
        self._share = max(1, (os.cpu_count() or 1) // jobs)
        self._pools: dict[int, ProcessPoolExecutor] = {}  # by the thread that waits
        self._pids: dict[int, int] = {}
        self._stopping = False

    def submit(self, function: Callable, /, *args: Any, **more: Any) -> Future:
        """Return the future of one call."""
        return self._threads.submit(self._call, function, args, more)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for the calls that were submitted, and end the processes."""
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        for pool in list(self._pools.values()):
            pool.shutdown(wait=wait)

    def kill(self) -> None:
        """End all processes now, with the kernels that they started; their calls fail."""
        self._stopping = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for pid in list(self._pids.values()):
            _end(pid)

    def _call(self, function: Callable, args: tuple, more: dict) -> Any:
        for last in (False, True):
            try:
                pool = self._pool()
                if self._stopping:
                    raise CancelledError
                return pool.submit(function, *args, **more).result()
            except BrokenProcessPool:
                self._pools.pop(threading.get_ident(), None)
                if last or self._stopping:
                    raise
                text = "a worker process was killed (no memory left?); its run is tried once more"
                print(text, file=sys.stderr)

    def _pool(self) -> ProcessPoolExecutor:
        place = threading.get_ident()
        if place not in self._pools:
            pool = ProcessPoolExecutor(
                max_workers=1,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_settle,
                initargs=(self._share,),
            )
            self._pids[place] = pool.submit(os.getpid).result()
            self._pools[place] = pool
        return self._pools[place]


def _settle(threads: int) -> None:
    """Make a new process ready: its share of the processors, and out of reach of Ctrl-C."""
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C goes to the one who asked, who then says who has to stop
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def _end(pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
