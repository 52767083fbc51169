"""Checks of lesson 11's exercises: Grad-CAM by hand, heat against area, alike and of one class."""

from typing import Any

from tutorial_utils.checks.verdict import ask, exercise, expect, number

__all__ = ["cam_by_hand", "heat_ratio", "alike_share"]


@exercise
def cam_by_hand(answer: Any) -> str:
    """Check a function (activations (C, h, w), gradients (C, h, w)) -> heat (h, w)."""
    import torch

    generator = torch.Generator().manual_seed(11)
    for shape in ((4, 3, 5), (6, 4, 4)):
        maps, slopes = (torch.randn(shape, generator=generator) for _ in range(2))
        hint = "both are (C, h, w): a map for each of the C filters, and its gradient"
        got = _tensor(ask(answer, maps.clone(), slopes.clone(), hint=hint))
        summed = (slopes.mean((1, 2), keepdim=True) * maps).sum(0)
        for other, wrong, why in _cam_slips(maps, slopes, summed):
            same = got.shape == other.shape and torch.allclose(got, other, atol=1e-5)
            expect(not same, wrong, hint=why)
        expect(
            got.shape == summed.shape,
            f"for activations of shape {shape} your heat has the shape {tuple(got.shape)}",
            hint="one value for each place, (h, w): the sum goes over the filters",
        )
        expect(
            torch.allclose(got, summed.relu(), atol=1e-5),
            "the heat has the right shape and other values",
            hint="weight each map by the mean of its gradient, add the maps, drop what is below 0",
        )
    return "each map weighted by its mean gradient, summed, and nothing below zero"


@exercise
def heat_ratio(answer: Any) -> str:
    """Check a function (heat (H, W), mask (H, W) bool) -> times as much heat as if even."""
    import torch

    heat = torch.zeros(4, 10)
    heat[0], heat[1, :5] = 2.0, 4.0  # 20 and 20
    mask = torch.zeros(4, 10, dtype=torch.bool)
    mask[0] = True  # a quarter of the area, half of the heat
    hint = "heat[mask] are the values inside; the mask's mean is its share of the area"
    got = number(ask(answer, heat.clone(), mask.clone(), hint=hint), hint="return one number")
    slips = {
        0.5: ("that is the share of the heat inside", "hold it against the share of the area"),
        0.25: ("that is the mask's share of the area", "and how much of the heat is in it?"),
        20.0: ("that is the heat inside, summed up", "as a share of all heat, and then?"),
        3.0: ("you held the inside against the outside", "evenly spread means over the whole map"),
        0.05: ("the share of the heat is over the number of pixels", "over their share of all"),
        0.125: ("you multiplied the two shares", "by how much is the one larger than the other?"),
    }
    for value, (wrong, why) in slips.items():
        expect(abs(got - value) > 1e-4, wrong, hint=why)
    expect(
        abs(got - 2) < 1e-4,
        f"half of the heat in a quarter of the area: you say {got:.3g}",
        hint="the share of the heat inside over the share of the area inside",
    )
    even = number(ask(answer, torch.full((6, 6), 0.3), torch.eye(6).bool(), hint=hint), hint=hint)
    expect(
        abs(even - 1) < 1e-4,
        f"for heat that is spread evenly you say {even:.3g}, not 1",
        hint="the sums depend on the size of the map; the shares do not",
    )
    return "2 for half of the heat in a quarter of the area, 1 for heat that is spread evenly"


@exercise
def alike_share(answer: Any) -> str:
    """Check a function (features (N, D), labels (N,)) -> share with a like of the same label."""
    import torch

    # By angle: 0 and 1, 2 and 3, and 4 goes to 1. By distance 0 and 1 are far apart.
    rows = [[1.0, 0.05], [90.0, 9.0], [0.0, 1.0], [0.02, 2.0], [1.0, 0.6]]
    features, labels = torch.tensor(rows), torch.tensor([0, 0, 1, 1, 1])
    hint = "features is (N, D), a row for each image; labels is (N,)"
    got = number(
        ask(answer, features.clone(), labels.clone(), hint=hint), hint="return one number, a share"
    )
    expect(
        abs(got - 1) > 1e-4,
        "that is 1 for any set: every image is most alike to itself",
        hint="leave the image itself out, e.g. by a count of 2 and the second column",
    )
    expect(
        abs(got - 4) > 1e-4,
        "that is how many images they are",
        hint="a share is asked for: over the number of images",
    )
    expect(
        abs(got - 0.2) > 1e-4,
        "that is the share of those whose label differs",
        hint="is it `==` that you count?",
    )
    expect(
        abs(got - _by_distance(features, labels)) > 1e-4,
        "you took the nearest by distance: a long row and a short one that point the same way are "
        "alike here",
        hint="divide each row by its length first, or use attribution.neighbours",
    )
    expect(
        abs(got - 0.8) < 1e-4,
        f"of five images four have the label of the one most alike, and you say {got:.3g}",
        hint="for each image: the other one with the smallest angle; then compare labels",
    )
    single = torch.eye(6)[[0, 0, 1, 1, 2, 2]] + 0.2 * torch.eye(6)  # three pairs, all apart
    pairs = torch.tensor([0, 0, 1, 2, 2, 2])
    more = number(ask(answer, single.clone(), pairs.clone(), hint=hint), hint=hint)
    expect(
        abs(more - 4 / 6) < 1e-4,
        f"with three classes, two of three pairs agree, and you say {more:.3g}",
        hint="count equal labels; do not take them for 0 and 1",
    )
    return "every image against the others, by angle, itself left out"


def _tensor(got: Any) -> Any:
    """Return the answer as float32; anything else is wrong."""
    import torch

    try:
        return torch.as_tensor(got).detach().float()
    except (TypeError, ValueError, RuntimeError):
        expect(False, f"a tensor is asked for, not a {type(got).__name__}", hint="shape (h, w)")


def _cam_slips(maps: Any, slopes: Any, summed: Any) -> list[tuple[Any, str, str]]:
    """Return what usual slips give, what is wrong with it, and a hint."""
    weights = slopes.mean((1, 2), keepdim=True)
    return [
        (summed, "some of your heat is below zero", "only what speaks for the class counts"),
        (
            (weights * maps).mean(0).relu(),
            "you took the mean over the filters",
            "the weighted maps are added up",
        ),
        (
            (slopes.sum((1, 2), keepdim=True) * maps).sum(0).relu(),
            "you weighted by the sum of the gradient",
            "its mean over all places is the weight",
        ),
        (
            (slopes * maps).sum(0).relu(),
            "you multiplied place by place",
            "a map has one weight for all its places: the mean of its gradient",
        ),
        (
            (weights.relu() * maps.relu()).sum(0),
            "you dropped what is below zero before adding up",
            "maps that speak against the class belong in the sum",
        ),
        (
            (weights * maps).relu().sum(0),
            "you dropped what is below zero in each map",
            "add up first, then drop what is below zero",
        ),
        (maps.sum(0).relu(), "the gradients are not in it", "they say which maps count"),
    ]


def _by_distance(features: Any, labels: Any) -> float:
    import torch

    apart = torch.cdist(features, features).fill_diagonal_(float("inf"))
    return float((labels[apart.argmin(1)] == labels).float().mean())
