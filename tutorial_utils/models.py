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

import copy
import hashlib
import math
import zipfile
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import safetensors.torch
import torch
import torchinfo
import torchvision
from torch import Tensor, nn
from torchvision.transforms._presets import ImageClassification

from tutorial_utils import places

if TYPE_CHECKING:
    import pandas

ARCHS = ("alexnet", "vgg16")
WEIGHTS = ("auto", "imagenet", "demo", "none")

TITLES = {"alexnet": "AlexNet", "vgg16": "VGG16"}
IMAGENET = {
    "alexnet": torchvision.models.AlexNet_Weights.IMAGENET1K_V1,
    "vgg16": torchvision.models.VGG16_Weights.IMAGENET1K_V1,
}
ASSETS = Path(__file__).parent / "assets"
DEMO_SHA256 = {
    "alexnet": "00a3acedd923ced5b7c194d664c2a596eb7b48628aa269e27e6adc8cdfb20ed9",
    "vgg16": "1ac944869f749806d5d15235b4ac760beaa1ec973e77712ecebacbc2b54c3dfa",
}
DEMO_NORMALISATION = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # ImageNet's mean, deviation
# The short side is resized to DEMO_RESIZE, then the middle DEMO_CROP x DEMO_CROP is cut out, in
# pixels. The sizes were measured, see assets/README.md.
DEMO_RESIZE = {"alexnet": 224, "vgg16": 96}
DEMO_CROP = {"alexnet": 224, "vgg16": 96}


@dataclass(frozen=True)
class Weights:
    """Weights that were found: which network they fit, where they are, how they want pictures.

    Attributes:
        arch: one of `ARCHS`.
        kind: "imagenet", "demo" or "none".
        path: the file, or None for "none".
        line: one line for people, saying which source answered and why.
    """

    arch: str
    kind: str
    path: Path | None
    line: str

    def transforms(self) -> ImageClassification:
        """Return the preset that turns a picture into the (3, H, W) float32 tensor wanted."""
        if self.kind == "imagenet":
            return IMAGENET[self.arch].transforms()
        crop, resize = DEMO_CROP[self.arch], DEMO_RESIZE[self.arch]
        mean, std = DEMO_NORMALISATION
        return ImageClassification(crop_size=crop, resize_size=resize, mean=mean, std=std)


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
    _check_choice("arch", arch, ARCHS)
    _check_choice("weights", weights, WEIGHTS)
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
        print(found.line)
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
    _check_choice("arch", arch, ARCHS)
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
    _check_whole("classes", classes, 1)
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


def layer_table(network: nn.Module, *, size: int = 224) -> "pandas.DataFrame":
    """List a network's layers in the order in which a picture passes them.

    The network itself is neither run nor copied: torchinfo runs a twin that has shapes and no
    values.

    Args:
        network: layers in one line, as `build` makes them.
        size: height and width of the picture, in pixels.

    Returns:
        One row per layer: `layer` (its name in the network), `kind`, `input` and `output` (shapes
        without the batch, as tuples), `kernel`, `stride`, `padding` (pixels, empty where a layer
        has none), `parameters`, `mult_adds` (for one picture; adding a bias counts as one) and
        `receptive_field` (pixels of the picture that one output value sees, padding included;
        empty for dense layers, which see the whole picture).

    Raises:
        ValueError: if the picture is too small for the network.
    """
    _check_whole("size", size, 1)
    twin = _twin(network)
    names = {id(module): name for name, module in twin.named_modules()}
    try:
        report = torchinfo.summary(twin, (1, 3, size, size), device="meta", verbose=0)
    except RuntimeError as error:
        raise ValueError(
            f"a picture of {size}x{size} pixels does not fit this {type(network).__name__}: it is "
            f"too small for its layers (AlexNet needs 63, VGG16 needs 32), or the layers do not "
            f"fit each other"
        ) from error
    import pandas  # takes memory that training alone can do without

    leaves = [info for info in report.summary_list if info.is_leaf_layer]
    table = pandas.DataFrame([_row(names[id(info.module)], info) for info in leaves])
    table["receptive_field"] = _fields(table)
    whole = ["kernel", "stride", "padding", "receptive_field"]
    return table.astype(dict.fromkeys(whole, "Int64"))


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """Compute the output size of a convolution or a pooling along one side.

    floor((size + 2 padding - kernel) / stride) + 1, all in pixels.

    Raises:
        ValueError: if a number is impossible or the kernel is larger than the padded picture.

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html
    """
    _check_whole("size", size, 1)
    _check_whole("kernel", kernel, 1)
    _check_whole("stride", stride, 1)
    _check_whole("padding", padding, 0)
    if kernel > size + 2 * padding:
        raise ValueError(
            f"a kernel of {kernel} does not fit into {size} pixels with padding {padding} "
            f"({size + 2 * padding} in all): use a smaller kernel, more padding or a larger picture"
        )
    return int((size + 2 * padding - kernel) // stride + 1)


def receptive_field(kernels_and_strides: Iterable[tuple[int, int]]) -> list[int]:
    """Compute how many pixels one value sees after each of the layers, along one side.

    A layer with kernel k adds k - 1 steps; a step is as many pixels as the strides before it
    multiply to.

    Args:
        kernels_and_strides: (kernel, stride) of each layer, first layer first.

    Returns:
        The receptive field after each layer, in pixels.

    Source:
        Araujo, Norris and Sim (2019), equation 2.
    """
    fields, field, step = [], 1, 1
    for kernel, stride in kernels_and_strides:
        _check_whole("kernel", kernel, 1)
        _check_whole("stride", stride, 1)
        field += (kernel - 1) * step
        step *= stride
        fields.append(int(field))
    return fields


def _check_choice(what: str, given: object, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        raise ValueError(f"unknown {what} {given!r}; allowed: {', '.join(allowed)}")


def _check_whole(what: str, given: object, least: int) -> None:
    if isinstance(given, bool) or not isinstance(given, Integral) or given < least:
        raise ValueError(f"{what} must be a whole number from {least}, not {given!r}")


def _imagenet_path(arch: str) -> Path:
    """Return where torch hub keeps torchvision's file, whether or not it is there."""
    name = IMAGENET[arch].url.rpartition("/")[2]
    return Path(torch.hub.get_dir()) / "checkpoints" / name


def _imagenet_file(arch: str, *, progress: bool) -> tuple[Path | None, str]:
    """Return torchvision's file, downloaded if need be, or None; and a clause saying why."""
    path = _imagenet_path(arch)
    if path.is_file():
        return path, f"{path.name} from torch hub's cache"
    if not places.online():
        return None, f"no network: {places.offline_reason()}"
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
    return Weights(arch, "demo", ASSETS / f"{arch}.safetensors", line)


def empty(arch: str) -> nn.Module:
    """Return torchvision's network with shapes and no values, so that nothing is drawn twice.

    Raises:
        ValueError: if `arch` is unknown.
    """
    _check_choice("arch", arch, ARCHS)
    with torch.device("meta"):
        return getattr(torchvision.models, arch)()


def _state(weights: Weights, network: nn.Module) -> dict[str, Tensor]:
    """Read the tensors that a file of weights holds."""
    if weights.kind == "imagenet":
        return _read_imagenet(weights.path, network)
    return _read_demo(weights.path, network.features)


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


def _read_demo(path: Path, features: nn.Module) -> dict[str, Tensor]:
    """Read an asset into a float32 state dict with the keys `features.N.weight` and `.bias`."""
    arch = path.stem
    cure = "get it back with `git checkout -- tutorial_utils/assets`, or install the package anew"
    if not path.is_file():
        raise FileNotFoundError(f"the demo weights {path} are missing: {cure}")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != DEMO_SHA256[arch]:
        raise ValueError(
            f"the demo weights {path} are truncated or altered ({len(content)} bytes, SHA-256 "
            f"{digest[:12]}..., expected {DEMO_SHA256[arch][:12]}...): {cure}"
        )
    return read_features(content, features)


def read_features(content: bytes, features: nn.Module) -> dict[str, Tensor]:
    """Decode an asset, see `pretraining.pack`, into float32 tensors.

    Args:
        content: the whole file.
        features: the layers whose tensors it holds.

    Returns:
        A state dict with the keys `features.N.weight` and `.bias`.
    """
    stored = safetensors.torch.load(content)
    return {
        f"features.{name}": _decode(stored, f"features.{name}") for name in features.state_dict()
    }


def _decode(stored: dict[str, Tensor], name: str) -> Tensor:
    """Return one float32 tensor; 8-bit ones are multiplied by their scale per output channel."""
    values = stored[name].to(torch.float32)
    scale = stored.get(name.replace(".weight", ".scale")) if name.endswith(".weight") else None
    return values if scale is None else values.mul_(scale[:, None, None, None])  # (out, in, k, k)


def _read_imagenet(path: Path, network: nn.Module) -> dict[str, Tensor]:
    """Read torchvision's file and check that names, shapes and kinds are the network's."""
    cure = "delete it, so that it is downloaded again, or use weights='demo'"
    # torchvision's older files predate the zip format, which alone can be mapped into memory.
    try:
        mapped = zipfile.is_zipfile(path)
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # a broken pickle raises nearly anything
        raise ValueError(
            f"{path} cannot be read as weights ({type(error).__name__}): {cure}"
        ) from error
    wanted = network.state_dict()
    if not isinstance(state, dict) or state.keys() != wanted.keys():
        raise ValueError(f"{path} does not hold this network's layers: {cure}")
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor) or tensor.shape != wanted[name].shape:
            raise ValueError(
                f"{path}: {name} should have the shape {tuple(wanted[name].shape)}, "
                f"not {tuple(getattr(tensor, 'shape', ()))}: {cure}"
            )
    return {name: tensor.to(torch.float32) for name, tensor in state.items()}


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


def _twin(network: nn.Module) -> nn.Module:
    """Copy a network's structure without its values, by handing deepcopy empty parameters."""
    memo = {}
    for parameter in network.parameters():
        empty = torch.empty_like(parameter, device="meta")
        memo[id(parameter)] = nn.Parameter(empty, requires_grad=parameter.requires_grad)
    for buffer in network.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(network, memo)


def _row(name: str, info: torchinfo.layer_info.LayerInfo) -> dict[str, object]:
    """Turn torchinfo's record of one layer into a row of `layer_table`."""
    return {
        "layer": name,
        "kind": info.class_name,
        "input": tuple(info.input_size[1:]),
        "output": tuple(info.output_size[1:]),
        "kernel": _side(info.module, "kernel_size"),
        "stride": _side(info.module, "stride"),
        "padding": _side(info.module, "padding"),
        "parameters": info.num_params,
        "mult_adds": info.macs,
    }


def _side(module: nn.Module, name: str) -> int | None:
    """Return one side of a square kernel, stride or padding; None if the layer has none."""
    value = getattr(module, name, None)
    return value[0] if isinstance(value, tuple) else value


def _fields(table: "pandas.DataFrame") -> list[int | None]:
    """Return the receptive field after each row that still has a height and a width."""
    spatial = table["output"].map(len) == 3
    windows = []
    for row in table[spatial].itertuples():
        if row.kind == "AdaptiveAvgPool2d":
            windows.append(_adaptive_window(row.input[1], row.output[1]))
        elif row.kernel is None or math.isnan(row.kernel):
            windows.append((1, 1))
        else:
            windows.append((int(row.kernel), int(row.stride)))
    fields = receptive_field(windows)
    return fields + [None] * (len(table) - len(fields))


def _adaptive_window(size: int, target: int) -> tuple[int, int]:
    """Return the (kernel, stride) that stands for an adaptive pooling; the largest window."""
    if size < target:
        return 1, 1
    return size - (target - 1) * (size // target), size // target
