"""Kept frames are no larger than the crops need, and the crops are the same."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from video_files import write_video

from thesislib.clip_config import Augment, ClipConfig
from thesislib.data import shrinking, video_dataset
from thesislib.data.dataset import ClipDataset
from thesislib.data.folder import prepare_folder
from thesislib.data.manifest import Manifest, read_manifest
from thesislib.data.passage import read_small
from thesislib.data.reader import open_video
from thesislib.data.shrinking import scale_of
from thesislib.data.transforms import draw_crop
from thesislib.errors import VideoError
from thesislib.methods.coclr_config import CoCLRConfig
from thesislib.methods.dpc import DPCConfig

PLAIN = Augment(flip=0.0)


@pytest.mark.parametrize("aspect", [(0.75, 4 / 3), (0.5, 1.2), (1.0, 1.0)])
@pytest.mark.parametrize("area", [(0.5, 1.0), (0.2, 1.0)])
def test_no_crop_of_a_shrunk_frame_is_enlarged(
    area: tuple[float, float], aspect: tuple[float, float]
) -> None:
    augment = Augment(crop_area=area, crop_aspect=aspect)
    scale = scale_of(480, 640, augment, 48)
    height, width = round(480 * scale), round(640 * scale)
    assert height * width < 480 * 640 / 4
    rng = np.random.default_rng(0)
    drawn = [draw_crop(height, width, augment, rng, train=True)[2:] for _ in range(500)]
    assert 47 <= min(map(min, drawn)) <= 52, "as small as can be, and to a pixel no smaller"


def test_what_is_small_or_counted_in_pixels_stays() -> None:
    assert scale_of(64, 64, CoCLRConfig.preset("small").augment, 48) == 1
    assert scale_of(64, 64, DPCConfig.preset("small").augment, 48) == 1
    assert scale_of(480, 640, replace(PLAIN, crop="random", crop_size=224), 48) == 1
    assert scale_of(480, 640, replace(PLAIN, interpolation="nearest"), 48) == 1
    assert scale_of(480, 640, replace(PLAIN, crop="centre"), 48) == pytest.approx(0.1)
    assert scale_of(480, 640, PLAIN, 224) == 1, "more than half is not worth it"


def test_flow_is_shrunk_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shrinking, "PIECE", 16)
    fields = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 2), np.uint8)
    asked: list[int] = []

    def read(indices: np.ndarray) -> np.ndarray:
        asked.append(len(indices))
        return fields[indices]

    found = shrinking.read_shrunk(read, 0.25, np.arange(40))
    assert asked == [16, 16, 8] and found.shape == (40, 12, 16, 2)
    means = fields.reshape(40, 12, 4, 16, 4, 2).mean((2, 4))
    assert np.abs(found - means).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("name", ["a.mp4", "a.avi"])
def test_frames_are_shrunk_as_they_are_decoded(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, 20, codec="libx264" if name == "a.mp4" else "mpeg4")
    numbers = np.array([7, 0, 19, 7])
    found = read_small(path, 0.25, numbers)
    assert found.shape == (4, 12, 16, 3) and np.array_equal(found[0], found[3])
    whole = open_video(path).frames(numbers).reshape(4, 12, 4, 16, 4, 3).mean((2, 4))
    assert np.abs(found - whole).mean() < 3
    with pytest.raises(VideoError, match="no such file"):
        read_small(tmp_path / "gone.mp4", 0.25, numbers)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    root = tmp_path_factory.mktemp("large")
    for i in range(2):
        write_video(root / "videos" / f"v{i}.mp4", 30, tone=i)  # of 64 x 48 pixels
    prepare_folder(root / "videos", "large", root=root, progress=False)
    return read_manifest("large", root)


def test_training_clips_show_the_same_and_little_is_kept(
    large: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_dataset, "KEPT", {})
    config = ClipConfig(num_seq=1, seq_len=4, stride=2, size=10, cache=False)
    full = ClipDataset(large, config, train=True)
    kept = ClipDataset(large, replace(config, cache=True), train=True)
    keys = [(epoch, index) for epoch in range(8) for index in range(2)]
    one, two = (torch.stack([data[key]["video"] for key in keys]) for data in (full, kept))
    same = (one - two).abs().mean()
    assert same < 0.2 * (one - two.roll(2, 0)).abs().mean(), "than that of the next epoch"
    held = sum(frames.nbytes for frames in video_dataset.KEPT.values())
    assert 0 < held < 2 * 30 * 48 * 64 * 3 / 10
    before = kept[0]["video"]
    # What finds no room is read as before, and just as large as what is kept.
    monkeypatch.setattr(video_dataset, "KEPT", {})
    monkeypatch.setattr(ClipDataset, "cache_bytes", 0)
    crowded = ClipDataset(large, replace(config, cache=True), train=True)
    assert (crowded[0]["video"] == before).all() and not video_dataset.KEPT
