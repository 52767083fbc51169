"""The command line: `python -m tutorial_utils COMMAND`; --help lists the commands."""

import argparse
import contextlib
import csv
import json
import os
import platform
import select
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tutorial_utils import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0, 1 for a failure, 2 for wrong usage."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.run is None and options.kit is None:
        parser.error("name a COMMAND")
    try:
        if options.kit is not None:
            _use_kit(options)
        code = options.run(options) if options.run else 0
        sys.stdout.flush()
        return code
    except (OSError, ValueError) as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            return 1
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; what was finished is kept", file=sys.stderr)
        return 130


def _nobody_reads() -> bool:
    """Tell whether the output's reader has gone, as `head` does; print into nothing from then."""
    try:
        place, poll = sys.stdout.fileno(), select.poll()
    except (AttributeError, OSError):  # on Windows; an output that is no file
        return False
    poll.register(place, 0)  # what is wrong is told in any case
    if gone := bool(poll.poll(0)):
        os.dup2(os.open(os.devnull, os.O_WRONLY), place)
    return gone


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tutorial_utils", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--kit", type=Path, metavar="ZIP", help="use what `kit` packed, offline")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(metavar="COMMAND")

    doctor = commands.add_parser("doctor", help="say what this machine has")
    doctor.set_defaults(run=_doctor)

    fetch = commands.add_parser("fetch", help="get images and weights into the caches now")
    fetch.set_defaults(run=_fetch)

    draw = commands.add_parser("draw", help="draw the set of ants and bees into a folder")
    draw.add_argument("folder", type=Path, help="gets train/{ants,bees} and val/{ants,bees}")
    draw.add_argument("--seed", type=int, default=0, help="another seed, other images")
    draw.set_defaults(run=_draw)

    cache = commands.add_parser("cache", help="list what the cache holds, or clear it")
    cache.add_argument("--clear", action="store_true", help="delete the kept features")
    cache.add_argument("--all", action="store_true", help="with --clear: the images too")
    cache.set_defaults(run=_cache)

    kit = commands.add_parser("kit", help="pack what a class without a network needs")
    kit.add_argument("out", type=Path, metavar="OUT.zip", help="use it by --kit OUT.zip COMMAND")
    kit.add_argument("--folder", type=Path, help="where the notebooks are")
    kit.set_defaults(run=_kit)

    lessons = commands.add_parser("lessons", help="run all lessons and collect their results")
    lessons.add_argument("--out", type=Path, default=Path("build"))
    lessons.add_argument("--folder", type=Path, help="where the notebooks are")
    lessons.add_argument("--in-place", action="store_true", help="write the notebooks' outputs")
    lessons.add_argument("--only", default="", help="those whose names start so, such as 02,07")
    lessons.add_argument(
        "-p",
        dest="parameters",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter for every lesson that has it, such as -p epochs=2",
    )
    lessons.set_defaults(run=_lessons)

    sweep = commands.add_parser("sweep", help="run one notebook with every combination of values")
    sweep.add_argument("notebook", help="such as notebooks/06_training.ipynb")
    sweep.add_argument("--out", required=True, help="a folder, or an address such as s3://...")
    sweep.add_argument("--jobs", type=_count, default=1, help="runs at a time, 2 GB each (1)")
    sweep.add_argument("--cluster", metavar="ADDRESS", help="a dask scheduler, in place of --jobs")
    sweep.add_argument(
        "-p",
        dest="parameters",
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="""values by commas, -p lr=1e-4,1e-3, or whole numbers from a to b, -p seed=0..4; a
        value with a comma stands in double quotes, within the shell's: -p 'name="a,b",c'""",
    )
    sweep.set_defaults(run=_sweep)

    predict = commands.add_parser("predict", help="say what is on images, by a model of lesson 12")
    predict.add_argument("model", type=Path, help="a .safetensors file that lesson 12 saved")
    predict.add_argument(
        "images", nargs="+", metavar="IMAGE", help="files, or folders with images in them"
    )
    predict.add_argument(
        "--top", type=_count, default=1, metavar="K", help="name the K most probable classes"
    )
    form = predict.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a JSON object a line")
    form.add_argument("--csv", action="store_true", help="CSV with a header")
    predict.set_defaults(run=_predict)
    return parser


def _doctor(options: argparse.Namespace) -> int:
    import torch
    import torchvision

    from tutorial_utils import data, models
    from tutorial_utils._support import connection
    from tutorial_utils._support.precision import native_bf16

    print(f"tutorial_utils {__version__}, Python {platform.python_version()}")
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    bf16 = "native" if native_bf16(device) else "emulated, so not used"
    print(f"device: {device}, {os.cpu_count()} processors; bfloat16: {bf16}")
    print(
        f"network: {'reached' if connection.online() else 'none, ' + connection.offline_reason()}"
    )
    data.load("auto")
    for arch in models.ARCHS:
        models.find_weights(arch, "auto")
    return 0


def _fetch(options: argparse.Namespace) -> int:
    from tutorial_utils import data, models

    images = data.load("auto")
    kinds = [models.find_weights(arch, "auto").kind for arch in models.ARCHS]
    if images.origin == "synthetic" or "demo" in kinds:
        print("not everything could be fetched; the lessons run with what is named above")
    return 0


def _draw(options: argparse.Namespace) -> int:
    from tqdm.auto import tqdm

    from tutorial_utils import synthetic

    if options.folder.exists() and any(options.folder.iterdir()):
        raise ValueError(f"{options.folder} is not empty; name a new folder, nothing was written")
    with tqdm(total=397, unit="image") as bar:
        synthetic.write(
            options.folder, seed=options.seed, progress=lambda done, total: bar.update()
        )
    folder = options.folder.absolute()  # the lessons run in another folder
    print(f"drawn: {folder}; use it with ANTS_BEES_DIR={folder}")
    return 0


def _cache(options: argparse.Namespace) -> int:
    from tutorial_utils._support import cache, feature_files

    if options.all and not options.clear:
        raise ValueError("--all goes with --clear: nothing was deleted")
    if options.clear:
        cleared = cache.clear() if options.all else feature_files.clear()
        print(f"freed {cleared.freed_bytes / 1e6:.1f} MB")
        for name, reason in cleared.left.items():
            print(f"{name} is left: {reason}")
    found = cache.entries()
    for name, size in found:
        print(f"{size / 1e6:10.1f} MB  {name}")
    print(f"{sum(size for _, size in found) / 1e6:10.1f} MB  in all, in {cache.cache_path()}")
    return 0


def _kit(options: argparse.Namespace) -> int:
    from tutorial_utils.batch import lessons
    from tutorial_utils.cli import kit

    kit.make(options.out, options.folder or lessons.NOTEBOOKS)
    print(f"use it by: python -m tutorial_utils --kit {options.out.name} lessons")
    return 0


def _use_kit(options: argparse.Namespace) -> None:
    """Put the kit into the caches; from then on its lessons run, and no network is asked."""
    from tutorial_utils.cli import kit

    folder = kit.use(options.kit) / "notebooks"
    os.environ["TUTORIAL_OFFLINE"] = "1"  # for the lessons' kernels too
    if options.run is _lessons and options.folder is None:
        options.folder = folder
    if options.run is None:
        print(f"the lessons are in {folder}; copy that folder to work in it")


def _lessons(options: argparse.Namespace) -> int:
    from tutorial_utils.batch import lessons

    folder = options.folder or lessons.NOTEBOOKS
    if options.in_place and options.parameters:
        raise ValueError("--in-place takes no -p: outputs in place are those of the defaults")
    if options.in_place:
        lessons.refresh(folder, only=options.only)
        return 0
    parameters = dict(_pair(text) for text in options.parameters)
    table = lessons.run_lessons(
        options.out, folder=folder, only=options.only, parameters=parameters
    )
    print("\n".join(["", *(lessons.describe(row) for row in table.to_dict("records"))]))
    print(f"\npages: {options.out}/lessons, table: {options.out}/results.csv")
    failed = table[table.status == "error"]
    for row in failed.to_dict("records"):
        print(f"failed: {row['lesson']}: {row['error']}", file=sys.stderr)
    return 1 if len(failed) else 0


def _sweep(options: argparse.Namespace) -> int:
    from tutorial_utils.batch import lessons, sweeps

    grid = {}
    for name, values in map(_split, options.parameters):
        if name in grid:
            raise ValueError(f"-p {name} is given twice; write its values with commas between")
        grid[name] = sweeps.read_values(values)
    with contextlib.ExitStack() as stack:
        if options.cluster:
            executor = stack.enter_context(_cluster(options.cluster)).get_executor(retries=2)
        else:
            executor = None
        table = lessons.sweep(
            options.notebook, grid, options.out, executor=executor, jobs=options.jobs
        )
    failed = table[table.status == "error"]
    print(f"{len(table) - len(failed)} ok, {len(failed)} failed; table: {options.out}/results.csv")
    for row in failed.to_dict("records"):
        print(f"failed: {options.out}/{row['notebook']}: {row['error']}", file=sys.stderr)
    return 1 if len(failed) else 0


def _cluster(address: str) -> contextlib.AbstractContextManager:
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        text = "--cluster needs dask: python -m pip install 'distributed>=2024.1'"
        raise ValueError(text) from error
    return Client(address, timeout=30)


def _predict(options: argparse.Namespace) -> int:
    for stream in (sys.stdout, sys.stderr):  # a name may hold letters that a terminal lacks
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    from tutorial_utils.own_images import classifier

    model = classifier.load(options.model)
    show = _printer(options, min(options.top, len(model.classes)))
    failed = 0
    for found in classifier.predict_files(model, classifier.expand(options.images)):
        if found.problem is None:
            show(str(found.path), model.top(found.probabilities, options.top))
        else:
            failed += 1
            print(f"{_plain(found.path)}: {found.problem}", file=sys.stderr, flush=True)
    if failed:
        print(f"not predicted: {failed}", file=sys.stderr)
    return 1 if failed else 0


def _printer(
    options: argparse.Namespace, top: int
) -> Callable[[str, list[tuple[str, float]]], None]:
    """Return what prints the classes of one image, in the form that was asked for."""
    if options.csv:
        rows = csv.writer(sys.stdout, lineterminator="\n")
        ranks = [f"_{rank}" if rank > 1 else "" for rank in range(1, top + 1)]
        rows.writerow(
            ["file", *(name + rank for rank in ranks for name in ("class", "probability"))]
        )
        return lambda file, named: rows.writerow(
            [file, *(value for name, p in named for value in (name, f"{p:.6f}"))]
        )
    if options.json:
        return lambda file, named: print(
            json.dumps(
                {"file": file, "classes": [{"class": n, "probability": p} for n, p in named]},
                ensure_ascii=False,
            )
        )
    return lambda file, named: print(
        _plain(file), *(f"{_plain(name)} {p:.3f}" for name, p in named), sep="\t"
    )


def _plain(name: object) -> str:
    """Return a name in one line; a file's name or a class's may hold what steers a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(name))


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number from 1 is asked for, not {text!r}")
    return int(text)


def _pair(text: str) -> tuple[str, object]:
    from papermill.cli import _resolve_type  # the rule of papermill's own -p

    name, value = _split(text)
    return name, _resolve_type(value)


def _split(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise ValueError(f"-p takes NAME=VALUE, got {text!r}; for example -p epochs=2")
    return name, value
