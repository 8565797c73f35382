"""CIDEr, ROUGE-L and BLEU against loops, the public evaluator and its stored numbers."""

from __future__ import annotations

import functools
import json
import math
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from thesislib.errors import ThesisError
from thesislib.evaluation.caption_tokens import tokens
from thesislib.evaluation.captions import bleu, caption_scores, cider, rouge_l
from thesislib.subtitles import read_subtitles

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics"
sys.path.insert(0, str(GOLDEN))
import golden_metrics  # noqa: E402

HUMAN = Path(os.environ.get("THESISLIB_SHARED", "")) / "annotations" / "elephants_dream"
SETS = ("many", "single", "only_p00", "only_p07", "last_twenty")


def corpus(name: str) -> tuple[list[list[str]], list[list[list[str]]], dict[str, Any]]:
    """Words of candidates and references, and what pycocoevalcap 1.2 gave."""
    stored = json.loads((GOLDEN / "A" / "captions.json").read_text())[name]
    references, candidates = golden_metrics.captions("A", single=name == "single")
    ids = stored["ids"]
    truth = [[r.lower().split() for r in references[i]] for i in ids]
    return [candidates[i].lower().split() for i in ids], truth, stored


def test_the_inputs_are_those_of_the_stored_numbers() -> None:
    stored = json.loads((GOLDEN / "A" / "inputs.json").read_text())
    assert golden_metrics.fingerprint("A")["captions"] == stored["captions"]


@pytest.mark.parametrize("name", SETS)
def test_equal_to_what_the_public_evaluator_gave(name: str) -> None:
    written, truth, stored = corpus(name)
    found = {"cider": cider(written, truth), "rouge_l": rouge_l(written, truth)}
    for key, one in found.items():
        assert one.score == pytest.approx(stored[key], abs=1e-9)
        assert one.each == pytest.approx(stored[f"{key}_each"], abs=1e-9)
    scored = bleu(written, truth)
    assert [one.score for one in scored] == pytest.approx(stored["bleu"], abs=1e-9)
    for one, each in zip(scored, stored["bleu_each"], strict=True):
        assert one.each == pytest.approx(each, abs=1e-6)


@pytest.mark.parametrize("name", SETS)
def test_equal_to_the_public_evaluator_itself(name: str) -> None:
    pytest.importorskip("pycocoevalcap.cider.cider")
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    written, truth, _ = corpus(name)
    gts = {i: [" ".join(r) for r in some] for i, some in enumerate(truth)}
    res = {i: [" ".join(words)] for i, words in enumerate(written)}
    for ours, theirs in ((cider, Cider), (rouge_l, Rouge)):
        score, each = theirs().compute_score(gts, res)
        assert ours(written, truth).score == pytest.approx(score, abs=1e-9)
        assert ours(written, truth).each == pytest.approx(list(each), abs=1e-9)
    score, each = Bleu(4).compute_score(gts, res, verbose=0)
    assert [one.score for one in bleu(written, truth)] == pytest.approx(score, abs=1e-9)


def test_cider_and_rouge_by_loops() -> None:
    written, truth, _ = corpus("many")

    def grams(words: list[str], n: int) -> list[tuple[str, ...]]:
        return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]

    def vector(words: list[str], n: int) -> dict[tuple[str, ...], float]:
        out = {}
        for gram in set(grams(words, n)):
            holding = sum(any(gram in grams(r, n) for r in some) for some in truth)
            rarity = math.log(len(truth)) - math.log(max(1, holding))
            out[gram] = grams(words, n).count(gram) * rarity
        return out

    def lcs(a: list[str], b: list[str]) -> int:
        @functools.cache
        def best(i: int, j: int) -> int:
            if i == len(a) or j == len(b):
                return 0
            here = 1 + best(i + 1, j + 1) if a[i] == b[j] else 0
            return max(here, best(i + 1, j), best(i, j + 1))

        return best(0, 0)

    for i in (0, 1, 5, 6, 9, 20):
        total = 0.0
        for reference in truth[i]:
            for n in (1, 2, 3, 4):
                a, b = vector(written[i], n), vector(reference, n)
                dot = sum(min(a.get(g, 0), b[g]) * b[g] for g in b)
                size = math.hypot(*a.values()) * math.hypot(*b.values())
                off = len(written[i]) - len(reference)
                total += (dot / size if size else 0) * math.exp(-(off**2) / 72)
        assert cider(written, truth).each[i] == pytest.approx(10 * total / 4 / len(truth[i]))
        p = max(lcs(written[i], r) / len(written[i]) for r in truth[i])
        r = max(lcs(written[i], r) / len(r) for r in truth[i])
        f = 2.44 * p * r / (r + 1.44 * p) if p and r else 0
        assert rouge_l(written, truth).each[i] == pytest.approx(f)


# What CoreNLP 3.4.1 makes of them, as pycocoevalcap calls it.
CUT = {
    "The birds don't stop, Tom's phone rings!": "the birds do n't stop tom 's phone rings",
    "Mr. Smith doesn't know. They're gonna go!": "mr. smith does n't know they 're gon na go",
    "He can't; I'd've cannot": "he ca n't i 'd 've can not",
    "At 7:30 he's 3.5 m from the U.S. border, 10,000 miles. 1980s 21st":
        "at 7:30 he 's 3.5 m from the u.s. border 10,000 miles 1980s 21st",
    "A half-open door--slams... (loudly)": "a half-open door slams -lrb- loudly -rrb-",
    "the dogs' bowl; \"well\", she said - 'no'.": "the dogs bowl well she said no",
    "Tired?!? No.": "tired ?!? no",
    "Tom’s “home”, his/hers": "tom 's home his/hers",
    "": "",
}  # fmt: skip


@pytest.mark.parametrize("text", CUT)
def test_words_as_the_penn_treebank_cuts_them(text: str) -> None:
    assert " ".join(tokens(text)) == CUT[text]


@pytest.mark.golden
@pytest.mark.skipif(shutil.which("java") is None, reason="Java is not here")
def test_words_as_the_java_program_cuts_them() -> None:
    pytest.importorskip("pycocoevalcap.tokenizer.ptbtokenizer")
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    texts = [text for text in CUT if text]
    for name in ("descriptions", "captions") if HUMAN.is_dir() else ():
        read = read_subtitles(HUMAN / f"{name}.en.vtt")
        texts += [" ".join(cue.text.split()) for cue in read.cues]
    cut = PTBTokenizer().tokenize({i: [{"caption": text}] for i, text in enumerate(texts)})
    assert [" ".join(tokens(text)) for text in texts] == [cut[i][0] for i in range(len(texts))]


def test_scores_of_texts() -> None:
    truth = [
        ["Anna waves to Tom."],
        ["Tom doesn't move.", "Tom stands still."],
        ["A red ball rolls."],
    ]
    scores = caption_scores(["anna WAVES to tom", "Tom stands.", "It rains."], truth)
    assert scores.metrics["rouge_l"] == pytest.approx(sum(scores.items["rouge_l"]) / 3)
    assert scores.items["rouge_l"][0] == pytest.approx(1)
    assert scores.items["bleu_2"][0] == pytest.approx(1)
    assert scores.items["cider"][0] > scores.items["cider"][1] > scores.items["cider"][2] == 0
    assert set(scores.metrics) == {"cider", "rouge_l", "bleu_1", "bleu_2", "bleu_3", "bleu_4"}
    with pytest.raises(ThesisError, match="of one clip it is always 0"):
        caption_scores(["Anna waves."], [["Anna waves."]])
    assert caption_scores(["a b"], [["a b"]], ("rouge_l",)).metrics == {"rouge_l": 1.0}
    with pytest.raises(ThesisError, match="2 texts and references for 2 clips, 1 of them without"):
        caption_scores(["a", "b"], [["a"], []])
