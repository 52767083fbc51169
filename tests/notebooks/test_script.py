"""The standalone script, the blog post in plain PyTorch, runs from a folder to its curves."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

SCRIPT = Path(__file__).resolve().parents[2] / "notebooks" / "ants_and_bees.py"
COUNTS = {"train": 3, "val": 2}  # images of each class


@pytest.fixture
def images(tmp_path):
    """Return a folder with images of two classes, one dark and one light."""
    rng = np.random.default_rng(0)
    for part, count in COUNTS.items():
        for label, brightness in (("ants", 0), ("bees", 155)):
            folder = tmp_path / "images" / part / label
            folder.mkdir(parents=True)
            for number in range(count):
                values = brightness + rng.integers(0, 100, (50, 60, 3), dtype=np.uint8)
                Image.fromarray(values.astype(np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "images"


@pytest.fixture
def torch_home(tmp_path):
    """Return a hub folder with random AlexNet weights under torchvision's file name."""
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {name: p.shape for name, p in torchvision.models.alexnet().state_dict().items()}
    state = {}
    for name, shape in shapes.items():  # one value for each output, repeated: a small file
        values = torch.randn(shape[0], *[1] * (len(shape) - 1), generator=generator)
        state[name] = (values / shape[1:].numel()).expand(shape)
    url = torchvision.models.AlexNet_Weights.IMAGENET1K_V1.url
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(state, folder / url.rpartition("/")[2])
    return tmp_path / "torch"


def test_the_script_trains_and_draws_the_curves(images, torch_home, tmp_path):
    done = subprocess.run(
        [sys.executable, SCRIPT, images, "--epochs", "2"],
        cwd=tmp_path,
        env=os.environ | {"TORCH_HOME": str(torch_home), "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    number = r"(\d+\.\d{3})"
    form = f"epoch 2: train loss {number}, train accuracy {number}, val loss {number}, val accuracy"
    values = re.fullmatch(f"{form} {number}", lines[1])
    assert values, lines[1]
    correct = float(values[2]) * 2 * COUNTS["train"]
    assert correct == pytest.approx(round(correct), abs=0.01)
    assert float(values[4]) in {0, 0.25, 0.5, 0.75, 1}
    assert Image.open(tmp_path / "ants_and_bees.png").size > (300, 200)


def test_the_script_stands_alone_and_is_short():
    text = SCRIPT.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    assert "tutorial_utils" not in text
