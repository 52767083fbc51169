"""Compare the blog post's loop with the course's: time, memory, accuracy. `make bench` runs it.

Every run is a separate process (`one.py`). A round is the post's epochs, the course with an empty
cache and with a filled one, and what a user would pick instead, right after one another. Ratios are
taken within a round, so that a machine that is slow for a while is slow for all of them. It writes
OUT/bench.json, OUT/bench.md and OUT/bench.png, which README.md explains. It is a benchmark, not a
test: it exits with 0, whatever it finds.
"""

import argparse
import datetime
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import figure
import one
import summary
import torch
import torchvision

from tutorial_utils import data, layers, models
from tutorial_utils._support import feature_files, files

HERE = Path(__file__).resolve().parent
# How many epochs are run of the slow ways; one of VGG16's takes minutes.
POST_EPOCHS = {"alexnet": 2, "vgg16": 1}
FASTAI_EPOCHS = {"alexnet": summary.EPOCHS, "vgg16": 2}
# The results depend on these files.
CODE = (
    "_support/fast_pass",
    "_support/feature_files",
    "_support/precision",
    "_support/presets",
    "_support/weight_files",
    "data",
    "features",
    "models",
    "subspace",
    "training",
)


def main() -> None:
    """Measure, write the results, print the table."""
    options = parse()
    options.out.mkdir(parents=True, exist_ok=True)
    images = data.load(options.source)
    runner = Runner(options, images)
    rounds = measure_rounds(options, runner)
    results = {}
    for arch in options.archs:
        results[arch] = summarise(arch, rounds)
    machine = describe(options.device, images.summary.removeprefix("images: "))
    settings = {"rounds": options.rounds, "code": code_sum()}
    settings |= {"dtype_pass": rounds[0]["peak"]["dtype_pass"]}
    settings |= {"post_batch": one.POST_BATCH, "course_batch": one.COURSE_BATCH, "lr": one.LR}
    settings |= {
        "targets": summary.TARGETS,
        "finished": datetime.datetime.now().isoformat(timespec="seconds"),
    }
    write(options.out, results, machine, settings)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--only", choices=models.ARCHS, help="one network")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--source", default="synthetic", help="a source of data.load, or a folder")
    parser.add_argument("--resume", action="store_true", help="reuse the finished rounds")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if options.device == "auto":
        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    options.archs = [options.only] if options.only else list(models.ARCHS)
    options.out = options.out.absolute()
    return options


def run_script(path: str | Path, *arguments: object, **environment: str) -> dict:
    """Run a script offline, in a process of its own, and return the JSON that it printed last."""
    command = [sys.executable, *map(str, (path, *arguments))]
    environment = os.environ | {"TUTORIAL_OFFLINE": "1"} | environment
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


class Runner:
    """Run `one.py` with the options that all runs share, and with a cache of its own."""

    def __init__(self, options: argparse.Namespace, images: data.ImageSet) -> None:
        """Put the cache into the output folder; `stamp` identifies what results depend on."""
        self.cache = options.out / "cache"
        self.shared = ["--images", images.root, "--device", options.device]
        self.stamp = f"{options.device} {images.root.name} {code_sum()}"

    def __call__(self, kind: str, *arguments: object) -> dict:
        """Run one process to its end and return the result that it printed."""
        words = (kind, *arguments, "--cache", self.cache, *self.shared)
        return run_script(HERE / "one.py", *words, TUTORIAL_PROGRESS="0")

    def clear(self) -> None:
        """Delete the cached features."""
        for folder in self.cache.glob(f"{feature_files.PREFIX}*"):
            if folder.is_dir():
                shutil.rmtree(folder)


def measure_rounds(options: argparse.Namespace, runner: Runner) -> list[dict]:
    """Run all rounds, and write each to a file as soon as it is finished."""
    path = options.out / "rounds.jsonl"
    if not options.resume:
        path.unlink(missing_ok=True)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rounds = [row for row in map(json.loads, lines) if row["stamp"] == runner.stamp]
    wanted = [(number, arch) for number in range(options.rounds) for arch in options.archs]
    for number, arch in wanted:
        if any((row["round"], row["arch"]) == (number, arch) for row in rounds):
            print(f"round {number + 1}, {arch}: reused")
            continue
        row = {"round": number, "arch": arch, "stamp": runner.stamp} | one_round(
            number, arch, runner
        )
        rounds.append(row)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    return [row for row in rounds if (row["round"], row["arch"]) in wanted]


def one_round(number: int, arch: str, runner: Runner) -> dict:
    """Run each kind once, with a seed of the round's own; every other round starts with the course.

    fastai runs in the first round only, if it is installed: it takes longest.
    """
    others = [kind for kind in summary.OTHERS if kind != "fastai"]
    if number == 0 and find_spec("fastai"):
        others.append("fastai")
    order = ["post", "first", "cached"] if number % 2 == 0 else ["first", "cached", "post"]
    epochs = {"post": POST_EPOCHS[arch], "fastai": FASTAI_EPOCHS[arch]}
    row = {"peak": runner("peak")}
    for kind in order + others:
        if kind == "first":
            runner.clear()
        way = "course" if kind in ("first", "cached") else kind
        settings = ("--seed", 100 * number, "--epochs", epochs.get(kind, summary.EPOCHS))
        row[kind] = runner(way, arch, *settings)
        seconds, peak = row[kind]["seconds"], row[kind]["peak_gib"]
        print(f"round {number + 1}, {arch} {kind}: {seconds:.1f} s, {peak:.2f} GiB", flush=True)
    if row["first"]["reused"] or not row["cached"]["reused"]:
        print(f"round {number + 1}, {arch}: the cache was not used as expected")
    return row


def summarise(arch: str, rounds: list[dict]) -> dict:
    """Return one network's figures over its rounds."""
    convolutions, dense = mult_adds(arch)
    mine = [row for row in rounds if row["arch"] == arch]
    work = {"mult_adds": convolutions, "dense": dense}
    rows = [summary.figures(row, **work) for row in mine]
    result = summary.middle(rows) | summary.accuracies(mine)
    result |= {"epochs": summary.EPOCHS, "epochs_run_post": POST_EPOCHS[arch]} | work
    return result | {"same_epoch": summary.same_epoch(mine), "rounds": rows, "runs": mine}


def mult_adds(arch: str) -> tuple[int, int]:
    """Return the multiply-adds for an image of 224 x 224: of convolutions, of dense layers."""
    with torch.device("meta"):
        table = layers.layer_table(getattr(torchvision.models, arch)(), size=224)
    sums = table.groupby(table["layer"].str.startswith("classifier"))["mult_adds"].sum()
    return int(sums[False]), int(sums[True])


def code_sum() -> str:
    """Return a checksum of the files that the results depend on."""
    package = Path(models.__file__).parent
    paths = [HERE / "one.py", *(package / f"{name}.py" for name in CODE)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def describe(device: str, images: str) -> dict:
    """Return the machine and what was measured on it, for the report.

    Args:
        device: as torch names it.
        images: the images, in a few words.
    """
    name = torch.cuda.get_device_name() if device.startswith("cuda") else "cpu"
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "device": name,
        "torch": version("torch"),
        "torchvision": version("torchvision"),
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
        "images": images,
        "weights": f"{one.WEIGHTS}, backbone frozen",
        "size": one.preset().crop_size[0],
    }


def cpu_model() -> str:
    """Return the processor's name, from /proc/cpuinfo or from Python."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def write(out: Path, results: dict, machine: dict, settings: dict) -> None:
    """Write the three files and print the table."""
    files.write_json(out / "bench.json", results | {"machine": machine, "settings": settings})
    text = summary.markdown(results, machine, settings)
    (out / "bench.md").write_text(text, encoding="utf-8")
    figure.draw(results, machine).savefig(out / "bench.png", dpi=120)
    print(text)


if __name__ == "__main__":
    main()
