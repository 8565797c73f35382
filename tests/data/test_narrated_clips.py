"""Pairs of clips and sentences, a clip for every second, frames over a whole video."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from video_files import write_video

from thesislib.clip_config import Augment, ClipConfig
from thesislib.data.loader import make_loader
from thesislib.data.long_clips import LongClips, spread_frames
from thesislib.data.manifest import Manifest, Video, write_manifest
from thesislib.data.narrated_clips import (
    NarratedClips,
    Pair,
    SecondClips,
    pairs_of,
    seconds_of,
    window_start,
)
from thesislib.data.narrations import UNSEEN, Alignment, Narration, write_narrations
from thesislib.data.reader import probe
from thesislib.errors import ThesisError

PLAIN = Augment(crop="centre", flip=0.0)
CONFIG = ClipConfig(
    num_seq=1, seq_len=4, stride=2, size=16, augment=PLAIN, num_workers=0, short="pad", cache=True
)
LENGTHS = {"train/a.mp4": 60, "train/b.mp4": 45, "val/c.mp4": 5, "test/d.mp4": 50}
HEARD = [Narration(0.0, 1.0, "one"), Narration(1.0, 1.5, "two"), Narration(math.nan, math.nan, "x")]
SEEN = [Alignment(True, 2.0, 4.0), UNSEEN, Alignment(True, 0.5, 0.5)]


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    root = tmp_path_factory.mktemp("talk")
    videos = []
    for path, length in LENGTHS.items():
        file = write_video(root / path, length, tone=length)
        split = path.partition("/")[0]
        video = Video.of(path, "ab"[length % 2], split, f"g{length}", probe(file))
        videos.append(replace(video, fps=10.0))
    manifest = Manifest("talk", root, tuple(videos))
    write_narrations(manifest, dict.fromkeys(LENGTHS, HEARD), dict.fromkeys(LENGTHS, SEEN))
    write_manifest(manifest)
    return manifest


def texts(pairs: list[Pair]) -> np.ndarray:
    return np.arange(len(pairs), dtype=np.float32)[:, None] * np.ones(3, np.float32)


def clips(manifest: Manifest, train: bool = True, **changes: object) -> NarratedClips:
    pairs = pairs_of(manifest)
    return NarratedClips(manifest, CONFIG.override(changes), pairs, texts(pairs), train=train)


def test_pairs(talk: Manifest) -> None:
    aligned = pairs_of(talk.select("train"))
    assert [(p.video, p.start, p.end, p.text) for p in aligned] == [
        (0, 2.0, 4.0, "one"), (0, 0.5, 0.5, "x"), (1, 2.0, 4.0, "one"), (1, 0.5, 0.5, "x")
    ]  # fmt: skip
    heard = pairs_of(talk.select("train"), "heard")
    assert [p.text for p in heard] == ["one", "two", "one", "two"]
    assert (heard[1].start, heard[1].end) == (1.0, 1.5)


@pytest.mark.parametrize("kind", ["aligned", "heard"])
def test_no_test_video_is_learnt_from(talk: Manifest, kind: str) -> None:
    with pytest.raises(ThesisError, match="test video"):
        pairs_of(talk, kind)
    with pytest.raises(ThesisError, match="test video"):
        pairs_of(talk.select("test"), kind)


def test_learning_from_speech_opens_no_truth(
    talk: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thesislib.data import narrated_clips

    def opened(*_: object) -> None:
        raise AssertionError("the truth was read")

    monkeypatch.setattr(narrated_clips, "read_alignments", opened)
    pairs_of(talk.select("train"), "heard")


def naive_starts(pair: Pair, fps: float, span: int, length: int) -> set[int]:
    """All whole starts of a clip within the time of a sentence, or around it, in the video."""
    first, last = pair.start * fps, pair.end * fps
    found = set()
    for start in range(-span, length + span):
        within = first <= start and start + span <= last
        around = start <= first and last <= start + span
        if within or around:
            found.add(max(0, min(start, length - span)))
    return found


@pytest.mark.parametrize(
    ("start", "end"), [(10, 30), (10, 14), (20, 20), (0, 3), (55, 60), (0, 60), (26, 34)]
)
def test_windows_lie_in_or_around_what_is_seen(start: int, end: int) -> None:
    pair, rng = Pair(0, start / 2, end / 2, ""), np.random.default_rng(0)
    drawn = [window_start(pair, 2.0, 8, 60, rng) for _ in range(1000)]
    assert set(drawn) == naive_starts(pair, 2.0, 8, 60)
    middle = window_start(pair, 2.0, 8, 60, None)
    assert abs(middle + 4 - np.clip((start + end) / 2, 4, 56)) <= 0.5


def test_a_video_shorter_than_a_clip(talk: Manifest) -> None:
    assert window_start(Pair(0, 0.0, 1.0, ""), 25.0, 8, 5, None) == 0
    item = clips(talk.select("val"))[0]
    assert item["video"].shape == (1, 3, 4, 16, 16)


def test_items(talk: Manifest) -> None:
    data = clips(talk.select("train"))
    assert len(data) == 4
    item = data[3, 1]
    assert item["text"].tolist() == [1.0] * 3
    assert int(item["index"]) == 0
    assert int(item["pair"]) == 1
    assert (data[3, 1]["video"] == item["video"]).all()
    drawn, other = (
        [float(some[epoch, 0]["video"].sum()) for epoch in range(12)]
        for some in (data, clips(talk.select("train"), seed=1))
    )
    assert len(set(drawn)) > 3  # another clip of the sentence each epoch
    assert drawn != other
    calm = clips(talk.select("train"), train=False)
    assert (calm[3, 0]["video"] == calm[0, 0]["video"]).all()


def test_a_clip_shows_the_frames_it_should(talk: Manifest) -> None:
    data = clips(talk.select("train"), train=False)
    pair, video = data.pairs[2], data.manifest.videos[1]
    start = window_start(pair, video.fps, CONFIG.span, video.n_frames, None)
    frames = data._read(1, np.array([start + 2 * k for k in range(4)]), False)
    wanted = data.transform(frames, np.random.default_rng(0))
    assert (data[0, 2]["video"][0] == wanted).all()


def test_batches_of_one_group(talk: Manifest) -> None:
    data = clips(talk.select("train"), batch_groups=1)
    loader = make_loader(data, 2, shuffle=True)
    groups = [batch["index"].tolist() for batch in loader]
    assert all(len(set(some)) == 1 for some in groups)
    assert sorted(n for some in groups for n in some) == [0, 0, 1, 1]
    assert clips(talk.select("train")).composition(2) is None


def test_texts_must_fit(talk: Manifest) -> None:
    some = talk.select("train")
    with pytest.raises(ThesisError, match="4 pairs and 3 features"):
        NarratedClips(some, CONFIG, pairs_of(some), texts(pairs_of(some))[:3], train=True)


def test_unknown_pairs_and_none(talk: Manifest, tmp_path: Path) -> None:
    with pytest.raises(ThesisError, match="kind of pairs"):
        pairs_of(talk.select("train"), "guessed")
    other = replace(talk, name="mute", root=tmp_path, info={}).select("train")
    write_narrations(other, {"train/a.mp4": HEARD[2:]}, {"train/a.mp4": [UNSEEN]})
    for kind in ("aligned", "heard"):
        with pytest.raises(ThesisError, match="No sentence"):
            pairs_of(other, kind)


def test_a_clip_for_every_second(talk: Manifest) -> None:
    data = SecondClips(talk, CONFIG, together=2)
    items = [data[n] for n in range(len(data))]
    found = {
        (int(item["index"]), int(item["second"]) + k): clip
        for item in items
        for k, clip in enumerate(item["video"])
    }
    counts = [max(1, int(v.n_frames / v.fps)) for v in talk.videos]
    assert sorted(found) == [(n, s) for n, count in enumerate(counts) for s in range(count)]
    assert [seconds_of(v) for v in talk.videos] == counts
    for (number, second), clip in found.items():
        video = talk.videos[number]
        start = math.floor((second + 0.5) * video.fps - 4 + 0.5)
        start = max(0, min(start, video.n_frames - 8))
        frames = data._read(number, np.arange(start, start + 8, 2), False)
        assert (clip[0] == data.transform(frames, np.random.default_rng(0))).all()


def test_frames_over_a_whole_video() -> None:
    rng = np.random.default_rng(0)
    drawn = np.stack([spread_frames(401, 16, rng) for _ in range(500)])
    assert (np.diff(drawn, axis=1) > 0).all()
    gaps = np.diff(drawn, axis=1)
    assert (gaps.max(1) - gaps.min(1) <= 1).all()  # evenly
    assert (drawn[:, 0].min(), drawn[:, -1].max()) == (0, 400)
    assert drawn[:, 0].max() == 80
    assert drawn[:, -1].min() == 320
    assert abs(drawn[:, 0].mean() - 40) < 4
    assert spread_frames(401, 5, None).tolist() == [0, 100, 200, 300, 400]
    assert spread_frames(1, 3, rng).tolist() == [0, 0, 0]
    assert spread_frames(3, 6, None).tolist() == [0, 0, 1, 1, 2, 2]
    with pytest.raises(ThesisError, match="give 1"):
        spread_frames(0, 4, rng)


def test_long_clips(talk: Manifest) -> None:
    train = LongClips(talk.select("train"), CONFIG.override({"seq_len": 8}), train=True)
    assert len(train) == 2
    assert train[0]["video"].shape == (1, 3, 8, 16, 16)
    assert (train[2, 1]["video"] == train[2, 1]["video"]).all()
    assert (train[2, 1]["video"] != train[3, 1]["video"]).any()
    test = LongClips(talk, CONFIG, train=False, samples=3)
    assert len(test) == 12
    items = [test[n] for n in range(12)]
    assert [int(i["index"]) for i in items] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert [int(i["sample"]) for i in items] == [0, 1, 2] * 4
    assert [int(i["label"]) for i in items][::3] == [0, 1, 1, 0]
    assert (items[0]["video"] != items[1]["video"]).any()
    assert (test[5, 0]["video"] == items[0]["video"]).all()  # the epoch is nothing to them
    with pytest.raises(ThesisError, match="samples=0"):
        LongClips(talk, CONFIG, train=False, samples=0)
    with pytest.raises(IndexError):
        test[12]
