"""One measured run in a process of its own; prints one line of JSON.

    python bench/one.py post ARCH       the post's loop: all layers in every epoch
    python bench/one.py course ARCH     the course's way: the backbone once, then the head
    python bench/one.py extractor ARCH  torchvision's create_feature_extractor, then the post's loop
    python bench/one.py logistic ARCH   the same features, then scikit-learn's LogisticRegression
    python bench/one.py fastai ARCH     fastai's vision_learner and fine_tune
    python bench/one.py peak            what the machine reaches: matrix products, memory

`bench.py` runs it. The clock starts when everything is imported and the images are found, and
stops when the network is trained; building it counts. Peak memory is that of the whole process.
"""

import argparse
import json
import os
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.datasets import ImageFolder
from torchvision.models.feature_extraction import create_feature_extractor

from tutorial_utils import data, lesson, models
from tutorial_utils._support.precision import native_bf16

GIB = 2**30
LR = 1e-4
POST_BATCH, COURSE_BATCH = 20, 64
# Images per batch of the one pass: AlexNet's is short and should need little memory; VGG16's is
# faster with larger batches.
PASS_BATCH = {"alexnet": 16, "vgg16": 32}
EPOCHS = 12
WEIGHTS = "demo"
SIDE = 2048  # of the square matrices whose product is timed
COPIED = 2**28  # bytes of the tensor whose copy is timed, more than a processor's cache holds
# Memory traffic of one training step with fused Adam, in float32: a weight is read forward and
# backward, its gradient is written; Adam reads four values and writes three. And of an evaluation.
STEP_BYTES, EVALUATION_BYTES = 4 * (2 + 1 + 4 + 3), 4


def main() -> None:
    """Run the kind that the command line names and print the result."""
    options = parse()
    if options.cache:
        os.environ["ANTS_BEES_CACHE"] = options.cache
    if options.kind == "peak":
        result = peak(options.device)
    else:
        images = data.load(options.images, quiet=True)
        settings = {"seed": options.seed, "epochs": options.epochs}
        result = WAYS[options.kind](options.arch, images, device=options.device, **settings)
        result |= {"arch": options.arch} | settings
    result |= {"kind": options.kind, "device": options.device}
    print(json.dumps(result | {"peak_gib": lesson.peak_bytes() / GIB, "gpu_gib": gpu_gib()}))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=(*WAYS, "peak"))
    parser.add_argument("arch", nargs="?", choices=models.ARCHS, default="alexnet")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
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
    network = new_network(arch, images, seed).to(device)
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


def new_network(arch: str, images: data.ImageSet, seed: int) -> nn.Module:
    """Return the network with a frozen backbone and a new last layer."""
    torch.manual_seed(seed)
    network = models.build(arch, weights=WEIGHTS, quiet=True)
    for parameter in network.features.parameters():
        parameter.requires_grad = False
    network.classifier[-1] = nn.Linear(4096, len(images.classes))
    return network


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
    `subspace`: its accuracy is compared with that of the post's recipe.
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
    values = sum(parameter.numel() for parameter in small.parameters())
    steps, evaluations = (-(-len(part) // COURSE_BATCH) * epochs for part in (train, val))
    wide = training.evaluate(head, data.loader(val, batch_size=COURSE_BATCH))
    return {
        "seconds": seconds,
        "features_s": features_s,
        "head_s": seconds - features_s,
        "head_bytes": values * (STEP_BYTES * steps + EVALUATION_BYTES * evaluations),
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


def extractor(arch: str, images: data.ImageSet, *, seed: int, epochs: int, device: str) -> dict:
    """Run the post's loop on features that torchvision's feature extractor computes once.

    The frozen layers give the same features for an image in every epoch, so this computes what the
    post's loop computes without the repeated passes; `bench.py` compares one epoch of each.
    """
    start = clock(device)
    network = new_network(arch, images, seed)
    train, val = extract_both(network, images, device)
    features_s = clock(device) - start
    sets = (TensorDataset(*train), TensorDataset(*val))
    rows = loop(network.classifier.to(device), *sets, seed=seed, epochs=epochs, device=device)
    return {"seconds": clock(device) - start, "features_s": features_s, "curve": rows}


def logistic(arch: str, images: data.ImageSet, *, seed: int, epochs: int, device: str) -> dict:
    """Fit scikit-learn's logistic regression, which needs no epochs, on the same features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    start = clock(device)
    (train, labels), (val, val_labels) = extract_both(
        new_network(arch, images, seed), images, device
    )
    features_s = clock(device) - start
    head = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    head.fit(train.numpy(), labels.numpy())
    correct = int((head.predict(val.numpy()) == val_labels.numpy()).sum())
    seconds = clock(device) - start
    curve = [{"seconds": seconds - features_s, "correct": correct, "total": len(val)}]
    return {"seconds": seconds, "features_s": features_s, "curve": curve}


def fastai(arch: str, images: data.ImageSet, *, seed: int, epochs: int, device: str) -> dict:
    """Run fastai's `fine_tune` with default settings: one epoch frozen, then all layers."""
    from fastai.vision import all as fast

    start = clock(device)
    fast.set_seed(seed)
    loaders = fast.ImageDataLoaders.from_folder(
        images.root,
        train="train",
        valid="val",
        device=torch.device(device),
        item_tfms=fast.Resize(preset().crop_size[0]),
        batch_tfms=fast.Normalize.from_stats(*fast.imagenet_stats),
    )
    curve, ends = [], [clock(device)]

    class Rows(fast.Callback):
        order = fast.Recorder.order + 1  # after the epoch's values are recorded

        def after_epoch(self):
            ends.append(clock(device))
            val_loss, share = self.recorder.values[-1][1:]
            total = len(loaders.valid_ds)
            row = {"seconds": ends[-1] - ends[-2], "val_loss": val_loss}
            curve.append(row | {"correct": round(share * total), "total": total})

    learner = fast.vision_learner(
        loaders,
        lambda pretrained: models.build(arch, weights=WEIGHTS, quiet=True),
        metrics=fast.accuracy,
        cbs=Rows(),
    )
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(epochs - 1)
    return {"seconds": clock(device) - start, "curve": curve}


def extract_both(network: nn.Module, images: data.ImageSet, device: str) -> list[tuple]:
    """Return features (N, D) and labels (N,) of train and val, by torchvision's extractor."""
    backbone = create_feature_extractor(network.eval(), {"flatten": "features"}).to(device)
    found = []
    for split in data.SPLITS:
        loader = DataLoader(ImageFolder(images.root / split, preset()), batch_size=POST_BATCH)
        with torch.no_grad():
            parts = [(backbone(x.to(device))["features"].cpu(), labels) for x, labels in loader]
        found.append(tuple(map(torch.cat, zip(*parts, strict=True))))
    return found


def both_splits(weights: models.Weights, images: data.ImageSet, device: str) -> list:
    """Return the features of train and val, from the cache if they are there."""
    from tutorial_utils import features

    backbone = models.build_backbone(weights)
    sets = [images.dataset(split, preset()) for split in data.SPLITS]
    settings = {"device": device, "quiet": True, "batch_size": PASS_BATCH[weights.arch]}
    return [features.extract(backbone, part, **settings) for part in sets]


def preset():
    """Return the transform of all runs and networks: 224 x 224, no augmentation."""
    return models.find_weights("alexnet", WEIGHTS, quiet=True).transforms()


def peak(device: str) -> dict:
    """Return what the machine reaches: the fastest matrix product that the pass uses, a copy.

    The product is in float32, or in bfloat16 where the device computes that natively, as
    `features.extract` does. In 10^9 operations and 10^9 bytes (read and written) per second.
    """
    dtype = torch.bfloat16 if native_bf16(device) else torch.float32
    left, right = (torch.rand(SIDE, SIDE, device=device).to(dtype) for _ in range(2))
    single = torch.rand(SIDE, SIDE, device=device)
    source = torch.ones(COPIED // 4, device=device)
    target = torch.ones_like(source)
    return {
        "gflops": 2e-9 * SIDE**3 / fastest(lambda: torch.mm(single, single), device),
        "gflops_pass": 2e-9 * SIDE**3 / fastest(lambda: torch.mm(left, right), device),
        "dtype_pass": str(dtype).removeprefix("torch."),
        "gb_per_s": 2e-9 * COPIED / fastest(lambda: target.copy_(source), device),
    }


def fastest(work: Callable[[], object], device: str, *, times: int = 10) -> float:
    """Return the seconds of the fastest of several calls."""
    durations = []
    for _ in range(times):
        start = clock(device)
        work()
        durations.append(clock(device) - start)
    return min(durations)


def clock(device: str) -> float:
    """Return the time in seconds, after waiting for the device."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter()


def gpu_gib() -> float | None:
    """Return the peak memory on the GPU, or None if there is none."""
    return torch.cuda.max_memory_allocated() / GIB if torch.cuda.is_available() else None


WAYS = {
    "post": post,
    "course": course,
    "extractor": extractor,
    "logistic": logistic,
    "fastai": fastai,
}

if __name__ == "__main__":
    main()
