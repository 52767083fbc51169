"""Measure the table of results in docs/results.md, and store the runs in images/results.json.

`make results` runs it. Runs that are in the file are not repeated, so it resumes where it was
stopped. With ANTS_BEES_DIR set, the real photographs are measured too.

12 epochs of Adam without augmentation, by the recipes in PLAN. "demo": the backbone is frozen and
runs once over each image, and the classifier is trained on its features; "scratch": all layers
start at random and are trained, by the blog post's recipe.
"""

import argparse
import json
import os
from pathlib import Path

import torch

from tutorial_utils import data, evaluation, features, models, synthetic, training
from tutorial_utils._support import files

RESULTS = Path(__file__).with_name("results.json")
EPOCHS = 12
# (network, way of training): (batch size, Adam's learning rate).
PLAN = {
    ("alexnet", "demo"): (20, 3e-5),
    ("vgg16", "demo"): (64, 1e-4),
    ("alexnet", "scratch"): (20, 1e-4),
}


def main() -> None:
    """Measure what is not in the file yet, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--only", default="", help="part of a run's name, such as alexnet or scratch"
    )
    parser.add_argument("--table", action="store_true", help="only print the table of stored runs")
    options = parser.parse_args()
    sources = ["synthetic"] + (["folder"] if os.environ.get("ANTS_BEES_DIR") else [])
    if not options.table:
        for source in sources:
            images = data.load(source)
            for arch, how in PLAN:
                if options.only in f"{source} {arch} {how}":
                    measure(images, arch, how, seeds=options.seeds)
    print(table(read()))


def measure(images: data.ImageSet, arch: str, how: str, *, seeds: int) -> None:
    """Run the missing seeds for one set of images, one network and one way of training."""
    sets, (batch_size, rate) = None, PLAN[arch, how]
    for seed in range(0, 100 * seeds, 100):  # fit adds the epoch to the seed
        key = name_of(images, arch, how, seed)
        if key in read():
            print("stored:", key)
            continue
        torch.manual_seed(seed)
        if how == "scratch":
            network, sets = scratch(images, arch, sets)
        else:
            network, sets = frozen(images, arch, sets)
        print("running:", key, flush=True)
        train = data.loader(sets[0], batch_size=batch_size, shuffle=True)
        val = data.loader(sets[1], batch_size=batch_size)
        history = training.fit(network, train, val=val, epochs=EPOCHS, lr=rate, seed=seed)
        store(key, history)


def frozen(images: data.ImageSet, arch: str, sets: list | None) -> tuple:
    """Return a fresh classifier and the frozen backbone's features of both sets."""
    weights = models.find_weights(arch, "demo", quiet=True)
    network = models.build(arch, weights=weights)
    models.freeze(network.features)
    models.swap_head(network, classes=2)
    backbone, head = models.split(network)
    if sets is None:
        preset = weights.transforms()
        sets = [features.extract(backbone, images.dataset(s, preset)) for s in data.SPLITS]
    return head, sets


def scratch(images: data.ImageSet, arch: str, sets: list | None) -> tuple:
    """Return a network of random weights, all trainable, and both sets, decoded once."""
    preset = models.find_weights(arch, "demo", quiet=True).transforms()
    network = models.build(arch, weights="none", quiet=True)
    models.swap_head(network, classes=2)
    return network, sets or [list(images.dataset(s, preset)) for s in data.SPLITS]


def name_of(images: data.ImageSet, arch: str, how: str, seed: int) -> str:
    """Return a run's name: images, network, way of training, seed."""
    which = f"synthetic-{synthetic.VERSION}" if images.origin == "synthetic" else "photographs"
    return f"{which} {arch} {how} {seed}"


def read() -> dict:
    """Return the stored runs: {name: list of epochs}."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def store(key: str, history: training.History) -> None:
    """Add one run to the file."""
    epochs = history.frame().round(6).to_dict("records")
    text = json.dumps(read() | {key: epochs}, indent=None, separators=(",", ":"))
    files.write_bytes(RESULTS, (text.replace('],"', '],\n"') + "\n").encode())


def table(runs: dict, total: int = 153) -> str:
    """Return a Markdown table of the last epochs: mean over seeds, range, interval at the mean."""
    groups: dict[str, list] = {}
    for key, epochs in runs.items():
        groups.setdefault(key.rsplit(" ", 1)[0], []).append([e["val_accuracy"] for e in epochs])
    seeds = min(map(len, groups.values()))
    lines = [
        f"| images | network | weights | accuracy, mean of {seeds} seeds (range) |"
        " 95% interval of one run |",
        "|---|---|---|---|---|",
    ]
    for group, curves in sorted(groups.items()):
        which, arch, how = group.split()
        last = [curve[-1] for curve in curves]
        mean = sum(last) / len(last)
        low, high = evaluation.interval(round(mean * total), total)
        lines.append(
            f"| {which} | {models.TITLES[arch]} | {how} | {mean:.3f} "
            f"({min(last):.3f} to {max(last):.3f}) | {low:.3f} to {high:.3f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
