"""Evaluation protocols against naive loops."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from studio import SMALL, tiny
from thesislib.data.dataset import WindowDataset
from thesislib.errors import ThesisError
from thesislib.evaluation.features import extract, over_windows
from thesislib.evaluation.linear_probe import linear_probe, sgd_probe
from thesislib.evaluation.retrieval import nearest, retrieval, within
from thesislib.evaluation.scores import PerVideo, Scores, accuracy
from thesislib.methods.dpc import DPC, DPCConfig

REPORT = {"total": 12, "used": 10, "dropped_short": 2, "padded": 0, "failed": 0}


def cloud(count: int, seed: int, classes: int = 3) -> PerVideo:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    values = rng.normal(size=(count, 5)) + 3 * np.eye(classes, 5)[labels]
    return PerVideo(values.astype(np.float32), labels, np.arange(count), REPORT)


def test_nearest_equals_a_naive_loop() -> None:
    rng = np.random.default_rng(0)
    queries, gallery = rng.normal(size=(7, 4)), rng.normal(size=(9, 4))
    queries, gallery = queries.astype(np.float32), gallery.astype(np.float32)
    q, g = queries - queries.mean(0), gallery - gallery.mean(0)
    found = nearest(queries, gallery, 3, chunk=2)
    for i in range(7):
        cosine = [
            float(q[i] @ g[j] / (np.linalg.norm(q[i]) * np.linalg.norm(g[j]))) for j in range(9)
        ]
        assert found[i].tolist() == sorted(range(9), key=lambda j: -cosine[j])[:3]


@pytest.mark.parametrize("k", [1, 3, 7, 12])
def test_of_equal_neighbours_the_first_is_taken(k: int) -> None:
    # Axes as vectors: every cosine is exactly 0 or 1, so nearly all are ties.
    gallery = np.eye(4, dtype=np.float32)[[2, 0, 1, 0, 3, 0, 1, 2, 0, 0, 3, 1]]
    queries = np.eye(4, dtype=np.float32)[[0, 3, 1, 2, 0]]
    found = nearest(queries, gallery, k, centre=False, chunk=2)
    for row, query in zip(found, queries, strict=True):
        cosine = [float(query @ other) for other in gallery]
        assert row.tolist() == sorted(range(12), key=lambda j: (-cosine[j], j))[:k]
    same = nearest(np.ones((3, 4), np.float32), np.ones((9, 4), np.float32), min(k, 9))
    assert same.tolist() == [list(range(min(k, 9)))] * 3, "a collapsed encoder: all alike"


@pytest.mark.parametrize("scale", [2.0**-100, 2.0**-55, 2.0**100])
def test_neighbours_and_probe_do_not_depend_on_the_scale(scale: float) -> None:
    """The features of an untrained S3D are near 1e-16."""
    train, test = cloud(30, 0), cloud(12, 1)
    small = [replace(f, values=(f.values * scale).astype(np.float32)) for f in (train, test)]
    found = nearest(small[1].values, small[0].values, 5)
    assert np.array_equal(found, nearest(test.values, train.values, 5))
    probe = sgd_probe(small[0], small[1], epochs=5)
    assert np.array_equal(probe.values, sgd_probe(train, test, epochs=5).values)
    assert np.array_equal(nearest(0 * test.values, train.values, 2), [[0, 1]] * 12)


def test_recall_equals_a_naive_loop() -> None:
    test, train = cloud(11, 1), cloud(20, 2)
    found = retrieval(test, train, ranks=(1, 5, 50))
    assert "retrieval_r50" not in found.metrics, "more neighbours than the gallery has"
    near = nearest(test.values, train.values, 5)
    for k in (1, 5):
        hits = [any(train.labels[j] == test.labels[i] for j in near[i][:k]) for i in range(11)]
        assert found.metrics[f"retrieval_r{k}"] == pytest.approx(np.mean(hits))
        if k == 1:
            assert found.hits == {"retrieval_r1": "".join("01"[hit] for hit in hits)}
    assert found.counts == {"evaluated": 11, "skipped": 2}
    with pytest.raises(ThesisError, match="The gallery is empty"):
        retrieval(test, replace(train, values=train.values[:0], labels=train.labels[:0]))


@pytest.mark.parametrize("k", [1, 4, 50])
def test_each_labelled_video_looks_up_the_others(k: int) -> None:
    features = cloud(14, 3)
    labels = features.labels.copy()
    labels[[2, 9]] = -1
    features = replace(features, labels=labels)
    values = features.values - features.values.mean(0)
    first, right, count = [], 0, 0
    for i in range(14):
        if labels[i] < 0:
            continue
        cosine = {
            j: values[i] @ values[j] / np.linalg.norm(values[i]) / np.linalg.norm(values[j])
            for j in range(14)
            if j != i
        }
        near = sorted(cosine, key=lambda j: -cosine[j])[:k]
        first.append(labels[near[0]] == labels[i])
        right += sum(labels[j] == labels[i] for j in near)
        count += len(near)
    found = within(features, k)
    assert found == {"r1": pytest.approx(np.mean(first)), "precision": pytest.approx(right / count)}


def test_a_collapsed_encoder_does_not_find_itself() -> None:
    alike = replace(cloud(6, 0), values=np.ones((6, 2), np.float32), labels=np.arange(6))
    assert within(alike, 3) == {"r1": 0.0, "precision": 0.0}


def test_more_neighbours_than_videos_is_refused() -> None:
    with pytest.raises(ThesisError, match="5 neighbours asked for"):
        nearest(np.ones((1, 2), np.float32), np.ones((3, 2), np.float32), 5)


@pytest.mark.parametrize(
    ("queries", "k", "message"),
    [
        (np.ones((1, 2)), 0, "at least one"),
        (np.ones((1, 3)), 1, "the same model"),
        (np.full((1, 2), np.inf), 1, "not all finite"),
    ],
)
def test_features_that_cannot_be_compared_are_refused(
    queries: np.ndarray, k: int, message: str
) -> None:
    with pytest.raises(ThesisError, match=message):
        nearest(queries.astype(np.float32), np.ones((3, 2), np.float32), k)


def test_probe_reads_separable_features_and_not_noise() -> None:
    def top1(train: PerVideo) -> float:
        return accuracy(linear_probe(train, cloud(90, 1)), "probe_top1").metrics["probe_top1"]

    assert top1(cloud(90, 0)) > 0.85
    noise = cloud(90, 2)
    noise = replace(noise, values=np.random.default_rng(3).normal(size=(90, 5)).astype(np.float32))
    assert top1(noise) < 0.6


def test_probe_needs_two_classes() -> None:
    with pytest.raises(ThesisError, match="at least two classes"):
        linear_probe(cloud(5, 0, classes=1), cloud(5, 1))


def test_accuracy_counts() -> None:
    rows = PerVideo(np.eye(3, dtype=np.float32), np.array([0, 2, 2]), np.arange(3), REPORT)
    assert accuracy(rows, "mine") == Scores(
        metrics={"mine": pytest.approx(2 / 3)},
        hits={"mine": "101"},
        counts={"evaluated": 3, "skipped": 2},
    )


def test_scores_add_up_and_the_later_has_the_last_word() -> None:
    one = Scores(
        {"a": 0.1, "b": 0.2}, {"a": "10"}, {"t": [1.0]}, {"evaluated": 2}, ("x",), ({"epoch": 1},),
        ({"run": "p"},),
    )  # fmt: skip
    two = Scores(
        {"b": 0.3}, {"b": "11"}, {"u": [2.0]}, {"evaluated": 3, "skipped": 1}, ("y",),
        ({"epoch": 2},), ({"run": "q"},),
    )  # fmt: skip
    both = one | two
    assert both.metrics == {"a": 0.1, "b": 0.3} and both.hits == {"a": "10", "b": "11"}
    assert both.items == {"t": [1.0], "u": [2.0]}
    assert both.counts == {"evaluated": 3, "skipped": 1}
    assert both.runs == ("x", "y") and both.points == ({"epoch": 1}, {"epoch": 2})
    assert both.parts == ({"run": "p"}, {"run": "q"})
    assert Scores() | one == one | Scores() == one


class Brightness(nn.Module):
    """Encodes a window by its mean: simple enough to do by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def encode(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return batch["video"].mean((1, 2, 3, 4, 5))[:, None]


def test_windows_of_a_video_are_averaged(roots: Path) -> None:
    manifest = tiny(roots / "data").select(split="test")
    config = DPCConfig.preset("small").override({**SMALL, "num_seq": 2, "pred_step": 1})
    model = Brightness()
    found = over_windows(model.encode, model, manifest, config)
    dataset = WindowDataset(manifest, replace(config, short="pad"))
    means: dict[int, list[float]] = {}
    for i in range(len(dataset)):
        item = dataset[i]
        means.setdefault(int(item["index"]), []).append(float(item["video"].mean()))
    assert len(means[0]) > 1, "the test needs several windows a video"
    expected = [np.mean(means[v]) for v in sorted(means)]
    assert np.allclose(found.values[:, 0], expected, atol=1e-6)
    assert found.videos.tolist() == sorted(means)
    one = over_windows(model.encode, model, manifest, config, windows=1)
    assert len(one.values) == len(found.values)


def test_training_features_from_one_random_window(roots: Path) -> None:
    manifest = tiny(roots / "data").select(split="train")
    config = DPCConfig.preset("small").override({**SMALL, "num_seq": 2, "pred_step": 1})
    padded = replace(config, short="pad")  # 6 of 20 frames
    dataset = WindowDataset(manifest, padded, one_random=True)
    assert [(v, w) for v, w, _ in dataset.windows] == [(i, 0) for i in range(len(manifest))]
    starts = [start for _, _, start in dataset.windows]
    assert set(starts) <= set(range(14)) and len(set(starts)) > 7
    again = WindowDataset(manifest, padded, one_random=True, max_windows=3)
    assert again.windows == dataset.windows
    other = WindowDataset(manifest, replace(padded, seed=1), one_random=True)
    assert other.windows != dataset.windows
    model = Brightness()
    found = extract(model, manifest, config, one_random=True)
    expected = [float(dataset[i]["video"].mean()) for i in range(len(dataset))]
    assert np.allclose(found.values[:, 0], expected, atol=1e-6)
    assert not np.allclose(found.values, extract(model, manifest, config).values, atol=1e-6)


def test_evaluation_leaves_the_mode_as_it_was(roots: Path) -> None:
    manifest = tiny(roots / "data").select(split="val")
    config = DPCConfig.preset("small").override(SMALL)
    model = DPC(config).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    over_windows(model.encode, model, manifest, config)
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
