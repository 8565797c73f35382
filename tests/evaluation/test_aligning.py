"""Alignment by windows against TAN's own evaluation (tests/golden), and the measures of it."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from thesislib.errors import ThesisError
from thesislib.evaluation.aligning import (
    UNSEEN,
    align_windows,
    asked,
    nearer,
    stitch,
    window_starts,
)
from thesislib.evaluation.alignment import Pointing, alignability, alignment, auc, near
from thesislib.evaluation.scores import Lacking
from thesislib.methods.tan import TAN, TanConfig

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics"
sys.path.insert(0, str(GOLDEN))
import golden_metrics  # noqa: E402


def peers(video: dict[str, Any]) -> Any:
    """What TAN's evaluation makes of a video: only the unalignable sentences' times may be used."""

    def score(start: int, stop: int, some: slice) -> dict[str, Any]:
        out = golden_metrics.window_scores("A", video, start)
        assert out["joint"].shape[1] == stop - start
        return {n: out[n][some] for n in ("dual", "joint")} | {"head": out["head_joint"][some]}

    middle = (video["start"] + video["end"]) / 2
    heard = np.where(video["aligned"] == 1, np.nan, middle)
    return stitch(score, video["length"], heard, released=True)


@pytest.mark.parametrize("case", ["main", "edge"])
def test_golden_alignment(case: str) -> None:
    golden = golden_metrics.load(GOLDEN / "A/alignment.json")
    videos = golden_metrics.alignment("A")[: 12 if case == "main" else 14]
    done = [peers(v) for v in videos]
    seen = [v["aligned"] == 1 for v in videos]
    pointing = [
        Pointing(d.similarity[s], v["start"][s], v["end"][s])
        for d, s, v in zip(done, seen, videos, strict=True)
    ]
    for name, score in (
        ("head", [d.head for d in done]),
        ("similarity", [d.largest for d in done]),
    ):
        want, together = golden[f"{case}_{name}"], np.concatenate(score)
        best = [d.similarity.argmax(1).tolist() for d in done]
        assert best == want["best_second"]
        np.testing.assert_allclose(together, want["alignability"], rtol=1e-5, atol=1e-5)
        assert alignment(pointing).metrics["align_r1"] == pytest.approx(want["recall"], abs=1e-9)
        assert auc(together, np.concatenate(seen)) == pytest.approx(want["auc"], abs=1e-6)


def test_stitching_by_loops() -> None:
    """150 s, seven sentences, of which two have secret times."""
    rng = np.random.default_rng(0)
    heard = np.array([5.0, math.nan, 40, 60, math.nan, 100, 140])
    answers = {s: rng.standard_normal((3, 7, 64)) for s in range(0, 150, 16)}

    def score(start: int, stop: int, some: slice) -> dict[str, Any]:
        dual, joint, head = answers[start][:, some, : stop - start]
        return {"dual": dual, "joint": joint, "head": head[:, 0]}

    done = stitch(score, 150, heard)
    starts = [s for s in range(0, 150, 16) if s < 150 - 32]
    assert window_starts(150) == starts and len(starts) == 8
    for n in range(7):
        for t in range(150):
            values = []
            for number, s in enumerate(starts):
                known = [k for k in range(7) if s - 64 <= heard[k] <= s + 128]
                first = 0 if number < 4 else known[0]
                last = 6 if number >= len(starts) - 4 and number >= 4 else known[-1]
                if first <= n <= last and s <= t < min(150, s + 64):
                    values.append(answers[s][:2, n, t - s].mean())
            want = np.mean(values) if values else UNSEEN
            assert done.similarity[n, t] == pytest.approx(want, rel=1e-5)


def test_windows_never_look_at_secret_times() -> None:
    """The trap: a sentence's true time must not decide which windows are asked for it."""
    heard = np.array([10.0, math.nan, 30, 200, math.nan, 400])
    starts = window_starts(430)
    assert asked(heard, starts) == asked(heard.copy(), starts)
    moved = asked(np.array([10.0, math.nan, 30, 200, math.nan, 400]) + 0, starts)
    assert [s.start for s in moved[:4] if s] == [0] * 4
    assert [s.stop for s in moved[-4:] if s] == [6] * 4
    told = asked(np.array([10.0, 390, 30, 200, 20, 400]), starts)
    assert told != moved, "were they looked at, other sentences would be asked for"
    assert asked(np.full(3, math.nan), [0]) == [None]


def test_short_videos_and_unknown_times_have_an_answer_outside_the_paper() -> None:
    def score(start: int, stop: int, some: slice) -> dict[str, Any]:
        count = some.stop - some.start
        return {"dual": np.ones((count, stop - start)), "head": np.zeros(count)}

    for length, heard in ((9, [3.0, 4.0]), (200, [math.nan, math.nan]), (50, [-7.0, 999.0])):
        assert (stitch(score, length, heard).similarity == 1).all()
        released = stitch(score, length, heard, released=True)
        assert (released.similarity == UNSEEN).all() == (length != 50)


SMALL = replace(
    TanConfig.preset("small"), dim=6, text_dim=5, width=8, depth=1, joint_depth=1, heads=2,
    seconds=64, places=64, one_space=False,
)  # fmt: skip


def test_a_model_aligns_a_long_video_as_window_by_window() -> None:
    torch.manual_seed(0)
    model = TAN(SMALL).eval()
    video, text = torch.randn(100, 6), torch.randn(3, 5)
    done = align_windows(model, video, text, [20.0, 50.0, 80.0])
    starts = window_starts(100)
    parts = [model.window(video[s : s + 64], text) for s in starts]
    rows = [(p["dual"] + p["joint"])[1] / 2 for p in parts]
    at = 70
    want = [float(r[at - s]) for r, s in zip(rows, starts, strict=True) if s <= at < s + 64]
    assert done.similarity[1, at] == pytest.approx(np.mean(want), abs=1e-5)
    assert done.head[1] == pytest.approx(np.mean([float(p["head"][1]) for p in parts]), abs=1e-5)
    assert (done.windows == len(starts)).all()
    words = TAN(replace(SMALL, texts="words", words=9)).eval()
    ids = torch.randint(1, 9, (3, 4))
    times = [20.0, 50, 80]
    same, done = (align_windows(words, video, x, times) for x in (ids, words.sentences(ids)))
    np.testing.assert_allclose(same.similarity, done.similarity)


@pytest.mark.parametrize(
    ("video", "text", "heard", "sentence"),
    [
        (torch.zeros(0, 6), torch.zeros(1, 5), [0.0], "shorter than a second"),
        (torch.zeros(9, 6), torch.zeros(0, 5), [], "no sentence to align"),
        (torch.full((9, 6), math.nan), torch.zeros(1, 5), [0.0], "video are not all finite"),
        (torch.zeros(9, 6), torch.full((1, 5), math.inf), [0.0], "sentences are not all finite"),
        (torch.zeros(9, 6), torch.zeros(2, 5), [0.0], "2 sentences have 1 times"),
    ],
)
def test_what_cannot_be_aligned_gets_a_sentence(
    video: torch.Tensor, text: torch.Tensor, heard: list[float], sentence: str
) -> None:
    with pytest.raises(ThesisError, match=sentence):
        align_windows(TAN(SMALL).eval(), video, text, heard)
    with pytest.raises(ThesisError, match="Windows of 64 s every 0 s"):
        align_windows(TAN(SMALL).eval(), torch.zeros(9, 6), torch.zeros(1, 5), [0.0], hop=0)


# -- measures --------------------------------------------------------------------------------


def test_seconds_off_by_loops() -> None:
    rng = np.random.default_rng(0)
    similarity, start = rng.standard_normal((40, 90)), rng.uniform(0, 80, 40)
    end = start + rng.uniform(0, 9, 40)
    found = near([Pointing(similarity, start, end)], (0.5, 1, 2, 5, 20))
    for limit in (0.5, 1, 2, 5, 20):
        right = 0
        for n in range(40):
            at = int(np.argmax(similarity[n])) + 0.5
            off = 0.0 if start[n] <= at <= end[n] else min(abs(at - start[n]), abs(at - end[n]))
            right += off <= limit
        name = f"align_within_{limit:g}"
        assert found.metrics[name] == pytest.approx(right / 40)
        assert found.hits[name].count("1") == right
    with pytest.raises(Lacking, match="No sentence is seen"):
        near([])


def test_auc_is_sklearns_and_that_of_all_pairs() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(60) < 0.3
    for score in (rng.standard_normal(60), rng.integers(0, 4, 60).astype(float)):
        pairs = [(a > b) + 0.5 * (a == b) for a in score[truth] for b in score[~truth]]
        assert auc(score, truth) == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
        assert auc(score, truth) == pytest.approx(np.mean(pairs), abs=1e-12)
    with pytest.raises(Lacking, match="Of 3 sentences 3 can be aligned"):
        auc(np.zeros(3), np.ones(3))
    with pytest.raises(ThesisError, match="not all finite"):
        auc([0.0, math.nan], [True, False])


def test_alignability_by_kind() -> None:
    rng = np.random.default_rng(1)
    truth, chatter = rng.random(80) < 0.4, rng.random(80) < 0.5
    head, largest = truth + rng.standard_normal(80), 9 + truth + rng.standard_normal(80)
    kinds = {"chatter": chatter & ~truth, "mention": ~chatter & ~truth}
    found = alignability({"head": head, "max": largest}, truth, kinds).metrics
    both = (head - head.mean()) / head.std() + (largest - largest.mean()) / largest.std()
    assert found["align_auc_both"] == pytest.approx(roc_auc_score(truth, both))
    for name, score in (("head", head), ("max", largest), ("both", both)):
        for kind, these in kinds.items():
            part = truth | these
            want = roc_auc_score(truth[part], score[part])
            assert found[f"align_auc_{name}_{kind}"] == pytest.approx(want)


def test_a_prior_on_the_spoken_time() -> None:
    flat = nearer(np.zeros((2, 30)), [12.5, math.nan], 0.01)
    assert flat[0].argmax() == 12 and flat[0, 22] == pytest.approx(-0.1)
    assert (flat[1] == 0).all()
