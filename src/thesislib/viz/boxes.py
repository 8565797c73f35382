"""Pieces of method diagrams: boxes with words in them, arrows, rows of small squares.

All coordinates are inches from the lower left corner of the picture, so that a size of text fits
a size of box whatever the settings are.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from thesislib.viz.style import CYCLE, WIDTH, Picture, new_picture

SEEN, AHEAD, GUESS = CYCLE[:3]  # past and future, as in the diagram of blocks; a prediction
LOSS = "#B04C00"  # vermilion, dark enough for words
FUTURES = (CYCLE[5], CYCLE[3])  # the two that may come
INK, QUIET, FAINT = "#222222", "#555555", "#E8E8E8"
SMALL, NORMAL = 10, 12  # points; a page of 390 pixels shows them at little more than half of it


def canvas(height: float, alt: str, caption: str) -> tuple[Picture, Axes]:
    """An empty picture of the book's width and its one axes, whose unit is the inch."""
    picture = new_picture(WIDTH, height, alt, caption, tight=False)
    ax = picture.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, WIDTH), ylim=(0, height))
    ax.set_axis_off()
    return picture, ax


def pale(tint: str, strength: float = 0.22) -> tuple[float, float, float]:
    """A colour mixed with white, on which black text is readable."""
    r, g, b = (1 - strength * (1 - part) for part in to_rgb(tint))
    return r, g, b


def box(
    ax: Axes,
    centre: tuple[float, float],
    size: tuple[float, float],
    text: str = "",
    tint: str = QUIET,
    dashed: bool = False,
    fontsize: float = NORMAL,
    round_: float = 0.06,
) -> None:
    """A box with words in its middle; dashed for what is not seen, or does not learn.

    Args:
        ax: Of :func:`canvas`.
        centre: x and y.
        size: Width and height.
        text: May have several lines.
        tint: Of the edge; the ground is a pale version of it.
        dashed: The edge.
        fontsize: Points.
        round_: Radius of the corners; half the height makes a circle of a square.
    """
    (x, y), (w, h) = centre, size
    style = f"round,pad=0,rounding_size={round_}"
    ax.add_patch(FancyBboxPatch((x - w / 2, y - h / 2), w, h, boxstyle=style, facecolor=pale(tint),
                                edgecolor=tint, linewidth=1.6, linestyle="--" if dashed else "-",
                                zorder=2))  # fmt: skip
    ax.text(x, y, text, ha="center", va="center", fontsize=fontsize, color=INK, linespacing=1.15,
            parse_math=True)  # fmt: skip


def arrow(
    ax: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    tint: str = INK,
    dashed: bool = False,
    style: str = "-|>",
    bend: float = 0.0,
) -> None:
    """An arrow from one point to another.

    Args:
        ax: Of :func:`canvas`.
        start: x and y.
        end: x and y.
        tint: Its colour.
        dashed: The line.
        style: matplotlib's arrow style.
        bend: How far it swings to the right of its way, as a share of its length.
    """
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle=style, color=tint, mutation_scale=11,
                                 linewidth=1.5, linestyle=(0, (3, 1.6)) if dashed else "-",
                                 connectionstyle=f"arc3,rad={bend}", shrinkA=0, shrinkB=0,
                                 zorder=1.5))  # fmt: skip


def words(
    ax: Axes,
    at: tuple[float, float],
    text: str,
    ha: str = "center",
    va: str = "center",
    fontsize: float = SMALL,
    tint: str = QUIET,
    weight: str = "normal",
) -> None:
    """Text without a box."""
    ax.text(*at, text, ha=ha, va=va, fontsize=fontsize, color=tint, weight=weight, linespacing=1.2,
            parse_math=True)  # fmt: skip


def squares(
    ax: Axes,
    corner: tuple[float, float],
    side: float,
    tints: Sequence[str | tuple[float, float, float]],
    edge: str = "white",
) -> None:
    """A row of squares from left to right, the lower left corner of the first given."""
    for i, tint in enumerate(tints):
        ax.add_patch(Rectangle((corner[0] + i * side, corner[1]), side, side, facecolor=tint,
                               edgecolor=edge, linewidth=1, zorder=2))  # fmt: skip


def shape_words(
    ax: Axes, at: tuple[float, float], name: str, axes: str, shape: Sequence[int], ha: str = "left"
) -> None:
    """A tensor's name, its axes (letters with blanks between them), and how long each is."""
    letters = ", ".join(axes.replace("'", "′").split())
    words(ax, at, f"{name}\n({letters})\n({', '.join(map(str, shape))})", ha=ha)
