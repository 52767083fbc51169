"""What a legend promises: each of its entries looks like what is drawn under that name."""

from matplotlib.artist import Artist
from matplotlib.collections import Collection, LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D


def look(artist) -> tuple:
    """Return what tells one series from another: its colour, then its marker, line or hatch."""
    if isinstance(artist, Line2D):
        return to_hex(artist.get_color()), artist.get_linestyle(), artist.get_marker()
    if isinstance(artist, LineCollection):
        return (to_hex(artist.get_color()[0]),)
    if isinstance(artist, Collection):
        colours = artist.get_facecolor() if len(artist.get_facecolor()) else artist.get_edgecolor()
        return to_hex(colours[0]), artist.get_paths()[0].vertices.tobytes()
    if artist.get_fill():
        return to_hex(artist.get_facecolor()), artist.get_hatch()
    return (to_hex(artist.get_edgecolor()),)


def names(figure: Figure) -> list[str]:
    """Return the names in a figure's legends, after checking that each looks like its series."""
    drawn: dict[str, list[tuple]] = {}
    for axes in figure.axes:
        for one in (*axes.lines, *axes.patches, *axes.collections, *axes.containers):
            artist = one if isinstance(one, Artist) else one[0]  # of a container of bars
            drawn.setdefault(one.get_label(), []).append(look(artist))
    inside = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    found = []
    for legend in [*figure.legends, *inside]:
        for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True):
            found.append(text.get_text())
            looks, shown = drawn.get(found[-1], []), look(handle)
            fits = any(shown[: len(one)] == one for one in looks)
            assert fits or not looks, f"{found[-1]!r} looks like {shown}, and is drawn as {looks}"
    return found
