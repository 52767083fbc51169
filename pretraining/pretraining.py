"""How the weights that ship were made: AlexNet's or VGG16's convolutions, trained from scratch.

Each convolution is trained with a batch norm behind it, which makes so deep a network learn in the
time there is, and which is folded into the convolution afterwards: what comes out is torchvision's
plain architecture. The head is a global mean and one dense layer, and is thrown away.

`python pretraining/run.py ARCH --data FOLDER_OR_ZIPS --out FILE` runs `pretrain`.

On a CPU most convolutions multiply less, see `winograd`.

Sources:
    Ioffe and Szegedy, "Batch normalization" (2015): https://arxiv.org/abs/1502.03167
    Smith and Topin, "Super-convergence" (2017), the one-cycle rate: https://arxiv.org/abs/1708.07120
    Szegedy et al., "Rethinking the Inception architecture" (2015), label smoothing:
    https://arxiv.org/abs/1512.00567
"""

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from numbers import Real
from pathlib import Path

import corpus
import safetensors.torch
import torch
import winograd
from corpus import Corpus, Pixels
from torch import Tensor, nn
from torch.nn import functional
from tqdm.auto import tqdm

from tutorial_utils import models
from tutorial_utils._support import precision, weight_files
from tutorial_utils._support.files import replace_file
from tutorial_utils.history import Score

FORMAT = 1
WARM_UP = 0.15  # share of the budget in which the rate rises
CALIBRATION = 500  # images, to set the norms with where a run begins with an asset
PACKING = {"alexnet": "float16", "vgg16": "int8"}  # together 20 MB


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        batch_size: images a step.
        lr: the highest rate of the cycle.
        momentum: Nesterov's.
        weight_decay: on weights, not on biases and norms.
        smoothing: of the labels.
        dropout: before the dense layer.
        hidden: numbers of a hidden dense layer in the head; 0 for none. With one, the features
            need not be ready to part all classes by planes, and carry over better (Wang et al.,
            2022: https://arxiv.org/abs/2112.00496).
        sizes: (share of the budget from which on, pixels): sizes that grow.
        frozen: convolutions, from the first one on, that stay as they are, norms included: what
            early layers hold changes least (Raghu et al., 2017: https://arxiv.org/abs/1706.05806),
            and it is they that take the time. For a run that begins with an asset.
        variety: how much images are varied; 1 crops to 55% of a side and changes light by 30%.
        calm: the share of the budget from which on images are varied half as much.
        test_size: pixels at which validation images are measured; None for the size at which
            the network trains. A crop is enlarged, so what trains on crops sees everything larger
            than it is in a whole image of the same size, and does best on a larger one (Touvron
            et al., 2019: https://arxiv.org/abs/1906.06423).
        seed: of the start, the order, the variations.
    """

    batch_size: int = 256
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    smoothing: float = 0.1
    dropout: float = 0.2
    hidden: int = 0
    sizes: tuple[tuple[float, int], ...] = ((0.0, 64), (0.35, 96), (0.75, 128))
    frozen: int = 0
    variety: float = 1.0
    calm: float = 0.85
    test_size: int | None = None
    seed: int = 0

    def size(self, done: float) -> int:
        """Return the pixels of a side when a share of the budget is spent."""
        return [size for start, size in self.sizes if start <= done][-1]

    def variation(self, done: float) -> dict[str, float]:
        """Return how much images are varied when a share of the budget is spent."""
        strength = self.variety * (0.5 if done >= self.calm else 1.0)
        return {"least_side": 1 - 0.45 * strength, "light": 0.3 * strength}

    def rate(self, done: float) -> float:
        """Return the learning rate when a share of the budget is spent: one cycle of cosines."""
        if done < WARM_UP:
            return self.lr * (0.04 + 0.96 * (1 - math.cos(math.pi * done / WARM_UP)) / 2)
        rest = min((done - WARM_UP) / (1 - WARM_UP), 1.0)
        return self.lr * max((1 + math.cos(math.pi * rest)) / 2, 1e-4)


# The sizes are those at which a map is a whole number of Winograd's tiles in most layers.
RECIPES = {
    "alexnet": Recipe(hidden=1024, sizes=((0.0, 64), (0.2, 128), (0.7, 144))),
    "vgg16": Recipe(batch_size=128, lr=0.08, hidden=1024, sizes=((0.0, 32), (0.35, 64))),
}


@dataclass(frozen=True)
class Outcome:
    """What a pretraining came to.

    Attributes:
        trained: on the validation set, with the norms.
        packed: the same from the file, the norms folded in and the numbers rounded.
        size: pixels of a side at which both were measured.
        epochs: passes over the training set, the last one perhaps in part.
        seconds: of training, over all sittings.
        path: the file.
        sha256: of the file.
    """

    trained: Score
    packed: Score
    size: int
    epochs: float
    seconds: float
    path: Path
    sha256: str


def sizes(words: Sequence[str]) -> tuple[tuple[float, int], ...]:
    """Read sizes that grow from words such as `0:64 0.35:96`.

    Raises:
        ValueError: if a word is none such, or the shares do not begin with 0 and rise.
    """
    try:
        found = tuple(
            (float(share), int(pixels)) for share, pixels in (w.split(":") for w in words)
        )
    except ValueError:
        found = ()
    shares = [share for share, _ in found]
    if not found or shares[0] != 0 or shares != sorted(set(shares)) or shares[-1] >= 1:
        raise ValueError(
            f"sizes must be SHARE:PIXELS with shares that begin with 0, rise and stay below 1, "
            f"such as 0:64 0.35:96 0.75:128, not {' '.join(words)}"
        )
    return found


def with_norms(arch: str, classes: int, *, dropout: float = 0.2, hidden: int = 0) -> nn.Sequential:
    """Build a network's convolutions with a batch norm behind each, and a small head.

    Args:
        arch: one of `models.ARCHS`.
        classes: how many the head tells apart.
        dropout: before each dense layer.
        hidden: numbers of the head's hidden layer; 0 for none.

    Returns:
        `features` and `head`; maps (N, 3, H, W) to logits (N, classes). Drawn by torch's global
        generator, as He et al. (2015) say: https://arxiv.org/abs/1502.01852
    """
    plain = models.empty(arch).features
    layers: list[nn.Module] = []
    for layer in plain:
        if isinstance(layer, nn.Conv2d):
            layer = _conv(layer, winograd.Conv2d)
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)
            layers += [layer, nn.BatchNorm2d(layer.out_channels)]
        else:
            layers.append(layer)
    channels = [layer.out_channels for layer in plain if isinstance(layer, nn.Conv2d)][-1]
    head: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout)]
    if hidden:
        head += [nn.Linear(channels, hidden, bias=False), nn.BatchNorm1d(hidden)]
        head += [nn.ReLU(inplace=True), nn.Dropout(dropout)]
    head.append(nn.Linear(hidden or channels, classes))
    network = nn.Sequential()
    network.add_module("features", nn.Sequential(*layers))
    network.add_module("head", nn.Sequential(*head))
    return network


def begin_with(network: nn.Sequential, plain: nn.Module, images: Tensor) -> None:
    """Put a plain network's convolutions into one with norms, so that both compute the same.

    Each norm is set to what it would have learned: to undo itself on these images. Each kernel
    is brought to the length that a fresh one has, which the norm undoes too, so that a rate means
    the same as from scratch.

    Args:
        network: as `with_norms` builds it; its features are changed, its head is not.
        plain: torchvision's layers, with weights.
        images: (N, 3, S, S) as the network is fed, some hundred, to measure means and spreads on.
    """
    norms = [layer for layer in network.features if isinstance(layer, nn.BatchNorm2d)]
    convs = [layer for layer in network.features if isinstance(layer, nn.Conv2d)]
    places = zip(convs, norms, strict=True)
    with torch.no_grad():
        for layer in plain:
            images = layer(images.clone())  # torchvision's ReLU works in place
            if isinstance(layer, nn.Conv2d):
                conv, norm = next(places)
                spread, mean = torch.std_mean(images, (0, 2, 3), correction=0)  # (out,)
                longer = conv.weight[0].numel() ** 0.5 * conv.weight.std()
                longer = longer / layer.weight.flatten(1).norm(dim=1).clamp(min=1e-12)  # (out,)
                conv.weight.copy_(layer.weight * longer[:, None, None, None])
                conv.bias.zero_()
                norm.weight.copy_((spread.square() + norm.eps).sqrt())
                norm.bias.copy_(mean)
                norm.running_mean.copy_((mean - layer.bias) * longer)
                norm.running_var.copy_((spread.square() + norm.eps) * longer.square() - norm.eps)


def fold(network: nn.Sequential) -> nn.Sequential:
    """Return the same network without norms, each folded into the convolution before it.

    A norm in evaluation mode multiplies and adds, and a convolution can do both itself.

    Args:
        network: as `with_norms` builds it; it is left as it is.

    Returns:
        `features`, torchvision's own layers with its own names, and `head`, in evaluation mode.
    """
    layers: list[nn.Module] = []
    for layer in network.features:
        if isinstance(layer, nn.BatchNorm2d):
            layers[-1] = _folded(layers[-1], layer)
        else:
            layers.append(layer)
    folded = nn.Sequential()
    folded.add_module("features", nn.Sequential(*layers))
    folded.add_module("head", network.head)
    return folded.eval()


def _conv(like: nn.Conv2d, kind: type[nn.Conv2d]) -> nn.Conv2d:
    """Return a convolution of the same shape, its numbers not yet set."""
    wide = {"kernel_size": like.kernel_size, "stride": like.stride, "padding": like.padding}
    return nn.utils.skip_init(kind, like.in_channels, like.out_channels, **wide)


def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    twin = _conv(conv, nn.Conv2d)
    with torch.no_grad():
        # In double precision, so that folding rounds once.
        factor = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        weight = conv.weight.double() * factor[:, None, None, None]  # (out, in, k, k)
        bias = (conv.bias.double() - norm.running_mean.double()) * factor + norm.bias.double()
        twin.weight.data, twin.bias.data = weight.float(), bias.float()
    return twin.to(conv.weight.device)


def pack(features: nn.Module, path: Path, *, packing: str) -> str:
    """Write convolutions as an asset that `models` reads, whole or not at all.

    Args:
        features: torchvision's layers, e.g. `fold(network).features`.
        path: the file to write.
        packing: "float16"; or "int8", weights in 8 bits with a scale per output channel.

    Returns:
        The SHA-256 of the file.

    Raises:
        ValueError: if the packing is unknown, or a value is too large for 16 bits.
        OSError: if the file cannot be written. One that was there is kept.
    """
    if packing not in ("float16", "int8"):
        raise ValueError(f"unknown packing {packing!r}; allowed: float16, int8")
    stored: dict[str, Tensor] = {}
    for name, value in features.state_dict().items():
        value, name = value.detach().float().cpu().contiguous(), f"features.{name}"
        if packing == "int8" and name.endswith(".weight"):
            scale = value.abs().amax((1, 2, 3)).clamp(min=1e-12) / 127  # (out,)
            stored[name] = (value / scale[:, None, None, None]).round().to(torch.int8)
            stored[name.replace(".weight", ".scale")] = scale
        else:
            stored[name] = value.half()
            if not stored[name].isfinite().all():
                raise ValueError(f"{name} has values up to {value.abs().max():g}, over 65504")
    content = safetensors.torch.save(stored)
    replace_file(path, lambda draft: draft.write_bytes(content))
    return hashlib.sha256(content).hexdigest()


def pretrain(
    arch: str,
    images: Corpus,
    out: str | Path,
    *,
    epochs: float | None = None,
    minutes: float | None = None,
    recipe: Recipe | None = None,
    start: str | Path | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    every_s: float = 180.0,
    device: str | torch.device | None = None,
    quiet: bool = False,
    progress: bool = False,
) -> Outcome:
    """Train a network's convolutions from scratch and write them as an asset.

    Args:
        arch: one of `models.ARCHS`.
        images: what `corpus.load` returned.
        out: the file to write in the end.
        epochs: the budget in passes over the training set; a part of one is allowed.
        minutes: the budget in minutes of training, all sittings together; one of both is given.
        recipe: None for the network's own in `RECIPES`.
        start: an asset to begin with, e.g. the one that ships; None for chance.
        checkpoint: a file to keep the state in, so that a run that was cut off can go on.
        resume: go on from the checkpoint, if there is one.
        every_s: seconds from one checkpoint to the next.
        device: None for a GPU where there is one.
        quiet: print nothing; else a line an epoch.
        progress: show a bar over the steps of an epoch.

    Returns:
        Accuracies, time and the file's SHA-256.

    Raises:
        ValueError: if an argument is not allowed, the checkpoint is of another run, or the asset
            to begin with of another network.
        FloatingPointError: if the loss is no longer finite; the checkpoint is kept as it was.
        OSError: if a checkpoint or the file cannot be written; the one before it is kept.
    """
    recipe = recipe or _recipe(arch)
    _check_sizes(arch, recipe)
    if recipe.frozen and start is None:
        raise ValueError("frozen layers would stay random: give an asset to start with")
    run = _Run(
        arch,
        images,
        recipe,
        _budget(epochs, minutes),
        _device(device),
        None if checkpoint is None else Path(checkpoint),
        every_s,
        (lambda line: None) if quiet else print,
        progress,
    )
    if not Path(out).parent.is_dir():
        raise FileNotFoundError(f"there is no folder {Path(out).parent} to write {out} into")
    run.start(None if start is None else Path(start), resume=resume)
    while run.done < 1:
        run.epoch()
    return run.end(Path(out))


class _Run:
    """One pretraining: the network, its optimiser, and how far it has come."""

    def __init__(
        self,
        arch: str,
        images: Corpus,
        recipe: Recipe,
        budget: tuple[str, float],
        device: torch.device,
        checkpoint: Path | None,
        every_s: float,
        say: Callable[[str], object],
        progress: bool,
    ):
        self.arch, self.images, self.recipe, self.budget = arch, images, recipe, budget
        self.device, self.checkpoint, self.every_s = device, checkpoint, every_s
        self.say, self.progress = say, progress
        self.step, self.seconds = 0, 0.0
        with torch.random.fork_rng([]):
            torch.manual_seed(recipe.seed)
            network = with_norms(
                arch, len(images.classes), dropout=recipe.dropout, hidden=recipe.hidden
            )
        self.network = network.to(device, memory_format=torch.channels_last)
        self.frozen = _first(self.network.features, recipe.frozen)
        self.frozen.requires_grad_(False)
        self.optimizer = _optimizer(self.network, recipe)
        self.mixed = precision.native_bf16(device)
        self.steps = math.ceil(len(images.train) / recipe.batch_size)  # of an epoch

    @property
    def done(self) -> float:
        """The share of the budget that is spent."""
        kind, amount = self.budget
        spent = self.step / self.steps if kind == "epochs" else self.seconds / 60
        return spent / amount

    def start(self, asset: Path | None, *, resume: bool) -> None:
        """Go on from the checkpoint, or begin, and make sure that none is lost."""
        if self.checkpoint is None or not self.checkpoint.exists():
            if asset is not None:
                self._begin_with(asset)
            return
        if not resume:
            raise ValueError(
                f"{self.checkpoint} is there already and would be lost: resume, or delete it"
            )
        state = _read(self.checkpoint)
        _check_same(self.checkpoint, state["run"], self._named())
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.say(f"resumed after {self.step / self.steps:.2f} epochs, {self.seconds / 60:.0f} min")

    def _begin_with(self, asset: Path) -> None:
        plain, content = models.empty(self.arch).features, asset.read_bytes()
        try:
            plain.load_state_dict(_features(content, plain), assign=True)
        except Exception as error:  # a broken or another network's file raises nearly anything
            raise ValueError(
                f"{asset} does not hold {models.TITLES[self.arch]}'s convolutions ({error})"
            ) from error
        images = self.images.train.images[:: max(1, len(self.images.train) // CALIBRATION)]
        generator = torch.Generator().manual_seed(self.recipe.seed)
        images = corpus.vary(images.float().div_(255), self.recipe.size(0.0), generator)
        begin_with(self.network.cpu(), plain, _normalised(images))
        self.network.to(self.device)
        self.say(f"begins with {asset}")

    def epoch(self) -> None:
        """Train to the end of the epoch, or of the budget, and measure."""
        number = self.step // self.steps
        order = torch.randperm(
            len(self.images.train),
            generator=torch.Generator().manual_seed(_mixed(self.recipe.seed, number, 0)),
        )
        before, loss_sum, count = time.monotonic(), 0.0, 0
        saved, size = before, 0
        bar = tqdm(total=self.steps, initial=self.step % self.steps, disable=not self.progress)
        while self.step < (number + 1) * self.steps and self.done < 1:
            start = time.monotonic()
            place = self.step % self.steps * self.recipe.batch_size
            size = self.recipe.size(self.done)
            loss = self._learn(order[place : place + self.recipe.batch_size], size)
            loss_sum, count = loss_sum + loss, count + 1
            self.step += 1
            self.seconds += time.monotonic() - start
            bar.update()
            if time.monotonic() - saved > self.every_s:
                self._save()
                saved = time.monotonic()
        bar.close()
        self._save()
        score = self.measure(self.network, self.recipe.test_size or size)
        rate = count * self.recipe.batch_size / max(time.monotonic() - before, 1e-9)
        self.say(
            f"epoch {self.step / self.steps:.2f}  {size}x{size}  training loss "
            f"{loss_sum / max(count, 1):.3f}  validation {score}  {rate:.0f} images/s"
        )

    def _learn(self, chosen: Tensor, size: int) -> float:
        """Take one step and return its loss."""
        recipe = self.recipe
        generator = torch.Generator().manual_seed(_mixed(recipe.seed, self.step, 1))
        images = self.images.train.images[chosen].to(self.device).float().div_(255)
        images = _normalised(corpus.vary(images, size, generator, **recipe.variation(self.done)))
        labels = self.images.train.labels[chosen].to(self.device)
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.rate(self.done)
        self.network.train()
        self.frozen.eval()  # or its norms would go on
        with torch.random.fork_rng([] if self.device.type == "cpu" else [self.device]):
            torch.manual_seed(_mixed(recipe.seed, self.step, 2))  # of the dropout
            loss = functional.cross_entropy(
                self._forward(images), labels, label_smoothing=recipe.smoothing
            )
            if not math.isfinite(loss.item()):
                raise FloatingPointError(
                    f"the loss is {loss.item()} in step {self.step}: try a smaller lr than "
                    f"{recipe.lr:g}. The last checkpoint is kept"
                )
            loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.item()

    def _forward(self, images: Tensor) -> Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            return self.network(images).float()

    def measure(self, network: nn.Module, size: int) -> Score:
        """Return loss and accuracy on the validation set, without label smoothing."""
        network.eval()
        loss, correct, val = 0.0, 0, self.images.val
        with torch.inference_mode():
            for start in range(0, len(val), self.recipe.batch_size):
                images, labels = _batch(val, start, self.recipe.batch_size, self.device)
                logits = network(_normalised(corpus.resized(images, size)))
                loss += functional.cross_entropy(logits, labels, reduction="sum").item()
                correct += int((logits.argmax(1) == labels).sum())
        return Score(loss / len(val), correct, len(val))

    def end(self, out: Path) -> Outcome:
        """Fold, pack, measure what is in the file, and say so."""
        size = self.recipe.test_size or self.recipe.size(1.0)
        trained = self.measure(self.network, size)
        folded = fold(self.network)
        digest = pack(folded.features, out, packing=PACKING[self.arch])
        folded.features.load_state_dict(_features(out.read_bytes(), folded.features))
        packed = self.measure(folded.to(self.device), size)
        epochs = self.step / self.steps
        self.say(f"validation at {size}x{size}: trained {trained}; from {out.name} {packed}")
        self.say(f"{out.name}: {out.stat().st_size:,} bytes, SHA-256 {digest}")
        return Outcome(trained, packed, size, epochs, self.seconds, out, digest)

    def _named(self) -> dict:
        """Return what must be the same for a run to go on."""
        recipe = asdict(self.recipe) | {"sizes": [list(pair) for pair in self.recipe.sizes]}
        kind, amount = self.budget
        return {
            "arch": self.arch,
            "classes": self.images.classes,
            "images": [len(self.images.train), self.images.train.images.shape[-1]],
            "recipe": recipe,
            "budget": [kind, amount],
        }

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        state = {"format": FORMAT, "run": self._named(), "step": self.step}
        state |= {"seconds": self.seconds, "network": self.network.state_dict()}
        state["optimizer"] = self.optimizer.state_dict()
        try:
            self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self.checkpoint, lambda draft: torch.save(state, draft))
        except (
            OSError,
            RuntimeError,
        ) as error:  # torch's writer raises RuntimeError on a full disk
            kept = "the one before it is kept" if self.checkpoint.exists() else "there is none yet"
            raise OSError(
                f"the checkpoint {self.checkpoint} could not be written ({error}); {kept}"
            ) from error


def _features(content: bytes, features: nn.Module) -> dict[str, Tensor]:
    """Return what an asset holds, by the names that its layers have among themselves."""
    read = weight_files.read_features(content, features)
    return {name.removeprefix("features."): value for name, value in read.items()}


def _read(path: Path) -> dict:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["format"] != FORMAT:
            raise ValueError(f"its format is {state['format']}, not {FORMAT}")
        return state
    except Exception as error:  # a broken file raises nearly anything
        raise ValueError(
            f"{path} cannot be read as a checkpoint of a pretraining ({error}): delete it, or "
            f"give another"
        ) from error


def _check_same(path: Path, there: dict, here: dict) -> None:
    """Refuse a checkpoint of another run, and say what is different."""
    for name, value in here.items():
        if there[name] != value:
            was, now = there[name], value
            if name == "classes":
                was, now = f"{len(was)} ({was[0]}, ...)", f"{len(now)} ({now[0]}, ...)"
            raise ValueError(
                f"the checkpoint {path} is of another run: its {name} is {was}, asked for is {now}"
            )


def _first(features: nn.Sequential, convs: int) -> nn.Sequential:
    """Return the layers up to the given number of convolutions, the norm of the last included."""
    norms = [i for i, layer in enumerate(features) if isinstance(layer, nn.BatchNorm2d)]
    if not 0 <= convs < len(norms):
        raise ValueError(f"frozen must be from 0 to {len(norms) - 1} convolutions, not {convs!r}")
    return features[: norms[convs - 1] + 1] if convs else nn.Sequential()


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.SGD(
        groups,
        lr=recipe.rate(0.0),
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.momentum > 0,
    )


def _recipe(arch: str) -> Recipe:
    if arch not in RECIPES:
        raise ValueError(f"unknown arch {arch!r}; allowed: {', '.join(models.ARCHS)}")
    return replace(RECIPES[arch])


def _check_sizes(arch: str, recipe: Recipe) -> None:
    features = models.empty(arch).features
    for size in [size for _, size in recipe.sizes] + [recipe.test_size or recipe.size(1.0)]:
        try:
            features(torch.empty(1, 3, size, size, device="meta"))
        except RuntimeError as error:
            raise ValueError(
                f"images of {size}x{size} are too small for {models.TITLES[arch]}: AlexNet needs "
                f"63 pixels, VGG16 32"
            ) from error


def _budget(epochs: float | None, minutes: float | None) -> tuple[str, float]:
    if (epochs is None) == (minutes is None):
        raise ValueError("give the budget as epochs or as minutes, one of both")
    kind, amount = ("epochs", epochs) if minutes is None else ("minutes", minutes)
    number = isinstance(amount, Real) and not isinstance(amount, bool)
    if not number or not math.isfinite(amount) or amount <= 0:
        raise ValueError(f"{kind} must be a finite number above 0, not {amount!r}")
    return kind, float(amount)


def _device(device: str | torch.device | None) -> torch.device:
    if device is not None:
        return torch.device(device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _mixed(*numbers: int) -> int:
    """Return a seed that follows from several numbers."""
    return int.from_bytes(hashlib.sha256(repr(numbers).encode()).digest()[:7], "big")


def _batch(pixels: Pixels, start: int, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    part = slice(start, start + count)
    return pixels.images[part].to(device).float().div_(255), pixels.labels[part].to(device)


def _normalised(images: Tensor) -> Tensor:
    """Take ImageNet's mean and standard deviation off, as every weights' preset does."""
    preset = models.DEMO_NORMALISATION
    mean, std = (torch.tensor(v, device=images.device).view(1, 3, 1, 1) for v in preset)
    return (images - mean) / std
