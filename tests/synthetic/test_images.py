"""Tests of single synthetic images: repeatable, varied, and the same without their insects."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from tutorial_utils import synthetic
from tutorial_utils.synthetic import images, scenes

SMALL = (160, 120)
# Brightness of 3 × 4 squares of 16 pixels each in the images of seed 0 that version 2 draws.
VERSION_2 = {
    "ants": [[156, 142, 126, 133], [92, 84, 77, 122], [147, 135, 141, 143]],
    "bees": [[74, 90, 103, 97], [122, 95, 97, 96], [76, 91, 78, 70]],
}

every_class = pytest.mark.parametrize("label", synthetic.CLASSES)


def difference(first, second) -> np.ndarray:
    """Return by how much two images differ at each pixel, (H, W)."""
    return np.abs(np.asarray(first, int) - np.asarray(second, int)).max(axis=2)


def pair(label, seed, **options):
    image = synthetic.draw(label, seed=seed, size=SMALL)
    return image, synthetic.background(label, seed=seed, size=SMALL, **options)


@every_class
def test_an_image_that_changes_needs_a_new_version(label):
    image = synthetic.draw(label, seed=0, size=(64, 48)).convert("L").reduce(16)
    assert synthetic.VERSION == 2
    assert np.allclose(np.asarray(image, int), VERSION_2[label], atol=2)


def test_the_global_generator_is_neither_used_nor_moved():
    np.random.seed(0)
    first = synthetic.jpeg_bytes("bees", seed=1)
    before = np.random.get_state()[1].copy()
    synthetic.background("bees", seed=1)
    np.random.seed(1)
    assert synthetic.jpeg_bytes("bees", seed=1) == first
    np.random.seed(0)
    assert (np.random.get_state()[1] == before).all()


def test_seeds_and_classes_give_different_images():
    files = {
        synthetic.jpeg_bytes(label, seed=seed) for label in synthetic.CLASSES for seed in range(6)
    }
    assert len(files) == 12


class _Enough(Exception):
    """An image's size is known; it need not be drawn."""


def test_the_shape_of_an_image_does_not_reveal_the_class(monkeypatch):
    def note_size(rng, size, view):
        sizes[label].append(size)
        raise _Enough

    monkeypatch.setattr(images, "draw_ground", note_size)
    sizes = {label: [] for label in synthetic.CLASSES}
    for label in synthetic.CLASSES:
        for seed in range(1500):
            with pytest.raises(_Enough):
                synthetic.draw(label, seed=seed)
    ants, bees = (np.array(found) for found in sizes.values())
    for measure in (lambda s: s.max(axis=1), lambda s: s[:, 0] / s[:, 1], lambda s: s[:, 1]):
        assert stats.ks_2samp(measure(ants), measure(bees)).pvalue > 0.01


def test_the_quality_of_a_jpeg_does_not_reveal_the_class(monkeypatch):
    monkeypatch.setattr(images, "draw", lambda label, seed: Image.new("RGB", (8, 8)))
    tables = {
        label: [
            Image.open(io.BytesIO(synthetic.jpeg_bytes(label, seed=seed))).quantization
            for seed in range(100)
        ]
        for label in synthetic.CLASSES
    }
    assert tables["ants"] == tables["bees"]
    assert len({str(table) for table in tables["ants"]}) > 20


def test_scenes_differ_in_the_insects_only_of_which_ants_are_a_tenth_longer():
    view = scenes.random_view(np.random.default_rng(0))
    numbers = set()
    for seed in range(200):
        ants, bees = (
            scenes.place_insects(np.random.default_rng(seed), label, SMALL, view)
            for label in synthetic.CLASSES
        )
        numbers.add(len(ants))
        assert len(ants) == len(bees)
        assert ants[0][1].scale == pytest.approx(1.1 * bees[0][1].scale)
    assert numbers == {1, 2, 3, 4}


def test_jpegs_are_rgb_of_300_to_500_pixels_and_of_varied_shape():
    sizes = set()
    for seed in range(12):
        with Image.open(io.BytesIO(synthetic.jpeg_bytes("ants", seed=seed))) as image:
            assert (image.format, image.mode) == ("JPEG", "RGB")
            sizes.add(image.size)
    assert all(300 <= max(size) <= 500 and min(size) >= 190 for size in sizes)
    assert len(sizes) > 8
    assert len({width > height for width, height in sizes}) == 2


@pytest.mark.parametrize("function", [synthetic.draw, synthetic.background])
@pytest.mark.parametrize(
    ("label", "options", "message"),
    [
        ("wasps", {"seed": 0}, "label is 'wasps'; allowed are 'ants', 'bees'"),
        ("ant", {"seed": 0}, "label is 'ant'; allowed are 'ants', 'bees'"),
        ("ants", {"seed": -1}, "seed is -1; give a whole number of 0 or more"),
        ("ants", {"seed": 0, "size": (31, 200)}, r"size is \(31, 200\); give .* at least 32"),
    ],
)
def test_a_wrong_argument_raises_with_what_to_give(function, label, options, message):
    with pytest.raises(ValueError, match=message):
        function(label, **options)


@every_class
@pytest.mark.parametrize("seed", range(4))
def test_with_shadows_a_background_differs_only_where_the_insect_is(label, seed):
    image, bare = pair(label, seed, shadows=True)
    there = difference(image, bare) > 0
    assert 0.02 < there.mean() < 0.6
    assert np.median(difference(image, bare)[there]) > 20


def test_without_shadows_they_are_gone_as_well():
    image, bare = pair("bees", 1)
    _, shaded = pair("bees", 1, shadows=True)
    shadow = difference(shaded, bare) > 0
    assert shadow.mean() > 0.03
    assert np.asarray(shaded)[shadow].mean() < np.asarray(bare)[shadow].mean() - 5
    assert (difference(image, bare) > 0).mean() > (difference(image, shaded) > 0).mean()


def test_a_background_has_the_size_of_its_image_and_repeats_itself():
    image = synthetic.draw("ants", seed=7)
    first, again = (synthetic.background("ants", seed=7) for _ in range(2))
    assert (first.size, first.mode) == (image.size, "RGB")
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != synthetic.background("ants", seed=8).tobytes()
