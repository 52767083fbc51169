"""Tests of `tutorial_utils._support.presets`: torchvision's transform through its public names."""

import subprocess
from pathlib import Path

import pytest
import torch
import torchvision
from PIL import Image

from tutorial_utils import models
from tutorial_utils._support.presets import preset

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_preset_is_torchvisions_own():
    ours = preset(224, 256)
    torchvisions = torchvision.models.VGG16_Weights.IMAGENET1K_V1.transforms()
    assert type(ours) is type(torchvisions)
    assert repr(ours) == repr(torchvisions)
    assert models.preset is preset


def test_a_preset_resizes_crops_and_normalises():
    transform = preset(8, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.125))
    assert (transform.crop_size, transform.resize_size) == ([8], [8])
    tensor = transform(Image.new("RGB", (30, 20), (255, 255, 255)))
    assert (tensor.shape, tensor.dtype) == ((3, 8, 8), torch.float32)
    assert tensor[:, 0, 0].tolist() == pytest.approx([0.9 / 0.5, 0.8 / 0.25, 0.7 / 0.125])


def test_nothing_imports_torchvisions_private_module():
    private = "torchvision.transforms." + "_presets"
    command = ["git", "grep", "-lF", private, "--", "*.py"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout == ""
