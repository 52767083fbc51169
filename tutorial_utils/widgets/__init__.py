"""The widgets of the lessons: controls, an image, and its text.

Where a notebook runs in batch, or is read on the web, the image and the text are shown alone.
Works with ipywidgets 7.7 and 8. `render_layers` and `render_training` turn numbers into an image
and its text; the other modules put controls around them.
"""

from tutorial_utils.widgets.dashboard import Dashboard, training_dashboard
from tutorial_utils.widgets.explorers import (
    augmentation_playground,
    freeze_slider,
    layer_explorer,
    mistake_browser,
    output_size_calculator,
)
from tutorial_utils.widgets.interactive import Explorer, InteractiveFigure
from tutorial_utils.widgets.upload import OwnImage, own_image

__all__ = [
    "Dashboard",
    "Explorer",
    "InteractiveFigure",
    "OwnImage",
    "augmentation_playground",
    "freeze_slider",
    "layer_explorer",
    "mistake_browser",
    "output_size_calculator",
    "own_image",
    "training_dashboard",
]
