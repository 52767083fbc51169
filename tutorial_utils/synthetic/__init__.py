"""Draw ants and bees from a seed, for the times when no photographs can be downloaded.

An image is a small scene in three dimensions. An insect is a list of parts (`Ball`, `Limb`,
`Wing`). A camera projects them, light shades them, their shadows fall on a ground of leaf, petal,
soil, bark or sand, and the result is treated as a small camera would: focus, exposure, noise,
JPEG.

Only the insects differ between the classes. Ground, light, clutter, camera angle, number and
size come from the same distributions for both, and the species share their colours.
"""

from tutorial_utils.synthetic.dataset import origin, write
from tutorial_utils.synthetic.images import CLASSES, VERSION, background, draw, jpeg_bytes

__all__ = ["CLASSES", "VERSION", "background", "draw", "jpeg_bytes", "origin", "write"]
