"""Collections: data sets from some of the images, and features cached by their contents."""

import numpy as np
import pytest
import torch
from sample_folders import TO_TENSOR, make_image, put
from torch import nn

from tutorial_utils import data, features
from tutorial_utils.own_images.folders import read


def test_a_data_set_has_the_chosen_images_in_their_order(folder):
    found = read(folder, quiet=True)
    every = found.dataset()
    assert (len(every), every.targets) == (10, list(found.labels))
    assert (every.classes, every.class_to_idx["wasps"]) == (list(found.classes), 2)
    assert every[0][0].mode == "RGB"
    some = found.dataset(np.array([7, 0]), TO_TENSOR)
    assert some.samples == [(str(found.files[7]), 2), (str(found.files[0]), 0)]
    assert some[0][0].shape == (3, 8, 8)
    assert torch.equal(some[1][0], TO_TENSOR(make_image(0)))
    batches = list(data.loader(some, batch_size=4))
    assert batches[0][1].tolist() == [2, 0]
    assert len(found.dataset([])) == 0


def test_wrong_indices_and_sizes_raise_an_error(folder):
    found = read(folder, quiet=True)
    for index in (10, -1, 1.5, True):
        with pytest.raises(ValueError, match=f"no image {index}: .* whole numbers from 0 to 9, "):
            found.dataset([index])
    for side in (0, 2.5, True):
        with pytest.raises(ValueError, match=f"least_side must be a whole number .*, not {side}"):
            found.dataset(least_side=side)
    with pytest.raises(ValueError, match="PIL images, which cannot be batched"):
        data.loader(found.dataset())


def test_a_data_set_can_decode_small(tmp_path):
    for name in ("a/1.jpg", "b/1.jpg"):
        put(tmp_path / name, image=make_image(name.count("a"), (640, 480)))
    found = read(tmp_path, quiet=True)
    assert found.dataset()[0][0].size == (640, 480)
    assert found.dataset(least_side=100)[0][0].size == (160, 120)


def test_features_are_cached_by_the_contents_of_the_images(folder):
    found, backbone = read(folder, quiet=True), nn.Flatten()
    first = features.extract(backbone, found.dataset([0, 5], TO_TENSOR), quiet=True)
    assert (first.values.shape, first.labels.tolist()) == ((2, 192), [0, 1])
    again = features.extract(backbone, found.dataset([0, 5], TO_TENSOR), quiet=True)
    assert again.from_cache
    assert not features.extract(backbone, found.dataset([5, 0], TO_TENSOR), quiet=True).from_cache
    small = found.dataset([0, 5], TO_TENSOR, least_side=8)
    assert not features.extract(backbone, small, quiet=True).from_cache
    put(folder / "ants/00.png", 12345)
    changed = features.extract(backbone, found.dataset([0, 5], TO_TENSOR), quiet=True)
    assert not changed.from_cache
    assert not torch.equal(changed.values[0], first.values[0])
