"""What a trained network gets right and wrong, and how sure that can be.

Sources:
    Wilson, "Probable inference, the law of succession, and statistical inference" (1927), the
    interval used here: https://doi.org/10.1080/01621459.1927.10502953
    Brown, Cai and DasGupta, "Interval estimation for a binomial proportion" (2001), why this
    interval and not the textbook's: https://doi.org/10.1214/ss/1009213286
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import NamedTuple

import numpy
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset, RandomSampler, Subset


@dataclass(frozen=True, eq=False)
class Predictions:
    """A network's scores for a set of images, in the set's order.

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
        """Return the number of images, N."""
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
        """Each image's cross-entropy in nats, (N,)."""
        return cross_entropy(self.logits, self.labels, reduction="none")

    @property
    def correct(self) -> Tensor:
        """Whether each image was classified rightly, (N,) bool."""
        return self.predicted == self.labels

    @property
    def total(self) -> int:
        """The number of images, N."""
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


class Comparison(NamedTuple):
    """Two networks on the same images, and how likely a split this uneven is by chance.

    Attributes:
        both: images that both classify rightly.
        only_first: images that only the first one gets right.
        only_second: images that only the second one gets right.
        neither: images that both get wrong.
        p_value: how likely a fair coin splits `only_first + only_second` at least as unevenly;
            1.0 if there is nothing to split.
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """How often a network is right when it says it is so sure, bin by bin.

    Attributes:
        edges: (B + 1,) float64, from 0 to 1: the bins of the highest probability.
        counts: (B,) int64, the images in each bin.
        confidence: (B,) float64, the mean highest probability in each bin, NaN where it is empty.
        accuracy: (B,) float64, the fraction classified rightly in each bin, NaN where it is empty.
        error: the expected calibration error: the mean of |accuracy - confidence| over all
            images, each counted with the figures of its bin.
    """

    edges: numpy.ndarray
    counts: numpy.ndarray
    confidence: numpy.ndarray
    accuracy: numpy.ndarray
    error: float


def predict(
    network: nn.Module, loader: DataLoader, *, device: str | torch.device | None = None
) -> Predictions:
    """Score every image in evaluation mode, without gradients.

    The modes of the network's modules and the caller's generator are left as they were.

    Args:
        network: maps a batch to logits (N, K).
        loader: gives batches of (inputs, labels (N,) int64), in the data set's order.
        device: where to compute; None stays where the network is. The network remains there.

    Returns:
        The predictions, on the CPU, so that index i is image i of the data set.

    Raises:
        ValueError: if the loader is empty or shuffles, or the outputs do not fit the labels.
    """
    if len(loader) == 0:
        raise ValueError("the loader is empty: it gives no batch. Look at the data set's length")
    if isinstance(loader.sampler, RandomSampler):
        raise ValueError(
            "the loader shuffles, so a prediction could not be traced to its image: make it "
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
    from sklearn.metrics import confusion_matrix  # loaded when used: it takes memory

    return confusion_matrix(predictions.labels, predictions.predicted, labels=range(classes))


def worst(predictions: Predictions, *, count: int = 8) -> list[int]:
    """Return the indices of the images with the highest loss, the worst first.

    These are the images that the network is most surely wrong about. When fewer are wrong than
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
        correct: images classified rightly.
        total: images in all.
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
    _check_level(level)
    from scipy import stats  # loaded when used: it takes memory

    ends = stats.binomtest(int(correct), int(total)).proportion_ci(float(level), method="wilson")
    return float(ends.low), float(ends.high)


def bootstrap(
    values: Iterable[float], *, level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Return a bootstrap interval for the mean of independent values.

    It resamples the values, with replacement, and takes the middle `level` of the means. For a
    plain accuracy `interval` is better founded; this one also serves where no formula does, e.g.
    for the mean loss.

    Args:
        values: numbers or booleans, e.g. `predictions.correct` or `predictions.losses`.
        level: how often such an interval holds the true mean, between 0 and 1.
        draws: resamplings.
        seed: of the resampling; global generators are left alone.

    Returns:
        The interval's ends.

    Raises:
        ValueError: if there are fewer than two values, or one is no finite number.

    Source:
        Efron, "Bootstrap methods: another look at the jackknife" (1979), the percentile method,
        by `scipy.stats.bootstrap`: https://doi.org/10.1214/aos/1176344552
    """
    sample = numpy.asarray([float(value) for value in values])
    if len(sample) < 2:
        raise ValueError(f"a bootstrap needs at least two values, not {len(sample)}")
    if not numpy.isfinite(sample).all():
        raise ValueError(f"values must be finite numbers, not {sample[~numpy.isfinite(sample)][0]}")
    _check_level(level)
    _check_whole(draws, "draws", 100)
    _check_whole(seed, "seed", 0)
    if (sample == sample[0]).all():
        return float(sample[0]), float(sample[0])
    from scipy import stats  # loaded when used: it takes memory

    ends = stats.bootstrap(
        (sample,),
        numpy.mean,
        n_resamples=int(draws),
        confidence_level=float(level),
        method="percentile",
        rng=numpy.random.default_rng(seed),
        batch=1000,
    ).confidence_interval
    return float(ends.low), float(ends.high)


def mcnemar(first: Predictions, second: Predictions) -> Comparison:
    """Compare two networks on the same images by McNemar's exact test.

    Images that both get right, or both wrong, say nothing about which is better. If both were
    equally good, the others would fall to either side like coin tosses.

    Args:
        first: what `predict` returned for one network.
        second: the same for the other network, on the same images in the same order.

    Raises:
        ValueError: if the labels of the two differ.

    Source:
        McNemar (1947), the exact form, by `scipy.stats.binomtest`:
        https://doi.org/10.1007/BF02295996
    """
    if not torch.equal(first.labels, second.labels):
        raise ValueError(
            f"the two were not asked about the same images: {len(first)} and {len(second)} "
            f"labels, which differ. Predict both with one loader that does not shuffle"
        )
    from scipy import stats  # loaded when used: it takes memory

    one, two = first.correct, second.correct
    only_first, only_second = int((one & ~two).sum()), int((two & ~one).sum())
    split = only_first + only_second
    p_value = float(stats.binomtest(only_first, split).pvalue) if split else 1.0
    both, neither = int((one & two).sum()), int((~one & ~two).sum())
    return Comparison(both, only_first, only_second, neither, p_value)


def calibration(predictions: Predictions, *, bins: int = 10) -> Calibration:
    """Hold how sure a network is against how often it is right.

    Args:
        predictions: what `predict` returned.
        bins: how many bins of equal width the highest probability is sorted into.

    Source:
        Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks" (2017):
        https://arxiv.org/abs/1706.04599
    """
    _check_whole(bins, "bins", 1)
    edges = numpy.linspace(0.0, 1.0, int(bins) + 1)
    sure = predictions.probabilities.amax(dim=1).double().numpy()  # (N,)
    right = predictions.correct.double().numpy()
    # A bin holds its upper edge: (low, high].
    place = numpy.clip(numpy.searchsorted(edges, sure, side="left") - 1, 0, bins - 1)
    counts = numpy.bincount(place, minlength=bins)
    with numpy.errstate(invalid="ignore"):
        confidence = numpy.bincount(place, sure, minlength=bins) / counts
        accuracy = numpy.bincount(place, right, minlength=bins) / counts
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
    """Predict every image of a set by a network that was trained on the others.

    The set is cut into `folds` parts with the same share of every class; each part is predicted
    by the network that `fit` made of the rest.

    Args:
        dataset: gives (input, label) by index, e.g. what `features.extract` returned.
        labels: the label of each, (N,), whole numbers from 0.
        fit: gets the part to train on and the number of the fold, from 0; returns the network.
        folds: how many parts, from 2, and not more than the smallest class has images.
        seed: of the cut; global generators are left alone.
        batch_size: of the prediction.
        device: where to predict; None stays where the network is.

    Returns:
        One prediction for each image, in the set's order.

    Raises:
        ValueError: if the sizes do not match, or a class has fewer images than there are folds.

    Source:
        Kohavi, "A study of cross-validation and bootstrap for accuracy estimation and model
        selection" (1995): https://www.ijcai.org/Proceedings/95-2/Papers/016.pdf
    """
    labels = numpy.asarray([int(label) for label in labels])
    _check_whole(folds, "folds", 2)
    if len(labels) != len(dataset):
        raise ValueError(f"there are {len(labels)} labels for {len(dataset)} images")
    smallest = int(numpy.bincount(labels)[numpy.unique(labels)].min()) if len(labels) else 0
    if smallest < folds:
        raise ValueError(
            f"the smallest class has {smallest} images, too few for {folds} folds: take at "
            f"most {max(smallest, 0)} folds, or add images"
        )
    from sklearn.model_selection import StratifiedKFold  # loaded when used: it takes memory

    cut = StratifiedKFold(int(folds), shuffle=True, random_state=seed)
    logits: Tensor | None = None
    for fold, (rest, part) in enumerate(cut.split(labels, labels)):
        network = fit(Subset(dataset, rest.tolist()), fold)
        loader = DataLoader(Subset(dataset, part.tolist()), batch_size=batch_size)
        scores = predict(network, loader, device=device).logits  # (n, K)
        if logits is None:
            logits = torch.zeros(len(labels), scores.shape[1])
        logits[torch.from_numpy(part)] = scores
    return Predictions(logits, torch.from_numpy(labels))


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


def _check_level(level: object) -> None:
    if not _real(level) or not 0 < level < 1:
        raise ValueError(f"level must be a number between 0 and 1, e.g. 0.95, not {level!r}")


def _check_whole(value: object, name: str, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be a whole number from {least}, not {value!r}")
