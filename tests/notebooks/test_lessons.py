"""Every lesson runs in both common worlds, online and offline, and twice in one kernel.

Online: by papermill from the repository's root, with the photographs and weights in the form of
ImageNet's. Offline: by nbval in the lesson's own folder, against the stored outputs, twice in one
kernel. Where the system allows it, JupyterLab's server and the kernel together have Binder's 2 GiB
of memory.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import nbformat
import online
import papermill
import pytest

from tutorial_utils import lesson
from tutorial_utils.batch import lessons, runner

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench"))

import control_group  # noqa: E402

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


@pytest.fixture(scope="session")
def group(worker_id):
    """Run JupyterLab in a control group of 2 GiB; None where the system allows none.

    Colab's environment has no JupyterLab.
    """
    if not find_spec("jupyterlab"):
        yield None
        return
    try:
        found = control_group.ControlGroup(f"ants-and-bees-{worker_id}")
    except OSError:
        yield None
        return
    with control_group.kernel_in(found), control_group.server_in(found):
        yield found


def run(book: nbformat.NotebookNode, name: str, folder: Path, parameters: dict, group) -> Path:
    """Run a notebook in the group without an error, and return the executed notebook's path."""
    if group:
        book.metadata.kernelspec.name = control_group.KERNEL
    (folder / "copy").mkdir()
    nbformat.write(book, folder / "copy" / name)
    kills = group.kills() if group else 0
    row = lessons.run_notebook(folder / "copy" / name, folder / name, parameters)
    assert row["status"] == "ok", row["error"]
    assert not group or group.kills() == kills, "more than 2 GiB of memory"
    return folder / name


@pytest.mark.memory
@pytest.mark.any_images
@every_lesson
def test_papermill_runs_it_online(path, tmp_path, monkeypatch, torch_home, group):
    images = "folder" if os.environ.get("ANTS_BEES_DIR") else "synthetic"
    if torch_home:
        monkeypatch.setenv("TORCH_HOME", str(torch_home))
    monkeypatch.chdir(ROOT)
    book = nbformat.read(path, as_version=4)
    result = lessons.read_result(run(book, path.name, tmp_path, short(path, source=images), group))
    assert result["lesson"] == path.stem
    assert result["peak_bytes"] > 0
    if "weights" in result:
        assert result["weights"] == ("imagenet" if torch_home else "demo")


@pytest.mark.memory
def test_more_than_two_gib_would_be_noticed(tmp_path, group):
    if group is None:
        pytest.skip("this system allows no control group")
    book = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": ""}}
    )
    book.cells = [nbformat.v4.new_code_cell("filled = b'1' * (5 * 2**29)")]
    with pytest.raises(AssertionError, match="DeadKernelError"):
        run(book, "large.ipynb", tmp_path, {}, group)


@pytest.mark.memory
@every_lesson
def test_nbval_agrees_with_the_stored_outputs_twice_in_one_kernel(path, tmp_path, group):
    """Run the cells with short parameters, and again; tagged outputs are compared both times."""
    copy = tmp_path / path.name
    papermill.execute_notebook(
        path, copy, short(path, epochs=1), prepare_only=True, progress_bar=False
    )
    book = nbformat.read(copy, as_version=4)
    for cell in list(book.cells):
        if not {"parameters", "injected-parameters"} & set(cell.metadata.get("tags", [])):
            book.cells.append(nbformat.from_dict(cell | {"id": f"{cell.id}-again"}))
    nbformat.write(book, copy)
    kernel = f"--nbval-kernel-name={control_group.KERNEL}" if group else "--nbval-current-env"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-ra", kernel]
    flags = ["--nbval-lax", "--nbval-cell-timeout=600", "-c", os.devnull, "--rootdir", "."]
    kills = group.kills() if group else 0
    for _ in range(runner.STARTS):
        done = subprocess.run(
            [*command, *flags, path.name],
            cwd=tmp_path,
            env=os.environ | {"TUTORIAL_OFFLINE": "1"},
            capture_output=True,
            text=True,
        )
        if "Kernel died before replying" not in done.stdout:  # see `batch.runner`
            break
    assert not group or group.kills() == kills, "more than 2 GiB of memory"
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
