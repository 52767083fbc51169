"""Augment, resize and normalise batches of images on the device where they are.

Source of the resampling: Jaderberg et al., "Spatial transformer networks" (2015), which
`grid_sample` computes: https://arxiv.org/abs/1506.02025
"""

import torch
from torch import Tensor
from torch.nn import functional

from tutorial_utils import models


def augment(
    images: Tensor,
    size: int,
    generator: torch.Generator,
    *,
    least_side: float = 0.55,
    light: float = 0.3,
) -> Tensor:
    """Give each image of a batch another crop, aspect ratio, mirroring and light.

    Args:
        images: (N, 3, S, S) of float in [0, 1].
        size: pixels of a side of the results.
        generator: on the images' device, which then waits for nothing; or on the CPU.
        least_side: the smallest share of each side that a crop keeps.
        light: brightness, contrast and saturation are multiplied by 1 - light to 1 + light.

    Returns:
        (N, 3, size, size), not clipped.
    """
    shape = [len(images), 3, size, size]
    crops = _random_crops(len(images), generator, least_side).to(images.device)
    grid = functional.affine_grid(crops, shape, align_corners=False)  # (N, size, size, 2)
    images = functional.grid_sample(
        images, grid.to(images.dtype), padding_mode="reflection", align_corners=False
    )
    brightness, contrast, saturation = (
        _uniform(len(images), 1 - light, 1 + light, generator).to(images.device)[
            :, None, None, None
        ]
        for _ in range(3)
    )
    images = images * brightness
    mean = images.mean((1, 2, 3), keepdim=True)
    images = mean + (images - mean) * contrast
    grey = images.mean(1, keepdim=True)
    return grey + (images - grey) * saturation


def resize(images: Tensor, size: int) -> Tensor:
    """Resize (N, 3, S, S) of float to (N, 3, size, size)."""
    if images.shape[-1] == size:
        return images
    return functional.interpolate(
        images, (size, size), mode="bilinear", antialias=True, align_corners=False
    )


def normalise(images: Tensor) -> Tensor:
    """Subtract ImageNet's mean and divide by its standard deviation: (N, 3, H, W) of float."""
    mean, std = (  # filled there: to copy them, a GPU would have to finish what it does
        torch.stack([images.new_full((1, 1), value) for value in values])
        for values in models.DEMO_NORMALISATION
    )  # (3, 1, 1)
    return (images - mean) / std


def _random_crops(count: int, generator: torch.Generator, least_side: float) -> Tensor:
    """Return random affine maps (count, 2, 3), as `affine_grid` takes them."""
    scale = _uniform(count, least_side, 1.0, generator)
    aspect = torch.exp(_uniform(count, -0.2, 0.2, generator))
    wide, high = (scale * aspect).clamp(max=1.0), (scale / aspect).clamp(max=1.0)
    mirrored = torch.where(_uniform(count, 0.0, 1.0, generator) < 0.5, -1.0, 1.0)
    across, down = (_uniform(count, -1.0, 1.0, generator) * (1 - share) for share in (wide, high))
    theta = torch.zeros(count, 2, 3, device=generator.device)
    theta[:, 0, 0], theta[:, 0, 2] = wide * mirrored, across
    theta[:, 1, 1], theta[:, 1, 2] = high, down
    return theta


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator, device=generator.device)
