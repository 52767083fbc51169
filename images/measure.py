"""Measures what the README's table of results says, and keeps it in images/results.json.

Run it by `make results`. Runs that are in the file already are not run again, so it goes on
where it was stopped. With ANTS_BEES_DIR set, the real photographs are measured too.

The recipe is the post's: batches of 20, Adam at 1e-4, 12 epochs, no augmentation. "frozen": the
backbone runs once over each picture and the classifier trains on what it gives; "scratch": all
layers start at random and all are trained.
"""

import argparse
import json
import os
from pathlib import Path

import torch

from tutorial_utils import data, evaluation, features, models, sketchbook, training

KEPT = Path(__file__).with_name("results.json")
EPOCHS, BATCH, RATE = 12, 20, 1e-4
PLAN = [("alexnet", "demo"), ("vgg16", "demo"), ("alexnet", "scratch")]


def main() -> None:
    """Measure what is not in the file yet, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="alexnet or vgg16, demo or scratch, drawn ...")
    parser.add_argument("--table", action="store_true", help="only print what is kept")
    options = parser.parse_args()
    sources = ["drawn"] + (["folder"] if os.environ.get("ANTS_BEES_DIR") else [])
    if not options.table:
        for source in sources:
            pictures = data.load(source)
            for arch, how in PLAN:
                if options.only in f"{source} {arch} {how}":
                    measure(pictures, arch, how, seeds=options.seeds)
    print(table(read()))


def measure(pictures: data.Pictures, arch: str, how: str, *, seeds: int) -> None:
    """Run what is missing for one set of pictures, one network and one way of training."""
    loaders = None
    for seed in range(0, 100 * seeds, 100):  # fit adds the epoch: keep seeds apart
        key = name_of(pictures, arch, how, seed)
        if key in read():
            print("kept:", key)
            continue
        torch.manual_seed(seed)
        if how == "scratch":
            network, loaders = scratch(pictures, arch)
        else:
            network, loaders = frozen(pictures, arch, loaders)
        print("now:", key, flush=True)
        history = training.fit(
            network, loaders[0], val=loaders[1], epochs=EPOCHS, lr=RATE, seed=seed
        )
        keep(key, history)


def frozen(pictures: data.Pictures, arch: str, loaders: tuple | None) -> tuple:
    """Return a fresh classifier and loaders of the frozen backbone's features."""
    weights = models.find_weights(arch, "demo", quiet=True)
    network = models.build(arch, weights=weights)
    models.freeze(network.features)
    models.swap_head(network, classes=2)
    backbone, head = models.split(network)
    if loaders is None:
        sets = [pictures.dataset(split, weights.transforms()) for split in ("train", "val")]
        loaders = load_both(*[features.extract(backbone, each) for each in sets])
    return head, loaders


def scratch(pictures: data.Pictures, arch: str) -> tuple:
    """Return a network that knows nothing and loaders of the pictures themselves."""
    preset = models.find_weights(arch, "demo", quiet=True).transforms()
    network = models.build(arch, weights="none", quiet=True)
    models.swap_head(network, classes=2)
    decoded = [list(pictures.dataset(split, preset)) for split in ("train", "val")]
    return network, load_both(*decoded)


def load_both(train, val) -> tuple:
    """Return loaders of both sets, the first shuffled."""
    return (
        data.loader(train, batch_size=BATCH, shuffle=True),
        data.loader(val, batch_size=BATCH),
    )


def name_of(pictures: data.Pictures, arch: str, how: str, seed: int) -> str:
    """Name a run: pictures, network, way of training, seed."""
    which = f"drawn-{sketchbook.VERSION}" if pictures.origin == "drawn" else "photographs"
    return f"{which} {arch} {how} {seed}"


def read() -> dict:
    """Return what is kept: {name: list of epochs}."""
    return json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}


def keep(key: str, history: training.History) -> None:
    """Add one run to the file, in one step."""
    epochs = history.frame().round(6).to_dict("records")
    text = json.dumps(read() | {key: epochs}, indent=None, separators=(",", ":"))
    half = KEPT.with_suffix(".part")
    half.write_text(text.replace('],"', '],\n"') + "\n", encoding="utf-8")
    os.replace(half, KEPT)


def table(runs: dict, total: int = 153) -> str:
    """Return the kept runs as a Markdown table: mean over seeds, range, interval of the mean."""
    lines = [
        "| pictures | network | weights | seeds | last epoch: mean (range) |"
        " 95% interval of one run at the mean | best epoch: mean |",
        "|---|---|---|---|---|---|---|",
    ]
    groups: dict[str, list] = {}
    for key, epochs in runs.items():
        groups.setdefault(key.rsplit(" ", 1)[0], []).append([e["val_accuracy"] for e in epochs])
    for group, curves in sorted(groups.items()):
        which, arch, how = group.split()
        last, best = [curve[-1] for curve in curves], [max(curve) for curve in curves]
        mean = sum(last) / len(last)
        low, high = evaluation.interval(round(mean * total), total)
        lines.append(
            f"| {which} | {models.TITLES[arch]} | {how} | {len(curves)} | {mean:.3f} "
            f"({min(last):.3f} to {max(last):.3f}) | {low:.3f} to {high:.3f} "
            f"| {sum(best) / len(best):.3f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
