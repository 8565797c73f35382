"""From the cues of a file to cues that can be used: each repair under the number of its cue."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from thesislib.subtitles.cues import Cue, Found

AT_MOST = 5.0  # seconds that a cue without an end is given


def repaired(
    found: Sequence[Found], duration: float | None = None
) -> tuple[list[Cue], dict[str, list[int]]]:
    """Cues in order, and what was done to which.

    Args:
        found: In the order of the file.
        duration: Of the video, seconds; without it no cue is out of range.

    Returns:
        The cues that have a start, sorted by it (those of one start in the order of the file), and
        for each kind of repair the numbers of its cues, from 1. A cue has as many as it needs. An
        end that is missing is where the next cue begins, after 5 s at most.
    """
    repairs: dict[str, list[int]] = {}

    def note(kind: str, number: int) -> None:
        repairs.setdefault(kind, []).append(number)

    starts = sorted(one.start for one in found if not math.isnan(one.start))
    following = {a: b for a, b in itertools.pairwise(starts) if b > a}
    cues: list[Cue] = []
    for number, one in enumerate(found, 1):
        start, end = one.start, one.end
        if math.isnan(start):
            note("no time", number)
            continue
        if one.odd:
            note("odd time", number)
        if math.isnan(end) or end < start:
            note("no end" if math.isnan(end) else "reversed", number)
            end = min(following.get(start, start + AT_MOST), start + AT_MOST)
        if start < 0:
            note("negative", number)
            start, end = 0.0, max(end, 0.0)
        if duration is not None and start < duration < end:
            note("cut", number)
            end = duration
        elif duration is not None and start >= duration:
            note("past the end", number)
        if start == end:
            note("point", number)
        if not one.text:
            note("empty", number)
        cues.append(Cue(start, end, one.text, one.raw, number))
    latest = -1.0
    for cue in cues:
        if cue.start < latest:
            note("unordered", cue.number)
        latest = max(latest, cue.start)
    cues.sort(key=lambda cue: cue.start)
    until = -1.0
    for cue in cues:
        if cue.start < until and cue.end > cue.start:
            note("overlapping", cue.number)
        until = max(until, cue.end)
    return cues, repairs
