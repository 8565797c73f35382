"""Segmentation and time warping against two public evaluators, tslearn, loops and enumeration."""

from __future__ import annotations

import itertools
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from thesislib.errors import ThesisError
from thesislib.evaluation.scores import Lacking
from thesislib.evaluation.segmentation import edit_score, found, runs, segmentation
from thesislib.evaluation.warping import dtw, in_order
from thesislib.soft_dtw import soft_dtw

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics"
sys.path.insert(0, str(GOLDEN))
import golden_metrics  # noqa: E402

CLOSE = 1e-9


def close(golden: Any, mine: dict[str, Any], tolerance: float = CLOSE) -> None:
    for key, difference in golden_metrics.compare(golden, mine).items():
        assert difference < tolerance, key


def test_the_inputs_are_those_of_the_witnesses() -> None:
    assert golden_metrics.fingerprint("A") == golden_metrics.load(GOLDEN / "A/inputs.json")


def test_golden_segmentation() -> None:
    golden = golden_metrics.load(GOLDEN / "A/segmentation.json")
    truth, predictions = golden_metrics.segmentation("A")
    edits = [edit_score(truth[v], predictions[v]) for v in truth]
    some = {v: truth[v] for v in truth if v != "s11"}  # no true action: both peers fail there
    mine = segmentation(some, predictions)
    m = {name.removeprefix("segment_"): 100 * value for name, value in mine.metrics.items()}
    close(
        golden["mstcn"],
        {
            "accuracy": m["frame_acc_pooled"], "edit": m["edit"],
            "edit_per_video": [100 * e for e in edits],
            **{f"f1_{k}": m[f"f1_{k}"] for k in (10, 25, 50)},
        },
        1e-7,
    )  # fmt: skip
    close(
        golden["isba"],
        {
            "accuracy": m["frame_acc"], "accuracy_without_background": m["frame_acc_foreground"],
            "iou": m["iou"], "iod": m["iod"], "edit": m["edit"],
            "iou_per_video": [100 * x for x in mine.items["segment_iou"]],
            "iod_per_video": [100 * x for x in mine.items["segment_iod"]],
        },
        1e-7,
    )  # fmt: skip
    kept = segmentation(some, predictions, background=None).metrics
    with_background = {f"{n}_with_background": 100 * kept[f"segment_{n}"] for n in ("iou", "iod")}
    close(golden["isba"], with_background, 1e-7)
    for k in (10, 25, 50):
        counts = [found(runs(truth[v], 0), runs(predictions[v], 0), k / 100) for v in some]
        assert np.sum(counts, 0).tolist() == golden["mstcn"][f"f1_{k}_counts"]


def test_golden_procedures() -> None:
    golden = golden_metrics.load(GOLDEN / "A/procedure.json")
    videos = golden_metrics.procedure("A")
    rows = [in_order(v["scores"]) for v in videos]
    starts = [[int(np.argmax(r == k)) for k in range(r.max() + 1)] for r in rows]
    assert starts == golden["starts"]
    sums = [v["scores"][r, np.arange(len(r))].sum() for v, r in zip(videos, rows, strict=True)]
    truth = {str(i): v["truth"] for i, v in enumerate(videos)}
    guess = {str(i): v["actions"][r] for i, (v, r) in enumerate(zip(videos, rows, strict=True))}
    m = segmentation(truth, guess, background=None)
    mine = {"score": sums, "f_acc_all_frames": 100 * m.metrics["segment_frame_acc_pooled"]}
    for theirs, ours in (("f_acc", "frame_acc"), ("iou", "iou"), ("iod", "iod")):
        mine[theirs] = 100 * m.metrics[f"segment_{ours}"]
        mine[f"{theirs}_each"] = [100 * x for x in m.items[f"segment_{ours}"]]
    close(golden, mine, 1e-7)


def test_videos_without_an_action() -> None:
    nothing, something = np.zeros(6, int), np.array([0, 0, 1, 1, 0, 2])
    both = segmentation({"a": something, "b": nothing}, {"a": something, "b": something})
    assert both.metrics["segment_iou"] == both.metrics["segment_edit"] == 1
    assert both.metrics["segment_f1_50"] == pytest.approx(2 * 2 / (2 * 2 + 2))
    assert both.counts["without_action"] == 1
    assert math.isnan(edit_score(nothing, nothing))
    with pytest.raises(Lacking, match="No video has a true action"):
        segmentation({"b": nothing}, {"b": something})
    with pytest.raises(Lacking, match="no video to judge"):
        segmentation({}, {})
    with pytest.raises(ThesisError, match="'a' has no prediction"):
        segmentation({"a": something}, {})
    with pytest.raises(ThesisError, match=r"shape \(6,\) and predictions of shape \(5,\)"):
        segmentation({"a": something}, {"a": something[:5]})


def test_edit_score_by_recursion() -> None:
    rng = np.random.default_rng(0)

    def distance(a: tuple[int, ...], b: tuple[int, ...]) -> int:
        if not a or not b:
            return len(a) + len(b)
        same = distance(a[:-1], b[:-1]) + (a[-1] != b[-1])
        return min(same, distance(a[:-1], b) + 1, distance(a, b[:-1]) + 1)

    for _ in range(20):
        truth, guess = (rng.integers(0, 3, 7) for _ in range(2))
        one, other = (tuple(r.label for r in runs(x, 0)) for x in (truth, guess))
        if one or other:
            want = 1 - distance(one, other) / max(len(one), len(other))
            assert edit_score(truth, guess) == pytest.approx(want)


# -- time warping ----------------------------------------------------------------------------


@pytest.mark.parametrize("case", golden_metrics.COSTS)
def test_golden_warping(case: str) -> None:
    golden = golden_metrics.load(GOLDEN / "A/dtw.json")[case]
    cost = torch.from_numpy(golden_metrics.costs("A", case)).requires_grad_()
    value = soft_dtw(cost, golden["gamma"])
    value.backward()
    assert value.item() == pytest.approx(golden["value"], abs=1e-8)
    np.testing.assert_allclose(cost.grad, golden["gradient"], atol=1e-7)
    matrix = cost.detach().numpy()
    total, path = dtw(matrix)
    assert total == pytest.approx(golden["dtw"], abs=1e-8)
    if case != "constant":  # there all paths tie
        assert [list(cell) for cell in path] == golden["dtw_path"]
    assert sum(matrix[cell] for cell in path) == pytest.approx(total)
    if "ordered" in golden:
        rows = in_order(-matrix)
        total = matrix[rows, np.arange(len(rows))].sum()
        assert total == pytest.approx(golden["ordered"], abs=1e-8)
        if case != "constant":
            assert rows.tolist() == golden["ordered_rows"]


@pytest.mark.parametrize("gamma", [1.0, 0.1])
def test_warping_is_tslearns(gamma: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second witness, of features: there the costs are squared distances."""
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # compiling takes longer than these few cells
    metrics = pytest.importorskip("tslearn.metrics")
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((7, 3)), rng.standard_normal((9, 3))
    cost = ((one[:, None] - other[None]) ** 2).sum(2)
    want = metrics.soft_dtw(one, other, gamma=gamma)
    assert soft_dtw(torch.from_numpy(cost), gamma).item() == pytest.approx(want, abs=1e-6)
    alignment, _ = metrics.soft_dtw_alignment(one, other, gamma=gamma)  # the gradient by the costs
    ours = torch.from_numpy(cost).requires_grad_()
    soft_dtw(ours, gamma).backward()
    np.testing.assert_allclose(ours.grad, alignment, atol=1e-6)
    path, distance = metrics.dtw_path(one, other)
    total, cells = dtw(cost)
    assert math.sqrt(total) == pytest.approx(distance, abs=1e-6) and cells == path


def test_soft_warping_of_a_batch_by_enumeration() -> None:
    cost = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def paths(i: int, j: int) -> list[list[tuple[int, int]]]:
        if (i, j) == (0, 0):
            return [[(0, 0)]]
        before = [(i - 1, j), (i, j - 1), (i - 1, j - 1)]
        return [p + [(i, j)] for a, b in before if a >= 0 and b >= 0 for p in paths(a, b)]

    for matrix, value in zip(cost, soft_dtw(cost, 0.3), strict=True):
        sums = [sum(float(matrix[cell]) for cell in path) for path in paths(2, 3)]
        want = -0.3 * math.log(sum(math.exp(-s / 0.3) for s in sums))
        assert value.item() == pytest.approx(want, abs=1e-10)
        assert dtw(matrix)[0] == pytest.approx(min(sums))
    assert torch.autograd.gradcheck(lambda x: soft_dtw(x, 0.3), cost.requires_grad_())


def test_order_by_enumeration() -> None:
    score = np.random.default_rng(0).standard_normal((3, 7))
    options = []
    for a, b in itertools.combinations(range(1, 7), 2):
        rows = np.repeat([0, 1, 2], [a, b - a, 7 - b])
        options.append((score[rows, np.arange(7)].sum(), rows.tolist()))
    assert in_order(score).tolist() == max(options)[1]


def test_what_cannot_be_warped_gets_a_sentence() -> None:
    for call, sentence in (
        (lambda: soft_dtw(torch.zeros(2, 0), 1.0), "have no path"),
        (lambda: soft_dtw(torch.zeros(2, 2), 0.0), "gamma=0.0 must be above 0"),
        (lambda: soft_dtw(torch.full((2, 2), math.nan), 1.0), "not all finite"),
        (lambda: dtw(np.zeros((0, 3))), "has no path"),
        (lambda: dtw([[math.inf]]), "not all finite"),
        (lambda: in_order(np.zeros((4, 3))), "4 actions have only 3 frames"),
    ):
        with pytest.raises(ThesisError, match=sentence):
            call()
