"""The package behind the lessons of "Ants and Bees".

Lessons use the modules listed here; what they rest on is in the subpackages. Each loads when it
is first used, so `import tutorial_utils` costs next to nothing. docs/architecture.md shows which
module imports which.
"""

import importlib

__version__ = "1.0.0"
__all__ = [
    "attribution",
    "batch",
    "checkpoints",
    "checks",
    "cli",
    "data",
    "evaluation",
    "features",
    "history",
    "layers",
    "lesson",
    "models",
    "own_images",
    "plots",
    "subspace",
    "synthetic",
    "training",
    "widgets",
]


def __getattr__(name: str):
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {__all__}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
