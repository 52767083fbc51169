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


def test_predict_needs_a_loader_that_does_not_shuffle():
    with pytest.raises(ValueError, match="the loader shuffles.*shuffle=False"):
        evaluation.predict(network(), DataLoader(photos(), shuffle=True))


def test_predict_needs_a_batch():
    with pytest.raises(ValueError, match="loader is empty"):
        evaluation.predict(network(), DataLoader(photos(0)))


def test_predict_needs_an_output_for_every_label():
    with pytest.raises(
        ValueError, match="has the label 2, and the network has logits for 2 classes"
    ):
        evaluation.predict(nn.Linear(6, 2), DataLoader(photos()))


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
def test_more_images_are_surer_and_a_higher_level_wider(correct, level):
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


def sure_of(rights: list[bool], probability: float) -> evaluation.Predictions:
    """Two classes; each prediction is for class 0 with this probability."""
    logit = math.log(probability / (1 - probability))
    logits = torch.tensor([[logit, 0.0]] * len(rights))
    return evaluation.Predictions(logits, torch.tensor([0 if right else 1 for right in rights]))


def test_the_bootstrap_agrees_with_wilson_on_an_accuracy():
    rights = [True] * 140 + [False] * 13
    low, high = evaluation.bootstrap(rights)
    expected = evaluation.interval(140, 153)
    assert low == pytest.approx(expected[0], abs=0.02)
    assert high == pytest.approx(expected[1], abs=0.02)
    assert low < 140 / 153 < high


def test_the_bootstrap_holds_the_true_mean_about_as_often_as_it_says():
    drawn = numpy.random.default_rng(1).normal(3.0, 1.0, size=(120, 60))
    held = 0
    for sample in drawn:
        low, high = evaluation.bootstrap(sample, draws=400)
        held += low <= 3.0 <= high
    assert 0.85 * 120 <= held <= 119


def test_the_bootstrap_depends_on_its_seed_alone():
    values = torch.rand(40, generator=torch.Generator().manual_seed(0))
    state = numpy.random.get_state()[1].copy()
    assert evaluation.bootstrap(values, draws=300) == evaluation.bootstrap(values, draws=300)
    assert evaluation.bootstrap(values, draws=300) != evaluation.bootstrap(
        values, draws=300, seed=1
    )
    assert (numpy.random.get_state()[1] == state).all()


def test_the_bootstrap_of_equal_values_is_that_value():
    assert evaluation.bootstrap([1.0] * 5) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("values", "options", "said"),
    [
        ([1.0], {}, "at least two values, not 1"),
        ([1.0, float("nan")], {}, "finite numbers"),
        ([0.0, 1.0], {"level": 95}, "between 0 and 1"),
        ([0.0, 1.0], {"draws": 10}, "draws must be a whole number from 100"),
        ([0.0, 1.0], {"seed": -1}, "seed must be a whole number from 0"),
    ],
)
def test_a_bootstrap_that_cannot_be_says_why(values, options, said):
    with pytest.raises(ValueError, match=said):
        evaluation.bootstrap(values, **options)


def test_mcnemar_counts_the_four_cases_and_tests_the_uneven_ones():
    first = sure_of([True] * 6 + [True] * 9 + [False] * 1 + [False] * 2, 0.8)
    second = sure_of([True] * 6 + [False] * 9 + [True] * 1 + [False] * 2, 0.7)
    # The labels say who is right here, so the second gets the first's labels and other logits.
    flipped = torch.where((second.labels != first.labels)[:, None], second.logits.flip(1), 0.0)
    kept = torch.where((second.labels == first.labels)[:, None], second.logits, 0.0)
    second = evaluation.Predictions(flipped + kept, first.labels)
    found = evaluation.mcnemar(first, second)
    assert found[:4] == (6, 9, 1, 2)
    # Twice the tail of a fair coin: (C(10, 0) + C(10, 1)) / 2**10 * 2.
    assert found.p_value == pytest.approx(2 * (1 + 10) / 1024)
    assert evaluation.mcnemar(second, first).p_value == pytest.approx(found.p_value)


def test_mcnemar_of_a_network_with_itself():
    same = sure_of([True, False, True], 0.9)
    assert evaluation.mcnemar(same, same) == (2, 0, 0, 1, 1.0)


def test_mcnemar_needs_the_same_images():
    with pytest.raises(ValueError, match="labels of the two predictions .2 and 2. differ"):
        evaluation.mcnemar(sure_of([True, True], 0.9), sure_of([True, False], 0.9))


def test_calibration_of_a_calibrated_network():
    found = evaluation.calibration(sure_of([True] * 8 + [False] * 2, 0.8), bins=4)
    assert found.error == pytest.approx(0.0, abs=1e-6)
    assert found.counts.tolist() == [0, 0, 0, 10]
    assert found.accuracy[3] == pytest.approx(0.8)
    assert numpy.isnan(found.accuracy[0])


def test_calibration_of_an_overconfident_network():
    found = evaluation.calibration(sure_of([True, False, False, False, False], 0.95), bins=5)
    assert found.error == pytest.approx(0.75, abs=1e-6)
    assert found.counts.tolist() == [0, 0, 0, 0, 5]
    assert len(found.edges) == 6


def test_calibration_weighs_its_bins_by_their_images():
    half, full = sure_of([True, False, False, False], 0.55), sure_of([True] * 12, 0.99)
    both = evaluation.Predictions(
        torch.cat([half.logits, full.logits]), torch.cat([half.labels, full.labels])
    )
    expected = (4 * abs(0.25 - 0.55) + 12 * abs(1 - 0.99)) / 16
    assert evaluation.calibration(both).error == pytest.approx(expected, abs=1e-6)


def test_calibration_counts_a_probability_of_one():
    certain = evaluation.Predictions(torch.tensor([[200.0, 0.0]]), torch.tensor([0]))
    assert evaluation.calibration(certain).counts[-1] == 1


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
        self.seen = points
        self.means = torch.stack([points[labels == k].mean(0) for k in range(2)])

    def forward(self, inputs):
        return -torch.cdist(inputs, self.means)


def test_cross_validation_predicts_every_image_by_a_network_that_has_not_seen_it(two_clouds):
    dataset, labels = two_clouds
    made = []

    def fit(part, fold):
        made.append(fold)
        network = Nearest(part)
        network.fold = fold
        return network

    found = evaluation.cross_validate(dataset, labels, fit, folds=5)
    assert made == [0, 1, 2, 3, 4]
    assert torch.equal(found.labels, labels)
    assert found.accuracy == 1.0


def test_the_folds_part_the_set_and_keep_the_shares_of_the_classes(two_clouds):
    dataset, labels = two_clouds
    left_out = []

    def fit(part, fold):
        left_out.append(sorted(set(range(30)) - set(part.indices)))
        return Nearest(part)

    evaluation.cross_validate(dataset, labels, fit, folds=5, seed=3)
    assert sorted(sum(left_out, [])) == list(range(30))
    for part in left_out:
        assert labels[part].tolist().count(0) == 2
    again = list(left_out)
    left_out.clear()
    evaluation.cross_validate(dataset, labels, fit, folds=5, seed=4)
    assert left_out != again


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
