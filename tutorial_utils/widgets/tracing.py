"""What each layer of a network gives for one image, small enough to store for every layer."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from tutorial_utils import layers, plots
from tutorial_utils._support.presets import Preset
from tutorial_utils._support.torch_state import evaluation_mode

if TYPE_CHECKING:
    import pandas

KINDS = ("Conv2d", "MaxPool2d", "Linear")  # the layers that are traced
MAPS = 16  # that are stored of a layer
SIDE = 96  # pixels of a stored map, at most


@dataclass(frozen=True, eq=False)
class Output:
    """What one layer gave for one image, after the ReLU behind it if there is one."""

    shape: tuple[int, ...]  # (C, h, w), or (D,) of a dense layer
    # Up to 16, (h, w) of float32, the highest mean first; a dense layer's values row by row.
    maps: list[np.ndarray]
    zeros: float  # the fraction of its values that are zero
    strongest: tuple[int, int] | None  # the first map's highest value; None of a dense layer


@dataclass(frozen=True, eq=False)
class Trace:
    """The outputs of a network's layers for one image."""

    image: np.ndarray  # (H, W, 3) of float in [0, 1], as the network was given it
    table: "pandas.DataFrame"  # of `layers.layer_table`: convolutions, poolings and dense layers
    outputs: dict[str, Output]  # {name of the layer: what it gave}
    filters: Tensor  # (C, 3, k, k), the weights of the first convolution


def trace(network: nn.Module, image: Tensor, preset: Preset) -> Trace:
    """Run one image through a network and store what every layer gives.

    Args:
        network: layers that follow one another, as `models.build` makes them; its modes are left
            as they were.
        image: (3, H, H), normalised by the preset.
        preset: of the weights, `weights.transforms()`.

    Raises:
        ValueError: if `image` is not one square image.
    """
    if image.ndim != 3 or image.shape[0] != 3 or image.shape[1] != image.shape[2]:
        raise ValueError(
            f"image must be one square image (3, H, H), not {tuple(image.shape)}: take one "
            f"of a batch, batch[0]"
        )
    table = layers.layer_table(network, size=image.shape[1])
    table = table[table["kind"].isin(KINDS)].reset_index(drop=True)
    outputs: dict[str, Output] = {}
    with _recorded(network, outputs), evaluation_mode(network), torch.inference_mode():
        network(image[None].to(next(network.parameters()).device))
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    seen = plots.denormalise(image[None], preset)[0]
    return Trace(seen, table, outputs, first.weight.detach().cpu())


@contextmanager
def _recorded(network: nn.Module, outputs: dict[str, Output]) -> Iterator[None]:
    """Store what every layer gives; a ReLU's output replaces that of the layer before it."""
    names = {module: name for name, module in network.named_modules()}
    passed: list[str] = []

    def record(module: nn.Module, _: tuple, value: Tensor) -> None:
        if type(module).__name__ in KINDS:
            passed.append(names[module])
        if passed:  # a ReLU before the first layer belongs to none
            outputs[passed[-1]] = _stored(value[0])

    recorded = [m for m in names if type(m).__name__ in KINDS or isinstance(m, nn.ReLU)]
    hooks = [module.register_forward_hook(record) for module in recorded]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _stored(value: Tensor) -> Output:
    """Return a layer's output, (C, h, w) or (D,), with its strongest maps as thumbnails."""
    zeros = (value == 0).float().mean().item()
    value = value.detach().float().cpu()
    if value.ndim == 1:
        columns = math.ceil(math.sqrt(len(value)))
        missing = -len(value) % columns
        square = nn.functional.pad(value, (0, missing)).view(-1, columns)
        return Output(tuple(value.shape), [square.numpy()], zeros, None)
    best = value.mean((1, 2)).argsort(descending=True)[:MAPS]
    strongest = divmod(int(value[best[0]].argmax()), value.shape[2])
    maps = value[best]  # (16, h, w)
    if maps.shape[-1] > SIDE:
        maps = nn.functional.adaptive_avg_pool2d(maps, SIDE)
    return Output(tuple(value.shape), list(maps.numpy().copy()), zeros, strongest)
