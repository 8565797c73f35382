"""Localisation in two stages on made-up features: it finds, it names, it stands bad input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from thesislib.chapters.clip_prompt.localisation import (
    class_scores,
    classify,
    proposal_features,
    propose,
    sliding_windows,
    train_detector,
    truth,
    windows,
)
from thesislib.data.untrimmed import Untrimmed, cut, test_windows
from thesislib.errors import ThesisError
from thesislib.evaluation.localisation import THUMOS14, localisation
from thesislib.evaluation.segments import Segments, soft_nms, temporal_iou
from thesislib.methods.proposals import ProposalConfig, ProposalDetector
from thesislib.nn.feature_pyramid import pyramid_points
from toy_untrimmed import CLASSES, DIM, directions, toy_video

CONFIG = replace(
    ProposalConfig.preset("small"),
    dim=DIM, width=16, epochs=6, batch_size=8, min_windows=160, lr=6e-3, warmup=8, dropout=0.0,
)  # fmt: skip
LENGTHS = (2.0, 5.0, 12.0)  # seconds, of the sliding windows


@pytest.fixture(scope="module")
def videos() -> tuple[list[Untrimmed], list[Untrimmed]]:
    return [toy_video(i) for i in range(40)], [toy_video(1000 + i) for i in range(12)]


@pytest.fixture(scope="module")
def detector(
    videos: tuple[list[Untrimmed], list[Untrimmed]], tmp_path_factory: pytest.TempPathFactory
) -> ProposalDetector:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("THESISLIB_RUNS", str(tmp_path_factory.mktemp("runs")))
        trained = train_detector("toy", videos[0], [], CONFIG, "toy", log=None)
    return trained.model


def recall(found: list[Segments], videos: list[Untrimmed], most: int = 10) -> float:
    """Average recall over IoU 0.5 to 0.95 of the ``most`` best proposals of each video."""
    hits = []
    for proposals, video in zip(found, videos, strict=True):
        best = proposals.select(np.argsort(-proposals.score, kind="stable")[:most])
        for start, end, _ in video.segments:
            iou = temporal_iou(best.start, best.end, start, end).max(initial=0)
            hits.append(np.mean(iou >= np.arange(0.5, 0.96, 0.05)))
    return float(np.mean(hits))


def texts() -> torch.Tensor:
    """Embeddings of the class names: the toy's features of them, mean and all."""
    return torch.from_numpy(2 * directions()[: len(CLASSES)] + 2.0).float()


def test_finds_far_more_than_an_untrained_one_and_than_sliding_windows(
    detector: ProposalDetector, videos: tuple[list[Untrimmed], list[Untrimmed]]
) -> None:
    test = videos[1]
    found = recall([propose(detector, v) for v in test], test)
    torch.manual_seed(0)
    untrained = ProposalDetector(CONFIG)
    blind = recall([propose(untrained, v) for v in test], test)
    sliding = recall([sliding_windows(v, LENGTHS) for v in test], test)
    assert found > 0.6 and blind < 0.2 and sliding < 0.2, (found, blind, sliding)


def test_names_what_it_finds(
    detector: ProposalDetector, videos: tuple[list[Untrimmed], list[Untrimmed]]
) -> None:
    test = videos[1]
    tables = [classify(propose(detector, v), v, texts(), CLASSES) for v in test]
    found = Segments.of(
        *(np.concatenate([getattr(t, name) for t in tables])
          for name in ("video", "start", "end", "label", "score"))
    )  # fmt: skip
    score = localisation(truth(test), found, THUMOS14).metrics
    names = np.random.default_rng(0).permutation(found.label)
    guessed = replace(found, label=names)
    chance = localisation(truth(test), guessed, THUMOS14).metrics
    assert score["map_0.5"] > 0.7 and chance["map_0.5"] < score["map_0.5"] / 2, (score, chance)


def test_a_long_video_gives_what_its_parts_give(detector: ProposalDetector) -> None:
    """Windows leave no trace: one window over all of it predicts the same."""
    video = toy_video(5, rows=500)
    long = ProposalDetector(replace(CONFIG, window=512, top=2000))
    long.load_state_dict(detector.state_dict())
    short = ProposalDetector(replace(CONFIG, top=2000))
    short.load_state_dict(detector.state_dict())
    one, many = propose(long, video, keep=40), propose(short, video, keep=40)
    sure = one.score > 0.3
    assert sure.sum() >= 5
    for start, end, score in zip(one.start[sure], one.end[sure], one.score[sure], strict=True):
        iou = temporal_iou(many.start, many.end, start, end)
        assert iou.max() > 0.9
        assert many.score[iou.argmax()] == pytest.approx(score, abs=0.1)


@pytest.mark.parametrize("rows", [90, 300, 1500])
def test_proposals_are_those_of_every_window_looked_at_whole(
    detector: ProposalDetector, rows: int
) -> None:
    video = toy_video(6, rows=rows)
    points = pyramid_points(CONFIG.window, CONFIG.levels)[0].tolist()
    starts, ends, scores = [], [], []
    for place in test_windows(rows, CONFIG.window):
        features, valid = cut(video, place.start, CONFIG.window)
        # One by one, and with gradients, for which all is computed as in training.
        said = detector.predict(features[None], valid[None])
        segments, score = said.segments.detach(), said.score.detach()
        here = [
            (float(s), *(place.start + x for x in segment.tolist()))
            for p, s, segment in zip(points, score[0], segments[0], strict=True)
            if place.first <= p + place.start < place.last and s >= 1e-3
        ]
        for s, first, last in sorted(here, key=lambda row: -row[0])[: CONFIG.top]:
            starts.append(first)
            ends.append(last)
            scores.append(s)
    times = video.to_seconds(np.array([starts, ends]))
    kept, score = soft_nms(*times, np.array(scores), keep=40)
    found = propose(detector, video, keep=40)
    assert len(found) == len(kept) > 5
    np.testing.assert_allclose(found.score, score, rtol=1e-4)
    np.testing.assert_allclose(found.start, times[0][kept], atol=1e-3)
    np.testing.assert_allclose(found.end, times[1][kept], atol=1e-3)


def test_threads_change_nothing(detector: ProposalDetector) -> None:
    video, before = toy_video(7, rows=3000), torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(propose(detector, video, keep=200))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for name in ("start", "end", "score"):
        first, *others = (getattr(segments, name) for segments in found)
        assert len(first) == 200 and all((first == other).all() for other in others)


@pytest.mark.parametrize("rows", [1, 5, 127, 129])
def test_videos_of_any_length(detector: ProposalDetector, rows: int) -> None:
    video = toy_video(9, rows=rows)
    found = propose(detector, video)
    assert (found.start >= 0).all() and (found.end <= rows / 4.0 + 1).all()
    assert (found.end > found.start).all() and (np.diff(found.score) <= 0).all()
    assert (found.score >= 0).all() and (found.score <= 1).all()


def test_an_empty_video_has_no_proposals(detector: ProposalDetector) -> None:
    empty = Untrimmed("empty", np.zeros((0, DIM), np.float32), np.zeros(0))
    found = propose(detector, empty)
    assert len(found) == 0 and len(sliding_windows(empty, LENGTHS)) == 0
    assert len(classify(found, empty, texts(), CLASSES)) == 0


def test_features_that_are_not_finite_are_named() -> None:
    features = np.zeros((9, DIM), np.float32)
    features[4, 3] = np.nan
    with pytest.raises(ThesisError, match=r"broken: 1 of 9 rows .* row 4: extract"):
        Untrimmed("broken", features, np.arange(9.0))


def test_a_stretched_video_answers_in_its_own_seconds(detector: ProposalDetector) -> None:
    whole = ProposalDetector(replace(CONFIG, whole=True))
    whole.load_state_dict(detector.state_dict())
    video = toy_video(11, rows=256)
    found = propose(whole, video)
    best = found.select(np.arange(2))  # as many as there are
    assert all(
        max(temporal_iou(a, b, s, e) for s, e, _ in video.segments) > 0.7
        for a, b in zip(best.start, best.end, strict=True)
    )


def test_the_same_call_finds_the_run_and_other_classes_another(roots: Path) -> None:
    videos = [toy_video(i, rows=130) for i in range(4)]
    config = replace(CONFIG, epochs=1, min_windows=0, batch_size=4, width=8)
    call: dict[str, Any] = {"fingerprint": "x", "log": None}
    one = train_detector("toy", videos, videos[:1], config, **call)
    again = train_detector("toy", videos, videos[:1], config, **call)
    seen = train_detector("toy", videos, [], config, classes=["run", "jump"], **call)
    assert one.run is not None and again.run is not None and seen.run is not None
    assert one.run.name == again.run.name != seen.run.name
    assert "pretext_loss" in one.result["metrics"]
    assert one.model.mean.abs().max() > 1  # features were looked at first
    with pytest.raises(ThesisError, match="check their names"):
        train_detector("toy", videos, [], config, classes=["swim"], **call)


def test_unseen_classes_reach_the_windows_as_ignored() -> None:
    videos = [toy_video(i) for i in range(3)]
    data = windows(videos, CONFIG, ["run"], train=False)
    items = [data[i] for i in range(len(data))]
    assert sum(len(i["ignored"]) for i in items) > sum(len(i["segments"]) for i in items) > 0
    strict = windows(videos, replace(CONFIG, unseen="background"), ["run"], train=False)
    seen = [strict[i] for i in range(len(strict))]
    assert sum(len(i["ignored"]) for i in seen) < sum(len(i["ignored"]) for i in items)


def some_proposals(video: Untrimmed) -> Segments:
    start, end = [0.0, 1.0, 3.1, 20.0, 99.0], [2.0, 1.05, 40.0, 30.0, 100.0]
    return Segments.of([video.name] * 5, start, end, score=[0.9, 0.8, 0.7, 0.6, 0.5])


def test_the_mean_of_a_proposal_is_that_of_a_loop() -> None:
    video = toy_video(2, rows=200)
    found = proposal_features(some_proposals(video), video)
    for row, (start, end) in zip(found, [(0, 8), (4, 5), (12, 160), (80, 120), (199, 200)],
                                 strict=True):  # fmt: skip
        mean = sum(video.features[i] for i in range(start, end)) / (end - start)
        torch.testing.assert_close(row, torch.from_numpy(mean), rtol=1e-4, atol=1e-5)


def test_a_temporal_encoder_sees_sixteen_rows_in_order() -> None:
    video = Untrimmed("v", np.arange(200, dtype=np.float32)[:, None], np.arange(200) / 4)
    seen: list[torch.Tensor] = []

    def encode(rows: torch.Tensor) -> torch.Tensor:
        seen.append(rows)
        return rows.mean(1).repeat(1, 7)

    found = proposal_features(some_proposals(video), video, encode)
    assert found.shape == (5, 7) and seen[0].shape == (5, 16, 1)
    rows = seen[0][..., 0]
    assert (rows.diff(dim=1) >= 0).all()
    assert rows[0].tolist() == [i // 2 for i in range(16)] and (rows[1] == 4).all()
    assert rows[3, 0] >= 80 and rows[3, -1] < 120


def test_scores_are_products_and_each_class_has_its_own() -> None:
    video = toy_video(2, rows=200)
    proposals = some_proposals(video)
    found = classify(proposals, video, texts(), CLASSES, most=4)
    table = class_scores(proposal_features(proposals, video), texts())
    assert len(found) == 20 and (np.diff(found.score) <= 0).all()
    torch.testing.assert_close(table.sum(1), torch.ones(5))
    for k in range(20):
        row = int(np.flatnonzero(proposals.start == found.start[k])[0])
        expected = proposals.score[row] * float(table[row, CLASSES.index(found.label[k])])
        assert found.score[k] == pytest.approx(expected, rel=1e-5)
    assert len(classify(proposals, video, texts(), CLASSES, most=1)) == 5


def test_texts_that_do_not_fit_are_refused() -> None:
    video = toy_video(2, rows=50)
    with pytest.raises(ThesisError, match="4 classes have 3 texts"):
        classify(some_proposals(video), video, texts()[:3], CLASSES)
    with pytest.raises(ThesisError, match="same model"):
        classify(some_proposals(video), video, texts()[:, :5], CLASSES)


def test_truth_of_some_classes() -> None:
    videos = [toy_video(i) for i in range(6)]
    assert len(truth(videos)) == sum(len(v.segments) for v in videos)
    assert set(truth(videos, ["run"]).label) == {"run"}
    assert len(truth([], None)) == 0
