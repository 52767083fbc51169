"""A classifier of your own in one file: save it, load it, ask it, hand it to other programs.

A classifier is a pretrained backbone with a light head (dropout, one dense layer), the names of
its classes, and how it wants its images. `save` writes all of it into one safetensors file, which
holds numbers and texts and no program. `load` reads such a file, and refuses any other with the
reason. `export_onnx` writes its twin for programs that know nothing of PyTorch.

Sources:
    safetensors, the file's format: https://huggingface.co/docs/safetensors
    Python, what a pickle may do: https://docs.python.org/3/library/pickle.html
    ONNX, Open Neural Network Exchange: https://onnx.ai/onnx/intro
"""

import copy
import json
import math
import os
import re
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.datasets.folder import IMG_EXTENSIONS

from tutorial_utils import data, models
from tutorial_utils._support import image_files
from tutorial_utils._support.files import replace_file

FORMAT = "tutorial_utils.classifier"  # stored in learners' files: never change it
VERSION = "1"  # raise it when older code could not read the file
FEATURES = {"alexnet": 9216, "vgg16": 25088}  # values that the backbone gives for an image
LEAST_SIDE = {"alexnet": 63, "vgg16": 32}  # pixels that its convolutions need
MOST_SIDE = 2048
MOST_CLASSES = 10_000
DROPOUT = 0.5
LAST = "head.1"  # the dense layer's name in the file
CURE = "Give a model that lesson 12 saved (classifier.save), or save it anew"

# What a file begins with that is no model of ours.
PICKLE = re.compile(rb"\x80[\x01-\x05]|c[\w.]+\n[\w.]+\n|[(\]}][dlt]?[pq]")
KINDS = (
    (re.compile(rb"PK\x03\x04"), "a zip archive"),
    (re.compile(rb"\x08[\x03-\x14]\x12"), "an ONNX model, which is for other programs"),
    (re.compile(rb"\x89PNG|\xff\xd8\xff|GIF8|BM|II\*\0|MM\0\*|RIFF....WEBP", re.S), "an image"),
    (re.compile(rb"\x89HDF"), "an HDF5 file, such as Keras writes"),
    (re.compile(rb"\x93NUMPY"), "an array of NumPy"),
    (re.compile(rb"\x1f\x8b|BZh|7z\xbc\xaf|\xfd7zXZ"), "a compressed file"),
)


@dataclass(frozen=True, eq=False)
class Classifier:
    """A network for some classes, with what is needed to use it.

    Attributes:
        arch: one of `models.ARCHS`.
        classes: the class names, in the order of the logits.
        preset: turns a PIL image into the (3, H, W) float32 tensor wanted.
        network: `backbone`, (N, 3, H, W) to (N, D), and `head`, (N, D) to logits (N, K).
    """

    arch: str
    classes: tuple[str, ...]
    preset: models.Preset
    network: nn.Sequential

    @property
    def backbone(self) -> nn.Sequential:
        """The frozen layers, (N, 3, H, W) to (N, D)."""
        return self.network.backbone

    @property
    def head(self) -> nn.Sequential:
        """The layers to train, (N, D) to logits (N, K)."""
        return self.network.head

    def logits(self, images: Tensor, *, device: str | torch.device = "cpu") -> Tensor:
        """Score images in evaluation mode, in float32 and without gradients.

        Args:
            images: (N, 3, H, W) float32, as `preset` makes them.
            device: where to compute; the network goes there and remains there.

        Returns:
            (N, K) on the CPU.
        """
        modes = {module: module.training for module in self.network.modules()}
        try:
            with torch.no_grad():
                return self.network.to(device).eval()(images.to(device)).cpu()
        finally:
            for module, mode in modes.items():
                module.training = mode

    def top(self, probabilities: Tensor, count: int = 1) -> list[tuple[str, float]]:
        """Return the most probable classes of one image, (K,), the most probable first."""
        values, places = probabilities.topk(min(count, len(self.classes)))
        names = [self.classes[place] for place in places.tolist()]
        return list(zip(names, values.tolist(), strict=True))


class Prediction(NamedTuple):
    """What a classifier says of one file.

    Attributes:
        path: the file.
        probabilities: (K,) float32, or None if it could not be read.
        problem: why it could not be read, or None.
    """

    path: Path
    probabilities: Tensor | None
    problem: str | None = None


def build(weights: models.Weights, classes: Sequence[str]) -> Classifier:
    """Build a classifier with a pretrained backbone, frozen, and a fresh head.

    The head starts by torch's global generator: call `torch.manual_seed` first for the same again.

    Args:
        weights: what `models.find_weights` returned.
        classes: two or more different names, of any letters.

    Raises:
        ValueError: if the names are too few, or one is empty or there twice.
    """
    names = _checked_names(classes)
    backbone = models.build_backbone(weights)
    network = _joined(backbone, _head(weights.arch, len(names)))
    return Classifier(weights.arch, names, weights.transforms(), network)


# The file.


def save(classifier: Classifier, path: str | Path) -> Path:
    """Write a classifier into one file, backbone and all; a file that is there is replaced.

    The file is written beside and moved into place when complete, so there is a whole one at
    every moment. Values are float32: what is loaded answers as what was saved, bit for bit.

    Raises:
        OSError: if it cannot be written.
    """
    path = Path(path)
    state = classifier.network.state_dict()
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    try:
        replace_file(path, lambda draft: save_file(tensors, draft, metadata=_notes(classifier)))
    except (OSError, SafetensorError) as error:
        size = sum(value.nbytes for value in tensors.values())
        raise OSError(
            f"the model could not be written to {path}: {error}. Name a folder that exists and "
            f"can be written, with {size / 1e6:.0f} MB free"
        ) from error
    return path


def load(path: str | Path) -> Classifier:
    """Read a classifier that `save` wrote. Nothing in the file is ever run.

    Returns:
        The classifier, in evaluation mode, on the CPU.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is of another kind (a pickle above all, which is never opened), cut
            short, of another version, or its tensors are not those that its notes announce.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no model at {path}. {CURE}")
    _check_kind(path)
    try:
        with safe_open(path, framework="pt") as file:
            notes = file.metadata() or {}
            arch, classes, preset = _read_notes(path, notes)
            network = _empty(arch, len(classes))
            _check_shapes(path, file, network, classes)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is no whole safetensors file: {error}. {CURE}") from error
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(
                f"{path}: {name} holds values that are no finite numbers, so no answer could be "
                f"trusted: the training had failed. Train again, with a lower learning rate"
            )
    network.load_state_dict(tensors, assign=True)
    models.freeze(network.backbone)
    return Classifier(arch, classes, preset, network.eval())


def _notes(classifier: Classifier) -> dict[str, str]:
    """Return the texts that go into the file."""
    preset = classifier.preset
    size = {"resize": preset.resize_size[0], "crop": preset.crop_size[0]}
    return {
        "format": FORMAT,
        "version": VERSION,
        "arch": classifier.arch,
        "classes": json.dumps(list(classifier.classes), ensure_ascii=False),
        "preset": json.dumps(size | {"mean": list(preset.mean), "std": list(preset.std)}),
    }


def _read_notes(
    path: Path, notes: dict[str, str]
) -> tuple[str, tuple[str, ...], models.Preset]:
    """Check the file's texts and return architecture, class names and preset."""
    if notes.get("format") != FORMAT:
        raise ValueError(
            f"{path} is a safetensors file, but no classifier of this course: its notes say "
            f"{notes.get('format', 'nothing')!r} where {FORMAT!r} should be. A checkpoint, for "
            f"one, holds no class names. {CURE}"
        )
    if notes.get("version") != VERSION:
        raise ValueError(
            f"{path} has the format's version {notes.get('version')!r}, and this program reads "
            f"version {VERSION!r}: use the program that saved it, or save it anew with this one"
        )
    arch = notes.get("arch")
    if arch not in models.ARCHS:
        raise ValueError(
            f"{path} is for the network {arch!r}; allowed: {', '.join(models.ARCHS)}. {CURE}"
        )
    try:
        classes = _checked_names(json.loads(notes["classes"]))
        preset = _checked_preset(json.loads(notes["preset"]), arch)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise ValueError(f"{path} has notes that make no sense: {reason}. {CURE}") from error
    return arch, classes, preset


def _checked_names(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"the class names must be a list of texts, not {names!r}")
    names = tuple(names)
    if not 2 <= len(names) <= MOST_CLASSES:
        raise ValueError(
            f"there are {len(names)} class names; allowed are 2 to {MOST_CLASSES:,}: with fewer "
            f"than two there is nothing to tell apart"
        )
    for name in names:
        if not name.strip() or names.count(name) > 1:
            wrong = "is there twice" if name.strip() else "is empty"
            raise ValueError(f"the class name {name!r} {wrong}: give each class a name of its own")
        try:
            name.encode()
        except UnicodeEncodeError:
            raise ValueError(f"the class name {name!r} is not valid Unicode: rename it") from None
    return names


def _checked_preset(size: dict, arch: str) -> models.Preset:
    crop, resize = size["crop"], size["resize"]
    if not all(isinstance(side, int) for side in (crop, resize)):
        raise ValueError(f"the image's size is {crop!r} and {resize!r}, not whole numbers")
    if not LEAST_SIDE[arch] <= crop <= resize <= MOST_SIDE:
        raise ValueError(
            f"the image's size is {crop} of {resize} pixels; allowed for this network are "
            f"{LEAST_SIDE[arch]} to {MOST_SIDE}"
        )
    mean, std = (tuple(map(float, size[name])) for name in ("mean", "std"))
    if len(mean) != 3 or len(std) != 3 or not all(map(math.isfinite, mean + std)) or min(std) <= 0:
        raise ValueError(f"the mean {mean} and the deviation {std} are not those of three colours")
    return models.preset(crop, resize, mean=mean, std=std)


def _check_kind(path: Path) -> None:
    """Refuse what is no safetensors file, by its first bytes, and one that is cut short."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; a model is one file. {CURE}")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(4096)
        length = int.from_bytes(start[:8], "little")
        if start[8:9] == b"{":
            file.seek(8)
            _check_whole(path, file.read(min(length, size)), length, size)
            return
    if not start:
        raise ValueError(f"{path} is empty, 0 bytes. {CURE}")
    if PICKLE.match(start) or (start[:2] == b"PK" and b"data.pkl" in start):
        raise ValueError(
            f"{path} is a pickle, such as torch.save writes. It is not opened: a pickle is a "
            f"program, and loading it would run whatever its author put in. {CURE}"
        )
    kind = next((kind for pattern, kind in KINDS if pattern.match(start)), None)
    if kind is None and all(c.isprintable() or c.isspace() for c in start.decode(errors="replace")):
        kind = "a text"
    raise ValueError(f"{path} is {kind or 'no safetensors file'}, not a model. {CURE}")


def _check_whole(path: Path, header: bytes, length: int, size: int) -> None:
    """Compare the file's size with the one that its header announces."""
    wanted = 8 + length
    if len(header) == length:
        try:
            table = json.loads(header)
            ends = [entry["data_offsets"][1] for name, entry in table.items() if name[:2] != "__"]
            wanted += max(ends, default=0)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):
            raise ValueError(f"{path} is damaged: its header is no JSON table. {CURE}") from None
    if size < wanted:
        raise ValueError(
            f"{path} is cut short: it has {size:,} bytes and its header announces {wanted:,}. "
            f"Copy or download it again"
        )


def _check_shapes(path: Path, file, network: nn.Module, classes: tuple[str, ...]) -> None:
    """Check names, shapes and kinds of the file's tensors before any is read."""
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    there = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
    for what, names in (("lacks", wanted.keys() - there), ("has, besides,", there.keys() - wanted)):
        if names:
            raise ValueError(
                f"{path} {what} {', '.join(sorted(names)[:3])}: these are not the layers of this "
                f"classifier. {CURE}"
            )
    for name, shape in wanted.items():
        found, kind = tuple(there[name].get_shape()), there[name].get_dtype()
        if name.startswith(LAST) and found[:1] != shape[:1]:
            raise ValueError(
                f"{path} has a head for {found[0] if found else 0} classes and the names of "
                f"{len(classes)} ({', '.join(classes[:5])}): the file was put together from two "
                f"models. {CURE}"
            )
        if found != shape or kind != "F32":
            raise ValueError(
                f"{path}: {name} has the shape {found} of {kind}, expected {shape} of F32. {CURE}"
            )


def _head(arch: str, classes: int) -> nn.Sequential:
    return nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(FEATURES[arch], classes))


def _joined(backbone: nn.Sequential, head: nn.Sequential) -> nn.Sequential:
    return nn.Sequential(OrderedDict(backbone=backbone, head=head))


def _empty(arch: str, classes: int) -> nn.Sequential:
    """Return the network with shapes and no values."""
    with torch.device("meta"):
        backbone, _ = models.split(getattr(torchvision.models, arch)())
        return _joined(backbone, _head(arch, classes))


# Asking it.


def expand(paths: Iterable[str | Path]) -> Iterator[Path]:
    """Yield files as they are, and for a folder the images in it, by name, hidden ones left out.

    A folder without images is yielded itself, so that `predict_files` says so.
    """
    for path in map(Path, paths):
        found = []
        for base, folders, names in os.walk(path) if path.is_dir() else ():
            folders[:] = sorted(name for name in folders if name[0] != ".")
            visible = sorted(name for name in names if name[0] != ".")
            found += [
                Path(base, name) for name in visible if Path(name).suffix.lower() in IMG_EXTENSIONS
            ]
        yield from found or [path]


def predict_files(
    classifier: Classifier,
    paths: Iterable[str | Path],
    *,
    batch_size: int = 16,
    device: str | torch.device = "cpu",
) -> Iterator[Prediction]:
    """Predict images, whatever some of them are: one that cannot be read stops no other.

    Args:
        classifier: from `build` or `load`.
        paths: files, see `expand` for folders.
        batch_size: images that go through the network at once.
        device: where to compute.

    Yields:
        One prediction for each path, in the same order.

    Raises:
        ValueError: if `batch_size` is no whole number from 1.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, Integral) or batch_size < 1:
        raise ValueError(f"batch_size must be a whole number from 1, not {batch_size!r}")
    waiting: list[tuple[Path, Tensor | str]] = []
    for path in map(Path, paths):
        waiting.append((path, _prepared(classifier.preset, path)))
        if sum(isinstance(image, Tensor) for _, image in waiting) == batch_size:
            yield from _predict(classifier, waiting, device)
            waiting = []
    yield from _predict(classifier, waiting, device)


def _predict(
    classifier: Classifier, waiting: list[tuple[Path, Tensor | str]], device: str | torch.device
) -> Iterator[Prediction]:
    images = [image for _, image in waiting if isinstance(image, Tensor)]
    rows = iter(())
    if images:
        rows = iter(classifier.logits(torch.stack(images), device=device).softmax(dim=1))
    for path, image in waiting:
        if isinstance(image, Tensor):
            yield Prediction(path, next(rows))
        else:
            yield Prediction(path, None, image)


def _prepared(preset: models.Preset, path: Path) -> Tensor | str:
    """Return an image as the network wants it, or why that cannot be."""
    if path.is_dir():
        return "a folder without images"
    try:
        with warnings.catch_warnings(action="ignore"):  # what matters is in the reason
            image = data.open_image(path)
            return _too_long(preset, image) or preset(image)
    except FileNotFoundError:
        return "there is no such file"
    except (OSError, ValueError) as error:
        return image_files.reason(error.__cause__ or error)


def _too_long(preset: models.Preset, image: Image.Image) -> str | None:
    """Refuse an image that its resizing, which keeps the proportions, would blow up."""
    width, height = image.size
    short, long = sorted(image.size)
    if long * preset.resize_size[0] ** 2 > short * image_files.MAX_PIXELS:
        return f"{width} x {height} pixels, too long and narrow"
    return None


# The twin for other programs.


class _Pool(nn.Module):
    """Adaptive average pooling of a map of known size, by two products with what is fixed.

    Each output is the mean of its window along one side, then along the other. It is what
    `nn.AdaptiveAvgPool2d` computes, in operations that every program for ONNX has.
    """

    def __init__(self, size: int, target: int) -> None:
        super().__init__()
        means = torch.zeros(target, size)
        for place in range(target):
            start, end = place * size // target, -(-(place + 1) * size // target)
            means[place, start:end] = 1 / (end - start)
        self.register_buffer("means", means)  # (target, size)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (N, C, size, size) to (N, C, target, target)."""
        return self.means @ maps @ self.means.T


def export_onnx(classifier: Classifier, path: str | Path) -> Path:
    """Write a classifier as ONNX, in one file, for any number of images at once.

    The input is `images`, (N, 3, H, W) float32 as the preset makes them; the output `logits`,
    (N, K). The class names and the preset are in the model's metadata, as JSON.

    Raises:
        OSError: if it cannot be written.
    """
    path, side = Path(path), classifier.preset.crop_size[0]
    if not path.parent.is_dir():  # said before the work
        raise FileNotFoundError(
            f"the ONNX model could not be written to {path}: there is no folder {path.parent}"
        )
    example = torch.zeros(2, 3, side, side)
    with warnings.catch_warnings(action="ignore"), torch.random.fork_rng(devices=[]):
        program = torch.onnx.export(
            _for_export(classifier, example),
            (example,),
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            verbose=False,
        )
    program.model.metadata_props.update(_notes(classifier))
    try:
        replace_file(path, lambda draft: program.save(draft, external_data=False))
    except OSError as error:
        raise OSError(
            f"the ONNX model could not be written to {path}: {error}. Name a folder that can be "
            f"written, with room for it"
        ) from error
    return path


def _for_export(classifier: Classifier, example: Tensor) -> nn.Sequential:
    """Return a copy of the layers that compute in evaluation mode, with the pooling spelled out."""
    backbone, head = copy.deepcopy(classifier.backbone), copy.deepcopy(classifier.head)
    layers = nn.Sequential(backbone.features, nn.Flatten(start_dim=1), head[-1]).cpu()
    with torch.no_grad():
        size = backbone.features(example).shape[-1]
    target = backbone.avgpool.output_size[0]
    if size != target:
        layers.insert(1, _Pool(size, target))
    models.freeze(layers)
    return layers.eval()


def onnx_logits(path: str | Path, images: Tensor, *, batch_size: int = 32) -> Tensor:
    """Score images by onnxruntime, in which there is no PyTorch.

    Args:
        path: an ONNX file that `export_onnx` wrote.
        images: (N, 3, H, W) float32.
        batch_size: images at once.

    Returns:
        (N, K) float32.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no ONNX model with one input of such images.
    """
    session = _session(path)
    name, values = session.get_inputs()[0].name, images.detach().cpu().float().numpy()
    parts = []
    for start in range(0, len(values), batch_size):
        try:
            parts.append(session.run(["logits"], {name: values[start : start + batch_size]})[0])
        except Exception as error:  # onnxruntime has its own kinds of errors
            raise ValueError(
                f"{path} does not take images of shape {tuple(values.shape)}: {error}"
            ) from error
    return torch.from_numpy(np.concatenate(parts))


def onnx_classes(path: str | Path) -> tuple[str, ...]:
    """Return the class names that `export_onnx` wrote into a model, in the order of its logits.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no ONNX model, or one without class names.
    """
    notes = _session(path).get_modelmeta().custom_metadata_map
    if "classes" not in notes:
        raise ValueError(f"{path} names no classes: write it with classifier.export_onnx")
    return tuple(json.loads(notes["classes"]))


def compare(classifier: Classifier, path: str | Path, images: Tensor) -> float:
    """Return the largest difference of any logit between a classifier and its ONNX twin.

    Args:
        classifier: the one that was exported.
        path: its twin, from `export_onnx`.
        images: (N, 3, H, W) float32, N of 1 or more.
    """
    difference = classifier.logits(images) - onnx_logits(path, images)
    return float(difference.abs().max())


def _session(path: str | Path):
    """Open an ONNX file; onnxruntime prints nothing below an error."""
    import onnxruntime

    if not Path(path).is_file():
        raise FileNotFoundError(
            f"there is no ONNX model at {path}: classifier.export_onnx makes it"
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has its own kinds of errors
        raise ValueError(
            f"{path} is no ONNX model that onnxruntime reads: {error}. Write it with "
            f"classifier.export_onnx"
        ) from error
