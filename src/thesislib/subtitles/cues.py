"""What a subtitle file says: its cues, and an account of all that was found and mended.

No cue is ever lost in silence. What a file holds is counted; what cannot be used is left out under
its number, what is mended is mended under its number, and :meth:`Subtitles.summary` says so.
"""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

UNKNOWN = float("nan")
LONGEST = 3_600_000.0  # seconds: what lies beyond a thousand hours is no time of a video

# Kinds of repairs, in the order of the summary, as sentences that a list of numbers ends.
KINDS = {
    "no time": "without a time that can be read, left out",
    "odd time": "with an odd time (not three digits of a fraction, or 60 and more), read as said",
    "negative": "before 0 s, moved to it",
    "no end": "without an end, given one",
    "reversed": "that end before they begin, given another end",
    "unordered": "out of order, sorted by their start",
    "past the end": "that begin after the video's end, kept",
    "cut": "that end after the video's end, cut there",
    "point": "without length, kept",
    "overlapping": "that begin before an earlier one has ended, kept",
    "empty": "without text, kept",
}

_TAGS = re.compile(r"</?(?:[A-Za-z][^<>]*|[\d:.]+)>")  # <i>, <c.yellow>, <v Emo>, <00:00:01.000>
_POSITIONS = re.compile(r"\{\\[^{}]*\}|\{\}")  # {\an8}, which players of srt read as well
_INVISIBLE = re.compile(r"[\u0000-\u0008\u000e-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u202a-\u202e"
                        r"\u2060-\u2064\u2066-\u2069\ufeff]")  # fmt: skip
_SURROGATES = re.compile(r"[\ud800-\udfff]")  # half a character: no file can hold it


class Cue(NamedTuple):
    r"""One subtitle.

    Its fields:

    - ``start``: Seconds from the start of the video, not below 0.
    - ``end``: Seconds, not before the start.
    - ``text``: What is to be read, without tags, positions and entities; lines end in ``\n``.
    - ``raw``: The text as it stands in the file.
    - ``number``: Its place among the cues of the file, from 1.
    """

    start: float
    end: float
    text: str
    raw: str
    number: int


class Found(NamedTuple):
    """A cue as a reader of one kind of file finds it; times may be NaN, negative, in any order."""

    start: float
    end: float
    text: str
    raw: str
    odd: bool = False


@dataclasses.dataclass
class Parsed:
    """What a reader of one kind of file returns.

    Attributes:
        cues: In the order of the file.
        others: What else was there and is no cue, by name: ``{"NOTE blocks": 2}``.
    """

    cues: list[Found] = dataclasses.field(default_factory=list)
    others: dict[str, int] = dataclasses.field(default_factory=dict)

    def another(self, name: str) -> None:
        """Counts something that is no cue."""
        self.others[name] = self.others.get(name, 0) + 1


@dataclasses.dataclass(frozen=True)
class Subtitles:
    """The cues of a file, by their start, and the account of how they came about.

    Attributes:
        name: The file, as errors and the summary name it.
        kind: ``srt``, ``vtt``, ``ass``, ``ttml``, ``youtube`` or ``json``.
        encoding: How its bytes were read: ``"utf-8"``; ``"cp1251, a guess"``.
        cues: Those that have a time.
        found: How many cues the file holds.
        repairs: Kind of a repair (see ``KINDS``) to the numbers of its cues.
        others: What else was there and is no cue, by name: ``{"NOTE blocks": 2}``.
    """

    name: str
    kind: str
    encoding: str
    cues: tuple[Cue, ...]
    found: int
    repairs: Mapping[str, Sequence[int]]
    others: Mapping[str, int]

    def summary(self) -> list[str]:
        """Lines for people: count in, count out, and each repair with its cues."""
        head = f"{self.name} ({self.kind}, {self.encoding}): {self.found} cues in the file"
        lines = [f"{head}, {len(self.cues)} read."]
        for kind, says in KINDS.items():
            if numbers := self.repairs.get(kind):
                lines.append(f"  {len(numbers)} {says}: {listed(numbers)}")
        lines += [f"  {count} {name}, no cues" for name, count in self.others.items()]
        return lines


def listed(numbers: Sequence[int], most: int = 8) -> str:
    """The first few of many numbers: ``"no. 3, 4, 9 and 20 more"``."""
    more = f" and {len(numbers) - most} more" if len(numbers) > most else ""
    return f"no. {', '.join(map(str, numbers[:most]))}{more}"


def plain(raw: str, *, tags: bool = True, entities: bool = True) -> str:
    r"""The text of a cue as one reads it: no markup, no invisible signs, no empty lines.

    Args:
        raw: As it stands in the file.
        tags: Whether ``<i>`` and ``{\an8}`` are markup there.
        entities: Whether ``&amp;`` is. What they stand for is text: ``&lt;i&gt;`` gives ``<i>``.
    """
    text = _POSITIONS.sub("", _TAGS.sub("", raw)) if tags else raw
    text = html.unescape(text) if entities else text
    text = _SURROGATES.sub("\ufffd", _INVISIBLE.sub("", text))
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)
