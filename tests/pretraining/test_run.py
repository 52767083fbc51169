"""The command line of the pretraining, from a folder of images to a file of weights."""

import subprocess
import sys

import memory
import pytest
import run
from test_dataset import tree, write
from test_train import single_thread, tiny  # noqa: F401  (fixtures)


@pytest.fixture
def kept(monkeypatch):
    """Note calls of `keep_memory`, which would change the process of the tests."""
    calls = []
    monkeypatch.setattr(memory, "keep_memory", lambda: calls.append(1))
    return calls


@pytest.mark.usefixtures("tiny")
def test_it_pretrains_from_a_folder(tmp_path, capsys, kept):
    write(tmp_path / "set", tree(ant=4, bee=4) | {"train/ant/bad.png": b"x"})
    words = ["alexnet", "--data", str(tmp_path / "set"), "--epochs", "1", "--sizes", "0:32"]
    words += ["--out", str(tmp_path / "a.safetensors"), "--batch-size", "4", "--side", "16"]
    assert run.main([*words, "--lr", "0.01"]) == 0
    printed = capsys.readouterr().out
    assert "8 validation images of 2 classes; 1 skipped: train/ant/bad.png" in printed
    assert "epoch 1.00  32x32" in printed and (tmp_path / "a.safetensors").exists()
    assert kept == [1]
    words[words.index("--out") + 1] = str(tmp_path / "b.safetensors")
    words += ["--hidden", "8", "--start", str(tmp_path / "a.safetensors")]
    words += ["--frozen", "1", "--variety", "0.5"]
    assert run.main(words) == 0
    assert "starts from " in capsys.readouterr().out
    assert run.main(words) == 1  # its checkpoint would be overwritten
    assert "error: " in (error := capsys.readouterr().err) and "would be lost" in error


def test_it_names_what_is_wrong_with_a_source(tmp_path, capsys, kept):
    assert run.main(["vgg16", "--data", str(tmp_path), "--epochs", "1", "--out", "x"]) == 1
    assert "no class with images" in capsys.readouterr().err


def test_options_change_the_recipe():
    words = ["vgg16", "--data", "x", "--epochs", "1", "--out", "x", "--lr", "0.3", "--seed", "7"]
    recipe = run._recipe(run._parser().parse_args([*words, "--sizes", "0:48", "0.5:64"]))
    assert (recipe.lr, recipe.seed, recipe.batch_size) == (0.3, 7, 128)
    assert recipe.sizes == ((0.0, 48), (0.5, 64))


@pytest.mark.parametrize("option", ["--side", "--batch-size"])
def test_counts_are_whole_numbers(option, capsys):
    words = ["vgg16", "--data", "x", "--epochs", "1", "--out", "x"]
    with pytest.raises(SystemExit):
        run.main([*words, option, "0"])
    assert "must be a whole number from 1, not '0'" in capsys.readouterr().err


def test_help_works_from_any_folder(tmp_path):
    command = [sys.executable, run.__file__, "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--data" in done.stdout
