"""Tests of `tutorial_utils.features`: one pass of a frozen backbone, and its cache."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader

from tutorial_utils import features, models
from tutorial_utils._support import fast_pass


def backbone():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5)]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten())
    models.freeze(network)
    return network


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(1)
    return [(torch.rand(3, 12, 12, generator=generator), index % 3) for index in range(10)]


def plain(network, images):
    network.eval()
    with torch.no_grad():
        return network(torch.stack([image for image, _ in images]))


@pytest.mark.parametrize("batch_size", [1, 4, 5, 32])
def test_equals_the_plain_forward(batch_size, images):
    network = backbone()
    found = features.extract(network, images, batch_size=batch_size, dtype=torch.float32)
    assert found.values.shape == (10, 32)
    assert found.values.dtype == torch.float32
    torch.testing.assert_close(found.values, plain(network, images), atol=1e-5, rtol=0)
    assert found.labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert found.labels.dtype == torch.int64
    assert found.seconds > 0


def test_head_gives_the_networks_logits(monkeypatch):
    monkeypatch.setenv("TUTORIAL_OFFLINE", "1")
    network = models.build("alexnet", weights="none", quiet=True).eval()
    models.freeze(network)
    body, head = models.split(network)
    images = [(torch.rand(3, 80, 80), 0) for _ in range(3)]
    found = features.extract(body, images, batch_size=3, dtype=torch.float32)
    logits = network(torch.stack([image for image, _ in images]))
    assert torch.equal(head(found.values), logits)


def test_the_network_and_the_generator_are_left_as_they_were(folder):
    network = backbone().train()
    network[1].eval()
    weights = {name: values.clone() for name, values in network.state_dict().items()}
    before = torch.get_rng_state()
    found = features.extract(network, folder.dataset(Small(0.5)), augmentations=2, quiet=True)
    assert torch.equal(torch.get_rng_state(), before)
    assert not found.values.requires_grad
    after = network.state_dict()
    assert all(torch.equal(weights[name], after[name]) for name in weights)
    assert [module for module in network.modules() if not module.training] == [network[1]]


def test_features_train_a_head(images):
    found = features.extract(backbone(), images)
    assert len(found) == 10
    value, label = found[4]
    assert torch.equal(value, found.values[4])
    assert (label, type(label)) == (1, int)
    values, labels = next(iter(DataLoader(found, batch_size=4)))
    assert (values.shape, labels.dtype) == ((4, 32), torch.int64)
    head = nn.Linear(32, 3)
    nn.functional.cross_entropy(head(values), labels).backward()
    assert head.weight.grad is not None


def test_mixed_precision_is_close(images):
    network = backbone()
    found = features.extract(network, images, dtype=torch.bfloat16)
    assert found.values.dtype == torch.float32
    difference = (found.values - plain(network, images)).abs().max().item()
    assert 0 < difference < 0.02


@pytest.mark.parametrize("native", [True, False])
def test_a_gpu_that_emulates_bfloat16_computes_in_float32(native, monkeypatch):
    def supported(including_emulation=True):  # as on Colab's T4, where emulation counts by default
        return including_emulation or native

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    monkeypatch.setattr(fast_pass, "winograd_pays", lambda: True)  # which is for the CPU
    method = features._method(backbone(), torch.device("cuda"), None)
    assert method == ("bfloat16" if native else "float32")


@pytest.mark.parametrize("native", [True, False])
def test_precision_follows_the_processor(native, images, monkeypatch):
    monkeypatch.setattr(features, "native_bf16", lambda device: native)
    monkeypatch.setattr(fast_pass, "winograd_pays", lambda: False)
    network = backbone()
    wanted = torch.bfloat16 if native else torch.float32
    expected = features.extract(network, images, dtype=wanted)
    assert torch.equal(features.extract(network, images).values, expected.values)


def test_a_bar_is_optional(images, capsys):
    features.extract(backbone(), images)
    assert capsys.readouterr().err == ""
    features.extract(backbone(), images, progress=True)
    assert "features" in capsys.readouterr().err


def test_a_trainable_backbone_is_an_error(images):
    network = backbone()
    network[1].weight.requires_grad_(True)
    with pytest.raises(ValueError, match=r"has 8 trainable parameters.*models\.freeze\(backbone\)"):
        features.extract(network, images)


def test_data_sets_that_do_not_fit(images):
    with pytest.raises(ValueError, match="the data set is empty"):
        features.extract(backbone(), [])
    pil = [(torchvision.transforms.functional.to_pil_image(p), y) for p, y in images]
    with pytest.raises(ValueError, match=r"gives Image where a tensor is needed.*transforms"):
        features.extract(backbone(), pil)


def test_output_must_be_flat(images):
    with pytest.raises(ValueError, match=r"the shape \(1, 8, 10, 10\), not \(N, D\).*Flatten"):
        features.extract(backbone()[:3], images)


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True, "8"])
def test_impossible_batch_size(batch_size, images):
    with pytest.raises(ValueError, match="batch_size must be a whole number from 1, not"):
        features.extract(backbone(), images, batch_size=batch_size)


def test_impossible_dtype(images):
    with pytest.raises(ValueError, match=r"float16 is not allowed; use None or one of: torch\.flo"):
        features.extract(backbone(), images, dtype=torch.float16)


@pytest.mark.photos
def test_demo_features_separate_ants_from_bees():
    """A linear classifier on AlexNet's demo features: 0.78 to 0.82 measured, 0.70 if random."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found = models.find_weights("alexnet", "demo", quiet=True)
    body, _ = models.split(models.build("alexnet", weights=found))
    models.freeze(body)
    passes = {}
    for split in ("train", "val"):
        folder = Path(os.environ["ANTS_BEES_DIR"], split)
        images = torchvision.datasets.ImageFolder(folder, found.transforms())
        passes[split] = features.extract(body, images)
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    probe.fit(passes["train"].values.numpy(), passes["train"].labels.numpy())
    assert probe.score(passes["val"].values.numpy(), passes["val"].labels.numpy()) > 0.74


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A few images on the disk, with their transform."""
    monkeypatch.setenv("ANTS_BEES_CACHE", str(tmp_path / "cache"))
    for index in range(5):
        path = tmp_path / "images" / ("a" if index % 2 else "b") / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        torchvision.transforms.functional.to_pil_image(torch.rand(3, 30, 40)).save(path)

    def dataset(transform=None):
        return torchvision.datasets.ImageFolder(path.parent.parent, transform or Small())

    return SimpleNamespace(root=path.parent.parent, dataset=dataset)


class Small:
    """Resize to 12x12 and vary the brightness; its `repr` describes it."""

    def __init__(self, vary=0.0):
        self.vary = vary

    def __repr__(self):
        return f"Small({self.vary})"

    def __call__(self, image):
        image = torchvision.transforms.functional.to_tensor(image.resize((12, 12)))
        return image + self.vary * torch.rand(())


def test_a_second_pass_is_read_from_the_cache(folder, capsys):
    first = features.extract(backbone(), folder.dataset())
    second = features.extract(backbone(), folder.dataset())
    assert (first.from_cache, second.from_cache) == (False, True)
    assert torch.equal(first.values, second.values)
    assert first.labels.tolist() == second.labels.tolist() == [0, 0, 1, 1, 1]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("features: 5 images through the backbone in")
    assert lines[0].endswith("stored in the cache")
    assert "features: 5 images, read from the cache in" in lines[1]


def test_every_dependency_changes_the_key(folder):
    def cached(network, dataset, *, dtype=torch.float32, **options):
        return features.extract(network, dataset, quiet=True, dtype=dtype, **options).from_cache

    assert not cached(backbone(), folder.dataset())
    assert not cached(backbone(), folder.dataset(Small(0.1)))
    assert not cached(backbone(), folder.dataset(), augmentations=2)
    assert not cached(backbone(), folder.dataset(), seed=1)
    assert not cached(backbone(), folder.dataset(), dtype=torch.bfloat16)
    assert not cached(backbone(), torch.utils.data.Subset(folder.dataset(), [0, 3]))
    other = backbone()
    with torch.no_grad():
        other[0].bias[0] += 1e-3
    assert not cached(other, folder.dataset())
    assert cached(backbone(), folder.dataset())
    path = next(folder.root.rglob("*.png"))
    torchvision.transforms.functional.to_pil_image(torch.rand(3, 30, 40)).save(path)
    assert not cached(backbone(), folder.dataset())


def test_the_key_is_made_of_everything_that_the_values_depend_on(folder, monkeypatch):
    def key(change=lambda dataset: None):
        dataset = folder.dataset()
        change(dataset)
        run = features._Pass(backbone(), dataset, 1, 0, 4, torch.device("cpu"), "float32", False)
        return run.note()

    def relabelled(dataset):
        dataset.samples[0] = (dataset.samples[0][0], 1 - dataset.samples[0][1])

    first = key()
    assert key() == first
    assert set(first) == {
        "format", "backbone", "images", "augmentations", "seed", "method", "torch"
    }  # fmt: skip
    changes = (
        lambda dataset: setattr(dataset, "least_side", 16),
        lambda dataset: setattr(dataset, "least_side", 32),
        lambda dataset: setattr(dataset, "transform", Small(0.25)),
        lambda dataset: dataset.samples.reverse(),
        lambda dataset: dataset.samples.pop(),
        relabelled,
    )
    images = [first["images"], *(key(change)["images"] for change in changes)]
    assert len(set(images)) == len(images)
    monkeypatch.setattr(torch, "__version__", "99.0")
    assert key() != first


def test_part_of_a_folder_has_its_own_labels(folder):
    part = torch.utils.data.Subset(folder.dataset(), [4, 0])
    for from_cache in (False, True):
        found = features.extract(backbone(), part, quiet=True)
        assert (found.labels.tolist(), found.from_cache) == ([1, 0], from_cache)


@pytest.mark.parametrize("cache", [True, False])
def test_augmentations_vary_and_follow_from_the_seed(cache, folder):
    options = {"augmentations": 3, "cache": cache, "quiet": True}
    dataset = folder.dataset(Small(0.5))
    found = features.extract(backbone(), dataset, seed=7, **options)
    assert found.values.shape == (15, 32)
    assert len(found) == 5
    assert len({found.values[v * 5].sum().item() for v in range(3)}) == 3
    again = features.extract(backbone(), dataset, seed=7, batch_size=2, dtype=None, **options)
    torch.testing.assert_close(again.values, found.values, atol=1e-5, rtol=0)
    other = features.extract(backbone(), dataset, seed=8, **options)
    assert not torch.allclose(other.values, found.values, atol=1e-4)
    torch.manual_seed(0)
    for index in range(5):
        picked = {tuple(found[index][0].tolist()) for _ in range(40)}
        assert picked == {tuple(found.values[v * 5 + index].tolist()) for v in range(3)}


def test_a_transform_without_a_description_is_not_cached(folder):
    for _ in range(2):
        found = features.extract(backbone(), folder.dataset(lambda p: Small()(p)), quiet=True)
        assert not found.from_cache


def test_large_values_stay_in_their_file(folder, monkeypatch):
    monkeypatch.setattr(features, "IN_MEMORY_BYTES", 100)
    first = features.extract(backbone(), folder.dataset(), quiet=True)
    monkeypatch.setattr(features, "IN_MEMORY_BYTES", 10**6)
    second = features.extract(backbone(), folder.dataset(), quiet=True)
    assert second.from_cache
    assert torch.equal(first.values, second.values)


@pytest.fixture
def full_disk(monkeypatch):
    def full(size_bytes):
        raise OSError("the disk of the cache has 1 MB free")

    monkeypatch.setattr(features.feature_files, "check_space", full)


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_falls_back_to_memory(folder, capsys):
    found = features.extract(backbone(), folder.dataset())
    assert len(found.labels) == 5
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "features: in memory only; the disk of the cache has 1 MB free"
    assert "5 images through the backbone" in lines[1]
    assert "cache" not in lines[1]


@pytest.mark.usefixtures("full_disk")
def test_no_room_anywhere_is_an_error(folder, monkeypatch):
    monkeypatch.setattr(features.memory, "available_bytes", lambda: 100)
    with pytest.raises(OSError, match="the disk of the cache has 1 MB free"):
        features.extract(backbone(), folder.dataset())


def test_every_batch_is_read_into_the_same_memory(images):
    cpu = torch.device("cpu")
    run = features._Pass(backbone(), images, 1, 0, 4, cpu, "float32", progress=False)
    addresses, sizes = set(), []
    for batch in run.batches():
        addresses.add(batch.data_ptr())
        sizes.append(len(batch))
        expected = torch.stack([image for image, _ in images[sum(sizes[:-1]) :][: len(batch)]])
        assert torch.equal(batch, expected)
    assert len(addresses) == 1
    assert sizes == [4, 4, 2]
    assert run.labels_read == [label for _, label in images]


def test_an_image_of_another_size_is_named_and_modes_are_restored(images):
    images[3] = (torch.rand(3, 12, 13), 0)
    network = backbone().train()
    with pytest.raises(ValueError, match=r"image 3 has the shape \(3, 12, 13\), those before it"):
        features.extract(network, images, batch_size=2)
    with pytest.raises(ValueError, match="must give one size"):
        features.extract(network, images, batch_size=20)
    assert all(module.training for module in network.modules())


def test_one_image_in_the_singular(images, capsys):
    features.extract(backbone(), images[:1])
    assert "features: 1 image through" in capsys.readouterr().out
