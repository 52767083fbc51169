"""The command line's options: what each command of `python -m tutorial_utils` takes."""

import argparse
from collections.abc import Callable
from pathlib import Path

from tutorial_utils import __version__
from tutorial_utils.batch.limits import Limits
from tutorial_utils.cli import commands, teaching
from tutorial_utils.cli.predict import predict
from tutorial_utils.cli.values import given_path, given_text

AddParser = Callable[..., argparse.ArgumentParser]


def make_parser() -> argparse.ArgumentParser:
    """Return the parser; each command sets `run` to its function."""
    parser = argparse.ArgumentParser(
        prog="python -m tutorial_utils",
        description="The course on the command line; --help lists the commands.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--kit", type=given_path, metavar="ZIP", help="use a kit, offline: see `kit`"
    )
    parser.set_defaults(run=None)
    subparsers = parser.add_subparsers(metavar="COMMAND")
    definitions = (_define_data, _define_kit, _define_lessons, _define_sweep, _define_predict)
    for define in (*definitions, teaching.define):
        define(subparsers.add_parser)
    return parser


def _define_data(add: AddParser) -> None:
    doctor = add("doctor", help="print versions, device, images and weights")
    doctor.set_defaults(run=commands.doctor)

    fetch = add("fetch", help="download images and weights into the caches")
    fetch.set_defaults(run=commands.fetch)

    draw = add("draw", help="draw synthetic ants and bees into a folder")
    draw.add_argument("folder", type=given_path, help="gets train/{ants,bees} and val/{ants,bees}")
    draw.add_argument("--seed", type=int, default=0, help="another seed draws other images")
    draw.set_defaults(run=commands.draw)

    cache = add("cache", help="list what the cache holds, or clear it")
    cache.add_argument("--clear", action="store_true", help="delete the cached features")
    cache.add_argument(
        "--all",
        action="store_true",
        help="with --clear: delete everything in the cache, also the images, the results of "
        "lesson 13's sweeps and the lessons of a kit, with your changes to them",
    )
    cache.set_defaults(run=commands.cache)


def _define_kit(add: AddParser) -> None:
    kit = add("kit", help="pack what a class without a network needs")
    kit.add_argument(
        "out", type=given_path, metavar="OUT.zip", help="use it by --kit OUT.zip COMMAND"
    )
    kit.add_argument("--folder", type=given_path, help="the folder of the notebooks")
    kit.add_argument("--no-solutions", action="store_true", help="leave out notebooks/solutions")
    kit.set_defaults(run=commands.kit)


def _define_lessons(add: AddParser) -> None:
    lessons = add("lessons", help="run all lessons and collect their results")
    lessons.add_argument(
        "--out",
        type=given_path,
        default=Path("build"),
        help="gets notebooks, pages and results (build)",
    )
    lessons.add_argument("--folder", type=given_path, help="the folder of the notebooks")
    lessons.add_argument(
        "--in-place", action="store_true", help="store the outputs in the notebooks themselves"
    )
    lessons.add_argument("--only", default="", help="those whose names start so, such as 02,07")
    lessons.add_argument(
        "--jobs",
        type=_count_or_auto,
        default=None,
        metavar="N",
        help="lessons at a time, or auto: what processors and memory allow (auto)",
    )
    _add_parameters(
        lessons, "NAME=VALUE", "a parameter for every lesson that has it, such as -p epochs=2"
    )
    _add_limits(lessons, "a lesson")
    lessons.set_defaults(run=commands.lessons)


def _define_sweep(add: AddParser) -> None:
    sweep = add("sweep", help="run one notebook with every combination of values")
    sweep.add_argument("notebook", type=given_text, help="such as notebooks/06_training.ipynb")
    sweep.add_argument(
        "--out", type=given_text, required=True, help="a folder, or an address such as s3://..."
    )
    sweep.add_argument("--jobs", type=_count, default=1, help="runs at a time, 2 GB each (1)")
    sweep.add_argument("--cluster", metavar="ADDRESS", help="a dask scheduler, instead of --jobs")
    _add_parameters(
        sweep,
        "NAME=VALUES",
        "values with commas between, -p lr=1e-4,1e-3, or a range of whole numbers, -p seed=0..4; "
        "put a value with a comma in double quotes, within the shell's: -p 'name=\"a,b\",c'",
    )
    _add_limits(sweep, "a run")
    sweep.set_defaults(run=commands.sweep)


def _define_predict(add: AddParser) -> None:
    parser = add("predict", help="classify images by a model of lesson 12")
    parser.add_argument("model", type=given_path, help="a .safetensors file that lesson 12 saved")
    parser.add_argument(
        "images", nargs="+", type=given_path, metavar="IMAGE", help="files, or folders of images"
    )
    parser.add_argument(
        "--top", type=_count, default=1, metavar="K", help="print the K most probable classes"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object for each image")
    form.add_argument("--csv", action="store_true", help="print CSV with a header")
    parser.set_defaults(run=predict)


def _add_parameters(parser: argparse.ArgumentParser, metavar: str, text: str) -> None:
    parser.add_argument(
        "-p", dest="parameters", action="append", default=[], metavar=metavar, help=text
    )


def _add_limits(parser: argparse.ArgumentParser, what: str) -> None:
    default = Limits()
    for option, name, of, seconds in (
        ("--timeout", "notebook_s", what, default.notebook_s),
        ("--cell-timeout", "cell_s", "one cell", default.cell_s),
    ):
        text = f"seconds for {of}, after which its kernel is killed ({seconds:.0f})"
        parser.add_argument(
            option, dest=name, type=float, default=seconds, metavar="SECONDS", help=text
        )


def _count_or_auto(text: str) -> int | None:
    return None if text == "auto" else _count(text)


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        limit = "must be a whole number from 1 to 999999999"
        raise argparse.ArgumentTypeError(f"{limit}, not {text[:40]!r}")
    return int(text)
