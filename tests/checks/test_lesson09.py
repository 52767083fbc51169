"""Tests of the checks of lesson 09: correct answers, and every usual slip with its own hint."""

import hashlib
import json
import time

import pytest
import torch
from assertions import assert_verdict

from tutorial_utils.checks.lesson09 import cache_key, spoiled_caches, unseen_change


@pytest.mark.parametrize("check", [cache_key, unseen_change])
def test_a_function_that_is_a_stub_is_open(check):
    assert_verdict(check(lambda *given: ...), "open", "not answered yet")


# spoiled_caches


@pytest.mark.parametrize("answer", ["bde", "E, D, B", "b) d) e)", {"b", "d", "e"}, ["d", "B", "e"]])
def test_spoiled_caches(answer):
    assert_verdict(spoiled_caches(answer), "correct", "^correct: weights that move")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("abde", r"correct in case a\).*another order"),
        ("bcde", r"correct in case c\).*dropout"),
        ("bdef", r"correct in case f\).*learning rate"),
        ("de", "is missing.*weights that computed the values"),
        ("be", "is missing.*in every epoch"),
        ("bd", "is missing.*without being trained"),
        ("", "letters a to f"),
        ("xyz", "letters a to f"),
        ([], "letters a to f"),
        ({"b": True, 3: False}, "expected letters, not a value of type dict"),
    ],
)
def test_slips_of_spoiled_caches(answer, text):
    assert_verdict(spoiled_caches(answer), "wrong", text)


# cache_key


def checksum(text):
    return hashlib.sha256(text.encode()).hexdigest()


def by_parts(weights, transform, images, views, seed):
    digest = hashlib.sha256(weights.numpy().tobytes())
    for part in (transform, images, views, seed):
        digest.update(repr(part).encode() + b"\n")
    return digest.hexdigest()


def by_note(weights, transform, images, views, seed):
    sums = [hashlib.md5(image).hexdigest() for image in images]
    return checksum(json.dumps([weights.tolist(), transform, sums, views, seed]))


@pytest.mark.parametrize("answer", [by_parts, by_note])
def test_a_cache_key(answer):
    assert_verdict(cache_key(answer), "correct", "^correct: another input, another key")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda w, t, p, v, s: checksum(f"{w.tolist()} {t} {p} {v}"), "another seed"),
        (lambda w, t, p, v, s: checksum(f"{w.tolist()} {t} {p} {s}"), "number of views"),
        (lambda w, t, p, v, s: checksum(f"{w.tolist()} {p} {v} {s}"), "another transform"),
        (lambda w, t, p, v, s: checksum(f"{t} {p} {v} {s}"), "other weights"),
        (lambda w, t, p, v, s: checksum(f"{w.tolist()} {t} {v} {s}"), "fewer images"),
        (lambda w, t, p, v, s: checksum(f"{w.tolist()} {t} {len(p)} {v} {s}"), "the contents"),
        (
            lambda w, t, p, v, s: checksum(f"{w.tolist()} {t} {[len(x) for x in p]} {v} {s}"),
            "same size has the same key",
        ),
        (
            lambda w, t, p, v, s: checksum(f"{w.tolist()} {t} {sorted(p)} {v} {s}"),
            "images in another order",
        ),
        (lambda w, t, p, v, s: checksum(f"{w} {t} {p} {v} {s}"), "middle of the weights"),
        (
            lambda w, t, p, v, s: checksum(f"{w.sum()} {t} {p} {v} {s}"),
            "the weights in another order have the same key",
        ),
        (
            lambda w, t, p, v, s: checksum(f"{w.round(decimals=2).tolist()} {t} {p} {v} {s}"),
            "small change.*do not round",
        ),
        (
            lambda w, t, p, v, s: checksum(f"{w.tolist()}{t}{p}{v}{s}"),
            "1 view with seed 23.*where does one end",
        ),
        (
            lambda w, t, p, v, s: checksum(f"{w.tolist()} {t} {b''.join(p)} {v} {s}"),
            "images split elsewhere have the same key",
        ),
        (lambda *parts: str(hash(str(parts))), "each time Python starts"),
        (lambda *parts: checksum(f"{parts} {time.perf_counter_ns()}"), "gave two keys"),
        (lambda w, t, p, v, s: f"{t}/{v}/{s}", "no slash"),
        (
            lambda w, t, p, v, s: f"{w.tolist()} {t} {p} {v} {s}",
            "a key of 22930 characters cannot be a file",
        ),
        (lambda w, t, p, v, s: "", "0 characters"),
        (lambda w, t, p, v, s: (t, v, s), "expected a string, not a value of type tuple"),
        (lambda w, t, p, v, s: 7, "expected a string, not a value of type int"),
    ],
)
def test_slips_of_a_cache_key(answer, text):
    assert_verdict(cache_key(answer), "wrong", text)


# unseen_change


def left_over(values):
    basis = torch.linalg.qr(values.T).Q
    change = torch.randn(values.shape[1])
    return change - basis @ (basis.T @ change)


def last_direction(values):
    return torch.linalg.svd(values).Vh[-1:]


def by_inverse(values):
    change = torch.ones(values.shape[1], dtype=torch.float64)
    values = values.double()
    return (change - torch.linalg.pinv(values) @ (values @ change)).numpy() * 100


@pytest.mark.parametrize("answer", [left_over, last_direction, by_inverse])
def test_a_change_that_no_image_sees(answer):
    assert_verdict(unseen_change(answer), "correct", "^correct: a neuron's weights moved")


def inside(values):
    return values.sum(0)


def one_image_only(values):
    row = values[0] / values[0].norm()
    change = torch.ones(values.shape[1])
    return change - (change @ row) * row


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda values: torch.zeros(values.shape[1]), "that is zero, or almost zero"),
        (inside, "your change lies completely inside the span"),
        (
            lambda values: torch.linalg.svd(values, full_matrices=False).Vh[-1],
            "your change lies completely inside the span",
        ),
        (one_image_only, "your change moves the sum of image 3"),
        (lambda values: torch.randn(values.shape[1]), "your change moves the sum of image"),
        (lambda values: torch.ones(len(values)), "one for each image"),
        (lambda values: torch.ones(3, 5), r"\(4, 9\) your change has 15 numbers"),
        (lambda values: torch.full((values.shape[1],), torch.nan), "finite"),
        (lambda values: "text", "expected a tensor, not a value of type str"),
    ],
)
def test_slips_of_a_change_that_no_image_sees(answer, text):
    assert_verdict(unseen_change(answer), "wrong", text)
