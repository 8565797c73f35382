"""Clips of the steps of long videos: which frames, which label, read once, the same by seed."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import studio
from thesislib.clip_config import Augment, ClipConfig
from thesislib.data import video_dataset
from thesislib.data.loader import make_loader
from thesislib.data.manifest import Manifest
from thesislib.data.reader import open_video
from thesislib.data.segments import Segment
from thesislib.data.step_clips import Step, StepClips, steps_of
from thesislib.errors import ThesisError

CONFIG = ClipConfig(
    num_seq=1, seq_len=4, size=32, num_workers=0, cache=True, augment=Augment(normalise=False)
)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return studio.tiny(tmp_path_factory.mktemp("steps")).select("train")


@pytest.fixture
def steps(manifest: Manifest) -> list[Step]:
    """Two a video, the second as long as the video goes on."""
    return [
        Step(v, start, end, label)
        for v in range(len(manifest))
        for start, end, label in ((1.5, 9.0, 0), (9.0, 20.0, 1))
    ]


def test_segments_become_steps(manifest: Manifest) -> None:
    a, b = (video.path for video in manifest.videos[:2])
    fps = manifest.videos[0].fps
    segments = {
        a: (Segment(0.2, 0.5, "kick"), Segment(0.4, 1.0, "bow"), Segment(0.0, 1.0, "jump")),
        b: (Segment(0.1, 0.3, "bow"), Segment(500.0, 501.0, "bow")),
        "nowhere.mp4": (Segment(0.0, 1.0, "kick"),),
    }
    assert steps_of(manifest, segments, ("bow", "kick")) == [
        Step(0, 0.2 * fps, 0.5 * fps, 1), Step(0, 0.4 * fps, fps, 0),
        Step(1, 0.1 * fps, 0.3 * fps, 0),
    ]  # fmt: skip


@pytest.mark.parametrize("phase", [0.0, 0.3, 0.5, 0.99])
@pytest.mark.parametrize(("start", "end"), [(0.0, 20.0), (3.0, 4.0), (2.5, 9.25), (18.0, 40.0)])
def test_frames_lie_evenly(
    manifest: Manifest, steps: list[Step], start: float, end: float, phase: float
) -> None:
    clips = StepClips(manifest, CONFIG, steps, train=False)
    expected = [math.floor(start + (end - start) * (k + phase) / 4) for k in range(4)]
    found = clips.frames(Step(0, start, end, 0), phase).tolist()
    assert found == expected
    assert all(start - 1 < frame < end for frame in found) and found == sorted(found)


def test_a_test_clip_has_the_pixels_of_its_frames(manifest: Manifest, steps: list[Step]) -> None:
    clips = StepClips(manifest, CONFIG, steps, train=False)
    item = clips[3]
    assert item["video"].shape == (1, 3, 4, 32, 32) and item["video"].dtype == torch.float32
    assert (int(item["label"]), int(item["step"]), int(item["index"])) == (1, 3, 1)
    numbers = [math.floor(9 + 11 * (k + 0.5) / 4) for k in range(4)]
    raw = open_video(manifest.file(manifest.videos[1])).frames(numbers)
    expected = torch.from_numpy(raw).permute(3, 0, 1, 2)[None] / 255
    assert torch.allclose(item["video"], expected, atol=1e-6)


def test_a_step_beyond_the_end_repeats_the_last_frame(manifest: Manifest) -> None:
    length = manifest.videos[0].n_frames
    clips = StepClips(manifest, CONFIG, [Step(0, length - 1.0, length + 30.0, 0)], train=False)
    video = clips[0]["video"]
    assert torch.equal(video[:, :, 1:], video[:, :, :1].expand(-1, -1, 3, -1, -1))


def test_clips_depend_on_seed_epoch_and_index_alone(manifest: Manifest, steps: list[Step]) -> None:
    one, again = (StepClips(manifest, CONFIG, steps, train=True) for _ in range(2))
    other = StepClips(manifest, replace(CONFIG, seed=1), steps, train=True)
    for key in ((0, 2), (1, 2), (1, 5)):
        assert torch.equal(one[key]["video"], again[key]["video"])
        assert not torch.equal(one[key]["video"], other[key]["video"])
    assert not torch.equal(one[0, 2]["video"], one[1, 2]["video"])
    assert torch.equal(one[2]["video"], one[0, 2]["video"])
    still = StepClips(manifest, CONFIG, steps, train=False)
    assert torch.equal(still[0, 2]["video"], still[1, 2]["video"])


def test_an_epoch_decodes_nothing_again(
    manifest: Manifest, steps: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def counted(path: Path, backend: str) -> object:
        opened.append(path.name)
        return open_video(path, backend)

    monkeypatch.setattr(video_dataset, "open_video", counted)
    clips = StepClips(manifest, CONFIG, steps, train=True)
    loader = make_loader(clips, 8, shuffle=True, drop_last=False)
    labels = np.concatenate([batch["label"].numpy() for _ in range(2) for batch in loader])
    assert len(labels) == 2 * len(steps) and np.bincount(labels).tolist() == [len(steps)] * 2
    assert sorted(opened) == sorted(Path(video.path).name for video in manifest.videos)


def test_what_cannot_be_used_is_named(manifest: Manifest, steps: list[Step]) -> None:
    with pytest.raises(ThesisError, match="has a step of the classes to learn"):
        StepClips(manifest, CONFIG, [], train=True)
    with pytest.raises(IndexError):
        StepClips(manifest, CONFIG, steps, train=True)[len(steps)]
