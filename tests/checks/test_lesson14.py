"""Tests of the checks of lesson 14: several sound ways pass, and every usual slip has its hint."""

import hashlib
import random

import numpy as np
import pytest
from assertions import assert_verdict
from PIL import Image, ImageDraw, ImageFilter, UnidentifiedImageError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.neighbors import KNeighborsClassifier

from tutorial_utils.checks import reference14
from tutorial_utils.checks.lesson14 import (
    audit,
    choose,
    hide_middle,
    model_card,
    the_trap,
    three_parts,
)
from tutorial_utils.checks.verdict import Verdict
from tutorial_utils.own_images import duplicates, folders

# audit


def by_the_package(folder):
    collection = folders.read(folder, quiet=True)
    groups = [[collection.name(i) for i in g] for g in duplicates.find(collection)]
    return [problem.path for problem in collection.problems], groups


def by_hand(folder):
    broken, thumbnails = [], {}
    for path in sorted(folder.rglob("*.*")):
        try:
            small = Image.open(path).convert("L").resize((12, 12))
            thumbnails[path] = np.asarray(small, float).ravel()
        except OSError:
            broken.append(str(path))
    paths = list(thumbnails)
    alike = np.corrcoef([thumbnails[path] for path in paths]) > 0.97
    pairs = [(a, b) for i, a in enumerate(paths) for j, b in enumerate(paths[:i]) if alike[i, j]]
    return broken, pairs


@pytest.mark.parametrize("answer", [by_the_package, by_hand])
def test_an_audit(answer):
    assert_verdict(audit(answer), "correct", "three broken files and all near-duplicates")


def with_verify(folder):
    broken = []
    for path in sorted(folder.rglob("*.*")):
        try:
            Image.open(path).verify()
        except UnidentifiedImageError:
            broken.append(path)
    return broken, by_the_package(folder)[1]


def by_bytes(folder):
    same = {}
    for path in folder.rglob("*.jpg"):
        same.setdefault(hashlib.sha256(path.read_bytes()).digest(), []).append(path)
    return by_the_package(folder)[0], list(same.values())


def tidy(folder):
    found = by_the_package(folder)
    (folder / "left" / "y.jpg").unlink()
    return found


def all_in_one(folder):
    collection = folders.read(folder, quiet=True)
    return by_the_package(folder)[0], [collection.files]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (with_verify, "a truncated file is missing.*decode all pixels"),
        (by_bytes, "near-duplicates are missing.*its bytes differ"),
        (tidy, "the folder is not as it was"),
        (all_in_one, "do not all show the same"),
        (lambda f: by_the_package(f)[::-1], "expected files, not"),
        (lambda f: by_the_package(f)[0], "expected two lists|expected a list"),
        (lambda f: (["left/a.jpg"], []), r"\['left/a.jpg'\] can be opened"),
        (lambda f: (["right/x.jpg"], []), r"'left/y.jpg', 'left/z.png'\] cannot be opened"),
        (lambda f: (by_the_package(f)[0], 2), "expected a list of groups"),
        (
            lambda f: (by_the_package(f)[0], [["b.jpg"]]),
            "near-duplicates are missing",
        ),
        (
            lambda f: (by_the_package(f)[0], [*by_the_package(f)[1], ["left/c.jpg", "left/d.jpg"]]),
            "left/c.jpg.*do not all show the same",
        ),
    ],
)
def test_slips_of_an_audit(answer, text):
    assert_verdict(audit(answer), "wrong", text)


# three_parts


def units_in_turn(labels, units, seed):
    """Give the shuffled units of each class to the parts, one after the other."""
    parts = [], [], []
    found = sorted({(labels[i], unit) for i, unit in enumerate(units)})
    random.Random(seed).shuffle(found)
    found.sort(key=lambda pair: pair[0])
    for number, (_, unit) in enumerate(found):
        part = parts[(0, 0, 1, 0, 2)[number % 5]]
        part += [i for i, own in enumerate(units) if own == unit]
    return parts


def as_arrays(labels, units, seed):
    return [np.array(part) for part in units_in_turn(labels, units, seed)]


@pytest.mark.parametrize("answer", [reference14.three_parts, units_in_turn, as_arrays])
def test_three_parts(answer):
    assert_verdict(three_parts(answer), "correct", "near-duplicates together")


def at_random(labels, units, seed):
    order = random.Random(seed).sample(range(len(labels)), len(labels))
    a, b = round(0.6 * len(order)), round(0.8 * len(order))
    return order[:a], order[a:b], order[b:]


def in_order(labels, units, seed):
    indices = list(range(len(labels)))
    a, b = 48, 64
    return indices[:a], indices[a:b], indices[b:]


def shifted(labels, units, seed):
    train, val, test = reference14.three_parts(labels, units, seed)
    return train, val, test[1:]


def uneven(labels, units, seed):
    train, val, test = reference14.three_parts(labels, units, seed)
    return val, train, test


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (at_random, "near-duplicates of .* units are in different parts.*as groups"),
        (in_order, "different parts|has no image of class"),
        (shifted, "1 images are in no part"),
        (uneven, "the parts have"),
        (lambda y, u, s: reference14.three_parts(y, u, 0), "every seed gives the same split"),
        (
            lambda y, u, s: reference14.three_parts(y, u, random.SystemRandom().randrange(2**31)),
            "the same seed gives another split",
        ),
        (lambda y, u, s: reference14.three_parts(y, u, s)[:2], "expected three lists, not 2"),
        (lambda y, u, s: [[1], [1], [2]], "1 images are in two parts"),
        (lambda y, u, s: [[1], [2], [9999]], "indices outside 0 to"),
        (lambda y, u, s: [1, 2, 3], "expected lists of indices"),
    ],
)
def test_slips_of_three_parts(answer, text):
    assert_verdict(three_parts(answer), "wrong", text)


# hide_middle


def by_drawing(image):
    covered = image.copy()
    w, h = image.size
    ImageDraw.Draw(covered).rectangle((w / 8, h / 8, w * 7 / 8, h * 7 / 8), fill="black")
    return covered


def by_numpy(image):
    values = np.array(image)
    y, x = len(values) // 8, values.shape[1] // 8
    values[y:-y, x:-x] = 0
    return Image.fromarray(values)


@pytest.mark.parametrize("answer", [reference14.hide_middle, by_drawing, by_numpy])
def test_hide_middle(answer):
    assert_verdict(hide_middle(answer), "correct", "the rim decides")


def in_place(image):
    w, h = image.size
    image.paste((0, 0, 0), (w // 8, h // 8, w * 7 // 8, h * 7 // 8))
    return image


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (in_place, "changed the image that it was given.*copy"),
        (lambda image: image, "depends on what is in the middle"),
        (lambda image: image.filter(ImageFilter.GaussianBlur(20)), "depends on what is in the"),
        (lambda image: Image.new("RGB", image.size), "nothing of the rim is left"),
        (lambda image: np.zeros((4, 4)), "expected an image, not a value of type ndarray"),
    ],
)
def test_slips_of_hide_middle(answer, text):
    assert_verdict(hide_middle(answer), "wrong", text)


# choose


def by_neighbours(train_x, train_y, val_x, val_y):
    found = {k: KNeighborsClassifier(k).fit(train_x, train_y) for k in (1, 5, 15)}
    counts = {k: int((model.predict(val_x) == val_y).sum()) for k, model in found.items()}
    return found[max(counts, key=counts.get)], counts


def by_grid(train_x, train_y, val_x, val_y):
    both = np.concatenate([train_x, val_x]), np.concatenate([train_y, val_y])
    fold = PredefinedSplit([-1] * len(train_x) + [0] * len(val_x))
    grid = {"C": [0.001, 0.1, 10]}
    search = GridSearchCV(LogisticRegression(), grid, cv=fold, refit=False).fit(*both)
    model = LogisticRegression(**search.best_params_).fit(train_x, train_y)
    return model, dict(zip(grid["C"], search.cv_results_["mean_test_score"], strict=True))


class Nearest:
    """Predict the class of the nearest centre."""

    def __init__(self, x, y, power):
        self.centres = np.stack([x[y == k].mean(0) for k in np.unique(y)])
        self.power = power

    def predict(self, x):
        return (abs(x[:, None] - self.centres) ** self.power).sum(2).argmin(1)


def by_centres(train_x, train_y, val_x, val_y):
    found = {power: Nearest(train_x, train_y, power) for power in (1, 2)}
    scores = {power: 100 * (m.predict(val_x) == val_y).mean() for power, m in found.items()}
    return found[max(scores, key=scores.get)], scores


class Made:
    """A model that predicts by a given function."""

    def __init__(self, predict):
        self.predict = predict


@pytest.mark.parametrize("answer", [reference14.choose, by_neighbours, by_grid, by_centres])
def test_choose(answer):
    assert_verdict(choose(answer), "correct", "chosen on the validation part")


def fitted(train_x, train_y, val_x, val_y, on=None, score_on=None, pick=max):
    x, y = on or (train_x, train_y)
    found = {k: KNeighborsClassifier(k).fit(x, y) for k in (1, 9, 35)}
    scores = {k: model.score(*(score_on or (val_x, val_y))) for k, model in found.items()}
    return found[pick(scores, key=scores.get)], scores


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda a, b, c, d: fitted(a, b, c, d, score_on=(a, b)), "your scores are training"),
        (
            lambda a, b, c, d: fitted(a, b, c, d, on=(np.r_[a, c], np.r_[b, d])),
            "your model learns these wrong labels",
        ),
        (lambda a, b, c, d: fitted(a, b, c, d, pick=min), "your best score is"),
        (lambda a, b, c, d: fitted(a, b, c, d)[0], "expected a pair"),
        (lambda a, b, c, d: fitted(a, b, c, d)[::-1], "expected a model with `predict`"),
        (lambda a, b, c, d: (fitted(a, b, c, d)[0], 0.9), "expected a dict of scores"),
        (lambda a, b, c, d: (fitted(a, b, c, d)[0], {1: 0.9}), "nothing to choose from"),
        (lambda a, b, c, d: (Made(lambda x: x), {1: 0.9, 2: 0.8}), "`predict` gives the shape"),
        (
            lambda a, b, c, d: (Made(lambda x: x[:, 0] * 0), {1: (d == 0).mean(), 2: 0.0}),
            "classifies 51% of these",
        ),
    ],
)
def test_slips_of_choose(answer, text):
    assert_verdict(choose(answer), "wrong", text)


# the_trap


@pytest.mark.parametrize("letter", ["b", " B) "])
def test_the_trap_is_the_background(letter):
    assert_verdict(the_trap(letter, 44, 26, 50), "correct", "44 of 50 correct.*gives it away|gives")


def test_without_a_background_that_knows_there_is_no_trap_to_name():
    assert_verdict(the_trap("d", 29, 26, 50), "correct", "no more than that")
    assert_verdict(the_trap("b", 29, 26, 50), "wrong", "more than luck")
    assert_verdict(the_trap("a", 46, 45, 50), "correct")
    assert_verdict(the_trap("d", 50, 50, 50), "correct")


@pytest.mark.parametrize(
    ("letter", "text"),
    [
        ("a", "the most frequent class is 26 of 50"),
        ("c", "near-duplicates are on one side"),
        ("d", "can a background know"),
        ("e", "'e' is not one of the letters"),
        (2, "expected a letter"),
    ],
)
def test_slips_of_the_trap(letter, text):
    assert_verdict(the_trap(letter, 44, 26, 50), "wrong", text)


def test_the_trap_needs_the_numbers_of_the_run():
    assert_verdict(the_trap("b"), "wrong", "needs the numbers of your run")


# model_card

FACTS = {
    "classes": ("beetles", "spiders"),
    "accuracy": 46 / 50,
    "interval": (0.812, 0.968),
    "baselines": [0.52, 0.88],
    "trap": True,
}
CARD = """# Model card
## Task
Tells beetles from spiders in photographs of one garden. It knows no other animals.
## Data
One folder with 253 files. Two files were truncated and two were filed twice under both classes.
## Method
Logistic regression on cached features of a frozen AlexNet; C was chosen on the validation images.
## Result
0.920 of 50 test images, 95% interval 0.812 to 0.968. The background alone gives 0.88.
## Limits
The ground gives the class away: on other ground the model fails. Do not use it elsewhere.
"""


@pytest.mark.parametrize(
    "card",
    [
        CARD,
        CARD.replace("0.920 of 50 test images", "46 of 50 test images"),
        CARD.replace("0.920", "92%").replace("0.812 to 0.968", "81% to 97%"),
        CARD.replace("## Task", "Task:").replace("## Limits", "**Limits**"),
        CARD.replace("## Result", "## 4. Test results").replace("## Method", "## Methods"),
        CARD.replace("0.88", "44 of 50"),
    ],
)
def test_a_model_card(card):
    assert_verdict(model_card(card, FACTS), "correct", "words that someone who was not here")


@pytest.mark.parametrize(
    ("card", "text"),
    [
        ("a short text", "no heading task, data, method, result, limits"),
        (CARD.replace("## Limits", "## And so on"), "no heading limits"),
        (CARD.replace("One folder", "One folder ..."), "a part is not filled in"),
        (CARD.replace("0.920", "{accuracy}"), "a part is not filled in"),
        (
            CARD.replace("Tells beetles from spiders in photographs of one garden. ", ""),
            "under task",
        ),
        (CARD + "word " * 600, "your card has"),
        (CARD.replace("spiders", "others"), "the class .* is not named"),
        (CARD.replace("0.920", "0.94"), "the test accuracy is not under Result"),
        (CARD.replace(" 0.812 to 0.968", ""), "the interval .* is not under Result"),
        (
            CARD.replace("The background alone gives 0.88.", "That is a lot."),
            "there is no baseline",
        ),
        (
            CARD.replace("The ground gives the class away: on other ground", "It seems so:"),
            "Limits",
        ),
        (7, "expected a text"),
    ],
)
def test_slips_of_a_model_card(card, text):
    assert_verdict(model_card(card, FACTS), "wrong", text)


def test_a_model_card_without_a_trap_need_not_name_one():
    card = CARD.replace("The ground gives the class away: on other ground", "Now and then")
    assert_verdict(model_card(card, FACTS | {"trap": False}), "correct")
    assert_verdict(model_card(CARD), "wrong", "needs the facts of your run")


# the reference


def test_an_answer_is_used_only_if_its_check_passed(capsys):
    assert reference14.use(Verdict("correct", ""), 1, 2, name="split") == 1
    assert reference14.use(Verdict("open", ""), 1, 2, name="split") == 2
    assert reference14.use(Verdict("wrong", ""), 1, 2, name="split") == 2
    printed = capsys.readouterr().out.splitlines()
    assert printed == ["split: yours"] + 2 * ["split: the reference, until yours passes its check"]


def test_three_parts_need_enough_independent_images():
    labels = [0] * 20 + [1] * 20
    reference14.check_size(labels, list(range(40)), ("beetles", "spiders"))
    with pytest.raises(ValueError, match="the class 'spiders' has 14 images .* Lesson 12 shows"):
        reference14.check_size(labels, [*range(33), *[33] * 7], ("beetles", "spiders"))
