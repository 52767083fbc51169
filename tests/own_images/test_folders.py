"""Folders: layouts that are read, files that cannot be used, and layouts that raise an error."""

import io
import os
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sample_folders import NFC, NFD, make, make_image, put, write_manifest

from tutorial_utils import data
from tutorial_utils.own_images.folders import read
from tutorial_utils.own_images.splits import split

# Layouts


def test_one_folder_per_class(folder, capsys):
    found = read(folder)
    assert found.root == folder
    assert found.classes == ("ants", "bees", "wasps")
    assert found.counts() == {"ants": 4, "bees": 3, "wasps": 3}
    assert found.labels == (0,) * 4 + (1,) * 3 + (2,) * 3
    assert list(found.files) == sorted(folder.rglob("*.png"))
    assert (found.problems, found.odd, found.given_split) == ((), (), None)
    assert capsys.readouterr().out == "images: 10 of 3 classes (ants 4, bees 3, wasps 3)\n"


def test_a_folder_may_be_relative_or_begin_with_a_tilde(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder.parent)
    found = read("mine", quiet=True)
    assert found.files[0] == folder / "ants/00.png"
    monkeypatch.setenv("HOME", str(folder.parent))
    assert read("~/mine", quiet=True) == found
    assert capsys.readouterr() == ("", "")


def test_images_in_folders_below_a_class_belong_to_it(folder):
    put(folder / "ants/2024/deep/a.png", 9000)
    found = read(folder, quiet=True)
    assert found.counts() == {"ants": 5, "bees": 3, "wasps": 3}
    assert found.name(4) == "ants/2024/deep/a.png"


def test_train_and_val_are_kept_as_the_split(tmp_path, capsys):
    make(tmp_path / "train", {"ants": 3, "bees": 2})
    make(tmp_path / "val", {"ants": 1, "bees": 2}, start=5000)
    put(tmp_path / "test/unlabelled.png", 9000)
    put(tmp_path / "more/a.png", 9001)
    found = read(tmp_path)
    assert found.given_split == ("train",) * 5 + ("val",) * 3
    assert found.counts() == {"ants": 4, "bees": 4}
    assert capsys.readouterr().out == (
        "images: 8 of 2 classes (ants 4, bees 4), split as given: 5 train, 3 val; "
        "odd: more/: only train, val, test are read; test/: holds no class folders\n"
    )
    chosen = split(found, val_percent=90, test_percent=0, seed=5)
    assert (chosen.train, chosen.val) == ((0, 1, 2, 3, 4), (5, 6, 7))
    assert chosen.crossing == ()


def test_train_val_and_test_are_kept_as_the_split(tmp_path, capsys):
    for start, name in enumerate(("train", "val", "test")):
        make(tmp_path / name, {"ants": 3, "bees": 2}, start=5000 * start)
    found = read(tmp_path)
    assert capsys.readouterr().out == (
        "images: 15 of 2 classes (ants 9, bees 6), split as given: 5 train, 5 val, 5 test\n"
    )
    chosen = split(found)
    assert all(found.name(i).startswith("test/") for i in chosen.test)
    assert chosen.counts() == {
        "ants": {"train": 3, "val": 3, "test": 3},
        "bees": {"train": 2, "val": 2, "test": 2},
    }


def test_many_classes_get_a_short_summary_and_one_may_be_called_train(tmp_path, capsys):
    make(tmp_path, {f"kind {number:02}": 1 + number % 3 for number in range(8)} | {"train": 3})
    assert read(tmp_path).classes[-1] == "train"
    assert capsys.readouterr().out == "images: 18 of 9 classes (1 to 3 each)\n"


def test_class_names_with_spaces_and_letters_of_any_script(tmp_path):
    names = ["红蚂蚁", "red ants", "пчёлы", "ruches d'été", "🐝", "a.b,c;d"]
    make(tmp_path, dict.fromkeys(names, 2))
    found = read(tmp_path, quiet=True)
    assert found.classes == tuple(sorted(unicodedata.normalize("NFC", name) for name in names))
    table = split(found, test_percent=0).table().splitlines()
    assert [line.split("  ")[0] for line in table[1:-1]] == list(found.classes)


# Hidden files, other types, damaged images


def test_hidden_files_and_leftovers_are_skipped(folder):
    top = ".git/a.png .DS_Store __MACOSX/ants/._00.png @eaDir/b.png"
    inner = "ants/.hidden.png ants/._00.png ants/.ipynb_checkpoints/00.png ants/Thumbs.db"
    for name in f"{top} {inner}".split():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    found = read(folder, quiet=True)
    assert found.classes == ("ants", "bees", "wasps")
    assert (found.counts()["ants"], found.problems, found.odd) == (4, (), ())


def test_other_types_are_listed_as_odd(folder, capsys):
    for name in ("ants/a.heic", "ants/notes.txt", "bees/LICENSE", "read.me", "loose.png"):
        (folder / name).write_bytes(b"x")
    found = read(folder)
    assert found.odd == (
        "ants/a.heic: .heic files are not read",
        "ants/notes.txt: .txt files are not read",
        "bees/LICENSE: files without an ending are not read",
        "loose.png: not in the folder of a class",
        "read.me: not in the folder of a class",
    )
    assert capsys.readouterr().out.endswith(
        "; odd: ants/a.heic: .heic files are not read; ants/notes.txt: .txt files are not read; "
        "bees/LICENSE: files without an ending are not read; and 2 more\n"
    )


def jpeg(seed):
    buffer = io.BytesIO()
    make_image(seed, (200, 160)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def test_a_very_thin_image_is_named(folder):
    put(folder / "bees/line.png", image=Image.new("RGB", (30_000, 1)))
    found = read(folder, quiet=True)
    assert found.problems == ((Path("bees/line.png"), "30000 x 1 pixels, too long and narrow"),)
    assert found.counts()["bees"] == 3


def test_a_broken_jpeg_is_named(folder, capsys):
    (folder / "bees/broken.jpg").write_bytes(jpeg(1)[:-900])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read(folder)
    assert found.problems == (data.Problem(Path("bees/broken.jpg"), "cut short"),)
    assert found.counts()["bees"] == 3
    printed = capsys.readouterr().out
    assert printed.endswith("wasps 3); left out 1: bees/broken.jpg (cut short)\n")
    assert len(printed.splitlines()) == 1


def test_every_problem_has_the_reason_that_the_audit_gives(folder):
    noise = np.random.default_rng(0).bytes(500)
    contents = {"a.jpg": b"", "b.jpg": b"<html>", "c.png": noise, "d.jpg": jpeg(2)[:40]}
    for name, content in (contents | {"e.webp": jpeg(3)[:-2000]}).items():
        (folder / "ants" / name).write_bytes(content)
    (folder / "ants/f.jpg").symlink_to(folder / "nowhere.jpg")
    assert read(folder, quiet=True).problems == data.audit(folder).problems


def test_large_images_are_decoded_small_and_once(folder, monkeypatch):
    put(folder / "ants/large.jpg", image=make_image(1, (1600, 1200)))
    opened, sizes = data.open_image, []

    def record(path, **settings):
        sizes.append((path.name, opened(path, **settings).size))
        return opened(path, **settings)

    monkeypatch.setattr(data, "open_image", record)
    found = read(folder, quiet=True)
    split(found)
    assert len(sizes) == len(found.files)
    assert ("large.jpg", (200, 150)) in sizes


def test_an_image_that_is_deleted_meanwhile(folder, monkeypatch):
    opened = data.open_image

    def vanish(path, **settings):
        if path.name == "02.png" and path.parent.name == "ants":
            path.unlink()
        return opened(path, **settings)

    monkeypatch.setattr(data, "open_image", vanish)
    [problem] = read(folder, quiet=True).problems
    assert problem.path == Path("ants/02.png")
    assert "there is no image" in problem.reason


def test_names_that_are_not_unicode(folder, capsys):
    try:
        put(folder / "ants" / os.fsdecode(b"K\xe4fer.png"), 77)
    except OSError:
        pytest.skip("this disk takes Unicode names only")
    found = read(folder)
    reason = "its name is not Unicode: rename it"
    assert found.problems == (data.Problem(Path("ants/K\\udce4fer.png"), reason),)
    assert "K\\udce4fer.png (its name" in capsys.readouterr().out
    put(folder / "bees" / os.fsdecode(b"K\xe4fer") / "a.png", 79)
    assert read(folder, quiet=True).problems[1].path == Path("bees/K\\udce4fer/a.png")
    put(folder / os.fsdecode(b"K\xe4fer") / "a.png", 78)
    with pytest.raises(
        ValueError, match=r"folder K\\udce4fer of .* cannot be a class, its name is not Uni"
    ):
        read(folder)


def test_links_are_followed_but_not_in_circles(folder, tmp_path):
    put(tmp_path / "elsewhere/far.png", 500)
    (folder / "ants/far").symlink_to(tmp_path / "elsewhere")
    (folder / "ants/up").symlink_to(folder)
    (folder / "bees/x").symlink_to(folder / "wasps")
    (folder / "wasps/y").symlink_to(folder / "bees")
    found = read(folder, quiet=True)
    assert found.name(4) == "ants/far/far.png"
    assert found.odd == (
        "ants/up/: a link back to a folder above it",
        "bees/x/: a link into the same folder of images",
        "wasps/y/: a link into the same folder of images",
    )


def test_a_folder_that_may_not_be_read(folder, monkeypatch):
    put(folder / "ants/secret/a.png", 1)
    listdir = os.listdir

    def deny(path):
        if Path(path).name == "secret":
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr(os, "listdir", deny)
    assert read(folder, quiet=True).odd == ("ants/secret/: not allowed to read it",)


# Folders that raise an error


EXPECTED = "; expected is one folder per class with images in it; or train and val, and test if"


HALF = (
    "folders in each, which looks like a split, but a split needs folders named train and val, "
    "both; expected is"
)
NESTED = "hold no images themselves, but folders of the same names"


def error_of(root, kind=ValueError):
    with pytest.raises(kind) as caught:
        read(root, quiet=True)
    return str(caught.value).replace(str(root), "ROOT")


def test_folder_missing_or_a_file(tmp_path):
    text = error_of(tmp_path / "gone", FileNotFoundError)
    assert text.startswith(f"there is no folder ROOT{EXPECTED}")
    (tmp_path / "set.zip").write_bytes(b"")
    text = error_of(tmp_path / "set.zip", NotADirectoryError)
    assert text.startswith(f"ROOT is a file{EXPECTED}")
    assert text.endswith("Unpack it first if it is an archive")


@pytest.mark.parametrize(
    ("images", "text"),
    [
        ("", f"ROOT holds no folders{EXPECTED}"),
        ("a.png b.png", "ROOT holds 2 images directly in it and no folders; "),
        ("ants/a.png ants/b.png", "ROOT has 1 class (ants), and a classifier needs two or more; "),
        ("mine/a/1.png mine/b/1.png", "ROOT holds a single folder. Did you mean ROOT/mine? If not"),
        ("train/a.png val/b.png", "train of ROOT holds no class folders; expected is"),
        ("train/a/1.png train/b/1.png", f"ROOT holds train with {HALF}"),
        ("train/a/1.png train/b/1.png test/a/1.png", f"ROOT holds test, train with {HALF}"),
        ("valid/a/1.png valid/b/1.png Train/a/1.png", f"ROOT holds Train, valid with {HALF}"),
        ("dev/a/1.png dev/b/1.png", f"ROOT holds dev with {HALF}"),
        ("north/a/1.png north/b/1.png south/a/1.png", f"ROOT (north, south) {NESTED} (a), so"),
        (
            "val/a/1.png val/b/1.png train/north/a/1.png train/north/b/1.png train/south/a/1.png",
            f"ROOT/train (north, south) {NESTED} (a), so it is not clear which are the classes; ",
        ),
        ("a/train/1.png a/val/1.png b/train/1.png b/val/1.png", f"(a, b) {NESTED} (train, val), "),
        (
            "train/a/1.png train/b/1.png train/c/1.png val/a/1.png val/d/1.png",
            "the classes of train, val in ROOT differ: train has no d; val has no b, c. "
            "Give each the same",
        ),
        (
            "train/a/1.png train/b/1.png val/a/1.png val/b/1.png test/a/1.png",
            "the classes of train, val, test in ROOT differ: test has no b. Give each the same",
        ),
    ],
)
def test_a_wrong_layout_raises_an_error(tmp_path, images, text):
    for name in images.split():
        put(tmp_path / name)
    assert text in error_of(tmp_path)


def test_a_class_without_images(folder):
    (folder / "flies").mkdir()
    start = "the class folder flies of ROOT holds no image"
    assert error_of(folder).startswith(f"{start}: put some into it (.jpg, ")
    for name in ("1.HEIC", "2.HEIC", "notes"):
        (folder / "flies" / name).write_bytes(b"x")
    text = error_of(folder)
    assert text.startswith(f"{start} (but .HEIC files: 2, files without an ending: 1): put some")
    assert text.endswith("or remove it")


def test_a_class_whose_images_are_all_unreadable(folder):
    for number in range(5):
        (folder / f"bees/{number:02}.png").write_bytes(b"")
    assert error_of(folder) == (
        "no image of the class 'bees' of ROOT can be used: bees/00.png (empty, 0 bytes), "
        "bees/01.png (empty, 0 bytes), bees/02.png (empty, 0 bytes) and 2 more. Replace them, or "
        "remove the class"
    )


def test_a_class_unreadable_on_one_side(tmp_path):
    for name in ("train/ants/0.png", "train/bees/0.png", "val/ants/0.png", "val/bees/00.png"):
        put(tmp_path / name)
    (tmp_path / "val/bees/00.png").write_bytes(b"GIF")
    assert "the class 'bees' in val of ROOT can be used: val/bees/00.png (not" in error_of(tmp_path)


def test_macos_names_on_one_side_are_the_same_class(tmp_path):
    make(tmp_path / "train", {NFC: 1, "bees": 1})
    make(tmp_path / "val", {NFD: 1, "bees": 1})
    assert read(tmp_path, quiet=True).classes == (NFC, "bees")


def test_the_same_name_twice_in_different_forms(tmp_path):
    make(tmp_path, {NFC: 1, NFD: 1, "bees": 1})
    if len(os.listdir(tmp_path)) < 3:
        pytest.skip("this disk takes both for one")
    assert error_of(tmp_path).startswith(f"two folders of ROOT are both named '{NFC}', written in")


def test_names_that_differ_in_capitals_or_spaces_are_pointed_out(tmp_path, capsys):
    make(tmp_path / "images", {"Red ant": 1, "bee": 1})
    root = write_manifest(
        tmp_path / "images", "file,class", "Red ant/00.png,Red ant", "bee/00.png,red  ant"
    )
    found = read(root)
    assert found.odd == ("the classes 'Red ant', 'red  ant' differ in capitals or spaces only",)
    assert found.odd[0] in capsys.readouterr().out
