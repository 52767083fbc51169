"""Tests of `batch.schedule`: lessons side by side, within the memory, the longest first."""

import os
import time
from concurrent.futures.process import BrokenProcessPool

import pytest
from tiny_notebooks import write

from tutorial_utils._support import memory
from tutorial_utils.batch import lessons, schedule

HEAD = "# Computing on two CPU cores: {} minutes offline. Memory: {} GiB offline, 0.1 GiB online."


def hold(seconds: float) -> tuple[float, float]:
    """Return when a worker process began and ended to wait."""
    start = time.time()
    time.sleep(seconds)
    return start, time.time()


@pytest.fixture
def free(monkeypatch):
    def set_free(gib, processors=2):
        monkeypatch.setattr(memory, "available_bytes", lambda: int(gib * memory.GIB))
        monkeypatch.setattr(os, "cpu_count", lambda: processors)

    return set_free


@pytest.fixture
def calls(tmp_path):
    def make(*heads):
        found = {}
        for number, head in enumerate(heads):
            path = write(tmp_path / f"{number:02d}_x.ipynb", HEAD.format(*head))
            found[path] = (1.0,)
        return found

    return make


def test_every_lesson_declares_its_time_and_memory():
    for path in lessons.find_lessons():
        need = schedule.needs(path)
        assert 1 <= need.gib <= 2, path.stem
        short = "half a minute offline" in path.read_text(encoding="utf-8")
        assert short == (need.minutes == 0), path.stem
    slow = {path.stem for path in lessons.find_lessons() if schedule.needs(path).minutes >= 3}
    assert "10_fine_tuning" in slow and "00_start_here" not in slow


def test_the_larger_memory_counts(tmp_path):
    text = (
        "# Computing on two CPU cores: 3 minutes offline. Memory: 1.2 GiB offline, 1.5 GiB online."
    )
    assert schedule.needs(write(tmp_path / "00_a.ipynb", text)) == (1.5, 3)


def test_a_damaged_notebook_and_one_without_a_line_need_the_most(tmp_path):
    path = write(tmp_path / "00_a.ipynb", "1")
    assert schedule.needs(path) == (2.0, 0)
    path.write_text("{")
    assert schedule.needs(path) == (2.0, 0)


@pytest.mark.parametrize(
    ("processors", "free_gib", "expected"),
    [(1, 64, 1), (2, 64, 2), (3, 64, 2), (8, 64, 4), (2, 2.9, 1), (2, 3.1, 2), (64, 64, 5)],
)
def test_how_many_fit(free, processors, free_gib, expected):
    free(free_gib, processors)
    need = [schedule.Needs(gib, 1) for gib in (1.5, 2.0, 1.5, 2.0, 1.9)]
    assert schedule.fitting(need, free_gib) == expected


def test_two_run_at_a_time_the_longest_first(free, calls):
    free(8.0)
    given = calls((1, 1.5), (2, 1.5), (9, 1.5))
    ended = dict(schedule.run_all(hold, given))
    one, two, nine = (ended[path] for path in given)
    assert nine[0] < one[0] and two[0] < one[0]
    assert max(two[0], nine[0]) < min(two[1], nine[1])


def test_a_lesson_waits_for_its_memory(free, calls):
    free(3.0)
    given = calls((1, 1.0), (3, 1.9), (2, 1.9))
    ended = dict(schedule.run_all(hold, given))
    light, heavy, other = (ended[path] for path in given)
    assert other[0] >= heavy[1], "3.8 GiB at a time, with 3.0 free"
    assert light[0] < heavy[1], "2.9 GiB fit"


def test_one_that_needs_more_than_there_is_runs_alone(free, calls):
    free(0.5)
    ended = list(schedule.run_all(hold, calls((1, 1.0), (1, 1.0))))
    (_, first), (_, second) = ended
    assert first[1] <= second[0]


def test_a_dead_process_stops_no_other(free, calls, capfd):
    free(8.0)
    given = calls((1, 1.0), (2, 1.0))
    dying, living = given
    ended = dict(
        schedule.run_all(eval, given | {dying: ("__import__('os')._exit(1)",)} | {living: ("7",)})
    )
    assert isinstance(ended[dying], BrokenProcessPool)
    assert ended[living] == 7
    assert "killed" in capfd.readouterr().err


def test_the_table_keeps_the_order_of_the_lessons(tmp_path):
    slow, fast = "import time\ntime.sleep(3)\n1 / 0", "1 / 0"
    write(tmp_path / "00_slow.ipynb", slow)
    write(tmp_path / "01_fast.ipynb", fast)
    table = lessons.run_lessons(tmp_path / "out", folder=tmp_path, jobs=2)
    assert list(table["lesson"]) == ["00_slow", "01_fast"]
    assert table["seconds"][0] > table["seconds"][1]
