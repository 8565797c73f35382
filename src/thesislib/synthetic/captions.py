"""Captions of the studio's videos and frames, drawn from what the studio knows.

A caption for learning says what somebody might say who looks at a picture: any part may be missing,
and nothing is always put in the same words. The name of a class is one way among several of
speaking of it, so that a text made from the name is not simply the caption's own words. A caption
for retrieval (:func:`describe`) says all that tells a video from others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from thesislib.synthetic import wording
from thesislib.synthetic.facts import Facts, Thing
from thesislib.synthetic.wording import NAMES

Rng = np.random.Generator
# How often a caption for learning speaks of each part.
SHARES = {
    "clothes": 0.6, "prop": 0.4, "place": 0.5, "furniture": 0.3, "view": 0.15, "state": 0.3,
}  # fmt: skip
ACTION, TAGS, NAME = 0.75, 0.12, 0.05  # an action is told, in a list of tags, by its class's name
# What has happened is told more often than what is about to: the share goes from 0.55 to 0.95 with
# the action's progress. So the names of two counterparts are not the same to a model of pictures.
LEAN = 0.4


def names(actions: Iterable[str] = tuple(NAMES)) -> dict[str, str]:
    """Class -> its name as a person would write it, to be put into a template."""
    return {action: NAMES[action] for action in actions}


def caption(facts: Facts, rng: Rng, frame: int | None = None, twice: bool = False) -> str:
    """A caption for learning.

    Args:
        facts: What is known.
        rng: Draws what is told, and how.
        frame: Place among the frames of ``facts``; without one nothing is said of the pose.
        twice: Two captions in one, so that late places of a text are learnt too.
    """
    if twice:
        first, second = (caption(facts, rng, frame) for _ in range(2))
        return first + pick(rng, wording.JOINTS) + second
    parts = told(facts, rng, frame)
    if rng.random() < TAGS:
        parts = [part for part in parts if part] or ["person"]
        return articles(", ".join(parts[i] for i in rng.permutation(len(parts))))
    clothes, action, where, *rest = parts
    if rng.random() < 0.3:
        where, rest = "", [where, *rest]
    rest = [rest[i] for i in rng.permutation(len(rest)) if rest[i]]
    start = [pick(rng, wording.SHOWN), pick(rng, wording.WHO), clothes, action, where]
    return articles(", ".join([" ".join(filter(None, start)), *rest]))


def told(facts: Facts, rng: Rng, frame: int | None) -> list[str]:
    """Clothes, action, place, prop, furniture, view, state; empty where it is not told."""
    state = pick(rng, facts.states[frame]) if frame is not None and facts.states[frame] else ""
    lean = LEAN * (facts.done[frame] - 0.5) if frame is not None and facts.done else 0.0
    options = {
        "clothes": dress(facts, rng),
        "place": place(facts, rng),
        "prop": say(rng, wording.PROPS, thing=named(facts.prop, rng)) if facts.prop else "",
        "furniture": room(facts, rng),
        "view": pick(rng, wording.VIEWS[facts.view]),
        "state": pick(rng, wording.STATES[state]) if state else "",
    }
    kept = {name: text if rng.random() < SHARES[name] else "" for name, text in options.items()}
    clothes = kept.pop("clothes")
    return [clothes, do(facts, rng) if rng.random() < ACTION + lean else "", *kept.values()]


def describe(facts: Facts, rng: Rng) -> str:
    """One caption that tells a video from others, some eighteen words: for text-video retrieval.

    It says both clothes, action, place, view and a piece of furniture, in few enough words for the
    window of a small text encoder with learnt vectors around them.
    """
    top = wording.STRIPED[0].format(colour=facts.top) if facts.striped else facts.top
    parts = [
        pick(rng, wording.WHO[:2]),
        f"in {top} and {facts.legs}",
        pick(rng, wording.PHRASES[facts.action][:2]),
        pick(rng, wording.PLACES[facts.place]),
    ]
    text = f"{' '.join(parts)}, {wording.VIEWS[facts.view][0]}"
    if facts.furniture:
        thing = facts.furniture[0]
        kind = pick(rng, wording.KINDS[thing.kind])
        text += ", " + wording.FURNITURE[0].format(thing=kind, side=thing.side)
    return articles(text)


# --- parts ---


def do(facts: Facts, rng: Rng) -> str:
    """What is done: one of three usual phrases, or the name of the class."""
    if rng.random() < NAME:
        return NAMES[facts.action]
    return pick(rng, wording.PHRASES[facts.action])


def dress(facts: Facts, rng: Rng) -> str:
    """What the actor wears."""
    top = say(rng, wording.STRIPED, colour=facts.top) if facts.striped else facts.top
    trousers = pick(rng, wording.TROUSERS[facts.shorts])
    options = (wording.TOPS, wording.BOTH, wording.LEGS)
    text = say(
        rng, options[rng.choice(3, p=(0.5, 0.35, 0.15))], top=top, legs=facts.legs,
        trousers=trousers,
    )  # fmt: skip
    return f"{text} with {wording.SLEEVES[facts.sleeves]}" if rng.random() < 0.1 else text


def place(facts: Facts, rng: Rng) -> str:
    """Where the actor stands."""
    if facts.distance and rng.random() < 0.3:
        return pick(rng, wording.DISTANCES[facts.distance])
    return pick(rng, wording.PLACES[facts.place])


def room(facts: Facts, rng: Rng) -> str:
    """A piece of furniture, or a wall or floor."""
    if facts.furniture and rng.random() < 0.6:
        thing = facts.furniture[int(rng.integers(len(facts.furniture)))]
        return say(rng, wording.FURNITURE, thing=named(thing, rng), side=thing.side)
    if rng.random() < 0.6:
        return say(rng, wording.WALLS, colour=facts.wall)
    return say(rng, wording.FLOORS, colour=facts.floor)


def named(thing: Thing, rng: Rng) -> str:
    """A thing by colour and kind."""
    kind = pick(rng, wording.KINDS[thing.kind])
    return f"{thing.colour} {kind}" if rng.random() < 0.8 else kind


# --- drawing ---


def pick(rng: Rng, options: Sequence[str]) -> str:
    """One of several texts."""
    return options[int(rng.integers(len(options)))]


def say(rng: Rng, options: Sequence[str], **slots: str) -> str:
    """One of several texts, its slots filled."""
    return pick(rng, options).format(**slots)


def articles(text: str) -> str:
    """``an`` before a vowel."""
    return re.sub(r"\ba (?=[aeiou])", "an ", text)
