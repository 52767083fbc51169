"""Checks of lesson 03's exercises: what a stack saves, two kernels as one, multiply-adds."""

from typing import Any

from tutorial_utils.checks.verdict import ask, exercise, expect, number

__all__ = ["saving", "merged", "mult_adds"]


@exercise
def saving(answer: Any) -> str:
    """Check a function (odd width) -> share of weights that stacked 3×3 save against one window."""
    for width in (5, 7, 11, 15, 3):
        depth, whole = width // 2, width**2
        want = 1 - 9 * depth / whole
        given = ask(answer, width, hint="width is one odd number of pixels, such as 5")
        got = number(given, hint="return one fraction")
        for slip, wrong, hint in _saving_slips(width):
            expect(_near(got, want) or not _near(got, slip), wrong, hint=hint)
        expect(
            _near(got, want),
            f"against one {width}×{width} a stack that sees as much saves {want:.3f}, you gave "
            f"{got:.3f}",
            hint="how many layers see that wide, and how many weights do they have together",
        )
    return "for windows of 3, 5, 7, 11 and 15 pixels"


def _saving_slips(width):
    """Yield (value, what is wrong, hint) for the usual slips."""
    depth, whole = width // 2, width**2
    left = 9 * depth / whole
    yield left, "that is the share that is left", "what is saved is the rest"
    yield 100 * (1 - left), "that is a percentage", "a share goes from 0 to 1"
    share = "a share has no C in it: divide by the weights of the one large window"
    yield whole - 9 * depth, "that is a number of weights", share
    yield whole / (9 * depth) - 1, "you divided by the weights of the stack", share
    pixel = "each further 3×3 adds one pixel on either side: two in width"
    for layers in (width // 3, width / 3, width - 2, depth + 1, depth - 1):
        yield 1 - 9 * layers / whole, f"a stack of {layers:g} layers was counted", pixel
    yield 1 - 3 * depth / width, "the windows have two dimensions", "3×3 are nine weights"


@exercise
def merged(answer: Any) -> str:
    """Check a function (3×3 convolution, 3×3 convolution) -> the 5×5 kernel of both together."""
    import torch
    from torch.nn.functional import conv_transpose2d

    generator = torch.Generator().manual_seed(3)
    asked = "call the first layer, then the second, on an image of 5×5 that wants a gradient"
    for _ in range(2):
        kernels = [torch.rand(1, 1, 3, 3, generator=generator) - 0.4 for _ in range(2)]
        layers = [_convolution(kernel) for kernel in kernels]
        want = conv_transpose2d(*kernels)[0, 0]  # (5, 5): sums over all pairs of weights
        got = ask(answer, *layers, hint=asked)
        shape = tuple(getattr(got, "shape", ()))
        fits = isinstance(got, torch.Tensor) and got.numel() == 25 and shape[-2:] == (5, 5)
        kind = f"{type(got).__name__} of shape {shape}" if shape else type(got).__name__
        expect(fits, f"a tensor of 5×5 weights is asked for, not a {kind}", hint=asked)
        got = got.detach().reshape(5, 5)
        expect(
            all(torch.equal(a.weight, b) for a, b in zip(layers, kernels, strict=True)),
            "the weights of the layers have changed",
            hint="paths are counted with ones; here the weights that are there matter",
        )
        for slip, wrong, hint in _merged_slips(want, *(kernel[0, 0] for kernel in kernels)):
            expect(_same(got, want) or not _same(got, slip), wrong, hint=hint)
        expect(
            _same(got, want),
            "one convolution with this kernel answers otherwise than the two in a row",
            hint="how much does each of the 25 pixels count in the one value that comes out",
        )
    return "one 5×5 kernel does what the two layers do, so without a ReLU they are one layer"


def _convolution(kernel):
    """Return a convolution with this kernel (1, 1, 3, 3), which draws no random numbers."""
    import torch

    with torch.device("meta"):
        layer = torch.nn.Conv2d(1, 1, 3, bias=False)
    layer.weight = torch.nn.Parameter(kernel.clone())
    return layer


def _merged_slips(want, first, second):
    """Yield (value, what is wrong, hint) for the usual slips; all kernels are (H, W)."""
    import torch
    from torch.nn.functional import conv_transpose2d, pad

    turned = "in PyTorch a kernel lies on the image as it is, not turned round"
    yield want.flip(0, 1), "the kernel is upside down and mirrored", turned
    flipped = conv_transpose2d(first[None, None], second.flip(0, 1)[None, None])[0, 0]
    for slip in (flipped, flipped.flip(0, 1)):
        yield slip, "one of the two kernels is turned round", turned
    yield want.T, "rows and columns are exchanged", "the last axis is the columns"
    paths = torch.tensor([1.0, 2.0, 3.0, 2.0, 1.0], dtype=want.dtype)
    real = "each path counts as much as the product of its two weights"
    yield torch.outer(paths, paths), "these are numbers of paths", real
    row = "the second layer works on what the first one gives, not on the image"
    yield pad(first + second, (1, 1, 1, 1)), "the two kernels were added", row
    yield pad(first * second, (1, 1, 1, 1)), "the kernels were multiplied place by place", row
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
        got = number(ask(answer, *case, hint="six whole numbers"), hint="return one whole number")
        for slip, wrong, hint in _work_slips(*case):
            expect(got == want or got != slip, wrong, hint=hint)
        expect(
            got == want,
            f"for {case} you gave {got:,.0f}, it is {want:,}",
            hint="all parameters of the layer, once at each place of the output",
        )
    return f"parameters times places, checked on {len(cases)} layers"


def _work_slips(inputs, outputs, size, kernel, stride, padding):
    """Yield (value, what is wrong, hint) for the usual slips."""
    parameters = (inputs * kernel**2 + 1) * outputs
    side = (size + 2 * padding - kernel) // stride + 1
    yield parameters, "these are the parameters", "each is used at every place of the output"
    stops = "the kernel stops at as many places as the output has values in a map"
    yield parameters * size**2, "the places of the input were counted", stops
    yield parameters * side, "places along one side were counted", "the output has two sides"
    bias = "each output map has a bias, which is added at every place"
    yield inputs * kernel**2 * outputs * side**2, "the biases are missing", bias
    yield (parameters - outputs) * side**2 + outputs, "the biases were added once", bias
    maps = "every output map has a kernel, and a kernel sees every input map"
    yield (inputs * kernel**2 + 1) * side**2, "one output map was counted", maps
    yield (kernel**2 + 1) * outputs * side**2, "one input map was counted", maps
    pair = "a multiplication and the addition that follows count as one"
    yield 2 * parameters * side**2, "multiplications and additions were counted apart", pair
    frame = (size + padding - kernel) // stride + 1, (size - kernel) // stride + 1
    for wrong_side in frame:
        yield parameters * wrong_side**2, "the padding is missing", "it is added on both sides"
    short = "the place where the kernel starts counts too"
    yield parameters * (side - 1) ** 2, "the output is one value too small", short


def _near(first: float, second: float) -> bool:
    return abs(first - second) < 1e-5


def _same(first, second) -> bool:
    """Say whether two tensors of one shape hold the same values, up to rounding."""
    return bool(((first.double() - second.double()).abs() < 1e-4).all())
