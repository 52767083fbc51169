"""What holds for every check of every lesson: stubs are open, nonsense is wrong, nothing raises."""

import pytest
import test_lesson02
import test_lesson03
import test_lesson04
import test_lesson05
import test_lesson06
import test_lesson08
import test_lesson09
import test_lesson10
import test_lesson11
import test_lesson14
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
# Their answers are strings, numbers or layers: a function is nonsense, not a stub.
NO_FUNCTION = {
    "supported",
    "bias_of_50",
    "best_layer",
    "best_factor",
    "fourth_rate",
    "read_curves",
    "wins_needed",
    "sixth_seed",
    "mistakes",
    "few_labels",
    "first_block",
    "spoiled_caches",
    "decay_leaves",
    "half_side",
    "configuration_e",
    "strongest_filter",
    "sides_with_stride_two",
    "left_to_a_person",
    "half_of_the_images",
    "rim_verdict",
    "repaired",
    "the_trap",
    "model_card",
}
# Correct answers to the checks that draw random numbers, or whose answers may.
CORRECT = {
    "conv_parameters": test_lesson02.counted,
    "merged": test_lesson03.by_gradient,
    "all_but_last": test_lesson04.all_but_last,
    "moved": test_lesson04.moved,
    "ready_to_train": test_lesson05.freeze_then_swap,
    "one_more_class": test_lesson05.one_more,
    "step_in_parts": test_lesson06.shares,
    "stop_early": test_lesson06.returning(test_lesson06.since_the_best),
    "coin_chance": test_lesson08.counted,
    "right_angle": test_lesson09.unit_minus_along,
    "unseen_change": test_lesson09.left_over,
    "rate_groups": test_lesson10.two_groups,
    "thaw": test_lesson10.by_index,
    "cam_by_hand": test_lesson11.by_mean,
    "three_parts": test_lesson14.units_in_turn,
    "choose": test_lesson14.by_neighbours,
}
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
    verdict = getattr(checks, name)(NONSENSE[nonsense])
    assert_verdict(verdict, "wrong", "(?s)not yet: .*Hint: ")


@every_check
def test_wrong_answers_leave_the_global_generator_alone(name):
    before = torch.get_rng_state()
    for answer in (..., 3, raises, lambda *given: 1, lambda *given: 0.5, lambda *given: given[0]):
        getattr(checks, name)(answer)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", CORRECT)
def test_correct_answers_leave_the_global_generator_alone(name):
    before = torch.get_rng_state()
    assert_verdict(getattr(checks, name)(CORRECT[name]), "correct")
    assert torch.equal(before, torch.get_rng_state())
