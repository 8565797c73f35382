"""When nobody speaks in a film, which is when it can be described."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from thesislib.errors import ThesisError
from thesislib.subtitles.cues import Cue
from thesislib.subtitles.sentences import SOUND

MIN_GAP = 2.0  # seconds: pauses shorter than that may not be usable (WCAG, failure F113)


class Span(NamedTuple):
    """A stretch of a film, seconds from its start; the end is not before the start."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start


def spoken(cues: Iterable[Cue]) -> list[Cue]:
    """Subtitles that somebody speaks: of ``[Music]`` and ``♪`` alone there is nothing to miss."""
    return [cue for cue in cues if any(map(str.isalnum, SOUND.sub("", cue.text)))]


def joined(spans: Iterable[tuple[float, float]]) -> list[Span]:
    """The same stretches in order, those that touch or overlap as one; points are left out."""
    out: list[Span] = []
    for start, end in sorted(span for span in spans if span[1] > span[0]):
        if out and start <= out[-1].end:
            out[-1] = Span(out[-1].start, max(out[-1].end, end))
        else:
            out.append(Span(start, end))
    return out


def gaps_between(
    speech: Iterable[tuple[float, float]], seconds: float, least: float = MIN_GAP
) -> list[Span]:
    """The stretches of a film in which nobody speaks, in order.

    Args:
        speech: When somebody does, in any order.
        seconds: Length of the film.
        least: Length of a gap that is worth naming, seconds.

    Raises:
        ThesisError: A length that is none.
    """
    if not (0 <= least < math.inf and 0 <= seconds < math.inf):
        raise ThesisError(f"A gap of {least} s in a film of {seconds} s: give positive lengths.")
    edges = [Span(0, 0), *joined(speech), Span(seconds, seconds)]
    between = (
        Span(before.end, min(after.start, seconds)) for before, after in itertools.pairwise(edges)
    )
    return [gap for gap in between if gap.seconds > 0 and gap.seconds >= least]


def shared(span: tuple[float, float], others: Sequence[Span]) -> float:
    """Seconds of a stretch that lie in any of others, which are in order as of :func:`joined`."""
    start, end = span
    first = bisect.bisect_right(others, start, key=lambda one: one.end)
    reached = itertools.takewhile(lambda one: one.start < end, others[first:])
    return math.fsum(min(end, b) - max(start, a) for a, b in reached)
