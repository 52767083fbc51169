"""What a trained network gets right and wrong, and how sure that can be.

Sources:
    Wilson, "Probable inference, the law of succession, and statistical inference" (1927), the
    interval used here: https://doi.org/10.1080/01621459.1927.10502953
    Brown, Cai and DasGupta, "Interval estimation for a binomial proportion" (2001), why this
    interval and not the textbook's: https://doi.org/10.1214/ss/1009213286
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import NamedTuple

import numpy
import torch
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, RandomSampler


@dataclass(frozen=True, eq=False)
class Predictions:
    """A network's scores for a set of pictures, in the set's order.

    Attributes:
        logits: (N, K) float32, on the CPU.
        labels: (N,) int64, from 0 to K - 1.
    """

    logits: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        """Refuse shapes and labels that do not go together."""
        n = len(self.labels)
        if self.logits.ndim != 2 or tuple(self.labels.shape) != (len(self.logits),) or n == 0:
            raise ValueError(
                f"logits must be (N, K) and labels (N,), with N from 1, not "
                f"{tuple(self.logits.shape)} and {tuple(self.labels.shape)}"
            )
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= self.logits.shape[1]:
            raise ValueError(
                f"labels go from {low} to {high}, and the network scores {self.logits.shape[1]} "
                f"classes, from 0: give it a head with as many outputs as there are classes"
            )

    def __len__(self) -> int:
        """Return the number of pictures, N."""
        return len(self.labels)

    @property
    def probabilities(self) -> Tensor:
        """Softmax of the logits, (N, K); each row sums to 1."""
        return self.logits.softmax(dim=1)

    @property
    def predicted(self) -> Tensor:
        """The class of the highest score, (N,) int64."""
        return self.logits.argmax(dim=1)

    @property
    def losses(self) -> Tensor:
        """Each picture's cross-entropy in nats, (N,)."""
        return cross_entropy(self.logits, self.labels, reduction="none")

    @property
    def correct(self) -> Tensor:
        """Whether each picture was classified rightly, (N,) bool."""
        return self.predicted == self.labels

    @property
    def total(self) -> int:
        """The number of pictures, N."""
        return len(self)

    @property
    def accuracy(self) -> float:
        """The fraction classified rightly, correct over total."""
        return int(self.correct.sum()) / self.total


class Range(NamedTuple):
    """A mean with the lowest and the highest value."""

    mean: float
    low: float
    high: float


def predict(
    network: nn.Module, loader: DataLoader, *, device: str | torch.device | None = None
) -> Predictions:
    """Score every picture in evaluation mode, without gradients.

    The modes of the network's modules and the caller's generator are left as they were.

    Args:
        network: maps a batch to logits (N, K).
        loader: gives batches of (inputs, labels (N,) int64), in the data set's order.
        device: where to compute; None stays where the network is. The network remains there.

    Returns:
        The predictions, on the CPU, so that index i is picture i of the data set.

    Raises:
        ValueError: if the loader is empty or shuffles, or the outputs do not fit the labels.
    """
    if len(loader) == 0:
        raise ValueError("the loader is empty: it gives no batch. Look at the data set's length")
    if isinstance(loader.sampler, RandomSampler):
        raise ValueError(
            "the loader shuffles, so a prediction could not be traced to its picture: make it "
            "with shuffle=False"
        )
    if device is None:
        device = next((p.device for p in network.parameters()), torch.device("cpu"))
    network.to(device)
    modes = {module: module.training for module in network.modules()}
    logits, labels = [], []
    try:
        # A loader draws a number even when it does not shuffle.
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            network.eval()
            for inputs, batch_labels in loader:
                logits.append(network(inputs.to(device)).float().cpu())  # (n, K)
                labels.append(batch_labels.cpu())
    finally:
        for module, mode in modes.items():
            module.training = mode
    # Out of inference mode, so that what comes next may use them as any tensor.
    return Predictions(torch.cat(logits).clone(), torch.cat(labels).clone())


def confusion(predictions: Predictions, *, classes: int | None = None) -> numpy.ndarray:
    """Count how often each class was taken for each class.

    Args:
        predictions: what `predict` returned.
        classes: how many there are; None takes as many as the network scores.

    Returns:
        (K, K) int64: a row is the truth, a column what was predicted.

    Raises:
        ValueError: if a label or a prediction is of a class beyond `classes`.
    """
    if classes is None:
        classes = predictions.logits.shape[1]
    _check_whole(classes, "classes", 1)
    highest = int(max(predictions.labels.max(), predictions.predicted.max()))
    if highest >= classes:
        raise ValueError(
            f"class {highest} occurs, and classes={classes} counts from 0 to {classes - 1}: use "
            f"classes={predictions.logits.shape[1]}, as many as the network scores"
        )
    return confusion_matrix(predictions.labels, predictions.predicted, labels=range(classes))


def worst(predictions: Predictions, *, count: int = 8) -> list[int]:
    """Return the indices of the pictures with the highest loss, the worst first.

    These are the pictures that the network is most surely wrong about. When fewer are wrong than
    asked for, the rest are right, and the least sure.

    Args:
        predictions: what `predict` returned.
        count: how many at most.
    """
    _check_whole(count, "count", 1)
    order = predictions.losses.argsort(descending=True, stable=True)
    return order[:count].tolist()


def interval(correct: int, total: int, *, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's interval for an accuracy: which true accuracies the count is likely under.

    Args:
        correct: pictures classified rightly.
        total: pictures in all.
        level: how often such an interval holds the true accuracy, between 0 and 1.

    Returns:
        The interval's ends, as fractions.

    Raises:
        ValueError: if the counts or the level are not possible.

    Source:
        Wilson (1927), by `scipy.stats.binomtest`.
    """
    _check_whole(total, "total", 1)
    _check_whole(correct, "correct", 0)
    if correct > total:
        raise ValueError(f"correct must be at most total, not {correct} of {total}")
    if not _real(level) or not 0 < level < 1:
        raise ValueError(f"level must be a number between 0 and 1, e.g. 0.95, not {level!r}")
    ends = binomtest(int(correct), int(total)).proportion_ci(float(level), method="wilson")
    return float(ends.low), float(ends.high)


def describe(correct: int, total: int, *, level: float = 0.95) -> str:
    """Return e.g. `0.915 (140/153), 95% interval 0.860 to 0.950`."""
    low, high = interval(correct, total, level=level)
    return (
        f"{correct / total:.3f} ({correct}/{total}), "
        f"{100 * level:g}% interval {low:.3f} to {high:.3f}"
    )


def mean_and_range(values: Iterable[float]) -> Range:
    """Return mean, lowest and highest of a few numbers, such as one accuracy a seed.

    Raises:
        ValueError: if there is none, or one is no finite number.
    """
    values = list(values)
    if not values:
        raise ValueError("there are no values: give at least one, e.g. one accuracy a seed")
    odd = [value for value in values if not _real(value) or not math.isfinite(value)]
    if odd:
        raise ValueError(f"values must be finite numbers, not {odd[0]!r}")
    return Range(math.fsum(values) / len(values), float(min(values)), float(max(values)))


def _real(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _check_whole(value: object, name: str, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be a whole number from {least}, not {value!r}")
