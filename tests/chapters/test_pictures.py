"""Which videos and frames the pages show."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import studio
from thesislib.chapters import pictures
from thesislib.data.manifest import Manifest, Video
from thesislib.data.reader import Frames, open_video
from thesislib.methods.dpc import DPCConfig

CONFIG = DPCConfig().override(studio.SMALL)  # a window is 12 frames


def passing(start: int = 0, frames: int = 6) -> Frames:
    """A light square that passes from left to right, from column ``start`` on."""
    film = np.zeros((frames, 8, 16, 3), np.uint8)
    for t in range(frames):
        film[t, 2:6, start + 2 * t : start + 2 * t + 3] = 200
    return film


def test_a_video_played_backwards_is_told_from_one_played_forwards() -> None:
    film, other = passing(), passing(2)
    assert pictures._reversal(film, film[::-1]) == 0
    assert pictures._reversal(film, other[::-1]) < 0.9 < 1 < pictures._reversal(film, other)
    assert pictures._reversal(film, film[:, :4]) == np.inf


def test_the_pair_is_the_one_most_alike_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    films = {"a": passing(), "b": passing(2)[::-1], "c": passing(), "d": passing()[::-1]}
    labels = {"a": "sit_down", "b": "stand_up", "c": "push", "d": "pull"}
    videos = tuple(
        Video(path, labels[path], "train", "g0" if path in "ab" else "g1", 6, 30.0, 16, 8)
        for path in films
    )
    seen: list[list[Video]] = []
    monkeypatch.setattr(pictures, "_spread", lambda _, v, n: (films[v.path], np.arange(n)))
    monkeypatch.setattr(pictures, "_sheet", lambda _, shown, *a, **k: seen.append(shown))
    whole = Manifest("studio", Path(), videos)
    pictures.pair_picture(whole)
    pictures.pair_picture(whole, among=1)
    pictures.pair_picture(Manifest("other", Path(), (videos[1], videos[2])))
    shown = [[v.path for v in row] for row in seen]
    assert shown == [["c", "d"], ["a", "b"], ["b", "c"]]


def test_a_strip_shows_the_window_from_its_first_to_its_last_frame(tmp_path: Path) -> None:
    manifest = studio.tiny(tmp_path)  # 20 frames a video: the window begins at frame 4
    videos = manifest.videos[:2]
    config = replace(CONFIG, augment=replace(CONFIG.augment, crop="centre"))
    strips = pictures.window_frames(manifest, videos, config)
    assert strips.shape == (2, 3, 32, 32, 3) and strips.dtype == np.uint8
    film = open_video(manifest.file(videos[1])).frames(np.arange(20))
    assert np.array_equal(strips[1], film[[4, 10, 15]])
    # Where a window skips frames it ends with the last one it uses.
    skipping = pictures.window_frames(manifest, videos, replace(config, seq_len=1, stride=4))
    assert np.array_equal(skipping[1], film[[2, 8, 14]])
    short = pictures.window_frames(manifest, videos, replace(config, seq_len=30))
    assert np.array_equal(short[1, 2], film[19])


def test_flow_is_made_visible_without_its_noise() -> None:
    still = np.full((2, 3, 10, 10, 3), 128, np.uint8)
    assert pictures._gain(still) == 20
    moving = still.copy()
    moving[:, :, :2, :5, 0] = 158  # a tenth of the places
    assert pictures._gain(moving) == 4
    moving[:, :, :2, :5, 0] = 255
    assert pictures._gain(moving) == 1
