"""The dashboard: start, stop and resume a run; its curves, its messages and its errors."""

import threading

import torch
from matplotlib import pyplot
from torch import nn

from tutorial_utils import data, training, widgets
from tutorial_utils.history import History


def message(board) -> str:
    return board._message.value


def slow(gate: threading.Semaphore):
    """Return a network whose forward pass waits for the gate."""

    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = nn.Linear(6, 2)

        def forward(self, x):
            if self.training:
                assert gate.acquire(timeout=30)
            return self.dense(x)

    return Gated()


ROWS = [(torch.randn(6, generator=torch.Generator().manual_seed(n)), n % 2) for n in range(8)]


def dashboard(gate, *, make=None, checkpoint=None):
    train = data.loader(ROWS, batch_size=4)  # two batches an epoch
    first = training.fit(nn.Linear(6, 2), train, val=train, epochs=1, quiet=True)
    options = {"val": train, "history": first, "epochs": 3, "checkpoint": checkpoint, "lr": 1e-2}
    return widgets.training_dashboard(make or (lambda: slow(gate)), train, **options)


def test_the_dashboard_shows_an_earlier_run_then_runs_to_the_end_and_does_not_block():
    gate = threading.Semaphore(0)
    board = dashboard(gate)
    assert not board.running and board.stop_button.disabled
    assert "Epoch 1 of 3" in board.rendering.lines[0]
    assert "text/html" in board.mime_bundle()
    board.start_button.click()
    assert board.running and board.start_button.disabled and not board.stop_button.disabled
    gate.release(100)
    assert board.wait(30)
    assert len(board.history.epochs) == 3 and board.history.stopped is None
    assert "Done: 3 of 3 epochs" in message(board) and "Epoch 3 of 3" in board.rendering.lines[0]
    assert board.bar.value == board.bar.max == 6
    assert not board.start_button.disabled and board.stop_button.disabled
    assert pyplot.get_fignums() == []


def test_stop_stores_what_was_finished_and_start_resumes_it(tmp_path):
    gate = threading.Semaphore(3)  # one epoch and a batch
    board = dashboard(gate, checkpoint=tmp_path)
    board.start()
    while "Batch 4 of 6" not in message(board):
        assert board.running
    board.stop_button.click()
    gate.release(100)
    assert board.wait(30)
    assert board.history.stopped == "stopped" and len(board.history.epochs) in (1, 2)
    assert "Stopped: " in message(board) and "are stored in" in message(board)
    stored = training.load_checkpoint(board.network, tmp_path / "run-1", which="best")
    assert stored == board.history.best
    assert board.start_button.description == "Resume"
    first = board.history.epochs[0]
    board.start()
    assert board.wait(30)
    assert len(board.history.epochs) == 3 and board.history.epochs[0] == first
    assert [path.name for path in tmp_path.iterdir()] == ["run-1"]
    board.start()  # and a fresh one has a folder of its own
    assert board.wait(30) and sorted(p.name for p in tmp_path.iterdir()) == ["run-1", "run-2"]


def test_a_second_start_while_it_runs_does_nothing():
    gate, made = threading.Semaphore(0), []
    board = dashboard(gate, make=lambda: made.append(1) or slow(gate))
    board.start()
    board.start()
    gate.release(100)
    assert board.wait(30) and made == [1]


def test_an_exception_in_the_run_is_shown_and_the_buttons_come_back():
    def broken():
        raise RuntimeError("no memory left for <this>")

    board = dashboard(threading.Semaphore(0), make=broken)
    board.start()
    assert board.wait(30)
    assert "RuntimeError: no memory left for &lt;this&gt;" in message(board)
    assert not board.start_button.disabled and board.stop_button.disabled


def test_a_loss_that_is_not_finite_is_shown():
    class Diverging(nn.Linear):
        def forward(self, x):
            return super().forward(x) * torch.nan

    board = dashboard(threading.Semaphore(0), make=lambda: Diverging(6, 2))
    board.start()
    assert board.wait(30)
    assert "the training loss is nan in epoch 1" in message(board)
    assert isinstance(board.error, FloatingPointError) and isinstance(board.history, History)
