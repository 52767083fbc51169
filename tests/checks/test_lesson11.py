"""Tests of the checks of lesson 11: correct answers, and every usual slip with its own hint."""

import pytest
import torch
from assertions import assert_verdict

from tutorial_utils import attribution
from tutorial_utils.checks.lesson11 import alike_share, cam_by_hand, repaired, rim_verdict
from tutorial_utils.evaluation import Comparison

# cam_by_hand


def by_mean(activations, gradients):
    return (gradients.mean((1, 2), keepdim=True) * activations).sum(0).relu()


def by_einsum(activations, gradients):
    weights = gradients.flatten(1).mean(1)
    return torch.einsum("c,chw->hw", weights, activations).clamp(min=0).numpy()


@pytest.mark.parametrize("answer", [by_mean, by_einsum])
def test_cam_by_hand(answer):
    assert_verdict(cam_by_hand(answer), "correct", "^correct: each map weighted")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda a, g: (g.mean((1, 2), keepdim=True) * a).sum(0), "heat is below zero"),
        (lambda a, g: (g.mean((1, 2), keepdim=True) * a).mean(0).relu(), "mean over the filters"),
        (lambda a, g: (g.sum((1, 2), keepdim=True) * a).sum(0).relu(), "sum of the gradient"),
        (lambda a, g: (g * a).sum(0).relu(), "you multiplied position by position"),
        (
            lambda a, g: (g.mean((1, 2), keepdim=True).relu() * a.relu()).sum(0),
            "you set what is below zero to 0 before adding",
        ),
        (lambda a, g: (g.mean((1, 2), keepdim=True) * a).relu().sum(0), "add up first"),
        (lambda a, g: a.sum(0).relu(), "you did not use the gradients"),
        (lambda a, g: (g.mean((1, 2), keepdim=True) * a).relu(), r"has the shape \(4, 3, 5\)"),
        (lambda a, g: 0.7, r"has the shape \(\)"),
        (lambda a, g: torch.ones(a.shape[1:]), "the heat has the correct shape, but other"),
        (lambda a, g: "text", "expected a tensor, not a value of type str"),
    ],
)
def test_slips_of_cam_by_hand(answer, text):
    assert_verdict(cam_by_hand(answer), "wrong", text)


# rim_verdict


FOUND, NONE = Comparison(50, 30, 8, 12, 0.001), Comparison(50, 20, 15, 15, 0.5)
REVERSED = Comparison(50, 8, 30, 12, 0.001)
CASES = {"a": (FOUND, FOUND), "b": (FOUND, NONE), "c": (NONE, FOUND), "d": (NONE, NONE)}


@pytest.mark.parametrize("letter", CASES)
@pytest.mark.parametrize("written", ["{}", "{})", " {}."])
def test_rim_verdict(letter, written):
    assert_verdict(rim_verdict(written.format(letter.upper()), *CASES[letter]), "correct")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("letter", CASES)
def test_only_the_sentence_that_fits_this_run_is_correct(letter, case):
    state = "correct" if letter == case else "wrong"
    assert_verdict(rim_verdict(letter, *CASES[case]), state)


@pytest.mark.parametrize(
    ("answer", "tests", "text"),
    [
        ("b", (FOUND, FOUND), "^not yet: same and another class: 30 first only, 8 .* as found"),
        ("c", (FOUND, FOUND), "^not yet: rim and baseline: 30 first only.* which counts as found"),
        ("a", (NONE, FOUND), r"rim and baseline: 20 first only, 15 .*p = 0.5, .* not found"),
        ("a", (REVERSED, FOUND), "8 first only, 30 second only.* not found.*more images on the"),
        ("e", (FOUND, FOUND), "expected a letter"),
        (True, (FOUND, FOUND), "expected a letter"),
        ("a", (), "the results of the two tests are missing"),
        ("a", (0.1, 0.2), "the results of the two tests are missing"),
    ],
)
def test_slips_of_rim_verdict(answer, tests, text):
    assert_verdict(rim_verdict(answer, *tests), "wrong", text)


# alike_share


def share(similarity, labels):
    return (labels[similarity.argmax(1)] == labels).float().mean()


def cosines(features):
    unit = features / features.norm(dim=1, keepdim=True)
    return unit @ unit.T


def by_neighbours(features, labels):
    near = attribution.neighbours(features, features, count=2)[:, 1]
    return (labels[near] == labels).float().mean()


def by_cosines(features, labels):
    return share(cosines(features).fill_diagonal_(float("-inf")), labels).item()


def by_counting(features, labels):
    similar, same = cosines(features), 0
    for i in range(len(labels)):
        j = max((j for j in range(len(labels)) if j != i), key=lambda j: similar[i, j])
        same += int(labels[i] == labels[j])
    return same / len(labels)


@pytest.mark.parametrize("answer", [by_neighbours, by_cosines, by_counting])
def test_alike_share(answer):
    assert_verdict(alike_share(answer), "correct", "^correct: every image compared")


def by_product(features, labels):
    return share((features @ features.T).fill_diagonal_(float("-inf")), labels)


def by_distance(features, labels):
    return share(-torch.cdist(features, features).fill_diagonal_(float("inf")), labels)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda f, n: share(cosines(f), n), "each image found itself"),
        (lambda f, n: share(cosines(f).fill_diagonal_(0), n), "found itself.*minus infinity"),
        (by_product, "the largest dot product.*divide each row by its length"),
        (lambda f, n: share(f @ f.T, n), "dot product, and kept each image itself"),
        (by_distance, "nearest by distance.*divide each row by its length"),
        (lambda f, n: 1 - by_cosines(f, n), "whose label differs"),
        (lambda f, n: by_cosines(f, n) * len(n), "that is a number of images"),
        (lambda f, n: 0.75, "4 of 10 images have the label"),
        (lambda f, n: 0.4, "for three pairs of images"),
        (lambda f, n: f, "expected one number, not a value of type"),
    ],
)
def test_slips_of_alike_share(answer, text):
    assert_verdict(alike_share(answer), "wrong", text)


# repaired


ACCURACIES = {"on bees": [1.0, 0.9], "none": [0.7, 0.91], "on ants": [0.3, 0.92]}


@pytest.mark.parametrize("answer", [[0.9, 0.92, 0.88], (0.9, 0.9, 0.9), [torch.tensor(0.9)] * 3])
def test_repaired(answer):
    assert_verdict(repaired(answer, ACCURACIES), "correct", "and by 0.700 for the fooled head")


def test_a_head_that_learned_nothing_is_accepted_where_the_fooled_head_learned_nothing_too():
    untrained = {name: [0.54, 0.54] for name in ACCURACIES}
    assert_verdict(repaired([0.54] * 3, untrained), "correct")


@pytest.mark.parametrize(
    ("answer", "accuracies", "text"),
    [
        ([1.0, 0.7, 0.3], ACCURACIES, "the accuracies of the fooled head"),
        ([0.9, 0.91, 0.92], ACCURACIES, "the accuracies of the first head"),
        ([1.0, 0.6, 0.2], ACCURACIES, "differ by 0.800.*still goes by the sticker.*every"),
        ([0.9, 0.9], ACCURACIES, "expected three accuracies, not 2"),
        ([0.9, 0.9, 90], ACCURACIES, "an accuracy is from 0 to 1"),
        ([0.9, 0.9, "0.9"], ACCURACIES, "expected a number"),
        (0.9, ACCURACIES, "expected a list, not a value of type float"),
        ([0.9, 0.9, 0.9], None, "accuracies of the other two heads are missing"),
    ],
)
def test_slips_of_repaired(answer, accuracies, text):
    assert_verdict(repaired(answer, accuracies), "wrong", text)
