"""Tests of `tutorial_utils.evaluation`: predictions, confusion, McNemar, calibration, folds."""

import math

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tutorial_utils import evaluation
from tutorial_utils.evaluation import Predictions


def made(rows, labels):
    return Predictions(torch.tensor(rows, dtype=torch.float32), torch.tensor(labels))


def four():
    """Return two correct predictions, an unsure mistake (2) and a confident one (3)."""
    return made([[2, 0], [0, 2], [0.1, 0], [5, 0]], [0, 1, 1, 1])


@st.composite
def predictions(draw):
    n, k = draw(st.integers(1, 30)), draw(st.integers(2, 5))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    labels = torch.randint(k, (n,), generator=generator)
    return Predictions(torch.randn(n, k, generator=generator), labels)


# Predictions


def test_predictions():
    p = four()
    assert p.predicted.tolist() == [0, 1, 0, 0] and p.correct.tolist() == [True, True, False, False]
    assert (p.accuracy, p.total, len(p)) == (0.5, 4, 4)
    assert p.probabilities[0, 0].item() == pytest.approx(1 / (1 + math.exp(-2)))
    assert p.losses[3].item() == pytest.approx(5 + math.log1p(math.exp(-5)))


@settings(max_examples=30, deadline=None)
@given(predictions())
def test_predictions_agree_with_themselves(p):
    assert torch.allclose(p.probabilities.sum(1), torch.ones(p.total), atol=1e-6)
    truth = p.probabilities[torch.arange(p.total), p.labels]
    assert torch.allclose(p.losses, -truth.log(), atol=1e-5)
    assert p.accuracy == p.correct.sum().item() / p.total


@pytest.mark.parametrize(
    ("logits", "labels"),
    [((4, 2), (3,)), ((4,), (4,)), ((4, 2), (4, 1)), ((0, 2), (0,)), ((4, 2, 1), (4,))],
)
def test_shapes_that_do_not_go_together(logits, labels):
    with pytest.raises(ValueError, match=r"logits must be \(N, K\) and labels \(N,\)"):
        Predictions(torch.zeros(logits), torch.zeros(labels, dtype=torch.int64))


@pytest.mark.parametrize("labels", [[0, 2], [-1, 1]])
def test_labels_beyond_the_network(labels):
    with pytest.raises(ValueError, match=f"labels go from {labels[0]} to {labels[1]}.*2 classes"):
        made([[0, 1], [1, 0]], labels)


# predict


def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3))


def photos(count=23):
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (count,), generator=generator)
    return TensorDataset(torch.randn(count, 6, generator=generator), labels)


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 30), batch_size=st.integers(1, 9))
def test_predict_keeps_the_order_whatever_the_batches(count, batch_size):
    net, data = network(), photos(count)
    p = evaluation.predict(net, DataLoader(data, batch_size=batch_size))
    with torch.no_grad():
        assert torch.allclose(p.logits, net.eval()(data.tensors[0]), atol=1e-6)
    assert torch.equal(p.labels, data.tensors[1])
    assert p.logits.dtype == torch.float32 and not p.logits.is_inference()


def test_predict_leaves_modes_and_generator_alone():
    net = network().train()
    net[2].eval()
    before = torch.get_rng_state()
    evaluation.predict(net, DataLoader(photos(), batch_size=5))
    assert torch.equal(torch.get_rng_state(), before)
    assert net.training and not net[2].training and net[0].training


@pytest.mark.parametrize(
    ("network", "loader", "message"),
    [
        (network(), DataLoader(photos(), shuffle=True), "the loader shuffles.*shuffle=False"),
        (network(), DataLoader(photos(0)), "loader is empty"),
        (
            nn.Linear(6, 2),
            DataLoader(photos()),
            "has the label 2, and the network has logits for 2 classes",
        ),
    ],
)
def test_predict_of_what_does_not_fit(network, loader, message):
    with pytest.raises(ValueError, match=message):
        evaluation.predict(network, loader)


# confusion and worst


def test_confusion_rows_are_the_truth():
    assert evaluation.confusion(four()).tolist() == [[1, 0], [2, 1]]


@settings(max_examples=30, deadline=None)
@given(predictions())
def test_confusion_counts_every_image_once(p):
    table = evaluation.confusion(p)
    assert table.shape == (p.logits.shape[1],) * 2 and table.sum() == p.total
    assert table.trace() == p.correct.sum()
    assert table.sum(axis=1).tolist() == p.labels.bincount(minlength=len(table)).tolist()
    assert (evaluation.confusion(p, classes=7)[: len(table), : len(table)] == table).all()


def test_confusion_drops_nothing():
    p = made([[0, 0, 9], [9, 0, 0]], [0, 1])
    with pytest.raises(ValueError, match="class 2 occurs, and classes=2 means 0 to 1.*=3"):
        evaluation.confusion(p, classes=2)


def test_worst_first():
    assert evaluation.worst(four()) == [3, 2, 0, 1]
    assert evaluation.worst(four(), count=1) == [3]


@settings(max_examples=30, deadline=None)
@given(predictions(), st.integers(1, 40))
def test_worst_are_those_of_highest_loss(p, count):
    found = evaluation.worst(p, count=count)
    assert len(found) == len(set(found)) == min(count, p.total)
    left = set(range(p.total)) - set(found)
    assert not left or p.losses[found].min() >= p.losses[list(left)].max()


@pytest.mark.parametrize("value", [0, -1, 1.5, 2.0, False, True, "2"])
@pytest.mark.parametrize(
    ("function", "name"), [(evaluation.worst, "count"), (evaluation.confusion, "classes")]
)
def test_numbers_must_be_whole(function, name, value):
    with pytest.raises(ValueError, match=f"{name} must be a whole number from 1, not {value!r}"):
        function(four(), **{name: value})


# mcnemar and calibration


def confident(correct: list[bool], probability: float) -> Predictions:
    """Return predictions of class 0 with this probability, correct or not."""
    logit = math.log(probability / (1 - probability))
    logits = torch.tensor([[logit, 0.0]] * len(correct))
    return Predictions(logits, torch.tensor([0 if right else 1 for right in correct]))


def test_mcnemar_counts_the_four_cases_and_tests_the_uneven_ones():
    first = confident([True] * 6 + [True] * 9 + [False] * 1 + [False] * 2, 0.8)
    second = confident([True] * 6 + [False] * 9 + [True] * 1 + [False] * 2, 0.7)
    # Give the second the first's labels, with its logits flipped where the labels differed.
    flipped = torch.where((second.labels != first.labels)[:, None], second.logits.flip(1), 0.0)
    kept = torch.where((second.labels == first.labels)[:, None], second.logits, 0.0)
    second = Predictions(flipped + kept, first.labels)
    found = evaluation.mcnemar(first, second)
    assert found[:4] == (6, 9, 1, 2)
    # Twice the tail of a fair coin: (C(10, 0) + C(10, 1)) / 2**10 * 2.
    assert found.p_value == pytest.approx(2 * (1 + 10) / 1024)
    assert evaluation.mcnemar(second, first).p_value == pytest.approx(found.p_value)


def test_mcnemar_of_a_network_with_itself():
    same = confident([True, False, True], 0.9)
    assert evaluation.mcnemar(same, same) == (2, 0, 0, 1, 1.0)


def test_mcnemar_needs_the_same_images():
    with pytest.raises(ValueError, match="labels of the two predictions .2 and 2. differ"):
        evaluation.mcnemar(confident([True, True], 0.9), confident([True, False], 0.9))


@pytest.mark.parametrize(("correct", "probability", "error"), [(8, 0.8, 0.0), (2, 0.95, 0.75)])
def test_calibration_of_a_calibrated_and_an_overconfident_network(correct, probability, error):
    predictions = confident([True] * correct + [False] * (10 - correct), probability)
    found = evaluation.calibration(predictions, bins=4)
    assert found.error == pytest.approx(error, abs=1e-6)
    assert found.counts.tolist() == [0, 0, 0, 10] and len(found.edges) == 5
    assert found.accuracy[3] == pytest.approx(correct / 10)
    assert numpy.isnan(found.accuracy[0])


def test_calibration_weighs_its_bins_by_their_images():
    half, full = confident([True, False, False, False], 0.55), confident([True] * 12, 0.99)
    both = Predictions(torch.cat([half.logits, full.logits]), torch.cat([half.labels, full.labels]))
    expected = (4 * abs(0.25 - 0.55) + 12 * abs(1 - 0.99)) / 16
    assert evaluation.calibration(both).error == pytest.approx(expected, abs=1e-6)


def test_a_bin_of_the_calibration_includes_its_upper_edge():
    halves = Predictions(torch.zeros(3, 2), torch.tensor([0, 0, 1]))  # all with confidence 0.5
    assert evaluation.calibration(halves, bins=2).counts.tolist() == [3, 0]


def test_calibration_counts_a_probability_of_one():
    certain = Predictions(torch.tensor([[200.0, 0.0]]), torch.tensor([0]))
    assert evaluation.calibration(certain).counts[-1] == 1


# cross_validate


@pytest.fixture
def two_clouds():
    """30 points of two classes, far apart, in a mixed order."""
    labels = torch.tensor([0, 1, 1] * 10)
    noise = torch.randn(30, 2, generator=torch.Generator().manual_seed(0))
    return TensorDataset(noise + 10.0 * labels[:, None], labels), labels


class Nearest(torch.nn.Module):
    """Scores a point by its distance to the mean of each class that it was given."""

    def __init__(self, part):
        super().__init__()
        points = torch.stack([point for point, _ in part])
        labels = torch.tensor([int(label) for _, label in part])
        self.means = torch.stack([points[labels == k].mean(0) for k in range(2)])

    def forward(self, inputs):
        return -torch.cdist(inputs, self.means)


def test_cross_validation_predicts_every_image_once_and_keeps_the_shares_of_the_classes(two_clouds):
    dataset, labels = two_clouds
    left_out = {}

    def fit(part, fold):
        left_out[seed, fold] = sorted(set(range(30)) - set(part.indices))
        return Nearest(part)

    for seed in (3, 4):
        found = evaluation.cross_validate(dataset, labels, fit, folds=5, seed=seed)
        assert torch.equal(found.labels, labels) and found.accuracy == 1.0
    parts = [left_out[3, fold] for fold in range(5)]
    assert sorted(sum(parts, [])) == list(range(30))
    assert all(labels[part].tolist().count(0) == 2 for part in parts)
    assert parts != [left_out[4, fold] for fold in range(5)]


@pytest.mark.parametrize(
    ("labels", "folds", "said"),
    [
        ([0, 1] * 14, 5, "28 labels for 30 images"),
        ([0] * 27 + [1] * 3, 5, "the smallest class has 3 images, too few for 5 folds"),
        ([0, 1] * 15, 1, "folds must be a whole number from 2"),
    ],
)
def test_cross_validation_of_bad_arguments(two_clouds, labels, folds, said):
    with pytest.raises(ValueError, match=said):
        evaluation.cross_validate(two_clouds[0], labels, lambda *_: None, folds=folds)
