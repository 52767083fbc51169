"""Tests of `cli.kit`: a kit is whole, the same each time, and puts nothing elsewhere."""

import copy
import errno
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import nbformat
import pytest

from tutorial_utils import data, models, synthetic
from tutorial_utils._support import cache
from tutorial_utils.cli import kit
from tutorial_utils.cli import main as main_module

WEIGHTS = b"not really weights" * 100


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Return a tiny set of images."""
    folder = tmp_path_factory.mktemp("tiny") / "set"
    few = {"train": {"ants": 2, "bees": 2}, "val": {"ants": 1, "bees": 1}}
    return synthetic.write(folder, **few)


@pytest.fixture
def course(tmp_path):
    """Return a folder of two tiny lessons, with answers and figures."""
    return write_course(tmp_path)


def write_course(base: Path) -> Path:
    folder = base / "course" / "notebooks"
    (folder / "solutions").mkdir(parents=True)
    (folder.parent / "images").mkdir()
    (folder.parent / "images" / "a.png").write_bytes(b"figure")
    for name in ("00_one", "01_two"):
        for path in (folder / f"{name}.ipynb", folder / "solutions" / f"{name}.ipynb"):
            path.write_text(lesson_text(name))
    (folder / "notes.txt").write_text("not packed")
    return folder


def lesson_text(name: str) -> str:
    code = (
        "from tutorial_utils import data, lesson, models\n"
        "lesson.check(globals())\n"
        "images = data.load()\n"
        "weights = models.find_weights('alexnet')\n"
        f"lesson.report({name!r}, images=images.kind, weights=weights.kind, found=weights.summary)"
    )
    code = code if name == "01_two" else "1 + 1"
    cells = [
        nbformat.v4.new_code_cell("seed: int = 0", metadata={"tags": ["parameters"]}, id="one"),
        nbformat.v4.new_code_cell(code, id="two"),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    return nbformat.writes(book)


@pytest.fixture
def teacher(tmp_path, monkeypatch, drawn):
    """Work on a machine whose cache has a tiny set of images and AlexNet's weights."""
    equip(tmp_path / "teacher", monkeypatch, drawn)


def equip(folder: Path, monkeypatch, drawn: Path) -> None:
    machine(folder, monkeypatch)
    name = f"synthetic-{synthetic.VERSION}"
    cache.get_or_create(name, lambda work: Path(shutil.copytree(drawn, work / "synthetic")))
    path = kit._weights()[0]
    path.parent.mkdir(parents=True)
    path.write_bytes(WEIGHTS)


class SimpleEnum(types.SimpleNamespace):
    """Stands for torchvision's enum of weights: only its address is asked for."""

    def __init__(self, arch: str):
        super().__init__(url=f"https://x/{arch}-{hashlib.sha256(WEIGHTS).hexdigest()[:8]}.pth")


def machine(folder: Path, monkeypatch) -> None:
    """Be on another machine from now on: other caches."""
    folder.mkdir()
    monkeypatch.setenv("ANTS_BEES_CACHE", str(folder / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(folder / "torch"))
    monkeypatch.setattr(models, "IMAGENET", {arch: SimpleEnum(arch) for arch in models.ARCHS})


@pytest.fixture(scope="module")
def made(tmp_path_factory, drawn):
    """Return a kit, made once."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        equip(folder / "teacher", patch, drawn)
        kit.make(folder / "class.zip", write_course(folder), quiet=True)
    return folder / "class.zip"


@pytest.fixture
def packed(made, tmp_path, monkeypatch):
    """Return a kit, on a pupil's machine that has nothing yet."""
    machine(tmp_path / "pupil", monkeypatch)
    return Path(shutil.copy(made, tmp_path / "class.zip"))


def nothing_put_in_place() -> bool:
    there = [p for p in cache.cache_path().glob("*") if p.suffix != ".lock" and p.is_dir()]
    return there == [] and not any(path.exists() for path in kit._weights())


def changed(archive: Path, change, *, note=None, compress=zipfile.ZIP_STORED) -> Path:
    """Write a kit anew, each member (name, content, info) changed or left out, the note too."""
    out = archive.with_name("changed.zip")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(out, "w", compress) as new:
        for info in old.infolist():
            content = old.read(info)
            if info.filename == kit.NOTE and note:
                content = note(json.loads(content))
                content = content if isinstance(content, bytes) else json.dumps(content).encode()
            info.compress_type = compress
            for name, text in change(info.filename, content):
                member = copy.copy(info)
                member.filename = name
                new.writestr(member, text)
    return out


def as_it_was(name, content):
    return [(name, content)]


# Making


def test_a_kit_holds_images_weights_lessons_and_their_checksums(teacher, course, tmp_path):
    made = kit.make(tmp_path / "class.zip", course, quiet=True)
    with zipfile.ZipFile(tmp_path / "class.zip") as archive:
        names = archive.namelist()
        note = json.loads(archive.read("kit.json"))
        for name, file in note["files"].items():
            content = archive.read(name)
            assert file == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    drawn = f"cache/synthetic-{synthetic.VERSION}"
    assert names == [*sorted(names[:-1]), "kit.json"]
    assert sum(name.startswith(f"{drawn}/train/ants/") for name in names) == 2
    assert f"{drawn}/{cache.MANIFEST}" not in names, "it is written anew where it is unpacked"
    assert [name for name in names if name.startswith("lessons/")] == [
        "lessons/images/a.png",
        "lessons/notebooks/00_one.ipynb",
        "lessons/notebooks/01_two.ipynb",
        "lessons/notebooks/solutions/00_one.ipynb",
        "lessons/notebooks/solutions/01_two.ipynb",
    ]
    assert [Path(name).name[:8] for name in names if name.startswith("weights/")] == ["alexnet-"]
    assert note["format"] == kit.FORMAT and set(note["files"]) == set(names) - {"kit.json"}
    assert made.files.keys() == note["files"].keys()


def test_the_same_content_gives_the_same_bytes(teacher, course, tmp_path, monkeypatch):
    kit.make(tmp_path / "one.zip", course, quiet=True)
    for path in course.rglob("*.ipynb"):
        os.utime(path, (1e9, 1e9))
        path.chmod(0o600)
    again = shutil.copytree(course.parent, tmp_path / "again") / "notebooks"
    kit.make(tmp_path / "two.zip", again, quiet=True)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_it_says_what_it_packed(teacher, course, tmp_path, capsys):
    kit.make(tmp_path / "class.zip", course)
    said = capsys.readouterr().out
    assert "kit: class.zip, " in said
    assert f"2 lessons, images synthetic-{synthetic.VERSION}, ImageNet weights of 1" in said


def test_without_images_in_the_cache_they_are_drawn(teacher, course, tmp_path, monkeypatch):
    write, few = synthetic.write, {"train": {"ants": 2, "bees": 1}, "val": {"ants": 1, "bees": 1}}
    monkeypatch.setattr(synthetic, "write", lambda folder, **more: write(folder, **few, **more))
    machine(tmp_path / "fresh", monkeypatch)
    made = kit.make(tmp_path / "class.zip", course, quiet=True)
    assert sum(name.startswith("cache/") for name in made.files) == 5
    assert not any(name.startswith("weights/") for name in made.files)


def test_what_cannot_be_made_is_explained_and_leaves_nothing(teacher, course, tmp_path):
    taken = tmp_path / "taken.zip"
    taken.write_text("mine")
    with pytest.raises(FileExistsError, match="taken.zip is there already: name another file"):
        kit.make(taken, course, quiet=True)
    assert taken.read_text() == "mine"
    with pytest.raises(FileNotFoundError, match="there is no folder .*nowhere to write class.zip"):
        kit.make(tmp_path / "nowhere" / "class.zip", course, quiet=True)
    with pytest.raises(FileNotFoundError, match="no lessons .* in .*images: make the kit in a"):
        kit.make(tmp_path / "class.zip", course.parent / "images", quiet=True)
    kit._weights()[0].write_bytes(WEIGHTS + b"x")
    with pytest.raises(ValueError, match="alexnet-.* is damaged .*: delete it and fetch it again"):
        kit.make(tmp_path / "class.zip", course, quiet=True)
    assert list(tmp_path.glob("class.zip*")) == []


def test_a_full_disk_is_said_before_anything_is_written(
    packed, course, tmp_path, monkeypatch, drawn
):
    usage = types.SimpleNamespace(free=10_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(OSError, match="has 10 MB free, and 67 MB are needed to unpack the kit"):
        kit.use(packed, quiet=True)
    assert nothing_put_in_place()
    equip(tmp_path / "teacher", monkeypatch, drawn)
    with pytest.raises(OSError, match="67 MB are needed for the kit: make room"):
        kit.make(tmp_path / "new.zip", course, quiet=True)
    assert not list(tmp_path.glob("new.zip*"))


# Using


def test_a_kit_fills_the_caches(packed, capsys):
    folder = kit.use(packed)
    assert "2 lessons, images synthetic-" in capsys.readouterr().out
    assert sorted(path.name for path in (folder / "notebooks").glob("*.ipynb")) == [
        "00_one.ipynb",
        "01_two.ipynb",
    ]
    assert (folder / "notebooks" / "solutions" / "01_two.ipynb").is_file()
    assert (folder / "images" / "a.png").read_bytes() == b"figure"
    assert data.load("cache", quiet=True).counts()["train"] == {"ants": 2, "bees": 2}
    assert kit._weights()[0].read_bytes() == WEIGHTS
    assert models.find_weights("alexnet", "imagenet", quiet=True).kind == "imagenet"


def test_a_kit_in_place_is_not_unpacked_again_and_one_in_part_is(packed, monkeypatch):
    folder = kit.use(packed, quiet=True)
    unpack = kit._unpack
    times = []
    monkeypatch.setattr(kit, "_unpack", lambda *args: times.append(1) or unpack(*args))
    assert kit.use(packed, quiet=True) == folder
    assert times == []
    kit._weights()[0].unlink()
    kit.use(packed, quiet=True)
    assert times == [1] and kit._weights()[0].read_bytes() == WEIGHTS
    shutil.rmtree(cache.cache_path() / f"synthetic-{synthetic.VERSION}")
    (folder / "notebooks" / "00_one.ipynb").unlink()
    kit.use(packed, quiet=True)
    assert data.load("cache", quiet=True) and (folder / "notebooks" / "00_one.ipynb").is_file()


def test_a_kit_packed_anew_with_compression_is_the_same_kit(packed):
    again = changed(packed, as_it_was, compress=zipfile.ZIP_DEFLATED)
    assert again.stat().st_size < packed.stat().st_size
    assert kit.use(again, quiet=True) == kit.use(packed, quiet=True)


def test_every_damaged_file_is_found(packed):
    with zipfile.ZipFile(packed) as archive:
        names = [name for name in archive.namelist() if name != kit.NOTE]
    for wrong in names:

        def flip(name, content, wrong=wrong):
            return [(name, bytes([content[0] ^ 1]) + content[1:] if name == wrong else content)]

        with pytest.raises(ValueError, match=f"'{wrong}' is not what was packed .*copy it again"):
            kit.use(changed(packed, flip), quiet=True)
        assert nothing_put_in_place()


def test_weights_that_only_claim_a_name_are_refused(packed):
    other = b"x" * len(WEIGHTS)

    def note(note):
        name = next(name for name in note["files"] if name.startswith("weights/"))
        note["files"][name]["sha256"] = hashlib.sha256(other).hexdigest()
        return note

    def change(name, content):
        return [(name, other if name.startswith("weights/") else content)]

    with pytest.raises(ValueError, match="which its name contradicts"):
        kit.use(changed(packed, change, note=note), quiet=True)
    assert nothing_put_in_place()


@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.98, 0.9999])
def test_a_kit_cut_short_is_refused(packed, kept):
    content = packed.read_bytes()
    packed.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match="class.zip is cut short, damaged or no kit .*copy it"):
        kit.use(packed, quiet=True)
    assert nothing_put_in_place()


def test_a_byte_that_fell_over_is_found(packed):
    content = bytearray(packed.read_bytes())
    content[len(content) // 3] ^= 255
    packed.write_bytes(content)
    with pytest.raises(ValueError, match="damaged or no kit|is not what was packed"):
        kit.use(packed, quiet=True)
    assert nothing_put_in_place()


@pytest.mark.parametrize(
    "name",
    [
        "../outside.txt",
        "lessons/../../outside.txt",
        "lessons/..",
        "/outside.txt",
        "lessons//outside.txt",
        "..\\outside.txt",
        "lessons\\..\\..\\outside.txt",
        "C:/outside.txt",
        "c:outside.txt",
        "lessons/a.txt:stream",
        "lessons/notes\n.txt",
        "lessons/CON",
        "lessons/nul.txt",
        "lessons/.. /outside.txt",
        "lessons/a.",
        "cache/outside/file",
        "cache/features-0123/values.npy",
        "weights/other.pth",
        "weights/../lessons/x",
        "outside.txt",
        "kit.json/x",
        "lessons/",
        "",
    ],
)
def test_a_file_that_would_leave_the_folder_is_refused(packed, name, tmp_path):
    before = sorted(tmp_path.rglob("*"))

    def change(old, content):
        return [(old, content), *([(name, b"out")] if old == kit.NOTE else [])]

    def note(note):
        note["files"][name] = {"bytes": 3, "sha256": hashlib.sha256(b"out").hexdigest()}
        return note

    wrong = changed(packed, change, note=note)
    with pytest.raises(ValueError, match=r"is refused, .*; nothing was unpacked"):
        kit.use(wrong, quiet=True)
    assert nothing_put_in_place()
    assert sorted(p for p in tmp_path.rglob("*") if p != wrong) == before


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR])
def test_links_folders_and_devices_are_refused(packed, mode, tmp_path):
    out = tmp_path / "changed.zip"
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            if info.filename == "lessons/images/a.png":
                info.external_attr = (mode | 0o777) << 16
            new.writestr(info, content)
    with pytest.raises(ValueError, match="'lessons/images/a.png' is refused, it is a link, a fo"):
        kit.use(out, quiet=True)
    assert nothing_put_in_place()


def test_what_the_note_and_the_archive_disagree_about_is_refused(packed):
    def less(name, content):
        return [] if name == "lessons/images/a.png" else [(name, content)]

    def twice(name, content):
        return [(name, content)] * (2 if name == "lessons/images/a.png" else 1)

    def longer(name, content):
        return [(name, content + b"!" if name == "lessons/images/a.png" else content)]

    def upper(name, content):
        return [(name, content), *([("lessons/images/A.PNG", b"")] if "a.png" in name else [])]

    with pytest.raises(ValueError, match="disagree about 'lessons/images/a.png'"):
        kit.use(changed(packed, less), quiet=True)
    with pytest.raises(ValueError, match="has another size than noted"):
        kit.use(changed(packed, longer), quiet=True)
    with pytest.raises(ValueError, match="holds a file twice"):
        kit.use(changed(packed, upper), quiet=True)
    with pytest.warns(UserWarning, match="Duplicate name"):
        doubled = changed(packed, twice)
    with pytest.raises(ValueError, match="holds a file twice"):
        kit.use(doubled, quiet=True)
    assert nothing_put_in_place()


@pytest.mark.parametrize(
    ("note", "said"),
    [
        (lambda note: note | {"format": 2}, "is a kit of format 2, and .* reads format 1: install"),
        (lambda note: b"{", "kit.json cannot be read"),
        (lambda note: [1], "kit.json cannot be read"),
        (lambda note: {"files": {}}, "kit.json cannot be read"),
        (lambda note: note | {"files": 3}, "kit.json lacks what a kit has"),
        (lambda note: note | {"files": {"a": {}}}, "kit.json lacks what a kit has"),
        (lambda note: note | {"images": "../up"}, "'../up' is no set of images"),
        (lambda note: note | {"images": "synthetic-99"}, "is refused, a kit has lessons, weights"),
    ],
)
def test_another_format_or_a_note_that_makes_no_sense_is_refused(packed, note, said):
    with pytest.raises(ValueError, match=said):
        kit.use(changed(packed, as_it_was, note=note), quiet=True)
    assert nothing_put_in_place()


def test_other_files_are_no_kits(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no kit .*none.zip: python -m"):
        kit.use(tmp_path / "none.zip")
    (tmp_path / "text.zip").write_text("text")
    with pytest.raises(ValueError, match="text.zip is cut short, damaged or no kit"):
        kit.use(tmp_path / "text.zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(ValueError, match="other.zip is a zip archive but no kit, it has no kit.js"):
        kit.use(tmp_path / "other.zip")


def test_a_disk_that_fills_up_while_unpacking_leaves_nothing(packed, monkeypatch):
    def full(*args, **more):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kit, "_copy", full)
    with pytest.raises(OSError, match="is full; nothing was put in place"):
        kit.use(packed, quiet=True)
    assert nothing_put_in_place()


# The command


def test_the_command_makes_a_kit_and_uses_it(teacher, course, tmp_path, monkeypatch, capsys):
    out = tmp_path / "class.zip"
    assert main_module.main(["kit", str(out), "--folder", str(course)]) == 0
    assert main_module.main(["kit", str(out), "--folder", str(course)]) == 1
    assert "is there already" in capsys.readouterr().err
    machine(tmp_path / "pupil", monkeypatch)
    monkeypatch.delenv("TUTORIAL_OFFLINE")
    assert main_module.main(["--kit", str(out)]) == 0
    said = capsys.readouterr().out
    assert "checked and in the cache" in said and "the lessons are in " in said
    assert os.environ["TUTORIAL_OFFLINE"] == "1", "with a kit no network is asked"
    assert main_module.main(["--kit", str(tmp_path / "none.zip"), "doctor"]) == 1
    assert "there is no kit" in capsys.readouterr().err


def test_the_lessons_of_a_kit_run_with_its_images_and_weights(packed, tmp_path):
    # In a process of its own, away from the repository, with nothing but the kit.
    names = {arch: models.IMAGENET[arch].url for arch in models.ARCHS}
    code = (
        "import sys, types; from tutorial_utils import models; "
        "from tutorial_utils.cli import main as main_module; "
        f"models.IMAGENET = {{k: types.SimpleNamespace(url=v) for k, v in {names!r}.items()}}; "
        "sys.exit(main_module.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "--kit", str(packed), "lessons", "--out", "build"]
    away = tmp_path / "away"
    away.mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "TUTORIAL_OFFLINE"}
    done = subprocess.run(command, cwd=away, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    book = nbformat.read(away / "build" / "lessons" / "01_two.ipynb", as_version=4)
    printed = "".join(output.get("text", "") for cell in book.cells for output in cell.outputs)
    assert "6 synthetic images" in printed or "images: 6" in printed
    assert "no network: TUTORIAL_OFFLINE=1" in printed
