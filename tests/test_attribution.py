"""Tests of `tutorial_utils.attribution`, on networks whose heat maps are known."""

import pytest
import torch
from torch import nn

from tutorial_utils import attribution, models

SIDE = 24


class Corner(nn.Module):
    """Its score for class 0 is the brightness of the upper left quarter, for class 1 of the rest.

    Class 2 is the upper left's negative. The ReLU works in place, as torchvision's do.
    """

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.ReLU(inplace=True))
        nn.init.ones_(self.features[0].weight)
        self.drop = nn.Dropout(0.5)

    def forward(self, images):
        maps = self.features(images)  # (N, 2, H, W)
        half = [side // 2 for side in maps.shape[2:]]
        corner = maps[:, 0, : half[0], : half[1]].sum((1, 2))
        rest = maps[:, 0].sum((1, 2)) - corner
        return self.drop(torch.stack([corner, rest, -corner], dim=1))


class Elsewhere(nn.Module):
    """Scores by the first channel only, whose convolution sees the right half and nothing else."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 1, bias=False)
        nn.init.ones_(self.conv.weight)

    def forward(self, images):
        wide = images.shape[3] // 2
        blind = torch.cat([torch.zeros_like(images[..., :wide]), images[..., wide:]], dim=3)
        score = self.conv(blind).relu().mean((1, 2, 3))
        return torch.stack([score, -score], dim=1)


def ones(count=3, height=SIDE, width=SIDE):
    return torch.ones(count, 3, height, width)


def corner(count=3, height=SIDE, width=SIDE):
    mask = torch.zeros(count, height, width, dtype=torch.bool)
    mask[:, : height // 2, : width // 2] = True
    return mask


def hooks(network):
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(module, kind)) for module in network.modules() for kind in kinds)


def tiny():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(4, 5, 3, padding=1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(2),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(20, 2),
    )  # fmt: skip


METHODS = [
    attribution.grad_cam,
    lambda *given, **more: attribution.occlusion(*given, window=8, stride=4, **more),
]
both = pytest.mark.parametrize("method", METHODS, ids=["grad_cam", "occlusion"])


# Grad-CAM


def test_grad_cam_finds_the_half_that_the_network_sees():
    heat = attribution.grad_cam(Elsewhere(), ones(), 0)
    assert heat.shape == (3, SIDE, SIDE)
    assert heat.dtype == torch.float32
    assert (heat[:, :, SIDE // 2 + 1 :] > 0).all()
    assert heat[:, :, : SIDE // 2 - 1].abs().max() == 0
    assert attribution.grad_cam(Elsewhere(), ones(), 1).abs().max() == 0, "the opposite class"


def test_grad_cam_is_the_formula_of_the_paper():
    network, images = tiny().eval(), torch.randn(4, 3, 16, 16)
    kept = network[:4](images).detach().requires_grad_()  # (4, 5, 8, 8)
    network[4:](kept.clone())[:, 1].sum().backward()
    weight = kept.grad.mean((2, 3), keepdim=True)
    coarse = (weight * kept).sum(1, keepdim=True).relu().detach()
    wanted = nn.functional.interpolate(coarse, (16, 16), mode="bilinear")[:, 0]
    torch.testing.assert_close(attribution.grad_cam(network, images, 1, layer="3"), wanted)


def test_the_last_convolution_is_taken_unless_a_layer_is_named():
    network, images = tiny(), torch.randn(2, 3, 16, 16)
    last = attribution.grad_cam(network, images, 0)
    assert torch.equal(last, attribution.grad_cam(network, images, 0, layer="3"))
    assert not torch.equal(last, attribution.grad_cam(network, images, 0, layer="0"))


def test_a_relu_in_place_changes_nothing():
    network, images = tiny(), torch.randn(3, 3, 16, 16)
    other = tiny()
    other[1], other[4] = nn.ReLU(), nn.ReLU()
    first, second = (attribution.grad_cam(one, images, 1) for one in (network, other))
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("arch", ["alexnet", "vgg16"])
def test_grad_cam_takes_backbone_and_head_put_together(arch):
    side = {"alexnet": 64, "vgg16": 32}[arch]
    torch.manual_seed(0)
    backbone = models.build_backbone(models.find_weights(arch, "demo", quiet=True))
    width = backbone(torch.zeros(1, 3, side, side)).shape[1]
    network = nn.Sequential(backbone, nn.Linear(width, 2))
    heat = attribution.grad_cam(network, torch.randn(2, 3, side, side), torch.tensor([0, 1]))
    assert heat.shape == (2, side, side)
    assert heat.max() > 0


# Occlusion


# A square of 4x4 pixels of brightness 3 is covered: the score falls by 48, or not at all.
@pytest.mark.parametrize(
    ("target", "baseline", "fall"), [(0, 0.0, 48.0), (2, 0.0, -48.0), (0, 1.0, 0.0)]
)
def test_occlusion_finds_the_corner_and_the_size_of_the_fall(target, baseline, fall):
    heat = attribution.occlusion(Corner(), ones(2), target, window=4, stride=4, baseline=baseline)
    assert torch.allclose(heat, fall * corner(2))


def test_occlusion_reaches_the_edge_of_a_size_that_the_stride_does_not_divide():
    heat = attribution.occlusion(Corner(), ones(1, 22, 22), 1, window=5, stride=4)
    assert heat.shape == (1, 22, 22)
    assert (heat[0, -1] > 0).all()


# Both


@both
def test_a_class_for_each_image(method):
    network, images = tiny(), torch.randn(3, 3, 16, 16)
    mixed = method(network, images, torch.tensor([0, 1, 1]))
    for index, target in enumerate((0, 1, 1)):
        alone = method(network, images[index : index + 1], target)
        torch.testing.assert_close(mixed[index], alone[0])


@both
@pytest.mark.parametrize("size", [1, 2, 5, 16])
def test_the_batch_size_does_not_change_the_maps(method, size):
    network, images = tiny(), torch.randn(5, 3, 16, 12)
    heat = method(network, images, 1, batch_size=size)
    assert heat.shape == (5, 16, 12)
    torch.testing.assert_close(heat, method(network, images, 1, batch_size=3))


@both
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
def test_the_network_and_the_images_are_left_as_they_were(method, training, frozen):
    network, images = tiny().train(training), torch.randn(3, 3, 16, 16)
    network[3].eval()  # a module in a mode of its own
    for parameter in network.parameters():
        parameter.requires_grad_(not frozen)
        parameter.grad = torch.ones_like(parameter)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    copy, state = images.clone(), torch.get_rng_state()
    heat = method(network, images, 0)
    assert heat.isfinite().all() and heat.abs().max() > 0
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    for parameter in network.parameters():
        assert parameter.requires_grad is not frozen
        assert torch.equal(parameter.grad, torch.ones_like(parameter))
    assert network.training is training and not network[3].training
    assert hooks(network) == 0
    assert torch.equal(copy, images) and not images.requires_grad
    assert not heat.requires_grad
    assert torch.equal(state, torch.get_rng_state())


@both
@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
def test_it_works_under_no_grad_and_inference_mode(method, around):
    network, images = tiny(), torch.randn(2, 3, 16, 16)
    wanted = method(network, images, 0)
    with around():
        torch.testing.assert_close(method(network, images.clone(), 0), wanted)


@both
@pytest.mark.parametrize(
    ("images", "said"),
    [
        (torch.randn(3, 16, 16), r"not torch.float32 of shape \(3, 16, 16\).*image\[None\]"),
        (torch.randn(2, 1, 16, 16), r"must be .*\(N, 3, H, W\).* not .*\(2, 1, 16, 16\)"),
        (torch.zeros(2, 3, 16, 16, dtype=torch.uint8), "floating-point tensor .* not torch.uint8"),
        (torch.randn(0, 3, 16, 16), "N from 1, not .*0, 3, 16, 16"),
        ([1, 2], "not a list"),
    ],
)
def test_images_that_do_not_fit(method, images, said):
    with pytest.raises(ValueError, match=said):
        method(tiny(), images, 0)


@both
@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ([0, 1], r"one for each of the 3 images.*not torch.int64 of shape \(2,\)"),
        (0.5, "whole numbers, not torch.float32"),
        (torch.ones(3, dtype=torch.bool), "whole numbers, not torch.bool"),
        (torch.zeros(3, 1, dtype=torch.int64), r"of shape \(3, 1\)"),
        (
            [0, 1, 2],
            "targets go from 0 to 2, and the network has logits for 2 classes, from 0 to 1",
        ),
        (-1, "targets go from -1 to -1"),
    ],
)
def test_targets_that_do_not_fit(method, targets, said):
    with pytest.raises(ValueError, match=said):
        method(tiny(), torch.randn(3, 3, 16, 16), targets)


def test_layers_that_do_not_fit():
    images, network = torch.randn(1, 3, 16, 16), tiny().train()
    with pytest.raises(ValueError, match="has no height and width"):
        attribution.grad_cam(network, images, 0, layer="8")
    assert network.training and hooks(network) == 0
    with pytest.raises(ValueError, match=r"no layer 'features.99'; its convolutions are '0', '3'"):
        attribution.grad_cam(tiny(), images, 0, layer="features.99")
    dense = nn.Sequential(nn.Flatten(), nn.Linear(768, 2))
    with pytest.raises(ValueError, match="has no convolution.* or use occlusion"):
        attribution.grad_cam(dense, images, 0)
    with pytest.raises(ValueError, match=r"logits \(N, K\), not \(1, 5, 8, 8\): combine"):
        attribution.grad_cam(tiny()[:4], images, 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"window": 17}, "window must be a whole number from 1 to 16, not 17"),
        ({"window": 0}, "window must be a whole number from 1 to 16, not 0"),
        ({"window": 4, "stride": 5}, "stride must be a whole number from 1 to 4, not 5"),
        ({"window": 4, "stride": 2.0}, "stride must be a whole number from 1 to 4, not 2.0"),
        ({"window": 4, "stride": 4, "baseline": "grey"}, "baseline must be one number, not 'grey'"),
        ({"window": 4, "stride": 4, "batch_size": 0}, "batch_size must be .* from 1, not 0"),
    ],
)
def test_squares_that_do_not_fit(options, said):
    with pytest.raises(ValueError, match=said):
        attribution.occlusion(tiny(), torch.randn(1, 3, 16, 16), 0, **options)


# share_inside and neighbours


def test_share_inside_counts_heat_and_not_area():
    heat, mask = torch.zeros(4, 4, 4), torch.zeros(4, 4, 4, dtype=torch.bool)
    mask[:, :2, :2] = True
    heat[0, 0, 0], heat[0, 3, 3] = 3.0, 1.0  # three quarters inside
    heat[1, 0, 0], heat[1, 3, 3] = 2.0, -5.0  # values below 0 count as 0
    heat[2] = 1.0  # evenly spread: the area's share
    share = attribution.share_inside(heat, mask)
    assert share[:3].tolist() == [0.75, 1.0, 0.25]
    assert share[3].isnan()


@pytest.mark.parametrize(
    ("heat", "mask"),
    [
        (torch.rand(2, 4, 4), torch.zeros(2, 4, 5, dtype=torch.bool)),
        (torch.rand(4, 4), torch.zeros(4, 4, dtype=torch.bool)),
        (torch.rand(2, 4, 4), torch.zeros(2, 4, 4)),
    ],
)
def test_share_inside_of_shapes_that_differ(heat, mask):
    with pytest.raises(ValueError, match=r"both be \(N, H, W\), and the mask bool"):
        attribution.share_inside(heat, mask)


def test_neighbours_go_by_angle_and_not_by_length():
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [10.0, 1.0], [-1.0, 0.0]])
    queries = torch.tensor([[100.0, 0.0], [0.0, 0.5]])
    found = attribution.neighbours(features, queries, count=3)
    assert found.tolist() == [[0, 2, 1], [1, 2, 0]]
    assert attribution.neighbours(features, features, count=1)[:, 0].tolist() == [0, 1, 2, 3]


def test_neighbours_of_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"not \(4, 3\) and \(2, 5\)"):
        attribution.neighbours(torch.rand(4, 3), torch.rand(2, 5))
    with pytest.raises(ValueError, match=r"\(Q, D\), not \(4, 3\) and \(3,\)"):
        attribution.neighbours(torch.rand(4, 3), torch.rand(3))
    with pytest.raises(ValueError, match="count must be a whole number from 1 to 4, not 5"):
        attribution.neighbours(torch.rand(4, 3), torch.rand(2, 3), count=5)
