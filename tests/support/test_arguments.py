"""Tests of `tutorial_utils._support.arguments`."""

import re

import numpy as np
import pytest

from tutorial_utils._support.arguments import check_choice, check_share, check_whole, is_finite

NAN, INF = float("nan"), float("inf")


def test_values_that_are_allowed():
    for value in (1, 3, np.int64(2)):
        check_whole("k", value, 1, 3)
        check_whole("k", value, 1)
    for value in (0, 0.5, 1, np.float32(0.25)):
        check_share("k", value)
    check_choice("k", "vgg16", ["alexnet", "vgg16"])


@pytest.mark.parametrize(
    ("check", "limits", "values", "message"),
    [
        (check_whole, (1, 3), [0, -1, 4, 2.0, "2", True, None, NAN], "a whole number from 1 to 3"),
        (check_whole, (1,), [0], "a whole number from 1"),
        (check_share, (), [-0.1, 1.1, NAN, INF, "0.5", True, None], "a number from 0 to 1"),
    ],
)
def test_values_that_are_not(check, limits, values, message):
    for value in values:
        with pytest.raises(ValueError, match=re.escape(f"k must be {message}, not {value!r}")):
            check("k", value, *limits)


def test_a_share_above_zero():
    with pytest.raises(ValueError, match="^flip must be a number above 0, and 1 at most, not 0$"):
        check_share("flip", 0, zero=False)


@pytest.mark.parametrize("value", ["vgg", None, 3, ["vgg16"]])
def test_unknown_choices(value):
    message = f"unknown arch {value!r}; allowed: alexnet, vgg16"
    with pytest.raises(ValueError, match=re.escape(message)):
        check_choice("arch", value, iter(["alexnet", "vgg16"]))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, True), (1.5, True), (np.float32(2), True), (NAN, False), (INF, False), (True, False)]
    + [("1", False), (None, False), (1j, False)],
)
def test_finite_numbers(value, expected):
    assert is_finite(value) is expected
