"""What a training run measured: `Score`, `Epoch`, and `History`, which is saved as JSON."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tutorial_utils._support.files import as_path, read_json, write_json

if TYPE_CHECKING:
    import pandas


COLUMNS = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "seconds")


@dataclass(frozen=True)
class Score:
    """Loss and accuracy on a set of images.

    Attributes:
        loss: cross-entropy in nats, mean per image.
        correct: the number of images classified correctly.
        total: the number of images.
    """

    loss: float
    correct: int
    total: int

    @property
    def accuracy(self) -> float:
        """The fraction classified correctly, correct over total."""
        return self.correct / self.total

    def __str__(self) -> str:
        """Return e.g. `loss 0.3910 accuracy 0.850 (130/153)`."""
        return f"loss {self.loss:.4f} accuracy {self.accuracy:.3f} ({self.correct}/{self.total})"


@dataclass(frozen=True)
class Epoch:
    """One pass over the training images, and the validation after it.

    Attributes:
        epoch: its number, from 1.
        train: measured during training, with dropout on and weights that change every batch.
        val: measured at the end of the epoch, in evaluation mode.
        seconds: the duration of both.
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
        stopped: None if the run finished, "interrupted" if Ctrl-C ended it, "stopped" if the
            `stop` that `fit` was given did.
    """

    epochs: list[Epoch] = field(default_factory=list)
    stopped: str | None = None

    @property
    def best(self) -> Epoch:
        """The epoch with the highest validation accuracy; of equal ones, the lowest loss."""
        self._check_not_empty()
        return max(self.epochs, key=lambda epoch: (epoch.val.accuracy, -epoch.val.loss))

    @property
    def last(self) -> Epoch:
        """The last finished epoch."""
        self._check_not_empty()
        return self.epochs[-1]

    @property
    def seconds(self) -> float:
        """The duration of all epochs together."""
        return sum(epoch.seconds for epoch in self.epochs)

    def frame(self) -> "pandas.DataFrame":
        """Return a table with one row per epoch and the columns `COLUMNS`."""
        rows = [
            (e.epoch, e.train.loss, e.train.accuracy, e.val.loss, e.val.accuracy, e.seconds)
            for e in self.epochs
        ]
        import pandas  # takes memory that training does not need

        return pandas.DataFrame(rows, columns=list(COLUMNS))

    def save(self, path: str | Path) -> None:
        """Write the history as JSON; an existing file is replaced in one step."""
        write_json(as_path(path), asdict(self))

    @classmethod
    def load(cls, path: str | Path) -> "History":
        """Read a history that `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file holds something else.
        """
        path = as_path(path)
        return cls.from_dict(read_json(path, "history"), path)

    @classmethod
    def from_dict(cls, content: dict, path: Path) -> "History":
        """Build a history from the dictionary that a file holds; `path` is for the message."""
        try:
            epochs = [
                Epoch(e["epoch"], Score(**e["train"]), Score(**e["val"]), e["seconds"])
                for e in content["epochs"]
            ]
            return cls(epochs, content["stopped"])
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{path} holds no history: {error!r}; give a file that History.save wrote"
            ) from error

    def _check_not_empty(self) -> None:
        if not self.epochs:
            raise ValueError("the history is empty: no epoch was finished, so none is best or last")
