"""Checks of lesson 08's exercises: the memory that training takes, and how two networks differ."""

import math
from collections.abc import Iterable
from typing import Any

from tutorial_utils.checks.verdict import (
    Slip,
    call,
    compare,
    exercise,
    expect,
    name_slip,
    number,
)

__all__ = ["adam_bytes", "second_alone", "coin_chance"]


@exercise
def adam_bytes(answer: Any) -> str:
    """Check a function (trained, frozen) -> bytes held when Adam trains a part of a network."""
    for trained, frozen in ((54_542_338, 2_469_696), (57_012_034, 0), (8_194, 57_003_840)):
        given = call(answer, trained, frozen, hint="both are numbers of parameters")
        got = number(given, hint="return bytes")
        compare(
            got,
            16 * trained + 4 * frozen,
            _byte_slips(trained, frozen),
            wrong=f"for {trained:,} trained and {frozen:,} frozen parameters you gave {got:,.0f}",
            hint="count each part: what is stored for one weight of each kind?",
            tolerance=0.5,
        )
    return "a trained weight costs four copies, a frozen one only one"


def _byte_slips(trained: int, frozen: int) -> Iterable[Slip]:
    """Yield the slips of `adam_bytes`."""
    kept = "a frozen weight is stored, but it has no gradient, and Adam stores nothing for it"
    copies = "besides the weights there are their gradients, and what Adam remembers of them"
    want = 16 * trained + 4 * frozen
    yield want / 4, "those are values, not bytes", "how many bytes has a float32?"
    yield want / 2**30, "that is in GiB", "return bytes"
    if trained and frozen:
        yield 16 * (trained + frozen), "you counted the frozen part in full", kept
        yield 16 * trained, "you left out the frozen part", kept
        yield 4 * (trained + frozen), "those are the weights alone", copies
        yield 8 * trained + 4 * frozen, "Adam's own values are missing", copies
        yield 12 * trained + 4 * frozen, "one of the copies is missing", copies
        yield 8 * trained + 8 * frozen, "you gave a frozen weight a gradient", kept
        yield 4 * trained + 16 * frozen, "trained and frozen are swapped", kept


@exercise
def second_alone(answer: Any) -> str:
    """Check a function (labels, first, second) -> indices that only the second gets right."""
    import torch

    cases = (
        ([0, 1, 2, 2, 1, 0, 2, 1], [0, 2, 2, 1, 0, 1, 2, 1], [0, 1, 1, 2, 2, 2, 2, 0]),
        ([0, 1, 1], [0, 1, 0], [1, 1, 0]),
        ([2, 1, 0, 0], [1, 1, 0, 2], [2, 0, 1, 0]),
    )
    three = "with three classes both may be wrong and still disagree: use the labels"
    both = "two conditions have to hold at the same index, one for each network"
    for lists in cases:
        labels, first, second = (torch.tensor(part) for part in lists)
        got = call(answer, labels.clone(), first.clone(), second.clone(), hint="three tensors (N,)")
        indices = _indices(got, len(labels))
        one, two = first == labels, second == labels
        slips = (
            (one & ~two, "those are the ones that only the first gets right", "mind the order"),
            (first != second, "those are the ones on which the two disagree", three),
            (one != two, "those are the ones that exactly one gets right", "which of the two?"),
            (two, "the first gets some of these right, too", both),
            (~one, "the second gets some of these wrong, too", both),
            (~one & ~two, "those are the ones that both get wrong", both),
        )
        compare(
            sorted(indices),
            _true(two & ~one),
            [(_true(mask), wrong, hint) for mask, wrong, hint in slips],
            wrong=f"for the labels {lists[0]}, the first's predictions {lists[1]} and the "
            f"second's {lists[2]} you gave {indices}",
            hint=both,
        )
    return "the indices where the second is correct and the first is not"


@exercise
def coin_chance(answer: Any) -> str:
    """Check a function (first, second) -> probability that a fair coin splits as unevenly."""
    import torch

    with torch.random.fork_rng(devices=[]):
        for first, second in ((2, 8), (5, 1), (4, 4), (6, 25)):
            case = f"{first} and {second}"
            given = call(answer, first, second, hint="both are numbers of images")
            got = number(given, hint="return one probability")
            want, slips = _coin_slips(first, second)
            slips = [(value, f"{case}: {wrong}", hint) for value, wrong, hint in slips]
            name_slip(got, want, slips, tolerance=1e-9)
            expect(
                0 <= got <= 1 + 1e-9,
                f"{case}: {got:.3f} is no probability",
                hint="what lies in the middle must not be counted for both sides",
            )
            expect(
                abs(got - want) < 0.015,  # room for an answer that tosses many coins
                f"for {case} you gave {got:.4f}",
                hint="count splits as uneven as this or more so, to either side; if you toss "
                "coins, toss for 10,000 rounds",
            )
    return "both sides, as uneven or more so"


def _coin_slips(first: int, second: int) -> tuple[float, Iterable[Slip]]:
    """Return the correct probability, and the slips of `coin_chance`."""
    n, more = first + second, max(first, second)
    exact = math.comb(n, more) / 2**n
    tail = sum(math.comb(n, k) for k in range(more, n + 1)) / 2**n
    want = min(1.0, 2 * tail)
    at_least = "more uneven splits count as well, and this one is among them"
    return want, (
        (tail, "you counted only one side", "the other network might have been ahead"),
        (exact, "that is the probability of exactly this split", at_least),
        (2 * exact, "that is the probability of exactly this split, on both sides", at_least),
        (2 * (tail - exact), "the split itself is missing", at_least),
        (1 - want, "that is the probability of a more even split", at_least),
    )


def _true(mask: Any) -> list[int]:
    return mask.nonzero().flatten().tolist()


def _indices(got: Any, total: int) -> list[int]:
    """Return the indices that an answer gives as list, tuple, set, array or tensor."""
    import numpy as np

    if isinstance(got, set | frozenset):
        got = sorted(got)
    if isinstance(got, tuple) and len(got) == 1:  # as numpy.where and torch.where return them
        got = got[0]
    try:
        array = np.asarray(got)
    except (TypeError, ValueError):
        array = np.asarray("no numbers")
    expect(
        array.dtype != bool,
        "that is a mask, with True or False for each image",
        hint="return the indices where it is True",
    )
    expect(array.ndim > 0, "expected indices, not one value", hint="return all indices")
    whole = array.size == 0 or np.issubdtype(array.dtype, np.integer)
    expect(whole, "indices are whole numbers", hint="count the images from 0")
    found = [int(index) for index in array.flatten()]
    inside = all(0 <= index < total for index in found)
    expect(inside, f"for {total} images you gave the indices {found}", hint="count from 0")
    return found
