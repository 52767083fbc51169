"""What a network looks at: heat maps over its images, by captum; and which images are alike.

`grad_cam` asks the activations of one layer, `occlusion` covers one part of the image after
another. Both take any network that maps (N, 3, H, W) to (N, K), frozen or not, and leave it as it
was: its modes, gradients and hooks.

Sources:
    Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based
    localization" (2016): https://arxiv.org/abs/1610.02391
    Zeiler and Fergus, "Visualizing and understanding convolutional networks" (2013), occlusion:
    https://arxiv.org/abs/1311.2901
    Kokhlikyan et al., "Captum: a unified and generic model interpretability library for PyTorch"
    (2020): https://arxiv.org/abs/2009.07896
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral, Real

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

Targets = int | Sequence[int] | Tensor


def grad_cam(
    network: nn.Module,
    images: Tensor,
    targets: Targets,
    *,
    layer: str | None = None,
    batch_size: int = 16,
) -> Tensor:
    """Return where the activations of a layer speak for a class, as heat maps.

    Each channel of the layer is weighted by the mean of the class score's gradient over the
    channel's places; the weighted sum, without what is below zero, is the heat. It has the layer's
    own few places, e.g. 13x13, and is enlarged smoothly to the image's size.

    Args:
        network: maps (N, 3, H, W) to class scores (N, K).
        images: (N, 3, H, W) floating point, as the network takes them.
        targets: the class whose score is asked about: one for all, or one an image, (N,).
        layer: a name from `network.named_modules()`, whose output is (N, C, h, w); None for the
            last convolution.
        batch_size: images at a time.

    Returns:
        (N, H, W) float32 on the CPU, 0 or more. All of a map is 0 where nothing speaks for the
        class.

    Raises:
        ValueError: if shapes, targets, the layer's name or its output do not fit.
    """
    from captum.attr import LayerAttribution, LayerGradCam

    name, module = _layer(network, layer)

    def explain(batch: Tensor, wanted: Tensor) -> Tensor:
        # Frozen parameters ask for no gradient, so the images must.
        method = LayerGradCam(network, module)
        heat = method.attribute(batch.requires_grad_(), wanted, relu_attributions=True)
        if heat.ndim != 4:
            raise ValueError(
                f"the layer {name!r} gives an output without height and width, so there is no "
                f"map to draw: name a convolution, one of {_listed(_convolutions(network))}"
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
    """Return by how much a class score falls when a square of the image is covered.

    The square is moved over the whole image. What several squares cover gets the mean of their
    falls. It takes one forward pass for each place of the square, and no gradients.

    Args:
        network: maps (N, 3, H, W) to class scores (N, K).
        images: (N, 3, H, W) floating point, as the network takes them.
        targets: the class whose score is asked about: one for all, or one an image, (N,).
        window: side of the square, in pixels of the image as the network takes it.
        stride: by how many pixels it is moved, at most `window`, or some would never be covered.
        baseline: what it is filled with; 0 is the mean colour of a normalised image.
        batch_size: images at a time.

    Returns:
        (N, H, W) float32 on the CPU, in units of the score: above 0 where covering lowers it,
        below 0 where covering raises it.

    Raises:
        ValueError: if shapes, targets or the square do not fit.
    """
    from captum.attr import Occlusion

    _check_square(images, window, stride, baseline)

    def explain(batch: Tensor, wanted: Tensor) -> Tensor:
        square = {"sliding_window_shapes": (3, window, window), "strides": (3, stride, stride)}
        method = Occlusion(network)
        with torch.no_grad():
            heat = method.attribute(batch, target=wanted, baselines=baseline, **square)
        return heat.mean(dim=1)  # the square covers all channels, which share its fall

    return _in_batches(network, images, targets, explain, batch_size)


def share_inside(heat: Tensor, mask: Tensor) -> Tensor:
    """Return which part of each map's heat lies inside a mask.

    Args:
        heat: (N, H, W); what is below zero counts as no heat.
        mask: (N, H, W) bool, e.g. where the insect is.

    Returns:
        (N,) fractions from 0 to 1; NaN for a map without heat. Hold it against the mask's share
        of the area, `mask.float().mean((1, 2))`, which evenly spread heat would give.

    Raises:
        ValueError: if the shapes differ or the mask is not bool.
    """
    if heat.ndim != 3 or heat.shape != mask.shape or mask.dtype != torch.bool:
        raise ValueError(
            f"heat and mask must both be (N, H, W), and the mask bool, not {tuple(heat.shape)} "
            f"and {tuple(mask.shape)} {mask.dtype}"
        )
    warm = heat.clamp(min=0).double()
    return ((warm * mask).sum((1, 2)) / warm.sum((1, 2))).float()


def neighbours(features: Tensor, queries: Tensor, *, count: int = 5) -> Tensor:
    """Return the places of the features that are most alike to each query, by their angle.

    Args:
        features: (N, D), one row an image.
        queries: (Q, D). A query that is itself among the features finds itself first.
        count: how many, at most N.

    Returns:
        (Q, count) int64 rows of `features`, the most alike first.

    Raises:
        ValueError: if the shapes do not fit or `count` is not from 1 to N.
    """
    if features.ndim != 2 or queries.ndim != 2 or features.shape[1] != queries.shape[1]:
        raise ValueError(
            f"features must be (N, D) and queries (Q, D), not {tuple(features.shape)} and "
            f"{tuple(queries.shape)}"
        )
    _check_whole("count", count, 1, len(features))
    alike = normalize(queries.float(), dim=1) @ normalize(features.float(), dim=1).T  # (Q, N)
    return alike.argsort(dim=1, descending=True, stable=True)[:, :count]


def _in_batches(
    network: nn.Module,
    images: Tensor,
    targets: Targets,
    explain: Callable[[Tensor, Tensor], Tensor],
    batch_size: int,
) -> Tensor:
    """Run a method over the images, a few at a time, and give all maps, (N, H, W)."""
    _check_images(images)
    _check_whole("batch_size", batch_size, 1)
    wanted = _targets(targets, len(images))
    device = next((p.device for p in network.parameters()), images.device)
    maps = []
    # Maps are wanted under no_grad and inference_mode as well: both end in here.
    with torch.inference_mode(False), torch.enable_grad(), _watched(network):
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            batch = images[part].detach().clone().to(device)
            if start == 0:
                _check_scores(network, batch[:1], wanted)
            heat = explain(batch, wanted[part].clone().to(device))
            maps.append(heat.detach().float().cpu())
    return torch.cat(maps)


@contextmanager
def _watched(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode meanwhile, and every module back as it was."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _convolutions(network: nn.Module) -> list[str]:
    return [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]


def _layer(network: nn.Module, name: str | None) -> tuple[str, nn.Module]:
    """Return a layer by its name; without one, the last convolution."""
    found = _convolutions(network)
    if name is None:
        if not found:
            raise ValueError(
                f"this {type(network).__name__} has no convolution, so Grad-CAM has no map to "
                f"draw: name a layer whose output is (N, C, h, w), or use occlusion"
            )
        name = found[-1]
    modules = dict(network.named_modules())
    if name not in modules:
        raise ValueError(
            f"the network has no layer {name!r}; its convolutions are {_listed(found)}. All names "
            f"are in network.named_modules()"
        )
    return name, modules[name]


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names)) or "none"


def _targets(targets: Targets, count: int) -> Tensor:
    """Return the targets as (count,) int64."""
    wanted = torch.as_tensor(targets)
    whole = not wanted.dtype.is_floating_point and wanted.dtype != torch.bool
    if not whole or wanted.ndim > 1 or (wanted.ndim == 1 and len(wanted) != count):
        raise ValueError(
            f"targets must be one class for all, or one for each of the {count} images, as "
            f"whole numbers, not {wanted.dtype} of shape {tuple(wanted.shape)}"
        )
    return wanted.to("cpu", torch.int64).expand(count)


def _check_images(images: Tensor) -> None:
    good = isinstance(images, Tensor) and images.ndim == 4 and images.shape[1] == 3
    if not good or len(images) == 0 or not images.is_floating_point():
        shown = (
            f"{images.dtype} of shape {tuple(images.shape)}"
            if isinstance(images, Tensor)
            else f"a {type(images).__name__}"
        )
        raise ValueError(
            f"images must be a floating-point tensor (N, 3, H, W), N from 1, not {shown}. One "
            f"image is a batch too: image[None]"
        )


def _check_scores(network: nn.Module, image: Tensor, wanted: Tensor) -> None:
    """Ask about one image, so that a wrong class is said in words and not by an index."""
    with torch.no_grad():
        scores = network(image)
    if scores.ndim != 2:
        raise ValueError(
            f"the network must give class scores (N, K), not {tuple(scores.shape)}: put backbone "
            f"and head together, nn.Sequential(backbone, head)"
        )
    low, high = int(wanted.min()), int(wanted.max())
    if low < 0 or high >= scores.shape[1]:
        raise ValueError(
            f"targets go from {low} to {high}, and the network scores {scores.shape[1]} classes, "
            f"from 0 to {scores.shape[1] - 1}"
        )


def _check_square(images: Tensor, window: int, stride: int, baseline: float) -> None:
    _check_images(images)
    _check_whole("window", window, 1, min(images.shape[2:]))
    _check_whole("stride", stride, 1, window)
    if isinstance(baseline, bool) or not isinstance(baseline, Real):
        raise ValueError(f"baseline must be one number, not {baseline!r}")


def _check_whole(name: str, given: object, least: int, most: int | None = None) -> None:
    whole = isinstance(given, Integral) and not isinstance(given, bool)
    if not whole or given < least or (most is not None and given > most):
        upto = "" if most is None else f" to {most}"
        raise ValueError(f"{name} must be a whole number from {least}{upto}, not {given!r}")
