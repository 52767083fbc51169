"""Tiny networks, images and runs that the tests of training share."""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from tutorial_utils import training
from tutorial_utils.history import Epoch, Score

IMAGES, BATCH, WIDTH = 23, 5, 6  # the last batch is shorter


class Photos(Dataset):
    """Tiny images (or features), which may press Ctrl-C or turn bad when one is read."""

    def __init__(self, *, shape=(WIDTH,), count=IMAGES, stop_at=None, bad_at=None):
        generator = torch.Generator().manual_seed(1)
        self.values = torch.randn(count, *shape, generator=generator)
        self.labels = (self.values.flatten(1).sum(1) > 0).long()
        self.stop_at, self.bad_at, self.reads = stop_at, bad_at, 0

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        self.reads += 1
        if self.reads == self.stop_at:
            raise KeyboardInterrupt
        value = self.values[index]
        return (value * math.nan if self.reads == self.bad_at else value), int(self.labels[index])


def loader(*, shuffle=True, batch_size=BATCH, **options):
    return DataLoader(Photos(**options), batch_size=batch_size, shuffle=shuffle)


def head(*, classes=2, seed=3, frozen=(0,)):
    """Return a network with dropout, some of its layers frozen."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = nn.Linear(WIDTH, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, classes)
    for index in frozen:
        layers[index].requires_grad_(False)
    return nn.Sequential(*layers)


def small_cnn():
    network = nn.Module()
    network.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    network.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(4 * 6 * 6, 2))
    network.forward = lambda x: network.classifier(network.features(x))
    return network


def run(network=None, *, epochs=4, lr=1e-2, **options):
    network = head() if network is None else network
    defaults = {"train": loader(), "val": loader(shuffle=False, count=11), "quiet": True}
    options = defaults | options
    return network, training.fit(network, epochs=epochs, lr=lr, **options)


def same(network, other):
    mine, theirs = network.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)


def measured(history):
    """Return the history without what no two runs share, the seconds."""
    return [(e.epoch, e.train, e.val) for e in history.epochs]


def uphill(parameters):
    """Return an optimiser that makes a network worse, so that the best epoch is an early one."""
    return torch.optim.SGD(parameters, lr=0.5, maximize=True)


def epoch(number, *, correct=5, loss=0.5, total=10):
    """Return an epoch with this validation; in training it is better the worse it is there."""
    train = Score(1 / (1 + loss), total - correct, total)
    return Epoch(number, train, Score(loss, correct, total), 1.5)
