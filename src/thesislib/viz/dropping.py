"""Chapter 6 in pictures: where the tokens of a video go."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from thesislib.viz.boxes import (
    AHEAD,
    FAINT,
    INK,
    LOSS,
    NORMAL,
    QUIET,
    SEEN,
    SMALL,
    arrow,
    box,
    canvas,
    shape_words,
    squares,
    words,
)
from thesislib.viz.style import Picture

_SIDE, _GRID = 0.13, (3, 4, 4)  # inches of a token; tokens that are drawn, of however many
_ENCODER, _DECODER = 2.3, 4.25  # middles of the two columns


def turbo_flow(
    batch: int, tokens: Sequence[int], dims: Sequence[int], task: str, caption: str = ""
) -> Picture:
    """Tokens that are seen, tokens that are guessed, and the two losses (thesis figure 6.1).

    Args:
        batch: B, clips of a step.
        tokens: N in all, V visible, R to be reconstructed.
        dims: Length of a token in the encoder, in the decoder, and pixels of a token.
        task: What the summary of a clip is used for, in a word or two.
        caption: Kept with the picture.
    """
    whole, seen, wanted = tokens
    wide, narrow, pixels = dims
    alt = f"Of {whole} tokens of a clip {seen} go through the encoder. Its summary goes to the "
    alt += f"loss of the task, {task}. The {seen} tokens and {wanted} marks for tokens to be "
    alt += "guessed go through a smaller decoder, whose output is compared with the pixels. The "
    alt += f"other {whole - seen - wanted} tokens go nowhere."
    picture, ax = canvas(4.75, alt, caption)
    _clip(ax, 0.12, 0.62, seen / whole, wanted / whole)
    words(ax, (0.12, 0.28), f"{whole} tokens of a clip", "left", tint=INK)
    arrow(ax, (0.85, 1.05), (_ENCODER - 0.62, 1.05), SEEN)
    arrow(ax, (0.76, 0.62), (0.76, 2.2), QUIET)
    words(ax, (0.84, 2.1), "time", "left")
    for y, tint, text in ((3.2, SEEN, "seen"), (2.95, AHEAD, "guessed"), (2.7, QUIET, "ignored")):
        squares(ax, (0.12, y - _SIDE / 2), _SIDE, [tint if tint != QUIET else FAINT])
        words(ax, (0.36, y), text, "left", tint=INK)
    box(ax, (_ENCODER, 1.05), (1.2, 0.8), "encoder", SEEN)
    shape_words(ax, (_ENCODER - 0.55, 0.32), "seen", "B V D", (batch, seen, wide))
    arrow(ax, (_ENCODER, 1.45), (_ENCODER, 2.55))
    words(ax, (_ENCODER - 0.1, 2.0), "summary\n(CLS)", "right", tint=INK)
    box(ax, (_ENCODER, 2.8), (1.2, 0.48), task, QUIET)
    arrow(ax, (_ENCODER, 3.04), (_ENCODER, 3.55))
    box(ax, (_ENCODER, 3.8), (1.35, 0.48), "task loss", LOSS)
    arrow(ax, (_ENCODER + 0.6, 1.05), (_DECODER - 0.5, 1.05), SEEN)
    arrow(ax, (_DECODER, 0.5), (_DECODER, 0.75), AHEAD)
    words(ax, (_DECODER, 0.36), f"{wanted} marks with places", tint=INK)
    box(ax, (_DECODER, 1.05), (0.95, 0.6), "decoder", AHEAD, fontsize=NORMAL)
    shape_words(ax, (_DECODER + 0.56, 1.05), "both", "B V+R d", (batch, seen + wanted, narrow))
    arrow(ax, (_DECODER, 1.35), (_DECODER, 2.55))
    shape_words(ax, (_DECODER + 0.1, 1.95), "guesses", "B R P", (batch, wanted, pixels))
    box(ax, (_DECODER, 2.8), (1.35, 0.48), "mean square", QUIET)
    words(ax, (_DECODER + 0.78, 2.8), "true\npixels", "left", tint=INK, fontsize=SMALL)
    arrow(ax, (_DECODER, 3.04), (_DECODER, 3.55))
    box(ax, (_DECODER, 3.8), (1.35, 0.48), r"$\mathcal{L}_{\mathrm{PMAE}}$", LOSS)
    middle = (_ENCODER + _DECODER) / 2
    arrow(ax, (_ENCODER + 0.5, 4.04), (middle - 0.1, 4.35))
    arrow(ax, (_DECODER - 0.5, 4.04), (middle + 0.1, 4.35))
    words(ax, (middle, 4.5), "their sum", tint=LOSS, weight="bold")
    return picture


def _clip(ax: Axes, x: float, y: float, seen: float, wanted: float) -> None:
    """Some steps of time, from below, coloured in the shares of the training."""
    time, high, across = _GRID
    total = time * high * across
    order = np.random.default_rng(3).permutation(total)
    counts = round(seen * total), round((seen + wanted) * total)
    kinds = np.empty(total, dtype=object)
    kinds[order] = FAINT
    kinds[order[: counts[1]]] = AHEAD
    kinds[order[: counts[0]]] = SEEN
    for t in range(time):
        for row in range(high):
            line = kinds[(t * high + row) * across :][:across]
            corner = (x, y + (high - 1 - row + t * (high + 0.6)) * _SIDE)
            squares(ax, corner, _SIDE, list(line), edge=QUIET)
