"""Claims as a forest plot: a point and two intervals each, coloured by what they decide."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from thesislib import published
from thesislib.claims import FAILS, HOLDS, NOT_RUN, UNCLEAR, Claim
from thesislib.intervals import Interval
from thesislib.viz.style import WIDTH, Picture, new_picture

# Verdict -> colour, marker, filling of the marker: colour is never alone.
LOOKS = {
    HOLDS: ("#009E73", "o", "#009E73"),
    UNCLEAR: ("#666666", "D", "white"),
    FAILS: ("#D55E00", "s", "#D55E00"),
}
_WORDS, _SIZE, _LINE, _PAD = 3.05, 8.5, 0.138, 0.07  # inches, points, inches, inches
_TOP, _BOTTOM, _RIGHT = 0.72, 0.62, 0.12  # inches around: legend, axis and remark, edge
_LETTERS = 46  # of a statement in a line


class Line(NamedTuple):
    """One claim, in points on the thesis's side."""

    chapter: int
    statement: str
    verdict: str
    value: float
    seeds: Interval | None  # 95 % over seeds
    videos: Interval | None  # 95 % over seeds and videos


def forest(claims: Sequence[Claim], caption: str = "") -> Picture:
    """Differences with their two 95 % intervals, a line a claim, under the number of the chapter.

    To the right of zero lies what the thesis asserts, also where less is more. An interval that
    goes on beyond the picture ends in an arrow. Left out, and counted below the axis, are claims
    that were not run and those that are no difference of shares.

    Args:
        claims: Of :func:`thesislib.claims.claims`, in the order of the picture.
        caption: Kept with the picture.
    """
    lines = [line for c in claims if (line := _line(c))]
    if not lines:
        picture = new_picture(WIDTH, 1.0, "Forest plot of claims: not run.", caption)
        picture.text(0.5, 0.5, "not run", ha="center", color="#555555")
        return picture
    rows = _rows(lines)
    tall = sum(height for _, _, height in rows)
    height = _TOP + tall + _BOTTOM
    picture = new_picture(WIDTH, height, _alt(lines, claims), caption, tight=False)
    width = WIDTH - _WORDS - _RIGHT
    ax = picture.add_axes((_WORDS / WIDTH, _BOTTOM / height, width / WIDTH, tall / height))
    ax.set_ylim(tall, 0)  # inches, downwards
    ends = _limits(lines)
    ax.set_xlim(*ends)
    ax.axvline(0, color="#333333", linewidth=1, zorder=1)
    y, shaded, left = 0.0, False, -_WORDS / width
    for text, line, room in rows:
        middle, bold = y + room / 2, line is None
        shaded = not shaded and not bold
        if shaded:
            ax.add_patch(Rectangle((left, y), 1 - left, room, transform=ax.get_yaxis_transform(),
                                   facecolor="#F3F3F3", clip_on=False, zorder=0))  # fmt: skip
        ax.text(left + 0.02, middle, text, transform=ax.get_yaxis_transform(), fontsize=_SIZE,
                va="center", fontweight="bold" if bold else "normal", linespacing=1.05)  # fmt: skip
        if line:
            _draw(ax, middle, line, ends)
        y += room
    _furnish(picture, ax, lines, _left_out(claims))
    return picture


def _line(claim: Claim) -> Line | None:
    """A claim in points, or ``None`` where it is no difference of shares or was not run."""
    found = claim.numbers
    if claim.verdict not in LOOKS or found.get("difference") is None:
        return None
    # A level such as guessing is compared with a share.
    metric = published.metrics().get(found.get("metric", ""))
    if metric and metric.unit != "%":
        return None
    factor = -100.0 if metric and metric.better == "lower" else 100.0

    def points(interval: Interval | None) -> Interval | None:
        if interval is None:
            return None
        low, high = sorted(factor * end for end in interval)
        return low, high

    return Line(
        claim.chapter,
        claim.statement.rstrip("."),
        claim.verdict,
        factor * found["difference"],
        points(found["t_interval"]),
        points(found["bootstrap"]),
    )


def _rows(lines: Sequence[Line]) -> list[tuple[str, Line | None, float]]:
    """Text, claim and inches of each row; a chapter's number is a row without a claim.

    What a statement shares with the one above, up to its last comma, is not said again.
    """
    rows: list[tuple[str, Line | None, float]] = []
    before: tuple[int, str] | None = None
    for line in lines:
        if before is None or before[0] != line.chapter:
            rows.append((f"Chapter {line.chapter}", None, _LINE + 2 * _PAD))
        start, comma, rest = line.statement.rpartition(", ")
        again = bool(comma) and before == (line.chapter, start)
        text = f"   … {rest}" if again else textwrap.fill(line.statement, _LETTERS)
        rows.append((text, line, _LINE * (1 + text.count("\n")) + _PAD))
        before = line.chapter, start
    return rows


def _limits(lines: Sequence[Line]) -> Interval:
    """Of the axis: all differences, and the intervals as far as twice the largest difference."""
    reach = 2 * max(max(abs(line.value) for line in lines), 0.5)
    ends = [0.0, *(line.value for line in lines)]
    for line in lines:
        for low, high in filter(None, (line.seeds, line.videos)):
            ends += [max(low, -reach), min(high, reach)]
    margin = 0.05 * (max(ends) - min(ends))
    return min(ends) - margin, max(ends) + margin


def _draw(ax: Axes, y: float, line: Line, ends: Interval) -> None:
    tint, marker, filling = LOOKS[line.verdict]
    if line.videos:
        ax.plot(line.videos, (y, y), color=tint, linewidth=6, alpha=0.3, solid_capstyle="butt",
                zorder=2)  # fmt: skip
    for end, edge in zip(line.seeds or (), ends, strict=False):
        beyond = end < edge if edge < 0 else end > edge
        # The cap of the interval, or an arrow where it goes on.
        ax.plot(edge if beyond else end, y, color=tint, zorder=3, markersize=6,
                marker=("<" if edge < 0 else ">") if beyond else "|")  # fmt: skip
    if line.seeds:
        ax.plot(line.seeds, (y, y), color=tint, linewidth=1.5, zorder=3)
    ax.plot(line.value, y, marker=marker, color=tint, markerfacecolor=filling, markersize=6,
            markeredgewidth=1.4, zorder=4, label=line.verdict)  # fmt: skip


def _furnish(picture: Picture, ax: Axes, lines: Sequence[Line], remark: str) -> None:
    """Axes, legend and the remark on what is left out."""
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.tick_params(labelsize=9, labeltop=True, top=True)
    ax.spines["top"].set_visible(True)
    ax.set_xlabel("difference in points; to the right as the thesis asserts", fontsize=9)
    ax.xaxis.set_label_coords(1, -0.3 / _inches(picture, ax))
    ax.xaxis.label.set_horizontalalignment("right")
    ax.grid(axis="x", color="#DDDDDD", linewidth=0.8)
    ax.set_axisbelow(True)
    counts = Counter(line.verdict for line in lines)
    verdicts = [
        Line2D([], [], color=tint, marker=marker, markerfacecolor=filling, linestyle="",
               markersize=6, markeredgewidth=1.4, label=f"{name} ({counts[name]})")
        for name, (tint, marker, filling) in LOOKS.items()
    ]  # fmt: skip
    intervals = [
        Line2D([], [], color="#444444", linewidth=1.5, marker="|", label="95 %, seeds"),
        Line2D([], [], color="#444444", linewidth=6, alpha=0.3, label="95 %, seeds and videos"),
    ]
    # A legend is filled column by column: verdicts above, intervals below.
    handles = [verdicts[0], intervals[0], verdicts[1], intervals[1], verdicts[2]]
    picture.legend(handles=handles, loc="upper center", ncols=3, fontsize=9, columnspacing=1.4)
    picture.text(0.01, 0.06 / picture.get_figheight(), remark, fontsize=8, color="#444444")


def _inches(picture: Picture, ax: Axes) -> float:
    return float(ax.get_position().height * picture.get_figheight())


def _left_out(claims: Sequence[Claim]) -> str:
    """How many claims the picture does not show, and why, in words."""
    missing = [c for c in claims if _line(c) is None]
    idle = sum(c.verdict == NOT_RUN for c in missing)
    parts = [f"{idle} not run"] if idle else []
    parts += [f"{len(missing) - idle} not a difference of shares"] if len(missing) > idle else []
    return f"Left out: {', '.join(parts)}." if parts else ""


def _alt(lines: Sequence[Line], claims: Sequence[Claim]) -> str:
    counts = Counter(line.verdict for line in lines)
    low, high = min(line.value for line in lines), max(line.value for line in lines)
    said = ", ".join(f"{counts[name]} {name}" for name in LOOKS)
    text = f"Forest plot of {len(lines)} claims: {said}. Differences from {low:.1f} to {high:.1f} "
    text += f"points, each with its 95 % intervals. {_left_out(claims)}"
    return text.replace(" -", " \N{MINUS SIGN}")
