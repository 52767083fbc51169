"""Measure the lessons as Binder runs them: seconds, and memory of JupyterLab and kernel together.

    python bench/lessons.py --photographs FOLDER --torch-home FOLDER --out bench/lessons.json

JupyterLab's server and one kernel after another run in a memory control group (control_group.py);
this needs root. A lesson runs in two worlds: offline (synthetic images, demo weights) and online
(photographs and ImageNet weights that were downloaded before, so the download is not counted).
Every run starts with an empty cache. With --write, the lines about time and memory at the head of
the lessons are replaced; with --store, the outputs of the offline run are stored in the lessons.
"""

import argparse
import datetime
import json
import math
import os
import platform
import re
import shutil
import tempfile
import threading
import time
from pathlib import Path

import nbformat
from control_group import GIB, KERNEL, ControlGroup, kernel_in, server_in
from nbclient import NotebookClient

from tutorial_utils.batch import lessons

MARKS = ("<!-- lessons -->", "<!-- end -->")  # in docs/performance.md
PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
COMPUTING = re.compile(
    r"(Computing on two CPU cores: ).*? offline, .*? online(.*?\. )Memory: .*? online\."
)


def main() -> None:
    """Measure, print the rows, write them."""
    options = parse()
    group, rows = ControlGroup(), []
    worlds = {"offline": {"TUTORIAL_OFFLINE": "1", "ANTS_BEES_DIR": ""}}
    if options.photographs and options.torch_home:
        online = {"ANTS_BEES_DIR": options.photographs, "TORCH_HOME": options.torch_home}
        online["ANTS_BEES_UNVERIFIED_WEIGHTS"] = "1"  # files made for tests have other checksums
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
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), rows), encoding="utf-8")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="starts of lessons' names, with commas")
    parser.add_argument("--photographs", default="", help="folder with train and val")
    parser.add_argument("--torch-home", default="", help="TORCH_HOME with ImageNet's weights")
    parser.add_argument("--out", type=Path, default=Path("bench/lessons.json"))
    parser.add_argument(
        "--write", action="store_true", help="write the lessons' head lines and a table"
    )
    parser.add_argument("--store", action="store_true", help="store the offline run's outputs")
    options = parser.parse_args()
    if options.write and not (options.photographs and options.torch_home):
        parser.error("--write needs both worlds: give --photographs and --torch-home")
    return options


def measure(
    book: nbformat.NotebookNode, folder: Path, settings: dict[str, str], group: ControlGroup
) -> dict:
    """Run one lesson in its folder and return its status, seconds and peak memory."""
    cache = tempfile.mkdtemp()
    environment = os.environ | {"TORCH_HOME": cache, "ANTS_BEES_CACHE": cache} | settings
    client = NotebookClient(
        book,
        timeout=1200,
        kernel_name=KERNEL,
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


def with_table(page: str, rows: list[dict]) -> str:
    """Return a page with the table of {lesson, world} rows between its two marks."""
    lines = [
        "| lesson | offline, s | online, s | offline, GiB | online, GiB |",
        "|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["lesson"] for row in rows):
        found = {row["world"]: row for row in rows if row["lesson"] == name}
        cells = [f"{found[w]['seconds']:.0f}" for w in ("offline", "online")]
        cells += [f"{found[w]['peak_gib']:.2f}" for w in ("offline", "online")]
        lines.append(f"| [{name[:2]}](../notebooks/{name}.ipynb) | {' | '.join(cells)} |")
    start, end = page.index(MARKS[0]) + len(MARKS[0]), page.index(MARKS[1])
    return "\n".join([page[:start], "", *lines, "", page[end:]])


def minutes(seconds: float) -> str:
    """Return a duration in words, rounded up."""
    if seconds <= 30:
        return "half a minute"
    whole = math.ceil(seconds / 60)
    return f"{whole} minute" + "s" * (whole > 1)


if __name__ == "__main__":
    main()
