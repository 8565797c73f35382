"""Curves and points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from thesislib.viz.style import CYCLE, HEIGHT, WIDTH, Picture, new_picture

_MARKERS = "osD^vP"


def curves(
    rows: Sequence[Mapping[str, float]],
    keys: Mapping[str, str] | Sequence[str],
    chance: Mapping[str, float] | None = None,
    ylabel: str = "accuracy (%)",
    caption: str = "",
) -> Picture:
    """Metrics over epochs, with dashed lines for chance or a baseline.

    Args:
        rows: The lines of ``metrics.jsonl``; a row that lacks a key is left out of its curve.
        keys: Names of metrics, or metric -> name in the legend.
        chance: Name -> level in the unit of the metrics, e.g. ``{"chance, temporal": 1 / 3}``. If
            there is one for each curve, in their order, it has the colour of its curve.
        ylabel: With "%" in it, fractions are drawn as per cent.
        caption: Kept with the picture.
    """
    names = dict(keys) if isinstance(keys, Mapping) else {key: key for key in keys}
    factor = 100.0 if "%" in ylabel else 1.0
    ends = []
    picture = new_picture(WIDTH, HEIGHT, "", caption)
    ax = picture.subplots()
    for i, (key, name) in enumerate(names.items()):
        points = [(row["epoch"], factor * row[key]) for row in rows if key in row]
        x, y = np.array(points, dtype=float).reshape(-1, 2).T
        every = max(1, len(x) // 10)
        ax.plot(x, y, label=name, color=CYCLE[i % len(CYCLE)], marker=_MARKERS[i % 6],
                markersize=5, markevery=every)  # fmt: skip
        if len(y):
            ends.append(f"{name} from {y[0]:.1f} to {y[-1]:.1f}")
    paired = len(chance or {}) == len(names)
    for i, (name, level) in enumerate((chance or {}).items()):
        ax.axhline(factor * level, linewidth=1.4, label=name,
                   color=CYCLE[i % len(CYCLE)] if paired else "#666666",
                   linestyle=[(0, (5, 3)), (0, (1, 1.5)), (0, (5, 2, 1, 2))][i % 3])  # fmt: skip
    ax.set(xlabel="epoch", ylabel=ylabel)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    lines = ax.get_lines()
    if paired:  # each curve above its own level
        lines = [line for pair in zip(lines, lines[len(names) :], strict=False) for line in pair]
    if len(lines) > 3:
        picture.legend(handles=lines, loc="outside right upper")
    else:
        ax.legend(handles=lines)
    picture.alt = f"Curves over epochs, {ylabel}: " + "; ".join(ends) + "."
    return picture


def pretext_vs_downstream(
    points: Mapping[int, Iterable[Mapping[str, float]]],
    y: str = "finetune_top1",
    caption: str = "",
) -> Picture:
    """Downstream against pretext accuracy over the checkpoints of each seed (thesis figure 2.3).

    Args:
        points: Seed -> its checkpoints, each with ``epoch``, ``pretext_top1`` and ``y``.
        y: The downstream metric.
        caption: Kept with the picture.
    """
    picture = new_picture(WIDTH, HEIGHT, "", caption)
    ax = picture.subplots()
    said = []
    for i, (seed, checkpoints) in enumerate(points.items()):
        rows = sorted((c for c in checkpoints if y in c), key=lambda c: c["epoch"])
        if not rows:
            continue
        x, v = [100 * c["pretext_top1"] for c in rows], [100 * c[y] for c in rows]
        epochs = [f"{c['epoch']:.0f}" for c in rows]
        tint = CYCLE[i % len(CYCLE)]
        # The epoch stands in the marker: beside it, it would lie on another seed's line.
        ax.plot(x, v, color=tint, linewidth=1, label=f"seed {seed}")
        ax.scatter(x, v, s=170, color="white", edgecolor=tint, linewidth=1.6, zorder=3 + i)
        for a, b, epoch in zip(x, v, epochs, strict=True):
            ax.text(a, b, epoch, ha="center", va="center_baseline", fontsize=8, zorder=3 + i)
        said.append(f"seed {seed} from ({x[0]:.1f}, {v[0]:.1f}) to ({x[-1]:.1f}, {v[-1]:.1f})")
    kind = {"finetune_top1": "fine-tuned", "probe_top1": "linear probe"}.get(y, y)
    ax.set(xlabel="pretext top-1 (%); number: epoch", ylabel=f"action top-1 (%), {kind}")
    ax.margins(x=0.1, y=0.12)
    if said:
        ax.legend(handlelength=1.2)
    else:
        ax.text(0.5, 0.5, "not run", transform=ax.transAxes, ha="center", color="#555555")
        ax.set(xticks=[], yticks=[])
        said = ["not run"]
    picture.alt = "Downstream against pretext accuracy: " + "; ".join(said) + "."
    return picture


def lines_with_interval(
    series: Mapping[str, Sequence[tuple[float, float, float | None, int]]],
    xlabel: str,
    ylabel: str = "top-1 (%)",
    caption: str = "",
) -> Picture:
    """Curves of means with their 95 % intervals, beside one another where they share an x.

    Args:
        series: Name -> points of x, mean, half the interval (``None`` where there is none), seeds.
        xlabel: Name and unit of the axis.
        ylabel: The same, upwards; points are drawn as they are.
        caption: Kept with the picture.
    """
    picture = new_picture(WIDTH, HEIGHT, "", caption)
    ax = picture.subplots()
    drawn = {name: points for name, points in series.items() if points}
    all_x = sorted({p[0] for points in drawn.values() for p in points})
    apart = 0.014 * (all_x[-1] - all_x[0]) if all_x else 0.0  # so that no bar hides another
    said = []
    for i, (name, points) in enumerate(drawn.items()):
        x, mean = [p[0] for p in points], [p[1] for p in points]
        aside = apart * (i - (len(drawn) - 1) / 2)
        few, many = min(p[3] for p in points), max(p[3] for p in points)
        name += f" (n = {few})" if few == many else f" (n = {few} to {many})"
        ax.errorbar([v + aside for v in x], mean, yerr=[p[2] or 0.0 for p in points], capsize=3,
                    label=name, color=CYCLE[i % len(CYCLE)], marker=_MARKERS[i % 6],
                    markersize=5.5, linewidth=0.9, elinewidth=1.8, capthick=1.8)  # fmt: skip
        said.append(f"{name} from {mean[0]:.1f} at {x[0]:g} to {mean[-1]:.1f} at {x[-1]:g}")
    if said:
        ax.set(xlabel=xlabel, ylabel=ylabel)
        ax.set_xticks(all_x)
        picture.legend(loc="outside upper center", ncols=2, columnspacing=1.2)
    else:
        ax.text(0.5, 0.5, "not run", transform=ax.transAxes, ha="center", color="#555555")
        ax.set(xticks=[], yticks=[])
        said = ["not run"]
    picture.alt = f"Curves of {ylabel} over {xlabel}: " + "; ".join(said) + "."
    return picture


def lines(
    series: Mapping[str, Sequence[tuple[float, float]]],
    xlabel: str,
    ylabel: str,
    caption: str = "",
) -> Picture:
    """Curves of what has no interval: counts, or the course of single runs.

    Args:
        series: Name -> points of x and y, drawn as they are.
        xlabel: Name and unit of the axis.
        ylabel: The same, upwards.
        caption: Kept with the picture.
    """
    picture = new_picture(WIDTH, HEIGHT, "", caption)
    ax = picture.subplots()
    said = []
    for i, (name, points) in enumerate(series.items()):
        x, y = [p[0] for p in points], [p[1] for p in points]
        ax.plot(x, y, label=name, color=CYCLE[i % len(CYCLE)], marker=_MARKERS[i % 6],
                markersize=5)  # fmt: skip
        said.append(f"{name} from {y[0]:.3g} at {x[0]:.3g} to {y[-1]:.3g} at {x[-1]:.3g}")
    ax.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, None))
    ax.legend()
    picture.alt = f"Curves of {ylabel} over {xlabel}: " + "; ".join(said) + "."
    return picture


def alternation(
    lines: Mapping[str, Sequence[Sequence[tuple[float, bool]]]],
    names: Sequence[str],
    ylabel: str = "R@1 (%)",
    caption: str = "",
) -> Picture:
    """Networks that learn in turn: solid while one learns, dotted while it is kept (figure 4.2).

    Args:
        lines: Network -> one line a seed; a line has a point for each stage: its value, and
            whether the network learnt in that stage.
        names: Of the stages.
        ylabel: Name and unit upwards; fractions are drawn as per cent.
        caption: Kept with the picture.
    """
    picture = new_picture(WIDTH, HEIGHT, "", caption)
    ax = picture.subplots()
    said = []
    for i, (network, seeds) in enumerate(lines.items()):
        for number, line in enumerate(seeds):
            y = [100 * value for value, _ in line]
            for x in range(1, len(y)):
                ax.plot([x - 1, x], y[x - 1 : x + 1], color=CYCLE[i % len(CYCLE)], linewidth=1.8,
                        linestyle="-" if line[x][1] else (0, (1, 1.5)))  # fmt: skip
            ax.plot(range(len(y)), y, color=CYCLE[i % len(CYCLE)], marker=_MARKERS[i % 6],
                    linestyle="", markersize=5, label=network if number == 0 else None)  # fmt: skip
        ends = [[100 * line[end][0] for line in seeds] for end in (0, -1)]
        if seeds:
            first, last = (float(np.mean(e)) for e in ends)
            said.append(f"{network} from {first:.1f} to {last:.1f}, mean of {len(seeds)} seeds")
    ax.set_xticks(range(len(names)), names)
    ax.set_ylabel(ylabel)
    ax.legend()
    picture.alt = f"{ylabel} over the stages {', '.join(names)}: " + "; ".join(said) + "."
    return picture
