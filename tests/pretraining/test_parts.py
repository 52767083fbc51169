"""Archives divided into parts: together they hold the same images, and each is a dataset."""

import dataset
import parts
import pytest
from test_dataset import tree, zipped


def test_the_parts_hold_all_images_and_each_is_a_dataset(tmp_path):
    files = tree(ant=4, bee=4)
    train = {name: content for name, content in files.items() if name.startswith("train")}
    for number in range(2):
        zipped(tmp_path / f"train_{number}.zip", dict(list(train.items())[number::2]))
    zipped(tmp_path / "val.zip", {name: c for name, c in files.items() if name not in train})
    folders = parts.divide(tmp_path, tmp_path / "out")
    found = [dataset.load(folder, side=8) for folder in folders]
    assert [(len(one.train), len(one.val)) for one in found] == [(4, 4), (4, 4)]
    whole = dataset.load([path for folder in folders for path in folder.iterdir()], side=8)
    assert (len(whole.train), len(whole.val)) == (8, 8)


def test_a_folder_without_archives_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="needs train_.*zip and val.zip"):
        parts.divide(tmp_path, tmp_path / "out")
