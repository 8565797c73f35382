"""Untrimmed videos: rows and seconds, windows, and what they teach."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thesislib.data.loader import make_loader
from thesislib.data.untrimmed import (
    FeatureWindows,
    Untrimmed,
    cut,
    test_windows,
    window_truth,
)
from thesislib.errors import ThesisError


def video(rows: int, *segments: tuple[float, float, str], rate: float = 2.0) -> Untrimmed:
    features = np.arange(rows, dtype=np.float32)[:, None] * np.ones(3, np.float32)
    return Untrimmed("v", features, np.arange(rows) / rate + 1.0, segments)


def test_rows_and_seconds_are_inverse_and_stop_at_the_ends() -> None:
    one = video(10)
    assert one.edges[[0, 1, -1]].tolist() == [1.0, 1.5, 6.0]
    assert one.to_rows([1.0, 2.25, 6.0, 99.0, -5.0]).tolist() == [0, 2.5, 10, 10, 0]
    places = np.linspace(0, 10, 7)
    np.testing.assert_allclose(one.to_rows(one.to_seconds(places)), places)


def test_times_need_not_be_even() -> None:
    one = Untrimmed("v", np.zeros((4, 2)), np.array([0.0, 1.0, 5.0, 6.0]))
    assert one.edges.tolist() == [0, 1, 5, 6, 8]
    assert one.to_rows(3.0) == 1.5


def test_every_and_stretched_keep_the_time() -> None:
    one = video(10)
    assert one.every(3).features[:, 0].tolist() == [0, 3, 6, 9]
    assert one.every(3).to_rows(2.5) == 1.0
    for rows in (4, 10, 25):
        other = one.stretched(rows)
        assert len(other) == rows and other.edges[-1] == pytest.approx(6.0)
        # what a new row shows is what was shown in its middle
        middle = one.to_rows((other.edges[1:] + other.edges[:-1]) / 2) - 0.5
        np.testing.assert_allclose(other.features[:, 0], middle.clip(0, 9), atol=1e-5)
    assert len(video(0).stretched(8)) == 0
    assert video(1).stretched(4).features[:, 0].tolist() == [0] * 4


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 12, 13, 100, 101])
def test_each_point_is_answered_for_once_with_a_quarter_around_it(rows: int) -> None:
    places = test_windows(rows, 8)
    for point in np.arange(0.25, rows, 0.25):
        own = [p for p in places if p.first <= point < p.last]
        assert len(own) == 1
        before, behind = point - own[0].start, own[0].start + 8 - point
        assert (before >= 2 or own[0].start == 0) and (behind >= 2 or own[0] == places[-1])
    assert places[-1].start + 8 >= rows


def test_no_row_no_window() -> None:
    assert test_windows(0, 8) == []


def test_a_window_past_the_end_is_padded() -> None:
    features, valid = cut(video(10), 6, 8)
    assert features[:, 0].tolist() == [6, 7, 8, 9, 0, 0, 0, 0]
    assert valid.tolist() == [True] * 4 + [False] * 4


def test_segments_are_cut_at_the_window_and_ignored_when_little_is_seen() -> None:
    # rows 2-6, 7-17, 0-1, and one of no length
    one = video(30, (2.0, 4.0, "a"), (4.5, 9.5, "b"), (1.0, 1.5, "c"), (3.0, 3.0, "a"))
    truth = window_truth(one, 4, 8)
    assert truth.segments.tolist() == [[0, 2], [3, 8]]  # half of each
    assert window_truth(one, 5, 8).ignored.tolist() == [[0, 1]]  # a quarter
    assert window_truth(one, 20, 8).segments.shape == (0, 2)


def test_unseen_classes_are_ignored_or_background_and_ambiguous_ones_always_ignored() -> None:
    one = video(30, (2.0, 4.0, "a"), (4.5, 5.5, "b"))
    one = Untrimmed("v", one.features, one.times, one.segments, ambiguous=((6.0, 7.0, "a"),))
    seen = window_truth(one, 0, 16, classes={"a"})
    assert seen.segments.tolist() == [[2, 6]] and seen.ignored.tolist() == [[7, 9], [10, 12]]
    strict = window_truth(one, 0, 16, classes={"a"}, unseen="background")
    assert strict.segments.tolist() == [[2, 6]] and strict.ignored.tolist() == [[10, 12]]


def windows(train: bool, **more: object) -> FeatureWindows:
    videos = [video(40, (3.0, 6.0, "a")), video(5), video(0)]
    return FeatureWindows(videos, 16, train=train, **more)  # type: ignore[arg-type]


def test_training_windows_belong_to_their_key_and_lie_anywhere() -> None:
    data = windows(True, seed=3)
    assert len(data) == 3 + 1
    first = [int(data[epoch, 0]["features"][0, 0]) for epoch in range(60)]
    assert min(first) == 0 and max(first) == 24 and len(set(first)) > 15
    again = windows(True, seed=3)[5, 0]
    assert all(torch.equal(a, b) for a, b in zip(data[5, 0].values(), again.values(), strict=True))
    assert data[0, 3]["valid"].sum() == 5
    assert any(len(data[epoch, 0]["segments"]) == 0 for epoch in range(60))  # empty ones too
    assert len(windows(True, least=10)) == 12


def test_test_windows_cover_and_do_not_move() -> None:
    data = windows(False)
    assert [int(data[i]["features"][0, 0]) for i in range(len(data))] == [0, 8, 16, 24, 0]
    with pytest.raises(IndexError):
        data[len(data)]


def test_batches_of_unequal_numbers_of_segments() -> None:
    batch = next(iter(make_loader(windows(False), 5, shuffle=False)))
    assert batch["features"].shape == (5, 16, 3) and len(batch["segments"]) == 5


@pytest.mark.parametrize(
    ("features", "times", "segments", "message"),
    [
        (np.full((3, 2), np.nan), np.arange(3.0), (), "v: 3 of 3 rows of features are not finite"),
        (np.zeros((3, 2)), np.arange(4.0), (), "do not fit"),
        (np.zeros(3), np.arange(3.0), (), "do not fit"),
        (np.zeros((3, 2)), np.array([0.0, 2.0, 1.0]), (), "times do not rise"),
        (np.zeros((3, 2)), np.array([0.0, np.nan, 1.0]), (), "times do not rise"),
        (np.zeros((3, 2)), np.arange(3.0), ((2.0, 1.0, "a"),), "'a' lasts from 2.0 to 1.0 s"),
        (np.zeros((3, 2)), np.arange(3.0), ((0.0, np.nan, "a"),), "'a' lasts from 0.0 to nan s"),
    ],
)
def test_bad_videos_are_named(features, times, segments, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ThesisError, match=message):
        Untrimmed("v", features, times, segments)


def test_nothing_to_show_is_an_error() -> None:
    with pytest.raises(ThesisError, match="No video has a row"):
        FeatureWindows([video(0)], 16, train=True)
    other = Untrimmed("w", np.zeros((3, 2)), np.arange(3.0))
    with pytest.raises(ThesisError, match=r"\[2, 3\]"):
        FeatureWindows([video(4), other], 16, train=True)
