"""Checks of lesson 01's exercises: undo a normalisation, a channel's mean, blue before red."""

from collections.abc import Callable, Iterable
from typing import Any

from tutorial_utils.checks.verdict import (
    Slip,
    call,
    compare,
    exercise,
    expect,
    kind,
    number,
)

__all__ = ["undo", "channel_mean", "blue_first"]

NEAR = 1e-4
RESIZED = 0.05  # torchvision resizes tensors and PIL images slightly differently
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.25, 0.35]


@exercise
def undo(answer: Any) -> str:
    """Check a function (normalised (3, H, W), mean, std) -> the values before, from 0 to 1."""
    import torch

    generator = torch.Generator().manual_seed(0)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))  # (3, 1, 1)
    shapes = "as tensors of shape (3, 1, 1) the two lists line up with the channels"
    for height, width in ((4, 5), (3, 3)):
        scaled = torch.rand(3, height, width, generator=generator)
        normalised = (scaled - mean) / std
        passed = normalised.clone()
        got = call(answer, passed, list(MEAN), list(STD), hint=shapes)
        expect(
            isinstance(got, torch.Tensor) and got.shape == scaled.shape,
            f"expected a tensor of shape {tuple(scaled.shape)}, not {kind(got)}",
            hint="return one value for every value of the input",
        )
        far = (got - scaled).abs().max().item()
        compare(
            got,
            scaled,
            _undo_slips(scaled, normalised, mean, std),
            wrong=f"some values are off by {far:.2g}",
            hint=shapes,
            tolerance=NEAR,
        )
        expect(
            torch.equal(passed, normalised),
            "the values are correct, but your function changed its input",
            hint="make a new tensor: `+=`, `*=` and names that end in `_` overwrite the old one",
        )
    return "the pixels are back, each channel by its own mean and standard deviation"


def _undo_slips(scaled: Any, normalised: Any, mean: Any, std: Any) -> Iterable[Slip]:
    """Yield the slips of `undo`."""
    order = "go back in the opposite order: undo the last step first"
    yield normalised, "that is the input", "undo the division, then the subtraction"
    yield normalised * std, "the mean is missing", "normalising subtracted it"
    yield normalised + mean, "the standard deviation is missing", "normalising divided by it"
    yield (normalised + mean) * std, "the two steps are in the wrong order", order
    yield (normalised - mean) / std, "this normalises a second time", "reverse every step"
    yield normalised * mean + std, "mean and standard deviation are mixed up", order
    yield normalised * std - mean, "you subtracted the mean again", "normalising subtracted it"
    yield normalised / std + mean, "you divided again", "normalising divided by it"
    first = "each channel has its own two numbers, not those of the first channel"
    yield normalised * std[0] + mean[0], "you used one channel's numbers for all three", first
    if normalised.shape == (3, 3, 3):
        own = "a plain list of three lines up with the last axis, the columns: add two axes to it"
        for axes in ((1, 1, 3), (1, 3, 1)):
            slip = normalised * std.reshape(axes) + mean.reshape(axes)
            yield slip, "in an image of 3×3 pixels each column or row got its own number", own
    yield 255 * scaled, "these are values from 0 to 255", "before normalising they were 0 to 1"


@exercise
def channel_mean(answer: Any) -> str:
    """Check a function (list of (3, H, W), sizes differ) -> each channel's mean over all pixels."""
    import torch

    generator = torch.Generator().manual_seed(1)
    for sizes in (((2, 3), (8, 5)), ((1, 1), (4, 4), (6, 2)), ((3, 7),)):
        images = [
            torch.rand(3, *size, generator=generator) * 0.5**index
            for index, size in enumerate(sizes)
        ]
        want = torch.cat([image.flatten(1) for image in images], dim=1).mean(dim=1)
        stack = "images of different sizes cannot be stacked: collect sums, and count the pixels"
        got = call(answer, [image.clone() for image in images], hint=stack)
        three = "return one mean for red, one for green, one for blue"
        fits = hasattr(got, "__len__") and getattr(got, "ndim", 1) == 1 and len(got) == 3
        expect(fits, f"expected three numbers, not {kind(got)}", hint=three)
        got = torch.tensor([number(value, hint=three) for value in got])
        shown, means = (
            [round(value, 3) for value in list_] for list_ in (got.tolist(), want.tolist())
        )
        compare(
            got,
            want,
            _mean_slips(images, want),
            wrong=f"you gave {shown}, the means are {means}",
            hint="sum over height and width, not over the channels",
            tolerance=NEAR,
        )
    return "every pixel counts the same, whatever the size of its image"


def _mean_slips(images: list, want: Any) -> Iterable[Slip]:
    """Yield the slips of `channel_mean`: a mean of means, and sums divided by a wrong number."""
    import torch

    pixels = sum(image[0].numel() for image in images)
    of_images = torch.stack([image.mean((1, 2)) for image in images]).mean(0)
    unequal = (
        "this is the mean of the images' means, so a small image counts as much as a large one"
    )
    yield of_images, unequal, "add up the values of all images first, and divide once"
    per_channel = "each channel has one value per pixel: count height times width"
    yield want / 3, "you divided by all values, three for each pixel", per_channel
    yield want * pixels, "these are sums", "divide by the number of pixels"
    per_image = "divide by the number of pixels in all images together"
    yield want * pixels / len(images), "you divided by the number of images", per_image
    yield want.mean().expand(3), "all three channels have the same mean", "keep them separate"


@exercise
def blue_first(answer: Any, preset: Any = None, compare_with: Callable | None = None) -> str:
    """Check a function (RGB image) -> the preset's result for the channels blue, green, red.

    `preset` is the weights' transform, `compare_with` maps a transform to a comparison of the
    preset (first) with it (second) on the validation images.
    """
    import torch
    from PIL import Image
    from torchvision.models import AlexNet_Weights

    preset = preset or AlexNet_Weights.IMAGENET1K_V1.transforms()
    generator = torch.Generator().manual_seed(3)
    values = torch.randint(256, (30, 40, 3), generator=generator, dtype=torch.uint8)
    image = Image.fromarray(values.numpy())
    want = preset(Image.fromarray(values.flip(2).numpy()))
    order = "reverse the channels of the image, and give the result to `preset`"
    got = call(answer, image, hint=order)
    expect(
        isinstance(got, torch.Tensor) and got.shape == want.shape,
        f"expected a tensor of shape {tuple(want.shape)}, not {kind(got)}",
        hint="return what `preset` returns for the image with reversed channels",
    )
    compare(
        got,
        want,
        _order_slips(preset, image),
        wrong=f"some values are off by {(got - want).abs().max().item():.2g}",
        hint=order,
        tolerance=RESIZED,
    )
    return "blue comes first, and each channel is normalised by the number of its new position" + (
        _measured(compare_with(answer)) if compare_with else ""
    )


def _order_slips(preset: Any, image: Any) -> Iterable[Slip]:
    """Yield the slips of `blue_first`: no change, too late, another axis, another order."""
    from PIL import Image

    usual = preset(image)
    yield usual, "that is the usual result, red first", "reverse the order of the three channels"
    late = "OpenCV reverses them before your code normalises: change the image, then call `preset`"
    yield usual.flip(0), "you reversed the channels after the normalisation", late
    yield usual.flip(2), "you mirrored the image", "rows and columns stay where they are"
    yield usual.flip(1), "you turned the image upside down", "rows and columns stay where they are"
    red, green, blue = image.split()
    for channels in (
        (green, blue, red),
        (blue, red, green),
        (green, red, blue),
        (red, blue, green),
    ):
        got = preset(Image.merge("RGB", channels))
        yield got, "the three channels are in another order", "the order is blue, green, red"


def _measured(result: Any) -> str:
    """Return what the experiment with the channels in reverse gave, as a sentence."""
    chance = "more than chance explains" if result.p_value < 0.05 else "chance may explain that"
    return (
        f". In this run {result.only_first} validation images are classified correctly only with "
        f"red first, {result.only_second} only with blue first: p-value {result.p_value:.2g}, "
        f"{chance}"
    )
