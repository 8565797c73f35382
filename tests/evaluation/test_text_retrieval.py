"""Text-video retrieval both ways, against loops, torchmetrics and stored numbers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from thesislib import published
from thesislib.errors import ThesisError
from thesislib.evaluation.text_retrieval import (
    TIES,
    text_retrieval,
    text_to_video,
    video_to_text,
)
from thesislib.torchvision_here import ensure_torchvision

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics"
sys.path.insert(0, str(GOLDEN))
import golden_metrics  # noqa: E402

WAYS = {"t2v": "text_to_video", "v2t": "video_to_text"}


def naive_ranks(matrix: np.ndarray, own: list[int], way: str, ties: str) -> list[float]:
    """Rank of the best right answer; equals that are wrong count by the rule."""
    texts, videos = matrix.shape
    found = []
    queries = range(texts) if way == "t2v" else sorted(set(own))
    for q in queries:
        if way == "t2v":
            scores = [(matrix[q, v], v == own[q]) for v in range(videos)]
        else:
            scores = [(matrix[t, q], own[t] == q) for t in range(texts)]
        best = max(score for score, right in scores if right)
        above = sum(score > best for score, right in scores if not right)
        equal = sum(score == best for score, right in scores if not right)
        found.append(1 + above + {"worst": equal, "mean": equal / 2, "best": 0}[ties])
    return found


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("coarse", [True, False])
@pytest.mark.parametrize("captions", [1, 3])
def test_retrieval_equals_loops(captions: int, coarse: bool, ties: str) -> None:
    rng = np.random.default_rng(captions)
    videos = 17
    own = [0, *rng.integers(0, videos - 2, captions * videos)]  # the last videos have no text
    matrix = rng.standard_normal((len(own), videos))
    matrix = np.round(2 * matrix) / 2 if coarse else matrix
    scores = text_retrieval(matrix, own, ties)
    for way in WAYS:
        ranks = naive_ranks(matrix, own, way, ties)
        for k in (1, 5, 10):
            hits = [rank <= k for rank in ranks]
            assert scores.metrics[f"{way}_r{k}"] == pytest.approx(np.mean(hits))
            assert scores.hits[f"{way}_r{k}"] == "".join("01"[int(h)] for h in hits)
        assert scores.items[f"{way}_mean"] == pytest.approx(ranks)
        assert scores.metrics[f"{way}_mean"] == pytest.approx(np.mean(ranks))
        assert scores.metrics[f"{way}_median"] == np.median(ranks)
        tied = [
            a != b
            for a, b in zip(
                naive_ranks(matrix, own, way, "worst"),
                naive_ranks(matrix, own, way, "best"),
                strict=True,
            )
        ]
        assert scores.counts[f"{way}_tied"] == sum(tied) and any(tied) == coarse
    assert scores.counts["evaluated"] == len(own)
    assert scores.counts["videos_asking"] == len(set(own))


@pytest.mark.parametrize("case", ["main", "ties"])
@pytest.mark.parametrize("way", WAYS)
def test_golden_ranks(case: str, way: str) -> None:
    golden = golden_metrics.load(GOLDEN / "A/retrieval.json")[f"{case}_{WAYS[way]}"]
    matrix = golden_metrics.similarity("A", case == "ties")
    ranks = (text_to_video if way == "t2v" else video_to_text)(matrix)
    for ties in TIES:
        assert ranks.by(ties).tolist() == golden[f"ranks_{ties}"]
        metrics = text_retrieval(matrix, ties=ties).metrics
        for key, value in golden[f"by_{ties}"].items():
            size = 100 if key.startswith("r") else 1
            assert size * metrics[f"{way}_{key}"] == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("way", WAYS)
def test_golden_ranks_of_three_texts_a_video(way: str) -> None:
    golden = golden_metrics.load(GOLDEN / "A/retrieval.json")[f"three_{WAYS[way]}"]
    matrix = golden_metrics.similarity("A", captions=3)
    scores = text_retrieval(torch.from_numpy(matrix), np.arange(60) // 3)
    assert scores.items[f"{way}_mean"] == golden["ranks"]
    for key in ("r1", "r5", "r10", "median", "mean"):
        size = 100 if key.startswith("r") else 1
        assert size * scores.metrics[f"{way}_{key}"] == pytest.approx(golden[key], abs=1e-9)


def test_torchmetrics_agrees() -> None:
    """By hit rate, from scores above zero; its recall would ignore right answers below."""
    ensure_torchvision()
    from torchmetrics.retrieval import RetrievalHitRate

    for captions in (1, 3):
        matrix = torch.from_numpy(golden_metrics.similarity("A", captions=captions))
        texts, videos = matrix.shape
        own = torch.arange(texts) // captions
        scores = text_retrieval(matrix, own.numpy())
        right = own[:, None] == torch.arange(videos)
        above = matrix - matrix.min() + 1
        for way, (values, target) in {"t2v": (above, right), "v2t": (above.T, right.T)}.items():
            query = torch.arange(len(values))[:, None].expand(values.shape)
            for k in (1, 5, 10):
                theirs = RetrievalHitRate(top_k=k)
                theirs.update(values.reshape(-1), target.reshape(-1), query.reshape(-1))
                ours = scores.metrics[f"{way}_r{k}"]
                assert ours == pytest.approx(float(theirs.compute()), abs=1e-5)


def test_directions_and_names() -> None:
    """Two texts are nearest to video 0; every video finds its text."""
    matrix = np.array([[0.9, 0.1, 0.0], [0.8, 0.7, 0.1], [0.1, 0.2, 0.5]])
    scores = text_retrieval(matrix)
    assert scores.metrics["t2v_r1"] == pytest.approx(2 / 3) and scores.metrics["v2t_r1"] == 1
    assert scores.hits["t2v_r1"] == "101"
    assert not {"t2v_r5", "v2t_r5"} & scores.metrics.keys(), "there are three answers"
    found = text_retrieval(np.eye(12)).metrics
    assert {c.metric for c in published.table("5.7").columns} <= found.keys()


def test_a_blind_model_gains_nothing() -> None:
    same = np.zeros((20, 20))
    assert text_retrieval(same).metrics["t2v_r10"] == 0
    assert text_retrieval(same, ties="best").metrics["t2v_r1"] == 1
    assert text_retrieval(same, ties="mean").metrics["v2t_median"] == 10.5
    own = text_retrieval(np.zeros((4, 2)), [0, 0, 0, 1]).items
    assert own == {"t2v_mean": [2.0] * 4, "v2t_mean": [2.0, 4.0]}, "own texts do not tie"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.int64])
def test_tensors_of_any_kind(dtype: torch.dtype) -> None:
    matrix = torch.round(torch.randn(8, 8, generator=torch.Generator().manual_seed(0)) * 4)
    expected = text_retrieval(matrix.double().numpy())
    assert text_retrieval(matrix.to(dtype).requires_grad_(dtype.is_floating_point)) == expected


def test_many_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = golden_metrics.similarity("A", True)
    whole = text_retrieval(matrix)
    monkeypatch.setattr("thesislib.evaluation.text_retrieval._ROWS", 7)
    assert text_retrieval(matrix) == whole


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ((np.zeros((3, 2)),), "say by video_of_text"),
        ((np.zeros(3),), "give \\(texts, videos\\)"),
        ((np.zeros((0, 0)),), "give \\(texts, videos\\)"),
        ((np.full((2, 2), np.nan),), "diverged"),
        ((np.full((2, 2), np.inf),), "diverged"),
        ((np.zeros((3, 2)), [0, 1, 2]), "one of 0 to 1"),
        ((np.zeros((3, 2)), [0, -1, 1]), "one of 0 to 1"),
        ((np.zeros((3, 2)), [0, 1]), "for each of 3 texts"),
        ((np.zeros((2, 2)), None, "middle"), "no rule for ties 'middle'"),
    ],
)
def test_bad_arguments_are_named(args: tuple[Any, ...], sentence: str) -> None:
    with pytest.raises(ThesisError, match=sentence):
        text_retrieval(*args)
