"""Whether there is a network: tried once, remembered for a while.

Source: requests, https://requests.readthedocs.io
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import requests

from tutorial_utils._support import files
from tutorial_utils._support.cache import cache_path

T = TypeVar("T")

HOST = "download.pytorch.org"
CONNECT_S = 3.0
GIVE_UP_S = 4.0  # for all of it, because the lookup of a name has no limit of its own
REMEMBER_S = 15 * 60.0

# When this process last found no network, for a cache that is read-only.
_failures: list[float] = []


def online(force: bool = False) -> bool:
    """Return whether download.pytorch.org answers, within 4 seconds.

    With TUTORIAL_OFFLINE=1 nothing is tried. A failure is remembered for 15 minutes, in the cache,
    so that lessons that run one after another do not each wait for it.

    Args:
        force: try even if a failure is remembered.
    """
    if _switched_off() or (not force and _failed_lately()):
        return False
    reached = _reach()
    _failures[:] = [] if reached else [time.time()]
    with contextlib.suppress(OSError):  # a read-only cache does not matter here
        if reached:
            _stamp().unlink(missing_ok=True)
        else:
            _stamp().parent.mkdir(parents=True, exist_ok=True)
            files.write_bytes(_stamp(), f"no answer from {HOST}\n".encode())
    return reached


def offline_reason() -> str:
    """Return in a few words why `online` returned False."""
    if _switched_off():
        return f"TUTORIAL_OFFLINE={os.environ['TUTORIAL_OFFLINE']}"
    return f"no answer from {HOST}"


def within(limit_s: float, call: Callable[[], T]) -> T:
    """Return what a call returns, and raise what it raises; give up after so many seconds.

    The call runs in a thread, because the lookup of a name and a server that sends its headers byte
    by byte are not stopped by any time limit of requests.

    Raises:
        TimeoutError: if the call takes longer; it goes on in its thread, and is ignored.
    """
    values: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            values.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit_s)
    if errors:
        raise errors[0]
    if not values:
        raise TimeoutError(f"no answer within {limit_s:.0f} s")
    return values[0]


def _switched_off() -> bool:
    return os.environ.get("TUTORIAL_OFFLINE", "").strip().lower() in ("1", "true", "yes", "on")


def _failed_lately() -> bool:
    moments = list(_failures)
    with contextlib.suppress(OSError):
        moments.append(_stamp().stat().st_mtime)
    return any(0 <= time.time() - moment < REMEMBER_S for moment in moments)


def _stamp() -> Path:
    return cache_path() / "offline"


def _reach() -> bool:
    """Try once. Any answer counts: its certificate shows that it came from the host."""
    try:
        within(GIVE_UP_S, lambda: requests.head(f"https://{HOST}/", timeout=CONNECT_S))
    except Exception:  # a broken proxy setting raises nearly anything and means no network
        return False
    return True
