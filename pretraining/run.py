"""Train a network's convolutions from scratch and pack them as demo weights (hours on a CPU).

python pretraining/run.py alexnet --data FOLDER --minutes 60 --out alexnet.safetensors
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # where tutorial_utils is, if it is not installed
    sys.path.append(str(ROOT))

import dataset  # noqa: E402
import memory  # noqa: E402
import train  # noqa: E402
from recipe import RECIPES, Recipe, parse_sizes  # noqa: E402

from tutorial_utils import training  # noqa: E402


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, or 1 after printing what was wrong."""
    options = _parser().parse_args(arguments)
    try:
        _pretrain(options)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; add --resume to continue from the last checkpoint", file=sys.stderr)
        return 130
    return 0


def _pretrain(options: argparse.Namespace) -> None:
    memory.keep_memory()
    recipe, progress = _recipe(options), training.interactive()
    source = options.data[0] if len(options.data) == 1 else options.data
    data = dataset.load(source, side=options.side, progress=progress)
    print(data.summary, flush=True)
    train.pretrain(
        options.arch,
        data,
        options.out,
        epochs=options.epochs,
        minutes=options.minutes,
        recipe=recipe,
        start=options.start,
        checkpoint_path=options.checkpoint or options.out.with_suffix(".checkpoint"),
        resume=options.resume,
        device=options.device,
        progress=progress,
    )


def _recipe(options: argparse.Namespace) -> Recipe:
    """Return the network's recipe with the settings of the command line."""
    names = ("batch_size", "lr", "hidden", "test_size", "variety", "frozen", "seed")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.sizes:
        given["sizes"] = parse_sizes(options.sizes)
    return replace(RECIPES[options.arch], **given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python pretraining/run.py", description=__doc__.splitlines()[0]
    )
    parser.add_argument("arch", choices=tuple(RECIPES))
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="a folder of classes, or zip archives"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.safetensors")
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--epochs", type=float, help="passes over the images")
    budget.add_argument("--minutes", type=float, help="of training, over all sessions")
    parser.add_argument(
        "--start", type=Path, metavar="FILE", help="start from these weights, not from random ones"
    )
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="holds the state (OUT with .checkpoint)"
    )
    parser.add_argument("--resume", action="store_true", help="resume from the checkpoint")
    parser.add_argument(
        "--side", type=count, default=64, help="pixels of a side, of images in memory (64)"
    )
    parser.add_argument("--batch-size", type=count)
    parser.add_argument("--lr", type=float, help="the highest learning rate of the cycle")
    parser.add_argument("--hidden", type=int, help="width of the head's hidden layer, 0 for none")
    parser.add_argument(
        "--sizes", nargs="+", metavar="SHARE:PIXELS", help="such as 0:64 0.2:128 0.7:144"
    )
    parser.add_argument(
        "--test-size", type=count, help="pixels of a side for measuring (the last training size)"
    )
    parser.add_argument(
        "--variety", type=float, help="strength of the augmentation; 1: crops to 55%% of a side"
    )
    parser.add_argument(
        "--frozen", type=int, help="how many first convolutions to freeze; needs --start"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", help="cpu or cuda (a GPU if there is one)")
    return parser


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, not {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
