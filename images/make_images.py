"""Draws the figures of the README and the lessons into images/. Run it by `make images`.

Only drawn images are shown: the real photographs are not ours to publish.
"""

import io
import json
from pathlib import Path

import pandas
import torch
from PIL import Image

from tutorial_utils import layers, models, plots, synthetic

HERE = Path(__file__).parent


def main() -> None:
    """Draw them all and say where they are."""
    for name, figure in figures().items():
        plots.save(figure, HERE / name, dpi=90)
        image = Image.open(HERE / name).convert("RGB")
        image.quantize(256).save(HERE / name, optimize=True)
        print(f"{name}: {image.width} x {image.height} pixels")


def figures():
    """Return {file name: figure}."""
    made = {"contact_sheet.png": contact_sheet()}
    for arch in models.ARCHS:
        with torch.device("meta"):
            network = models.build(arch, weights="none", quiet=True)
        title = f"{models.TITLES[arch]}, to scale"
        table = layers.layer_table(network)
        made[f"{arch}.png"] = plots.architecture(table, title=title)
    alexnet = models.build("alexnet", weights="demo", quiet=True)
    title = "AlexNet's first 64 filters, trained on Tiny ImageNet"
    made["alexnet_filters.png"] = plots.filters(alexnet.features[0].weight, title=title)
    made["curves.png"] = curves()
    return made


def contact_sheet():
    """Return 60 drawn images, 30 of each class, in turn."""
    labels = [synthetic.CLASSES[i % 2] for i in range(60)]
    parts = [
        Image.open(io.BytesIO(synthetic.jpeg_bytes(label, seed=i)))
        for i, label in enumerate(labels)
    ]
    title = "Drawn ants and bees, in turn: 60 of the images that need no download"
    return plots.contact_sheet(parts, columns=10, title=title, inches=1.3)


def curves():
    """Return the curves of both networks on the synthetic set, first seed, as measured."""
    runs = json.loads((HERE / "results.json").read_text(encoding="utf-8"))
    chosen = {
        models.TITLES[arch]: pandas.DataFrame(
            runs[f"drawn-{synthetic.VERSION} {arch} demo 0"],
        )
        for arch in models.ARCHS
    }
    return plots.curves(chosen, title="Drawn set, demo weights, backbone frozen, seed 0")


if __name__ == "__main__":
    main()
