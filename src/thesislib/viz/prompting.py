"""Chapter 5 in pictures: what flows where, and which actions are taken for one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from thesislib.viz.boxes import (
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
    pale,
    shape_words,
    words,
)
from thesislib.viz.style import CYCLE, WIDTH, Picture, new_picture

_TEXT, _VIDEO = 1.62, 4.62  # middles of the two columns of prompt_flow
_NAME = CYCLE[1]


def prompt_flow(
    context: int,
    layers: int,
    text: Sequence[int],
    video: Sequence[int],
    classes: int,
    caption: str = "",
) -> Picture:
    """Prompts around a name, layers over frames, and where both meet (thesis figure 5.1).

    Args:
        context: k, learnt vectors on either side of a name.
        layers: Over time.
        text: ``(n, W)``: tokens of a text, length of a token's vector.
        video: ``(B, T, D)``: frame features of a batch.
        classes: C.
        caption: Kept with the picture.
    """
    batch, _, dim = video
    alt = f"Left, a class name between {context} learnt vectors on either side goes through a "
    alt += "frozen text tower and becomes a classifier w. Right, frames go through a frozen image "
    alt += f"tower once; a position code and {layers} Transformer layers, which learn, and the "
    alt += "mean over time make a feature of the video. The loss compares the cosines of the two."
    picture, ax = canvas(5.3, alt, caption)
    _slots(ax, 0.95, context)
    shape_words(ax, (_TEXT, 0.28), "token vectors", "C n W", (classes, *text), "center")
    arrow(ax, (_TEXT, 1.12), (_TEXT, 1.75))
    box(ax, (_TEXT, 2.0), (2.4, 0.5), "text tower", QUIET, dashed=True)
    arrow(ax, (_TEXT, 2.25), (_TEXT, 3.55))
    box(ax, (_TEXT, 3.77), (0.8, 0.42), "$w_y$", FAINT)
    shape_words(ax, (0.1, 3.77), "classifiers", "C D", (classes, dim))
    _frames(ax, 0.95)
    words(ax, (_VIDEO, 0.5), f"frames, {video[1]} a video", tint=INK)
    arrow(ax, (_VIDEO, 1.2), (_VIDEO, 1.4))
    box(ax, (_VIDEO, 1.62), (2.4, 0.42), "image tower", QUIET, dashed=True)
    arrow(ax, (_VIDEO, 1.83), (_VIDEO, 2.5))
    shape_words(ax, (_VIDEO + 0.12, 2.17), "kept in files", "B T D", video)
    box(ax, (_VIDEO, 2.75), (2.4, 0.5), f"position + {layers} layers", SEEN)
    arrow(ax, (_VIDEO, 3.0), (_VIDEO, 3.55))
    words(ax, (_VIDEO + 0.12, 3.27), "mean over time", "left", tint=INK)
    box(ax, (_VIDEO, 3.77), (0.8, 0.42), r"$\bar h$", FAINT)
    shape_words(ax, (_VIDEO + 0.5, 3.77), "videos", "B D", (batch, dim))
    middle = (_TEXT + _VIDEO) / 2
    box(ax, (middle, 4.62), (1.7, 0.46), r"cosine / $\tau$", LOSS)
    arrow(ax, (_TEXT, 3.98), (middle - 0.6, 4.39))
    arrow(ax, (_VIDEO, 3.98), (middle + 0.6, 4.39))
    words(ax, (middle, 5.05), "the own name against all others: loss", tint=LOSS, weight="bold")
    shape_words(ax, (_VIDEO + 0.1, 4.62), "logits", "B C", (batch, classes))
    _key(ax, 0.1, 4.95)
    return picture


def _slots(ax: Axes, y: float, context: int) -> None:
    """Slots of the text window: start, learnt vectors, a name, learnt vectors, end."""
    sides: list[tuple[str, str]] = []
    if context:
        sides = [("$a$", SEEN)] * min(2, context) + ([("…", SEEN)] if context > 2 else [])
    parts = [("S", QUIET), *sides, ("name", _NAME), *reversed(sides), ("E", QUIET)]
    wide = [0.62 if text == "name" else 0.27 for text, _ in parts]
    x = _TEXT - sum(wide) / 2
    for (text, tint), w in zip(parts, wide, strict=True):
        ax.add_patch(Rectangle((x, y - 0.16), w, 0.32, facecolor=pale(tint), edgecolor=tint,
                               linewidth=1.3))  # fmt: skip
        words(ax, (x + w / 2, y), text, tint=INK, fontsize=SMALL)
        x += w
    if context:
        for side in (-1, 1):
            words(ax, (_TEXT + side * 0.72, y + 0.28), f"k = {context}", tint=SEEN)


def _frames(ax: Axes, y: float) -> None:
    """A fan of frames."""
    for i in range(5):
        x = _VIDEO - 0.75 + 0.3 * i
        ax.add_patch(Rectangle((x, y - 0.2 + 0.025 * i), 0.34, 0.34, facecolor=pale(QUIET),
                               edgecolor=QUIET, linewidth=1.2, zorder=2 + i))  # fmt: skip


def _key(ax: Axes, x: float, y: float) -> None:
    """What learns and what does not."""
    for i, (tint, text, dashed) in enumerate(((SEEN, "learns", False), (QUIET, "frozen", True))):
        box(ax, (x + 0.15, y - 0.28 * i), (0.3, 0.18), "", tint, dashed=dashed)
        words(ax, (x + 0.38, y - 0.28 * i), text, "left", tint=INK, fontsize=SMALL)


def confusions(
    found: Mapping[str, NDArray[np.float64]],
    classes: Sequence[str],
    pairs: Sequence[tuple[int, int]] = (),
    caption: str = "",
) -> Picture:
    """Which class is said of which, by two methods or more, with blocks framed.

    Args:
        found: Method -> ``(C, C)``, truth in rows; each row adds up to 1.
        classes: C names, in the order of rows and columns.
        pairs: First and last class of each block to frame.
        caption: Kept with the picture.
    """
    count = len(classes)
    right = {name: 100 * float(np.diag(table).mean()) for name, table in found.items()}
    alt = f"Of {count} actions in rows, what each method says in columns. Right on average: "
    alt += ", ".join(f"{name} {share:.0f} %" for name, share in right.items()) + "."
    for name, table in found.items():
        swapped = [table[a, b] + table[b, a] for a, b in pairs if b == a + 1]
        if swapped:
            alt += f" {name} takes {50 * float(np.mean(swapped)):.0f} % of the framed pairs for "
            alt += "their other half."
    side = (WIDTH - 1.15) / len(found)
    picture = new_picture(WIDTH, side + 0.6, alt, caption)
    axes = picture.subplots(1, len(found), squeeze=False)[0]
    for i, (ax, (name, table)) in enumerate(zip(axes, found.items(), strict=True)):
        ax.imshow(100 * table, cmap="Blues", vmin=0, vmax=100)
        for first, last in pairs:
            ax.add_patch(Rectangle((first - 0.5, first - 0.5), last - first + 1, last - first + 1,
                                   fill=False, edgecolor=LOSS, linewidth=1.6))  # fmt: skip
        ax.set_title(f"{name}: {right[name]:.0f} %", fontsize=NORMAL - 2)
        ax.set(xticks=[], yticks=[], xlabel="said")
        if not i:
            ax.set_yticks(range(count), classes, fontsize=8)
        ax.tick_params(length=0)
        for spine in ax.spines.values():
            spine.set_visible(True)
            spine.set_color("#CCCCCC")
    return picture
