"""Checks of lesson 11's exercises: Grad-CAM by hand, heat and area, nearest neighbours."""

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

__all__ = ["cam_by_hand", "heat_ratio", "alike_share"]

NEAR = 1e-4


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
def heat_ratio(answer: Any) -> str:
    """Check a function (heat (H, W), mask (H, W) bool) -> heat inside over that of even heat."""
    import torch

    heat = torch.zeros(4, 10)
    heat[0], heat[1, :5] = 2.0, 4.0  # 20 and 20
    mask = torch.zeros(4, 10, dtype=torch.bool)
    mask[0] = True  # a quarter of the area, half of the heat
    hint = "heat[mask] are the values inside; the mask's mean is its fraction of the area"
    slips = (
        (0.5, "that is the fraction of the heat inside", "compare it with the fraction of area"),
        (0.25, "that is the mask's fraction of the area", "and how much of the heat is inside?"),
        (20.0, "that is the sum of the heat inside", "what fraction of all heat is it?"),
        (3.0, "you compared inside with outside", "evenly spread means over the whole map"),
        (0.05, "you divided by a number of pixels", "divide by their fraction of all pixels"),
        (0.125, "you multiplied the two fractions", "how many times larger is one than the other?"),
    )
    got = number(call(answer, heat.clone(), mask.clone(), hint=hint), hint="return one number")
    compare(
        got,
        2.0,
        slips,
        wrong=f"for half of the heat in a quarter of the area you gave {got:.3g}",
        hint="the fraction of the heat inside over the fraction of the area inside",
        tolerance=NEAR,
    )
    even = number(call(answer, torch.full((6, 6), 0.3), torch.eye(6).bool(), hint=hint), hint=hint)
    compare(
        even,
        1.0,
        wrong=f"for heat that is spread evenly you gave {even:.3g}, not 1",
        hint="the sums depend on the size of the map; the fractions do not",
        tolerance=NEAR,
    )
    return "2 for half of the heat in a quarter of the area, 1 for heat that is spread evenly"


@exercise
def alike_share(answer: Any) -> str:
    """Check a function (features (N, D), labels (N,)) -> fraction whose neighbour has their label.

    The neighbour is the other image at the smallest angle.
    """
    import torch

    # By angle: 0 and 1, 2 and 3, and 4 goes to 1. By distance 0 and 1 are far apart.
    rows = [[1.0, 0.05], [90.0, 9.0], [0.0, 1.0], [0.02, 2.0], [1.0, 0.6]]
    features, labels = torch.tensor(rows), torch.tensor([0, 0, 1, 1, 1])
    hint = "features is (N, D), a row for each image; labels is (N,)"
    given = call(answer, features.clone(), labels.clone(), hint=hint)
    got = number(given, hint="return one number, a fraction")
    compare(
        got,
        0.8,
        _alike_slips(features, labels),
        wrong=f"four of five images have the label of the most similar one, you gave {got:.3g}",
        hint="for each image: find the other one at the smallest angle; then compare labels",
        tolerance=NEAR,
    )
    pairs = torch.eye(6)[[0, 0, 1, 1, 2, 2]] + 0.2 * torch.eye(6)  # three pairs, all apart
    classes = torch.tensor([0, 0, 1, 2, 2, 2])
    more = number(call(answer, pairs, classes, hint=hint), hint=hint)
    compare(
        more,
        4 / 6,
        wrong=f"with three classes, two of three pairs agree, and you gave {more:.3g}",
        hint="count equal labels; do not treat them as 0 and 1",
        tolerance=NEAR,
    )
    return "every image compared with the others by angle, itself left out"


def _alike_slips(features: Any, labels: Any) -> Iterable[Slip]:
    """Yield the slips of `alike_share`."""
    import torch

    apart = torch.cdist(features, features).fill_diagonal_(float("inf"))
    by_distance = float((labels[apart.argmin(1)] == labels).float().mean())
    itself = "leave the image itself out, e.g. by a count of 2 and the second column"
    yield 1.0, "that is 1 for any set: every image is most similar to itself", itself
    yield 4.0, "that is a number of images", "return a fraction: divide by the number of images"
    yield 0.2, "that is the fraction whose label differs", "do you count with `==`?"
    nearest = (
        "you took the nearest by distance: here a long row and a short one that point the same "
        "way are similar"
    )
    yield by_distance, nearest, "divide each row by its length first, or use attribution.neighbours"


def _tensor(got: Any) -> Any:
    """Return the answer as float32; anything else is wrong."""
    import torch

    try:
        return torch.as_tensor(got).detach().float()
    except (TypeError, ValueError, RuntimeError):
        expect(False, f"expected a tensor, not {kind(got)}", hint="return a shape of (h, w)")
