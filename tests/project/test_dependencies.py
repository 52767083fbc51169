"""The dependencies in pyproject.toml: complete, and recent enough for what the package calls."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent.parent


def declared() -> dict[str, Requirement]:
    """Return the package's requirements, optional ones included, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = sum(project["optional-dependencies"].values(), []) + project["dependencies"]
    return {canonicalize_name(Requirement(line).name): Requirement(line) for line in lines}


def imported() -> set[str]:
    """Return the top-level modules that the package imports, itself and Python's own left out."""
    names = set()
    for path in (ROOT / "tutorial_utils").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.split(".")[0])
    return names - sys.stdlib_module_names - {"tutorial_utils"}


def test_every_import_is_declared():
    distributions = packages_distributions()
    missing = {
        name
        for name in imported()
        if not {canonicalize_name(found) for found in distributions.get(name, [name])}
        & declared().keys()
    }
    assert not missing, f"imported by tutorial_utils, not in pyproject.toml: {sorted(missing)}"


def test_scipy_has_the_argument_rng():
    # scipy.stats.bootstrap takes `rng` from 1.15 on.
    assert not declared()["scipy"].specifier.contains("1.14.1")
