"""The page about using a model elsewhere: its code runs, and prepares images as the preset does."""

import re
from pathlib import Path

import pytest
import torch
from sample_folders import make_image
from sample_models import build

from tutorial_utils import data, models
from tutorial_utils.cli.parser import make_parser
from tutorial_utils.own_images import classifier, onnx_export

PAGE = Path(__file__).resolve().parents[2] / "docs" / "deployment.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Return a classifier whose two files, and images, are in the current folder."""
    monkeypatch.chdir(tmp_path)
    tiny = build("alexnet", "demo", side=64)
    preset = models.preset(64, 75)  # the middle 64 pixels of 75
    model = classifier.Classifier("alexnet", tiny.classes, preset, tiny.network)
    classifier.save(model, "model.safetensors")
    onnx_export.export_onnx(model, "model.onnx")
    make_image(3, (211, 140)).save("image.jpg")
    Path("holiday").mkdir()
    make_image(4).save("holiday/a.png")
    Path("holiday/b.png").write_bytes(b"")
    return model


def test_the_code_for_python_runs(model, capsys):
    code = next(text for kind, text in BLOCKS if kind == "python" and "classifier" in text)
    exec(code, {})
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("holiday") and "a.png [(" in first
    assert second.endswith("b.png empty, 0 bytes")


@pytest.mark.parametrize("size", [(211, 140), (64, 333), (50, 40)])
def test_the_code_without_pytorch_gives_the_same_logits(model, size, capsys):
    make_image(3, size).save("image.jpg", quality=95)
    code = next(text for kind, text in BLOCKS if kind == "python" and "onnxruntime" in text)
    assert "torch" not in code and "tutorial_utils" not in code
    names = {}
    exec(code, names)
    wanted = model.logits(model.preset(data.open_image("image.jpg"))[None])[0]
    assert torch.allclose(torch.from_numpy(names["logits"][0]), wanted, atol=1e-4)
    assert capsys.readouterr().out.strip() == model.classes[int(wanted.argmax())]


def test_the_command_and_its_options_exist():
    (command,) = (text.strip() for kind, text in BLOCKS if kind == "bash")
    options = make_parser().parse_args(command.split()[3:])
    assert options.top == 3
    for option in re.findall(r"`(--\w+)`", PAGE.read_text(encoding="utf-8")):
        assert option in ("--top", "--json", "--csv")
