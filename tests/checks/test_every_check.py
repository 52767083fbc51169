"""What holds for every check of every lesson: stubs are open, nonsense is wrong, nothing raises."""

import pytest
import torch
from assertions import assert_verdict

from tutorial_utils import checks


def raises(*arguments):
    raise RuntimeError("broken on purpose")


STUBS = [..., None, lambda *given: ..., lambda *given: None]
NONSENSE = {
    "text": "an answer",
    "a fraction": 0.5,
    "a number": 3,
    "a list": [0.5],
    "a list of two": [1, 2],
    "a dictionary": {},
    "a function that raises": raises,
    "one that divides by zero": lambda *given: 1 / 0,
    "one without arguments": lambda: 0.5,
    "one that gives text": lambda *given: "abc",
    "one that gives a mixed list": lambda *given: [1, "b"],
    "one that gives a list of dictionaries": lambda *given: [{}],
}
NO_FUNCTION = {"spoiled_caches"}  # asks for text, so that a function is no stub but nonsense
every_check = pytest.mark.parametrize("name", checks.names())


@every_check
@pytest.mark.parametrize("stub", STUBS, ids=range(len(STUBS)))
def test_a_stub_is_open(name, stub):
    verdict = getattr(checks, name)(None if name in NO_FUNCTION else stub)
    assert_verdict(verdict, "open", "^not answered yet$")
    assert repr(verdict) == "not answered yet"


@every_check
def test_no_answer_at_all_is_open(name):
    assert_verdict(getattr(checks, name)(), "open")


@every_check
@pytest.mark.parametrize("nonsense", NONSENSE)
def test_nonsense_is_wrong_and_raises_nothing(name, nonsense):
    assert_verdict(getattr(checks, name)(NONSENSE[nonsense]), "wrong", "(?s)not yet: .*Hint: ")


@every_check
def test_the_global_generator_is_left_alone(name):
    # Right answers: in the lessons' own modules, where a check draws its cases by lot.
    before = torch.get_rng_state()
    for answer in (..., 3, raises, lambda *given: 1, lambda *given: 0.5, lambda *given: given[0]):
        getattr(checks, name)(answer)
    assert torch.equal(before, torch.get_rng_state())
