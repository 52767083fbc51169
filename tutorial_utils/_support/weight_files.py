"""Read files of weights: torchvision's, and the demo weights in `assets/`.

Source: safetensors, https://huggingface.co/docs/safetensors
"""

import hashlib
import zipfile
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

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
    return read_features(content, features)


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


def read_imagenet(path: Path, network: nn.Module) -> dict[str, Tensor]:
    """Read torchvision's file into float32 tensors; names and shapes must be the network's.

    Raises:
        ValueError: if the file cannot be read, or holds other names or shapes.
    """
    cure = "delete it, so that it is downloaded again, or use weights='demo'"
    # torchvision's older files predate the zip format, the only one that torch maps into memory.
    try:
        mapped = zipfile.is_zipfile(path)
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # a broken pickle raises nearly anything
        raise ValueError(
            f"{path} cannot be read as weights ({type(error).__name__}): {cure}"
        ) from error
    expected = network.state_dict()
    if not isinstance(state, dict) or state.keys() != expected.keys():
        raise ValueError(f"{path} does not hold this network's layers: {cure}")
    for name, tensor in state.items():
        shape = tuple(getattr(tensor, "shape", ()))
        if not isinstance(tensor, Tensor) or shape != tuple(expected[name].shape):
            raise ValueError(
                f"{path}: {name} must have the shape {tuple(expected[name].shape)}, not {shape}: "
                f"{cure}"
            )
    return {name: tensor.to(torch.float32) for name, tensor in state.items()}
