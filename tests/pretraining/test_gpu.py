"""The plan for a GPU, run on the processor with a tiny network and seconds instead of minutes."""

import json

import gpu
import pytest
import torch
from recipe import GPU_RECIPES, Recipe
from test_dataset import tree, write
from test_train import single_thread, tiny  # noqa: F401  (fixtures)

from tutorial_utils._support import weight_files


@pytest.fixture
def plan(tmp_path, monkeypatch, request):
    """Return a function that runs the command line on eight small images of each class."""
    request.getfixturevalue("tiny")
    write(tmp_path / "set", tree(ant=8, bee=8))
    monkeypatch.setattr(gpu, "SIZES", {"vgg16": (32,), "alexnet": (32, 40)})
    for arch in GPU_RECIPES:
        monkeypatch.setitem(gpu.GPU_RECIPES, arch, Recipe(batch_size=8, sizes=((0.0, 32),)))

    def run(*words, minutes=("vgg16=0.005", "alexnet=0.005")):
        given = ["--data", tmp_path / "set", "--out", tmp_path / "out", "--state", tmp_path / "s"]
        given += ["--minutes", *minutes, "--jobs", "1", "--device", "cpu", "--batch-size", "8"]
        return gpu.main([*map(str, given), *words])

    return run


def test_it_leaves_weights_and_a_report(plan, tmp_path):
    assert plan() == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert list(results) == ["device", "torch", "data", "vgg16", "alexnet"]
    assert results["data"] == "16 training and 16 validation images of 2 classes"
    found = results["alexnet"]
    assert found["packed"]["total"] == 16 and list(found["by_size"]) == ["32", "40"]
    assert found["minutes"] == 0.005 and found["seconds"] >= 0.3 and found["epochs"] > 0
    assert (tmp_path / "out" / found["path"]).exists()


def test_a_second_call_resumes_if_told_to(plan, tmp_path, capsys):
    assert plan(minutes=["alexnet=0.005"]) == 0
    assert plan(minutes=["alexnet=0.005"]) == 1
    assert "alexnet.checkpoint exists and would be lost" in capsys.readouterr().err
    (tmp_path / "out" / "alexnet.safetensors").unlink()
    assert plan("--resume", minutes=["alexnet=0.005"]) == 0
    printed = capsys.readouterr().out
    assert "resumed after " in printed and "alexnet.safetensors at 40x40" in printed


def test_a_loss_that_is_not_finite_starts_again_at_a_lower_rate(plan, tmp_path, monkeypatch):
    rates, real = [], gpu.train.pretrain

    def pretrain(*arguments, recipe, **settings):
        rates.append(recipe.lr)
        if len(rates) == 1:
            settings["checkpoint_path"].write_bytes(b"of the run that failed")
            raise FloatingPointError("the loss is nan by step 3")
        return real(*arguments, recipe=recipe, **settings)

    monkeypatch.setattr(gpu.train, "pretrain", pretrain)
    assert plan(minutes=["vgg16=0.01"]) == 0
    assert rates == [0.1, 0.025]
    minutes = json.loads((tmp_path / "out" / "results.json").read_text())["vgg16"]["minutes"]
    assert 0 < minutes <= 0.01


def test_a_wrong_network_or_folder_is_named(plan, tmp_path, capsys):
    with pytest.raises(SystemExit):
        plan(minutes=["resnet18=2"])
    assert "must be NETWORK=MINUTES with vgg16 or alexnet, not 'resnet18=2'" in (
        capsys.readouterr().err
    )
    with pytest.raises(SystemExit):
        plan(minutes=["vgg16=soon"])
    assert "not 'vgg16=soon'" in capsys.readouterr().err
    assert plan("--data", str(tmp_path / "nowhere")) == 1
    assert "error: there is no " in capsys.readouterr().err


def test_the_linear_head_is_measured_in_another_process(tmp_path, monkeypatch):
    script = tmp_path / "bench" / "weights.py"
    script.parent.mkdir()
    script.write_text("import sys; print('| photographs |', *sys.argv[1:])")
    monkeypatch.setattr(gpu.command, "ROOT", tmp_path)
    assert gpu._heads("alexnet", tmp_path) == (
        f"| photographs | --only alexnet --assets {tmp_path}"
    )
    script.write_text("import nothing_that_exists")
    assert "No module named 'nothing_that_exists'" in gpu._heads("alexnet", tmp_path)


@pytest.mark.parametrize("arch", GPU_RECIPES)
def test_the_packed_file_has_the_shipped_ones_tensors(arch, tmp_path):
    from safetensors.torch import load_file

    packing, models = gpu.train.packing, gpu.train.models
    network = gpu.train.networks.build(models.build_on_meta(arch).features, 200)
    path = tmp_path / f"{arch}.safetensors"
    folded = gpu.train.networks.fold(network.to(memory_format=torch.channels_last))
    packing.pack(folded.features, path, packing=gpu.train.PACKING[arch])
    new, shipped = load_file(path), load_file(weight_files.ASSETS / path.name)
    assert {name: (value.shape, value.dtype) for name, value in new.items()} == {
        name: (value.shape, value.dtype) for name, value in shipped.items()
    }
    assert path.stat().st_size < 16 * 2**20
