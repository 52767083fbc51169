"""Tests of the checks of lesson 12: correct answers, and every usual slip with its own hint."""

import io
import json
import struct

import pytest
import torch
from assertions import assert_verdict

from tutorial_utils import training
from tutorial_utils.checks.lesson12 import (
    half_of_the_images,
    leaking_groups,
    left_to_a_person,
    tensors_in,
)
from tutorial_utils.evaluation import Predictions

# left_to_a_person

# The highest probabilities are 0.5, 0.88, 0.73, 0.95 and 0.99; images 0 and 3 are mistakes.
LOGITS = torch.tensor([[0.0, 0.0], [0.0, 2.0], [1.0, 0.0], [3.0, 0.0], [0.0, 5.0]])
SOME = Predictions(LOGITS, torch.tensor([1, 1, 0, 1, 1]))


@pytest.mark.parametrize("answer", [(3, 1), [3, 1], (torch.tensor(3), torch.tensor(1.0))])
def test_left_to_a_person(answer):
    text = "^correct: a person looks at 3 of 5 images, and of 2 mistakes 1 remain;"
    assert_verdict(left_to_a_person(answer, SOME), "correct", text)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ((2, 1), "these are the images that the model keeps"),
        ((0.6, 1), "that is a fraction"),
        ((1, 1), "you compared logits with 0.9"),
        ((8, 1), "you counted all classes of each image"),
        ((4, 1), "4 is not the number of images below 0.9"),
        ((3, 2), "these are all mistakes"),
        ((3, 5), "5 is not the number of mistakes among the other 2 images"),
        (3, "expected two counts, not a value of type int"),
        ((3, "one"), "expected a number, not a value of type str"),
    ],
)
def test_slips_of_left_to_a_person(answer, text):
    assert_verdict(left_to_a_person(answer, SOME), "wrong", text)


def test_mistakes_that_go_to_a_person_and_correct_ones_are_slips():
    logits = torch.tensor([[0.0, 0.0], [0.1, 0.0], [0.0, 5.0], [0.0, 5.0], [0.0, 5.0]])
    some = Predictions(logits, torch.tensor([1, 1, 1, 1, 0]))
    assert_verdict(left_to_a_person((2, 1), some), "correct")
    assert_verdict(left_to_a_person((2, 2), some), "wrong", "these mistakes go to a person")
    alike = Predictions(logits[[0, 2, 3, 4]], torch.tensor([0, 1, 1, 0]))
    assert_verdict(left_to_a_person((1, 2), alike), "wrong", "these are classified correctly")


# half_of_the_images


def run(images, loss, epochs=2):
    history = training.History()
    for epoch in range(1, epochs + 1):
        scores = training.Score(0.1, images, images), training.Score(loss, 8, 10)
        history.epochs.append(training.Epoch(epoch, *scores, 0.0))
    return object(), history


@pytest.mark.parametrize(
    ("letter", "loss"), [("a", 0.6), ("b", 0.5), ("b", 0.51), ("c", 0.4), (" A)", 0.6)]
)
def test_half_of_the_images(letter, loss):
    text = "^correct: the last validation loss is .* with 20 images and 0.5 with 41: "
    assert_verdict(half_of_the_images(letter, run(20, loss), run(41, 0.5)), "correct", text)


@pytest.mark.parametrize(
    ("letter", "half", "text"),
    [
        ("b", run(20, 0.6), "loss is 0.6 with 20 images and 0.5 with 41. Hint: divide"),
        ("a", run(41, 0.5), "trained on 41 images, which are all"),
        ("a", run(10, 0.6), "trained on 10 of 41 images"),
        ("a", run(20, 0.6, epochs=3), "the numbers of epochs differ"),
        ("a", run(20, 0.6)[1], "half is a value of type History"),
        ("a", ..., "half is a value of type ellipsis. Hint: half = train_head"),
        ("d", run(20, 0.6), "expected a letter"),
        (1, run(20, 0.6), "expected a letter"),
    ],
)
def test_slips_of_half_of_the_images(letter, half, text):
    assert_verdict(half_of_the_images(letter, half, run(41, 0.5)), "wrong", text)


def test_half_of_the_images_is_open_without_a_letter():
    assert_verdict(half_of_the_images(..., ..., run(41, 0.5)), "open")


# leaking_groups


def by_sets(groups, parts):
    return [g for g in groups if sum(bool(set(g) & set(part)) for part in parts) > 1]


def by_index(groups, parts):
    found = []
    for group in groups:
        where = {n for n, part in enumerate(parts) for i in group if i in part}
        if len(where) > 1:
            found.append(list(group))
    return found


def as_a_tuple(groups, parts):
    return tuple(by_sets(groups, parts))


@pytest.mark.parametrize("answer", [by_sets, by_index, as_a_tuple])
def test_leaking_groups(answer):
    assert_verdict(leaking_groups(answer), "correct", "^correct: checked on 5 splits")


def of_two(first, second):
    return lambda g, p: [x for x in g if set(x) & set(p[first]) and set(x) & set(p[second])]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda g, p: g, "you returned every group"),
        (lambda g, p: [x for x in g if x not in by_sets(g, p)], "that do not leak"),
        (
            lambda g, p: [x for x in g if not any(set(x) <= set(part) for part in p)],
            "image in none of the parts",
        ),
        (of_two(0, 1), "only two of the three parts"),
        (of_two(0, 2), "only two of the three parts"),
        (of_two(1, 2), "only two of the three parts"),
        (
            lambda g, p: [x for x in by_sets(g, p) if set(x) & set(p[0])],
            "you missed a leak between the validation and the test images",
        ),
        (
            lambda g, p: [x for x in g if all(set(x) & set(part) for part in p)],
            "you asked for images in all three parts",
        ),
        (
            lambda g, p: [x for x in g if (x[0] in p[0]) != (x[-1] in p[0])],
            "you missed a leak between the validation and the test images",
        ),
        (
            lambda g, p: [x for x in g if part_of(x[0], p) != part_of(x[-1], p)],
            "the first and the last",
        ),
        (lambda g, p: by_sets(g, p)[::-1], "in another order"),
        (
            lambda g, p: [i for x in by_sets(g, p) for i in x],
            "these are indices of images, not groups",
        ),
        (lambda g, p: len(by_sets(g, p)), "expected a list of groups, not a value of"),
        (lambda g, p: [], r"for groups \[\(0, 5\), .* you gave \[\], it is"),
    ],
)
def test_slips_of_leaking_groups(answer, text):
    assert_verdict(leaking_groups(answer), "wrong", text)


def part_of(index, parts):
    return next((n for n, part in enumerate(parts) if index in part), None)


# tensors_in


def table(blob, length_bytes=8):
    return json.loads(blob[8 : 8 + int.from_bytes(blob[:length_bytes], "little")])


def by_comprehension(blob):
    return {n: entry["shape"] for n, entry in table(blob).items() if n != "__metadata__"}


def by_struct(blob):
    file = io.BytesIO(blob)
    (length,) = struct.unpack("<Q", file.read(8))
    found = json.load(io.StringIO(file.read(length).decode("utf-8")))
    found.pop("__metadata__", None)
    return {name: tuple(entry["shape"]) for name, entry in found.items()}


def by_library(blob):
    from safetensors.torch import load

    return {name: list(value.shape) for name, value in load(blob).items()}


@pytest.mark.parametrize("answer", [by_comprehension, by_struct, by_library])
def test_tensors_in(answer):
    assert_verdict(tensors_in(answer), "correct", "^correct: three files read")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda blob: {n: e.get("shape") for n, e in table(blob).items()}, "is no tensor"),
        (table, "is no tensor"),
        (
            lambda blob: {n: e for n, e in table(blob).items() if n[0] != "_"},
            "the whole entry",
        ),
        (
            lambda blob: [n for n in table(blob) if n[0] != "_"],
            "the names are there, but the shapes are",
        ),
        (
            lambda blob: list(by_comprehension(blob).values()),
            "expected a dict, not a value of type list",
        ),
        (
            lambda blob: {n: e["dtype"] for n, e in table(blob).items() if n[0] != "_"},
            r"head\.1\.weight has the shape \[3, 4\], but you",
        ),
        (
            lambda blob: {n: e["data_offsets"] for n, e in table(blob).items() if n[0] != "_"},
            r"head\.1\.weight has the shape \[3, 4\], but you",
        ),
        (lambda blob: dict([by_comprehension(blob).popitem()]), "names differ from the file's:"),
        (
            lambda blob: json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "big")]),
            "(?s)raised .* Hint: .*the low byte first",
        ),
        (
            lambda blob: {n: e["shape"] for n, e in table(blob, 2).items() if n[0] != "_"},
            "(?s)raised .* Hint: .*the first 8 bytes, all of them",
        ),
        (lambda blob: json.loads(blob), "raised"),
    ],
)
def test_slips_of_tensors_in(answer, text):
    assert_verdict(tensors_in(answer), "wrong", text)
