"""The list of mutations: each can be applied, is a change, and names tests that are there."""

import ast

import mutate
import nbformat
import pytest

MUTATIONS = mutate.read()


def test_there_are_many_and_no_two_are_the_same():
    assert len(MUTATIONS) >= 60
    assert len({(one.file, one.old, one.new) for one in MUTATIONS}) == len(MUTATIONS)


@pytest.mark.parametrize("file", sorted({one.file for one in MUTATIONS}))
def test_the_original_text_is_there_once_and_the_result_can_be_read(file):
    for one in (one for one in MUTATIONS if one.file == file):
        assert one.old != one.new
        text = mutate.mutated(one)
        nbformat.reads(text, as_version=4) if file.endswith(".ipynb") else ast.parse(text)
        assert one.tests and all((mutate.ROOT / "tests" / name).is_file() for name in one.tests)


def test_a_text_that_is_not_there_is_named():
    one = mutate.Mutation("nothing", "tutorial_utils/history.py", "no such text", "", [])
    with pytest.raises(
        ValueError, match=r"history.py has 0 times 'no such text' \(nothing\): give"
    ):
        mutate.mutated(one)
