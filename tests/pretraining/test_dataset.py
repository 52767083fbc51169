"""Datasets for pretraining: folders, archives, skipped files, sizes and memory."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import dataset
import pytest
import torch
from PIL import Image

PRETRAINING = Path(dataset.__file__).parent


def encoded(colour=(200, 30, 30), size=(12, 12), kind="PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


def tree(**counts: int) -> dict[str, bytes]:
    """Return {path: content} of a small set with `counts` images of each class in each split."""
    return {
        f"{split}/{name}/{number}.png": encoded((10 * number, 100 if split == "val" else 0, 0))
        for split in dataset.SPLITS
        for name, count in counts.items()
        for number in range(count)
    }


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def zipped(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def same(one: dataset.Split, other: dataset.Split) -> bool:
    return torch.equal(one.images, other.images) and torch.equal(one.labels, other.labels)


def test_a_folder_is_read_with_its_classes_and_splits(tmp_path):
    found = dataset.load(write(tmp_path, tree(bee=3, ant=2)), side=8)
    assert found.classes == ["ant", "bee"] and found.skipped == []
    assert found.train.images.shape == (5, 3, 8, 8) and found.train.images.dtype == torch.uint8
    assert found.train.labels.tolist() == [0, 0, 1, 1, 1] == found.val.labels.tolist()
    assert found.train.images[4].amax((1, 2)).tolist() == [20, 0, 0]
    assert found.val.images[4].amax((1, 2)).tolist() == [20, 100, 0]
    assert found.summary == "5 training and 5 validation images of 2 classes"


def test_archives_give_what_the_folder_gives(tmp_path):
    files = tree(ant=2, bee=3)
    folder = dataset.load(write(tmp_path / "folder", files), side=8)
    for number in range(2):
        zipped(tmp_path / f"part_{number}.zip", dict(list(files.items())[number::2]))
    for source in (sorted(tmp_path.glob("*.zip")), tmp_path):
        zips = dataset.load(source, side=8)
        assert sorted(zips.train.labels.tolist()) == folder.train.labels.tolist()
        assert zips.classes == folder.classes and len(zips.val) == len(folder.val)
    whole = zipped(tmp_path / "whole.zip", files)
    assert same(dataset.load(whole, side=8).train, folder.train)


def test_each_archive_is_opened_and_listed_once(tmp_path, monkeypatch):
    files = tree(ant=2, bee=3)
    for split in dataset.SPLITS:
        zipped(tmp_path / f"{split}.zip", {k: v for k, v in files.items() if split in k})
    calls = []

    class Counted(zipfile.ZipFile):
        def __init__(self, path, *arguments):
            calls.append(f"open {Path(path).name}")
            super().__init__(path, *arguments)

        def namelist(self):
            calls.append(f"list {Path(self.filename).name}")
            return super().namelist()

    monkeypatch.setattr(zipfile, "ZipFile", Counted)
    assert len(dataset.load(tmp_path, side=8).train) == 5
    assert sorted(calls) == ["list train.zip", "list val.zip", "open train.zip", "open val.zip"]


LOAD = """
import pathlib, re, sys
sys.path.insert(0, sys.argv[1])
import dataset

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])

dataset.load(sys.argv[2], side=8)
pathlib.Path("/proc/self/clear_refs").write_text("5")  # resets the peak
before = peak()
found = dataset.load(sys.argv[3], side=256)
print((peak() - before) * 1024 / (found.train.images.nbytes + found.val.images.nbytes))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_the_peak_is_the_memory_of_the_images(tmp_path):
    content = encoded(size=(256, 256))
    names = [f"{s}/{c}/{k}.png" for s in dataset.SPLITS for c in "ab" for k in range(60)]  # 47 MB
    large = zipped(tmp_path / "large.zip", dict.fromkeys(names, content))
    small = write(tmp_path / "small", tree(a=1, b=1))
    command = [sys.executable, "-c", LOAD, str(PRETRAINING), str(small), str(large)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 0.9 < float(done.stdout) < 1.3, "bytes of memory per byte of images"


def test_without_a_validation_set_every_twentieth_is_held_out(tmp_path):
    files = {f"{name}/{n:03}.png": encoded((n, 0, 0)) for name in "ab" for n in range(40)}
    files["a/000.png"] = b"no image"  # only images that can be read are counted
    found = dataset.load(write(tmp_path, files), side=8)
    assert (len(found.train), len(found.val)) == (75, 4)
    assert found.val.images.amax((1, 2, 3)).tolist() == [1, 21, 0, 20]
    assert found.val.labels.tolist() == [0, 0, 1, 1]


def test_images_of_any_size_are_brought_to_one(tmp_path):
    wide = Image.new("RGB", (60, 20), "black")
    wide.paste("white", (20, 0, 40, 20))  # the middle third
    file = io.BytesIO()
    wide.save(file, "PNG")
    files = tree(a=2, b=2) | {"train/a/wide.png": file.getvalue()}
    found = dataset.load(write(tmp_path, files), side=10)
    assert found.train.images[2].float().mean() > 230


def test_unreadable_files_are_skipped_counted_and_named(tmp_path):
    files = tree(a=3, b=3) | {
        "train/a/cut.jpg": encoded(kind="JPEG", size=(64, 64))[:-300],
        "train/b/text.png": b"no image",
        "val/b/empty.png": b"",
        "train/b/readme.txt": b"not an image's name",
        "train/b/.hidden.png": b"hidden",
    }
    found = dataset.load(write(tmp_path, files), side=8)
    assert len(found.train) == 6 and len(found.val) == 6
    names = [name for name, _ in found.skipped]
    assert names == ["train/a/cut.jpg", "train/b/text.png", "val/b/empty.png"]
    assert "3 skipped: train/a/cut.jpg (" in found.summary
    assert "train/b/text.png (not an image)" in found.summary


def test_the_summary_names_ten_skipped_files():
    skipped = [(f"{number}.png", "not an image") for number in range(12)]
    empty = dataset.Split(torch.empty(0), torch.empty(0))
    summary = dataset.Dataset(empty, empty, [], skipped).summary
    assert summary.endswith("9.png (not an image) and 2 more") and "10.png" not in summary


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no class with images: at least two are needed"),
        (tree(ant=3), "only one class, 'ant'"),
        (tree(a=1) | {"train/b/1.png": b"x"}, "no training image of b could be read; 1 files"),
        (
            {f"train/{k}/1.png": encoded() for k in "ab"} | {"val/a/1.png": b"x"},
            "no validation image could be read; 1 files were skipped: val/a/1.png",
        ),
    ],
)
def test_a_source_without_two_classes_is_refused(tmp_path, files, message):
    with pytest.raises(ValueError, match=message):
        dataset.load(write(tmp_path, files))


def test_a_source_that_is_neither_folder_nor_archive_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no .*nowhere"):
        dataset.load(tmp_path / "nowhere")
    (tmp_path / "text.zip").write_text("no archive", encoding="utf-8")
    for source in (tmp_path / "text.zip", [tmp_path, tmp_path]):
        with pytest.raises(ValueError, match="is no zip archive: give one folder, or"):
            dataset.load(source)


@pytest.mark.parametrize("side", [7, 64.0, True])
def test_side_must_be_a_whole_number(tmp_path, side):
    with pytest.raises(ValueError, match="side must be a whole number from 8, not"):
        dataset.load(tmp_path, side=side)


def test_several_processes_decode_what_one_does(tmp_path):
    archive = zipped(tmp_path / "set.zip", tree(ant=3, bee=3) | {"train/ant/bad.png": b"x"})
    one, two = (dataset.load(archive, side=8, jobs=jobs) for jobs in (1, 2))
    assert same(one.train, two.train) and same(one.val, two.val)
    assert one.skipped == two.skipped == [("train/ant/bad.png", "not an image")]


def test_a_share_is_spread_over_the_classes(tmp_path):
    found = dataset.load(write(tmp_path, tree(ant=8, bee=8)), side=8, share=0.25)
    assert found.train.labels.tolist() == found.val.labels.tolist() == [0, 0, 1, 1]
    with pytest.raises(ValueError, match="share must be above 0 and at most 1, not 0"):
        dataset.load(tmp_path, share=0)


def test_decoded_images_are_stored_once_for_each_setting(tmp_path, monkeypatch):
    write(tmp_path / "set", tree(ant=4, bee=4) | {"train/ant/bad.png": b"x"})
    given = tmp_path / "stored.safetensors", tmp_path / "set"
    first = dataset.load_stored(*given, side=8)
    loads, real = [], dataset.load
    monkeypatch.setattr(dataset, "load", lambda *a, **k: loads.append(k) or real(*a, **k))
    again = dataset.load_stored(*given, side=8, jobs=2)
    assert not loads and same(first.train, again.train) and same(first.val, again.val)
    assert (again.classes, len(again.skipped)) == (first.classes, 1)
    assert again.summary == first.summary
    assert len(dataset.load_stored(*given, side=8, share=0.5).train) == 4
    assert dataset.load_stored(*given, side=16).train.images.shape[-1] == 16
    assert len(loads) == 2
