"""Checks of lesson 12's exercises: the least to beat, leaking groups, a file read by hand."""

import json
import struct
from collections.abc import Iterable, Mapping
from typing import Any

from tutorial_utils.checks.verdict import ask, exercise, expect, number

__all__ = ["least_to_beat", "leaking_groups", "tensors_in"]


@exercise
def least_to_beat(answer: Any) -> str:
    """Check a function (train labels, val labels) -> accuracy of the most frequent class."""
    cases = (
        ([0, 0, 0, 1, 2], [0, 1, 1, 1, 2, 2, 0, 2]),
        ([3, 1, 3, 0, 3, 1], [1, 1, 1, 3, 3, 0, 0]),
        ([2, 2, 1], [0, 0, 1]),
        ([0, 1, 1], [1, 1, 1]),
    )
    for train, val in cases:
        common = max(set(train), key=train.count)
        want = val.count(common) / len(val)
        given = ask(answer, list(train), list(val), hint="two lists of whole numbers")
        got = number(given, hint="return one number, a fraction")
        for slip, wrong, hint in _least_slips(train, val, common):
            expect(_near(got, want) or not _near(got, slip), wrong, hint=hint)
        expect(
            _near(got, want),
            f"for the training labels {train} and the validation labels {val} you gave {got:.3f}, "
            f"it is {want:.3f}",
            hint="which class is the most frequent in training, and which share of val is it?",
        )
    return f"checked on {len(cases)} sets; whatever you train has to beat this"


def _least_slips(train: list[int], val: list[int], common: int) -> Iterable[tuple]:
    """Yield (value, what is wrong, hint) for the usual slips."""
    unseen = "the most frequent class was taken from the validation labels"
    fair = "the guesser has not seen them: only the training labels say what to name"
    yield max(val.count(label) for label in val) / len(val), unseen, fair
    hits = val.count(common)
    yield train.count(common) / len(train), "that is the share in training", "count in val"
    yield hits / len(train), "the total is that of the training images", "divide by those of val"
    yield float(hits), "that is a number of images", "an accuracy is a fraction of them"
    yield 100 * hits / len(val), "that is a percentage", "an accuracy goes from 0 to 1"
    alike = "that would hold if every class had as many images"
    yield 1 / len(set(train)), f"{alike}", "count the class that is named"
    yield 1 - hits / len(val), "that is the share that goes wrong", "count the right ones"
    yield float(common), "that is the class", "how often is it right?"


@exercise
def leaking_groups(answer: Any) -> str:
    """Check a function (groups, train, val) -> the groups with images on both sides."""
    cases = (
        ([(0, 4), (1, 2), (3, 7, 9), (5, 6), (8, 10, 11)], [0, 1, 2, 3, 8, 9, 10], [4, 5, 6, 7]),
        ([(2, 5), (1, 3, 4)], [1, 2, 3], [4, 5]),
        ([(0, 1), (2, 3), (4, 5)], [0, 1, 4], [2, 3]),
        ([], [0, 1], [2]),
    )
    for groups, train, val in cases:
        want = [g for g in groups if set(g) & set(train) and set(g) & set(val)]
        hint = "groups is a list of tuples, train and val are lists of numbers"
        got = _listed(ask(answer, list(groups), list(train), list(val), hint=hint), groups)
        for slip, wrong, why in _leak_slips(groups, train, val):
            expect(got == want or got != slip, wrong, hint=why)
        expect(
            sorted(got) != sorted(want) or got == want,
            "the right groups, in another order",
            hint="go through the groups as they come",
        )
        expect(
            got == want,
            f"for groups {groups}, train {train}, val {val} you gave {got}, it is {want}",
            hint="a group leaks if one of its images is in train and another in val",
        )
    return f"checked on {len(cases)} splits, one of them without groups"


def _listed(got: Any, groups: list[tuple]) -> list[tuple]:
    """Return the groups that were given as a list of tuples; anything else is wrong."""
    kind = type(got).__name__
    expect(
        isinstance(got, list | tuple),
        f"a list of groups is asked for, not a {kind}",
        hint="the groups themselves, those of them that leak",
    )
    expect(
        all(isinstance(group, Iterable) and not isinstance(group, str) for group in got),
        "these are no groups, but numbers of images or places",
        hint="return the whole group, a tuple, for each that leaks",
    )
    return [tuple(group) for group in got]


def _leak_slips(groups: list[tuple], train: list[int], val: list[int]) -> Iterable[tuple]:
    """Yield (value, what is wrong, hint) for the usual slips."""
    one, two = set(train), set(val)
    both = "it takes one in train and one in val; all in one of them is what you want"
    yield list(groups), "every group was returned", both
    clean = [g for g in groups if not (set(g) & one and set(g) & two)]
    yield clean, "these are the groups that do not leak", both
    apart = [g for g in groups if not set(g) <= one]
    yield apart, "a group that is wholly in val was taken for a leak", both
    apart = [g for g in groups if not set(g) <= two]
    yield apart, "a group that is wholly in train was taken for a leak", both
    split = [g for g in groups if not set(g) <= one and not set(g) <= two]
    third = "a group leaks into nothing if its other images are in neither part"
    yield split, "a group with images in neither part was taken for a leak", third
    ends = [g for g in groups if (g[0] in one) != (g[-1] in one)]
    yield ends, "only the first and the last image of a group were looked at", "look at all"


@exercise
def tensors_in(answer: Any) -> str:
    """Check a function (bytes of a safetensors file) -> {name: shape}."""
    for shapes, notes in (
        ({"head.1.weight": [3, 4], "head.1.bias": [3]}, {"classes": '["a", "é"]'}),
        ({"a": [], "b": [2, 1, 300]}, None),
    ):
        blob, table = _file(shapes, notes)
        hint = "`blob` is of type bytes; `int.from_bytes` reads a number, `json.loads` a table"
        got = ask(answer, blob, hint=hint)
        _expect_table(got, table)
        expect(
            "__metadata__" not in got,
            "`__metadata__` is no tensor",
            hint="it stands among the names and holds texts: leave it out",
        )
        want = {name: tuple(shape) for name, shape in shapes.items()}
        missing = sorted(set(want) ^ set(got))
        expect(not missing, f"other names than in the file: {missing}", hint="take all of them")
        expect(
            not any(isinstance(value, Mapping) for value in got.values()),
            "each value is the whole entry",
            hint="of an entry only `shape` is asked for",
        )
        for name, shape in want.items():
            value = got[name]
            expect(
                isinstance(value, list | tuple) and tuple(value) == shape,
                f"{name} has the shape {list(shape)}, and you gave {value!r}",
                hint="of an entry only `shape` is asked for",
            )
    return "two files read, and no code of theirs was run: there was none"


def _file(shapes: dict[str, list[int]], notes: dict[str, str] | None) -> tuple[bytes, dict]:
    """Return a safetensors file with zeros in it, and its table."""
    table, end = {} if notes is None else {"__metadata__": notes}, 0
    for name, shape in shapes.items():
        start, count = end, 4
        for side in shape:
            count *= side
        end += count
        table[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    header = json.dumps(table, ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + bytes(end), table


def _expect_table(got: Any, table: dict) -> None:
    """Expect a dict; recognise a list of names."""
    names = "the names are there, and the shapes are not"
    listed = isinstance(got, list | tuple | set) and set(map(str, got)) <= set(table)
    expect(not (listed and got), names, hint="return a dict from each name to its shape")
    expect(
        isinstance(got, Mapping),
        f"a dict is asked for, not a {type(got).__name__}",
        hint="from each name to its shape",
    )


def _near(first: float, second: float) -> bool:
    return abs(first - second) < 1e-6
