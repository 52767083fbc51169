"""What the lessons of "Ants and Bees" share.

Modules, from the ground floor up; each imports only from floors below:
places, sketchbook, history, fastpass, checks, runner, workers, canvas, controls | data, models,
checkpoints, store | features, training, evaluation, folders, kit, stepcost, corpus | plots,
lesson, rowspace, attribution, splits, classifier, pretraining | heat, sweeps, tracing, views |
experiments, widgets.
They load when first used, so that ``import tutorial_utils`` costs next to nothing.
"""

import importlib

__version__ = "0.1.0"
__all__ = [
    "attribution",
    "canvas",
    "checkpoints",
    "checks",
    "classifier",
    "controls",
    "corpus",
    "data",
    "evaluation",
    "experiments",
    "fastpass",
    "features",
    "folders",
    "heat",
    "history",
    "kit",
    "lesson",
    "models",
    "places",
    "plots",
    "pretraining",
    "rowspace",
    "runner",
    "sketchbook",
    "splits",
    "stepcost",
    "store",
    "sweeps",
    "tracing",
    "training",
    "views",
    "widgets",
    "workers",
]


def __getattr__(name: str):
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {__all__}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
