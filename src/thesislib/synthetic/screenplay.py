"""The screenplay of a film: who is where when, what is done, and what is said.

A film is a row of scenes, each in a room with one to three of its characters; a scene is a row of
shots. In a shot somebody speaks (a subtitle), or does something (a description, in a gap between
the dialogue). What is picked up is often put down next, a door that was opened is closed: what
came before says more of an act than a picture does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thesislib.synthetic.actions import ACTIONS, PAIRS
from thesislib.synthetic.activities import PAINTS, THING, Step
from thesislib.synthetic.captions import Rng
from thesislib.synthetic.describer import NAMES, TOGETHER, Character, Describer, line

SCREENPLAY = 1  # version: raised whenever the same seed would give other films
RATE = 3  # frames a second: eight of an act differ, and a film is cheap to look at
CAST = (2, 5)  # characters of a film, from ... to before
ROOMS = 3  # of a film
DESCRIPTIONS = (24, 30)  # of a film, and at most as many as its last scene has more
ACTS, LINES, ALONE = (2, 5), (2, 5), (0, 3)  # of a scene; lines of somebody who is alone
PRESENT = (0.25, 0.5, 0.25)  # how often one, two or three are there
BESIDE = 0.5  # how often somebody else is on the screen during an act
BOTH = 0.2  # ... and does the same
AGAIN = 0.4  # how often the counterpart of an earlier act of the scene follows
ACT = (2.2, 3.6)  # seconds of an act
BEFORE, AFTER = (1, 3), (1, 3)  # frames of a shot before and after what is told or said
PACE = 2.7  # words a second, of a description as of dialogue
LEAST = 1.2  # seconds of a line
BACK = {**dict(PAIRS), **{b: a for a, b in PAIRS}}
FIRST = [a for a, _ in PAIRS] + [a for a in ACTIONS if not ACTIONS[a].direction]


@dataclass(frozen=True)
class Shot:
    """A part of a film between two cuts.

    Attributes:
        start: Its first frame.
        frames: How many.
        room: Number of the room.
        cast: Places in the film's cast of those on the screen; the first acts or speaks.
        text: What a describer says of it, or what is spoken.
        span: First frame of the act (or of the line) and the first after it, from ``start``.
        step: What is done; ``None`` where somebody speaks.
        together: Whether all on the screen do it.
    """

    start: int
    frames: int
    room: int
    cast: tuple[int, ...]
    text: str
    span: tuple[int, int]
    step: Step | None = None
    together: bool = False

    @property
    def seconds(self) -> tuple[float, float]:
        """When the act is to be seen, or the line to be heard."""
        return (self.start + self.span[0]) / RATE, (self.start + self.span[1]) / RATE


@dataclass(frozen=True)
class Screenplay:
    """A film before it is filmed."""

    cast: tuple[Character, ...]
    shots: tuple[Shot, ...]

    @property
    def frames(self) -> int:
        """Its length."""
        return self.shots[-1].start + self.shots[-1].frames


def casting(rng: Rng) -> tuple[Character, ...]:
    """Two to four characters with names and colours of their own."""
    size = int(rng.integers(*CAST))
    names, tops = list(NAMES), list(PAINTS)
    who, worn = rng.permutation(len(names))[:size], rng.permutation(len(tops))[:size]
    return tuple(
        Character(names[i], NAMES[names[i]], tops[k], bool(rng.random() < 0.5))
        for i, k in zip(who.tolist(), worn.tolist(), strict=True)
    )


def screenplay(rng: Rng) -> Screenplay:
    """A film."""
    return Writer(rng).film()


class Writer:
    """Writes one film, shot by shot."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        self.cast = casting(rng)
        self.describer = Describer(rng, self.cast)
        self.shots: list[Shot] = []

    def film(self) -> Screenplay:
        """All scenes."""
        wanted, told, room = int(self.rng.integers(*DESCRIPTIONS)), 0, -1
        while told < wanted:
            others = [i for i in range(ROOMS) if i != room]
            room = others[int(self.rng.integers(len(others)))]
            told += self.scene(room)
        return Screenplay(self.cast, tuple(self.shots))

    def scene(self, room: int) -> int:
        """One scene; returns how many descriptions it has."""
        rng = self.rng
        count = min(1 + int(rng.choice(len(PRESENT), p=PRESENT)), len(self.cast))
        present = rng.permutation(len(self.cast))[:count].tolist()
        self.describer.scene()
        acts, lines = int(rng.integers(*ACTS)), int(rng.integers(*(LINES if count > 1 else ALONE)))
        talk = sorted(int(i) for i in rng.integers(acts + 1, size=1 + int(rng.random() < 0.3)))
        done: list[tuple[int, Step]] = []
        for act in range(acts + 1):
            while lines and talk and talk[0] <= act:
                talk.pop(0)
                part = lines if not talk else lines // 2
                self.exchange(room, present, part)
                lines -= part
            if act < acts:
                self.act(room, present, done)
        return acts

    def exchange(self, room: int, present: list[int], lines: int) -> None:
        """Lines of dialogue, by turns."""
        speaker = int(self.rng.integers(len(present)))
        for _ in range(lines):
            who, others = present[speaker], [i for i in present if i != present[speaker]]
            other = others[int(self.rng.integers(len(others)))] if others else None
            absent = [i for i in range(len(self.cast)) if i not in present]
            text, named = line(self.rng, self.cast, who, other, absent)
            self.describer.heard(named)
            self.add(room, (who,), text, seconds=LEAST)
            if other is not None:
                speaker = present.index(other)

    def act(self, room: int, present: list[int], done: list[tuple[int, Step]]) -> None:
        """Somebody does something."""
        rng = self.rng
        who, step = self.deed(present, done)
        others = [i for i in present if i != who]
        beside = (
            others[int(rng.integers(len(others)))] if others and rng.random() < BESIDE else None
        )
        together = beside is not None and step.action in TOGETHER and rng.random() < BOTH
        done.append((who, step))
        text = self.describer.tell(who, step, beside, together)
        cast = (who,) if beside is None else (who, beside)
        self.add(room, cast, text, float(rng.uniform(*ACT)), step, together)

    def deed(self, present: list[int], done: list[tuple[int, Step]]) -> tuple[int, Step]:
        """Who does what: at times the counterpart of what has been done in this scene."""
        rng = self.rng
        if rng.random() < AGAIN:
            for who, step in reversed(done):
                back = Step(BACK.get(step.action, ""), step.detail)
                if back.action and not any(earlier == back for _, earlier in done):
                    shared = back.thing in ("door", "box", "crate")
                    return (self.one_of(present) if shared else who), back
        action = FIRST[int(rng.integers(len(FIRST)))]
        detail = list(PAINTS)[int(rng.integers(len(PAINTS)))] if action in THING else ""
        return self.one_of(present), Step(action, detail)

    def one_of(self, present: list[int]) -> int:
        return present[int(self.rng.integers(len(present)))]

    def add(
        self,
        room: int,
        cast: tuple[int, ...],
        text: str,
        seconds: float,
        step: Step | None = None,
        together: bool = False,
    ) -> None:
        """A shot, long enough for what is said."""
        start = self.shots[-1].start + self.shots[-1].frames if self.shots else 0
        before, after = int(self.rng.integers(*BEFORE)), int(self.rng.integers(*AFTER))
        said = int(np.ceil(max(seconds, len(text.split()) / PACE) * RATE))
        span = (before, before + said)
        self.shots.append(
            Shot(start, before + said + after, room, cast, text, span, step, together)
        )
