"""What the studio knows of a video and would take an annotator time to find out.

Everything is read off what is painted (joints, props, colours, furniture), so that it is true of
the pixels and not of the intention alone.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thesislib.synthetic.actions import ACTIONS
from thesislib.synthetic.figure import Array, J
from thesislib.synthetic.props import Prop
from thesislib.synthetic.render import MARGIN, Performance, Stage, noise_of, paint_of
from thesislib.synthetic.scenes import Room

HUE_NAMES = ("red", "orange", "brown", "yellow", "green", "teal", "blue", "purple", "pink")
SHADES = ("", "dark ", "light ")
COLOURS = ("black", "white", *(shade + name for name in ("grey", *HUE_NAMES) for shade in SHADES))
# Hues of the names in turns, up to where each reaches.
HUES = ((0.04, "red"), (0.12, "orange"), (0.19, "yellow"), (0.44, "green"), (0.54, "teal"),
        (0.70, "blue"), (0.80, "purple"), (0.96, "pink"), (1.0, "red"))  # fmt: skip
Flags = NDArray[np.bool_]
FAINT = 0.16  # saturation below which a colour is a grey


@dataclass(frozen=True)
class Thing:
    """Something that stands about."""

    kind: str
    colour: str
    side: str  # left, middle or right, as seen


@dataclass(frozen=True)
class Facts:
    """What there is to tell of a video.

    Attributes:
        action: What is done, a key of :data:`actions.ACTIONS`.
        top: Colour of the shirt, one of :data:`COLOURS`, as all colours here.
        striped: Whether the shirt has stripes.
        sleeves: Whether they are long.
        legs: Colour of the trousers.
        shorts: Whether they are short.
        place: Where the actor stands: ``left``, ``middle`` or ``right``.
        distance: ``near``, ``far`` or ``""``.
        view: Where the actor faces: ``left``, ``front`` or ``right``, as seen.
        wall: Colour.
        floor: Colour.
        prop: The thing on the stage, if any.
        furniture: What stands or hangs in the room and can be seen.
        states: What can be seen in each frame, keys of :data:`wording.STATES`.
        done: How much of the action lies behind each frame, 0 to 1; ``()`` of a cycle.
    """

    action: str
    top: str
    striped: bool
    sleeves: bool
    legs: str
    shorts: bool
    place: str
    distance: str
    view: str
    wall: str
    floor: str
    prop: Thing | None
    furniture: tuple[Thing, ...]
    states: tuple[tuple[str, ...], ...]
    done: tuple[float, ...]


def facts_of(stage: Stage) -> Facts:
    """What there is to tell of a clip, for the frames that the stage shows."""
    spec, actor, show, room = stage
    outfit, x = actor.outfit, float(show.camera[:, 0, 2].mean())
    prop = None
    if show.prop is not None:
        paint = paint_of(noise_of(spec), spec.world)
        prop = Thing(show.prop.kind, colour_name(paint), side_of(x))
    done = show.progress
    if done is not None and ACTIONS[spec.action].direction < 0:
        done = 1 - done
    return Facts(
        spec.action, colour_name(outfit.top), outfit.stripes > 0, outfit.sleeves,
        colour_name(outfit.legs), outfit.shorts, side_of(x, 0.06),
        "near" if actor.height > 0.8 else "far" if actor.height < 0.68 else "",
        ("left", "front", "right")[int(np.digitize(spec.yaw, (-15, 15)))],
        colour_name(room.wall), colour_name(room.floor), prop, seen_furniture(room, x),
        states_of(show), () if done is None else tuple(done.tolist()),
    )  # fmt: skip


def side_of(x: float, reach: float = 0.13) -> str:
    """Where something at ``x`` (0 to 1) is in the picture."""
    return ("left", "middle", "right")[int(np.digitize(x, (0.5 - reach, 0.5 + reach)))]


def colour_name(paint: Iterable[float]) -> str:
    """The name of an RGB colour (0 to 255), one of :data:`COLOURS`."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(c / 255 for c in paint))
    if value < 0.22:
        return "black"
    if saturation < FAINT:
        return "white" if value > 0.85 else SHADES[shade_of(value, 0.45, 0.68)] + "grey"
    name = next(name for end, name in HUES if hue <= end)
    if name == "red" and saturation < 0.45 and value > 0.7:
        return "pink"
    if name in ("orange", "yellow") and value < 0.6:
        name = "brown"
    return SHADES[shade_of(value, 0.42, 0.75 if saturation < 0.4 else 1.1)] + name


def shade_of(value: float, dark: float, light: float) -> int:
    """Place in :data:`SHADES`."""
    return 1 if value < dark else 2 if value > light else 0


def seen_furniture(room: Room, actor: float) -> tuple[Thing, ...]:
    """What the camera sees of the furniture: within the frame, not behind the actor, not faint."""
    found = []
    for piece in room.pieces:
        x, y = ((at - 0.5) * MARGIN + 0.5 for at in (piece.x, piece.y))
        inside = 0.04 < x < 0.96 and 0.04 < y < 0.96
        contrast = max(abs(a - b) for a, b in zip(piece.paint, room.wall, strict=True))
        if inside and abs(x - actor) > 0.12 and contrast > 12:
            found.append(Thing(piece.kind, colour_name(piece.paint), side_of(x)))
    return tuple(found)


def states_of(show: Performance) -> tuple[tuple[str, ...], ...]:
    """What the pose and the prop look like in each frame, whatever the action is."""
    p = show.joints
    up = {name: p[:, i, 1] for name, i in J.items()}  # heights over the floor
    wrists = np.stack([up["l_wrist"], up["r_wrist"]])
    apart = np.linalg.norm(p[:, J["l_wrist"]] - p[:, J["r_wrist"]], axis=1)
    legs = up["pelvis"] - np.minimum(up["l_ankle"], up["r_ankle"])
    bent = up["neck"] - up["pelvis"] < 0.22
    step = np.abs(up["l_ankle"] - up["r_ankle"]) > 0.12
    seen = prop_states(show.prop, len(p), show.progress)
    seated = np.zeros(len(p), bool)
    if show.prop is not None and show.prop.kind == "stool":
        seated = np.abs(up["pelvis"] - show.prop.height - 0.05) < 0.04
    raised = wrists > up["head"] + 0.03
    seen |= {
        "sitting": seated,
        "standing": (legs > 0.42) & ~bent & ~step,
        "knees bent": (legs < 0.36) & ~seated,
        "bent forward": bent,
        "one leg up": step,
        "arms up": np.logical_and(*raised),
        "one arm up": np.not_equal(*raised),
        "arms down": (wrists < up["pelvis"] + 0.1).all(0) & ~bent & ~seated,
        "arms apart": (apart > 0.55) & ~raised.any(0),
        "hands together": apart < 0.1,
    }
    return tuple(tuple(name for name, on in seen.items() if on[t]) for t in range(len(p)))


def prop_states(prop: Prop | None, frames: int, progress: Array | None) -> dict[str, Flags]:
    """What a prop looks like in each frame: name -> ``(T,)`` bool."""
    if prop is None:
        return {}
    if prop.kind == "cabinet" and prop.angle is not None:
        degrees = np.degrees(prop.angle)
        return {
            "door open": degrees > 62,
            "door half open": (degrees > 25) & (degrees <= 62),
            "door shut": degrees <= 25,
        }
    if prop.kind == "box":
        low = np.full(frames, prop.place[1]) if prop.path is None else prop.path[:, 1]
        return {"box down": low < 0.02, "box in hand": low >= 0.02}
    if prop.kind == "crate" and prop.path is not None and progress is not None:  # it is moved
        return {"crate back": progress < 0.2, "crate forward": progress > 0.8}
    return {}
