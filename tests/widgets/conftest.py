"""What the tests of the widgets share: a tiny network, tiny images, predictions."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tutorial_utils import data, evaluation
from tutorial_utils._support.presets import preset as make_preset


@pytest.fixture
def preset():
    return make_preset(32)


@pytest.fixture
def network():
    """Return a convolution, a pooling and a dense layer, for 32 pixels and two classes."""
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(3, 4, 5, stride=2), nn.ReLU(), nn.MaxPool2d(2))
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(4 * 7 * 7, 2))
    return nn.Sequential(OrderedDict(features=features, classifier=classifier))


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
