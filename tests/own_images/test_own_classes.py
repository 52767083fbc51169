"""Lesson 12 on your own folder: five classes in any script, and folders that stop it."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tutorial_utils.batch import lessons
from tutorial_utils.own_images import classifier, onnx_export

NOTEBOOK = Path(__file__).resolve().parent.parent.parent / "notebooks" / "12_your_own_classes.ipynb"
SHORT = {"epochs": 6, "batch_size": 16, "lr": 1e-3}
CLASSES = ("broad stripes", "été – chequers", "plain", "круги", "斑点")

pytestmark = pytest.mark.lessons


def pattern(name: str, rng: np.random.Generator) -> Image.Image:
    """Return one of five patterns in random colours, sizes and positions, with some noise."""
    width, height = rng.integers(90, 180, 2)
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    x, y, step = x + rng.integers(50), y + rng.integers(50), rng.integers(14, 26)
    radius = np.hypot(x - x.mean(), y - y.mean())
    mask = {
        "broad stripes": (x // step) % 2,
        "été – chequers": (x // step + y // step) % 2,
        "plain": 0 * x,
        "круги": (radius // (step // 2)) % 2,
        "斑点": np.hypot(x % step - step / 2, y % step - step / 2) < step / 4,
    }[name]
    colours = np.stack((rng.integers(0, 110, 3), rng.integers(140, 256, 3)))[:: rng.choice((1, -1))]
    page = colours[mask.astype(int)] + rng.normal(0, 12, (height, width, 3))
    return Image.fromarray(page.clip(0, 255).astype(np.uint8))


def album(root: Path, classes=CLASSES, *, each: int = 14) -> Path:
    rng = np.random.default_rng(12)
    for name in classes:
        (root / name).mkdir(parents=True)
        for number in range(each):
            ending = ("jpg", "png")[number % 2]
            pattern(name, rng).save(root / name / f"Bild {number}.{ending}")
    return root


def texts(path: Path) -> str:
    import nbformat

    cells = nbformat.read(path, as_version=4).cells
    return "".join(out.get("text", "") for cell in cells for out in cell.get("outputs", []))


def test_the_lesson_runs_on_a_folder_of_five_classes(tmp_path):
    root = album(tmp_path / "my images")
    whole = (root / CLASSES[0] / "Bild 0.jpg").read_bytes()
    (root / CLASSES[0] / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    (root / CLASSES[1] / ".hidden.jpg").write_bytes(whole)
    (root / CLASSES[1] / "notes.txt").write_text("mine")
    with Image.open(root / CLASSES[3] / "Bild 0.jpg") as image:
        image.reduce(2).save(root / CLASSES[3] / "Bild 0 copy.png")
    before = sorted(root.rglob("*"))
    done = tmp_path / "done.ipynb"
    given = {"folder": str(root), "model_folder": str(tmp_path / "models" / "here")}
    row = lessons.run_notebook(NOTEBOOK, done, SHORT | given)
    assert row["status"] == "ok", row["error"]
    result = row["result"]
    assert result["classes"] == sorted(CLASSES)
    assert result["images"] == "own folder"
    assert set(result["recall"]) == set(CLASSES)
    assert result["val_accuracy"] > 0.4, "chance is 0.2"
    assert result["interval"][0] < result["test_accuracy"] < result["interval"][1] + 1e-9
    assert result["left_out"] == 1
    assert result["leaks"] == 0
    assert result["model_bytes"] > 9_000_000
    assert 0 < result["onnx_difference"] < 1e-4
    assert result["exit_code"] == 1
    printed = texts(done)
    assert re.search(r"nearly the same: .*Bild 0 copy\.png", printed)
    assert "broken.jpg (cut short)" in printed
    assert ".hidden" not in printed
    assert sorted(root.rglob("*")) == before, "the lesson changed the folder"
    files = sorted((tmp_path / "models" / "here").iterdir())
    assert [path.name for path in files] == ["model.onnx", "model.safetensors"]
    assert classifier.load(files[1]).classes == tuple(sorted(CLASSES))
    assert tuple(onnx_export.onnx_classes(files[0])) == tuple(sorted(CLASSES))


@pytest.mark.parametrize("changed", ["single", "missing"])
def test_a_wrong_folder_stops_the_lesson_with_the_reason(changed, tmp_path):
    root = album(tmp_path / "set", CLASSES[:2], each=4)
    message = {
        "single": "the class 'lonely' has a single image",
        "missing": "folder must be a folder that exists",
    }[changed]
    (root / "lonely").mkdir()
    pattern("круги", np.random.default_rng(1)).save(root / "lonely" / "1.png")
    given = root / "nowhere" if changed == "missing" else root
    row = lessons.run_notebook(NOTEBOOK, tmp_path / "out.ipynb", SHORT | {"folder": str(given)})
    assert row["status"] == "error"
    assert message in row["error"]
    assert row["result"] == {}
