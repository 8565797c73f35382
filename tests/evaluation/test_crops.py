"""Five and ten crops, and the two protocols of test time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from studio import SMALL
from thesislib.chapters.clips import PROTOCOLS, tuning
from thesislib.clip_config import Augment, ClipConfig
from thesislib.data.dataset import WindowDataset
from thesislib.data.manifest import Manifest, Video
from thesislib.data.transforms import Transform, view_box
from thesislib.errors import ThesisError
from thesislib.evaluation.features import FULL, extract
from thesislib.evaluation.finetune import FinetuneConfig
from thesislib.methods.dpc import DPCConfig
from thesislib.synthetic.studio import write_mp4

PLAIN = Augment(normalise=False, interpolation="nearest")
CLIPS = ClipConfig(num_seq=2, seq_len=3, stride=1, size=32, augment=PLAIN)
CONFIG = replace(
    DPCConfig.preset("small").override({**SMALL, "num_seq": 2, "pred_step": 1}), augment=PLAIN
)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Three small films of noise: 20, 20 and 5 frames, the last shorter than a window."""
    root = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(0)
    videos = []
    for i, length in enumerate((20, 20, 5)):
        noise = rng.integers(0, 255, (length, 6, 8, 3), np.uint8)
        frames = np.stack([cv2.resize(f, (64, 48), interpolation=cv2.INTER_NEAREST) for f in noise])
        write_mp4(root / f"{i}.mp4", frames)
        videos.append(Video(f"{i}.mp4", "ab"[i % 2], "test", str(i), length, 30.0, 64, 48))
    return Manifest("films", root, tuple(videos))


class Corner(nn.Module):
    """Encodes a window by the brightness of its top left quarter: crops and flips show."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def encode(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return batch["video"][..., :16, :16].mean((1, 2, 3, 4, 5))[:, None]


def test_ten_views_are_centre_and_corners_then_mirrored() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (2, 48, 64, 3), np.uint8)
    crop = 42  # 48 * 224 / 256
    corners = [(3, 11), (0, 0), (0, 22), (6, 0), (6, 22)]  # top, left
    transform = Transform(PLAIN, crop, train=False)
    for view in range(10):
        top, left = corners[view % 5]
        expected = frames[:, top : top + crop, left : left + crop]
        if view >= 5:
            expected = expected[:, :, ::-1]
        assert np.array_equal(transform.augment_frames(frames, rng, view=view), expected)
    fixed = replace(PLAIN, crop_size=40)
    assert view_box(48, 64, fixed, 4) == (8, 24, 40, 40)
    assert view_box(30, 64, fixed, 9) == (0, 34, 30, 30), "never larger than the frame"
    whole = transform.augment_frames(frames, rng)
    assert whole.shape[1] == crop, "without a view: the largest square, resized"


def test_mirrored_flow_turns_its_motion() -> None:
    flow = np.random.default_rng(1).integers(0, 255, (2, 48, 64, 2), np.uint8)
    transform = Transform(PLAIN, 42, train=False)
    rng = np.random.default_rng(0)
    plain = transform.augment_frames(flow, rng, flow=True, view=1)
    mirrored = transform.augment_frames(flow, rng, flow=True, view=6)
    assert np.array_equal(mirrored[..., 0], 255 - plain[:, :, ::-1, 0])
    assert np.array_equal(mirrored[..., 1], plain[:, :, ::-1, 1])


@pytest.mark.parametrize("crops", [1, 5, 10])
def test_crops_and_windows_are_averaged(films: Manifest, crops: int) -> None:
    model = Corner()
    found = extract(model, films, CONFIG, crops=crops)
    for row, video in zip(found.values, films.videos, strict=True):
        alone = replace(films, videos=(video,))
        dataset = WindowDataset(alone, replace(CLIPS, short="pad"), crops=crops)
        assert len(dataset) == crops * (1 if video.n_frames == 5 else 5)
        values = [float(dataset[i]["video"][..., :16, :16].mean()) for i in range(len(dataset))]
        assert float(row[0]) == pytest.approx(np.mean(values), abs=1e-5)
        order = [(int(dataset[i]["window"]), int(dataset[i]["crop"])) for i in range(len(dataset))]
        assert order == [(w, c) for w in range(len(dataset) // crops) for c in range(crops)]


def test_a_window_is_decoded_once_for_all_its_crops(
    films: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, read = WindowDataset(films, CLIPS, crops=10), []
    real = dataset._passage.window
    monkeypatch.setattr(dataset._passage, "window", lambda *a: read.append(a[:2]) or real(*a))
    for i in range(len(dataset)):
        assert dataset[i]["video"].shape == (2, 3, 3, 32, 32)
    assert len(read) == len(set(read)) == len(dataset.windows) == 10


def test_full_loses_no_video_and_as_released_does_what_it_did(films: Manifest) -> None:
    config = replace(CONFIG, augment=Augment(interpolation="nearest"))
    model = Corner()
    full = extract(model, films, config)
    released = extract(model, films, config, crops=10, view=PROTOCOLS["as_released"])
    assert (len(full.values), full.skipped) == (3, 0)
    assert (len(released.values), released.skipped) == (2, 1), "the short one is dropped"
    dpc = extract(model, films, config, view=PROTOCOLS["as_released_dpc"])
    assert np.array_equal(dpc.values, full.values[:2]) and dpc.skipped == 1
    # The noise is about half bright: 0.5 as it is, and (0.5 - 0.45) / 0.225 when normalised.
    assert full.values.max() < 0.35 < released.values.min(), "no mean is taken off"

    test = PROTOCOLS["as_released"]
    whole = ClipConfig(num_seq=8, seq_len=5, stride=3, size=128, cache=True)
    assert test.hop_frames(whole) == 59
    assert PROTOCOLS["full"] == FULL and FULL.hop_frames(whole) is None
    assert not test.apply(whole).cache and not FULL.apply(whole).cache
    augment = test.apply(whole).augment
    assert augment.jitter == (0.2, 0.2, 0.2, 0.1) and augment.jitter_p == 0.3
    still, shaken = 0, 0
    frames = np.full((3, 32, 32, 3), (90, 130, 170), np.uint8)
    transform = Transform(augment, 32, train=False)
    for seed in range(200):
        out = transform.augment_frames(frames, np.random.default_rng(seed), view=0)
        assert (out == out[:1]).all(), "one colour for the clip"
        still += bool((out == frames).all())
        shaken += bool((out != frames).any())
    assert 0.2 < shaken / 200 < 0.4 and still + shaken == 200


def test_coclr_as_released_pads_and_shakes_the_colours(films: Manifest) -> None:
    test = PROTOCOLS["as_released_coclr"]
    clips = ClipConfig(num_seq=1, seq_len=32, stride=1, size=128)
    assert test.hop_frames(clips) == 15
    applied = test.apply(replace(clips, views=2, augment=Augment(grey=1.0, blur_p=1.0)))
    assert applied.short == "pad" and applied.augment.normalise
    assert applied.augment.jitter == (0.4, 0.4, 0.4, 0.1)
    assert applied.augment.jitter_scope == "clip"
    frames = np.full((3, 32, 32, 3), (90, 130, 170), np.uint8)
    transform = Transform(applied.augment, 32, train=False)
    out = [transform.augment_frames(frames, np.random.default_rng(s)) for s in range(200)]
    assert all((o == o[:1]).all() for o in out)
    shaken = [o for o in out if (o != frames).any()]
    assert 0.2 < len(shaken) / 200 < 0.4, "three clips in ten"
    assert any((o[..., 0] != o[..., 1]).any() for o in shaken), "colours, and no grey"
    found = extract(Corner(), films, replace(CONFIG, views=2), crops=5, view=test)
    assert (len(found.values), found.skipped) == (3, 0)


def test_a_file_that_fails_lends_no_weight_to_another(films: Manifest, tmp_path: Path) -> None:
    for video in films.videos:
        (tmp_path / video.path).write_bytes((films.root / video.path).read_bytes())
    (tmp_path / "0.mp4").write_bytes(b"no video")
    broken = replace(films, root=tmp_path)
    found, whole = (extract(Corner(), m, CONFIG, crops=5) for m in (broken, films))
    assert found.names == ("1.mp4", "2.mp4")
    assert np.array_equal(found.values, whole.values[1:])
    assert found.skipped == 1


def test_bad_choices_get_a_sentence(roots: Path, films: Manifest) -> None:
    with pytest.raises(ThesisError, match="no 7 test crops"):
        WindowDataset(films, CLIPS, crops=7)
    with pytest.raises(ThesisError, match="crops must be one of 1, 5, 10"):
        FinetuneConfig(crops=3)
    with pytest.raises(ThesisError, match="did you mean 'as_released'"):
        tuning(CONFIG, {"protocol": "as-released"})
    with pytest.raises(ThesisError, match="no protocol"):
        tuning(CONFIG, {"protocol": "fool"})
    with pytest.raises(ThesisError, match="no 3 test crops"):
        extract(Corner(), films, CONFIG, crops=3)


def test_one_crop_is_the_default_and_changes_no_hash() -> None:
    assert FinetuneConfig().hash() == FinetuneConfig(crops=1, protocol="full").hash()
    assert FinetuneConfig().hash() != FinetuneConfig(crops=10).hash()
