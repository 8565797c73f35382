"""When a film is loud: all that its sound says of dialogue without a model that knows voices.

What stands out from the film's quiet passages between 300 and 3400 Hz, where voices are, counts.
Music does too, so that a film with music throughout seems to leave no gap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thesislib.descriptions.gaps import Span
from thesislib.fields import Positive, settle
from thesislib.soundtrack.sound import RATE, Sound

HOP = 0.02  # seconds of a frame
BAND = (300.0, 3400.0)  # Hz
QUIET = 10.0  # percentile of the levels that is the film's quiet
SILENCE = -70.0  # dB of full scale: nothing is heard below
PAUSE, SHORTEST = 0.5, 0.2  # seconds: shorter pauses are none, and nothing shorter is speech
PIECE = 3000  # frames at a time


@dataclass(frozen=True)
class Loud:
    """Takes what is loud for speech; a :class:`~thesislib.soundtrack.parts.FindsSpeech`.

    Attributes:
        above: dB over the film's quiet, the tenth percentile of its levels.
    """

    above: Positive = 12.0

    def __post_init__(self) -> None:
        settle(self)

    def spans(self, sound: Sound) -> list[Span]:
        """In order, none over another."""
        levels = levels_of(sound)
        if not len(levels):
            return []
        return spans_above(levels, max(float(np.percentile(levels, QUIET)), SILENCE) + self.above)


def levels_of(sound: Sound) -> NDArray[np.float64]:
    """Level of each whole 20 ms within the band of voices, dB of full scale; at least -120."""
    size = round(RATE * HOP)
    window = np.hanning(size)
    bins = np.fft.rfftfreq(size, 1 / RATE)
    voice = (bins >= BAND[0]) & (bins <= BAND[1])
    frames = sound[: len(sound) // size * size].reshape(-1, size)
    levels = np.empty(len(frames))
    for start in range(0, len(frames), PIECE):
        piece = frames[start : start + PIECE] * window
        power = 2 * (np.abs(np.fft.rfft(piece)[:, voice]) ** 2).sum(1)
        levels[start : start + PIECE] = power / (size * (window**2).sum())
    return np.asarray(10 * np.log10(np.maximum(levels, 1e-12)))


def spans_above(levels: NDArray[np.float64], threshold: float) -> list[Span]:
    """Stretches of levels over a threshold, without short pauses, none of them short itself."""
    loud = np.concatenate([[False], levels > threshold, [False]])
    edges = np.flatnonzero(loud[1:] != loud[:-1]) * HOP
    joined: list[Span] = []
    for start, end in edges.reshape(-1, 2).tolist():
        if joined and start - joined[-1].end < PAUSE:
            joined[-1] = Span(joined[-1].start, end)
        else:
            joined.append(Span(start, end))
    return [span for span in joined if span.end - span.start >= SHORTEST - 1e-9]
