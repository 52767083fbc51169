"""Measure how long the widgets take to respond: `make bench-widgets` runs it.

Every widget of the lessons is made with their images and demo weights. Its controls are moved in
this process, and the time from a move to the finished image is measured, without the transfer to
the browser. Moves that need a pass through a network are marked.
"""

import argparse
import datetime
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from tutorial_utils import data, evaluation, layers, models, widgets
from tutorial_utils.widgets import canvas

MOVES = 20


def moves(arch: str) -> Iterator[tuple[str, bool, Callable[[int], object]]]:
    """Yield (name, whether a pass is needed, a function that does move number n)."""
    images = data.load("synthetic", quiet=True)
    weights = models.find_weights(arch, "demo", quiet=True)
    preset = weights.transforms()
    torch.manual_seed(0)
    network = models.build(arch, weights=weights)
    models.swap_head(network, 2)
    network.eval()
    raw, transformed = images.dataset("val"), images.dataset("val", preset)

    def mover(widget: widgets.Explorer, name: str, values: Callable[[int], object]):
        def move(n: int) -> None:
            widget.controls[name].value = values(n)
            assert widget.error is None

        return move

    size = widgets.output_size_calculator(size=224, kernel=11, stride=4, padding=2)
    yield "output size, window", False, mover(size, "window", lambda n: 50 + n)
    explorer = widgets.layer_explorer(network, transformed, preset, count=MOVES + 2)
    names = list(explorer.controls["layer"].options)
    yield "layers, layer", False, mover(explorer, "layer", lambda n: names[(n + 1) % len(names)])
    chosen = [index for _, index in explorer.controls["image"].options]
    yield "layers, image", True, mover(explorer, "image", lambda n: chosen[n + 1])
    batch = torch.stack([transformed[k][0] for k in range(2)])
    costs = layers.step_costs(network, batch, torch.tensor([0, 1]), repeats=1)
    freeze = widgets.freeze_slider(costs)
    yield "freezing", False, mover(freeze, "frozen", lambda n: (n + 1) % len(costs))
    play = widgets.augmentation_playground(raw, preset)
    yield "augmentation", False, mover(play, "seed", lambda n: n + 1)
    part = torch.utils.data.Subset(transformed, range(MOVES + 2))
    found = evaluation.predict(network, data.loader(part, batch_size=8))
    mistakes = widgets.mistake_browser(network, part, found, preset, images.classes)
    mistakes.controls["outcome"].value = "all"
    yield "mistakes, new image", True, mover(mistakes, "number", lambda n: n + 2)
    yield "mistakes, seen before", False, mover(mistakes, "number", lambda n: MOVES - n)
    files = [canvas.png(raw[n][0]) for n in range(MOVES)]
    own = widgets.own_image(network, preset, images.classes, example=("first", raw[0][0]))
    yield "own image", True, lambda n: own.receive("a.png", files[n])


def measure(move: Callable[[int], object]) -> list[float]:
    """Return the milliseconds of each move."""
    times = []
    for n in range(MOVES):
        start = time.perf_counter()
        move(n)
        times.append(1000 * (time.perf_counter() - start))
    return times


def main() -> None:
    """Measure all widgets and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", choices=models.ARCHS, default="alexnet")
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    lines = [
        f"# How fast the widgets respond, {datetime.date.today()}",
        "",
        f"{models.TITLES[options.arch]}, {MOVES} moves each, {torch.get_num_threads()} threads",
        "",
    ]
    lines += ["| move | a network's pass | median, ms | slowest, ms |", "|---|---|---|---|"]
    for name, needs_pass, move in moves(options.arch):
        times = measure(move)
        middle, most = statistics.median(times), max(times)
        lines.append(f"| {name} | {'yes' if needs_pass else 'no'} | {middle:.0f} | {most:.0f} |")
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
