"""mAP and recall against the numbers of five public evaluators (tests/golden/metrics)."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thesislib.evaluation.localisation import ACTIVITYNET, average_precision, top_recall
from thesislib.evaluation.proposals import average_recall
from thesislib.evaluation.segments import Segments

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics"
sys.path.insert(0, str(GOLDEN))
import golden_metrics  # noqa: E402

CLOSE = 1e-9  # what a number with 12 digits allows
NAMES = {
    "activitynet": "activitynet",
    "actionformer": "deduplicated",
    "opentad": "deduplicated_opentad",
    "thumos2015": "not_interpolated",
    "thumos2014_11point": "eleven_points",
}


def table(rows: list[dict[str, Any]]) -> Segments:
    start, end = zip(*(r["segment"] for r in rows), strict=True)
    columns = [[r[name] for r in rows] for name in ("video", "label")]
    return Segments.of(columns[0], start, end, columns[1], [r.get("score", 1.0) for r in rows])


def close(golden: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
    for key, difference in golden_metrics.compare(golden, mine).items():
        assert difference < CLOSE, key


def test_the_inputs_are_those_of_the_witnesses() -> None:
    assert golden_metrics.fingerprint("A") == golden_metrics.load(GOLDEN / "A/inputs.json")


@pytest.mark.parametrize("peer", NAMES)
@pytest.mark.parametrize(
    "variant", ["main", "zero", "edge", "ties_later_first", "ties_earlier_first"]
)
def test_detection(variant: str, peer: str) -> None:
    golden = golden_metrics.load(GOLDEN / "A/detection.json")[variant]
    if peer not in golden:
        pytest.skip("the kits have one rule for ties")
    name, overlaps = NAMES[peer], golden_metrics.THRESHOLDS
    ties = next((rule for rule in ("later", "earlier") if rule in variant), None)
    truth, predictions = map(table, golden_metrics.detection("A", variant.partition("_")[0]))
    own = None if name == "eleven_points" else ties
    found = average_precision(truth, predictions, overlaps, name, own)
    mine: dict[str, Any] = {"ap": found.values, "map": found.mean}
    mine["average_050_095"] = found.mean[4:].mean()
    mine["average_03_07"] = found.mean[[2, 3, 4, 6, 8]].mean()
    for k in (1, 5):
        if f"recall_{k}x" in golden[peer]:
            mine[f"recall_{k}x"] = top_recall(truth, predictions, overlaps, k, name, ties).mean
    close(golden[peer], mine)


@pytest.mark.parametrize(
    ("case", "limit", "definition"),
    [
        ("activitynet_all", None, "activitynet"),
        ("activitynet_max4", 4, "activitynet"),
        ("opentad_max4", 4, "deduplicated_opentad"),
        ("opentad_max10", 10, "deduplicated_opentad"),
        ("opentad_max100", 100, "deduplicated_opentad"),
    ],
)
def test_proposals(case: str, limit: int | None, definition: str) -> None:
    golden = golden_metrics.load(GOLDEN / "A/proposals.json")[case]
    truth, proposals = map(table, golden_metrics.detection("A", "main"))
    points = limit if limit and "ar" in golden else 100
    curve = average_recall(truth, proposals, limit, points, definition=definition)
    mine: dict[str, Any] = {"auc": curve.area}
    if "ar" in golden:
        mine["ar"] = curve.average[np.array(golden["k"]) - 1]
    else:
        mine |= {"average_recall": curve.average, "proposals_per_video": curve.number}
        mine["recall_last"] = curve.recall[-1]
    close(golden, mine)


@pytest.fixture(scope="module")
def validation(shared: Path) -> tuple[Segments, Segments]:
    """ActivityNet's validation truth and its example of predictions."""
    folder = shared / "annotations" / "activitynet"
    with (folder / "video_info_new.csv").open(newline="") as file:
        subset = {row["video"]: row["subset"] for row in csv.DictReader(file)}
    truth = [
        {"video": video.removeprefix("v_"), **segment}
        for video, entry in json.loads((folder / "anet_anno_action.json").read_text()).items()
        if subset[video] == "validation"
        for segment in entry["annotations"]
    ]
    sample = json.loads((folder / "sample_detection_prediction.json").read_text())["results"]
    predictions = [{"video": v, **segment} for v, some in sample.items() for segment in some]
    return table(truth), table(predictions)


@pytest.mark.parametrize(
    ("peer", "ties", "printed"),
    [
        ("activitynet", "later", 0.971976),
        ("activitynet", "earlier", 0.977388),
        ("actionformer", "later", 0.970738),
        ("actionformer", "earlier", 0.976447),
        ("opentad", "later", 0.970738),
        ("opentad", "earlier", 0.976447),
    ],
)
def test_the_sample_predictions_of_activitynet(
    validation: tuple[Segments, Segments], peer: str, ties: str, printed: float
) -> None:
    truth, predictions = validation
    assert (len(truth), len(predictions)) == (7293, 7654)
    begun = time.process_time()
    found = average_precision(truth, predictions, ACTIVITYNET, NAMES[peer], ties)
    assert time.process_time() - begun < 2
    assert len(found.classes) == 200 and found.unknown == 0
    assert found.segments == (7293 if peer == "activitynet" else 7271)
    golden = golden_metrics.load(GOLDEN / "anet_sample.json")[f"{peer}_{ties}_first"]
    close(golden, {"map": found.mean, "average": found.average})
    assert found.average == pytest.approx(printed, abs=5e-7)


def test_activitynet_against_itself(validation: tuple[Segments, Segments]) -> None:
    truth, _ = validation
    golden = golden_metrics.load(GOLDEN / "anet_sample.json")["truth_against_itself_later_first"]
    for peer in ("activitynet", "actionformer", "opentad"):
        found = average_precision(truth, truth, ACTIVITYNET, NAMES[peer], "later")
        assert found.average == pytest.approx(golden[peer], abs=CLOSE)
    assert golden["activitynet"] == 1.0 and golden["opentad"] == pytest.approx(0.998709, abs=5e-7)
