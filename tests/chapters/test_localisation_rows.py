"""Chapter 5's rows of localisation, on made-up features of untrimmed videos."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import prompting
import studio
from thesislib import claims as verdicts
from thesislib import published
from thesislib.chapters import run
from thesislib.chapters.clip_prompt import detection, footage, show, spotted
from thesislib.chapters.clip_prompt.localisation import class_scores, proposal_features
from thesislib.chapters.row import Job
from thesislib.data.few_shot import OpenSet
from thesislib.data.manifest import write_manifest
from thesislib.data.public.intervals import THUMOS_CLASSES
from thesislib.data.segment_clips import SegmentClips, spread
from thesislib.data.segments import write_segments
from thesislib.data.untrimmed import Untrimmed
from thesislib.errors import ThesisError
from thesislib.evaluation.localisation import average_precision
from thesislib.evaluation.segments import Segments, joined, temporal_iou
from thesislib.methods.proposals import ProposalConfig
from thesislib.places import runs_root
from thesislib.synthetic.captions import names
from toy_untrimmed import CLASSES, DIM, toy_video

TEMPLATE, PROMPTS = "clip_prompt/localisation-zero-shot", "clip_prompt/localisation"
SPLIT = {"train": range(14), "val": range(14, 17), "test": range(17, 24)}
DETECTOR: dict[str, Any] = {
    "epochs": 5, "batch_size": 8, "warmup": 2, "window": 64, "levels": 4, "width": 24,
    "min_windows": 64, "top": 30, "num_workers": 0, "lr": 4e-3,
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Data set, model and both rows of the closed set, run once."""
    root = tmp_path_factory.mktemp("localisation")
    with pytest.MonkeyPatch.context() as patch:
        studio.use_folders(patch, root)
        videos = {f"{s}/{n}.mp4": toy_video(n) for s, some in SPLIT.items() for n in some}
        splits = {path: path.partition("/")[0] for path in videos} | {"test/broken.mp4": "test"}
        info = {"class_texts": {name: f"to {name}" for name in CLASSES}, "templates": ["a man {}"]}
        manifest = prompting.listed(root, "synthetic_untrimmed", splits, info)
        unsure = {"test/17.mp4": [(0.0, 0.5, "")]}
        write_segments(manifest, {p: v.segments for p, v in videos.items()}, unsure)
        prompting.written(manifest)
        rows = {path: (video.features, video.times) for path, video in videos.items()}
        prompting.given_features(patch, rows)
        model = prompting.tiny_model(root / "model", DIM)
        prompting.tiny_preset(patch, model)
        usual = ProposalConfig.preset("small")
        known = {"small": usual.override(DETECTOR), "paper": ProposalConfig.preset("paper")}
        patch.setattr(ProposalConfig, "preset", staticmethod(known.get))
        patch.setattr(footage, "DRAWS", 2)
        patch.setattr(detection, "SMALL", {})
        yield root


def job(row: str, **more: Any) -> Job:
    changes = {} if "zero-shot" in row else {"context": 2, "layers": 1, "epochs": 12}
    return Job(row, **{"log": None, "changes": changes, **more})


@pytest.fixture(scope="module")
def results(made: Path) -> dict[str, dict[str, Any]]:
    return {row: run.run(job(row)) for row in (TEMPLATE, PROMPTS)}


def loaded(row: str, name: str, **more: Any) -> Segments:
    return Segments.load(run.folder(job(row, **more)).path / f"{name}.jsonl")


# -- clips of segments -----------------------------------------------------------------------


def test_spread_takes_the_middle_of_equal_parts() -> None:
    rows = spread(np.array([0.0, 10.0, 3.0]), np.array([8.0, 12.0, 19.0]), 4)
    assert rows.tolist() == [[1, 3, 5, 7], [10, 10, 11, 11], [5, 9, 13, 17]]


def test_a_clip_shows_its_segment_and_moves_by_epoch_alone() -> None:
    rows = np.arange(100, dtype=np.float32)[:, None]
    segments = ((5.0, 10.0, "run"), (12.0, 12.1, "jump"), (20.0, 24.0, "other"))
    video = Untrimmed("v", rows, np.arange(100) / 4, segments)
    plain = SegmentClips([video], ["jump", "run"], frames=5, train=False)
    assert [int(item["label"]) for item in plain] == [1, 0]
    assert plain[0]["features"][:, 0].tolist() == [22, 26, 30, 34, 38]
    assert plain[1]["features"][:, 0].tolist() == [48] * 5  # shorter than a row
    moved = SegmentClips([video], ["jump", "run"], frames=5, train=True)
    seen = torch.stack([moved[epoch, 0]["features"][:, 0] for epoch in range(200)])
    assert torch.equal(seen[3], moved[3, 0]["features"][:, 0])
    assert 17 <= seen.min() < 22 and 38 < seen.max() <= 43  # at most 15 % of 20 rows
    with pytest.raises(IndexError):
        plain[2]
    with pytest.raises(ThesisError, match="No video has a segment of the 1 classes"):
        SegmentClips([video], ["swim"], frames=5, train=True)


# -- the closed set --------------------------------------------------------------------------


def test_learnt_prompts_beat_the_template_on_the_same_proposals(
    results: dict[str, dict[str, Any]],
) -> None:
    template, prompts = (results[row]["metrics"] for row in (TEMPLATE, PROMPTS))
    assert prompts["map_0.3"] > 0.3 > 2 * template["map_0.3"]
    assert prompts["map_mean"] > 2 * template["map_mean"]
    assert prompts["map_mean"] > 2 * prompts["chance_map_mean"]
    one, other = (loaded(row, "proposals") for row in (TEMPLATE, PROMPTS))
    assert len(one) and one.start.tolist() == other.start.tolist()
    assert one.score.tolist() == other.score.tolist()
    recall = [name for name in template if name.startswith(("ar_", "chance_"))]
    assert recall and all(template[name] == prompts[name] for name in recall)
    assert results[TEMPLATE]["tuned"] == results[PROMPTS]["tuned"]  # one detector
    assert len(list(runs_root().glob("clip_prompt_detector-*"))) == 1


def test_every_definition_is_of_the_detections_that_were_kept(
    made: Path, results: dict[str, dict[str, Any]]
) -> None:
    config = run.settings(job(PROMPTS))
    found = footage.footage(config, "synthetic_untrimmed", None)
    truth = detection.truth_of(found.videos["test"], CLASSES)
    assert (truth.label == "Ambiguous").sum() == 1
    kept, metrics = loaded(PROMPTS, "detections"), results[PROMPTS]["metrics"]
    for name in ("activitynet", "deduplicated", "not_interpolated", "eleven_points"):
        again = average_precision(truth, kept, (0.3, 0.4, 0.5, 0.6, 0.7), name)
        key = "map_mean" if name == "activitynet" else f"map_mean_{name}"
        assert metrics[key] == pytest.approx(again.average, abs=1e-12)
        half = metrics["map_0.5" if name == "activitynet" else f"map_0.5_{name}"]
        assert half == pytest.approx(again.mean[2], abs=1e-12)
    assert len(results[PROMPTS]["items"]["map_0.5"]) == len(CLASSES)
    assert metrics["map_mean"] == pytest.approx(np.mean(results[PROMPTS]["items"]["map_mean"]))
    assert results[PROMPTS]["videos"]["skipped"] == 1  # test/broken.mp4


def test_a_run_is_found_again_and_depends_on_detector_and_segments(made: Path) -> None:
    one = run.folder(job(PROMPTS)).name
    assert run.folder(job(PROMPTS)).finished
    assert run.folder(job(PROMPTS, tune={"width": 8})).name != one
    before = footage.fingerprint("synthetic_untrimmed")
    manifest = footage.read_manifest("synthetic_untrimmed")
    files = [manifest.root / name for name in ("segments.json", "dataset.json")]
    texts = [file.read_text() for file in files]
    try:
        write_segments(manifest, {"train/0.mp4": [(1.0, 2.0, "run")]})
        write_manifest(manifest)
        assert footage.fingerprint("synthetic_untrimmed") != before
    finally:
        for file, text in zip(files, texts, strict=True):
            file.write_text(text)


# -- naming ----------------------------------------------------------------------------------


def test_names_by_a_loop(made: Path, results: dict[str, dict[str, Any]]) -> None:
    """Detections are score of the proposal times a softmax of cosines, five likeliest or all."""
    config = run.settings(job(TEMPLATE))
    found = footage.footage(config, "synthetic_untrimmed", None)
    name = detection.by_template(found, CLASSES)
    assert name.temperature == 0.07
    wanted = found.encoder.encode_texts([f"a man to {word}" for word in CLASSES])
    torch.testing.assert_close(name.texts, wanted)
    video = found.videos["test"][0]
    proposals = loaded(TEMPLATE, "proposals")
    proposals = proposals.select(proposals.video == video.name)
    probability = class_scores(proposal_features(proposals, video), name.texts, 0.07)
    rows = [
        (proposals.score[i] * float(probability[i, c]), proposals.start[i], CLASSES[c])
        for i in range(len(proposals))
        for c in range(len(CLASSES))
    ]
    kept = loaded(TEMPLATE, "detections")
    kept = kept.select(kept.video == video.name)
    best = sorted(rows, reverse=True)[:10]
    assert kept.score[:10] == pytest.approx([score for score, *_ in best], rel=1e-4)
    assert kept.label[:10].tolist() == [label for *_, label in best]


def test_chance_is_windows_of_training_lengths_with_drawn_names(made: Path) -> None:
    config = run.settings(job(TEMPLATE))
    found = footage.footage(config, "synthetic_untrimmed", None)
    lot = detection.chance(found, found.videos["test"], CLASSES, 0)
    known = [end - start for v in found.videos["train"] for start, end, _ in v.segments]
    lengths = set(np.round(lot.end - lot.start, 6))
    assert set(np.round(np.quantile(known, detection.QUANTILES), 6)) <= lengths
    shares = [np.mean(lot.label == name) for name in CLASSES]
    assert shares == pytest.approx([0.25] * 4, abs=0.1)
    assert len(set(lot.score.tolist())) == len(lot)


# -- the open set ----------------------------------------------------------------------------


def test_an_open_set_is_compared_split_by_split(made: Path) -> None:
    rows = ("clip_prompt/localisation-open75", "clip_prompt/localisation-zero-shot-open75")
    fast = {"tune": {"epochs": 2}}
    ours, theirs = (run.run(job(row, **fast)) for row in rows)
    assert len(ours["items"]["map_mean"]) == len(theirs["items"]["map_mean"]) == 2
    assert ours["metrics"]["map_mean"] == pytest.approx(np.mean(ours["items"]["map_mean"]))
    for number in range(2):
        one, other = (loaded(row, f"proposals-{number}", **fast) for row in rows)
        assert one.score.tolist() == other.score.tolist()
        named = set(loaded(rows[0], f"detections-{number}", **fast).label.tolist())
        assert len(named) == 1  # the unseen quarter of four classes
    both = show.per_split(ours, theirs)
    assert both.draws == 2 and both.won + both.lost <= 2
    wanted = np.mean(np.subtract(*(r["items"]["map_mean"] for r in (ours, theirs))))
    assert both.difference == pytest.approx(wanted)
    page = show.per_split_page(ours, theirs).text
    assert page.count("\n") == 2 + 2 + 1 and "| mean |" in page


def test_seen_classes_alone_are_learnt_and_unseen_ones_alone_are_judged(made: Path) -> None:
    config = run.settings(job(PROMPTS))
    found = footage.footage(config, "synthetic_untrimmed", None)
    one = OpenSet(0, ("jump", "run", "turn"), ("wave",))
    assert {len(s.seen) for s in footage.open_sets(found, 0.5, 0)} == {2}
    first = detection.learn_detector(
        found, run.tuning(job(PROMPTS)).override({"epochs": 1}), one.seen, None
    )
    name = detection.by_template(found, one.unseen)
    scores, reported = detection.judged(found, first.model, name, "thumos14", 0)
    with_wave = {v.name for v in footage.showing(found.videos["test"], ["wave"])}
    assert set(reported.proposals.video.tolist()) <= with_wave
    assert scores.counts["classes"] == 1 and scores.counts["evaluated"] == len(with_wave)
    with pytest.raises(ThesisError, match="No test video of 'synthetic_untrimmed' shows any of 1"):
        detection.judged(found, first.model, name._replace(classes=("swim",)), "thumos14", 0)


def test_the_authors_lists_are_taken_where_they_are(made: Path, shared: Path) -> None:
    config = run.settings(job(PROMPTS))
    found = footage.footage(config, "synthetic_untrimmed", None)
    lists = shared / "annotations" / "efficient_prompt"
    (made / "data" / "efficient_prompt").symlink_to(lists)
    try:
        manifest = replace(found.manifest, name="thumos14")
        thumos = replace(found, manifest=manifest, classes=tuple(sorted(THUMOS_CLASSES)))
        for seen, count in ((0.75, 15), (0.5, 10)):
            splits = footage.open_sets(thumos, seen, 0)
            assert len(splits) == 10 and {len(s.seen) for s in splits} == {count}
            assert all(set(s.seen) | set(s.unseen) == set(THUMOS_CLASSES) for s in splits)
        assert len(footage.open_sets(found, 0.75, 0)) == 2  # not of this data set: drawn
    finally:
        (made / "data" / "efficient_prompt").unlink()


# -- settings, tables, claims ----------------------------------------------------------------


def test_settings_of_the_real_data_sets(made: Path) -> None:
    paper = Job(PROMPTS, "paper")
    assert run.judged_on(paper) == run.settings(paper).dataset == "thumos14"
    assert run.settings(paper).rate == 10 and not run.tuning(paper).whole
    other = replace(paper, dataset="activitynet", changes={"rate": 2.0})
    assert run.settings(other).rate == 2 and run.tuning(other).whole
    assert run.settings(paper).layers == 1 and not run.settings(paper).code_gap
    assert footage.thresholds("thumos14") == (0.3, 0.4, 0.5, 0.6, 0.7)
    assert footage.thresholds("activitynet")[-1] == 0.95
    assert run.settings(Job(PROMPTS)).dataset == "synthetic_untrimmed"


def test_tables_and_claims_know_the_studio(made: Path, results: dict[str, dict[str, Any]]) -> None:
    assert published.home(PROMPTS, "small") == "synthetic_untrimmed"
    assert published.table("5.6").dataset("map_mean", "small") == "synthetic_untrimmed"
    assert published.table("5.5").columns[-1].dataset("small") is None  # ActivityNet's
    shown = {name for r in results.values() for name in r["metrics"]}
    assert {"map_mean_not_interpolated", "ar_50", "chance_map_mean"} <= shown & set(
        published.metrics()
    )
    from thesislib.chapters.clip_prompt.claims import CLAIMS

    for claim in CLAIMS:
        if claim.id.startswith("clip-localisation"):
            found = verdicts._greater(claim, verdicts.Ledger(), "small", "")
            assert found.verdict == "not run" and found.dataset == "synthetic_untrimmed"
            assert ("against" in found.thesis) is not claim.id.endswith("-lot")  # that is ours


# -- what is shown ---------------------------------------------------------------------------


def test_a_time_line_shows_as_many_as_happen(
    made: Path, results: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spotted, "strip", lambda m, v, n: np.zeros((n, 8, 8, 3), np.uint8))
    rows = {"template": TEMPLATE, "prompts": PROMPTS}
    jobs = job(PROMPTS)
    monkeypatch.setattr(Job, "also", lambda self, row, **c: job(row))
    one = spotted.time_line(rows, jobs, number=1)
    assert len(one.truth) == len(one.found["template"]) == len(one.found["prompts"]) > 0
    assert {label for _, _, label, _ in one.truth} <= {f"to {name}" for name in CLASSES}
    scores = [score for *_, score in one.found["prompts"]]
    assert scores == sorted(scores, reverse=True)
    picture = spotted.time_line_picture(rows, jobs, number=1)
    assert f"prompts reports {len(one.truth)}" in picture.alt
    assert len(picture.png()) < 150_000


def test_tables_are_joined_row_by_row() -> None:
    one = Segments.of(["a"], [1.0], [2.0], ["run"], [0.5])
    both = joined([one, Segments.of([], [], []), one])
    assert both.video.tolist() == ["a", "a"] and both.score.tolist() == [0.5, 0.5]
    assert len(joined([])) == 0


def test_the_example_that_is_kept_fits_its_video() -> None:
    """Its video is filmed as the recipe says: what is reported lies in it, in its words."""
    rows = {"template": "clip_prompt/localisation-zero-shot", "prompts": "clip_prompt/localisation"}
    one = spotted.kept(rows, frames=2)
    assert one.frames.shape[0] == 2 and one.frames.std() > 10
    assert len(one.truth) == len(one.found["template"]) == len(one.found["prompts"]) > 4
    words = set(names().values())
    for start, end, said, score in [*one.truth, *one.found["template"], *one.found["prompts"]]:
        assert 0 <= start < end <= one.length + 1 and said in words and 0 < score <= 1
    shared = [
        max(temporal_iou(*map(np.float64, (a, b, c, d))) for a, b, *_ in one.truth)
        for c, d, *_ in one.found["prompts"]
    ]
    assert sum(share >= 0.5 for share in shared) >= len(shared) // 2, "proposals lie on actions"
