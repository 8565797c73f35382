"""When cues are seen, by scores of their sentences: against loops, and at the borders."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thesislib.errors import ThesisError
from thesislib.subtitles import Cue, Sentence, Sentences
from thesislib.subtitles.placing import place_cues


def sentences(*rows: tuple[float, float, tuple[int, ...]]) -> Sentences:
    return Sentences(tuple(Sentence(a, b, "x", cues) for a, b, cues in rows), len(rows), {}, True)


def cue(number: int) -> Cue:
    return Cue(0.0, 1.0, "x", "x", number)


def slow(row: np.ndarray, start: float, end: float, rate: float, prior: float, shift: float):
    """The best window by loops; ties go to the nearer, then to the earlier."""
    length = min(max(round((end - start) * rate), math.ceil(rate)), len(row))
    best = None
    for first in range(len(row) - length + 1):
        part = [float(x) for x in row[first : first + length]]
        away = abs((first + length / 2) / rate - (start + end) / 2)
        if min(part) < -1e4 or away > shift:
            continue
        mean = sum(part) / length
        key = (round(mean - prior * away, 9), -away, -first)
        if best is None or key > best[0]:
            best = (key, first / rate, (first + length) / rate, mean)
    return best and best[1:]


@pytest.mark.parametrize("seed", range(20))
def test_loops_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    seconds, rate = int(rng.integers(1, 40)), float(rng.choice([0.5, 1.0, 2.0]))
    prior, shift = float(rng.choice([0.0, 0.003, 0.1])), float(rng.choice([3.0, 10.0, 1e9]))
    scores = rng.normal(size=(6, seconds)).round(1)  # with ties
    scores[rng.random(scores.shape) < 0.1] = -6e4
    starts = rng.uniform(0, seconds / rate, 6)
    said = sentences(
        *((float(a), float(a + rng.uniform(0, 8)), (i,)) for i, a in enumerate(starts))
    )
    found = place_cues(
        [cue(i) for i in range(6)], said, scores, rate=rate, prior=prior, max_shift=shift
    )
    for one, row, aligned in zip(said.sentences, scores, found, strict=True):
        expected = slow(row, one.start, one.end, rate, prior, shift)
        assert aligned.alignable == (expected is not None)
        if expected is None:
            assert math.isnan(aligned.score) and math.isnan(aligned.start)
        else:
            assert (aligned.start, aligned.end, aligned.score) == pytest.approx(expected, abs=1e-9)


def test_prior_shift_and_least_score() -> None:
    scores = np.zeros((1, 100))
    scores[0, 80:83], scores[0, 20:23] = 0.5, 0.4
    said = sentences((18.0, 21.0, (1,)))

    def seen(**options: float) -> tuple[float, float, float, bool]:
        (one,) = place_cues([cue(1)], said, scores, **options)
        return one.start, one.end, round(one.score, 6), one.alignable

    assert seen(prior=0.0) == (80.0, 83.0, 0.5, True)
    assert seen() == (20.0, 23.0, 0.4, True)  # 60 seconds cost .18
    assert seen(prior=0.0, max_shift=10) == (20.0, 23.0, 0.4, True)
    assert seen(prior=0.0, min_score=0.5)[3]
    start, end, score, alignable = seen(min_score=0.45)
    assert math.isnan(start) and math.isnan(end) and score == 0.4 and not alignable


def test_a_cue_takes_its_best_sentence_and_none_is_lost() -> None:
    scores = np.array([[0.1, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.9]])
    said = sentences((0.0, 1.0, (1, 2)), (1.0, 2.0, (2,)))
    found = place_cues([cue(3), cue(2), cue(1)], said, scores)
    assert [one.cue.number for one in found] == [3, 2, 1]
    assert [one.start for one in found[1:]] == [3.0, 0.0]
    assert not found[0].alignable and math.isnan(found[0].score)  # a cue of sounds, say


def test_bad_input() -> None:
    said = sentences((0.0, 1.0, (1,)))
    for shape in ((2, 5), (1, 0), (1,)):
        with pytest.raises(ThesisError, match="1 sentences need scores"):
            place_cues([cue(1)], said, np.zeros(shape))
    with pytest.raises(ThesisError, match="are NaN"):
        place_cues([cue(1)], said, np.full((1, 5), np.nan))
    for wrong in ({"rate": 0.0}, {"prior": -1.0}, {"max_shift": -1.0}, {"rate": math.nan}):
        with pytest.raises(ThesisError, match="give positive ones"):
            place_cues([cue(1)], said, np.zeros((1, 5)), **wrong)
