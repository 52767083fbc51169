"""An image of your own: a zone to drop it on, and what a network predicts for it."""

from collections.abc import Sequence

from PIL import Image
from torch import nn

from tutorial_utils import data, evaluation
from tutorial_utils._support.folders import printable
from tutorial_utils._support.image_files import read_image
from tutorial_utils._support.presets import Preset
from tutorial_utils.widgets.controls import DropZone
from tutorial_utils.widgets.explorers import explained
from tutorial_utils.widgets.interactive import InteractiveFigure


class OwnImage(InteractiveFigure):
    """A zone to drop an image on, and the prediction for it; `own_image` makes one."""

    def __init__(
        self,
        network: nn.Module,
        preset: Preset,
        classes: Sequence[str],
        example: tuple[str, Image.Image],
    ):
        super().__init__("Your own image", [DropZone(self.receive)])
        self._network, self._preset, self._classes = network, preset, classes
        self._predict(*example)

    def receive(self, name: str, content: bytes) -> None:
        """Show the prediction for a file, or the error if it is no image."""
        name = printable(name)
        try:
            self._predict(name, read_image(content, name))
        except Exception as error:
            self.show_error(error)

    def _predict(self, name: str, image: Image.Image) -> None:
        tensor = self._preset(image)  # (3, H, W)
        loader = data.loader([(tensor, 0)])
        chances = evaluation.predict(self._network, loader).probabilities[0]
        given = (self._network, tensor, chances, self._preset, self._classes)
        self.show(explained(*given, title=name))


def own_image(
    network: nn.Module,
    preset: Preset,
    classes: Sequence[str],
    *,
    example: tuple[str, Image.Image],
) -> OwnImage:
    """Return a zone to drop an image on, with its prediction and heat map. Used in lesson 07.

    Args:
        network: maps (N, 3, H, W) to logits (N, K).
        preset: of the weights, `weights.transforms()`.
        classes: the K names.
        example: name and image to begin with.
    """
    return OwnImage(network, preset, classes, example)
