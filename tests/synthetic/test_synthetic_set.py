"""Tests of the drawn backgrounds: the same image without its insects, and who drew which."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from tutorial_utils import synthetic

SMALL = (160, 120)


def apart(one, other) -> np.ndarray:
    """Return by how much two images differ at each pixel, (H, W)."""
    return np.abs(np.asarray(one, int) - np.asarray(other, int)).max(axis=2)


def pair(label, seed, **options):
    drawn = synthetic.draw(label, seed=seed, size=SMALL)
    return drawn, synthetic.background(label, seed=seed, size=SMALL, **options)


@pytest.mark.parametrize("label", synthetic.CLASSES)
@pytest.mark.parametrize("seed", range(4))
def test_with_shadows_a_background_differs_only_where_the_insect_is(label, seed):
    drawn, bare = pair(label, seed, shadows=True)
    there = apart(drawn, bare) > 0
    assert 0.02 < there.mean() < 0.6
    assert np.median(apart(drawn, bare)[there]) > 20
    # What is left alone is left alone to the last bit, noise and all.
    assert (np.asarray(drawn)[~there] == np.asarray(bare)[~there]).all()


def test_without_shadows_they_are_gone_as_well():
    drawn, bare = pair("bees", 1)
    _, shaded = pair("bees", 1, shadows=True)
    shadow = apart(shaded, bare) > 0
    assert shadow.mean() > 0.03
    mean = {name: np.asarray(page, float)[shadow].mean() for name, page in
            {"bare": bare, "shaded": shaded}.items()}  # fmt: skip
    assert mean["shaded"] < mean["bare"] - 5
    assert (apart(drawn, bare) > 0).mean() > (apart(drawn, shaded) > 0).mean()


def test_a_background_has_the_size_of_its_image_and_repeats_itself():
    drawn = synthetic.draw("ants", seed=7)
    once, again = (synthetic.background("ants", seed=7) for _ in range(2))
    assert (once.size, once.mode) == (drawn.size, "RGB")
    assert once.tobytes() == again.tobytes()
    assert once.tobytes() != synthetic.background("ants", seed=8).tobytes()


def test_drawing_a_background_leaves_the_drawings_as_they_were():
    def digest():
        return hashlib.sha256(synthetic.jpeg_bytes("bees", seed=11)).hexdigest()

    before = digest()
    synthetic.background("bees", seed=11)
    assert digest() == before
    assert synthetic.VERSION == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"label": "wasps", "seed": 0}, "label is 'wasps'; allowed are 'ants', 'bees'"),
        ({"label": "ants", "seed": -1}, "seed is -1; give a whole number of 0 or more"),
        ({"label": "ants", "seed": 0, "size": (10, 90)}, "give a width and a height of at least"),
    ],
)
def test_a_background_refuses_what_a_drawing_refuses(options, said):
    label = options.pop("label")
    with pytest.raises(ValueError, match=said):
        synthetic.background(label, **options)


def test_origin_finds_the_label_and_the_seed_of_every_image_of_a_set(tmp_path):
    counts = {"ants": 2, "bees": 1}
    root = synthetic.write(tmp_path, train=counts, val=counts)
    files = sorted(root.rglob("*.jpg"))
    assert len(files) == 6
    for file in files:
        label, seed = synthetic.origin(file)
        assert synthetic.jpeg_bytes(label, seed=seed) == file.read_bytes()
    assert synthetic.origin("val/bees/bee_0007.jpg") == ("bees", 100_007)
    with Image.open(io.BytesIO(files[0].read_bytes())) as image:
        assert image.size == synthetic.background(*synthetic.origin(files[0])[:1], seed=0).size


@pytest.mark.parametrize(
    "path",
    ["val/bees/0013035.jpg", "bee_0007.jpg", "test/bees/bee_0007.jpg", "val/ants/bee_0007.jpg",
     "val/wasps/wasp_0001.jpg", "val/bees/bee_x.jpg", "val/bees/bee.jpg"],
)  # fmt: skip
def test_origin_refuses_other_images(path):
    with pytest.raises(
        ValueError, match=r"no image of the synthetic set.*data.load\('synthetic'\)"
    ):
        synthetic.origin(path)
