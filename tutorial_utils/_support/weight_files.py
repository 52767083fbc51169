"""Read files of weights: torchvision's, and the demo weights in `assets/`.

torchvision's files end their names with the first digits of their SHA-256, which is compared once
and remembered in the cache. Where the environment variable ANTS_BEES_UNVERIFIED_WEIGHTS is 1, it is
not compared, and the summary of the weights contains that. It is for files that stand in for
ImageNet's weights while the course is developed and tested.

Source: safetensors, https://huggingface.co/docs/safetensors
"""

import contextlib
import hashlib
import os
import zipfile
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from tutorial_utils._support import cache, files

UNVERIFIED = "ANTS_BEES_UNVERIFIED_WEIGHTS"
CURE = "delete it, so that it is downloaded again, or use weights='demo'"
CHECKED = "checked-weights.json"  # in the cache: {path: [size, time of the last change, SHA-256]}

ASSETS = Path(__file__).resolve().parent.parent / "assets"
DEMO_SHA256 = {
    "alexnet": "00a3acedd923ced5b7c194d664c2a596eb7b48628aa269e27e6adc8cdfb20ed9",
    "vgg16": "1ac944869f749806d5d15235b4ac760beaa1ec973e77712ecebacbc2b54c3dfa",
}


def read_demo(path: Path, features: nn.Module) -> dict[str, Tensor]:
    """Read demo weights after checking the file's SHA-256.

    Args:
        path: a file whose name without suffix is a key of `DEMO_SHA256`.
        features: see `read_features`; so is what is returned.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if its SHA-256 is another one.
    """
    return read_features(check_demo(path), features)


def check_demo(path: Path) -> bytes:
    """Return the content of demo weights; see `read_demo` for the errors."""
    expected = DEMO_SHA256[path.stem]
    cure = "restore it with `git checkout -- tutorial_utils/assets`, or reinstall the package"
    if not path.is_file():
        raise FileNotFoundError(f"the demo weights {path} are missing: {cure}")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected:
        raise ValueError(
            f"the demo weights {path} are truncated or altered ({len(content)} bytes, SHA-256 "
            f"{digest[:12]}..., expected {expected[:12]}...): {cure}"
        )
    return content


def read_features(content: bytes, features: nn.Module) -> dict[str, Tensor]:
    """Decode demo weights, which `pretraining` writes, into float32 tensors.

    Args:
        content: the whole file.
        features: the layers whose tensors it holds.

    Returns:
        A state dict with the keys `features.N.weight` and `features.N.bias`.
    """
    stored, decoded = safetensors.torch.load(content), {}
    for name in features.state_dict():
        values = stored[f"features.{name}"].to(torch.float32)
        scale = stored.get(f"features.{name.removesuffix('.weight')}.scale")
        if scale is not None and name.endswith(".weight"):  # int8, with a scale for each channel
            values *= scale[:, None, None, None]  # (out, in, k, k)
        decoded[f"features.{name}"] = values
    return decoded


def check_imagenet(path: Path) -> str:
    """Check that a file of torchvision has the SHA-256 in its name, unless it was checked before.

    Returns:
        What the summary of the weights adds: "", or that the checksum was not compared.

    Raises:
        ValueError: if the file is truncated or altered.
        OSError: if it cannot be read.
    """
    if os.environ.get(UNVERIFIED) == "1":
        return f", checksum not compared: {UNVERIFIED}=1"
    with files.naming(path, verb="read"):
        _check_name(path)
    return ""


def read_imagenet(path: Path, network: nn.Module, *, part: str = "") -> dict[str, Tensor]:
    """Read torchvision's file; names, shapes and values must be such as the network's.

    Args:
        path: the file, mapped into memory where its format allows it.
        network: has the tensors that the file must hold; it may be on the meta device.
        part: return only the tensors whose names start with it.

    Returns:
        A state dict of finite float32 tensors.

    Raises:
        ValueError: if the file cannot be read, or holds something else. The text names it.
    """
    # torchvision's older files predate the zip format, the only one that torch maps into memory.
    try:
        mapped = zipfile.is_zipfile(path)
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # a broken pickle raises nearly anything
        raise ValueError(
            f"{path} cannot be read as weights ({type(error).__name__}): {CURE}"
        ) from error
    expected = network.state_dict()
    if not isinstance(state, dict) or state.keys() != expected.keys():
        raise ValueError(f"{path} does not hold this network's layers: {CURE}")
    for name, tensor in state.items():
        if fault := _fault(tensor, tuple(expected[name].shape), values=name.startswith(part)):
            raise ValueError(f"{path}: {name} {fault}: {CURE}")
    return {name: tensor for name, tensor in state.items() if name.startswith(part)}


def _check_name(path: Path) -> None:
    """Check that a file has the SHA-256 in its name; see `check_imagenet`."""
    expected, status = path.stem.rpartition("-")[2], path.stat()
    seen = [status.st_size, status.st_mtime_ns]
    checked = _checked()
    if checked.get(str(path), [])[:2] == seen:
        digest = checked[str(path)][2]
    else:
        digest = files.sha256(path)
        with contextlib.suppress(OSError):  # with a read-only cache it is compared each time
            files.write_json(_record(), checked | {str(path): [*seen, digest]})
    if not digest.startswith(expected):
        raise ValueError(
            f"{path} is truncated or altered ({status.st_size} bytes, SHA-256 {digest[:12]}..., "
            f"expected {expected}...): {CURE}"
        )


def _record() -> Path:
    return cache.cache_path() / CHECKED


def _checked() -> dict[str, list]:
    """Return what was compared before; {} if it cannot be read."""
    try:
        found = files.read_json(_record(), "list of checked weights")
    except (OSError, ValueError):
        return {}
    return {
        path: entry
        for path, entry in found.items()
        if isinstance(entry, list) and [type(value) for value in entry] == [int, int, str]
    }


def _fault(tensor: object, shape: tuple[int, ...], *, values: bool) -> str:
    """Return what is wrong with a stored tensor, "" if nothing; look at its values if `values`."""
    if not isinstance(tensor, Tensor) or tuple(tensor.shape) != shape:
        return f"must have the shape {shape}, not {tuple(getattr(tensor, 'shape', ()))}"
    if tensor.layout != torch.strided or tensor.device.type != "cpu":
        return f"must be dense and hold values, not {tensor.layout} on {tensor.device}"
    if tensor.dtype != torch.float32:
        return f"must be float32, not {str(tensor.dtype).removeprefix('torch.')}"
    # The extremes are NaN where a value is, and take no memory, unlike tensor.isfinite().
    if values and not torch.stack(torch.aminmax(tensor)).isfinite().all():
        return "holds values that are not finite numbers"
    return ""
