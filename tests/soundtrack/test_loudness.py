"""When a film is loud."""

from __future__ import annotations

import numpy as np
import pytest

from thesislib.errors import ThesisError
from thesislib.soundtrack.loudness import HOP, Loud, levels_of, spans_above
from thesislib.soundtrack.sound import RATE, Sound


def tones(loud: list[tuple[float, float]], seconds: float = 8.0) -> Sound:
    """Noise, a hum of 60 Hz, and a tone of 1000 Hz at the times that are loud."""
    times = np.arange(int(seconds * RATE)) / RATE
    on = np.zeros_like(times)
    for a, b in loud:
        on[(times >= a) & (times < b)] = 1
    mono = 0.3 * on * np.sin(2 * np.pi * 1000 * times) + 0.3 * np.sin(2 * np.pi * 60 * times)
    return (mono + 0.002 * np.random.default_rng(0).normal(size=len(times))).astype(np.float32)


def test_what_is_loud_stands_out_and_a_hum_does_not() -> None:
    sound = tones([(1, 2.5), (2.8, 3.5), (5, 6), (7, 7.1)])
    np.testing.assert_allclose(Loud().spans(sound), [(1, 3.5), (5, 6)], atol=0.05)
    assert Loud(above=60).spans(sound) == [] == Loud().spans(sound[:100])
    levels = levels_of(sound)
    assert len(levels) == 8 / HOP
    assert np.median(levels[60:110]) == pytest.approx(20 * np.log10(0.3 / 2**0.5), abs=0.2)
    with pytest.raises(ThesisError, match="above must be above 0"):
        Loud(above=0)


def test_spans_by_hand() -> None:
    levels = np.full(100, -60.0)
    levels[10:30] = levels[40:60] = levels[90:95] = 0.0
    np.testing.assert_allclose(spans_above(levels, -30), [(0.2, 1.2)])
    assert spans_above(np.full(5, -60.0), -30) == []
