"""Tests of `tutorial_utils.data.augmented`."""

import pytest
import torch
import torchvision
from image_sets import photograph
from PIL import Image

from tutorial_utils import data
from tutorial_utils._support.presets import preset as make_preset

PRESET = make_preset(8, 10)


def test_augmented_needs_a_preset():
    with pytest.raises(TypeError, match=r"needs the weights' preset, weights.transforms\(\); this"):
        data.augmented(torchvision.transforms.ToTensor())


def test_augmented_varies_and_is_repeatable():
    transform = data.augmented(PRESET)
    image = photograph()
    torch.manual_seed(3)
    first, second = transform(image), transform(image)
    assert (first.shape, first.dtype) == ((3, 8, 8), torch.float32)
    assert not torch.equal(first, second)
    torch.manual_seed(3)
    assert torch.equal(transform(image), first)


def test_augmented_mirrors_and_cuts():
    preset = make_preset(32, 256, mean=(0.0,) * 3, std=(1.0,) * 3)
    half = Image.new("L", (64, 64), 0)
    half.paste(255, (32, 0, 64, 64))  # dark on the left, light on the right
    torch.manual_seed(0)
    cuts = [data.augmented(preset)(half.convert("RGB"))[0].mean(dim=0) for _ in range(40)]  # (32,)
    mirrored = sum(bool(cut[0] > cut[-1]) for cut in cuts)
    assert 10 <= mirrored <= 30
    edges = {int((cut < 0.4).sum()) for cut in cuts}
    assert len(edges) > 5  # the middle of the image is not always in the middle of the cut


def test_augmented_normalises_as_the_weights_do():
    preset = make_preset(8, 256, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.125))
    black = Image.new("RGB", (20, 30))  # stays black in any light
    found = data.augmented(preset)(black)
    torch.testing.assert_close(found, preset(black))
    assert found[:, 0, 0].tolist() == pytest.approx([-0.2, -0.8, -2.4])


def brightness(image):
    return image.mean()


def contrast(image):
    return image.mean(dim=0).std() / image.mean()


def saturation(image):
    return ((image.amax(dim=0) - image.amin(dim=0)) / image.amax(dim=0)).mean()


@pytest.mark.parametrize("measure", [brightness, contrast, saturation])
def test_augmented_changes_the_light_by_default_and_each_part_of_it_alone(measure):
    preset = make_preset(32, 32, mean=(0.0,) * 3, std=(1.0,) * 3)
    hues = torch.tensor([0.5, 0.35, 0.25]).view(3, 1, 1)  # brighter below, never clipped
    image = torchvision.transforms.functional.to_pil_image(
        (hues * torch.linspace(0.6, 1.2, 32).view(1, 32, 1)).expand(3, 32, 32)
    )
    names = ("brightness", "contrast", "saturation")

    def spread(of, **strengths):
        vary = data.augmented(preset, least_area=1, flip=0, **strengths)
        torch.manual_seed(0)
        found = torch.stack([of(vary(image)) for _ in range(30)])
        return float(found.std() / found.mean())

    assert spread(measure) > 0.03
    alone = dict.fromkeys(names, 0.0)
    assert spread(measure, **alone) < 0.01
    assert spread(measure, **alone | {measure.__name__: 0.4}) > 0.1


def test_augmented_without_strengths_varies_nothing_but_the_flip_given():
    none = dict.fromkeys(("flip", "brightness", "contrast", "saturation"), 0)
    noise = Image.effect_noise((32, 32), 90).convert("RGB")
    plain = data.augmented(PRESET, least_area=1, **none)
    never = plain(noise)
    assert all(torch.equal(plain(noise), never) for _ in range(5))
    always = data.augmented(PRESET, least_area=1, **(none | {"flip": 1}))(noise)
    assert torch.allclose(always, never.flip(2), atol=1e-5) and not torch.equal(always, never)


@pytest.mark.parametrize("name", ["least_area", "flip", "brightness", "contrast", "saturation"])
def test_augmented_strengths_out_of_range(name):
    with pytest.raises(ValueError, match=f"{name} must be a number"):
        data.augmented(PRESET, **{name: 1.1})
    with pytest.raises(ValueError, match="least_area must be a number above 0"):
        data.augmented(PRESET, **{name: 0.5, "least_area": 0})
