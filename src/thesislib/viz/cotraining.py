"""CoCLR in pictures: who counts as a positive under four losses, and whose turn it is to learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from thesislib.viz.boxes import (
    FAINT,
    INK,
    NORMAL,
    QUIET,
    SEEN,
    SMALL,
    arrow,
    box,
    canvas,
    squares,
    words,
)
from thesislib.viz.style import CYCLE, Picture

_SHAPES = "os^DvP"  # a marker an action
_ROLES = {1: ("positive", SEEN, "+"), -1: ("negative", FAINT, "−"), 0: ("left out", "white", "")}
_OWN, _QUEUE, _SIDE = 1.5, 2.05, 0.385  # of queue_roles: middle of the own key, left of the queue


def queue_roles(
    actions: Sequence[int],
    alike: Sequence[float],
    older: Sequence[bool],
    roles: Mapping[str, Sequence[int]],
    caption: str = "",
) -> Picture:
    """One query's own key and a queue, coloured by what each loss takes them for.

    Args:
        actions: (1 + Q,) what the clips show, numbers from 0; first the query's own.
        alike: (Q,) in [0, 1], how alike query and entry are in the other stream.
        older: (Q,) whether an entry is an earlier key of the query's own video.
        roles: Loss, or two lines of its name -> (1 + Q,) 1 positive, -1 negative, 0 left out.
        caption: Kept with the picture.
    """
    alt = f"A query's own key and a queue of {len(alike)} keys under {len(roles)} losses. "
    for name, row in roles.items():
        alt += f"{name.splitlines()[0]}: {list(row).count(1)} positive, {list(row).count(-1)} "
        alt += f"negative, {list(row).count(0)} left out. "
    top = 0.55 + 0.5 * len(roles)
    picture, ax = canvas(top + 1.6, alt, caption)
    middles = [_OWN, *(_QUEUE + (i + 0.5) * _SIDE for i in range(len(alike)))]
    _entries(ax, top, middles, actions, alike, older)
    for i, (name, row) in enumerate(roles.items()):
        y = top - 0.5 * (i + 0.5)
        name, *more = name.splitlines()
        words(ax, (1.15, y + 0.1 * len(more)), name, "right", fontsize=NORMAL, tint=INK)
        words(ax, (1.15, y - 0.12), "".join(more), "right", tint=INK)
        for x, role in zip(middles, row, strict=True):
            _cell(ax, x, y, role)
    for x, (role, (name, *_)) in zip((1.5, 2.9, 4.4), _ROLES.items(), strict=True):
        _cell(ax, x, 0.25, role)
        words(ax, (x + 0.28, 0.25), name, "left", fontsize=NORMAL, tint=INK)
    return picture


def _entries(
    ax: Axes,
    y: float,
    middles: Sequence[float],
    actions: Sequence[int],
    alike: Sequence[float],
    older: Sequence[bool],
) -> None:
    """Above the losses: what each clip shows, and how alike it is to the query in flow."""
    for x, action in zip(middles, actions, strict=True):
        ground = INK if action == actions[0] else "white"
        ax.plot(x, y + 0.2, _SHAPES[action], color=ground, markeredgecolor=INK, markersize=9)
    for x, share, own in zip(middles[1:], alike, older, strict=True):
        ax.add_patch(Rectangle((x - 0.1, y + 0.45), 0.2, 0.6 * share, edgecolor=CYCLE[1],
                               facecolor="white" if own else CYCLE[1], linewidth=1.2))  # fmt: skip
        if own:
            words(ax, (x, y + 0.52 + 0.6 * share), "same video", va="bottom", tint=INK)
    words(ax, (1.15, y + 0.2), "action", "right", tint=INK)
    words(ax, (1.15, y + 0.65), "alike in flow", "right", tint=INK)
    words(ax, (_OWN, y + 1.36), "own key", "center", "baseline", tint=INK, weight="bold")
    words(ax, (_QUEUE + 0.05, y + 1.36), "queue", "left", "baseline", tint=INK, weight="bold")


def _cell(ax: Axes, x: float, y: float, role: int) -> None:
    """A square with the colour and the sign of a role."""
    _, ground, sign = _ROLES[role]
    out = role == 0
    ax.add_patch(Rectangle((x - 0.165, y - 0.165), 0.33, 0.33, facecolor=ground, linewidth=1,
                           edgecolor="#888888" if out else ground,
                           linestyle=(0, (2, 1.5)) if out else "-"))  # fmt: skip
    words(ax, (x, y), sign, fontsize=14, tint="white" if role == 1 else QUIET)


class Turn(Protocol):
    """One network's training: a stage of :func:`thesislib.chapters.coclr.cycles.plan`."""

    @property
    def cycle(self) -> int: ...
    @property
    def stream(self) -> str: ...
    @property
    def start(self) -> int | None: ...
    @property
    def sampler(self) -> int | None: ...


_RGB, _FLOW = SEEN, CYCLE[1]
_ENTRIES, _STEP, _TAKEN = 10, 0.2, (1, 3, 4, 7, 8)  # of the queue drawn; which of them are mined
_TINTS, _NAMES = {"rgb": _RGB, "flow": _FLOW}, {"rgb": "RGB", "flow": "flow"}


def co_training(turns: Sequence[Turn], queue: int, topk: int, caption: str = "") -> Picture:
    """What a turn of CoCLR's RGB network looks like, and who learns when (thesis 4.3.2).

    Args:
        turns: The stages in their order.
        queue: Q, entries of the queue.
        topk: K, entries mined for each clip.
        caption: Kept with the picture.
    """
    alt = "Above, one turn of RGB: a query encoder that learns, a slow copy of it for the keys, "
    alt += f"a fixed flow network that names the {topk} entries of a queue of {queue} most alike "
    alt += "in flow as positives. Below, the turns: "
    alt += ", ".join(
        f"{_NAMES[turn.stream]} ({f'cycle {turn.cycle}' if turn.cycle else 'InfoNCE'})"
        for turn in turns
    )
    picture, ax = canvas(4.85, f"{alt}.", caption)
    _one_turn(ax, 2.15, queue, topk)
    _timeline(ax, turns)
    return picture


def _one_turn(ax: Axes, y: float, queue: int, topk: int) -> None:
    """RGB learns while flow mines: encoders, the queue's two rows, positives."""
    query, key, flow = rows = (y + 2.35, y + 1.45, y + 0.55)
    parts = (("view 1", "query encoder\nlearns", _RGB, False),
             ("view 2", "key encoder\nslow copy", _RGB, True),
             ("its flow", "flow network\nfixed", _FLOW, True))  # fmt: skip
    for at, (view, name, tint, fixed) in zip(rows, parts, strict=True):
        box(ax, (0.5, at), (0.8, 0.36), view, tint, fontsize=SMALL)
        arrow(ax, (0.9, at), (1.15, at))
        box(ax, (1.8, at), (1.3, 0.5), name, tint, dashed=fixed, fontsize=SMALL)
        arrow(ax, (2.45, at), (2.7, at))
    arrow(ax, (1.8, query - 0.25), (1.8, key + 0.25), _RGB, dashed=True)
    box(ax, (3.96, query), (2.52, 0.36), "loss", QUIET)
    own, left, half = 2.82, 3.2, _STEP / 2
    taken = _TAKEN[:topk]
    for at, tint in ((key, _RGB), (flow, _FLOW)):
        squares(ax, (own - half, at - half), _STEP, [tint])
        tints = [tint if i in taken else FAINT for i in range(_ENTRIES)]
        squares(ax, (left, at - half), _STEP, tints)
        words(ax, (left + _ENTRIES * _STEP + 0.05, at), "…", "left", fontsize=NORMAL)
    for x in (own, *(left + (i + 0.5) * _STEP for i in taken)):
        arrow(ax, (x, key + half), (x, query - 0.18), _RGB)
        if x != own:
            arrow(ax, (x, flow + half), (x, key - half), _FLOW)
    right = left + _ENTRIES * _STEP + 0.03
    words(ax, (right, (query + key) / 2), "positives", "left", tint=INK)
    words(ax, (right, (key + flow) / 2), f"K = {topk}\nnearest", "left", tint=INK)
    words(ax, (own, flow - 0.28), "own", tint=INK)
    words(ax, (left, flow - 0.28), f"queue, Q = {queue}", "left", tint=INK)


def _timeline(ax: Axes, turns: Sequence[Turn]) -> None:
    """Two lanes: a box where a network learns, a dotted line while it is kept."""
    lanes = {"rgb": 1.55, "flow": 0.75}
    alone = sum(turn.cycle == 0 for turn in turns)  # these share a column: neither waits
    wide = 5.2 / (1 + len(turns) - alone)
    at = [0.75 + (max(0, i - alone + 1) + 0.5) * wide for i in range(len(turns))]
    for stream, y in lanes.items():
        words(ax, (0.6, y), _NAMES[stream], "right", fontsize=NORMAL, tint=INK)
        ax.plot([at[0], 5.95], [y, y], color=_TINTS[stream], linestyle=(0, (1, 1.5)), zorder=1)
    for x, turn in zip(at, turns, strict=True):
        y = lanes[turn.stream]
        box(ax, (x, y), (0.72 * wide, 0.4), "learns", _TINTS[turn.stream], fontsize=SMALL)
        if turn.sampler is not None:
            sampler = turns[turn.sampler].stream
            edge = y - 0.2 if y > lanes[sampler] else y + 0.2
            arrow(ax, (x, lanes[sampler]), (x, edge), _TINTS[sampler])
        if turn.cycle == 1:  # once for each direction is enough
            words(ax, (x + 0.06, sum(lanes.values()) / 2), "mines", "left", tint=INK)
    for cycle in sorted({turn.cycle for turn in turns}):
        columns = [x for x, turn in zip(at, turns, strict=True) if turn.cycle == cycle]
        ends = columns[0] - 0.4 * wide, columns[-1] + 0.4 * wide
        ax.plot(ends, (0.38, 0.38), color=QUIET, linewidth=1)
        words(ax, (sum(ends) / 2, 0.2), f"cycle {cycle}" if cycle else "InfoNCE", tint=INK)
