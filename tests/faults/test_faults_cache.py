"""Faults of the cache and of sets of synthetic images: altered, killed, read-only, no home."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pooch
import psutil
import pytest

import tutorial_utils
from tutorial_utils import data, synthetic
from tutorial_utils._support import cache, image_sources
from tutorial_utils.cli.main import main
from tutorial_utils.synthetic import dataset

REPO = Path(tutorial_utils.__file__).parents[1]
FEW = {"train": {"ants": 2, "bees": 2}, "val": {"ants": 1, "bees": 1}}


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Return a folder with six synthetic images."""
    return synthetic.write(tmp_path_factory.mktemp("few") / "set", **FEW)


@pytest.fixture
def drawn(few, monkeypatch, capsys):
    """Return the set in the cache; six images are drawn where all would be."""

    def write(folder, progress=None, **more):
        return shutil.copytree(few, folder)

    monkeypatch.setattr(image_sources.synthetic, "write", write)
    root = data.load("synthetic", quiet=True).root
    capsys.readouterr()
    return root


def contents(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*.jpg")}


def zeroed(path):
    path.write_bytes(bytes(path.stat().st_size))


def one_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def other_image(path):
    """Exchange an image for one of the other class, padded to the same size."""
    content = (path.parent.parent / "bees" / "bee_0000.jpg").read_bytes()
    size = path.stat().st_size
    path.write_bytes(content[:size].ljust(size, b"\0"))


def extra_copy(path):
    shutil.copy(path, path.with_name("mine.png"))


def to_folder(path):
    path.unlink()
    path.mkdir()


def to_pipe(path):
    path.unlink()
    os.mkfifo(path)


SET_FAULTS = [Path.unlink, zeroed, one_bit, other_image, extra_copy, to_folder, to_pipe]
SET_FAULTS += [lambda path: path.write_bytes(b""), lambda path: shutil.rmtree(path.parent)]
SET_FAULTS += [lambda path: path.rename(path.with_name("renamed.jpg"))]


@pytest.mark.parametrize("fault", SET_FAULTS)
@pytest.mark.parametrize("image", ["train/ants/ant_0001.jpg", "val/ants/ant_0000.jpg"])
def test_an_altered_set_is_written_again(fault, image, drawn, few, capsys):
    fault(drawn / image)
    data.load("synthetic")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{drawn} ") and lines[0].endswith(": it is made again")
    assert contents(drawn) == contents(few)
    assert image_sources._from_cache().root == drawn


@pytest.mark.parametrize("fault", SET_FAULTS[:5])
def test_an_altered_set_is_not_taken_from_the_cache(fault, drawn):
    fault(drawn / "train/ants/ant_0001.jpg")
    with pytest.raises(FileNotFoundError, match="found no complete set of images in the cache"):
        data.load("cache")


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "notes.txt", ".hidden.jpg"])
def test_a_file_that_no_lesson_reads_does_not_matter(name, drawn, capsys):
    (drawn / "train" / "ants" / name).write_text("mine")
    data.load("synthetic")
    assert "made again" not in capsys.readouterr().out
    assert (drawn / "train" / "ants" / name).exists()


@pytest.mark.parametrize(
    "text", ["", "[]", "7", '{"train": 3}', '{"train": [1]}', "\0", '{"a":{}}']
)
def test_a_damaged_list_of_files_is_made_again(text, drawn, capsys):
    (drawn / cache.MANIFEST).write_text(text)
    data.load("synthetic")
    assert f"{drawn} " in capsys.readouterr().out
    assert cache.find(drawn.name)


def older(root):
    """Turn an entry into one of an earlier version, which has sizes only."""
    listed = json.loads((root / cache.MANIFEST).read_text())
    sizes = {path: size_bytes for path, (size_bytes, _) in listed.items()}
    (root / cache.MANIFEST).write_text(json.dumps(sizes))


def test_an_older_entry_is_taken_with_one_line_and_gets_its_checksums(drawn, capsys):
    older(drawn)
    assert cache.find(drawn.name) == drawn
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{drawn} is of an earlier version: it had no checksums to check, only sizes" in error
    assert cache.find(drawn.name) == drawn
    assert capsys.readouterr().err == ""
    one_bit(drawn / "val/ants/ant_0000.jpg")
    assert cache.find(drawn.name) is None


def test_an_older_entry_of_another_size_is_made_again(drawn):
    older(drawn)
    (drawn / "val/ants/ant_0000.jpg").write_bytes(b"short")
    assert cache.find(drawn.name) is None


# Killed processes


def part_folder(name, age_s=0.0):
    """Make what a process that was killed leaves."""
    folder = cache.cache_dir() / f"{name}{cache.PART}abc"
    (folder / "set").mkdir(parents=True)
    (folder / "set" / "one.jpg").write_bytes(bytes(1000))
    return folder


@pytest.mark.parametrize("name", ["features-12ab", "synthetic-2", "kit-34cd", "hymenoptera_data-0"])
def test_clear_deletes_what_a_killed_process_left(name, capsys):
    folder = part_folder(name)
    assert main(["cache", "--clear"]) == 0
    assert not folder.exists()
    assert f"{folder.name}  deleted" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["features-12ab", "synthetic-2", "kit-34cd", "hymenoptera_data-0"])
def test_the_next_entry_deletes_what_a_killed_process_left(name, drawn):
    folder, kept = part_folder(name), part_folder("busy")
    with cache.locked("busy"):
        cache.get_or_create("other", lambda work: Path(shutil.copytree(drawn, work / "set")))
    assert not folder.exists()
    assert kept.exists(), "another process is at work in it"


def killed_after(count, folder, jobs=1):
    """Draw images in a process that is killed when so many are written.

    The identifiers of its children are in a file beside the folder.
    """
    code = f"""
import os, psutil, signal
from pathlib import Path
from tutorial_utils import synthetic
def progress(done, total):
    if done == {count}:
        pids = [child.pid for child in psutil.Process().children(recursive=True)]
        Path({str(folder)!r} + ".pids").write_text(" ".join(map(str, pids)))
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
synthetic.write({str(folder)!r}, **{FEW!r}, jobs={jobs}, progress=progress)
"""
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    return subprocess.run([sys.executable, "-c", code], env=environment, timeout=300)


def unfinished(folder, age_s=0.0):
    """Make what a draw that was killed leaves in a folder."""
    left = folder / f"{dataset.UNFINISHED}abc"
    image = left / "train" / "ants" / "ant_0000.jpg"
    image.parent.mkdir(parents=True)
    image.touch()
    for path in (image, image.parent, left / "train", left):
        os.utime(path, (time.time() - age_s,) * 2)
    return left


@pytest.mark.long
@pytest.mark.parametrize("count", [1, 5, 6])
def test_a_killed_draw_leaves_no_images_that_look_like_a_set(count, tmp_path):
    assert killed_after(count, tmp_path / "set").returncode != 0
    with pytest.raises(FileNotFoundError, match="lacks train and val"):
        data.load(tmp_path / "set")
    synthetic.write(tmp_path / "set", **FEW)
    assert data.load(tmp_path / "set").counts() == FEW


def test_the_processes_of_a_killed_draw_end_with_it(tmp_path):
    assert killed_after(1, tmp_path / "set", jobs=2).returncode != 0
    pids = [int(pid) for pid in Path(f"{tmp_path / 'set'}.pids").read_text().split()]
    assert len(pids) >= 2
    for _ in range(300):
        if not any(map(psutil.pid_exists, pids)):
            return
        time.sleep(0.1)
    pytest.fail("a drawing process outlives its parent")


def test_an_interrupted_draw_leaves_nothing(tmp_path):
    def stop(done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthetic.write(tmp_path / "set", **FEW, progress=stop)
    assert list((tmp_path / "set").iterdir()) == []


@pytest.mark.parametrize(("age_s", "there"), [(2 * dataset.ABANDONED_S, False), (0, True)])
def test_draw_deletes_what_a_killed_draw_left_when_it_is_old(
    age_s, there, tmp_path, monkeypatch, capsys
):
    write = synthetic.write
    monkeypatch.setattr(synthetic, "write", lambda folder, **more: write(folder, **FEW, **more))
    left = unfinished(tmp_path / "set", age_s)
    assert main(["draw", str(tmp_path / "set")]) == 0
    assert left.exists() == there, "it is young: a process may be at work"
    assert data.load(tmp_path / "set").counts() == FEW


@pytest.mark.parametrize("name", ["train", "val"])
def test_two_draws_into_one_folder_give_one_whole_set(name, tmp_path):
    def other(done, total):
        if done == total:
            (tmp_path / "set" / name).mkdir()

    with pytest.raises(FileExistsError, match=f"set already holds {name}: choose a new folder"):
        synthetic.write(tmp_path / "set", **FEW, progress=other)
    assert [path.name for path in (tmp_path / "set").iterdir()] == [name]


def test_draw_into_a_folder_with_other_things_writes_nothing(tmp_path, capsys):
    (tmp_path / "mine.jpg").touch()
    assert main(["draw", str(tmp_path)]) == 1
    assert "is not empty; choose a new folder, nothing was written" in capsys.readouterr().err


# A cache that cannot be written or read, and one that is nowhere


@contextlib.contextmanager
def ordinary_user():
    """Take the rights of an ordinary user for the block, whom a folder's mode keeps out."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def locked_cache(monkeypatch):
    """Return a cache in which an ordinary user may read and not write; it holds one entry."""
    folder = Path(tempfile.mkdtemp(prefix="cache-"))  # pytest's own folder is root's alone
    entry = folder / "synthetic-2"
    (entry / "train").mkdir(parents=True)
    (entry / "train" / "one.jpg").write_bytes(bytes(3_000_000))
    monkeypatch.setenv("ANTS_BEES_CACHE", str(folder))
    for path in (entry / "train", entry, folder):
        path.chmod(0o555)
    yield folder
    for path in (folder, entry, entry / "train"):
        path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.skipif(os.name == "nt", reason="folders have no such modes on Windows")
@pytest.mark.parametrize("options", [["--clear", "--all"], ["--clear"]])
def test_clear_of_a_read_only_cache_says_what_is_still_there(options, locked_cache, capsys):
    with ordinary_user():
        code = main(["cache", *options])
    printed = capsys.readouterr().out
    assert code == ("--all" in options)
    assert "freed 0.0 MB" in printed and "  deleted" not in printed
    assert ("synthetic-2 was not deleted: it cannot be deleted, " in printed) == code
    assert "3.0 MB  synthetic-2" in printed
    assert (locked_cache / "synthetic-2" / "train" / "one.jpg").exists()


@pytest.mark.skipif(os.name == "nt", reason="folders have no such modes on Windows")
def test_a_cache_that_cannot_be_listed_is_not_said_to_be_empty(locked_cache, capsys):
    locked_cache.chmod(0)
    with ordinary_user():
        assert main(["cache"]) == 1
    printed = capsys.readouterr()
    assert "in all" not in printed.out
    assert f"the cache folder {locked_cache} cannot be read (Permission denied)" in printed.err


def test_clear_says_what_could_not_be_deleted_and_exits_with_1(drawn, monkeypatch, capsys):
    def stuck(path, **more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cache.shutil, "rmtree", stuck)
    assert main(["cache", "--clear", "--all"]) == 1
    printed = capsys.readouterr().out
    assert f"{drawn.name} was not deleted: it cannot be deleted, Permission denied" in printed
    assert "freed 0.0 MB" in printed


@pytest.mark.parametrize("command", [["cache"], ["cache", "--clear"], ["fetch"], ["doctor"]])
def test_a_user_without_a_home_folder_is_told_of_the_variable(command, monkeypatch, capsys):
    def nowhere(project):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("ANTS_BEES_CACHE")
    monkeypatch.setattr(pooch, "os_cache", nowhere)
    assert main(command) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: this user has no home folder for the cache: set ANTS_BEES_CAC")
    assert error.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no list of users in a file")
def test_a_user_who_is_in_no_list_and_has_no_home_folder():
    """The process gives itself the number of a user whom this system does not know."""
    code = """
import os
os.getuid = lambda: 2_000_000_000
from tutorial_utils._support import cache
cache.cache_path()
"""
    unset = ("ANTS_BEES_CACHE", "HOME", "XDG_CACHE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    command, environment = [sys.executable, "-c", code], environment | {"PYTHONPATH": str(REPO)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.stderr.splitlines()[-1].startswith("PermissionError: this user has no home folder")


def test_a_full_disk_while_the_set_is_drawn_names_the_cache(drawn, monkeypatch):
    def full(folder, **more):
        raise OSError(28, "No space left on device")

    cache.discard(drawn.name)
    monkeypatch.setattr(image_sources.synthetic, "write", full)
    with pytest.raises(OSError, match="cannot be written to the cache .*No space left.*make room"):
        data.load("synthetic")
    assert cache.entries() == []


def test_an_entry_that_is_cleared_while_it_is_looked_at_is_made(drawn, few, monkeypatch):
    whole = cache._fault

    def cleared(folder):
        monkeypatch.setattr(cache, "_fault", whole)
        shutil.rmtree(folder)
        return None

    monkeypatch.setattr(cache, "_fault", cleared)
    assert cache.find(drawn.name) is None
    assert contents(data.load("synthetic").root) == contents(few)
