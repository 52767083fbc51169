"""The fastest way to run a frozen backbone on this machine; its values stay those of a plain pass.

Three methods are used where they are faster:

- bfloat16, see `precision`;
- Winograd's method for convolutions of stride 1, through NNPACK, on a processor with AVX2 and
  without AVX512: it multiplies less, and differs from the plain pass in the fifth decimal;
- deep layers take more images at a time than shallow ones, whose outputs are large: peak memory
  stays the same, and a layer's weights are prepared less often.

Sources:
    Lavin and Gray, "Fast algorithms for convolutional neural networks" (2015):
    https://arxiv.org/abs/1509.09308
    NNPACK: https://github.com/Maratyszcza/NNPACK
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

MIN_BATCH = 16  # torch runs smaller batches without NNPACK
MAP_BYTES = 224 * 2**20  # the largest output of one layer


def winograd_pays() -> bool:
    """Return whether NNPACK, which has Winograd's method, is available and faster here.

    On a processor with AVX2 and without AVX512 it halves the time of VGG16's convolutions.
    """
    return torch.backends.nnpack.is_available() and (
        torch.backends.cpu.get_cpu_capability() == "AVX2"
    )


def mixed(backbone: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return a function that runs the backbone in bfloat16, with the channels last in memory."""

    def run(images: Tensor) -> Tensor:  # (N, 3, H, W) to (N, D)
        with torch.autocast(device.type, torch.bfloat16):
            return backbone(images.contiguous(memory_format=torch.channels_last)).float()

    return run


def staged(backbone: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return a function that runs a backbone on a CPU in float32, in stages.

    Args:
        backbone: `is_sequential` is true for it, and it is in evaluation mode.
    """
    stages = _stages(backbone)

    def run(images: Tensor) -> Tensor:
        for stage in stages:
            images = _run_stage(stage, images)
        return images

    return run


def is_sequential(backbone: nn.Module) -> bool:
    """Return whether a backbone is `nn.Sequential`, nested or not, so that `staged` can run it."""
    inner = (m for m in backbone.modules() if next(m.children(), None) is not None)
    return isinstance(backbone, nn.Sequential) and all(isinstance(m, nn.Sequential) for m in inner)


def pool(layer: nn.MaxPool2d, maps: Tensor) -> Tensor:
    """Run a max-pooling by whole rows and columns; the values are those of the layer.

    torch also records where each maximum was, which only a backward pass needs. This does not, and
    is four times faster for `maps` (N, C, H, W). A layer with padding, dilation, `ceil_mode` or
    `return_indices` is run as it is.
    """
    padded = _pair(layer.padding) != (0, 0) or _pair(layer.dilation) != (1, 1)
    if padded or layer.ceil_mode or layer.return_indices:
        return layer(maps)
    sides = zip((2, 3), _pair(layer.kernel_size), _pair(layer.stride), strict=True)
    for dim, kernel, stride in sides:
        size = (maps.shape[dim] - kernel) // stride + 1
        if size < 1:
            return layer(maps)  # which raises the error
        span = (size - 1) * stride + 1
        every = (slice(None),) * dim + (slice(None, None, stride),)
        shifted = [maps.narrow(dim, start, span)[every] for start in range(kernel)]
        maps = functools.reduce(torch.maximum, shifted)
    return maps


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _stages(backbone: nn.Module) -> list[list[nn.Module]]:
    """Divide a backbone's layers into stages that end with a pooling."""
    stages = [[]]
    for _, layer in backbone.named_modules(remove_duplicate=False):
        if not isinstance(layer, nn.Sequential):
            stages[-1].append(layer)
        if isinstance(layer, nn.MaxPool2d):
            stages.append([])
    return [stage for stage in stages if stage]


def _run_stage(stage: list[nn.Module], images: Tensor) -> Tensor:
    """Run one stage on as many images at a time as `MAP_BYTES` allows."""
    channels = max((m.out_channels for m in stage if isinstance(m, nn.Conv2d)), default=1)
    strides = [m.stride[0] for m in stage if isinstance(m, nn.Conv2d)]
    side = images.shape[-1] // (strides[0] if strides else 1) if images.ndim == 4 else 1
    part = max(MIN_BATCH, MAP_BYTES // (4 * channels * side * side))
    done = [_run_layers(stage, some) for some in images.split(part)]
    return done[0] if len(done) == 1 else torch.cat(done)


def _run_layers(stage: list[nn.Module], images: Tensor) -> Tensor:
    for layer in stage:
        if isinstance(layer, nn.MaxPool2d):
            images = pool(layer, images)
        else:
            with _winograd(_winograd_suits(layer) and len(images) >= MIN_BATCH):
                images = layer(images)
    return images


def _winograd_suits(layer: nn.Module) -> bool:
    """Return whether Winograd's method is faster for a layer; a first one has few channels."""
    return (
        isinstance(layer, nn.Conv2d)
        and layer.stride == (1, 1)
        and layer.in_channels >= 16
        and winograd_pays()
    )


@contextmanager
def _winograd(wanted: bool) -> Iterator[None]:
    """Switch oneDNN off for the block if wanted: torch then uses NNPACK for batches from 16."""
    before = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = before and not wanted
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = before
