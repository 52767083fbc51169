"""The ONNX export: it gives the classifier's logits, and old exports still work."""

import json
import logging

import onnx
import pytest
import torch
from sample_models import NAMES, build, images_for
from torch import nn

from tutorial_utils import models
from tutorial_utils.own_images import model_file, onnx_export


@pytest.mark.parametrize("arch", models.ARCHS)
def test_the_export_gives_the_same_logits(arch, tmp_path, capfd):
    model = build(arch, "demo")  # with the preset of its weights
    with torch.no_grad():
        model.head[-1].weight.mul_(20)  # logits as large as after long training
    path = onnx_export.export_onnx(model, tmp_path / "model.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"], "not one file"
    assert onnx_export.onnx_classes(path) == NAMES
    for count in (1, 3, 17):
        images = images_for(model, count)
        assert onnx_export.onnx_logits(path, images).shape == (count, 5)
        assert onnx_export.compare(model, path, images) < 1e-4
    assert model.logits(images).abs().max() > 5
    assert capfd.readouterr() == ("", "")


def test_the_export_of_another_network_does_not(tiny, exported):
    other = build("alexnet", "demo", side=64)
    assert onnx_export.compare(tiny, exported, images_for(tiny, 3)) < 1e-4
    assert onnx_export.compare(other, exported, images_for(tiny, 3)) > 1e-2


def test_the_export_changes_neither_network_nor_generator(tiny, tmp_path):
    tiny.network.train()
    before = torch.get_rng_state()
    state = {name: value.clone() for name, value in tiny.network.named_parameters()}
    levels = {name: logging.getLogger(name).level for name in ("torch.onnx", "onnxscript")}
    onnx_export.export_onnx(tiny, tmp_path / "model.onnx")
    assert tiny.network.training
    assert tiny.head[-1].weight.requires_grad
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(value, state[name]) for name, value in tiny.network.named_parameters())
    assert levels == {name: logging.getLogger(name).level for name in levels}


@pytest.mark.parametrize(("size", "target"), [(3, 7), (1, 6), (7, 7), (4, 7), (13, 6), (12, 6)])
def test_the_pooling_is_the_adaptive_one(size, target):
    maps = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(size))
    wanted = nn.AdaptiveAvgPool2d(target)(maps)
    assert torch.allclose(onnx_export._AveragePool(size, target)(maps), wanted, atol=1e-6)


def test_another_file_folder_or_shape_raises_an_error(tiny, exported, tmp_path):
    with pytest.raises(FileNotFoundError, match="could not be written .*: there is no folder"):
        onnx_export.export_onnx(tiny, tmp_path / "no" / "m.onnx")
    with pytest.raises(FileNotFoundError, match="there is no ONNX model at"):
        onnx_export.onnx_logits(tmp_path / "m.onnx", torch.zeros(1, 3, 64, 64))
    (tmp_path / "m.onnx").write_text("nothing")
    with pytest.raises(ValueError, match="is not an ONNX model that onnxruntime reads"):
        onnx_export.onnx_logits(tmp_path / "m.onnx", torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match=r"does not take images of shape \(1, 3, 60, 64\)"):
        onnx_export.onnx_logits(exported, torch.zeros(1, 3, 60, 64))


def test_a_path_may_begin_with_a_tilde(exported, monkeypatch):
    monkeypatch.setenv("HOME", str(exported.parent))
    assert onnx_export.onnx_classes("~/model.onnx") == NAMES


def test_an_export_of_the_first_version_works(tiny, exported, tmp_path):
    model = onnx.load(exported)
    model.graph.input[0].name = "old_name"  # earlier versions called the input otherwise
    for node in model.graph.node:
        node.input[:] = ["old_name" if name == "images" else name for name in node.input]
    onnx.save(model, tmp_path / "old.onnx")
    assert onnx_export.compare(tiny, tmp_path / "old.onnx", images_for(tiny, 3)) < 1e-4
    assert onnx_export.onnx_classes(tmp_path / "old.onnx") == NAMES


def test_a_model_without_class_names_raises_an_error(exported, tmp_path):
    model = onnx.load(exported)
    stored = {prop.key: prop.value for prop in model.metadata_props}
    assert stored == model_file.metadata("alexnet", NAMES, models.preset(64, 64))
    assert json.loads(stored["classes"]) == list(NAMES)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="m.onnx holds no class names: write it with"):
        onnx_export.onnx_classes(tmp_path / "m.onnx")
