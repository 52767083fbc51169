"""What Binder builds and what Colab has: repo2docker reads it, and versions agree."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tutorial_utils import synthetic
from tutorial_utils._support import cache
from tutorial_utils.cli import main as main_module

ROOT = Path(__file__).resolve().parent.parent.parent
BINDER = ROOT / "binder"
CPU_INDEX = "--extra-index-url https://download.pytorch.org/whl/cpu"
if str(BINDER) not in sys.path:
    sys.path.insert(0, str(BINDER))

import colab  # noqa: E402

no_windows = pytest.mark.skipif(
    sys.platform == "win32", reason="Binder builds on Linux: no bash and no repo2docker here"
)


def resolved(path: Path) -> tuple[list[Requirement], list[str]]:
    """Return what pip reads from a file and the files it names, and the options."""
    needs, options = [], []
    for line in filter(None, map(str.strip, path.read_text(encoding="utf-8").splitlines())):
        if line.startswith("-r "):
            inner = resolved(path.parent / line[3:])
            needs, options = needs + inner[0], options + inner[1]
        elif line.startswith("-"):
            options.append(line)
        elif not line.startswith("#"):
            needs.append(Requirement(line))
    return needs, options


def pins(path: Path) -> dict[str, str]:
    return {colab.name_of(need.name): str(need.specifier) for need in resolved(path)[0]}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_binder_installs_what_the_course_pins():
    assert pins(BINDER / "requirements.txt") == pins(ROOT / "requirements.txt")
    assert all(spec.startswith("==") for spec in pins(ROOT / "requirements.txt").values())
    needs, options = resolved(BINDER / "requirements.txt")
    assert options == [CPU_INDEX]
    assert len({colab.name_of(need.name) for need in needs}) == len(needs), "a name twice"


@pytest.mark.parametrize(
    "file",
    ["requirements.txt", "binder/colab-constraints.txt"],
)
def test_the_package_admits_these_versions(file):
    have = pins(ROOT / file)
    for need in map(Requirement, project()["dependencies"]):
        name = colab.name_of(need.name)
        assert name in have or file != "requirements.txt", f"{name} is not pinned"
        if name in have:
            version = have[name].removeprefix("==")
            assert need.specifier.contains(version), f"{need} does not admit {name} {version}"


def test_what_colab_gets_beside_its_own():
    lines = colab.merged()
    assert {"torch==2.11.0", "torchvision==0.26.0", "ipywidgets==7.7.1"} <= set(lines)
    assert "onnx<1.21" in lines, "later ones would replace Colab's protobuf"
    names = [colab.name_of(line) for line in lines]
    assert names == sorted(set(names))
    assert not {"jupyterlab"} & set(names)
    assert set(pins(ROOT / "requirements.txt")) - {"jupyterlab"} <= set(names)


@no_windows
def test_repo2docker_reads_the_folder(tmp_path):
    shutil.copytree(BINDER, tmp_path / "binder", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "python=3.12" in done.stdout + done.stderr
    lines = done.stdout.splitlines()
    install = next(i for i, line in enumerate(lines) if '-r "binder/requirements.txt"' in line)
    copy = next(i for i, line in enumerate(lines) if "src/ ${REPO_DIR}/" in line)
    start = next(i for i, line in enumerate(lines) if line == "RUN ./binder/postBuild")
    assert copy < install < start, "../requirements.txt must be there when pip reads it"


@no_windows
@pytest.mark.parametrize("works", [True, False])
def test_post_build_runs_and_stops_at_the_first_failure(works, tmp_path):
    # pip and the package are stood in for: the commands, their order and the exit code count.
    log = tmp_path / "log"
    fake = tmp_path / "bin" / "python"
    fake.parent.mkdir()
    fail = "" if works else 'case "$*" in *" fetch") exit 3;; esac\n'
    fake.write_text(f'#!/bin/sh\necho "$*" >> "{log}"\n{fail}')
    fake.chmod(0o755)
    environment = os.environ | {"PATH": f"{fake.parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", BINDER / "postBuild"], env=environment, cwd=ROOT)
    assert done.returncode == (0 if works else 3)
    asked = log.read_text().splitlines()
    assert asked[:2] == ["-m pip install --no-cache-dir --no-deps -e .", "-m tutorial_utils fetch"]
    assert len(asked) == (4 if works else 2)


@no_windows
def test_post_build_can_be_run():
    assert os.access(BINDER / "postBuild", os.X_OK)
    assert (BINDER / "runtime.txt").read_text().strip() == "python-3.12"


def test_without_a_network_fetch_draws_the_images_ahead(monkeypatch, capsys):
    write, few = synthetic.write, {"train": {"ants": 1, "bees": 1}, "val": {"ants": 1, "bees": 1}}
    monkeypatch.setattr(synthetic, "write", lambda folder, **more: write(folder, **few, **more))
    assert main_module.main(["fetch"]) == 0
    assert "not everything could be downloaded" in capsys.readouterr().out
    assert cache.find(f"synthetic-{synthetic.VERSION}")
