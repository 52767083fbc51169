"""Whether there is a network: tried once, remembered for a while.

Source: requests, https://requests.readthedocs.io
"""

import contextlib
import os
import threading
import time
from pathlib import Path

import requests

from tutorial_utils._support.cache import cache_path

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
            _stamp().write_text(f"no answer from {HOST}\n", encoding="utf-8")
    return reached


def offline_reason() -> str:
    """Return in a few words why `online` returned False."""
    if _switched_off():
        return f"TUTORIAL_OFFLINE={os.environ['TUTORIAL_OFFLINE']}"
    return f"no answer from {HOST}"


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
    answers = []

    def request() -> None:
        # A broken proxy setting raises nearly anything and means that there is no network.
        with contextlib.suppress(Exception):
            answers.append(requests.head(f"https://{HOST}/", timeout=CONNECT_S))

    thread = threading.Thread(target=request, daemon=True)
    thread.start()
    thread.join(GIVE_UP_S)
    return bool(answers)
