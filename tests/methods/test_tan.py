"""TAN: losses and pseudo-labels by loops, that it learns, and inputs that are refused."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from thesislib.alignment_losses import alignment_nce, mil_nce
from thesislib.errors import ThesisError
from thesislib.info import describe
from thesislib.methods.tan import TAN, TanConfig, find
from thesislib.methods.tan_labels import (
    agreement,
    alignability_loss,
    alignable,
    best_share,
    confidence,
    likeliest,
)
from thesislib.nn.alignment import all_pairs
from thesislib.optimiser import make_optimiser

TINY = replace(
    TanConfig.preset("small"), seconds=16, dim=12, text_dim=10, width=16, depth=2, joint_depth=2,
    heads=2, places=32, batch_size=3, lr=3e-3, random_offset=False,
    one_space=False,
)  # fmt: skip
LITERAL = replace(
    TINY, sharpened=False, agreement=0.0, deduplicated=False, confidence_inside=True,
    label_by_median=False, edge=0.0,
)  # fmt: skip


def batch(config: TanConfig = TINY, seed: int = 0) -> dict[str, torch.Tensor]:
    """Three videos of 16 s and four sentences, the last of the second of which is padding."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.tensor([[0.0, 4, 8, 12], [1, 5, 9, 0], [0, 3, 6, 11]])
    padding = torch.zeros(3, 4, dtype=torch.bool)
    padding[1, 3] = True
    text = torch.randn(3, 4, config.text_dim, generator=generator)
    if config.texts == "words":
        text = torch.randint(1, config.words, (3, 4, 5), generator=generator)
    return {
        "video": torch.randn(3, config.seconds, config.dim, generator=generator),
        "text": text, "start": start, "end": start + 3, "text_padding": padding,
        "middle": torch.rand(3, 4, generator=generator),
    }  # fmt: skip


def model(config: TanConfig = TINY) -> TAN:
    torch.manual_seed(1)
    return TAN(config)


# -- losses ----------------------------------------------------------------------------------


@pytest.mark.parametrize("sides", ["both", "text"])
@pytest.mark.parametrize("negatives", ["batch", "own"])
@pytest.mark.parametrize("some", [False, True])
def test_alignment_nce_by_loops(negatives: str, sides: str, some: bool) -> None:
    torch.manual_seed(0)
    videos, stages, seconds, sentences = 3, 2, 5, 4
    logits = torch.randn(videos, stages, seconds, videos, sentences)
    right = torch.rand(videos, sentences, seconds) < 0.4
    right[..., 2] = True  # each sentence has a second
    padding = torch.zeros(videos, sentences, dtype=torch.bool)
    padding[1, 3] = padding[2, 2] = True
    chosen = torch.rand(videos, sentences) < 0.5 if some else torch.ones_like(padding)
    text, video = [], []
    for s in range(stages):
        for b in range(videos):
            for n in range(sentences):
                if padding[b, n] or not chosen[b, n]:
                    continue
                among = [b] if negatives == "own" else range(videos)
                every = sum(math.exp(logits[a, s, t, b, n]) for a in among for t in range(seconds))
                own = sum(math.exp(logits[b, s, t, b, n]) for t in range(seconds) if right[b, n, t])
                text.append(-math.log(own / every))
        for a in range(videos):
            for t in range(seconds):
                mine = [n for n in range(sentences) if right[a, n, t] and not padding[a, n]]
                if not any(chosen[a, n] for n in mine):
                    continue
                among = [a] if negatives == "own" else range(videos)
                every = sum(
                    math.exp(logits[a, s, t, b, n])
                    for b in among for n in range(sentences) if not padding[b, n]
                )  # fmt: skip
                own = sum(math.exp(logits[a, s, t, a, n]) for n in mine)
                video.append(-math.log(own / every))
    want = sum(text) / len(text)
    if sides == "both":
        want = (want + sum(video) / len(video)) / 2
    found = alignment_nce(logits, right, padding, chosen if some else None, negatives, sides)
    assert float(found) == pytest.approx(want, rel=1e-5)


def test_one_positive_each_is_torchs_cross_entropy() -> None:
    """A witness: T = N = 1 leaves pairs, both ways."""
    torch.manual_seed(0)
    logits = torch.randn(5, 1, 1, 5, 1)
    flat, own = logits[:, 0, 0, :, 0], torch.arange(5)
    want = (F.cross_entropy(flat, own) + F.cross_entropy(flat.T, own)) / 2
    right = torch.ones(5, 1, 1, dtype=torch.bool)
    torch.testing.assert_close(alignment_nce(logits, right), want)
    torch.testing.assert_close(mil_nce(torch.eye(5), flat.T) - math.log(2), mil_want(flat))


def mil_want(flat: torch.Tensor) -> torch.Tensor:
    """MIL-NCE with one candidate: the own pair is among the row and among the column."""
    terms = []
    for i in range(len(flat)):
        every = sum(flat[i].exp()) + sum(flat[:, i].exp())
        terms.append(every.log() - flat[i, i] - math.log(2))
    return torch.stack(terms).mean()


def test_mil_nce_by_loops() -> None:
    torch.manual_seed(0)
    video, text, candidates = torch.randn(3, 4), torch.randn(6, 4), 2
    terms = []
    for i in range(3):
        own = sum(math.exp(video[i] @ text[2 * i + c]) for c in range(candidates))
        every = sum(math.exp(video[i] @ text[k]) for k in range(6))
        every += sum(math.exp(video[j] @ text[2 * i + c]) for j in range(3) for c in range(2))
        terms.append(-math.log(own / every))
    assert float(mil_nce(video, text)) == pytest.approx(sum(terms) / 3, rel=1e-5)


# -- pseudo-labels ---------------------------------------------------------------------------


def soft(values: list[float]) -> list[float]:
    whole = sum(math.exp(v) for v in values)
    return [math.exp(v) / whole for v in values]


@pytest.mark.parametrize("sharpened", [True, False])
def test_likeliest_windows_by_loops(sharpened: bool) -> None:
    torch.manual_seed(0)
    cosines = torch.rand(2, 3, 9) * 0.4
    spoken = torch.zeros(2, 3, 9, dtype=torch.bool)
    lengths = [[2, 3, 1], [4, 2, 0]]
    for b in range(2):
        for n in range(3):
            spoken[b, n, 1 : 1 + lengths[b][n]] = True
    texts, seconds = torch.zeros(2, 3, dtype=torch.bool), torch.zeros(2, 9, dtype=torch.bool)
    texts[1, 2], seconds[1, 7:] = True, True
    found = likeliest(cosines, spoken, 0.07, sharpened, seconds, texts)
    for b in range(2):
        real = [n for n in range(3) if not texts[b, n]]
        there = [t for t in range(9) if not seconds[b, t]]
        among = {t: soft([float(cosines[b, n, t]) / 0.07 for n in real]) for t in range(9)}
        for place, n in enumerate(real):
            score = [float(cosines[b, n, t]) for t in there]
            if sharpened:
                score = soft([among[t][place] / 0.07 for t in there])
                score[0] = 0
                if len(there) == 9:
                    score[-1] = 0
            length = lengths[b][n]
            sums = [sum(score[s : s + length]) for s in range(len(there) - length + 1)]
            assert int(found[b, n]) == sums.index(max(sums)), (b, n)


@pytest.mark.parametrize("least", [0.0, 0.5])
@pytest.mark.parametrize("deduplicated", [True, False])
def test_agreement_by_sets(least: float, deduplicated: bool) -> None:
    torch.manual_seed(0)
    for _ in range(20):
        length = torch.randint(1, 5, (1, 6))
        begin = torch.randint(0, 8, (3, 1, 6))
        at = torch.arange(12)
        spoken = (at >= begin[2][..., None]) & (at < (begin[2] + length)[..., None])
        found = agreement(begin[:2], spoken, least, deduplicated)
        taken: set[int] = set()
        for n in range(6):
            one, other, said = (
                set(range(b, b + int(length[0, n]))) for b in begin[:, 0, n].tolist()
            )
            iou = len(one & other) / len(one | other)
            agree = iou >= least if least else iou > 0
            mine = one | other if agree else said
            want, keep = sorted(mine), True
            if deduplicated:
                want = []
                for t in sorted(mine):
                    keep = keep and (t not in taken or not want)
                    want += [t] if keep and t not in taken else []
                want = want or sorted(said)
            taken |= mine
            assert bool(found.agree[0, n]) == agree
            assert found.target[0, n].nonzero().flatten().tolist() == want


def test_confidence_and_labels_by_loops() -> None:
    torch.manual_seed(0)
    cosines, target = torch.randn(1, 5, 7), torch.rand(1, 5, 7) < 0.5
    target[..., 0] = True
    largest, inside = (confidence(cosines, target, x)[0] for x in (False, True))
    for n in range(5):
        row = cosines[0, n].tolist()
        mine = [v for v, t in zip(row, target[0, n].tolist(), strict=True) if t]
        assert float(largest[n]) == pytest.approx(max(row))
        assert float(inside[n]) == pytest.approx(sum(mine) / len(mine))
    scores = torch.tensor([[0.9, 0.8, 0.5, 0.2, 0.1], [0.7, 0.1, 0.45, 0.3, 0.2]])
    middle = torch.tensor([0.1, 0.5, 0.5, 0.5, 0.95])
    chosen = best_share(scores.sum(0), 0.4)
    assert chosen.tolist() == [True, False, True, False, False]
    assert alignable(scores, chosen, None, True).tolist() == [1, 2, 2, 2, 0]
    assert alignable(scores, chosen, middle, True).tolist() == [0, 2, 2, 2, 0]
    assert alignable(scores, chosen, middle, False, 0).tolist() == chosen.int().tolist()
    label, logits = torch.tensor([1, 0, 2, 0, 0]), torch.randn(5)
    p = [1 / (1 + math.exp(-v)) for v in logits.tolist()]
    want = -(3 * math.log(p[0]) + sum(math.log(1 - p[i]) for i in (1, 3, 4))) / 4
    assert float(alignability_loss(logits, label)) == pytest.approx(want, rel=1e-5)
    assert float(alignability_loss(logits, torch.tensor([1, 1, 2, 2, 1]))) == 0


def test_deciders_and_ablations_change_what_is_learnt() -> None:
    """Times of one encoder alone need no agreement; time stamps stay where nothing is re-timed."""
    torch.manual_seed(0)
    data = batch()
    spoken = torch.zeros(3, 4, 16, dtype=torch.bool)
    for b in range(3):
        for n in range(4):
            first = int(data["start"][b, n])
            spoken[b, n, first : first + 3] = ~data["text_padding"][b, n]
    slow, online = ([torch.rand(3, 4, 16) for _ in range(2)] for _ in range(2))
    real = spoken.any(2)

    def by(**changes: Any) -> Any:
        return find(replace(TINY, **changes), data, spoken, slow, online)

    for name, number in (("dual", 0), ("joint", 1)):
        found = by(deciders=name)
        assert found.times.agree[real].all()
        alone = likeliest(slow[number], spoken, TINY.temperature, True, None, data["text_padding"])
        assert torch.equal(found.times.windows[0], alone)
    assert not by().times.agree[real].all()
    assert torch.equal(by(retime=False).times.target, spoken)
    for alpha in (0.25, 0.5, 0.75):
        assert abs(int(by(alpha=alpha).chosen.sum()) - alpha * int(real.sum())) <= 1
    literal = find(LITERAL, data, spoken, slow, online)
    assert torch.equal(literal.label[real] == 1, literal.chosen[real])
    assert (by().label[~real] == 2).all() and not by().chosen[~real].any()


# -- the network -----------------------------------------------------------------------------


def test_a_dual_encoder_without_layers_sees_each_second_alone() -> None:
    made = model(replace(TINY, depth=0, joint_depth=0)).eval()
    data = batch()
    dual, joint = made.online(data)
    assert joint is None and dual.video.shape == (3, 1, 16, 16)
    turned = made.online(data | {"video": data["video"].flip(1)})[0]
    torch.testing.assert_close(turned.video.flip(2), dual.video)
    for t in (0, 9):
        alone = made.online(data | {"video": data["video"][:, t : t + 1]})[0]
        torch.testing.assert_close(alone.video[:, :, 0], dual.video[:, :, t])
    assert set(made.window(data["video"][0], data["text"][0])) == {"dual", "head"}


def test_stages_and_all_pairs() -> None:
    """Pair (a, b) is video a with sentence b as b's own video makes it."""
    made = model(replace(TINY, depth=3)).eval()
    data = batch()
    dual, joint = made.online(data)
    assert joint is not None and (dual.video.shape[1], joint.video.shape[1]) == (3, 2)
    pairs = all_pairs(joint)
    assert pairs.shape == (3, 2, 16, 3, 4)
    want = joint.video[2, 1, 5] @ joint.text[0, 1, 3]
    torch.testing.assert_close(pairs[2, 1, 5, 0, 3], want)
    window = made.window(data["video"][0], data["text"][0])
    own = all_pairs(joint)[0, -1, :, 0].T
    torch.testing.assert_close(window["joint"], own, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(window["head"], joint.head[0, 1], atol=1e-5, rtol=1e-4)
    seconds, texts = made.encode_video(data), made.encode_text(data["text"])
    torch.testing.assert_close(seconds, dual.video[:, -1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(texts, dual.text[:, 0], atol=1e-5, rtol=1e-4)


def test_padding_decides_nothing() -> None:
    made = model().eval()
    data = batch()
    data["video_padding"] = torch.zeros(3, 16, dtype=torch.bool)
    data["video_padding"][0, 14:] = True
    other = {k: v.clone() for k, v in data.items()}
    other["video"][0, 14:], other["text"][1, 3] = 7.0, -7.0
    for one, two in zip(made.online(data), made.online(other), strict=True):
        assert one is not None and two is not None
        torch.testing.assert_close(one.video[0, :, :14], two.video[0, :, :14])
        torch.testing.assert_close(one.text[1, :, :3], two.text[1, :, :3])


def test_a_network_may_begin_with_the_cosines_of_its_features() -> None:
    """Layers and positions add nothing at first, and equal features are equal vectors."""
    same = replace(TINY, text_dim=12, one_space=True)
    made, data = model(same).eval(), batch(same)
    data["text"][0, 1] = data["video"][0, 5]
    dual, joint = made.online(data, offset=3)
    assert joint is not None
    for one in (dual, joint):
        assert float((one.text[0, -1, 1] @ one.video[0, -1, 5]).detach()) == pytest.approx(
            1, abs=1e-5
        )
        torch.testing.assert_close(one.video[:, 0], one.video[:, -1])
    own = [v @ t for v, t in zip(dual.video[:, -1], dual.text[:, -1].mT, strict=True)]
    centred = [x - x.mean(-1, keepdim=True) for x in made_of(made, data)]
    for b in range(3):
        v, t = (F.normalize(x[b], dim=-1) for x in centred)
        torch.testing.assert_close(own[b], v @ t.T, atol=1e-4, rtol=0)
    loss, _ = made.train()(data)
    loss.backward()
    grads = {n: p.grad for n, p in made.online.network.dual.named_parameters() if p.ndim > 1}
    assert any(g is not None and g.abs().max() > 0 for g in grads.values()), "it learns"
    with pytest.raises(ThesisError, match="12 and 10 numbers are not of one space"):
        replace(TINY, one_space=True)


def made_of(made: TAN, data: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """Seconds and sentences by the one rotation."""
    turn = made.online.network.project_video.weight
    return [data["video"] @ turn.T, data["text"] @ turn.T]


def test_features_and_halves_of_layers_are_left_out_in_training_alone() -> None:
    made, data = model(replace(TINY, dropout=0.5, drop_path=0.5, stage=2)), batch()
    drawn = {float(made(data)[0].detach()) for _ in range(4)}
    assert len(drawn) == 4
    made.eval()
    assert len({float(made(data)[0].detach()) for _ in range(4)}) == 1


def test_random_positions_in_training_alone() -> None:
    made, data = model(replace(TINY, random_offset=True)), batch()
    drawn = {float(made(data)[0].detach()) for _ in range(12)}
    assert len(drawn) > 1
    made.eval()
    assert len({float(made(data)[0].detach()) for _ in range(4)}) == 1
    with pytest.raises(ThesisError, match="no position from second 32"):
        made.online.network.places(33)
    assert made.online.network.places(40, stretched=16).shape == (40, 16)


@pytest.mark.parametrize(
    "change", [{}, {"depth": 0, "joint_depth": 0}, {"texts": "words", "words": 40}]
)
def test_overfits_a_batch(change: dict[str, Any]) -> None:
    """Stage 1: each sentence finds its own seconds among all of the batch."""
    config = replace(TINY, lr=1e-2, joint_negatives="batch", **change)
    made, data = model(config), batch(config)
    optimiser = make_optimiser(made, config)
    losses = []
    for _ in range(45):
        loss = made(data)[0]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.35 * losses[0]
    made.eval()
    for video in range(3):
        found = made.window(data["video"][video], data["text"][video])
        for n in range(3):
            second = int(found["dual"][n].argmax())
            assert data["start"][video, n] <= second < data["end"][video, n]


def test_the_second_stage_finds_the_true_times() -> None:
    """Stamps that are four seconds late in one of three videos are put right by the other two."""
    config = replace(TINY, lr=1e-2, edge=0.0, alpha=1.0)
    made, data = model(config), batch()
    data["text"][:] = data["text"][0].clone()  # the same sentences, of the same things
    for video in (1, 2):
        data["video"][video] = data["video"][0] + 0.3 * torch.randn(16, 12)
    data["start"], data["end"] = data["start"][:1].repeat(3, 1), data["end"][:1].repeat(3, 1)
    data.pop("text_padding"), data.pop("middle")
    for _ in range(60):
        step(made, data, config)
    late = {k: v.clone() for k, v in data.items()}
    late["start"][2, :3] += 4
    late["end"][2, :3] += 4
    second = replace(config, stage=2, momentum=0.9)
    tuned = TAN(second)
    for part in (tuned.online, tuned.target):
        part.load_state_dict(made.online.state_dict())
    logs: dict[str, torch.Tensor] = {}
    for _ in range(40):
        logs = step(tuned, late, second)
    assert {"loss", "dual", "joint", "head", "agree", "alignable"} <= logs.keys()
    tuned.eval()
    found = tuned.window(late["video"][2], late["text"][2])
    for name in ("dual", "joint"):
        seconds = found[name].argmax(1)
        # The rule of the field: both ends count. Late, two of three would be four seconds off.
        assert ((data["start"][2] <= seconds) & (seconds <= data["end"][2])).all(), name


def test_the_second_stage_overfits_a_batch() -> None:
    """Its loss falls, and the head says what the labels say."""
    config = replace(TINY, stage=2, lr=1e-2, momentum=0.99)
    made, data = model(config), batch()
    losses = [float(step(made, data, config)["loss"]) for _ in range(50)]
    assert losses[-1] < 0.6 * losses[0]


def step(made: TAN, data: dict[str, torch.Tensor], config: TanConfig) -> dict[str, torch.Tensor]:
    if not hasattr(made, "tuner"):
        made.tuner = make_optimiser(made, config)
    loss, logs = made(data)
    made.tuner.zero_grad()
    loss.backward()
    made.tuner.step()
    return logs


def test_the_slow_copy_follows_and_learns_nothing_itself() -> None:
    config = replace(TINY, stage=2, momentum=0.75)
    made, data = model(config), batch()
    assert made.target is not None
    before = made.target.network.head.bias.clone()
    step(made, data, config)
    assert torch.equal(made.target.network.head.bias, before), "equal networks stay equal"
    moved = made.online.network.head.bias.detach().clone()
    made(data)
    torch.testing.assert_close(made.target.network.head.bias, 0.75 * before + 0.25 * moved)
    assert all(p.grad is None and not p.requires_grad for p in made.target.parameters())
    far = (moved - made.target.network.head.bias).abs().sum()
    made.config = replace(config, accumulate=3)
    for _ in range(3):  # the batches of one step move it as one batch would
        made(data)
    left = (moved - made.target.network.head.bias).abs().sum()
    torch.testing.assert_close(left, 0.75 * far)
    after = made.target.network.head.bias.clone()
    made.eval()(data)
    assert torch.equal(made.target.network.head.bias, after), "not in evaluation"
    assert TAN(replace(TINY, stage=2, momentum=0.0)).target is None
    groups = made.parameter_groups(config)
    assert groups[1]["weight_decay"] == 0
    assert sum(len(g["params"]) for g in groups) == len(list(made.online.parameters()))


# -- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"text": torch.zeros(3, 0, 10), "start": torch.zeros(3, 0), "end": torch.zeros(3, 0)},
         "no sentence to align"),
        ({"text_padding": torch.ones(3, 4, dtype=torch.bool)}, "No video of the batch has"),
        ({"video": torch.zeros(3, 0, 12)}, "shorter than a second"),
        ({"start": torch.full((3, 4), 20.0), "end": torch.full((3, 4), 23.0)},
         "Sentence 0 of video 0 lasts from 20 to 23 s.*window of 16 s"),
        ({"start": torch.full((3, 4), 0.2), "end": torch.full((3, 4), 0.9)}, "no whole second"),
        ({"video": torch.full((3, 16, 12), math.nan)}, "Features of the video are not all finite"),
        ({"text": torch.full((3, 4, 10), math.inf)}, "Features of the sentences are not"),
    ],
)  # fmt: skip
def test_what_cannot_be_learnt_gets_a_sentence(change: dict[str, Any], sentence: str) -> None:
    data = batch() | change
    if "start" in change:
        data.pop("text_padding")
    with pytest.raises(ThesisError, match=sentence):
        model()(data)


def test_settings_that_do_not_fit() -> None:
    for change, sentence in (
        ({"seconds": 64}, "seconds=64 is more than places=32"),
        ({"joint_depth": 0, "deciders": "joint"}, "needs a joint encoder"),
        ({"heads": 3}, "heads=3 do not divide"),
        ({"negatives": "bach"}, "did you mean 'batch'"),
    ):
        with pytest.raises(ThesisError, match=sentence):
            model(replace(TINY, **change))  # type: ignore[arg-type]


def test_presets_are_described() -> None:
    for preset in ("small", "as_released"):
        told = describe("tan", preset)
        assert told["operations"]["GFLOPs per clip, forward"] > 0
    assert told["parameters"]["text module"] == 21_540_536
    whole = told["parameters"]["in all, with two unused tables of the released code"]
    assert whole - 21_540_536 == 39_931_905
