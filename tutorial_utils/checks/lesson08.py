"""Checks of lesson 08's exercises: the memory that training takes, a paired test, one more seed."""

import math
from collections.abc import Iterable
from typing import Any

from tutorial_utils.checks.verdict import (
    Slip,
    call,
    compare,
    exercise,
    expect,
    number,
)

__all__ = ["adam_bytes", "coin_chance", "wins_needed", "sixth_seed"]

LEVEL = 0.05  # a p-value below it counts as a difference


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
def coin_chance(answer: Any) -> str:
    """Check a function (first, second) -> exact probability that a coin splits as unevenly."""
    for first, second in ((2, 8), (5, 1), (4, 4), (6, 25), (0, 3)):
        given = call(answer, first, second, hint="both are numbers of images")
        got = number(given, hint="return one probability")
        case = f"{first} and {second}"
        slips = _coin_slips(first, second)
        compare(
            got,
            _p_value(first, second),
            [(value, f"{case}: {wrong}", hint) for value, wrong, hint in slips],
            wrong=_far_off(case, got, _p_value(first, second)),
            hint="count the sequences that are as uneven as this or more so, to either side",
            tolerance=1e-6,
        )
    return "both sides, as uneven or more so, and exact"


def _far_off(case: str, got: float, want: float) -> str:
    """Return what is wrong with a value that is no usual slip's."""
    if got > 1:
        return f"{case}: {got:.3f} is no probability; the middle must not be counted twice"
    close = "close, but not exact: " if abs(got - want) < 0.03 else ""
    return f"{close}for {case} you gave {got:.4f}"


def _coin_slips(first: int, second: int) -> Iterable[Slip]:
    """Yield the slips of `coin_chance`."""
    n, more, apart = first + second, max(first, second), abs(first - second)
    exact, want, tail = math.comb(n, more) / 2**n, _p_value(first, second), _tail(n, more)
    at_least = "more uneven splits count as well, and this one is among them"
    counted = "for few images it is not close enough: count the sequences, with math.comb"
    yield tail, "you counted only one side", "the other network might have been ahead"
    yield exact, "that is the probability of exactly this split", at_least
    yield 2 * exact, "that is the probability of exactly this split, on both sides", at_least
    yield 2 * (tail - exact), "the split itself is missing", at_least
    yield 2 * tail - exact, "this split counts in full, on both sides", at_least
    yield 1 - want, "that is the probability of a more even split", at_least
    for correction in (1, 0):
        statistic = max(apart - correction, 0) ** 2 / n
        wrong = "that is the chi-square approximation"
        wrong += ", with continuity correction" if correction else ""
        yield math.erfc(math.sqrt(statistic / 2)), wrong, counted


@exercise
def wins_needed(answer: Any, pair: Any = None) -> str:
    """Check the least number of images that one network must win for a p-value below 0.05.

    Args:
        answer: the number; 0 if not even all images are enough.
        pair: what `evaluation.mcnemar` returned.
    """
    got = number(answer, hint="store one whole number")
    expect(
        pair is not None,
        "there is no comparison to check it with",
        hint="call checks.wins_needed(needed, pair)",
    )
    n = pair.only_first + pair.only_second
    want = next((k for k in range(n // 2 + n % 2, n + 1) if _p_value(k, n - k) < LEVEL), 0)
    compare(
        got,
        want,
        _win_slips(n, want),
        wrong=f"of {n} images you gave {got:g}",
        hint="the p-value of k against n - k must be below 0.05, that of one image less must not",
    )
    if not want:
        return f"even {n} of {n} give {_p_value(n, 0):.3f}: so few images can show nothing"
    found = f"of {n} images {want} give {_p_value(want, n - want):.3f}"
    won = max(pair.only_first, pair.only_second)
    return f"{found}; in your run one network has {won} of them"


def _win_slips(n: int, want: int) -> Iterable[Slip]:
    """Yield the slips of `wins_needed`."""
    least = "the question is from which number on p is below 0.05"
    one_side = next((k for k in range(n + 1) if _tail(n, k) < LEVEL), 0)
    yield one_side, f"{one_side} is enough for one side only", "add the other side's probability"
    if want:
        yield n - want, "that is the number that the other network wins", "give the larger part"
        yield 0, f"{n} images are enough", f"what is the p-value of {n} against 0?"
        yield n // 2 + 1, "a majority alone is no evidence", least
        yield from ((k, f"{k} is more than needed", least) for k in range(want + 1, n + 1))
        yield want - 1, f"{want - 1} gives {_p_value(want - 1, n - want + 1):.3f}", least
    elif n:
        yield n, f"{n} against 0 gives {_p_value(n, 0):.3f}", "is that below 0.05?"


@exercise
def sixth_seed(answer: Any, ahead: Any = None, seed: int = 0) -> str:
    """Check "a", "b" or "c" for the sixth seed's difference, compared with those of the others.

    Args:
        answer: "a", below all; "b", within their range; "c", above all.
        ahead: {seed: images by which VGG16 is ahead}.
        seed: the lesson's seed, the first of the five.
    """
    letter = answer.strip(" )").lower() if isinstance(answer, str) else answer
    expect(letter in ("a", "b", "c"), "expected a letter", hint='give "a", "b" or "c"')
    others = {int(key): int(value) for key, value in dict(ahead or {}).items()}
    sixth = next((key for key in (seed + 5, (seed + 5) % 2**32) if key in others), None)
    expect(
        sixth is not None and len(others) > 1,
        f"there is no difference for the seed {seed + 5}",
        hint="measure it: ahead[seed + 5] = correct with VGG16 minus correct with AlexNet",
    )
    new = others.pop(sixth)
    low, high = min(others.values()), max(others.values())
    correct = "a" if new < low else "c" if new > high else "b"
    expect(
        letter == correct,
        f"VGG16 is ahead by {new} images with the sixth seed, by {low} to {high} with the others",
        hint="compare it with the lowest and the highest of the others",
    )
    one_in_three = "about one new seed in three lies outside the range of five"
    if correct == "b":
        return f"{new} lies within {low} to {high}: {one_in_three}, yours does not"
    return f"{new} lies outside {low} to {high}: no surprise, {one_in_three}"


def _tail(n: int, k: int) -> float:
    """Return the probability of at least k heads in n tosses."""
    return sum(math.comb(n, heads) for heads in range(k, n + 1)) / 2**n


def _p_value(first: int, second: int) -> float:
    """Return McNemar's exact p-value."""
    return min(1.0, 2 * _tail(first + second, max(first, second)))
