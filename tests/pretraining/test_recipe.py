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


def test_the_augmentation_is_half_as_strong_from_calm_on():
    assert RECIPE.augmentation(0.84) == {"least_side": 0.55, "light": 0.3}
    assert RECIPE.augmentation(0.85) == {"least_side": 0.775, "light": 0.15}


def test_variety_scales_the_augmentation():
    mild = replace(RECIPE, variety=0.5)
    assert mild.augmentation(0.0) == {"least_side": 0.775, "light": 0.15}
    assert mild.augmentation(1.0) == {"least_side": 0.8875, "light": 0.075}
    assert replace(RECIPE, variety=0.0).augmentation(0.0) == {"least_side": 1.0, "light": 0.0}


def test_sizes_are_parsed():
    assert parse_sizes(["0:64", "0.5:96"]) == ((0.0, 64), (0.5, 96))


@pytest.mark.parametrize("bad", ["64", "", "0.1:64", "0:64 0:96", "0:64 1:96", "0:x"])
def test_other_sizes_are_refused(bad):
    with pytest.raises(ValueError, match=f"sizes must be SHARE:PIXELS .*not '{bad}'"):
        parse_sizes(bad.split())


@pytest.mark.parametrize("arch", models.ARCHS)
def test_the_recipes_fit_the_networks(arch):
    smallest = min(size for _, size in RECIPES[arch].sizes)
    network = networks.build(models.build_on_meta(arch).features, 2).to("meta").eval()
    assert network(torch.empty(1, 3, smallest, smallest, device="meta")).shape == (1, 2)


def test_every_network_has_a_recipe_and_a_packing():
    assert set(RECIPES) == set(PACKING) == set(models.ARCHS)
