"""Predictions of a trained network, and statistics of them: intervals, tests, calibration.

The intervals take plain numbers; they are in `_support.intervals`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset, RandomSampler, Subset

from tutorial_utils._support import inference
from tutorial_utils._support.arguments import check_whole
from tutorial_utils._support.intervals import Range, bootstrap, describe, interval, mean_and_range

__all__ = [
    "Calibration",
    "Comparison",
    "Predictions",
    "Range",
    "bootstrap",
    "calibration",
    "confusion",
    "cross_validate",
    "describe",
    "interval",
    "mcnemar",
    "mean_and_range",
    "predict",
    "worst",
]


@dataclass(frozen=True, eq=False)
class Predictions:
    """A network's logits for a data set, in the order of its images.

    Attributes:
        logits: (N, K) float32, on the CPU.
        labels: (N,) int64, from 0 to K - 1.
    """

    logits: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        """Raise ValueError if shapes or labels do not fit the logits."""
        shapes = tuple(self.logits.shape), tuple(self.labels.shape)
        if len(shapes[0]) != 2 or shapes[1] != shapes[0][:1] or not len(self.labels):
            raise ValueError(
                f"logits must be (N, K) and labels (N,), with N from 1, not {shapes[0]} and "
                f"{shapes[1]}"
            )
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= self.logits.shape[1]:
            raise ValueError(
                f"labels go from {low} to {high}, and there are logits for {self.logits.shape[1]} "
                f"classes, from 0: give the network a head with one output per class"
            )

    def __len__(self) -> int:
        """Return the number of images, N."""
        return len(self.labels)

    @property
    def probabilities(self) -> Tensor:
        """Softmax of the logits, (N, K); each row sums to 1."""
        return self.logits.softmax(dim=1)

    @property
    def predicted(self) -> Tensor:
        """The class with the highest logit, (N,) int64."""
        return self.logits.argmax(dim=1)

    @property
    def losses(self) -> Tensor:
        """The cross-entropy of each image in nats, (N,)."""
        return cross_entropy(self.logits, self.labels, reduction="none")

    @property
    def correct(self) -> Tensor:
        """Whether each image is classified correctly, (N,) bool."""
        return self.predicted == self.labels

    @property
    def total(self) -> int:
        """The number of images, N."""
        return len(self)

    @property
    def accuracy(self) -> float:
        """The fraction classified correctly, correct over total."""
        return int(self.correct.sum()) / self.total


class Comparison(NamedTuple):
    """Two networks on the same images: who classifies how many correctly, and McNemar's test.

    `p_value` is the probability that a fair coin splits `only_first + only_second` at least as
    unevenly; 1.0 if that sum is 0.
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """Confidence (the probability of the predicted class) and accuracy, by bins of confidence.

    Attributes:
        edges: (B + 1,) float64, the edges of the bins, from 0 to 1.
        counts: (B,) int64, the number of images in each bin.
        confidence: (B,) float64, the mean confidence in each bin, NaN where it is empty.
        accuracy: (B,) float64, the accuracy in each bin, NaN where it is empty.
        error: the expected calibration error: the mean of |accuracy - confidence| over the bins,
            weighted by their counts.
    """

    edges: numpy.ndarray
    counts: numpy.ndarray
    confidence: numpy.ndarray
    accuracy: numpy.ndarray
    error: float


def predict(
    network: nn.Module, loader: DataLoader, *, device: str | torch.device | None = None
) -> Predictions:
    """Return the logits of every image, in evaluation mode and without gradients.

    The modes of the network's modules and the caller's random generators are left as they were.

    Used in lessons 07 to 12.

    Args:
        network: maps a batch to logits (N, K).
        loader: gives batches of (inputs, labels (N,) int64), in the data set's order.
        device: where to compute; None leaves the network where it is. It stays there afterwards.

    Returns:
        The predictions, on the CPU: index i is image i of the data set.

    Raises:
        ValueError: if the loader is empty or shuffles, or the logits do not fit the labels.
    """
    inference.check_loader(loader, "loader")
    if isinstance(loader.sampler, RandomSampler):
        raise ValueError(
            "the loader shuffles, so predictions would not match their images: use shuffle=False"
        )
    device = inference.move_to(network, device)
    with inference.scored_batches(network, loader, device=device) as batches:
        pairs = [(logits.float().cpu(), labels.cpu()) for logits, labels in batches]
    logits, labels = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    # Copied outside inference mode, so that autograd accepts them.
    return Predictions(logits.clone(), labels.clone())


def confusion(predictions: Predictions, *, classes: int | None = None) -> numpy.ndarray:
    """Return the confusion matrix: how often each class was predicted for each class.

    Used in lessons 07 and 12.

    Args:
        predictions: what `predict` returned.
        classes: the number of classes; None takes as many as there are logits.

    Returns:
        (K, K) int64: rows are the true classes, columns the predicted ones.

    Raises:
        ValueError: if a label or a prediction is not below `classes`.
    """
    if classes is None:
        classes = predictions.logits.shape[1]
    check_whole("classes", classes, 1)
    highest = int(max(predictions.labels.max(), predictions.predicted.max()))
    if highest >= classes:
        raise ValueError(
            f"class {highest} occurs, and classes={classes} means 0 to {classes - 1}: use "
            f"classes={predictions.logits.shape[1]}, the number of logits"
        )
    from sklearn.metrics import confusion_matrix  # takes memory

    return confusion_matrix(predictions.labels, predictions.predicted, labels=range(classes))


def worst(predictions: Predictions, *, count: int = 8) -> list[int]:
    """Return the indices of the images with the highest loss, the highest first.

    Confident mistakes come first, images classified correctly with high confidence last.

    Used in lessons 07 and 11.

    Args:
        predictions: what `predict` returned.
        count: how many at most.
    """
    check_whole("count", count, 1)
    order = predictions.losses.argsort(descending=True, stable=True)
    return order[:count].tolist()


def mcnemar(first: Predictions, second: Predictions) -> Comparison:
    """Compare two networks on the same images by McNemar's exact test.

    Only the images that one of them classifies correctly and the other does not count. If both
    networks were equally good, each of these would favour either of them like a coin toss.

    Used in lessons 00, 01 and 07 to 11.

    Args:
        first: what `predict` returned for one network.
        second: the same for the other network, on the same images in the same order.

    Raises:
        ValueError: if the labels of the two differ.

    Source:
        McNemar (1947), the exact form: https://doi.org/10.1007/BF02295996
    """
    if not torch.equal(first.labels, second.labels):
        raise ValueError(
            f"the labels of the two predictions ({len(first)} and {len(second)}) differ: predict "
            f"the same images in the same order"
        )
    from scipy import stats  # takes memory

    one, two = first.correct, second.correct
    cases = (one & two, one & ~two, ~one & two, ~one & ~two)
    both, only_first, only_second, neither = (int(case.sum()) for case in cases)
    split = only_first + only_second
    p_value = float(stats.binomtest(only_first, split).pvalue) if split else 1.0
    return Comparison(both, only_first, only_second, neither, p_value)


def calibration(predictions: Predictions, *, bins: int = 10) -> Calibration:
    """Compare a network's confidence with its accuracy.

    Used in lesson 07.

    Args:
        predictions: what `predict` returned.
        bins: the number of bins of equal width for the confidence.

    Source:
        Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks" (2017):
        https://arxiv.org/abs/1706.04599
    """
    check_whole("bins", bins, 1)
    edges = numpy.linspace(0.0, 1.0, int(bins) + 1)
    highest = predictions.probabilities.amax(dim=1).double().numpy()  # (N,)
    correct = predictions.correct.double().numpy()
    # A bin includes its upper edge: (low, high].
    index = numpy.clip(numpy.searchsorted(edges, highest, side="left") - 1, 0, bins - 1)
    counts = numpy.bincount(index, minlength=bins)
    with numpy.errstate(invalid="ignore"):
        confidence = numpy.bincount(index, highest, minlength=bins) / counts
        accuracy = numpy.bincount(index, correct, minlength=bins) / counts
    gaps = numpy.abs(accuracy - confidence)
    error = float(numpy.nansum(gaps * counts) / len(predictions))
    return Calibration(edges, counts, confidence, accuracy, error)


def cross_validate(
    dataset: Dataset,
    labels: Iterable[int],
    fit: Callable[[Dataset, int], nn.Module],
    *,
    folds: int = 5,
    seed: int = 0,
    batch_size: int = 64,
    device: str | torch.device | None = None,
) -> Predictions:
    """Predict every image by a network that was trained without it (stratified k-fold).

    The data set is split into `folds` parts with equal shares of every class. Each part is
    predicted by the network that `fit` trained on the others.

    Used in lesson 11.

    Args:
        dataset: gives (input, label) by index, e.g. what `features.extract` returned.
        labels: the label of each image, (N,), whole numbers from 0.
        fit: is given the training part and the index of the fold, from 0; returns a network.
        folds: the number of parts, from 2, at most the number of images in the smallest class.
        seed: of the split; global generators are not used.
        batch_size: of the prediction.
        device: where to predict; None leaves each network where it is.

    Returns:
        One prediction for each image, in the data set's order.

    Raises:
        ValueError: if the sizes do not match, or a class has fewer images than there are folds.

    Source:
        Kohavi, "A study of cross-validation and bootstrap for accuracy estimation and model
        selection" (1995): https://www.ijcai.org/Proceedings/95-2/Papers/016.pdf
    """
    labels = numpy.asarray([int(label) for label in labels])
    check_whole("folds", folds, 2)
    if len(labels) != len(dataset):
        raise ValueError(f"there are {len(labels)} labels for {len(dataset)} images")
    smallest = int(numpy.unique(labels, return_counts=True)[1].min(initial=len(labels)))
    if smallest < folds:
        raise ValueError(
            f"the smallest class has {smallest} images, too few for {folds} folds: use fewer "
            f"folds, or add images"
        )
    from sklearn.model_selection import StratifiedKFold  # takes memory

    splitter = StratifiedKFold(int(folds), shuffle=True, random_state=seed)
    logits, order = [], []
    for fold, (rest, part) in enumerate(splitter.split(labels, labels)):
        network = fit(Subset(dataset, rest.tolist()), fold)
        loader = DataLoader(Subset(dataset, part.tolist()), batch_size=batch_size)
        logits.append(predict(network, loader, device=device).logits)  # (n, K)
        order.extend(part.tolist())
    return Predictions(torch.cat(logits)[torch.tensor(order).argsort()], torch.from_numpy(labels))
