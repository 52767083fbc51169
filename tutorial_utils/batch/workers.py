"""Worker processes, each replaced when the system kills it.

A `ProcessPoolExecutor` that loses one process fails all its calls, and does not report which call
was the cause. Here every process is a pool of its own: when it dies, its one call is tried once
more, and the other calls are not touched.

Sources:
    concurrent.futures, https://docs.python.org/3/library/concurrent.futures.html
    PR_SET_PDEATHSIG, https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
"""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import psutil

PR_SET_PDEATHSIG = 1  # Linux kills the process when the thread that started it ends


class Processes(futures.Executor):
    """An executor, as in `concurrent.futures`, with processes that are replaced when they die.

    Each process gets its share of the processors: OMP_NUM_THREADS is set for it and for what it
    starts, unless it is set already. A call whose process died twice raises `BrokenProcessPool`.

    Args:
        jobs: number of processes. Each starts with its first call.
    """

    def __init__(self, jobs: int) -> None:
        self._threads = futures.ThreadPoolExecutor(jobs)  # one thread waits for each process
        self._omp_threads = max(1, (os.cpu_count() or 1) // jobs)
        self._pools: dict[int, futures.ProcessPoolExecutor] = {}  # by their thread's identifier
        self._pids: dict[int, int] = {}
        self._stopping = False

    def submit(self, function: Callable, /, *args: Any, **more: Any) -> futures.Future:
        """Return the future of one call."""
        return self._threads.submit(self._call, function, args, more)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for the calls that were submitted, then end the processes."""
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        for pool in list(self._pools.values()):
            pool.shutdown(wait=wait)

    def __exit__(self, error: type | None, *more: Any) -> bool | None:
        """Kill the processes if the block raised an error, otherwise wait for their calls."""
        if error is not None:
            self.kill()
        return super().__exit__(error, *more)

    def kill(self) -> None:
        """Kill all processes with the kernels that they started; their calls fail."""
        self._stopping = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for pid in list(self._pids.values()):
            kill_tree(pid)

    def _call(self, function: Callable, args: tuple, more: dict) -> Any:
        for last_try in (False, True):
            try:
                pool = self._pool()
                if self._stopping:
                    raise futures.CancelledError
                return pool.submit(function, *args, **more).result()
            except BrokenProcessPool:
                self._pools.pop(threading.get_ident(), None)
                self._pids.pop(threading.get_ident(), None)
                if last_try or self._stopping:
                    raise
                text = "a worker process was killed (no memory left?); its run is tried once more"
                print(text, file=sys.stderr)

    def _pool(self) -> futures.ProcessPoolExecutor:
        thread = threading.get_ident()
        if thread not in self._pools:
            pool = futures.ProcessPoolExecutor(
                max_workers=1,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_prepare_process,
                initargs=(self._omp_threads,),
            )
            self._pids[thread] = pool.submit(os.getpid).result()
            self._pools[thread] = pool
        return self._pools[thread]


def _prepare_process(omp_threads: int) -> None:
    """Set a new process's threads, keep Ctrl-C from it, and end it when its parent ends."""
    os.environ.setdefault("OMP_NUM_THREADS", str(omp_threads))
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C reaches the parent only, which then kills its processes
    if sys.platform == "linux":  # the thread below waits where a long call holds Python's lock
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def kill_tree(pid: int) -> None:
    """Kill a process and its children, if they still run."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
