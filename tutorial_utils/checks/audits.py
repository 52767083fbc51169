"""The small folder of lesson 14's first check, and what an audit of it must find."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tutorial_utils.checks.verdict import expect, kind


def write_folder(root: Path) -> tuple[set[str], list[set[str]]]:
    """Write 14 files of two classes; return the broken ones and the groups of near-duplicates."""
    images = {name: _soft_image(seed) for seed, name in enumerate("abcdefgh")}
    for name, image in images.items():
        path = root / ("left" if name < "e" else "right") / f"{name}.jpg"
        path.parent.mkdir(exist_ok=True)
        image.save(path, quality=90)
    images["b"].reduce(2).save(root / "left" / "p.png")
    images["b"].save(root / "right" / "q.jpg", quality=40)
    whole = (root / "right" / "f.jpg").read_bytes()
    (root / "right" / "r.jpg").write_bytes(whole)
    (root / "right" / "x.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "left" / "y.jpg").write_bytes(b"")
    (root / "left" / "z.png").write_text("no image at all")
    groups = [{"left/b.jpg", "left/p.png", "right/q.jpg"}, {"right/f.jpg", "right/r.jpg"}]
    return {"right/x.jpg", "left/y.jpg", "left/z.png"}, groups


def contents(root: Path) -> dict[str, bytes]:
    """Return every file below a folder with its bytes."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def is_list(value: Any) -> bool:
    """Return whether a value is a list, or something as good: a tuple, a set, an array."""
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


def names(value: Any, hint: str) -> set[str]:
    """Return files as "class/name", whether they were given as texts or paths."""
    expect(is_list(value), f"expected a list of files, not {kind(value)}", hint=hint)
    files = list(value)
    texts = [isinstance(file, str | Path) for file in files]
    expect(all(texts), f"expected files, not {files[:3]}", hint="give each as a text or a Path")
    return {"/".join(Path(file).parts[-2:]) for file in files}


def check_broken(got: set[str], want: set[str]) -> None:
    """Expect the broken files and no others."""
    whole = sorted(got - want)
    expect(not whole, f"{whole[:3]} can be opened", hint="list only what cannot be decoded")
    expect(
        "right/x.jpg" in got,
        "a truncated file is missing",
        hint="its beginning is in order, and `verify` looks no further: decode all pixels",
    )
    missing = sorted(want - got)
    expect(not missing, f"{missing} cannot be opened", hint="catch the error of each file")


def check_groups(got: list[set[str]], want: list[set[str]]) -> None:
    """Expect the groups of near-duplicates, whole or in pairs, and no others."""
    groups: list[set[str]] = []
    for group in filter(lambda one: len(one) > 1, got):  # pairs that share a file are joined
        touching = [one for one in groups if one & group]
        groups = [one for one in groups if not one & group] + [group.union(*touching)]
    for group in groups:
        fits = any(group <= one for one in want)
        expect(
            fits,
            f"{sorted(group)[:4]} do not all show the same",
            hint="compare images by a perceptual hash, as lesson 12 does, with a small distance",
        )
    found = set().union(*groups)
    missing = [sorted(one - found) for one in want if one - found]
    expect(
        not missing,
        f"near-duplicates are missing: {missing}",
        hint="a copy may have another size, quality, format or class, so its bytes differ",
    )
    expect(
        len(groups) == len(want),
        "the files of one image are in more than one group",
        hint="two files belong together if a third one resembles both",
    )


def _soft_image(seed: int) -> Any:
    """Return an image of soft patches, unlike that of any other seed."""
    import numpy as np
    from PIL import Image

    patches = np.random.default_rng((14, seed)).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize((96, 80), Image.Resampling.BICUBIC)
