"""Checks of lesson 09's exercises: wrong caches, weight decay, and changes without effect."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from tutorial_utils.checks.verdict import call, exercise, expect, kind, number

__all__ = ["spoiled_caches", "decay_leaves", "right_angle", "unseen_change"]

CASES = "abcdef"
FILLERS = {"and", "or", "case", "cases"}  # "b and d"


@exercise
def spoiled_caches(answer: Any) -> str:
    """Check which of the cases a) to f) make cached features wrong, e.g. "ace" or "a, c and e"."""
    words = re.findall(r"[^\W_]+", answer.lower()) if isinstance(answer, str) else answer
    listed = isinstance(words, Iterable) and all(isinstance(one, str) for one in words)
    expect(
        listed and not isinstance(words, Mapping),
        f"expected letters, not {kind(answer)}",
        hint='write the letters of the cases in one string, e.g. "xyz"',
    )
    chosen = {letter for one in words if one.lower() not in FILLERS for letter in one.lower()}
    expect(
        chosen and chosen <= set(CASES),
        f"the cases have the letters a to f, and you gave {sorted(chosen)}",
        hint="write the letters of the cases that you mean in one string",
    )
    fine = {
        "a": "another order of the images changes no image's values",
        "c": "dropout in the head draws new random numbers for each batch of cached rows",
        "f": "the learning rate of the head does not affect the backbone",
    }
    for case in sorted(chosen & set(fine)):
        expect(False, f"cached features are correct in case {case})", hint=fine[case])
    missing = {
        "b": "the weights that computed the values have changed since",
        "d": "the backbone's input is not the same in every epoch",
        "e": "a layer can change what it does without being trained (lesson 04)",
    }
    for case in sorted(set(missing) - chosen):
        expect(False, "a case that makes cached features wrong is missing", hint=missing[case])
    return "weights that move, images that vary, a layer that uses the rest of the batch"


@exercise
def decay_leaves(answer: Any, decay_share: Any = None, shares: Any = None) -> str:
    """Check why weight decay leaves the span: "a", "b" or "c".

    `decay_share` is the measured share of the change outside the span with weight decay, `shares`
    those without, {"momentum": share, "Adam": share}.
    """
    letter = answer.strip(" )").lower() if isinstance(answer, str) else answer
    expect(
        isinstance(letter, str) and letter in ("a", "b", "c"),
        f'expected "a", "b" or "c", not {kind(answer)}',
        hint="answer with one of the three letters, a string",
    )
    again = "decay_share = split_change(your_optimizer)[0]"
    expect(decay_share is not None and decay_share is not ..., "nothing is measured", hint=again)
    share = number(decay_share, hint=again)
    plain, adam = (
        number(shares[name], hint="run the lesson above") for name in ("momentum", "Adam")
    )
    expect(0 <= share <= 1 + 1e-3, f"a share of {share:g} is not between 0 and 1", hint=again)
    expect(
        abs(share - adam) > 1e-3 * adam,
        f"{share:.2%} is Adam's share",
        hint="use torch.optim.SGD as momentum does, and give it weight_decay=0.1",
    )
    expect(
        share > 10 * plain,
        f"{share:.2%} is hardly more than {plain:.2%}, the share without decay",
        hint="did your optimiser get weight_decay=0.1?",
    )
    expect(
        letter != "a",
        f"rounding is in both runs, and without decay {plain:.2%} lies outside",
        hint="what is there with decay only?",
    )
    expect(
        letter != "c",
        f"momentum is in both runs, and without decay {plain:.2%} lies outside",
        hint="a sum of gradients lies where the gradients lie; what is added with decay only?",
    )
    return f"{share:.0%} lies outside: the decay pulls the start itself towards 0"


@exercise
def right_angle(answer: Any) -> str:
    """Check a function (x (2,)) -> a change (2,), not zero, at right angles to x."""
    import torch

    with torch.random.fork_rng(devices=[]):
        for values in ([3.0, 1.0], [1.0, 2.0], [0.0, 2.0], [1.5, 0.0], [-1.0, 0.5]):
            x = torch.tensor(values)
            got = call(answer, x.clone(), hint="x is a tensor of two numbers")
            change = _vector(got, 0, 2)
            expect(
                change.norm() > 1e-3,
                "that is zero, or almost zero",
                hint="a weight that does not move is no change: return a direction",
            )
            _expect_right_angle(x, change)
    return "the two products cancel, so the sum stays, however far you go in this direction"


def _expect_right_angle(x: Any, change: Any) -> None:
    moved = float(x @ change)
    if abs(moved) < 1e-4 * float(x.norm() * change.norm()):
        return
    shown = f"for x = {x.tolist()} your change {[round(v, 3) for v in change.tolist()]}"
    along = abs(abs(moved) - float(x.norm() * change.norm())) < 1e-4
    expect(
        not along,
        f"{shown} goes along x",
        hint="that is where gradients go, and it moves the sum the most: turn it by 90 degrees",
    )
    expect(
        not bool((change - x.flip(0)).norm() < 1e-4),
        f"{shown} has its numbers swapped, and the two products add up",
        hint="let them cancel: one of the two needs the other sign",
    )
    expect(
        False,
        f"{shown} moves the sum by {moved:.3f}",
        hint="change[0] * x[0] + change[1] * x[1] must be 0",
    )


@exercise
def unseen_change(answer: Any) -> str:
    """Check a function (values (N, D)) -> a vector (D,), not zero, orthogonal to every row."""
    import torch

    generator = torch.Generator().manual_seed(9)
    with torch.random.fork_rng(devices=[]):
        for images, width in ((4, 9), (3, 20), (6, 7)):
            values = torch.randn(images, width, generator=generator)
            got = call(answer, values.clone(), hint="values has a row for each image")
            change = _vector(got, images, width)
            expect(
                change.norm() > 1e-3,
                "that is zero, or almost zero",
                hint="a weight that does not move is no change: return a direction",
            )
            change = change / change.norm()
            seen = values @ change  # (N,)
            basis = torch.linalg.qr(values.T).Q  # (D, N)
            expect(
                (change - basis @ (basis.T @ change)).norm() > 1e-3,
                "your change lies completely inside the span of the images",
                hint="that part changes their sums; you want what is left without it",
            )
            worst = int(seen.abs().argmax())
            expect(
                seen[worst].abs() < 1e-4 * values.norm(),
                f"of {images} images of {width} values, your change moves the sum of "
                f"image {worst} by {seen[worst]:.3f}",
                hint="split any direction into a part in the span of all images and the rest",
            )
    return "a neuron's weights moved, and no training image's sum did"


def _vector(got: Any, images: int, width: int) -> Any:
    """Return a vector of the features' width as float32; anything else is wrong."""
    import torch

    try:
        vector = torch.as_tensor(got).detach().float().flatten()
    except (TypeError, ValueError, RuntimeError):
        expect(False, f"expected a tensor, not {kind(got)}", hint="return shape (D,)")
    expect(
        len(vector) == width or len(vector) != images,
        f"your change has {images} numbers, one for each image",
        hint="you change a row of weights: it has a number for each value of the features",
    )
    expect(
        len(vector) == width,
        f"for values of shape ({images}, {width}) your change has {len(vector)} numbers",
        hint="a neuron has one weight for each of the values that come in",
    )
    expect(vector.isfinite().all(), "not all numbers are finite", hint="did you divide by zero?")
    return vector
