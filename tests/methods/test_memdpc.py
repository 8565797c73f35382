"""MemDPC: counts, the memory against naive loops, both directions, learning."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from thesislib import book
from thesislib.errors import ThesisError
from thesislib.info import describe
from thesislib.losses import dense_nce
from thesislib.methods.blocks import count
from thesislib.methods.dpc import DPC, DPCConfig
from thesislib.methods.memdpc import MemDPC, MemDPCClassifier, MemDPCConfig, memory_use

TINY = replace(
    MemDPCConfig.preset("small"),
    width=4,
    size=32,
    num_seq=5,
    pred_step=2,
    batch_size=2,
    memory_slots=6,
    bidirectional=True,
)


def video(config: MemDPCConfig, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (config.batch_size, config.num_seq, 3, config.seq_len, config.size, config.size)
    return torch.randn(shape, generator=generator)


# ---- settings and counts ---------------------------------------------------------------------


def test_info_names_the_counts_of_both_directions() -> None:
    report = describe("memdpc", "paper")
    assert report["parameters"] == {
        "encoder": 14_057_536,
        "ConvGRU of one direction": 393_984,
        "address head": 328_960,
        "memory": 262_144,
        "in all": 15_436_608,
        "in all, one direction": 15_042_624,
        "in all, both directions": 15_436_608,
    }
    assert report["shapes"]["addresses (B, P, S, h, w)"] == "(16, 3, 1024, 4, 4)"

    # Against DPC: three reads of the memory at 16 places in each direction in place of three
    # predictors, and a second aggregator (5 + 2 steps) and score matrix.
    def operations(report: dict[str, Any]) -> float:
        return report["operations"]["GFLOPs per clip, forward"]

    reads = 2 * 3 * 16 * (256 * 256 + 2 * 256 * 1024)
    second = 7 * 16 * 3 * 512 * 256 + 48 * 48 * 256
    more = reads + second - 3 * 16 * 2 * 256 * 256  # multiply-adds
    dpc = operations(describe("dpc", "paper"))
    assert operations(report) - dpc == pytest.approx(2 * more / 1e9, abs=1e-6)


@pytest.mark.parametrize(
    ("network", "both", "one", "classifier"),
    [
        ("resnet18", 15_436_608, 15_042_624, 14_898_341),
        ("resnet34", 33_801_280, 33_407_296, 33_263_013),
    ],
)
def test_parameter_counts(network: str, both: int, one: int, classifier: int) -> None:
    config = replace(MemDPCConfig.preset("paper"), network=network)
    with torch.device("meta"):
        assert count(MemDPC(config)) == both
        assert count(MemDPC(replace(config, bidirectional=False))) == one
        assert count(MemDPCClassifier(config, 101)) == classifier


def test_presets_follow_thesis_and_released_code() -> None:
    small, paper = MemDPCConfig.preset("small"), MemDPCConfig.preset("paper")
    released = MemDPCConfig.preset("as_released")
    assert (paper.memory_slots, paper.batch_size, paper.schedule) == (1024, 16, "plateau")
    assert (paper.loss_reduction, released.loss_reduction) == ("mean", "sum")
    assert (paper.relu_first, released.relu_first) == (False, True)
    assert (released.epochs, released.schedule, released.milestones) == (500, "steps", (300,))
    assert (small.memory_slots, small.bidirectional, paper.bidirectional) == (128, False, True)
    mine, dpc = small.to_dict(), DPCConfig.preset("small").to_dict()
    assert all(mine[k] == dpc[k] for k in mine.keys() & dpc.keys()), "small differs from DPC's"
    assert MemDPCConfig.from_dict(released.to_dict()) == released


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"memory_slots": 1}, "memory_slots must be at least 2"),
        ({"loss_reduction": "average"}, "There is no loss reduction 'average'"),
        ({"pred_step": 8}, "pred_step=8 must leave"),
        ({"network": "resnet19"}, "did you mean 'resnet18'"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ThesisError, match=words):
        MemDPCConfig(**changes)  # type: ignore[arg-type]


def test_the_command_knows_every_method() -> None:
    from thesislib import cli

    assert "memdpc" in book.methods()
    assert cli.parser().parse_args(["info", "memdpc"]).method == "memdpc"


# ---- the memory ------------------------------------------------------------------------------


def test_reading_is_an_expectation_over_slots() -> None:
    """Equations 3.3 and 3.4, place by place."""
    torch.manual_seed(0)
    model = MemDPC(TINY)
    for layer in (model.address_head[0], model.address_head[2]):
        torch.nn.init.normal_(layer.weight)  # peaked, so that an error of softmax shows
        torch.nn.init.normal_(layer.bias)
    context = torch.randn(2, 16, 2, 3)
    predicted, address = model.read(context)
    first, last = model.address_head[0], model.address_head[2]
    for b in range(2):
        for i in range(2):
            for j in range(3):
                hidden = (first.weight[:, :, 0, 0] @ context[b, :, i, j] + first.bias).clamp(min=0)
                logits = (last.weight[:, :, 0, 0] @ hidden + last.bias).tolist()
                exps = [math.exp(x - max(logits)) for x in logits]
                p = [e / sum(exps) for e in exps]
                assert address[b, :, i, j].tolist() == pytest.approx(p, abs=1e-5)
                expected = sum(p[k] * model.memory[k] for k in range(6))
                assert torch.allclose(predicted[b, :, i, j], expected, atol=1e-4)


def test_score_is_the_expectation_of_the_slots_scores() -> None:
    """Equation 3.5: (sum p_i m_i) z = sum p_i (m_i z)."""
    model = MemDPC(TINY)
    predicted, address = model.read(torch.randn(1, 16, 1, 1))
    z = torch.randn(16)
    hypotheses = model.memory @ z
    score = (address[0, :, 0, 0] * hypotheses).sum()
    assert torch.allclose(predicted[0, :, 0, 0] @ z, score, atol=1e-5)


def test_memory_and_shared_head_learn_from_both_directions() -> None:
    model = MemDPC(TINY)
    batch = {"video": video(TINY)}
    gradients = []
    for one in model.directions(batch["video"]):
        model.zero_grad()
        dense_nce(one.predicted, one.true)[0].backward(retain_graph=True)
        assert all(float(p.grad.abs().sum()) > 0 for p in model.address_head.parameters())
        gradients.append(model.memory.grad.clone())
        assert (gradients[-1].abs().sum(1) > 0).all(), "every slot is part of every prediction"
    assert not torch.allclose(*gradients)


def test_memory_use_by_definition() -> None:
    torch.manual_seed(0)
    address = torch.softmax(3 * torch.randn(2, 3, 5, 2, 2), 2)
    found = memory_use(address)
    rows = address.permute(0, 1, 3, 4, 2).reshape(-1, 5).tolist()
    entropies = [-sum(p * math.log(p) for p in row) for row in rows]
    mean = [sum(row[k] for row in rows) / len(rows) for k in range(5)]
    perplexity = math.exp(sum(entropies) / len(rows))
    used = math.exp(-sum(p * math.log(p) for p in mean)) / 5
    assert float(found["address_perplexity"]) == pytest.approx(perplexity, rel=1e-5)
    assert float(found["slots_used"]) == pytest.approx(used, rel=1e-5)
    assert perplexity < 5 * used


@pytest.mark.parametrize(
    ("slots", "perplexity", "used"),
    [
        ([0, 0, 0, 0], 1.0, 0.25),  # all read one slot
        ([0, 1, 2, 3], 1.0, 1.0),  # each its own
        (None, 4.0, 1.0),  # all read the mean
    ],
)
def test_a_collapsed_memory_shows(slots: list[int] | None, perplexity: float, used: float) -> None:
    hot = torch.eye(4)[slots] if slots else torch.full((4, 4), 0.25)
    found = memory_use(hot[:, None, :, None, None])
    assert float(found["address_perplexity"]) == pytest.approx(perplexity)
    assert float(found["slots_used"]) == pytest.approx(used)


# ---- predictions and directions --------------------------------------------------------------


def test_recursion_by_hand() -> None:
    model = MemDPC(TINY).eval()
    z = torch.randn(2, 5, 16, 1, 1)
    cell = model.aggregator
    h = None
    for t in range(3):
        h = cell.step(torch.relu(z[:, t]), h)
    first, p1 = model.read(h)
    second, p2 = model.read(cell.step(torch.relu(first), h))
    found = model.predict(cell, z)
    assert torch.equal(found.predicted, torch.stack((first, second), 1))
    assert torch.equal(found.address, torch.stack((p1, p2), 1))
    assert torch.equal(found.context, h) and torch.equal(found.true, z[:, 3:])


def test_backward_predicts_the_first_blocks_from_the_last() -> None:
    """Of 8 blocks: true blocks 5, 6, 7 and 2, 1, 0; the context sees the five others alone."""
    config = replace(TINY, num_seq=8, pred_step=3)
    model = MemDPC(config).eval()
    clip = video(config)
    with torch.no_grad():
        z = model.features(clip)
        forward, backward = model.directions(clip)
        assert torch.equal(forward.true, z[:, [5, 6, 7]])
        assert torch.equal(backward.true, z[:, [2, 1, 0]])
        for blocks, changed, same in (([0, 1, 2], 0, 1), ([5, 6, 7], 1, 0)):
            other = clip.clone()
            other[:, blocks] += 1.0
            after = model.directions(other)
            before = (forward, backward)
            assert torch.equal(after[same].predicted, before[same].predicted)
            assert not torch.equal(after[changed].predicted, before[changed].predicted)


def test_the_order_of_blocks_is_turned_and_that_of_frames_is_not() -> None:
    """Swapping the aggregators' weights turns the model round in time, block by block."""
    model = MemDPC(TINY).eval()
    turned = MemDPC(TINY).eval()
    turned.load_state_dict(model.state_dict())
    turned.aggregator, turned.backward_aggregator = model.backward_aggregator, model.aggregator
    clip = video(TINY)
    with torch.no_grad():
        forward, backward = model.directions(clip)
        first, second = turned.directions(clip.flip(1))
    for a, b in ((forward, second), (backward, first)):
        assert all(torch.allclose(x, y, atol=1e-5) for x, y in zip(a, b, strict=True))


def test_loss_is_averaged_or_added() -> None:
    model = MemDPC(TINY).eval()
    batch = {"video": video(TINY)}
    with torch.no_grad():
        found = model.directions(batch["video"])
        losses = [float(dense_nce(d.predicted, d.true)[0]) for d in found]
        mean, logs = model(batch)
        model.config = replace(TINY, loss_reduction="sum")
        total, _ = model(batch)
    assert len(losses) == 2 and losses[0] != losses[1]
    assert float(mean) == pytest.approx(sum(losses) / 2) == float(logs["loss"])
    assert float(total) == pytest.approx(sum(losses))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_step_and_its_shapes(bidirectional: bool) -> None:
    config = replace(TINY, bidirectional=bidirectional, size=64, seq_len=3)
    model = MemDPC(config)
    batch = {"video": video(config)}
    loss, logs = model(batch)
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())
    assert {"loss", "top1", "top1_temporal", "top1_spatial", "top1_easy"} <= logs.keys()
    assert 1 <= float(logs["address_perplexity"]) <= 6 and 0 < float(logs["slots_used"]) <= 1.00001
    assert not any(value.requires_grad for value in logs.values())
    address = model.address(batch)
    assert address.shape == (2, 2, 6, 2, 2)
    assert torch.allclose(address.sum(2), torch.ones(2, 2, 2, 2))
    both = model.predicted_and_true(batch)
    assert [x.shape for x in both] == [(2, 2 * (1 + bidirectional), 16, 2, 2)] * 2
    assert model.encode(batch).shape == (2, 16 * (1 + bidirectional))


def test_the_embedding_is_the_context_of_all_blocks() -> None:
    model = MemDPC(TINY).eval()
    with torch.no_grad():
        z = torch.relu(model.features(video(TINY)))
        sides = []
        for cell, order in (
            (model.aggregator, range(5)),
            (model.backward_aggregator, range(4, -1, -1)),
        ):
            h = None
            for t in order:
                h = cell.step(z[:, t], h)
            sides.append(h.mean((2, 3)))
        assert torch.allclose(model.encode({"video": video(TINY)}), torch.cat(sides, 1))


def test_a_clip_without_a_past_is_refused() -> None:
    with pytest.raises(ThesisError, match="A clip of 2 blocks is too short to predict 2"):
        MemDPC(TINY).directions(video(TINY)[:, :2])


# ---- learning --------------------------------------------------------------------------------


def test_overfits_one_batch() -> None:
    torch.manual_seed(0)
    config = replace(TINY, batch_size=3, memory_slots=12)
    model = MemDPC(config)
    batch = {"video": video(config)}
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(60):
        loss, logs = model(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(logs["top1"]) > 0.95 and float(logs["top1_temporal"]) > 0.95
    assert float(logs["address_perplexity"]) < 8, "a prediction chooses among the 12 slots"
    assert float(logs["slots_used"]) > 0.4, "different futures need different slots"


@pytest.mark.parametrize("method", ["dpc", "memdpc"])
def test_a_frozen_classifier_trains_its_last_layers_alone(method: str) -> None:
    torch.manual_seed(0)
    config = replace(TINY, batch_size=6)
    if method == "dpc":
        small = DPCConfig.preset("small")
        model: DPC | MemDPC = DPC(replace(small, width=4, size=32, num_seq=5, pred_step=2))
    else:
        model = MemDPC(config)
    classifier = model.classifier(3, dropout=0.0, frozen=True)
    batch = {"video": video(config), "label": torch.arange(6) % 3}
    before = {k: v.clone() for k, v in classifier.state_dict().items()}
    assert {n.split(".")[0] for n, p in classifier.named_parameters() if p.requires_grad} == {
        "norm",
        "linear",
    }
    trained = [p for p in classifier.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(trained, 3e-2, weight_decay=1e-3)
    for _ in range(25):
        classifier.eval()
        classifier.train()
        loss, logs = classifier(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(logs["top1"]) == 1.0
    for name, value in classifier.state_dict().items():
        assert torch.equal(value, before[name]) != name.startswith(("norm", "linear")), name


def test_freezing_an_encoder_without_statistics_is_refused() -> None:
    model = DPC(replace(DPCConfig.preset("small"), width=4, running_stats=False))
    with pytest.raises(ThesisError, match="running_stats=true"):
        model.classifier(3, frozen=True)


def test_classifier_starts_from_the_model() -> None:
    model = MemDPC(TINY)
    classifier, own = model.classifier(7), model.state_dict()
    assert classifier.dropout.p == 0.9
    shared = {k for k in classifier.state_dict() if not k.startswith(("norm", "linear"))}
    assert shared == {k for k in own if not k.startswith(("address_head", "memory"))}
    assert all(torch.equal(classifier.state_dict()[k], own[k]) for k in shared)


def test_hub_folder_round_trip(tmp_path: Path) -> None:
    model, clip = MemDPC(TINY), {"video": video(TINY)}
    model.save_pretrained(tmp_path / "model")
    again = MemDPC.from_pretrained(tmp_path / "model")
    assert again.config == TINY
    assert torch.equal(model.eval().address(clip), again.eval().address(clip))
    classifier = model.classifier(3, frozen=True)
    classifier.save_pretrained(tmp_path / "classifier")
    same = MemDPCClassifier.from_pretrained(tmp_path / "classifier")
    assert same.frozen and same.dropout.p == 0.9 and same.config == TINY
    assert torch.equal(classifier.eval().predict(clip), same.eval().predict(clip))
