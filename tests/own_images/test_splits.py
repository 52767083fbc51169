"""Tests of `tutorial_utils.own_images.splits`: near-duplicates and the split."""

import itertools
import os
import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from own_folders import NFC, bare, make, make_image, put
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from tutorial_utils import synthetic
from tutorial_utils.own_images import folders, splits
from tutorial_utils.own_images.folders import Collection, read
from tutorial_utils.own_images.splits import conflicts, duplicates, split


@pytest.fixture
def folder(tmp_path):
    return make(tmp_path / "mine", {"ants": 4, "bees": 3, "wasps": 3})


# Near-duplicates


COPIES = {
    "same.png": lambda image, path: image.save(path),
    "jpeg.jpg": lambda image, path: image.save(path, quality=60),
    "half.png": lambda image, path: image.resize((image.width // 2, image.height // 2)).save(path),
    "grey.png": lambda image, path: image.convert("L").save(path),
    "soft.png": lambda image, path: image.filter(ImageFilter.GaussianBlur(1)).save(path),
    "pale.png": lambda image, path: ImageEnhance.Contrast(image).enhance(0.7).save(path),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_are_found_and_others_are_not(folder, name):
    COPIES[name](make_image(7, (96, 80)), folder / "bees" / name)
    put(folder / "ants/07.png", 7, make_image(7, (96, 80)))
    found = read(folder, quiet=True)
    pair = tuple(i for i in range(len(found.files)) if found.files[i].stem in {"07", name[:4]})
    assert duplicates(found) == (pair,)
    assert conflicts(found, duplicates(found)) == (pair,)


def test_the_hash_is_imagehashs(folder):
    import imagehash

    found = read(folder, quiet=True)
    for look, path in zip(found.looks, found.files, strict=True):
        assert (look.bits == imagehash.phash(Image.open(path)).hash.ravel()).all()
        assert look.colours is None


def test_the_same_file_is_found_at_distance_0(folder):
    (folder / "wasps/copy.png").write_bytes((folder / "ants/02.png").read_bytes())
    found = read(folder, quiet=True)
    assert duplicates(found, distance=0) == ((2, 10),)


def test_drawings_of_the_sketchbook_are_all_different(tmp_path):
    few = {"ants": 6, "bees": 6}
    synthetic.write(tmp_path, train=few, val=few)
    found = read(tmp_path, quiet=True)
    assert duplicates(found) == ()
    assert len(duplicates(found, distance=64)) == 1


def plain_set(root):
    """Images without a structure that a hash could tell, no two of them alike."""
    shade = Image.fromarray(np.tile(np.arange(0, 256, 4, dtype=np.uint8), (48, 1)))
    half = Image.new("L", (64, 48))
    ImageDraw.Draw(half).rectangle((0, 0, 30, 48), fill=255)
    for name, plain in {
        "red": Image.new("RGB", (64, 48), "red"),
        "blue": Image.new("RGB", (64, 48), "blue"),
        "white": Image.new("RGB", (64, 48), "white"),
        "grey": Image.new("RGB", (64, 48), "#808080"),
        "paler": Image.new("RGB", (64, 48), "#888888"),
        "right": shade,
        "left": shade.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "down": shade.transpose(Image.Transpose.ROTATE_270),
        "half": half,
    }.items():
        put(root / "plain" / f"{name}.png", image=plain.convert("RGB"))
    return root


def test_plain_images_are_not_glued_together(tmp_path):
    found = read(plain_set(make(tmp_path, {"ants": 2})), quiet=True)
    assert [look.colours is not None for look in found.looks] == [False] * 2 + [True] * 9
    hashes = [look.bits for look in found.looks[2:]]
    assert sum((a != b).sum() <= 6 for a in hashes for b in hashes) > 9 + 20  # the hash would
    assert duplicates(found) == ()


def test_copies_of_plain_images_are_found(tmp_path):
    plain_set(make(tmp_path, {"ants": 2}))
    for name in ("red", "grey", "right"):
        image = Image.open(tmp_path / "plain" / f"{name}.png").resize((32, 24))
        image.save(tmp_path / "plain" / f"{name}_small.jpg", quality=50)
    found = read(tmp_path, quiet=True)
    names = [tuple(found.files[i].stem for i in group) for group in duplicates(found)]
    assert names == [("grey", "grey_small"), ("red", "red_small"), ("right", "right_small")]


def looks(rows):
    return tuple(folders.Look(np.array(row, dtype=bool), None) for row in rows)


def test_groups_are_chained():
    steps = [[1] * n + [0] * (64 - n) for n in (0, 6, 12, 30, 36, 64)]
    found = Collection(**vars(bare([0] * 6)) | {"looks": looks(steps)})
    assert duplicates(found) == ((0, 1, 2), (3, 4))
    assert duplicates(found, distance=5) == ()
    assert duplicates(found, distance=18) == ((0, 1, 2, 3, 4),)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 60), st.integers(0, 30), st.integers(0, 2**32 - 1))
def test_groups_are_what_comparing_all_pairs_gives(count, distance, seed):
    rng = np.random.default_rng(seed)
    bits = rng.random((count, 64)) < 0.15
    found = Collection(**vars(bare([0] * count)) | {"looks": looks(bits)})
    groups = duplicates(found, distance=distance)
    which = {i: number for number, group in enumerate(groups) for i in group}
    assert sorted(which) == sorted(set(which))
    for i in range(count):
        for j in range(i):
            if (bits[i] != bits[j]).sum() <= distance:
                assert which[i] == which[j]
    for group in groups:
        assert list(group) == sorted(group)
        for i in group:
            assert any((bits[i] != bits[j]).sum() <= distance for j in group if j != i)


def test_blocks_miss_no_pair():
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.random((40, 64)) < 0.5, 3, axis=0)[rng.permutation(120)]
    values = rows.astype(np.float32)

    def apart(part, others):
        return np.abs(part[:, None] - others[None]).sum(-1)

    pairs = sorted(splits._near(np.arange(120) * 2, values, apart, 0, block=7))
    expected = [
        (2 * i, 2 * j) for i in range(120) for j in range(i + 1, 120) if (rows[i] == rows[j]).all()
    ]
    assert pairs == expected


def test_five_thousand_images_are_compared_in_seconds():
    import time

    rng = np.random.default_rng(0)
    bits = rng.random((5000, 64)) < 0.5
    bits[1::500] = bits[::500]
    plain = np.zeros(64)
    shades = rng.integers(0, 256, (2000, 8, 8, 3), dtype=np.uint8)
    seen = looks(bits[:3000]) + tuple(folders.Look(plain, shade) for shade in shades)
    found = Collection(**vars(bare([0] * 5000)) | {"looks": seen})
    start = time.perf_counter()
    assert len(duplicates(found)) == 6
    assert time.perf_counter() - start < 20  # about 1 on two idle cores


def test_a_collection_made_by_hand_is_looked_at(folder):
    found = read(folder, quiet=True)
    by_hand = Collection(found.root, found.files, found.labels, found.classes)
    assert by_hand == found
    assert duplicates(by_hand) == ()
    broken = Collection(found.root, (folder / "gone.png",), (0,), ("a",))
    with pytest.raises(FileNotFoundError, match="there is no image .*gone.png"):
        duplicates(broken)


@pytest.mark.parametrize("distance", [-1, 65, 6.0, True, "6", None])
def test_distances_that_are_not_allowed(folder, distance):
    found = read(folder, quiet=True)
    for call in (duplicates, split):
        with pytest.raises(ValueError, match=f"whole number from 0 to 64, .* not {distance!r}"):
            call(found, distance=distance)


# The split


@pytest.fixture
def grouped(monkeypatch):
    """Say which images are near-duplicates: grouped((0, 1), ...)."""

    def use(*groups):
        monkeypatch.setattr(splits, "duplicates", lambda collection, *, distance: groups)

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
    assert split(bare([0] * 6 + [1] * 6), val_percent=34).val == (3, 4, 6, 9)


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
    assert conflicts(found, chosen.groups) == chosen.crossing
    assert chosen.counts() == {"ants": {"train": 3, "val": 2}, "bees": {"train": 2, "val": 3}}


def test_a_class_with_a_single_image(folder):
    put(folder / "flies/a.png", 999)
    message = (
        "the class 'flies' has a single image, and two at least are needed, one to train on and "
        "one to validate on: add some, or take the class away"
    )
    with pytest.raises(ValueError, match=message):
        split(read(folder, quiet=True))


def test_a_class_of_one_image_many_times(folder):
    for number in range(3):
        put(folder / f"flies/{number}.png", 999)
    message = (
        "the class 'flies' has 3 images, but they are near-duplicates of each other: 1 "
        "independent image, and two at least are needed, .* give a distance below 6 if they are "
        "not$"
    )
    with pytest.raises(ValueError, match=message):
        split(read(folder, quiet=True))
    with pytest.raises(ValueError, match="take the class away$"):
        split(read(folder, quiet=True), distance=0)


def test_groups_of_several_classes(grouped):
    # Two groups, each with an image of both classes: one goes to each side.
    grouped((0, 2), (1, 3))
    for percent in (1, 50, 99):
        found = split(bare([0, 0, 1, 1]), val_percent=percent)
        assert set(found.val) in ({0, 2}, {1, 3})
    # Three classes that share three groups pairwise: no way to divide them.
    grouped((0, 2), (3, 4), (1, 5))
    message = (
        r"would have no image in (train|val): its near-duplicates are in other classes too, .* "
        r"Look at conflicts\(collection, duplicates\(collection\)\) and take out"
    )
    with pytest.raises(ValueError, match=message):
        split(bare([0, 0, 1, 1, 2, 2]))


def test_a_given_split_that_leaves_a_class_empty(grouped):
    collection = bare([0, 0, 1, 1], given=("train", "val", "train", "train"))
    with pytest.raises(ValueError, match="'class 1' would have no image in val: the split that"):
        split(collection)


@pytest.mark.parametrize("percent", [0, 100, -3, 30.0, 0.3, True, "30", None])
def test_percentages_that_are_not_allowed(grouped, percent):
    with pytest.raises(ValueError, match=f"whole number from 1 to 99, not {percent!r}"):
        split(bare([0, 0, 1, 1]), val_percent=percent)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, True, None])
def test_seeds_that_are_not_allowed(grouped, seed):
    with pytest.raises(ValueError, match="seed must be a whole number from 0 to 2"):
        split(bare([0, 0, 1, 1]), seed=seed)


SIZES = st.lists(st.integers(2, 40), min_size=2, max_size=6)
FEW = st.lists(st.integers(2, 4), min_size=2, max_size=4)


@st.composite
def sets(draw, mixed=False):
    """Labels and groups of near-duplicates; every class has two that are independent."""
    labels = [
        label for label, size in enumerate(draw(FEW if mixed else SIZES)) for _ in range(size)
    ]
    owner = list(range(len(labels)))
    for _ in range(draw(st.integers(0, 12))):
        i, j = draw(st.tuples(*[st.integers(0, len(labels) - 1)] * 2))
        if labels[i] != labels[j] and not mixed:
            continue
        merged = [owner[i] if o == owner[j] else o for o in owner]
        if all(
            len({o for o, c in zip(merged, labels, strict=True) if c == label}) > 1
            for label in set(labels)
        ):
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
    """Try all ways to put units on two sides so that each class is on both."""
    holds = [{labels[i] for i in unit} for unit in units]
    return any(
        all({s for s, h in zip(sides, holds, strict=True) if c in h} == {0, 1} for c in set(labels))
        for sides in itertools.product((0, 1), repeat=len(units))
    )


# Each of these has a way, which a greedy choice misses.
@pytest.mark.parametrize(
    ("labels", "groups"),
    [
        ([0, 0, 0, 1, 1, 2, 2, 3, 3], [(0, 1, 3), (2, 5)]),
        ([0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 3], [(0, 2, 4, 9, 10), (1, 3, 5, 8)]),
        ([0, 0, 1, 1, 2, 2, 3, 3, 3, 3], [(1, 3, 6, 7, 8), (0, 2, 5)]),
        ([0, 0, 0, 0, 1, 1, 2, 2, 3, 3], [(1, 4, 7), (0, 3, 9), (6, 8)]),
    ],
)
def test_a_way_is_found_where_there_is_one(grouped, labels, groups):
    grouped(*groups)
    for seed in range(60):
        both_sides(split(bare(labels), seed=seed, val_percent=1 + seed), groups)


def test_groups_go_to_validation_as_often_as_single_images(grouped):
    grouped((0, 1))
    labels = [0] * 20 + [1] * 20
    times = sum(0 in split(bare(labels), seed=seed).val for seed in range(300))
    assert 65 <= times <= 115  # 30 % of 300, three standard deviations


@FAST
@given(sets(), PERCENT, SEED, st.randoms(use_true_random=False))
def test_the_order_of_the_files_changes_nothing(grouped, labelled, percent, seed, random):
    labels, groups = labelled
    grouped(*groups)
    first = split(bare(labels), val_percent=percent, seed=seed)
    order = list(range(len(labels)))
    random.shuffle(order)
    place = {old: new for new, old in enumerate(order)}
    grouped(*(tuple(sorted(place[i] for i in group)) for group in groups))
    names = [first.collection.files[i].name for i in order]
    again = split(bare([labels[i] for i in order], names), val_percent=percent, seed=seed)
    assert {order[i] for i in again.val} == set(first.val)


def test_macos_names_are_drawn_as_others_are(grouped):
    names = [f"{NFC} {number}.png" for number in range(20)]
    forms = [unicodedata.normalize("NFD", name) for name in names]
    labels = [0] * 10 + [1] * 10
    assert split(bare(labels, names)).val == split(bare(labels, forms)).val


# The photographs


@pytest.mark.photos
def test_the_photographs_have_no_near_duplicates():
    found = read(os.environ["ANTS_BEES_DIR"], quiet=True)
    assert found.counts() == {"ants": 193, "bees": 204}
    assert found.odd == ("train/ants/imageNotFound.gif: .gif files are not read",)
    assert duplicates(found) == duplicates(found, distance=10) == ()
    assert split(found).crossing == ()
