"""Predict the classes of image files; a file that cannot be read does not stop the others."""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from tutorial_utils import data, models
from tutorial_utils._support import folders, image_files
from tutorial_utils._support.arguments import check_whole
from tutorial_utils._support.files import not_regular
from tutorial_utils.own_images.classifier import Classifier


class Prediction(NamedTuple):
    """What a classifier predicts for one file."""

    path: Path
    probabilities: Tensor | None  # (K,) float32, or None if the file could not be read
    problem: str | None = None  # why it could not be read


def expand(
    paths: Iterable[str | Path], *, report: Callable[[Path, str], object] | None = None
) -> Iterator[Path]:
    """Yield files as given, and for a folder the images in it and below, without hidden ones.

    A folder without images is yielded itself: `predict_files` reports it.

    Args:
        paths: files and folders.
        report: is called with each folder that cannot be read, or is not read again because it
            is a link to one that is read, and the reason in a few words.

    Raises:
        ValueError: if a path is an empty text.
    """
    for path in paths:
        if not str(path):
            raise ValueError("an empty path was given: write . for the images in this folder")
        path = Path(path).expanduser()
        yield from _images_in(path, report) or [path]


def _images_in(path: Path, report: Callable[[Path, str], object] | None) -> list[Path]:
    """Return the images in a folder and below; see `expand` for `report`."""
    if not os.path.isdir(path):
        return []
    found = folders.walk(path, report=report and (lambda inner, why: report(path / inner, why)))
    images = [path / name for name in found if folders.is_image_name(name)]
    return sorted(images, key=lambda image: (image.parent.parts, image.name))


def predict_files(
    classifier: Classifier,
    paths: Iterable[str | Path],
    *,
    batch_size: int = 16,
    device: str | torch.device = "cpu",
) -> Iterator[Prediction]:
    """Predict image files one batch at a time.

    Args:
        classifier: from `build` or `load`.
        paths: files; see `expand` for folders.
        batch_size: images that go through the network at once.
        device: where to compute.

    Yields:
        One prediction for each path, in the same order.

    Raises:
        ValueError: if `batch_size` is not a whole number from 1.
    """
    check_whole("batch_size", batch_size, 1)
    waiting: list[tuple[Path, Tensor | str]] = []
    for path in paths:
        path = Path(path).expanduser()
        waiting.append((path, _prepare(classifier.preset, path)))
        if sum(isinstance(image, Tensor) for _, image in waiting) == batch_size:
            yield from _predict(classifier, waiting, device)
            waiting = []
    yield from _predict(classifier, waiting, device)


def _predict(
    classifier: Classifier, waiting: list[tuple[Path, Tensor | str]], device: str | torch.device
) -> Iterator[Prediction]:
    """Yield the predictions of a batch; a text stands for an image that could not be read."""
    images = [image for _, image in waiting if isinstance(image, Tensor)]
    if images:
        rows = iter(classifier.logits(torch.stack(images), device=device).softmax(dim=1))
    for path, image in waiting:
        if isinstance(image, Tensor):
            yield Prediction(path, next(rows))
        else:
            yield Prediction(path, None, image)


def _prepare(preset: models.Preset, path: Path) -> Tensor | str:
    """Return an image as the network's input, or the reason why it cannot be used."""
    if reason := not_regular(path):
        return "a folder without images" if os.path.isdir(path) else reason
    try:
        with warnings.catch_warnings(action="ignore"):  # the reason says what matters
            return preset(data.open_image(path))
    except (OSError, ValueError) as error:
        return image_files.reason(error.__cause__ or error)
