"""The sheet of clips as a network gets them, from Python and from the command line."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import studio
from thesislib import cli
from thesislib.chapters.pictures import training_views
from thesislib.clip_config import FlowConfig
from thesislib.data.dataset import ClipDataset
from thesislib.data.flow import compute_flow
from thesislib.data.manifest import Manifest, read_manifest
from thesislib.data.reader import open_video
from thesislib.data.transforms import denormalise
from thesislib.methods.dpc import DPCConfig

DIS = FlowConfig("dis")
CONFIG = replace(DPCConfig().override(studio.SMALL), seed=3)  # 4 blocks of 3 of 20 frames


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    root = tmp_path_factory.mktemp("data")
    studio.tiny(root)
    made = read_manifest("synthetic", root)
    compute_flow(made, DIS, jobs=1, progress=False)
    return made


def test_one_view_stands_beside_what_was_decoded(manifest: Manifest) -> None:
    seen = training_views(manifest, CONFIG, videos=2, frames=4)
    assert len(seen.frames) == len(seen.titles) == len(seen.numbers) == 4
    train = manifest.select("train")
    dataset = ClipDataset(train, replace(CONFIG, short="pad"), train=True)
    index = int(np.random.default_rng(3).permutation(len(dataset))[0])
    decoded, shown, picks = seen.frames[0], seen.frames[1], [0, 4, 7, 11]
    video, numbers = train.videos[dataset.videos[index]], seen.numbers[0]
    start = np.random.default_rng([3, 0, index]).integers(20 - 12)
    assert numbers == seen.numbers[1] == [start + p for p in picks]
    assert np.array_equal(decoded, open_video(train.file(video)).frames(numbers))
    clip = denormalise(dataset[(0, index)]["video"]).reshape(12, 32, 32, 3)
    assert np.array_equal(shown, clip[picks])
    assert seen.titles[0].startswith(video.label.replace("_", " "))
    assert seen.titles[1] == "as the network gets it"


def test_two_views_stand_under_their_windows_with_their_flow(manifest: Manifest) -> None:
    config = replace(CONFIG, views=2, one_window=1.0, heavy=0.5, modality="both", flow=DIS)
    seen = training_views(manifest, config, videos=3, frames=3)
    assert len(seen.frames) == 3 * 2 * 2 * 2
    assert {row.shape[0] for row in seen.frames} == {3}
    assert {row.shape[1:] for row in seen.frames} == {(32, 32, 3)}
    for first in range(0, 24, 8):
        rgb, flow = seen.titles[first : first + 4], seen.titles[first + 4 : first + 8]
        assert rgb[0].endswith("as decoded") and "flow" in flow[0] and "flow" not in rgb[0]
        assert {rgb[2].split(", ")[1], rgb[3].split(", ")[1]} == {"light", "heavy"}
        assert [title.split(", contrast ×")[0] for title in flow[2:]] == rgb[2:]
        assert len({tuple(n) for n in seen.numbers[first : first + 8]}) == 1, "one window"
    two = training_views(manifest, replace(config, one_window=0.0), videos=6, frames=3)
    pairs = [(two.numbers[i], two.numbers[i + 1]) for i in range(0, 48, 8)]
    assert any(a != b for a, b in pairs)
    long = training_views(manifest, replace(CONFIG, stride=3), videos=1, frames=3)
    assert long.numbers[0] == [0, 18, 19], "a short video ends with its last frame"


def test_the_command(
    manifest: Manifest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("THESISLIB_DATA", str(manifest.root.parent))
    monkeypatch.chdir(tmp_path)
    command = ["show", "synthetic", "--augmented", "dpc:small", "--set", "views=2"]
    assert cli.main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"picture": "synthetic-dpc.png"}
    with Image.open("synthetic-dpc.png") as picture:
        assert picture.size[0] > 600 and picture.size[1] > 300
    assert cli.main([*command, "--out", "sub/x.png", "--set", "seed=1"]) == 0
    assert Path("sub/x.png").read_bytes() != Path("synthetic-dpc.png").read_bytes()
    capsys.readouterr()
    for wrong, words in (
        (["--augmented", "dcp"], "did you mean 'dpc'?"),
        (["--augmented", "dpc:papre"], "did you mean 'paper'?"),
        (["--set", "views=2"], "add --augmented METHOD"),
    ):
        assert cli.main(["show", "synthetic", *wrong]) == 1
        assert words in capsys.readouterr().err
