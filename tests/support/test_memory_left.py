"""Tests of the memory that is left: the machine's, or the container's if that is less."""

from types import SimpleNamespace

import pytest

from tutorial_utils._support import memory


@pytest.mark.parametrize(
    ("limit", "used", "left"),
    [("", "", 900), ("max", "300", 900), ("1000", "300", 750), ("1000", "1200", 0)],
)
def test_the_smaller_of_machine_and_container(tmp_path, monkeypatch, limit, used, left):
    for name, text in {"limit": limit, "used": used, "memory.stat": "inactive_file 50"}.items():
        if text:
            (tmp_path / name).write_text(f"{text}\n")
    counted = SimpleNamespace(available=900)
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: counted)
    monkeypatch.setattr(memory, "CGROUPS", ((str(tmp_path), "limit", "used"),))
    assert memory.available_bytes() == left
