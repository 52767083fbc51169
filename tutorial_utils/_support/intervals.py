"""Intervals and ranges for accuracies and other values; `evaluation` exports all of them."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy

from tutorial_utils._support.arguments import check_whole, is_finite


class Range(NamedTuple):
    """A mean with the lowest and the highest value."""

    mean: float
    low: float
    high: float


def interval(correct: int, total: int, *, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's confidence interval for an accuracy.

    Used in lessons 00, 07, 08, 10, 12 and 13.

    Args:
        correct: the number of images classified correctly.
        total: the number of images.
        level: the share of such intervals that contain the true accuracy, between 0 and 1.

    Returns:
        The ends of the interval, as fractions.

    Raises:
        ValueError: if the counts or the level are not possible.

    Source:
        Wilson, "Probable inference, the law of succession, and statistical inference" (1927):
        https://doi.org/10.1080/01621459.1927.10502953
        Why not the normal approximation: Brown, Cai and DasGupta, "Interval estimation for a
        binomial proportion" (2001): https://doi.org/10.1214/ss/1009213286
    """
    check_whole("total", total, 1)
    check_whole("correct", correct, 0)
    if correct > total:
        raise ValueError(f"correct must be at most total, not {correct} of {total}")
    _check_level(level)
    from scipy import stats  # takes memory

    ends = stats.binomtest(int(correct), int(total)).proportion_ci(float(level), method="wilson")
    return float(ends.low), float(ends.high)


def bootstrap(
    values: Iterable[float], *, level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Return a bootstrap interval for the mean of independent values.

    It resamples the values with replacement and takes the middle `level` of the means. For an
    accuracy use `interval`, which has a formula; this one also works for the mean loss.

    Used in lesson 07.

    Args:
        values: numbers or booleans, e.g. `predictions.correct` or `predictions.losses`.
        level: the share of such intervals that contain the true mean, between 0 and 1.
        draws: the number of resamplings.
        seed: of the resampling; global generators are not used.

    Returns:
        The ends of the interval.

    Raises:
        ValueError: if there are fewer than two values, or one is not finite.

    Source:
        Efron, "Bootstrap methods: another look at the jackknife" (1979), the percentile method:
        https://doi.org/10.1214/aos/1176344552
    """
    sample = numpy.asarray([float(value) for value in values])
    if len(sample) < 2:
        raise ValueError(f"a bootstrap needs at least two values, not {len(sample)}")
    if not numpy.isfinite(sample).all():
        raise ValueError(f"values must be finite numbers, not {sample[~numpy.isfinite(sample)][0]}")
    _check_level(level)
    check_whole("draws", draws, 100)
    check_whole("seed", seed, 0)
    if (sample == sample[0]).all():
        return float(sample[0]), float(sample[0])
    from scipy import stats  # takes memory

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


def describe(correct: int, total: int, *, level: float = 0.95) -> str:
    """Return text such as `0.915 (140/153), 95% interval 0.860 to 0.950`.

    Used in lessons 00, 01 and 06 to 12.
    """
    low, high = interval(correct, total, level=level)
    return (
        f"{correct / total:.3f} ({correct}/{total}), "
        f"{100 * level:g}% interval {low:.3f} to {high:.3f}"
    )


def mean_and_range(values: Iterable[float]) -> Range:
    """Return the mean, the lowest and the highest of a few values, such as one accuracy per seed.

    Used in lesson 10.

    Raises:
        ValueError: if there are no values, or one is not a finite number.
    """
    values = list(values)
    if not values:
        raise ValueError("there are no values: give at least one, e.g. one accuracy per seed")
    for value in values:
        if not is_finite(value):
            raise ValueError(f"values must be finite numbers, not {value!r}")
    return Range(math.fsum(values) / len(values), float(min(values)), float(max(values)))


def _check_level(level: object) -> None:
    if not is_finite(level) or not 0 < level < 1:
        raise ValueError(f"level must be a number between 0 and 1, e.g. 0.95, not {level!r}")
