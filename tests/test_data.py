"""Tests of `tutorial_utils.data`: folders, the audit, data sets, loaders."""

import os
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from image_sets import encoded, make_set, photograph, png
from PIL import Image

from tutorial_utils import data, synthetic
from tutorial_utils._support.presets import preset as make_preset

REAL = os.environ.get("ANTS_BEES_DIR", "")
PRESET = make_preset(8, 10)


@pytest.fixture
def folder(tmp_path):
    return make_set(tmp_path / "mine")


# Folders that cannot be used


@pytest.mark.parametrize("call", [data.load, data.audit])
def test_a_path_that_is_no_folder(call, tmp_path):
    message = "does not exist: .*nowhere; expected are train/<class>/ and val/<class>/"
    with pytest.raises(FileNotFoundError, match=message):
        call(tmp_path / "nowhere")
    (tmp_path / "set.zip").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match="is a file: .*Unpack it first"):
        call(tmp_path / "set.zip")


@pytest.mark.parametrize(
    ("folders", "error", "message"),
    [
        ([], FileNotFoundError, r"lacks train and val \(it holds no folders\)"),
        (["my_train", "val"], FileNotFoundError, "lacks train .it holds my_train, val.*train/<cla"),
        (
            ["train", "my_val"],
            FileNotFoundError,
            "lacks val .it holds my_val.*; expected are train",
        ),
        (["my_train"], FileNotFoundError, "lacks train and val .it holds my_train"),
        (["train", "val"], ValueError, r"has 0 classes \(none\), and two or more are needed"),
        (["train/a", "val/a"], ValueError, r"has 1 class \(a\), and two or more are needed"),
        (
            ["train/a", "train/b", "val/a", "val/c"],
            ValueError,
            "differ: train has a, b; val has a, c. Give both the same folders",
        ),
    ],
)
def test_folders_that_are_no_set(folders, error, message, tmp_path):
    for name in folders:
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(error, match=message):
        data.load(tmp_path)


def test_folder_one_too_high_says_which_is_meant(folder):
    with pytest.raises(FileNotFoundError, match=r"lacks train and val .* Did you mean .*mine\?"):
        data.load(folder.parent)


@pytest.mark.parametrize("left", [None, "notes.txt", "image.gif", ".hidden.jpg"])
def test_class_that_is_empty(folder, left):
    for path in (folder / "val" / "ants").iterdir():
        path.unlink()
    if left:
        Image.new("RGB", (8, 8)).save(folder / "val" / "ants" / left, "PNG")
    with pytest.raises(ValueError, match=r"class val/ants of .* is empty: put images .*\.jpg"):
        data.load(folder)


def test_class_that_is_emptied_by_skipping(folder):
    (folder / "val" / "ants" / "ants_0.jpg").write_bytes(b"")
    message = r"no image of the class val/ants .*: val/ants/ants_0.jpg \(empty, 0 bytes\)"
    with pytest.raises(ValueError, match=message):
        data.load(folder)


# The audit


BAD = {
    "cut.jpg": (encoded(photograph())[:-300], "cut short"),
    "cut.png": (encoded(photograph(), "PNG")[:-300], "cut short"),
    "empty.jpg": (b"", "empty, 0 bytes"),
    "fraction.tif": (encoded(Image.new("F", (4, 4)), "TIFF"), "its pixels are fractions"),
    "huge.png": (png(30_000, 30_000), "far more than 60 megapixels"),
    "large.png": (png(9_500, 9_500), "9500 x 9500 pixels, more than 60 megapixels"),
    "letter.jpg": (encoded(photograph(), "EPS"), "not an image"),  # would start Ghostscript
    "long.tif": (encoded(Image.new("I", (4, 4), 70_000), "TIFF"), "its pixels are numbers of 32"),
    "page.jpg": (b"<html>not found</html>", "not an image"),
    "start.jpg": (encoded(photograph())[:20], "not an image"),
    "text.jpeg": ("Ameisen".encode("utf-16"), "not an image"),
    "thin.png": (png(30_000, 1), "30000 x 1 pixels, too long and narrow"),
}


def test_audit_lists_all_problems_with_reasons(folder):
    for name, (content, _) in BAD.items():
        (folder / "train" / "ants" / name).write_bytes(content)
    (folder / "val" / "bees" / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = data.audit(folder)
    assert [p.path.as_posix() for p in report.problems] == [
        *(f"train/ants/{name}" for name in BAD),
        "val/bees/gone.jpg",
    ]
    for problem, (_, reason) in zip(report.problems, BAD.values(), strict=False):
        assert problem.reason.startswith(reason)
    assert report.problems[-1].reason == "a broken link"
    assert report.counts == {"train": {"ants": 2, "bees": 3}, "val": {"ants": 1, "bees": 1}}
    assert report.odd == ()


def test_load_skips_problems_by_name(folder, capsys):
    for name in ("cut.jpg", "empty.jpg", "page.jpg"):
        (folder / "train" / "ants" / name).write_bytes(BAD[name][0])
    (folder / "val" / "bees" / "page.jpg").write_bytes(BAD["page.jpg"][0])
    images = data.load(folder)
    assert capsys.readouterr().out.splitlines() == [
        f"images: 7 images of your own, 5 train, 2 val (the folder {folder})",
        "skipped 1, cut short: train/ants/cut.jpg",
        "skipped 1, empty, 0 bytes: train/ants/empty.jpg",
        "skipped 2, not an image: train/ants/page.jpg, val/bees/page.jpg",
    ]
    assert len(images.dataset("train")) == 5
    assert len(images.dataset("val")) == 2
    for image, _ in images.dataset("train"):
        assert image.size == (24, 16)


def test_load_names_ten_and_counts_the_rest(folder, capsys):
    for number in range(12):
        (folder / "train" / "ants" / f"none_{number:02}.jpg").write_bytes(b"")
    data.load(folder)
    line = capsys.readouterr().out.splitlines()[1]
    assert line.startswith("skipped 12, empty, 0 bytes: train/ants/none_00.jpg, ")
    assert line.endswith("train/ants/none_09.jpg and 2 more")


def test_audit_counts_what_is_odd(folder):
    (folder / "test" / "ants").mkdir(parents=True)
    (folder / "train" / "ants" / "imageNotFound.gif").write_bytes(b"GIF89a")
    (folder / "train" / "ants" / "README").write_text("x")
    (folder / "train" / "ants" / "._ants_0.jpg").write_bytes(b"x")
    (folder / "train" / "loose.jpg").write_bytes(b"x")
    (folder / "val" / ".ipynb_checkpoints").mkdir()
    (folder / "val" / ".ipynb_checkpoints" / "ants.jpg").write_bytes(b"x")
    report = data.audit(folder)
    assert report.odd == (
        "test/: only train and val are read",
        "train/loose.jpg: outside the folders of the classes",
        "train/ants/._ants_0.jpg: hidden",
        "train/ants/README: ImageFolder reads no files without an ending",
        "train/ants/imageNotFound.gif: ImageFolder reads no .gif files",
        "val/.ipynb_checkpoints/ants.jpg: hidden",
    )
    assert report.problems == ()
    images = data.load(folder, quiet=True)
    assert images.dataset("val").classes == ["ants", "bees"]
    assert len(images.dataset("train")) == 5


def test_links_and_leftovers_are_odd(folder):
    (folder / "train" / "ants" / "again").symlink_to(folder / "train")
    (folder / "train" / "bees" / "more").symlink_to(folder / "val" / "bees")
    for name in ("train/__MACOSX/ants.jpg", "val/ants/Thumbs.db"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    images = data.load(folder, quiet=True)
    assert images.classes == ("ants", "bees")
    assert images.audit.odd == (
        "train/ants/again/: a link back to a folder above it",
        "train/bees/more/: a link into the same folder of images",
        "train/__MACOSX/ants.jpg: left behind by a program or an operating system",
        "val/ants/Thumbs.db: left behind by a program or an operating system",
    )
    train = images.dataset("train")
    assert [Path(path).name for path, _ in train.samples] == [
        *("ants_0.jpg", "ants_1.jpg", "bees_0.jpg", "bees_1.jpg", "bees_2.jpg")
    ]
    assert images.counts()["train"] == {"ants": 2, "bees": 3}


def test_audit_of_a_folder_in_the_home_folder(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("USERPROFILE", str(folder.parent))
    assert data.audit("~/mine") == data.audit(folder)


def test_audit_as_a_table(folder):
    (folder / "train" / "ants" / "empty.jpg").write_bytes(b"")
    (folder / "train" / "ants" / "notes.txt").write_text("x")
    assert str(data.audit(folder)).splitlines() == [
        "split  class  images  problems",
        "train  ants        2         1",
        "train  bees        3         0",
        "val    ants        1         0",
        "val    bees        1         0",
        "problem: train/ants/empty.jpg: empty, 0 bytes",
        "odd: train/ants/notes.txt: ImageFolder reads no .txt files",
    ]


def test_audit_of_other_layouts(folder):
    flat = data.audit(folder / "train")
    assert flat.counts == {".": {"ants": 2, "bees": 3}}
    (folder / "train" / "bees" / "bad.jpg").write_bytes(b"")
    assert str(data.audit(folder / "train")).splitlines()[2] == ".      bees        3         1"
    (folder / "val").rename(folder / "other")
    half = data.audit(folder)
    assert half.counts == {"train": {"ants": 2, "bees": 3}}
    assert half.odd == ("other/: only train and val are read",)


def test_images_in_folders_below_a_class(folder):
    below = folder / "train" / "ants" / "2019" / "may"
    below.mkdir(parents=True)
    photograph().save(below / "UPPER.JPG")
    (below / "bad.jpg").write_bytes(b"")
    images = data.load(folder, quiet=True)
    assert images.counts()["train"]["ants"] == 3
    assert [p.path.as_posix() for p in images.audit.problems] == ["train/ants/2019/may/bad.jpg"]
    assert len(images.dataset("train")) == 6


# Data sets


def test_dataset_is_torchvisions(folder):
    images = data.load(folder, quiet=True)
    found = images.dataset("train")
    assert isinstance(found, torchvision.datasets.ImageFolder)
    assert "ImageFolder" in repr(found)
    plain = torchvision.datasets.ImageFolder(folder / "train")
    assert found.samples == plain.samples
    assert found.class_to_idx == {"ants": 0, "bees": 1}
    assert tuple(found.classes) == images.classes
    image, label = found[4]
    assert (image.mode, image.size, label) == ("RGB", (24, 16), 1)


def test_counts_are_a_copy(folder):
    images = data.load(folder, quiet=True)
    images.counts()["train"]["ants"] = 99
    assert images.counts()["train"]["ants"] == 2


@pytest.fixture
def large(tmp_path):
    for split in data.SPLITS:
        for label in ("ants", "bees"):
            folder = tmp_path / split / label
            folder.mkdir(parents=True)
            Image.linear_gradient("L").resize((400, 320)).convert("RGB").save(folder / "a.jpg")
    return data.load(tmp_path, quiet=True)


@pytest.mark.parametrize(
    ("least_side", "size"),
    [(None, (400, 320)), (320, (400, 320)), (161, (400, 320)), (160, (200, 160)), (1, (50, 40))],
)
def test_jpegs_are_decoded_no_smaller_than_asked(least_side, size, large):
    image, label = large.dataset("val", least_side=least_side)[1]
    assert (image.size, label) == (size, 1)


def test_the_reduced_image_looks_the_same(large):
    whole = np.asarray(large.dataset("val")[0][0].resize((100, 80)), dtype=float)
    reduced = large.dataset("val", least_side=100)[0][0]
    assert reduced.size == (200, 160)
    assert abs(np.asarray(reduced.resize((100, 80)), dtype=float) - whole).mean() < 2


def test_images_in_memory_are_decoded_once(large):
    kept, fresh = large.dataset("train", in_memory=True), large.dataset("train")
    assert kept[0][0] is kept[0][0]
    assert fresh[0][0] is not fresh[0][0]
    assert kept[0][0].tobytes() == fresh[0][0].tobytes()


def test_datasets_that_do_not_exist(large):
    with pytest.raises(ValueError, match="unknown split 'test'; allowed: train, val"):
        large.dataset("test")
    with pytest.raises(ValueError, match="least_side must be a whole number from 1, not 0"):
        large.dataset("val", least_side=0)


def test_example_is_the_listed_image_or_the_first(folder):
    images = data.load(folder, quiet=True)
    assert data.example_index(images.dataset("val")) == 0
    for name in data.image_sources.EXAMPLES:
        (folder / "val/bees/bees_0.jpg").rename(folder / "val/bees" / name)
        dataset = data.load(folder, quiet=True).dataset("val")
        assert Path(dataset.samples[data.example_index(dataset)][0]).name == name
        (folder / "val/bees" / name).rename(folder / "val/bees/bees_0.jpg")


def test_synthetic_example_is_an_ant_that_write_draws():
    label, seed = synthetic.origin(Path("val/ants") / data.image_sources.EXAMPLES[1])
    first = synthetic.origin("val/ants/ant_0000.jpg")[1]
    assert label == "ants"
    assert 0 <= seed - first < data.PHOTOGRAPHS["val"]["ants"]


# Loaders


def test_loader_batches(folder):
    found = data.load(folder, quiet=True).dataset("train", PRESET)
    batches = list(data.loader(found, batch_size=np.int64(2)))
    assert (batches[0][0].shape, batches[0][0].dtype) == ((2, 3, 8, 8), torch.float32)
    assert [len(labels) for _, labels in batches] == [2, 2, 1]  # the last one is short
    assert torch.cat([labels for _, labels in batches]).tolist() == [0, 0, 1, 1, 1]
    assert data.loader(found).batch_size == 20


def test_loader_order_is_the_global_generators():
    numbers = torch.utils.data.TensorDataset(torch.arange(50))

    def order(seed):
        torch.manual_seed(seed)
        return torch.cat([batch for (batch,) in data.loader(numbers, shuffle=True)]).tolist()

    assert order(1) == order(1) != order(2)
    assert sorted(order(1)) == list(range(50))


def test_loader_of_what_cannot_be_batched(folder):
    with pytest.raises(ValueError, match="batch_size must be a whole number from 1, not 2.0"):
        data.loader([1, 2], batch_size=2.0)
    with pytest.raises(ValueError, match="the data set is empty"):
        data.loader([])
    with pytest.raises(ValueError, match=r"make it with a transform, such as images\.dataset"):
        data.loader(data.load(folder, quiet=True).dataset("train"))


# The photographs


@pytest.mark.photos
def test_photographs_are_known_and_counted(monkeypatch):
    monkeypatch.setenv("ANTS_BEES_DIR", REAL)
    images = data.load(quiet=True)
    assert (images.origin, images.kind) == ("folder", "photographs")
    assert images.counts() == data.PHOTOGRAPHS
    assert (len(images.dataset("train")), len(images.dataset("val"))) == (244, 153)
    assert images.summary == (
        "images: 397 photographs, 244 train, 153 val (the folder in ANTS_BEES_DIR)"
    )


@pytest.mark.photos
def test_example_is_among_the_photographs():
    dataset = data.load(REAL, quiet=True).dataset("val")
    index = data.example_index(dataset)
    assert Path(dataset.samples[index][0]).name == data.image_sources.EXAMPLES[0]
    assert dataset.targets[index] == dataset.class_to_idx["ants"]


@pytest.mark.photos
def test_photographs_have_one_placeholder_and_no_problem_found_in_seconds():
    start = time.process_time()
    report = data.audit(REAL)
    assert report.problems == ()
    assert report.odd == ("train/ants/imageNotFound.gif: ImageFolder reads no .gif files",)
    assert time.process_time() - start < 3


@pytest.mark.photos
def test_photographs_are_the_pixels_that_torchvision_reads(monkeypatch):
    found = data.load(REAL, quiet=True).dataset("val")
    plain = torchvision.datasets.ImageFolder(Path(REAL) / "val")
    assert found.samples == plain.samples
    for index in range(0, 153, 30):
        assert found[index][0].tobytes() == plain[index][0].tobytes()
