"""The figures of the lessons: they draw what they are given, and train nothing.

Every function but `show`, `save` and `denormalise` returns a matplotlib Figure.
`show(figure, alt)` puts one into a notebook with its alternative text.
"""

from tutorial_utils.plots.activations import feature_maps, filters, pixel_influence, scaled_filters
from tutorial_utils.plots.charts import bars, class_balance, image_sizes, scatter, stacked_bars
from tutorial_utils.plots.diagram import architecture
from tutorial_utils.plots.images import contact_sheet, denormalise, heat_overlay, image_rows
from tutorial_utils.plots.style import (
    BLUE,
    GREEN,
    GREY,
    HATCHES,
    ORANGE,
    PALETTE,
    PURPLE,
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
    reliability,
)

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "HATCHES",
    "ORANGE",
    "PALETTE",
    "PURPLE",
    "RED",
    "SKY",
    "architecture",
    "bars",
    "class_balance",
    "comparison",
    "confusion",
    "contact_sheet",
    "curves",
    "data_efficiency",
    "denormalise",
    "feature_maps",
    "filters",
    "heat_overlay",
    "image_rows",
    "image_sizes",
    "pixel_influence",
    "reliability",
    "save",
    "scaled_filters",
    "scatter",
    "series_style",
    "show",
    "stacked_bars",
]
