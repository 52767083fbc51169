"""Print pip's flags for torch: the CPU wheels where no NVIDIA GPU can use the others.

    python -m pip install $(python binder/torch_index.py) -r requirements.txt

PyPI's wheels of torch for Linux bring CUDA, about 5 GB. Without an NVIDIA driver this prints
`--extra-index-url` with torch's index of CPU wheels, if that answers within 3 seconds and has the
version of requirements.txt. Otherwise it prints nothing, and pip takes PyPI's. The choice and its
reason go to standard error in one line. TORCH_INDEX names another index.

Source: https://pytorch.org/get-started/locally
"""

import os
import platform
import re
import sys
import threading
import urllib.request
from pathlib import Path

INDEX = "https://download.pytorch.org/whl/cpu"
DRIVER = Path("/proc/driver/nvidia/version")
LIMIT_S = 3.0  # for the whole answer
REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements.txt"


def choose(
    index: str, *, system: str = platform.system(), driver: Path = DRIVER
) -> tuple[str, str]:
    """Return the flags for pip, "" for PyPI alone, and the reason.

    Args:
        index: the address of an index of CPU wheels.
        system: the operating system, as `platform.system` names it.
        driver: a file that exists where an NVIDIA driver is loaded.
    """
    if system != "Linux":
        return "", f"PyPI's wheels for {system} are small"
    if driver.exists():
        return "", "this machine has an NVIDIA driver, and PyPI's wheels use it"
    version = re.search(r"^torch==(\S+)", REQUIREMENTS.read_text(encoding="utf-8"), re.M)[1]
    page = _read(f"{index}/torch/")
    if page is None:
        return "", f"no NVIDIA driver, but {index} did not answer within {LIMIT_S:.0f} s"
    if not re.search(rf"torch-{re.escape(version)}(\+|%2B)cpu-", page):
        return "", f"no NVIDIA driver, but {index} has no torch {version}"
    return f"--extra-index-url {index}", "no NVIDIA driver"


def _read(url: str) -> str | None:
    """Return a page, or None if it does not arrive whole within the limit."""
    found = []

    def read() -> None:
        try:
            with urllib.request.urlopen(url, timeout=LIMIT_S) as answer:
                found.append(answer.read().decode(errors="replace"))
        except (OSError, ValueError):
            pass

    thread = threading.Thread(target=read, daemon=True)  # looking up a name has no time limit
    thread.start()
    thread.join(LIMIT_S)
    return found[0] if found else None


if __name__ == "__main__":
    flags, reason = choose(os.environ.get("TORCH_INDEX", INDEX).rstrip("/"))
    print(f"torch: {'CPU wheels' if flags else 'wheels from PyPI'} ({reason})", file=sys.stderr)
    print(flags)
