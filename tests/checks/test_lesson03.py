"""Tests of the checks of lesson 03: correct answers, and every usual slip with its own hint."""

import re

import pytest
import torch
import torchvision
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
        (lambda w: round(saved(w), 2), "that is rounded"),
        (lambda w: 1 - 3 * (w // 2) / w, "a kernel has two dimensions"),
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


@pytest.fixture(scope="module")
def ratios():
    """Measure VGG16's work at 112×112 over its work at 224×224."""
    with torch.device("meta"):
        network = torchvision.models.vgg16()
    work = [
        layers.layer_table(network, size=size).groupby("kind").mult_adds.sum()
        for size in (112, 224)
    ]
    return work[0] / work[1], work[0].sum() / work[1].sum()


def test_half_side_right(ratios):
    by_kind, _ = ratios
    assert_verdict(lesson03.half_side(by_kind["Conv2d"], by_kind["Linear"]), "correct")
    assert_verdict(lesson03.half_side(1 / 4, 1), "correct", "7×7×512")
    assert_verdict(lesson03.half_side(torch.tensor(0.25), torch.tensor(1)), "correct")


def test_half_side_knows_the_work_of_all_layers(ratios):
    _, total = ratios
    text = "that is the work of all layers together"
    assert_verdict(lesson03.half_side(total, 1), "wrong", text)
    assert_verdict(lesson03.half_side(0.25, total), "wrong", text)


@pytest.mark.parametrize(
    ("convolutions", "dense", "text"),
    [
        (4, 1, "you divided the work at 224×224 by the work at 112×112"),
        (0.5, 1, "along one side alone"),
        (25, 1, "that is a percentage"),
        (1, 1, "the parameters stay the same, the work does not"),
        (0.3, 1, "the convolutions do 0.25 of the work, you gave 0.3"),
        ("a quarter", 1, "expected a number, not a value of type str"),
        (0.25, ..., "dense_ratio is still `...`"),
        (0.25, 0.25, "the dense layers do not see fewer values"),
        (0.25, 0.5, "the dense layers do not see fewer values"),
        (0.25, 100, "that is a percentage"),
        (0.25, 2, "the work of the dense layers does not change: 1, you gave 2"),
    ],
)
def test_half_side_slips(convolutions, dense, text):
    assert_verdict(lesson03.half_side(convolutions, dense), "wrong", re.escape(text))


def vgg(convs=(2, 2, 4, 4, 4), widths=(64, 128, 256, 512, 512), kernel=3, relu=nn.ReLU):
    stack, inputs = [], 3
    for count, width in zip(convs, widths, strict=True):
        for _ in range(count):
            stack += [nn.Conv2d(inputs, width, kernel, padding=kernel // 2), relu()]
            inputs = width
        stack.append(nn.MaxPool2d(2))
    return nn.Sequential(*stack)


def on_meta(build, *arguments, **options):
    with torch.device("meta"):
        return build(*arguments, **options)


def test_configuration_e_right():
    assert_verdict(lesson03.configuration_e(on_meta(vgg)), "correct", "has 20,024,384 parameters")
    theirs = on_meta(torchvision.models.vgg19).features
    assert_verdict(lesson03.configuration_e(theirs), "correct")


def test_what_configuration_e_costs_more_is_what_torchvision_counts():
    networks = [on_meta(getattr(torchvision.models, name)) for name in ("vgg16", "vgg19")]
    sums = [layers.layer_table(n)[["parameters", "mult_adds"]].sum() for n in networks]
    parameters, work = sums[1] / sums[0] - 1
    verdict = lesson03.configuration_e(on_meta(vgg))
    assert f"has {parameters:.1%} more parameters than D and does {work:.0%} more work" in (
        verdict.text.replace("E has", "has")
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"convs": (2, 2, 3, 3, 3)}, "that is D, with 13 convolutions"),
        ({"convs": (3, 3, 4, 4, 4)}, "18 convolutions are one more in every block"),
        ({"convs": (3, 4, 4, 4, 4)}, "19 convolutions are too many"),
        ({"convs": (1, 1, 2, 2, 2)}, "E has 16 convolutions, your backbone has 8"),
        ({"convs": (3, 3, 3, 3, 4)}, "your blocks have [3, 3, 3, 3, 4] convolutions"),
        ({"kernel": 1}, "not every convolution has a kernel of 3×3"),
        ({"widths": (64, 128, 256, 256, 512)}, "the channels are not E's"),
        ({"relu": nn.Identity}, "a ReLU is missing"),
    ],
)
def test_configuration_e_slips(options, text):
    verdict = lesson03.configuration_e(on_meta(vgg, **options))
    assert_verdict(verdict, "wrong", re.escape(text))


def test_configuration_e_is_no_whole_network_and_no_function():
    whole = on_meta(torchvision.models.vgg19)
    assert_verdict(lesson03.configuration_e(whole), "wrong", "dense layers do not belong to the")
    assert_verdict(lesson03.configuration_e(vgg), "wrong", "expected layers, not a value of type")
