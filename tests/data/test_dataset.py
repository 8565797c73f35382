from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from video_files import number_of, write_video

from studio import tiny
from thesislib.clip_config import Augment, ClipConfig
from thesislib.data import video_dataset as module
from thesislib.data.dataset import (
    ClipDataset,
    WindowDataset,
    clips_of,
    training_clips,
    validation_clips,
)
from thesislib.data.loader import EpochSampler, make_loader
from thesislib.data.manifest import Manifest, Video
from thesislib.data.reader import open_video
from thesislib.data.transforms import denormalise
from thesislib.errors import ThesisError

SHAPE: dict[str, Any] = {"num_seq": 4, "seq_len": 3, "stride": 2, "size": 32}  # span 24
STRONG = Augment(grey=0.5, jitter=(0.5, 0.5, 0.5, 0.25))
PLAIN = Augment(crop="centre", flip=0.0, grey=0.0, jitter=(0.0, 0.0, 0.0, 0.0))
CONTEXTS = [c for c in ("fork", "spawn") if c in multiprocessing.get_all_start_methods()]


@pytest.fixture
def manifest(good_folder: Path) -> Manifest:
    videos = []
    for i in range(6):
        label = "ab"[i % 2]
        videos.append(Video(f"{label}/v{i}.mp4", label, "train", f"g{i}", 45 + i, 30.0, 64, 48))
    return Manifest("good", good_folder, tuple(videos))


def with_bad(manifest: Manifest, folder: Path) -> Manifest:
    """The same with a broken file in the third place, given by its whole path."""
    bad = folder / "broken.mp4"
    bad.write_bytes(b"\0" * 500)
    videos = list(manifest.videos)
    videos.insert(2, Video(str(bad), "a", "train", "bad", 45, 30.0, 64, 48))
    return Manifest("with bad", manifest.root, tuple(videos))


def clips(
    manifest: Manifest,
    augment: Augment = STRONG,
    *,
    train: bool = True,
    repeat: int = 1,
    **options: Any,
) -> ClipDataset:
    config = ClipConfig(**{**SHAPE, "augment": augment, **options})
    return ClipDataset(manifest, config, train=train, repeat=repeat)


def windows(manifest: Manifest, hop: int | None = None, **options: Any) -> WindowDataset:
    bound = options.pop("max_windows", 0)
    config = ClipConfig(**{**SHAPE, "augment": STRONG, "short": "pad", **options})
    return WindowDataset(manifest, config, hop=hop, max_windows=bound)


def test_an_item_holds_the_right_frames(manifest: Manifest) -> None:
    data = clips(manifest, PLAIN, size=48)
    starts = set()
    for epoch in range(20):
        item = data[(epoch, 4)]
        assert item["video"].shape == (4, 3, 3, 48, 48)
        assert item["video"].dtype == torch.float32
        assert (int(item["label"]), int(item["index"])) == (0, 4)
        frames = denormalise(item["video"])  # (N, T, H, W, 3)
        numbers = np.array([[number_of(f) for f in block] for block in frames])
        start = numbers[0, 0]
        assert np.array_equal(numbers, start + 2 * np.arange(12).reshape(4, 3))
        starts.add(start)
    assert starts <= set(range(49 - 24))
    assert len(starts) > 10
    middle = clips(manifest, PLAIN, size=48, train=False)[4]["video"]
    assert number_of(denormalise(middle)[0, 0]) == (49 - 24) // 2


def test_a_draw_depends_on_seed_epoch_and_index_alone(manifest: Manifest) -> None:
    data = clips(manifest)
    first = data[(3, 1)]["video"]
    data[(0, 5)]
    assert torch.equal(first, data[(3, 1)]["video"])
    assert torch.equal(first, clips(manifest)[(3, 1)]["video"])
    assert not torch.equal(first, data[(4, 1)]["video"])
    assert not torch.equal(first, clips(manifest, seed=1)[(3, 1)]["video"])
    assert torch.equal(data[2]["video"], data[(0, 2)]["video"])


def test_short_videos_are_dropped_or_padded_and_counted(manifest: Manifest) -> None:
    # 48 frames a clip: the videos have 45 ... 50, and 48 itself is too short (published rule).
    shape = {"num_seq": 4, "seq_len": 6, "stride": 2}
    dropped = clips(manifest, PLAIN, **shape)
    assert [int(dropped[i]["index"]) for i in range(len(dropped))] == [4, 5]
    assert dropped.report == {
        "total": 6, "used": 2, "dropped_short": 4, "padded": 0, "failed": 0,
    }  # fmt: skip
    padded = clips(manifest, PLAIN, size=48, short="pad", **shape)
    assert padded.report == {
        "total": 6, "used": 6, "dropped_short": 0, "padded": 4, "failed": 0,
    }  # fmt: skip
    frames = denormalise(padded[0]["video"]).reshape(-1, 48, 48, 3)
    assert [number_of(f) for f in frames] == np.minimum(np.arange(0, 48, 2), 44).tolist()
    with pytest.raises(ThesisError, match=r"longer than the 80 frames .* longest has 50"):
        clips(manifest, num_seq=8, seq_len=5)
    with pytest.raises(ThesisError, match="did you mean 'drop'"):
        clips(manifest, short="dropp")


def run(data: Any, workers: int, context: str | None, epochs: int = 2) -> list[torch.Tensor]:
    loader = make_loader(data, 2, shuffle=True, num_workers=workers, seed=5, context=context)
    out = []
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)
        out += [torch.cat([b["video"].flatten(), b["index"].float()]) for b in loader]
    return out


@pytest.mark.usefixtures("must_end")
@pytest.mark.parametrize("context", CONTEXTS)
def test_workers_change_nothing_and_do_not_hang(
    manifest: Manifest, tmp_path: Path, context: str, capfd: pytest.CaptureFixture[str]
) -> None:
    mixed = with_bad(manifest, tmp_path)
    # The parent has used a reader: what it leaves behind must not hang a forked worker.
    open_video(mixed.file(mixed.videos[0])).frames([0, 9])
    alone = run(clips(mixed), 0, None)
    capfd.readouterr()
    data = clips(mixed)
    shared = run(data, 2, context)
    assert len(alone) == len(shared) == 6
    assert all(torch.equal(a, b) for a, b in zip(alone, shared, strict=True))
    # One broken file: counted once, named once by us, whoever met it.
    assert data.report["failed"] == 1
    assert data.failures == [str(tmp_path / "broken.mp4")]
    told = [x for x in capfd.readouterr().err.splitlines() if x.startswith("skipped while reading")]
    assert len(told) == 1
    assert told[0].endswith("broken.mp4: not a video")


def test_the_next_readable_video_takes_the_place(manifest: Manifest, tmp_path: Path) -> None:
    data = clips(with_bad(manifest, tmp_path))
    item = data[(0, 2)]
    assert int(item["index"]) == 3
    assert int(item["label"]) == 0
    assert torch.equal(data[(0, 2)]["video"], item["video"])


def test_nothing_readable_stops_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"\0" * 100)
    videos = (Video("x.mp4", "", "train", "g", 60, 30.0, 64, 48),)
    data = clips(Manifest("bad", tmp_path, videos))
    with pytest.raises(ThesisError, match=r"Not one video of 'bad' .*thesislib doctor bad"):
        data[0]


def test_a_file_that_shrank_since_it_was_listed(manifest: Manifest, tmp_path: Path) -> None:
    write_video(tmp_path / "short.mp4", 10)
    videos = (Video(str(tmp_path / "short.mp4"), "a", "train", "s", 60, 30.0, 64, 48),)
    data = clips(Manifest("m", manifest.root, videos + manifest.videos))
    assert int(data[(0, 0)]["index"]) == 1
    assert data.report["failed"] == 1


def test_the_cache_changes_nothing_but_time(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = [clips(manifest)[(e, i)]["video"] for e in range(2) for i in range(6)]
    opened: list[str] = []

    def count(path: Path, backend: str) -> Any:
        opened.append(path.name)
        return open_video(path, backend)

    monkeypatch.setattr(module, "open_video", count)
    data = clips(manifest, cache=True)
    got = [data[(e, i)]["video"] for e in range(2) for i in range(6)]
    assert all(torch.equal(a, b) for a, b in zip(plain, got, strict=True))
    assert sorted(opened) == [f"v{i}.mp4" for i in range(6)]
    # Room for one video: the first one stays, the others are read each time.
    opened.clear()
    monkeypatch.setattr(module, "KEPT", {})
    monkeypatch.setattr(module.VideoDataset, "cache_bytes", 48 * 64 * 3 * 46)
    small = clips(manifest, cache=True)
    for _ in range(2):
        for i in range(6):
            small[i]
    assert opened.count("v0.mp4") == 1
    assert opened.count("v5.mp4") == 2


def test_data_sets_share_what_they_keep(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with windows that keep nothing; a file that has changed is read anew."""
    opened: list[str] = []

    def count(path: Path, backend: str) -> Any:
        opened.append(path.name)
        return open_video(path, backend)

    monkeypatch.setattr(module, "open_video", count)
    monkeypatch.setattr(module, "KEPT", {})
    plain = WindowDataset(manifest, clips(manifest).config)[0]["video"]
    for _ in range(2):
        clips(manifest, cache=True)[0]
    assert torch.equal(WindowDataset(manifest, clips(manifest).config)[0]["video"], plain)
    assert opened == ["v0.mp4"]  # once for all; windows of nothing kept are read in a pass
    write_video(tmp_path / "mine" / "own.mp4", 60)
    videos = (Video("own.mp4", "a", "train", "s", 60, 30.0, 64, 48),)
    mine = clips(Manifest("mine", tmp_path / "mine", videos), cache=True)
    before = mine[(0, 0)]["video"]
    write_video(tmp_path / "mine" / "own.mp4", 60, tone=90)
    assert not torch.equal(mine[(0, 0)]["video"], before)
    # No room for both: the videos of the other data set go.
    monkeypatch.setattr(module.VideoDataset, "cache_bytes", 48 * 64 * 3 * 130)
    assert len(module.KEPT) == 3
    clips(manifest, cache=True)[1]
    assert {file.name for _, file, *_ in module.KEPT} == {"v0.mp4", "v1.mp4"}


def test_repeat_gives_other_clips_of_the_same_videos(manifest: Manifest) -> None:
    data = clips(manifest, repeat=3)
    assert len(data) == 18
    items = [data[(0, i)] for i in (1, 7, 13)]
    assert {int(x["index"]) for x in items} == {1}
    assert len({x["video"].numpy().tobytes() for x in items}) == 3
    with pytest.raises(IndexError):
        data[18]


def test_the_reader_is_the_one_asked_for(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(
        module, "open_video", lambda path, backend: asked.append(backend) or open_video(path)
    )
    config = ClipConfig(**SHAPE)
    ClipDataset(manifest, config, train=True)[0]
    ClipDataset(manifest, replace(config, backend="pyav"), train=True)[0]
    WindowDataset(manifest, replace(config, backend="decord"))[0]
    assert asked == ["auto", "pyav", "decord"]


def test_a_small_set_is_passed_over_several_times(roots: Path) -> None:
    manifest = tiny(roots / "data")
    config = ClipConfig(**{**SHAPE, "stride": 1}, min_clips=50)
    train, val = (manifest.select(split=s) for s in ("train", "val"))
    learnt = training_clips(manifest, config)
    assert len(learnt) == 3 * len(train) >= 50 and learnt.train
    assert {v.split for v in learnt.manifest.videos} == {"train"}
    held = validation_clips(manifest, config)
    assert held is not None and len(held) == len(val) and not held.train
    assert {v.split for v in held.manifest.videos} == {"val"}
    assert [len(data) for data in clips_of(manifest, config)] == [len(learnt), len(held)]
    once = training_clips(manifest, ClipConfig(**{**SHAPE, "stride": 1}, min_clips=0))
    assert len(once) == len(train)


def test_validation_without_a_usable_video_is_none(roots: Path) -> None:
    manifest = tiny(roots / "data")
    config = ClipConfig(**{**SHAPE, "stride": 1})
    assert validation_clips(manifest.select(split="train"), config) is None
    assert validation_clips(manifest, config.override({"stride": 9})) is None
    assert clips_of(manifest.select(split="train"), config)[1] is None
    with pytest.raises(ThesisError, match="no video in split 'train'"):
        training_clips(manifest.select(split="val"), config)


def test_windows_cover_each_video(manifest: Manifest) -> None:
    data = windows(manifest, size=48)
    # Span 24, hop 2 blocks = 12 frames: starts 0, 12 (and 24 from 48 frames on).
    expected = [(v, w, 12 * w) for v in range(6) for w in range(3 if 45 + v >= 48 else 2)]
    assert data.windows == expected
    for place in (0, len(data) - 1):
        item = data[(7, place)]
        video, window, start = expected[place]
        assert (int(item["index"]), int(item["window"])) == (video, window)
        frames = denormalise(item["video"]).reshape(-1, 48, 48, 3)
        assert [number_of(f) for f in frames] == [start + 2 * i for i in range(12)]
    few = windows(manifest, hop=1, max_windows=2)
    assert [w[2] for w in few.windows[:2]] == [0, 18]
    padded = windows(manifest, num_seq=8, seq_len=5, stride=3)
    assert padded.report["padded"] == 6
    assert len(padded) == 6
    assert torch.equal(padded[0]["video"][-1, :, -1], padded[0]["video"][-2, :, -1])


def test_labels_are_the_place_in_the_sorted_classes_or_none(manifest: Manifest) -> None:
    part = manifest.select(per_class=1)
    only_b = Manifest("b", manifest.root, part.videos[1:], class_names=part.classes)
    assert int(clips(only_b)[0]["label"]) == 1
    flat = Manifest("flat", manifest.root, tuple(
        Video(v.path, "", v.split, v.group, v.n_frames, v.fps, v.width, v.height)
        for v in manifest.videos
    ))  # fmt: skip
    assert int(clips(flat)[0]["label"]) == -1


def test_sampler_orders_and_skips() -> None:
    sampler = EpochSampler(10, shuffle=True, seed=3)
    first = list(sampler)
    assert sorted(i for _, i in first) == list(range(10))
    assert first == list(EpochSampler(10, shuffle=True, seed=3))
    sampler.set_epoch(1, skip=4)
    rest = list(sampler)
    assert len(rest) == len(sampler) == 6
    assert {e for e, _ in rest} == {1}
    sampler.set_epoch(1)
    assert list(sampler)[4:] == rest
    assert [i for _, i in sampler] != [i for _, i in first]
    plain = EpochSampler(3, shuffle=False)
    plain.set_epoch(9)
    assert list(plain) == [(9, 0), (9, 1), (9, 2)]


def test_a_tiny_set_still_gives_a_batch(manifest: Manifest) -> None:
    loader = make_loader(clips(manifest), 64, shuffle=True)
    assert [len(b["index"]) for b in loader] == [6]
    test = make_loader(clips(manifest, train=False), 4, shuffle=False)
    assert [b["index"].tolist() for b in test] == [[0, 1, 2, 3], [4, 5]]


def test_processes_share_the_order_in_equal_parts(manifest: Manifest) -> None:
    whole = [i for _, i in EpochSampler(7, shuffle=True, seed=3)]
    parts = [[i for _, i in EpochSampler(7, True, 3, share=(rank, 2))] for rank in (0, 1)]
    assert [len(p) for p in parts] == [3, 3]
    assert [i for pair in zip(*parts, strict=True) for i in pair] == whole[:6]
    loader = make_loader(clips(manifest), 64, shuffle=True, share=(1, 2))
    assert [len(b["index"]) for b in loader] == [3]
