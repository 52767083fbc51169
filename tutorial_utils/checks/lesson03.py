"""Checks of lesson 03's exercises: what a stack saves, two kernels as one, multiply-adds."""

from collections.abc import Iterable
from typing import Any

from tutorial_utils.checks.verdict import Slip, call, compare, exercise, expect, kind, number

__all__ = ["saving", "merged", "mult_adds"]


@exercise
def saving(answer: Any) -> str:
    """Check a function (odd width) -> fraction of weights that stacked 3×3 layers save."""
    for width in (5, 7, 11, 15, 3):
        want = 1 - 9 * (width // 2) / width**2
        given = call(answer, width, hint="width is one odd number of pixels, such as 5")
        got = number(given, hint="return one fraction")
        compare(
            got,
            want,
            _saving_slips(width),
            wrong=f"compared with one {width}×{width} layer, a stack that sees as much saves "
            f"{want:.3f}, you gave {got:.3f}",
            hint="how many layers see that wide, and how many weights do they have together?",
            tolerance=1e-5,
        )
    return "for windows of 3, 5, 7, 11 and 15 pixels"


def _saving_slips(width: int) -> Iterable[Slip]:
    """Yield the slips of `saving`."""
    depth, whole = width // 2, width**2
    left = 9 * depth / whole
    yield left, "that is the fraction that is left", "what is saved is the rest"
    yield 100 * (1 - left), "that is a percentage", "a fraction goes from 0 to 1"
    fraction = "a fraction has no C in it: divide by the weights of the one large window"
    yield whole - 9 * depth, "that is a number of weights", fraction
    yield whole / (9 * depth) - 1, "you divided by the weights of the stack", fraction
    pixel = "each further 3×3 adds one pixel on either side: two in width"
    for layers in (width // 3, width / 3, width - 2, depth + 1, depth - 1):
        yield 1 - 9 * layers / whole, f"you counted a stack of {layers:g} layers", pixel
    yield 1 - 3 * depth / width, "the windows have two dimensions", "3×3 are nine weights"


@exercise
def merged(answer: Any) -> str:
    """Check a function (3×3 convolution, 3×3 convolution) -> the 5×5 kernel of both together."""
    import torch
    from torch.nn.functional import conv_transpose2d

    generator = torch.Generator().manual_seed(3)
    image = "call the first layer, then the second, on an image of 5×5 that requires a gradient"
    for _ in range(2):
        kernels = [torch.rand(1, 1, 3, 3, generator=generator) - 0.4 for _ in range(2)]
        layers = [_convolution(kernel) for kernel in kernels]
        want = conv_transpose2d(*kernels)[0, 0]  # (5, 5): sums over all pairs of weights
        got = call(answer, *layers, hint=image)
        fits = isinstance(got, torch.Tensor) and got.numel() == 25 and got.shape[-2:] == (5, 5)
        expect(fits, f"expected a tensor of 5×5 weights, not {kind(got)}", hint=image)
        expect(
            all(torch.equal(a.weight, b) for a, b in zip(layers, kernels, strict=True)),
            "the weights of the layers have changed",
            hint="paths are counted with ones, but here the layers' own weights matter",
        )
        compare(
            got.detach().reshape(5, 5),
            want,
            _merged_slips(want, *(kernel[0, 0] for kernel in kernels)),
            wrong="one convolution with this kernel gives other values than the two in a row",
            hint="how much does each of the 25 pixels count in the one value of the output?",
            tolerance=1e-4,
        )
    return "one 5×5 kernel does what the two layers do, so without a ReLU they are one layer"


def _convolution(kernel: Any) -> Any:
    """Return a convolution with this kernel (1, 1, 3, 3), without drawing random numbers."""
    import torch

    with torch.device("meta"):
        layer = torch.nn.Conv2d(1, 1, 3, bias=False)
    layer.weight = torch.nn.Parameter(kernel.clone())
    return layer


def _merged_slips(want: Any, first: Any, second: Any) -> Iterable[Slip]:
    """Yield the slips of `merged`; all kernels are (H, W)."""
    import torch
    from torch.nn.functional import conv_transpose2d, pad

    rotated = "PyTorch does not rotate a kernel before it multiplies it with the image"
    yield want.flip(0, 1), "the kernel is upside down and mirrored", rotated
    flipped = conv_transpose2d(first[None, None], second.flip(0, 1)[None, None])[0, 0]
    for slip in (flipped, flipped.flip(0, 1)):
        yield slip, "one of the two kernels is rotated", rotated
    yield want.T, "rows and columns are swapped", "the last axis is the columns"
    paths = torch.tensor([1.0, 2.0, 3.0, 2.0, 1.0], dtype=want.dtype)
    real = "each path counts as much as the product of its two weights"
    yield torch.outer(paths, paths), "these are numbers of paths", real
    row = "the second layer works on the output of the first, not on the image"
    yield pad(first + second, (1, 1, 1, 1)), "you added the two kernels", row
    yield pad(first * second, (1, 1, 1, 1)), "you multiplied the kernels element by element", row
    for kernel in (first, second):
        yield pad(kernel, (1, 1, 1, 1)), "that is the kernel of one layer alone", row


@exercise
def mult_adds(answer: Any) -> str:
    """Check a function (inputs, outputs, size, kernel, stride, padding) -> multiply-adds."""
    cases = (
        (4, 6, 9, 3, 2, 0),
        (3, 64, 224, 11, 4, 2),
        (8, 16, 10, 3, 1, 1),
        (2, 5, 12, 5, 3, 1),
        (3, 2, 5, 5, 1, 0),
    )
    for case in cases:
        inputs, outputs, size, kernel, stride, padding = case
        side = (size + 2 * padding - kernel) // stride + 1
        want = (inputs * kernel**2 + 1) * outputs * side**2
        got = number(call(answer, *case, hint="six whole numbers"), hint="return one whole number")
        compare(
            got,
            want,
            _work_slips(*case),
            wrong=f"for {case} you gave {got:,.0f}, it is {want:,}",
            hint="all parameters of the layer, once at each position of the output",
        )
    return f"parameters times positions, checked on {len(cases)} layers"


def _work_slips(
    inputs: int, outputs: int, size: int, kernel: int, stride: int, padding: int
) -> Iterable[Slip]:
    """Yield the slips of `mult_adds`."""
    parameters = (inputs * kernel**2 + 1) * outputs
    side = (size + 2 * padding - kernel) // stride + 1
    every = "each is used at every position of the output"
    yield parameters, "these are the parameters", every
    stops = "the kernel stops at as many positions as the output has values in a map"
    yield parameters * size**2, "you counted the positions of the input", stops
    yield parameters * side, "you counted positions along one side", "the output has two sides"
    bias = "each output map has a bias, which is added at every position"
    yield inputs * kernel**2 * outputs * side**2, "the biases are missing", bias
    yield (parameters - outputs) * side**2 + outputs, "you added the biases once", bias
    maps = "every output map has a kernel, and a kernel sees every input map"
    yield (inputs * kernel**2 + 1) * side**2, "you counted one output map", maps
    yield (kernel**2 + 1) * outputs * side**2, "you counted one input map", maps
    pair = "a multiplication and the addition that follows count as one"
    yield 2 * parameters * side**2, "you counted multiplications and additions separately", pair
    for wrong_side in ((size + padding - kernel) // stride + 1, (size - kernel) // stride + 1):
        yield parameters * wrong_side**2, "the padding is missing", "it is added on both sides"
    short = "the kernel's first position counts too"
    yield parameters * (side - 1) ** 2, "the output is one value too small", short
