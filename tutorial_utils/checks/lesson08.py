"""Checks of lesson 08's exercises: what training holds in memory, and how two networks differ."""

import math
from typing import Any

from tutorial_utils.checks.verdict import ask, exercise, expect, number

__all__ = ["adam_bytes", "second_alone", "coin_chance"]


@exercise
def adam_bytes(answer: Any) -> str:
    """Check a function (trained, frozen) -> bytes held when Adam trains a part of a network."""
    for trained, frozen in ((54_542_338, 2_469_696), (57_012_034, 0), (8_194, 57_003_840)):
        got = number(ask(answer, trained, frozen, hint="both are counts"), hint="return bytes")
        want = 16 * trained + 4 * frozen
        slips = [
            (want / 4, "those are values, not bytes", "how many bytes has a float32?"),
            (want / 2**30, "that is in GiB", "bytes are asked for"),
        ]
        if trained and frozen:
            slips += [
                (16 * (trained + frozen), "the frozen part was charged in full", _FROZEN),
                (16 * trained, "the frozen part was left out", _FROZEN),
                (4 * (trained + frozen), "those are the weights alone", _COPIES),
                (8 * trained + 4 * frozen, "Adam's own values are missing", _COPIES),
                (12 * trained + 4 * frozen, "one of the copies is missing", _COPIES),
                (8 * trained + 8 * frozen, "a frozen weight was given a gradient", _FROZEN),
                (4 * trained + 16 * frozen, "trained and frozen are exchanged", _FROZEN),
            ]
        for value, wrong, hint in slips:
            expect(abs(got - value) > 0.5, wrong, hint=hint)
        expect(
            abs(got - want) < 0.5,
            f"for {trained:,} trained and {frozen:,} frozen parameters you gave {got:,.0f}",
            hint="go through it part by part: what is held for one weight of each kind?",
        )
    return "what is trained costs four copies, what is frozen one"


_FROZEN = "a frozen weight is kept, and nothing is noted about it"
_COPIES = "beside the weights there are their gradients, and what Adam remembers of them"


@exercise
def second_alone(answer: Any) -> str:
    """Check a function (labels, first, second) -> places that only the second gets right."""
    import torch

    cases = (
        ([0, 1, 2, 2, 1, 0, 2, 1], [0, 2, 2, 1, 0, 1, 2, 1], [0, 1, 1, 2, 2, 2, 2, 0]),
        ([0, 1, 1], [0, 1, 0], [1, 1, 0]),
        ([2, 1, 0, 0], [1, 1, 0, 2], [2, 0, 1, 0]),
    )
    for lists in cases:
        labels, first, second = (torch.tensor(part) for part in lists)
        got = ask(answer, labels.clone(), first.clone(), second.clone(), hint="three tensors (N,)")
        places = _places(got, len(labels))
        one, two = first == labels, second == labels
        slips = (
            (one & ~two, "those are the ones that only the first gets right", "mind the order"),
            (first != second, "those are the ones on which the two disagree", _THREE),
            (one != two, "those are the ones that exactly one gets right", "which of the two?"),
            (two, "the first gets some of these right, too", _BOTH),
            (~one, "the second gets some of these wrong, too", _BOTH),
            (~one & ~two, "those are the ones that both get wrong", _BOTH),
        )
        want = two & ~one
        for mask, wrong, hint in slips:
            if not torch.equal(mask, want):
                expect(places != mask.nonzero().flatten().tolist(), wrong, hint=hint)
        expect(
            sorted(places) == want.nonzero().flatten().tolist(),
            f"for the labels {lists[0]}, the first's answers {lists[1]} and the second's "
            f"{lists[2]} you gave {places}",
            hint=_BOTH,
        )
    return "the places where the second is right and the first is not"


_THREE = "with three classes both may be wrong and still disagree: ask the labels"
_BOTH = "two conditions have to hold at the same place, one for each network"


@exercise
def coin_chance(answer: Any) -> str:
    """Check a function (first, second) -> how likely a fair coin splits at least as unevenly."""
    import torch

    with torch.random.fork_rng(devices=[]):
        for first, second in ((2, 8), (5, 1), (4, 4), (6, 25)):
            got = ask(answer, first, second, hint="both are counts of images")
            got = number(got, hint="return one probability")
            n, more = first + second, max(first, second)
            exact = math.comb(n, more) / 2**n
            tail = sum(math.comb(n, k) for k in range(more, n + 1)) / 2**n
            want = min(1.0, 2 * tail)
            slips = (
                (tail, "only one side was counted", "the other network might have been ahead"),
                (exact, "that is the chance of this very split", _AT_LEAST),
                (2 * exact, "that is the chance of this very split, on both sides", _AT_LEAST),
                (2 * (tail - exact), "the split itself was left out", _AT_LEAST),
                (1 - want, "that is the chance of a more even split", _AT_LEAST),
            )
            case = f"{first} and {second}"
            for value, wrong, hint in slips:
                different = abs(value - want) > 1e-9
                expect(not different or abs(got - value) > 1e-9, f"{case}: {wrong}", hint=hint)
            expect(
                0 <= got <= 1 + 1e-9,
                f"{case}: {got:.3f} is no probability",
                hint="what lies in the middle must not be counted for both sides",
            )
            expect(
                abs(got - want) < 0.015,  # room for an answer that tosses many coins
                f"for {case} you gave {got:.4f}",
                hint="as uneven as this, or more so, to one side or to the other; if you toss "
                "coins, toss for 10,000 rounds",
            )
    return "both sides, as uneven or more so"


_AT_LEAST = "more uneven splits count as well, and this one is among them"


def _places(got: Any, total: int) -> list[int]:
    """Return the places that an answer gives as list, tuple, array or tensor."""
    import numpy as np

    if isinstance(got, set | frozenset):
        got = sorted(got)
    if isinstance(got, tuple) and len(got) == 1:  # numpy.where and its like
        got = got[0]
    try:
        places = np.asarray(got)
    except (TypeError, ValueError):
        places = np.asarray("no numbers")
    expect(
        places.dtype != bool,
        "that is a mask, with one yes or no for each image",
        hint="give the places where it says yes",
    )
    expect(places.ndim > 0, "the places are asked for, not one value", hint="give all places")
    whole = places.size == 0 or np.issubdtype(places.dtype, np.integer)
    expect(whole, "places are whole numbers", hint="count the images from 0")
    found = [int(place) for place in places.flatten()]
    inside = all(0 <= place < total for place in found)
    expect(inside, f"of {total} images you gave the places {found}", hint="count from 0")
    return found
