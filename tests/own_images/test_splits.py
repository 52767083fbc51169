"""The split: the share of every class, near-duplicates on one side, the same on every machine."""

import itertools
import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sample_folders import NFC, bare, make, make_image, put

from tutorial_utils.own_images import duplicates, splits
from tutorial_utils.own_images.folders import read
from tutorial_utils.own_images.splits import split


@pytest.fixture
def grouped(monkeypatch):
    """Return a function that sets the near-duplicates: grouped((0, 1), ...)."""

    def use(*groups):
        monkeypatch.setattr(duplicates, "find", lambda collection, *, distance: groups)

    use()
    return use


def test_split_by_class(grouped):
    found = split(bare([0] * 100 + [1] * 10 + [2] * 2), val_percent=30)
    assert found.counts() == {
        "class 0": {"train": 70, "val": 30},
        "class 1": {"train": 7, "val": 3},
        "class 2": {"train": 1, "val": 1},
    }
    assert found.table().splitlines() == [
        "class     train     val  val share",
        "class 0      70      30        30%",
        "class 1       7       3        30%",
        "class 2       1       1        50%",
        "all          78      34        30%",
    ]


def test_the_seed_decides_and_percentages_nest(grouped):
    collection = bare([0] * 50 + [1] * 50)
    one = split(collection, seed=1)
    assert one == split(collection, seed=np.int64(1))
    assert one.val != split(collection, seed=2).val
    assert set(split(collection, seed=1, val_percent=10).val) < set(one.val)


def test_the_split_is_the_same_on_every_machine(grouped):
    collection = bare([0] * 6 + [1] * 6)
    assert split(collection, val_percent=34).val == (3, 4, 6, 9)
    grouped((0, 1), (6, 7, 8))
    assert split(collection, val_percent=34).val == (0, 1, 9, 10)


def test_duplicates_stay_together_end_to_end(folder):
    for number in range(4):
        make_image(number).save(folder / f"ants/copy_{number}.jpg", quality=80)
    found = read(folder, quiet=True)
    for seed in range(8):
        chosen = split(found, seed=seed, val_percent=50)
        assert chosen.groups == ((0, 4), (1, 5), (2, 6), (3, 7))
        for group in chosen.groups:
            assert len(set(group) & set(chosen.val)) in (0, 2)
        assert chosen.counts()["ants"] == {"train": 4, "val": 4}
        assert chosen.crossing == ()


def test_duplicates_across_a_given_split_are_reported_not_moved(tmp_path):
    make(tmp_path / "train", {"ants": 2, "bees": 2})
    make(tmp_path / "val", {"ants": 2, "bees": 2}, start=5000)
    make_image(1).save(tmp_path / "val/bees/copy.jpg", quality=80)
    make_image(0).save(tmp_path / "train/ants/copy.jpg", quality=80)
    found = read(tmp_path, quiet=True)
    chosen = split(found)
    names = [[found.name(i) for i in group] for group in chosen.crossing]
    assert names == [["train/ants/01.png", "val/bees/copy.jpg"]]
    assert len(chosen.groups) == 2
    assert duplicates.conflicts(found, chosen.groups) == chosen.crossing
    assert chosen.counts() == {"ants": {"train": 3, "val": 2}, "bees": {"train": 2, "val": 3}}


def test_a_class_with_a_single_image(folder):
    put(folder / "flies/a.png", 999)
    message = "'flies' has a single image, and a class needs two .* add some, or remove the class"
    with pytest.raises(ValueError, match=message):
        split(read(folder, quiet=True))


def test_a_class_of_one_image_many_times(folder):
    for number in range(3):
        put(folder / f"flies/{number}.png", 999)
    message = (
        "'flies' has 3 images, but they are near-duplicates of each other: 1 independent image, "
        "and a class needs two at least, .* give a distance below 6 if they are not$"
    )
    with pytest.raises(ValueError, match=message):
        split(read(folder, quiet=True))
    with pytest.raises(ValueError, match="remove the class$"):
        split(read(folder, quiet=True), distance=0)


def test_groups_of_several_classes(grouped):
    # Two groups, each with an image of both classes: one for each side.
    grouped((0, 2), (1, 3))
    for percent in (1, 50, 99):
        found = split(bare([0, 0, 1, 1]), val_percent=percent)
        assert set(found.val) in ({0, 2}, {1, 3})
    # Three classes that share three groups pairwise: they cannot be split.
    grouped((0, 2), (3, 4), (1, 5))
    message = (
        r"would have no image in (train|val): its near-duplicates are in other classes too, .* "
        r"Print duplicates.conflicts\(collection, duplicates.find\(collection\)\) and remove"
    )
    with pytest.raises(ValueError, match=message):
        split(bare([0, 0, 1, 1, 2, 2]))


def test_a_given_split_that_leaves_a_class_empty(grouped):
    collection = bare([0, 0, 1, 1], given_split=("train", "val", "train", "train"))
    with pytest.raises(ValueError, match="'class 1' would have no image in val: the split that"):
        split(collection)


WRONG = [("val_percent", "1 to 99", value) for value in (0, 100, -3, 30.0, 0.3, True, "30", None)]
WRONG += [("seed", "0 to 4294967295", value) for value in (-1, 2**32, 1.0, True, None)]


@pytest.mark.parametrize(("name", "allowed", "value"), WRONG)
def test_a_number_that_is_not_allowed_raises_an_error(grouped, name, allowed, value):
    message = f"{name} must be a whole number from {allowed}, not {value!r}"
    with pytest.raises(ValueError, match=message):
        split(bare([0, 0, 1, 1]), **{name: value})


SIZES = st.lists(st.integers(2, 40), min_size=2, max_size=6)
FEW = st.lists(st.integers(2, 4), min_size=2, max_size=4)


@st.composite
def sets(draw, mixed=False):
    """Return labels and groups of near-duplicates; every class has two units."""
    labels = [
        label for label, size in enumerate(draw(FEW if mixed else SIZES)) for _ in range(size)
    ]
    owner = list(range(len(labels)))
    for _ in range(draw(st.integers(0, 12))):
        i, j = draw(st.tuples(*[st.integers(0, len(labels) - 1)] * 2))
        if labels[i] != labels[j] and not mixed:
            continue
        merged = [owner[i] if o == owner[j] else o for o in owner]
        units = Counter(label for _, label in set(zip(merged, labels, strict=True)))
        if min(units.values()) > 1:
            owner = merged
    groups = [tuple(i for i, o in enumerate(owner) if o == top) for top in sorted(set(owner))]
    return labels, tuple(group for group in groups if len(group) > 1)


PERCENT, SEED = st.integers(1, 99), st.integers(0, 2**32 - 1)
FAST = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def both_sides(found, groups):
    """Check what every split must hold; return the images for validation."""
    train, val = set(found.train), set(found.val)
    assert not train & val
    assert train | val == set(range(len(found.collection.files)))
    assert list(found.train) == sorted(train)
    assert list(found.val) == sorted(val)
    for group in groups:
        assert set(group) <= train or set(group) <= val
    for sides in found.counts().values():
        assert sides["train"] and sides["val"]
    return val


@FAST
@given(SIZES, PERCENT, SEED)
def test_without_duplicates_the_share_is_exact(grouped, sizes, percent, seed):
    grouped()
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    found = split(bare(labels), val_percent=percent, seed=seed)
    both_sides(found, ())
    for size, sides in zip(sizes, found.counts().values(), strict=True):
        wanted = size * percent / 100
        assert abs(sides["val"] - min(max(wanted, 1), size - 1)) <= 0.5


@FAST
@given(sets(), PERCENT, SEED)
def test_groups_stay_together_and_the_share_is_near(grouped, labelled, percent, seed):
    labels, groups = labelled
    grouped(*groups)
    found = split(bare(labels), val_percent=percent, seed=seed)
    both_sides(found, groups)
    sizes = Counter(labels)
    for label, sides in enumerate(found.counts().values()):
        largest = max([1] + [len(g) for g in groups if labels[g[0]] == label])
        assert abs(sides["val"] - sizes[label] * percent / 100) <= largest


@FAST
@given(sets(mixed=True), PERCENT, SEED)
def test_groups_of_several_classes_stay_together_too(grouped, labelled, percent, seed):
    labels, groups = labelled
    grouped(*groups)
    try:
        found = split(bare(labels), val_percent=percent, seed=seed)
    except ValueError as error:
        assert "its near-duplicates are in other classes too" in str(error)
        alone = set(range(len(labels))) - {i for group in groups for i in group}
        assert not divisible(labels, [*groups, *((i,) for i in alone)])
    else:
        both_sides(found, groups)


def divisible(labels, units):
    """Return whether units can be put on two sides so that each class is on both."""
    holds = [{labels[i] for i in unit} for unit in units]
    return any(
        all({s for s, h in zip(sides, holds, strict=True) if c in h} == {0, 1} for c in set(labels))
        for sides in itertools.product((0, 1), repeat=len(units))
    )


# Each of these can be split, but not by placing units one by one.
@pytest.mark.parametrize(
    ("labels", "groups"),
    [
        ([0, 0, 0, 1, 1, 2, 2, 3, 3], [(0, 1, 3), (2, 5)]),
        ([0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 3], [(0, 2, 4, 9, 10), (1, 3, 5, 8)]),
        ([0, 0, 1, 1, 2, 2, 3, 3, 3, 3], [(1, 3, 6, 7, 8), (0, 2, 5)]),
        ([0, 0, 0, 0, 1, 1, 2, 2, 3, 3], [(1, 4, 7), (0, 3, 9), (6, 8)]),
    ],
)
def test_a_split_is_found_if_there_is_one(grouped, labels, groups):
    grouped(*groups)
    for seed in range(60):
        both_sides(split(bare(labels), seed=seed, val_percent=1 + seed), groups)


@FAST
@given(sets(mixed=True), PERCENT)
def test_the_nearest_split_is_the_best_of_all(labelled, percent):
    labels, groups = labelled
    units = splits._units(bare(labels), groups, seed=0)
    total = Counter(labels)
    target = {c: min(max(n * percent // 100, 1), n - 1) for c, n in total.items()}

    # Every way to choose units, as the number of images of each class for validation.
    assume(len(units) <= 10)
    sizes = np.array([[[labels[i] for i in u.members].count(c) for c in total] for u in units])
    counts = np.array(list(itertools.product((0, 1), repeat=len(units)))) @ sizes
    sums, wanted = np.array(list(total.values())), np.array(list(target.values()))
    possible = ((counts > 0) & (counts < sums)).all(axis=1)
    misses = np.abs(counts - wanted).sum(axis=1)[possible]

    found = splits._nearest_val(units, labels, target, set())
    if len(misses):
        chosen = Counter(labels[i] for i in found)
        assert all(0 < chosen[c] < n for c, n in total.items())
        assert sum(abs(chosen[c] - n) for c, n in target.items()) == misses.min()
        assert all(len(found & set(group)) in (0, len(group)) for group in groups)
    else:
        assert found == set(), "the first choice is returned"


def test_groups_go_to_validation_as_often_as_single_images(grouped):
    grouped((0, 1))
    labels = [0] * 20 + [1] * 20
    times = sum(0 in split(bare(labels), seed=seed).val for seed in range(300))
    assert 65 <= times <= 115  # 30 % of 300, three standard deviations


@FAST
@given(st.booleans().flatmap(sets), PERCENT, SEED, st.randoms(use_true_random=False))
def test_the_order_of_the_files_changes_nothing(grouped, labelled, percent, seed, random):
    labels, groups = labelled
    grouped(*groups)
    try:
        first = split(bare(labels), val_percent=percent, seed=seed)
    except ValueError:
        assume(False)
    order = list(range(len(labels)))
    random.shuffle(order)
    position = {old: new for new, old in enumerate(order)}
    grouped(*(tuple(sorted(position[i] for i in group)) for group in groups))
    names = [first.collection.files[i].name for i in order]
    again = split(bare([labels[i] for i in order], names), val_percent=percent, seed=seed)
    assert {order[i] for i in again.val} == set(first.val)


def test_names_in_macos_unicode_form_give_the_same_split(grouped):
    names = [f"{NFC} {number}.png" for number in range(20)]
    forms = [unicodedata.normalize("NFD", name) for name in names]
    labels = [0] * 10 + [1] * 10
    assert split(bare(labels, names)).val == split(bare(labels, forms)).val
