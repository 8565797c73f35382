"""From scores of sentences over the seconds of a video to when each cue is seen.

Whatever scores them: a network (thesis 7.2), or anything that says how well a sentence fits a
second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from thesislib.errors import ThesisError
from thesislib.subtitles.aligned import Aligned
from thesislib.subtitles.cues import UNKNOWN, Cue
from thesislib.subtitles.sentences import Sentences

PRIOR = 0.003  # of a cosine, for each second away from the time of speech
LEAST = -1e4  # scores below are of seconds that a sentence was never compared with


def place_cues(
    cues: Sequence[Cue],
    said: Sentences,
    scores: NDArray[np.floating],
    *,
    rate: float = 1.0,
    prior: float = PRIOR,
    max_shift: float | None = None,
    min_score: float | None = None,
    alignable: NDArray[np.bool_] | None = None,
) -> list[Aligned]:
    """When each cue is seen: as long as its sentence lasts, where that fits best.

    As in the second stage of training (thesis 7.2.3), a window of the sentence's own length, at
    least a second, slides over its scores; the best mean wins, less ``prior`` for each second
    between the middles of what is seen and what is heard. Of ties the one nearer to the speech
    wins, then the earlier. A cue that several sentences come from takes the one that scores most.

    Args:
        cues: As they were read.
        said: Their sentences, S of them.
        scores: (S, T), cosines or the like; one column each 1 / ``rate`` seconds. Below -10,000:
            never compared.
        rate: Columns a second.
        prior: Pull towards the time of speech; 0: none.
        max_shift: Seconds that a middle may be away from it; default: any.
        min_score: A window's mean must reach it, without the prior; a wrong time is worse than
            none. Default: anything.
        alignable: (S,): sentences that are not are not seen, however they score. Default: all are.

    Returns:
        One for each cue, in their order. The score is the window's mean; NaN for a cue without a
        sentence, or whose sentence was compared with no second in reach.

    Raises:
        ThesisError: Other shapes, scores that are NaN, or a rate, prior or shift that is none.
    """
    if scores.shape[:1] != (len(said.sentences),) or scores.ndim != 2 or not scores.shape[1]:
        raise ThesisError(
            f"{len(said.sentences)} sentences need scores of as many rows over at least one "
            f"second, and these have the shape {scores.shape}."
        )
    if np.isnan(scores).any():
        raise ThesisError("Scores of sentences are NaN: look to the features and the network.")
    if not (0 < rate < math.inf and 0 <= prior < math.inf and (max_shift or 0) >= 0):
        raise ThesisError(f"rate={rate}, prior={prior}, max_shift={max_shift}: give positive ones.")
    places = [
        best_place(row, one.start, one.end, rate=rate, prior=prior, max_shift=max_shift)
        for row, one in zip(np.asarray(scores, np.float64), said.sentences, strict=True)
    ]
    able = np.ones(len(places), bool) if alignable is None else alignable
    of_cue = said.of_cue()
    result = []
    for cue in cues:
        found = [
            (bool(able[i]), *places[i])
            for i in of_cue.get(cue.number, ())
            if not math.isnan(places[i][2])
        ]
        best = max(found, key=lambda one: (one[0], one[3]), default=(False, *(UNKNOWN,) * 3))
        seen, start, end, score = best
        seen = seen and (min_score is None or score >= min_score)
        result.append(
            Aligned(cue, start, end, score, True)
            if seen
            else Aligned(cue, UNKNOWN, UNKNOWN, score, False)
        )
    return result


def best_place(
    row: NDArray[np.float64],
    start: float,
    end: float,
    *,
    rate: float = 1.0,
    prior: float = PRIOR,
    max_shift: float | None = None,
) -> tuple[float, float, float]:
    """Where one sentence is seen; see :func:`place_cues`.

    Args:
        row: (T,), its scores.
        start: When it is spoken, seconds; NaN: nobody knows. It then lasts a second, and is near
            and far from nothing.
        end: Seconds, not before the start; NaN likewise.
        rate: Columns a second.
        prior: Pull towards the time of speech.
        max_shift: Seconds.

    Returns:
        Start, end and mean score of the best window; NaN where there is none.
    """
    told = not math.isnan(start + end)
    spoken = round((end - start) * rate) if told else 0
    length = int(min(max(spoken, math.ceil(rate)), len(row)))
    sums = np.concatenate([[0.0], np.cumsum(np.where(row < LEAST, 0.0, row))])
    missing = np.concatenate([[0], np.cumsum(row < LEAST)])
    means = (sums[length:] - sums[:-length]) / length
    middle = (start + end) / 2 if told else 0.0
    away = told * np.abs((np.arange(len(means)) + length / 2) / rate - middle)
    allowed = missing[length:] == missing[:-length]
    if max_shift is not None:
        allowed &= away <= max_shift
    if not allowed.any():
        return UNKNOWN, UNKNOWN, UNKNOWN
    worth = np.where(allowed, np.round(means - prior * away, 9), -np.inf)
    ties = np.flatnonzero(worth == worth.max())
    first = int(ties[away[ties].argmin()])
    return first / rate, (first + length) / rate, float(means[first])
