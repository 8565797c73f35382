"""When a film is loud, which is all that is known of its dialogue where it has no subtitles.

Energy alone: whatever stands out from the film's quiet passages between 300 and 3400 Hz, where
voices are, counts. Music does too, so that a film with music throughout seems to leave no gap.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thesislib.data.opening import check_readable, named
from thesislib.data.pictures import pyav
from thesislib.errors import ThesisError

RATE, HOP = 16_000, 0.02  # samples a second, seconds of a frame
BAND = (300.0, 3400.0)  # Hz
FLOOR = 10.0  # percentile of the levels that is the film's quiet
ABOVE = 12.0  # dB over it
SILENCE = -70.0  # dB of full scale: nothing is heard below
PAUSE, SHORTEST = 0.5, 0.2  # seconds: shorter pauses are none, and nothing shorter is speech


def loud_spans(path: str | Path, above: float = ABOVE) -> list[tuple[float, float]]:
    """When a film is loud, (start, end) seconds in order.

    Args:
        path: The film.
        above: dB over its quiet, the tenth percentile of its levels.

    Raises:
        VideoError: The file cannot be read.
        ThesisError: It has no sound.
    """
    levels = levels_of(path)
    floor = max(float(np.percentile(levels, FLOOR)), SILENCE)
    return spans_above(levels, floor + above)


def levels_of(path: str | Path) -> NDArray[np.float64]:
    """Level of each 20 ms within the band of voices, dB of full scale; at least -120.

    Raises:
        VideoError: The file cannot be read.
        ThesisError: It has no sound.
    """
    size = round(RATE * HOP)
    window = np.hanning(size)
    bins = np.fft.rfftfreq(size, 1 / RATE)
    voice = (bins >= BAND[0]) & (bins <= BAND[1])
    levels: list[NDArray[np.float64]] = []
    rest = np.zeros(0, np.float32)
    for samples in _samples(Path(path)):
        rest = np.concatenate([rest, samples])
        whole = len(rest) // size * size
        frames = rest[:whole].reshape(-1, size)
        power = np.abs(np.fft.rfft(frames * window)[:, voice]) ** 2
        energy = 2 * power.sum(1) / (size * (window**2).sum())
        levels.append(10 * np.log10(np.maximum(energy, 1e-12)))
        rest = rest[whole:]
    found = np.concatenate(levels) if levels else np.zeros(0)
    if not len(found):
        raise ThesisError(f"{path} has no sound to find dialogue in: name its subtitles.")
    return found


def spans_above(levels: NDArray[np.float64], threshold: float) -> list[tuple[float, float]]:
    """Stretches of levels over a threshold, without short pauses, none of them short itself."""
    loud = np.concatenate([[False], levels > threshold, [False]])
    edges = np.flatnonzero(loud[1:] != loud[:-1]) * HOP
    joined: list[tuple[float, float]] = []
    for start, end in edges.reshape(-1, 2).tolist():
        if joined and start - joined[-1][1] < PAUSE:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return [(start, end) for start, end in joined if end - start >= SHORTEST - 1e-9]


def _samples(path: Path) -> Iterator[NDArray[np.float32]]:
    """Mono samples in [-1, 1], a packet at a time, as far as the sound decodes."""
    check_readable(path)
    av: Any = pyav()
    with named(path, "its sound cannot be read"), av.open(str(path)) as container:
        if not container.streams.audio:
            return
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        for frame in container.decode(container.streams.audio[0]):
            for one in resampler.resample(frame):
                yield one.to_ndarray()[0]
        for one in resampler.resample(None):
            yield one.to_ndarray()[0]
