"""Kept features: the format, extraction that goes on, clips of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from video_files import number_of, write_bad_files, write_video

from thesislib.data.extraction import extract_features, feature_folder, row_frames
from thesislib.data.feature_clips import (
    RELEASED_STRIDES,
    STRIDES,
    FeatureClips,
    Sample,
    centre,
    draw,
)
from thesislib.data.features import (
    FORMAT,
    NOTE_FILE,
    FeatureStore,
    feature_file,
    fingerprint,
    is_whole,
    look,
    read_note,
    write_features,
)
from thesislib.data.loader import make_loader
from thesislib.data.manifest import Manifest, Video
from thesislib.errors import ThesisError, VideoError

LENGTHS = {"a/v0.mp4": 45, "b/v1.mp4": 46, "a/v2.mp4": 47, "b/v3.mp4": 48}


class Numbers:
    """Looks at a frame and says which it is; counts the frames that it has seen."""

    def __init__(self, model: str = "numbers", width: int = 3, scale: float = 1.0) -> None:
        self.model, self.width, self.scale, self.seen = model, width, scale, 0

    def encode_frames(self, frames: np.ndarray) -> torch.Tensor:
        self.seen += len(frames)
        rows = [[number_of(f) * self.scale] * self.width for f in frames]
        return torch.tensor(rows, dtype=torch.float32)

    def describe(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "weights_hash": "0" * 16,
            "width": self.width,
            "preprocess": {},
        }


@pytest.fixture
def videos(good_folder: Path, tmp_path: Path) -> Manifest:
    rows = [Video(p, p[0], "train", p, n, 30.0, 64, 48) for p, n in LENGTHS.items()]
    for video in rows:
        target = tmp_path / "set" / video.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((good_folder / video.path).read_bytes())
    return Manifest("numbers", tmp_path / "set", tuple(rows))


def extract(manifest: Manifest, encoder: Any = None, **options: Any) -> Any:
    return extract_features(
        manifest, encoder or Numbers(), progress=False, **{"jobs": 1, **options}
    )


# -- extraction -----------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_frame_has_its_row_and_its_time(videos: Manifest, jobs: int) -> None:
    report = extract(videos, jobs=jobs)
    assert (report.computed, report.present, report.skipped) == (4, 0, {})
    store = FeatureStore(report.folder)
    for video in videos.videos:
        features, times = store.read(video)
        assert features.dtype == np.float16 and times.dtype == np.float64
        assert features[:, 0].astype(int).tolist() == list(range(video.n_frames))
        np.testing.assert_allclose(times, np.arange(video.n_frames) / 30, atol=1e-6)
        assert store.length(video) == video.n_frames


def test_a_file_says_all_of_itself(videos: Manifest) -> None:
    report = extract(videos, dtype="float32", rate=10.0)
    path = feature_file(report.folder, "a/v0.mp4")
    with safe_open(path, framework="np") as file:
        meta = file.metadata()
    assert meta["format"] == FORMAT and meta["video"] == "a/v0.mp4"
    assert meta["source"] == fingerprint(videos.root / "a/v0.mp4")
    settings = json.loads(meta["settings"])
    wanted = {**Numbers().describe(), "rate": 10.0, "dtype": "float32"}
    assert settings == wanted == read_note(report.folder)["settings"]
    header = look(path)
    assert (header.length, header.width) == (15, 3)


def test_a_rate_takes_the_nearest_frames(videos: Manifest) -> None:
    store = FeatureStore(extract(videos, rate=10.0).folder)
    features, times = store.read("b/v1.mp4")
    assert features[:, 0].astype(int).tolist() == list(range(0, 46, 3))
    np.testing.assert_allclose(times, np.arange(16) / 10, atol=1e-6)


def test_rows_of_a_rate_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        times = np.concatenate([[0.0], np.cumsum(rng.uniform(0.01, 0.3, rng.integers(0, 40)))])
        rate = float(rng.uniform(0.5, 30))
        expected, k = [], 0
        while k / rate <= times[-1] + 1e-6 / rate:
            expected.append(int(np.argmin(np.abs(times - k / rate))))
            k += 1
        assert row_frames(times, rate).tolist() == expected
    assert row_frames(np.array([0.0]), 5.0).tolist() == [0]
    assert row_frames(np.arange(5) / 30, None).tolist() == [0, 1, 2, 3, 4]


def test_true_times_of_a_variable_rate(tmp_path: Path) -> None:
    times = [0, 1, 2, 10, 20, 21]
    write_video(tmp_path / "v.mp4", 6, times=times)
    manifest = Manifest("v", tmp_path, (Video("v.mp4", "", "train", "", 6, 30.0, 64, 48),))
    kept = FeatureStore(extract(manifest).folder).read("v.mp4")[1]
    np.testing.assert_allclose(kept, np.array(times) / 30, atol=1e-6)
    store = FeatureStore(extract(manifest, rate=3.0, folder=tmp_path / "slow").folder)
    features, kept = store.read("v.mp4")
    assert features[:, 0].astype(int).tolist() == [0, 3, 4]
    np.testing.assert_allclose(kept, [0, 1 / 3, 2 / 3], atol=1e-6)


def test_what_is_whole_is_kept_and_what_is_not_is_made_anew(videos: Manifest) -> None:
    report = extract(videos)
    paths = [feature_file(report.folder, v.path) for v in videos.videos]
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:-40])  # as after a full disk elsewhere
    untouched = paths[2].stat().st_mtime_ns
    encoder = Numbers()
    report = extract(videos, encoder)
    assert (report.computed, report.present) == (2, 2)
    assert encoder.seen == 45 + 46 and paths[2].stat().st_mtime_ns == untouched
    assert FeatureStore(report.folder).length("b/v1.mp4") == 46


@pytest.mark.parametrize(
    ("encoder", "options", "named"),
    [
        (Numbers("other"), {}, "model"),
        (Numbers(width=4), {}, "width"),
        (None, {"rate": 5.0}, "rate"),
        (None, {"dtype": "float32"}, "dtype"),
    ],
)
def test_anything_that_differs_is_refused(
    videos: Manifest, encoder: Any, options: dict[str, Any], named: str
) -> None:
    folder = extract(videos).folder
    before = {p: p.read_bytes() for p in folder.rglob("*.safetensors")}
    with pytest.raises(ThesisError, match=f"have {named} .* wanted") as caught:
        extract(videos, encoder, folder=folder, **options)
    assert "\n" not in str(caught.value) and "force" in str(caught.value)
    assert before == {p: p.read_bytes() for p in folder.rglob("*.safetensors")}
    with pytest.raises(ThesisError, match=named):
        FeatureStore(folder, (encoder or Numbers()).describe() | {"rate": None} | options)
    extract(videos, encoder, folder=folder, force=True, **options)


def test_a_video_that_has_changed_is_refused(videos: Manifest) -> None:
    extract(videos)
    write_video(videos.root / "a/v0.mp4", 45, tone=3)
    with pytest.raises(ThesisError, match=r"a/v0\.mp4 has changed since"):
        extract(videos)


def test_bad_files_are_named_and_stop_nothing(videos: Manifest, tmp_path: Path) -> None:
    write_bad_files(videos.root / "bad")
    bad = ["bad/empty.mp4", "bad/text.mp4", "bad/sound.mp4", "bad/missing.mp4"]
    rows = [Video(p, "a", "train", p, 60, 30.0, 64, 48) for p in bad]
    manifest = Manifest("numbers", videos.root, (*rows, *videos.videos))
    report = extract(manifest, jobs=2)
    assert report.computed == 4 and set(report.skipped) == set(bad)
    assert report.skipped["bad/missing.mp4"] == "no such file"
    store = FeatureStore(report.folder)
    assert set(store.skipped) == set(bad)
    with pytest.raises(ThesisError, match="could not be read: empty file"):
        store.read("bad/empty.mp4")
    with pytest.raises(ThesisError, match="Not one video"):
        extract(Manifest("bad", videos.root, tuple(rows)), folder=tmp_path / "none")


def test_values_too_large_for_float16_skip_their_video(videos: Manifest) -> None:
    report = extract_features(videos, Numbers(scale=1480.0), jobs=1, progress=False)
    assert set(report.skipped) == set(LENGTHS) - {"a/v0.mp4"}
    assert all("not all finite in float16" in reason for reason in report.skipped.values())


@pytest.mark.parametrize("options", [{"rate": 0.0}, {"jobs": 0}, {"dtype": "int8"}])
def test_settings_out_of_range_are_one_sentence(videos: Manifest, options: Any) -> None:
    with pytest.raises(ThesisError):
        extract(videos, **options)


def test_a_folder_without_features_or_of_others_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ThesisError, match="is not there: extract"):
        FeatureStore(tmp_path)
    (tmp_path / NOTE_FILE).write_text("{")
    with pytest.raises(ThesisError, match="is not valid JSON"):
        FeatureStore(tmp_path)


def test_a_damaged_or_foreign_file_is_one_sentence(videos: Manifest) -> None:
    folder = extract(videos).folder
    path = feature_file(folder, "a/v0.mp4")
    store = FeatureStore(folder)
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[-1] ^= 1  # of the last time
    for content in (whole[:100], bytes(changed)):
        path.write_bytes(content)
        with pytest.raises(ThesisError, match="is damaged"):
            store.read("a/v0.mp4")
        assert not is_whole(path)
    path.write_bytes(whole)
    assert is_whole(path) and len(store.read("a/v0.mp4", 0, 2)[0]) == 2
    path.unlink()
    with pytest.raises(ThesisError, match="There are no features"):
        store.read("a/v0.mp4")
    other = {**Numbers("other").describe(), "rate": None, "dtype": "float16"}
    write_features(path, np.ones((2, 3)), np.arange(2.0), other, "a/v0.mp4", "0" * 32)
    with pytest.raises(ThesisError, match="model"):
        store.read("a/v0.mp4")


def test_rows_and_times_must_fit(tmp_path: Path) -> None:
    settings = {"dtype": "float16"}
    for rows, times in ((np.ones((3, 2)), np.arange(2.0)), (np.ones((0, 2)), np.zeros(0))):
        with pytest.raises(ThesisError, match="do not fit"):
            write_features(tmp_path / "x", rows, times, settings, "v", "0")
    with pytest.raises(VideoError, match="not all finite"):
        write_features(tmp_path / "x", np.full((1, 2), 1e6), np.zeros(1), settings, "v", "0")
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_the_rows_is_read(videos: Manifest) -> None:
    store = FeatureStore(extract(videos).folder)
    features, times = store.read("a/v0.mp4", 5, 9)
    assert features[:, 0].astype(int).tolist() == [5, 6, 7, 8] and len(times) == 4
    assert len(store.read("a/v0.mp4", 40, 99)[0]) == 5


def test_videos_outside_the_data_set_have_a_place_too(tmp_path: Path) -> None:
    assert feature_file(tmp_path, "/abs/v.mp4").is_relative_to(tmp_path)
    assert ".." not in feature_file(tmp_path, "../up/v.mp4").relative_to(tmp_path).parts
    manifest = Manifest("m", tmp_path, ())
    assert feature_folder(manifest, "ViT-B/16").name == "ViT-B-16"


# -- clips ----------------------------------------------------------------------------------


def test_strides_are_those_of_the_thesis_and_of_the_release() -> None:
    assert STRIDES == (1, 2, 3, 4, 5, 6, 10, 15) and RELEASED_STRIDES == (1, 2, 3, 3, 3, 4)


def test_draws_stay_inside_and_reach_every_stride_and_both_ends() -> None:
    rng, seen = np.random.default_rng(0), set()
    for _ in range(4000):
        pick = draw(100, 16, STRIDES, rng)
        assert pick.start >= 0 and pick.start + 15 * pick.gap <= 99
        seen.add(pick)
    assert {p.gap for p in seen} == {1, 2, 3, 4, 5, 6}, "10 and 15 do not fit into 100"
    assert {p.start for p in seen if p.gap == 6} == set(range(10))
    gaps = [draw(1000, 16, RELEASED_STRIDES, rng).gap for _ in range(3000)]
    assert 0.45 < np.mean(np.array(gaps) == 3) < 0.55, "three of six"


def test_short_videos_take_the_smallest_stride_from_the_start() -> None:
    rng = np.random.default_rng(0)
    assert draw(16, 16, STRIDES, rng) == Sample(0, 1, 1.0)
    assert draw(15, 16, (3, 2), rng) == Sample(0, 2, 2.0)
    assert draw(1, 16, STRIDES, rng) == Sample(0, 1, 1.0)


def test_the_middle_clip() -> None:
    assert centre(31, 16, (1, 2)) == Sample(0, 2, 2.0)
    assert centre(100, 16, (2, 1)) == Sample(34, 2, 2.0)
    assert centre(5, 16, (1, 2)) == Sample(0, 1, 1.0)


def test_strides_count_at_the_rate_that_is_asked_for() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        length, scale = int(rng.integers(1, 200)), float(rng.uniform(0.2, 2.5))
        pick = draw(length, 16, STRIDES, rng, scale)
        rows = pick.rows(16, length)
        goals = pick.start + np.arange(16) * pick.gap * scale
        assert np.abs(rows - np.minimum(goals, length - 1)).max() <= 0.5
        if 15 * scale + 1 <= length:  # the smallest stride fits: nothing is repeated at the end
            assert goals[-1] < length - 0.5
        assert centre(length, 16, STRIDES, scale).rows(16, length)[0] >= 0


@pytest.fixture
def store(videos: Manifest) -> FeatureStore:
    return FeatureStore(extract(videos).folder)


def test_training_items_against_a_loop(videos: Manifest, store: FeatureStore) -> None:
    clips = FeatureClips(videos, store, strides=(1, 2), train=True, seed=3)
    for epoch, index in ((0, 0), (5, 1), (5, 3)):
        item = clips[epoch, index]
        start, gap, _ = draw(46 + index - 1, 16, (1, 2), np.random.default_rng([3, epoch, index]))
        assert item["features"].dtype == torch.float32
        wanted = [float(start + k * gap) for k in range(16)]
        assert item["features"][:, 2].tolist() == wanted and item["gap"] == gap
        assert item["label"] == index % 2 and item["index"] == index
    assert not torch.equal(clips[0, 2]["features"], clips[1, 2]["features"])
    assert torch.equal(clips[1, 2]["features"], clips[1, 2]["features"])


def test_the_last_row_is_repeated(videos: Manifest, store: FeatureStore) -> None:
    clips = FeatureClips(videos, store, frames=50, strides=(1,), train=True)
    assert clips[0, 0]["features"][:, 0].tolist() == [*range(45), *[44] * 5]
    clips = FeatureClips(videos, store, frames=30, strides=(2,), train=True)
    assert clips[0, 0]["features"][:, 0].tolist() == [*range(0, 45, 2), *[44] * 7]
    clips = FeatureClips(videos, store, frames=26, strides=(2,), train=True)
    assert clips[0, 1]["features"][:, 0].tolist() == [*range(0, 46, 2), *[45] * 3]
    clips = FeatureClips(videos, store, frames=4, strides=(6,), rate=60.0, train=True)
    gone = clips[0, 0]["features"][:, 0].diff().tolist()
    assert gone == [3.0, 3.0, 3.0] and clips[0, 0]["gap"] == 6, "the videos have 30 a second"


def test_test_items_are_the_same_every_time(videos: Manifest, store: FeatureStore) -> None:
    clips = FeatureClips(videos, store, train=False)
    one, again = clips[0, 1], clips[7, 1]
    assert one["features"].shape == (5, 16, 3) and one["gap"].shape == (5,)
    assert torch.equal(one["features"], again["features"])
    assert len({tuple(c[:, 0].tolist()) for c in one["features"]}) > 1
    middle = FeatureClips(videos, store, strides=(1,), train=False, samples=1)[0]
    assert middle["features"][0, :, 0].tolist() == list(range(14, 30))


def test_batches_and_videos_without_features(videos: Manifest, store: FeatureStore) -> None:
    store.file("a/v2.mp4").unlink()
    clips = FeatureClips(videos, store, train=True)
    assert clips.report == {"total": 4, "used": 3, "without": 1}
    (batch,) = make_loader(clips, 3, shuffle=True)
    assert batch["features"].shape == (3, 16, 3) and sorted(batch["index"].tolist()) == [0, 1, 3]
    for path in store.folder.rglob("*.safetensors"):
        path.unlink()
    with pytest.raises(ThesisError, match="Not one video"):
        FeatureClips(videos, store, train=True)
    with pytest.raises(ThesisError, match="give 1 or more"):
        FeatureClips(videos, store, strides=(), train=True)
