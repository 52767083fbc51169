"""Tests of the folder of lesson 12: its classes, its faults, and that it is always the same."""

from PIL import Image

from tutorial_utils import synthetic
from tutorial_utils.own_images import duplicates, folders
from tutorial_utils.synthetic import garden


def test_the_folder_holds_three_classes_and_four_faults(tmp_path):
    found = folders.read(garden.write(tmp_path / "set", each=4), quiet=True)
    assert found.classes == garden.CLASSES
    assert found.counts() == {"ants": 5, "bees": 4, "no insect": 4}
    assert [(p.path.as_posix(), p.reason) for p in found.problems] == [
        ("bees/broken.jpg", "cut short")
    ]
    assert found.odd == ("bees/notes.txt: .txt files are not read",)
    assert (tmp_path / "set/bees/.hidden.jpg").is_file()
    (group,) = duplicates.find(found)
    assert [found.name(i) for i in group] == ["ants/000 small.jpg", "ants/000.jpg"]


def test_the_files_are_always_the_same(tmp_path):
    contents = []
    for name in ("first", "second"):
        files = sorted((garden.write(tmp_path / name, each=2)).rglob("*.*"))
        contents.append([path.read_bytes() for path in files])
    assert contents[0] == contents[1]


def test_no_insect_is_on_the_ground_of_both_other_classes(tmp_path):
    garden.write(tmp_path, each=2)
    for number, ground in enumerate(("ants", "bees")):
        with Image.open(tmp_path / f"no insect/{number:03}.jpg") as image:
            assert image.size == synthetic.background(ground, seed=5000 + number).size
