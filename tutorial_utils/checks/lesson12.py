"""Checks of lesson 12's exercises: doubtful images, half the images, leaks, a file by hand."""

import json
import struct
from collections.abc import Iterable, Mapping
from typing import Any

from tutorial_utils.checks.verdict import Slip, call, compare, exercise, expect, kind, number

__all__ = ["half_of_the_images", "leaking_groups", "left_to_a_person", "tensors_in"]


@exercise
def left_to_a_person(answer: Any, predictions: Any) -> str:
    """Check two counts: images below a probability of 0.9, and the mistakes among the others.

    Args:
        answer: the two counts, a pair.
        predictions: `evaluation.Predictions` of the validation images.
    """
    pair = "the images that go to a person, then the mistakes among the others"
    good = isinstance(answer, list | tuple) and len(answer) == 2
    expect(good, f"expected two counts, not {kind(answer)}", hint=pair)
    unsure, mistakes = (number(value, hint=pair) for value in answer)
    highest, wrong = predictions.probabilities.amax(dim=1), ~predictions.correct
    doubtful = highest < 0.9
    total, want = len(predictions), int(doubtful.sum())
    slips = (
        (total - want, "these are the images that the model keeps", "count those below 0.9"),
        (want / total, "that is a fraction", "count images"),
        (
            int((predictions.logits.amax(dim=1) < 0.9).sum()),
            "you compared logits with 0.9",
            "take the probabilities, which lie between 0 and 1",
        ),
        (
            int((predictions.probabilities < 0.9).sum()),
            "you counted all classes of each image",
            "take the highest probability of each image: amax(dim=1)",
        ),
    )
    hint = "the highest probability of each image is probabilities.amax(dim=1)"
    wrong_count = f"{unsure:g} is not the number of images below 0.9"
    compare(unsure, want, slips, wrong=wrong_count, hint=hint)
    left = int((wrong & ~doubtful).sum())
    slips = (
        (int(wrong.sum()), "these are all mistakes", "leave out those that go to a person"),
        (int((wrong & doubtful).sum()), "these mistakes go to a person", "count the others"),
        (total - want - left, "these are classified correctly", "count the mistakes"),
    )
    hint = "combine both conditions with &, and ~ means not"
    wrong_count = (
        f"{mistakes:g} is not the number of mistakes among the other {total - want} images"
    )
    compare(mistakes, left, slips, wrong=wrong_count, hint=hint)
    return (
        f"a person looks at {want} of {total} images, and of {int(wrong.sum())} mistakes {left} "
        f"remain; check on new images before you rely on 0.9"
    )


@exercise
def half_of_the_images(answer: Any, half: Any, whole: Any) -> str:
    """Check "a", "b" or "c" for the validation loss after training on half of the images.

    Args:
        answer: "a", more than 5% above that with all images; "b", within 5%; "c", below.
        half: the pair of a head and its history, trained on half of the images.
        whole: the same with all of them.
    """
    letter = answer.strip(" )").lower() if isinstance(answer, str) else answer
    expect(letter in ("a", "b", "c"), "expected a letter", hint='give "a", "b" or "c"')
    again = "half = train_head(..., best), which returns a head and its history"
    pair = isinstance(half, tuple) and len(half) == 2 and hasattr(half[1], "last")
    expect(pair, f"half is {kind(half)}", hint=again)
    few, many = (history.last.train.total for _, history in (half, whole))
    expect(few < many, f"half was trained on {few} images, which are all", hint="take every second")
    near = abs(2 * few - many) <= 1
    expect(near, f"half was trained on {few} of {many} images", hint="take every second one")
    same = len(half[1].epochs) == len(whole[1].epochs) and half[1].last.epoch == whole[1].last.epoch
    expect(same, "the numbers of epochs differ", hint="change nothing but the images")
    less, more = (history.last.val.loss for _, history in (half, whole))
    ratio = less / more if more else float("inf")
    correct = "a" if ratio > 1.05 else "c" if ratio < 0.95 else "b"
    losses = f"the last validation loss is {less:.3g} with {few} images and {more:.3g} with {many}"
    expect(letter == correct, losses, hint="divide the first by the second, and compare with 1")
    return {
        "a": f"{losses}: twice as many images may help once more",
        "b": f"{losses}: more images of the same kind would hardly help",
        "c": f"{losses}: with so few images, chance can do that; try another seed",
    }[correct]


@exercise
def leaking_groups(answer: Any) -> str:
    """Check a function (groups, parts) -> the groups with images in more than one part."""
    cases = (
        (
            [(0, 5), (1, 2), (3, 10), (6, 11), (4, 7, 12), (8, 9), (13, 15), (14, 16, 17)],
            [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9, 16], [10, 11, 12, 13, 14, 17]],
        ),
        ([(2, 5), (1, 3, 4), (0, 6, 7)], [[1, 2, 3, 4], [5, 0, 7], [6]]),
        ([(0, 1), (2, 3), (4, 5), (6, 8)], [[0, 1, 4], [2, 3], [6]]),
        ([(0, 2), (1, 3)], [[0], [1], [2, 3]]),
        ([], [[0, 1], [2], [3]]),
    )
    for groups, parts in cases:
        want = [g for g in groups if len(_met(g, parts)) > 1]
        hint = "groups is a list of tuples, parts is a list of three lists of numbers"
        got = _listed(call(answer, list(groups), [list(part) for part in parts], hint=hint))
        expect(
            sorted(got) != sorted(want) or got == want,
            "the correct groups, in another order",
            hint="go through the groups in their order",
        )
        compare(
            got,
            want,
            _leak_slips(groups, parts),
            wrong=f"for groups {groups} and parts {parts} you gave {got}, it is {want}",
            hint="a group leaks if its images are in two of the parts, or in all three",
        )
    return f"checked on {len(cases)} splits, one of them without groups"


def _met(group: tuple, parts: list[list[int]]) -> list[int]:
    """Return which of the parts hold an image of the group."""
    return [index for index, part in enumerate(parts) if set(part) & set(group)]


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


def _leak_slips(groups: list[tuple], parts: list[list[int]]) -> Iterable[Slip]:
    """Yield the slips of `leaking_groups`."""
    both = "a leak has images in more than one part; a group in one part is what you want"
    yield list(groups), "you returned every group", both
    clean = [g for g in groups if len(_met(g, parts)) < 2]
    yield clean, "these are the groups that do not leak", both
    apart = [g for g in groups if not any(set(g) <= set(part) for part in parts)]
    third = "an image that is in no part does no harm: look only at those that are in one"
    yield apart, "you counted a group with an image in none of the parts as a leak", third
    for first, second in ((0, 1), (0, 2), (1, 2)):
        pair = [g for g in groups if {first, second} <= set(_met(g, parts))]
        yield pair, "you compared only two of the three parts", "compare each part with each other"
    trained = [g for g in groups if 0 in _met(g, parts) and len(_met(g, parts)) > 1]
    missed = "you missed a leak between the validation and the test images"
    yield trained, missed, "it makes the test accuracy look too good as well"
    whole = [g for g in groups if len(_met(g, parts)) == 3]
    yield whole, "you asked for images in all three parts", "two parts are enough for a leak"
    where = [[next((i for i in _met((m,), parts)), None) for m in g] for g in groups]
    ends = [g for g, w in zip(groups, where, strict=True) if w[0] != w[-1]]
    yield ends, "you looked only at the first and the last image of a group", "look at all"


@exercise
def tensors_in(answer: Any) -> str:
    """Check a function (bytes of a safetensors file) -> {name: shape}."""
    hint = (
        "the table's length is in the first 8 bytes, all of them, the low byte first "
        '(byteorder="little" in `int.from_bytes`); `json.loads` reads the table'
    )
    for shapes, metadata in (
        ({"head.1.weight": [3, 4], "head.1.bias": [3]}, {"classes": '["a", "é"]'}),
        ({"a": [], "b": [2, 1, 300]}, None),
        ({"a": [5]}, {"notes": "-" * 70_000}),  # the length needs more than two bytes
    ):
        blob, table = _file(shapes, metadata)
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
    return "three files read, without running any code from them"


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
