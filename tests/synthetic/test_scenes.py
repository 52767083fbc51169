"""Tests of the scenes: nothing but the insects reveals the class."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tutorial_utils import synthetic

TRAIN, VAL = 110, 90  # images of each class


@pytest.fixture(scope="module")
def images():
    """Small images (N, 96, 128, 3) of both classes, those for training first."""
    return {
        label: np.array(
            [synthetic.draw(label, seed=seed, size=(128, 96)) for seed in range(TRAIN + VAL)]
        )
        for label in synthetic.CLASSES
    }


def accuracy(images, describe):
    """Train a linear classifier on a description of each image; return its accuracy on others."""
    train, val = (
        np.concatenate([describe(images[label][part] / 255) for label in synthetic.CLASSES])
        for part in (slice(TRAIN), slice(TRAIN, None))
    )
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(train, np.repeat((0, 1), TRAIN))
    return model.score(val, np.repeat((0, 1), VAL))


def test_mean_colour_does_not_reveal_the_class(images):
    assert accuracy(images, lambda batch: batch.mean(axis=(1, 2))) < 0.65


def test_the_border_does_not_reveal_the_class(images):
    border = np.ones((96, 128), bool)
    border[8:-8, 8:-8] = False
    assert accuracy(images, lambda batch: batch[:, border].mean(axis=1)) < 0.65
