"""Names in descriptions: what is one, and whether the audience has met it.

A describer names a character only once the film has, or introduces the name with who it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import sentencex

from thesislib.data.anonymise import names_in, parts_of
from thesislib.errors import ThesisError
from thesislib.files import read_text
from thesislib.subtitles.cues import Cue

_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_END = re.compile(r"[.!?…][\"'”’)\]]*$")
_NO_NAMES = {"I", "Mr", "Mrs", "Ms", "Dr"}
_ONE_A_LINE = "give a text file with one name a line."


class Use(NamedTuple):
    """The first time that a track uses a name.

    Its fields:

    - ``name``: As it is written.
    - ``cue``: Number of the cue.
    - ``start``: Seconds.
    - ``introduced``: Whether the audience has met it by then.
    """

    name: str
    cue: int
    start: float
    introduced: bool


def sentences_of(text: str, language: str = "en") -> list[str]:
    """The sentences of a cue, each on one line."""
    return [one.strip() for one in sentencex.segment(language, " ".join(text.split()))]


def sentence_key(sentence: str) -> tuple[str, ...]:
    """What two sentences share that say the same: their words in small letters."""
    return tuple(re.findall(r"\w+", sentence.casefold()))


def read_names(path: str | Path) -> tuple[str, ...]:
    """A cast list: a text file with one name a line.

    Raises:
        ThesisError: It cannot be read, or holds no name.
    """
    names = [" ".join(line.split()) for line in read_text(path, _ONE_A_LINE).splitlines()]
    if not any(names):
        raise ThesisError(f"{path} holds no name: {_ONE_A_LINE}")
    return tuple(dict.fromkeys(filter(None, names)))


def likely_names(texts: Iterable[str]) -> tuple[str, ...]:
    """Words that are names, in their order: capitalised inside a sentence, and never small.

    A text that no full stop, question or exclamation mark ends is a title or a list of credits, and
    none of its capitals say anything. Words all in capitals are none either.

    Args:
        texts: Of cues, each some whole sentences.
    """
    found: dict[str, None] = {}
    small: set[str] = set()
    for text in (one for some in texts for one in sentences_of(some)):
        words = _WORD.findall(text)
        small |= {word for word in words if word.islower()}
        if _END.search(text):
            found |= {w: None for w in words[1:] if w[0].isupper() and not w.isupper()}
    return tuple(name for name in found if name.lower() not in small and name not in _NO_NAMES)


def whole_names(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once, without those that are a part of another: "Anna" beside "Anna Gray"."""
    some = dict.fromkeys(names)
    parts = {part for name in some for part in parts_of(name) if part != name}
    return tuple(name for name in some if name not in parts)


def introduces(name: str, text: str) -> bool:
    """Whether a description says who bears a name that it uses.

    "The old man, Proog, ..."; "Emo, a boy, ..."; "Sam (the cook)"; "Director: Sam"; "a dog named
    Rex". A part of the name is enough.
    """
    forms = sorted({name, *parts_of(name)}, key=lambda form: (-len(form), form))
    word = rf"(?<!\w)(?:{'|'.join(map(re.escape, forms))})(?!\w)"
    ways = (
        rf"\w\s*,\s*{word}\s*(?:[,;.!?]|$)",
        rf"{word}\s*[,(]\s*(?:an?|the|his|her|their|its|who)\b",
        rf"[(:]\s*{word}",
        rf"\b(?:named|called|known as)\s+{word}",
    )
    return any(re.search(way, text) for way in ways)


def first_heard(name: str, dialogue: Sequence[Cue]) -> float:
    """When the first line begins that says a name, seconds; infinity: none does."""
    said = (line.start for line in dialogue if names_in(line.text, [name]))
    return min(said, default=math.inf)


def first_uses(
    track: Sequence[Cue], dialogue: Sequence[Cue] = (), cast: Sequence[str] = ()
) -> list[Use]:
    """When a track first uses each name, and whether it had been introduced.

    It has been where a line of dialogue that began before the cue ends says it, or where the cue
    itself says who bears it (:func:`introduces`).

    Args:
        track: The descriptions, by their start.
        dialogue: What is spoken.
        cast: Names; default: those that :func:`likely_names` finds in both.
    """
    found = []
    for name in cast or likely_names(cue.text for cue in (*track, *dialogue)):
        cue = next((cue for cue in track if names_in(cue.text, [name])), None)
        if cue is None:
            continue
        met = first_heard(name, dialogue) < cue.end or introduces(name, " ".join(cue.text.split()))
        found.append(Use(name, cue.number, cue.start, met))
    return sorted(found, key=lambda use: use.start)
