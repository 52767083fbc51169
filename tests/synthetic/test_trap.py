"""Tests of the third task: its traps are where they should be, and nothing else gives it away."""

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tutorial_utils.own_images import duplicates, folders
from tutorial_utils.synthetic import trap

EACH = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return trap.write(tmp_path_factory.mktemp("trap"), each=EACH)


@pytest.fixture(scope="module")
def collection(folder):
    return folders.read(folder, quiet=True)


@pytest.fixture(scope="module")
def rims():
    """Return the mean colour and contrast of the rims (N, 6) by class and whether it is usual."""
    rim = np.ones((24, 32), bool)
    rim[3:-3, 4:-4] = False
    found = {}
    for label in trap.CLASSES:
        for usual in (True, False):
            images = [trap.draw(label, seed=seed, usual=usual) for seed in range(60)]
            small = np.array([np.asarray(image.resize((32, 24))) for image in images])[:, rim]
            found[label, usual] = np.concatenate([small.mean(axis=1), small.std(axis=1)], axis=1)
    return found


def accuracy(first, second):
    """Return how well a linear classifier tells every third of two sets from the others."""
    x = np.concatenate([first, second])
    y = np.repeat((0, 1), (len(first), len(second)))
    test = np.arange(len(x)) % 3 == 0
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x[~test], y[~test])
    return model.score(x[test], y[test])


def test_one_file_of_each_class_is_truncated(collection):
    names = [problem.path.parts[0] for problem in collection.problems]
    assert sorted(names) == list(trap.CLASSES)
    assert not collection.odd


def test_every_eighth_animal_was_taken_again_and_one_is_in_both_classes(collection):
    groups = duplicates.find(collection)
    assert len(groups) == 2 * (EACH // trap.COPIES) + 1
    assert duplicates.find(collection, distance=10) == groups
    (shared,) = duplicates.conflicts(collection, groups)
    assert len(shared) == 2
    assert all(2 <= len(group) <= 4 for group in groups)


def test_the_same_folder_is_written_again(folder, tmp_path):
    again = trap.write(tmp_path / "again", each=EACH)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*.jpg"))
    assert len(files) > 2 * EACH
    assert all((folder / file).read_bytes() == (again / file).read_bytes() for file in files)


def test_the_rim_gives_the_class_away_where_the_ground_is_the_usual_one(rims):
    assert accuracy(rims["beetles", True], rims["spiders", True]) > 0.8


@pytest.mark.parametrize("beetles_usual", [True, False])
def test_the_rim_does_not_show_the_animal(rims, beetles_usual):
    one, two = rims["beetles", beetles_usual], rims["spiders", not beetles_usual]
    assert accuracy(one, two) < 0.68


def test_draw_depends_on_all_of_its_arguments():
    one = trap.draw("beetles", seed=1)
    assert isinstance(one, Image.Image)
    assert one == trap.draw("beetles", seed=1)
    others = [
        trap.draw("beetles", seed=2),
        trap.draw("spiders", seed=1),
        trap.draw("beetles", seed=1, usual=False),
    ]
    assert one not in others


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"each": 9}, "each is 9; give 10 animals"),
        ({"unusual_percent": 101}, "unusual_percent is 101; give a number from 0 to 100"),
    ],
)
def test_write_raises_before_it_writes_anything(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        trap.write(tmp_path, **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("label", "seed", "message"),
    [
        ("ants", 0, "label is 'ants'; allowed are 'beetles', 'spiders'"),
        ("beetles", -1, "seed is -1"),
    ],
)
def test_draw_raises_for_what_it_cannot_draw(label, seed, message):
    with pytest.raises(ValueError, match=message):
        trap.draw(label, seed=seed)
