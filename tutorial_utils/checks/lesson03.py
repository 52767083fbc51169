"""Checks of lesson 03's exercises: savings of a stack, half the side, VGG19, merged kernels."""

from collections.abc import Iterable
from typing import Any

from tutorial_utils.checks.verdict import Slip, call, compare, exercise, expect, kind, number

__all__ = ["saving", "half_side", "configuration_e", "merged"]

TOTAL_RATIO = 0.25598  # VGG16's work at 112×112 over its work at 224×224, all layers
_WIDTHS = [3, *2 * [64], *2 * [128], *4 * [256], *8 * [512]]
E_CHANNELS = list(zip(_WIDTHS, _WIDTHS[1:], strict=False))  # (in, out) of each convolution


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
    return "for kernels of 3, 5, 7, 11 and 15 pixels"


def _saving_slips(width: int) -> Iterable[Slip]:
    """Yield the slips of `saving`."""
    depth, whole = width // 2, width**2
    left = 9 * depth / whole
    yield left, "that is the fraction that is left", "what is saved is the rest"
    yield 100 * (1 - left), "that is a percentage", "a fraction goes from 0 to 1"
    fraction = "a fraction has no C in it: divide by the weights of the one large kernel"
    yield whole - 9 * depth, "that is a number of weights", fraction
    yield whole / (9 * depth) - 1, "you divided by the weights of the stack", fraction
    pixel = "each further 3×3 adds one pixel on either side: two in width"
    for layers in (width // 3, width / 3, width - 2, depth + 1, depth - 1):
        yield 1 - 9 * layers / whole, f"you counted a stack of {layers:g} layers", pixel
    yield round(1 - left, 2), "that is rounded", "return the fraction with all its digits"
    yield 1 - 3 * depth / width, "a kernel has two dimensions", "3×3 are nine weights"


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
def half_side(convolutions: Any, dense: Any = ...) -> str:
    """Check VGG16's work at 112×112 over its work at 224×224: convolutions and dense layers."""
    fraction = "divide the multiply-adds at 112×112 by those at 224×224"
    convolutions = number(convolutions, hint=fraction)
    expect(dense is not ..., "dense_ratio is still `...`", hint="the same for the dense layers")
    dense = number(dense, hint=fraction)
    sides = "an image has two sides, and both are halved"
    share = (25, "that is a percentage", "a fraction goes from 0 to 1")
    compare(
        convolutions,
        0.25,
        [
            (4, "you divided the work at 224×224 by the work at 112×112", fraction),
            (0.5, "a kernel is used at half the positions along one side alone", sides),
            share,
            (1, "the parameters stay the same, the work does not", "where is a kernel used?"),
            (TOTAL_RATIO, "that is the work of all layers together", "leave out the dense layers"),
        ],
        wrong=f"the convolutions do 0.25 of the work, you gave {convolutions:g}",
        hint="sum `mult_adds` over the rows of kind Conv2d, for both sizes",
        tolerance=1e-4,
    )
    pooling = "what does the adaptive average pooling in front of them give, for any image?"
    compare(
        dense,
        1,
        [
            (0.25, "the dense layers do not see fewer values", pooling),
            (0.5, "the dense layers do not see fewer values", pooling),
            (100, "that is a percentage", "a fraction, please: 1 for no change"),
            (TOTAL_RATIO, "that is the work of all layers together", "leave out the convolutions"),
        ],
        wrong=f"the work of the dense layers does not change: 1, you gave {dense:g}",
        hint=pooling,
        tolerance=1e-4,
    )
    return (
        "a kernel is used at a quarter of the positions, and the dense layers get 7×7×512 values "
        "from an image of any size"
    )


@exercise
def configuration_e(backbone: Any) -> str:
    """Check the backbone of configuration E, VGG19: its layers, in their order."""
    from torch import nn

    build = "build it with vgg_backbone and the five numbers of convolutions"
    expect(isinstance(backbone, nn.Module), f"expected layers, not {kind(backbone)}", hint=build)
    layers = [layer for layer in backbone.modules() if not list(layer.children())]
    convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    dense = any(isinstance(layer, nn.Linear) for layer in layers)
    expect(not dense, "dense layers do not belong to the backbone", hint="stop at the last pooling")
    compare(
        len(convs),
        16,
        [
            (13, "that is D, with 13 convolutions", "three blocks have one more"),
            (
                18,
                "18 convolutions are one more in every block",
                "the first two blocks stay as in D",
            ),
            (19, "19 convolutions are too many", "three of E's 19 layers are dense"),
        ],
        wrong=f"E has 16 convolutions, your backbone has {len(convs)}",
        hint=build,
    )
    expect(
        all(conv.kernel_size == (3, 3) and conv.padding == (1, 1) for conv in convs),
        "not every convolution has a kernel of 3×3 and a padding of 1",
        hint="a kernel of 1×1 is configuration C's",
    )
    blocks = _convolutions_by_block(layers)
    expect(
        blocks == [2, 2, 4, 4, 4],
        f"your blocks have {blocks} convolutions",
        hint="the first two stay as in D, each of the other three has one more",
    )
    pairs = [(conv.in_channels, conv.out_channels) for conv in convs]
    expect(pairs == E_CHANNELS, "the channels are not E's", hint="as in D: 64, 128, 256, 512, 512")
    follows = [type(layers[layers.index(conv) + 1]) for conv in convs]
    expect(set(follows) == {nn.ReLU}, "a ReLU is missing", hint="one after each convolution")
    total = sum(parameter.numel() for parameter in backbone.parameters())
    return (
        f"the backbone has {total:,} parameters. With the dense layers, E has 3.8% more "
        f"parameters than D and does 27% more work"
    )


def _convolutions_by_block(layers: list) -> list[int]:
    """Return how many convolutions stand before each pooling."""
    counts = [0]
    for layer in layers:
        name = type(layer).__name__
        if name == "Conv2d":
            counts[-1] += 1
        elif name == "MaxPool2d":
            counts.append(0)
    return counts if counts[-1] else counts[:-1]
