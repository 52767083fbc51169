"""Checks of lesson 01's exercises: undo a normalisation, a channel's mean, a steady transform."""

from collections.abc import Callable
from typing import Any

from tutorial_utils.checks.verdict import ask, exercise, expect, number

__all__ = ["undo", "channel_mean", "steady"]

MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.25, 0.35]


@exercise
def undo(answer: Any) -> str:
    """Check a function (normalised (3, H, W), mean, std) -> the values before, from 0 to 1."""
    import torch

    generator = torch.Generator().manual_seed(0)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))  # (3, 1, 1)
    shapes = "as tensors of shape (3, 1, 1) the two lists meet the channels"
    for height, width in ((4, 5), (3, 3)):
        scaled = torch.rand(3, height, width, generator=generator)
        normalised = (scaled - mean) / std
        passed = normalised.clone()
        got = ask(answer, passed, list(MEAN), list(STD), hint=shapes)
        expect(
            isinstance(got, torch.Tensor) and got.shape == scaled.shape,
            f"a tensor of shape {tuple(scaled.shape)} is asked for, not {_shape(got)}",
            hint="return one value for every value that came in",
        )
        for slip, wrong, hint in _undo_slips(normalised, mean, std):
            expect(_same(got, scaled) or not _same(got, slip), wrong, hint=hint)
        expect(
            _same(got, scaled) or not _same(got, 255 * scaled),
            "these are values from 0 to 255",
            hint="the step before normalising has values from 0 to 1",
        )
        far = (got - scaled).abs().max().item()
        expect(_same(got, scaled), f"some values are off by {far:.2g}", hint=shapes)
        expect(
            torch.equal(passed, normalised),
            "the values are right, but the tensor that was given has changed",
            hint="make a new tensor: `+=`, `*=` and names that end in `_` write into the old one",
        )
    return "the pixels are back, each channel by its own mean and standard deviation"


def _undo_slips(normalised, mean, std):
    """Yield (value, what is wrong, hint) for the usual slips."""
    order = "go back in the opposite order: what was done last is undone first"
    yield normalised, "that is what came in", "undo the division, then the subtraction"
    yield normalised * std, "the mean is missing", "normalising had taken it off"
    yield normalised + mean, "the standard deviation is missing", "normalising had divided by it"
    yield (normalised + mean) * std, "the two steps are in the wrong order", order
    yield (normalised - mean) / std, "this normalises a second time", "every step is turned round"
    yield normalised * mean + std, "mean and standard deviation are mixed up", order
    yield normalised * std - mean, "the mean was taken off again", "normalising had taken it off"
    yield normalised / std + mean, "it was divided again", "normalising had divided by it"
    first = "each channel has its own two numbers, not those of the first"
    yield normalised * std[0] + mean[0], "one channel's numbers were used for all three", first
    if normalised.shape == (3, 3, 3):
        own = "a plain list of three meets the last axis, the columns: give it two more axes"
        for axes in ((1, 1, 3), (1, 3, 1)):
            slip = normalised * std.reshape(axes) + mean.reshape(axes)
            yield slip, "in a square of 3×3 pixels each column or row got a number of its own", own


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
        alike = "images of different sizes cannot be stacked: collect sums, and count the pixels"
        got = ask(answer, [image.clone() for image in images], hint=alike)
        three = "one mean for red, one for green, one for blue"
        fits = hasattr(got, "__len__") and getattr(got, "ndim", 1) == 1 and len(got) == 3
        expect(fits, f"three numbers are asked for, not {_shape(got)}", hint=three)
        got = torch.tensor([number(value, hint=three) for value in got])
        of_images = torch.stack([image.mean((1, 2)) for image in images]).mean(0)
        expect(
            _same(got, want) or not _same(got, of_images),
            "this is the mean of the images' means, in which a small image counts as much as "
            "a large one",
            hint="add up the values of all images first, and divide once",
        )
        for slip, wrong, hint in _mean_slips(images, want):
            expect(_same(got, want) or not _same(got, slip), wrong, hint=hint)
        shown = [round(value, 3) for value in got.tolist()]
        wrong = f"you gave {shown}, the means are {[round(v, 3) for v in want.tolist()]}"
        expect(_same(got, want), wrong, hint="sum over height and width, not over the channels")
    return "every pixel counts the same, whatever the size of its image"


def _mean_slips(images, want):
    """Yield (value, what is wrong, hint) for sums that are divided by the wrong number."""
    pixels = sum(image[0].numel() for image in images)
    per_channel = "each channel has one value per pixel: count height times width"
    yield want / 3, "you divided by all values, three for each pixel", per_channel
    yield want * pixels, "these are sums", "divide by the number of pixels"
    per_image = "divide by the number of pixels in all images together"
    yield want * pixels / len(images), "you divided by the number of images", per_image
    yield want.mean().expand(3), "all three channels have the same mean", "keep them apart"


@exercise
def steady(answer: Any) -> str:
    """Check a function (transform, image, tries) -> True if all the results are equal."""
    import torch

    image = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(2))
    call = "call `transform(image)`; two tensors are compared with `torch.equal`"
    tries = 6
    for changes, want, wrong, hint in _transforms(tries):
        got = ask(answer, _changing_at(*changes), image.clone(), tries, hint=call)
        got = got.item() if getattr(got, "shape", None) == () else got
        kind = type(got).__name__
        wrong_type = f"True or False is asked for, not a value of type {kind}"
        expect(isinstance(got, bool), wrong_type, hint=call)
        expect(got == want, wrong, hint=hint)
    return "one steady transform was let through, and four that change were not"


def _transforms(tries: int) -> tuple:
    """Return (calls at which a transform changes, wanted, what is wrong, hint) for each case."""
    return (
        (
            (),
            True,
            "a transform that halves every value, the same way each time, is steady",
            "compare its results with each other, not with the image that goes in",
        ),
        (
            range(2, 100),
            False,
            "a transform passed that gives something else each time",
            "`torch.equal` says whether two tensors are the same",
        ),
        (
            (tries,),
            False,
            f"a transform passed that gave something else at call {tries} of {tries}",
            "call it as often as `tries` says: two equal results may be luck",
        ),
        (
            (3,),
            False,
            "a transform passed that changed once, at its third call, and then went back",
            "compare every result with the first, not the last one only",
        ),
        (
            (1,),
            False,
            f"a transform passed whose first result differed from the other {tries - 1}",
            "the first call counts too",
        ),
    )


def _changing_at(*changes: int) -> Callable:
    """Return a transform that halves an image, and adds something at the calls named."""
    calls = 0

    def transform(image):
        nonlocal calls
        calls += 1
        return image * 0.5 + calls * (calls in changes)

    return transform


def _same(first, second) -> bool:
    """Say whether two tensors of one shape hold the same values, up to rounding."""
    return bool(((first.double() - second.double()).abs() < 1e-4).all())


def _shape(value: object) -> str:
    shape = getattr(value, "shape", None)
    kind = type(value).__name__
    return f"a {kind}" if shape is None else f"a {kind} of shape {tuple(shape)}"
