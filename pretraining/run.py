"""Train a network's convolutions from scratch and pack them as demo weights (hours on a CPU)."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import corpus

import pretraining
from tutorial_utils import training
from tutorial_utils._support import fast_pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, or 1 after printing what was wrong."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the checkpoint is kept", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
    fast_pass.keep_memory()
    recipe = replace(pretraining.RECIPES[options.arch], seed=options.seed)
    for name in ("batch_size", "lr", "hidden", "test_size", "variety", "frozen"):
        if getattr(options, name) is not None:
            recipe = replace(recipe, **{name: getattr(options, name)})
    if options.sizes:
        recipe = replace(recipe, sizes=pretraining.sizes(options.sizes))
    watched = training.interactive()
    source = options.data[0] if len(options.data) == 1 else options.data
    images = corpus.load(source, side=options.side, progress=watched)
    print(images.line(), flush=True)
    pretraining.pretrain(
        options.arch,
        images,
        options.out,
        epochs=options.epochs,
        minutes=options.minutes,
        recipe=recipe,
        start=options.start,
        checkpoint=options.checkpoint or options.out.with_suffix(".checkpoint"),
        resume=options.resume,
        device=options.device,
        progress=watched,
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python pretraining/run.py", description=__doc__)
    parser.add_argument("arch", choices=("alexnet", "vgg16"))
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="a folder of classes, or zips"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.safetensors")
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--epochs", type=float, help="passes over the images")
    budget.add_argument("--minutes", type=float, help="of training, all sittings together")
    parser.add_argument(
        "--start", type=Path, metavar="ASSET", help="begin with these weights, not with chance"
    )
    parser.add_argument("--checkpoint", type=Path, help="keeps the state (FILE.checkpoint)")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    parser.add_argument("--side", type=_count, default=64, help="pixels kept of an image (64)")
    parser.add_argument("--batch-size", type=_count)
    parser.add_argument("--lr", type=float, help="the highest rate of the cycle")
    parser.add_argument("--hidden", type=int, help="numbers of the head's hidden layer, 0 for none")
    parser.add_argument(
        "--sizes", nargs="+", metavar="SHARE:PIXELS", help="such as 0:64 0.2:128 0.7:144"
    )
    parser.add_argument(
        "--test-size", type=_count, help="pixels at which to measure, if not those it trains at"
    )
    parser.add_argument(
        "--variety", type=float, help="how much images are varied; 1: crops to 55%% of a side"
    )
    parser.add_argument(
        "--frozen", type=int, help="first convolutions to leave as they are; goes with --start"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", help="cpu, cuda; a GPU where there is one")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, not {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
