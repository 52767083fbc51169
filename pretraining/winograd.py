"""Convolution with fewer multiplications, by Winograd's minimal filtering: to pretrain on a CPU.

A convolution of stride 1 is cut into tiles. Each tile of the input and each kernel is transformed,
the two are multiplied element by element, summed over the channels, and transformed back: 36
multiplications for the 16 results of a 3x3 kernel instead of 144, and 64 instead of 400 for 5x5.
The sum over channels becomes one matrix product per element of a tile. The results equal those of
direct convolution up to rounding.

In 16 bits that rounding would be too coarse. There torch convolves, and on small maps only the
gradient of the weight is computed differently: one matrix product per element of the kernel, which
is up to five times faster than torch's own (3x3, 512 channels, 4x4 pixels, on AMX).

Source: Lavin and Gray, "Fast algorithms for convolutional neural networks" (2015):
https://arxiv.org/abs/1509.09308
"""

import functools
import math

import torch
from numpy.polynomial.polynomial import polyfromroots
from torch import Tensor, nn
from torch.nn import functional

TILE = 4  # results of a tile, in each direction
SMALL = 12  # pixels of a map's side up to which torch's gradient in 16 bits is slower
POINTS = (0, 1, -1, 2, -2, 0.5, -0.5)  # small numbers round least, and floats hold these exactly


@functools.cache
def transforms(kernel: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the matrices of F(4, kernel) in one direction, after Toom and Cook.

    Args:
        kernel: length of the kernel, 3 or 5.

    Returns:
        `back` (4, n), `weight` (n, kernel) and `image` (n, n) of float64, n = 3 + kernel, so that
        back @ ((weight @ g) * (image @ d)) are the 4 results of sliding g along n numbers d.
    """
    n = TILE + kernel - 1
    points = torch.tensor(POINTS[: n - 1], dtype=torch.float64)  # and infinity
    back = torch.zeros(TILE, n, dtype=torch.float64)
    weight = torch.zeros(n, kernel, dtype=torch.float64)
    image = torch.zeros(n, n, dtype=torch.float64)
    back[:, :-1] = torch.vander(points, TILE, increasing=True).T
    weight[:-1] = torch.vander(points, kernel, increasing=True)
    for j, point in enumerate(points):
        others = torch.cat([points[:j], points[j + 1 :]])
        weight[j] /= (point - others).prod()
        image[j, :-1] = torch.from_numpy(polyfromroots(others.numpy()))
    back[-1, -1] = weight[-1, -1] = 1
    image[-1] = torch.from_numpy(polyfromroots(points.numpy()))
    return back, weight, image


@functools.cache
def _square(kernel: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the matrices for both directions: (16, n*n), (n*n, k*k), (n*n, n*n) of float32."""
    return tuple(torch.kron(one, one).float() for one in transforms(kernel))


class Conv2d(nn.Conv2d):
    """torch's convolution, computed by tiles where that is faster: in training, on a CPU.

    Parameters, names, shapes and results are those of `nn.Conv2d`, results up to rounding (1e-4
    of the largest with float32). Kernels of 3 and 5 with stride 1; torch computes all others. In
    mixed precision the results are torch's own, and gradients agree up to its rounding.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, in, H, W) to (N, out, H', W')."""
        if not (self.training and images.device.type == "cpu" and self._fits()):
            return super().forward(images)
        if not torch.is_autocast_enabled("cpu"):
            return _Tiled.apply(images, self.weight, self.bias, self.padding[0])
        if max(images.shape[-2:]) > SMALL:
            return super().forward(images)
        return _Shifted.apply(images, self.weight, self.bias, self.padding[0])

    def _fits(self) -> bool:
        plain = self.stride == self.dilation == (1, 1) and self.groups == 1
        square = self.kernel_size in ((3, 3), (5, 5)) and self.padding in ((1, 1), (2, 2), (0, 0))
        return plain and square and self.padding_mode == "zeros"


class _Shifted(torch.autograd.Function):
    """torch's convolution in 16 bits; the weight's gradient by one matrix product per element."""

    @staticmethod
    def forward(ctx, images: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
        """Return the convolution (N, out, H', W')."""
        dtype = torch.get_autocast_dtype("cpu")
        images, weight = images.to(dtype), weight.to(dtype)
        ctx.save_for_backward(images, weight)
        ctx.padding = padding
        with torch.autocast("cpu", enabled=False):
            bias = None if bias is None else bias.to(dtype)
            return functional.conv2d(images, weight, bias, padding=padding)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple:
        """Return the gradients of images, weight and bias."""
        images, weight = ctx.saved_tensors
        kernel, edge = weight.shape[-1], ctx.padding
        high, wide = gradient.shape[-2:]
        flat = gradient.permute(0, 2, 3, 1).reshape(-1, len(weight))  # (N*H'*W', out)
        padded = functional.pad(images.permute(0, 2, 3, 1), (0, 0, edge, edge, edge, edge))
        products = [
            padded[:, i : i + high, j : j + wide].reshape(len(flat), -1).T @ flat  # (in, out)
            for i in range(kernel)
            for j in range(kernel)
        ]
        of_weight = torch.stack(products).view(kernel, kernel, -1, len(weight)).permute(3, 2, 0, 1)
        of_bias = flat.sum(0, dtype=torch.float32) if ctx.needs_input_grad[2] else None
        if not ctx.needs_input_grad[0]:
            return None, of_weight.float(), of_bias, None
        how = ([1, 1], [edge, edge], [1, 1], False, [0, 0], 1)  # stride to groups
        of_images, _, _ = torch.ops.aten.convolution_backward(
            gradient, images, weight, None, *how, [True, False, False]
        )
        return of_images, of_weight.float(), of_bias, None


class _Tiled(torch.autograd.Function):
    """The convolution and its gradients, all on transformed tiles."""

    @staticmethod
    def forward(ctx, images: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
        """Return the convolution (N, out, H', W')."""
        kernel = weight.shape[-1]
        back, change, image = _square(kernel)
        count, channels, high, wide = images.shape
        results = tuple(length + 2 * padding - kernel + 1 for length in (high, wide))
        rows, columns = (math.ceil(length / TILE) for length in results)
        n = TILE + kernel - 1
        padded = functional.pad(
            images.permute(0, 2, 3, 1),  # (N, H, W, in)
            (0, 0, padding, columns * TILE + kernel - 1 - wide - padding)
            + (padding, rows * TILE + kernel - 1 - high - padding),
        )
        tiles = padded.unfold(1, n, TILE).unfold(2, n, TILE).permute(4, 5, 0, 1, 2, 3)
        tiles = (image @ tiles.reshape(n * n, -1)).view(n * n, -1, channels)  # (n*n, tiles, in)
        kernels = change @ weight.permute(2, 3, 1, 0).reshape(kernel * kernel, -1)
        kernels = kernels.view(n * n, channels, -1)  # (n*n, in, out)
        products = back @ torch.bmm(tiles, kernels).view(n * n, -1)
        ctx.save_for_backward(tiles, kernels)
        ctx.sizes = (images.shape, padding, kernel, rows, columns, results)
        found = products.view(TILE, TILE, count, rows, columns, -1).permute(2, 3, 0, 4, 1, 5)
        found = found.reshape(count, rows * TILE, columns * TILE, -1)
        found = found[:, : results[0], : results[1]].permute(0, 3, 1, 2)
        return found if bias is None else found + bias[:, None, None]

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple:
        """Return the gradients of images, weight and bias."""
        tiles, kernels = ctx.saved_tensors
        shape, padding, kernel, rows, columns, results = ctx.sizes
        back, change, image = _square(kernel)
        count, channels, high, wide = shape
        n, over = TILE + kernel - 1, kernel - 1
        flat = functional.pad(
            gradient.permute(0, 2, 3, 1),  # (N, H', W', out)
            (0, 0, 0, columns * TILE - results[1], 0, rows * TILE - results[0]),
        )
        flat = flat.view(count, rows, TILE, columns, TILE, -1).permute(2, 4, 0, 1, 3, 5)
        flat = (back.T @ flat.reshape(TILE * TILE, -1)).view(n * n, tiles.shape[1], -1)
        changed = torch.bmm(tiles.mT, flat).view(n * n, -1)  # (n*n, in * out)
        of_weight = (change.T @ changed).view(kernel, kernel, channels, -1).permute(3, 2, 0, 1)
        of_bias = gradient.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None
        if not ctx.needs_input_grad[0]:
            return None, of_weight, of_bias, None
        spread = image.T @ torch.bmm(flat, kernels.mT).view(n * n, -1)
        spread = spread.view(n, n, count, rows, columns, channels).permute(2, 3, 0, 4, 1, 5)
        # Tiles overlap by `over`: the values past a tile's end belong to the next one's start.
        whole = spread.new_zeros(count, rows + 1, TILE, columns + 1, TILE, channels)
        whole[:, :-1, :, :-1] = spread[:, :, :TILE, :, :TILE]
        whole[:, 1:, :over, :-1] += spread[:, :, TILE:, :, :TILE]
        whole[:, :-1, :, 1:, :over] += spread[:, :, :TILE, :, TILE:]
        whole[:, 1:, :over, 1:, :over] += spread[:, :, TILE:, :, TILE:]
        whole = whole.view(count, (rows + 1) * TILE, (columns + 1) * TILE, channels)
        whole = whole[:, padding : padding + high, padding : padding + wide]
        return whole.permute(0, 3, 1, 2), of_weight, of_bias, None
