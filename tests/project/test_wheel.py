"""The wheel is whole: installed elsewhere without the repository, the package does its work."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Build the wheel from a copy of the sources, and install it into a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "tutorial_utils", source / "tutorial_utils", ignore=skip)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, source]
    subprocess.run([*pip, *build], check=True, timeout=300)
    [wheel] = folder.glob("*.whl")
    subprocess.run(
        [*pip, "install", "--no-deps", "--no-index", "--target", folder / "site", wheel],
        check=True,
        timeout=300,
    )
    return wheel, folder / "site"


def run(installed, folder: Path, *words: str | Path) -> str:
    """Run Python with the installed package in an empty folder; return what it prints."""
    environment = os.environ | {"PYTHONPATH": str(installed[1]), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_file_of_the_package_is_in_the_wheel_and_nothing_else(installed):
    names = set(zipfile.ZipFile(installed[0]).namelist())
    here = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tutorial_utils").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert here == {name for name in names if ".dist-info/" not in name}


def test_the_lessons_imports_come_from_the_wheel(installed, tmp_path):
    lines = set()
    for path in LESSONS:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
        lines |= set(re.findall(r"^from tutorial_utils[\w.]* import [\w, ]+$", code, re.M))
    assert len(lines) >= len(LESSONS)
    code = "\n".join([*sorted(lines), "import tutorial_utils", "print(tutorial_utils.__file__)"])
    assert Path(run(installed, tmp_path, "-c", code).strip()).is_relative_to(installed[1])


def test_doctor_and_predict_run_from_the_wheel(installed, tmp_path, monkeypatch):
    save = (
        "from tutorial_utils import models, synthetic\n"
        "from tutorial_utils.own_images import classifier\n"
        "weights = models.find_weights('alexnet', 'demo', quiet=True)\n"
        "classifier.save(classifier.build(weights, ['ants', 'bees']), 'model.safetensors')\n"
        "synthetic.write('images', train={'ants': 1, 'bees': 1}, val={'ants': 1, 'bees': 1})\n"
    )
    run(installed, tmp_path, "-c", save)
    monkeypatch.setenv("ANTS_BEES_DIR", str(tmp_path / "images"))
    printed = run(installed, tmp_path, "-m", "tutorial_utils", "doctor")
    assert "weights: demo (AlexNet" in printed and "4 images" in printed
    command = ["-m", "tutorial_utils", "predict", "model.safetensors", "images/val"]
    rows = run(installed, tmp_path, *command).splitlines()
    assert len(rows) == 2 and all(re.search(r"\t(ants|bees) [01]\.\d{3}$", row) for row in rows)
