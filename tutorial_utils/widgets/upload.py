"""An image of your own: a zone to drop it on, and what a network predicts for it."""

from collections.abc import Callable, Sequence

from PIL import Image
from torch import nn

from tutorial_utils import data, evaluation
from tutorial_utils._support.image_files import read_image
from tutorial_utils._support.presets import Preset
from tutorial_utils.widgets.canvas import Rendering
from tutorial_utils.widgets.controls import DropZone
from tutorial_utils.widgets.explorers import explained
from tutorial_utils.widgets.interactive import InteractiveFigure


class OwnImage(InteractiveFigure):
    """A zone to drop an image on, and the prediction for it.

    Args:
        render: called as `render(image, name)`.
        example: name and image to begin with.
    """

    def __init__(
        self, render: Callable[[Image.Image, str], Rendering], example: tuple[str, Image.Image]
    ):
        super().__init__("Your own image", [DropZone(self.receive)])
        self._render = render
        name, image = example
        self.show(render(image, name))

    def receive(self, name: str, content: bytes) -> None:
        """Show the prediction for a file, or the error if it is no image."""
        try:
            self.show(self._render(read_image(content, name), name))
        except Exception as error:
            self.show_error(error)


def own_image(
    network: nn.Module,
    preset: Preset,
    classes: Sequence[str],
    *,
    example: tuple[str, Image.Image],
) -> OwnImage:
    """Return a zone to drop an image on, with the network's prediction and its heat map.

    Used in lesson 07.

    Args:
        network: maps (N, 3, H, W) to logits (N, K).
        preset: of the weights, `weights.transforms()`.
        classes: the K names.
        example: name and image to begin with.
    """

    def render(image: Image.Image, name: str) -> Rendering:
        tensor = preset(image)  # (3, H, W)
        chances = evaluation.predict(network, data.loader([(tensor, 0)])).probabilities[0]
        return explained(network, tensor, chances, preset, classes, title=name)

    return OwnImage(render, example)
