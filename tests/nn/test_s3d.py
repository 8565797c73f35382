"""S3D: shapes, counts, widths, gates."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from thesislib.errors import ThesisError
from thesislib.methods.blocks import count
from thesislib.nn.classifier import ClipClassifier
from thesislib.nn.s3d import S3D, Pool, Temporal


def awake(model: S3D) -> S3D:
    """With weights that keep a signal: untrained ones leave nothing of it in evaluation mode."""
    for module in model.modules():
        if isinstance(module, torch.nn.Conv3d):
            torch.nn.init.kaiming_normal_(module.weight)
    return model


def meta(width: float = 1.0, gating: bool = False) -> S3D:
    """Without weights: counting and shapes cost nothing."""
    with torch.device("meta"):
        return S3D(width, gating)


@pytest.mark.parametrize(
    ("frames", "size", "steps", "side"),
    [
        (32, 128, 4, 4),  # the thesis's
        (32, 224, 4, 7),
        (16, 64, 2, 2),
        (8, 48, 1, 1),  # the small profile's
        (30, 100, 4, 3),
        (8, 17, 1, 1),  # the least
    ],
)
def test_feature_shape(frames: int, size: int, steps: int, side: int) -> None:
    clip = torch.empty(2, 3, frames, size, size, device="meta")
    assert meta()(clip).shape == (2, 1024, steps, side, side)


@pytest.mark.parametrize(("frames", "size"), [(7, 17), (8, 16)])
def test_less_than_the_least_gets_a_sentence(frames: int, size: int) -> None:
    with pytest.raises(ThesisError, match=f"{frames} frames of {size}x{size} pixels are too small"):
        meta()(torch.empty(2, 3, frames, size, size, device="meta"))


def test_gradients_of_the_least_clip_are_right() -> None:
    """oneDNN's are not for shorter ones: float32 against float64, which it leaves alone."""
    torch.manual_seed(0)
    stem = awake(S3D(0.25)).conv_1a.eval()
    clip, gradients = torch.randn(4, 3, 8, 17, 17), []
    for kind in (torch.float32, torch.float64):
        stem = stem.to(kind)
        stem.zero_grad()
        (stem(clip.to(kind)) ** 2).sum().backward()
        gradients.append(stem.conv2.weight.grad.double())
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-3 * float(gradients[1].abs().max()))


def test_stages_of_the_thesis() -> None:
    clip = torch.empty(1, 3, 32, 128, 128, device="meta")
    shapes = [tuple(x.shape[1:]) for x in meta().stages(clip)]
    assert shapes == [
        (64, 16, 64, 64), (192, 16, 32, 32), (480, 16, 16, 16), (832, 8, 8, 8), (1024, 4, 4, 4),
    ]  # fmt: skip


@pytest.mark.parametrize(("gating", "expected"), [(False, 7_910_048), (True, 9_098_000)])
def test_parameter_counts(gating: bool, expected: int) -> None:
    assert count(meta(gating=gating)) == expected


def test_parameter_counts_of_the_stages() -> None:
    stages = [0] * 5
    for name, child in meta().named_children():
        stages[int(name.partition("_")[2][0]) - 1] += count(child)
    assert stages == [38_336, 226_176, 687_456, 3_782_304, 3_175_776]


@pytest.mark.parametrize(
    ("classes", "frozen", "expected"),
    [
        (101, False, 8_013_573),
        (101, True, 8_015_621),
        (51, False, 7_962_323),
        (51, True, 7_964_371),
    ],
)
def test_classifier_counts(classes: int, frozen: bool, expected: int) -> None:
    """Dropout and a linear layer; the probe has a batch norm instead of the dropout."""
    with torch.device("meta"):
        assert count(ClipClassifier(S3D(), classes, dropout=0.9, frozen=frozen)) == expected


@pytest.mark.parametrize("width", [0.02, 0.25, 0.5])
def test_width_scales_every_branch(width: float) -> None:
    thin = S3D(width)

    def scaled(channels: int) -> int:
        return max(4, round(width * channels))

    assert thin.feature_dim == sum(scaled(c) for c in (384, 384, 128, 128))
    assert thin.conv_1a.conv1.out_channels == scaled(64)
    feature = thin(torch.randn(2, 3, 9, 33, 33))
    assert feature.shape == (2, thin.feature_dim, 1, 1, 1)
    assert (feature >= 0).all(), "rectified"


def test_fewer_blocks_make_a_shallower_network() -> None:
    few = S3D(0.02, mixed=("5b", "3b"))  # in any order
    assert [n for n, _ in few.named_children() if n.startswith("mixed")] == ["mixed_3b", "mixed_5b"]
    assert few.feature_dim == few.mixed_5b.out_channels
    assert few(torch.randn(2, 3, 8, 17, 17)).shape == (2, few.feature_dim, 1, 1, 1)


def test_convolutions_start_small_and_have_no_bias() -> None:
    layers = [m for m in S3D(0.25).modules() if isinstance(m, torch.nn.Conv3d)]
    assert len(layers) == 2 + 1 + 2 + 9 * 8
    assert all(layer.bias is None for layer in layers)
    assert torch.cat([x.weight.flatten() for x in layers]).std().item() == pytest.approx(
        0.01, rel=0.02
    )


def test_a_gate_scales_channels_by_the_whole_clip() -> None:
    torch.manual_seed(0)
    model = S3D(0.02, gating=True)
    gate = model.mixed_3b.gates[1]
    x = torch.rand(2, gate.fc.in_features, 2, 3, 3)
    y = gate(x)
    for i in range(2):
        mean = x[i].flatten(1).mean(1)
        weight = 1 / (1 + torch.exp(-(gate.fc.weight @ mean + gate.fc.bias)))
        torch.testing.assert_close(y[i], x[i] * weight[:, None, None, None])
    assert model(torch.randn(2, 3, 9, 33, 33)).isfinite().all()


def test_the_layout_that_saves_time_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    clip, outputs = torch.randn(2, 3, 9, 33, 33).double(), []
    for last in (True, False):
        monkeypatch.setattr(S3D, "channels_last", last)
        torch.manual_seed(1)
        outputs.append(awake(S3D(0.05)).double()(clip))
    torch.testing.assert_close(*outputs, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (7, 1), (3, 2), (7, 2)])
@pytest.mark.parametrize("shape", [(2, 5, 9, 5, 7), (3, 4, 2, 1, 3), (1, 3, 1, 4, 1)])
def test_temporal_convolutions_are_those_of_torch(
    shape: tuple[int, ...], kernel: int, stride: int, last: bool
) -> None:
    """Values and gradients; some kernels are longer than the clip."""
    torch.manual_seed(0)
    conv = Temporal(shape[1], 6, kernel, stride).double()
    form = torch.channels_last_3d if last else torch.contiguous_format
    x = torch.randn(shape).double().contiguous(memory_format=form).requires_grad_()
    expected = F.conv3d(x, conv.weight, None, (stride, 1, 1), (kernel // 2, 0, 0))
    y, direction = conv(x), torch.randn_like(expected)
    torch.testing.assert_close(y, expected)
    found = torch.autograd.grad(y, (x, conv.weight), direction)
    torch.testing.assert_close(found, torch.autograd.grad(expected, (x, conv.weight), direction))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "window", [(3, 1, 1), (3, 2, 1), (2, 2, 0), ((1, 3, 3), (1, 2, 2), (0, 1, 1))]
)
def test_pools_are_those_of_torch(window: tuple[object, ...], kind: torch.dtype) -> None:
    x = torch.randn(2, 5, 7, 6, 9).to(kind).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=kind == torch.bfloat16):
        y = Pool(*window)(x)  # type: ignore[arg-type]
    expected = torch.nn.MaxPool3d(*window)(x)  # type: ignore[arg-type]
    assert y.dtype == kind
    assert torch.equal(y, expected)
    found, want = (torch.autograd.grad(v.sum(), x)[0] for v in (y, expected))
    assert torch.equal(found, want)


@pytest.mark.parametrize("training", [True, False])
def test_the_quick_layers_change_nothing(training: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    quick = awake(S3D(0.05, gating=True)).double().train(training)
    plain, clip = copy.deepcopy(quick), torch.randn(2, 3, 9, 33, 33).double()
    outputs = [quick(clip)]
    monkeypatch.setattr(Temporal, "forward", torch.nn.Conv3d.forward)
    monkeypatch.setattr(Pool, "forward", torch.nn.MaxPool3d.forward)
    outputs.append(plain(clip))
    torch.testing.assert_close(*outputs, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("gating", [False, True])
def test_a_step_in_bfloat16_is_near_the_one_in_float32(gating: bool) -> None:
    torch.manual_seed(0)
    model = awake(S3D(0.1, gating, mixed=("3b", "4b", "5b")))
    clip, losses = torch.randn(4, 3, 16, 33, 33), []
    for low in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            feature = model(clip).float().mean((2, 3, 4))
        loss = F.cross_entropy(feature, torch.arange(4))
        model.zero_grad()
        loss.backward()
        assert all(p.grad.isfinite().all() for p in model.parameters())
        losses.append(loss.detach())
    torch.testing.assert_close(*losses, rtol=0.02, atol=0)


def test_a_frozen_classifier_trains_its_last_layers_alone() -> None:
    torch.manual_seed(0)
    classifier = ClipClassifier(awake(S3D(0.02)), 3, dropout=0.9, frozen=True).train()
    before = {k: v.clone() for k, v in classifier.backbone.state_dict().items()}
    batch = {"video": torch.randn(4, 2, 3, 4, 17, 17), "label": torch.tensor([0, 1, 2, 0])}
    loss, _ = classifier(batch)
    loss.backward()
    assert all(torch.equal(v, before[k]) for k, v in classifier.backbone.state_dict().items())
    assert all(p.grad is None for p in classifier.backbone.parameters())
    assert classifier.linear.weight.grad.abs().sum() > 0
    lengths = classifier.encode(batch).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(4))


def test_blocks_of_a_clip_are_joined_in_time() -> None:
    classifier = ClipClassifier(awake(S3D(0.02)), 3, dropout=0.0, frozen=False).eval()
    clip = torch.randn(2, 3, 8, 17, 17)
    blocks = torch.stack([clip[:, :, :4], clip[:, :, 4:]], 1)  # (2, N=2, 3, 4, 17, 17)
    whole = classifier.predict({"video": clip[:, None]})
    torch.testing.assert_close(classifier.predict({"video": blocks}), whole)
