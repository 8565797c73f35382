"""Optical flow: values, files, what goes wrong, and that it moves with its frames."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from video_files import write_video

from thesislib import cli
from thesislib.clip_config import Augment, ClipConfig, FlowConfig
from thesislib.data import flow as flow_module
from thesislib.data import video_dataset as module
from thesislib.data.dataset import ClipDataset, WindowDataset
from thesislib.data.doctor import doctor
from thesislib.data.flow import compute_flow, flow_of, quantise, to_pixels
from thesislib.data.flow_files import check_flow, flow_file, flow_report, read_flow
from thesislib.data.loader import make_loader
from thesislib.data.manifest import Manifest, Video, read_manifest, write_manifest
from thesislib.data.reader import open_video
from thesislib.data.transforms import denormalise, flow_picture
from thesislib.errors import ThesisError

DIS = FlowConfig("dis")
CONTEXTS = [c for c in ("fork", "spawn") if c in multiprocessing.get_all_start_methods()]
STRONG = Augment(grey=0.5, jitter=(0.5, 0.5, 0.5, 0.25))
PLAIN = Augment()  # crop and flip, no colours


def cloth(size: int = 48, seed: int = 0) -> np.ndarray:
    """A smooth random texture, (size, size, 3) uint8."""
    noise = np.random.default_rng(seed).integers(0, 256, (size, size, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 2)
    return cv2.normalize(soft, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def moving(steps: int, dx: int, dy: int, size: int = 48) -> np.ndarray:
    """Frames in which all moves by (dx, dy) pixels a frame."""
    whole = cloth(size + 2 * 32)
    places = [(32 - k * dy, 32 - k * dx) for k in range(steps)]
    return np.stack([whole[t : t + size, left : left + size] for t, left in places])


@pytest.fixture
def manifest(good_folder: Path, tmp_path: Path) -> Manifest:
    """Three videos given by their whole paths, so that the flow has a folder of its own."""
    rows = tuple(
        Video(str(good_folder / "ab"[i % 2] / f"v{i}.mp4"), "ab"[i % 2], "train", f"g{i}", 45 + i,
              30.0, 64, 48)
        for i in range(3)
    )  # fmt: skip
    write_manifest(Manifest("three", tmp_path / "three", rows))
    return read_manifest("three", tmp_path)


def compute(manifest: Manifest, config: FlowConfig = DIS, **options: Any) -> dict[str, Any]:
    return compute_flow(manifest, config, **{"jobs": 1, "progress": False, **options})


def flow_clips(
    manifest: Manifest, modality: str, augment: Augment = STRONG, **options: Any
) -> ClipDataset:
    shape = {"num_seq": 4, "seq_len": 3, "stride": 2, "size": 32, "flow": DIS, **options}
    config = ClipConfig(augment=augment, modality=modality, **shape)
    return ClipDataset(manifest, config, train=True)


# -- values --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clip", "left"), [("v_SoccerJuggling_g23_c01.avi", 250), ("SOX5yA1l24A.mp4", 100)]
)
def test_tvl1_is_opencvs_own_to_the_rounding(shared: Path, clip: str, left: int) -> None:
    path = shared / "real_clips" / clip
    if not path.is_file():
        pytest.skip("no real clips")
    frames = open_video(path).frames([21, 22, 23])[:, 120:168, left : left + 64]
    got = flow_of(np.ascontiguousarray(frames))
    assert got.shape == (2, 48, 64, 2)
    for k in range(2):
        first, second = (
            cv2.cvtColor(np.ascontiguousarray(frames[i][..., ::-1]), cv2.COLOR_BGR2GRAY)
            for i in (k, k + 1)
        )
        theirs = cv2.optflow.createOptFlow_DualTVL1().calc(first, second, None)
        assert np.abs(theirs).max() > 0.5, "the test needs motion"
        for place in np.ndindex(theirs.shape):
            clipped = min(max(float(theirs[place]), -20.0), 20.0)
            assert got[(k, *place)] == round((clipped + 20) / 40 * 255), place


def test_the_scale_is_the_thesiss() -> None:
    pixels = np.array([-99, -20, -10, -0.1, 0, 0.1, 1, 20, 21], np.float32)
    levels = quantise(pixels)
    assert levels.tolist() == [0, 0, 64, 127, 128, 128, 134, 255, 255]
    assert quantise(np.float32([-1, 1, 2]), bound=2).tolist() == [64, 191, 255]
    inside = np.linspace(-20, 20, 999, dtype=np.float32)
    assert np.abs(to_pixels(quantise(inside)) - inside).max() <= 20 / 255 + 1e-4


@pytest.mark.parametrize("algorithm", ["tvl1_fast", "tvl1_quick", "farneback", "dis"])
def test_field_k_moves_frame_k_right_and_down(algorithm: str) -> None:
    frames = moving(3, 2, 1)
    pixels = to_pixels(flow_of(frames, FlowConfig(algorithm)))[:, 10:-10, 10:-10]
    assert np.allclose(np.median(pixels, axis=(1, 2)), [[2, 1]] * 2, atol=0.25)


def test_a_mirror_image_moves_the_other_way() -> None:
    vectors = np.random.default_rng(0).uniform(-25, 25, 5000).astype(np.float32)
    assert np.array_equal(quantise(-vectors), 255 - quantise(vectors))
    frames = moving(3, 3, -1)
    mirrored = flow_of(np.ascontiguousarray(frames[:, :, ::-1]), FlowConfig("tvl1_fast"))
    flow = flow_of(frames, FlowConfig("tvl1_fast"))
    ours = flow_picture(np.ascontiguousarray(flow[:, :, ::-1]), Augment(), mirror=True)[..., :2]
    middle = (ours.astype(int) - mirrored)[:, 10:-10, 10:-10]
    # TV-L1 itself does not treat left and right alike to the last digit.
    assert np.abs(middle.mean((0, 1, 2))).max() < 0.5
    assert np.abs(middle).mean() < 2 < np.abs(mirrored[..., 0].astype(int) - flow[..., 0]).mean()


def test_the_third_channel_and_the_order() -> None:
    flow = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 2), dtype=np.uint8)
    usual = flow_picture(flow, Augment())
    assert np.array_equal(usual[..., :2], flow)
    assert np.all(usual[..., 2] == 128), "zero motion after the mapping"
    zero = flow_picture(flow, Augment(flow_third=0))
    assert np.all(zero[..., 2] == 0)
    released = flow_picture(flow, Augment(flow_channels="0yx"), mirror=True)
    assert np.array_equal(released[..., 2], 255 - flow[..., 0])
    assert np.array_equal(released[..., 1], flow[..., 1])
    assert np.all(released[..., 0] == 128)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: flow_of(np.zeros((1, 8, 8, 3), np.uint8)), "two or more frames"),
        (lambda: flow_of(np.zeros((2, 8, 8, 3), np.float32)), "uint8, not float32"),
        (
            lambda: flow_of(np.zeros((2, 1, 1, 3), np.uint8), DIS),
            "1x1 pixels are too small",
        ),
        (lambda: FlowConfig("tvl"), "did you mean 'tvl1'"),
        (lambda: FlowConfig(bound=0), "bound must be above 0, not 0"),
        (lambda: Augment(flow_third=300), "at most 255"),
        (lambda: Augment(flow_channels="yx0"), "order of flow channels"),
        (lambda: ClipConfig(modality="flows"), "did you mean 'flow'"),
    ],
)
def test_bad_input_gets_one_sentence(make: Any, words: str) -> None:
    with pytest.raises(ThesisError, match=words):
        make()


# -- files ---------------------------------------------------------------------------------


def test_what_is_read_is_what_was_computed(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_module, "PIECE", 20)  # several pieces a video
    told = compute(manifest, jobs=2)
    assert (told["videos"], told["computed"], told["present"]) == (3, 3, 0)
    assert not told["skipped"]
    video = manifest.videos[2]
    whole = flow_of(open_video(manifest.file(video)).frames(range(47)), DIS)
    wish = [45, 0, 18, 19, 20, 19]
    assert np.array_equal(read_flow(manifest, video, wish), whole[wish])
    with np.load(flow_file(manifest, video), allow_pickle=False) as archive:
        assert archive.files == [f"{k:05d}" for k in range(46)]
    note = json.loads((manifest.root / "flow" / "flow.json").read_text())
    text = (manifest.root / "flow" / "README.md").read_text()
    for fact in (note["direction"], note["rate"], note["scale"], note["channels"][0], "departure"):
        assert fact in text
    assert note["parameters"]["PatchSize"] == 8
    assert note["parameters"]["VariationalRefinementEpsilon"] == 0.01
    assert "opencv-contrib-python-headless" in note["versions"]


def test_a_killed_run_goes_on_where_it_stopped(manifest: Manifest) -> None:
    command = [sys.executable, "-m", "thesislib.cli", "flow", "three", "--jobs", "1"]
    command += ["--algorithm", "tvl1_fast"]
    env = os.environ | {"THESISLIB_DATA": str(manifest.root.parent)}
    with subprocess.Popen(command, env=env) as process:
        while not (done := sorted(manifest.root.rglob("*.flow.npz"))):
            assert process.poll() is None, "it must be killed in the middle"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert len(done) < 3
    stamps = {path: path.stat().st_mtime_ns for path in done}
    told = compute(manifest, FlowConfig("tvl1_fast"))
    assert told["present"] >= 1 and told["present"] + told["computed"] == 3
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    assert not list(manifest.root.rglob("*.part"))
    for video in manifest.videos:
        frames = open_video(manifest.file(video)).frames([30, 31])
        expected = flow_of(frames, FlowConfig("tvl1_fast"))
        assert np.array_equal(read_flow(manifest, video, [30]), expected)


def test_a_stop_leaves_whole_files(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    work, seen = flow_module._compute_one, []

    def stopped(*args: Any) -> None:
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(args)
        work(*args)

    monkeypatch.setattr(flow_module, "_compute_one", stopped)
    with pytest.raises(KeyboardInterrupt):
        compute(manifest)
    assert flow_report(manifest)["missing"] == 1
    monkeypatch.undo()
    assert compute(manifest)["computed"] == 1


def test_what_does_not_fit_gets_one_sentence(manifest: Manifest) -> None:
    with pytest.raises(ThesisError, match=r"no optical flow: run .* three --algorithm dis` first"):
        flow_clips(manifest, "flow")
    compute(manifest)
    check_flow(manifest, DIS)

    both = r"made with algorithm dis, bound 20.0, but algorithm tvl1, bound 20.0 is wanted"
    for ask in (lambda c: check_flow(manifest, c), lambda c: compute(manifest, c)):
        with pytest.raises(ThesisError, match=both + ".*`thesislib flow three --force`"):
            ask(FlowConfig())
    with pytest.raises(ThesisError, match="flow three --algorithm farneback --bound 5 --force"):
        check_flow(manifest, FlowConfig("farneback", 5))

    video = manifest.videos[0]
    longer = dataclasses.replace(video, n_frames=46)
    words = "has 44 fields, but its video has 46 frames and needs 45: run .*--algorithm dis"
    with pytest.raises(ThesisError, match=words):
        read_flow(manifest, longer, [0])
    whole = flow_file(manifest, video).read_bytes()
    wrong = whole.replace(whole[200:210], bytes(10))  # a field that does not unpack
    for content in (b"", b"not ours", whole[: len(whole) // 2], wrong):
        flow_file(manifest, video).write_bytes(content)
        with pytest.raises(ThesisError, match=r"is damaged .*: delete it"):
            read_flow(manifest, video, range(44))
    flow_file(manifest, video).unlink()
    with pytest.raises(ThesisError, match=r"1 of 3 videos .* no flow .*v0.mp4.*--algorithm dis`"):
        flow_clips(manifest, "both")
    with pytest.raises(ThesisError, match=r"v0.mp4.flow.npz is missing: run"):
        read_flow(manifest, video, [0])
    assert compute(manifest)["computed"] == 1

    other = dataclasses.replace(manifest, info={**manifest.info, "fingerprint": "0" * 64})
    with pytest.raises(ThesisError, match="another version of its videos"):
        check_flow(other, DIS)
    (manifest.root / "flow" / "flow.json").write_text("{")
    with pytest.raises(ThesisError, match=r"flow.json is not valid JSON.*--force"):
        check_flow(manifest, DIS)


def test_force_replaces_our_files_and_no_others(manifest: Manifest) -> None:
    compute(manifest)
    own = manifest.root / "flow" / "mine.npz"
    own.write_bytes(b"mine")
    told = compute(manifest, FlowConfig("farneback"), force=True)
    assert told["computed"] == 3 and "Farneback" in told["departure"]
    assert own.read_bytes() == b"mine"
    assert compute(manifest, FlowConfig("farneback"), force=True)["computed"] == 3
    check_flow(manifest, FlowConfig("farneback"))
    # A split has the flow of the whole, and computing it again has nothing to do.
    part = manifest.select(per_class=1)
    check_flow(part, FlowConfig("farneback"))
    assert compute(part, FlowConfig("farneback"))["present"] == 2


def test_a_broken_video_is_skipped_in_both_places(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"\0" * 500)
    short = write_video(tmp_path / "short.mp4", 10)
    bad = [
        Video(str(p), "a", "train", "bad", 45, 30.0, 64, 48)
        for p in (tmp_path / "broken.mp4", short)
    ]
    write_manifest(Manifest("three", manifest.root, (*bad, *manifest.videos)))
    mixed = read_manifest("three", tmp_path)
    told = compute(mixed)
    assert list(told["skipped"]) == [v.path for v in bad] and told["computed"] == 3
    data = flow_clips(mixed, "flow")
    assert int(data[0]["index"]) == 2
    assert data.failures == [v.path for v in bad]
    report = flow_report(mixed)
    assert (report["videos"], report["missing"], report["problems"]) == (3, 0, [])


def test_the_doctor_and_the_command(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("THESISLIB_DATA", str(manifest.root.parent))
    assert doctor(manifest)["flow"] == {"videos": 0}
    command = ["flow", "three", "--algorithm", "dis", "--jobs", "1"]
    assert cli.main([*command, "--json"]) == 0
    out = capsys.readouterr()
    told = json.loads(out.out)
    assert told["computed"] == 3 and told["departure"].startswith("dense inverse search")
    assert out.err == "", "no bar in a log"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert cli.main([*command, "--force"]) == 0
    assert "flow of three: 100%" in capsys.readouterr().err, "a bar on a screen"
    assert cli.main(["flow", "three"]) == 1
    assert capsys.readouterr().err.count("\n") == 1

    flow_file(manifest, manifest.videos[1]).unlink()
    flow_file(manifest, manifest.videos[0]).write_bytes(b"")
    report = doctor(manifest)
    assert report["flow"]["settings"] == {"algorithm": "dis", "bound": 20.0}
    assert report["flow"]["wrong_length"] == [manifest.videos[0].path]
    (problem,) = [p for p in report["problems"] if "flow" in p]
    assert "1 have no flow and 1 have flow of another length" in problem
    other = dataclasses.replace(manifest, info={**manifest.info, "fingerprint": "0" * 64})
    assert any("another version" in p for p in doctor(other)["problems"])


# -- clips ---------------------------------------------------------------------------------


@pytest.fixture
def twins(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """Videos whose flow shows the red and green of the frames: what is done to them is seen."""
    rows, columns = np.mgrid[:48, :64]
    frames = np.stack([
        np.stack([columns * 3, rows * 3 + k * 2, np.full_like(rows, k)], -1) for k in range(47)
    ]).astype(np.uint8)  # fmt: skip

    class Reader:
        def frames(self, indices: Any) -> np.ndarray:
            return frames[indices]

    def fields(_: Manifest, video: Video, indices: Any) -> np.ndarray:
        assert max(indices) <= video.n_frames - 2
        return frames[indices][..., :2]

    monkeypatch.setattr(module, "open_video", lambda *_: Reader())
    monkeypatch.setattr(module, "read_flow", fields)
    monkeypatch.setattr(module, "check_flow", lambda *_: {})
    return manifest


def test_frames_and_flow_share_time_crop_and_flip(twins: Manifest) -> None:
    rgb, flow, both = (flow_clips(twins, m, PLAIN) for m in ("rgb", "flow", "both"))
    flips = 0
    for key in [(epoch, i) for epoch in range(8) for i in range(3)]:
        pair = both[key]
        assert pair["flow"].shape == pair["video"].shape == (4, 3, 3, 32, 32)
        assert torch.equal(pair["video"], rgb[key]["video"])
        assert torch.equal(pair["flow"], flow[key]["video"])
        frames, fields = denormalise(pair["video"]), denormalise(pair["flow"])
        assert np.array_equal(fields[..., 1], frames[..., 1])  # rows and numbers: crop and time
        assert np.all(fields[..., 2] == 128)
        kept = np.array_equal(fields[..., 0], frames[..., 0])
        # A mirrored clip has the mirrored columns, and x with the other sign.
        assert kept or np.array_equal(fields[..., 0], 255 - frames[..., 0])
        assert kept == (frames[0, 0, 0, 0, 0] < frames[0, 0, 0, -1, 0])
        flips += not kept
    assert 4 < flips < 20


class Both(ClipConfig):
    """Trains on both streams and is judged by one, as the mining of chapter 4."""

    @property
    def streams(self) -> str:
        return "both"


@pytest.mark.parametrize("modality", ["rgb", "flow"])
def test_clips_show_what_the_method_needs_and_windows_what_is_judged(
    twins: Manifest, modality: str
) -> None:
    shape = {"num_seq": 4, "seq_len": 3, "stride": 2, "size": 32, "flow": DIS}
    config = Both(**shape, augment=PLAIN, modality=modality)
    pair = ClipDataset(twins, config, train=True)[2, 1]
    both = flow_clips(twins, "both", PLAIN)[2, 1]
    assert torch.equal(pair["video"], both["video"]) and torch.equal(pair["flow"], both["flow"])
    alone = WindowDataset(twins, config)[0]
    assert "flow" not in alone
    plain = WindowDataset(twins, ClipConfig(**shape, augment=PLAIN, modality=modality))[0]
    assert torch.equal(alone["video"], plain["video"])


def test_colours_are_shared_or_left_out(twins: Manifest) -> None:
    kept = dataclasses.replace(STRONG, flow_colour=False)
    for key in ((0, 0), (1, 2)):
        pair = flow_clips(twins, "both")[key]
        assert torch.equal(pair["video"], flow_clips(twins, "rgb")[key]["video"])
        assert torch.equal(pair["flow"], flow_clips(twins, "flow")[key]["video"])
        pure = flow_clips(twins, "both", kept)[key]
        assert torch.equal(pure["video"], pair["video"])
        assert torch.equal(pure["flow"], flow_clips(twins, "flow", PLAIN)[key]["video"])
        assert not torch.equal(pure["flow"], pair["flow"])


def test_the_last_frame_takes_the_field_before_it(twins: Manifest) -> None:
    config = ClipConfig(
        num_seq=8, seq_len=6, stride=1, size=32, short="pad", modality="both", flow=DIS
    )  # span 48 > 45
    item = WindowDataset(twins, config)[0]
    fields = denormalise(item["flow"]).reshape(-1, 32, 32, 3)
    frames = denormalise(item["video"]).reshape(-1, 32, 32, 3)
    assert np.array_equal(fields[43, ..., 1], frames[43, ..., 1])
    assert all(np.array_equal(f, fields[43]) for f in fields[44:])
    assert not np.array_equal(frames[44], frames[43])


def test_the_cache_serves_both(manifest: Manifest) -> None:
    compute(manifest)
    plain, kept = (flow_clips(manifest, "both", cache=cache) for cache in (False, True))
    for key in ((0, 0), (1, 0)):
        for name in ("video", "flow"):
            assert torch.equal(plain[key][name], kept[key][name])
    assert sum(f.nbytes for f in module.KEPT.values()) == 48 * 64 * (45 * 3 + 44 * 2)


def test_flow_of_another_size_is_refused(twins: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = np.zeros((12, 48, 80, 2), np.uint8)
    monkeypatch.setattr(module, "read_flow", lambda *_: wide)
    with pytest.raises(ThesisError, match=r"80x48 pixels, its frames have 64x48: delete .*npz"):
        flow_clips(twins, "both")[0]


@pytest.mark.usefixtures("must_end")
@pytest.mark.parametrize("context", CONTEXTS)
def test_workers_change_nothing(manifest: Manifest, context: str) -> None:
    compute(manifest)
    data = flow_clips(manifest, "both")
    open_video(manifest.file(manifest.videos[0])).frames([0])  # what it leaves must not hang a fork
    (alone,) = make_loader(data, 3, shuffle=True)
    (there,) = make_loader(data, 3, shuffle=True, num_workers=1, context=context)
    for name in ("video", "flow", "index"):
        assert torch.equal(alone[name], there[name])
