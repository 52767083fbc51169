"""The figures of the lessons: they draw what they are given, and train nothing.

Every function but `show`, `save`, `denormalise` and `for_display` returns a matplotlib Figure.
`show(figure, alt)` puts one into a notebook with its alternative text. `style` lists what each
colour means.
"""

from tutorial_utils.plots.activations import (
    convolution_step,
    feature_maps,
    filter_changes,
    filters,
    pixel_influence,
)
from tutorial_utils.plots.charts import (
    bars,
    class_balance,
    histograms,
    image_sizes,
    lines,
    scatter,
)
from tutorial_utils.plots.diagram import architecture
from tutorial_utils.plots.images import (
    contact_sheet,
    denormalise,
    for_display,
    heat_overlay,
    image_rows,
)
from tutorial_utils.plots.plane import plane
from tutorial_utils.plots.schematic import Part, parts
from tutorial_utils.plots.spread import Spread, spreads
from tutorial_utils.plots.style import (
    BLUE,
    GREY,
    HATCHES,
    ORANGE,
    PALETTE,
    RED,
    SKY,
    save,
    series_style,
    show,
)
from tutorial_utils.plots.training_curves import (
    comparison,
    confusion,
    curves,
    data_efficiency,
    fits,
    intervals,
    reliability,
    validation_curves,
)

__all__ = [
    "BLUE",
    "GREY",
    "HATCHES",
    "ORANGE",
    "PALETTE",
    "RED",
    "SKY",
    "Part",
    "Spread",
    "architecture",
    "bars",
    "class_balance",
    "comparison",
    "confusion",
    "contact_sheet",
    "convolution_step",
    "curves",
    "data_efficiency",
    "denormalise",
    "feature_maps",
    "filter_changes",
    "filters",
    "fits",
    "for_display",
    "heat_overlay",
    "histograms",
    "image_rows",
    "image_sizes",
    "intervals",
    "lines",
    "parts",
    "pixel_influence",
    "plane",
    "reliability",
    "save",
    "scatter",
    "series_style",
    "show",
    "spreads",
    "validation_curves",
]
