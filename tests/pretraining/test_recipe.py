"""Recipes: learning rate, image size and augmentation over the budget."""

from dataclasses import replace

import networks
import pytest
import torch
from recipe import RECIPES, WARM_UP, Recipe, parse_sizes
from train import PACKING

from tutorial_utils import models

RECIPE = Recipe(lr=0.02, sizes=((0.0, 64), (0.5, 80)))


def test_the_learning_rate_rises_once_and_falls_to_nearly_nothing():
    rates = [RECIPE.learning_rate(k / 1000) for k in range(1001)]
    top = rates.index(max(rates))
    assert top == pytest.approx(1000 * WARM_UP, abs=1)
    assert max(rates) == pytest.approx(RECIPE.lr, rel=1e-3)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert 0 < rates[-1] < 1e-3 * RECIPE.lr


def test_the_image_size_grows_with_the_share_of_the_budget():
    assert [RECIPE.image_size(spent) for spent in (0, 0.49, 0.5, 1.0)] == [64, 64, 80, 80]


@pytest.mark.parametrize(
    ("variety", "spent", "least_side", "light"),
    [(1, 0.84, 0.55, 0.3), (1, 0.85, 0.775, 0.15), (0.5, 0.0, 0.775, 0.15)]
    + [(0.5, 1.0, 0.8875, 0.075), (0.0, 0.0, 1.0, 0.0)],
)
def test_variety_scales_the_augmentation_and_calm_halves_it(variety, spent, least_side, light):
    found = replace(RECIPE, variety=variety).augmentation(spent)
    assert found == {"least_side": least_side, "light": light}


@pytest.mark.parametrize("bad", ["64", "", "0.1:64", "0:64 0:96", "0:64 1:96", "0:x"])
def test_other_sizes_are_refused(bad):
    with pytest.raises(ValueError, match=f"sizes must be SHARE:PIXELS .*not '{bad}'"):
        parse_sizes(bad.split())


@pytest.mark.parametrize("arch", models.ARCHS)
def test_the_recipes_fit_the_networks(arch):
    assert arch in PACKING
    smallest = min(size for _, size in RECIPES[arch].sizes)
    network = networks.build(models.build_on_meta(arch).features, 2).to("meta").eval()
    assert network(torch.empty(1, 3, smallest, smallest, device="meta")).shape == (1, 2)
