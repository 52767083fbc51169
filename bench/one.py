"""One measured run in a process of its own; prints one line of JSON.

    python bench/one.py post ARCH      the post's loop: all layers in every epoch
    python bench/one.py course ARCH    the course's way: the backbone once, then the head
    python bench/one.py accuracy ARCH  the post's recipe on cached features
    python bench/one.py peak           the speed of a matrix product

`bench.py` runs it. The clock starts when everything is imported and the images are found, and
stops when the network is trained; building it counts. Peak memory is that of the whole process.
"""

import argparse
import json
import os
import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.datasets import ImageFolder

from tutorial_utils import data, lesson, models

GIB = 2**30
LR = 1e-4
POST_BATCH, COURSE_BATCH = 20, 64
# Images per batch of the one pass: AlexNet's is short and should need little memory; VGG16's is
# faster with larger batches.
PASS_BATCH = {"alexnet": 16, "vgg16": 32}
EPOCHS = {"post": 1, "course": 12, "accuracy": 12}
WEIGHTS = "demo"
SIDE = 2048  # of the square matrices whose product is timed


def main() -> None:
    """Run the kind that the command line names and print the result."""
    options = parse()
    if options.cache:
        os.environ["ANTS_BEES_CACHE"] = options.cache
    if options.kind == "peak":
        result = {"gflops": matrix_gflops(options.device)}
    else:
        images = data.load(options.images, quiet=True)
        epochs = options.epochs or EPOCHS[options.kind]
        run = {"post": post, "course": course, "accuracy": accuracy}[options.kind]
        result = run(options.arch, images, seed=options.seed, epochs=epochs, device=options.device)
        result |= {"arch": options.arch, "seed": options.seed, "epochs": epochs}
    result |= {"kind": options.kind, "device": options.device}
    print(json.dumps(result | {"peak_gib": lesson.peak_bytes() / GIB, "gpu_gib": gpu_gib()}))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=("post", "course", "accuracy", "peak"))
    parser.add_argument("arch", nargs="?", choices=models.ARCHS, default="alexnet")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, help="post: 1, course and accuracy: 12")
    parser.add_argument("--cache", help="folder for cached features")
    parser.add_argument("--images", default="synthetic", help="a source of data.load, or a folder")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    options = parser.parse_args()
    if options.device == "auto":
        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    return options


def post(arch: str, images: data.ImageSet, *, seed: int, epochs: int, device: str) -> dict:
    """Train as the post does, with plain torch, and measure it."""
    start = clock(device)
    torch.manual_seed(seed)
    network = models.build(arch, weights=WEIGHTS, quiet=True)
    for parameter in network.features.parameters():
        parameter.requires_grad = False
    network.classifier[-1] = nn.Linear(4096, len(images.classes))
    network = network.to(device)
    train = ImageFolder(images.root / "train", preset())
    val = ImageFolder(images.root / "val", preset())
    build_s = clock(device) - start
    rows = loop(network, train, val, seed=seed, epochs=epochs, device=device)
    epoch_s = min(row["seconds"] for row in rows)  # the fastest: the first may warm up
    return {
        "seconds": clock(device) - start,
        "build_s": build_s,
        "epoch_s": epoch_s,
        "images_per_s": (len(train) + len(val)) / epoch_s,
        "val_images_per_s": len(val) / min(row["val_s"] for row in rows),
        "curve": rows,
    }


def loop(network: nn.Module, train, val, *, seed: int, epochs: int, device: str) -> list[dict]:
    """Train by the post's loop and return one row per epoch; `network` gives logits (N, K)."""
    train = DataLoader(train, batch_size=POST_BATCH, shuffle=True)
    val = DataLoader(val, batch_size=POST_BATCH)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(network.parameters(), lr=LR)
    rows = []
    for epoch in range(1, epochs + 1):
        torch.manual_seed(seed + epoch)  # so that two runs of the loop see the same order
        start = clock(device)
        network.train()
        train_loss = 0.0
        for inputs, labels in train:
            inputs, labels = inputs.to(device), labels.to(device)
            loss = criterion(network(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            train_loss += loss.item() * len(labels)
        middle = clock(device)
        network.eval()
        val_loss, correct = 0.0, 0
        with torch.no_grad():
            for inputs, labels in val:
                inputs, labels = inputs.to(device), labels.to(device)
                outputs = network(inputs)
                val_loss += criterion(outputs, labels).item() * len(labels)
                correct += int((outputs.argmax(1) == labels).sum())
        end = clock(device)
        row = {"seconds": end - start, "train_s": middle - start, "val_s": end - middle}
        losses = {"train_loss": train_loss / len(train.dataset)}
        losses["val_loss"] = val_loss / len(val.dataset)
        rows.append(row | losses | {"correct": correct, "total": len(val.dataset)})
    return rows


def course(arch: str, images: data.ImageSet, *, seed: int, epochs: int, device: str) -> dict:
    """Train as the course does: the backbone once or not at all, then the head on its features.

    Adam in the span of the features is a method of its own, not what the post's loop computes, see
    `subspace`: its accuracy is compared with that of `accuracy`.
    """
    from tutorial_utils import subspace, training

    start = clock(device)
    weights = models.find_weights(arch, WEIGHTS, quiet=True)
    train, val = both_splits(weights, images, device)  # the backbone is freed on return
    features_s = clock(device) - start
    torch.manual_seed(seed)
    head = models.build_head(weights, len(images.classes))
    small, (narrow_train, narrow_val) = subspace.project_head(head, train, val)
    history = training.fit(
        small,
        data.loader(narrow_train, batch_size=COURSE_BATCH, shuffle=True),
        val=data.loader(narrow_val, batch_size=COURSE_BATCH),
        epochs=epochs,
        lr=LR,
        seed=seed,
        device=device,
        quiet=True,
    )
    subspace.write_back(small.cpu(), head, train)
    seconds = clock(device) - start
    wide = training.evaluate(head, data.loader(val, batch_size=COURSE_BATCH))
    return {
        "seconds": seconds,
        "features_s": features_s,
        "head_s": seconds - features_s,
        "reused": train.from_cache and val.from_cache,
        "images_per_s": (len(train) + len(val)) / features_s,
        "correct_widened": wide.correct,
        "curve": [
            {
                "seconds": epoch.seconds,
                "train_loss": epoch.train.loss,
                "val_loss": epoch.val.loss,
                "correct": epoch.val.correct,
                "total": epoch.val.total,
            }
            for epoch in history.epochs
        ],
    }


def accuracy(arch: str, images: data.ImageSet, *, seed: int, epochs: int, device: str) -> dict:
    """Run the post's loop on cached features.

    The frozen layers give the same features for an image in every epoch, so this computes what the
    post's loop computes without the repeated passes; `bench.py` compares one epoch of each.
    """
    start = clock(device)
    weights = models.find_weights(arch, WEIGHTS, quiet=True)
    sets = both_splits(weights, images, device, dtype=torch.float32)
    torch.manual_seed(seed)
    head = models.build_head(weights, len(images.classes)).to(device)
    train, val = (TensorDataset(part.values, part.labels) for part in sets)
    rows = loop(head, train, val, seed=seed, epochs=epochs, device=device)
    return {"seconds": clock(device) - start, "curve": rows}


def both_splits(weights: models.Weights, images: data.ImageSet, device: str, dtype=None) -> list:
    """Return the features of train and val, from the cache if they are there."""
    from tutorial_utils import features

    backbone = models.build_backbone(weights)
    sets = [images.dataset(split, preset()) for split in data.SPLITS]
    settings = {
        "device": device,
        "dtype": dtype,
        "quiet": True,
        "batch_size": PASS_BATCH[weights.arch],
    }
    return [features.extract(backbone, part, **settings) for part in sets]


def preset():
    """Return the transform of all runs and networks: 224 x 224, no augmentation."""
    return models.find_weights("alexnet", WEIGHTS, quiet=True).transforms()


def matrix_gflops(device: str, *, times: int = 10) -> float:
    """Return the speed of a float32 matrix product at best, in 10^9 operations per second."""
    left, right = (torch.rand(SIDE, SIDE, device=device) for _ in range(2))
    durations = []
    for _ in range(times):
        start = clock(device)
        torch.mm(left, right)
        durations.append(clock(device) - start)
    return 2 * SIDE**3 / min(durations) / 1e9


def clock(device: str) -> float:
    """Return the time in seconds, after waiting for the device."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter()


def gpu_gib() -> float | None:
    """Return the peak memory on the GPU, or None if there is none."""
    return torch.cuda.max_memory_allocated() / GIB if torch.cuda.is_available() else None


if __name__ == "__main__":
    main()
