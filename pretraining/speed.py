"""How fast a training is on this machine, and whether `torch.compile` pays there.

Source: https://docs.pytorch.org/docs/stable/torch.compiler.html
"""

import time
from collections.abc import Callable

import torch
import train
from dataset import Dataset
from recipe import Recipe

WARM_UP, STEPS = 3, 10


def images_per_s(run: train.Run, size: int) -> float:
    """Take some steps of a training and return its images per second, without the first steps."""
    chosen = torch.arange(run.recipe.batch_size, device=run.device) % len(run.data.train)
    for step in range(WARM_UP + STEPS):
        if step == WARM_UP:
            start = _now(run.device)
        run.train_step(chosen, size)
    return STEPS * len(chosen) / (_now(run.device) - start)


def compile_pays(
    arch: str,
    data: Dataset,
    recipe: Recipe,
    *,
    minutes: float,
    device: torch.device,
    log: Callable[[str], object] = print,
) -> bool:
    """Return whether a compiled training would see more images within its minutes.

    It is measured at the largest size, and each size has to be compiled. A compiler that fails
    does not pay.
    """
    sizes = sorted({size for _, size in recipe.sizes})
    run = train.Run(arch, data, recipe, ("minutes", minutes), device)
    plain = {size: images_per_s(run, size) for size in sizes}
    log(f"{arch}: images/s at each size: {_rounded(plain)}")
    run.compile()
    start = time.monotonic()
    try:
        fast = images_per_s(run, sizes[-1])
    except Exception as error:  # a compiler raises nearly anything
        log(f"{arch}: torch.compile failed: {type(error).__name__}: {str(error)[:200]}")
        return False
    steps_s = (WARM_UP + STEPS) * recipe.batch_size / fast
    compiling_s = max(time.monotonic() - start - steps_s, 0.0)
    gain, spent = fast / plain[sizes[-1]], compiling_s * len(sizes) / 60
    pays = (minutes - spent) * gain > minutes
    log(
        f"{arch}: compiled in {compiling_s:.0f} s, {gain:.2f} times as fast at {sizes[-1]}: "
        f"{'pays' if pays else 'does not pay'} within {minutes:g} min"
    )
    return pays


def _rounded(speeds: dict[int, float]) -> str:
    return ", ".join(f"{size}: {speed:.0f}" for size, speed in speeds.items())


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.monotonic()
