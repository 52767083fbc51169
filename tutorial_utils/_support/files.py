"""Write files whole or not at all, read JSON, and check for free space on the disk."""

import json
import os
import shutil
import stat
import uuid
from collections.abc import Callable
from pathlib import Path

MARGIN_BYTES = 64 * 2**20  # stays free on the disk


def as_path(path: str | Path) -> Path:
    """Return a path that a user gave, absolute, with `~` replaced by the home folder."""
    return Path(os.path.expanduser(path)).absolute()  # leaves ~name alone if there is no such user


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a temporary file beside `path`, flush it to the disk, and rename it.

    What was at `path` stays until the new file is whole. Two processes that write at the same time
    use two temporary files.

    Args:
        path: where the file goes; its folder exists.
        write: is given the path of the temporary file and writes it.

    Source:
        The rename in one step: https://pubs.opengroup.org/onlinepubs/9799919799/
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        temporary.touch(exist_ok=False)
        mode = stat.S_IMODE(temporary.stat().st_mode)
        write(temporary)
        temporary.chmod(mode)  # safetensors writes files that only their owner can read
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file by `replace_file`."""
    replace_file(path, lambda temporary: temporary.write_bytes(content))


def write_json(path: Path, content: dict) -> None:
    """Write a dictionary as JSON by `replace_file`; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, (json.dumps(content, indent=1) + "\n").encode())


def read_json(path: Path, kind: str) -> dict:
    """Read a dictionary from a JSON file.

    Args:
        path: the file.
        kind: what it should be, for messages, such as "history".

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not JSON, or not a dictionary.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no {kind} at {path}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no {kind}: it is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no {kind}: it holds a JSON {type(content).__name__}")
    return content


def check_space(folder: Path, size_bytes: int, *, before: str = "", after: str = "") -> None:
    """Raise OSError if the disk of a folder has too little space for so many bytes."""
    free, needed = shutil.disk_usage(folder).free / 1e6, (size_bytes + MARGIN_BYTES) / 1e6
    if free < needed:
        sizes = f"has {free:.0f} MB free and {needed:.0f} MB are needed"
        raise OSError(f"{before}the disk of {folder} {sizes}{after}")
