"""The index of videos: look-up against naive loops, files that come back, damaged files."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from studio import SMALL, tiny
from thesislib.clip_config import ClipConfig
from thesislib.data.dataset import WindowDataset
from thesislib.data.manifest import Manifest, Video
from thesislib.errors import ThesisError
from thesislib.evaluation.features import FULL, extract, preprocessing
from thesislib.evaluation.index import FeatureIndex, Stream, join
from thesislib.evaluation.indexing import build_index, weights_hash
from thesislib.methods.dpc import DPC, DPCConfig


def index_of(values: np.ndarray, weights: str = "w", first: int = 0) -> FeatureIndex:
    videos = tuple(
        Video(f"/v/{first + i}.mp4", "ab"[i % 2], "train", "", 30, 30.0, 64, 48)
        for i in range(len(values))
    )
    stream = Stream(values.astype(np.float32), "", weights, "s", 1, {"modality": "rgb"})
    return FeatureIndex("mine", "f", videos, ("a", "b"), (stream,))


def cosines(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Naive: centred by the gallery's mean, one pair at a time."""
    mean = gallery.mean(0)
    return np.array(
        [
            [
                (q - mean) @ (g - mean) / np.linalg.norm(q - mean) / np.linalg.norm(g - mean)
                for g in gallery
            ]
            for q in queries
        ]
    )


def test_search_is_a_naive_loop_without_the_query() -> None:
    values = np.random.default_rng(0).normal(size=(9, 5))
    found = index_of(values).search(k=3)
    all_pairs = cosines(values, values)
    for i in range(9):
        order = [j for j in np.argsort(-all_pairs[i]) if j != i][:3]
        assert found.rows[i].tolist() == order
        assert found.cosine[i] == pytest.approx(all_pairs[i][order], abs=1e-5)


def test_a_single_query_from_outside_is_centred_by_the_index() -> None:
    rng = np.random.default_rng(1)
    values, query = rng.normal(size=(8, 4)), rng.normal(size=(1, 4))
    found = index_of(values).search(index_of(query, first=100), k=8)
    expected = cosines(query, values)[0]
    assert found.rows[0].tolist() == np.argsort(-expected).tolist()
    assert found.cosine[0] == pytest.approx(np.sort(expected)[::-1], abs=1e-5)
    # A query that the index knows by its path is left out, the others are not.
    mixed = index_of(values[2:4], first=3)
    assert 3 not in index_of(values).search(mixed, k=7).rows[0]


def test_two_streams_average_their_cosines() -> None:
    rng = np.random.default_rng(2)
    rgb, flow = rng.normal(size=(7, 4)), 100 * rng.normal(size=(7, 9))  # scales must not matter
    both = join([index_of(rgb, "rgb"), index_of(flow, "flow")])
    found = both.search(k=2)
    mean = (cosines(rgb, rgb) + cosines(flow, flow)) / 2
    for i in range(7):
        order = [j for j in np.argsort(-mean[i]) if j != i][:2]
        assert found.rows[i].tolist() == order
        assert found.cosine[i] == pytest.approx(mean[i][order], abs=1e-5)


def test_copies_of_a_video_find_each_other_and_never_themselves() -> None:
    values = np.tile(np.random.default_rng(3).normal(size=(2, 4)), (5, 1))  # five copies each
    rows = index_of(values).search(k=4).rows
    for i, row in enumerate(rows):
        assert sorted(row) == [j for j in range(10) if j % 2 == i % 2 and j != i]


def test_features_near_zero_are_searched_like_any_others() -> None:
    """An untrained S3D makes features near 1e-16."""
    values = np.random.default_rng(0).normal(size=(9, 4))
    plain, faint = (index_of(values * scale).search(k=3) for scale in (1, 1e-16))
    assert (plain.rows == faint.rows).all()
    np.testing.assert_allclose(plain.cosine, faint.cosine, atol=1e-5)


def test_what_cannot_be_searched_is_refused() -> None:
    index = index_of(np.eye(4))
    with pytest.raises(ThesisError, match="4 neighbours asked for, the index has 3 other"):
        index.search(k=4)
    with pytest.raises(ThesisError, match="not encoded by the encoders of the index"):
        index.search(index_of(np.eye(4), "other"))
    with pytest.raises(ThesisError, match="not all finite"):
        index_of(np.full((4, 2), np.nan)).search(k=1)


def test_streams_join_over_the_videos_that_both_have() -> None:
    one, two = index_of(np.eye(5), "x"), index_of(2 * np.eye(5), "y")
    both = join([one.select([0, 1, 3]), replace(two.select([4, 3, 1]), skipped=("0.mp4",))])
    assert [v.path for v in both.videos] == ["/v/1.mp4", "/v/3.mp4"]
    assert np.array_equal(both.streams[1].values, 2 * np.eye(5)[[1, 3]])
    assert both.skipped == ("0.mp4",)
    with pytest.raises(ThesisError, match="no video in common"):
        join([one.select([0]), two.select([1])])
    with pytest.raises(ThesisError, match="different data sets"):
        join([one, replace(two, fingerprint="g")])


def test_an_index_comes_back_as_it_was(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    index = join([index_of(rng.normal(size=(5, d)), w) for d, w in ((3, "a"), (6, "b"))])
    folder = index.save(tmp_path / "i")
    back = FeatureIndex.load(folder)
    assert back.note() == index.note() == json.loads((folder / "index.json").read_text())
    tensors = load_file(folder / "features.safetensors")
    assert set(tensors) == {"values", "values2", "labels"}
    assert tensors["labels"].tolist() == [0, 1, 0, 1, 0] and tensors["labels"].dtype == np.int64
    for a, b in zip(back.streams, index.streams, strict=True):
        assert a.values.dtype == np.float32 and np.array_equal(a.values, b.values)
    assert sorted(p.name for p in folder.iterdir()) == ["features.safetensors", "index.json"]
    index.select([0, 1]).save(folder)  # replaced as a whole
    assert len(FeatureIndex.load(folder)) == 2


def test_damaged_and_foreign_indices_get_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = index_of(np.eye(3))
    with pytest.raises(ThesisError, match=r"no index in .*`thesislib features` makes one"):
        FeatureIndex.load(tmp_path / "none")
    file = index.save(tmp_path / "i") / "features.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-4])
    with pytest.raises(ThesisError, match="damaged"):
        FeatureIndex.load(tmp_path / "i")
    file.write_bytes(whole.replace(b'\\"format\\": 3', b'\\"format\\": 7'))
    with pytest.raises(ThesisError, match="has the format 7, this version reads 2 and 3"):
        FeatureIndex.load(tmp_path / "i")
    rng = np.random.default_rng(0)
    for bit in rng.choice(8 * len(whole), 300, replace=False):  # one flipped bit anywhere
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        with pytest.raises(ThesisError, match=r"again with `thesislib features`\.$") as caught:
            FeatureIndex.load(tmp_path / "i")
        assert "\n" not in str(caught.value)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "index.json").write_text("{}")
    with pytest.raises(ThesisError, match="holds other files"):
        index.save(tmp_path / "photos")
    assert (tmp_path / "photos" / "index.json").read_text() == "{}"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    file.write_bytes(whole)
    monkeypatch.setattr("thesislib.evaluation.index.save_file", full)
    with pytest.raises(ThesisError, match="free some space"):
        index.select([0, 1]).save(tmp_path / "i")
    assert len(FeatureIndex.load(tmp_path / "i")) == 3, "the old one is still there"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[DPC, Manifest, DPCConfig]:
    config = DPCConfig.preset("small").override(SMALL)
    torch.manual_seed(0)
    return DPC(config), tiny(tmp_path_factory.mktemp("data")), config


def test_every_split_is_encoded_and_bad_files_are_named(
    made: tuple[DPC, Manifest, DPCConfig], tmp_path: Path
) -> None:
    model, manifest, config = made
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    broken = replace(manifest.videos[3], path=str(tmp_path / "broken.mp4"))
    videos = (*manifest.videos[:3], broken, *manifest.videos[4:])
    manifest = replace(manifest, videos=videos)
    index = build_index(model, manifest, config, run="r")
    assert len(index) == 39 and index.skipped == (broken.path,)
    assert {v.split for v in index.videos} == {"train", "val", "test"}
    assert all(Path(v.path).is_file() for v in index.videos)
    test = manifest.select(split="test")
    rows = [i for i, v in enumerate(index.videos) if v.split == "test"]
    assert np.allclose(index.streams[0].values[rows], extract(model, test, config).values)
    assert [index.classes[i] for i in index.labels] == [v.label for v in index.videos]


def test_the_note_says_what_the_encoder_saw(made: tuple[DPC, Manifest, DPCConfig]) -> None:
    model, manifest, config = made
    said = build_index(model, manifest.select(per_class=1), config).streams[0].preprocessing
    windows = WindowDataset(manifest, FULL.apply(config))
    first, second = (start for _, _, start in windows.windows[:2])
    assert said["raw_frames_between_windows"] == second - first
    assert said["raw_frames_per_window"] == windows.config.span == 12
    video = windows[0]["video"]  # (N, 3, T, S, S)
    assert said["frames_per_window"] == video.shape[0] * video.shape[2]
    assert said["size_pixels"] == video.shape[-1] == 32


def test_a_network_whose_training_failed_makes_no_index(
    made: tuple[DPC, Manifest, DPCConfig],
) -> None:
    _, manifest, config = made
    model = DPC(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(float("nan"))
    with pytest.raises(ThesisError, match=r"^r gives features that are not finite"):
        build_index(model, manifest.select(per_class=1), config, run="r")
    with pytest.raises(ThesisError, match=r"^The model gives features that are not finite.*lower"):
        extract(model, manifest, replace(config, batch_size=1))


def test_weights_are_known_by_their_hash() -> None:
    model = DPC(DPCConfig.preset("small").override(SMALL))
    before = weights_hash(model)
    assert before == weights_hash(model)
    with torch.no_grad():
        next(model.parameters()).flatten()[0] += 1e-3
    assert weights_hash(model) != before


def test_windows_of_one_block_overlap_by_half_and_the_note_says_so() -> None:
    config = ClipConfig(num_seq=1, seq_len=8, stride=3)
    assert preprocessing(config, 1)["raw_frames_between_windows"] == 12
    many = ClipConfig(num_seq=5, seq_len=3, stride=2)
    assert preprocessing(many, 1)["raw_frames_between_windows"] == 2 * 3 * 2
