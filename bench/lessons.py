"""Measure the lessons as Binder runs them: seconds, and memory of JupyterLab and kernel together.

    python bench/lessons.py --photographs FOLDER --torch-home FOLDER --out bench/lessons.json

JupyterLab's server and one kernel after another run in a memory control group of 2 GiB, which Linux
enforces as Binder does. A lesson runs in two worlds: offline (synthetic images, demo weights) and
online (photographs and ImageNet weights that were downloaded before, so the download is not
counted). Every run starts with an empty cache. Memory is the highest sum, over the processes of the
group, of anonymous and shared pages, plus the largest set of mapped files (the libraries, which the
processes share). Needs the right to make a control group (root). With --write, the lines about time
and memory at the head of the lessons are replaced; with --store, the outputs of the offline run are
stored in the lessons.

Source: https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

import argparse
import contextlib
import datetime
import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tutorial_utils.batch import lessons

GIB = 2**30
LIMIT = 2 * GIB  # Binder's
ENTER = 'echo $$ > "$0" && exec "$@"'  # of a shell: join the control group, become the command
COMPUTING = re.compile(
    r"(Computing on two CPU cores: ).*? offline, .*? online(.*?\. )Memory: .*? online\."
)


class ControlGroup:
    """A memory control group with a limit, version 1 or 2."""

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


def main() -> None:
    """Measure, print the rows, write them."""
    options = parse()
    group, rows = ControlGroup(), []
    worlds = {"offline": {"TUTORIAL_OFFLINE": "1", "ANTS_BEES_DIR": ""}}
    if options.photographs and options.torch_home:
        online = {"ANTS_BEES_DIR": options.photographs, "TORCH_HOME": options.torch_home}
        worlds["online"] = {"TUTORIAL_OFFLINE": "1"} | online
    with kernel_in(group), server_in(group):
        for path in lessons.find_lessons(only=options.only):
            for world, settings in worlds.items():
                book = nbformat.read(path, as_version=4)
                row = measure(book, path.parent, settings, group)
                rows.append({"lesson": path.stem, "world": world} | row)
                print(rows[-1], flush=True)
                if options.store and world == "offline" and row["status"] == "ok":
                    nbformat.write(lessons.clean(book), path)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {datetime.date.today()}"
    if options.out.exists():  # other lessons stay
        new = {row["lesson"] for row in rows}
        old = json.loads(options.out.read_text())["rows"]
        rows = [row for row in old if row["lesson"] not in new] + rows
        rows.sort(key=lambda row: (row["lesson"], row["world"]))
    options.out.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    if options.write:
        write_heads(rows)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="starts of lessons' names, with commas")
    parser.add_argument("--photographs", default="", help="folder with train and val")
    parser.add_argument("--torch-home", default="", help="TORCH_HOME with ImageNet's weights")
    parser.add_argument("--out", type=Path, default=Path("bench/lessons.json"))
    parser.add_argument("--write", action="store_true", help="write the lessons' head lines")
    parser.add_argument("--store", action="store_true", help="store the offline run's outputs")
    return parser.parse_args()


@contextlib.contextmanager
def server_in(group: ControlGroup) -> Iterator[None]:
    """Run JupyterLab's server in the group and load its page once."""
    port = 8899
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
    """Install a kernel "bench", which starts in the group, for the time of the block."""
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder, "kernels", "bench", "kernel.json")
        spec.parent.mkdir(parents=True)
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        content = {"argv": group.command(*command), "display_name": "bench", "language": "python"}
        spec.write_text(json.dumps(content))
        os.environ["JUPYTER_PATH"] = folder
        yield


def measure(
    book: nbformat.NotebookNode, folder: Path, settings: dict[str, str], group: ControlGroup
) -> dict:
    """Run one lesson in its folder and return its status, seconds and peak memory."""
    cache = tempfile.mkdtemp()
    environment = os.environ | {"TORCH_HOME": cache, "ANTS_BEES_CACHE": cache} | settings
    client = NotebookClient(
        book,
        timeout=1200,
        kernel_name="bench",
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )
    peak, done, kills = [group.used_bytes()], threading.Event(), group.kills()

    def watch() -> None:
        while not done.wait(0.05):
            peak[0] = max(peak[0], group.used_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start, status = time.perf_counter(), "ok"
    try:
        client.execute(env=environment)
    except Exception as error:  # a cell's error, or a kernel that was killed
        status = f"{type(error).__name__}: {str(error)[-300:]}"
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    shutil.rmtree(cache, ignore_errors=True)
    numbers = {"seconds": round(seconds, 1), "peak_gib": round(peak[0] / GIB, 2)}
    return {"status": status, "killed": group.kills() - kills} | numbers


def write_heads(rows: list[dict]) -> None:
    """Write time and memory into the heads of those lessons that have such a line."""
    for path in lessons.find_lessons():
        found = {row["world"]: row for row in rows if row["lesson"] == path.stem}
        book = nbformat.read(path, as_version=4)
        if set(found) == {"offline", "online"} and COMPUTING.search(book.cells[0].source):
            book.cells[0].source = COMPUTING.sub(head(found), book.cells[0].source)
            nbformat.write(book, path)


def head(found: dict[str, dict]) -> str:
    """Return the replacement of `COMPUTING` for {world: row}."""
    times = ", ".join(f"{minutes(row['seconds'])} {world}" for world, row in found.items())
    memory = ", ".join(
        f"{math.ceil(10 * row['peak_gib']) / 10:.1f} GiB {world}" for world, row in found.items()
    )
    return rf"\g<1>{times}\g<2>Memory: {memory}."


def minutes(seconds: float) -> str:
    """Return a duration in words, rounded up."""
    if seconds <= 30:
        return "half a minute"
    whole = math.ceil(seconds / 60)
    return f"{whole} minute" + "s" * (whole > 1)


if __name__ == "__main__":
    main()
