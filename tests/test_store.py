"""What is kept in the cache is whole, checked, and made again when it is not."""

import json
import multiprocessing
import shutil
from collections import namedtuple

import numpy as np
import pytest

from tutorial_utils import places, store

NOTE = {"weights": "abc", "views": 2}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ANTS_BEES_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def rows():
    yield np.arange(6, dtype=np.float32).reshape(2, 3)
    yield np.full((1, 3), 7, dtype=np.float32)


def never():
    raise AssertionError("made again")
    yield


def test_written_and_read_back():
    assert store.read(NOTE) is None
    made = store.write(NOTE, (3, 3), rows())
    expected = [[0, 1, 2], [3, 4, 5], [7, 7, 7]]
    assert made.tolist() == store.read(NOTE).tolist() == expected
    assert isinstance(store.read(NOTE), np.memmap)
    assert np.load(places.cache_dir() / store.key_of(NOTE) / store.VALUES).dtype == np.float32


def test_what_is_there_is_not_written_again():
    store.write(NOTE, (3, 3), rows())
    assert store.write(NOTE, (3, 3), never())[2].tolist() == [7, 7, 7]


def test_another_note_has_another_entry():
    store.write(NOTE, (3, 3), rows())
    assert store.read(NOTE | {"weights": "abd"}) is None
    assert store.read(NOTE | {"views": 3}) is None


def damage_cut(folder):
    path = folder / store.VALUES
    path.write_bytes(path.read_bytes()[:-4])


def damage_bit(folder):
    path = folder / store.VALUES
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def damage_note(folder):
    (folder / store.NOTE).write_text("{")


def damage_gone(folder):
    (folder / store.VALUES).unlink()


def damage_other(folder):
    note = json.loads((folder / store.NOTE).read_text())
    note["made_from"]["weights"] = "of another network"
    (folder / store.NOTE).write_text(json.dumps(note))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (damage_cut, "is cut short or altered"),
        (damage_bit, "is cut short or altered"),
        (damage_note, "cannot be read"),
        (damage_gone, "cannot be read"),
        (damage_other, "was made from something else"),
    ],
)
def test_a_damaged_entry_is_never_trusted(damage, said, capsys):
    store.write(NOTE, (3, 3), rows())
    damage(places.cache_dir() / store.key_of(NOTE))
    assert store.read(NOTE) is None
    line = capsys.readouterr().out
    assert said in line
    assert line.count("\n") == 1
    assert store.write(NOTE, (3, 3), rows()).tolist() == store.read(NOTE).tolist()


def test_nothing_is_left_of_a_write_that_fails(cache):
    def broken():
        yield np.zeros((1, 3), dtype=np.float32)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.write(NOTE, (3, 3), broken())
    assert store.read(NOTE) is None
    assert [p for p in cache.iterdir() if p.is_dir()] == []


def test_a_full_disk_says_what_is_needed(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 5_000_000, 5_000_000)
    )
    with pytest.raises(OSError, match=r"5 MB free, and 67 MB are needed.*cache --clear"):
        store.write(NOTE, (3, 3), never())


def test_entries_and_clear(cache):
    store.write(NOTE, (3, 3), rows())
    (cache / "drawn-2").mkdir()
    (cache / "drawn-2" / "a.jpg").write_bytes(bytes(10))
    sizes = dict(store.entries())
    assert sizes["drawn-2"] == 10
    assert sizes[store.key_of(NOTE)] > 36
    assert store.clear() == sizes[store.key_of(NOTE)]
    assert [name for name, _ in store.entries()] == ["drawn-2"]
    assert store.clear(everything=True) == 10
    assert store.entries() == []


def test_no_cache_has_no_entries():
    assert store.entries() == []
    assert store.clear() == 0


def counted(path, start):
    def parts():
        with path.open("a") as file:
            file.write("made\n")
        yield from rows()

    start.wait()
    store.write(NOTE, (3, 3), parts())


def test_two_processes_make_it_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    start, path = context.Barrier(2), tmp_path / "made.txt"
    workers = [context.Process(target=counted, args=(path, start)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert path.read_text() == "made\n"
    assert store.read(NOTE) is not None
