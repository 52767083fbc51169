"""Train all demo weights in the minutes of one GPU, measure them, and leave files and a report.

python pretraining/gpu.py --data FOLDER --minutes vgg16=5.5 alexnet=2 --out OUT --state STATE
"""

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import run as command  # isort: skip (it puts the repository's root on sys.path)
import dataset
import speed
import torch
import train
from recipe import GPU_RECIPES

from tutorial_utils._support import files

SIZES = {"vgg16": (64, 80, 96, 112, 128), "alexnet": (128, 144, 160, 176, 224)}  # to measure at
EVERY_S = 30.0  # between two checkpoints
LOG_S = 10.0  # between two measurements
LOWER = 4  # the learning rate is divided by this after a loss that is not finite


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, or 1 after printing what was wrong."""
    options = _parser().parse_args(arguments)
    try:
        _run_plan(options)
    except (OSError, ValueError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _run_plan(options: argparse.Namespace) -> None:
    for folder in (options.out, options.state):
        folder.mkdir(parents=True, exist_ok=True)
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    torch.backends.cudnn.benchmark = True  # the shapes stay the same for thousands of steps
    start = time.monotonic()
    data = dataset.load_stored(
        options.state / "images.safetensors",
        options.data[0] if len(options.data) == 1 else options.data,
        share=options.share,
        jobs=options.jobs,
    ).to(device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    _log(f"{data.summary}; read in {time.monotonic() - start:.1f} s; {name}, {torch.__version__}")
    results = {"device": name, "torch": torch.__version__, "data": data.summary}
    for arch, minutes in dict(options.minutes).items():
        results[arch] = _train(arch, minutes, data, device, options)
        files.write_json(options.out / "results.json", results)
    for arch in dict(options.minutes) if options.heads else ():
        results[arch]["heads"] = _heads(arch, options.out)
        files.write_json(options.out / "results.json", results)


def _train(arch: str, minutes: float, data: dataset.Dataset, device: torch.device, options) -> dict:
    """Train one network, a second time at a lower rate if the loss is not finite."""
    recipe, end = GPU_RECIPES[arch], time.monotonic() + 60 * minutes
    recipe = replace(recipe, batch_size=min(options.batch_size, len(data.train)))
    settings = {"device": device, "every_s": EVERY_S, "log_s": LOG_S, "sizes": SIZES[arch]}
    settings |= {"checkpoint_path": options.state / f"{arch}.checkpoint", "resume": options.resume}
    if options.compile:
        settings["compiled"] = speed.compile_pays(
            arch, data, recipe, minutes=minutes, device=device, log=_log
        )
    out = options.out / f"{arch}.safetensors"
    try:
        outcome = train.pretrain(
            arch, data, out, minutes=minutes, recipe=recipe, log=_log, **settings
        )
    except FloatingPointError as error:
        _log(f"{arch}: {error}")
        settings["checkpoint_path"].unlink(missing_ok=True)
        recipe, minutes = replace(recipe, lr=recipe.lr / LOWER), (end - time.monotonic()) / 60
        outcome = train.pretrain(
            arch, data, out, minutes=minutes, recipe=recipe, log=_log, **settings
        )
    found = asdict(outcome) | {"path": out.name, "recipe": asdict(recipe), "minutes": minutes}
    if device.type == "cuda":
        found["peak_gpu_bytes"] = torch.cuda.max_memory_allocated()
    return found


def _heads(arch: str, folder: Path) -> str:
    """Return the table of a linear head on the packed file's features, or why there is none."""
    script = command.ROOT / "bench" / "weights.py"
    words = [sys.executable, script, "--only", arch, "--assets", folder]
    paths = [str(command.ROOT), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    text = done.stdout.strip() if done.returncode == 0 else done.stderr.strip().splitlines()[-1]
    _log(f"{arch}, linear head: {text}")
    return text


def _log(line: str) -> None:
    print(time.strftime("%H:%M:%S"), line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python pretraining/gpu.py", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="a folder of images or of zip archives"
    )
    parser.add_argument(
        "--minutes", type=_minutes, nargs="+", required=True, metavar="NETWORK=MINUTES"
    )
    parser.add_argument("--out", type=Path, required=True, help="for weights and results.json")
    parser.add_argument(
        "--state", type=Path, required=True, help="for decoded images and checkpoints"
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the images to use")
    parser.add_argument("--batch-size", type=command.count, default=512)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes that decode")
    parser.add_argument("--resume", action="store_true", help="resume from the checkpoints")
    parser.add_argument(
        "--compile", action="store_true", help="measure whether torch.compile pays, and use it then"
    )
    parser.add_argument("--heads", action="store_true", help="run bench/weights.py at the end")
    parser.add_argument("--device", help="cpu or cuda (a GPU if there is one)")
    return parser


def _minutes(text: str) -> tuple[str, float]:
    arch, _, minutes = text.partition("=")
    with contextlib.suppress(ValueError):
        if arch in GPU_RECIPES:
            return arch, float(minutes)
    raise argparse.ArgumentTypeError(
        f"must be NETWORK=MINUTES with {' or '.join(GPU_RECIPES)}, not {text!r}"
    )


if __name__ == "__main__":
    sys.exit(main())
