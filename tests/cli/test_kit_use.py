"""Tests of `cli.kit_use`: a kit fills the caches, or is an error and changes nothing."""

import errno
import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import time
import types
import zipfile
from concurrent.futures import ThreadPoolExecutor

import nbformat
import pytest
from tiny_kits import WEIGHTS, caches_are_empty, changed, machine

from tutorial_utils import __version__, data, models, synthetic
from tutorial_utils._support import cache
from tutorial_utils.cli import kit, kit_use
from tutorial_utils.cli.main import main


def check_error(archive, message, error=ValueError):
    """Check that using an archive raises an error and leaves the caches empty."""
    with pytest.raises(error, match=message):
        kit_use.use(archive, quiet=True)
    assert caches_are_empty()


def test_a_full_disk_is_an_error_before_anything_is_written(packed, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=10_000_000))
    check_error(packed, "10 MB free and 67 MB are needed to unpack the kit: free", OSError)


def test_a_kit_fills_the_caches(packed, capsys):
    folder = kit_use.use(packed)
    assert "2 lessons, images synthetic-" in capsys.readouterr().out
    found = sorted(path.name for path in (folder / "notebooks").glob("*.ipynb"))
    assert found == ["00_one.ipynb", "01_two.ipynb"]
    assert (folder / "notebooks" / "solutions" / "01_two.ipynb").is_file()
    assert (folder / "images" / "a.svg").read_bytes() == b"figure"
    assert data.load("cache", quiet=True).counts()["train"] == {"ants": 2, "bees": 2}
    assert kit.weights_paths()[0].read_bytes() == WEIGHTS
    assert models.find_weights("alexnet", "imagenet", quiet=True).kind == "imagenet"


def test_only_an_incomplete_kit_is_unpacked_again(packed, monkeypatch):
    folder = kit_use.use(packed, quiet=True)
    unpack = kit_use._unpack
    times = []
    monkeypatch.setattr(kit_use, "_unpack", lambda *args: times.append(1) or unpack(*args))
    assert kit_use.use(packed, quiet=True) == folder
    assert times == []
    kit.weights_paths()[0].unlink()
    kit_use.use(packed, quiet=True)
    assert times == [1] and kit.weights_paths()[0].read_bytes() == WEIGHTS
    shutil.rmtree(cache.cache_path() / f"synthetic-{synthetic.VERSION}")
    (folder / "notebooks" / "00_one.ipynb").unlink()
    kit_use.use(packed, quiet=True)
    assert data.load("cache", quiet=True) and (folder / "notebooks" / "00_one.ipynb").is_file()


def test_a_kit_with_compression_is_the_same_kit(packed):
    again = changed(packed, compress=zipfile.ZIP_DEFLATED)
    assert again.stat().st_size < packed.stat().st_size
    assert kit_use.use(again, quiet=True) == kit_use.use(packed, quiet=True)


def test_every_damaged_file_is_found(packed):
    with zipfile.ZipFile(packed) as archive:
        names = [name for name in archive.namelist() if name != kit.MANIFEST]
    for wrong in names:

        def flip(name, content, wrong=wrong):
            return [(name, bytes([content[0] ^ 1]) + content[1:] if name == wrong else content)]

        check_error(changed(packed, flip), f"'{wrong}' is damaged .*copy it again")


def test_weights_must_have_the_checksum_in_their_name(packed):
    other = b"x" * len(WEIGHTS)

    def manifest(manifest):
        name = next(name for name in manifest["files"] if name.startswith("weights/"))
        manifest["files"][name]["sha256"] = hashlib.sha256(other).hexdigest()
        return manifest

    def change(name, content):
        return [(name, other if name.startswith("weights/") else content)]

    check_error(changed(packed, change, manifest=manifest), "its name says otherwise")


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.98, 0.9999, 1.0])
def test_a_kit_cut_short_or_with_a_changed_byte_is_an_error(packed, share):
    content = bytearray(packed.read_bytes())
    content[len(content) // 3] ^= 255 if share == 1 else 0
    packed.write_bytes(content[: int(share * len(content))])
    message = "class.zip is cut short, damaged or no kit .*copy it"
    check_error(packed, f"{message}|is damaged" if share == 1 else message)


UNSAFE = {
    "it has a backslash, a drive letter or a control character": [
        *("..\\outside.txt", "lessons\\..\\..\\outside.txt", "C:/outside.txt", "c:outside.txt"),
        *("lessons/a.txt:stream", "lessons/a\n.txt"),
    ],
    "it would be written outside its folder": [
        *("../outside.txt", "lessons/../../outside.txt", "lessons/..", "/outside.txt", "lessons/"),
        *("lessons//outside.txt", "lessons/.. /outside.txt", "lessons/a.", "weights/../x", ""),
    ],
    "it is the name of a device": ["lessons/CON", "lessons/nul.txt"],
    "no such weights are known": ["weights/other.pth"],
    "a kit has lessons, weights and one set of images": [
        *("cache/outside/file", "cache/features-0123/values.npy", "outside.txt", "kit.json/x"),
    ],
}


@pytest.mark.parametrize(
    ("reason", "name"), [(reason, name) for reason, names in UNSAFE.items() for name in names]
)
def test_a_file_outside_the_kit_s_folders_is_an_error(packed, reason, name, tmp_path):
    before = sorted(tmp_path.rglob("*"))

    def change(old, content):
        return [(old, content), *([(name, b"out")] if old == kit.MANIFEST else [])]

    def manifest(manifest):
        manifest["files"][name] = {"bytes": 3, "sha256": hashlib.sha256(b"out").hexdigest()}
        return manifest

    wrong = changed(packed, change, manifest=manifest)
    check_error(wrong, f"is not allowed, {reason}; nothing was unpacked")
    assert sorted(p for p in tmp_path.rglob("*") if p != wrong) == before


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR])
def test_links_folders_and_devices_are_errors(packed, mode, tmp_path):
    out = tmp_path / "changed.zip"
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            if info.filename == "lessons/images/a.svg":
                info.external_attr = (mode | 0o777) << 16
            new.writestr(info, content)
    check_error(out, "'lessons/images/a.svg' is not allowed, it is a link")


FIGURE, CONTENT = "lessons/images/a.svg", b"figure"


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], f"disagree about '{FIGURE}'"),
        ([(FIGURE, CONTENT + b"!")], "differ in size"),
        ([(FIGURE, CONTENT), ("lessons/images/A.SVG", b"")], "holds a file twice"),
        ([(FIGURE, CONTENT), (FIGURE, CONTENT)], "holds a file twice"),
    ],
)
def test_an_archive_that_differs_from_its_manifest_is_an_error(packed, members, message):
    def change(name, content):
        return members if name == FIGURE else [(name, content)]

    check_error(changed(packed, change), message)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (lambda old: b"{", "kit.json cannot be read"),
        (lambda old: [1], "kit.json cannot be read"),
        (lambda old: {"files": {}}, "kit.json cannot be read"),
        (lambda old: old | {"files": 3}, "kit.json is incomplete"),
        (lambda old: old | {"files": {"a": {}}}, "kit.json is incomplete"),
        (lambda old: old | {"images": "../up"}, "'../up' is no set of images"),
        (lambda old: old | {"images": "synthetic-99"}, "is not allowed, a kit has lessons, weigh"),
        (lambda old: old | {"images": "drawn-2"}, "'drawn-2' is no set of images"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_an_error(packed, manifest, message):
    check_error(changed(packed, manifest=manifest), message)


@pytest.mark.parametrize(
    ("form", "reason"),
    [(1, "its lessons call modules that were renamed since"), (3, "unknown here")],
)
def test_a_kit_of_another_format_is_an_error(form, reason, packed):
    def manifest(old):
        # Format 1 had another key for the images' folder, and another name in it.
        return {"format": form, "version": "0.1.0", "set": "drawn-2", "files": old["files"]}

    text = (
        f"changed.zip has format {form}, {reason}, and tutorial_utils {__version__} reads format 2"
        ": make the kit again with this version, python -m tutorial_utils kit"
    )
    check_error(changed(packed, manifest=manifest), re.escape(text))


@pytest.mark.parametrize("quiet", [False, True])
def test_of_two_at_the_same_time_one_unpacks_and_one_waits(packed, quiet, monkeypatch, capsys):
    folder = kit_use.use(packed, quiet=True)
    kit.weights_paths()[0].unlink()
    unpack, times = kit_use._unpack, []

    def slow(*args):
        times.append(1)
        time.sleep(1)
        return unpack(*args)

    monkeypatch.setattr(kit_use, "_unpack", slow)
    with ThreadPoolExecutor(2) as pool:
        used = [pool.submit(kit_use.use, packed, quiet=quiet) for _ in range(2)]
        assert [future.result() for future in used] == [folder, folder]
    assert times == [1]
    waits = capsys.readouterr().out.count("another process is preparing the same kit: waiting")
    assert waits == (0 if quiet else 1)


def test_quiet_reaches_the_wait_for_the_images(packed, capsys):
    held = threading.Event()

    def hold():
        with cache.locked(f"synthetic-{synthetic.VERSION}"):
            held.set()
            time.sleep(1)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(hold)
        held.wait()
        kit_use.use(packed, quiet=True)
    assert capsys.readouterr().out == ""


def test_other_files_are_no_kits(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no kit .*none.zip: make it"):
        kit_use.use(tmp_path / "none.zip")
    (tmp_path / "text.zip").write_text("text")
    with pytest.raises(ValueError, match="text.zip is cut short, damaged or no kit"):
        kit_use.use(tmp_path / "text.zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(ValueError, match="other.zip is a zip archive but no kit, it has no kit.js"):
        kit_use.use(tmp_path / "other.zip")


def test_a_disk_that_fills_up_while_unpacking_leaves_nothing(packed, monkeypatch):
    def full(*args, **more):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kit_use, "copy_stream", full)
    check_error(packed, "is full; the caches were not changed", OSError)


def test_the_command_makes_a_kit_and_uses_it(teacher, course, tmp_path, monkeypatch, capsys):
    out = tmp_path / "class.zip"
    assert main(["kit", str(out), "--folder", str(course)]) == 0
    assert main(["kit", str(out), "--folder", str(course)]) == 1
    assert "exists: choose another name" in capsys.readouterr().err
    machine(tmp_path / "pupil", monkeypatch)
    monkeypatch.delenv("TUTORIAL_OFFLINE")
    assert main(["--kit", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "checked and in the cache" in printed and "the lessons are in " in printed
    assert os.environ["TUTORIAL_OFFLINE"] == "1", "with a kit the network is not used"
    assert main(["--kit", str(tmp_path / "none.zip"), "doctor"]) == 1
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
    command += ["--only", "01"]  # the other one reports nothing
    away = tmp_path / "away"
    away.mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "TUTORIAL_OFFLINE"}
    done = subprocess.run(command, cwd=away, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    book = nbformat.read(away / "build" / "lessons" / "01_two.ipynb", as_version=4)
    printed = "".join(output.get("text", "") for cell in book.cells for output in cell.outputs)
    assert "images: 6 synthetic images" in printed
    assert "no network: TUTORIAL_OFFLINE=1" in printed
