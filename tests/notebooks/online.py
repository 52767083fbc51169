"""The online world of a learner with a network, built without one: photographs, ImageNet weights.

`../shared/online/make_world.py` builds files in the form of ImageNet's weights under torchvision's
names; their checksums are others, so `conftest` sets ANTS_BEES_UNVERIFIED_WEIGHTS for the lessons.
Where it is not there, the lessons run with the demo weights, on the photographs if
ANTS_BEES_DIR names them and on synthetic images otherwise; `describe` prints which it is.
"""

import os
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).resolve().parents[2]
MAKE_WORLD = ROOT.parent / "shared" / "online" / "make_world.py"
HOME = ROOT / "build" / "online-world"  # 800 MB, kept for the next run; `make clean` deletes it


def describe() -> str:
    """Return in one line which world the lessons' papermill runs take."""
    images = "photographs" if os.environ.get("ANTS_BEES_DIR") else "synthetic images"
    weights = "ImageNet-named" if MAKE_WORLD.exists() else "demo"
    return f"lessons by papermill: {images}, {weights} weights"


def torch_home() -> Path | None:
    """Build the weights, once for all workers, and return the folder for TORCH_HOME.

    Returns:
        The folder, or None where `make_world.py` is not available.
    """
    if not MAKE_WORLD.exists():
        return None
    HOME.parent.mkdir(exist_ok=True)
    with FileLock(HOME.with_suffix(".lock")):
        subprocess.run([sys.executable, MAKE_WORLD, HOME], check=True, cwd=ROOT)
    return HOME
