"""Chapter 5's rows of text-video retrieval, on made-up features of captioned videos."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import prompting
import studio
from thesislib import published
from thesislib.chapters import run
from thesislib.chapters.clip_prompt import frames, retrieval, show, vectors
from thesislib.chapters.row import Job
from thesislib.data.caption_clips import CaptionClips
from thesislib.data.captions import write_captions
from thesislib.data.feature_clips import FeatureClips
from thesislib.data.manifest import Manifest, read_manifest
from thesislib.errors import ThesisError
from thesislib.methods.clip_prompt import ClipPrompt
from thesislib.train import Trained

PLAIN, PROMPTS = "clip_prompt/retrieval-zero-shot", "clip_prompt/retrieval-4+x+4"
WHO, WHAT = ("man", "woman", "child", "dog"), ("runs", "jumps", "sings", "sleeps")
COUNTS, DIM = {"train": 64, "val": 8, "test": 16}, 24
SETTINGS: dict[str, Any] = {"context": 2, "layers": 1, "frames": 4, "epochs": 25, "lr": 5e-3}


def video_of(number: int) -> tuple[str, np.ndarray, np.ndarray]:
    """A sentence, features that show both of its words, and their times."""
    rng, ways = np.random.default_rng([3, number]), np.random.default_rng(5)
    directions = ways.standard_normal((8, DIM))
    who, what = number % 4, number // 4 % 4
    rows = directions[who] + directions[4 + what] + 0.3 * rng.standard_normal((6, DIM))
    return f"a {WHO[who]} {WHAT[what]}", rows.astype(np.float32), np.arange(6) / 4


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("retrieval")
    with pytest.MonkeyPatch.context() as patch:
        studio.use_folders(patch, root)
        splits = {f"{s}/{n}.mp4": s for s, count in COUNTS.items() for n in range(count)}
        videos = {path: video_of(i) for i, path in enumerate(splits)}
        splits |= {"test/broken.mp4": "test", "test/silent.mp4": "test"}
        manifest = prompting.listed(root, "synthetic_captions", splits, {})
        said = [(path, text) for path, (text, *_) in videos.items()]
        said += [("train/0.mp4", "another sentence"), ("test/broken.mp4", "nobody knows")]
        write_captions(manifest, said)
        prompting.written(manifest)
        rows = {path: (features, times) for path, (_, features, times) in videos.items()}
        rows["test/silent.mp4"] = rows["train/0.mp4"]
        prompting.given_features(patch, rows)
        prompting.tiny_preset(patch, prompting.tiny_model(root / "model", DIM))
        yield root


def job(row: str, **more: Any) -> Job:
    changes = {"epochs": 1} if row == PLAIN else SETTINGS
    return Job(row, **{"log": None, "changes": changes, **more})


@pytest.fixture(scope="module")
def results(made: Path) -> dict[str, dict[str, Any]]:
    return {row: run.run(job(row)) for row in (PLAIN, PROMPTS)}


def parts(row: str = PROMPTS) -> tuple[Any, Manifest, Any]:
    config = run.settings(job(row))
    manifest = read_manifest("synthetic_captions")
    return config, manifest, frames.store(manifest, config, None)


# -- pairs of clips and captions -------------------------------------------------------------


def numbered(texts: Any) -> torch.Tensor:
    """A tokenizer that knows sentences by their length."""
    return torch.tensor([[len(text), 7] for text in texts])


def test_one_caption_a_video_an_epoch_by_its_key(made: Path) -> None:
    _, manifest, kept = parts()
    some = manifest.select("train")
    clips = FeatureClips(some, kept, frames=4, strides=(1,), train=True)
    captions = retrieval.captions_of(some)
    pairs = CaptionClips(clips, captions, numbered, seed=1)
    assert len(pairs) == COUNTS["train"]
    first = [int(pairs[epoch, 0]["tokens"][0]) for epoch in range(40)]
    assert set(first) == {len(text) for text in captions["train/0.mp4"]}  # both are drawn
    assert first == [int(pairs[epoch, 0]["tokens"][0]) for epoch in range(40)]
    for index in (1, 9):
        item = pairs[3, index]
        assert item["tokens"].tolist() == [len(captions[f"train/{index}.mp4"][0]), 7]
        assert torch.equal(item["features"], clips[3, index]["features"])
        assert item["tokens"].dtype == torch.int64 and int(item["text"]) == 0
    with pytest.raises(IndexError):
        pairs[0, len(pairs)]


def test_videos_without_a_caption_are_left_out(made: Path) -> None:
    _, manifest, kept = parts()
    clips = FeatureClips(manifest.select("test"), kept, frames=4, strides=(1,), train=True)
    pairs = CaptionClips(clips, {"test/3.mp4": ["x"], "test/5.mp4": ["y", "zz"]}, numbered)
    assert len(pairs) == 2 and int(pairs[1]["index"]) == 5
    with pytest.raises(ThesisError, match="Not one video of 'synthetic_captions' has both"):
        CaptionClips(clips, {"test/broken.mp4": ["x"]}, numbered)


# -- the two rows ----------------------------------------------------------------------------


def test_learnt_prompts_beat_plain_captions(results: dict[str, dict[str, Any]]) -> None:
    plain, prompts = (results[row]["metrics"] for row in (PLAIN, PROMPTS))
    assert prompts["t2v_r1"] > 0.6 > 2 * plain["t2v_r1"]
    assert prompts["v2t_r1"] > 0.6 and prompts["t2v_median"] == 1
    assert plain["chance_t2v_r1"] == 1 / 16 and plain["chance_t2v_median"] == 8.5
    counts = results[PROMPTS]["videos"]
    assert (counts["evaluated"], counts["skipped"]) == (16, 2)
    assert results[PROMPTS]["hits"]["t2v_r1"].count("1") == round(16 * prompts["t2v_r1"])


def test_ranks_of_what_was_kept_by_a_loop(results: dict[str, dict[str, Any]]) -> None:
    found = retrieval.Embedded.load(run.folder(job(PROMPTS)).path / retrieval.FEATURES)
    assert found.names == tuple(f"test/{n}.mp4" for n in range(16))
    unit = [[x / np.linalg.norm(x) for x in rows] for rows in found.videos.double().numpy()]
    texts = [x / np.linalg.norm(x) for x in found.texts.double().numpy()]
    ranks = []
    for i, text in enumerate(texts):
        near = [np.mean([text @ clip for clip in clips]) for clips in unit]
        ranks.append(sum(x >= near[i] - 1e-9 for x in near))
    metrics = results[PROMPTS]["metrics"]
    assert metrics["t2v_r5"] == np.mean([rank <= 5 for rank in ranks])
    assert metrics["t2v_mean"] == pytest.approx(np.mean(ranks))
    assert metrics["t2v_median"] == np.median(ranks)


def test_alike_videos_tie_and_count_as_told(made: Path) -> None:
    texts = torch.eye(3)
    videos = torch.stack([texts[0], texts[0], texts[2]])[:, None]
    own = torch.arange(3)
    scores = retrieval.measured(retrieval.Embedded(texts, videos, own, ("a", "b", "c"), ("",) * 3))
    assert scores.metrics["t2v_r1"] == pytest.approx(1 / 3)  # 2, 3, 1 at their worst
    assert scores.metrics["t2v_mean"] == 2
    assert scores.metrics["t2v_mean_ties_mean"] == pytest.approx((1.5 + 2 + 1) / 3)


def test_the_baseline_is_the_plain_caption_and_the_mean_of_all_rows(made: Path) -> None:
    config, manifest, kept = parts(PLAIN)
    trained = retrieval.untrained(job(PLAIN))
    some = manifest.select("test")
    found = retrieval.embedded(trained.model, some, kept, retrieval.captions_of(some))
    encoder = frames.image_text(config)
    torch.testing.assert_close(found.texts, encoder.encode_texts(list(found.captions)))
    rows = kept.read("test/3.mp4")[0].astype(np.float32)
    torch.testing.assert_close(found.videos[3, 0], torch.from_numpy(rows.mean(0)))


def test_a_long_caption_keeps_its_end(made: Path) -> None:
    config, _, _ = parts()
    model = ClipPrompt(config, frames.image_text(config).model).eval()
    short = "a man runs"
    long = " ".join(["a man runs and jumps"] * 20)
    with torch.no_grad():
        texts = retrieval.encode_texts(model, [short, long, long + " and sings"])
    ids = frames.tokens(frames.image_text(config), [long])
    vectors, last = model.text.lay_out(ids)
    assert last.tolist() == [model.text.tower.window - 1]
    end = model.text.tower.embed(ids.max()[None, None])[0, 0]
    assert torch.equal(vectors[0, -1], end)
    assert not torch.allclose(texts[0], texts[1])
    torch.testing.assert_close(texts[1], texts[2])  # what is cut off says nothing


def test_settings_and_splits_of_the_real_sets(made: Path) -> None:
    paper = run.settings(Job(PROMPTS, "paper"))
    assert paper.dataset == run.judged_on(Job(PROMPTS, "paper")) == "msrvtt"
    assert (paper.context, paper.layers, paper.strides) == (4, 2, (10, 15, 30))
    assert retrieval.LEARNT_FROM == {"lsmdc": "val"}
    _, manifest, _ = parts()
    manifest.info["recipe"] = "didemo"
    assert retrieval.captions_of(manifest)["train/0.mp4"] == ("a man runs another sentence",)
    assert retrieval.captions_of(read_manifest(manifest.root))["train/0.mp4"][1:] == (
        "another sentence",
    )
    assert run.settings(Job(PROMPTS)).strides == (1,)
    assert {"t2v_r10", "t2v_median", "v2t_r1"} <= set(published.metrics())


def test_damage_and_absence_are_named(made: Path, tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"no")
    for path in (tmp_path / "x.safetensors", tmp_path / "none"):
        with pytest.raises(ThesisError, match="evaluate the row again"):
            retrieval.Embedded.load(path)
    _, manifest, kept = parts()
    trained: Trained = retrieval.untrained(job(PLAIN))
    with pytest.raises(ThesisError, match="No video of 'synthetic_captions' has features and"):
        retrieval.embedded(trained.model, manifest, kept, {})


# -- what is shown ---------------------------------------------------------------------------


def test_lookups_and_nearest_words(
    results: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show, "strip", lambda m, v, n: np.full((n, 8, 8, 3), 9, np.uint8))
    one = show.lookups(job(PROMPTS), queries=(0, 5), k=3)
    assert one.captions == ["a man sings", "a woman sleeps"]
    assert one.strips.shape == (2, 3, 4, 8, 8, 3)
    assert [rank == 1 for rank in one.ranks] == one.right[:, 0].tolist()
    picture = show.lookups_picture(job(PROMPTS), (0, 5))
    assert f"Rank of the own video: {one.ranks[0]}, {one.ranks[1]}" in picture.alt
    assert len(picture.png()) < 150_000
    model = run.train(job(PROMPTS)).model
    encoder = frames.image_text(model.config)
    near = vectors.nearest_words(model, encoder, k=2)
    assert [n.place for n in near] == ["before 1", "before 2", "after 1", "after 2"]
    with torch.no_grad():  # a vector that is a word
        model.text.vectors[0] = model.text.tower.parts.token_embedding.weight[1125]
    word = vectors.nearest_words(model, encoder)[0]
    assert word.words[0] == encoder.tokenizer.decode([1125]).strip()
    assert word.cosines[0] == pytest.approx(1)
    page = vectors.nearest_words_page(model, encoder, most=2).text
    assert "| before 1 |" in page and page.count("\n") == 6
    assert f"| mean of random vectors | {vectors.by_chance(model):.2f} |" in page
