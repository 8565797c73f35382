"""What a track of descriptions is worth, a human's or a model's, without a look at the film."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from thesislib.descriptions.gaps import MIN_GAP, Span, gaps_between, joined, shared, spoken
from thesislib.descriptions.names import first_uses, sentence_key, sentences_of
from thesislib.fields import NonNegative, Positive, Share, settle
from thesislib.subtitles.cues import Cue, Subtitles, listed

FASTEST = 5.3  # words a second: 95 of 100 cues of AD on television are slower
TOLERANCE = 0.1
HEARD = 0.5  # seconds of a cue in a gap that fill it
SLACK = 0.5  # seconds: lengths of films are rounded, and so are times over dialogue
NO_DIALOGUE = (
    "No dialogue is known: what lies over it, and which gaps are filled, is not judged. Name the "
    "subtitles, or the film that they lie beside."
)
NO_END = "No film is known: whether a cue lies beyond its end is not judged."

# Repairs of the reader that say that a track is broken.
BROKEN = {
    "no time": "without a time that can be read",
    "no end": "without an end",
    "reversed": "that end before they begin",
    "negative": "that begin before 0 s",
    "unordered": "out of order",
}


@dataclass(frozen=True)
class Limits:
    """What is asked of a track.

    Attributes:
        rate: Words a second above which a cue is too fast.
        min_gap: Seconds without dialogue that can be described.
        tolerance: What a good track may have too much of: the share of its time that lies over
            dialogue, of its cues that are too fast, of its sentences that were there before.
    """

    rate: Positive = FASTEST
    min_gap: NonNegative = MIN_GAP
    tolerance: Share = TOLERANCE

    def __post_init__(self) -> None:
        settle(self)


class Finding(NamedTuple):
    """Something that is wrong with a track.

    Its fields:

    - ``kind``: ``dialogue``, ``fast``, ``repeated``, ``names``, ``gaps``, ``overlapping``, ``end``,
      ``empty``, or a repair of the reader.
    - ``fails``: Whether a track that has it fails; else it is a warning.
    - ``cues``: Their numbers in the file.
    - ``text``: A sentence for people.
    """

    kind: str
    fails: bool
    cues: tuple[int, ...]
    text: str


@dataclass(frozen=True)
class Report:
    """All that was found.

    Attributes:
        cues: How many.
        words_per_second: Of the cue in the middle, by speed.
        over_dialogue: Share of the cues' time that lies over dialogue; ``None``: not known.
        gaps: Usable gaps, and how many of them a cue fills; ``None``: not known.
        gaps_filled: Likewise.
        repeated: Share of the sentences that were there before.
        findings: What is wrong, failures first.
        notes: What could not be judged.
    """

    cues: int
    words_per_second: float
    over_dialogue: float | None
    gaps: int | None
    gaps_filled: int | None
    repeated: float
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing fails."""
        return not any(one.fails for one in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        rows = [one._asdict() | {"cues": list(one.cues)} for one in self.findings]
        return {"passed": self.passed, **asdict(self), "findings": rows, "notes": list(self.notes)}


def check_track(
    track: Subtitles,
    dialogue: Sequence[Cue] | None = None,
    seconds: float | None = None,
    limits: Limits = Limits(),  # frozen
    cast: Sequence[str] = (),
) -> Report:
    """Judges a track of descriptions by itself, and by when the film speaks.

    It fails where more of its time than the tolerance lies over dialogue, more of its cues are too
    fast or more of its sentences repeat an earlier one; where cues are out of order, overlap one
    another, end after the film or have no time. The rest are warnings: single cues that are too
    fast or speak over dialogue, gaps left empty, names before their introduction, no text.

    Args:
        track: As :func:`~thesislib.subtitles.read_subtitles` reads it without a duration.
        dialogue: The film's subtitles; ``None``: not known.
        seconds: The film's length; likewise.
        limits: What is asked.
        cast: Names to look for; default: see :func:`~thesislib.descriptions.names.likely_names`.
    """
    cues = track.cues
    found = [
        Finding(kind, True, tuple(numbers), f"{_cues(numbers)} {BROKEN[kind]}")
        for kind in BROKEN
        if (numbers := track.repairs.get(kind))
    ]
    notes = [NO_END] if seconds is None else []
    over = gaps = filled = None
    if dialogue is None:
        notes.insert(0, NO_DIALOGUE)
    else:
        lines = spoken(dialogue)
        end = max((cue.end for cue in (*cues, *lines)), default=0.0) if seconds is None else seconds
        talk = joined((line.start, line.end) for line in lines)
        empty = _empty(cues, usable := gaps_between(talk, end, limits.min_gap))
        gaps, filled = len(usable), len(usable) - len(empty)
        over, some = _over(cues, talk, limits)
        found += [*some, *_unfilled(empty, limits)]
    repeated, twice = _repeated(cues, limits)
    found += [*_fast(cues, limits), *twice, *_together(cues), *_beyond(cues, seconds)]
    found += _unnamed(cues, dialogue or (), cast)
    if numbers := [cue.number for cue in cues if not cue.text]:
        found.append(Finding("empty", False, tuple(numbers), f"{_cues(numbers)} without text"))
    found.sort(key=lambda one: not one.fails)
    speeds = [speed(cue) for cue in cues if cue.text]
    middle = statistics.median_low(speeds) if speeds else 0.0
    return Report(len(cues), middle, over, gaps, filled, repeated, tuple(found), tuple(notes))


def words(text: str) -> int:
    """Words of a text: what stands between spaces and holds a letter or digit."""
    return sum(any(map(str.isalnum, word)) for word in text.split())


def speed(cue: Cue) -> float:
    """Words a second; of a cue without length as if it had a thousandth of a second."""
    return words(cue.text) / max(cue.end - cue.start, 1e-3)


def _over(cues: Sequence[Cue], talk: Sequence[Span], limits: Limits) -> tuple[float, list[Finding]]:
    parts = {cue.number: shared((cue.start, cue.end), talk) for cue in cues}
    share = sum(parts.values()) / max(sum(cue.end - cue.start for cue in cues), 1e-9)
    numbers = tuple(number for number, part in parts.items() if part > SLACK)
    if not numbers and share <= limits.tolerance:
        return share, []
    fails = share > limits.tolerance
    most = f", {limits.tolerance:.0%} at most" if fails else ""
    text = f"{_cues(numbers)} over dialogue, {share:.1%} of all their time{most}"
    return share, [Finding("dialogue", fails, numbers, text)]


def _empty(cues: Sequence[Cue], gaps: Sequence[Span]) -> list[Span]:
    said = joined((cue.start, cue.end) for cue in cues if cue.text)
    return [gap for gap in gaps if shared(gap, said) < min(HEARD, gap.seconds)]


def _unfilled(empty: Sequence[Span], limits: Limits) -> list[Finding]:
    if not empty:
        return []
    where = ", ".join(f"{a:.1f} to {b:.1f} s" for a, b in empty[:5])
    more = f" and {len(empty) - 5} more" if len(empty) > 5 else ""
    one = "gap" if len(empty) == 1 else "gaps"
    text = f"{len(empty)} {one} of {limits.min_gap:g} s or more left empty: {where}{more}"
    return [Finding("gaps", False, (), text)]


def _fast(cues: Sequence[Cue], limits: Limits) -> list[Finding]:
    numbers = tuple(cue.number for cue in cues if cue.text and speed(cue) > limits.rate)
    if not numbers:
        return []
    fails = len(numbers) > limits.tolerance * len(cues)
    fastest = max((cue for cue in cues if cue.text), key=speed)
    text = (
        f"{_cues(numbers)} with more than {limits.rate:g} words a second, the fastest no. "
        f"{fastest.number}{f', {limits.tolerance:.0%} of all at most' if fails else ''}"
    )
    return [Finding("fast", fails, numbers, text)]


def _repeated(cues: Sequence[Cue], limits: Limits) -> tuple[float, list[Finding]]:
    seen: set[tuple[str, ...]] = set()
    numbers: dict[int, None] = {}
    total = again = 0
    for cue in cues:
        for sentence in sentences_of(cue.text):
            key = sentence_key(sentence)
            if not key:
                continue
            total += 1
            if key in seen:
                again += 1
                numbers[cue.number] = None
            seen.add(key)
    share = again / max(total, 1)
    if not numbers:
        return share, []
    fails = share > limits.tolerance
    most = f", {limits.tolerance:.0%} at most" if fails else ""
    text = (
        f"{_cues(tuple(numbers))} with a sentence that was there before, {share:.1%} of all{most}"
    )
    return share, [Finding("repeated", fails, tuple(numbers), text)]


def _together(cues: Sequence[Cue]) -> list[Finding]:
    """Cues that begin before an earlier one has ended: one voice cannot speak both."""
    numbers, until = [], -1.0
    for cue in cues:
        if cue.start < until - 1e-3:
            numbers.append(cue.number)
        until = max(until, cue.end)
    if not numbers:
        return []
    text = f"{_cues(numbers)} that begin before an earlier one has ended"
    return [Finding("overlapping", True, tuple(numbers), text)]


def _beyond(cues: Sequence[Cue], seconds: float | None) -> list[Finding]:
    numbers = [cue.number for cue in cues if seconds is not None and cue.end > seconds + SLACK]
    if not numbers:
        return []
    text = f"{_cues(numbers)} that end after the film, which has {seconds:.1f} s"
    return [Finding("end", True, tuple(numbers), text)]


def _unnamed(cues: Sequence[Cue], lines: Sequence[Cue], cast: Sequence[str]) -> list[Finding]:
    early = [use for use in first_uses(cues, lines, cast) if not use.introduced]
    if not early:
        return []
    names = ", ".join(f"{use.name} (no. {use.cue})" for use in early[:8])
    more = f" and {len(early) - 8} more" if len(early) > 8 else ""
    text = f"names used before they are introduced: {names}{more}"
    return [Finding("names", False, tuple(use.cue for use in early), text)]


def _cues(numbers: Sequence[int]) -> str:
    if not numbers:
        return "cues, each a little,"
    return f"{len(numbers)} cue{'s' * (len(numbers) > 1)} ({listed(numbers)})"
