"""Recipes: the settings of a training, and how they follow the share of the budget that is spent.

Sources:
    Smith and Topin, "Super-convergence" (2017), the one-cycle rate: https://arxiv.org/abs/1708.07120
    Szegedy et al., "Rethinking the Inception architecture" (2015), label smoothing:
    https://arxiv.org/abs/1512.00567
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

WARM_UP = 0.15  # share of the budget in which the learning rate rises


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        batch_size: images per step.
        lr: the highest learning rate of the cycle.
        momentum: Nesterov's.
        weight_decay: on weights, not on biases and norms.
        smoothing: of the labels.
        dropout: before each dense layer.
        hidden: width of a hidden dense layer in the head; 0 for none. With one, the features need
            not be linearly separable for all classes, and transfer better (Wang et al., 2022:
            https://arxiv.org/abs/2112.00496).
        sizes: (share of the budget from which on, pixels of a side): the image size grows.
        frozen: how many convolutions, from the first one on, are frozen with their norms. Early
            layers change least (Raghu et al., 2017: https://arxiv.org/abs/1706.05806) and take
            the most time. For a training that starts from existing weights.
        variety: strength of the augmentation; 1 crops to 55% of a side and changes light by 30%.
        calm: share of the budget from which on the augmentation is half as strong.
        test_size: pixels of a side at which validation images are measured; None for the last
            training size. A crop is enlarged, so a network trained on crops does best on
            validation images that are larger (Touvron et al., 2019:
            https://arxiv.org/abs/1906.06423).
        seed: of the initial weights, the order of the images and the augmentation.
    """

    batch_size: int = 256
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    smoothing: float = 0.1
    dropout: float = 0.2
    hidden: int = 0
    sizes: tuple[tuple[float, int], ...] = ((0.0, 64), (0.35, 96), (0.75, 128))
    frozen: int = 0
    variety: float = 1.0
    calm: float = 0.85
    test_size: int | None = None
    seed: int = 0

    def image_size(self, spent: float) -> int:
        """Return the pixels of a side when a share of the budget is spent."""
        return [size for start, size in self.sizes if start <= spent][-1]

    def augmentation(self, spent: float) -> dict[str, float]:
        """Return the arguments of `augment` when a share of the budget is spent."""
        strength = self.variety * (0.5 if spent >= self.calm else 1.0)
        return {"least_side": 1 - 0.45 * strength, "light": 0.3 * strength}

    def learning_rate(self, spent: float) -> float:
        """Return the learning rate when a share of the budget is spent: one cycle of cosines."""
        if spent < WARM_UP:
            return self.lr * (0.04 + 0.96 * (1 - math.cos(math.pi * spent / WARM_UP)) / 2)
        rest = min((spent - WARM_UP) / (1 - WARM_UP), 1.0)
        return self.lr * max((1 + math.cos(math.pi * rest)) / 2, 1e-4)


# At these sizes a feature map is a whole number of Winograd's tiles in most layers.
RECIPES = {
    "alexnet": Recipe(hidden=1024, sizes=((0.0, 64), (0.2, 128), (0.7, 144))),
    "vgg16": Recipe(batch_size=128, lr=0.08, hidden=1024, sizes=((0.0, 32), (0.35, 64))),
}

# For minutes on a large GPU: large batches, and sizes up to the lessons' own.
GPU_RECIPES = {
    "vgg16": replace(
        RECIPES["vgg16"], batch_size=512, lr=0.2, sizes=((0.0, 64), (0.4, 80), (0.75, 96))
    ),
    "alexnet": replace(RECIPES["alexnet"], batch_size=512, lr=0.2),
}


def parse_sizes(words: Sequence[str]) -> tuple[tuple[float, int], ...]:
    """Return the sizes that words such as `0:64 0.35:96` give.

    Raises:
        ValueError: if a word has another form, or the shares do not start with 0 and rise.
    """
    try:
        found = tuple(
            (float(share), int(pixels)) for share, pixels in (w.split(":") for w in words)
        )
    except ValueError:
        found = ()
    shares = [share for share, _ in found]
    if not found or shares[0] != 0 or shares != sorted(set(shares)) or shares[-1] >= 1:
        raise ValueError(
            f"sizes must be SHARE:PIXELS with shares that start with 0, rise and stay below 1, "
            f"such as 0:64 0.35:96 0.75:128, not {' '.join(words)!r}"
        )
    return found
