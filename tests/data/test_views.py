"""Two views of a video: windows of time, light and heavy, the same for frames and flow."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from video_files import number_of

from thesislib.clip_config import Augment, ClipConfig, FlowConfig
from thesislib.data import video_dataset as module
from thesislib.data.dataset import ClipDataset, View, WindowDataset
from thesislib.data.loader import make_loader
from thesislib.data.manifest import Manifest, Video
from thesislib.data.reader import open_video
from thesislib.data.transforms import denormalise
from thesislib.errors import ThesisError

SHAPE: dict[str, Any] = {"num_seq": 2, "seq_len": 6, "stride": 2, "size": 48, "views": 2}  # span 24
PLAIN = Augment(crop="centre", flip=0.0)
STRONG = Augment(
    crop_area=(0.2, 1.0), grey=0.2, grey_scope="clip", grey_kind="channels",
    jitter=(0.4, 0.4, 0.4, 0.1), jitter_p=0.8, jitter_scope="clip", blur_p=0.5,
)  # fmt: skip


@pytest.fixture
def manifest(good_folder: Path) -> Manifest:
    """Six videos: two groups of two, two without a group."""
    groups = ("late", "early", "late", "early", "", "")
    videos = tuple(
        Video(f"{'ab'[i % 2]}/v{i}.mp4", "ab"[i % 2], "train", groups[i], 45 + i, 30.0, 64, 48)
        for i in range(6)
    )
    return Manifest("good", good_folder, videos)


def clips(
    manifest: Manifest, augment: Augment = STRONG, *, train: bool = True, **options: Any
) -> ClipDataset:
    config = ClipConfig(**{**SHAPE, "augment": augment, **options})
    return ClipDataset(manifest, config, train=train)


def numbers(view: torch.Tensor) -> list[int]:
    frames = denormalise(view)  # (N, T, H, W, 3)
    return [number_of(f) for f in frames.reshape(-1, *frames.shape[2:])]


# -- windows of time -----------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_views_show_windows_of_their_own_or_one(manifest: Manifest, share: float) -> None:
    data = clips(manifest, PLAIN, one_window=share)
    pairs = []
    for epoch in range(30):
        item = data[(epoch, 4)]
        assert item["video"].shape == (2, 2, 3, 6, 48, 48)
        seen = [numbers(view) for view in item["video"]]
        for view in seen:
            assert view == [view[0] + 2 * i for i in range(12)]
        pairs.append((seen[0][0], seen[1][0]))
    starts = {start for pair in pairs for start in pair}
    assert starts <= set(range(49 - 24)) and len(starts) > 12
    same = sum(a == b for a, b in pairs)
    # Two windows of their own also coincide, once in 25 times.
    assert same == 30 if share == 1 else 7 < same < 23 if share else same < 7
    second = [b for a, b in pairs if a != b]
    assert share == 1 or len(set(second)) > 5


def test_the_draw_depends_on_the_key_alone(manifest: Manifest) -> None:
    data = clips(manifest, one_window=0.5, heavy=0.3)
    first = data[(3, 1)]["video"]
    data[(0, 5)]
    assert torch.equal(first, data[(3, 1)]["video"])
    assert torch.equal(first, clips(manifest, one_window=0.5, heavy=0.3)[(3, 1)]["video"])
    assert not torch.equal(first, data[(4, 1)]["video"])
    other = clips(manifest, one_window=0.5, heavy=0.3, seed=1)
    assert not torch.equal(first, other[(3, 1)]["video"])
    assert not torch.equal(first[0], first[1])


def test_views_of_one_window_are_cropped_and_flipped_each_by_itself(manifest: Manifest) -> None:
    slope = np.indices((1, 48, 64)).sum(0).astype(np.uint8)[..., None].repeat(3, -1)
    crop = clips(manifest, replace(PLAIN, crop="random", crop_size=48), one_window=1.0)
    flip = clips(manifest, replace(PLAIN, flip=0.5), one_window=1.0)
    corners, mirrored = [], set()

    def row(view: View) -> np.ndarray:
        # A copy, as for the streams of an item: nobody advances the other view's generator.
        return view.transform.augment_frames(slope, copy.deepcopy(view.rng))[0, 0, :, 0].astype(int)

    for index in range(80):
        corners.append([row(view)[0] for view in crop.views(0, 0, index)])  # 0 to 16
        tops = [row(view) for view in flip.views(0, 0, index)]
        mirrored.add(tuple(bool(top[0] > top[-1]) for top in tops))
    assert abs(np.corrcoef(np.transpose(corners))[0, 1]) < 0.3
    assert len(mirrored) == 4, "every combination"


def test_validation_draws_two_views_that_never_change(manifest: Manifest) -> None:
    train, held = (clips(manifest, heavy=0.3, train=train) for train in (True, False))
    for index in range(3):
        item = held[(0, index)]["video"]
        assert torch.equal(item, held[(7, index)]["video"])
        assert torch.equal(item, train[(0, index)]["video"])
        assert not torch.equal(item, train[(7, index)]["video"])
        assert not torch.equal(item[0], item[1])


def test_one_video_is_opened_once_for_both(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = [clips(manifest)[(e, 2)]["video"] for e in range(3)]
    opened: list[Path] = []
    monkeypatch.setattr(
        module, "open_video", lambda path, kind: opened.append(path) or open_video(path, kind)
    )
    data = clips(manifest)
    assert all(torch.equal(data[(e, 2)]["video"], plain[e]) for e in range(3))
    assert len(opened) == 3
    kept = clips(manifest, cache=True)
    assert all(torch.equal(kept[(e, 2)]["video"], plain[e]) for e in range(3))
    assert len(opened) == 4


def test_a_short_video_shows_its_only_window_twice(manifest: Manifest) -> None:
    data = clips(manifest, PLAIN, short="pad", seq_len=24)  # span 96 of 45 frames
    shown = [numbers(view) for view in data[(0, 0)]["video"]]
    assert shown[0] == shown[1] == np.minimum(np.arange(0, 96, 2), 44).tolist()


# -- light and heavy -----------------------------------------------------------------------


def strengths(data: ClipDataset, count: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """heavy (count, 2) bool, and whether the two windows are one."""
    drawn = [data.views(0, 0, i) for i in range(count)]
    heavy = np.array([[v.transform is data.transform for v in views] for views in drawn])
    return heavy, np.array([views[0].start == views[1].start for views in drawn])


def test_two_windows_are_heavy_each_by_itself(manifest: Manifest) -> None:
    heavy, same = strengths(clips(manifest, heavy=0.3))
    assert same.mean() < 0.1
    assert heavy.mean(0) == pytest.approx([0.3, 0.3], abs=0.03)
    assert (heavy[:, 0] & heavy[:, 1]).mean() == pytest.approx(0.09, abs=0.02)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_of_one_window_exactly_one_view_is_heavy(manifest: Manifest, share: float) -> None:
    heavy, same = strengths(clips(manifest, one_window=1.0, heavy=share))
    assert same.all()
    assert (heavy.sum(1) == 1).all()
    assert heavy[:, 0].mean() == pytest.approx(0.5, abs=0.03), "in either order"


def test_all_are_heavy_by_default(manifest: Manifest) -> None:
    for share in (0.0, 1.0):
        heavy, _ = strengths(clips(manifest, one_window=share), 200)
        assert heavy.all()


def test_the_released_mixture(manifest: Manifest) -> None:
    heavy, same = strengths(clips(manifest, one_window=0.5, heavy=0.3), 6000)
    assert same.mean() == pytest.approx(0.5 + 0.5 / 21, abs=0.02)
    both = heavy.all(1)
    assert both.mean() == pytest.approx(0.5 * 0.09, abs=0.01)
    assert not both[same].mean() > 0.01


def test_a_light_view_has_crop_and_flip_and_its_own_colours(manifest: Manifest) -> None:
    # Of blue frames grey leaves no colour, and a blur leaves no edge.
    data = clips(manifest, replace(STRONG, grey=1.0, grey_kind="luma"), heavy=0.0, one_window=1.0)
    frames = np.zeros((12, 48, 64, 3), np.uint8)
    frames[..., 2] = 100
    frames[:, :, 40:, 2] = 250
    grey, mirrored, crops = 0, set(), set()
    for index in range(40):
        views = data.views(0, 0, index)
        for view in views:
            out = view.transform.augment_frames(frames, view.rng)
            is_grey = bool((out == out[..., :1]).all())
            assert is_grey == (view.transform is data.transform)
            grey += is_grey
            if not is_grey:
                assert (out[0] == out[5]).all()
                plane = out[0, 0, :, 2].astype(int)
                assert set(plane) & {100, 250}, "the colours of the file"
                mirrored.add(bool(plane[0] > plane[-1]))
                crops.add(int((plane > 175).sum()))
    assert grey == 40 and mirrored == {True, False} and len(crops) > 10


# -- frames and flow -----------------------------------------------------------------------


@pytest.fixture
def twins(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """Videos whose flow is the red and green of the frames: what is done to them is seen."""
    rows, columns = np.mgrid[:48, :64]
    frames = np.stack([
        np.stack([columns * 3, rows * 3 + k * 2, np.full_like(rows, 2 * k)], -1) for k in range(51)
    ]).astype(np.uint8)  # fmt: skip

    class Reader:
        def frames(self, indices: Any) -> np.ndarray:
            return frames[indices]

    monkeypatch.setattr(module, "open_video", lambda *_: Reader())
    monkeypatch.setattr(module, "read_flow", lambda _, video, indices: frames[indices][..., :2])
    monkeypatch.setattr(module, "check_flow", lambda *_: {})
    return manifest


def test_each_view_has_frames_and_flow_of_one_window_crop_and_flip(twins: Manifest) -> None:
    both = clips(twins, replace(STRONG.light(), crop_aspect=(1.0, 1.0)), modality="both")
    kept, times = [], 0
    for index in range(6):
        item = both[(1, index)]
        assert item["flow"].shape == item["video"].shape == (2, 2, 3, 6, 48, 48)
        for frames, fields in zip(
            denormalise(item["video"]), denormalise(item["flow"]), strict=True
        ):
            assert np.array_equal(fields[..., 1], frames[..., 1])  # rows and numbers
            same = np.array_equal(fields[..., 0], frames[..., 0])
            assert same or np.array_equal(fields[..., 0], 255 - frames[..., 0])
            kept.append(same)
        blue = denormalise(item["video"])[:, 0, 0, 0, 0, 2]
        times += blue[0] != blue[1]
    assert set(kept) == {True, False} and times > 3


@pytest.mark.parametrize("flow_colour", [True, False])
def test_every_modality_shows_the_same_views(twins: Manifest, flow_colour: bool) -> None:
    augment = replace(STRONG, flow_colour=flow_colour)
    options = {"one_window": 0.5, "heavy": 0.5}
    rgb, flow, both = (
        clips(twins, augment, modality=m, **options) for m in ("rgb", "flow", "both")
    )
    for key in ((0, 0), (1, 2), (2, 4), (3, 1)):
        assert torch.equal(both[key]["video"], rgb[key]["video"])
        # Though flow without colours draws less, its second view is that of the frames.
        assert torch.equal(both[key]["flow"], flow[key]["video"])


# -- items ---------------------------------------------------------------------------------


@pytest.mark.parametrize("views", [1, 2])
def test_the_source_is_the_place_of_the_group(manifest: Manifest, views: int) -> None:
    config = ClipConfig(**{**SHAPE, "views": views})
    data = ClipDataset(manifest, config, train=True)
    # Sorted: "a/v4.mp4", "b/v5.mp4" (no group: the path), "early", "late".
    expected = [3, 2, 3, 2, 0, 1]
    assert [int(data[i]["source"]) for i in range(6)] == expected
    assert data[0]["source"].dtype == torch.int64 and data[0]["source"].ndim == 0
    windows = WindowDataset(manifest, config)
    assert {(int(w["index"]), int(w["source"])) for w in windows} == set(enumerate(expected))


def test_test_windows_have_one_view_whatever_the_settings(manifest: Manifest) -> None:
    two = ClipConfig(**SHAPE, augment=STRONG, one_window=0.5, heavy=0.3)
    one = replace(two, views=1, one_window=0.0, heavy=1.0)
    for a, b in zip(WindowDataset(manifest, two), WindowDataset(manifest, one), strict=True):
        assert a["video"].shape == (2, 3, 6, 48, 48)
        assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_batch_and_a_broken_file(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"\0" * 500)
    bad = Video(str(tmp_path / "broken.mp4"), "a", "train", "bad", 45, 30.0, 64, 48)
    mixed = replace(manifest, videos=(bad, *manifest.videos))
    batch = next(iter(make_loader(clips(mixed), 7, shuffle=False)))
    assert batch["video"].shape == (7, 2, 2, 3, 6, 48, 48)
    assert batch["index"].tolist() == [1, 1, 2, 3, 4, 5, 6]
    assert not torch.equal(batch["video"][0], batch["video"][1]), "the draw belongs to the key"


# -- settings ------------------------------------------------------------------------------


def test_settings_of_a_run_reach_the_clips(manifest: Manifest) -> None:
    config = ClipConfig(**SHAPE, one_window=0.5, heavy=0.3)
    found = ClipDataset(manifest, config, train=True).config
    assert (found.views, found.one_window, found.heavy) == (2, 0.5, 0.3)
    assert ClipConfig.from_dict(config.to_dict()) == config
    plain = ClipConfig()
    assert (plain.views, plain.one_window, plain.heavy) == (1, 0.0, 1.0)
    assert ClipConfig(views=1, one_window=0.0, heavy=1.0).hash() == plain.hash() == "44136fa3"
    kinds = [{"views": 2}, {"one_window": 0.5}, {"heavy": 0.3}, {}]
    assert len({ClipConfig(**kind).hash() for kind in kinds}) == 4


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"views": 3}, "views must be one of 1, 2"),
        ({"views": 0}, "views must be one of 1, 2"),
        ({"one_window": 1.5}, "one_window must be at most 1, not 1.5"),
        ({"heavy": -0.1}, "heavy must be at least 0"),
    ],
)
def test_settings_out_of_range_get_a_sentence(wrong: dict[str, Any], words: str) -> None:
    for make in (
        lambda: ClipConfig(**wrong),
        lambda: ClipConfig(num_seq=1, seq_len=2, stride=1, size=8, flow=FlowConfig(), **wrong),
        lambda: ClipConfig().override({k: str(v) for k, v in wrong.items()}),
    ):
        with pytest.raises(ThesisError, match=words):
            make()
