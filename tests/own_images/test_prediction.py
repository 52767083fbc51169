"""Predictions of files: in order, with the reason for each that cannot be read."""

import pytest
import torch
from PIL import Image
from sample_models import photo

from tutorial_utils.own_images import prediction


def test_a_broken_image_in_a_batch_stops_no_other(tiny, tmp_path):
    paths = [photo(tmp_path / f"{i}.png", colour=(40 * i, 0, 90)) for i in range(5)]
    whole = paths[2].read_bytes()
    paths[2].write_bytes(whole[: len(whole) // 2])
    paths.insert(4, tmp_path / "none.png")
    found = list(prediction.predict_files(tiny, paths, batch_size=2))
    assert [f.path for f in found] == paths
    problems = {i: f.problem for i, f in enumerate(found) if f.problem}
    assert problems == {2: "cut short", 4: "there is no such file"}
    assert list(prediction.predict_files(tiny, [])) == []
    rest = [f for f in found if f.problem is None]
    alone = [next(prediction.predict_files(tiny, [f.path])) for f in rest]
    for one, other in zip(rest, alone, strict=True):
        assert one.probabilities.sum() == pytest.approx(1)
        assert torch.allclose(one.probabilities, other.probabilities, atol=1e-5)


def test_probabilities_are_the_softmax_of_the_logits(tiny, tmp_path):
    path = photo(tmp_path / "a.png")
    with Image.open(path) as image:
        wanted = tiny.logits(tiny.preset(image)[None]).softmax(1)[0]
    assert torch.allclose(
        next(prediction.predict_files(tiny, [str(path)])).probabilities, wanted, atol=1e-6
    )


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b""), "empty, 0 bytes"),
        (lambda path: path.write_text("no image"), "not an image"),
        (lambda path: path.mkdir(), "a folder without images"),
        (lambda path: photo(path, (2, 50_000)), "2 x 50000 pixels, too long and narrow"),
    ],
)
def test_the_reason_is_short(write, message, tiny, tmp_path):
    write(tmp_path / "a.png")
    assert next(prediction.predict_files(tiny, [tmp_path / "a.png"])).problem == message


@pytest.mark.parametrize("wrong", [0, -1, 2.0, True])
def test_a_wrong_batch_size_raises_an_error(wrong, tiny):
    with pytest.raises(ValueError, match="batch_size must be a whole number from 1"):
        list(prediction.predict_files(tiny, ["a.png"], batch_size=wrong))


def test_folders_and_a_tilde_are_expanded(tiny, tmp_path, monkeypatch):
    names = ("0.png", "a b/1.png", "a b/2.PNG", "a b/c/3.png", "a b-c/4.png", "été/5.jpg")
    wanted = [photo(tmp_path / "set" / name) for name in names]
    photo(tmp_path / "set" / ".cache" / "6.png")
    photo(tmp_path / "set" / ".7.png")
    (tmp_path / "set" / "notes.txt").write_text("mine")
    (tmp_path / "empty").mkdir()
    given = [tmp_path / "set", tmp_path / "empty", tmp_path / "x.png"]
    assert list(prediction.expand(given)) == [*wanted, *given[1:]]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert list(prediction.expand(["~/set"])) == wanted
    assert next(prediction.predict_files(tiny, ["~/set/0.png"])).problem is None
