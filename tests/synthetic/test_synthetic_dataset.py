"""Tests of the synthetic set: files in folders of classes, repeatable, each with its own seed."""

import pytest

from tutorial_utils import synthetic

SMALL = {"train": {"ants": 1, "bees": 1}, "val": {"ants": 1, "bees": 1}}


def contents(folder) -> set[bytes]:
    return {file.read_bytes() for file in folder.rglob("*.jpg")}


def test_write_lays_the_set_out_as_folders_of_classes(tmp_path):
    done = []
    wanted = {"train": {"ants": 3, "bees": 2}, "val": {"ants": 1, "bees": 2}}
    root = synthetic.write(tmp_path / "set", **wanted, progress=lambda *now: done.append(now))
    found = {
        split: {label: len(list((root / split / label).iterdir())) for label in labels}
        for split, labels in wanted.items()
    }
    assert root == tmp_path / "set"
    assert found == wanted
    assert done == [(number, 8) for number in range(1, 9)]
    assert len(contents(root)) == len(list(root.rglob("*.jpg"))) == 8


def test_write_repeats_itself_and_another_seed_writes_another_set(tmp_path):
    first, again, other = (
        contents(synthetic.write(tmp_path / name, seed=seed, **SMALL))
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == again
    assert not first & other


def test_two_processes_write_the_same_files_as_one(tmp_path):
    done = []
    wanted = {"train": {}, "val": {"ants": 21, "bees": 2}}  # more than one portion of work
    one = synthetic.write(tmp_path / "one", **wanted)
    two = synthetic.write(tmp_path / "two", jobs=2, progress=lambda *n: done.append(n), **wanted)
    first, second = (
        {file.relative_to(root): file.read_bytes() for file in root.rglob("*.jpg")}
        for root in (one, two)
    )
    assert len(first) == 23 and first == second
    assert done == [(number, 23) for number in range(1, 24)]
    with pytest.raises(ValueError, match="jobs is 0; give 1 or more"):
        synthetic.write(tmp_path / "none", jobs=0, **SMALL)


@pytest.mark.parametrize(
    ("val", "seed", "message"),
    [
        ({"wasps": 1}, 0, "label is 'wasps'; allowed are"),
        ({"bees": -2}, 0, "val has -2 bees; give 0 or more"),
        ({"bees": 1}, -1, "seed is -1"),
    ],
)
def test_write_raises_before_it_writes_anything(val, seed, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        synthetic.write(tmp_path, train={"ants": 1}, val=val, seed=seed)
    assert list(tmp_path.iterdir()) == []


def test_origin_finds_the_label_and_the_seed_of_every_image_of_a_set(tmp_path):
    counts = {"ants": 2, "bees": 1}
    files = sorted(synthetic.write(tmp_path, train=counts, val=counts).rglob("*.jpg"))
    assert len(files) == 6
    for file in files:
        label, seed = synthetic.origin(file)
        assert synthetic.jpeg_bytes(label, seed=seed) == file.read_bytes()
    assert synthetic.origin("val/bees/bee_0007.jpg") == ("bees", 100_007)


@pytest.mark.parametrize(
    "path",
    ["val/bees/0013035.jpg", "bee_0007.jpg", "test/bees/bee_0007.jpg", "val/ants/bee_0007.jpg",
     "val/wasps/wasp_0001.jpg", "val/bees/bee_x.jpg", "val/bees/bee.jpg"],
)  # fmt: skip
def test_origin_raises_for_other_paths(path):
    message = r"no image of the synthetic set.*data.load\('synthetic'\)"
    with pytest.raises(ValueError, match=message):
        synthetic.origin(path)
