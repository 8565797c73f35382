"""AutoAD: inputs, loss, counts, learning; the authors' numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from methods.writing import little
from reference import close, make_input, state
from thesislib.authors_autoad import load_autoad
from thesislib.errors import ThesisError
from thesislib.info import describe
from thesislib.language import LanguageModel
from thesislib.language.describing import describe_clips
from thesislib.language.inputs import Inputs, padded
from thesislib.methods.autoad import AutoAD, AutoADConfig, flat
from thesislib.methods.autoad_config import PARTS, Decoding
from thesislib.nn.mapping import MappingNetwork

TINY = replace(
    AutoADConfig.preset("small"), dim=16, heads=2, latents=3, places=8, past=2, subtitles="all",
    order=PARTS,
    decoding=Decoding(beams=2, new_tokens=12, penalty=1.0, no_repeat=0),
)  # fmt: skip
TEXTS = ["anna waves.", "tom sits.", "anna runs.", "the red ball."]


@pytest.fixture(scope="module")
def language() -> LanguageModel:
    return little()


def made(language: LanguageModel, **changes: Any) -> AutoAD:
    torch.manual_seed(1)
    return AutoAD(replace(TINY, **changes), language.model)


def batch(language: LanguageModel, **changes: Any) -> dict[str, torch.Tensor]:
    """Four clips, each after those before it."""
    torch.manual_seed(2)
    inputs = Inputs(language, replace(TINY, **changes))
    context = [inputs.context(TEXTS[:i]) for i in range(4)]
    lines = [["tom?"], [], ["the ball.", "anna?"], ["runs"]]
    return {
        "features": torch.randn(4, 5, 16), "context": padded(context, 9),
        "subtitles": padded([inputs.subtitles(line) for line in lines], 7),
        "text": padded([inputs.text(text) for text in TEXTS], 8),
        "sentence": torch.randn(4, 16),
    }  # fmt: skip


# -- numbers of others -----------------------------------------------------------------------


def test_golden_prompt() -> None:
    model = AutoAD(AutoADConfig(), little(width=768, layers=1).model).eval()
    report = load_autoad(model, state("autoad_mapping"))
    assert not report.unused and not report.missing

    def drawn(name: str, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.from_numpy(make_input(f"autoad.{name}", shape, "A", kind="normal"))

    with torch.no_grad():
        frames = drawn("frames", (2, 8, 512))
        context, subtitle = drawn("context", (2, 6, 768)), drawn("subtitle", (2, 4, 768))
        out = {
            "latent": model.mapping(frames), "prompt": model.see({"features": frames}),
            "context_wrapped": model.wrap(context, model.context),
            "subtitle_wrapped": model.wrap(subtitle, model.subtitle), "bos": model.begin,
        }  # fmt: skip
    close("autoad_prompt", out, 1e-5)


def test_counts_with_gpt2() -> None:
    counts = describe("autoad", "paper")["parameters"]
    assert counts["mapping network"] == 6_573_056
    assert counts["in all, without the language model"] == 6_970_880
    assert counts["language model, frozen"] == 124_439_808


def test_standardised_features_are_centred_and_scaled_first() -> None:
    torch.manual_seed(0)
    plain, scaled = (MappingNetwork(16, 3, 1, 2, 8, standardised=s) for s in (False, True))
    features, mean, spread = torch.randn(4, 5, 16), torch.randn(16), torch.rand(16) + 0.5
    scaled.load_state_dict({**plain.state_dict(), "scale": torch.stack([mean, spread])})
    assert plain.scale is None and len(plain.state_dict()) == len(scaled.state_dict()) - 1
    assert torch.allclose(scaled(features), plain((features - mean) / spread), atol=1e-6)


# -- inputs ----------------------------------------------------------------------------------


def test_order_and_lengths_of_the_prompt(language: LanguageModel) -> None:
    data = batch(language)
    for order in (("visual", "context", "subtitles"), ("subtitles", "visual", "context")):
        model = made(language, order=order)
        vectors, mask = model.prompt(data)
        sizes = {"visual": 3, "context": 2 + 6, "subtitles": 2 + 5}
        at, parts = 0, {}
        for part in order:
            parts[part] = slice(at, at := at + sizes[part])
        assert vectors.shape == (4, at + 1, 32) and mask.shape == (4, at + 1)
        torch.testing.assert_close(vectors[:, parts["visual"]], model.see(data))
        torch.testing.assert_close(vectors[:, -1], model.begin.expand(4, -1))
        words = language.model.transformer.wte.weight
        torch.testing.assert_close(vectors[2, parts["context"]][0], model.context[0])
        torch.testing.assert_close(vectors[2, parts["context"]][-1], model.context[1])
        torch.testing.assert_close(vectors[2, parts["context"]][1], words[2])  # anna
        assert mask[0, parts["context"]].tolist() == [True, *[False] * 6, True]
        assert mask[1, parts["context"]].sum() == 2 + 3
        assert mask[1, parts["subtitles"]].tolist() == [True, *[False] * 5, True]


def test_parts_that_are_switched_off_are_not_there(language: LanguageModel) -> None:
    data = batch(language)
    blind = made(language, visual=False, past=0, subtitles="none")
    vectors, mask = blind.prompt({"text": data["text"]})
    assert vectors.shape == (4, 1, 32) and mask.all()
    learnt = [name for name, p in blind.named_parameters() if p.requires_grad]
    assert learnt == ["begin"]
    with pytest.raises(ThesisError, match=r"reads visual and context and subtitles: give context"):
        made(language).prompt({"features": data["features"], "text": data["text"]})


def test_padding_changes_nothing(language: LanguageModel) -> None:
    """Every clip alone, with nothing padded, is predicted as in a batch."""
    data = batch(language)
    model = made(language).eval()
    together, text = model.logits(data)
    for row in range(4):
        alone, _ = model.logits({k: v[row : row + 1] for k, v in data.items()})
        real = int((text[row] >= 0).sum())
        assert alone.shape[1] == real
        torch.testing.assert_close(together[row, :real], alone[0], atol=2e-5, rtol=1e-4)


def test_limits_keep_the_latest_context_and_the_first_words(language: LanguageModel) -> None:
    inputs = Inputs(
        language, replace(TINY, context_tokens=4, subtitle_tokens=3, text_tokens=3, past=3)
    )
    assert inputs.context(TEXTS) == language.encode("anna runs. the red ball.")[-4:]
    assert inputs.context([]) == [] and inputs.context(TEXTS[:1]) == language.encode(TEXTS[0])
    assert inputs.subtitles(["red"] * 5) == language.encode("red red red")
    assert inputs.text("anna waves.") == [2, 4, 0]
    assert Inputs(language, replace(TINY, past=0)).context(TEXTS) == []


# -- loss ------------------------------------------------------------------------------------


def test_loss_is_that_of_a_naive_loop(language: LanguageModel) -> None:
    """One clip and one token at a time, with no padding and no mask."""
    data = batch(language)
    model = made(language).eval()
    words, total, tokens = language.model.transformer.wte.weight, 0.0, 0
    with torch.no_grad():
        for row in range(4):
            ids = {k: [i for i in data[k][row].tolist() if i >= 0] for k in data if k[-1] == "t"}
            lines = [i for i in data["subtitles"][row].tolist() if i >= 0]
            before = [*model.see({"features": data["features"][row : row + 1]})[0]]
            before += [model.context[0], *(words[i] for i in ids["context"]), model.context[1]]
            before += [model.subtitle[0], *(words[i] for i in lines), model.subtitle[1]]
            before += [model.begin[0]]
            for token in ids["text"]:
                logits = language.model(inputs_embeds=torch.stack(before)[None]).logits[0, -1]
                total -= math.log(float(logits.double().softmax(0)[token]))
                tokens += 1
                before.append(words[token])
    loss, logs = model(data)
    assert tokens == 3 + 3 + 3 + 4 + 4  # every description, its full stop and its end
    assert loss.item() == pytest.approx(total / tokens, rel=1e-5)
    assert 0 <= float(logs["tokens"]) <= 1


def test_sequences_are_their_clips(language: LanguageModel) -> None:
    data = batch(language)
    model = made(language).eval()
    grouped = {k: v.unflatten(0, (2, 2)) for k, v in data.items()}
    torch.testing.assert_close(model(grouped)[0], model(data)[0])
    assert flat(grouped)["features"].shape == (4, 5, 16)


# -- learning --------------------------------------------------------------------------------


def steps(model: AutoAD, data: dict[str, torch.Tensor], count: int, lr: float = 1e-2) -> float:
    learnt = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(learnt, lr)
    model.train()
    for _ in range(count):
        optimiser.zero_grad()
        loss = model(data)[0]
        loss.backward()
        optimiser.step()
    return float(loss.detach())


def test_overfits_a_batch_and_writes_it_back(language: LanguageModel) -> None:
    """The texts to the letter, though the language model has not moved by a bit."""
    before = {k: v.clone() for k, v in language.model.state_dict().items()}
    data = batch(language)
    model = made(language)
    assert steps(model, data, 250) < 0.1
    assert all(torch.equal(v, before[k]) for k, v in language.model.state_dict().items())
    assert not any(name.startswith("reader") for name in model.state_dict())
    lines = [["tom?"], [], ["the ball.", "anna?"], ["runs"]]
    for truth in (TEXTS, ()):  # the oracle's context; and its own
        found = describe_clips(model, language, data["features"], lines, truth)
        assert [one.text for one in found] == [one.context for one in found] == TEXTS


def test_a_language_model_that_learns_is_a_copy(language: LanguageModel) -> None:
    before = {k: v.clone() for k, v in language.model.state_dict().items()}
    data = batch(language)
    tuned = made(language, tuned="here", visual=False, subtitles="none")
    steps(tuned, data, 3)
    own = tuned.reader.model.state_dict()
    assert all(torch.equal(v, before[k]) for k, v in language.model.state_dict().items())
    assert any(not torch.equal(v, before[k]) for k, v in own.items())

    after = made(language, tuned="before")
    seen = made(language, past=0, subtitles="none")
    steps(seen, data, 3)
    for one in (seen, tuned):
        after.start_from(one)
    kept = after.reader.model.state_dict()
    assert all(torch.equal(v, kept[k]) for k, v in own.items())
    torch.testing.assert_close(after.mapping.latents, seen.mapping.latents)
    torch.testing.assert_close(after.context, tuned.context)
    torch.testing.assert_close(after.begin, tuned.begin)  # of the last that was given
    steps(after, data, 3)
    assert all(torch.equal(v, kept[k]) for k, v in after.reader.model.state_dict().items())
    assert not after.reader.model.training
    with pytest.raises(ThesisError, match="set tuned=before"):
        made(language).start_from(tuned)
    with pytest.raises(ThesisError, match="does not fit: take the same language"):
        made(language, latents=4).start_from(seen)


def test_capdec_learns_from_sentences_and_looks_at_frames(language: LanguageModel) -> None:
    data = batch(language)
    model = made(language, learns_from="sentence", past=0, subtitles="none")
    drawn = [model.train().see(data) for _ in range(2)]
    assert not torch.equal(*drawn)
    still = made(language, learns_from="sentence", noise=0.0).train()
    torch.testing.assert_close(
        still.see(data), still.see(data | {"features": torch.zeros(4, 1, 16)})
    )
    torch.testing.assert_close(  # their length says nothing
        still.see(data), still.see(data | {"sentence": 7 * data["sentence"]}), atol=1e-4, rtol=1e-4
    )
    still.eval()
    one = data["features"][:, :1]
    torch.testing.assert_close(
        still.see({"features": one}), still.see({"features": 3 * one.expand(-1, 4, -1)}),
        atol=1e-4, rtol=1e-4,
    )  # fmt: skip


def test_settings_that_cannot_be_are_refused(language: LanguageModel) -> None:
    with pytest.raises(ThesisError, match="order=visual,visual,context must name each of"):
        replace(TINY, order=("visual", "visual", "context"))
    with pytest.raises(ThesisError, match="frames=9 is more than places=8"):
        replace(TINY, frames=9)
    model = made(language)
    with pytest.raises(ThesisError, match="9 frames cannot be mapped: give 1 to 8"):
        model.see({"features": torch.zeros(1, 9, 16)})
    with pytest.raises(ThesisError, match="17 numbers and the mapping network reads 16"):
        model.see({"features": torch.zeros(1, 5, 17)})
    assert AutoADConfig.preset("as_released").decoding.stop == "end"
    assert AutoADConfig.preset("paper").decoding == Decoding()


def test_special_tokens_can_begin_as_words(language: LanguageModel) -> None:
    model, words = made(language), language.model.transformer.wte.weight
    drawn = model.project.weight.detach().clone()
    model.start_as_words(language.end, language.full_stop)
    for pair in (model.context, model.subtitle):
        torch.testing.assert_close(pair.detach(), words[:2])
    torch.testing.assert_close(model.begin.detach(), words[1:2])
    torch.testing.assert_close(model.project.weight.detach(), drawn * words.std())
    loss, _ = model(batch(language))
    loss.backward()  # they learn, and the words stay
    assert model.begin.grad is not None and words.grad is None
