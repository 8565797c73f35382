"""MemDPC against the numbers of the authors' model."""

from __future__ import annotations

import pytest
import torch

from reference import CLEAR_PASS, GRADIENT, close, golden_clip, state
from thesislib.authors import load_memdpc
from thesislib.losses import dense_nce
from thesislib.methods.memdpc import MemDPC, MemDPCClassifier, MemDPCConfig


@pytest.mark.parametrize(("size", "batch"), [(64, 2), (128, 1)])
def test_golden_model(size: int, batch: int) -> None:
    model = MemDPC(MemDPCConfig(bidirectional=True, loss_reduction="sum")).eval()
    report = load_memdpc(model, state("memdpc_bd_r18"))
    assert not report.unused and not report.missing
    clip = golden_clip(f"memdpc.block{size}", (batch, 8, 3, 5, size, size))
    case = f"memdpc_bd_r18_{size}"
    with torch.set_grad_enabled(size == 64):
        forward, backward = directions = model.directions(clip)
        both = [dense_nce(one.predicted, one.true) for one in directions]
        loss = both[0][0] + both[1][0]
    outputs = {
        "loss": loss,
        "loss_forward": both[0][0][None],
        "loss_backward": both[1][0][None],
        "prediction_forward": forward.predicted,
        "prediction_backward": backward.predicted,
        "context_forward": forward.context,
    }
    ranks = [(scores > scores.diagonal()[:, None]).sum(1) for _, scores in both]
    outputs["top1_top5"] = torch.tensor(
        [[float((r < k).float().mean()) for k in (1, 5)] for r in ranks]
    )
    close(case, outputs, CLEAR_PASS)
    if size == 64:
        loss.backward()
        own = model.get_parameter
        gradients = {
            "grad.mb": own("memory").grad,
            "grad.backbone.bn1.weight": own("backbone.bn1.weight").grad,
            "grad.backbone.conv1.weight": own("backbone.conv1.weight").grad.unsqueeze(2),
            "grad.network_pred.2.bias": own("address_head.2.bias").grad,
            "grad.agg_f.cell_list.0.out_gate.bias": own("aggregator.out_gate.bias").grad,
            "grad.agg_b.cell_list.0.out_gate.bias": own("backward_aggregator.out_gate.bias").grad,
        }
        close(case, gradients, GRADIENT)


def test_one_direction_loads_from_both() -> None:
    model = MemDPC(MemDPCConfig())
    report = load_memdpc(model, state("memdpc_bd_r18"))
    assert not report.missing and report.unused
    assert all(name.startswith("agg_b.") for name in report.unused)


def test_golden_classifier() -> None:
    config = MemDPCConfig(bidirectional=True, relu_first=True)
    classifier = MemDPCClassifier(config, 101).eval()
    report = load_memdpc(classifier, state("memdpc_lc_r18"))
    assert not report.unused and not report.missing
    batch = {"video": golden_clip("memdpc.block128", (1, 8, 3, 5, 128, 128))}
    with torch.no_grad():
        outputs = {
            "logits": classifier.predict(batch)[None],
            "context": classifier.norm(classifier.encode(batch))[None],
        }
    close("memdpc_lc_r18_128", outputs, CLEAR_PASS)
