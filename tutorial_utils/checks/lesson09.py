"""Checks of lesson 09's exercises: when a cache is stale, its key, a change without effect."""

from collections.abc import Iterable
from typing import Any

from tutorial_utils.checks.verdict import call, exercise, expect, expect_function, kind

__all__ = ["spoiled_caches", "cache_key", "unseen_change"]


@exercise
def spoiled_caches(answer: Any) -> str:
    """Check which of the cases a) to f) make cached features wrong, e.g. "ace"."""
    letters = set(answer.lower()) if isinstance(answer, str) else answer
    listed = isinstance(letters, Iterable) and all(isinstance(one, str) for one in letters)
    expect(
        listed,
        f"expected letters, not {kind(answer)}",
        hint='write the letters of the cases in one string, e.g. "xyz"',
    )
    chosen = {one.lower() for one in letters} - set(" ,)")
    expect(
        chosen and chosen <= set("abcdef"),
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
def cache_key(answer: Any) -> str:
    """Check a function (weights, transform, images, views, seed) -> key, a string.

    `views` is the number of augmented versions of each image.
    """
    import torch

    expect_function(answer)
    names = ("weights", "transform", "images", "views", "seed")
    base = (torch.arange(3000.0), "crop 224", [b"ant", b"bee", b"wasp"], 1, 23)
    hint = "weights is a tensor (N,), images a list of bytes"
    key = call(answer, *base, hint=hint)
    expect(isinstance(key, str), f"expected a string, not {kind(key)}", hint=_SUM)
    expect(
        0 < len(key) <= 100 and "/" not in key,
        f"a key of {len(key)} characters cannot be a file name",
        hint=_SUM + "; and a file name contains no slash",
    )
    again = call(answer, base[0].clone(), *base[1:2], list(base[2]), *base[3:], hint=hint)
    expect(
        again == key,
        "the same inputs gave two keys",
        hint="does it contain a time, a random number or an address in memory?",
    )
    used = getattr(getattr(answer, "__code__", None), "co_names", ())
    expect(
        "hash" not in used,
        "`hash` gives a string another number each time Python starts",
        hint=_SUM,
    )
    for changes, wrong, why in _changes(base[0]):
        other = [changes.get(name, value) for name, value in zip(names, base, strict=True)]
        expect(call(answer, *other, hint=hint) != key, wrong, hint=why)
    return "another input, another key; the same inputs, the same key"


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


_SUM = "a checksum of all parts is short, however long they are (`hashlib`)"


def _changes(weights: Any) -> list[tuple[dict[str, Any], str, str]]:
    """Return changes of the inputs, what is wrong if the key stays, and a hint."""
    middle, little = weights.clone(), weights.clone()
    middle[1500] += 1.0
    little[0] += 1e-6
    out = "the values depend on it"
    apart = "nothing separates the parts: where does one end and the next begin?"
    return [
        ({"seed": 24}, "another seed has the same key", out),
        ({"views": 2}, "another number of views has the same key", out),
        ({"transform": "crop 192"}, "another transform has the same key", out),
        ({"weights": weights + 1}, "other weights have the same key", out),
        ({"images": [b"ant", b"bee"]}, "fewer images have the same key", out),
        (
            {"images": [b"ant", b"bee", b"wisp"]},
            "another image of the same size has the same key",
            "the contents count, not how many there are or how long",
        ),
        (
            {"images": [b"bee", b"ant", b"wasp"]},
            "the images in another order have the same key",
            "row 0 would belong to another image",
        ),
        (
            {"weights": middle},
            "a change in the middle of the weights goes unnoticed",
            "print a long tensor: how much of it is shown?",
        ),
        (
            {"weights": weights.flip(0)},
            "the weights in another order have the same key",
            "a sum or a mean does not depend on which weight is which",
        ),
        ({"weights": little}, "a small change of a weight goes unnoticed", "do not round"),
        ({"views": 12, "seed": 3}, "1 view with seed 23 and 12 views with seed 3: one key", apart),
        (
            {"images": [b"ant", b"beew", b"asp"]},
            "images split elsewhere have the same key",
            apart,
        ),
    ]


def _vector(got: Any, images: int, width: int) -> Any:
    """Return a vector of the features' width as float32; anything else is wrong."""
    import torch

    try:
        vector = torch.as_tensor(got).detach().float().flatten()
    except (TypeError, ValueError, RuntimeError):
        expect(False, f"expected a tensor, not {kind(got)}", hint="return shape (D,)")
    expect(
        len(vector) != images,
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
