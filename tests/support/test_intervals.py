"""Tests of `tutorial_utils._support.intervals`: Wilson's interval, bootstrap, ranges."""

import math
import re
from statistics import NormalDist

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tutorial_utils._support import intervals


def test_the_interval_of_the_post():
    low, high = intervals.interval(139, 153)
    assert (round(low, 3), round(high, 3)) == (0.852, 0.945)
    assert intervals.interval(numpy.int64(139), numpy.int32(153)) == (low, high)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.floats(0.5, 0.99),
)
def test_the_interval_is_wilsons(counts, level):
    correct, total = counts
    low, high = intervals.interval(correct, total, level=level)
    z, p = NormalDist().inv_cdf((1 + level) / 2), correct / total
    middle = (p + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * math.sqrt(p * (1 - p) / total + z**2 / (4 * total**2))
    assert low == pytest.approx(max(0, middle - half), abs=1e-9)
    assert high == pytest.approx(min(1, middle + half), abs=1e-9)
    assert 0 <= low <= p <= high <= 1


@pytest.mark.parametrize(
    ("correct", "total", "message"),
    [
        (0, 0, "total must be a whole number from 1, not 0"),
        (3, 2, "correct must be at most total, not 3 of 2"),
        (-1, 2, "correct must be a whole number from 0, not -1"),
        (1.0, 2, "correct must be a whole number from 0, not 1.0"),
        (1, "2", "total must be a whole number from 1, not '2'"),
        (True, 2, "correct must be a whole number from 0, not True"),
    ],
)
def test_counts_that_are_not_possible(correct, total, message):
    with pytest.raises(ValueError, match=message):
        intervals.interval(correct, total)
    with pytest.raises(ValueError, match=message):
        intervals.describe(correct, total)


@pytest.mark.parametrize("level", [0, 1, 95, -0.5, math.nan, "0.95", True])
def test_level_is_between_0_and_1(level):
    message = f"level must be a number between 0 and 1, e.g. 0.95, not {level!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        intervals.interval(1, 2, level=level)


def test_describe():
    assert intervals.describe(140, 153) == "0.915 (140/153), 95% interval 0.860 to 0.950"
    assert "99.5% interval" in intervals.describe(140, 153, level=0.995)


def test_mean_and_range():
    assert intervals.mean_and_range([0.9, 0.8, 1]) == pytest.approx((0.9, 0.8, 1.0))
    assert intervals.mean_and_range(v for v in (1, 3)).mean == 2.0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_the_mean_is_within_the_range(values):
    found = intervals.mean_and_range(values)
    assert found.low <= found.mean + 1e-9 and found.mean <= found.high + 1e-9


@pytest.mark.parametrize("values", [[0.5, math.nan], [math.inf], ["0.5"], [None], []])
def test_values_must_be_finite_numbers(values):
    message = "values must be finite numbers, not" if values else "there are no values"
    with pytest.raises(ValueError, match=message):
        intervals.mean_and_range(values)


def test_the_bootstrap_agrees_with_wilson_on_an_accuracy():
    low, high = intervals.bootstrap([True] * 140 + [False] * 13)
    expected = intervals.interval(140, 153)
    assert low == pytest.approx(expected[0], abs=0.02)
    assert high == pytest.approx(expected[1], abs=0.02)
    assert low < 140 / 153 < high


def test_the_bootstrap_contains_the_true_mean_about_as_often_as_it_should():
    samples = numpy.random.default_rng(1).normal(3.0, 1.0, size=(120, 60))
    ends = [intervals.bootstrap(sample, draws=400) for sample in samples]
    assert 0.85 * 120 <= sum(low <= 3.0 <= high for low, high in ends) <= 119


def test_the_bootstrap_depends_on_its_seed_alone():
    values = torch.rand(40, generator=torch.Generator().manual_seed(0))
    state = numpy.random.get_state()[1].copy()
    assert intervals.bootstrap(values, draws=300) == intervals.bootstrap(values, draws=300)
    assert intervals.bootstrap(values, draws=300) != intervals.bootstrap(values, draws=300, seed=1)
    assert (numpy.random.get_state()[1] == state).all()
    assert intervals.bootstrap([1.0] * 5) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("values", "options", "said"),
    [
        ([1.0], {}, "at least two values, not 1"),
        ([1.0, float("nan")], {}, "finite numbers"),
        ([0.0, 1.0], {"level": 95}, "between 0 and 1"),
        ([0.0, 1.0], {"draws": 10}, "draws must be a whole number from 100"),
        ([0.0, 1.0], {"seed": -1}, "seed must be a whole number from 0"),
    ],
)
def test_a_bootstrap_of_bad_arguments(values, options, said):
    with pytest.raises(ValueError, match=said):
        intervals.bootstrap(values, **options)
