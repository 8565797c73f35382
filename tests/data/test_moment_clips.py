"""Intentional, transitional, unintentional: labels of windows and clips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from studio import TUNE
from thesislib.clip_config import ClipConfig
from thesislib.data.failures import read_failures, write_failures
from thesislib.data.manifest import Manifest
from thesislib.data.moments import KINDS, kind_of, moment_clips, moment_windows
from thesislib.errors import ThesisError
from thesislib.synthetic import World, prepare_oops

SHAPE = {name: TUNE[name] for name in ("size", "seq_len", "stride")}
CONFIG = ClipConfig(**SHAPE, num_seq=4, min_clips=1)  # windows of 12 frames


@pytest.fixture(scope="module")
def oops(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    world = World(actions=("wave", "squat"), actions_per_group=2)
    return prepare_oops(
        "oops", tmp_path_factory.mktemp("data"), clips=20, world=world, size=32, frames=48, jobs=1,
        progress=False,
    )  # fmt: skip


def test_a_window_is_named_by_its_frames() -> None:
    for failure in range(40):
        for start in range(30):
            frames = range(start, start + 12)
            if failure in frames:
                kind = "transitional"
            else:
                kind = "intentional" if max(frames) < failure else "unintentional"
            assert KINDS[kind_of(start, 12, failure)] == kind


def test_windows_and_clips_carry_the_kind(oops: Manifest) -> None:
    moments = read_failures(oops)
    windows = moment_windows(oops, CONFIG)
    labels = windows.labels()
    seen = set()
    for i in range(len(windows)):
        number, window, start = windows.windows[i]
        video = oops.videos[number]
        label = windows.label(video, start)
        assert label == labels[i] == kind_of(start, 12, moments[video.path])
        seen.add(label)
        if i % 7 == 0:
            item = windows[i]
            assert (int(item["index"]), int(item["window"])) == (number, window)
            assert int(item["label"]) == label
    assert seen == {0, 1, 2} and len(labels) == len(windows)
    clips = moment_clips(oops, CONFIG)
    drawn = [int(clips[epoch, i]["label"]) for epoch in range(3) for i in range(len(clips))]
    assert min(np.bincount(drawn, minlength=3)) > 5, "random places show all kinds"
    for epoch, i in ((0, 0), (2, 7)):
        number = int(clips[epoch, i]["index"])
        (view,) = clips.views(number, epoch, i)
        moment = moments[oops.videos[number].path]
        assert int(clips[epoch, i]["label"]) == kind_of(view.start, 12, moment)


def test_a_small_set_is_passed_over_and_windows_keep_nothing(oops: Manifest) -> None:
    config = replace(CONFIG, min_clips=50, cache=True)
    assert len(moment_clips(oops, config)) == 3 * len(oops) >= 50
    assert moment_clips(oops, config).config.cache
    assert not moment_windows(oops, config).config.cache, "every window is read once"


def test_videos_without_a_moment_are_left_out(oops: Manifest, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    moments = read_failures(oops)
    lost = oops.videos[3].path
    elsewhere = replace(
        oops,
        root=tmp_path,
        videos=tuple(replace(v, path=str(oops.root / v.path)) for v in oops.videos),
        info={},  # which holds the checksum of the file of failures
    )
    kept = {str(oops.root / p): frame for p, frame in moments.items() if p != lost}
    write_failures(elsewhere, kept)
    for dataset in (moment_clips(elsewhere, CONFIG), moment_windows(elsewhere, CONFIG)):
        assert [v.path for v in dataset.manifest.videos] == list(kept)
        assert dataset.manifest.classes == KINDS
        assert dict(dataset.moments) == kept
    whole, part = (moment_windows(m, CONFIG).windows for m in (oops, elsewhere))
    assert len(whole) - len(part) == sum(number == 3 for number, _, _ in whole)
    for make in (moment_clips, moment_windows):
        with pytest.raises(ThesisError, match="does not say when its actions fail"):
            make(replace(oops, root=tmp_path / "empty"), CONFIG)
