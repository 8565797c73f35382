"""Windows read in one pass are those read one by one, and a pass harms nothing else."""

from __future__ import annotations

import itertools
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from video_files import write_video

from thesislib.clip_config import Augment, ClipConfig
from thesislib.data import passage, pyav_reader, reader, video_dataset
from thesislib.data.dataset import WindowDataset
from thesislib.data.folder import prepare_folder
from thesislib.data.loader import make_loader
from thesislib.data.manifest import Manifest, read_manifest
from thesislib.data.pictures import Pictures, Shape
from thesislib.errors import VideoError
from thesislib.evaluation.features import ahead

CONFIG = ClipConfig(num_seq=1, seq_len=4, stride=3, size=16, short="pad")
B_FRAMES = {"crf": "4", "g": "24", "bf": "3", "threads": "1"}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    root = tmp_path_factory.mktemp("passage")
    folder = root / "videos"
    write_video(folder / "a.mp4", 50, options=B_FRAMES)
    write_video(folder / "b.avi", 41, codec="mpeg4", tone=1)
    write_video(folder / "c.mkv", 60, tone=2, times=[2 * i + i % 2 for i in range(60)])
    write_video(folder / "d.mp4", 7, tone=3)  # shorter than a window
    prepare_folder(folder, "passage", root=root, progress=False)
    return read_manifest("passage", root)


def one_by_one(manifest: Manifest, config: ClipConfig, **more: Any) -> list[torch.Tensor]:
    data = WindowDataset(manifest, config, **more)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passage.Passage, "window", lambda *_: None)
        return [data[i]["video"] for i in range(len(data))]


def count_opened(patch: pytest.MonkeyPatch) -> list[str]:
    """Fills with the names of files that are opened, in either way."""
    opened: list[str] = []
    for module, name in ((passage, "PyAVReader"), (video_dataset, "open_video")):
        plain = getattr(module, name)
        patch.setattr(
            module, name, lambda path, *a, f=plain: (opened.append(Path(path).name), f(path, *a))[1]
        )
    return opened


@pytest.mark.parametrize("augment", [{"crop_size": 12}, {"interpolation": "nearest"}])
def test_what_is_cut_on_reading_is_what_is_cut_later(
    videos: Manifest, augment: dict[str, Any]
) -> None:
    config = replace(CONFIG, augment=Augment(**augment))
    expected, data = one_by_one(videos, config), WindowDataset(videos, config)
    assert all(torch.equal(data[i]["video"], one) for i, one in enumerate(expected))


@pytest.mark.parametrize("more", [{}, {"crops": 5}, {"hop_frames": 5}, {"hop_frames": 12}])
def test_one_pass_gives_the_windows_read_one_by_one(
    videos: Manifest, more: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = one_by_one(videos, CONFIG, **more)
    opened = count_opened(monkeypatch)
    data = WindowDataset(videos, CONFIG, **more)
    assert all(torch.equal(data[i]["video"], one) for i, one in enumerate(expected))
    assert opened == ["a.mp4", "b.avi", "c.mkv", "d.mp4"], "each once"


def test_any_order_and_gaps_give_the_same(
    videos: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = one_by_one(videos, CONFIG)
    data = WindowDataset(videos, CONFIG)
    for i in [3, 4, 5, 2, 2, 0, 1, 7, 8, *np.random.default_rng(0).permutation(len(data))]:
        assert torch.equal(data[int(i)]["video"], expected[i])
    few = one_by_one(videos, CONFIG, max_windows=2)
    opened = count_opened(monkeypatch)
    data = WindowDataset(videos, CONFIG, max_windows=2)
    assert all(torch.equal(data[i]["video"], one) for i, one in enumerate(few))
    assert opened.count("a.mp4") == 2, "far apart: two seeks are less than all that lies between"


def test_a_damaged_video_gives_what_it_gave_before(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "videos" / "v.mkv", 60)
    prepare_folder(whole.parent, "cut", root=tmp_path, progress=False)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    manifest = read_manifest("cut", tmp_path, checked=False)

    def readable() -> Iterator[torch.Tensor]:
        data = WindowDataset(manifest, CONFIG)
        for i in range(len(data)):
            item = data[i]
            yield item["video"]

    found = list(itertools.islice(readable(), 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passage.Passage, "window", lambda *_: None)
        assert all(
            torch.equal(a, b) for a, b in zip(found, itertools.islice(readable(), 3), strict=True)
        )
    data = WindowDataset(manifest, CONFIG)
    with pytest.raises(Exception, match="Not one video of 'cut' can be read any more"):
        for i in range(len(data)):
            data[i]
    assert data.failures == [manifest.videos[0].path]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_read_the_same_also_where_a_pass_is_under_way(
    videos: Manifest, workers: int
) -> None:
    data = WindowDataset(videos, CONFIG)
    assert data._passage._going is None and data[0]["window"] == 0
    assert data._passage._going is not None
    expected = one_by_one(videos, CONFIG)
    loader = make_loader(data, 2, shuffle=False, num_workers=workers, context="fork")
    found = [video for batch in loader for video in batch["video"]]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert torch.equal(data[1]["video"], expected[1]), "and it goes on"


def test_several_decoders_give_the_same(videos: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where frames repeat, where none is an entry, and where a pass is left under way."""
    expected = one_by_one(videos, CONFIG)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    for name, value in {"LONG": 1, "STRETCH": 3, "PIECE": 2, "AHEAD": 2}.items():
        monkeypatch.setattr(passage, name, value)
    opened = count_opened(monkeypatch)
    data = WindowDataset(videos, CONFIG)
    assert all(torch.equal(data[i]["video"], one) for i, one in enumerate(expected))
    assert opened.count("a.mp4") == 1 + 3, "one looks for the entries, three read"
    assert opened.count("b.avi") == 1, "an avi says nothing of entries"
    before = threading.active_count()
    assert torch.equal(data[0]["video"], expected[0])
    assert threading.active_count() > before
    assert torch.equal(data[4]["video"], expected[4])
    assert threading.active_count() == before, "the others have ended"


def test_stretches_begin_where_decoding_can() -> None:
    numbers = [*range(0, 2000, 3)]
    parts = passage.stretches(numbers, np.arange(0, 2000, 250))
    assert [n for part in parts for n in part] == numbers
    assert len(parts) == 4 and all(len(part) >= passage.STRETCH for part in parts[:-1])
    assert [part[0] for part in parts] == [0, 501, 1002, 1500], "the first asked for from an entry"
    assert passage.stretches(numbers, np.zeros(0, np.int64)) == [numbers]
    assert passage.stretches(numbers, np.zeros(1, np.int64)) == [numbers]


def test_a_frame_that_fails_in_one_of_several_decoders_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mp4", 96, options=B_FRAMES)
    parts = [[*range(0, 24)], [*range(24, 48)], [*range(48, 97)]]
    found = []
    with pytest.raises(VideoError, match="frame 96 is wanted, it has 96"):
        for number, frame in passage.abreast(path, parts, 2, 1.0, lambda frame: frame[:4]):
            found.append(number)
            assert frame.shape[0] == 4
    assert found == []


def test_a_pass_jumps_over_what_nobody_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From key frame to key frame, as a reader that seeks; the frames are those of the video."""
    write_video(tmp_path / "a.mp4", 120, options=B_FRAMES)
    write_video(
        tmp_path / "b.mkv", 120, options=B_FRAMES, times=[2 * i + i % 2 for i in range(120)]
    )
    write_video(tmp_path / "c.avi", 120, codec="mpeg4")
    windows = [[1, 2], [2, 9], [3, 4], [50, 53], [100, 119]]
    decoded: list[int] = []
    plain = pyav_reader.decoded

    def counted(*words: Any) -> Iterator[Any]:
        for frame in plain(*words):
            decoded.append(1)
            yield frame

    monkeypatch.setattr(pyav_reader, "decoded", counted)
    for name, most in (("a.mp4", 45), ("b.mkv", 45), ("c.avi", 120)):
        decoded.clear()
        going = passage.Going(pyav_reader.PyAVReader(tmp_path / name), windows)
        found = [going.next() for _ in windows]
        assert len(decoded) <= most, name
        whole = reader.open_video(tmp_path / name, "pyav").frames(range(120))
        for numbers, frames in zip(windows, found, strict=True):
            assert np.array_equal(frames, whole[numbers]), (name, numbers)


def test_a_pass_gives_small_pictures(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 12, size=(96, 64))
    large, small = (
        passage.Going(pyav_reader.PyAVReader(tmp_path / "a.mp4"), [[3, 8]], scale).next()
        for scale in (1.0, 0.25)
    )
    assert small.shape == (2, 16, 24, 3)
    mean = large.reshape(2, 16, 4, 24, 4, 3).mean((2, 4))
    assert np.abs(mean - small).mean() < 4, "each pixel the mean of its area"
    frame = av.VideoFrame.from_ndarray(large[0], format="rgb24")
    assert Pictures(Shape(96, 64, swapped=True), 0.25)(frame).shape == (24, 16, 3)


def test_a_pass_stays_in_its_thread(videos: Manifest) -> None:
    data, found = WindowDataset(videos, CONFIG), []
    assert data[0]["window"] == 0
    other = threading.Thread(target=lambda: found.append(data[1]["video"]))
    other.start()
    other.join()
    assert torch.equal(found[0], one_by_one(videos, CONFIG)[1])


def test_items_made_ahead_keep_their_order_and_their_errors() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for i in range(6):
            made.append(i)
            yield i
        raise ValueError("the sixth")

    found = ahead(items())
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    assert max(made) <= 5
    with pytest.raises(ValueError, match="the sixth"):
        list(found)
    made.clear()
    found = ahead(items())
    assert next(found) == 0
    found.close()
    assert len(made) <= 4, "and no further"
    assert list(ahead(iter([]))) == []
