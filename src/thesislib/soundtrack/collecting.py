"""Descriptions and dialogue from a film's sound with descriptions in it (thesis 8.4 and 8.5).

1. where somebody speaks, and whose voice it is; 2. what is said; 3. the narrator is who says "I"
and "we" least often; 4. times are shifted onto the video by comparing the sound of both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering

from thesislib.data.films import Cue, Film
from thesislib.descriptions.gaps import Span
from thesislib.errors import ThesisError
from thesislib.soundtrack.parts import (
    FindsSpeech,
    Ge2e,
    Silero,
    TellsVoices,
    Whisper,
    WritesDown,
)
from thesislib.soundtrack.sound import Sound, read_sound, shift_between

# "Proportion of first-person pronouns (e.g. 'I' and 'we')", 8.4.
FIRST_PERSON = frozenset(
    {"i", "me", "my", "mine", "myself", "we", "us", "our", "ours", "ourselves"}
)
APART = 0.25  # mean cosine distance between two voices
LONG = 1.6  # seconds from which on a span tells whose voice it is; what the voice network hears
JOINED = 0.35  # seconds between two spans of one voice that are one cue
WORDS = 20  # that a voice must say to be the narrator: of few words the share says nothing


@dataclass(frozen=True)
class Parts:
    """What does the work; see :mod:`thesislib.soundtrack.parts`."""

    speech: FindsSpeech = field(default_factory=Silero)
    voices: TellsVoices = field(default_factory=Ge2e)
    words: WritesDown = field(default_factory=Whisper)


@dataclass(frozen=True)
class Spoken:
    """A cue and whose voice says it.

    Attributes:
        cue: Times in the track, before they are shifted.
        voice: Number of the voice.
    """

    cue: Cue
    voice: int


@dataclass(frozen=True)
class Collected:
    """What was found in a track.

    Attributes:
        film: Descriptions (named) and dialogue, at the times of the video.
        narrator: Number of the narrator's voice.
        shares: For each voice the share of first-person pronouns among its words.
        offset: Seconds by which the track is later than the video.
        spoken: All cues, at the times of the track.
    """

    film: Film
    narrator: int
    shares: tuple[float, ...]
    offset: float
    spoken: tuple[Spoken, ...]


def collect(
    track: str | Path | Sound,
    film: str | Path | Sound | None = None,
    movie: str = "",
    voices: int | None = None,
    parts: Parts | None = None,
) -> Collected:
    """Takes a track apart.

    Args:
        track: A file whose sound has a narrator in it, or the sound.
        film: The video's file or its sound, onto which times are shifted; without one they stay.
        movie: Id of the film.
        voices: How many there are; default: as many as are :data:`APART` from one another.
        parts: Other models than those of the extra ``audio``.

    Raises:
        ThesisError: A file cannot be read, nobody speaks, or the extra is not installed.
    """
    sound = sound_of(track)
    parts = parts or Parts()
    spans = parts.speech.spans(sound)
    if not spans:
        raise ThesisError("Nobody speaks in this track: is it the one with the descriptions?")
    lasting = np.array([span.end - span.start for span in spans])
    whose = clustered(parts.voices.vectors(sound, spans), lasting, voices)
    cues = joined(spans, whose.tolist())
    texts = parts.words.texts(sound, [Span(*one[:2]) for one, _ in cues])
    spoken = tuple(
        Spoken(Cue(*span, text), voice)
        for (span, voice), text in zip(cues, texts, strict=True)
        if text
    )
    shares, narrator = narrator_of(spoken, int(whose.max()) + 1)
    offset = shift_between(sound, sound_of(film)) if film is not None else 0.0
    told, said = (
        tuple(
            Cue(max(one.cue.start - offset, 0.0), one.cue.end - offset, one.cue.text)
            for one in spoken
            if (one.voice == narrator) == described and one.cue.end > offset
        )
        for described in (True, False)
    )
    return Collected(Film(movie, "", 0.0, told, subtitles=said), narrator, shares, offset, spoken)


def sound_of(source: str | Path | Sound) -> Sound:
    """The sound of a file, or itself."""
    return source if isinstance(source, np.ndarray) else read_sound(source)


def clustered(
    vectors: NDArray[np.float32], seconds: NDArray[np.float64], voices: int | None = None
) -> NDArray[np.int64]:
    """Numbers of the voices ``(N,)``, from 0 in the order in which they are heard.

    Long spans say which voices there are; each shorter one goes to the voice that is nearest.

    Args:
        vectors: ``(N, D)`` of unit length.
        seconds: ``(N,)``, of each span.
        voices: How many; default: those whose mean distance is above :data:`APART`.
    """
    least = max(voices or 1, 2)
    sure = seconds >= min(LONG, np.sort(seconds)[::-1][: least + 1][-1])
    if len(vectors) < 2 or sure.sum() < 2:
        return np.zeros(len(vectors), np.int64)
    model = AgglomerativeClustering(
        n_clusters=min(voices, int(sure.sum())) if voices else None,
        distance_threshold=None if voices else APART,
        metric="cosine",
        linkage="average",
    )
    found = model.fit_predict(vectors[sure])
    centres = np.stack([vectors[sure][found == k].mean(0) for k in range(found.max() + 1)])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    labels = (vectors @ centres.T).argmax(1)
    labels[sure] = found
    order = {label: number for number, label in enumerate(dict.fromkeys(labels.tolist()))}
    return np.array([order[label] for label in labels.tolist()], np.int64)


def joined(spans: Sequence[Span], voices: Sequence[int]) -> list[tuple[Span, int]]:
    """Cues: neighbouring spans of one voice with a short pause between them are one."""
    out: list[tuple[Span, int]] = []
    for span, voice in zip(spans, voices, strict=True):
        if out and out[-1][1] == voice and span.start - out[-1][0].end < JOINED:
            out[-1] = Span(out[-1][0].start, span.end), int(voice)
        else:
            out.append((span, int(voice)))
    return out


def narrator_of(spoken: Sequence[Spoken], voices: int) -> tuple[tuple[float, ...], int]:
    """The share of first-person pronouns of each voice, and the voice with the lowest (8.4).

    Of voices that have the same share, or that say fewer than :data:`WORDS` words (unless all do),
    the one that says most.
    """
    said: list[list[str]] = [[] for _ in range(voices)]
    for one in spoken:
        said[one.voice] += re.findall(r"[a-z]+", one.cue.text.lower())
    shares = tuple(
        sum(word in FIRST_PERSON for word in some) / len(some) if some else 1.0 for some in said
    )
    enough = [v for v in range(voices) if len(said[v]) >= WORDS] or list(range(voices))
    return shares, min(enough, key=lambda v: (shares[v], -len(said[v])))
