"""Tests of the frame of all checks: three outcomes, and no answer that raises through it."""

import numpy
import pytest
import torch

from tutorial_utils.checks.verdict import Verdict, call, exercise, expect, number


@exercise
def doubled(answer) -> str:
    """Check a function x -> 2 x."""
    for given in (1, 5):
        got = number(call(answer, given), hint="return one number")
        expect(got != given, "that is x itself", hint="take it twice")
        expect(got == 2 * given, f"for {given} you gave {got:g}", hint="add it to itself")
    return "twice as much"


def test_a_right_answer():
    verdict = doubled(lambda x: x + x)
    assert verdict == Verdict("correct", "correct: twice as much")
    assert repr(verdict) == "correct: twice as much"


@pytest.mark.parametrize("stub", [..., None, lambda x: ..., lambda x: None])
def test_a_stub_is_not_answered_yet(stub):
    assert doubled(stub) == Verdict("open", "not answered yet")


def test_an_answer_that_says_so_is_not_answered_yet():
    def answer(x):
        raise NotImplementedError

    assert doubled(answer).state == "open"
    assert doubled().state == "open"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x: x, "not yet: that is x itself. Hint: take it twice"),
        (lambda x: x**2 + 1, "not yet: for 5 you gave 26. Hint: add it to itself"),
        (
            lambda x: "ten",
            "not yet: expected a number, not a value of type str. Hint: return one number",
        ),
        (
            lambda x: True,
            "not yet: expected a number, not a value of type bool. Hint: return one number",
        ),
        (
            lambda x: torch.zeros(2),
            "not yet: expected one number, not a value of type Tensor and shape (2,)",
        ),
        (lambda x: 1 / 0, "not yet: called with (1) your function raised ZeroDivisionError"),
        (lambda: 2, "not yet: called with (1) your function raised TypeError"),
        (7, "not yet: expected a function, not a value of type int. Hint: run your cell again"),
    ],
)
def test_a_wrong_answer_hears_what_is_wrong_and_a_hint(answer, said):
    verdict = doubled(answer)
    assert verdict.state == "wrong"
    assert verdict.text.startswith(said)
    assert "Hint: " in verdict.text


@pytest.mark.parametrize("value", [3, 3.0, torch.tensor(3), torch.tensor([3.0]), numpy.int64(3)])
def test_one_number_in_any_form(value):
    assert number(value, hint="") == 3.0


def test_a_check_that_stumbles_over_an_answer_is_a_verdict_too():
    @exercise
    def longest(answer) -> str:
        return str(max(answer))

    verdict = longest(5)
    assert verdict.state == "wrong"
    assert "TypeError" in verdict.text and "Hint" in verdict.text
