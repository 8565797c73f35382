"""From gaps to clips, and from what was written of clips to cues that fit their gaps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from thesislib.data.anonymise import SOMEONE, anonymise, names_in
from thesislib.descriptions.checking import words
from thesislib.descriptions.gaps import MIN_GAP, Span
from thesislib.descriptions.names import (
    first_heard,
    introduces,
    likely_names,
    sentence_key,
    sentences_of,
    whole_names,
)
from thesislib.fields import NonNegative, Positive, settle
from thesislib.subtitles.cues import Cue

SPOKEN, EXTENDED, SILENT = "spoken", "extended", "silent"
UNKNOWN = f'names that nobody knows yet are "{SOMEONE}"'
AGAIN = "what was said before is left out"
LONG = "what does not fit the gap is left out"


@dataclass(frozen=True)
class Pace:
    """How descriptions are fitted in.

    Attributes:
        rate: Words a second.
        min_gap: Seconds without dialogue that are worth describing.
        lead: Seconds of a gap that are left free before its first cue.
        tail: Seconds that are left free before the dialogue goes on.
        longest: Seconds of film that one cue describes, at most.
        extended: Keep cues that are longer than their gap, for players that stop the film.
    """

    rate: Positive = 3.5
    min_gap: NonNegative = MIN_GAP
    lead: NonNegative = 0.2
    tail: NonNegative = 0.2
    longest: Positive = 6.0
    extended: bool = False

    def __post_init__(self) -> None:
        settle(self)

    def seconds(self, text: str) -> float:
        """How long it takes to speak a text."""
        return words(text) / self.rate


class Described(NamedTuple):
    """A clip and what is said of it.

    Its fields:

    - ``start``: Of the clip and of its cue, seconds.
    - ``end``: Of the clip.
    - ``text``: What is spoken; "" where nothing is.
    - ``until``: When the cue ends.
    - ``kind``: ``spoken``, ``extended`` (the film has to stop for it) or ``silent``.
    - ``written``: All that was written of the clip.
    - ``note``: What was done to it; or "".
    """

    start: float
    end: float
    text: str
    until: float
    kind: str
    written: str
    note: str


def clips_in(gaps: Sequence[Span], pace: Pace) -> list[Span]:
    """The parts of gaps that can be described, each a clip: as few of one length as may be.

    Args:
        gaps: See :func:`~thesislib.descriptions.gaps.gaps_between`.
        pace: Says what is left free, and how long a clip may be.
    """
    out = []
    for gap in gaps:
        start, end = gap.start + pace.lead, gap.end - pace.tail
        if end <= start:
            continue
        parts = math.ceil((end - start) / pace.longest)
        edges = [start + (end - start) * i / parts for i in range(parts + 1)]
        out += [Span(a, b) for a, b in itertools.pairwise(edges)]
    return out


def fitted(
    clips: Sequence[Span],
    texts: Sequence[str],
    pace: Pace,
    dialogue: Sequence[Cue] = (),
    cast: Sequence[str] = (),
) -> list[Described]:
    """Cues from what was written of clips.

    A name that nobody has said yet, nor an earlier cue introduced, becomes "someone". A sentence
    that was there before is not said again. Of the others those are spoken, from the first on, that
    fit the clip; nothing is cut within a sentence.

    Args:
        clips: In order, see :func:`clips_in`.
        texts: What was written of each.
        pace: The speed, and whether what does not fit is kept.
        dialogue: What is spoken.
        cast: Names; besides those that texts and dialogue show to be names.

    Returns:
        One for each clip.
    """
    found = likely_names([*texts, *(line.text for line in dialogue)])
    names, known = set(whole_names([*cast, *found])), set[str]()
    heard = {name: first_heard(name, dialogue) for name in names}
    said: set[tuple[str, ...]] = set()
    out = []
    for clip, text in zip(clips, texts, strict=True):
        flat = " ".join(text.split())
        known |= {name for name, start in heard.items() if start < clip.start}
        told = {name for name in names - known if introduces(name, flat)}
        hidden = anonymise(flat, names - known - told)
        notes = [UNKNOWN] if hidden != flat else []
        new = _unsaid(hidden, said, notes)
        kept = new if pace.extended else _fitting(new, clip, pace, notes)
        said |= {sentence_key(sentence) for sentence in kept}
        known |= {*names_in(" ".join(kept), told)}
        out.append(_described(clip, " ".join(kept), flat, pace, notes))
    return out


def _unsaid(text: str, said: Set[tuple[str, ...]], notes: list[str]) -> list[str]:
    """The sentences of a text that were not there before."""
    new: dict[tuple[str, ...], str] = {}
    every = [one for one in sentences_of(text) if sentence_key(one)]
    for sentence in every:
        if sentence_key(sentence) not in said:
            new.setdefault(sentence_key(sentence), sentence)
    if len(new) < len(every):
        notes.append(AGAIN)
    return list(new.values())


def _fitting(sentences: Sequence[str], clip: Span, pace: Pace, notes: list[str]) -> list[str]:
    """The first sentences that can be spoken within a clip."""
    kept = list(sentences)
    while kept and pace.seconds(" ".join(kept)) > clip.seconds:
        kept.pop()
    if len(kept) < len(sentences):
        notes.append(LONG)
    return kept


def _described(clip: Span, text: str, written: str, pace: Pace, notes: Sequence[str]) -> Described:
    until = clip.start + pace.seconds(text)
    kind = SILENT if not text else SPOKEN if until <= clip.end else EXTENDED
    until = min(until, clip.end)
    return Described(clip.start, clip.end, text, until, kind, written, "; ".join(notes))
