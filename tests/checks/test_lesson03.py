"""Tests of the checks of lesson 03: correct answers, and every usual slip with its own hint."""

import re

import pytest
import torch
import torchinfo
from assertions import assert_verdict
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d, pad

from tutorial_utils import layers, models
from tutorial_utils.checks import lesson03


def raises(*arguments):
    raise RuntimeError("broken on purpose")


def saved(width):
    return 1 - 9 * (width // 2) / width**2


def by_real_layers(width):
    def weights(kernels):
        layers = [nn.Conv2d(4, 4, k, bias=False, device="meta") for k in kernels]
        return sum(models.count(layer).total for layer in layers)

    depth = 1
    while layers.receptive_field([(3, 1)] * depth)[-1] < width:
        depth += 1
    return (weights([width]) - weights([3] * depth)) / weights([width])


@pytest.mark.parametrize("answer", [saved, by_real_layers, lambda w: 1 - (w - 1) * 4.5 / w / w])
def test_saving_right(answer):
    assert_verdict(lesson03.saving(answer), "correct")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda w: 1 - saved(w), "that is the fraction that is left"),
        (lambda w: 100 * saved(w), "that is a percentage"),
        (lambda w: saved(w) * w**2, "that is a number of weights"),
        (lambda w: w**2 / (9 * (w // 2)) - 1, "divided by the weights of the stack"),
        (lambda w: 1 - 9 * (w // 3) / w**2, "you counted a stack of 1 layers"),
        (lambda w: 1 - 9 * (w / 3) / w**2, "you counted a stack of 1.66667 layers"),
        (lambda w: 1 - 9 * (w - 2) / w**2, "you counted a stack of 3 layers"),
        (lambda w: 1 - 3 * (w // 2) / w, "the windows have two dimensions"),
        (lambda w: 0.5, "saves 0.280, you gave 0.500"),
        (lambda w: 0.28, "compared with one 7×7 layer, a stack that"),
    ],
)
def test_saving_slips(answer, text):
    assert_verdict(lesson03.saving(answer), "wrong", re.escape(text))


def by_gradient(first, second):
    image = torch.zeros(1, 1, 5, 5, requires_grad=True)
    second(first(image)).backward()
    return image.grad[0, 0]


def by_loops(first, second):
    kernel = torch.zeros(5, 5)
    for i in range(3):
        for j in range(3):
            kernel[i : i + 3, j : j + 3] += first.weight[0, 0, i, j] * second.weight[0, 0]
    return kernel


def by_single_pixels(first, second):
    pixels = torch.eye(25).view(25, 1, 5, 5)
    return second(first(pixels)).view(5, 5)


@pytest.mark.parametrize(
    "answer",
    [
        by_gradient,
        by_loops,
        by_single_pixels,
        lambda a, b: conv_transpose2d(a.weight, b.weight),
        lambda a, b: conv2d(pad(a.weight, (2, 2, 2, 2)), b.weight.flip(2, 3))[0, 0],
    ],
)
def test_merged_right(answer):
    assert_verdict(lesson03.merged(answer), "correct")


def of_paths(first, second):
    return by_gradient(ones(), ones())


def ones():
    layer = nn.Conv2d(1, 1, 3, bias=False)
    nn.init.ones_(layer.weight)
    return layer


def with_ones_put_in(first, second):
    for layer in (first, second):
        nn.init.ones_(layer.weight)
    return by_gradient(first, second)


def without_a_gradient(first, second):
    image = torch.zeros(1, 1, 5, 5)
    second(first(image)).backward()
    return image.grad[0, 0]


def framed(kernel):
    return pad(kernel, (1, 1, 1, 1))[0, 0]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda a, b: by_gradient(a, b).flip(0, 1), "upside down and mirrored"),
        (lambda a, b: conv2d(pad(a.weight, (2,) * 4), b.weight)[0, 0], "one of the two kernels"),
        (lambda a, b: conv2d(pad(b.weight, (2,) * 4), a.weight)[0, 0], "one of the two kernels"),
        (lambda a, b: by_gradient(a, b).T, "rows and columns are swapped"),
        (of_paths, "these are numbers of paths"),
        (with_ones_put_in, "the weights of the layers have changed"),
        (lambda a, b: framed(a.weight + b.weight), "you added the two kernels"),
        (lambda a, b: framed(a.weight * b.weight), "you multiplied the kernels element by element"),
        (lambda a, b: framed(a.weight), "the kernel of one layer alone"),
        (lambda a, b: framed(b.weight), "the kernel of one layer alone"),
        (
            lambda a, b: a.weight[0, 0] @ b.weight[0, 0],
            "expected a tensor of 5×5 weights, not a value",
        ),
        (lambda a, b: torch.zeros(5, 5), "one convolution with this kernel gives other"),
        (lambda a, b: by_gradient(a, b).tolist(), "expected a tensor of 5×5 weights, not a value"),
        (without_a_gradient, "call the first layer, then the second, on an"),
    ],
)
def test_merged_slips(answer, text):
    assert_verdict(lesson03.merged(answer), "wrong", re.escape(text))


def work(inputs, outputs, size, kernel, stride, padding, *, extra=0):
    side = (size + 2 * padding - kernel) // stride + 1 + extra
    return (inputs * kernel**2 + 1) * outputs * side**2


def by_layer_table(inputs, outputs, size, kernel, stride, padding):
    network = nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, padding))
    positions = network.to("meta")(torch.empty(1, inputs, size, size, device="meta"))[0, 0].numel()
    return models.count(network).total * positions


@pytest.mark.parametrize("answer", [work, by_layer_table, lambda *a: float(work(*a))])
def test_mult_adds_right(answer):
    assert_verdict(lesson03.mult_adds(answer), "correct")


def test_mult_adds_counts_as_the_layer_table():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1))
    counted = torchinfo.summary(network, (1, 3, 9, 9), verbose=0).total_mult_adds
    assert counted == work(3, 4, 9, 3, 2, 1)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda i, o, n, k, s, p: (i * k**2 + 1) * o, "these are the parameters"),
        (
            lambda i, o, n, k, s, p: (i * k**2 + 1) * o * n**2,
            "you counted the positions of the input",
        ),
        (
            lambda i, o, n, k, s, p: work(i, o, n, k, s, p) / 4,
            "you counted positions along one side",
        ),
        (lambda i, o, n, k, s, p: work(i, o, n, k, s, p) * i * k**2 / (i * k**2 + 1), "biases are"),
        (lambda i, o, n, k, s, p: work(i, o, n, k, s, p) - 15 * o, "you added the biases once"),
        (lambda i, o, n, k, s, p: work(i, 1, n, k, s, p), "you counted one output map"),
        (lambda i, o, n, k, s, p: work(1, o, n, k, s, p), "you counted one input map"),
        (lambda *a: 2 * work(*a), "you counted multiplications and additions"),
        (lambda i, o, n, k, s, p: work(i, o, n, k, s, 0), "the padding is missing"),
        (lambda i, o, n, k, s, p: work(i, o, n, k, s, p / 2), "the padding is missing"),
        (lambda *a: work(*a, extra=-1), "the output is one value too small"),
        (lambda *a: 5, "for (4, 6, 9, 3, 2, 0) you gave 5, it is 3,552"),
        (lambda *a: raises(), "six whole numbers"),
    ],
)
def test_mult_adds_slips(answer, text):
    assert_verdict(lesson03.mult_adds(answer), "wrong", re.escape(text))
