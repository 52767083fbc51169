"""Manifests: what `manifest.csv` may hold, and every line that raises an error."""

import csv
import io
import re

import pytest
from sample_folders import NFC, NFD, make, put, write_manifest

from tutorial_utils.own_images.folders import read
from tutorial_utils.own_images.splits import split


def test_a_manifest_names_files_and_classes(tmp_path, capsys):
    for number in range(4):
        put(tmp_path / f"all/{number}.png", number)
    write_manifest(
        tmp_path,
        "file,note,class",
        "all/3.png,x,Hymenoptera/Formicidae",
        'all/0.png,,"bees, wild"',
        "./all//1.png, , bees\\wild ",
        "",
        "all/2.png,,Hymenoptera/Formicidae",
    )
    found = read(tmp_path)
    assert found.classes == ("Hymenoptera/Formicidae", "bees, wild", "bees\\wild")
    assert [found.name(i) for i in range(4)] == [f"all/{number}.png" for number in range(4)]
    assert found.labels == (1, 2, 0, 0)
    assert found.given_split is None
    assert "images: 4 of 3 classes (Hymenoptera/Formicidae 2, " in capsys.readouterr().out


def test_a_manifest_is_used_instead_of_the_folders_and_what_it_leaves_out_is_listed(folder):
    write_manifest(folder, "file,class", "ants/00.png,one", "bees/00.png,two")
    found = read(folder, quiet=True)
    assert found.counts() == {"one": 1, "two": 1}
    assert found.odd == (
        "ants/01.png, ants/02.png, ants/03.png and 5 more: not named in manifest.csv",
    )


def test_a_manifest_with_a_split_as_a_spreadsheet_writes_it(folder):
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["File", "CLASS", " split "])
    for side, number in (("train", 0), ("Val", 1)):
        for label in ("ants", "bees"):
            rows.writerow([f"{label}\\{number:02}.png", label, side])
    (folder / "manifest.csv").write_bytes(b"\xef\xbb\xbf" + text.getvalue().encode())
    found = read(folder, quiet=True)
    assert found.given_split == ("train", "val", "train", "val")
    assert split(found, test_percent=0).val == (1, 3)


def test_a_manifest_may_name_any_kind_of_image_by_any_name(tmp_path):
    put(tmp_path / "a.gif", 1)
    put(tmp_path / ".hidden", 2, format="PNG")
    write_manifest(tmp_path, "file,class", "a.gif,one", ".hidden,two")
    assert read(tmp_path, quiet=True).counts() == {"one": 1, "two": 1}


def test_a_manifest_finds_names_in_the_other_unicode_form(tmp_path):
    put(tmp_path / f"{NFD}.png", 1)
    put(tmp_path / "b.png", 2)
    write_manifest(tmp_path, "file,class", f"{NFC}.png,{NFD}", f"b.png,{NFC}s")
    found = read(tmp_path, quiet=True)
    assert len(found.files) == 2
    assert found.classes == (NFC, f"{NFC}s")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([""], "first line of manifest.csv must name the columns file and class .* It is ''"),
        (["file;class", "a.png;x"], "with commas between: file,class. It is 'file;class'"),
        (["a.png,ants"], "must name the columns file and class"),
        (["file,class,class", "a.png,x,y"], "once each"),
        (["file,class"], "names no file: write one line per image"),
        (["file,class", "a.png"], "line 2 of manifest.csv has 1 fields, the header 2"),
        (["file,class", "a.png,x", "b.png,x,y"], "line 3 .* put a name with a comma in it into"),
        (["file,class", "a.png,x", 'b.png,"y'], "line 3 of manifest.csv is not CSV: unexpected"),
        (["file,class", "a.png,x", "b.png, "], "line 3 of manifest.csv gives no class for 'b.png'"),
        (["file,class", ",x"], "line 2 of manifest.csv gives no file"),
        (["file,class", "a\0.png,x"], "line 2 of manifest.csv gives no file"),
        (["file,class", "a.png,x", "./a.png,y"], "line 3 .* './a.png', which line 2 named before"),
        (
            ["file,class,split", "a.png,x,dev"],
            "line 2 .* the split 'dev'; allowed: train, val, test",
        ),
        (["file,class,split", "a.png,x,"], "line 2 .* the split ''; allowed: train, val, test"),
        (["file,class", "a.png,x", "b.png,x"], r"has 1 class \(x\), and a classifier needs two"),
        (["file,class,split", "a.png,x,train", "b.png,y,val"], "train has no y; val has no x"),
        (["file,class", "a.png,x", "gone.png,y"], r"used: gone.png \(there is no such file\)"),
    ],
)
def test_a_wrong_line_raises_an_error(tmp_path, lines, message):
    for number, name in enumerate("abc"):
        put(tmp_path / f"{name}.png", number)
    write_manifest(tmp_path, *lines)
    with pytest.raises(ValueError, match=message):
        read(tmp_path, quiet=True)


WINDOWS = ("\\b.png", "C:\\b.png", "C:b.png")


@pytest.mark.parametrize(
    "file", ["../b.png", "ants/../../b.png", "ants\\..\\b.png", "/b.png", None, *WINDOWS]
)
def test_a_manifest_may_not_lead_out(tmp_path, file):
    root = make(tmp_path / "in", {"ants": 2})
    put(tmp_path / "b.png")
    file = file or f"{root}/ants/01.png"  # absolute, but inside
    write_manifest(root, "file,class", "ants/00.png,x", f"{file},y")
    message = f"line 3 of manifest.csv names {file!r}: give a path relative to the folder of "
    with pytest.raises(ValueError, match=re.escape(message)):
        read(root, quiet=True)


@pytest.mark.parametrize("way", ["file", "folder", "broken"])
def test_a_manifest_may_not_lead_out_by_a_link(tmp_path, way):
    root = make(tmp_path / "in", {"ants": 2})
    put(tmp_path / "out/b.png")
    target = {"file": "out/b.png", "folder": "out", "broken": "nothing"}[way]
    (root / "link").symlink_to(tmp_path / target)
    file = "link/b.png" if way == "folder" else "link"
    write_manifest(root, "file,class", "ants/00.png,x", f"{file},y")
    with pytest.raises(ValueError, match=f"line 3 of .* names '{file}', which a link leads out"):
        read(root, quiet=True)


def test_a_manifest_may_use_links_within(folder):
    (folder / "link.png").symlink_to(folder / "bees/00.png")
    (folder / "again").symlink_to(folder / "again")  # a circle
    write_manifest(folder, "file,class", "ants/00.png,x", "link.png,y", "again,y", f"{'n' * 400},y")
    found = read(folder, quiet=True)
    assert found.counts() == {"x": 1, "y": 1}
    reasons = ["a link that leads in a circle", "its name is too long"]
    assert [reason for _, reason in found.problems] == reasons


def test_a_manifest_in_another_encoding(tmp_path):
    write_manifest(tmp_path, "file,class", f"a.png,{NFC}", encoding="latin-1")
    with pytest.raises(ValueError, match=r"is not UTF-8 \(byte 18\): save it as CSV, UTF-8"):
        read(tmp_path, quiet=True)
