"""A film in words: descriptions, subtitles, cast; and what precedes a description.

Thesis 8.3.2 and 8.6.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from thesislib.data.anonymise import names_in

WITHIN, LINES = 60.0, 4  # seconds before a description, and subtitles of them (thesis 8.6.1)


class Cue(NamedTuple):
    """Something said.

    Its fields:

    - ``start``: Seconds from the start of the film.
    - ``end``: Seconds, after the start.
    - ``text``: What.
    """

    start: float
    end: float
    text: str


class Film(NamedTuple):
    """A film in words.

    Its fields:

    - ``movie``: Its id, by which features and lists name it.
    - ``split``: ``train``, ``val`` or ``test``; empty where nobody says.
    - ``seconds``: Its length; 0 where nobody knows.
    - ``named``: Descriptions as they are spoken, by start.
    - ``unnamed``: The same with "someone" for names; empty where there are none.
    - ``subtitles``: The dialogue, by start.
    - ``cast``: Names of the characters; empty where nobody knows.
    """

    movie: str
    split: str
    seconds: float
    named: tuple[Cue, ...] = ()
    unnamed: tuple[Cue, ...] = ()
    subtitles: tuple[Cue, ...] = ()
    cast: tuple[str, ...] = ()

    def descriptions(self, named: bool = True) -> tuple[Cue, ...]:
        """The descriptions with or without names."""
        return self.named if named else self.unnamed


class Truth(NamedTuple):
    """What the studio knows of a film and no loader reads: for judging alone.

    Its fields:

    - ``cast``: Name, pronoun and colour of the top of each character.
    - ``on_screen``: For each description the names of those to be seen; the first acts.
    - ``steps``: What is done, as ``pick_up_red``.
    - ``speakers``: For each subtitle who speaks.
    - ``introduced``: Name to the second at which it is first said, by description or dialogue.
    """

    cast: tuple[tuple[str, str, str], ...]
    on_screen: tuple[tuple[str, ...], ...]
    steps: tuple[str, ...]
    speakers: tuple[str, ...]
    introduced: Mapping[str, float]


def recent(
    subtitles: Sequence[Cue], start: float, lines: int = LINES, within: float = WITHIN
) -> tuple[Cue, ...]:
    """The last subtitles before a description, oldest first.

    Args:
        subtitles: By start.
        start: Of the description, seconds.
        lines: At most so many.
        within: Seconds before ``start`` in which they have to begin.
    """
    found = [cue for cue in subtitles if start - within <= cue.start < start]
    return tuple(found[-lines:] if lines > 0 else ())


def names_of(cues: Sequence[Cue], cast: Sequence[str]) -> tuple[str, ...]:
    """The names that subtitles say, each once, in the order in which they are said (SubN)."""
    return tuple(names_in(" ".join(cue.text for cue in cues), cast))
