"""Draw the figures of the README and the lessons into images/. `make images` runs it.

Only synthetic images are shown: the real photographs are not ours to publish.
"""

import io
import json
from pathlib import Path

import pandas
import torch
from matplotlib.figure import Figure
from PIL import Image

from tutorial_utils import layers, models, plots, synthetic

HERE = Path(__file__).parent
SHOT = HERE.parent / "build" / "browser" / "07_mistakes.png"  # by make test-browser


def main() -> None:
    """Draw and save all figures, and print their sizes."""
    for name, figure in figures().items():
        plots.save(figure, HERE / name, dpi=90)
        image = Image.open(HERE / name)
        print(f"{name}: {image.width} x {image.height} pixels")
    if SHOT.exists():
        lesson_image(SHOT).save(HERE / "lesson.jpg", quality=90)
    else:
        print(f"lesson.jpg stays as it is: run make test-browser for {SHOT}")


def lesson_image(shot: Path) -> Image.Image:
    """Return the notebook in a screenshot of JupyterLab, without what is around it."""
    return Image.open(shot).convert("RGB").crop((290, 90, 1240, 770))


def figures() -> dict[str, Figure]:
    """Return {file name: figure}."""
    found = {"contact_sheet.jpg": contact_sheet()}
    for arch in models.ARCHS:
        with torch.device("meta"):
            network = models.build(arch, weights="none", quiet=True)
        title = f"{models.TITLES[arch]}, to scale"
        table = layers.layer_table(network)
        found[f"{arch}.png"] = plots.architecture(table, title=title)
    alexnet = models.build("alexnet", weights="demo", quiet=True)
    title = "AlexNet's first 64 filters, trained on Tiny ImageNet"
    found["alexnet_filters.png"] = plots.filters(alexnet.features[0].weight, title=title)
    found["curves.png"] = curves()
    return found


def contact_sheet() -> Figure:
    """Return 60 synthetic images, 30 of each class, alternating."""
    labels = [synthetic.CLASSES[i % 2] for i in range(60)]
    parts = [
        Image.open(io.BytesIO(synthetic.jpeg_bytes(label, seed=i)))
        for i, label in enumerate(labels)
    ]
    title = "Synthetic ants and bees, alternating: 60 of the images that need no download"
    return plots.contact_sheet(parts, columns=10, title=title, inches=1.3)


def curves() -> Figure:
    """Return the learning curves of both networks on the synthetic images, first seed."""
    runs = json.loads((HERE / "results.json").read_text(encoding="utf-8"))
    chosen = {
        models.TITLES[arch]: pandas.DataFrame(runs[f"synthetic-{synthetic.VERSION} {arch} demo 0"])
        for arch in models.ARCHS
    }
    return plots.curves(chosen, title="Synthetic images, demo weights, backbone frozen, seed 0")


if __name__ == "__main__":
    main()
