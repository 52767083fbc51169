"""Tests of `tutorial_utils.evaluation`: predictions, confusion, mistakes, intervals."""

import math
import re

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
    """Return two right answers, an unsure mistake (2) and a sure one (3)."""
    return made([[2, 0], [0, 2], [0.1, 0], [5, 0]], [0, 1, 1, 1])


@st.composite
def predictions(draw):
    n, k = draw(st.integers(1, 30)), draw(st.integers(2, 5))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    labels = torch.randint(k, (n,), generator=generator)
    return Predictions(torch.randn(n, k, generator=generator), labels)


# Predictions


def test_what_predictions_say():
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


def test_predict_refuses_a_shuffled_loader():
    with pytest.raises(ValueError, match="the loader shuffles.*shuffle=False"):
        evaluation.predict(network(), DataLoader(photos(), shuffle=True))


def test_predict_refuses_an_empty_loader():
    with pytest.raises(ValueError, match="the loader is empty"):
        evaluation.predict(network(), DataLoader(photos(0)))


def test_predict_refuses_a_network_with_too_few_outputs():
    with pytest.raises(ValueError, match="labels go from 0 to 2, and the network scores 2 classes"):
        evaluation.predict(nn.Linear(6, 2), DataLoader(photos()))


# confusion and worst


def test_confusion_rows_are_the_truth():
    assert evaluation.confusion(four()).tolist() == [[1, 0], [2, 1]]


@settings(max_examples=30, deadline=None)
@given(predictions())
def test_confusion_counts_every_picture_once(p):
    table = evaluation.confusion(p)
    assert table.shape == (p.logits.shape[1],) * 2 and table.sum() == p.total
    assert table.trace() == p.correct.sum()
    assert table.sum(axis=1).tolist() == p.labels.bincount(minlength=len(table)).tolist()
    assert (evaluation.confusion(p, classes=7)[: len(table), : len(table)] == table).all()


def test_confusion_drops_nothing():
    p = made([[0, 0, 9], [9, 0, 0]], [0, 1])
    with pytest.raises(ValueError, match="class 2 occurs, and classes=2 counts from 0 to 1.*=3"):
        evaluation.confusion(p, classes=2)


@pytest.mark.parametrize("classes", [0, -2, 2.0, True, "2"])
def test_classes_must_be_a_whole_number(classes):
    with pytest.raises(ValueError, match=f"classes must be a whole number from 1, not {classes!r}"):
        evaluation.confusion(four(), classes=classes)


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


@pytest.mark.parametrize("count", [0, -1, 1.5, False])
def test_count_must_be_a_whole_number(count):
    with pytest.raises(ValueError, match=f"count must be a whole number from 1, not {count!r}"):
        evaluation.worst(four(), count=count)


# Intervals


def test_the_interval_of_the_post():
    low, high = evaluation.interval(139, 153)
    assert (round(low, 3), round(high, 3)) == (0.852, 0.945)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_wilsons(counts):
    correct, total = counts
    low, high = evaluation.interval(correct, total)
    z, p = 1.959963984540054, correct / total
    middle = (p + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * math.sqrt(p * (1 - p) / total + z**2 / (4 * total**2))
    assert low == pytest.approx(max(0, middle - half), abs=1e-9)
    assert high == pytest.approx(min(1, middle + half), abs=1e-9)
    assert 0 <= low <= p <= high <= 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 50), st.floats(0.5, 0.98))
def test_more_pictures_are_surer_and_a_higher_level_wider(correct, level):
    def width(correct, total, level):
        low, high = evaluation.interval(correct, total, level=level)
        return high - low

    assert width(correct, 50, level) > width(4 * correct, 200, level)
    assert width(correct, 50, level) < width(correct, 50, level + 0.01)


@pytest.mark.parametrize(
    ("correct", "total", "message"),
    [
        (0, 0, "total must be a whole number from 1, not 0"),
        (3, 2, "correct must be at most total, not 3 of 2"),
        (-1, 2, "correct must be a whole number from 0, not -1"),
        (1.0, 2, "correct must be a whole number from 0, not 1.0"),
        (1, "2", "total must be a whole number from 1, not '2'"),
        (True, 2, "correct must be a whole number from 0, not True"),
    ],
)
def test_counts_that_are_not_possible(correct, total, message):
    with pytest.raises(ValueError, match=message):
        evaluation.interval(correct, total)
    with pytest.raises(ValueError, match=message):
        evaluation.describe(correct, total)


@pytest.mark.parametrize("level", [0, 1, 95, -0.5, math.nan, "0.95", True])
def test_level_is_between_0_and_1(level):
    message = f"level must be a number between 0 and 1, e.g. 0.95, not {level!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        evaluation.interval(1, 2, level=level)


def test_numpy_counts_are_whole_numbers():
    assert evaluation.interval(numpy.int64(1), numpy.int32(2)) == evaluation.interval(1, 2)


def test_describe():
    assert evaluation.describe(140, 153) == "0.915 (140/153), 95% interval 0.860 to 0.950"
    assert "99.5% interval" in evaluation.describe(140, 153, level=0.995)


def test_mean_and_range():
    assert evaluation.mean_and_range([0.9, 0.8, 1]) == pytest.approx((0.9, 0.8, 1.0))
    assert evaluation.mean_and_range(v for v in (1, 3)).mean == 2.0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_the_mean_is_within_the_range(values):
    found = evaluation.mean_and_range(values)
    assert found.low <= found.mean + 1e-9 and found.mean <= found.high + 1e-9


@pytest.mark.parametrize("values", [[0.5, math.nan], [math.inf], ["0.5"], [None]])
def test_values_must_be_finite_numbers(values):
    with pytest.raises(ValueError, match="values must be finite numbers, not"):
        evaluation.mean_and_range(values)


def test_no_values():
    with pytest.raises(ValueError, match="there are no values"):
        evaluation.mean_and_range([])
