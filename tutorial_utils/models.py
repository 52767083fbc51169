"""AlexNet and VGG16 with their weights: find, build, freeze, split, replace the last layer.

The networks are torchvision's own, so what a lesson prints is what torchvision prints. Three kinds
of weights exist: "imagenet" (torch hub's cache or its download), "demo" (files in `assets/`), and
"none" (random initialisation).

Sources:
    Krizhevsky, "One weird trick for parallelizing convolutional neural networks" (2014), the
    paper behind torchvision's AlexNet: https://arxiv.org/abs/1404.5997
    Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition"
    (2014), configuration D: https://arxiv.org/abs/1409.1556
"""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import torchvision
from torch import nn

from tutorial_utils._support import files, weight_files
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
    """Weights of one network: their kind, their file, and the transform that belongs to them.

    Attributes:
        arch: one of `ARCHS`.
        kind: "imagenet", "demo" or "none".
        path: the file, or None for "none".
        summary: one line with the kind and the reason for it.
    """

    arch: str
    kind: str
    path: Path | None
    summary: str

    def transforms(self) -> Preset:
        """Return the transform from an image to a normalised float32 tensor (3, H, W)."""
        if self.kind == "imagenet":
            return IMAGENET[self.arch].transforms()
        crop, resize = DEMO_CROP[self.arch], DEMO_RESIZE[self.arch]
        mean, std = DEMO_NORMALISATION
        return preset(crop, resize, mean=mean, std=std)


class Counts(NamedTuple):
    """How many parameters a module has, counted as values, not as tensors."""

    total: int
    trainable: int
    frozen: int


def find_weights(arch: str, weights: str = "auto", *, quiet: bool = False) -> Weights:
    """Find weights for a network and print one line about them.

    Args:
        arch: one of `ARCHS`.
        weights: one of `WEIGHTS`. "auto" takes ImageNet weights if torch hub's cache holds them
            or a download succeeds, and the demo weights otherwise. The other kinds never fall
            back. A file in torch hub's cache is taken if it has the SHA-256 in its name, see
            `_support.weight_files`.
        quiet: print nothing.

    Returns:
        The weights; `build` loads them.

    Raises:
        ValueError: if `arch` or `weights` is unknown, or the demo weights are damaged.
        FileNotFoundError: if `weights` is "imagenet" and they are neither whole in torch hub's
            cache nor downloaded.

    Used in every lesson.
    """
    check_choice("arch", arch, ARCHS)
    check_choice("weights", weights, WEIGHTS)
    if weights in ("auto", "imagenet"):
        path, reason = _imagenet_file(arch, quiet=quiet)
        if path is not None:
            summary = f"weights: imagenet ({TITLES[arch]}, {reason})"
            found = Weights(arch, "imagenet", path, summary)
        elif weights == "imagenet":
            raise FileNotFoundError(_no_imagenet(arch, reason))
        else:
            found = _demo(arch, reason)
    elif weights == "demo":
        found = _demo(arch, "weights='demo'")
    else:
        summary = f"weights: none ({TITLES[arch]}, random initialisation; weights='none')"
        found = Weights(arch, "none", None, summary)
    if not quiet:
        print(found.summary)
    return found


def build(arch: str, *, weights: str | Weights = "auto", quiet: bool = False) -> nn.Module:
    """Build torchvision's network, 1000 classes, with weights loaded.

    ImageNet weights fill every layer. Demo weights fill the convolutions, and the dense layers are
    initialised as torchvision does it. Initial values come from torch's global generator: call
    `torch.manual_seed` first to get the same ones again.

    Args:
        arch: one of `ARCHS`.
        weights: one of `WEIGHTS`, or what `find_weights` returned.
        quiet: print nothing. What `find_weights` returned is not printed again in any case.

    Returns:
        `torchvision.models.AlexNet` or `VGG` in training mode, all parameters float32, on the
        CPU and trainable. It maps (N, 3, H, W) to logits (N, 1000).

    Raises:
        ValueError: if a name is unknown, the weights belong to another network, or the file does
            not hold this network's weights.
        FileNotFoundError: see `find_weights`.

    Used in lessons 00 to 06 and 09.
    """
    check_choice("arch", arch, ARCHS)
    if not isinstance(weights, Weights):
        weights = find_weights(arch, weights, quiet=quiet)
    if weights.arch != arch:
        raise ValueError(
            f"the weights are for {weights.arch!r}, the network is {arch!r}: "
            f"use find_weights({arch!r})"
        )
    if weights.kind == "none":
        return getattr(torchvision.models, arch)()
    network = build_on_meta(arch)
    _load(network, weights)
    if weights.kind == "demo":
        _initialise(network.classifier, arch)
    return network


def build_backbone(weights: Weights) -> nn.Sequential:
    """Build the frozen backbone without the dense layers, which take most of the memory.

    Args:
        weights: what `find_weights` returned. Kind "none" is initialised from torch's global
            generator.

    Returns:
        What `split` returns first: maps (N, 3, H, W) to (N, D). Frozen, in evaluation mode.

    Used in lessons 06 to 08, 10, 11, 13 and 14.
    """
    network = build_on_meta(weights.arch)
    if weights.kind == "none":
        _initialise(network.features, weights.arch)
    else:
        _load(network, weights, part="features.")
    backbone, _ = split(network)
    freeze(backbone)
    return backbone.eval()


def build_head(weights: Weights, classes: int) -> nn.Sequential:
    """Build the classifier without the convolutions, its last layer replaced.

    After the same `torch.manual_seed` its values are those of `build` followed by `swap_head`,
    except for weights of kind "none", where `build` initialises the convolutions first.

    Args:
        weights: what `find_weights` returned.
        classes: how many classes, 1 or more.

    Returns:
        Maps (N, D) to logits (N, classes); trainable, in training mode.

    Used in lessons 06 to 09.
    """
    network = build_on_meta(weights.arch)
    if weights.kind == "imagenet":
        _load(network, weights, part="classifier.")
    else:
        _initialise(network.classifier, weights.arch)
    swap_head(network, classes)
    return network.classifier


def build_on_meta(arch: str) -> nn.Module:
    """Build torchvision's network on the meta device: shapes without values, no random numbers.

    Raises:
        ValueError: if `arch` is unknown.
    """
    check_choice("arch", arch, ARCHS)
    with torch.device("meta"):
        return getattr(torchvision.models, arch)()


def freeze(module: nn.Module) -> int:
    """Freeze a module's parameters and delete their gradients.

    Returns:
        How many values are frozen now.

    Used in lessons 01, 04 to 06, 09 and 10.
    """
    for parameter in module.parameters():
        parameter.requires_grad_(False)
        parameter.grad = None
    return count(module).frozen


def unfreeze(module: nn.Module) -> int:
    """Make a module's parameters trainable again.

    Returns:
        How many values are trainable now.

    Used in lessons 04, 09 and 10.
    """
    for parameter in module.parameters():
        parameter.requires_grad_(True)
    return count(module).trainable


def count(network: nn.Module) -> Counts:
    """Count a module's parameters: total, trainable and frozen.

    Used in lessons 02 to 06, 08 to 10 and 12.
    """
    total = sum(p.numel() for p in network.parameters())
    trainable = sum(p.numel() for p in network.parameters() if p.requires_grad)
    return Counts(total, trainable, total - trainable)


def swap_head(network: nn.Module, classes: int) -> nn.Linear:
    """Replace the last dense layer by a new, trainable one for `classes` classes.

    Args:
        network: a network whose `classifier` ends with a linear layer, as `build` makes it.
        classes: how many classes the new layer has, 1 or more.

    Returns:
        The new layer, which is `network.classifier[-1]` now, with the old one's device and dtype.

    Raises:
        ValueError: if `classes` is not a whole number from 1.
        TypeError: if the network has no `classifier` or its last layer is not linear.

    Used in lessons 05, 06 and 09.
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
            f"{type(old).__name__}. Build a new network with models.build"
        )
    like = {"device": old.weight.device, "dtype": old.weight.dtype}
    new = nn.Linear(old.in_features, classes, **like).train(old.training)
    classifier[-1] = new
    return new


def split(network: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Split a network into backbone and head, which compute the same one after the other.

    The parts share the network's layers: freezing or training a part changes the network.

    Args:
        network: a network as `build` makes it.

    Returns:
        The backbone, (N, 3, H, W) to (N, D), and the head, (N, D) to logits (N, K).

    Raises:
        TypeError: if the network lacks `features`, `avgpool` or `classifier`.

    Used in lessons 05 and 09.
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
    """Return torch hub's path of torchvision's file, whether or not the file exists."""
    name = IMAGENET[arch].url.rpartition("/")[2]
    return Path(torch.hub.get_dir()) / "checkpoints" / name


def _imagenet_file(arch: str, *, quiet: bool) -> tuple[Path | None, str]:
    """Return torchvision's file, downloaded if need be, or None; and the reason in a few words."""
    from tutorial_utils._support import connection, downloads  # not needed by demo weights

    path, url = _imagenet_path(arch), IMAGENET[arch].url
    files.delete_left_overs(path.parent, downloads.PARTS)
    origin = f"{path.name} from torch hub's cache"
    if not path.is_file():
        if not connection.online():
            return None, f"no network: {connection.offline_reason()}"
        sha256 = path.stem.rpartition("-")[2]  # torchvision's names end with the start of it
        try:
            downloads.download(url, path.parent, sha256=sha256, quiet=quiet)
        except OSError as error:
            return None, f"the download failed: {error}"
        origin = f"{path.name} downloaded from {url.split('/')[2]}"
    try:
        return path, origin + weight_files.check_imagenet(path)
    except (ValueError, OSError) as error:
        return None, str(error)


def _no_imagenet(arch: str, reason: str) -> str:
    return (
        f"the ImageNet weights for {TITLES[arch]} are not available: {reason}. "
        f"Download {IMAGENET[arch].url} and put the file at {_imagenet_path(arch)}, "
        f"or use weights='demo' (or 'auto')"
    )


def _demo(arch: str, reason: str) -> Weights:
    summary = f"weights: demo ({TITLES[arch]}, trained by this project on Tiny ImageNet; {reason})"
    path = weight_files.ASSETS / f"{arch}.safetensors"
    weight_files.check_demo(path)
    return Weights(arch, "demo", path, summary)


def _load(network: nn.Module, weights: Weights, *, part: str = "") -> None:
    """Load a file's tensors into a network, those alone whose names start with `part`."""
    if weights.kind == "imagenet":
        state = weight_files.read_imagenet(weights.path, network, part=part)
    else:
        state = weight_files.read_demo(weights.path, network.features)
    chosen = {name: tensor for name, tensor in state.items() if name.startswith(part)}
    network.load_state_dict(chosen, strict=False, assign=True)


def _initialise(layers: nn.Sequential, arch: str) -> None:
    """Move layers from the meta device to the CPU and initialise them as torchvision does."""
    layers.to_empty(device="cpu")
    for layer in layers:
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        if arch == "alexnet":
            layer.reset_parameters()
            continue
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        else:
            nn.init.normal_(layer.weight, 0, 0.01)
        nn.init.zeros_(layer.bias)
