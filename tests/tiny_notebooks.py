"""Tiny notebooks for the tests of `batch`, and what stands in for a kernel that runs them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pandas
from nbformat.v4 import new_code_cell, new_notebook

from tutorial_utils import lesson
from tutorial_utils.batch import sweeps
from tutorial_utils.batch.limits import Limits

PARAMETERS = "number: int = 1\nname: str = 'a'\nwait_s: float = 0.0\nfolder: str = ''"
MARK = "import os, time\nopen(os.path.join(folder, str(number)), 'a').write('x') if folder else 0"
WAIT = "time.sleep(wait_s)\nscore = 1 / number"
REPORT = f"""
import psutil
from IPython.display import display
display({{"{lesson.MIME}": {{
    "lesson": "tiny", "images": "synthetic images", "weights": "demo", "val_accuracy": score,
    "seconds": time.time() - psutil.Process().create_time(), "peak_bytes": 2**30,
    "versions": {{"python": "3"}}, "correct": number, "curves": {{}},
    "threads": os.environ.get("OMP_NUM_THREADS")}}, "text/plain": ""}}, raw=True)
"""


def write(path: Path, *cells: str, tags: tuple = ("parameters",)) -> Path:
    """Write a notebook of code cells; the first one has the tags."""
    book = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    book.cells[0].metadata["tags"] = list(tags)
    book.metadata = {"kernelspec": {"name": "python3", "display_name": "p", "language": "python"}}
    nbformat.write(book, path)
    return path


def write_reported(book, target, report: dict) -> None:
    """Write a notebook as if its last cell had reported this."""
    book.cells[-1].outputs = [nbformat.v4.new_output("display_data", {lesson.MIME: report})]
    nbformat.write(book, target)


def pretend_to_run(book, target, parameters: dict, limits: Limits) -> str | None:
    """Do what `runner.run_papermill` does, without a kernel; `number=0` fails."""
    if isinstance(book, Path):
        book = nbformat.read(book, as_version=4)
    number = parameters.get("number", 1)
    if number == 0:
        nbformat.write(book, target)
        return "cell 3: ZeroDivisionError: division by zero"
    report = {"val_accuracy": 1 / number, "seconds": 0.0, "weights": "demo", "correct": number}
    write_reported(book, target, report)
    return None


def sweep(notebook: Path, grid: dict, out: Path, **more) -> pandas.DataFrame:
    """Sweep in one thread of this process, quietly."""
    with ThreadPoolExecutor(1) as executor:
        return sweeps.sweep(notebook, grid, out, **({"quiet": True} | more), executor=executor)


def run_files(out: Path) -> dict[str, int]:
    """Return when each run's notebook was written, in ns, by name."""
    return {path.name: path.stat().st_mtime_ns for path in (out / "runs").glob("*.ipynb")}


def rewritten(before: dict[str, int], out: Path) -> list[str]:
    """Return the runs' notebooks that were written again or are new, as the tables name them."""
    after = run_files(out)
    return [f"runs/{name}" for name in after if after[name] != before.get(name)]
