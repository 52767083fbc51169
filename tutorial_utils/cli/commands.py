"""The commands of `python -m tutorial_utils`: each takes the options and returns the exit code.

The functions import what they need, so that each command starts quickly.
"""

import argparse
import contextlib
import os
import platform
import sys

from tutorial_utils import __version__
from tutorial_utils.batch.limits import Limits


def doctor(options: argparse.Namespace) -> int:
    """Print versions, device, network, and which images and weights the lessons would use."""
    import torch
    import torchvision

    from tutorial_utils import data, lesson, models
    from tutorial_utils._support import connection
    from tutorial_utils._support.precision import native_bf16

    print(f"tutorial_utils {__version__}, Python {platform.python_version()}")
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}")
    device = lesson.find_device().type
    bf16 = "native" if native_bf16(device) else "emulated, so not used"
    print(f"device: {device}, {os.cpu_count()} processors; bfloat16: {bf16}")
    reached = "reached" if connection.online() else f"none, {connection.offline_reason()}"
    print(f"network: {reached}")
    data.load("auto")
    for arch in models.ARCHS:
        models.find_weights(arch, "auto")
    return 0


def fetch(options: argparse.Namespace) -> int:
    """Download images and weights into the caches, as far as possible."""
    from tutorial_utils import data, models

    images = data.load("auto")
    kinds = [models.find_weights(arch, "auto").kind for arch in models.ARCHS]
    if images.origin == "synthetic" or "demo" in kinds:
        print("not everything could be downloaded; the lessons run with what is named above")
    return 0


def draw(options: argparse.Namespace) -> int:
    """Draw a set of synthetic images into a new folder."""
    from tqdm.auto import tqdm

    from tutorial_utils import synthetic
    from tutorial_utils._support import files
    from tutorial_utils.synthetic.dataset import is_unfinished

    folder = files.as_path(options.folder)  # absolute: the lessons run in another folder
    if folder.exists() and not all(map(is_unfinished, folder.iterdir())):
        raise ValueError(f"{folder} is not empty; choose a new folder, nothing was written")
    with tqdm(unit="image") as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        synthetic.write(folder, seed=options.seed, progress=progress)
    print(f"drawn: {folder}; use it with ANTS_BEES_DIR={folder}")
    return 0


def cache(options: argparse.Namespace) -> int:
    """List what the cache holds, after deleting some or all of it; 1 if some could not be."""
    from tutorial_utils._support import cache, feature_files

    if options.all and not options.clear:
        raise ValueError("--all goes with --clear: nothing was deleted")
    left: dict[str, str] = {}
    if options.clear:
        before = cache.entries()
        freed_bytes, left = cache.clear("" if options.all else feature_files.PREFIX)
        there = {name for name, _ in cache.entries()}
        for name, size_bytes in before:
            if name not in there:
                print(f"{size_bytes / 1e6:10.1f} MB  {name}  deleted")
        for name, reason in left.items():
            print(f"{name} was not deleted: {reason}")
        print(f"freed {freed_bytes / 1e6:.1f} MB")
    found = cache.entries()
    for name, size_bytes in found:
        print(f"{size_bytes / 1e6:10.1f} MB  {name}")
    print(f"{sum(size for _, size in found) / 1e6:10.1f} MB  in all, in {cache.cache_path()}")
    return 1 if left else 0


def kit(options: argparse.Namespace) -> int:
    """Make a kit."""
    from tutorial_utils.batch.lessons import NOTEBOOKS
    from tutorial_utils.cli.kit import make

    make(options.out, options.folder or NOTEBOOKS, solutions=not options.no_solutions)
    print(f"use it by: python -m tutorial_utils --kit {options.out.name} lessons")
    return 0


def use_kit(options: argparse.Namespace) -> None:
    """Put a kit into the caches, and stay offline from then on."""
    from tutorial_utils.cli.kit_use import use

    folder = use(options.kit) / "notebooks"
    os.environ["TUTORIAL_OFFLINE"] = "1"  # for the lessons' kernels too
    if options.run is lessons and options.folder is None:
        options.folder = folder
    if options.run is None:
        print(f"the lessons are in {folder}; copy that folder to work in it")


def lessons(options: argparse.Namespace) -> int:
    """Run the lessons, in place or into a folder."""
    from tutorial_utils.batch import lessons
    from tutorial_utils.cli.values import read_quoted, split_pair

    limits = Limits(notebook_s=options.notebook_s, cell_s=options.cell_s)
    folder = options.folder or lessons.NOTEBOOKS
    if options.in_place and options.parameters:
        raise ValueError("--in-place takes no -p: outputs in place are those of the defaults")
    if options.in_place and options.jobs:
        raise ValueError("--in-place takes no --jobs: it runs one lesson at a time")
    if options.in_place:
        errors = lessons.run_in_place(folder, only=options.only, limits=limits)
        for name, error in errors.items():
            print(f"failed: {name}, its notebook stays as it was: {error}", file=sys.stderr)
        return 1 if errors else 0
    pairs = map(split_pair, options.parameters)
    given = {name: read_quoted(value) for name, value in pairs}
    table = lessons.run_lessons(
        options.out,
        folder=folder,
        only=options.only,
        parameters=given,
        limits=limits,
        jobs=options.jobs,
    )
    print("\n".join(["", *(lessons.describe(row) for row in table.to_dict("records"))]))
    print(f"\npages: {options.out}/lessons, table: {options.out}/results.csv")
    failed = table[table.status == "error"]
    for row in failed.to_dict("records"):
        print(f"failed: {row['lesson']}: {row['error']}", file=sys.stderr)
    return 1 if len(failed) else 0


def sweep(options: argparse.Namespace) -> int:
    """Run one notebook with every combination of values."""
    from tutorial_utils.batch import sweeps
    from tutorial_utils.cli.values import read_values, split_pair

    grid = {}
    for name, values in map(split_pair, options.parameters):
        if name in grid:
            raise ValueError(f"-p {name} is given twice; write its values with commas between")
        grid[name] = read_values(values)
    with _cluster(options.cluster) if options.cluster else contextlib.nullcontext() as client:
        executor = client.get_executor(retries=2) if client else None
        table = sweeps.sweep(
            options.notebook,
            grid,
            options.out,
            executor=executor,
            jobs=options.jobs,
            limits=Limits(notebook_s=options.notebook_s, cell_s=options.cell_s),
        )
    failed = table[table.status == "error"]
    print(f"{len(table) - len(failed)} ok, {len(failed)} failed; table: {options.out}/results.csv")
    for row in failed.to_dict("records"):
        print(f"failed: {options.out}/{row['notebook']}: {row['error']}", file=sys.stderr)
    return 1 if len(failed) else 0


def _cluster(address: str) -> contextlib.AbstractContextManager:
    """Return a client of the dask scheduler at an address."""
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        text = "--cluster needs dask: python -m pip install 'distributed>=2024.1'"
        raise ValueError(text) from error
    return Client(address, timeout=30)
