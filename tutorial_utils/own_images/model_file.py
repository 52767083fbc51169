"""The file of a saved classifier: its metadata, and the checks before it is loaded.

The metadata is a dictionary of texts, the same in a safetensors file and in an ONNX file.

Sources:
    safetensors, the file's format: https://huggingface.co/docs/safetensors
    Python, what a pickle may do: https://docs.python.org/3/library/pickle.html
"""

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from tutorial_utils import models
from tutorial_utils._support.files import not_regular

FORMAT = "tutorial_utils.classifier"  # stored in learners' files: never change it
KEYS = ("format", "version", "arch", "classes", "preset")
VERSION = "1"  # increase it when older code could not read the file
LEAST_SIDE = {"alexnet": 63, "vgg16": 32}  # pixels that the convolutions need
MOST_SIDE = 2048
MOST_CLASSES = 10_000
LAST_LAYER = "head.1"
CURE = "Give a model that lesson 12 saved (classifier.save), or save it again"

# How other kinds of files begin.
PICKLE = re.compile(rb"\x80[\x01-\x05]|c[\w.]+\n[\w.]+\n|[(\]}][dlt]?[pq]")
KINDS = (
    (re.compile(rb"PK\x03\x04"), "a zip archive"),
    (re.compile(rb"\x08[\x03-\x14]\x12"), "an ONNX model, which is for other programs"),
    (re.compile(rb"\x89PNG|\xff\xd8\xff|GIF8|BM|II\*\0|MM\0\*|RIFF....WEBP", re.S), "an image"),
    (re.compile(rb"\x89HDF"), "an HDF5 file, such as Keras writes"),
    (re.compile(rb"\x93NUMPY"), "a NumPy array"),
    (re.compile(rb"\x1f\x8b|BZh|7z\xbc\xaf|\xfd7zXZ"), "a compressed file"),
)


def metadata(arch: str, classes: Sequence[str], preset: models.Preset) -> dict[str, str]:
    """Return the texts that are stored with a classifier. Old files have these keys: keep them."""
    size = {"resize": preset.resize_size[0], "crop": preset.crop_size[0]}
    return {
        "format": FORMAT,
        "version": VERSION,
        "arch": arch,
        "classes": json.dumps(list(classes), ensure_ascii=False),
        "preset": json.dumps(size | {"mean": list(preset.mean), "std": list(preset.std)}),
    }


def read_metadata(
    path: Path, stored: Mapping[str, str]
) -> tuple[str, tuple[str, ...], models.Preset]:
    """Check the stored texts and return architecture, class names and preset.

    Raises:
        ValueError: if one is missing or wrong, or the format or its version is another one.
    """
    if stored.get("format") != FORMAT:
        raise ValueError(
            f"{path} is a safetensors file, but not a classifier of this course: its format is "
            f"{stored.get('format')!r}, not {FORMAT!r}. A checkpoint holds no class names. {CURE}"
        )
    if stored.get("version") != VERSION:
        raise ValueError(
            f"{path} has version {stored.get('version')!r} of the format, and this program reads "
            f"version {VERSION!r}: use the program that saved it, or save it again with this one"
        )
    arch = stored.get("arch")
    if arch not in models.ARCHS:
        raise ValueError(
            f"{path} is for the network {arch!r}; allowed: {', '.join(models.ARCHS)}. {CURE}"
        )
    try:
        classes = check_class_names(json.loads(stored["classes"]))
        preset = _read_preset(json.loads(stored["preset"]), arch)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise ValueError(f"{path} has invalid metadata: {reason}. {CURE}") from error
    return arch, classes, preset


def _read_preset(stored: dict, arch: str) -> models.Preset:
    crop, resize = stored["crop"], stored["resize"]
    if not all(isinstance(side, int) for side in (crop, resize)):
        raise ValueError(f"the image's size is {crop!r} and {resize!r}, not whole numbers")
    if not LEAST_SIDE[arch] <= crop <= resize <= MOST_SIDE:
        raise ValueError(
            f"the image's size is {crop} of {resize} pixels; allowed for this network are "
            f"{LEAST_SIDE[arch]} to {MOST_SIDE}"
        )
    mean, std = (tuple(map(float, stored[name])) for name in ("mean", "std"))
    if len(mean) != 3 or len(std) != 3 or not all(map(math.isfinite, mean + std)) or min(std) <= 0:
        raise ValueError(f"the mean {mean} and the deviation {std} are not those of three colours")
    return models.preset(crop, resize, mean=mean, std=std)


def check_class_names(names: Sequence[str]) -> tuple[str, ...]:
    """Check class names and return them as a tuple.

    Raises:
        ValueError: if they are too few or too many, or one is empty, there twice or not Unicode.
    """
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"the class names must be a list of texts, not {names!r}")
    names = tuple(names)
    if not 2 <= len(names) <= MOST_CLASSES:
        raise ValueError(f"there are {len(names)} class names; allowed are 2 to {MOST_CLASSES:,}")
    for name in names:
        if not name.strip() or names.count(name) > 1:
            wrong = "is there twice" if name.strip() else "is empty"
            raise ValueError(f"the class name {name!r} {wrong}: give each class a name of its own")
        try:
            name.encode()
        except UnicodeEncodeError:
            raise ValueError(f"the class name {name!r} is not valid Unicode: rename it") from None
    return names


def check_kind(path: Path) -> None:
    """Check by its first bytes that a file is a safetensors file, and by its size that it is whole.

    Raises:
        FileNotFoundError: if there is no such file.
        IsADirectoryError: if it is a folder.
        ValueError: if it is of another kind, damaged or cut short.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f"there is no model at {path}. {CURE}")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; a model is one file. {CURE}")
    if reason := not_regular(path):
        raise ValueError(f"{path} is {reason}. {CURE}")
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(4096)
        length = int.from_bytes(start[:8], "little")
        if start[8:9] == b"{":
            file.seek(8)
            _check_complete(path, file.read(min(length, size_bytes)), length, size_bytes)
            return
    if not start:
        raise ValueError(f"{path} is empty, 0 bytes. {CURE}")
    if PICKLE.match(start) or (start[:2] == b"PK" and b"data.pkl" in start):
        raise ValueError(
            f"{path} is a pickle, such as torch.save writes. It is not opened: a pickle can hold "
            f"code, which would run when it is loaded. {CURE}"
        )
    kind = next((kind for pattern, kind in KINDS if pattern.match(start)), None)
    if kind is None and all(c.isprintable() or c.isspace() for c in start.decode(errors="replace")):
        kind = "a text"
    raise ValueError(f"{path} is {kind or 'not a safetensors file'}, not a model. {CURE}")


def _check_complete(path: Path, header: bytes, length: int, size_bytes: int) -> None:
    """Compare the file's size with the one that its header, of `length` bytes, announces."""
    wanted = 8 + length
    if len(header) == length:
        try:
            table = json.loads(header)
            ends = [entry["data_offsets"][1] for name, entry in table.items() if name[:2] != "__"]
            wanted += max(ends, default=0)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):
            raise ValueError(f"{path} is damaged: its header is not a JSON table. {CURE}") from None
    if size_bytes < wanted:
        raise ValueError(
            f"{path} is cut short: it has {size_bytes:,} bytes and its header announces "
            f"{wanted:,}. Copy or download it again"
        )


def check_tensors(
    path: Path, file: object, wanted: Mapping[str, Tensor], classes: tuple[str, ...]
) -> None:
    """Check names, shapes and dtypes of a file's tensors before any is read.

    Args:
        path: for messages.
        file: what `safetensors.safe_open` returned.
        wanted: the network's state dict.
        classes: the class names that the file's metadata gives.

    Raises:
        ValueError: if the tensors are not those of the network.
    """
    found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
    for what, names in (("lacks", wanted.keys() - found), ("also has", found.keys() - wanted)):
        if names:
            raise ValueError(
                f"{path} {what} {', '.join(sorted(names)[:3])}: these are not the layers of this "
                f"classifier. {CURE}"
            )
    for name, value in wanted.items():
        shape, expected = tuple(found[name].get_shape()), tuple(value.shape)
        dtype = found[name].get_dtype()
        if name.startswith(LAST_LAYER) and shape[:1] != expected[:1]:
            raise ValueError(
                f"{path} has a head for {shape[0] if shape else 0} classes and the names of "
                f"{len(classes)} ({', '.join(classes[:5])}): the file was put together from two "
                f"models. {CURE}"
            )
        if shape != expected or dtype != "F32":
            raise ValueError(
                f"{path}: {name} has the shape {shape} of {dtype}, expected {expected} of F32. "
                f"{CURE}"
            )
