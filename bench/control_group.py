"""Binder's memory: JupyterLab's server and the kernels in a control group of 2 GiB.

Linux enforces the limit as Binder does. Memory is the highest sum, over the processes of the group,
of anonymous and shared pages, plus the largest set of mapped files (the libraries, which the
processes share).

Source: https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

GIB = 2**30
LIMIT = 2 * GIB  # Binder's
KERNEL = "two-gib"  # the name of a kernel that starts in the group
ENTER = 'echo $$ > "$0" && exec "$@"'  # of a shell: join the control group, become the command


class ControlGroup:
    """A memory control group with Binder's limit, version 1 or 2.

    Raises:
        OSError: if the system has none, or this user may not make one.
    """

    def __init__(self, name: str = "ants-and-bees") -> None:
        first = Path("/sys/fs/cgroup/memory")
        self.version = 1 if first.is_dir() else 2
        self.folder = (first if self.version == 1 else first.parent) / name
        self.folder.mkdir(exist_ok=True)
        limit = "memory.limit_in_bytes" if self.version == 1 else "memory.max"
        (self.folder / limit).write_text(str(LIMIT))

    def command(self, *arguments: str) -> list[str]:
        """Return a command that runs the arguments in the group."""
        return ["sh", "-c", ENTER, str(self.folder / "cgroup.procs"), *arguments]

    def kills(self) -> int:
        """Return how many processes of the group were killed for memory so far."""
        file = "memory.oom_control" if self.version == 1 else "memory.events"
        found = re.search(r"oom_kill (\d+)", (self.folder / file).read_text())
        return int(found[1]) if found else 0

    def used_bytes(self) -> int:
        """Return the memory that the processes of the group use now."""
        own, files = 0, [0]
        for pid in (self.folder / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{pid}/status").read_text()
                sizes = dict(re.findall(r"^Rss(\w+):\s+(\d+) kB$", status, re.M))
                own += 1024 * (int(sizes.get("Anon", 0)) + int(sizes.get("Shmem", 0)))
                files.append(1024 * int(sizes.get("File", 0)))
        return own + max(files)


@contextlib.contextmanager
def server_in(group: ControlGroup) -> Iterator[None]:
    """Run JupyterLab's server in the group, on a free port, and load its page once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = ["--no-browser", "--allow-root", f"--port={port}", "--ServerApp.port_retries=0"]
    command = group.command(sys.executable, "-m", "jupyterlab", *flags, "--IdentityProvider.token=")
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(120):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/lab", timeout=10).read()
                break
            time.sleep(0.5)
        else:
            raise TimeoutError("JupyterLab did not start within a minute")
        yield
    finally:
        server.terminate()
        server.wait()


@contextlib.contextmanager
def kernel_in(group: ControlGroup) -> Iterator[None]:
    """Install a kernel `KERNEL`, which starts in the group, for the time of the block."""
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder, "kernels", KERNEL, "kernel.json")
        spec.parent.mkdir(parents=True)
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        content = {"argv": group.command(*command), "display_name": KERNEL, "language": "python"}
        spec.write_text(json.dumps(content))
        with patch.dict(os.environ, JUPYTER_PATH=folder):
            yield
