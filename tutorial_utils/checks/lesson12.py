"""Checks of lesson 12's exercises: a baseline, leaking groups, a file read by hand."""

import json
import struct
from collections.abc import Iterable, Mapping
from typing import Any

from tutorial_utils.checks.verdict import Slip, call, compare, exercise, expect, kind, number

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
        given = call(answer, list(train), list(val), hint="two lists of whole numbers")
        got = number(given, hint="return one number, a fraction")
        compare(
            got,
            want,
            _baseline_slips(train, val, common),
            wrong=f"for the training labels {train} and the validation labels {val} you gave "
            f"{got:.3f}, it is {want:.3f}",
            hint="which class is the most frequent in training, and what fraction of val is it?",
            tolerance=1e-6,
        )
    return f"checked on {len(cases)} sets; whatever you train has to beat this baseline"


def _baseline_slips(train: list[int], val: list[int], common: int) -> Iterable[Slip]:
    """Yield the slips of `least_to_beat`."""
    unseen = "you took the most frequent class of the validation labels"
    fair = "choose the class by the training labels alone"
    yield max(val.count(label) for label in val) / len(val), unseen, fair
    hits = val.count(common)
    yield train.count(common) / len(train), "that is the fraction in training", "count in val"
    yield hits / len(train), "you divided by the number of training images", "divide by len(val)"
    yield hits, "that is a number of images", "an accuracy is a fraction of them"
    yield 100 * hits / len(val), "that is a percentage", "an accuracy goes from 0 to 1"
    equal = "that holds if every class has as many images"
    yield 1 / len(set(train)), equal, "count the class that is guessed"
    yield 1 - hits / len(val), "that is the fraction that is wrong", "count the correct ones"
    yield common, "that is the class", "how often is it correct?"


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
        got = _listed(call(answer, list(groups), list(train), list(val), hint=hint))
        expect(
            sorted(got) != sorted(want) or got == want,
            "the correct groups, in another order",
            hint="go through the groups in their order",
        )
        compare(
            got,
            want,
            _leak_slips(groups, train, val),
            wrong=f"for groups {groups}, train {train}, val {val} you gave {got}, it is {want}",
            hint="a group leaks if one of its images is in train and another in val",
        )
    return f"checked on {len(cases)} splits, one of them without groups"


def _listed(got: Any) -> list[tuple]:
    """Return groups as a list of tuples; anything else is wrong."""
    expect(
        isinstance(got, list | tuple),
        f"expected a list of groups, not {kind(got)}",
        hint="return the groups that leak",
    )
    expect(
        all(isinstance(group, Iterable) and not isinstance(group, str) for group in got),
        "these are indices of images, not groups",
        hint="return the whole group, a tuple, for each that leaks",
    )
    return [tuple(group) for group in got]


def _leak_slips(groups: list[tuple], train: list[int], val: list[int]) -> Iterable[Slip]:
    """Yield the slips of `leaking_groups`."""
    one, two = set(train), set(val)
    both = "a leak has an image in train and one in val; a group on one side is what you want"
    yield list(groups), "you returned every group", both
    clean = [g for g in groups if not (set(g) & one and set(g) & two)]
    yield clean, "these are the groups that do not leak", both
    apart = [g for g in groups if not set(g) <= one]
    yield apart, "you counted a group that is completely in val as a leak", both
    apart = [g for g in groups if not set(g) <= two]
    yield apart, "you counted a group that is completely in train as a leak", both
    split = [g for g in groups if not set(g) <= one and not set(g) <= two]
    third = "images that are in neither part do no harm"
    yield split, "you counted a group with images in neither part as a leak", third
    ends = [g for g in groups if (g[0] in one) != (g[-1] in one)]
    yield ends, "you looked only at the first and the last image of a group", "look at all"


@exercise
def tensors_in(answer: Any) -> str:
    """Check a function (bytes of a safetensors file) -> {name: shape}."""
    for shapes, metadata in (
        ({"head.1.weight": [3, 4], "head.1.bias": [3]}, {"classes": '["a", "é"]'}),
        ({"a": [], "b": [2, 1, 300]}, None),
    ):
        blob, table = _file(shapes, metadata)
        hint = "`blob` is of type bytes; `int.from_bytes` reads a number, `json.loads` a table"
        got = call(answer, blob, hint=hint)
        _expect_table(got, table)
        expect(
            "__metadata__" not in got,
            "`__metadata__` is no tensor",
            hint="it is among the names and contains strings: leave it out",
        )
        want = {name: tuple(shape) for name, shape in shapes.items()}
        missing = sorted(set(want) ^ set(got))
        expect(not missing, f"names differ from the file's: {missing}", hint="take all of them")
        expect(
            not any(isinstance(value, Mapping) for value in got.values()),
            "each value is the whole entry",
            hint="return only `shape` of each entry",
        )
        for name, shape in want.items():
            value = got[name]
            expect(
                isinstance(value, list | tuple) and tuple(value) == shape,
                f"{name} has the shape {list(shape)}, but you gave {value!r}",
                hint="return only `shape` of each entry",
            )
    return "two files read, without running any code from them"


def _file(shapes: dict[str, list[int]], metadata: dict[str, str] | None) -> tuple[bytes, dict]:
    """Return a safetensors file with zeros in it, and its table."""
    table, end = {} if metadata is None else {"__metadata__": metadata}, 0
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
    names = "the names are there, but the shapes are missing"
    listed = isinstance(got, list | tuple | set) and set(map(str, got)) <= set(table)
    expect(not (listed and got), names, hint="return a dict from each name to its shape")
    expect(
        isinstance(got, Mapping),
        f"expected a dict, not {kind(got)}",
        hint="from each name to its shape",
    )
