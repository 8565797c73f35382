"""Chapter 6's rows of video and language and of long videos, on a few narrated videos."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import studio
from thesislib import published
from thesislib.chapters import run
from thesislib.chapters.row import Job
from thesislib.chapters.turbo import actions, language, long_video, starts
from thesislib.data import narrations
from thesislib.data.manifest import read_manifest
from thesislib.data.narrated_clips import seconds_of
from thesislib.errors import ThesisError
from thesislib.evaluation.scores import PROBABILITIES, Lacking, load_rows
from thesislib.methods.turbo import Turbo
from thesislib.places import runs_root
from thesislib.runs import load_run
from thesislib.synthetic import prepare_narrated

NCE, LONG = "turbo/nce-m75-r25", "turbo/long-f32"
SETTINGS: dict[str, Any] = {
    "size": 16, "width": 24, "depth": 1, "heads": 2, "decoder_width": 12, "decoder_depth": 1,
    "decoder_heads": 2, "epochs": 1, "val_every": 1, "warmup": 1,
}  # fmt: skip


class Sentences:
    """A feature of a sentence from its letters."""

    weights_hash = "letters"
    width = 26

    def encode_texts(self, texts: list[str], batch_size: int = 256) -> torch.Tensor:
        counts = [[text.count(chr(97 + k)) for k in range(26)] for text in texts]
        return torch.tensor(counts, dtype=torch.float32)


SENTENCES = Sentences()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("narrated")
    with pytest.MonkeyPatch.context() as patch:
        studio.use_folders(patch, root)
        prepare_narrated(root=root / "data", clips=12, size=16, jobs=1, progress=False)
        patch.setattr(language, "load_sentences", lambda name, device="cpu": SENTENCES)
        patch.setattr(starts, "SHARED", tuple(SETTINGS))  # beginnings as short as the rest
        yield root


def job(row: str = NCE, **changes: Any) -> Job:
    return Job(row, log=None, changes=SETTINGS | changes)


@pytest.fixture(scope="module")
def learnt(made: Path) -> dict[str, Any]:
    return run.run(job())


def test_a_row_runs(learnt: dict[str, Any]) -> None:
    metrics = learnt["metrics"]
    assert learnt["dataset"] == "synthetic_narrated"
    assert load_run(learnt["source"])[0].config.text_dim == 26
    assert 0 <= metrics["align_r1"] <= 1
    assert len(learnt["hits"]["align_r1"]) == learnt["videos"]["evaluated"]
    assert {"pretext_task", "pretext_pmae", "align_r1_strict"} <= metrics.keys()
    assert run.run(job()) == learnt  # found, not trained again


def test_what_it_leaves_gives_its_score_again(learnt: dict[str, Any]) -> None:
    kept = load_file(runs_root() / learnt["run"] / language.MOMENTS)
    manifest = read_manifest("synthetic_narrated").select("test")
    seen = narrations.read_alignments(manifest)
    hits = []
    for video in manifest.videos:
        rows, texts = kept[f"video/{video.path}"], kept[f"text/{video.path}"]
        assert len(rows) == seconds_of(video)
        for text, when in zip(texts, [w for w in seen[video.path] if w.alignable], strict=True):
            near = [row @ text / np.linalg.norm(row) / np.linalg.norm(text) for row in rows]
            hits.append(np.floor(when.start) <= np.argmax(near) <= np.ceil(when.end))
    assert "".join("01"[int(hit)] for hit in hits) == learnt["hits"]["align_r1"]


def test_seconds_do_not_depend_on_how_many_are_read_together(learnt: dict[str, Any]) -> None:
    model = language.pretrained(job()).model
    config = run.settings(job())
    some = read_manifest("synthetic_narrated").select("val")
    one = language.seconds(model, some, config)
    other = language.seconds(model, some, replace(config, batch_size=3))
    assert one.keys() == other.keys() == {v.path for v in some.videos}
    for path, rows in one.items():
        np.testing.assert_allclose(rows, other[path], atol=1e-5)


def test_the_truth_of_test_videos_is_not_learnt_from(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, manifest = language.fitted(run.settings(job())), read_manifest("synthetic_narrated")
    for split in ("train", "val"):
        clips = language.pairs(manifest, config, split)
        assert {clips.manifest.videos[p.video].split for p in clips.pairs} == {split}
    with pytest.raises(ThesisError, match="test video"):
        language.pairs(manifest, config, "test")


def test_texts_are_those_of_their_pairs(made: Path) -> None:
    clips = language.pairs(
        read_manifest("synthetic_narrated"), language.fitted(run.settings(job())), "train"
    )
    for index in (0, 7, len(clips) - 1):
        item = clips[index]
        text = clips.pairs[int(item["pair"])].text
        assert torch.equal(item["text"], SENTENCES.encode_texts([text])[0])


def test_speech_gives_other_pairs(made: Path) -> None:
    heard = language.fitted(run.settings(job("turbo/nce-heard")))
    manifest = read_manifest("synthetic_narrated")
    some = language.pairs(manifest, heard, "train")
    said = narrations.read_narrations(manifest.select("train"))
    assert len(some) == sum(map(len, said.values()))
    assert len(some) > len(language.pairs(manifest, language.fitted(run.settings(job())), "train"))


def test_chance_and_random_weights(made: Path, learnt: dict[str, Any]) -> None:
    chance = run.run(job("turbo/nce-chance"))["metrics"]
    assert chance["align_r1"] == pytest.approx(learnt["metrics"]["chance_align_r1"])
    drawn = run.run(job("turbo/nce-random"))
    assert drawn["source"] == ""
    assert 0 <= drawn["metrics"]["align_r1"] <= 1


def test_another_encoder_is_another_result(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = run.folder(job()).name
    monkeypatch.setattr(SENTENCES, "weights_hash", "others")
    assert run.folder(job()).name != before


def test_a_batch_is_learnt_by_heart(made: Path) -> None:
    torch.manual_seed(0)
    config = language.fitted(run.settings(job(depth=2, width=48)))
    clips = language.pairs(read_manifest("synthetic_narrated"), config, "train")
    items = [clips[i] for i in range(0, 64, 8)]
    batch = {name: torch.stack([item[name] for item in items]) for name in ("video", "text")}
    model = Turbo(config)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(150):
        loss, _ = model(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    near = model.pair_logits(model.encode_video(batch), batch["text"])
    assert (near.argmax(1) == torch.arange(8)).all()


def test_two_runs_are_one(made: Path, learnt: dict[str, Any], monkeypatch: Any) -> None:
    monkeypatch.setenv("THESISLIB_RUNS", str(made / "again"))
    again = run.run(job())
    assert again["metrics"] == learnt["metrics"]


def test_a_set_without_truth_is_lacking(made: Path, learnt: dict[str, Any]) -> None:
    manifest = read_manifest("synthetic_narrated")
    mute = replace(manifest, root=made)  # where no such files are
    with pytest.raises(Lacking, match="Nobody knows"):
        language.seen_sentences(mute.select("test"))
    assert language.seen_sentences(manifest.select("test"))


# -- long videos ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long(made: Path, learnt: dict[str, Any]) -> dict[str, Any]:
    return run.run(job(LONG))


def test_a_long_row_runs(long: dict[str, Any], learnt: dict[str, Any]) -> None:
    assert long["dataset"] == "synthetic_narrated"
    assert 0 <= long["metrics"]["long_top1"] <= 1
    settings = long["config"]["pretrain"]
    assert (settings["seq_len"], settings["trained_frames"], settings["text_dim"]) == (32, 8, 0)
    learnt_by = long_video.trained(job(LONG)).model.config
    assert learnt_by.classes == len(read_manifest("synthetic_narrated").classes)
    rows = load_rows(runs_root() / long["run"] / PROBABILITIES)
    assert rows.values.sum(1) == pytest.approx(1)
    assert float((rows.values.argmax(1) == rows.labels).mean()) == long["metrics"]["long_top1"]


def test_it_starts_from_sentences(long: dict[str, Any], learnt: dict[str, Any]) -> None:
    trained = long_video.trained(job(LONG))
    assert trained.run is not None
    assert trained.model.config.source == learnt["source"]
    scratch = run.train(job("turbo/long-f32-scratch"))
    assert scratch.model.config.source == ""


def test_a_long_result_is_named_by_the_sentences_that_its_start_learnt_from(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = (LONG, "turbo/long-f32-mae", "turbo/long-f32-scratch")
    before = [run.folder(job(row)).name for row in rows]
    monkeypatch.setattr(language, "sentences", lambda _: SimpleNamespace(weights_hash="other"))
    after = [run.folder(job(row)).name for row in rows]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, True]


def test_first_weights_are_those_of_the_source(made: Path, learnt: dict[str, Any]) -> None:
    source = language.pretrained(job()).model
    model = Turbo(run.settings(job(LONG)))
    starts.taking(source)(model)
    for name, value in model.encoder.state_dict().items():
        assert torch.equal(value, source.encoder.state_dict()[name])


def test_a_probe_reads_what_sentences_taught(made: Path, learnt: dict[str, Any]) -> None:
    read = actions.taken(job("turbo/probe-nce"), actions.SPOKEN)
    taught = load_run(learnt["source"])[0].encoder.state_dict()
    assert read.run is None
    for name, value in read.model.encoder.state_dict().items():
        assert torch.equal(value, taught[name])
    found = run.run(job("turbo/probe-nce"))
    assert found["metrics"]["top1"] == found["metrics"]["probe_top1"]


def test_equal_visible_tokens(made: Path) -> None:
    from thesislib.nn.tokens import count_tokens

    seen = set()
    for row in ("turbo/long-f16", "turbo/long-f32", "turbo/long-f64"):
        config = run.settings(job(row))
        seen.add(count_tokens(config.grid, config.mask_ratio, config.recon_ratio))
    assert len(seen) == 1


def test_samples_are_averaged(made: Path, long: dict[str, Any]) -> None:
    trained = long_video.trained(job(LONG))
    config = run.settings(job(LONG))
    some = read_manifest("synthetic_narrated").select("val")
    rows = long_video.classify(trained.model, some, config, 3)
    clips = long_video.LongClips(some, long_video.FULL.apply(config), train=False, samples=3)
    for number, row in enumerate(rows.values):
        found = []
        for sample in range(3):
            video = clips[3 * number + sample]["video"][None]
            with torch.no_grad():
                found.append(trained.model.eval().predict({"video": video}).softmax(1)[0].numpy())
        np.testing.assert_allclose(row, np.mean(found, 0), atol=1e-5)


def test_from_pixels(made: Path) -> None:
    found = long_video.from_pixels(job("turbo/long-f32-mae"))
    assert found.run is not None
    config = found.model.config
    assert (config.text_dim, config.classes, config.recon_ratio) == (0, 0, 0.9)
    assert "pretext_task" not in found.result["metrics"]
    assert run.run(job("turbo/long-f32-mae"))["metrics"]["long_top1"] >= 0


def test_rows_serve_the_tables() -> None:
    keys = {row.key for number in ("6.3", "6.4") for row in published.table(number).rows}
    mine = {key for key in keys if key and key.startswith("turbo/")}
    assert mine <= run.rows("turbo").keys()
