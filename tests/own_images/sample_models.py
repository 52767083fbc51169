"""Small classifiers and inputs for them that the tests here share."""

import torch
from PIL import Image

from tutorial_utils import models
from tutorial_utils.own_images import classifier

NAMES = ("ants", "wild bees", "été/hiver", "蟻", "no insect")


def build(arch, kind, *, side=None):
    """Return a classifier; with a side, for images of so many pixels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12)
        model = classifier.build(models.find_weights(arch, kind, quiet=True), NAMES)
    if side is None:
        return model
    return classifier.Classifier(arch, model.classes, models.preset(side, side), model.network)


def images_for(model, count):
    """Return random images (count, 3, H, W) of the size that a classifier wants."""
    side = model.preset.crop_size[0]
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(count))


def photo(path, size=(90, 70), colour=(200, 40, 40)):
    """Write an image of one colour and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path
