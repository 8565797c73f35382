"""A film's sound with a narrator in it, spoken by espeak-ng in several voices."""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thesislib.data.films import Cue
from thesislib.soundtrack.sound import RATE
from thesislib.synthetic import film_texts

# A narrator and two characters.
NARRATOR, VOICES = "en-us", ("en-us+f2", "en-us+edward")
OWN_RATE = 22050  # of espeak-ng
WORDS_A_MINUTE = 160


@dataclass
class Track:
    """The sounds, and who says what when in the one that is described."""

    described: NDArray[np.float32]
    film: NDArray[np.float32]
    cues: list[tuple[Cue, int]]  # voice 0 narrates
    offset: float


class Speaker:
    """espeak-ng as a library."""

    def __init__(self) -> None:
        import espeakng_loader

        self.library: Any = espeakng_loader.load_library()
        data = espeakng_loader.get_data_path().encode()
        assert self.library.espeak_Initialize(1, 0, data, 0) == OWN_RATE
        self.pieces: list[NDArray[np.int16]] = []
        kind = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
        )
        self.callback = kind(self._heard)
        self.library.espeak_SetSynthCallback(self.callback)

    def _heard(self, samples: Any, count: int, _: Any) -> int:
        if samples and count > 0:
            self.pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, text: str, voice: str) -> NDArray[np.float32]:
        """Speech at 16 kHz, without silence at its ends."""
        self.pieces.clear()
        assert self.library.espeak_SetVoiceByName(voice.encode()) == 0, (
            "else the voice before stays"
        )
        self.library.espeak_SetParameter(1, WORDS_A_MINUTE, 0)
        data = text.encode()
        self.library.espeak_Synth(data, len(data) + 1, 0, 1, 0, 1, None, None)
        self.library.espeak_Synchronize()
        sound = np.concatenate(self.pieces).astype(np.float32) / 32768
        times = np.arange(int(len(sound) * RATE / OWN_RATE)) * OWN_RATE / RATE
        sound = np.interp(times, np.arange(len(sound)), sound).astype(np.float32)
        loud = np.flatnonzero(np.abs(sound) > 0.01)
        return sound[loud[0] : loud[-1] + 1]


@functools.cache
def one_speaker() -> Speaker:
    """The library hangs when it is started twice."""
    return Speaker()


def synthesised(seconds: float, offset: float = 2.37, seed: int = 0) -> Track:
    """A film of the studio that is spoken: each character in its voice, and the narrator."""
    rng, speaker = np.random.default_rng(seed), one_speaker()
    film = film_texts(1, seed)[0]
    told = sorted([(cue, 0) for cue in film.named] + [(cue, -1) for cue in film.subtitles])
    own, described, cues, now = [], [], [], 1.0
    turn = 0
    for cue, voice in told:
        if voice:  # the characters speak by turns
            turn = turn % 2 + 1
            voice = turn
        sound = speaker.say(cue.text, NARRATOR if voice == 0 else VOICES[voice - 1])
        end = now + len(sound) / RATE
        if end > seconds:
            break
        cues.append((Cue(now, end, cue.text), voice))
        (described if voice == 0 else own).append((now, sound))
        now = end + float(rng.uniform(0.55, 1.4))
    length = int((now + 1.0) * RATE)
    film_sound = music(rng, length)
    for start, sound in own:
        film_sound[int(start * RATE) :][: len(sound)] += 0.7 * sound
    mixed = film_sound.copy()
    for start, sound in described:
        mixed[int(start * RATE) :][: len(sound)] += sound
    late = np.zeros(int(offset * RATE), np.float32)
    shifted = [(c._replace(start=c.start + offset, end=c.end + offset), v) for c, v in cues]
    return Track(np.concatenate([late, mixed]), film_sound, shifted, offset)


def music(rng: np.random.Generator, length: int) -> NDArray[np.float32]:
    """Soft chords and hiss."""
    out = rng.normal(0, 0.002, length).astype(np.float32)
    t = np.arange(int(1.5 * RATE)) / RATE
    for start in range(0, length, len(t)):
        tone = sum(np.sin(2 * np.pi * f * t) for f in 110 * 2 ** (rng.integers(0, 24, 3) / 12))
        piece = (0.01 * tone * np.exp(-2 * t)).astype(np.float32)
        out[start : start + len(t)] += piece[: length - start]
    return out
