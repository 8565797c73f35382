"""Actions recognised in closed sets, from few examples, and in open sets (thesis 5.4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from thesislib.errors import ThesisError
from thesislib.evaluation.scores import Lacking, PerVideo, Scores, as_hits
from thesislib.intervals import Interval, t_interval

CLOSED = ("top1", "top5", "top_mean")  # Tables 5.1 and 5.2
OPEN = ("open_top1", "open_top5", "open_mean")  # Table 5.4
SEEN = ("seen_top1", "seen_top5", "seen_mean")  # the same model on classes it was trained on


def top(rows: PerVideo, names: tuple[str, str, str] = CLOSED) -> Scores:
    """Top-1, top-5, and the mean of the two.

    Of classes that are equally likely the first counts first, as in
    :func:`~thesislib.evaluation.scores.accuracy`.

    Args:
        rows: Probabilities, or any scores, ``(V, classes)``.
        names: Of the three metrics.

    Returns:
        Top-5 and the mean only where there are more than five classes; hits of both, items of the
        mean.

    Raises:
        Lacking: There is no video, or one has no label.
        ThesisError: A probability is not a finite number, or a label has no column.
    """
    if not len(rows.labels) or (rows.labels < 0).any():
        raise Lacking("Videos without a label cannot be judged: select those that have one.")
    if not np.isfinite(rows.values).all():
        raise ThesisError("The probabilities are not all finite: the model has diverged.")
    if rows.labels.max() >= rows.values.shape[1]:
        raise ThesisError(
            f"A label is {rows.labels.max()} and there are {rows.values.shape[1]} classes: number "
            "labels by the columns."
        )
    one, five, mean = names
    own = rows.values[np.arange(len(rows.labels)), rows.labels][:, None]
    first = np.arange(rows.values.shape[1]) < rows.labels[:, None]
    before = ((rows.values > own) | ((rows.values == own) & first)).sum(1)
    hits = {one: before < 1}
    scores = Scores(counts={"evaluated": len(before), "skipped": rows.skipped})
    if rows.values.shape[1] > 5:
        hits[five] = before < 5
        both = (hits[one] + 1.0 * hits[five]) / 2
        scores |= Scores({mean: float(both.mean())}, items={mean: both.tolist()})
    return scores | Scores(
        metrics={name: float(right.mean()) for name, right in hits.items()},
        hits={name: as_hits(right) for name, right in hits.items()},
    )


def harmonic_mean(seen: float, unseen: float) -> float:
    """Of the accuracies on seen and on unseen classes; 0 if both are.

    Args:
        seen: In ``[0, 1]``.
        unseen: In ``[0, 1]``.

    Raises:
        ThesisError: One of them is no share.
    """
    if not (0 <= seen <= 1 and 0 <= unseen <= 1):
        raise ThesisError(f"{seen} and {unseen} have no harmonic mean: give shares of 0 to 1.")
    return 2 * seen * unseen / (seen + unseen) if seen + unseen else 0.0


def open_set(seen: PerVideo, unseen: PerVideo) -> Scores:
    """Accuracy on unseen classes (Table 5.4), on seen ones, and the harmonic mean of the two.

    Args:
        seen: Probabilities ``(V, seen classes)`` of videos of classes that were trained on.
        unseen: Probabilities ``(W, unseen classes)`` of videos of classes that were not.

    Returns:
        ``open_top1``, ``seen_top1``, ``harmonic_top1``, and top-5 and mean where there are more
        than five classes. Counts are those of the unseen.

    Raises:
        ThesisError: As :func:`top`.
    """
    scores = top(seen, SEEN) | top(unseen, OPEN)
    both = harmonic_mean(scores.metrics["seen_top1"], scores.metrics["open_top1"])
    return scores | Scores({"harmonic_top1": both})


# -- many draws ----------------------------------------------------------------------------


def over_draws(draws: Sequence[Scores], names: dict[str, str] | None = None) -> Scores:
    """Means over trials with few examples or over splits into seen and unseen classes.

    Args:
        draws: One a draw, with the same metrics.
        names: Metric of a draw -> its name in the result, e.g. ``{"top1": "fewshot_top1"}``; those
            not named are left out. Default: all, under their own names.

    Returns:
        The means; their items are one value a draw, so that methods are compared draw by draw.
        Hits are dropped: draws test different videos. Runs and parts of all draws; counts add up,
        with ``draws`` beside them.

    Raises:
        ThesisError: There is no draw, or one lacks a metric.
    """
    if not draws:
        raise ThesisError("There is no draw to average over: ask for one at least.")
    names = {name: name for name in draws[0].metrics} if names is None else names
    lacking = {name for name in names for draw in draws if name not in draw.metrics}
    if lacking:
        raise ThesisError(f"Some draws have no {', '.join(sorted(lacking))}: judge all alike.")
    items = {new: [float(draw.metrics[old]) for draw in draws] for old, new in names.items()}
    counts = dict.fromkeys([name for draw in draws for name in draw.counts], 0)
    for draw in draws:
        for name, count in draw.counts.items():
            counts[name] += count
    together = Scores()
    for draw in draws:
        together |= replace(draw, metrics={}, hits={}, items={}, counts={})
    return together | Scores(
        metrics={name: float(np.mean(values)) for name, values in items.items()},
        items=items,
        counts={**counts, "draws": len(draws)},
    )


def interval(scores: Scores, name: str) -> Interval | None:
    """95 % interval of a mean over draws, or ``None`` for a single draw.

    It says how far draws of this test set differ, not what other test videos would give.

    Raises:
        ThesisError: The metric has no items.
    """
    return t_interval(_items(scores, name))


@dataclass(frozen=True)
class Paired:
    """Method A against method B on the same draws.

    Attributes:
        mean_a: Mean of A.
        mean_b: Mean of B.
        difference: Mean of A - B.
        interval: 95 % interval of the difference, from its spread over draws; ``None`` for one.
        won: Draws in which A is better.
        lost: Draws in which B is better; the rest are even.
        draws: All of them.
    """

    mean_a: float
    mean_b: float
    difference: float
    interval: Interval | None
    won: int
    lost: int
    draws: int


def paired(a: Scores, b: Scores, name: str) -> Paired:
    """Compares two methods draw by draw.

    Splits of THUMOS14 differ by 15 points of mAP and methods by a few: means alone do not tell.

    Args:
        a: From :func:`over_draws`.
        b: Of another method, with the same draws in the same order.
        name: Of a metric, the more the better.

    Raises:
        ThesisError: A metric has no items, or the draws differ in number.
    """
    first, second = _items(a, name), _items(b, name)
    if len(first) != len(second):
        raise ThesisError(
            f"{name} has {len(first)} and {len(second)} draws: compare methods on the same ones."
        )
    x, y = np.array(first), np.array(second)
    return Paired(
        mean_a=float(x.mean()),
        mean_b=float(y.mean()),
        difference=float((x - y).mean()),
        interval=t_interval(x - y),
        won=int((x > y).sum()),
        lost=int((x < y).sum()),
        draws=len(x),
    )


def _items(scores: Scores, name: str) -> list[float]:
    if not scores.items.get(name):
        raise ThesisError(f"{name} has no value a draw: take the scores of over_draws.")
    return list(scores.items[name])
