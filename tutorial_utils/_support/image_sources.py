"""Where the images come from: a folder, the cache, the download, or the synthetic images.

Source:
    The photographs of ants and bees, a part of ImageNet collected for PyTorch's tutorial:
    https://docs.pytorch.org/tutorials/beginner/transfer_learning_tutorial.html
"""

import contextlib
import os
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from tutorial_utils import synthetic
from tutorial_utils._support import cache, connection, downloads, files

SOURCES = ("auto", "folder", "cache", "download", "synthetic")
SPLITS = ("train", "val")
# A photograph and a synthetic image, both of val/ants, with one large ant on a calm ground.
EXAMPLES = ("153783656_85f9c3ac70.jpg", "ant_0056.jpg")

URL = "https://download.pytorch.org/tutorial/hymenoptera_data.zip"
SHA256 = "fbc41b31d544714d18dd1230b1e2b455e1557766e13e67f9f5a7a23af7c02209"
SIZE_BYTES = 47_286_322


class Found(NamedTuple):
    """A folder with images, not yet looked through."""

    root: Path  # should hold `train` and `val`
    origin: str  # "folder", "cache", "download" or "synthetic"
    kind: str | None  # "photographs" or "synthetic images"; None if it may hold anything
    clause: str  # where it came from, for the summary and for messages


def find(source: str | Path, *, quiet: bool) -> Found:
    """Return the folder of images that a source gives; see `data.load` for arguments and errors."""
    if isinstance(source, os.PathLike) or _is_path(source):
        return Found(files.as_path(source), "folder", None, f"the folder {source}")
    if not isinstance(source, str) or source not in SOURCES:
        raise ValueError(
            f"unknown source {source!r}; allowed: {', '.join(SOURCES)}, or the path of a folder "
            f"(write ./name for a folder here)"
        )
    if source == "folder":
        return _from_folder()
    if source == "cache":
        return _from_cache()
    if source == "download":
        return _from_download(quiet)
    return _synthetic("source='synthetic'", quiet) if source == "synthetic" else _first(quiet)


def _is_path(source: object) -> bool:
    if not isinstance(source, str) or source in SOURCES or not source:
        return False
    return source.startswith(("~", ".")) or "/" in source or "\\" in source or Path(source).is_dir()


def _first(quiet: bool) -> Found:
    """Return what the first source has; the synthetic images are always possible."""
    if os.environ.get("ANTS_BEES_DIR", "").strip():
        return _from_folder()
    if root := cache.find(_photographs_name()):
        return Found(root, "cache", "photographs", "from the cache")
    incomplete = (cache.cache_path() / _photographs_name()).exists()
    before = "the photographs in the cache are not complete; " if incomplete else ""
    if not connection.online():
        return _synthetic(f"{before}no network: {connection.offline_reason()}", quiet)
    try:
        return _download(quiet)
    except ConnectionError as error:
        return _synthetic(f"{before}the download failed: {error}", quiet)


def _from_folder() -> Found:
    if not (given := os.environ.get("ANTS_BEES_DIR", "").strip()):
        raise FileNotFoundError(
            "source='folder' needs ANTS_BEES_DIR, which is not set: set it to a folder that holds "
            "train and val, or give the folder itself, data.load('path/to/folder')"
        )
    return Found(files.as_path(given), "folder", None, "the folder in ANTS_BEES_DIR")


def _from_cache() -> Found:
    if root := cache.find(_photographs_name()):
        return Found(root, "cache", "photographs", "from the cache")
    if root := cache.find(_synthetic_name()):
        clause = "from the cache, which holds no photographs"
        return Found(root, "cache", "synthetic images", clause)
    raise FileNotFoundError(
        f"source='cache' found no complete set of images in the cache {cache.cache_path()}: use "
        f"source='download' or 'synthetic' once to fill it, or 'auto'"
    )


def _from_download(quiet: bool) -> Found:
    """Return what was downloaded before, or download it, even if there was no network lately."""
    cure = (
        f"Try again later, use source='synthetic' (or 'auto'), or get {URL} on another machine, "
        f"unpack it and set ANTS_BEES_DIR to the folder"
    )
    if not cache.find(_photographs_name()) and not connection.online(force=True):
        reason = f"no network: {connection.offline_reason()}"
        raise ConnectionError(f"the photographs cannot be downloaded ({reason}). {cure}")
    try:
        return _download(quiet)
    except ConnectionError as error:
        raise ConnectionError(f"the download of {URL} failed: {error}. {cure}") from error


def _download(quiet: bool) -> Found:
    """Put the photographs into the cache; raise ConnectionError with the reason if it fails."""
    root = cache.get_or_create(
        _photographs_name(), lambda work: _fetch(work, quiet), what="the photographs", quiet=quiet
    )
    return Found(root, "download", "photographs", f"downloaded from {URL.split('/')[2]}")


def _fetch(work: Path, quiet: bool) -> Path:
    """Download and unpack the photographs into an empty folder; return the one with the splits."""
    sizes = {"size_bytes": SIZE_BYTES, "unpacked_bytes": SIZE_BYTES}
    unpacked, parts = work / "unpacked", cache.cache_dir() / "downloads"
    try:
        settings = sizes | {"parts": parts, "quiet": quiet}
        archive = downloads.download(URL, work, sha256=SHA256, **settings)
        shutil.unpack_archive(archive, unpacked, "zip")
    except ConnectionError:
        raise
    except shutil.ReadError as error:
        raise ConnectionError("the file that arrived is no zip archive") from error
    except OSError as error:
        raise ConnectionError(str(files.named(error, unpacked))) from error
    finally:
        with contextlib.suppress(OSError):  # it stays while it holds a part
            parts.rmdir()
    for folder in (unpacked, *sorted(unpacked.iterdir())):
        if all((folder / split).is_dir() for split in SPLITS):
            return folder
    raise ConnectionError("the archive holds no folder with train and val")


def _synthetic(reason: str, quiet: bool) -> Found:
    """Draw the synthetic images into the cache, once."""

    def make(work: Path) -> Path:
        if not quiet:
            print("making the synthetic images, once; this takes about half a minute", flush=True)
        with downloads.progress_bar(quiet, desc="synthetic images", unit="image") as bar:

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            return synthetic.write(work / "synthetic", jobs=_drawing_jobs(), progress=progress)

    try:
        name, what = _synthetic_name(), "the synthetic images"
        root = cache.get_or_create(name, make, what=what, quiet=quiet)
    except PermissionError:
        raise
    except OSError as error:
        raise OSError(
            f"the synthetic images cannot be written to the cache {cache.cache_path()} "
            f"({error.strerror or error}): make room, or set ANTS_BEES_CACHE to another folder"
        ) from error
    clause = f"made by tutorial_utils.synthetic; {reason}"
    return Found(root, "synthetic", "synthetic images", clause)


def _photographs_name() -> str:
    return f"hymenoptera_data-{SHA256[:8]}"


def _synthetic_name() -> str:
    return f"synthetic-{synthetic.VERSION}"


def _drawing_jobs() -> int:
    """Return 2 in a notebook, else 1: new processes would import a script that calls this."""
    ipython = sys.modules.get("IPython")
    notebook = ipython is not None and hasattr(ipython.get_ipython(), "kernel")
    return min(2, os.cpu_count() or 1) if notebook else 1
