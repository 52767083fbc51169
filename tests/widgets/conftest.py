"""What the tests of the widgets share: a tiny network, tiny images, predictions."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tutorial_utils import data, evaluation
from tutorial_utils._support.presets import preset as make_preset


class Tiny(nn.Module):
    """A convolution, a pooling and a dense layer, for images of 32 pixels and two classes."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 5, stride=2), nn.ReLU(), nn.MaxPool2d(2))
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(4 * 7 * 7, 2))

    def forward(self, x):
        return self.classifier(self.features(x))


@pytest.fixture
def preset():
    return make_preset(32)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Tiny()


@pytest.fixture
def raw():
    """Return nine pairs of a PIL image and a label."""
    noise = np.random.default_rng(0).integers(0, 256, (9, 40, 50, 3), dtype=np.uint8)
    return [(Image.fromarray(one), number % 2) for number, one in enumerate(noise)]


@pytest.fixture
def dataset(raw, preset):
    return [(preset(image), label) for image, label in raw]


@pytest.fixture
def predictions(network, dataset):
    return evaluation.predict(network, data.loader(dataset, batch_size=4))
