"""Tests of the checks of lesson 11: correct answers, and every usual slip with its own hint."""

import pytest
import torch
from assertions import assert_verdict

from tutorial_utils import attribution
from tutorial_utils.checks.lesson11 import alike_share, cam_by_hand, heat_ratio

# cam_by_hand


def by_mean(activations, gradients):
    return (gradients.mean((1, 2), keepdim=True) * activations).sum(0).relu()


def by_einsum(activations, gradients):
    weights = gradients.flatten(1).mean(1)
    return torch.einsum("c,chw->hw", weights, activations).clamp(min=0).numpy()


@pytest.mark.parametrize("answer", [by_mean, by_einsum])
def test_cam_by_hand(answer):
    assert_verdict(cam_by_hand(answer), "correct", "^correct: each map weighted")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda a, g: (g.mean((1, 2), keepdim=True) * a).sum(0), "heat is below zero"),
        (lambda a, g: (g.mean((1, 2), keepdim=True) * a).mean(0).relu(), "mean over the filters"),
        (lambda a, g: (g.sum((1, 2), keepdim=True) * a).sum(0).relu(), "sum of the gradient"),
        (lambda a, g: (g * a).sum(0).relu(), "you multiplied position by position"),
        (
            lambda a, g: (g.mean((1, 2), keepdim=True).relu() * a.relu()).sum(0),
            "you set what is below zero to 0 before adding",
        ),
        (lambda a, g: (g.mean((1, 2), keepdim=True) * a).relu().sum(0), "add up first"),
        (lambda a, g: a.sum(0).relu(), "you did not use the gradients"),
        (lambda a, g: (g.mean((1, 2), keepdim=True) * a).relu(), r"has the shape \(4, 3, 5\)"),
        (lambda a, g: 0.7, r"has the shape \(\)"),
        (lambda a, g: torch.ones(a.shape[1:]), "the heat has the correct shape, but other"),
        (lambda a, g: "text", "expected a tensor, not a value of type str"),
    ],
)
def test_slips_of_cam_by_hand(answer, text):
    assert_verdict(cam_by_hand(answer), "wrong", text)


# heat_ratio


def by_shares(heat, mask):
    return heat[mask].sum() / heat.sum() / mask.float().mean()


def by_means(heat, mask):
    return (heat[mask].mean() / heat.mean()).item()


@pytest.mark.parametrize("answer", [by_shares, by_means])
def test_heat_ratio(answer):
    assert_verdict(heat_ratio(answer), "correct", "^correct: 2 for half")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda h, m: h[m].sum() / h.sum(), "that is the fraction of the heat inside"),
        (lambda h, m: m.float().mean(), "that is the mask's fraction of the area"),
        (lambda h, m: h[m].sum(), "that is the sum of the heat inside"),
        (lambda h, m: h[m].mean() / h[~m].mean(), "you compared inside with outside"),
        (lambda h, m: h[m].sum() / h.sum() / m.sum(), "you divided by a number of pixels"),
        (lambda h, m: h[m].sum() / h.sum() * m.float().mean(), "you multiplied the two fractions"),
        (lambda h, m: 7.0, "for half of the heat in a quarter of the area"),
        (lambda h, m: h[m].mean(), r"for heat that is spread evenly you gave 0\.3,"),
        (lambda h, m: h[m], "expected one number, not a value of type"),
    ],
)
def test_slips_of_heat_ratio(answer, text):
    assert_verdict(heat_ratio(answer), "wrong", text)


# alike_share


def by_neighbours(features, labels):
    near = attribution.neighbours(features, features, count=2)[:, 1]
    return (labels[near] == labels).float().mean()


def by_products(features, labels):
    rows = torch.nn.functional.normalize(features, dim=1)
    alike = (rows @ rows.T).fill_diagonal_(-2)
    return float((labels[alike.argmax(1)] == labels).sum()) / len(labels)


@pytest.mark.parametrize("answer", [by_neighbours, by_products])
def test_alike_share(answer):
    assert_verdict(alike_share(answer), "correct", "^correct: every image compared with the others")


def itself(features, labels):
    near = attribution.neighbours(features, features, count=1)[:, 0]
    return (labels[near] == labels).float().mean()


def by_distance(features, labels):
    apart = torch.cdist(features, features).fill_diagonal_(float("inf"))
    return (labels[apart.argmin(1)] == labels).float().mean()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (itself, "that is 1 for any set: every image is most"),
        (by_distance, "nearest by distance.*divide each row"),
        (lambda f, n: 1 - by_products(f, n), "whose label differs"),
        (lambda f, n: by_products(f, n) * len(n), "that is a number of images"),
        (lambda f, n: 0.3, "four of five images have the label of the"),
        (lambda f, n: 0.8, "with three classes"),
        (lambda f, n: f, "expected one number, not a value of type"),
    ],
)
def test_slips_of_alike_share(answer, text):
    assert_verdict(alike_share(answer), "wrong", text)
