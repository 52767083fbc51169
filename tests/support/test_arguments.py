"""Tests of `tutorial_utils._support.arguments`."""

import re

import numpy as np
import pytest

from tutorial_utils._support import arguments

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("value", [1, 3, np.int64(2)])
def test_whole_numbers(value):
    arguments.check_whole("k", value, 1, 3)
    arguments.check_whole("k", value, 1)


@pytest.mark.parametrize("value", [0, -1, 4, 2.0, "2", True, None, NAN])
def test_other_than_whole_numbers_of_a_range(value):
    message = f"k must be a whole number from 1 to 3, not {value!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        arguments.check_whole("k", value, 1, 3)


def test_a_whole_number_without_an_upper_limit():
    with pytest.raises(ValueError, match="^k must be a whole number from 1, not 0$"):
        arguments.check_whole("k", 0, 1)


@pytest.mark.parametrize("value", [0, 0.5, 1, np.float32(0.25)])
def test_shares(value):
    arguments.check_share("flip", value)


@pytest.mark.parametrize("value", [-0.1, 1.1, NAN, INF, "0.5", True, None])
def test_other_than_shares(value):
    with pytest.raises(ValueError, match=re.escape(f"from 0 to 1, not {value!r}")):
        arguments.check_share("flip", value)


def test_a_share_above_zero():
    with pytest.raises(ValueError, match="^flip must be a number above 0, and 1 at most, not 0$"):
        arguments.check_share("flip", 0, zero=False)


def test_choices():
    arguments.check_choice("arch", "vgg16", ["alexnet", "vgg16"])
    for value in ("vgg", None, 3, ["vgg16"]):
        message = f"unknown arch {value!r}; allowed: alexnet, vgg16"
        with pytest.raises(ValueError, match=re.escape(message)):
            arguments.check_choice("arch", value, iter(["alexnet", "vgg16"]))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, True), (1.5, True), (np.float32(2), True), (NAN, False), (INF, False), (True, False)]
    + [("1", False), (None, False), (1j, False)],
)
def test_finite_numbers(value, expected):
    assert arguments.is_finite(value) is expected
