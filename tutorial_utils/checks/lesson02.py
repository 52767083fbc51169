"""Checks of lesson 02's exercises: parameters of a convolution, strides, a window of two layers."""

from collections.abc import Iterable
from typing import Any

from tutorial_utils.checks.verdict import Slip, call, compare, exercise, expect, kind, number

__all__ = ["conv_parameters", "strides_for", "window_of_two"]


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
            hint="count the weights of one kernel, add its bias, and multiply by the kernels",
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
    yield weights + 1, "that is one kernel", "there are as many as output maps"
    maps = "a kernel has a window of weights for every input map that it sees"
    yield (height * width + 1) * outputs, "a kernel sees more than one input map", maps
    pair = "kernel is a pair: multiply its height by its width"
    for square in (height**2, width**2):
        yield (seen * square + 1) * outputs, "the kernel is not a square here", pair
    if groups > 1:
        split = "with groups, a kernel sees only its own part of the input maps"
        yield (inputs * height * width + 1) * outputs, "you left out groups", split
        whole = "outputs are all output maps, of all groups together"
        yield (weights + 1) * (outputs // groups), "that is one group", whole
        yield (weights + 1) * outputs * groups, "you multiplied by groups once more", whole


@exercise
def strides_for(answer: Any) -> str:
    """Check a function (size, kernel, padding, wanted) -> all strides that give the wanted size.

    A stride is a whole number from 1 to `size`.
    """
    cases = (
        (20, 3, 0, 4),
        (227, 11, 0, 55),
        (12, 3, 2, 5),
        (21, 4, 0, 3),
        (7, 7, 0, 1),
        (10, 3, 0, 7),
    )
    begin = "a stride is a whole number from 1 to size: with 0 the kernel would never move"
    for size, kernel, padding, wanted in cases:
        want = _strides(size, size + 2 * padding - kernel, wanted)
        got = call(answer, size, kernel, padding, wanted, hint=begin)
        got = got.tolist() if hasattr(got, "tolist") else got
        listed = isinstance(got, list | tuple | set | range)
        several = "there may be several strides, or none"
        expect(listed, f"expected a list, not {kind(got)}", hint=several)
        got = sorted(
            number(stride, hint="every entry is a stride, a whole number") for stride in got
        )
        shown = [int(stride) if stride == int(stride) else stride for stride in got]
        compare(
            got,
            want,
            _stride_slips(size, kernel, padding, wanted),
            wrong=f"size {size}, kernel {kernel}, padding {padding}, {wanted} wanted: you gave "
            f"{shown}, the strides are {want}",
            hint="put every stride from 1 to size into the formula, and keep those that fit",
        )
    return f"the formula, solved for the stride on {len(cases)} layers; one has no such stride"


def _strides(size: int, room: int, wanted: int, *, start: int = 1) -> list[int]:
    """Return the strides with which a kernel fits `wanted` times into `room` pixels."""
    return [stride for stride in range(1, size + 1) if room // stride + start == wanted]


def _stride_slips(size: int, kernel: int, padding: int, wanted: int) -> Iterable[Slip]:
    """Yield the slips of `strides_for`."""
    room = size + 2 * padding - kernel
    found = _strides(size, room, wanted)
    frame = "the frame of zeros is added on both sides"
    yield _strides(size, size - kernel, wanted), "you left out the padding", frame
    yield _strides(size, size + padding - kernel, wanted), "you counted the padding once", frame
    first = "the kernel's first position counts too"
    yield _strides(size, room, wanted, start=0), "the last + 1 of the formula is missing", first
    exact = [stride for stride in found if room % stride == 0]
    down = "some pixels may remain: the formula rounds down"
    yield exact, "you found only strides that leave no pixel over", down
    yield found[:1], "you gave only the smallest stride", "return all that fit"
    yield found[-1:], "you gave only the largest stride", "return all that fit"
    ends = "a stride may be as large as the image"
    yield [stride for stride in found if stride < size], "the last stride is missing", ends


@exercise
def window_of_two(answer: Any) -> str:
    """Check a function (kernel, stride, next kernel) -> pixels that one value sees."""
    cases = ((11, 4, 3), (3, 1, 3), (5, 2, 3), (2, 2, 2), (7, 3, 1), (1, 5, 4))
    for kernel, stride, following in cases:
        want = kernel + (following - 1) * stride
        given = call(answer, kernel, stride, following, hint="all three are whole numbers")
        got = number(given, hint="return one whole number")
        compare(
            got,
            want,
            _window_slips(kernel, stride, following),
            wrong=f"kernel {kernel} with stride {stride}, then kernel {following}: you gave "
            f"{got:g}, it is {want}",
            hint="where in the image does the first window begin, and where does the last end?",
        )
    return f"checked on {len(cases)} pairs of layers"


def _window_slips(kernel: int, stride: int, following: int) -> Iterable[Slip]:
    """Yield the slips of `window_of_two`."""
    overlap = "neighbouring windows overlap: draw two of them on a line of pixels"
    yield kernel + following, "you added the two kernels", overlap
    yield kernel * following, "the windows do not lie side by side", overlap
    step = "neighbouring windows of the first layer begin stride pixels apart"
    yield kernel + following - 1, "you left out the stride", step
    yield kernel + following * stride, "one step too many", "three windows are two steps apart"
    other = "the stride belongs to the first layer: it spreads what the second one combines"
    yield (kernel - 1) * stride + following, "you gave the stride to the wrong kernel", other
    yield following * stride, "the first window has a width of its own", overlap
