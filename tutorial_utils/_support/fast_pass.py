"""How this machine runs a frozen backbone fastest; the values stay what the plain pass gives.

Three things are done, where they pay:

- bfloat16, on a processor or device that computes it natively;
- Winograd's method for convolutions of stride 1, through NNPACK, on a processor with AVX2 and no
  AVX512: it multiplies less, and differs from the plain pass in the fifth decimal;
- deep layers take more images at a time than shallow ones, whose maps are large: no more memory
  is held, and a layer's weights are prepared less often.

Sources:
    Lavin and Gray, "Fast algorithms for convolutional neural networks" (2015):
    https://arxiv.org/abs/1509.09308
    NNPACK: https://github.com/Maratyszcza/NNPACK
"""

import ctypes
import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

WINOGRAD_FROM = 16  # torch hands smaller batches to a slower way
MAP_BYTES = 224 * 2**20  # how large one layer's output may be


def keep_memory() -> None:
    """Have this process keep what it frees for its next tensors, and ask for large pages.

    glibc returns large blocks to the system at once, which then clears and maps each page anew for
    the next tensor; and a matrix with a long row touches more small pages than a processor keeps
    the addresses of. Call it before the first large tensor, in a process that does nothing else.
    Without glibc only the second part is done, and without Linux nothing.

    Source: mallopt(3): https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch reads it when it first allocates
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(-4, 0)  # M_MMAP_MAX: take no block from the system by itself
    mallopt(-1, -1)  # M_TRIM_THRESHOLD: give nothing back
    mallopt(-2, 2**28)  # M_TOP_PAD: ask for much at a time
    mallopt(-8, 1)  # M_ARENA_MAX: the thread of the backward pass shares what is kept


def winograd_pays() -> bool:
    """Tell whether NNPACK, which has Winograd's method, is there and was measured as faster.

    On a processor with AVX2 and no AVX512 it halves the time of VGG16's convolutions.
    """
    return torch.backends.nnpack.is_available() and (
        torch.backends.cpu.get_cpu_capability() == "AVX2"
    )


def plain(backbone: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return the backbone's pass as torch runs it, in float32."""
    return backbone


def mixed(backbone: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return the backbone's pass in bfloat16, with the channels last in memory."""

    def run(images: Tensor) -> Tensor:  # (N, 3, H, W) to (N, D)
        with torch.autocast(device.type, torch.bfloat16):
            return backbone(images.contiguous(memory_format=torch.channels_last)).float()

    return run


def staged(backbone: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return the backbone's pass in float32 on a processor, by Winograd's method where it pays.

    Args:
        backbone: layers in one line (`nn.Sequential`, nested or not), in evaluation mode.

    Returns:
        Maps (N, 3, H, W) to what the backbone makes of it.
    """
    stages = _stages(list(_layers(backbone)))

    def run(images: Tensor) -> Tensor:
        for stage in stages:
            images = _in_parts(stage, images)
        return images

    return run


def in_one_line(backbone: nn.Module) -> bool:
    """Tell whether a backbone is layers in one line, so that `staged` can run it."""
    inner = (m for m in backbone.modules() if next(m.children(), None) is not None)
    return isinstance(backbone, nn.Sequential) and all(isinstance(m, nn.Sequential) for m in inner)


def pool(layer: nn.MaxPool2d, maps: Tensor) -> Tensor:
    """Take the maximum of every window, by whole rows and columns: the values of the layer itself.

    torch also notes where each maximum was, which only a backward pass needs; this does not, and
    is four times faster. Layers with padding, dilation or rounding up are run as they are.

    Args:
        layer: any max-pooling.
        maps: (N, C, H, W).
    """
    plain_windows = (layer.padding, layer.dilation, layer.ceil_mode) == (0, 1, False)
    if not plain_windows or not isinstance(layer.kernel_size, int):
        return layer(maps)
    for dim in (2, 3):
        size = (maps.shape[dim] - layer.kernel_size) // layer.stride + 1
        if size < 1:
            return layer(maps)  # which says that the maps are too small
        span = (size - 1) * layer.stride + 1
        shifted = [
            maps.narrow(dim, k, span)[(slice(None),) * dim + (slice(None, None, layer.stride),)]
            for k in range(layer.kernel_size)
        ]
        maps = functools.reduce(torch.maximum, shifted)
    return maps


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if isinstance(child, nn.Sequential):
            yield from _layers(child)
        else:
            yield child


def _stages(layers: list[nn.Module]) -> list[list[nn.Module]]:
    """Cut a line of layers after every pooling."""
    stages = [[]]
    for layer in layers:
        stages[-1].append(layer)
        if isinstance(layer, nn.MaxPool2d):
            stages.append([])
    return [stage for stage in stages if stage]


def _in_parts(stage: list[nn.Module], images: Tensor) -> Tensor:
    """Run one stage on as many images at a time as keep its maps small enough."""
    channels = max((m.out_channels for m in stage if isinstance(m, nn.Conv2d)), default=1)
    strides = [m.stride[0] for m in stage if isinstance(m, nn.Conv2d)]
    side = images.shape[-1] // (strides[0] if strides else 1) if images.ndim == 4 else 1
    part = max(WINOGRAD_FROM, MAP_BYTES // (4 * channels * side * side))
    done = [_run(stage, some) for some in images.split(part)]
    return done[0] if len(done) == 1 else torch.cat(done)


def _run(stage: list[nn.Module], images: Tensor) -> Tensor:
    for layer in stage:
        if isinstance(layer, nn.MaxPool2d):
            images = pool(layer, images)
        else:
            with _winograd(_suits(layer) and len(images) >= WINOGRAD_FROM):
                images = layer(images)
    return images


def _suits(layer: nn.Module) -> bool:
    """Tell whether Winograd's method is faster for a layer; the first has too few channels."""
    return (
        isinstance(layer, nn.Conv2d)
        and layer.stride == (1, 1)
        and layer.in_channels >= 16
        and winograd_pays()
    )


@contextmanager
def _winograd(wanted: bool) -> Iterator[None]:
    """Switch oneDNN off for a while if wanted: torch then takes NNPACK for batches from 16."""
    before = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = before and not wanted
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = before
