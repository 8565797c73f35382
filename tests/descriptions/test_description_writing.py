"""From gaps to clips, and from texts to cues that fit."""

from __future__ import annotations

import numpy as np
import pytest

from thesislib.descriptions.gaps import Span
from thesislib.descriptions.writing import (
    AGAIN,
    EXTENDED,
    LONG,
    SILENT,
    SPOKEN,
    UNKNOWN,
    Pace,
    clips_in,
    fitted,
)
from thesislib.errors import ThesisError
from thesislib.subtitles import Cue

PACE = Pace(rate=2.0, lead=0.5, tail=0.5)


def test_clips_of_gaps() -> None:
    clips = clips_in([Span(0, 3), Span(10, 24), Span(30, 30.9)], PACE)
    assert clips[0] == Span(0.5, 2.5) and len(clips) == 4
    np.testing.assert_allclose(
        clips[1:], [(10.5 + i * 13 / 3, 10.5 + (i + 1) * 13 / 3) for i in range(3)]
    )
    assert max(clip.seconds for clip in clips) <= PACE.longest
    with pytest.raises(ThesisError, match="rate must be above 0"):
        Pace(rate=0)


def test_cues_that_fit() -> None:
    clips = [Span(10 * i, 10 * i + 3) for i in range(6)]  # six words each
    texts = [
        "A dog runs.",
        "a DOG runs! It stops. It sits down again now.",
        "Tom, a cook, waves.",
        "Anna waves to Tom.",
        "One two three four five six seven.",
        "",
    ]
    lines = [Cue(25, 26, "Oh!", "", 1), Cue(31, 32, "Anna?", "", 2)]
    found = fitted(clips, texts, PACE, lines, ["Anna", "Tom"])
    assert [one.text for one in found] == [
        "A dog runs.", "It stops.", "Tom, a cook, waves.", "Someone waves to Tom.", "", "",
    ]  # fmt: skip
    assert [one.kind for one in found] == [SPOKEN] * 4 + [SILENT] * 2
    assert found[0].until == 1.5 and found[1].until == 11.0
    assert [one.note for one in found] == ["", f"{AGAIN}; {LONG}", "", UNKNOWN, LONG, ""]
    assert all(one.written == text for one, text in zip(found, texts, strict=True))
    # Anna is known once she has been called.
    later = fitted([Span(33, 36)], ["Anna waves."], PACE, lines, ["Anna"])
    assert later[0].text == "Anna waves."
    # A part of a name is enough; the other part then is no name that nobody knows.
    told = ["Anna waves.", "Anna Gray sits with Mr. Lee.", "Rose petals fall."]
    found = fitted(clips[3:], told, PACE, lines, ["Anna Gray", "Tom Lee"])
    assert [one.text for one in found] == [
        "Someone waves.", "Anna Gray sits with someone.", "Rose petals fall.",
    ]  # fmt: skip
    extended = fitted(clips, texts, Pace(rate=2.0, extended=True), lines)
    assert [one.kind for one in extended][1] == EXTENDED and extended[4].text == texts[4]
    assert extended[4].until == clips[4].end
