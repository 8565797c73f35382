"""Chapter 5's recognition rows on a tiny captioned data set and a tiny model of random weights."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import studio
from thesislib import published, runs
from thesislib.chapters import frame_features, run
from thesislib.chapters.clip_prompt import claims, few_shot, frames, lists, recognition, sceptic
from thesislib.chapters.clip_prompt.rows import ROWS
from thesislib.chapters.row import Job
from thesislib.data.manifest import Manifest, read_manifest
from thesislib.errors import ThesisError
from thesislib.evaluation.scores import PROBABILITIES, PerVideo, load_rows
from thesislib.info import describe
from thesislib.methods.clip_prompt import ClipPrompt, ClipPromptConfig
from thesislib.synthetic import PAIRS, World, prepare_captions
from thesislib.torchvision_here import ensure_torchvision

ensure_torchvision()
pytest.importorskip("open_clip")

ACTIONS = ("sit_down", "stand_up", "raise_arms", "lower_arms", "wave", "squat")
VISION = {"layers": [1, 1, 1, 1], "width": 4, "image_size": 32, "head_width": 8}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
MODEL = {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": TEXT}
SETTINGS: dict[str, Any] = {
    "weights": "random", "epochs": 2, "batch_size": 8, "frames": 4, "strides": (1, 2), "warmup": 0,
    "test_clips": 2, "most_classes": 6, "heads": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("chapter5")
    (root / "tiny.json").write_text(json.dumps(MODEL))
    paper = ClipPromptConfig.preset("paper")
    small = ClipPromptConfig.preset("small").override(
        {"model": str(root / "tiny.json"), **SETTINGS}
    )
    with pytest.MonkeyPatch.context() as patch:
        studio.use_folders(patch, root)
        patch.setattr(
            ClipPromptConfig, "preset", staticmethod({"small": small, "paper": paper}.get)
        )
        patch.setattr(lists, "TRIALS", {5: 3, None: 2})
        patch.setattr(lists, "DRAWS", 2)
        patch.setattr(few_shot, "CURVE", (1, 2))
        patch.setattr(few_shot, "ROUNDS", 2)
        world = World(actions=ACTIONS, actions_per_group=6, split=(0.6, 0.1, 0.3))
        prepare_captions(root=root / "data", clips=100, world=world, size=32, frames=8, jobs=1,
                         progress=False)  # fmt: skip
        yield root


def job(row: str, **more: Any) -> Job:
    return Job(f"clip_prompt/{row}", **{"log": None, **more})


def result(row: str, **more: Any) -> dict[str, Any]:
    return run.run(job(row, **more))


@pytest.fixture(scope="module")
def whole(tiny: Path) -> Manifest:
    return read_manifest("synthetic_captions")


def settings(row: str, **more: Any) -> ClipPromptConfig:
    config: ClipPromptConfig = run.settings(job(row, **more))
    return config


# -- rows --------------------------------------------------------------------------------------

CLOSED = {"top1", "top5", "top_mean"}
DOUBTS = {
    "pairs_top1", "others_top1", "one_frame_top1", "one_frame_pairs_top1", "shuffled_top1",
    "shuffled_pairs_top1",
}  # fmt: skip
OPEN = {"open_top1", "seen_top1", "harmonic_top1"}
SHOTS = {"fewshot_top1_1", "fewshot_top1_2"}
KINDS = {
    "chance": (CLOSED | DOUBTS | {"fewshot_top1"}, ()),
    "zero-shot": (CLOSED | DOUBTS | OPEN | {"fewshot_top1"} | SHOTS, ("open", "shots")),
    "linear-probe": (CLOSED | DOUBTS | SHOTS, ("shots",)),
    "random": (CLOSED | DOUBTS, ()),
    "32+x+32": (CLOSED | DOUBTS, ()),
    "16+x+16-2tfm": (CLOSED | DOUBTS | OPEN | {"pretext_top1", "pretext_loss"}, ("open",)),
    "zero-shot-5way": ({"fewshot_top1"}, ()),
    "fewshot-5way": ({"fewshot_top1"}, ()),
    "fewshot-all-tfm": ({"fewshot_top1"} | SHOTS, ("shots",)),
}


@pytest.mark.parametrize("row", KINDS)
def test_each_kind_of_row_runs_and_is_found_again(
    row: str, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, more = KINDS[row]
    found = result(row, more=more)
    assert wanted <= found["metrics"].keys()
    assert found["dataset"] == "synthetic_captions" and found["method"] == "clip_prompt"
    for metric in found["metrics"].keys() - {"pretext_loss"}:
        assert 0 <= found["metrics"][metric] <= 1
        assert published.metric(metric).unit == "%"
    with monkeypatch.context() as patch:  # nothing is trained or read a second time
        patch.setattr(recognition, "read", None)
        patch.setattr(few_shot, "read", None)
        assert result(row, more=more) == found


def test_every_row_of_the_four_tables_is_there_and_no_stranger_is_claimed() -> None:
    numbers = ("5.1", "5.2", "5.3", "5.4")
    keys = {row.key for number in numbers for row in published.table(number).rows}
    assert keys - {None} <= ROWS.keys()
    for claim in (claim for claim in claims.CLAIMS if claim.table in numbers):
        rows = {getattr(claim, name) for name in ("row", "better", "worse") if hasattr(claim, name)}
        assert rows <= ROWS.keys()
        assert published.table(claim.table).dataset(claim.metric, "small") == "synthetic_captions"
        assert published.metric(claim.metric)


def test_probabilities_stay_in_the_folder(tiny: Path) -> None:
    one = job("zero-shot", more=("open",))
    found, rows = run.run(one), load_rows(run.folder(one).path / PROBABILITIES)
    assert rows.values.shape == (30, 6)
    np.testing.assert_allclose(rows.values.sum(1), 1, rtol=1e-5)
    right = "".join("01"[int(p)] for p in rows.values.argmax(1) == rows.labels)
    assert right == found["hits"]["top1"] and found["videos"]["evaluated"] == 30


def test_other_weights_are_another_result(tiny: Path) -> None:
    names = {run.folder(job("16+x+16", seed=seed)).name.rpartition("-")[2] for seed in (0, 1)}
    assert len(names) == 2
    text = run.identity(job("16+x+16"))[1]["init"]
    assert frames.image_text(settings("16+x+16")).weights_hash in text


def test_what_the_thesis_did_not_measure_is_no_number() -> None:
    table = published.table("5.1")
    assert table.printed("clip_prompt/zero-shot", "top1") == published.NO_VALUE
    assert table.printed("clip_prompt/16+x+16", "top1") == "68.8"


def test_unlabelled_videos_are_left_out(whole: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    some = tuple(replace(v, label="") if i % 9 == 0 else v for i, v in enumerate(whole.videos))
    part = replace(whole, videos=some)
    monkeypatch.setattr(recognition, "labelled", lambda job: part)
    manifest, kept, _ = recognition.given(job("zero-shot"))
    assert len(manifest) == len(whole) - 12 and manifest.classes == whole.classes
    assert all(video.label for video in manifest.videos) and kept.has(whole.videos[0])


# -- what is frozen, what is seen --------------------------------------------------------------


def test_frozen_weights_are_the_same_bits_after_training(whole: Manifest) -> None:
    config = replace(settings("16+x+16-2tfm"), seed=5)
    encoder = frames.image_text(config)
    before = {k: v.clone() for k, v in encoder.model.state_dict().items()}
    kept = frames.store(whole, config, None)
    trained = recognition.learn(whole, kept, config, log=None)
    fresh = recognition.build(config, frames.class_words(whole))
    learnt = dict(fresh.named_parameters()).keys() - {"text.vectors"}
    assert "temporal.positions" in learnt and trained.model is not fresh
    assert not torch.equal(trained.model.text.vectors, fresh.text.vectors)
    for name, value in encoder.model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_open_set_learns_seen_classes_alone(
    whole: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[tuple[set[str], tuple[str, ...]]] = []
    step = ClipPrompt.training_step

    def spy(self: ClipPrompt, batch: dict[str, torch.Tensor]) -> Any:
        if self.training:
            labels = {whole.videos[i].label for i in places(self, batch)}
            met.append((labels, names(self)))
        return step(self, batch)

    def names(model: ClipPrompt) -> tuple[str, ...]:
        assert model.tokens is not None
        every = frames.tokens(frames.image_text(model.config), frames.class_words(whole))
        known = {tuple(row.tolist()): name for row, name in zip(every, whole.classes, strict=True)}
        return tuple(known[tuple(row.tolist())] for row in model.tokens)

    def places(model: ClipPrompt, batch: dict[str, torch.Tensor]) -> list[int]:
        own = names(model)
        subset = recognition.only(whole, own).select("train")
        for index, label in zip(batch["index"].tolist(), batch["label"].tolist(), strict=True):
            assert subset.videos[index].label == own[label]
        paths = [subset.videos[i].path for i in batch["index"].tolist()]
        return [i for i, video in enumerate(whole.videos) if video.path in paths]

    monkeypatch.setattr(ClipPrompt, "training_step", spy)
    one = job("4+x+4", seed=3, more=("open",))
    scores = recognition.open_set(one, recognition.Trained(None, None, {}))
    splits = lists.open_sets(whole, 3)
    assert len(splits) == 2 and {seen for _, seen in met} == {split.seen for split in splits}
    for labels, seen in met:
        assert labels <= set(seen) and len(seen) == 3
    for split in splits:
        assert not set(split.seen) & set(split.unseen)
    assert len(scores.items["open_top1"]) == 2 and len(scores.runs) == 2


def test_only_numbers_classes_as_they_are_given(whole: Manifest) -> None:
    part = recognition.only(whole, ("wave", "sit_down"))
    assert part.classes == ("wave", "sit_down")
    assert {video.label for video in part.videos} == {"wave", "sit_down"}
    assert part.select("test").classes == part.classes


def test_what_learns_is_counted_and_is_no_encoder_of_videos(tiny: Path) -> None:
    counts = describe("clip_prompt", "small")["parameters"]
    layer = 12 * 16**2 + 13 * 16
    assert counts["prompt vectors"] == 32 * 16 and counts["Transformer layers"] == 2 * layer
    assert counts["in all"] == 32 * 16 + 4 * 16 + 2 * layer
    trained = run.train(job("16+x+16-2tfm"))
    assert (
        trained.run is not None
        and sum(p.numel() for p in trained.model.parameters()) == counts["in all"]
    )
    assert runs.finished_runs("synthetic_captions") == []
    with pytest.raises(ThesisError, match="is no pre-training run"):
        runs.load_run(trained.run.name)


# -- few shots ---------------------------------------------------------------------------------


def test_trials_are_the_same_every_time_and_their_own(whole: Manifest) -> None:
    config = settings("fewshot-5way")
    kept, videos = frames.store(whole, config, None), {v.path: v for v in whole.videos}
    trials = lists.trials(whole, 5, 0)
    args = (whole, videos, kept, config)
    first = few_shot.one_trial(trials[1], *args)
    few_shot.one_trial(trials[2], *args)
    again = few_shot.one_trial(trials[1], *args)
    np.testing.assert_array_equal(first.values, again.values)
    assert first.values.shape == (25, 5)  # five test videos of each of five classes
    assert set(first.names) == set(trials[1].query) and not set(first.names) & set(
        trials[1].support
    )
    assert [videos[n].label for n in first.names] == [trials[1].classes[i] for i in first.labels]
    other = few_shot.one_trial(trials[1], whole, videos, kept, replace(config, seed=1))
    assert not np.array_equal(first.values, other.values)


def test_a_trial_learns_its_few_videos(whole: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(settings("fewshot-all-tfm"), epochs=60, lr=5e-3)
    kept = frames.store(whole, config, None)
    trial = lists.trials(whole, None, 0)[0]
    videos = tuple(v for v in whole.videos if v.path in trial.support)
    support = replace(whole, class_names=trial.classes, videos=videos)
    number = {v.path: trial.classes.index(v.label) for v in videos}

    def told(video: str, first: int, last: int) -> Any:  # features that tell the class
        rng = np.random.default_rng(len(video))
        rows = np.eye(16, dtype=np.float32)[number[video]] + 0.3 * rng.normal(size=(8, 16))
        return rows[first:last], None

    monkeypatch.setattr(kept, "read", told)
    torch.manual_seed(0)
    model = recognition.build(config, frames.class_words(support))

    def right() -> float:
        clips = recognition.clips_of(support, kept, config, train=False)
        rows = recognition.read(recognition.by_text(model, support), clips, config)[""]
        return float((rows.values.argmax(1) == rows.labels).mean())

    learnt = recognition.clips_of(support, kept, config, train=True)
    before = right()
    few_shot.fit(model, learnt, config)
    assert right() > 0.8 > before
    with pytest.raises(ThesisError, match="lower lr"):
        few_shot.fit(model, learnt, replace(config, lr=1e30, epochs=3))


def test_a_probe_reads_the_same_videos_as_prompts(whole: Manifest) -> None:
    config = settings("linear-probe")
    kept, videos = frames.store(whole, config, None), {v.path: v for v in whole.videos}
    trial = lists.trials(whole, None, 0)[0]
    probed = few_shot.one_probe(trial, whole, videos, kept, config)
    named = few_shot.one_trial(trial, whole, videos, kept, settings("zero-shot"))
    assert probed.names == named.names and probed.values.shape == named.values.shape
    np.testing.assert_array_equal(probed.labels, named.labels)
    np.testing.assert_allclose(probed.values.sum(1), 1, rtol=1e-6)


# -- the sceptic -------------------------------------------------------------------------------


def rows_of(values: np.ndarray, labels: np.ndarray) -> PerVideo:
    report = {"total": len(labels), "used": len(labels)}
    return PerVideo(values.astype(np.float32), labels, np.arange(len(labels)), report)


@pytest.mark.parametrize("coarse", [False, True])
def test_pairs_equal_a_loop(coarse: bool) -> None:
    rng = np.random.default_rng(0)
    values, labels = rng.random((200, 6)), rng.integers(0, 6, 200)
    values = values.round(1) if coarse else values
    order = tuple(sorted(ACTIONS))
    right, single = [], []
    for row, label in zip(values, labels, strict=True):
        name = order[label]
        twin = next(({*pair} - {name} for pair in PAIRS if name in pair), None)
        if twin is None:
            single.append(int(np.argmax(row)) == label)
            continue
        other = order.index(twin.pop())
        first = min(label, other)  # of equal ones the first counts
        best = first if row[label] == row[other] else max((label, other), key=lambda c: row[c])
        right.append(best == label)
    scores = sceptic.doubts({"": rows_of(values, labels)}, order)
    assert scores.metrics["pairs_top1"] == pytest.approx(np.mean(right))
    assert scores.hits["pairs_top1"] == "".join("01"[int(r)] for r in right)
    assert scores.metrics["others_top1"] == pytest.approx(np.mean(single))
    assert 0.3 < scores.metrics["pairs_top1"] < 0.7


def test_a_reader_of_sets_cannot_tell_pairs_and_one_of_order_can(whole: Manifest) -> None:
    """A hand-made reader of the order of frames, on features that tell the time of a frame."""
    order = whole.classes
    numbers = {name: i for i, name in enumerate(order)}
    directions = {name: 1 if i == 0 else -1 for pair in PAIRS for i, name in enumerate(pair)}
    labels = np.array([numbers[v.label] for v in whole.videos])
    signs = torch.tensor([directions.get(v.label, 0) for v in whole.videos]).float()
    time = signs[:, None] * torch.linspace(-1, 1, 8)  # (V, T): rises, falls or stays
    clips = time[:, None, :, None].expand(-1, 2, -1, 3)  # (V, S, T, D)

    def of_order(features: torch.Tensor) -> np.ndarray:
        rise = features[:, 0, -1, 0] - features[:, 0, 0, 0]
        score = torch.stack([rise * directions.get(name, 0) for name in order], 1)
        return score.numpy()

    for view, low, high in (("", 1, 1), ("one_frame", 0.45, 0.55), ("shuffled", 0.3, 0.7)):
        seen = sceptic.VIEWS[view](clips, range(len(clips)))
        assert seen.shape == clips.shape
        found = sceptic.two_way(rows_of(of_order(seen), labels), order, "pairs_top1")
        assert low <= found.metrics["pairs_top1"] <= high, view
        assert len(found.hits["pairs_top1"]) == sum(v.label in directions for v in whole.videos)


def test_views_keep_the_frames() -> None:
    clips = torch.arange(3 * 2 * 5 * 1).view(3, 2, 5, 1)
    seen = sceptic.shuffled(clips, [7, 8, 9])
    assert torch.equal(seen.sort(2).values, clips)
    assert torch.equal(seen, sceptic.shuffled(clips, [7, 8, 9]))
    orders = {
        tuple((seen[i, s, :, 0] - clips[i, s, 0, 0]).tolist()) for i in (0, 1, 2) for s in (0, 1)
    }
    assert len(orders) > 3  # drawn anew for each clip
    assert torch.equal(seen[1], sceptic.shuffled(clips[1:2], [8])[0])  # whatever the batch
    still = sceptic.one_frame(clips, [7, 8, 9])
    assert torch.equal(still, clips[:, :, 2:3].expand(3, 2, 5, 1))


def test_nothing_is_said_of_pairs_where_there_are_none() -> None:
    rows = rows_of(np.eye(3), np.arange(3))
    assert sceptic.doubts({"": rows}, ("golf", "run", "walk")).metrics == {}


# -- the frozen model and its features ---------------------------------------------------------


def test_features_are_extracted_once_and_shared(
    whole: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, said = replace(settings("16+x+16"), seed=9), []
    first = frames.store(whole, config, said.append)
    assert len(said) == 1 and "features of frames" in said[0]
    assert frames.store(whole, config, said.append) is first and len(said) == 1
    other = frames.store(whole, replace(config, rate=4.0), said.append)
    assert other.folder != first.folder and other.settings["rate"] == 4.0 and len(said) == 2
    # Another process: it checks, and extracts nothing.
    monkeypatch.setattr(frame_features, "_STORES", {})
    again = frames.store(whole, config, said.append)
    assert again is not first and len(said) == 2
    video = whole.videos[0]
    np.testing.assert_array_equal(again.read(video, 2, 5)[0], first.read(video)[0][2:5])
    monkeypatch.setattr(frame_features, "_STORES", {})
    again.file(video).unlink()
    assert len(frames.store(whole, config, said.append).read(video)[0]) == 8 and len(said) == 3


def test_features_stay_in_memory_as_far_as_there_is_room(
    whole: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = frames.store(whole, settings("16+x+16"), None).folder
    monkeypatch.setattr(frame_features, "KEPT", 1)
    kept = frame_features.Kept(folder)
    first, second = (video.path for video in whole.videos[:2])
    rows = kept.read(first, 1, 3)[0], kept.read(second, 1, 3)[0]
    assert list(kept._rows) == [first]
    plain = frame_features.FeatureStore(folder)
    for path, got in zip((first, second), rows, strict=True):
        np.testing.assert_array_equal(got, plain.read(path, 1, 3)[0])


def test_words_and_templates_of_a_data_set(whole: Manifest, tiny: Path) -> None:
    words = dict(zip(whole.classes, frames.class_words(whole), strict=True))
    assert words["sit_down"] == "sitting down"
    assert frames.templates(whole)[0].format("waving") == "a person waving"
    bare = replace(whole, name="hmdb51", info={}, class_names=("brush_hair", "cartwheel"))
    assert frames.class_words(bare) == ("brush hair", "cartwheel")
    assert frames.templates(bare) == ("a photo of {}.",)
    folder = tiny / "data" / lists.FOLDER
    folder.mkdir()
    names = {"brush_hair": "brush hairs", "cartwheel": "cartwheel"}
    (folder / "HMDB51_clsname.json").write_text(json.dumps(names))
    assert frames.class_words(bare) == ("brush hairs", "cartwheel")


def test_the_authors_lists_are_taken_where_they_are(whole: Manifest, tiny: Path) -> None:
    assert [len(lists.trials(whole, ways, 0)) for ways in (5, None)] == [3, 2]
    named = replace(whole, name="kinetics700")
    place = tiny / "data" / lists.FOLDER / "open_set_recognition" / "K700"
    place.mkdir(parents=True)
    (place / "train.list").write_text("Sit Down\nwave\n")
    (place / "test.list").write_text("stand up\nsquat\n")
    (split,) = lists.open_sets(named, 0)
    assert (split.seen, split.unseen) == (("sit_down", "wave"), ("stand_up", "squat"))
    assert len(lists.open_sets(whole, 0)) == 2
    assert lists.open_sets(whole, 0) != lists.open_sets(whole, 1)


def test_a_probe_is_as_strong_as_validates_best() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    noise = rng.normal(size=(60, 40))
    learnt = rows_of(noise + 0.6 * np.eye(3, 40)[labels], labels)
    val = rows_of(rng.normal(size=(60, 40)) + 0.6 * np.eye(3, 40)[labels], labels)
    right = {
        c: (recognition.linear_probe(learnt, val, c).values.argmax(1) == labels).mean()
        for c in recognition.STRENGTHS
    }
    assert right[recognition.strength(learnt, val)] == max(right.values())
    assert len(set(right.values())) > 1
