"""Near-duplicates: copies are found, different and plain images are not."""

import os
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter
from sample_folders import bare, make, make_image, put

from tutorial_utils import synthetic
from tutorial_utils.own_images import duplicates
from tutorial_utils.own_images.collection import Collection
from tutorial_utils.own_images.duplicates import ImageHash
from tutorial_utils.own_images.folders import read
from tutorial_utils.own_images.splits import split

COPIES = {
    "same.png": lambda image, path: image.save(path),
    "jpeg.jpg": lambda image, path: image.save(path, quality=60),
    "half.png": lambda image, path: image.resize((image.width // 2, image.height // 2)).save(path),
    "grey.png": lambda image, path: image.convert("L").save(path),
    "soft.png": lambda image, path: image.filter(ImageFilter.GaussianBlur(1)).save(path),
    "pale.png": lambda image, path: ImageEnhance.Contrast(image).enhance(0.7).save(path),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_are_found_and_others_are_not(folder, name):
    COPIES[name](make_image(7, (96, 80)), folder / "bees" / name)
    put(folder / "ants/07.png", 7, make_image(7, (96, 80)))
    found = read(folder, quiet=True)
    pair = tuple(i for i in range(len(found.files)) if found.files[i].stem in {"07", name[:4]})
    assert duplicates.find(found) == (pair,)
    assert duplicates.conflicts(found, duplicates.find(found)) == (pair,)


def test_the_hash_is_that_of_imagehash(folder):
    import imagehash

    found = read(folder, quiet=True)
    for found_hash, path in zip(found.hashes, found.files, strict=True):
        assert (found_hash.bits == imagehash.phash(Image.open(path)).hash.ravel()).all()
        assert found_hash.colours is None


def test_the_same_file_is_found_at_distance_0(folder):
    (folder / "wasps/copy.png").write_bytes((folder / "ants/02.png").read_bytes())
    found = read(folder, quiet=True)
    assert duplicates.find(found, distance=0) == ((2, 10),)


def test_synthetic_images_are_all_different(tmp_path):
    few = {"ants": 6, "bees": 6}
    synthetic.write(tmp_path, train=few, val=few)
    found = read(tmp_path, quiet=True)
    assert duplicates.find(found) == ()
    assert len(duplicates.find(found, distance=64)) == 1


def plain_set(root):
    """Write different images without structure, so plain that their hashes are noise."""
    shade = Image.fromarray(np.tile(np.arange(0, 256, 4, dtype=np.uint8), (48, 1)))
    half = Image.new("L", (64, 48))
    ImageDraw.Draw(half).rectangle((0, 0, 30, 48), fill=255)
    left = shade.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    down = shade.transpose(Image.Transpose.ROTATE_270)
    images = {"right": shade, "left": left, "down": down, "half": half}
    for name in ("red", "blue", "white", "#808080", "#888888"):
        images[name] = Image.new("RGB", (64, 48), name)
    for name, plain in images.items():
        put(root / "plain" / f"{name}.png", image=plain.convert("RGB"))
    return root


def test_different_plain_images_are_not_grouped(tmp_path):
    found = read(plain_set(make(tmp_path, {"ants": 2})), quiet=True)
    assert [one.colours is not None for one in found.hashes] == [False] * 2 + [True] * 9
    bits = [one.bits for one in found.hashes[2:]]
    assert sum((a != b).sum() <= 6 for a in bits for b in bits) > 9 + 20, "the hash is enough"
    assert duplicates.find(found) == ()


def test_copies_of_plain_images_are_found(tmp_path):
    plain_set(make(tmp_path, {"ants": 2}))
    for name in ("red", "#808080", "right"):
        image = Image.open(tmp_path / "plain" / f"{name}.png").resize((32, 24))
        image.save(tmp_path / "plain" / f"{name}_small.jpg", quality=50)
    found = read(tmp_path, quiet=True)
    names = [tuple(found.files[i].stem for i in group) for group in duplicates.find(found)]
    assert names == [(name, f"{name}_small") for name in ("#808080", "red", "right")]


def hashes(rows):
    return tuple(ImageHash(np.array(row, dtype=bool), None) for row in rows)


def test_groups_are_chained():
    steps = [[1] * n + [0] * (64 - n) for n in (0, 6, 12, 30, 36, 64)]
    found = bare([0] * 6, hashes=hashes(steps))
    assert duplicates.find(found) == ((0, 1, 2), (3, 4))
    assert duplicates.find(found, distance=5) == ()
    assert duplicates.find(found, distance=18) == ((0, 1, 2, 3, 4),)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 60), st.integers(0, 30), st.integers(0, 2**32 - 1))
def test_groups_are_what_comparing_all_pairs_gives(count, distance, seed):
    rng = np.random.default_rng(seed)
    bits = rng.random((count, 64)) < 0.15
    found = bare([0] * count, hashes=hashes(bits))
    linked = (bits[:, None] != bits).sum(axis=2) <= distance
    for _ in range(6):  # chains of up to 64 steps
        linked = linked @ linked
    expected = {tuple(row.nonzero()[0].tolist()) for row in linked if row.sum() > 1}
    groups = duplicates.find(found, distance=distance)
    assert set(groups) == expected and len(groups) == len(expected)


def test_five_thousand_images_are_compared_in_seconds():
    rng = np.random.default_rng(0)
    bits = rng.random((5000, 64)) < 0.5
    bits[[1, 700, 2999]], bits[600] = bits[0], bits[1100]  # pairs across the blocks too
    plain = np.zeros(64)
    shades = rng.integers(0, 256, (2000, 8, 8, 3), dtype=np.uint8)
    seen = hashes(bits[:3000]) + tuple(ImageHash(plain, shade) for shade in shades)
    found = bare([0] * 5000, hashes=seen)
    start = time.perf_counter()
    assert duplicates.find(found) == ((0, 1, 700, 2999), (600, 1100))
    assert time.perf_counter() - start < 20  # about 1 on two idle cores


def test_a_collection_without_hashes_is_hashed(folder):
    found = read(folder, quiet=True)
    by_hand = Collection(found.root, found.files, found.labels, found.classes)
    assert by_hand == found
    assert duplicates.find(by_hand) == ()
    broken = Collection(found.root, (folder / "gone.png",), (0,), ("a",))
    with pytest.raises(FileNotFoundError, match="there is no image .*gone.png"):
        duplicates.find(broken)


@pytest.mark.parametrize("distance", [-1, 65, 6.0, True, "6", None])
def test_a_distance_that_is_not_allowed_raises_an_error(folder, distance):
    found = read(folder, quiet=True)
    for call in (duplicates.find, split):
        with pytest.raises(
            ValueError, match=f"distance must be a whole number from 0 to 64, not {distance!r}"
        ):
            call(found, distance=distance)


@pytest.mark.photos
def test_the_photographs_have_no_near_duplicates():
    found = read(os.environ["ANTS_BEES_DIR"], quiet=True)
    assert found.counts() == {"ants": 193, "bees": 204}
    assert found.odd == ("train/ants/imageNotFound.gif: .gif files are not read",)
    assert duplicates.find(found) == duplicates.find(found, distance=10) == ()
    assert split(found).crossing == ()
