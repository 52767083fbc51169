"""Tests of the helpers of all checks: three outcomes, named slips, and no answer that raises."""

import numpy
import pytest
import torch

from tutorial_utils.checks.verdict import (
    Verdict,
    call,
    compare,
    exercise,
    expect,
    number,
    same,
    truth,
)


@exercise
def doubled(answer) -> str:
    """Check a function x -> 2 x."""
    for given in (1, 5):
        got = number(call(answer, given), hint="return one number")
        expect(got != given, "that is x itself", hint="take it twice")
        expect(got == 2 * given, f"for {given} you gave {got:g}", hint="add it to itself")
    return "twice as much"


@pytest.mark.parametrize(
    ("other", "tolerance", "agree"),
    [([1, 2], 0.1, True), ([1, 2.05], 0.1, True), ([1, 3], 0.1, False), ([3, 2], 0.1, False),
     ([1, 2, 3], 0.1, False), ([[1, 2]], 0.1, False)],
)  # fmt: skip
def test_tensors_agree_if_every_value_does(other, tolerance, agree):
    assert same(torch.tensor([1.0, 2.0]), torch.tensor(other), tolerance) is agree


def test_a_right_answer():
    verdict = doubled(lambda x: x + x)
    assert verdict == Verdict("correct", "correct: twice as much")
    assert repr(verdict) == "correct: twice as much"


@pytest.mark.parametrize("stub", [..., None, lambda x: ..., lambda x: None])
def test_a_stub_is_not_answered_yet(stub):
    assert doubled(stub) == Verdict("open", "not answered yet")


def test_an_answer_that_is_not_implemented_is_not_answered_yet():
    def answer(x):
        raise NotImplementedError

    assert doubled(answer).state == "open"
    assert doubled().state == "open"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda x: x, "not yet: that is x itself. Hint: take it twice"),
        (lambda x: x**2 + 1, "not yet: for 5 you gave 26. Hint: add it to itself"),
        (
            lambda x: "ten",
            "not yet: expected a number, not a value of type str. Hint: return",
        ),
        (
            lambda x: True,
            "not yet: expected a number, not a value of type bool. Hint: return",
        ),
        (
            lambda x: torch.zeros(2),
            "not yet: expected one number, not a value of type Tensor and shape",
        ),
        (lambda x: 1 / 0, "not yet: called with (1) your function raised ZeroDivisionError"),
        (lambda: 2, "not yet: called with (1) your function raised TypeError"),
        (7, "not yet: expected a function, not a value of type int. Hint: run your cell again"),
    ],
)
def test_a_wrong_answer_gets_what_is_wrong_and_a_hint(answer, text):
    verdict = doubled(answer)
    assert verdict.state == "wrong"
    assert verdict.text.startswith(text)
    assert "Hint: " in verdict.text


@pytest.mark.parametrize("value", [3, 3.0, torch.tensor(3), torch.tensor([3.0]), numpy.int64(3)])
def test_one_number_in_any_form(value):
    assert number(value, hint="") == 3.0


def test_an_error_inside_a_check_is_a_verdict_too():
    @exercise
    def longest(answer) -> str:
        return str(max(answer))

    verdict = longest(5)
    assert verdict.state == "wrong"
    assert "TypeError" in verdict.text and "Hint" in verdict.text


@exercise
def halved(answer) -> str:
    """Check a function x -> x / 2, on a number and on a tensor."""
    for given in (0.0, 3.0, torch.tensor([2.0, 4.0])):
        slips = ((given, "that is x", "divide"), (given * 2, "that is 2 x", "divide"))
        got = call(answer, given)
        compare(got, given / 2, slips, wrong="wrong", hint="none", tolerance=1e-5)
    return "half as much"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda x: x / 2 + 1e-6, "correct: half as much"),
        (lambda x: x, "not yet: that is x. Hint: divide"),
        (lambda x: 2 * x, "not yet: that is 2 x. Hint: divide"),
        (lambda x: x / 2 if isinstance(x, float) else x, "not yet: that is x. Hint: divide"),
        (lambda x: x / 2 if isinstance(x, float) else x[:1] / 2, "not yet: wrong. Hint: none"),
        (lambda x: x / 3, "not yet: wrong. Hint: none"),
        (lambda x: x / 2 + 1e-4, "not yet: wrong. Hint: none"),
    ],
)
def test_compare_names_the_slip_and_passes_over_one_that_is_correct_here(answer, text):
    assert halved(answer).text == text


def test_compare_without_a_tolerance_takes_equal_values_only():
    @exercise
    def three(answer) -> str:
        compare(answer, [1, 2], [([2, 1], "reversed", "turn it")], wrong="wrong", hint="none")
        return "the list"

    assert three([1, 2]).state == "correct"
    assert three([2, 1]).text == "not yet: reversed. Hint: turn it"
    assert three([1, 2.00001]).text == "not yet: wrong. Hint: none"


@pytest.mark.parametrize("value", [True, numpy.bool_(True), torch.tensor(True)])
def test_a_truth_value_in_any_form(value):
    assert truth(value, hint="") is True


def test_one_is_no_truth_value():
    verdict = exercise(lambda answer: str(truth(answer, hint="compare")))(1)
    assert verdict.text == "not yet: expected True or False, not a value of type int. Hint: compare"
