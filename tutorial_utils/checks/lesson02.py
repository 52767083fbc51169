"""Checks of lesson 02's exercises: a convolution's parameters, a map's filter, another stride."""

from collections.abc import Iterable
from typing import Any

from tutorial_utils.checks.verdict import (
    Slip,
    call,
    compare,
    exercise,
    expect,
    kind,
    name_slip,
    number,
)

__all__ = ["conv_parameters", "sides_with_stride_two", "strongest_filter"]

# Sides of the five convolutions' outputs for 224 pixels, with stride 4 and with stride 2.
SIDES, WIDE_SIDES = [55, 27, 13, 13, 13], [109, 54, 26, 26, 26]


@exercise
def conv_parameters(answer: Any) -> str:
    """Check a function (inputs, outputs, kernel, groups) -> parameters of a convolution.

    `kernel` is a pair (height, width).
    """
    cases = (
        (3, 96, (11, 11), 1),
        (6, 8, (1, 7), 1),
        (6, 8, (5, 3), 2),
        (96, 256, (5, 5), 2),
        (4, 4, (3, 3), 4),
    )
    for inputs, outputs, kernel, groups in cases:
        want = (inputs // groups * kernel[0] * kernel[1] + 1) * outputs
        given = call(answer, inputs, outputs, kernel, groups, hint="kernel is (height, width)")
        got = number(given, hint="return one whole number")
        compare(
            got,
            want,
            _parameter_slips(inputs, outputs, kernel, groups),
            wrong=f"{inputs} maps in, {outputs} out, kernel {kernel}, groups {groups}: you gave "
            f"{got:g}, it is {want}",
            hint="count the weights of one filter, add its bias, and multiply by the filters",
        )
    return f"the count of torch.nn.Conv2d, on {len(cases)} layers, three of them in groups"


def _parameter_slips(inputs: int, outputs: int, kernel: tuple, groups: int) -> Iterable[Slip]:
    """Yield the slips of `conv_parameters`."""
    height, width = kernel
    seen = inputs // groups
    weights = seen * height * width
    yield weights * outputs, "the biases are missing", "each output map has one"
    each = "each output map has a bias of its own"
    yield weights * outputs + 1, "you counted only one bias", each
    yield weights * outputs + inputs, "you gave each input map a bias", each
    yield weights + 1, "that is one filter", "there are as many as output maps"
    maps = "a filter has a kernel for every input map that it sees"
    yield (height * width + 1) * outputs, "a filter sees more than one input map", maps
    pair = "kernel is a pair: multiply its height by its width"
    for square in (height**2, width**2):
        yield (seen * square + 1) * outputs, "the kernel is not a square here", pair
    if groups > 1:
        split = "with groups, a filter sees only its own part of the input maps"
        yield (inputs * height * width + 1) * outputs, "you left out groups", split
        whole = "outputs are all output maps, of all groups together"
        yield (weights + 1) * (outputs // groups), "that is one group", whole
        yield (weights + 1) * outputs * groups, "you multiplied by groups once more", whole


@exercise
def strongest_filter(answer: Any, maps: Any = None, weight: Any = None) -> str:
    """Check a filter (3, k, k): the one whose feature map has the highest mean.

    Args:
        answer: the filter, a tensor.
        maps: (C, H, W), the feature maps of one image.
        weight: (C, 3, k, k), the filters that made them.
    """
    take = "index network.features[0].weight with the number of the channel"
    if hasattr(answer, "shape") and hasattr(weight, "shape"):
        answer, weight, maps = (one.detach().cpu() for one in (answer, weight, maps))
        best = int(maps.mean((1, 2)).argmax())
        number_only = "that is the number of the channel, not its filter"
        expect(answer.numel() != 1 or int(answer) != best, number_only, hint=take)
        of_map = "that is a map: the result of a filter, not the filter"
        expect(tuple(answer.shape) != tuple(maps.shape[1:]), of_map, hint=take)
    shape = tuple(getattr(weight, "shape", (64, 3, 11, 11)))[1:]
    expect(
        tuple(getattr(answer, "shape", ())) == shape,
        f"expected a tensor of shape {shape}, not {kind(answer)}",
        hint=take,
    )
    compare(
        answer,
        weight[best],
        _filter_slips(maps, weight),
        wrong="another map has a higher mean",
        hint="the mean of a map is over its rows and columns, and there is one for each channel",
        tolerance=1e-9,
    )
    mean, all_maps = float(maps[best].mean()), float(maps.mean())
    return f"channel {best}: its map has a mean of {mean:.2f}, where all maps have {all_maps:.2f}"


def _filter_slips(maps: Any, weight: Any) -> Iterable[Slip]:
    """Yield the slips of `strongest_filter`."""
    flat = maps.flatten(1)
    mean = "take the mean over rows and columns, and the largest of the means"
    yield weight[flat.amax(1).argmax()], "that map has the highest single value", mean
    yield weight[flat.mean(1).argmin()], "that map has the lowest mean", mean
    own = "look at the maps, which depend on the image, and then take the filter"
    yield weight[weight.flatten(1).mean(1).argmax()], "that filter has the highest mean", own
    yield weight[weight.flatten(1).norm(dim=1).argmax()], "that filter has the largest weights", own
    yield weight[0], "that is the first filter", mean


@exercise
def sides_with_stride_two(answer: Any) -> str:
    """Check the sides of AlexNet's five convolutions' outputs if the first one has stride 2."""
    five = "a list of five whole numbers, one for each convolution"
    answer = answer.tolist() if hasattr(answer, "tolist") else answer
    expect(isinstance(answer, list | tuple), f"expected a list, not {kind(answer)}", hint=five)
    got = [number(side, hint=five) for side in answer]
    expect(len(got) == 5, f"expected five sides, you gave {len(got)}", hint=five)
    name_slip(got, WIDE_SIDES, _side_slips())
    for position, (side, want) in enumerate(zip(got, WIDE_SIDES, strict=True), 1):
        expect(
            side == want,
            f"the output of convolution {position} has another side than {side:g}",
            hint="put size, kernel, stride and padding of each layer into the formula, in order",
        )
    return (
        "about four times as many values in each map. The parameters stay the same: no filter has "
        "changed, and adaptive average pooling still gives 6×6"
    )


def _side_slips() -> Iterable[Slip]:
    """Yield the slips of `sides_with_stride_two`."""
    yield SIDES, "those are the sides with stride 4", "half the stride gives more positions"
    later = "the layers behind the first get a larger input, so their outputs grow too"
    yield WIDE_SIDES[:1] + SIDES[1:], "only the first side has changed", later
    twice = "use the formula instead of doubling: it rounds down"
    yield [2 * side for side in SIDES], "you doubled the sides", twice
    yield [110, *WIDE_SIDES[1:]], "you doubled the sides", twice
    yield [107, 53, 26, 26, 26], "you left out the padding", "it is 2 in the first convolution"
    pooling = "a pooling of 3×3 with stride 2 takes 54 to 26: use the formula"
    yield [109, 54, 27, 27, 27], "you halved the side in the second pooling", pooling
    yield [109, 55, 27, 27, 27], "you rounded up in the first pooling", "the formula rounds down"
    yield [109, 109, 109, 109, 109], "you left out the poolings", "two of them are in between"
    yield [108, 51, 23, 22, 21], "the last + 1 of the formula is missing", "the start counts too"
