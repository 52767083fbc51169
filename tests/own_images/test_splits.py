"""The split: the share of every class, near-duplicates in one part, the same on every machine."""

import functools
import itertools
import re
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

halve = functools.partial(split, val_percent=30, test_percent=0)  # training and validation only


@pytest.fixture
def grouped(monkeypatch):
    """Return a function that sets the near-duplicates: grouped((0, 1), ...)."""

    def use(*groups):
        monkeypatch.setattr(duplicates, "find", lambda collection, *, distance: groups)

    use()
    return use


def test_split_by_class(grouped):
    found = halve(bare([0] * 100 + [1] * 10 + [2] * 2), val_percent=30)
    assert found.counts() == {
        "class 0": {"train": 70, "val": 30},
        "class 1": {"train": 7, "val": 3},
        "class 2": {"train": 1, "val": 1},
    }
    assert found.table().splitlines() == [
        "class     train     val",
        "class 0      70      30",
        "class 1       7       3",
        "class 2       1       1",
        "all          78      34",
    ]


def test_the_seed_decides_and_percentages_nest(grouped):
    collection = bare([0] * 50 + [1] * 50)
    one = halve(collection, seed=1)
    assert one == halve(collection, seed=np.int64(1))
    assert one.val != halve(collection, seed=2).val
    assert set(halve(collection, seed=1, val_percent=10).val) < set(one.val)


def test_the_split_is_the_same_on_every_machine(grouped):
    collection = bare([0] * 6 + [1] * 6)
    assert halve(collection, val_percent=34).val == (3, 4, 6, 9)
    grouped((0, 1), (6, 7, 8))
    assert halve(collection, val_percent=34).val == (0, 1, 9, 10)


def test_duplicates_stay_together_end_to_end(folder):
    for number in range(4):
        make_image(number).save(folder / f"ants/copy_{number}.jpg", quality=80)
    found = read(folder, quiet=True)
    for seed in range(8):
        chosen = halve(found, seed=seed, val_percent=50)
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
    chosen = halve(found)
    names = [[found.name(i) for i in group] for group in chosen.crossing]
    assert names == [["train/ants/01.png", "val/bees/copy.jpg"]]
    assert len(chosen.groups) == 2
    assert duplicates.conflicts(found, chosen.groups) == chosen.crossing
    assert chosen.counts() == {"ants": {"train": 3, "val": 2}, "bees": {"train": 2, "val": 3}}


def test_a_class_with_a_single_image(folder):
    put(folder / "flies/a.png", 999)
    for parts, cut in (
        ("2 at least, one for each of train, val", halve),
        ("3 at least, .*", split),
    ):
        message = f"'flies' has a single image, and a class needs {parts}: add some, or remove the"
        with pytest.raises(ValueError, match=message):
            cut(read(folder, quiet=True))


def test_a_class_of_one_image_many_times(folder):
    for number in range(3):
        put(folder / f"flies/{number}.png", 999)
    message = (
        "'flies' has 3 images, but some are near-duplicates of each other: 1 independent, and a "
        "class needs 2 at least, .* give a distance below 6 if they are not$"
    )
    with pytest.raises(ValueError, match=message):
        halve(read(folder, quiet=True))
    with pytest.raises(ValueError, match="remove the class$"):
        halve(read(folder, quiet=True), distance=0)


def test_groups_of_several_classes(grouped):
    # Two groups, each with an image of both classes: one for each side.
    grouped((0, 2), (1, 3))
    for percent in (1, 50, 99):
        found = halve(bare([0, 0, 1, 1]), val_percent=percent)
        assert set(found.val) in ({0, 2}, {1, 3})
    # Three classes that share three groups pairwise: they cannot be split.
    grouped((0, 2), (3, 4), (1, 5))
    message = (
        r"would have no image in (train|val): its near-duplicates are in other classes too, .* "
        r"Print duplicates.conflicts\(collection, duplicates.find\(collection\)\) and remove"
    )
    with pytest.raises(ValueError, match=message):
        halve(bare([0, 0, 1, 1, 2, 2]))


def test_a_given_split_that_leaves_a_class_empty(grouped):
    collection = bare([0, 0, 1, 1], given_split=("train", "val", "train", "train"))
    with pytest.raises(ValueError, match="'class 1' would have no image in val: the split that"):
        halve(collection)


WRONG = [("val_percent", "1 to 99", value) for value in (0, 100, -3, 30.0, 0.3, True, "30", None)]
WRONG += [("test_percent", "0 to 98", value) for value in (-1, 99, 0.2, True, None)]
WRONG += [("seed", "0 to 4294967295", value) for value in (-1, 2**32, 1.0, True, None)]


@pytest.mark.parametrize(("name", "allowed", "value"), WRONG)
def test_a_number_that_is_not_allowed_raises_an_error(grouped, name, allowed, value):
    message = f"{name} must be a whole number from {allowed}, not {value!r}"
    with pytest.raises(ValueError, match=message):
        split(bare([0, 0, 1, 1]), **{name: value})


def test_percentages_that_leave_nothing_to_train_on(grouped):
    message = "val_percent 60 and test_percent 40 leave nothing to train on: .* 99 at most"
    with pytest.raises(ValueError, match=message):
        split(bare([0] * 5 + [1] * 5), val_percent=60, test_percent=40)


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
    found = halve(bare(labels), val_percent=percent, seed=seed)
    both_sides(found, ())
    for size, sides in zip(sizes, found.counts().values(), strict=True):
        wanted = size * percent / 100
        assert abs(sides["val"] - min(max(wanted, 1), size - 1)) <= 0.5


@FAST
@given(sets(), PERCENT, SEED)
def test_groups_stay_together_and_the_share_is_near(grouped, labelled, percent, seed):
    labels, groups = labelled
    grouped(*groups)
    found = halve(bare(labels), val_percent=percent, seed=seed)
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
        found = halve(bare(labels), val_percent=percent, seed=seed)
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
        both_sides(halve(bare(labels), seed=seed, val_percent=1 + seed), groups)


@FAST
@given(sets(mixed=True), PERCENT)
def test_the_nearest_split_is_the_best_of_all(labelled, percent):
    labels, groups = labelled
    units = splits._units(bare(labels), groups, range(len(labels)), 0)
    total = Counter(labels)
    target = {c: min(max(n * percent // 100, 1), n - 1) for c, n in total.items()}

    # Every way to choose units, as the number of images of each class for validation.
    assume(len(units) <= 10)
    sizes = np.array([[[labels[i] for i in u.members].count(c) for c in total] for u in units])
    counts = np.array(list(itertools.product((0, 1), repeat=len(units)))) @ sizes
    sums, wanted = np.array(list(total.values())), np.array(list(target.values()))
    possible = ((counts > 0) & (counts < sums)).all(axis=1)
    misses = np.abs(counts - wanted).sum(axis=1)[possible]

    wanted = {"val": target, "train": {c: total[c] - n for c, n in target.items()}}
    parts = splits._nearest(units, labels, wanted, {})
    found = {i for i, part in parts.items() if part == "val"}
    if len(misses):
        chosen = Counter(labels[i] for i in found)
        assert len(parts) == len(labels)
        assert all(0 < chosen[c] < n for c, n in total.items())
        assert sum(abs(chosen[c] - n) for c, n in target.items()) == misses.min()
        assert all(len(found & set(group)) in (0, len(group)) for group in groups)
    else:
        assert parts == {}, "the first choice is returned"


def test_groups_go_to_validation_as_often_as_single_images(grouped):
    grouped((0, 1))
    labels = [0] * 20 + [1] * 20
    times = sum(0 in halve(bare(labels), seed=seed).val for seed in range(300))
    assert 65 <= times <= 115  # 30 % of 300, three standard deviations


@FAST
@given(st.booleans().flatmap(sets), PERCENT, SEED, st.randoms(use_true_random=False))
def test_the_order_of_the_files_changes_nothing(grouped, labelled, percent, seed, random):
    labels, groups = labelled
    grouped(*groups)
    try:
        first = halve(bare(labels), val_percent=percent, seed=seed)
    except ValueError:
        assume(False)
    order = list(range(len(labels)))
    random.shuffle(order)
    position = {old: new for new, old in enumerate(order)}
    grouped(*(tuple(sorted(position[i] for i in group)) for group in groups))
    names = [first.collection.files[i].name for i in order]
    again = halve(bare([labels[i] for i in order], names), val_percent=percent, seed=seed)
    assert {order[i] for i in again.val} == set(first.val)


def test_names_in_macos_unicode_form_give_the_same_split(grouped):
    names = [f"{NFC} {number}.png" for number in range(20)]
    forms = [unicodedata.normalize("NFD", name) for name in names]
    labels = [0] * 10 + [1] * 10
    assert halve(bare(labels, names)).val == halve(bare(labels, forms)).val


# Three parts


def test_three_parts_by_class(grouped):
    found = split(bare([0] * 100 + [1] * 10 + [2] * 3))
    assert found.table().splitlines() == [
        "class     train     val    test",
        "class 0      60      20      20",
        "class 1       6       2       2",
        "class 2       1       1       1",
        "all          67      23      23",
    ]
    assert list(found.parts()) == ["train", "val", "test"]


def test_the_test_set_does_not_depend_on_the_validation_share(grouped):
    collection = bare([0] * 50 + [1] * 50)
    tests = {split(collection, val_percent=percent).test for percent in (1, 20, 60)}
    assert len(tests) == 1
    assert tests != {split(collection, seed=1).test}


@FAST
@given(SIZES, st.integers(1, 49), st.integers(1, 49), SEED)
def test_without_duplicates_three_shares_are_exact(grouped, sizes, val, test, seed):
    grouped()
    sizes = [size + 1 for size in sizes]
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    found = split(bare(labels), val_percent=val, test_percent=test, seed=seed)
    assert sorted(found.train + found.val + found.test) == list(range(len(labels)))
    for size, counts in zip(sizes, found.counts().values(), strict=True):
        assert min(counts.values()) >= 1
        assert abs(counts["test"] - min(max(size * test / 100, 1), size - 2)) <= 0.5
        assert abs(counts["val"] - min(max(size * val / 100, 1), size - counts["test"] - 1)) <= 0.5


@FAST
@given(st.booleans().flatmap(sets), SEED)
def test_groups_stay_together_in_three_parts(grouped, labelled, seed):
    labels, groups = labelled
    grouped(*groups)
    try:
        found = split(bare(labels), seed=seed)
    except ValueError as error:
        assert re.search("near-duplicates|and a class needs 3", str(error))
        assume(False)
    assert sorted(found.train + found.val + found.test) == list(range(len(labels)))
    parts = [set(part) for part in found.parts().values()]
    assert all(sum(bool(part & set(group)) for part in parts) == 1 for group in groups)
    assert all(min(counts.values()) >= 1 for counts in found.counts().values())
    assert found.crossing == ()


def test_a_split_in_three_is_found_if_there_is_one(grouped):
    # Unit by unit, class 1 would fill up before it has an image in each part.
    labels, groups = [0, 0, 0, 0, 1, 1, 1, 1], ((0, 4), (1, 5), (2, 6, 7))
    grouped(*groups)
    for seed in range(30):
        counts = split(bare(labels), seed=seed, val_percent=30, test_percent=30).counts()
        assert all(min(parts.values()) >= 1 for parts in counts.values())


def test_groups_reach_each_part_as_often_as_single_images(grouped):
    grouped((0, 1))
    collection = bare([0] * 20 + [1] * 20)
    found = Counter(
        next(name for name, part in split(collection, seed=seed).parts().items() if 0 in part)
        for seed in range(300)
    )
    assert 40 <= found["test"] <= 80  # 20 % of 300, three standard deviations
    assert 40 <= found["val"] <= 80


def test_a_given_split_of_three_is_used(grouped):
    sides = ("train", "val", "test", "train", "test", "val")
    grouped((0, 2), (3, 5))
    found = split(bare([0, 0, 0, 1, 1, 1], given_split=sides), val_percent=90, test_percent=1)
    assert (found.train, found.val, found.test) == ((0, 3), (1, 5), (2, 4))
    assert found.crossing == ((0, 2), (3, 5))


def test_a_given_split_of_two_gives_half_of_its_validation_images_to_the_test_set(grouped):
    sides = ("train",) * 6 + ("val",) * 14
    labels = [0] * 3 + [1] * 3 + [0] * 7 + [1] * 7
    grouped((0, 6), (7, 8), (13, 14, 15))
    found = split(bare(labels, given_split=sides), seed=3)
    assert found.train == tuple(range(6))
    assert sorted(found.val + found.test) == list(range(6, 20))
    assert found.counts()["class 0"] == {"train": 3, "val": 3, "test": 4}
    for group in ((7, 8), (13, 14, 15)):
        assert len(set(group) & set(found.test)) in (0, len(group))
    assert found.crossing == ((0, 6),)
    more = split(bare(labels, given_split=sides), seed=3, val_percent=60, test_percent=10)
    assert more.counts()["class 1"] == {"train": 3, "val": 6, "test": 1}


def test_a_given_val_with_too_few_images_for_a_test_set(grouped):
    collection = bare([0, 0, 0, 1, 1], given_split=("train", "val", "val", "train", "val"))
    message = (
        "'class 1' has a single image in val, where the test set is taken from, and a class needs "
        "2 at least, one for each of val, test: add some, or make a folder test beside train"
    )
    with pytest.raises(ValueError, match=message):
        split(collection)
    assert halve(collection).val == (1, 2, 4)
