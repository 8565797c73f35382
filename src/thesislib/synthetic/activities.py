"""Activities of several steps, as of a cookery book: ten of them, eighteen steps each.

A step is an action with a thing of a certain colour, or at a certain place of the picture: 76 in
all. Each belongs to one to four activities, so that few steps give an activity away; and some
things of an activity are used both ways (picked up and put down), so that a few steps of one video
differ in their direction of time alone. The table is drawn once for all, from its own seed.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from thesislib.errors import ThesisError
from thesislib.synthetic.actions import ACTIONS, PAIRS
from thesislib.synthetic.plot import WITH_PROPS
from thesislib.synthetic.scenes import Colour, colour

T = TypeVar("T")
NAMES = (
    "moving_day", "spring_cleaning", "stocktaking", "dress_rehearsal", "morning_exercise",
    "dance_lesson", "magic_show", "house_tour", "shop_opening", "school_play",
)  # fmt: skip
SEED = 7  # of the table
# Of an activity: things, those that are used both ways, and cycles; arms go up and down too.
THINGS, BOTH, MOVES = 7, 3, 6
LEAST = 3  # steps that make an activity
# Hue, saturation, value: each is called by its name in captions (facts.colour_name).
PAINTS = {
    "red": (0.0, 0.8, 0.8), "yellow": (0.155, 0.8, 0.85), "green": (0.33, 0.7, 0.65),
    "blue": (0.62, 0.75, 0.8), "purple": (0.755, 0.6, 0.7),
}  # fmt: skip
PLACES = {"left": -0.36, "middle": 0.0, "right": 0.36}  # in statures, as seen
KINDS = {"sit_down": "stool", "pick_up": "box", "open_door": "door", "push": "crate"}
THING = KINDS | {back: KINDS[forth] for forth, back in PAIRS if forth in KINDS}


class Step(NamedTuple):
    """One step of an activity.

    Its fields:

    - ``action``: A key of :data:`actions.ACTIONS`.
    - ``detail``: The colour of the thing, a key of :data:`PAINTS`; where there is no thing, the
      place, a key of :data:`PLACES`.
    """

    action: str
    detail: str

    @property
    def thing(self) -> str:
        """What is used, or ``""``."""
        return THING.get(self.action, "")

    @property
    def label(self) -> str:
        """Its class name, as in ``segments.json``."""
        return f"{self.action}_{self.detail}"


@functools.cache
def activities() -> dict[str, tuple[Step, ...]]:
    """The steps of each activity, in their usual order."""
    rng = np.random.default_rng(SEED)
    back = dict(PAIRS)
    things = [(action, paint) for action in WITH_PROPS for paint in PAINTS]
    cycles = [a for a in ACTIONS if ACTIONS[a].direction == 0]
    hands = zip(
        dealt(rng, things, len(NAMES), THINGS),
        dealt(rng, list(PLACES), len(NAMES), 1),
        dealt(rng, [Step(a, place) for a in cycles for place in PLACES], len(NAMES), MOVES),
        strict=True,
    )
    out = {}
    for name, (used, (place,), moves) in zip(NAMES, hands, strict=True):
        pairs = [(Step(a, d), Step(back[a], d)) for a, d in used]
        once = [(pair[int(rng.integers(2))],) for pair in pairs[BOTH:]]
        arms = (Step("raise_arms", place), Step("lower_arms", place))
        out[name] = in_order(rng, [*pairs[:BOTH], *once, arms, *((move,) for move in moves)])
    return out


def dealt(rng: np.random.Generator, cards: Sequence[T], hands: int, size: int) -> list[list[T]]:
    """Hands of different cards, each card as often as the others, give or take one."""
    used: Counter[int] = Counter()
    out = []
    for _ in range(hands):
        order = sorted(rng.permutation(len(cards)).tolist(), key=lambda i: used[i])[:size]
        used.update(order)
        out.append([cards[i] for i in order])
    return out


def in_order(rng: np.random.Generator, groups: Sequence[tuple[Step, ...]]) -> tuple[Step, ...]:
    """All steps in a random order that keeps the order within each group."""
    placed = [
        (at, step)
        for group in groups
        for at, step in zip(np.sort(rng.random(len(group))), group, strict=True)
    ]
    return tuple(step for _, step in sorted(placed, key=lambda one: one[0]))


def steps() -> tuple[Step, ...]:
    """All steps of all activities, by label."""
    return tuple(sorted({s for some in activities().values() for s in some}, key=lambda s: s.label))


def steps_of(activity: str, actions: Sequence[str]) -> tuple[Step, ...]:
    """The steps of an activity in a world that knows these actions.

    Raises:
        ThesisError: Fewer than :data:`LEAST` are left.
    """
    found = tuple(step for step in activities()[activity] if step.action in actions)
    if len(found) < LEAST:
        raise ThesisError(
            f"The activity {activity!r} has {len(found)} steps in a world of the actions "
            f"{', '.join(actions)}: give World.actions more of them."
        )
    return found


def painted(name: str, rng: np.random.Generator) -> Colour:
    """A shade of a colour that still goes by its name."""
    hue, saturation, value = PAINTS[name]
    return colour(
        hue + rng.uniform(-0.012, 0.012),
        saturation + rng.uniform(-0.08, 0.08),
        value + rng.uniform(-0.06, 0.06),
    )
