"""Tests of `pretraining/memory.py`: a process reuses freed memory."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent.parent / "pretraining"
FAULTS = """
import resource
import memory
{keep}
import torch
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(25_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(min(faults() for _ in range(8)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_freed_memory_is_reused_for_the_next_tensor():
    def faults(keep: str) -> int:
        command = [sys.executable, "-c", FAULTS.format(keep=keep)]
        done = subprocess.run(command, capture_output=True, check=True, text=True, cwd=FOLDER)
        return int(done.stdout)

    # 100 MB in pages of 4 kB. The first tensors may still touch new pages, and on a busy machine
    # so may a later one.
    assert faults("") > 10_000
    assert faults("memory.keep_memory()") < 100
