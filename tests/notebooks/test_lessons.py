"""Every lesson runs in both common worlds, online and offline, and twice in one kernel.

Online: by papermill from the repository's root, with the photographs and weights in the form of
ImageNet's. Offline: by nbval in the lesson's own folder, against the stored outputs.
"""

import copy
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import online
import papermill
import pytest

from tutorial_utils import lesson
from tutorial_utils.batch import lessons, runner

ROOT = Path(__file__).resolve().parent.parent.parent
LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
SHORT = {"epochs": 2, "source": "synthetic", "seeds": 2}

pytestmark = pytest.mark.lessons
every_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)


def short(path: Path, **more) -> dict:
    """Return short parameters, those that the lesson has."""
    known = papermill.inspect_notebook(str(path))
    return {name: value for name, value in (SHORT | more).items() if name in known}


@pytest.fixture(scope="session")
def torch_home() -> Path | None:
    return online.torch_home()


@pytest.mark.any_images
@every_lesson
def test_papermill_runs_it_online(path, tmp_path, monkeypatch, torch_home):
    images = "folder" if os.environ.get("ANTS_BEES_DIR") else "synthetic"
    if torch_home:
        monkeypatch.setenv("TORCH_HOME", str(torch_home))
    monkeypatch.chdir(ROOT)
    row = lessons.run_notebook(path, tmp_path / path.name, short(path, source=images))
    assert row["status"] == "ok", row["error"]
    result = lessons.read_result(tmp_path / path.name)
    assert result["lesson"] == path.stem
    assert result["peak_bytes"] > 0
    if "weights" in result:
        assert result["weights"] == ("imagenet" if torch_home else "demo")


@every_lesson
def test_it_can_be_run_twice_in_one_kernel(path, tmp_path):
    book = nbformat.read(path, as_version=4)
    # Papermill sets parameters once, so the second run goes without the cell of their defaults.
    tagged = [c for c in book.cells if "parameters" not in c.metadata.get("tags", [])]
    again = copy.deepcopy(tagged)
    for cell in again:
        cell.id += "-again"
    book.cells += again
    nbformat.write(book, tmp_path / path.name)
    row = lessons.run_notebook(tmp_path / path.name, tmp_path / "out.ipynb", short(path, epochs=1))
    assert row["status"] == "ok", row["error"]


@every_lesson
def test_nbval_agrees_with_the_stored_outputs(path, tmp_path):
    # The same cells and stored outputs, with short parameters, run in its own folder.
    copy = tmp_path / path.name
    papermill.execute_notebook(path, copy, short(path), prepare_only=True, progress_bar=False)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-ra"]
    flags = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=600"]
    for _ in range(runner.STARTS):
        done = subprocess.run(
            [*command, "-c", os.devnull, "--rootdir", ".", *flags, path.name],
            cwd=tmp_path,
            env=os.environ | {"TUTORIAL_OFFLINE": "1"},
            capture_output=True,
            text=True,
        )
        if "Kernel died before replying" not in done.stdout:  # see `batch.runner`
            break
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("epochs", 0, "epochs must be a whole number from 1 to 1000, not 0"),
        ("lr", "abc", "lr must be a number above 0 and at most 1, not 'abc'"),
        ("batch_size", -1, "batch_size must be a whole number from 1 to 1024, not -1"),
        ("epoch", 3, "unknown parameter 'epoch'"),
        ("arch", "resnet", "unknown arch 'resnet'; allowed: alexnet, vgg16"),
        ("source", "nowhere", "source must be one of auto, folder, cache, download, synthetic"),
        ("weights", "best", "unknown weights 'best'; allowed: auto, imagenet, demo, none"),
    ],
)
def test_a_bad_parameter_stops_a_lesson_before_any_work(name, value, said, tmp_path):
    path = next(p for p in LESSONS if p.stem == "06_training")
    row = lessons.run_notebook(path, tmp_path / "out.ipynb", {name: value})
    assert row["status"] == "error"
    assert said in row["error"]
    assert lessons.read_result(tmp_path / "out.ipynb") == {}
    assert lesson.MIME not in (tmp_path / "out.ipynb").read_text(encoding="utf-8")
