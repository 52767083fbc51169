"""AlexNet and VGG16 with their weights: find, build, freeze, swap the head, list the layers.

The networks are torchvision's own in every case, so what a lesson prints is what torchvision
prints. Weights come from the first place that answers: ImageNet (torch hub's cache or its
download), the demo weights in `assets/`, or none, which has to be asked for by name.

Sources:
    Krizhevsky, "One weird trick for parallelizing convolutional neural networks" (2014), the
    paper behind torchvision's AlexNet: https://arxiv.org/abs/1404.5997
    Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition"
    (2014), configuration D: https://arxiv.org/abs/1409.1556
    Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks" (2019):
    https://distill.pub/2019/computing-receptive-fields
"""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import torchvision
from torch import Tensor, nn

from tutorial_utils._support import connection, weight_files
from tutorial_utils._support.arguments import check_choice, check_whole
from tutorial_utils._support.presets import Preset as Preset
from tutorial_utils._support.presets import preset as preset

ARCHS = ("alexnet", "vgg16")
WEIGHTS = ("auto", "imagenet", "demo", "none")

TITLES = {"alexnet": "AlexNet", "vgg16": "VGG16"}
IMAGENET = {
    "alexnet": torchvision.models.AlexNet_Weights.IMAGENET1K_V1,
    "vgg16": torchvision.models.VGG16_Weights.IMAGENET1K_V1,
}
DEMO_NORMALISATION = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # ImageNet's mean, deviation
# The short side is resized to DEMO_RESIZE, then the middle DEMO_CROP x DEMO_CROP is cut out, in
# pixels. The sizes were measured, see assets/README.md.
DEMO_RESIZE = {"alexnet": 224, "vgg16": 96}
DEMO_CROP = {"alexnet": 224, "vgg16": 96}


@dataclass(frozen=True)
class Weights:
    """Weights that were found: which network they fit, where they are, how they want images.

    Attributes:
        arch: one of `ARCHS`.
        kind: "imagenet", "demo" or "none".
        path: the file, or None for "none".
        summary: one line, saying which source answered and why.
    """

    arch: str
    kind: str
    path: Path | None
    summary: str

    def transforms(self) -> Preset:
        """Return the preset that turns an image into the (3, H, W) float32 tensor wanted."""
        if self.kind == "imagenet":
            return IMAGENET[self.arch].transforms()
        crop, resize = DEMO_CROP[self.arch], DEMO_RESIZE[self.arch]
        mean, std = DEMO_NORMALISATION
        return preset(crop, resize, mean=mean, std=std)


class Counts(NamedTuple):
    """How many parameters a module has, in values (not tensors)."""

    total: int
    trainable: int
    frozen: int


def find_weights(arch: str, weights: str = "auto", *, quiet: bool = False) -> Weights:
    """Find weights for a network and say in one line which they are.

    Args:
        arch: one of `ARCHS`.
        weights: one of `WEIGHTS`. "auto" takes ImageNet weights when torch hub's cache holds
            them or a download succeeds, and the demo weights otherwise. A source asked for by
            name never falls back.
        quiet: print nothing.

    Returns:
        The weights; `build` loads them.

    Raises:
        ValueError: if `arch` or `weights` is unknown.
        FileNotFoundError: if the weights asked for by name cannot be had.
    """
    check_choice("arch", arch, ARCHS)
    check_choice("weights", weights, WEIGHTS)
    title = TITLES[arch]
    if weights in ("auto", "imagenet"):
        path, clause = _imagenet_file(arch, progress=not quiet)
        if path is not None:
            found = Weights(arch, "imagenet", path, f"weights: imagenet ({title}, {clause})")
        elif weights == "imagenet":
            raise FileNotFoundError(_no_imagenet(arch, clause))
        else:
            found = _demo(arch, clause)
    elif weights == "demo":
        found = _demo(arch, "asked for by name")
    else:
        line = f"weights: none ({title}, random start; asked for by name)"
        found = Weights(arch, "none", None, line)
    if not quiet:
        print(found.summary)
    return found


def build(arch: str, *, weights: str | Weights = "auto", quiet: bool = False) -> nn.Module:
    """Build torchvision's network, 1000 classes, with weights loaded.

    With ImageNet weights every layer is loaded. With demo weights the convolutions are loaded and
    the dense layers start fresh, as torchvision starts them. What starts fresh is drawn from
    torch's global generator: call `torch.manual_seed` first for the same layers again.

    Args:
        arch: one of `ARCHS`.
        weights: one of `WEIGHTS`, or what `find_weights` returned.
        quiet: print nothing. Weights that were already found print nothing in any case.

    Returns:
        `torchvision.models.AlexNet` or `VGG` in training mode, all parameters float32, on the
        CPU and trainable. It maps (N, 3, H, W) to logits (N, 1000).

    Raises:
        ValueError: if a name is unknown, the weights belong to another network, or the file does
            not hold this network's weights.
        FileNotFoundError: if weights asked for by name cannot be had.
    """
    check_choice("arch", arch, ARCHS)
    if not isinstance(weights, Weights):
        weights = find_weights(arch, weights, quiet=quiet)
    if weights.arch != arch:
        raise ValueError(
            f"these weights are for {weights.arch!r}, the network asked for is {arch!r}; "
            f"use find_weights({arch!r})"
        )
    if weights.kind == "none":
        return getattr(torchvision.models, arch)()
    network = empty(arch)
    network.load_state_dict(_state(weights, network), strict=False, assign=True)
    if weights.kind == "demo":
        _start_dense(network, arch)
    return network


def build_backbone(weights: Weights) -> nn.Sequential:
    """Build the frozen backbone alone; the dense layers, most of the memory, are never made.

    Args:
        weights: what `find_weights` returned.

    Returns:
        What `split` returns first: maps (N, 3, H, W) to (N, D). Frozen, in evaluation mode. With
        weights of kind "none" it starts at random, by torch's global generator.
    """
    network = empty(weights.arch)
    if weights.kind == "none":
        network.features.to_empty(device="cpu")
        _start_convolutions(network.features, weights.arch)
    else:
        state = _state(weights, network)
        kept = {name: value for name, value in state.items() if name.startswith("features.")}
        network.load_state_dict(kept, strict=False, assign=True)
    backbone, _ = split(network)
    freeze(backbone)
    return backbone.eval()


def build_head(weights: Weights, classes: int) -> nn.Sequential:
    """Build the classifier alone, its last layer swapped for `classes` classes.

    The convolutions are never made. After the same `torch.manual_seed` its values are those of
    `build` followed by `swap_head`, except for weights of kind "none", where `build` draws the
    convolutions first.

    Args:
        weights: what `find_weights` returned.
        classes: how many classes, 1 or more.

    Returns:
        Maps (N, D) to logits (N, classes); trainable, in training mode.
    """
    network = empty(weights.arch)
    if weights.kind == "imagenet":
        state = _state(weights, network)
        kept = {name: value for name, value in state.items() if name.startswith("classifier.")}
        network.load_state_dict(kept, strict=False, assign=True)
    else:
        _start_dense(network, weights.arch)
    swap_head(network, classes)
    return network.classifier


def freeze(module: nn.Module) -> int:
    """Fix a module's parameters; gradients that are still kept are dropped.

    Returns:
        How many values are frozen now.
    """
    for parameter in module.parameters():
        parameter.requires_grad_(False)
        parameter.grad = None
    return count(module).frozen


def unfreeze(module: nn.Module) -> int:
    """Make a module's parameters trainable again.

    Returns:
        How many values are trainable now.
    """
    for parameter in module.parameters():
        parameter.requires_grad_(True)
    return count(module).trainable


def count(network: nn.Module) -> Counts:
    """Count a module's parameters: in all, trainable, frozen."""
    total = sum(p.numel() for p in network.parameters())
    trainable = sum(p.numel() for p in network.parameters() if p.requires_grad)
    return Counts(total, trainable, total - trainable)


def swap_head(network: nn.Module, classes: int) -> nn.Linear:
    """Replace the last dense layer by a fresh, trainable one for `classes` classes.

    Args:
        network: a network whose `classifier` ends with a linear layer, as `build` makes it.
        classes: how many classes the new layer has, 1 or more.

    Returns:
        The new layer, already in its place, on the old one's device and of its dtype.

    Raises:
        ValueError: if `classes` is not a whole number from 1.
        TypeError: if the network has no `classifier` or its last layer is not linear.
    """
    check_whole("classes", classes, 1)
    classifier = getattr(network, "classifier", None)
    if not isinstance(classifier, nn.Sequential) or len(classifier) == 0:
        raise TypeError(
            f"swap_head needs a network with a `classifier` of layers, as models.build makes it; "
            f"this {type(network).__name__} has none"
        )
    old = classifier[-1]
    if not isinstance(old, nn.Linear):
        raise TypeError(
            f"swap_head replaces classifier[-1], which must be Linear; here it is "
            f"{type(old).__name__}. Build the network anew with models.build"
        )
    like = {"device": old.weight.device, "dtype": old.weight.dtype}
    new = nn.Linear(old.in_features, classes, **like).train(old.training)
    classifier[-1] = new
    return new


def split(network: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Split a network into backbone and head, which together compute the same.

    The parts hold the network's own layers, not copies: freezing or training a part changes the
    network.

    Args:
        network: a network as `build` makes it.

    Returns:
        The backbone, (N, 3, H, W) to (N, D), and the head, (N, D) to logits (N, K).

    Raises:
        TypeError: if the network lacks `features`, `avgpool` or `classifier`.
    """
    missing = [part for part in ("features", "avgpool", "classifier") if not hasattr(network, part)]
    if missing:
        raise TypeError(
            f"split needs a network with features, avgpool and classifier, as models.build makes "
            f"it; this {type(network).__name__} lacks {', '.join(missing)}"
        )
    layers = OrderedDict(
        features=network.features, avgpool=network.avgpool, flatten=nn.Flatten(start_dim=1)
    )
    backbone = nn.Sequential(layers)
    backbone.training = network.training  # not .train(), which would reach into the layers
    return backbone, network.classifier


def _imagenet_path(arch: str) -> Path:
    """Return where torch hub keeps torchvision's file, whether or not it is there."""
    name = IMAGENET[arch].url.rpartition("/")[2]
    return Path(torch.hub.get_dir()) / "checkpoints" / name


def _imagenet_file(arch: str, *, progress: bool) -> tuple[Path | None, str]:
    """Return torchvision's file, downloaded if need be, or None; and a clause saying why."""
    path = _imagenet_path(arch)
    if path.is_file():
        return path, f"{path.name} from torch hub's cache"
    if not connection.online():
        return None, f"no network: {connection.offline_reason()}"
    prefix = path.stem.rpartition("-")[2]  # torchvision's names end with the start of the SHA-256
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(IMAGENET[arch].url, str(path), prefix, progress=progress)
    except (OSError, RuntimeError) as error:
        return None, f"the download failed: {error}"
    return path, f"{path.name} downloaded from {IMAGENET[arch].url.split('/')[2]}"


def _no_imagenet(arch: str, clause: str) -> str:
    return (
        f"ImageNet weights for {TITLES[arch]} were asked for by name and cannot be had: {clause}. "
        f"Download {IMAGENET[arch].url} and put the file at {_imagenet_path(arch)}, "
        f"or use weights='demo' (or 'auto')"
    )


def _demo(arch: str, clause: str) -> Weights:
    title = TITLES[arch]
    line = f"weights: demo ({title}, trained by this project on Tiny ImageNet; {clause})"
    return Weights(arch, "demo", weight_files.ASSETS / f"{arch}.safetensors", line)


def empty(arch: str) -> nn.Module:
    """Return torchvision's network with shapes and no values, so that nothing is drawn twice.

    Raises:
        ValueError: if `arch` is unknown.
    """
    check_choice("arch", arch, ARCHS)
    with torch.device("meta"):
        return getattr(torchvision.models, arch)()


def _state(weights: Weights, network: nn.Module) -> dict[str, Tensor]:
    """Read the tensors that a file of weights holds."""
    if weights.kind == "imagenet":
        return weight_files.read_imagenet(weights.path, network)
    return weight_files.read_demo(weights.path, network.features)


def _start_convolutions(features: nn.Module, arch: str) -> None:
    """Draw the convolutions as torchvision does for this network."""
    for layer in features:
        if not isinstance(layer, nn.Conv2d):
            continue
        if arch == "vgg16":
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        else:
            layer.reset_parameters()


def _start_dense(network: nn.Module, arch: str) -> None:
    """Draw the dense layers as torchvision does for this network."""
    for layer in network.classifier:
        if not isinstance(layer, nn.Linear):
            continue
        layer.to_empty(device="cpu")
        if arch == "vgg16":
            nn.init.normal_(layer.weight, 0, 0.01)
            nn.init.zeros_(layer.bias)
        else:
            layer.reset_parameters()
