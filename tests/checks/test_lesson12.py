"""Tests of the checks of lesson 12: correct answers, and every usual slip with its own hint."""

import io
import json
import struct
from collections import Counter

import pytest
from assertions import assert_verdict

from tutorial_utils.checks.lesson12 import leaking_groups, least_to_beat, tensors_in

# least_to_beat


def by_count(train, val):
    return val.count(max(set(train), key=train.count)) / len(val)


def by_counter(train, val):
    (label, _), *_ = Counter(train).most_common()
    return sum(one == label for one in val) / len(val)


def by_torch(train, val):
    import torch

    return (torch.tensor(val) == torch.tensor(train).mode().values).float().mean()


@pytest.mark.parametrize("answer", [by_count, by_counter, by_torch])
def test_the_least_to_beat(answer):
    assert_verdict(least_to_beat(answer), "correct", "^correct: checked on 4 sets")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            lambda t, v: max(v.count(c) for c in v) / len(v),
            "you took the most frequent class of the",
        ),
        (lambda t, v: max(t.count(c) for c in t) / len(t), "that is the fraction in training"),
        (
            lambda t, v: by_count(t, v) * len(v) / len(t),
            "you divided by the number of training images",
        ),
        (lambda t, v: by_count(t, v) * len(v), "a number of images"),
        (lambda t, v: by_count(t, v) * 100, "a percentage"),
        (lambda t, v: 1 / len(set(t)), "that holds if every class has as many images"),
        (lambda t, v: 1 - by_count(t, v), "that is the fraction that is wrong"),
        (lambda t, v: max(set(t), key=t.count), "class"),
        (lambda t, v: 0.123, "you gave 0.123"),
        (lambda t, v: [0.5], "expected a number, not a value of type list"),
    ],
)
def test_slips_of_the_least_to_beat(answer, text):
    assert_verdict(least_to_beat(answer), "wrong", text)


# leaking_groups


def by_sets(groups, train, val):
    return [g for g in groups if set(g) & set(train) and set(g) & set(val)]


def by_any(groups, train, val):
    found = []
    for group in groups:
        if any(i in train for i in group) and any(i in val for i in group):
            found.append(list(group))
    return found


def as_a_tuple(groups, train, val):
    return tuple(by_sets(groups, train, val))


@pytest.mark.parametrize("answer", [by_sets, by_any, as_a_tuple])
def test_leaking_groups(answer):
    assert_verdict(leaking_groups(answer), "correct", "^correct: checked on 4 splits")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda g, t, v: g, "you returned every group"),
        (lambda g, t, v: [x for x in g if x not in by_sets(g, t, v)], "that do not leak"),
        (
            lambda g, t, v: [x for x in g if not set(x) <= set(t)],
            "you counted a group that is completely in val",
        ),
        (
            lambda g, t, v: [x for x in g if not set(x) <= set(v)],
            "you counted a group that is completely in train",
        ),
        (
            lambda g, t, v: [x for x in g if not set(x) <= set(t) and not set(x) <= set(v)],
            "in neither part",
        ),
        (lambda g, t, v: [x for x in g if (x[0] in t) != (x[-1] in t)], "the first and the last"),
        (lambda g, t, v: by_sets(g, t, v)[::-1], "in another order"),
        (
            lambda g, t, v: [i for x in by_sets(g, t, v) for i in x],
            "these are indices of images, not groups",
        ),
        (lambda g, t, v: len(by_sets(g, t, v)), "expected a list of groups, not a value of"),
        (lambda g, t, v: [], "you gave"),
    ],
)
def test_slips_of_leaking_groups(answer, text):
    assert_verdict(leaking_groups(answer), "wrong", text)


# tensors_in


def table(blob):
    return json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "little")])


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
    assert_verdict(tensors_in(answer), "correct", "^correct: two files read")


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
            "raised (JSONDecodeError|OverflowError|IndexError)|cannot fit",
        ),
        (lambda blob: json.loads(blob), "raised"),
    ],
)
def test_slips_of_tensors_in(answer, text):
    assert_verdict(tensors_in(answer), "wrong", text)
