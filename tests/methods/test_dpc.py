"""DPC: counts, shapes, ablations, golden numbers, and that it can learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from reference import CLEAR_PASS, GRADIENT, close, golden_clip, state
from thesislib.authors import load_dpc
from thesislib.errors import ThesisError
from thesislib.info import describe
from thesislib.losses import dense_nce
from thesislib.methods.blocks import count
from thesislib.methods.dpc import DPC, DPCClassifier, DPCConfig

TINY = replace(DPCConfig.preset("small"), width=4, size=32, num_seq=5, pred_step=2, batch_size=2)


def video(config: DPCConfig, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (config.batch_size, config.num_seq, 3, config.seq_len, config.size, config.size)
    return torch.randn(shape, generator=generator)


@pytest.mark.parametrize(
    ("network", "whole", "encoder", "with_predictor"),
    [
        ("resnet18", 14_583_104, 14_057_536, 14_189_120),
        ("resnet34", 32_947_776, 32_422_208, 32_553_792),
        ("resnet50", 31_956_032, 23_562_304, 25_661_504),
    ],
)
def test_parameter_counts(network: str, whole: int, encoder: int, with_predictor: int) -> None:
    parameters = describe("dpc", "paper", {"network": network})["parameters"]
    assert parameters["in all"] == whole
    assert parameters["encoder"] == encoder
    assert parameters["encoder and predictor"] == with_predictor


@pytest.mark.parametrize(("size", "side"), [(128, 4), (224, 7)])
def test_feature_shape_of_the_thesis(size: int, side: int) -> None:
    with torch.device("meta"):
        model = DPC(DPCConfig.preset("paper"))
        clip = torch.empty(2 * 8, 3, 5, size, size)
    assert model.backbone(clip).shape == (16, 256, 2, side, side)


@pytest.mark.parametrize("classes", [101, 51])
def test_classifier_counts(classes: int) -> None:
    expected = {101: 14_477_989, 51: 14_465_139}[classes]
    assert count(DPCClassifier(DPCConfig(), classes)) == expected


@pytest.mark.parametrize(
    "changes", [{}, {"sequential": False}, {"dense": False}, {"pred_step": 3}, {"stem_pool": False}]
)
def test_a_step_of_every_variant(changes: dict[str, object]) -> None:
    config = replace(TINY, **changes)
    model = DPC(config)
    loss, logs = model({"video": video(config)})
    loss.backward()
    assert torch.isfinite(loss)
    assert {"top1", "top1_temporal", "top1_easy"} <= logs.keys()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    assert len(model.predictors) == (1 if config.sequential else config.pred_step)
    assert model.encode({"video": video(config)}).shape == (2, 16)


def test_parallel_prediction_sees_no_prediction() -> None:
    """Without the sequence, step 1 does not change when predictor 0 does."""
    model = DPC(replace(TINY, sequential=False)).eval()
    z = torch.randn(2, 3, 16, 1, 1)
    before, _ = model.predict(z)
    with torch.no_grad():
        model.predictors[0][0].weight.add_(1.0)
    after, _ = model.predict(z)
    assert not torch.equal(before[:, 0], after[:, 0]) and torch.equal(before[:, 1], after[:, 1])


def test_future_blocks_do_not_leak_into_the_prediction() -> None:
    """Without batch statistics between clips, predictions depend on the past blocks alone."""
    model = DPC(TINY).eval()
    clip = video(TINY)
    changed = clip.clone()
    changed[:, -TINY.pred_step :] += 1.0
    past = TINY.num_seq - TINY.pred_step
    with torch.no_grad():
        one, _ = model.predict(model.features(clip)[:, :past])
        two, _ = model.predict(model.features(changed)[:, :past])
    assert torch.equal(one, two)


def test_overfits_one_batch() -> None:
    torch.manual_seed(0)
    config = replace(TINY, size=64, dropout=0.0, batch_size=4)
    model = DPC(config)
    batch = {"video": video(config)}
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(60):
        loss, logs = model(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(logs["top1"]) > 0.95, "the right pair should win nearly always"
    assert float(logs["top1_temporal"]) > 0.95


def test_classifier_overfits_one_batch() -> None:
    torch.manual_seed(0)
    config = replace(TINY, size=32, batch_size=6)
    classifier = DPC(config).classifier(3, dropout=0.0)
    batch = {"video": video(config), "label": torch.arange(6) % 3}
    optimiser = torch.optim.Adam(classifier.parameters(), 3e-3)
    for _ in range(40):
        loss, logs = classifier(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(logs["top1"]) == 1.0


def test_classifier_starts_from_the_model() -> None:
    model = DPC(TINY)
    classifier = model.classifier(7)
    for part in ("backbone", "aggregator"):
        for a, b in zip(
            model.get_submodule(part).parameters(),
            classifier.get_submodule(part).parameters(),
            strict=True,
        ):
            assert torch.equal(a, b)


def test_hub_folder_round_trip(tmp_path: Path) -> None:
    model = DPC(TINY)
    model.save_pretrained(tmp_path)
    again = DPC.from_pretrained(tmp_path)
    assert again.config == TINY
    clip = {"video": video(TINY)}
    assert torch.equal(model.eval().encode(clip), again.eval().encode(clip))


def test_classifier_folder_round_trip(tmp_path: Path) -> None:
    classifier = DPC(TINY).classifier(3, dropout=0.4)
    classifier.save_pretrained(tmp_path)
    again = DPCClassifier.from_pretrained(tmp_path)
    assert again.config == TINY and again.dropout.p == 0.4 and again.linear.out_features == 3
    clip = {"video": video(TINY)}
    assert torch.equal(classifier.eval().predict(clip), again.eval().predict(clip))


def test_more_steps_than_blocks_is_refused() -> None:
    with pytest.raises(ThesisError, match="pred_step=8 must leave"):
        DPCConfig(pred_step=8)


# ---- the authors' model ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "steps", "size"),
    [("dpc_r18_p3_64", 3, 64), ("dpc_r18_p4_64", 4, 64), ("dpc_r18_p3_128", 3, 128)],
)
def test_golden_model(case: str, steps: int, size: int) -> None:
    model = DPC(DPCConfig(running_stats=False, pred_step=steps)).eval()
    report = load_dpc(model, {f"module.{k}": v for k, v in state("dpc_r18").items()})
    assert not report.unused and not report.missing
    clip = golden_clip(f"dpc.block{size}", (2, 8, 3, 5, size, size))
    z = model.features(clip)
    prediction, context = model.predict(z[:, : 8 - steps])
    loss, scores = dense_nce(prediction, z[:, 8 - steps :])
    outputs = {"loss": loss, "score": scores, "prediction": prediction}
    if case == "dpc_r18_p3_64":
        loss.backward()
        own = model.get_parameter
        gradients = {
            "grad.backbone.conv1.weight": own("backbone.conv1.weight").grad.unsqueeze(2),
            "grad.backbone.bn1.weight": own("backbone.bn1.weight").grad,
            "grad.backbone.layer4.1.bn2.bias": own("backbone.layer4.1.bn2.bias").grad,
            "grad.backbone.layer3.0.downsample.0.weight": own(
                "backbone.layer3.0.downsample.0.weight"
            ).grad,
            "grad.agg.cell_list.0.update_gate.bias": own("aggregator.update_gate.bias").grad,
            "grad.network_pred.2.bias": own("predictors.0.2.bias").grad,
            "grad.network_pred.0.weight": own("predictors.0.0.weight").grad,
        }
        close(case, gradients, GRADIENT)
        with torch.no_grad():
            outputs["feature_map"] = model.backbone(clip.flatten(0, 1))
        outputs |= {"gru_state": context, "target": torch.arange(len(scores))}
        outputs["top1"] = (scores.argmax(1) == torch.arange(len(scores))).float().mean()
    close(case, outputs, CLEAR_PASS)


def test_golden_classifier() -> None:
    classifier = DPCClassifier(DPCConfig(relu_first=True), 101).eval()
    assert not load_dpc(classifier, state("dpc_lc_r18")).unused
    batch = {"video": golden_clip("dpc.block128", (2, 8, 3, 5, 128, 128))[:1]}
    with torch.no_grad():
        outputs = {
            "logits": classifier.predict(batch)[None],
            "context": classifier.norm(classifier.encode(batch))[None],
            "feature_map": classifier.backbone(batch["video"].flatten(0, 1)),
        }
    close("dpc_lc_r18_128", outputs, CLEAR_PASS)


def test_a_checkpoint_that_does_not_fit_is_refused() -> None:
    model = DPC(DPCConfig(network="resnet34", running_stats=False))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(ThesisError, match="does not fit"):
        load_dpc(model, state("dpc_r18"))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
