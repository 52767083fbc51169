"""Checks of lesson 11's exercises: Grad-CAM, the rim, nearest neighbours, a shortcut repaired."""

from collections.abc import Iterable
from typing import Any

from tutorial_utils.checks.verdict import (
    Slip,
    call,
    compare,
    exercise,
    expect,
    kind,
    name_slip,
    number,
    same,
)

__all__ = ["cam_by_hand", "rim_verdict", "alike_share", "repaired"]

NEAR = 1e-4
SHARE = "return one number, a fraction"
# What each sentence of `rim_verdict` says was found: the rim is informative, the network uses it.
LETTERS = {"a": (True, True), "b": (True, False), "c": (False, True), "d": (False, False)}


@exercise
def cam_by_hand(answer: Any) -> str:
    """Check a function (activations (C, h, w), gradients (C, h, w)) -> heat (h, w)."""
    import torch

    generator = torch.Generator().manual_seed(11)
    for shape in ((4, 3, 5), (6, 4, 4)):
        maps, gradients = (torch.randn(shape, generator=generator) for _ in range(2))
        hint = "both are (C, h, w): a map for each of the C filters, and its gradient"
        got = _tensor(call(answer, maps.clone(), gradients.clone(), hint=hint))
        summed = (gradients.mean((1, 2), keepdim=True) * maps).sum(0)
        want = summed.relu()
        name_slip(got, want, _cam_slips(maps, gradients, summed), tolerance=2e-5)
        expect(
            got.shape == want.shape,
            f"for activations of shape {shape} your heat has the shape {tuple(got.shape)}",
            hint="one value for each position, (h, w): the sum goes over the filters",
        )
        expect(
            same(got, want, 2e-5),
            "the heat has the correct shape, but other values",
            hint="weight each map by the mean of its gradient, add the maps, then apply a ReLU",
        )
    return "each map weighted by its mean gradient, summed, and nothing below zero"


def _cam_slips(maps: Any, gradients: Any, summed: Any) -> Iterable[Slip]:
    """Yield the slips of `cam_by_hand`."""
    weights = gradients.mean((1, 2), keepdim=True)
    yield summed, "some of your heat is below zero", "only evidence for the class counts"
    mean = (weights * maps).mean(0).relu()
    yield mean, "you took the mean over the filters", "the weighted maps are added up"
    total = (gradients.sum((1, 2), keepdim=True) * maps).sum(0).relu()
    over = "its mean over all positions is the weight"
    yield total, "you weighted by the sum of the gradient", over
    one = "a map has one weight for all its positions: the mean of its gradient"
    yield (gradients * maps).sum(0).relu(), "you multiplied position by position", one
    early = (weights.relu() * maps.relu()).sum(0)
    against = "maps that count against the class belong in the sum"
    yield early, "you set what is below zero to 0 before adding up", against
    each = (weights * maps).relu().sum(0)
    last = "add up first, then set what is below zero to 0"
    yield each, "you set what is below zero to 0 in each map", last
    which = "they tell which maps count"
    yield maps.sum(0).relu(), "you did not use the gradients", which


@exercise
def rim_verdict(answer: Any, rim_test: Any = None, swap_test: Any = None) -> str:
    """Check "a" to "d" for what two tests of the rim found in this run.

    Args:
        answer: "a", both found something; "b", only the first; "c", only the second; "d", neither.
        rim_test: McNemar's test of a head trained on rims (first) and the majority baseline.
        swap_test: McNemar's test of rims of the same class (first) and of another class.
    """
    letter = answer.strip(" ).").lower() if isinstance(answer, str) else answer
    hint = 'give "a", "b", "c" or "d"'
    expect(isinstance(letter, str) and letter in LETTERS, "expected a letter", hint=hint)
    expect(
        hasattr(rim_test, "p_value") and hasattr(swap_test, "p_value"),
        "the results of the two tests are missing",
        hint="run the lesson's own check cell unchanged, after the cells above it",
    )
    tests = {"rim and baseline": rim_test, "same and another class": swap_test}
    correct = tuple(_found(test) for test in tests.values())
    for (name, test), given, found in zip(tests.items(), LETTERS[letter], correct, strict=True):
        counts = f"{test.only_first} first only, {test.only_second} second only"
        expect(
            given == found,
            f"{name}: {counts}, p = {test.p_value:.2g}, which counts as "
            + ("found" if found else "not found"),
            hint="found needs p below 0.05 and more images on the first side",
        )
    return {
        "a": "the rim is informative, and this network uses it: flowers, or legs that reach in?",
        "b": "the information is there; that this network ignores it is not refuted, nor shown",
        "c": "whole insects may reach into the rim, or the head trained on rims was too weak",
        "d": "no shortcut was found in the rim, which does not prove that there is none",
    }[letter]


def _found(test: Any) -> bool:
    return bool(test.p_value < 0.05 and test.only_first > test.only_second)


@exercise
def alike_share(answer: Any) -> str:
    """Check a function (features (N, D), labels (N,)) -> fraction whose neighbour has their label.

    The neighbour is the other image with the highest cosine similarity.
    """
    import torch

    hint = "features is (N, D), a row for each image; labels is (N,)"
    # By cosine similarity, distance and dot product 4, 2 and 1 of 10 agree. The last row points
    # away from all others: with 0 on the diagonal it would find itself.
    rows = [[2, 7], [8, 9], [8, 6], [7, 1], [3, 3], [9, 24], [15, 6], [15, 27], [1, 8], [-3, -2]]
    features, labels = torch.tensor(rows).float(), torch.tensor([2, 1, 0, 0, 2, 2, 0, 1, 0, 1])
    got = number(call(answer, features.clone(), labels.clone(), hint=hint), hint=SHARE)
    compare(
        got,
        0.4,
        _alike_slips(features, labels, 0.4),
        wrong=f"4 of 10 images have the label of their nearest neighbour, you gave {got:.3g}",
        hint="for each image: find the other one with the highest cosine similarity, then compare "
        "the two labels with ==",
        tolerance=NEAR,
    )
    pairs = torch.eye(6)[[0, 0, 1, 1, 2, 2]] + 0.2 * torch.eye(6)  # three pairs, all apart
    classes = torch.tensor([0, 0, 1, 2, 2, 2])
    more = number(call(answer, pairs, classes, hint=hint), hint=SHARE)
    compare(
        more,
        4 / 6,
        wrong=f"for three pairs of images, two of them of one class, you gave {more:.3g}",
        hint="the fraction is that of all images",
        tolerance=NEAR,
    )
    return "every image compared with the others by cosine similarity, itself left out"


def _alike_slips(features: Any, labels: Any, want: float) -> Iterable[Slip]:
    """Yield the slips of `alike_share`."""
    import torch
    from torch.nn.functional import normalize

    def share(similarity: Any) -> float:
        return float((labels[similarity.argmax(1)] == labels).float().mean())

    unit = normalize(features, dim=1)
    products, cosines, far = features @ features.T, unit @ unit.T, float("-inf")
    itself = "leave the image itself out, e.g. by a count of 2 and the second column"
    minus = "set the diagonal to minus infinity: where all cosines are negative, 0 is the highest"
    scaled = "divide each row by its length first, or use attribution.neighbours"
    of_all = "a fraction of all images: divide by their number"
    yield share(cosines), "each image found itself, its own nearest neighbour", itself
    yield share(cosines.clone().fill_diagonal_(0)), "an image of the set found itself", minus
    yield want * len(labels), "that is a number of images", of_all
    yield 1 - want, "that is the fraction whose label differs", "do you count with `==`?"
    dot = "you took the largest dot product: it favours long rows over rows of the same direction"
    yield share(products.clone().fill_diagonal_(far)), dot, scaled
    yield share(products), "you took the dot product, and kept each image itself", scaled
    apart = torch.cdist(features, features).fill_diagonal_(float("inf"))
    nearest = (
        "you took the nearest by distance: a long row and a short one that point in the same "
        "direction are similar, and far apart"
    )
    yield share(-apart), nearest, scaled


@exercise
def repaired(answer: Any, accuracies: Any = None) -> str:
    """Check three accuracies of a head whose training images had stickers in every class.

    Args:
        answer: its accuracy with the stickers on one class, without, and on the other class.
        accuracies: {trial: [accuracy of the fooled head, of the first head]}, three trials.
    """
    hint = "a list of three accuracies, in the order of `trials`"
    expect(isinstance(answer, list | tuple), f"expected a list, not {kind(answer)}", hint=hint)
    expect(len(answer) == 3, f"expected three accuracies, not {len(answer)}", hint=hint)
    given = [number(value, hint=hint) for value in answer]
    expect(all(0 <= value <= 1 for value in given), "an accuracy is from 0 to 1", hint=hint)
    expect(
        isinstance(accuracies, dict) and len(accuracies) == 3,
        "the accuracies of the other two heads are missing",
        hint="call the check as the lesson does, with `accuracies`",
    )
    fooled, first = (list(column) for column in zip(*accuracies.values(), strict=True))
    for other, name in ((fooled, "the fooled head"), (first, "the first head")):
        expect(
            given != other or fooled == first,
            f"these are the accuracies of {name}",
            hint="train another head, and predict with that one",
        )
    gap, gap_fooled = (max(one) - min(one) for one in (given, fooled))
    expect(
        gap < gap_fooled or gap_fooled == 0,
        f"from trial to trial your accuracies differ by {gap:.3f}, the fooled head's by "
        f"{gap_fooled:.3f}: your head still goes by the sticker",
        hint="give a random half of the training images of *every* class the sticker",
    )
    return (
        f"moving the sticker changes the accuracy by {gap:.3f}, and by {gap_fooled:.3f} for the "
        f"fooled head. What says nothing about the class is not learned"
    )


def _tensor(got: Any) -> Any:
    """Return the answer as float32; anything else is wrong."""
    import torch

    try:
        return torch.as_tensor(got).detach().float()
    except (TypeError, ValueError, RuntimeError):
        expect(False, f"expected a tensor, not {kind(got)}", hint="return a shape of (h, w)")
