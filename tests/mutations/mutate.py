"""Try the mutations of mutations.toml one by one, and print which of them the tests notice.

A mutation is a small realistic mistake: one text of one file, replaced by another. For each one
the repository is copied to a temporary folder, the mutation is applied, and the test files listed
with it run. It is noticed if a test fails. Tools such as mutmut and cosmic-ray change every
operator of a module: thousands of mutations, hours, and none of them swaps a legend.

Usage: python tests/mutations/mutate.py [WORD ...] [--jobs N]; words choose the mutations whose file
or description contains one of them.
"""

import argparse
import contextlib
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
COPIED = ("tutorial_utils", "tests", "notebooks")  # folders; their large files are linked
LEAST_SHARE = 0.95
SLOW = ("captum.attr", "hypothesis", "ipywidgets", "matplotlib.pyplot", "pandas", "papermill",
        "pytest", "scipy.optimize", "scipy.stats", "sklearn.linear_model", "sklearn.metrics",
        "torch", "torchinfo", "torchvision")  # fmt: skip
# Exit codes of pytest: a mutation lives, or is noticed. Any other is an error of the list.
LIVES, NOTICED, FAILS_ANYWAY = 0, 1, -1


class Mutation(NamedTuple):
    """One mistake, and the test files, relative to `tests`, that should notice it."""

    what: str
    file: str
    old: str
    new: str
    tests: list[str]


def read() -> list[Mutation]:
    """Return the mutations that are listed."""
    text = (HERE / "mutations.toml").read_text(encoding="utf-8")
    return [Mutation(**one) for one in tomllib.loads(text)["mutation"]]


def mutated(mutation: Mutation, root: Path = ROOT) -> str:
    """Return the file's text with the mutation.

    Raises:
        ValueError: if the original text is not there exactly once.
    """
    text = (root / mutation.file).read_text(encoding="utf-8")
    if text.count(mutation.old) != 1:
        raise ValueError(
            f"{mutation.file} has {text.count(mutation.old)} times {mutation.old!r} "
            f"({mutation.what}): give a text of mutations.toml that is there exactly once"
        )
    return text.replace(mutation.old, mutation.new)


@contextlib.contextmanager
def copy() -> Iterator[Path]:
    """Make a copy of the repository for the block."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        for path in ROOT.iterdir():
            if path.name in COPIED:
                shutil.copytree(path, Path(folder, path.name), copy_function=_copy_or_link)
            elif not path.name.startswith("."):
                Path(folder, path.name).symlink_to(path)
        yield Path(folder)


def _copy_or_link(source: str, target: str) -> None:
    """Copy code and keep its timestamps, so that compiled modules are reused; link other files."""
    (shutil.copy2 if source.endswith(".py") else os.symlink)(source, target)


def run(mutation: Mutation | None, tests: list[str]) -> tuple[int, float, str]:
    """Run test files on a mutated copy; return pytest's exit code, seconds and last lines."""
    start = time.monotonic()
    with copy() as folder:
        if mutation:
            text = mutated(mutation, folder)
            (folder / mutation.file).unlink()  # it may be a link
            (folder / mutation.file).write_text(text, encoding="utf-8")
        output = folder / "output.txt"
        with output.open("w") as file:
            for stream in (1, 2):
                os.dup2(file.fileno(), stream)
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        os.environ["PYTHONPATH"] = str(folder)  # of the processes that tests start
        code = _pytest([str(folder / "tests" / name) for name in tests])
        sys.stdout.flush()
        end = output.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]
        os.chdir(ROOT)
    return code, time.monotonic() - start, "\n".join(end)


def _pytest(paths: list[str]) -> int:
    import pytest
    import torch

    torch.set_num_threads(1)
    flags = [
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:warnings",
        "--timeout=120",
        "-m",
        "not lessons",
    ]
    return int(pytest.main([*flags, *paths]))


def main() -> int:
    """Run the mutations, print a table and one line, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*")
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1))
    given = parser.parse_args()
    mutations = [
        one
        for one in read()
        if not given.words or any(word in one.file + one.what for word in given.words)
    ]
    for mutation in mutations:
        mutated(mutation)  # an error of the list before any work
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(SLOW))

    def apart(mutation: Mutation | None, tests: list[str]) -> tuple[int, float, str]:
        """Call `run` in a process of its own."""
        with ProcessPoolExecutor(1, context) as pool:
            return pool.submit(run, mutation, tests).result()

    with ThreadPoolExecutor(given.jobs) as pool:
        files = sorted({name for mutation in mutations for name in mutation.tests})
        plain = [pool.submit(apart, None, [name]) for name in files]
        found = [pool.submit(apart, mutation, mutation.tests) for mutation in mutations]
        failures = [name for name, one in zip(files, plain, strict=True) if one.result()[0]]
        for name in failures:
            print(f"{name} fails without a mutation:\n{plain[files.index(name)].result()[2]}")
        results = [one.result() for one in found]
    for number, mutation in enumerate(mutations):
        if set(mutation.tests) & set(failures):
            results[number] = (FAILS_ANYWAY, 0.0, "its tests fail without it, see above")
    return _report(mutations, results)


def _report(mutations: list[Mutation], results: list[tuple[int, float, str]]) -> int:
    words = {NOTICED: "noticed", LIVES: "LIVES"}
    for mutation, (code, seconds, end) in zip(mutations, results, strict=True):
        name = mutation.file.removeprefix("tutorial_utils/")
        print(f"{words.get(code, 'ERROR'):8} {seconds:5.1f} s  {name}: {mutation.what}")
        if code not in words:
            print(end)
    tried, noticed = len(results), sum(code == NOTICED for code, _, _ in results)
    share = noticed / max(tried, 1)
    print(f"mutations: {tried} tried, {noticed} noticed ({share:.0%})")
    return int(share < LEAST_SHARE)


if __name__ == "__main__":
    sys.exit(main())
