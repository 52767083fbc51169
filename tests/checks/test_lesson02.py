"""Tests of the checks of lesson 02: correct answers, and every usual slip with its own hint."""

import re

import pytest
import torch
from assertions import assert_verdict
from torch import nn

from tutorial_utils import layers, models
from tutorial_utils.checks import lesson02


def counted(inputs, outputs, kernel, groups):
    return (inputs // groups * kernel[0] * kernel[1] + 1) * outputs


def of_a_real_layer(inputs, outputs, kernel, groups):
    layer = nn.Conv2d(inputs, outputs, kernel, groups=groups, device="meta")
    return sum(p.numel() for p in layer.parameters())


@pytest.mark.parametrize(
    "answer",
    [
        counted,
        of_a_real_layer,
        lambda i, o, k, g: o * i * k[0] * k[1] / g + o,
        lambda i, o, k, g: torch.tensor(counted(i, o, k, g)),
    ],
)
def test_conv_parameters_right(answer):
    assert_verdict(lesson02.conv_parameters(answer), "correct")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda i, o, k, g: counted(i, o, k, g) - o, "the biases are missing"),
        (lambda i, o, k, g: counted(i, o, k, g) - o + 1, "you counted only one bias"),
        (lambda i, o, k, g: counted(i, o, k, g) - o + i, "gave each input map a bias"),
        (lambda i, o, k, g: counted(i, o, k, g) / o, "that is one filter"),
        (lambda i, o, k, g: (k[0] * k[1] + 1) * o, "sees more than one input map"),
        (lambda i, o, k, g: (i // g * k[0] ** 2 + 1) * o, "the kernel is not a square here"),
        (lambda i, o, k, g: (i // g * k[1] ** 2 + 1) * o, "the kernel is not a square here"),
        (lambda i, o, k, g: counted(i, o, k, 1), "you left out groups"),
        (lambda i, o, k, g: counted(i, o, k, g) / g, "that is one group"),
        (lambda i, o, k, g: counted(i, o, k, g) * g, "multiplied by groups once more"),
        (lambda i, o, k, g: (i // g * k**2 + 1) * o, "kernel is (height, width)"),
        (lambda i, o, k, g: 7, "kernel (11, 11), groups 1: you gave 7, it is 34944"),
    ],
)
def test_conv_parameters_slips(answer, text):
    assert_verdict(lesson02.conv_parameters(answer), "wrong", re.escape(text))


MAPS = torch.rand(8, 5, 5, generator=torch.Generator().manual_seed(0)) / 10
MAPS[3] += 0.5  # the highest mean
MAPS[6, 2, 2] = 9.0  # the highest value
MAPS[2] = 0.0  # the lowest mean
WEIGHT = torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(1))
WEIGHT[5] *= 10
WEIGHT[7] += 5


@pytest.mark.parametrize(
    "answer", [WEIGHT[3], WEIGHT[MAPS.mean((1, 2)).argmax()], nn.Parameter(WEIGHT[3].clone())]
)
def test_strongest_filter_correct(answer):
    verdict = lesson02.strongest_filter(answer, MAPS, nn.Parameter(WEIGHT))
    assert_verdict(verdict, "correct", r"channel 3: its map has a mean of 0\.5\d")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (torch.tensor(3), "that is the number of the channel"),
        (3, "expected a tensor of shape (3, 4, 4), not a value of type int"),
        (MAPS[3], "that is a map"),
        (WEIGHT[3:4], "expected a tensor of shape (3, 4, 4)"),
        (WEIGHT, "and shape (8, 3, 4, 4)"),
        (WEIGHT[6], "the highest single value"),
        (WEIGHT[2], "the lowest mean"),
        (WEIGHT[7], "that filter has the highest mean"),
        (WEIGHT[5], "that filter has the largest weights"),
        (WEIGHT[0], "that is the first filter"),
        (WEIGHT[4], "another map has a higher mean"),
    ],
)
def test_strongest_filter_slips(answer, text):
    assert_verdict(lesson02.strongest_filter(answer, MAPS, WEIGHT), "wrong", re.escape(text))


def sides_of(stride, padding=2):
    network = models.build_on_meta("alexnet")
    first = network.features[0]
    first.stride, first.padding = (stride, stride), (padding, padding)
    table = layers.layer_table(network)
    return [shape[-1] for shape in table[table.kind == "Conv2d"].output]


@pytest.mark.parametrize("form", [list, tuple, torch.tensor])
def test_sides_with_stride_two_correct(form):
    assert_verdict(lesson02.sides_with_stride_two(form(sides_of(2))), "correct", "still gives 6×6")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (sides_of(4), "those are the sides with stride 4"),
        ([109, 27, 13, 13, 13], "only the first side has changed"),
        ([110, 54, 26, 26, 26], "you doubled the sides"),
        (sides_of(2, padding=0), "you left out the padding"),
        ([109, 54, 27, 27, 27], "halved the side in the second pooling"),
        ([109, 55, 27, 27, 27], "rounded up in the first pooling"),
        ([109] * 5, "you left out the poolings"),
        ([108, 51, 23, 22, 21], "the last + 1 of the formula is missing"),
        ([109, 54, 26, 26, 24], "the output of convolution 5 has another side than 24"),
        ([109, 54, 26], "expected five sides, you gave 3"),
        (109, "expected a list, not a value of type int"),
    ],
)
def test_sides_with_stride_two_slips(answer, text):
    assert_verdict(lesson02.sides_with_stride_two(answer), "wrong", re.escape(text))
