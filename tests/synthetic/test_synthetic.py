"""Tests of the drawn images: repeatable, varied, laid out right, and no giveaway."""

import io

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tutorial_utils import synthetic

TRAIN, VAL = 110, 90  # images of each class for the tests of what gives the class away


@pytest.fixture(scope="module")
def images():
    """Small images (N, 96, 128, 3) of both classes, those for training first."""
    return {
        label: np.array(
            [synthetic.draw(label, seed=seed, size=(128, 96)) for seed in range(TRAIN + VAL)]
        )
        for label in synthetic.CLASSES
    }


def accuracy(images, describe):
    """Trains a linear classifier on a description of each image and validates it."""
    train, val = (
        np.concatenate([describe(images[label][part] / 255) for label in synthetic.CLASSES])
        for part in (slice(TRAIN), slice(TRAIN, None))
    )
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(train, np.repeat((0, 1), TRAIN))
    return model.score(val, np.repeat((0, 1), VAL))


@pytest.mark.parametrize("label", synthetic.CLASSES)
def test_the_same_seed_gives_the_same_bytes(label):
    once, again = (synthetic.jpeg_bytes(label, seed=5) for _ in range(2))
    assert once == again


def test_the_global_generator_is_neither_used_nor_moved():
    np.random.seed(0)
    once = synthetic.jpeg_bytes("bees", seed=1)
    before = np.random.get_state()[1].copy()
    np.random.seed(1)
    assert synthetic.jpeg_bytes("bees", seed=1) == once
    np.random.seed(0)
    assert (np.random.get_state()[1] == before).all()


def test_seeds_and_classes_give_different_images():
    files = {
        synthetic.jpeg_bytes(name, seed=seed) for name in synthetic.CLASSES for seed in range(6)
    }
    assert len(files) == 12


def test_jpegs_are_rgb_of_300_to_500_pixels_and_of_varied_shape():
    sizes = set()
    for seed in range(12):
        with Image.open(io.BytesIO(synthetic.jpeg_bytes("ants", seed=seed))) as image:
            assert (image.format, image.mode) == ("JPEG", "RGB")
            sizes.add(image.size)
    assert all(300 <= max(size) <= 500 and min(size) >= 190 for size in sizes)
    assert len(sizes) > 8
    assert len({width > height for width, height in sizes}) == 2


def test_a_size_asked_for_is_the_size_given():
    image = synthetic.draw("bees", seed=3, size=(200, 120))
    assert (image.size, image.mode) == ((200, 120), "RGB")


def test_an_unknown_label_lists_the_allowed_ones():
    with pytest.raises(ValueError, match=r"label is 'wasps'; allowed are 'ants', 'bees'"):
        synthetic.draw("wasps", seed=0)
    with pytest.raises(ValueError, match=r"label is 'ant'; allowed are 'ants', 'bees'"):
        synthetic.jpeg_bytes("ant", seed=0)


def test_a_negative_seed_or_a_tiny_size_says_what_to_give():
    with pytest.raises(ValueError, match="seed is -1; give a whole number of 0 or more"):
        synthetic.draw("ants", seed=-1)
    with pytest.raises(ValueError, match=r"size is \(31, 200\); give .* at least 32 pixels"):
        synthetic.draw("ants", seed=0, size=(31, 200))


def test_write_lays_the_set_out_as_folders_of_classes(tmp_path):
    done = []
    root = synthetic.write(
        tmp_path / "set",
        train={"ants": 3, "bees": 2},
        val={"ants": 1, "bees": 2},
        progress=lambda number, total: done.append((number, total)),
    )
    files = sorted(root.rglob("*.jpg"))
    counts = {f"{split}/{label}": len(list((root / split / label).iterdir()))
              for split in ("train", "val") for label in ("ants", "bees")}  # fmt: skip
    assert root == tmp_path / "set"
    assert counts == {"train/ants": 3, "train/bees": 2, "val/ants": 1, "val/bees": 2}
    assert done == [(number, 8) for number in range(1, 9)]
    assert len({file.read_bytes() for file in files}) == len(files) == 8


def test_write_repeats_itself_and_another_seed_writes_another_set(tmp_path):
    small = {"train": {"ants": 1, "bees": 1}, "val": {"ants": 1, "bees": 1}}
    sets = [
        {
            file.read_bytes()
            for file in synthetic.write(tmp_path / name, seed=seed, **small).rglob("*.jpg")
        }
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert sets[0] == sets[1]
    assert not sets[0] & sets[2]


def test_write_refuses_before_it_writes_anything(tmp_path):
    with pytest.raises(ValueError, match=r"label is 'wasps'; allowed are"):
        synthetic.write(tmp_path, train={"ants": 1}, val={"wasps": 1})
    with pytest.raises(ValueError, match="val asks for -2 bees; give 0 or more"):
        synthetic.write(tmp_path, train={"ants": 1}, val={"bees": -2})
    with pytest.raises(ValueError, match="seed is -1"):
        synthetic.write(tmp_path, train={"ants": 1}, val={"bees": 1}, seed=-1)
    assert list(tmp_path.iterdir()) == []


def test_mean_colour_does_not_give_the_class_away(images):
    assert accuracy(images, lambda batch: batch.mean(axis=(1, 2))) < 0.65


def test_the_background_does_not_give_the_class_away(images):
    edge = np.ones((96, 128), bool)
    edge[8:-8, 8:-8] = False
    assert accuracy(images, lambda batch: batch[:, edge].mean(axis=1)) < 0.65
