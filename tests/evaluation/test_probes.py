"""Linear and non-linear probes of frozen features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from thesislib.errors import ThesisError
from thesislib.evaluation.linear_probe import linear_probe, sgd_probe
from thesislib.evaluation.nonlinear_probe import nonlinear_probe
from thesislib.evaluation.scores import PerVideo, accuracy

REPORT = {"total": 130, "used": 125, "dropped_short": 5, "padded": 0, "failed": 5}


def rings(count: int, seed: int) -> PerVideo:
    """Two classes on two circles: no line separates them."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    turn = rng.uniform(0, 2 * np.pi, count)
    radius = 1 + 2 * labels + 0.1 * rng.normal(size=count)
    values = np.stack([radius * np.cos(turn), radius * np.sin(turn)], 1).astype(np.float32)
    return PerVideo(values, labels, np.arange(count), REPORT, tuple(map(str, range(count))))


def test_the_hidden_layer_reads_what_a_line_cannot() -> None:
    train, test = rings(160, 0), rings(120, 1)
    linear = accuracy(linear_probe(train, test), "probe_top1")
    mlp = accuracy(nonlinear_probe(train, test, hidden=16), "nonlinear_top1")
    assert linear.metrics["probe_top1"] < 0.65
    assert mlp.metrics["nonlinear_top1"] > 0.97
    assert mlp.counts["evaluated"] == 120
    assert mlp.counts["skipped"] == 10, "five too short and five unreadable"


@pytest.mark.parametrize("probe", [linear_probe, nonlinear_probe, sgd_probe])
def test_probabilities_add_to_one_and_explain_the_hits(probe) -> None:  # type: ignore[no-untyped-def]
    train, test = rings(60, 0), rings(40, 1)
    rows = probe(train, test)
    assert rows.names == test.names and rows.report == test.report
    assert np.array_equal(rows.labels, test.labels) and np.array_equal(rows.videos, test.videos)
    assert rows.values.dtype == np.float32
    assert np.allclose(rows.values.sum(1), 1, atol=1e-5)
    hits = accuracy(rows, "top1").hits["top1"]
    for row, label, hit in zip(rows.values, test.labels, hits, strict=True):
        assert (max(range(2), key=lambda c: row[c]) == label) == (hit == "1")
    again = probe(train, test).values
    assert np.array_equal(rows.values, again), "the same seed, the same numbers"


def test_the_seed_draws_the_weights() -> None:
    train, test = rings(40, 0), rings(20, 1)
    one, two = (nonlinear_probe(train, test, hidden=4, seed=s) for s in (0, 1))
    assert not np.array_equal(one.values, two.values)


def test_a_class_without_training_video_gets_no_probability() -> None:
    train, test = rings(40, 0), rings(20, 1)
    strange = replace(test, labels=np.where(test.labels == 1, 3, 0))
    found = linear_probe(train, strange)
    assert found.values.shape == (20, 4)
    assert (found.values[:, 2:] == 0).all()
    hits = accuracy(found, "top1").hits["top1"]
    assert hits[1] == "0", "a video of class 3 cannot be right"
    assert not any(hit == "1" for hit, label in zip(hits, strange.labels, strict=True) if label)


@pytest.mark.parametrize("probe", [linear_probe, nonlinear_probe, sgd_probe])
@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ({"labels": np.zeros(20, int)}, {}, "at least two classes"),
        ({}, {"values": np.ones((20, 3), np.float32)}, "extract both with the same model"),
        ({"values": np.full((20, 2), np.nan, np.float32)}, {}, "not all finite"),
        ({}, {"labels": np.full(20, -1)}, "20 test videos have no label"),
    ],
)
def test_bad_features_get_a_sentence(probe, train, test, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ThesisError, match=message):
        probe(replace(rings(20, 0), **train), replace(rings(20, 1), **test))


def by_hand(train: PerVideo, test: PerVideo, epochs: int, drop: int) -> np.ndarray:
    """The SGD probe with one batch an epoch, its layers and steps written out; logits."""
    torch.manual_seed(0)
    w = torch.nn.Linear(2, 2).weight.detach().clone()
    torch.nn.init.normal_(w, std=0.01)
    params = [w, torch.zeros(2), torch.ones(2), torch.zeros(2)]  # weight, bias, gamma, beta
    speed = [torch.zeros_like(p) for p in params]
    mean, var = torch.zeros(2), torch.ones(2)
    x, seen = (torch.from_numpy(f.values) for f in (train, test))
    x, seen = x / x.norm(dim=1, keepdim=True), seen / seen.norm(dim=1, keepdim=True)
    for epoch in range(epochs):
        params = [p.detach().requires_grad_() for p in params]
        w, bias, gamma, beta = params
        centred = x - x.mean(0)
        batch = centred.square().mean(0)
        z = gamma * centred / (batch + 1e-5).sqrt() + beta
        log = torch.log_softmax(z @ w.T + bias, 1)
        (-log[range(len(x)), train.labels].mean()).backward()
        mean = 0.9 * mean + 0.1 * x.mean(0)
        var = 0.9 * var + 0.1 * batch * len(x) / (len(x) - 1)
        rate = 1.0 * (0.1 if epoch >= drop else 1.0)
        for i, p in enumerate(params):
            speed[i] = 0.9 * speed[i] + p.grad + 1e-3 * p.detach()
        params = [p.detach() - rate * s for p, s in zip(params, speed, strict=True)]
    w, bias, gamma, beta = params
    return ((gamma * (seen - mean) / (var + 1e-5).sqrt() + beta) @ w.T + bias).numpy()


def test_the_sgd_probe_is_what_it_says() -> None:
    train, test = rings(40, 0), rings(30, 1)
    found = sgd_probe(train, test, epochs=7, milestones=(5,))
    logits = by_hand(train, test, 7, 5)
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.allclose(found.values, expected, atol=1e-5)
    scores = accuracy(found, "sgd_probe_top1")
    top1 = (logits.argmax(1) == test.labels).mean()
    assert scores.metrics == {"sgd_probe_top1": pytest.approx(top1)}, "the last epoch, no best"
    assert scores.counts == {"evaluated": 30, "skipped": 10}


def clusters(count: int, seed: int) -> PerVideo:
    """Five classes, each a direction; the length says nothing."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 5
    values = np.eye(5, 8)[labels] + 0.15 * rng.normal(size=(count, 8))
    values *= rng.uniform(0.1, 10, (count, 1))
    return replace(rings(count, 0), values=values.astype(np.float32), labels=labels)


def test_the_sgd_probe_reads_directions_in_batches_of_any_size() -> None:
    train, test = clusters(201, 0), clusters(100, 1)
    for size in (50, 200, 1024):  # 200 leaves a batch of one
        found = accuracy(sgd_probe(train, test, batch_size=size), "sgd_probe_top1")
        assert found.metrics["sgd_probe_top1"] > 0.9
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one, two = (sgd_probe(train, test, seed=s, epochs=2) for s in (0, 1))
    assert torch.equal(torch.rand(3), expected), "the caller's own draws are left alone"
    assert not np.array_equal(one.values, two.values)
    with pytest.raises(ThesisError, match="at least 1 epoch"):
        sgd_probe(train, test, epochs=0)


def test_settings_out_of_range() -> None:
    with pytest.raises(ThesisError, match="at least 1 unit"):
        nonlinear_probe(rings(20, 0), rings(20, 1), hidden=0)
