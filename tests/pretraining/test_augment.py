"""Augmentation: random, reproducible, and within the limits that were given."""

import numpy as np
import pytest
import torch
from augment import augment, normalise, resize


def batch(count=4, size=16):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(3))


def augmented(images, size=16, seed=0, **strength):
    return augment(images, size, torch.Generator().manual_seed(seed), **strength)


def test_results_follow_the_generator_and_differ_within_the_batch():
    images = batch(1).expand(4, -1, -1, -1)
    first = augmented(images)
    assert torch.equal(first, augmented(images))
    assert not torch.equal(first, augmented(images, seed=1))
    assert all(not torch.equal(first[0], other) for other in first[1:])


def test_a_uniform_image_stays_uniform_and_only_its_light_changes():
    found = augmented(torch.full((64, 3, 8, 8), 0.5), 8, light=0.3)
    assert (found.flatten(1).std(1) < 1e-5).all()
    light = found[:, 0, 0, 0]
    assert light.min() >= 0.35 - 1e-6 and light.max() <= 0.65 + 1e-6 and light.std() > 0.05


def test_about_half_are_mirrored():
    images = torch.zeros(200, 3, 16, 16)
    images[..., 8:] = 1.0
    found = augmented(images, light=0.0, least_side=1.0)
    kept = (found[..., 12:].mean((1, 2, 3)) > found[..., :4].mean((1, 2, 3))).float().mean()
    assert 0.35 < kept < 0.65


@pytest.mark.parametrize("least_side", [0.55, 1.0])
@pytest.mark.parametrize("size", [64, 48, 96])
def test_crops_have_the_given_size_and_keep_the_least_side(least_side, size):
    across = torch.linspace(0, 1, 64).expand(100, 3, 64, 64)
    found = augmented(across, size, light=0.0, least_side=least_side)
    assert found.shape == (100, 3, size, size)
    spans = found.amax((1, 2, 3)) - found.amin((1, 2, 3))
    assert spans.min() > least_side * np.exp(-0.2) - 0.05 and spans.max() > 0.9


def test_resize():
    images = batch(2)
    assert resize(images, 16) is images
    assert resize(images, 8).shape == (2, 3, 8, 8)
    assert resize(images, 8).mean().item() == pytest.approx(images.mean().item(), abs=1e-3)


def test_normalise_takes_imagenets_mean_to_zero():
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    assert normalise(mean.expand(2, 3, 4, 4)).abs().max() < 1e-6
    assert normalise(mean + 0.229)[0, 0].item() == pytest.approx(1.0)
