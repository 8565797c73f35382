"""How well texts describe what others have described: CIDEr, ROUGE-L, BLEU (thesis 8.6, Table 8.2).

Each equals the public evaluator pycocoevalcap, of 104 MB, which needs Java to cut texts into words.
Scores are as it gives them; the thesis prints CIDEr, ROUGE-L and BLEU times 100. One value a clip
is kept, so that two systems can be compared over clips or films.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from thesislib.errors import ThesisError
from thesislib.evaluation.caption_tokens import tokens
from thesislib.evaluation.scores import Scores

ORDERS = 4  # n-grams of one to four words
SIGMA = 6.0  # of CIDEr's penalty for other lengths
BETA = 1.2  # of ROUGE-L: how much more recall counts than precision
METRICS = ("cider", "rouge_l", "bleu")
_TINY, _SMALL = 1e-15, 1e-9  # the public evaluator's guards of BLEU

Words = Sequence[str]
NGram = tuple[str, ...]


class Scored(NamedTuple):
    """A score of all texts, and of each; the first need not be the mean of the others."""

    score: float
    each: list[float]


def caption_scores(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    metrics: Sequence[str] = METRICS,
) -> Scores:
    """CIDEr, ROUGE-L and BLEU of texts.

    Args:
        candidates: What was written, one for each of N clips.
        references: The true descriptions of each clip, one or more.
        metrics: Some of ``METRICS``.

    Returns:
        ``cider``, ``rouge_l`` and ``bleu_1`` to ``bleu_4``, each with one item a clip.

    Raises:
        ThesisError: Lengths differ, a clip has no reference; or CIDEr of one clip, which is 0
            whatever was written.
    """
    if len(candidates) == 1 and "cider" in metrics:
        raise ThesisError(
            "CIDEr weighs words by how few clips have them, so that of one clip it is always 0: "
            f"give more clips, or leave it out with metrics={tuple(set(metrics) - {'cider'})}."
        )
    found: dict[str, Scored] = {}
    written, truth = tokenized(candidates, references)
    if "cider" in metrics:
        found["cider"] = cider(written, truth)
    if "rouge_l" in metrics:
        found["rouge_l"] = rouge_l(written, truth)
    if "bleu" in metrics:
        found |= {f"bleu_{n}": one for n, one in enumerate(bleu(written, truth), 1)}
    return Scores(
        metrics={name: one.score for name, one in found.items()},
        items={name: one.each for name, one in found.items()},
        counts={"evaluated": len(candidates), "skipped": 0},
    )


def tokenized(
    candidates: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[list[list[str]], list[list[list[str]]]]:
    """Both as :func:`~thesislib.evaluation.caption_tokens.tokens`.

    Raises:
        ThesisError: Lengths differ, there is nothing, or a clip has no reference.
    """
    if len(candidates) != len(references) or not candidates or not all(references):
        empty = sum(not some for some in references)
        raise ThesisError(
            f"There are {len(candidates)} texts and references for {len(references)} clips, "
            f"{empty} of them without one: give one text and one reference or more for each clip."
        )
    return [tokens(c) for c in candidates], [[tokens(r) for r in some] for some in references]


def cider(candidates: Sequence[Words], references: Sequence[Sequence[Words]]) -> Scored:
    """CIDEr-D (Vedantam et al., CVPR 2015): how alike n-grams are, the rare ones above all.

    An n-gram weighs ``log(N / clips whose references hold it)``. Hence the score of a part of the
    clips is not the mean of their scores in the whole, and that of one clip is 0.

    Args:
        candidates: Words of each of N texts.
        references: Words of each reference of each clip.

    Returns:
        Between 0 and 10; the mean.
    """
    frequency: Counter[NGram] = Counter()
    for some in references:
        frequency.update({gram for words in some for gram in _grams(words)})
    rarest = math.log(len(references))
    each = []
    for words, some in zip(candidates, references, strict=True):
        mine = _weighted(words, frequency, rarest)
        alike = sum(_similarity(mine, _weighted(r, frequency, rarest)) for r in some)
        each.append(10 * alike / (ORDERS * len(some)))
    return Scored(sum(each) / len(each), each)


class _Vector(NamedTuple):
    weights: list[dict[NGram, float]]  # for each n
    norms: list[float]
    length: int


def _weighted(words: Words, frequency: Counter[NGram], rarest: float) -> _Vector:
    weights: list[dict[NGram, float]] = [{} for _ in range(ORDERS)]
    for gram, count in _grams(words).items():
        rarity = rarest - math.log(max(1, frequency[gram]))
        weights[len(gram) - 1][gram] = count * rarity
    norms = [math.sqrt(sum(w * w for w in one.values())) for one in weights]
    return _Vector(weights, norms, max(len(words) - 1, 0))  # in pairs of words, as the evaluator


def _similarity(mine: _Vector, other: _Vector) -> float:
    """Summed over n: cosines of clipped weights, less for another length."""
    total = 0.0
    for w, v, a, b in zip(mine.weights, other.weights, mine.norms, other.norms, strict=True):
        dot = sum(min(weight, v[gram]) * v[gram] for gram, weight in w.items() if gram in v)
        total += dot / (a * b) if a and b else dot
    return total * math.exp(-((mine.length - other.length) ** 2) / (2 * SIGMA**2))


def rouge_l(candidates: Sequence[Words], references: Sequence[Sequence[Words]]) -> Scored:
    """ROUGE-L: F-measure (beta 1.2) of the longest common subsequence.

    Precision and recall are each those of the best reference for it.

    Args:
        candidates: Words of each of N texts.
        references: Words of each reference of each clip.

    Returns:
        Between 0 and 1; the mean.
    """
    each = []
    for words, some in zip(candidates, references, strict=True):
        common = [_common(words, other) for other in some]
        precision = max(common) / max(len(words), 1)
        recall = max(n / max(len(other), 1) for n, other in zip(common, some, strict=True))
        below = recall + BETA**2 * precision
        each.append((1 + BETA**2) * precision * recall / below if precision and recall else 0.0)
    return Scored(sum(each) / len(each), each)


def _common(a: Words, b: Words) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for word in a:
        before = 0  # the entry one up and one left
        for j, other in enumerate(b, 1):
            before, row[j] = row[j], before + 1 if word == other else max(row[j], row[j - 1])
    return row[-1]


def bleu(candidates: Sequence[Words], references: Sequence[Sequence[Words]]) -> list[Scored]:
    """BLEU-1 to BLEU-4: n-grams that a reference has too, less for texts that are too short.

    Of all texts: counts are added up before they are divided. The length that a text is held
    against is that of the reference nearest to it, the shorter of two.

    Args:
        candidates: Words of each of N texts.
        references: Words of each reference of each clip.

    Returns:
        Four, each between 0 and 1.
    """
    hits, guesses = [0] * ORDERS, [0] * ORDERS
    length = wanted = 0
    each: list[list[float]] = [[] for _ in range(ORDERS)]
    for words, some in zip(candidates, references, strict=True):
        most: Counter[NGram] = Counter()
        for other in some:
            most |= _grams(other)
        found = _grams(words) & most
        right = [sum(k for gram, k in found.items() if len(gram) == n + 1) for n in range(ORDERS)]
        asked = [max(0, len(words) - n) for n in range(ORDERS)]
        near = min((abs(len(other) - len(words)), len(other)) for other in some)[1]
        for n, value in enumerate(_bleu(right, asked, len(words), near)):
            each[n].append(value)
        hits = [a + b for a, b in zip(hits, right, strict=True)]
        guesses = [a + b for a, b in zip(guesses, asked, strict=True)]
        length, wanted = length + len(words), wanted + near
    return list(map(Scored, _bleu(hits, guesses, length, wanted), each))


def _bleu(hits: Sequence[int], guesses: Sequence[int], length: int, wanted: int) -> list[float]:
    ratio = (length + _TINY) / (wanted + _SMALL)
    short = math.exp(1 - 1 / ratio) if ratio < 1 and length else 0.0 if not length else 1.0
    product, out = 1.0, []
    for n, (hit, guess) in enumerate(zip(hits, guesses, strict=True), 1):
        product *= (hit + _TINY) / (guess + _SMALL)
        out.append(short * product ** (1 / n))
    return out


def _grams(words: Words) -> Counter[NGram]:
    return Counter(
        tuple(words[i : i + n]) for n in range(1, ORDERS + 1) for i in range(len(words) - n + 1)
    )
