"""Turbo training: losses by loops, operations, heads, testing, settings, and that it learns."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from thesislib.errors import ThesisError
from thesislib.info import describe
from thesislib.methods.turbo import MEAN, STD, Turbo, TurboConfig
from thesislib.methods.turbo_config import gflops
from thesislib.nn.tokens import Drawn
from thesislib.optimiser import make_optimiser

PAPER = TurboConfig.preset("paper")
TINY = replace(
    TurboConfig.preset("small"), seq_len=4, size=16, tubelet=(2, 4, 4), width=24, depth=2, heads=2,
    decoder_width=12, decoder_depth=1, decoder_heads=2, classes=3, batch_size=4,
)  # fmt: skip
PAIRS = replace(TINY, classes=0, text_dim=10)
GRID, PIXELS = (2, 4, 4), 96


def batch(seed: int = 0, count: int = 4) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "video": torch.randn(count, 1, 3, 4, 16, 16, generator=generator),
        "label": torch.arange(count) % 3,
        "text": torch.randn(count, 10, generator=generator),
    }


def model(config: TurboConfig = TINY) -> Turbo:
    torch.manual_seed(1)
    return Turbo(config)


# -- operations ------------------------------------------------------------------------------

TABLE_6_1 = [
    (0.0, 0.0, 180.6), (0.5, 0.5, 99.3), (0.75, 0.75, 57.6),
    (0.75, 0.25, 45.9), (0.9, 0.9, 35.2), (0.9, 0.1, 18.3),
]  # fmt: skip


@pytest.mark.parametrize(("m", "r", "printed"), TABLE_6_1)
def test_operations_of_table_6_1(m: float, r: float, printed: float) -> None:
    config = replace(PAPER, mask_ratio=m, recon_ratio=r, embed_all=True)
    assert round(gflops(config), 1) == printed
    ours = gflops(replace(config, embed_all=False))  # dropped tokens are not embedded
    dropped = 1568 - math.floor(1568 * (1 - m) + 1e-6)
    assert gflops(config) - ours == pytest.approx(dropped * 1536 * 768 / 1e9)
    if m > 0.5:
        tubes = replace(config, masking="tube")
        assert (round(gflops(tubes), 1) == printed) == (m < 0.9), "tubes miss the last two rows"


class Step(nn.Module):
    """A training step as fvcore calls it: tensors in, a tensor out."""

    def __init__(self, config: TurboConfig) -> None:
        super().__init__()
        self.model = Turbo(config)

    def forward(self, video: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return self.model({"video": video, "label": label})[0]


def unfused(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(-1) @ v


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("embed_all", [True, False])
@pytest.mark.parametrize(("m", "r", "printed"), TABLE_6_1)
def test_fvcore_counts_the_same(
    m: float, r: float, printed: float, embed_all: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the real model, its attention taken apart, as fvcore does not know the fused kernel."""
    fvcore = pytest.importorskip("fvcore.nn")
    monkeypatch.setattr("thesislib.nn.transformer.F.scaled_dot_product_attention", unfused)
    config = replace(PAPER, mask_ratio=m, recon_ratio=r, embed_all=embed_all)
    with torch.device("meta"):  # shapes are enough
        step = Step(config).to("meta")
        video, label = torch.empty(1, 1, 3, 16, 224, 224), torch.zeros(1, dtype=torch.long)
    counted = fvcore.FlopCountAnalysis(step, (video, label))
    total = counted.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()
    assert total / 1e9 == pytest.approx(gflops(config), abs=1e-9)
    if embed_all:
        assert round(total / 1e9, 1) == printed


@pytest.mark.parametrize("change", [{"pool": "mean"}, {"classes": 0, "text_dim": 512}])
def test_torch_counts_twice_as_many_products(change: dict[str, Any]) -> None:
    """Its counter knows no norms, and a multiply-add as two operations."""
    config = replace(PAPER, **change)
    products = describe("turbo", "paper", change)["operations"]["GFLOPs per clip, forward"] / 2
    encoded = 392 + (config.pool == "cls")
    norms = 5 * 768 * (2 * 12 * encoded + 1 + 392) + 5 * 384 * (2 * 4 * 784 + 392)
    assert products + norms / 1e9 == pytest.approx(gflops(config), abs=1e-9)


def test_parameters_and_tokens() -> None:
    told = describe("turbo", "paper")
    assert told["parameters"] == {
        "encoder": 86_227_200 + 768, "decoder": 7_688_448 + 294_912 + 384,
        "head": 77_669, "in all": 94_289_381,
    }  # fmt: skip
    assert told["tokens of a clip"] == {
        "in all": 1568, "visible": 392, "reconstructed": 392, "ignored": 784
    }  # fmt: skip
    for preset in ("small", "gpu"):
        assert describe("turbo", preset)["operations"]["GFLOPs per clip, forward"] > 0


# -- the losses by loops ---------------------------------------------------------------------


def fixed(monkeypatch: pytest.MonkeyPatch, made: Turbo, count: int = 4) -> Drawn:
    """Every draw of the model is this one from now on."""
    torch.manual_seed(2)
    drawn = made.draw(batch()["video"][:count, 0], 0.75, 0.25)
    assert drawn is not None
    monkeypatch.setattr(made, "draw", lambda *args: drawn)
    return drawn


@pytest.mark.parametrize("normalised", [True, False])
def test_partial_mae_by_loops(normalised: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    made = model(replace(TINY, normalised_target=normalised, recon_ratio=0.25)).eval()
    data, drawn = batch(), fixed(monkeypatch, made)
    video, encoded = data["video"][:, 0], made.encoder(data["video"][:, 0], drawn.visible)
    guess = made.reconstruct(encoded, drawn, GRID)
    errors = []
    for item in range(4):
        for k, token in enumerate(drawn.wanted[item].tolist()):
            t, h, w = token // 16, token // 4 % 4, token % 4
            x = video[item, :, 2 * t : 2 * t + 2, 4 * h : 4 * h + 4, 4 * w : 4 * w + 4]
            for c in range(3):
                values = (x[c] * STD[c] + MEAN[c]).flatten()
                if normalised:
                    values = (values - values.mean()) / (values.std() + 1e-6)
                errors += [(guess[item, k, p * 3 + c] - v) ** 2 for p, v in enumerate(values)]
    assert len(errors) == 4 * 8 * PIXELS
    want = torch.stack(errors).mean()
    torch.testing.assert_close(made.partial_mae(encoded, video, drawn), want)
    loss, logs = made(data)
    torch.testing.assert_close(logs["pmae"], want.detach())
    logits = made.linear(made.encoder.summary(encoded))
    task = -sum(logits[i].log_softmax(0)[data["label"][i]].item() for i in range(4)) / 4
    torch.testing.assert_close(loss, want + task / math.log(3), check_dtype=False)
    assert float(logs["top1"]) == float((logits.argmax(1) == data["label"]).float().mean())


@pytest.mark.parametrize("temperature", [0.0, 0.07])
def test_pairs_by_loops(temperature: float, monkeypatch: pytest.MonkeyPatch) -> None:
    made = model(replace(PAIRS, temperature=temperature)).eval()
    data, drawn = batch(), fixed(monkeypatch, made)
    feature = made.linear(made.encoder.summary(made.encoder(data["video"][:, 0], drawn.visible)))
    terms = 0.0
    for i in range(4):
        rows, columns = [], []
        for j in range(4):
            for scores, (v, t) in ((rows, (i, j)), (columns, (j, i))):
                product = feature[v] @ data["text"][t]
                if temperature:
                    product = product / feature[v].norm() / data["text"][t].norm() / temperature
                scores.append(product)
        for scores in (rows, columns):
            terms -= torch.stack(scores).log_softmax(0)[i].item() / 2 / 4
    loss, logs = made(data)
    assert float(logs["task"]) == pytest.approx(terms, rel=1e-4)
    assert loss.item() == pytest.approx(terms / math.log(4) + float(logs["pmae"]), rel=1e-4)


def test_a_feature_as_long_as_the_sentences_stays_as_it_is() -> None:
    same = model(replace(PAIRS, text_dim=24))
    assert isinstance(same.linear, nn.Identity)
    assert torch.equal(same.eval().encode(batch()), same.encode_video(batch()))
    with pytest.raises(ThesisError, match="sentences have 10 numbers, not text_dim=24"):
        same(batch())


def test_the_last_pair_of_a_validation_set_is_no_error() -> None:
    loss, logs = model(PAIRS).eval()(batch(count=1))
    assert float(logs["task"]) == 0 and torch.isfinite(loss)


def test_weights_of_the_task() -> None:
    """1 / ln 101 = 0.2167 and 1 / ln 32 = 0.2885: a head that knows nothing begins at 1."""
    made = model(replace(TINY, recon_ratio=0.0, classes=101)).eval()
    nn.init.zeros_(made.linear.weight)
    assert float(made(batch())[0].detach()) == pytest.approx(1.0)
    assert 1 / math.log(101) == pytest.approx(0.2167, abs=1e-4)
    with torch.no_grad():
        made = model(replace(PAIRS, recon_ratio=0.0, temperature=0.0, text_dim=24)).eval()
        silent = {"video": batch(count=4)["video"], "text": torch.zeros(4, 24)}
        assert float(made(silent)[0]) == pytest.approx(1.0)


# -- variants --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {}, {"pool": "mean"}, {"masking": "tube"}, {"masking": "runs"}, {"targets": "cells"},
        {"masking": "runs", "run_threshold": 1.1}, {"mask_ratio": 0.0, "recon_ratio": 0.0},
        {"recon_ratio": 0.0}, {"recon_ratio": 0.75}, {"classes": 0}, {"classes": 0, "text_dim": 10},
        {"positions": "stretch"}, {"normalised_target": False}, {"drop_path": 0.5, "dropout": 0.5},
        {"num_seq": 2},
    ],
)  # fmt: skip
def test_a_step_of_every_variant(change: dict[str, Any]) -> None:
    config = replace(TINY, **change)
    made, data = model(config), batch()
    if config.num_seq > 1:
        data["video"] = data["video"].expand(-1, 2, -1, -1, -1, -1)
    loss, logs = made(data)
    loss.backward()
    assert torch.isfinite(loss) and "loss" in logs
    assert ("pmae" in logs) == bool(config.recon_ratio) and ("task" in logs) == (
        config.classes + config.text_dim > 0
    )
    assert all(p.grad is not None for p in made.parameters())
    assert made.encode(data).shape == (4, 24)


def test_embedding_all_tokens_gives_the_same_numbers() -> None:
    made, data, losses = model(), batch(), []
    for late in (False, True):
        made.config = replace(TINY, embed_all=late)
        torch.manual_seed(5)
        made.zero_grad()
        loss, _ = made(data)
        loss.backward()
        losses.append((loss, made.encoder.patches.weight.grad.clone()))
    torch.testing.assert_close(losses[0], losses[1])


def test_run_length_tokenisation_of_a_still_scene() -> None:
    made = model(replace(TINY, masking="runs", run_threshold=0.1, recon_ratio=0.0))
    still = batch()["video"][:, 0, :, :1].expand(-1, -1, 4, -1, -1).clone()
    still[:, :, 2:, :4, :4] += 1
    drawn = made.draw(still, 0.5, 0.0)
    assert drawn is not None and drawn.visible.tolist() == [[*range(17)]] * 4
    assert made.draw(still, 0.0, 0.0) is None, "m = 0 asks for all tokens"


def test_longer_videos_than_it_was_made_for() -> None:
    made = model().eval()
    long = {"video": torch.randn(2, 1, 3, 16, 16, 16)}
    assert made.predict(long, mask_ratio=0.875).shape == (2, 3)
    with pytest.raises(ThesisError, match="5 frames do not divide into tubelets of 2"):
        made.predict({"video": torch.randn(2, 1, 3, 5, 16, 16)})


# -- testing ---------------------------------------------------------------------------------


def test_prediction_at_any_mask_ratio() -> None:
    made, data = model().eval(), batch()
    with torch.no_grad():
        whole = made.predict(data)
        assert torch.equal(made.predict(data), whole), "all tokens: nothing is drawn"
        assert torch.equal(made.predict(data, samples=10), whole)
        want = made.linear(made.encoder.norm(made.encoder(data["video"][:, 0])[:, 0]))
        assert torch.equal(whole, want)
        for ratio in (0.3, 0.75, 0.9):
            assert not torch.allclose(made.predict(data, ratio), whole)
        torch.manual_seed(7)
        singles = [made.predict(data, 0.75).softmax(1) for _ in range(5)]
        torch.manual_seed(7)
        together = made.predict(data, 0.75, samples=5)
        torch.testing.assert_close(together.softmax(1), torch.stack(singles).mean(0))
        torch.testing.assert_close(together.exp().sum(1), torch.ones(4))
        set_so = model(replace(TINY, test_mask=0.75, test_samples=5)).eval()
        torch.manual_seed(7)
        torch.testing.assert_close(set_so.predict(data), together)
    with pytest.raises(ThesisError, match="mask_ratio=1"):
        made.predict(data, 1.0)


def test_pictures() -> None:
    made, data = model(replace(TINY, classes=0)).eval(), batch()
    video = data["video"][:, 0]
    torch.manual_seed(3)
    seen, filled = made.pictures(data, 0.75, 0.5)
    hidden = (seen == 0).all(1)
    assert float(hidden.float().mean()) == 0.75
    shown = ~hidden[:, None].expand_as(video)
    assert torch.equal(seen[shown], video[shown]) and torch.equal(filled[shown], video[shown])
    assert float((filled == 0).all(1).float().mean()) == 0.25
    # A decoder that knows the truth fills in the truth.
    made.reconstruct = lambda encoded, drawn, grid: made.target(video, drawn.wanted)  # type: ignore[method-assign]
    torch.testing.assert_close(made.pictures(data, 0.75, 0.75)[1], video, atol=1e-4, rtol=1e-4)
    assert torch.equal(made.pictures(data, 0.0, 0.0)[0], video)


# -- beginnings ------------------------------------------------------------------------------


def test_a_classifier_starts_from_the_encoder() -> None:
    pairs = model(PAIRS)
    head = pairs.classifier(7, dropout=0.5)
    for part in ("encoder", "decoder"):
        for a, b in zip(pairs.get_submodule(part).parameters(),
                        head.get_submodule(part).parameters(), strict=True):  # fmt: skip
            assert torch.equal(a, b) and a is not b
    assert head.predict(batch()).shape == (4, 7) and head.dropout.p == 0.5
    probe = pairs.classifier(7, frozen=True)
    loss, _ = probe(batch())
    loss.backward()
    learnt = [n for n, p in probe.named_parameters() if p.grad is not None]
    assert learnt == ["linear.weight", "linear.bias"] and not probe.encoder.training
    with pytest.raises(ThesisError, match="no classifier"):
        pairs.predict(batch())
    with pytest.raises(ThesisError, match="no decoder"):
        probe.pictures(batch(), 0.5, 0.5)


def test_hub_folder_round_trip(tmp_path: Path) -> None:
    made = model().eval()
    made.save_pretrained(tmp_path)
    again = Turbo.from_pretrained(tmp_path).eval()
    assert again.config == TINY
    assert torch.equal(made.predict(batch()), again.predict(batch()))


def test_rates_by_layer() -> None:
    config = replace(TINY, layer_decay=0.5, weight_decay=0.1)
    made = model(config)
    optimiser = make_optimiser(made, config)
    names = {id(p): n for n, p in made.named_parameters()}
    found = {names[id(p)]: (g["lr_scale"], g["weight_decay"])
             for g in optimiser.param_groups for p in g["params"]}  # fmt: skip
    assert found.keys() == set(names.values())
    assert found["encoder.patches.weight"] == (0.125, 0.1)
    assert found["encoder.cls"] == (0.125, 0.0)
    assert found["encoder.blocks.0.attention.q_bias"] == (0.25, 0.0)
    assert found["encoder.blocks.1.mlp.0.weight"] == (0.5, 0.1)
    for name in ("encoder.norm.weight", "linear.bias", "decoder.mask_token"):
        assert found[name] == (1.0, 0.0)
    assert found["decoder.head.weight"] == found["linear.weight"] == (1.0, 0.1)


# -- learning --------------------------------------------------------------------------------


def learn(made: Turbo, data: dict[str, torch.Tensor], steps: int) -> list[dict[str, Any]]:
    optimiser, rows = torch.optim.AdamW(made.parameters(), 3e-3, weight_decay=0.0), []
    for _ in range(steps):
        loss, logs = made(data)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        rows.append(logs)
    return rows


def test_overfits_one_batch() -> None:
    """A quarter of the tokens tells the classes apart; all tokens do so at test time."""
    made, data = model(), batch(count=6)
    x, y = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    waves = torch.stack([x, y, x + y])[data["label"]]
    data["video"] = (waves * math.pi / 2)[:, None, None, None].sin().expand(-1, 1, 3, 4, -1, -1)
    rows = learn(made, data, 80)
    last = {k: sum(float(r[k]) for r in rows[-10:]) / 10 for k in rows[0]}
    assert last["top1"] > 0.95 and last["pmae"] < 0.3 < 0.9 < float(rows[0]["pmae"])
    assert torch.equal(made.eval().predict(data).argmax(1), data["label"])


def test_overfits_one_batch_of_pairs() -> None:
    data = batch()
    data["video"] = data["video"] * 0.3 + torch.randn(4, 1, 3, 1, 1, 1)  # a colour each
    rows = learn(model(replace(PAIRS, recon_ratio=0.0)), data, 80)
    assert min(float(r["top1"]) for r in rows[-5:]) == 1.0
    assert max(float(r["task"]) for r in rows[-5:]) < 0.2


def test_smoothing_is_for_training_alone() -> None:
    made = model(replace(TINY, smoothing=0.2, recon_ratio=0.0, mask_ratio=0.0))
    data = batch()
    logits = made.predict(data)
    want = F.cross_entropy(logits, data["label"], label_smoothing=0.2)
    torch.testing.assert_close(made(data)[1]["task"], want.detach())
    plain = F.cross_entropy(logits, data["label"])
    torch.testing.assert_close(made.eval()(data)[1]["task"], plain.detach())


# -- settings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask_ratio": 1.0}, "mask_ratio=1.0 is no share"),
        ({"recon_ratio": 0.8}, "recon_ratio=0.8 of the tokens"),
        ({"seq_len": 5}, "5 frames do not divide into tubelets of 2"),
        ({"size": 18}, "18 pixels of height"),
        ({"mask_ratio": 0.99}, "leaves none of 32 tokens"),
        ({"masking": "tubes"}, "did you mean 'tube'"),
        ({"targets": "cell"}, "did you mean 'cells'"),
        ({"pool": "max"}, "no pool 'max'"),
        ({"positions": "x"}, "extend positions"),
        ({"test_mask": 1.5}, "test_mask must be at most 1"),
        ({"test_samples": 0}, "test_samples must be at least 1"),
        ({"temperature": -1.0}, "temperature must be at least 0"),
        ({"text_dim": 5}, "two tasks"),
        ({"classes": 1}, "give 2 or more"),
        ({"classes": 0, "text_dim": 5, "batch_size": 1}, "no negatives"),
        ({"classes": 0, "recon_ratio": 0.0}, "Nothing is to be learnt"),
        ({"drop_path": 2.0}, "drop_path must be at most 1"),
    ],
)
def test_bad_settings(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ThesisError, match=message):
        replace(TINY, **change)


def test_presets() -> None:
    for name in ("small", "gpu", "paper"):
        config = TurboConfig.preset(name)
        assert config.profile == name and TurboConfig.from_dict(config.to_dict()) == config
    assert TurboConfig().override({"tubelet": "2,8,8"}).grid == (8, 28, 28)
    with pytest.raises(ThesisError, match="no preset"):
        TurboConfig.preset("papers")
    with pytest.raises(ThesisError, match="heads=5 do not divide"):
        Turbo(replace(TINY, heads=5))
