"""Measure AlexNet's features of 400, 4,000 and 40,000 images. `make bench-cost` runs it.

Each pass is a separate process and writes its features into a memory-mapped file, as the course
does. If the cost is proportional to the number of images, time per image and peak memory stay the
same, to within 10%. It writes OUT/cost.json, OUT/cost.md and OUT/cost.png.
"""

import argparse
import hashlib
import io
import json
import tempfile
import zipfile
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image
from summary import middle
from torch.utils.data import Dataset, Subset

from bench import describe, run_script
from tutorial_utils import data, features, lesson, models
from tutorial_utils._support import files
from tutorial_utils.plots import BLUE, GREY, save

SIZES = (400, 4_000, 40_000)
REPEATS = {400: 3, 4_000: 3, 40_000: 1}
WARM_UP = 64
FLAT = 0.10
TITLES = {"ms_per_image": "time per image", "peak_gib": "peak memory"}
UNITS = {"ms_per_image": "ms", "peak_gib": "GiB"}


class Zipped(Dataset):
    """Images of the archives train_*.zip in a folder, read without unpacking.

    The members are named train/<class>/<name>; `count` of them are taken, spread evenly over
    classes and archives.
    """

    def __init__(self, folder: Path, count: int, transform) -> None:
        """List the archives."""
        self.transform = transform
        self.archives = [zipfile.ZipFile(path) for path in sorted(folder.glob("train_*.zip"))]
        found = [
            (name.split("/")[1], name, number)
            for number, archive in enumerate(self.archives)
            for name in archive.namelist()
            if not name.endswith("/")
        ]
        if len(found) < count:
            raise ValueError(
                f"{folder} holds {len(found)} images, not {count}: give a larger folder"
            )
        found.sort()
        labels = {label: index for index, label in enumerate(sorted({row[0] for row in found}))}
        taken = (found[index * len(found) // count] for index in range(count))
        self.samples = [(number, name, labels[label]) for label, name, number in taken]
        self.targets = [label for *_, label in self.samples]

    def fingerprint(self) -> str:
        """Return a text that identifies these images in the cache."""
        sizes = [Path(archive.filename).stat().st_size for archive in self.archives]
        listed = repr((sizes, self.samples, self.transform))
        return hashlib.sha256(listed.encode()).hexdigest()

    def __len__(self) -> int:
        """Return how many images were taken."""
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple:
        """Return one image, transformed, and its label."""
        number, name, label = self.samples[index]
        with Image.open(io.BytesIO(self.archives[number].read(name))) as image:
            return self.transform(image.convert("RGB")), label


def main() -> None:
    """Measure every size, write the results, print the table; or run one pass."""
    options = parse()
    if options.one:
        print(json.dumps(one_pass(options)))
        return
    options.out.mkdir(parents=True, exist_ok=True)
    runs = []
    for repeat in range(max(REPEATS.values())):  # sizes alternate, so that drift affects all
        for count in options.sizes:
            if repeat < REPEATS.get(count, 1):
                runs.append(in_own_process(count, options))
                print(f"{count} images: {runs[-1]['seconds']:.1f} s", flush=True)
    machine = describe("cpu", f"{options.data.name}, enlarged")
    rows = by_size(runs)
    text = markdown(rows, machine)
    files.write_json(options.out / "cost.json", {"machine": machine, "sizes": rows, "runs": runs})
    (options.out / "cost.md").write_text(text, encoding="utf-8")
    save(draw(rows, machine), options.out / "cost.png", dpi=120)
    print(text)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="train_*.zip, or an ImageFolder")
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--one", type=int, help="run one pass over so many images in this process")
    return parser.parse_args()


def in_own_process(count: int, options: argparse.Namespace) -> dict:
    """Run one pass in a new process with an empty cache, and delete the cache."""
    with tempfile.TemporaryDirectory(prefix="cost-", dir=options.out) as cache:
        words = ("--data", options.data, "--one", count)
        return run_script(__file__, *words, ANTS_BEES_CACHE=cache)


def one_pass(options: argparse.Namespace) -> dict:
    """Run the backbone over the images, after one batch to warm up."""
    weights = models.find_weights("alexnet", "demo", quiet=True)
    backbone = models.build_backbone(weights)
    images = find_images(options.data, options.one, weights.transforms())
    few = Subset(images, range(min(WARM_UP, len(images))))
    features.extract(backbone, few, cache=False, quiet=True)
    found = features.extract(backbone, images, quiet=True)
    return {
        "count": len(found),
        "seconds": found.seconds,
        "reused": found.from_cache,
        "values_gib": found.values.numel() * 4 / 2**30,
        "peak_gib": lesson.peak_bytes() / 2**30,
    }


def find_images(folder: Path, count: int, transform) -> Dataset:
    """Return a number of images from a folder of archives, or from an `ImageFolder`."""
    if any(folder.glob("train_*.zip")):
        return Zipped(folder, count, transform)
    found = data.ImageFolder(folder, transform)
    if len(found) < count:
        raise ValueError(f"{folder} holds {len(found)} images, not {count}: give a larger folder")
    return Subset(found, [index * len(found) // count for index in range(count)])


def by_size(runs: list[dict]) -> list[dict]:
    """Return one row per size: medians, lowest and highest."""
    rows = []
    for count in sorted({run["count"] for run in runs}):
        mine = [
            {"ms_per_image": 1000 * run["seconds"] / count, "peak_gib": run["peak_gib"]}
            for run in runs
            if run["count"] == count
        ]
        rows.append({"count": count, "repeats": len(mine)} | middle(mine))
    return rows


def gap(rows: list[dict], name: str) -> float:
    """Return how much larger the largest median is than the smallest, as a fraction."""
    values = [row[name] for row in rows]
    return max(values) / min(values) - 1


def markdown(rows: list[dict], machine: dict) -> str:
    """Return the table, and whether time and memory stay the same."""
    lines = [
        f"# Cost of AlexNet's features against the number of images, {machine['date']}",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, torch {machine['torch']}; images: "
        f"{machine['images']} to {machine['size']} x {machine['size']}. Each pass is a separate "
        f"process, after a batch of {WARM_UP} to warm up; medians, in brackets lowest to "
        f"highest.",
        "",
        "| images | time per image, ms | peak memory, GiB | passes |",
        "|---|---|---|---|",
    ]
    for row in rows:
        cells = [f"{row['count']:,}"]
        for name in TITLES:
            low, high = row[f"{name}_spread"]
            cells.append(f"{row[name]:.2f} ({low:.2f} to {high:.2f})")
        lines.append("| " + " | ".join([*cells, str(row["repeats"])]) + " |")
    lines.append("")
    for name, title in TITLES.items():
        word = "pass" if gap(rows, name) <= FLAT else "MISS"
        lines.append(f"- {word}: {title} differs by {gap(rows, name):.1%}, allowed {FLAT:.0%}")
    return "\n".join(lines) + "\n"


def draw(rows: list[dict], machine: dict) -> Figure:
    """Draw both figures against the number of images, with a band of 10% above the smallest."""
    page = Figure(figsize=(10, 4), layout="constrained")
    counts = [row["count"] for row in rows]
    for axes, (name, title) in zip(page.subplots(1, 2), TITLES.items(), strict=True):
        values = [row[name] for row in rows]
        ends = [row[f"{name}_spread"] for row in rows]
        below = [value - low for value, (low, _) in zip(values, ends, strict=True)]
        above = [high - value for value, (_, high) in zip(values, ends, strict=True)]
        low = min(values)
        axes.axhspan(low, low * (1 + FLAT), color=GREY, alpha=0.25, label=f"within {FLAT:.0%}")
        axes.errorbar(counts, values, (below, above), color=BLUE, marker="o", capsize=4)
        axes.set_xscale("log")
        axes.set_xlabel("images (logarithmic)")
        axes.set_ylabel(f"{title} ({UNITS[name]})")
        axes.set_ylim(0, 1.4 * max(values))
        axes.set_title(f"{title.capitalize()}: {gap(rows, name):.1%} apart")
        axes.legend(loc="lower right")
    page.suptitle(f"AlexNet's features, {machine['cpu']}, {machine['date']}", fontsize=10)
    return page


if __name__ == "__main__":
    main()
