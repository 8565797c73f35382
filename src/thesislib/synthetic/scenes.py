"""Backdrops: a wall, a floor, some furniture, textures; and the clothes of an actor.

Both are drawn once a group, from their own seeds, and know nothing of the action.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]  # RGB, 0..255


def colour(hue: float, saturation: float, value: float) -> Colour:
    """RGB from hue, saturation and value in 0..1."""
    r, g, b = colorsys.hsv_to_rgb(hue % 1, float(np.clip(saturation, 0, 1)), value)
    return int(r * 255), int(g * 255), int(b * 255)


@dataclass(frozen=True)
class Outfit:
    """Colours of an actor."""

    skin: Colour
    hair: Colour
    top: Colour
    trim: Colour  # stripes of the top
    legs: Colour
    shoes: Colour
    sleeves: bool
    shorts: bool
    stripes: int  # 0 plain, otherwise the number of stripes across the chest


def random_outfit(rng: np.random.Generator, variation: float) -> Outfit:
    """Clothes; ``variation`` 0 dresses everyone in the same greys."""
    v = variation
    tone = rng.uniform(0, 1) * v + 0.5 * (1 - v)
    top = (rng.uniform(), rng.uniform(0.15, 0.9) * v, 0.62 + v * rng.uniform(-0.35, 0.33))
    legs = (rng.uniform(), rng.uniform(0.1, 0.7) * v, 0.36 + v * rng.uniform(-0.2, 0.4))
    trim = (rng.uniform(), rng.uniform(0, 0.8) * v, 0.8 + v * rng.uniform(-0.6, 0.2))
    return Outfit(
        skin=colour(0.065, 0.55 - 0.2 * tone, 0.45 + 0.45 * tone),
        hair=colour(0.08, 0.5, 0.15 + 0.5 * v * rng.uniform() ** 2),
        top=colour(*top),
        trim=colour(*trim),
        legs=colour(*legs),
        shoes=colour(rng.uniform(), 0.4 * v, 0.2 + 0.5 * v * rng.uniform()),
        sleeves=bool(rng.random() < 0.5),
        shorts=bool(rng.random() < 0.3 * v),
        stripes=int(rng.integers(2, 5)) if rng.random() < 0.5 * v else 0,
    )


@dataclass(frozen=True)
class Piece:
    """A piece of furniture as it is seen."""

    kind: str  # one of FURNITURE
    paint: Colour
    x: float  # of its middle, as a share of the backdrop's side
    y: float


FURNITURE = ("picture", "shelf", "lamp", "plant")


@dataclass(frozen=True)
class Room:
    """A backdrop, and what is in it."""

    picture: Image  # (side, side, 3) RGB
    wall: Colour
    floor: Colour
    pieces: tuple[Piece, ...]  # those that nothing drawn later covers


def backdrop(rng: np.random.Generator, side: int, loudness: float, variety: float = 1.0) -> Room:
    """A room ``(side, side, 3)`` uint8 RGB, and what is in it.

    Args:
        rng: decides everything.
        side: pixels.
        loudness: 0 is a plain wall and floor, 1 full contrast with patterns and much furniture.
        variety: share of this room in the picture; the rest is one grey room, the same for all.
    """
    horizon = int(side * rng.uniform(0.6, 0.78))
    wall_hue, floor_hue = rng.uniform(), rng.uniform()
    room = np.empty((side, side, 3), np.float32)
    bright = rng.uniform(0.5, 0.85)
    wall = np.array(colour(wall_hue, rng.uniform(0.05, 0.2 + 0.5 * loudness), bright))
    floor = np.array(
        colour(floor_hue, rng.uniform(0.1, 0.25 + 0.4 * loudness), bright * rng.uniform(0.55, 0.85))
    )
    slope = np.linspace(-1, 1, side, dtype=np.float32)[None, :, None] * rng.uniform(-1, 1)
    room[:horizon] = wall * (1 + 0.12 * slope)
    room[horizon:] = floor
    room[:horizon] += texture(rng, horizon, side, loudness)
    depth = np.linspace(0.85, 1.1, side - horizon, dtype=np.float32)[:, None, None]
    room[horizon:] *= depth
    room[horizon:] += 0.6 * texture(rng, side - horizon, side, loudness)
    canvas = np.clip(room, 0, 255).astype(np.uint8)
    count = int(rng.poisson(1 + 6 * loudness))
    pieces = [furnish(rng, canvas, horizon, wall, loudness) for _ in range(count)]
    seen = tuple(
        replace(piece, paint=mixed(piece.paint, PLAIN_WALL, variety))
        for piece in pieces
        if is_seen(canvas, piece)
    )
    canvas = np.asarray(cv2.GaussianBlur(canvas, (0, 0), side / 180), np.uint8)
    picture = cv2.addWeighted(canvas, variety, plain_room(side), 1 - variety, 0).astype(np.uint8)
    walls = mixed(wall, PLAIN_WALL, variety), mixed(floor, PLAIN_FLOOR, variety)
    return Room(picture, *walls, seen)


PLAIN_WALL, PLAIN_FLOOR = 190, 120


def plain_room(side: int) -> Image:
    """The grey room that is the same for everyone."""
    room = np.full((side, side, 3), PLAIN_WALL, np.uint8)
    room[int(side * 0.7) :] = PLAIN_FLOOR
    return room


def mixed(paint: Iterable[float], grey: int, share: float) -> Colour:
    """A colour of which ``share`` shows before a grey."""
    r, g, b = (round(float(c) * share + grey * (1 - share)) for c in paint)
    return r, g, b


def is_seen(canvas: Image, piece: Piece) -> bool:
    """Whether the middle of a piece has still its colour: nothing later lies over it."""
    side = len(canvas)
    x, y = int(piece.x * side), int(piece.y * side)
    return 0 <= x < side and 0 <= y < side and tuple(canvas[y, x].tolist()) == piece.paint


def texture(rng: np.random.Generator, height: int, width: int, loudness: float) -> Image:
    """An additive pattern ``(height, width, 3)`` float32: stripes, checks, clouds or nothing."""
    kind = int(rng.integers(5))
    tint = np.array([rng.uniform(-1, 1) for _ in range(3)], np.float32)
    strength = 70 * loudness * rng.uniform(0.3, 1)
    y, x = np.mgrid[:height, :width].astype(np.float32) / width
    period = rng.uniform(6, 22)
    if kind == 0:
        field = np.sign(np.sin(x * 2 * np.pi * period))
    elif kind == 1:
        field = np.sign(np.sin(y * 2 * np.pi * period))
    elif kind == 2:
        field = np.sign(np.sin(x * np.pi * period) * np.sin(y * np.pi * period))
    elif kind == 3:
        small = rng.normal(size=(6, 6)).astype(np.float32)
        field = np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))
    else:
        field = np.zeros((height, width), np.float32)
    return field[..., None] * tint * strength


def furnish(
    rng: np.random.Generator, canvas: Image, horizon: int, wall: Image, loudness: float
) -> Piece:
    """Draw one picture, shelf, lamp or plant onto the room."""
    side = canvas.shape[0]
    paint = np.array(colour(rng.uniform(), rng.uniform(0.1, 0.9), rng.uniform(0.2, 1)))
    mix = 0.25 + 0.75 * loudness
    r, g, b = (int(c) for c in np.clip(wall * (1 - mix) + paint * mix, 0, 255))
    ink, dark = (r, g, b), tuple(int(c * 0.7) for c in (r, g, b))
    kind = int(rng.integers(4))
    x = int(rng.uniform(0, side))
    if kind == 0:
        w, h = (int(side * rng.uniform(0.08, 0.22)) for _ in range(2))
        y = int(rng.uniform(0.05, 0.45) * side)
        cv2.rectangle(canvas, (x, y), (x + w, y + h), dark, -1)
        inset = max(2, side // 60)
        cv2.rectangle(canvas, (x + inset, y + inset), (x + w - inset, y + h - inset), ink, -1)
        middle = x + w / 2, y + h / 2
    elif kind == 1:  # it stands on the floor
        w, h = int(side * rng.uniform(0.1, 0.25)), int(side * rng.uniform(0.1, 0.4))
        cv2.rectangle(canvas, (x, horizon + side // 40 - h), (x + w, horizon + side // 40), ink, -1)
        for k in range(1, 4):
            y = horizon + side // 40 - h * k // 4
            cv2.line(canvas, (x, y), (x + w, y), dark, max(1, side // 100))
        middle = x + w / 2, horizon + side // 40 - 0.63 * h  # between two boards
    elif kind == 2:
        r = int(side * rng.uniform(0.02, 0.07))
        y = int(rng.uniform(0.05, 0.95) * side)
        cv2.circle(canvas, (x, y), r, ink, -1, cv2.LINE_AA)
        middle = x, y
    else:
        h = int(side * rng.uniform(0.15, 0.5))
        top = (x + int(rng.normal() * side * 0.02), horizon - h)
        cv2.line(canvas, (x, horizon + side // 30), top, dark, max(2, side // 70), cv2.LINE_AA)
        cv2.circle(canvas, top, int(side * rng.uniform(0.03, 0.09)), ink, -1, cv2.LINE_AA)
        middle = top
    return Piece(FURNITURE[kind], ink, (middle[0] + 0.5) / side, (middle[1] + 0.5) / side)
