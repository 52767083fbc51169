"""Pack convolutions into the file of weights that ships with the package, and read it back."""

import hashlib
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from tutorial_utils._support import arguments, files, weight_files

PACKINGS = ("float16", "int8")


def pack(features: nn.Module, path: Path, *, packing: str) -> str:
    """Write convolutions into a file that `tutorial_utils.models` reads, whole or not at all.

    Args:
        features: torchvision's layers, e.g. `networks.fold(network).features`.
        path: the file to write.
        packing: "float16"; or "int8", weights in 8 bits with one scale per output channel.

    Returns:
        The SHA-256 of the file.

    Raises:
        ValueError: if the packing is unknown, or a value is too large for 16 bits.
        OSError: if the file cannot be written. An older one stays as it was.
    """
    arguments.check_choice("packing", packing, PACKINGS)
    stored: dict[str, Tensor] = {}
    for name, value in features.state_dict().items():
        value, name = value.detach().float().cpu().contiguous(), f"features.{name}"
        if packing == "int8" and name.endswith(".weight"):
            scale = value.abs().amax((1, 2, 3)).clamp(min=1e-12) / 127  # (out,)
            stored[name] = (value / scale[:, None, None, None]).round().to(torch.int8)
            stored[name.replace(".weight", ".scale")] = scale
        else:
            stored[name] = value.half()
            if not stored[name].isfinite().all():
                raise ValueError(f"{name} has values up to {value.abs().max():g}, over 65504")
    content = safetensors.torch.save(stored)
    files.write_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def unpack(path: Path, features: nn.Module) -> None:
    """Load the weights of a packed file into the layers that it was packed from.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it does not hold weights for these layers.
    """
    content = path.read_bytes()
    try:
        read = weight_files.read_features(content, features)
        state = {name.removeprefix("features."): value for name, value in read.items()}
        features.load_state_dict(state, assign=True)
    except Exception as error:  # a broken or another network's file raises nearly anything
        raise ValueError(f"{path} does not hold weights for these layers ({error})") from error
