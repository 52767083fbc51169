"""Which wheels of torch are installed: the choice, with local indexes in place of torch's own."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import serving

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "binder"))

import torch_index  # noqa: E402

VERSION = re.search(r"^torch==(\S+)", (ROOT / "requirements.txt").read_text(), re.M)[1]
NO_DRIVER = Path("/no/driver")


def page(*names: str) -> bytes:
    return "".join(f'<a href="{name}">{name}</a>\n' for name in names).encode()


def local(url: str) -> str:
    return url.rpartition("/tutorial")[0]


@pytest.mark.parametrize(
    ("names", "flagged", "reason"),
    [
        ([f"torch-{VERSION}%2Bcpu-cp311-cp311-linux_x86_64.whl"], True, "no NVIDIA driver"),
        ([f"torch-{VERSION}+cpu-cp313-cp313-linux_x86_64.whl"], True, "no NVIDIA driver"),
        (["torch-1.0.0%2Bcpu-cp311-cp311-linux_x86_64.whl"], False, f"has no torch {VERSION}"),
        ([f"torch-{VERSION}0%2Bcpu-cp311-cp311-linux_x86_64.whl"], False, "has no torch"),
    ],
)
def test_the_index_must_have_the_version(names, flagged, reason):
    with serving.serving(page(*names)) as (url, asked):
        flags, why = torch_index.choose(local(url), system="Linux", driver=NO_DRIVER)
    assert flags == (f"--extra-index-url {local(url)}" if flagged else "")
    assert reason in why
    assert asked == ["/torch/"]


@pytest.mark.parametrize("answer", [{"status": 404}, {"wait_s": 2}, {"pause_s": 2}])
def test_an_index_that_does_not_answer_in_time_is_left_out(answer, monkeypatch):
    monkeypatch.setattr(torch_index, "LIMIT_S", 0.3)
    wheel = f"torch-{VERSION}%2Bcpu-cp311-cp311-linux_x86_64.whl"
    with serving.serving(page(wheel), **answer) as (url, _):
        start = time.perf_counter()
        flags, why = torch_index.choose(local(url), system="Linux", driver=NO_DRIVER)
        assert time.perf_counter() - start < 1.9
    assert flags == ""
    assert "did not answer" in why


@pytest.mark.parametrize(
    ("system", "driver", "reason"),
    [("Linux", Path(__file__), "NVIDIA driver"), ("Darwin", NO_DRIVER, "Darwin are small")],
)
def test_pypi_serves_gpus_and_other_systems(system, driver, reason):
    flags, why = torch_index.choose("http://127.0.0.1:9/none", system=system, driver=driver)
    assert flags == ""
    assert reason in why


def test_pip_prefers_the_cpu_wheel(tmp_path):
    # Two local indexes: both have the version, one of them as +cpu.
    for index, version in {"pypi": VERSION, "cpu": f"{VERSION}+cpu"}.items():
        folder = tmp_path / index / "torch"
        folder.mkdir(parents=True)
        wheel(folder, version)
    command = [sys.executable, "-m", "pip", "--isolated", "download", "--no-deps", "-q"]
    command += ["--disable-pip-version-check", "-d", str(tmp_path / "got"), f"torch=={VERSION}"]
    indexes = ["--index-url", (tmp_path / "pypi").as_uri()]
    flags = ["--extra-index-url", (tmp_path / "cpu").as_uri()]
    subprocess.run([*command, *indexes, *flags], check=True, capture_output=True, timeout=60)
    assert [path.name for path in (tmp_path / "got").iterdir()] == [
        f"torch-{VERSION}+cpu-py3-none-any.whl"
    ]


def wheel(folder: Path, version: str) -> None:
    """Write a wheel of torch without content, and the page that lists it."""
    name = f"torch-{version}-py3-none-any.whl"
    info = f"torch-{version}.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    (folder / name).write_bytes(serving.zipped(files))
    (folder / "index.html").write_bytes(page(name))
