"""Tests of the checks of lesson 01: correct answers, and every usual slip with its own hint."""

import re

import pytest
import torch
from assertions import assert_verdict
from PIL import Image
from torchvision.models import AlexNet_Weights
from torchvision.transforms import functional as F

from tutorial_utils.checks import lesson01
from tutorial_utils.evaluation import Comparison

PRESET = AlexNet_Weights.IMAGENET1K_V1.transforms()


def column(values):
    return torch.tensor(values)[:, None, None]


def by_channel(tensor, mean, std):
    return torch.stack([c * s + m for c, m, s in zip(tensor, mean, std, strict=True)])


def by_torchvision(tensor, mean, std):
    zeros, ones = [0.0] * 3, [1.0] * 3
    spread = F.normalize(tensor, zeros, [1 / s for s in std])
    return F.normalize(spread, [-m for m in mean], ones)


@pytest.mark.parametrize(
    "answer",
    [
        lambda t, m, s: t * column(s) + column(m),
        lambda t, m, s: (t * column(s) + column(m)).clamp(0, 1),
        lambda t, m, s: (t + column(m) / column(s)) * column(s),
        lambda t, m, s: (t.permute(1, 2, 0) * torch.tensor(s) + torch.tensor(m)).permute(2, 0, 1),
        by_channel,
        by_torchvision,
    ],
)
def test_undo_correct(answer):
    assert_verdict(lesson01.undo(answer), "correct")


def along(*shape):
    """Return an answer that gives the numbers to the wrong axis where that raises no error."""

    def answer(t, m, s):
        shown = shape if t.shape == (3, 3, 3) else (3, 1, 1)
        return t * torch.tensor(s).view(shown) + torch.tensor(m).view(shown)

    return answer


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda t, m, s: t, "that is the input"),
        (lambda t, m, s: t * column(s), "the mean is missing"),
        (lambda t, m, s: t + column(m), "the standard deviation is missing"),
        (lambda t, m, s: (t + column(m)) * column(s), "in the wrong order"),
        (lambda t, m, s: F.normalize(t, m, s), "normalises a second time"),
        (lambda t, m, s: t * column(m) + column(s), "are mixed up"),
        (lambda t, m, s: t * column(s) - column(m), "you subtracted the mean again"),
        (lambda t, m, s: t / column(s) + column(m), "you divided again"),
        (lambda t, m, s: t * s[0] + m[0], "you used one channel's numbers for all three"),
        (lambda t, m, s: 255 * (t * column(s) + column(m)), "values from 0 to 255"),
        (along(1, 1, 3), "in an image of 3×3 pixels each column or row"),
        (along(1, 3, 1), "in an image of 3×3 pixels each column or row"),
        (lambda t, m, s: t * torch.tensor(s) + torch.tensor(m), "of shape (3, 1, 1)"),
        (lambda t, m, s: t * s + m, "of shape (3, 1, 1)"),
        (
            lambda t, m, s: t.mul_(column(s)).add_(column(m)),
            "the values are correct, but your function",
        ),
        (lambda t, m, s: t.mean(), "expected a tensor of shape (3, 4, 5), not a"),
        (lambda t, m, s: list(by_channel(t, m, s)), "expected a tensor of shape (3, 4, 5), not a"),
        (lambda t, m, s: t * 7, "some values are off by"),
    ],
)
def test_undo_slips(answer, text):
    assert_verdict(lesson01.undo(answer), "wrong", re.escape(text))


def sums(images):
    return sum(image.sum((1, 2)) for image in images)


def pixels(images):
    return sum(image[0].numel() for image in images)


def joined(images):
    return torch.cat([image.flatten(1) for image in images], dim=1).mean(dim=1)


@pytest.mark.parametrize(
    "answer",
    [
        joined,
        lambda images: sums(images) / pixels(images),
        lambda images: [value.item() for value in joined(images)],
        lambda images: joined(images).numpy(),
    ],
)
def test_channel_mean_correct(answer):
    assert_verdict(lesson01.channel_mean(answer), "correct")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda x: torch.stack([i.mean((1, 2)) for i in x]).mean(0), "mean of the images' means"),
        (lambda x: torch.stack(x).mean((0, 2, 3)), "images of different sizes cannot be stacked"),
        (lambda x: sums(x) / sum(i.numel() for i in x), "you divided by all values"),
        (sums, "these are sums"),
        (lambda x: sums(x) / len(x), "divided by the number of images"),
        (lambda x: joined(x).mean(), "one mean for red, one for green"),
        (lambda x: [joined(x).mean().item()] * 3, "all three channels have the same mean"),
        (lambda x: joined(x)[:, None, None], "expected three numbers, not a value of type"),
        (lambda x: [0.1, 0.2, 0.3], "you gave [0.1, 0.2, 0.3], the means are ["),
    ],
)
def test_channel_mean_slips(answer, text):
    assert_verdict(lesson01.channel_mean(answer), "wrong", re.escape(text))


def split_and_merged(image):
    red, green, blue = image.split()
    return PRESET(Image.merge("RGB", (blue, green, red)))


def as_tensor(image):
    return PRESET(F.pil_to_tensor(image).flip(0))


@pytest.mark.parametrize("answer", [split_and_merged, as_tensor])
def test_blue_first_correct(answer):
    assert_verdict(lesson01.blue_first(answer), "correct", "blue comes first")


def test_blue_first_with_a_preset_of_another_size():
    small = AlexNet_Weights.IMAGENET1K_V1.transforms(crop_size=24, resize_size=24)
    verdict = lesson01.blue_first(lambda i: small(Image.merge("RGB", i.split()[::-1])), small)
    assert_verdict(verdict, "correct", "blue comes first")


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ((100, 22, 3, 28, 0.0002), "22 .* only with red first, 3 .*0.0002, more than chance"),
        ((140, 4, 2, 7, 0.6875), "4 .* only with red first, 2 .* 0.69, chance may explain"),
    ],
)
def test_blue_first_reports_the_experiment(counts, text):
    seen = []

    def experiment(transform):
        seen.append(transform)
        return Comparison(*counts)

    assert_verdict(lesson01.blue_first(split_and_merged, PRESET, experiment), "correct", text)
    assert seen == [split_and_merged]


def test_blue_first_runs_no_experiment_with_a_wrong_answer():
    assert_verdict(lesson01.blue_first(PRESET, PRESET, pytest.fail), "wrong", "red first")


def in_order(*order):
    return lambda image: PRESET(Image.merge("RGB", [image.split()[i] for i in order]))


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (PRESET, "that is the usual result, red first"),
        (lambda i: PRESET(i).flip(0), "you reversed the channels after the normalisation"),
        (lambda i: PRESET(i).flip(2), "you mirrored the image"),
        (lambda i: PRESET(i).flip(-2), "you turned the image upside down"),
        (in_order(1, 2, 0), "the three channels are in another order"),
        (in_order(0, 2, 1), "the three channels are in another order"),
        (lambda i: Image.merge("RGB", i.split()[::-1]), "expected a tensor of shape"),
        (lambda i: PRESET(i)[None], "expected a tensor of shape"),
        (lambda i: split_and_merged(i) * 2, "some values are off by"),
        (lambda i: PRESET(i[::-1]), "your function raised TypeError"),
    ],
)
def test_blue_first_slips(answer, text):
    assert_verdict(lesson01.blue_first(answer), "wrong", re.escape(text))
