"""Draw architecture.svg: which part of `tutorial_utils` imports which, read from the code.

The rows are the layers of import-linter's contract in pyproject.toml. An arrow that follows from
others (a imports b, b imports c, so a may import c) is left out.
"""

import html
import re
import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "images" / "architecture.svg"
PACKAGE = "tutorial_utils"
WIDTH, ROW, BOX_WIDTH, BOX_HEIGHT = 900, 92, 118, 38  # in points
FOLDER, FILE = "#CFE4F3", "#FFFFFF"


def layers() -> list[list[str]]:
    """Return the rows of modules, top to bottom, as pyproject.toml has them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [contract] = settings["tool"]["importlinter"]["contracts"]
    return [re.split(r"\s*[:|]\s*", line) for line in contract["layers"]]


def imports() -> dict[str, set[str]]:
    """Return for each module or subpackage those that it imports."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    names = {name for row in layers() for name in row}
    for name in names:
        graph.squash_module(f"{PACKAGE}.{name}")
    found = {name: graph.find_modules_directly_imported_by(f"{PACKAGE}.{name}") for name in names}
    return {
        name: {other.removeprefix(f"{PACKAGE}.") for other in others} & names - {name}
        for name, others in found.items()
    }


def reduced(edges: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the edges without those that a longer way already implies."""

    def reached(start: str) -> set[str]:
        return edges[start].union(*(reached(name) for name in edges[start]))

    return {
        name: targets - set().union(*(reached(target) for target in targets))
        for name, targets in edges.items()
    }


def svg() -> str:
    """Return the figure."""
    rows, edges = layers(), reduced(imports())
    spots = {}
    for number, row in enumerate(rows):
        for index, name in enumerate(row):
            spots[name] = (WIDTH * (index + 0.5) / len(row), 30 + ROW * number)
    height = 30 + ROW * len(rows) - ROW + BOX_HEIGHT + 20
    lines = [arrow(spots[name], spots[to]) for name in sorted(edges) for to in sorted(edges[name])]
    boxes = [box(name, *spots[name]) for row in rows for name in row]
    title = "Imports between the parts of tutorial_utils; every arrow points down."
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
            f"<title>{title}</title>",
            f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" '
            'markerHeight="8" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#555"/></marker>'
            "</defs>",
            *lines,
            *boxes,
            "</svg>\n",
        ]
    )


def arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    """Return an arrow from one box to a lower one, or to a neighbour in the same row."""
    (x, y), (to_x, to_y) = start, end
    if y == to_y:
        side = BOX_WIDTH / 2 if to_x > x else -BOX_WIDTH / 2
        bend = f"M{x + side:.0f},{y + 26} Q{(x + to_x) / 2:.0f},{y + 46} {to_x - side:.0f},{y + 26}"
        return f'<path d="{bend}" fill="none" stroke="#555" marker-end="url(#tip)"/>'
    return (
        f'<line x1="{x:.0f}" y1="{y + BOX_HEIGHT}" x2="{to_x:.0f}" y2="{to_y - 1}" '
        f'stroke="#555" marker-end="url(#tip)"/>'
    )


def box(name: str, x: float, y: float) -> str:
    """Return a named box; a subpackage is blue and its name ends with a slash."""
    folder = (ROOT / PACKAGE / name).is_dir()
    label = html.escape(name + "/" * folder)
    return (
        f'<rect x="{x - BOX_WIDTH / 2:.0f}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" '
        f'rx="5" fill="{FOLDER if folder else FILE}" stroke="#0072B2"/>'
        f'<text x="{x:.0f}" y="{y + 24}" text-anchor="middle" font-family="sans-serif" '
        f'font-size="15">{label}</text>'
    )


if __name__ == "__main__":
    TARGET.write_text(svg(), encoding="utf-8")
