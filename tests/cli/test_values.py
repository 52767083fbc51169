"""Tests of `cli.values`: values on the command line mean what they mean to papermill."""

import subprocess
import sys

import nbformat
import pytest
from tiny_notebooks import write

from tutorial_utils.cli.values import read_value, read_values, split_pair


def test_a_value_is_read_as_papermill_reads_its_own(tmp_path):
    # "5." and "1_000" are numbers in Python; "true", "1,5" and "" are text.
    texts = ["True", "False", "None", "0", "-7", "1_000", " 3 ", "1e-4", "5.", "-0.5", "inf"]
    texts += ["true", "none", "1,5", "0x10", "", "a b", "[1, 2]", "'x'", "٣"]
    given = [word for i, text in enumerate(texts) for word in ("-p", f"x{i}", text)]
    source, out = write(tmp_path / "in.ipynb", "x = 1"), tmp_path / "out.ipynb"
    papermill = [sys.executable, "-m", "papermill", source, out, "--prepare-only"]
    subprocess.run([*papermill, *given], check=True, capture_output=True)
    book = nbformat.read(out, as_version=4)
    theirs = book.metadata.papermill.parameters
    ours = [read_value(text) for text in texts]
    assert [repr(value) for value in ours] == [repr(theirs[f"x{i}"]) for i in range(len(texts))]


def test_a_pair_is_split_at_its_first_equals_sign():
    assert split_pair("name=a=b") == ("name", "a=b")
    assert split_pair("name=") == ("name", "")


@pytest.mark.parametrize("wrong", ["epochs", "=3", "1x=2", ""])
def test_a_pair_without_a_name_or_a_value_is_an_error(wrong):
    with pytest.raises(ValueError, match=f"-p takes NAME=VALUE, not '{wrong}'; for example"):
        split_pair(wrong)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("alexnet,vgg16", ["alexnet", "vgg16"]),
        ("1e-4, 1e-3", [1e-4, 1e-3]),
        ("0..4", [0, 1, 2, 3, 4]),
        ("-2..0,7", [-2, -1, 0, 7]),
        ("True,None,x", [True, None, "x"]),
        ('"a,b",c', ["a,b", "c"]),
        ('"1","0..4",""', ["1", "0..4", ""]),
        ('"say ""hi""" , 2', ['say "hi"', 2]),
        ("a..b,../x", ["a..b", "../x"]),
    ],
)
def test_values_of_a_sweep(text, values):
    assert read_values(text) == values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot read the values ''"),
        ("a,", "cannot read the values 'a,'"),
        ("a, ,b", "cannot read the values 'a, ,b'"),
        ("a,,b", "cannot read the values 'a,,b': write 1e-4,1e-3 or"),
        ('"a', "put a value with a comma in double quotes"),
        ('"a"b', "cannot read the values"),
        ("4..0", "the range 4..0 goes down; write 0..4"),
    ],
)
def test_values_that_cannot_be_read(text, message):
    with pytest.raises(ValueError, match=message):
        read_values(text)
