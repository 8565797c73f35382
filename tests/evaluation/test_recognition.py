"""Top-k, open sets and means over draws, against loops and scipy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from thesislib import published
from thesislib.errors import ThesisError
from thesislib.evaluation.recognition import (
    OPEN,
    harmonic_mean,
    interval,
    open_set,
    over_draws,
    paired,
    top,
)
from thesislib.evaluation.scores import Lacking, PerVideo, Scores, accuracy


def rows(values: np.ndarray, labels: Any, total: int | None = None) -> PerVideo:
    used = len(labels)
    report = {"total": total or used, "used": used}
    return PerVideo(
        values.astype(np.float32), np.asarray(labels, np.int64), np.arange(used), report
    )


def random_rows(seed: int, classes: int, videos: int = 50, coarse: bool = False) -> PerVideo:
    rng = np.random.default_rng(seed)
    values = rng.dirichlet(np.ones(classes), videos)
    values = np.round(values, 1) if coarse else values
    return rows(values, rng.integers(0, classes, videos), total=videos + 3)


@pytest.mark.parametrize("coarse", [True, False])
def test_top_equals_loops(coarse: bool) -> None:
    given = random_rows(0, 9, coarse=coarse)
    found = top(given)
    one, five = [], []
    for scores, label in zip(given.values.tolist(), given.labels.tolist(), strict=True):
        order = sorted(range(9), key=lambda c: (-scores[c], c))
        one.append(order[0] == label)
        five.append(label in order[:5])
    assert found.metrics["top1"] == pytest.approx(np.mean(one))
    assert found.metrics["top5"] == pytest.approx(np.mean(five))
    assert found.metrics["top_mean"] == pytest.approx((np.mean(one) + np.mean(five)) / 2)
    assert found.hits["top1"] == "".join("01"[h] for h in one)
    assert found.hits["top5"] == "".join("01"[h] for h in five)
    assert np.mean(found.items["top_mean"]) == pytest.approx(found.metrics["top_mean"])
    assert set(found.items["top_mean"]) <= {0, 0.5, 1}
    assert found.counts == {"evaluated": 50, "skipped": 3}
    same = accuracy(given, "top1")
    assert found.metrics["top1"] == same.metrics["top1"] and found.hits["top1"] == same.hits["top1"]


def test_the_thesis_means_top1_and_top5_by_mean() -> None:
    """Row A5 of Table 5.1 and row B3 of Table 5.4."""
    for number, row, names in (
        ("5.1", "clip_prompt/16+x+16-2tfm", ("top1", "top5", "top_mean")),
        ("5.4", "clip_prompt/32+x+32", OPEN),
    ):
        table = published.table(number)
        (line,) = [r for r in table.rows if r.key == row]
        keys = [c.key for c in table.columns]
        one, five, mean = (line.cells[keys.index(name)].value for name in names)
        assert one is not None and five is not None
        assert (one + five) / 2 == pytest.approx(mean, abs=0.051)


def test_few_classes_have_no_top5() -> None:
    assert top(random_rows(1, 5)).metrics.keys() == {"top1"}
    assert top(random_rows(1, 6), OPEN).metrics.keys() == set(OPEN)


def test_top_equals_scikit_learn() -> None:
    from sklearn.metrics import top_k_accuracy_score

    given = random_rows(2, 12)
    found = top(given)
    for k, name in ((1, "top1"), (5, "top5")):
        theirs = top_k_accuracy_score(given.labels, given.values, k=k, labels=range(12))
        assert found.metrics[name] == pytest.approx(theirs)


def test_bad_rows_are_named() -> None:
    given = np.full((2, 3), 0.2)
    with pytest.raises(Lacking, match="without a label"):
        top(rows(given, [0, -1]))
    with pytest.raises(Lacking, match="without a label"):
        top(rows(given[:0], []))
    with pytest.raises(ThesisError, match="A label is 3 and there are 3 classes"):
        top(rows(given, [0, 3]))
    with pytest.raises(ThesisError, match="diverged"):
        top(rows(given * math.nan, [0, 1]))


def test_harmonic_mean() -> None:
    for a, b in ((0.8, 0.4), (1.0, 0.01), (0.5, 0.5)):
        assert harmonic_mean(a, b) == pytest.approx(1 / ((1 / a + 1 / b) / 2))
    assert harmonic_mean(0, 0) == harmonic_mean(0.7, 0) == 0
    for a, b in ((64.0, 0.5), (-0.1, 0.5), (math.nan, 0.5)):
        with pytest.raises(ThesisError, match="shares of 0 to 1"):
            harmonic_mean(a, b)


def test_open_set() -> None:
    seen, unseen = random_rows(3, 10), random_rows(4, 6)
    found = open_set(seen, unseen)
    assert found.metrics["open_top1"] == top(unseen).metrics["top1"]
    assert found.metrics["seen_top5"] == top(seen).metrics["top5"]
    a, b = found.metrics["seen_top1"], found.metrics["open_top1"]
    assert found.metrics["harmonic_top1"] == pytest.approx(2 * a * b / (a + b))
    assert {c.metric for c in published.table("5.4").columns} <= found.metrics.keys()
    assert found.counts["evaluated"] == 50


# -- many draws ----------------------------------------------------------------------------


def draws(values: list[float]) -> list[Scores]:
    return [
        Scores({"top1": v, "other": 0.0}, {"top1": "1"}, counts={"evaluated": 10}, runs=(f"r{i}",))
        for i, v in enumerate(values)
    ]


def test_means_over_trials_have_the_interval_of_scipy() -> None:
    from scipy import stats

    values = np.random.default_rng(0).random(200).tolist()
    found = over_draws(draws(values), {"top1": "fewshot_top1"})
    assert found.metrics == {"fewshot_top1": pytest.approx(np.mean(values))}
    assert found.items == {"fewshot_top1": values} and not found.hits
    assert found.counts == {"evaluated": 2000, "draws": 200}
    assert found.runs == tuple(f"r{i}" for i in range(200))
    expected = stats.t.interval(0.95, 199, np.mean(values), stats.sem(values))
    assert interval(found, "fewshot_top1") == pytest.approx(expected)
    assert "fewshot_top1" in {c.metric for c in published.table("5.3").columns}
    assert over_draws(draws([0.5])).metrics == {"top1": 0.5, "other": 0.0}
    assert interval(over_draws(draws([0.5])), "top1") is None


def test_methods_are_paired_draw_by_draw() -> None:
    from scipy import stats

    rng = np.random.default_rng(1)
    hard = rng.random(10) * 0.4  # splits differ by far more than methods
    b = over_draws(draws((0.3 + hard).tolist()))
    a = over_draws(draws((0.32 + hard + 0.01 * rng.standard_normal(10)).tolist()))
    found = paired(a, b, "top1")
    x, y = np.array(a.items["top1"]), np.array(b.items["top1"])
    assert found.mean_a == pytest.approx(x.mean()) and found.mean_b == pytest.approx(y.mean())
    assert found.difference == pytest.approx(np.mean(x - y))
    expected = stats.t.interval(0.95, 9, np.mean(x - y), stats.sem(x - y))
    assert found.interval == pytest.approx(expected) and expected[0] > 0
    apart = stats.t.interval(0.95, 9, x.mean(), stats.sem(x))
    assert apart[0] < y.mean(), "the means alone do not tell"
    assert (found.won, found.lost) == (sum(x > y), sum(x < y)) and found.draws == 10
    even = paired(a, a, "top1")
    assert (even.won, even.lost, even.difference) == (0, 0, 0)


def test_bad_draws_are_named() -> None:
    with pytest.raises(ThesisError, match="no draw"):
        over_draws([])
    with pytest.raises(ThesisError, match="Some draws have no top5"):
        over_draws(draws([0.1, 0.2]), {"top5": "x"})
    with pytest.raises(ThesisError, match="Some draws have no other"):
        over_draws([*draws([0.1]), Scores({"top1": 0.5})])
    two, three = over_draws(draws([0.1, 0.2])), over_draws(draws([0.1, 0.2, 0.3]))
    with pytest.raises(ThesisError, match="2 and 3 draws"):
        paired(two, three, "top1")
    with pytest.raises(ThesisError, match="no value a draw"):
        interval(Scores({"top1": 0.5}), "top1")
