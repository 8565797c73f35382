"""The sound of a file, and how far one track is shifted against another."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from thesislib.errors import ThesisError
from thesislib.files import reading

RATE = 16000  # samples a second, of everything here
HOP = 160  # samples from one value of an envelope to the next
MINUTE = 60 * RATE // HOP  # such values
BANDS = 8  # of the spectrum, in which loudness is compared
LATEST = 3600.0  # seconds from picture to sound; what says more has a broken clock
PLAY = "look whether a player plays it."
SILENT = "{path} has no sound: give a file with an audio track."
Sound = NDArray[np.float32]


def read_sound(path: str | Path) -> Sound:
    """The first audio stream of a file, ``(n,)`` in [-1, 1] at 16 kHz, one channel.

    It begins with the first picture where the file has pictures: sound that sets in later has
    silence before it, and what is heard before them is left out.

    Raises:
        ThesisError: It cannot be read, or has no sound.
    """
    pieces, late = [], None
    with _heard(path) as container:
        resampler = av.AudioResampler("flt", "mono", RATE)
        for frame in container.decode(audio=0):
            late = _late(container, frame) if late is None else late
            pieces += [one.to_ndarray()[0] for one in resampler.resample(frame)]
        pieces += [one.to_ndarray()[0] for one in resampler.resample(None)]
    if not pieces:
        raise ThesisError(SILENT.format(path=path))
    before = round((late or 0.0) * RATE)
    sound = np.concatenate([np.zeros(max(before, 0), np.float32), *pieces])
    return sound[max(-before, 0) :].astype(np.float32)


def _late(container: Any, frame: Any) -> float:
    """Seconds from the first picture to the first sound; 0 where that is not known."""
    for one in container.streams.video:
        cover = one.disposition & av.stream.Disposition.attached_pic
        if one.start_time is not None and frame.time is not None and not cover:
            late = float(frame.time - one.start_time * one.time_base)
            return late if abs(late) <= LATEST else 0.0
    return 0.0


def check_sound(path: str | Path) -> None:
    """Refuses a file without an audio track, before anything of it is heard.

    Raises:
        ThesisError: It cannot be read, or has none.
    """
    with _heard(path):
        pass


@contextlib.contextmanager
def _heard(path: str | Path) -> Iterator[Any]:
    """A file that has an audio track, open; what goes wrong in it is one sentence."""
    path = Path(path).expanduser()
    with reading(path, PLAY):
        try:
            with av.open(str(path)) as container:
                if not container.streams.audio:
                    raise ThesisError(SILENT.format(path=path))
                yield container
        except av.FFmpegError as error:
            raise ThesisError(f"{path} cannot be read as sound ({error}): {PLAY}") from None


def shift_between(track: Sound, film: Sound, longest: float = 60.0) -> float:
    """Seconds by which what both hold comes later in ``track`` than in ``film`` (thesis 8.4).

    How loudness changes in bands of the spectrum is compared at every shift; a narrator who speaks
    in one of them alone does not move the best one.

    Args:
        track: ``(n,)``, e.g. the film's sound with descriptions.
        film: ``(m,)``, the sound of the video.
        longest: Seconds that are tried to either side.

    Raises:
        ThesisError: One of them is shorter than a second, or silent.
    """
    one, other = changes(track), changes(film)
    score = sum(fftconvolve(a, b[::-1], mode="full") for a, b in zip(one.T, other.T, strict=True))
    shifts = (np.arange(len(score)) - (len(other) - 1)) * HOP / RATE
    within = np.flatnonzero(np.abs(shifts) <= longest)
    return float(shifts[within[int(np.argmax(score[within]))]])


def spectra(frames: Sound) -> NDArray[np.float64]:
    """Power of frames ``(T, 2 * HOP)``, ``(T, HOP + 1)``."""
    return np.asarray(np.abs(np.fft.rfft(frames * np.hanning(2 * HOP), axis=1)) ** 2)


def changes(sound: Sound) -> NDArray[np.float64]:
    """How loudness changes in each band ``(T, BANDS)``, a hundred values a second, of unit size."""
    if len(sound) < RATE or not np.any(sound):
        raise ThesisError(
            f"{len(sound) / RATE:.2f} s of sound, or silence, cannot be laid over another track: "
            "give the whole of both."
        )
    frames = np.lib.stride_tricks.sliding_window_view(sound, 2 * HOP)[::HOP]
    edges = np.geomspace(2, HOP + 1, BANDS + 1).astype(int)
    # By the minute: the spectra of a whole film would fill gigabytes.
    loud = np.concatenate([
        np.log(np.add.reduceat(spectra(frames[at : at + MINUTE]), edges[:-1], axis=1) + 1e-6)
        for at in range(0, len(frames), MINUTE)
    ])  # fmt: skip
    change = np.diff(loud, axis=0, prepend=loud[:1])
    return np.asarray((change - change.mean(0)) / (change.std(0) + 1e-9))
