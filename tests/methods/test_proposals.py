"""The proposal detector: who learns what, its loss against loops, and that it can learn."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from thesislib.errors import ThesisError
from thesislib.methods.proposals import (
    ProposalConfig,
    ProposalDetector,
    assign,
    moments,
    nearness,
)
from thesislib.nn.feature_pyramid import pyramid_points
from thesislib.segment_losses import focal_loss

TINY = replace(
    ProposalConfig.preset("small"), dim=6, window=32, levels=3, width=16, dropout=0.0, min_windows=0
)
NONE = torch.zeros(0, 2)


def batch() -> dict[str, Any]:
    features = torch.randn(3, 32, 6, generator=torch.Generator().manual_seed(0))
    segments = [torch.tensor([[3.0, 9.0], [14.5, 30.0]]), NONE, torch.tensor([[0.0, 5.5]])]
    ignored = [NONE, torch.tensor([[8.0, 20.0]]), torch.tensor([[4.0, 12.0]])]
    valid = torch.ones(3, 32, dtype=torch.bool)
    valid[2, 24:] = False
    for number, rows in enumerate(segments):
        for a, b in rows.int().tolist():
            features[number, a:b] += 2
    return {"features": features, "valid": valid, "segments": segments,
            "ignored": ignored}  # fmt: skip


def naive(points, strides, segments, ignored, reach, radius):  # type: ignore[no-untyped-def]
    out = []
    for p, s in zip(points.tolist(), strides.tolist(), strict=True):
        best = None
        for a, b in segments.tolist():
            far = max(p - a, b - p)
            low = 0 if s == 1 else reach * s / 2
            high = math.inf if s == max(strides.tolist()) else reach * s
            if (
                a < p < b
                and abs(p - (a + b) / 2) <= radius * s
                and low <= far < high
                and (best is None or b - a < best[1] - best[0])
            ):
                best = a, b
        skip = any(a < p < b for a, b in ignored.tolist())
        out.append((1, best) if best else (-1 if skip else 0, (0.0, 0.0)))
    return out


@pytest.mark.parametrize("seed", range(5))
def test_points_learn_as_in_a_loop(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    segments, ignored = (
        (torch.rand(n, 2, generator=generator) * 64).sort(1).values for n in (6, 2)
    )
    points, strides = pyramid_points(64, 4)
    found = assign(points, strides, segments, ignored, 4.0, 1.5)
    expected = naive(points, strides, segments, ignored, 4.0, 1.5)
    assert found.kind.tolist() == [kind for kind, _ in expected]
    torch.testing.assert_close(found.segments, torch.tensor([s for _, s in expected]))


def test_every_segment_of_a_row_or_more_is_learnt_by_some_point() -> None:
    points, strides = pyramid_points(128, 5)
    generator = torch.Generator().manual_seed(0)
    for _ in range(500):
        length = float(1 + torch.rand((), generator=generator) ** 3 * 126)
        start = float(torch.rand((), generator=generator)) * (128 - length)
        segment = torch.tensor([[start, start + length]])
        assert (assign(points, strides, segment, NONE, 4.0, 1.5).kind == 1).any(), segment


def test_a_window_without_segments_is_background() -> None:
    points, strides = pyramid_points(32, 3)
    found = assign(points, strides, NONE, NONE, 4.0, 1.5)
    assert not found.kind.any() and not found.segments.any()


def test_nearness_is_one_at_the_centre() -> None:
    found = nearness(torch.tensor([5.0, 2.0]), torch.tensor([[0.0, 10.0], [0.0, 10.0]]))
    torch.testing.assert_close(found, torch.tensor([1.0, 0.5]))


@pytest.mark.parametrize("changes", [{}, {"refine": True}, {"centreness": "place"}, {"layers": 1}])
def test_loss_is_the_sum_over_points(changes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model, data = ProposalDetector(replace(TINY, **changes)).eval(), batch()
    with torch.no_grad():
        loss, logs = model(data)
        found, targets = model.predict(data["features"], data["valid"]), model.targets(data)
    points = pyramid_points(TINY.window, TINY.levels)[0]
    sums, count = 0.0, 0
    for b in range(3):
        for p in range(len(points)):
            kind = int(targets.kind[b, p])
            if kind == -1 or not found.valid[b, p]:
                continue
            logit = found.actionness[b, p]
            sums += float(focal_loss(logit, torch.tensor(float(kind == 1))))
            if kind != 1:
                continue
            count += 1
            a, z = targets.segments[b, p].tolist()
            ious = []
            for boxes in (found.coarse, found.segments):
                s, e = boxes[b, p].tolist()
                shared = max(0.0, min(e, z) - max(s, a))
                ious.append(shared / ((e - s) + (z - a) - shared))
            sums += 1 - ious[0] + (1 - ious[1] if changes.get("refine") else 0)
            goal = ious[1]
            if changes.get("centreness") == "place":
                x = float(points[p])
                goal = math.sqrt(min(x - a, z - x) / max(x - a, z - x))
            prob = float(torch.sigmoid(found.centreness[b, p]))
            sums -= goal * math.log(prob) + (1 - goal) * math.log(1 - prob)
    assert float(loss) == pytest.approx(sums / count, rel=1e-4)
    assert float(logs["positives"]) == pytest.approx(count / 3)


def test_ignored_points_and_padding_teach_nothing() -> None:
    model, data = ProposalDetector(TINY), batch()
    found = model.predict(data["features"], data["valid"])
    found.actionness.retain_grad()
    model.predict = lambda features, valid: found  # type: ignore[method-assign]
    model(data)[0].backward()
    kind = model.targets(data).kind
    silent = (kind == -1) | ~found.valid
    assert (kind == -1).any() and (~found.valid).any()
    assert not found.actionness.grad[silent].any() and found.actionness.grad[~silent].all()


def test_windows_without_anything_give_a_finite_loss() -> None:
    model = ProposalDetector(TINY)
    loss, logs = model({name: values[1:2] for name, values in batch().items()})
    loss.backward()
    assert torch.isfinite(loss) and "iou" not in logs


def test_overfits_one_batch() -> None:
    torch.manual_seed(0)
    model, data = ProposalDetector(TINY), batch()
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    first = float(model(data)[0].detach())
    for _ in range(80):
        loss, logs = model(data)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(logs["iou"]) > 0.9 and float(loss.detach()) < first / 4
    found = model.predict(data["features"], data["valid"])
    segments, scores = found.segments, found.score
    best = segments[0, scores[0].argmax()]
    distance = [(best - truth).abs().max() for truth in data["segments"][0]]
    assert min(distance) < 1.0
    assert scores[0].max() > 0.5 > scores[1][:8].max()  # nothing happens at the second's beginning
    assert not scores[2][~found.valid[2]].any()


def test_features_of_any_scale_once_standardised() -> None:
    torch.manual_seed(0)
    model, data = ProposalDetector(TINY).eval(), batch()
    rows = list(data["features"])
    model.standardise(*moments(rows))
    one = model.predict(data["features"], data["valid"]).actionness
    model.standardise(*moments([r * 50 + 7 for r in rows]))
    other = model.predict(data["features"] * 50 + 7, data["valid"]).actionness
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    whole = torch.cat(rows)
    torch.testing.assert_close(moments(rows)[0], whole.mean(0))
    torch.testing.assert_close(moments(rows)[1], whole.std(0, correction=0))


def test_a_feature_that_never_varies_divides_nothing() -> None:
    model = ProposalDetector(TINY)
    model.standardise(torch.ones(6), torch.zeros(6))
    assert torch.isfinite(model(batch())[0])


@pytest.mark.parametrize(
    ("preset", "layers"), [("small", 0), ("gpu", 0), ("paper", 1), ("as_released", 1)]
)
def test_presets_can_be_built(preset: str, layers: int) -> None:
    config = ProposalConfig.preset(preset)
    with torch.device("meta"):
        model = ProposalDetector(config)
    assert len(model.pyramid.layers) == layers and config.profile == preset


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window": 100}, "window=100 must be a multiple of 16"),
        ({"unseen": "drop"}, "treatment of unseen"),
        ({"centreness": "no"}, "centreness"),
        ({"least_seen": 2.0}, "least_seen"),
        ({"levels": 0}, "levels"),
    ],
)
def test_settings_that_do_not_fit(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ThesisError, match=message):
        replace(TINY, **changes)


def test_features_of_another_model_are_refused() -> None:
    with pytest.raises(ThesisError, match="features of 6 numbers, these have 5"):
        ProposalDetector(TINY).predict(torch.zeros(1, 32, 5), torch.ones(1, 32, dtype=torch.bool))


def test_comes_back_from_disk(tmp_path: Any) -> None:
    model = ProposalDetector(TINY).eval()
    model.standardise(torch.ones(6), torch.full((6,), 2.0))
    model.save_pretrained(tmp_path)
    again = ProposalDetector.from_pretrained(tmp_path).eval()
    data = batch()
    torch.testing.assert_close(again(data)[0], model(data)[0])
