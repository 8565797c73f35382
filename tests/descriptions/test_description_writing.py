"""From gaps to clips, from texts to cues that fit, and when a film is loud."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from thesislib.data.sound import HOP, levels_of, loud_spans, spans_above
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
    extended = fitted(clips, texts, Pace(rate=2.0, extended=True), lines)
    assert [one.kind for one in extended][1] == EXTENDED and extended[4].text == texts[4]
    assert extended[4].until == clips[4].end


# -- sound ---------------------------------------------------------------------------------


def write_sound(path: Path, loud: list[tuple[float, float]], seconds: float = 8.0) -> Path:
    """Noise, and a tone of 1000 Hz at the times that are loud; stereo at 22,050 Hz."""
    rate = 22_050
    times = np.arange(int(seconds * rate)) / rate
    on = np.zeros_like(times)
    for a, b in loud:
        on[(times >= a) & (times < b)] = 1
    mono = 0.3 * on * np.sin(2 * np.pi * 1000 * times)
    mono += 0.002 * np.random.default_rng(0).normal(size=len(times))
    mono += 0.3 * np.sin(2 * np.pi * 60 * times)  # a hum: no voice is so low
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream("pcm_s16le", rate=rate, layout="stereo")
        both = np.repeat((mono * 32000).astype(np.int16), 2)[None]
        frame = av.AudioFrame.from_ndarray(both, format="s16", layout="stereo")
        frame.sample_rate = rate
        sink.mux(stream.encode(frame))
        sink.mux(stream.encode())
    return path


def test_when_a_film_is_loud(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", [(1, 2.5), (2.8, 3.5), (5, 6), (7, 7.1)])
    np.testing.assert_allclose(loud_spans(path), [(1, 3.5), (5, 6)], atol=0.05)
    levels = levels_of(path)
    assert len(levels) == 8 / HOP
    tone = 20 * np.log10(0.3 * 32000 / 32768 / 2**0.5)
    assert np.median(levels[70:110]) == pytest.approx(tone + 3, abs=0.2)  # two equal channels


def test_spans_by_hand() -> None:
    levels = np.full(100, -60.0)
    levels[10:30] = levels[40:60] = levels[90:95] = 0.0
    np.testing.assert_allclose(spans_above(levels, -30), [(0.2, 1.2)])
    assert spans_above(np.full(5, -60.0), -30) == []


def test_a_film_without_sound(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as sink:
        stream = sink.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        sink.mux(stream.encode(frame))
        sink.mux(stream.encode())
    with pytest.raises(ThesisError, match="has no sound to find dialogue in"):
        loud_spans(tmp_path / "a.mp4")
    with pytest.raises(ThesisError, match="no such file"):
        loud_spans(tmp_path / "none.mp4")
