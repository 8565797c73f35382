"""Clips of films with what is told of them, and what a language model reads, token by token."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from thesislib.data.reader import Frames
from thesislib.viz.boxes import CYCLE, INK, QUIET, SMALL, box, canvas, words
from thesislib.viz.style import WIDTH, Picture, new_picture
from thesislib.viz.video import mark_strip

_EDGE, _GAP, _LINE = 0.05, 0.16, 0.155  # inches: around, between clips, a line of text
_LETTERS = 84  # of a line of text
_WHO = 0.82  # inches that say who tells
_HIGH, _ROW, _LETTER = 0.24, 0.34, 0.085  # inches: a token, a row of them, a letter


def told_clips(
    strips: Sequence[Frames], told: Sequence[Mapping[str, str]], caption: str = ""
) -> Picture:
    """Clips as strips of frames, below each what is told of it.

    Args:
        strips: Each uint8 ``(T, H, W, 3)`` RGB; all of one shape.
        told: For each clip, who tells -> the text.
        caption: Kept with the picture.
    """
    t, h, w = strips[0].shape[:3]
    wide = WIDTH - 2 * _EDGE
    tall = wide * h / (t * w)
    texts = [
        [
            (who if i == 0 else "", line)
            for who, text in one.items()
            for i, line in enumerate(textwrap.wrap(text, _LETTERS) or ["–"])
        ]
        for one in told
    ]
    blocks = [tall + len(lines) * _LINE + _GAP for lines in texts]
    height = sum(blocks) + 2 * _EDGE
    alt = f"{len(strips)} clips with what is told of each. " + " ".join(
        f"{who}: {text}" for one in told for who, text in one.items()
    )
    picture = new_picture(WIDTH, height, alt, caption, tight=False)
    top = height - _EDGE
    for strip, lines, block in zip(strips, texts, blocks, strict=True):
        ax = picture.add_axes((_EDGE / WIDTH, (top - tall) / height, wide / WIDTH, tall / height))
        mark_strip(ax, strip, "")
        for number, (who, line) in enumerate(lines):
            below = (top - tall - 0.03 - number * _LINE) / height
            for x, text, ink in ((_EDGE, who, QUIET), (_EDGE + _WHO, line, INK)):
                picture.text(x / WIDTH, below, text, va="top", ha="left", fontsize=8, color=ink)
        top -= block
    return picture


def token_row(tokens: Sequence[tuple[str, str]], caption: str = "") -> Picture:
    """What a language model reads, in order: a box a token, a colour a part of the input.

    Args:
        tokens: Part and text of each.
        caption: Kept with the picture.
    """
    parts = list(dict.fromkeys(part for part, _ in tokens))
    tints = dict(zip(parts, [CYCLE[i % len(CYCLE)] for i in range(len(parts))], strict=True))
    places, x, row = [], _EDGE, 0
    for _, text in tokens:
        wide = max(1, len(text)) * _LETTER + 0.1
        if x + wide > WIDTH - _EDGE:
            x, row = _EDGE, row + 1
        places.append((x + wide / 2, row, wide))
        x += wide + 0.03
    height = (row + 2) * _ROW
    counts = {part: sum(one == part for one, _ in tokens) for part in parts}
    said = ", ".join(f"{count} of {part}" for part, count in counts.items())
    picture, ax = canvas(height, f"{len(tokens)} boxes in a row: {said}.", caption)
    for (centre, at, wide), (part, text) in zip(places, tokens, strict=True):
        y = height - (at + 0.5) * _ROW
        box(ax, (centre, y), (wide, _HIGH), tint=tints[part], round_=0.03)
        ax.text(centre, y - 0.04, text, ha="center", va="baseline", fontsize=SMALL - 2, color=INK)
    x = _EDGE
    for part in parts:  # the key
        box(ax, (x + 0.09, _ROW / 2), (0.18, 0.18), tint=tints[part], round_=0.03)
        words(ax, (x + 0.24, _ROW / 2), part, ha="left", fontsize=SMALL - 1)
        x += 0.42 + 0.09 * len(part)
    return picture
