"""mAP by every definition, recall and average recall, against loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from thesislib import published
from thesislib.errors import ThesisError
from thesislib.evaluation.localisation import (
    ACTIVITYNET,
    THUMOS14,
    average_precision,
    localisation,
    top_recall,
)
from thesislib.evaluation.matching import DEFINITIONS
from thesislib.evaluation.proposals import average_recall, proposal_recall
from thesislib.evaluation.segments import Segments

Row = tuple[str, float, float, str, float]  # video, start, end, label, score
OVERLAPS = (0.75, 0.1, 0.5, 0.6)  # in no order


def table(rows: list[Row]) -> Segments:
    return Segments.of(*zip(*rows, strict=True)) if rows else Segments.of([], [], [])


def world(seed: int, whole: bool) -> tuple[list[Row], list[Row]]:
    """Truth and predictions; ``whole`` numbers make ties of scores, overlaps and thresholds."""
    rng = np.random.default_rng(seed)

    def time(high: float) -> float:
        return float(rng.integers(high)) if whole else float(rng.random() * high)

    truth: list[Row] = []
    predictions: list[Row] = []
    for video in range(12):
        for _ in range(int(rng.integers(0, 6))):  # some videos have no truth
            start = time(20)
            label = "abcd"[rng.integers(4)]  # d is never predicted
            truth.append((f"v{video}", start, start + time(8), label, 1.0))
        mine = [row for row in truth if row[0] == f"v{video}"]
        if mine and rng.random() < 0.4:
            truth.append(mine[0])  # a duplicate
        if mine and rng.random() < 0.4:
            v, start, end, label, _ = mine[-1]
            truth.append((v, start + 4e-4, end + 5e-4, label, 1.0))  # nearly one
        if rng.random() < 0.5:
            truth.append((f"v{video}", start := time(20), start, "b", 1.0))  # of no length
            truth.append((f"v{video}", start, start + 5e-4, "a", 1.0))
        if rng.random() < 0.3:
            truth.append((f"v{video}", start := time(20), start + 4, "Ambiguous", 1.0))
        for v, start, end, label, _ in mine:
            for _ in range(int(rng.integers(0, 4))):
                a, b = sorted((start + time(3) - 1, end + time(3) - 1))
                said = label if rng.random() < 0.8 and label != "d" else "abcx"[rng.integers(4)]
                predictions.append((v, a, b, said, 0.0))
        for _ in range(4):
            start = time(20)
            said = "abcxy"[rng.integers(5)]  # x and y have no truth
            predictions.append((f"v{video}", start, start + time(6), said, 0.0))
        predictions.append((f"v{video}", 1.0, 1.0, "b", 0.0))  # of no length
    predictions.append(("elsewhere", 0.0, 5.0, "a", 0.0))
    rng.shuffle(predictions)
    predictions = [(str(v), float(a), float(b), str(c), 0.0) for v, a, b, c, _ in predictions]
    scores = rng.integers(0, 4, len(predictions)) / 4 if whole else rng.random(len(predictions))
    return truth, [(*row[:4], float(s)) for row, s in zip(predictions, scores, strict=True)]


# -- loops ---------------------------------------------------------------------------------


def naive_iou(p: Row, t: Row) -> float:
    overlap = max(0.0, min(p[2], t[2]) - max(p[1], t[1]))
    union = (t[2] - t[1]) + (p[2] - p[1]) - overlap
    return overlap / union if union else math.nan


def naive_clean(truth: list[Row], definition: str) -> list[Row]:
    truth = [t for t in truth if t[3] != "Ambiguous"]
    if not definition.startswith("deduplicated"):
        return truth
    kept: list[Row] = []
    for t in truth:
        long = t[2] - t[1] > 0 if definition.endswith("opentad") else t[2] - t[1] >= 0.001
        double = False
        for k in kept:
            near = abs(k[1] - t[1]) <= 0.001 and abs(k[2] - t[2]) <= 0.001
            double |= (k[0], k[3]) == (t[0], t[3]) and near
        if long and not double:
            kept.append(t)
    return kept


def in_order(predictions: list[Row], ties: str) -> list[int]:
    sign = -1 if ties == "later" else 1
    return sorted(range(len(predictions)), key=lambda i: (-predictions[i][4], sign * i))


def naive_by_score(
    truth: list[Row], predictions: list[Row], label: str, least: float, ties: str, official: bool
) -> float:
    """Interpolated average precision; each prediction asks for a true segment."""
    mine = [i for i, t in enumerate(truth) if t[3] == label]
    taken: set[int] = set()
    hits = []
    for i in in_order(predictions, ties):
        p = predictions[i]
        if p[3] != label:
            continue
        tried = []
        for j in mine:
            if truth[j][0] == p[0]:
                iou = naive_iou(p, truth[j])
                tried.append(((9.0 if official else 0.0) if math.isnan(iou) else iou, j))
        hit = False
        for iou, j in sorted(tried, reverse=True):  # of equal overlaps the later
            if iou >= least and j not in taken:
                taken.add(j)
                hit = True
                break
        hits.append(hit)
    precision = [sum(hits[: i + 1]) / (i + 1) for i in range(len(hits))]
    return sum(max(precision[i:]) for i in range(len(hits)) if hits[i]) / len(mine)


def naive_by_truth(
    everything: list[Row],
    predictions: list[Row],
    label: str,
    least: float,
    ties: str,
    eleven: bool,
) -> float:
    """The THUMOS kits: each true segment asks for a prediction."""
    ambiguous = [t for t in everything if t[3] == "Ambiguous"]
    mine = [t for t in everything if t[3] == label]
    found: set[int] = set()
    for t in mine:
        best, largest = -1, least
        for i, p in enumerate(predictions):
            if (p[0], p[3]) == (t[0], label) and i not in found and naive_iou(p, t) > largest:
                best, largest = i, naive_iou(p, t)
        if best >= 0:
            found.add(best)
    counted = []
    for i in in_order(predictions, ties):
        p = predictions[i]
        touches = any(a[0] == p[0] and naive_iou(p, a) > 0 for a in ambiguous)
        if p[3] == label and (i in found or not touches):
            counted.append((p[4], i in found))
    if eleven:
        counted.sort(key=lambda c: (-c[0], not c[1]))
    hits = [hit for _, hit in counted]
    precision = [sum(hits[: i + 1]) / (i + 1) for i in range(len(hits))]
    if not eleven:
        return sum(p for p, hit in zip(precision, hits, strict=True) if hit) / len(mine)
    recall = [sum(hits[: i + 1]) / len(mine) for i in range(len(hits))]
    total = 0.0
    for k in range(11):
        total += max((p for p, r in zip(precision, recall, strict=True) if r >= k * 0.1), default=0)
    return total / 11


def naive(
    truth: list[Row], predictions: list[Row], label: str, least: float, name: str, ties: str
) -> float:
    if name in ("not_interpolated", "eleven_points"):
        eleven = name == "eleven_points"
        return naive_by_truth(truth, predictions, label, least, ties, eleven)
    kept = naive_clean(truth, name)
    return naive_by_score(kept, predictions, label, least, ties, name == "activitynet")


@pytest.mark.parametrize("ties", ["later", "earlier"])
@pytest.mark.parametrize("name", DEFINITIONS)
@pytest.mark.parametrize("whole", [True, False])
def test_average_precision_equals_loops(name: str, ties: str, whole: bool) -> None:
    for seed in range(4):
        truth, predictions = world(seed, whole)
        rule = None if name == "eleven_points" else ties
        found = average_precision(table(truth), table(predictions), OVERLAPS, name, rule)
        labels = sorted({t[3] for t in naive_clean(truth, name)})
        assert found.classes == tuple(labels)
        expected = [[naive(truth, predictions, c, o, name, ties) for o in OVERLAPS] for c in labels]
        assert found.values == pytest.approx(np.array(expected), abs=1e-12)
        assert found.mean == pytest.approx(np.mean(expected, 0))
        assert found.average == pytest.approx(np.mean(expected))
        assert 0.02 < found.average < 0.9, "the inputs tell definitions apart"
        assert found.values[labels.index("d")].max() == 0, "never predicted, and counted"
        assert found.unknown == sum(p[3] in "xy" for p in predictions)


def test_definitions_and_ties_differ_where_they_should() -> None:
    truth, predictions = map(table, world(1, True))
    values = {
        (name, ties): average_precision(truth, predictions, OVERLAPS, name, ties).average
        for name in DEFINITIONS
        if name != "eleven_points"
        for ties in ("later", "earlier")
    }
    assert len({round(v, 9) for v in values.values()}) == len(values)
    for name in ("activitynet", "deduplicated"):
        default = average_precision(truth, predictions, OVERLAPS, name).average
        assert default == values[name, "later"]
    kit = average_precision(truth, predictions, OVERLAPS, "not_interpolated").average
    assert kit == values["not_interpolated", "earlier"]


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("name", ["activitynet", "deduplicated", "deduplicated_opentad"])
@pytest.mark.parametrize("whole", [True, False])
def test_top_recall_equals_loops(name: str, k: int, whole: bool) -> None:
    for seed, ties in enumerate(["later", "earlier"]):
        truth, predictions = world(seed, whole)
        found = top_recall(table(truth), table(predictions), OVERLAPS, k, name, ties)
        kept = naive_clean(truth, name)
        expected = []
        for label in sorted({t[3] for t in kept}):
            mine = [t for t in kept if t[3] == label]
            hits = [0] * len(OVERLAPS)
            for t in mine:
                many = sum(m[0] == t[0] for m in mine)
                best = [predictions[i] for i in in_order(predictions, ties)]
                best = [p for p in best if (p[0], p[3]) == (t[0], label)][: k * many]
                for i, o in enumerate(OVERLAPS):
                    hits[i] += any(naive_iou(p, t) >= o for p in best)
            expected.append([h / len(mine) for h in hits])
        assert found.values == pytest.approx(np.array(expected), abs=1e-12)


@pytest.mark.parametrize("limit", [None, 2, 3.5, 50])
@pytest.mark.parametrize("whole", [True, False])
def test_average_recall_equals_loops(limit: float | None, whole: bool) -> None:
    truth, predictions = world(3, whole)
    kept = naive_clean(truth, "activitynet")
    curve = average_recall(table(truth), table(predictions), limit, 20, OVERLAPS)
    videos = sorted({t[0] for t in kept})
    of: dict[str, list[Row]] = {v: [] for v in videos}
    for i in in_order(predictions, "later"):
        of.get(predictions[i][0], []).append(predictions[i])
    end = len(predictions) / len(videos) if limit is None else limit
    ratio = end * len(videos) / len(predictions)
    of = {v: ps[: int(len(ps) * ratio)] for v, ps in of.items()}
    total = sum(map(len, of.values()))
    for j in range(20):
        share = (j + 1) / 20 * (end * len(videos) / total)
        assert curve.number[j] == pytest.approx(share * total / len(videos))
        for i, o in enumerate(OVERLAPS):
            found = 0
            for t in kept:
                looked = of[t[0]][: int(len(of[t[0]]) * share)]
                found += any(naive_iou(p, t) >= o for p in looked)
            assert curve.recall[j, i] == pytest.approx(found / len(kept))
    average = curve.recall.mean(1)
    area = sum(
        (average[j] + average[j + 1]) / 2 * (curve.number[j + 1] - curve.number[j])
        for j in range(19)
    )
    assert curve.area == pytest.approx(area / curve.number[-1])


def test_proposals_under_their_names() -> None:
    truth, predictions = map(table, world(3, False))
    scores = proposal_recall(truth, predictions, at=(2, 5))
    assert scores.metrics.keys() == {"ar_2", "ar_5", "ar_area"}
    curve = average_recall(truth, predictions, 5, 5)
    assert scores.metrics["ar_2"] == curve.average[1]
    assert 0 < scores.metrics["ar_2"] <= scores.metrics["ar_5"]


# -- what goes in and out ------------------------------------------------------------------


def test_scores_have_the_names_of_the_tables() -> None:
    truth, predictions = map(table, world(2, False))
    thumos = localisation(truth, predictions, THUMOS14)
    anet = localisation(truth, predictions, ACTIVITYNET)
    columns = published.table("5.5").columns
    for scores, data in ((thumos, "thumos14"), (anet, "activitynet")):
        names = {c.metric for c in columns if c.data[0] == data}
        assert names and names <= scores.metrics.keys()
    assert thumos.metrics["map_mean"] == pytest.approx(
        np.mean([thumos.metrics[f"map_{t}"] for t in THUMOS14])
    )
    assert anet.metrics["map_mean"] == pytest.approx(
        average_precision(truth, predictions, ACTIVITYNET).average
    )
    for name, items in thumos.items.items():
        assert len(items) == 4 and np.mean(items) == pytest.approx(thumos.metrics[name])
    assert thumos.counts["evaluated"] == len(set(truth.video.tolist()))
    assert thumos.counts["unknown_labels"] == int(np.isin(predictions.label, ["x", "y"]).sum())


def test_nothing_predicted_is_nothing_found() -> None:
    truth = table(world(0, False)[0])
    nothing = table([])
    for name in DEFINITIONS:
        found = average_precision(truth, nothing, THUMOS14, name)
        assert found.values.shape == (4, 5) and not found.values.any()
    assert not top_recall(truth, nothing, THUMOS14).values.any()
    only = table([("v0", 0.0, 5.0, "x", 0.5)])
    assert average_precision(truth, only, THUMOS14).unknown == 1


def test_truth_finds_itself() -> None:
    truth = table([t for t in world(5, False)[0] if t[3] != "Ambiguous"])
    assert average_precision(truth, truth, ACTIVITYNET).average == 1.0


def test_of_true_segments_alike_the_later_is_tried_first() -> None:
    """As the official code's sort does: here it costs the second prediction its only match."""
    truth = [("v", 0.0, 4.0, "a", 1.0), ("v", 6.0, 10.0, "a", 1.0)]
    predictions = [("v", 2.0, 8.0, "a", 0.9), ("v", 6.0, 10.0, "a", 0.5)]
    assert average_precision(table(truth), table(predictions), (0.2,)).average == 0.5
    assert average_precision(table(truth[::-1]), table(predictions), (0.2,)).average == 1.0


def test_the_order_of_the_table_matters_only_in_ties() -> None:
    truth, predictions = map(table, world(6, False))
    mixed = np.random.default_rng(0).permutation(len(predictions))
    for name in DEFINITIONS:
        one = average_precision(truth, predictions, OVERLAPS, name).values
        other = average_precision(truth, predictions.select(mixed), OVERLAPS, name).values
        assert one == pytest.approx(other)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"definition": "official"}, "no definition of mAP 'official'"),
        ({"ties": "first"}, "no rule for ties 'first'"),
        ({"definition": "eleven_points", "ties": "later"}, "leave ties out"),
        ({"thresholds": ()}, "give 1 to 62"),
        ({"thresholds": (0.0, 0.5)}, "above 0"),
        ({"thresholds": (50,)}, "at most 1"),
        ({"thresholds": (math.nan,)}, "at most 1"),
        ({"truth": table([])}, "no true segment"),
        ({"truth": table([("v", 0.0, 1.0, "Ambiguous", 1.0)])}, "no true segment"),
    ],
)
def test_bad_arguments_are_named(more: dict[str, Any], sentence: str) -> None:
    truth, predictions = map(table, world(0, False))
    given = {"truth": truth, "predictions": predictions, "thresholds": THUMOS14} | more
    with pytest.raises(ThesisError, match=sentence):
        average_precision(**given)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"proposals": table([])}, "no proposal"),
        ({"truth": table([])}, "no true segment"),
        ({"limit": 0}, "positive"),
        ({"points": 0}, "positive"),
        ({"limit": 1e-9}, "leaves no proposal"),
        ({"proposals": table([("nowhere", 0.0, 1.0, "", 1.0)])}, "leaves no proposal"),
    ],
)
def test_bad_proposals_are_named(more: dict[str, Any], sentence: str) -> None:
    truth, predictions = map(table, world(0, False))
    with pytest.raises(ThesisError, match=sentence):
        average_recall(**({"truth": truth, "proposals": predictions} | more))
