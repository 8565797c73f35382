"""Captions that repeat themselves: YouTube's two rolling lines, growing lines, copies."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from thesislib.subtitles.cues import Cue

NEAR = 1.0  # seconds between a caption and its repetition; later it is said again
GROWN = 3  # words that a caption must have for the next to be its continuation


def unrolled(cues: Sequence[Cue]) -> tuple[list[Cue], dict[str, list[int]]]:
    """Each text once, where it first appears.

    A caption that begins with the lines that the one before it ends with (YouTube shows every line
    twice: as the lower, then as the upper) keeps the lines after them; one that begins with the
    whole of it, with three words or more (live captions grow word by word), keeps the words after
    it; one that says nothing new lengthens the one before.

    Args:
        cues: Sorted by start, none without text.

    Returns:
        Cues, and the numbers of those that say nothing new (``repeated``) and of those that keep a
        part (``rolled``).
    """
    kept: list[Cue] = []
    done: dict[str, list[int]] = {"repeated": [], "rolled": []}
    before: Cue | None = None  # as it was shown
    for cue in cues:
        fresh = cue.text
        if before is not None and cue.start - before.end <= NEAR:
            fresh = _fresh(before.text, cue.text)
        before = cue
        if not fresh:
            done["repeated"].append(cue.number)
            kept[-1] = kept[-1]._replace(end=max(kept[-1].end, cue.end))
            continue
        if fresh != cue.text:
            done["rolled"].append(cue.number)
        kept.append(cue._replace(text=fresh))
    return kept, done


def _fresh(before: str, text: str) -> str:
    lines = text.split("\n")
    old, new = _keys(before.split("\n")), _keys(lines)
    for count in range(min(len(old), len(new)), 0, -1):
        if old[-count:] == new[:count]:
            return "\n".join(lines[count:])
    words, shown = text.split(), _keys(before.split())
    if len(shown) >= GROWN and _keys(words[: len(shown)]) == shown:
        return " ".join(words[len(shown) :])
    return text


def _keys(parts: Sequence[str]) -> list[str]:
    return [" ".join(part.casefold().split()) for part in parts]


def ended(cues: Sequence[Cue]) -> tuple[list[Cue], list[int]]:
    """Captions of a rolling display end where the next begins; and the numbers of those cut.

    YouTube's json3 gives the time that a line stays on the screen, through the next two. Where at
    least half of the captions overlap the next, that is what their ends are; elsewhere two that
    overlap are two people who speak at once, and stay.
    """
    overlaps = sum(b.start < a.end and b.start > a.start for a, b in itertools.pairwise(cues))
    if len(cues) < 3 or 2 * overlaps < len(cues) - 1:
        return list(cues), []
    result, cut = list(cues), []
    following = float("inf")
    for i in range(len(cues) - 1, -1, -1):
        if i + 1 < len(cues) and cues[i + 1].start > cues[i].start:
            following = cues[i + 1].start
        if cues[i].end > following:
            result[i] = cues[i]._replace(end=following)
            cut.append(cues[i].number)
    return result, cut[::-1]
