"""Read files of weights: torchvision's, and the demo weights that ship with the package."""

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


def read_imagenet(path: Path, network: nn.Module) -> dict[str, Tensor]:
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
