"""The words of the studio's captions: a small closed vocabulary, as tables to draw from.

``{a}`` slots are filled from other tables. A model that has read these captions has seen each word
of :func:`vocabulary`, and no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from thesislib.synthetic.facts import COLOURS

# How a person would write the names of the classes down.
NAMES: dict[str, str] = {
    "sit_down": "sitting down", "stand_up": "standing up",
    "pick_up": "picking up a box", "put_down": "putting down a box",
    "open_door": "opening a door", "close_door": "closing a door",
    "raise_arms": "raising the arms", "lower_arms": "lowering the arms",
    "push": "pushing a crate forward", "pull": "pulling a crate back",
    "wave": "waving", "clap": "clapping", "jumping_jack": "doing jumping jacks",
    "squat": "doing squats", "punch": "punching", "kick": "kicking", "bow": "bowing",
    "march": "marching", "jump": "jumping", "turn": "turning around",
}  # fmt: skip

# Written by hand, the first is the usual one.
TEMPLATES = ("a person {}", "someone {} in a room", "a person who is {}")

# What captions say of each action: three usual phrases.
PHRASES: dict[str, tuple[str, ...]] = {
    "sit_down": ("sits down", "takes a seat", "goes from standing to sitting on a stool"),
    "stand_up": ("stands up", "gets up", "goes from sitting on a stool to standing"),
    "pick_up": ("picks up a box", "takes a box from the floor", "lifts a box with the hands"),
    "put_down": ("puts down a box", "puts a box on the floor", "lets a box go down to the floor"),
    "open_door": ("opens a door", "opens the cupboard", "makes the door go open"),
    "close_door": ("closes a door", "shuts the cupboard", "makes the door go shut"),
    "raise_arms": ("raises the arms", "lifts the arms up", "brings the hands up over the head"),
    "lower_arms": ("lowers the arms", "lets the arms down", "brings the hands down to the sides"),
    "push": ("pushes a crate", "moves a crate forward", "walks forward with a crate"),
    "pull": ("pulls a crate", "moves a crate back", "walks back with a crate"),
    "wave": ("waves", "says hello", "waves one hand"),
    "clap": ("claps", "claps the hands", "gives a hand"),
    "jumping_jack": (
        "does jumping jacks", "jumps with arms and legs apart", "jumps up with the arms",
    ),
    "squat": ("squats", "does squats", "bends the knees and gets up again"),
    "punch": ("punches", "hits the air", "punches with one hand and then the other"),
    "kick": ("kicks", "kicks the air", "kicks with one leg"),
    "bow": ("bows", "takes a bow", "bends forward and back"),
    "march": ("marches", "walks on the spot", "lifts one leg and then the other"),
    "jump": ("jumps", "jumps on the spot", "goes up in the air"),
    "turn": ("turns around", "turns on the spot", "goes around"),
}  # fmt: skip

# What can be seen in one frame.
STATES: dict[str, tuple[str, ...]] = {
    "sitting": ("sitting", "sitting on a stool", "sitting down low"),
    "standing": ("standing", "standing up", "legs straight"),
    "knees bent": ("knees bent", "low on bent knees", "bent legs"),
    "bent forward": ("bent forward", "the head down low", "bent over"),
    "one leg up": ("one leg up", "on one foot", "one foot in the air"),
    "arms up": ("arms up", "hands over the head", "arms raised"),
    "one arm up": ("one arm up", "one hand up", "one arm raised"),
    "arms down": ("arms down", "hands at the sides", "arms lowered"),
    "arms apart": ("arms apart", "hands apart", "both arms out"),
    "hands together": ("hands together", "both hands close together"),
    "door open": ("the door is open", "an open door", "open cupboard"),
    "door half open": ("the door is half open", "a half open door"),
    "door shut": ("the door is shut", "a closed door", "closed cupboard"),
    "box down": ("the box is on the floor", "the box is down", "a box on the floor"),
    "box in hand": ("the box is in the hands", "the box is up", "holding a box"),
    "crate back": ("the crate is back", "the crate is far"),
    "crate forward": ("the crate is forward", "the crate is near"),
}

KINDS: dict[str, tuple[str, ...]] = {
    "stool": ("stool", "seat"), "crate": ("crate", "case"),
    "cabinet": ("cabinet", "cupboard"), "box": ("box", "parcel"),
    "picture": ("picture", "window"), "shelf": ("shelf", "chest"), "lamp": ("lamp", "ball"),
    "plant": ("plant", "tree"),
}  # fmt: skip

# Parts of a sentence. ``{top}``: a colour, with or without stripes.
WHO = ("a person", "someone", "a person", "an actor", "somebody", "a figure", "one person")
SHOWN = ("", "", "", "", "", "here", "in a video", "in a picture")
TOPS = ("in {top}", "in a {top} shirt", "wearing a {top} shirt", "with a {top} top")
LEGS = ("in {legs} {trousers}", "wearing {legs} {trousers}", "with {legs} {trousers}")
BOTH = ("in a {top} shirt and {legs} {trousers}", "wearing {top} and {legs}",
        "dressed in a {top} top and {legs} {trousers}")  # fmt: skip
STRIPED = ("striped {colour}", "{colour}")
TROUSERS = {True: ("shorts",), False: ("trousers", "pants")}
SLEEVES = {True: "long sleeves", False: "short sleeves"}
PROPS = ("with a {thing}", "beside a {thing}", "by a {thing}", "there is a {thing}")
PLACES = {
    "left": ("on the left", "at the left", "to the left"),
    "middle": ("in the middle", "in the centre"),
    "right": ("on the right", "at the right", "to the right"),
}
DISTANCES = {"near": ("near", "close to the camera"), "far": ("far away", "in the distance")}
VIEWS = {
    "left": ("facing left", "looking to the left", "seen from the side"),
    "front": ("facing the camera", "seen from the front"),
    "right": ("facing right", "looking to the right", "seen from the side"),
}
FURNITURE = (
    "a {thing} on the {side}", "before a {thing}", "a {thing} in the room", "near a {thing}",
)  # fmt: skip
WALLS = ("a {colour} wall", "before a {colour} wall", "in a {colour} room")
FLOORS = ("on a {colour} floor", "a {colour} floor")
JOINTS = (", ", ", ", " and ", ", while ")  # between two captions of one picture


def words_of(text: str) -> list[str]:
    """The words of a text in lower case; slots are left out."""
    return re.findall(r"[a-z]+", re.sub(r"\{\w*\}", " ", text.lower()))


def _strings(table: object) -> Iterable[str]:
    """All texts of a table, however deep."""
    if isinstance(table, str):
        yield table
    elif isinstance(table, Mapping):
        for value in table.values():
            yield from _strings(value)
    elif isinstance(table, Iterable):
        for value in table:
            yield from _strings(value)


def vocabulary() -> tuple[str, ...]:
    """All words that a caption, a class name or a template can hold, sorted."""
    tables = (
        NAMES, TEMPLATES, PHRASES, STATES, KINDS, WHO, SHOWN, TOPS, LEGS, BOTH, STRIPED, TROUSERS,
        SLEEVES, PROPS, PLACES, DISTANCES, VIEWS, FURNITURE, WALLS, FLOORS, JOINTS, COLOURS,
        tuple(PLACES), ("a", "an"),
    )  # fmt: skip
    return tuple(sorted({word for text in _strings(tables) for word in words_of(text)}))
