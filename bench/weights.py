"""Measure the demo weights: accuracy of a linear head, and loading. `make bench-weights` runs it.

A linear head is trained on frozen features, the mean of each channel of the last convolution, and
measured on the validation images, for several seeds (initial head, order of the images, and the
random network itself). Baselines: the same with random weights, and with plain pixels. With
ANTS_BEES_DIR set, the real photographs are measured too.

The recipe of the head was fixed beforehand and is the same for all rows.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean, median

import torch
from torch import Tensor, nn
from torch.nn import functional

from tutorial_utils import data, evaluation, features, lesson, models
from tutorial_utils._support import weight_files

EPOCHS, BATCH, RATE, DECAY = 60, 20, 1e-3, 1e-2
PIXELS = 32  # of a side, where the head is trained on pixels
LIMITS = {"alexnet": 0.3, "vgg16": 1.5}  # seconds that loading may take
MIB = 2**20


def main() -> None:
    """Measure and print two tables; or load one network and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--size", type=int, help="pixels of a side, instead of the preset's")
    parser.add_argument("--only", choices=models.ARCHS, help="only this network's demo weights")
    parser.add_argument("--assets", type=Path, help="a folder of other files ARCH.safetensors")
    parser.add_argument("--load", choices=models.ARCHS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.assets:
        use(options.assets)
    if options.load:
        print(json.dumps(load(options.load)))
        return
    if not options.only:
        print(loading(), flush=True)
    sources = ["synthetic"] + (["folder"] if os.environ.get("ANTS_BEES_DIR") else [])
    print("\n| images | features | seeds | validation: mean (range) | 95% interval of one run |")
    print("|---|---|---|---|---|", flush=True)
    for source in sources:
        images = data.load(source, quiet=True)
        for name, sets in rows(images, options.seeds, options.size, options.only):
            print(row(images, name, sets), flush=True)


def use(folder: Path) -> None:
    """Measure the weights of another folder than those that ship."""
    weight_files.ASSETS = folder
    for path in folder.glob("*.safetensors"):
        weight_files.DEMO_SHA256[path.stem] = hashlib.sha256(path.read_bytes()).hexdigest()


def rows(images: data.ImageSet, seeds: int, size: int | None, only: str | None):
    """Yield (name of the features, [(training set, validation set) for each seed])."""
    preset = models.find_weights("alexnet", "none", quiet=True).transforms()
    preset.crop_size, preset.resize_size = [PIXELS], [PIXELS]
    if not only:
        sets = [pixels(images.dataset(split, preset)) for split in data.SPLITS]
        yield f"pixels, {PIXELS}x{PIXELS}", [sets] * seeds
    for arch in [only] if only else models.ARCHS:
        demo = models.find_weights(arch, "demo", quiet=True)
        preset = demo.transforms()
        if size:
            preset.crop_size, preset.resize_size = [size], [size]
        name = f"{models.TITLES[arch]}, {preset.crop_size[0]} pixels"
        yield f"{name}, demo weights", [pooled(images, demo, preset)] * seeds
        if only:
            continue
        none = models.find_weights(arch, "none", quiet=True)
        per_seed = []
        for seed in range(seeds):
            torch.manual_seed(seed)
            per_seed.append(pooled(images, none, preset))
        yield f"{name}, random weights", per_seed


def pixels(dataset) -> tuple[Tensor, Tensor]:
    """Return the pixels of all images, (N, D), and their labels."""
    pairs = [dataset[k] for k in range(len(dataset))]
    return torch.stack([p.flatten() for p, _ in pairs]), torch.tensor([k for _, k in pairs])


def pooled(images: data.ImageSet, weights: models.Weights, preset) -> list:
    """Return (values (N, C), labels (N,)) of both sets: the mean of each channel."""
    backbone = models.build_backbone(weights)
    backbone = nn.Sequential(backbone[0], nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    sets = []
    for split in data.SPLITS:
        found = features.extract(backbone, images.dataset(split, preset), quiet=True)
        sets.append((found.values.float(), found.labels))
    return sets


def score(sets: list, seed: int) -> int:
    """Train a linear head on the first set and return how many of the second are correct."""
    (values, labels), (val_values, val_labels) = sets
    mean, std = values.mean(0), values.std(0).clamp(min=1e-6)
    values, val_values = (values - mean) / std, (val_values - mean) / std
    torch.manual_seed(seed)
    head = nn.Linear(values.shape[1], 2)
    optimizer = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=DECAY)
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(labels)).split(BATCH):
            loss = functional.cross_entropy(head(values[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.inference_mode():
        return int((head(val_values).argmax(1) == val_labels).sum())


def row(images: data.ImageSet, name: str, sets: list) -> str:
    """Return one row of the table: mean and range over the seeds, and an interval."""
    total = len(sets[0][1][1])
    correct = [score(pair, seed) for seed, pair in enumerate(sets)]
    low, high = evaluation.interval(round(mean(correct)), total)
    which = "synthetic" if images.origin == "synthetic" else "photographs"
    return (
        f"| {which} | {name} | {len(sets)} | {mean(correct) / total:.3f} "
        f"({min(correct) / total:.3f} to {max(correct) / total:.3f}) | {low:.3f} to {high:.3f} |"
    )


def loading(times: int = 5) -> str:
    """Load each network's convolutions in separate processes, and return a table."""
    lines = ["| network | seconds (lowest to highest) | limit | tensors, MiB | peak memory, MiB |"]
    lines.append("|---|---|---|---|---|")
    for arch in models.ARCHS:
        runs = []
        for _ in range(times):
            words = [sys.executable, __file__, "--load", arch]
            runs.append(json.loads(subprocess.run(words, capture_output=True, check=True).stdout))
        seconds = [run["seconds"] for run in runs]
        lines.append(
            f"| {models.TITLES[arch]} | {median(seconds):.3f} ({min(seconds):.3f} to "
            f"{max(seconds):.3f}) | {LIMITS[arch]} | {runs[0]['tensors_bytes'] / MIB:.1f} | "
            f"{max(run['peak_bytes'] for run in runs) / MIB:.1f} |"
        )
    return "\n".join(lines)


def load(arch: str) -> dict:
    """Load a network's convolutions: seconds, bytes of its tensors, peak memory above the start."""
    weights = models.find_weights(arch, "demo", quiet=True)
    hashlib.sha256(b"")  # loads what is loaded on first use, apart from the weights
    torch.zeros(1)
    before, start = lesson.peak_bytes(), time.perf_counter()
    backbone = models.build_backbone(weights)
    seconds = time.perf_counter() - start
    tensors = sum(p.numel() * p.element_size() for p in backbone.parameters())
    return {
        "seconds": seconds,
        "tensors_bytes": tensors,
        "peak_bytes": lesson.peak_bytes() - before,
    }


if __name__ == "__main__":
    main()
