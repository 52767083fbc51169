"""Presets: the transform that turns an image into what a network takes.

torchvision's class for them is private, so it is reached through its public weights here, and
nowhere else.
"""

from typing import Protocol

import torchvision
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode


class Preset(Protocol):
    """What a transform of torchvision's weights offers; see `preset` for the attributes."""

    crop_size: list[int]  # one number
    resize_size: list[int]  # one number
    mean: list[float]
    std: list[float]
    interpolation: InterpolationMode

    def __call__(self, image: Image.Image | Tensor) -> Tensor:
        """Return the image as a normalised float32 tensor (3, crop, crop)."""


def preset(
    crop: int,
    resize: int | None = None,
    *,
    mean: tuple[float, ...] = (0.485, 0.456, 0.406),
    std: tuple[float, ...] = (0.229, 0.224, 0.225),
) -> Preset:
    """Return a transform that resizes, cuts out the middle, and normalises.

    Args:
        crop: side of the square that is cut out, in pixels.
        resize: length of the short side before that, in pixels; None for `crop`.
        mean: of the three channels, in the range 0 to 1; ImageNet's unless given.
        std: their standard deviations; ImageNet's unless given.

    Source:
        https://docs.pytorch.org/vision/stable/models.html#using-the-pre-trained-models
    """
    return torchvision.models.AlexNet_Weights.IMAGENET1K_V1.transforms(
        crop_size=crop, resize_size=crop if resize is None else resize, mean=mean, std=std
    )
