"""Checksums inside files: written with the content, checked when it is read.

A safetensors file holds its checksum in its metadata, a JSON file as one more key. Files of earlier
versions have none; they are read, and one line says so.

Source:
    safetensors, the file format: https://huggingface.co/docs/safetensors
"""

import hashlib
import json
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from tutorial_utils._support import files

KEY = "sha256"


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], texts: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file and the checksum of its content by `files.replace_file`.

    Args:
        path: of the file; its folder exists.
        tensors: by name, on any device.
        texts: the file's metadata.

    Raises:
        OSError: if it cannot be written.
        SafetensorError: the same, from safetensors.
    """
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {**(texts or {}), KEY: tensor_digest(whole, texts or {})}
    files.replace_file(path, lambda temporary: save_file(whole, temporary, metadata=metadata))


def read_tensors(path: Path, *, cure: str, quiet: bool = False) -> dict[str, Tensor]:
    """Read a safetensors file that has no metadata but its checksum; see `check` for arguments.

    Raises:
        SafetensorError: if it is cut short or is of another kind.
        ValueError: if its content is not what its checksum was made from.
    """
    with safe_open(path, framework="pt") as file:
        texts = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    check(path, texts, tensor_digest(tensors, {}), known=(), cure=cure, quiet=quiet)
    return tensors


def check(
    path: Path,
    content: Mapping,
    computed: str,
    *,
    known: Collection[str],
    cure: str,
    quiet: bool = False,
) -> None:
    """Compare the checksum in a file with the one that its content has.

    Args:
        path: of the file, for messages.
        content: the file's metadata or JSON, with the checksum if there is one.
        computed: what `tensor_digest` or `json_digest` returned.
        known: the other keys that `content` may have. With another key and no checksum it is
            damaged and not old: one letter of the key may have changed.
        cure: what to do about a damaged file, for the message.
        quiet: print nothing about a file without a checksum.

    Raises:
        ValueError: if they differ.
    """
    if KEY not in content and content.keys() <= set(known):
        if not quiet:
            print(f"{path} is of an earlier version: it has no checksum to check", file=sys.stderr)
    elif content.get(KEY) != computed:
        raise ValueError(
            f"{path} is damaged: what it holds is not what was written (its SHA-256 differs). "
            f"{cure}"
        )


def tensor_digest(tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> str:
    """Return the SHA-256 of metadata, and of tensors with their names, dtypes and shapes."""
    texts = {key: text for key, text in texts.items() if key != KEY}
    table = [(name, str(t.dtype), list(t.shape)) for name, t in sorted(tensors.items())]
    digest = hashlib.sha256(json.dumps([texts, table], sort_keys=True).encode())
    for name, _, _ in table:
        digest.update(tensors[name].flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def json_digest(content: Mapping) -> str:
    """Return the SHA-256 of a dictionary as JSON holds it, without its checksum."""
    rest = json.loads(json.dumps({key: value for key, value in content.items() if key != KEY}))
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
