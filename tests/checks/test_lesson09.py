"""Tests of the checks of lesson 09: correct answers, and every usual slip with its own hint."""

import pytest
import torch
from assertions import assert_verdict

from tutorial_utils.checks.lesson09 import decay_leaves, right_angle, spoiled_caches, unseen_change


@pytest.mark.parametrize("check", [right_angle, unseen_change])
def test_a_function_that_is_a_stub_is_open(check):
    assert_verdict(check(lambda *given: ...), "open", "not answered yet")


# spoiled_caches


@pytest.mark.parametrize(
    "answer",
    [
        "bde",
        "E, D, B",
        "b) d) e)",
        "b;d;e",
        "b, d and e",
        "Cases b, d and e.",
        "b_d_e",
        "bd/e",
        {"b", "d", "e"},
        ["d", "B", "e"],
    ],
)
def test_spoiled_caches(answer):
    assert_verdict(spoiled_caches(answer), "correct", "^correct: weights that move")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("abde", r"correct in case a\).*another order"),
        ("bcde", r"correct in case c\).*dropout"),
        ("bdef", r"correct in case f\).*learning rate"),
        ("de", "is missing.*weights that computed the values"),
        ("be", "is missing.*in every epoch"),
        ("bd", "is missing.*without being trained"),
        ("b and d", "is missing.*without being trained"),
        ("b and a", r"correct in case a\)"),
        ("", "letters a to f"),
        ("xyz", "letters a to f"),
        ([], "letters a to f"),
        ({"b": True, 3: False}, "expected letters, not a value of type dict"),
    ],
)
def test_slips_of_spoiled_caches(answer, text):
    assert_verdict(spoiled_caches(answer), "wrong", text)


# decay_leaves

SHARES = {"momentum": 0.00005, "Adam": 0.51}


@pytest.mark.parametrize("answer", ["b", "B", "b)", " b "])
def test_weight_decay_leaves_the_span(answer):
    assert_verdict(decay_leaves(answer, 0.9, SHARES), "correct", "^correct: 90% lies outside")
    assert_verdict(decay_leaves(answer, torch.tensor(0.9), SHARES), "correct")


@pytest.mark.parametrize(
    ("answer", "share", "text"),
    [
        ("a", 0.9, "rounding is in both runs, and without decay 0.01%"),
        ("c", 0.9, "momentum is in both runs"),
        ("d", 0.9, 'expected "a", "b" or "c"'),
        (2, 0.9, 'expected "a", "b" or "c"'),
        ("b", None, "nothing is measured"),
        ("b", ..., "nothing is measured"),
        ("b", (0.9, 1, 2), "expected a number, not a value of type tuple"),
        ("b", 90, "not between 0 and 1"),
        ("b", 0.51, "51.00% is Adam's share"),
        ("b", 0.00005, "hardly more than 0.01%.*weight_decay"),
    ],
)
def test_slips_of_weight_decay(answer, share, text):
    assert_verdict(decay_leaves(answer, share, SHARES), "wrong", text)


def test_weight_decay_is_open_until_a_letter_is_given():
    assert_verdict(decay_leaves(..., None, SHARES), "open")


# right_angle


@pytest.mark.parametrize(
    "answer",
    [
        lambda x: torch.stack([-x[1], x[0]]),
        lambda x: [x[1].item() * 3, -x[0].item() * 3],
        lambda x: torch.linalg.svd(x[None]).Vh[1],
        lambda x: unit_minus_along(x),
    ],
)
def test_a_right_angle(answer):
    assert_verdict(right_angle(answer), "correct", "^correct: the two products cancel")


def unit_minus_along(x):
    change = torch.tensor([1.0, 0.7])
    return change - (change @ x) / (x @ x) * x


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda x: x, r"x = \[3.0, 1.0\] your change \[3.0, 1.0\] goes along x"),
        (lambda x: -2 * x, "goes along x"),
        (lambda x: x.flip(0), "swapped, and the two products add up"),
        (lambda x: torch.zeros(2), "that is zero"),
        (lambda x: torch.stack([1 / x[0], -1 / x[1]]), "not all numbers are finite"),
        (lambda x: torch.tensor([1.0, -3.0]), r"x = \[1.0, 2.0\] .* moves the sum by -5.000"),
        (lambda x: torch.ones(3), "your change has 3 numbers"),
        (lambda x: "text", "expected a tensor, not a value of type str"),
    ],
)
def test_slips_of_a_right_angle(answer, text):
    assert_verdict(right_angle(answer), "wrong", text)


# unseen_change


def left_over(values):
    basis = torch.linalg.qr(values.T).Q
    change = torch.randn(values.shape[1])
    return change - basis @ (basis.T @ change)


def last_direction(values):
    return torch.linalg.svd(values).Vh[-1:]


def by_inverse(values):
    change = torch.ones(values.shape[1], dtype=torch.float64)
    values = values.double()
    return (change - torch.linalg.pinv(values) @ (values @ change)).numpy() * 100


@pytest.mark.parametrize("answer", [left_over, last_direction, by_inverse])
def test_a_change_that_no_image_sees(answer):
    assert_verdict(unseen_change(answer), "correct", "^correct: a neuron's weights moved")


def inside(values):
    return values.sum(0)


def one_image_only(values):
    row = values[0] / values[0].norm()
    change = torch.ones(values.shape[1])
    return change - (change @ row) * row


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda values: torch.zeros(values.shape[1]), "that is zero, or almost zero"),
        (inside, "your change lies completely inside the span"),
        (
            lambda values: torch.linalg.svd(values, full_matrices=False).Vh[-1],
            "your change lies completely inside the span",
        ),
        (one_image_only, "your change moves the sum of image 3"),
        (lambda values: torch.randn(values.shape[1]), "your change moves the sum of image"),
        (lambda values: torch.ones(len(values)), "one for each image"),
        (lambda values: torch.ones(3, 5), r"\(4, 9\) your change has 15 numbers"),
        (lambda values: torch.full((values.shape[1],), torch.nan), "finite"),
        (lambda values: "text", "expected a tensor, not a value of type str"),
    ],
)
def test_slips_of_a_change_that_no_image_sees(answer, text):
    assert_verdict(unseen_change(answer), "wrong", text)
