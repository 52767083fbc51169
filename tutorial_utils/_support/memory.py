"""How much memory this process can still use, with the limit of a container such as Binder's.

Source: the kernel's control groups, https://docs.kernel.org/admin-guide/cgroup-v2.html and
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

import re
from pathlib import Path

import psutil

GIB = 2**30
# Of the control group that the process is in: its folder, and its files of limit and use.
CGROUPS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
)


def available_bytes() -> int:
    """Return the free memory of the machine, or of the container if that has less."""
    free = psutil.virtual_memory().available
    for folder, limit, used in CGROUPS:
        try:
            left = int(Path(folder, limit).read_text()) - int(Path(folder, used).read_text())
            statistics = Path(folder, "memory.stat").read_text()
        except (OSError, ValueError):  # no such group, or its limit is "max"
            continue
        # Files that were read stay in memory, are counted as used, and make room when needed.
        cached = re.search(r"^(?:total_)?inactive_file (\d+)$", statistics, re.M)
        free = min(free, max(left + int(cached[1] if cached else 0), 0))
    return free
