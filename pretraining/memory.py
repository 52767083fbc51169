"""The memory of a training process on a CPU: reuse what was freed."""

import ctypes
import os


def keep_memory() -> None:
    """Make this process reuse freed memory for its next tensors, and use large pages.

    glibc returns large blocks to the system at once, and the system clears and maps every page
    again for the next tensor. And a matrix with long rows touches more small pages than a
    processor can hold addresses for. Call this before the first large tensor, in a process that
    does nothing else. Without glibc only large pages are used, and outside Linux nothing changes.

    Source: mallopt(3): https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch reads it when it first allocates
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(-4, 0)  # M_MMAP_MAX: allocate no block by itself
    mallopt(-1, -1)  # M_TRIM_THRESHOLD: return nothing to the system
    mallopt(-2, 2**28)  # M_TOP_PAD: allocate much at a time
    mallopt(-8, 1)  # M_ARENA_MAX: the backward pass's thread shares it
