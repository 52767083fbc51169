"""Images for pretraining: what folders and archives give, what is skipped, how they vary."""

import io
import zipfile

import corpus
import numpy as np
import pytest
import torch
from PIL import Image


def packed(colour=(200, 30, 30), size=(12, 12), kind="PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


def tree(**counts: int) -> dict[str, bytes]:
    """Return {path: content} of a small set with `counts` images of each class in each split."""
    return {
        f"{split}/{name}/{number}.png": packed((10 * number, 100 if split == "val" else 0, 0))
        for split in corpus.SPLITS
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


def same(one: corpus.Pixels, other: corpus.Pixels) -> bool:
    return torch.equal(one.images, other.images) and torch.equal(one.labels, other.labels)


def test_a_folder_is_read_with_its_classes_and_splits(tmp_path):
    found = corpus.load(write(tmp_path, tree(bee=3, ant=2)), side=8)
    assert found.classes == ["ant", "bee"] and found.skipped == []
    assert found.train.images.shape == (5, 3, 8, 8) and found.train.images.dtype == torch.uint8
    assert found.train.labels.tolist() == [0, 0, 1, 1, 1] == found.val.labels.tolist()
    assert found.train.images[4].amax((1, 2)).tolist() == [20, 0, 0]
    assert found.val.images[4].amax((1, 2)).tolist() == [20, 100, 0]
    assert found.line() == "5 training and 5 validation images of 2 classes"


def test_archives_give_what_the_folder_gives(tmp_path):
    files = tree(ant=2, bee=3)
    folder = corpus.load(write(tmp_path / "folder", files), side=8)
    halves = [dict(list(files.items())[k::2]) for k in range(2)]
    for number, half in enumerate(halves):
        zipped(tmp_path / f"part_{number}.zip", half)
    zips = corpus.load(sorted(tmp_path.glob("*.zip")), side=8)
    assert sorted(zips.train.labels.tolist()) == folder.train.labels.tolist()
    assert zips.classes == folder.classes and len(zips.val) == len(folder.val)
    whole = zipped(tmp_path / "whole.zip", files)
    assert same(corpus.load(whole, side=8).train, folder.train)


def test_a_folder_of_archives_is_its_archives(tmp_path):
    zipped(tmp_path / "train_0.zip", {k: v for k, v in tree(a=2, b=2).items() if "train" in k})
    zipped(tmp_path / "val.zip", {k: v for k, v in tree(a=1, b=1).items() if "val" in k})
    found = corpus.load(tmp_path, side=8)
    assert (len(found.train), len(found.val)) == (4, 2)


def test_without_a_validation_set_every_twentieth_is_held_out(tmp_path):
    files = {f"{name}/{n:03}.png": packed((n, 0, 0)) for name in "ab" for n in range(40)}
    found = corpus.load(write(tmp_path, files), side=8)
    assert (len(found.train), len(found.val)) == (76, 4)
    assert found.val.images.amax((1, 2, 3)).tolist() == [0, 20, 0, 20]


def test_images_of_any_size_are_brought_to_one(tmp_path):
    wide = Image.new("RGB", (60, 20), "black")
    wide.paste("white", (20, 0, 40, 20))  # the middle third
    file = io.BytesIO()
    wide.save(file, "PNG")
    files = tree(a=2, b=2) | {"train/a/wide.png": file.getvalue()}
    found = corpus.load(write(tmp_path, files), side=10)
    assert found.train.images[2].float().mean() > 230


def test_what_cannot_be_read_is_skipped_counted_and_named(tmp_path):
    files = tree(a=3, b=3) | {
        "train/a/cut.jpg": packed(kind="JPEG", size=(64, 64))[:-300],
        "train/b/text.png": b"no image",
        "val/b/empty.png": b"",
        "train/b/readme.txt": b"not asked for",
        "train/b/.hidden.png": b"nor this",
    }
    found = corpus.load(write(tmp_path, files), side=8)
    assert len(found.train) == 6 and len(found.val) == 6
    assert [name for name, _ in found.skipped] == [
        "train/a/cut.jpg",
        "train/b/text.png",
        "val/b/empty.png",
    ]
    assert "3 skipped: train/a/cut.jpg (" in found.line()
    assert "train/b/text.png (not an image)" in found.line()


def test_a_source_that_cannot_serve_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no .*nowhere"):
        corpus.load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no class with images: two at least are needed"):
        corpus.load(tmp_path / "empty")
    with pytest.raises(ValueError, match="holds one class, 'ant'"):
        corpus.load(write(tmp_path / "one", tree(ant=3)))
    (tmp_path / "text.zip").write_text("no archive", encoding="utf-8")
    with pytest.raises(ValueError, match="text.zip is no zip archive"):
        corpus.load(tmp_path / "text.zip")
    bad = {"train/a/1.png": packed(), "train/b/1.png": b"x", "val/a/1.png": packed()}
    with pytest.raises(ValueError, match="no training image could be read for the classes b"):
        corpus.load(write(tmp_path / "bad", bad))


@pytest.mark.parametrize("side", [7, 0, 64.0, True])
def test_a_side_that_cannot_be_is_refused(tmp_path, side):
    with pytest.raises(ValueError, match="side must be a whole number of pixels from 8"):
        corpus.load(tmp_path, side=side)


def batch(count=4, size=16):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(3))


def varied(images, size=16, seed=0, **strength):
    return corpus.vary(images, size, torch.Generator().manual_seed(seed), **strength)


def test_variations_follow_the_generator_and_differ_within_the_batch():
    images = batch(1).expand(4, -1, -1, -1)
    first = varied(images)
    assert torch.equal(first, varied(images)) and not torch.equal(first, varied(images, seed=1))
    assert all(not torch.equal(first[0], other) for other in first[1:])


@pytest.mark.parametrize("size", [8, 16, 24])
def test_variations_come_in_the_size_asked_for(size):
    assert varied(batch(), size).shape == (4, 3, size, size)


def test_an_even_image_stays_even_and_only_its_light_changes():
    grey = torch.full((64, 3, 8, 8), 0.5)
    found = varied(grey, 8, light=0.3)
    assert (found.flatten(1).std(1) < 1e-5).all()
    light = found[:, 0, 0, 0]
    assert light.min() >= 0.35 - 1e-6 and light.max() <= 0.65 + 1e-6 and light.std() > 0.05


def test_about_half_are_mirrored():
    images = torch.zeros(200, 3, 16, 16)
    images[..., 8:] = 1.0
    found = varied(images, light=0.0, least_side=1.0)
    right = (found[..., 12:].mean((1, 2, 3)) > found[..., :4].mean((1, 2, 3))).float().mean()
    assert 0.35 < right < 0.65


def test_crops_keep_at_least_what_they_should():
    across = torch.linspace(0, 1, 64).expand(100, 3, 64, 64)
    found = varied(across, 64, light=0.0, least_side=0.55)
    spans = found.amax((1, 2, 3)) - found.amin((1, 2, 3))
    assert spans.min() > 0.55 * np.exp(-0.2) - 0.05 and spans.max() > 0.9


def test_resizing_for_measuring():
    images = batch(2)
    assert corpus.resized(images, 16) is images
    assert corpus.resized(images, 8).shape == (2, 3, 8, 8)
