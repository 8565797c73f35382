"""Prompting: layouts, counts, the tower that stays as it is, golden numbers, and that it learns."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from reference import CLEAR_PASS, GRADIENT, close, make_input, state
from thesislib import train
from thesislib.authors import load_clip_prompt
from thesislib.checkpoint import RunFolder, load_state, save_state
from thesislib.errors import ThesisError
from thesislib.losses import cosine_logits
from thesislib.methods.blocks import count
from thesislib.methods.clip_prompt import ClipPrompt, ClipPromptConfig, forward_one, summary
from thesislib.torchvision_here import ensure_torchvision

ensure_torchvision()
open_clip = pytest.importorskip("open_clip")

START, END, WINDOW, WORDS = 98, 99, 20, 100
TINY = replace(
    ClipPromptConfig.preset("small"), context=3, heads=2, frames=4, batch_size=6, strides=(1, 2, 4),
    epochs=2, warmup=0,
)  # fmt: skip


def tower(kind: str = "CLIP", **text: Any) -> nn.Module:
    """A tiny open_clip model with random weights; the end of a text has the highest number."""
    torch.manual_seed(0)
    small = {"context_length": WINDOW, "vocab_size": WORDS, "width": 16, "heads": 2, "layers": 2}
    vision = {"layers": 1, "width": 16, "patch_size": 16, "image_size": 32, "head_width": 8}
    model = getattr(open_clip.model, kind)(12, vision, {**small, **text}, quick_gelu=True)
    for name, parameter in model.named_parameters():  # open_clip's own make all texts alike
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=1.0 if "token_embedding" in name else 0.3)
    return model.eval()


def ids(*names: list[int], length: int = WINDOW, end: int = END) -> torch.Tensor:
    """Token ids of names, as open_clip's tokenizers lay them."""
    rows = [[START, *name, end] for name in names]
    return torch.tensor([row + [0] * (length - len(row)) for row in rows])


NAMES = ids([5], [7, 8, 9], [11, 12], [13], [14, 2, 3, 4, 5])


def model(config: ClipPromptConfig = TINY, **more: Any) -> ClipPrompt:
    torch.manual_seed(1)
    return ClipPrompt(config, **{"tower": tower(), "tokens": NAMES, **more})


def batch(seed: int = 0, count: int = 6) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, TINY.frames, 12, generator=generator)
    return {"features": features, "label": torch.arange(count) % 5}


# -- text ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("CLIP", {}),
        ("CustomTextCLIP", {}),
        ("CustomTextCLIP", {"pool_type": "eos", "eos_id": END}),
        ("CustomTextCLIP", {"no_causal_mask": True}),
        ("CustomTextCLIP", {"proj_bias": True}),
        ("CLIP", {"proj_type": "none", "width": 12}),
    ],
)
def test_without_learnt_vectors_it_is_open_clip(kind: str, more: dict[str, Any]) -> None:
    clip = tower(kind, **more)
    whole = ids(list(range(1, WINDOW - 1)))
    names = torch.cat([NAMES, whole])
    bare = ClipPrompt(replace(TINY, context=0, layers=0), clip)
    prompted = ClipPrompt(TINY, clip)
    with torch.no_grad():
        wanted = clip.encode_text(names)
        for got in (bare.encode_text(names), prompted.encode_text(names, prompted=False)):
            torch.testing.assert_close(got, wanted, atol=1e-5, rtol=0)
        assert (prompted.encode_text(names) - wanted).abs().max() > 0.01
    assert count(bare) == 0


def by_hand(made: ClipPrompt, name: list[int], layout: str) -> torch.Tensor:
    """The tower's input for one name, slot by slot."""
    text, k, words = made.text, TINY.context, made.text.tower.parts.token_embedding.weight
    learnt = text.vectors
    if layout == "thesis":
        rows = [words[START], *learnt[:k], *words[name], *learnt[k:], words[END]]
        return torch.stack(rows + [words[0]] * (WINDOW - len(rows)))
    rows = list(learnt)
    rows[0] = words[START]
    for place, number in enumerate([*name]):
        rows[1 + k + place] = words[number]
    rows[1 + k + len(name) + k] = words[END]
    return torch.stack(rows)


@pytest.mark.parametrize("layout", ["thesis", "as_released"])
@pytest.mark.parametrize("length", [WINDOW, 7, WINDOW + 5])
def test_layout_of_every_slot(layout: str, length: int) -> None:
    made = model(replace(TINY, layout=layout))
    names = [[5], [7, 8, 9], [], [14, 2, 3, 4, 5]]
    vectors, last = made.text.lay_out(ids(*names, length=length))
    assert last.tolist() == [2 * TINY.context + len(name) + 1 for name in names]
    for row, name in zip(vectors, names, strict=True):
        assert torch.equal(row, by_hand(made, name, layout))


def test_names_of_other_length_share_the_vectors_of_the_thesis_alone() -> None:
    for layout, shared in (("thesis", True), ("as_released", False)):
        text = model(replace(TINY, layout=layout)).text
        (one, three), last = text.lay_out(NAMES[:2])
        after = [row[end - TINY.context : end] for row, end in zip((one, three), last, strict=True)]
        assert torch.equal(*after) == shared


def test_a_long_name_loses_its_last_words_and_never_its_end() -> None:
    made = model()
    room = made.text.room
    assert room == WINDOW - 2 - 6
    long = list(range(1, room + 4))
    tokens = ids(long[:room], long, [5])
    assert made.text.cut(tokens).tolist() == [False, True, False]
    vectors, last = made.text.lay_out(tokens)
    assert torch.equal(vectors[0], vectors[1]) and last.tolist() == [WINDOW - 1] * 2 + [8]
    end = made.text.tower.parts.token_embedding.weight[END]
    assert torch.equal(vectors[1, -1], end)
    # A caption that fills the tokenizer's window has its end in the last place.
    full = ids(list(range(1, WINDOW - 1)))
    assert torch.equal(made.text.lay_out(full)[0][0, -1], end)
    with torch.no_grad():
        torch.testing.assert_close(*made.encode_text(tokens)[:2])


def test_company_in_the_batch_changes_no_feature() -> None:
    made = model().eval()
    with torch.no_grad():
        together = made.encode_text(NAMES)
        alone = torch.cat([made.encode_text(name[None]) for name in NAMES])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_context_without_room_is_refused() -> None:
    with pytest.raises(ThesisError, match=r"context=9 leaves no room .* at most 8"):
        model(replace(TINY, context=9))
    assert model(replace(TINY, context=8)).text.room == 2


@pytest.mark.parametrize(
    ("kind", "more"),
    [("CustomTextCLIP", {"pool_type": "last"}), ("CustomTextCLIP", {"embed_cls": True})],
)
def test_other_towers_are_refused(kind: str, more: dict[str, Any]) -> None:
    with pytest.raises(ThesisError, match="CustomTextCLIP cannot be prompted"):
        ClipPrompt(TINY, tower(kind, **more))
    with pytest.raises(ThesisError, match="this Linear cannot be prompted"):
        ClipPrompt(TINY, nn.Linear(2, 2))


def test_nearest_tokens_are_those_of_a_loop() -> None:
    made = model()
    words = made.text.tower.parts.token_embedding.weight
    vectors = torch.cat([words[[17, 40]] * 3, made.text.vectors.detach()])
    found, cosines = made.text.tower.nearest_tokens(vectors, 4)
    assert found[:2, 0].tolist() == [17, 40]
    for vector, near, cosine in zip(vectors, found, cosines, strict=True):
        all_of_them = [float(vector @ w / vector.norm() / w.norm()) for w in words]
        order = sorted(range(WORDS), key=lambda i: -all_of_them[i])[:4]
        assert near.tolist() == order
        assert cosine.tolist() == pytest.approx([all_of_them[i] for i in order], abs=1e-5)


# -- counts ----------------------------------------------------------------------------------


def full_size() -> nn.Module:
    """ViT-B/16's text tower on the meta device; the pictures' side plays no part."""
    with torch.device("meta"):
        return open_clip.model.CLIP(
            512, {"layers": 1, "width": 64, "patch_size": 16, "image_size": 32}, {}, quick_gelu=True
        )


@pytest.mark.parametrize(
    ("preset", "layers", "trained"),
    [
        ("as_released", 2, 6_352_384),
        ("as_released", 1, 3_200_000),
        ("paper", 2, 6_333_440),  # 32 vectors in place of 77, and 8 gaps
        ("paper", 0, 32 * 512),
    ],
)
def test_parameter_counts(preset: str, layers: int, trained: int) -> None:
    with torch.device("meta"):
        made = ClipPrompt(replace(ClipPromptConfig.preset(preset), layers=layers), full_size())
        assert [tuple(one.shape) for one in forward_one(made)] == [(1, 512), (1, 512)]
    told = summary(made)
    assert told["parameters"]["in all"] == trained == count(made)
    assert told["parameters"]["frozen text tower"] == 63_428_096
    assert told["tokens of a name"] == {"window": 77, "room": 43}


def test_settings() -> None:
    assert {ClipPromptConfig.preset(n).profile for n in ("small", "gpu", "paper")} == {
        "small", "gpu", "paper",
    }  # fmt: skip
    paper = ClipPromptConfig.preset("paper")
    assert (paper.lr, paper.batch_size, paper.optimiser) == (1e-4, 64, "adamw")
    for changes, sentence in (
        ({"layout": "both"}, "layout"),
        ({"context": -1}, "context must be at least 0"),
        ({"layers": -1}, "layers must be at least 0"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"feature_scale": 0.0}, "feature_scale must be above 0"),
        ({"strides": ()}, "strides"),
        ({"frames": 0}, "frames must be at least 1"),
    ):
        with pytest.raises(ThesisError, match=sentence):
            paper.override(changes)
    with pytest.raises(ThesisError, match="heads=5 do not divide features of 12"):
        model(replace(TINY, heads=5))


# -- time ------------------------------------------------------------------------------------


def test_without_layers_frames_are_averaged() -> None:
    made = model(replace(TINY, layers=0))
    features = batch()["features"]
    torch.testing.assert_close(made.encode_video(features), features.mean(1))
    shuffled = features[:, [2, 0, 3, 1]]
    torch.testing.assert_close(made.encode_video(shuffled), made.encode_video(features))


def test_layers_see_order_gap_and_scale() -> None:
    features = batch()["features"]
    made = model(replace(TINY, code_gap=True))
    nn.init.normal_(made.temporal.positions)
    nn.init.normal_(made.temporal.gap_code)
    with torch.no_grad():
        one, two, four, five = (
            made.encode_video(features, torch.full((6,), gap)) for gap in (1, 2, 4, 5)
        )
        assert (one - two).abs().max() > 0.01
        assert torch.equal(four, five), "a gap that was not trained takes the nearest code"
        turned = made.encode_video(features.flip(1), torch.full((6,), 1))
        assert (one - turned).abs().max() > 0.01
        mixed = made.encode_video(features, torch.tensor([1, 2, 4] * 2))
        torch.testing.assert_close(mixed[[0, 1, 2]], torch.stack([one[0], two[1], four[2]]))
    plain, scaled = (model(replace(TINY, feature_scale=s)) for s in (1.0, 2.0))
    torch.testing.assert_close(plain.encode_video(2 * features), scaled.encode_video(features))
    assert plain.encode_frames(features[:, :2]).shape == (6, 2, 12)


def test_features_that_do_not_fit_are_refused() -> None:
    features = batch()["features"]
    made = model(replace(TINY, code_gap=True))
    with pytest.raises(ThesisError, match="give gap of each video"):
        made.encode_video(features)
    with pytest.raises(ThesisError, match="8 frames are more than the 4"):
        model().encode_video(features.repeat(1, 2, 1))
    with pytest.raises(ThesisError, match="frames have 7 numbers and those of texts 12"):
        model().encode_video(features[..., :7])
    with pytest.raises(ThesisError, match="no class names"):
        model(tokens=None)(batch())


# -- training --------------------------------------------------------------------------------


def test_a_step_is_equation_5_2() -> None:
    made = model()
    data = batch()
    with torch.no_grad():
        loss, logs = made(data)
    v, c = made.encode_video(data["features"]).detach(), made.encode_text(NAMES).detach()
    total, right = 0.0, 0
    for i, label in enumerate(data["label"].tolist()):
        cosine = [float(v[i] @ t / v[i].norm() / t.norm()) / 0.07 for t in c]
        total -= cosine[label] - np.logaddexp.reduce(cosine)
        right += cosine[label] == max(cosine)
    assert float(loss) == pytest.approx(total / 6, abs=1e-4)
    assert float(logs["top1"]) == pytest.approx(right / 6)
    torch.testing.assert_close(
        made.classify(data["features"], c), cosine_logits(v, c, 0.07), atol=1e-5, rtol=0
    )


def test_text_side_once_a_step_whatever_the_batch() -> None:
    made = model()
    texts: list[int] = []
    held = made.text.tower.parts.transformer
    held.register_forward_pre_hook(lambda module, args: texts.append(len(args[0])))
    made(batch(count=40))
    assert texts == [len(NAMES)], "all classes in one pass, not one for each video"
    made.config = replace(TINY, most_classes=3)
    made(batch(count=2))
    assert texts == [5, 3]
    made.eval()(batch(count=2))
    assert texts == [5, 3, 5], "in evaluation every class is a candidate"


@pytest.mark.parametrize("layout", ["thesis", "as_released"])
def test_only_prompts_and_layers_learn(layout: str, tmp_path: Path) -> None:
    clip = tower()
    made = ClipPrompt(replace(TINY, layout=layout, code_gap=True), clip, NAMES)
    frozen, learnt = copy.deepcopy(clip.state_dict()), copy.deepcopy(made.state_dict())
    features = [
        {**{k: v[i] for k, v in batch(count=24).items()}, "gap": torch.tensor([1, 2, 4][i % 3])}
        for i in range(24)
    ]

    class Set(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(features)

        def __getitem__(self, key: tuple[int, int]) -> dict[str, torch.Tensor]:
            return features[key[1]]

    run = RunFolder(tmp_path)
    train.fit(made, Set(), Set(), made.config, run, log=None)
    assert clip.state_dict().keys() == frozen.keys()
    assert all(torch.equal(v, frozen[k]) for k, v in clip.state_dict().items())
    assert not any(p.requires_grad for p in made.text.tower.parts.parameters())
    assert not made.text.tower.parts.training and made.training
    assert all(not torch.equal(v, learnt[k]) for k, v in made.state_dict().items())
    assert not any("tower" in name for name in made.state_dict())
    assert run.checkpoint.stat().st_size < 100_000
    again = ClipPrompt(made.config, clip)  # without classes: a checkpoint holds none
    load_state(run.checkpoint, again)
    probe = batch()["features"], torch.ones(6)
    with torch.no_grad():
        assert torch.equal(again.encode_video(*probe), made.encode_video(*probe))
        assert torch.equal(again.encode_text(NAMES), made.encode_text(NAMES))


def test_every_parameter_has_a_gradient() -> None:
    for changes in ({}, {"layout": "as_released"}, {"layers": 0}, {"context": 0}):
        made = model(replace(TINY, code_gap=True, **changes))
        made({**batch(), "gap": torch.tensor([1, 2, 4] * 2)})[0].backward()
        assert all(p.grad is not None and p.grad.any() for p in made.parameters()), changes


def learn(made: ClipPrompt, data: dict[str, torch.Tensor], lr: float) -> dict[str, Any]:
    """The logs of the last of sixty steps on one batch."""
    optimiser = torch.optim.AdamW(made.parameters(), lr)
    for _ in range(60):
        loss, logs = made(data)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return logs


def test_overfits_one_batch_of_classes() -> None:
    made = model()
    data = batch()
    logs = learn(made, data, 1e-2)
    assert float(logs["top1"]) == 1.0 and float(logs["loss"]) < 0.1


def test_prompts_alone_learn() -> None:
    made = model(replace(TINY, layers=0))
    data = batch()
    first = float(made(data)[1]["loss"])
    logs = learn(made, data, 3e-2)
    assert float(logs["loss"]) < 0.6 * first


def test_overfits_one_batch_of_captions() -> None:
    made = model(replace(TINY, context=4), tokens=None)
    data = {"features": batch(count=5)["features"], "tokens": NAMES}
    loss = float(made(data)[1]["loss"])
    v, c = made.encode_video(data["features"]), made.encode_text(NAMES)
    logits = cosine_logits(v, c, 0.07).detach().double().numpy()
    ways = [np.logaddexp.reduce(logits, axis) - logits.diagonal() for axis in (1, 0)]
    assert loss == pytest.approx(np.mean(ways), abs=1e-4)
    made.config = replace(made.config, both_ways=False)
    assert float(made(data)[1]["loss"]) == pytest.approx(np.mean(ways[0]), abs=1e-4)
    made.config = replace(made.config, both_ways=True)
    logs = learn(made, data, 1e-2)
    assert float(logs["top1"]) == float(logs["top1_text"]) == 1.0 and float(logs["loss"]) < 0.1


def test_bf16_and_half_features() -> None:
    made = model()
    data = batch()
    exact = float(made(data)[1]["loss"])
    with torch.autocast("cpu", torch.bfloat16):
        loss, logs = made({**data, "features": data["features"].half()})
    loss.backward()
    assert float(logs["loss"]) == pytest.approx(exact, rel=0.2)
    assert made.text.vectors.grad.dtype == torch.float32


def test_the_tower_moves_along_and_is_copied_along() -> None:
    made = model().double()
    assert made.text.tower.parts.token_embedding.weight.dtype == torch.float64
    twin = copy.deepcopy(made)
    assert twin.text.tower.parts is not made.text.tower.parts
    assert torch.equal(twin.encode_text(NAMES), made.encode_text(NAMES))


def test_hub_folder_round_trip(tmp_path: Path) -> None:
    made = model()
    made.save_pretrained(tmp_path)
    again = ClipPrompt.from_pretrained(tmp_path, tower=tower(), tokens=NAMES)
    assert again.config == TINY
    weights = made.state_dict()
    assert weights.keys() == again.state_dict().keys()
    assert all(torch.equal(weights[name], value) for name, value in again.state_dict().items())
    with torch.no_grad():  # where memory lies decides a last digit on some processors
        torch.testing.assert_close(made(batch())[0], again(batch())[0], rtol=1e-6, atol=0)


# -- the authors' model ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def golden() -> SimpleNamespace:
    """The authors' model for weights made from names, in ours, and the names of the case."""
    weights = state("clip_prompt")
    own = {
        k.removeprefix("clipmodel."): v for k, v in weights.items() if k.startswith("clipmodel.")
    }
    with torch.device("meta"):
        text = open_clip.transformer.TextTransformer(act_layer=open_clip.transformer.QuickGELU)
    text.load_state_dict(own, assign=True)
    text.attn_mask = text.build_causal_mask()
    made = ClipPrompt(ClipPromptConfig.preset("as_released"), text).eval()
    report = load_clip_prompt(made, weights)
    assert not report.missing and not report.unused and len(report.compared) == len(own)
    rows = [[1934], [8594, 2225], [6293, 41828, 2384, 1520]]
    tokens = torch.tensor([[49406, *r, 49407] + [0] * (75 - len(r)) for r in rows])
    return SimpleNamespace(model=made, tokens=tokens)


def test_golden_numbers(golden: SimpleNamespace) -> None:
    made, tokens = golden.model, golden.tokens
    made.tokens = tokens
    frames = torch.from_numpy(make_input("prompt.frames", (2, 16, 512), "A"))
    loss, _ = made({"features": frames, "label": torch.tensor([2, 0])})
    loss.backward()
    with torch.no_grad():
        text = made.encode_text(tokens)
        outputs = {
            "text_input": made.text.lay_out(tokens)[0],
            "text_feature": text,
            "video_feature": made.encode_video(frames),
            "cosine_logits": made.classify(frames, text),
            "loss": loss,
            "text_feature_plain": made.encode_text(tokens, prompted=False),
        }
    close("clip_prompt", outputs, CLEAR_PASS)
    gradients = {
        "grad.embedding.weight": "text.vectors",
        "grad.temporalEmbedding.weight": "temporal.positions",
        "grad.temporalModelling.resblocks.0.ln_1.weight": "temporal.blocks.0.norm_1.weight",
        "grad.temporalModelling.resblocks.1.mlp.c_proj.bias": "temporal.blocks.1.mlp.2.bias",
    }
    close(
        "clip_prompt", {k: made.get_parameter(v).grad for k, v in gradients.items()}, GRADIENT / 200
    )


def test_a_checkpoint_of_another_layout_is_refused(golden: SimpleNamespace) -> None:
    weights = {f"x.{k}": v for k, v in golden.model.state_dict().items()}
    with pytest.raises(ThesisError, match="does not fit"):
        load_clip_prompt(golden.model, weights)


def test_a_checkpoint_of_another_tower_is_refused(golden: SimpleNamespace) -> None:
    """Every tensor of the tower counts, and nothing is loaded when one differs."""
    weights = state("clip_prompt")
    before = golden.model.text.vectors.clone()
    weights["embedding.weight"] = weights["embedding.weight"] + 1
    weights["clipmodel.ln_final.bias"] = weights["clipmodel.ln_final.bias"] + 0.01
    with pytest.raises(ThesisError, match=r"1 of 149 tensors differ.*clipmodel\.ln_final\.bias"):
        load_clip_prompt(golden.model, weights)
    assert torch.equal(golden.model.text.vectors, before)
    # Half precision is no difference; parts that the model lacks are named.
    halved = {f"module.{k}": v.half() for k, v in state("clip_prompt").items()}
    report = load_clip_prompt(golden.model, {**halved, "clipmodel.logit_scale": torch.ones(())})
    assert report.unused == ("clipmodel.logit_scale",) and len(report.compared) == 149
    load_clip_prompt(golden.model, state("clip_prompt"))


def test_save_state_holds_what_learns(golden: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_state(path, golden.model, None, {})
    assert path.stat().st_size < 4 * 6_352_384 + 10_000
