"""Write files whole or not at all, read JSON, and check for free space on the disk."""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock

MARGIN_BYTES = 64 * 2**20  # stays free on the disk
LEFT_OVER_S = 24 * 3600.0  # a temporary file that has not changed for so long has no writer
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{12}\.tmp")
RUST_ERRNO = re.compile(r"\(os error (\d+)\)")  # in the errors of safetensors, which are no OSError

_FULL = "the disk is full", "make room, or choose a folder on another disk"
_DENIED = "you have no permission", "choose another folder, or change its permissions"
_FILE = "a part of its path is a file, not a folder", "choose another folder"
_REASONS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: ("your quota on this disk is used up", _FULL[1]),
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EROFS: ("the disk is read-only", "choose a folder on another disk"),
    errno.EIO: ("the disk reports an input/output error", "check it, and choose another disk"),
    errno.EFBIG: ("it is too large for this disk", "choose a folder on another disk"),
    errno.ENAMETOOLONG: ("its name is too long", "choose a shorter one"),
    errno.EISDIR: ("it is a folder", "choose another name"),
    errno.EEXIST: _FILE,
    errno.ENOTDIR: _FILE,
    errno.ENOENT: ("there is no such folder", "make it, or choose another one"),
    errno.ELOOP: ("its path holds links that lead in a circle", "choose another folder"),
}
# Why a path leads to no file that can be read.
WHY_NOT = {
    errno.EACCES: "not allowed to read it",
    errno.ELOOP: "a link that leads in a circle",
    errno.ENAMETOOLONG: "its name is too long",
}
KINDS = {
    stat.S_IFDIR: "a folder, not a file",
    stat.S_IFIFO: "a pipe, not a file",
    stat.S_IFSOCK: "a socket, not a file",
    stat.S_IFCHR: "a device, not a file",
    stat.S_IFBLK: "a device, not a file",
}


def as_path(path: str | Path) -> Path:
    """Return a path that a user gave, absolute, with `~` replaced by the home folder.

    Raises:
        ValueError: if it is an empty text, which Python would read as the current folder.
    """
    if not str(path):
        raise ValueError("an empty path was given: write . for the current folder")
    return Path(os.path.expanduser(path)).absolute()  # leaves ~name alone if there is no such user


def not_regular(path: str | Path) -> str | None:
    """Return in a few words why a path leads to no regular file, or None if it does.

    Call it before a file of a user is opened: a pipe waits for a writer without an end, a device
    may have no end.
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "a broken link" if os.path.islink(path) else "there is no such file"
    except ValueError:
        return "its name holds a null character"
    except OSError as error:
        return WHY_NOT.get(error.errno, error.strerror)
    return None if stat.S_ISREG(mode) else KINDS.get(stat.S_IFMT(mode), "not a file")


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a temporary file beside `path`, flush it to the disk, and rename it.

    What was at `path` stays until the new file is whole. Two processes that write at the same time
    use two temporary files. A process that is killed leaves its temporary file; the next write into
    the same folder deletes it when it is older than a day. Its age is enough: a writer that lives
    changes its file all the time, and a lock would need another file, on some disks in vain.

    Args:
        path: where the file goes; its folder exists.
        write: is given the path of the temporary file and writes it.

    Raises:
        OSError: if it cannot be written; the text names the path and says what to do.

    Source:
        The rename in one step: https://pubs.opengroup.org/onlinepubs/9799919799/
    """
    delete_left_overs(path.parent)
    name = path.name  # shortened, because the temporary name is longer
    if len(os.fsencode(name)) > 200:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    temporary = path.with_name(f".{name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        temporary.touch(exist_ok=False)
        mode = stat.S_IMODE(temporary.stat().st_mode)
        write(temporary)
        temporary.chmod(mode)  # safetensors writes files that only their owner can read
        move(temporary, path)
    except OSError as error:
        raise named(error, path, temporary) from error
    except Exception as error:
        if found := RUST_ERRNO.search(str(error)):
            raise named(OSError(int(found[1]), str(error)), path) from error
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def move(temporary: Path, path: Path) -> None:
    """Flush a finished file to the disk and rename it, on the same disk.

    Raises:
        OSError: see `replace_file`.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        kind = "a folder" if path.is_dir() else "no regular file"
        raise IsADirectoryError(f"{path} cannot be written: it is {kind}; choose another name")
    try:
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise named(error, path, temporary) from error
    _sync_folder(path.parent)


def named(
    error: OSError, path: Path, temporary: Path | None = None, *, verb: str = "written"
) -> OSError:
    """Return an error of the same type whose text names the file and says what to do.

    Args:
        error: what the system reported. One without an errno has such a text, and is returned.
        path: what could not be written, or read.
        temporary: the name under which it was written; an error about another file names that one.
        verb: "written" or "read".
    """
    if error.errno is None:
        return error
    reason, cure = _REASONS.get(error.errno, (error.strerror, "choose another folder"))
    own = {str(path), str(temporary), *map(str, path.parents)}
    if error.filename is not None and str(error.filename) not in own:
        return type(error)(f"{error.filename} cannot be read or written: {reason}")
    text = f"{path} cannot be {verb}: {reason}"
    return type(error)(f"{text}; {cure}" if verb == "written" else text)


@contextlib.contextmanager
def naming(path: Path, *, verb: str = "written") -> Iterator[None]:
    """Raise the OSErrors of the block as `named` ones."""
    try:
        yield
    except OSError as error:
        raise named(error, path, verb=verb) from error


def delete_left_overs(folder: Path, pattern: re.Pattern = TEMPORARY) -> None:
    """Delete the files in a folder that match a pattern and have not changed for a day."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not pattern.fullmatch(entry.name):
                continue
            with contextlib.suppress(OSError):  # another process may have deleted it
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > LEFT_OVER_S:
                    os.unlink(entry.path)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file by `replace_file`."""
    replace_file(path, lambda temporary: temporary.write_bytes(content))


def write_json(path: Path, content: dict) -> None:
    """Write a dictionary as JSON by `replace_file`; the folder is made."""
    with naming(path):
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


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def locked(lock: Path, *, what: str, quiet: bool = False) -> Iterator[None]:
    """Lock a file for the block; print that another process has locked it, and wait.

    Args:
        lock: the file, which stays: a process may be waiting for it.
        what: the other process is preparing, for the message.
        quiet: print nothing.
    """
    waiter = filelock.FileLock(lock)
    with naming(lock):
        try:
            waiter.acquire(timeout=0.5)
        except filelock.Timeout:
            if not quiet:
                print(f"another process is preparing {what}: waiting for it", flush=True)
            waiter.acquire()
    try:
        yield
    finally:
        waiter.release()


def check_space(folder: Path, size_bytes: int, *, before: str = "", after: str = "") -> None:
    """Raise OSError if the disk of a folder has too little space for so many bytes."""
    free, needed = shutil.disk_usage(folder).free / 1e6, (size_bytes + MARGIN_BYTES) / 1e6
    if free < needed:
        sizes = f"has {free:.0f} MB free and {needed:.0f} MB are needed"
        raise OSError(f"{before}the disk of {folder} {sizes}{after}")


def _sync_folder(folder: Path) -> None:
    """Flush a folder, so that a rename in it survives a power cut; not possible everywhere."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
