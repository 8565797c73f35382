"""Moments: where a row lies in its video, and look-up of those that do not overlap."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "data"))
from video_files import write_video

from thesislib.clip_config import ClipConfig
from thesislib.data.folder import prepare_folder
from thesislib.data.manifest import Manifest, Video, read_manifest
from thesislib.errors import ThesisError
from thesislib.evaluation.features import over_windows
from thesislib.evaluation.index import FeatureIndex, Stream, join
from thesislib.evaluation.indexing import build_index
from thesislib.evaluation.spans import Spans


class Mean(torch.nn.Module):
    """An encoder that says how bright a clip is, from dark to light on a quarter of a circle."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def encode(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        angle = batch["video"].mean((1, 2, 3, 4, 5)) * self.weight
        return torch.stack([angle.cos(), angle.sin()], 1)


CONFIG = ClipConfig(num_seq=1, seq_len=4, stride=2, size=16, short="pad", num_workers=0)


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """A video that grows lighter for two seconds at 30 frames a second, and then goes on at 15."""
    root = tmp_path_factory.mktemp("halves")
    times = [*range(30), *range(30, 90, 2)]
    write_video(root / "videos" / "v.mp4", 60, times=times)
    write_video(root / "videos" / "w.mp4", 5, tone=1)
    prepare_folder(root / "videos", "halves", root=root, progress=False)
    return read_manifest("halves", root)


def moments_of(manifest: Manifest) -> FeatureIndex:
    return build_index(Mean(), manifest, CONFIG, moments=True)


def test_a_row_says_where_in_the_video_it_lies(halves: Manifest) -> None:
    index = moments_of(halves)
    assert index.moments is not None
    names = [Path(v.path).name for v in index.videos]
    assert names == ["v.mp4"] * 14 + ["w.mp4"], "windows of 8 frames, 4 apart"
    frames = np.array([index.moments[i] for i in range(14)])
    expected = [*range(30), *range(30, 90, 2), 90]
    starts = np.array([expected[4 * i] for i in range(14)]) / 30
    ends = np.array([expected[4 * i + 8] for i in range(14)]) / 30
    assert frames[:, 0] == pytest.approx(starts, abs=1e-3)
    assert frames[:13, 1] == pytest.approx(ends[:13], abs=1e-3)
    assert 2.9 < frames[13, 1] < 3.1, "its last frame lasts as long as the mean"
    assert index.moment(14) == pytest.approx((0, 5 / 30), abs=1e-3), "not beyond the end"
    # A video is the mean of its moments.
    whole = over_windows(Mean().encode, Mean(), halves, CONFIG)
    assert whole.starts is None
    values = index.streams[0].values
    assert np.allclose(whole.values, [values[:14].mean(0), values[14]], atol=1e-6)


def test_the_second_half_finds_the_second_half(halves: Manifest) -> None:
    index = moments_of(halves)
    query = build_index(Mean(), halves.select(), CONFIG, moments=True).select([10])
    found = index.search(query, k=3)
    near = [index.moment(int(row)) for row in found.rows[0] if row >= 0]
    own = query.moment(0)
    assert own is not None and own[0] > 1.2
    for span in near:
        assert span is not None and (span[0] >= own[1] or span[1] <= own[0]), "not the query itself"
    assert near[0] is not None and near[0][0] > 0.8, "what is as light"
    spans = sorted(s for s in near if s is not None)
    assert all(a[1] <= b[0] for a, b in pairwise(spans)), "none overlap"


def naive(order: list[int], spans: list[tuple[int, float, float]], shut: list, k: int) -> list[int]:
    found: list[int] = []
    for row in order:
        video, start, end = spans[row]
        others = shut + [spans[r] for r in found]
        if not any(video == v and start < e and end > s for v, s, e in others):
            found.append(row)
    return found[:k]


def test_rows_apart_are_those_of_a_naive_loop() -> None:
    rng = np.random.default_rng(0)
    videos = [Video(f"/{n}.mp4", "", "test", "", 30, 30.0, 64, 48) for n in rng.integers(0, 3, 40)]
    start = rng.integers(0, 20, 40) / 2
    seconds = np.stack([start, start + 1], 1)
    spans = Spans.of(videos, seconds)
    rows = [(int(n), *map(float, s)) for n, s in zip(spans.video, seconds, strict=True)]
    for query in range(10):
        order = rng.permutation(40)
        path, own = videos[query].path, tuple(seconds[query])
        number = spans.numbers[path]
        for span, shut in ((own, (number, *own)), (None, (number, -9.0, 99.0))):
            expected = naive(order.tolist(), rows, [shut], 4)
            assert spans.apart(order, path, span, 4) == expected
        assert spans.apart(order, "/elsewhere.mp4", None, 4) == naive(order.tolist(), rows, [], 4)


def test_moments_come_back_and_join(halves: Manifest, tmp_path: Path) -> None:
    index = moments_of(halves)
    folder = index.save(tmp_path / "i")
    back = FeatureIndex.load(folder)
    assert back.note() == index.note() == json.loads((folder / "index.json").read_text())
    assert len(back.note()["videos"]) == 2 and back.videos == index.videos
    assert np.array_equal(back.moments, index.moments)
    both = join([index, index.select([3, 2, 14])])
    assert len(both) == 3 and len(both.streams) == 2
    with pytest.raises(ThesisError, match="no moment in common"):
        join([index.select([0]), index.select([1])])


def test_an_index_of_before_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = Video("/v.mp4", "", "train", "", 30, 30.0, 64, 48)
    stream = Stream(np.eye(2, dtype=np.float32), "", "w", "s", 1, {"modality": "rgb"})
    index = FeatureIndex("d", "f", (video, replace(video, path="/w.mp4")), (), (stream,))
    note = {**index.note(), "format": 2}
    del note["rows"]  # what format 2 did not say
    monkeypatch.setattr(FeatureIndex, "note", lambda self: note)
    index.save(tmp_path / "old")
    monkeypatch.undo()
    back = FeatureIndex.load(tmp_path / "old")
    assert back.moments is None and back.videos == index.videos and len(back) == 2
