"""Tests of the checks of lesson 01: correct answers, and every usual slip with its own hint."""

import re

import pytest
import torch
from assertions import assert_verdict
from torchvision.transforms import functional as F

from tutorial_utils.checks import lesson01


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
def test_undo_right(answer):
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
def test_channel_mean_right(answer):
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


def all_like_the_first(transform, image, tries):
    results = [transform(image) for _ in range(tries)]
    return all(torch.equal(result, results[0]) for result in results)


def one_more(transform, image, tries):
    first = transform(image)
    return all(torch.equal(transform(image), first) for _ in range(tries))


def different_ones(transform, image, tries):
    return len({tuple(transform(image).flatten().tolist()) for _ in range(tries)}) == 1


def in_pairs(transform, image, tries):
    return all(torch.equal(transform(image), transform(image)) for _ in range(tries))


@pytest.mark.parametrize("answer", [all_like_the_first, one_more, different_ones, in_pairs])
def test_steady_right(answer):
    assert_verdict(lesson01.steady(answer), "correct")


def last_with_first(transform, image, tries):
    results = [transform(image) for _ in range(tries)]
    return torch.equal(results[0], results[-1])


def without_the_first(transform, image, tries):
    transform(image)
    return all_like_the_first(transform, image, tries - 1)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            lambda t, p, n: all(torch.equal(t(p), p) for _ in range(n)),
            "a transform that halves every value, the same",
        ),
        (lambda t, p, n: False, "the same way each time, is steady"),
        (lambda t, p, n: True, "you accepted a transform with another result"),
        (lambda t, p, n: torch.equal(t(p), t(p)), "two equal results may be luck"),
        (lambda t, p, n: all_like_the_first(t, p, n - 1), "at call 6 of 6"),
        (last_with_first, "compare every result with the first"),
        (without_the_first, "the first call counts too"),
        (lambda t, p, n: t(p) == t(p), "compare two tensors with `torch.equal`"),
        (
            lambda t, p, n: all(t(p) == t(p) for _ in range(n)),
            "compare two tensors with `torch.equal`",
        ),
        (lambda t, p, n: 1, "expected True or False, not a value of type"),
    ],
)
def test_steady_slips(answer, text):
    assert_verdict(lesson01.steady(answer), "wrong", re.escape(text))
