"""Greedy and beam search against naive ones, an exhaustive one, and transformers'."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

from methods.writing import little
from thesislib.language.generation import Written, generate
from thesislib.methods.autoad_config import Decoding
from thesislib.nn.reader import Reader

PLAIN = Decoding(beams=1, new_tokens=5, penalty=1.0, no_repeat=0)
LETTERS = ("<|endoftext|>", "a", "b", "c")
LANGUAGE = little(LETTERS, width=16)
READER = Reader(LANGUAGE.model)


def prompts(rows: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors of three prompts, of which the first two are padded in the middle and in front."""
    torch.manual_seed(5)
    mask = torch.ones(rows, 6, dtype=torch.bool)
    mask[0, 2:4] = False
    mask[1, 0] = False
    return 2 * torch.randn(rows, 6, 16), mask


def log_probabilities(vectors: torch.Tensor, ids: list[int]) -> torch.Tensor:
    """Of the next token after a prompt ``(n, W)`` without padding and ``ids``."""
    words = LANGUAGE.model.transformer.wte(torch.tensor(ids, dtype=torch.long))
    read = LANGUAGE.model(inputs_embeds=torch.cat([vectors, words])[None])
    return read.logits[0, -1].log_softmax(0)


def changed(new: torch.Tensor, ids: list[int], before: list[int], rules: Decoding) -> list[float]:
    """The rules of repetition, token by token."""
    values = new.tolist()
    whole = before * rules.context_counts + ids
    size = rules.no_repeat
    seen = {tuple(whole[i : i + size]) for i in range(len(whole) - size + 1)} if size else set()
    for token in range(len(values)):
        if token in ids:
            values[token] *= rules.penalty
        if size and (*whole[len(whole) - size + 1 :], token) in seen:
            values[token] = -float("inf")
    return values


def naive(
    vectors: torch.Tensor, rules: Decoding, stop: set[int], before: list[int] = ()
) -> list[Written]:
    """Beam search over lists, without a cache."""
    beams: list[tuple[list[int], float]] = [([], 0.0)]
    for _ in range(rules.new_tokens):
        candidates = []
        for ids, total in beams:
            if ids and ids[-1] in stop:
                candidates.append((ids, total))
                continue
            values = changed(log_probabilities(vectors, ids), ids, list(before), rules)
            possible = [(t, v) for t, v in enumerate(values) if v > -float("inf")]
            candidates += [([*ids, t], total + v) for t, v in possible]
        candidates.sort(key=lambda one: -one[1] / len(one[0]))
        beams = candidates[: rules.beams]
    return [Written(ids, total / len(ids)) for ids, total in beams]


def same(found: list[Written], expected: list[Written]) -> None:
    assert [one.ids for one in found] == [one.ids for one in expected]
    assert [one.score for one in found] == pytest.approx([one.score for one in expected], abs=1e-5)


RULES = [
    PLAIN,
    replace(PLAIN, penalty=1.5, new_tokens=7),
    replace(PLAIN, no_repeat=2, new_tokens=9),
    replace(PLAIN, beams=3),
    Decoding(beams=5, new_tokens=8, penalty=1.2, no_repeat=3),
    Decoding(beams=4, new_tokens=8, penalty=1.2, no_repeat=2, context_counts=False),
    Decoding(beams=2, new_tokens=8, penalty=2.0, no_repeat=1),
]


@pytest.mark.parametrize("rules", RULES, ids=str)
@pytest.mark.parametrize("stop", [{0}, {0, 3}, {99}], ids=str)
def test_search_is_that_of_a_naive_loop(rules: Decoding, stop: set[int]) -> None:
    vectors, mask = prompts()
    before = [[1, 2, 3, 1, 2], [3, 3, 1], []]
    if rules.no_repeat == 1:  # of four tokens none would be left
        rules, before = replace(rules, new_tokens=2), [[1], [3], []]
    with torch.no_grad():
        found = generate(READER, vectors, mask, rules, stop, before)
        for row, history in enumerate(before):
            same(found[row], naive(vectors[row, mask[row]], rules, stop, history))


def test_wide_beams_find_the_best_of_all_texts() -> None:
    """Every text of up to three tokens, by hand."""
    vectors, mask = prompts()
    rules = replace(PLAIN, beams=64, new_tokens=3)
    with torch.no_grad():
        found = generate(READER, vectors, mask, rules, {0})
        for row in range(3):
            prompt, scores = vectors[row, mask[row]], {}
            for ids in itertools.product(range(4), repeat=3):
                text = list(ids[: ids.index(0) + 1] if 0 in ids else ids)
                steps = [float(log_probabilities(prompt, text[:i])[t]) for i, t in enumerate(text)]
                scores[tuple(text)] = sum(steps) / len(steps)
            best = max(scores, key=lambda text: scores[text])
            assert tuple(found[row][0].ids) == best
            assert found[row][0].score == pytest.approx(scores[best], abs=1e-5)


@pytest.mark.parametrize("no_repeat", [0, 2])
def test_greedy_is_transformers(no_repeat: int) -> None:
    vectors, mask = prompts()
    whole = ~mask
    rules = replace(PLAIN, new_tokens=8, no_repeat=no_repeat)
    found = generate(READER, vectors, mask, rules, {0})
    for row in range(3):
        alone = vectors[row, ~whole[row]][None]
        theirs = LANGUAGE.model.generate(
            inputs_embeds=alone, attention_mask=torch.ones(alone.shape[:2], dtype=torch.long),
            do_sample=False, max_new_tokens=8, no_repeat_ngram_size=no_repeat, pad_token_id=0,
        )  # fmt: skip
        assert found[row][0].ids == theirs[0].tolist()


def test_beams_of_one_length_are_transformers() -> None:
    """Where nothing ends early, the mean and the sum rank alike."""
    vectors, mask = prompts()
    found = generate(READER, vectors, mask, replace(PLAIN, beams=4, new_tokens=6), {99})
    for row in range(3):
        alone = vectors[row, mask[row]][None]
        theirs = LANGUAGE.model.generate(
            inputs_embeds=alone, attention_mask=torch.ones(alone.shape[:2], dtype=torch.long),
            do_sample=False, num_beams=4, num_return_sequences=4, max_new_tokens=6,
            eos_token_id=99, pad_token_id=0, length_penalty=1.0, output_scores=True,
            return_dict_in_generate=True,
        )  # fmt: skip
        assert [one.ids for one in found[row]] == theirs.sequences.tolist()
        scores = [one.score for one in found[row]]
        assert scores == pytest.approx(theirs.sequences_scores.tolist(), abs=1e-5)


def test_a_prompt_alone_is_written_like_one_of_many() -> None:
    vectors, mask = prompts()
    rules = Decoding(beams=3, new_tokens=6)
    together = generate(READER, vectors, mask, rules, {0})
    for row in range(3):
        one = slice(row, row + 1)
        same(generate(READER, vectors[one], mask[one], rules, {0})[0], together[row])
    assert generate(READER, vectors[:0], mask[:0], rules, {0}) == []
