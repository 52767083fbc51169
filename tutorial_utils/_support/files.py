"""Write files whole or not at all, and read what was written."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path


def write_json(path: Path, content: dict) -> None:
    text = json.dumps(content, indent=1) + "\n"
    replace_file(path, lambda draft: draft.write_text(text, encoding="utf-8"))


def read_json(path: Path, kind: str) -> dict:
    if not path.is_file():
        raise FileNotFoundError(f"there is no {kind} at {path}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no {kind}: it is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no {kind}: it holds a JSON {type(content).__name__}")
    return content


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a draft beside the file, make sure it is on the disk, and put it in its place."""
    draft = path.with_name(path.name + ".draft")
    try:
        draft.touch()
        mode = stat.S_IMODE(draft.stat().st_mode)
        write(draft)
        draft.chmod(mode)  # safetensors writes files that only their owner can read
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
