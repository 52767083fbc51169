"""Attribution of a network's logits to parts of its images, by captum; and nearest neighbours.

`grad_cam` weights the activations of one layer, `occlusion` covers one square of the image after
another. Both take any network that maps (N, 3, H, W) to logits (N, K), frozen or not, and leave
its modes, gradients and hooks as they were.

Sources:
    Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based
    localization" (2016): https://arxiv.org/abs/1610.02391
    Zeiler and Fergus, "Visualizing and understanding convolutional networks" (2013), occlusion:
    https://arxiv.org/abs/1311.2901
    Kokhlikyan et al., "Captum: a unified and generic model interpretability library for PyTorch"
    (2020): https://arxiv.org/abs/2009.07896
"""

from collections.abc import Callable, Sequence
from numbers import Real

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from tutorial_utils._support.arguments import check_whole
from tutorial_utils._support.inference import move_to
from tutorial_utils._support.torch_state import evaluation_mode

Targets = int | Sequence[int] | Tensor


def grad_cam(
    network: nn.Module,
    images: Tensor,
    targets: Targets,
    *,
    layer: str | None = None,
    batch_size: int = 16,
) -> Tensor:
    """Return Grad-CAM heat maps: where a layer's activations raise the logit of a class.

    Each channel of the layer is weighted by the mean of the logit's gradient over the channel. The
    heat is the weighted sum of the channels, with negative values set to 0. It has the layer's
    resolution, e.g. 13x13, and is interpolated bilinearly to the image's size.

    Used in lesson 11.

    Args:
        network: maps (N, 3, H, W) to logits (N, K).
        images: (N, 3, H, W) floating point, preprocessed for the network.
        targets: the class to explain: one for all images, or one per image, (N,).
        layer: a name from `network.named_modules()`, whose output is (N, C, h, w); None for the
            last convolution.
        batch_size: images per batch.

    Returns:
        (N, H, W) float32 on the CPU, 0 or more. A map is 0 everywhere if no activation raises the
        logit.

    Raises:
        ValueError: if shapes, targets, the layer's name or its output do not fit.
    """
    from captum.attr import LayerAttribution, LayerGradCam

    name, module = _layer(network, layer)

    def explain(batch: Tensor, classes: Tensor) -> Tensor:
        # Frozen parameters require no gradient, so the images must.
        method = LayerGradCam(network, module)
        heat = method.attribute(batch.requires_grad_(), classes, relu_attributions=True)
        if heat.ndim != 4:
            raise ValueError(
                f"the output of layer {name!r} has no height and width, so it gives no map: name "
                f"a convolution, one of {_join(_convolutions(network))}"
            )
        return LayerAttribution.interpolate(heat, tuple(batch.shape[2:]), "bilinear")[:, 0]

    return _in_batches(network, images, targets, explain, batch_size)


def occlusion(
    network: nn.Module,
    images: Tensor,
    targets: Targets,
    *,
    window: int = 32,
    stride: int = 16,
    baseline: float = 0.0,
    batch_size: int = 16,
) -> Tensor:
    """Return how much a class's logit falls when a square of the image is covered.

    The square moves over the whole image. A pixel gets the mean fall of all squares that cover it.
    Each position of the square takes one forward pass; no gradients are needed.

    Used in lesson 11.

    Args:
        network: maps (N, 3, H, W) to logits (N, K).
        images: (N, 3, H, W) floating point, preprocessed for the network.
        targets: the class to explain: one for all images, or one per image, (N,).
        window: the side of the square, in pixels of the preprocessed image.
        stride: the step of the square in pixels, at most `window`, so that all pixels are covered.
        baseline: the value of the covered pixels; 0 is the mean colour of a normalised image.
        batch_size: images per batch.

    Returns:
        (N, H, W) float32 on the CPU, in units of the logit: above 0 where covering lowers it,
        below 0 where covering raises it.

    Raises:
        ValueError: if shapes, targets or the square do not fit.
    """
    from captum.attr import Occlusion

    _check_square(images, window, stride, baseline)

    def explain(batch: Tensor, classes: Tensor) -> Tensor:
        square = {"sliding_window_shapes": (3, window, window), "strides": (3, stride, stride)}
        method = Occlusion(network)
        with torch.no_grad():
            heat = method.attribute(batch, target=classes, baselines=baseline, **square)
        return heat.mean(dim=1)  # one square covers all channels, with equal values

    return _in_batches(network, images, targets, explain, batch_size)


def share_inside(heat: Tensor, mask: Tensor) -> Tensor:
    """Return the share of each map's heat that lies inside a mask.

    Used in lesson 11.

    Args:
        heat: (N, H, W); values below 0 count as 0.
        mask: (N, H, W) bool, e.g. where the insect is.

    Returns:
        (N,) fractions from 0 to 1; NaN for a map without heat. Compare them with the mask's share
        of the area, `mask.float().mean((1, 2))`, the value for evenly spread heat.

    Raises:
        ValueError: if the shapes differ or the mask is not bool.
    """
    if heat.ndim != 3 or heat.shape != mask.shape or mask.dtype != torch.bool:
        raise ValueError(
            f"heat and mask must both be (N, H, W), and the mask bool, not {tuple(heat.shape)} "
            f"and {tuple(mask.shape)} {mask.dtype}"
        )
    positive = heat.clamp(min=0).double()
    return ((positive * mask).sum((1, 2)) / positive.sum((1, 2))).float()


def neighbours(features: Tensor, queries: Tensor, *, count: int = 5) -> Tensor:
    """Return the indices of the features that are nearest to each query, by cosine similarity.

    Used in lesson 11.

    Args:
        features: (N, D), one row per image.
        queries: (Q, D). A query that is one of the features finds itself first.
        count: the number of neighbours, at most N.

    Returns:
        (Q, count) int64, row indices of `features`, the nearest first.

    Raises:
        ValueError: if the shapes do not fit or `count` is not from 1 to N.
    """
    if features.ndim != 2 or queries.ndim != 2 or features.shape[1] != queries.shape[1]:
        raise ValueError(
            f"features must be (N, D) and queries (Q, D), not {tuple(features.shape)} and "
            f"{tuple(queries.shape)}"
        )
    check_whole("count", count, 1, len(features))
    cosines = normalize(queries.float(), dim=1) @ normalize(features.float(), dim=1).T  # (Q, N)
    return cosines.argsort(dim=1, descending=True, stable=True)[:, :count]


def _in_batches(
    network: nn.Module,
    images: Tensor,
    targets: Targets,
    explain: Callable[[Tensor, Tensor], Tensor],
    batch_size: int,
) -> Tensor:
    """Return the maps of all images, (N, H, W), computed batch by batch."""
    _check_images(images)
    check_whole("batch_size", batch_size, 1)
    classes = _as_classes(targets, len(images))
    device = move_to(network, None)
    maps = []
    # A caller's no_grad or inference_mode must not hold here: Grad-CAM needs gradients.
    with torch.inference_mode(False), torch.enable_grad(), evaluation_mode(network):
        _check_classes(network, images[:1].detach().clone().to(device), classes)
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            batch = images[part].detach().clone().to(device)
            heat = explain(batch, classes[part].clone().to(device))
            maps.append(heat.detach().float().cpu())
    return torch.cat(maps)


def _convolutions(network: nn.Module) -> list[str]:
    return [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]


def _layer(network: nn.Module, name: str | None) -> tuple[str, nn.Module]:
    """Return a layer and its name; the last convolution if no name is given."""
    found = _convolutions(network)
    if name is None:
        if not found:
            raise ValueError(
                f"this {type(network).__name__} has no convolution, so Grad-CAM has no default "
                f"layer: name a layer whose output is (N, C, h, w), or use occlusion"
            )
        name = found[-1]
    modules = dict(network.named_modules())
    if name not in modules:
        raise ValueError(
            f"the network has no layer {name!r}; its convolutions are {_join(found)}. All names "
            f"are in network.named_modules()"
        )
    return name, modules[name]


def _join(names: list[str]) -> str:
    return ", ".join(map(repr, names)) or "none"


def _as_classes(targets: Targets, count: int) -> Tensor:
    """Return the targets as (count,) int64."""
    classes = torch.as_tensor(targets)
    whole = not classes.dtype.is_floating_point and classes.dtype != torch.bool
    if not whole or classes.ndim > 1 or (classes.ndim == 1 and len(classes) != count):
        raise ValueError(
            f"targets must be one class for all, or one for each of the {count} images, as "
            f"whole numbers, not {classes.dtype} of shape {tuple(classes.shape)}"
        )
    return classes.to("cpu", torch.int64).expand(count)


def _check_images(images: Tensor) -> None:
    given = f"a {type(images).__name__}"
    if isinstance(images, Tensor):
        if images.ndim == 4 and images.shape[1] == 3 and len(images) and images.is_floating_point():
            return
        given = f"{images.dtype} of shape {tuple(images.shape)}"
    raise ValueError(
        f"images must be a floating-point tensor (N, 3, H, W), N from 1, not {given}. For one "
        f"image use image[None]"
    )


def _check_classes(network: nn.Module, image: Tensor, classes: Tensor) -> None:
    """Raise ValueError if a class has no logit: captum would raise an IndexError much later."""
    with torch.no_grad():
        shape = tuple(network(image).shape)
    if len(shape) != 2:
        raise ValueError(
            f"the network must return logits (N, K), not {shape}: combine backbone and head by "
            f"nn.Sequential(backbone, head)"
        )
    low, high = int(classes.min()), int(classes.max())
    if low < 0 or high >= shape[1]:
        raise ValueError(
            f"targets go from {low} to {high}, and the network has logits for {shape[1]} classes, "
            f"from 0 to {shape[1] - 1}"
        )


def _check_square(images: Tensor, window: int, stride: int, baseline: float) -> None:
    _check_images(images)
    check_whole("window", window, 1, min(images.shape[2:]))
    check_whole("stride", stride, 1, window)
    if isinstance(baseline, bool) or not isinstance(baseline, Real):
        raise ValueError(f"baseline must be one number, not {baseline!r}")
