"""What a training run measured: scores, epochs, the history, and how it is written to disk.

Source of the writing in one step: the POSIX rename, https://pubs.opengroup.org/onlinepubs/9799919799/
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tutorial_utils._support.files import read_json, write_json

if TYPE_CHECKING:
    import pandas


COLUMNS = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "seconds")


@dataclass(frozen=True)
class Score:
    """How a network does on a set of images.

    Attributes:
        loss: cross-entropy in nats, mean per image.
        correct: images classified rightly.
        total: images seen.
    """

    loss: float
    correct: int
    total: int

    @property
    def accuracy(self) -> float:
        """The fraction classified rightly, correct over total."""
        return self.correct / self.total

    def __str__(self) -> str:
        """Return e.g. `loss 0.3910 accuracy 0.850 (130/153)`."""
        return f"loss {self.loss:.4f} accuracy {self.accuracy:.3f} ({self.correct}/{self.total})"


@dataclass(frozen=True)
class Epoch:
    """One pass over the training images, and the validation after it.

    Attributes:
        epoch: its number, from 1.
        train: measured while the network trained: dropout on, the weights on the move.
        val: measured at the end of the epoch, in evaluation mode.
        seconds: how long both took.
    """

    epoch: int
    train: Score
    val: Score
    seconds: float


@dataclass
class History:
    """What `fit` measured.

    Attributes:
        epochs: the finished epochs, in order.
        stopped: None if the run went to its end, "interrupted" if it was ended by Ctrl-C,
            "stopped" if whoever started it asked for its end.
    """

    epochs: list[Epoch] = field(default_factory=list)
    stopped: str | None = None

    @property
    def best(self) -> Epoch:
        """The epoch of highest validation accuracy; among equals the lowest validation loss."""
        self._need_one()
        return max(self.epochs, key=lambda epoch: (epoch.val.accuracy, -epoch.val.loss))

    @property
    def last(self) -> Epoch:
        """The last finished epoch."""
        self._need_one()
        return self.epochs[-1]

    @property
    def seconds(self) -> float:
        """How long all the epochs took together."""
        return sum(epoch.seconds for epoch in self.epochs)

    def frame(self) -> "pandas.DataFrame":
        """Return one row an epoch, with the columns `COLUMNS`."""
        rows = [
            (e.epoch, e.train.loss, e.train.accuracy, e.val.loss, e.val.accuracy, e.seconds)
            for e in self.epochs
        ]
        import pandas  # takes memory that training alone can do without

        return pandas.DataFrame(rows, columns=list(COLUMNS))

    def save(self, path: str | Path) -> None:
        """Write the history as JSON; a file that is there is replaced in one step."""
        write_json(Path(path), asdict(self))

    @classmethod
    def load(cls, path: str | Path) -> "History":
        """Read a history that `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file holds something else.
        """
        return cls.from_dict(read_json(Path(path), "history"), Path(path))

    @classmethod
    def from_dict(cls, content: dict, path: Path) -> "History":
        try:
            epochs = [
                Epoch(e["epoch"], Score(**e["train"]), Score(**e["val"]), e["seconds"])
                for e in content["epochs"]
            ]
            return cls(epochs, content["stopped"])
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is no history: {error!r}; give a file that History.save wrote"
            ) from error

    def _need_one(self) -> None:
        if not self.epochs:
            raise ValueError("the history is empty: no epoch was finished, so none is best or last")
