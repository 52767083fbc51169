"""Tests of the checks of lesson 02: correct answers, and every usual slip with its own hint."""

import re

import pytest
import torch
from assertions import assert_verdict
from torch import nn

from tutorial_utils import layers
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
        (lambda i, o, k, g: counted(i, o, k, g) / o, "that is one kernel"),
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


def strides(size, kernel, padding, wanted, *, start=1):
    room = size + 2 * padding - kernel
    return [s for s in range(1, size + 1) if room // s + start == wanted]


def by_the_package(size, kernel, padding, wanted):
    sizes = {s: layers.output_size(size, kernel, s, padding) for s in range(1, size + 1)}
    return {s for s, found in sizes.items() if found == wanted}


def by_real_layers(size, kernel, padding, wanted):
    image, found = torch.empty(1, 1, size, size, device="meta"), []
    for s in range(1, size + 1):
        layer = nn.Conv2d(1, 1, kernel, s, padding, device="meta")
        found += [s] * (layer(image).shape[-1] == wanted)
    return tuple(found)


@pytest.mark.parametrize(
    "answer", [strides, by_the_package, by_real_layers, lambda *a: torch.tensor(strides(*a))]
)
def test_strides_for_right(answer):
    assert_verdict(lesson02.strides_for(answer), "correct")


def exact(size, kernel, padding, wanted):
    room = size + 2 * padding - kernel
    return [s for s in range(1, size + 1) if room / s + 1 == wanted]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda size, k, p, w: strides(size, k, 0, w), "you left out the padding"),
        (lambda size, k, p, w: strides(size, k, p / 2, w), "you counted the padding once"),
        (lambda *a: strides(*a, start=0), "the last + 1 of the formula is missing"),
        (exact, "only strides that leave no pixel over"),
        (lambda *a: strides(*a)[:1], "you gave only the smallest stride"),
        (lambda *a: strides(*a)[-1:], "you gave only the largest stride"),
        (lambda *a: [s for s in strides(*a) if s < a[0]], "the last stride is missing"),
        (lambda *a: (strides(*a) or [0])[0], "there may be several strides, or none"),
        (lambda *a: [17 // s for s in range(a[0])], "a stride is a whole number from 1 to size:"),
        (lambda size, k, p, w: [(size + 2 * p - k) / (w - 1)], "you gave [5.66"),
        (lambda *a: ["five"], "every entry is a stride"),
        (lambda *a: [float("nan")], "not yet: "),
    ],
)
def test_strides_for_slips(answer, text):
    assert_verdict(lesson02.strides_for(answer), "wrong", re.escape(text))


def by_gradients(kernel, stride, next_kernel):
    layers = nn.Conv1d(1, 1, kernel, stride, bias=False), nn.Conv1d(1, 1, next_kernel, bias=False)
    for layer in layers:
        nn.init.ones_(layer.weight)
    line = torch.zeros(1, 1, 60, requires_grad=True)
    nn.Sequential(*layers)(line)[0, 0, 0].backward()
    seen = line.grad[0, 0].nonzero().flatten()
    return int(seen.max() - seen.min()) + 1


@pytest.mark.parametrize(
    "answer",
    [
        lambda k, s, n: k + (n - 1) * s,
        lambda k, s, n: layers.receptive_field([(k, s), (n, 1)])[-1],
        by_gradients,
    ],
)
def test_window_of_two_right(answer):
    assert_verdict(lesson02.window_of_two(answer), "correct")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda k, s, n: k + n, "you added the two kernels"),
        (lambda k, s, n: k * n, "the windows do not lie side by side"),
        (lambda k, s, n: k + n - 1, "you left out the stride"),
        (lambda k, s, n: k + n * s, "one step too many"),
        (lambda k, s, n: (k - 1) * s + n, "you gave the stride to the wrong kernel"),
        (lambda k, s, n: n * s, "the first window has a width of its own"),
        (lambda k, s, n: 3, "kernel 11 with stride 4, then kernel 3: you gave 3, it is 19"),
    ],
)
def test_window_of_two_slips(answer, text):
    assert_verdict(lesson02.window_of_two(answer), "wrong", re.escape(text))
