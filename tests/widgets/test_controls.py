"""The drop zone: pieces that make a file, and what it says when they do not."""

import pytest

from tutorial_utils.widgets.controls import Drop, Labels


@pytest.fixture
def taken():
    return []


@pytest.fixture
def drop(taken):
    return Drop(lambda name, content: taken.append((name, content)), limit=100)


def send(drop, name, content, *, piece=10, size=None):
    for at in range(0, max(1, len(content)), piece):
        message = {"name": name, "size": len(content) if size is None else size, "at": at}
        drop._receive(drop, message, [memoryview(content)[at : at + piece]])


@pytest.mark.parametrize("length", [0, 1, 9, 10, 11, 95, 100])
def test_a_file_is_put_together_from_its_pieces(drop, taken, length):
    content = bytes(range(length))
    send(drop, "a.png", content)
    assert taken == [("a.png", content)]
    assert drop.said == f"a.png: {min(length, 1)} kB"


def test_a_second_file_begins_anew(drop, taken):
    send(drop, "a.png", b"x" * 35, size=60)  # cut off
    send(drop, "b.png", b"y" * 25)
    assert taken == [("b.png", b"y" * 25)]


def test_a_piece_that_is_missing_is_said(drop, taken):
    drop._receive(drop, {"name": "a.png", "size": 30, "at": 0}, [b"x" * 10])
    drop._receive(drop, {"name": "a.png", "size": 30, "at": 20}, [b"x" * 10])
    assert taken == [] and drop.said == "a.png did not arrive whole. Try again."


def test_a_file_over_the_limit_is_not_taken(drop, taken):
    send(drop, "a.png", b"x" * 101)
    assert taken == [] and "did not arrive whole" in drop.said


def test_what_the_taker_raises_is_said(taken):
    def refuse(name, content):
        raise ValueError("no room")

    drop = Drop(refuse)
    send(drop, "a.png", b"x")
    assert drop.said == "a.png: no room"


def test_nothing_is_loaded_from_anywhere():
    for kind in (Drop, Labels):
        script = str(kind._esm)
        assert "http" not in script and "import " not in script
    assert "http" not in str(Drop._css)


def test_the_file_does_not_become_a_trait_that_is_saved(drop):
    send(drop, "a.png", b"secret image")
    assert all(b"secret" not in str(value).encode() for value in drop.get_state().values())
