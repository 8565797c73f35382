"""Chapter 6's rows of action classification, tiny, on steps and on labelled videos."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import studio
from thesislib import published
from thesislib.chapters import run
from thesislib.chapters.row import Job, Row
from thesislib.chapters.turbo import action_scores, actions, starts
from thesislib.chapters.turbo.claims import ACTIONS
from thesislib.chapters.turbo.rows import ROWS
from thesislib.data.loader import make_loader
from thesislib.data.manifest import INFO_FILE, read_manifest
from thesislib.data.segments import write_segments
from thesislib.errors import ThesisError
from thesislib.evaluation.scores import PROBABILITIES, Lacking, load_rows
from thesislib.methods.turbo import Turbo
from thesislib.methods.turbo_config import TurboConfig, gflops
from thesislib.runs import load_run
from thesislib.train import Trained

TINY: dict[str, Any] = {
    "seq_len": 4, "size": 16, "tubelet": (2, 4, 4), "width": 24, "depth": 2, "heads": 2,
    "decoder_width": 12, "decoder_depth": 1, "decoder_heads": 2, "batch_size": 8, "epochs": 1,
    "warmup": 2, "num_workers": 0, "stride": 1,
}  # fmt: skip
AT_TEST = ("top1_m90", "top1_m75", "top1_m50", "top1_m0")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Forty labelled videos, ``synthetic``; the same as eighty steps of six kinds, ``steps``."""
    root = tmp_path_factory.mktemp("turbo")
    with pytest.MonkeyPatch.context() as patch:
        studio.use_folders(patch, root)
        studio.tiny(root / "data")
        patch.setattr(starts, "SHARED", tuple(TINY))  # beginnings as short as the rest
        shutil.copytree(root / "data" / "synthetic", root / "data" / "steps")
        info = json.loads((root / "data" / "steps" / INFO_FILE).read_text())
        (root / "data" / "steps" / INFO_FILE).write_text(
            json.dumps(info | {"name": "steps", "info_sha256": ""})
        )
        manifest = read_manifest("steps")
        seconds = 10 / manifest.videos[0].fps
        write_segments(
            manifest,
            {
                video.path: [(0.0, seconds, video.label), (seconds, 2 * seconds, f"s{i % 2}")]
                for i, video in enumerate(manifest.videos)
            },
        )
        yield root


def job(row: str, dataset: str = "steps", **changes: Any) -> Job:
    return Job(f"turbo/{row}", dataset=dataset, changes=TINY | changes, log=None)


def count(dataset: str, split: str) -> int:
    return sum(video.split == split for video in read_manifest(dataset).videos)


# -- whole rows ------------------------------------------------------------------------------


@pytest.mark.parametrize(("dataset", "classes", "a_video"), [("steps", 6, 2), ("synthetic", 4, 1)])
def test_a_row_whole(made: Path, dataset: str, classes: int, a_video: int) -> None:
    own = job("m75-r25", dataset)
    result = run.run(own)
    metrics, items = result["metrics"], a_video * count(dataset, "test")
    assert {"top1", *AT_TEST, "train_gflops", "train_seconds", "pretext_pmae"} <= set(metrics)
    assert metrics["top1"] == metrics["top1_m0"] and metrics["train_seconds"] > 0
    assert all(len(result["hits"][name]) == items for name in ("top1", *AT_TEST))
    assert result["videos"] == {"evaluated": items, "skipped": 0}
    assert metrics["train_gflops"] == pytest.approx(
        gflops(replace(run.settings(own), classes=classes)), rel=1e-6
    )
    assert run.run(own) == result, "found, not run again"
    # Its model knows the classes; steps are never mirrored, videos are.
    _, config, _ = load_run(result["source"])
    assert (config.classes, config.augment.flip) == (classes, 0.0 if a_video == 2 else 0.5)
    # Judged again, with other draws in between: the same.
    torch.rand(3)
    trained = run.train(own)
    again = action_scores.judge(own, trained)
    assert {name: again.metrics[name] for name in AT_TEST} == {n: metrics[n] for n in AT_TEST}


def test_a_second_witness_of_top_1(made: Path) -> None:
    own = job("m0", epochs=2)
    result = run.run(own)
    rows = load_rows(run.folder(own).path / PROBABILITIES)
    top1 = result["metrics"]["top1"]
    assert top1 == accuracy_score(rows.labels, rows.values.argmax(1))
    assert result["hits"]["top1"] == "".join(
        str(int(max(range(6), key=lambda c: row[c]) == label))
        for row, label in zip(rows.values.tolist(), rows.labels.tolist(), strict=True)
    )
    assert len(set(rows.names)) == len(rows.names) == 2 * count("steps", "test")


def test_draws_that_are_averaged(made: Path) -> None:
    own = job("m75-r25")
    found = action_scores.samples(own, run.train(own))
    assert set(found.metrics) == {"top1_m90_x10", "top1_m75_x10", "top1_m50_x10"}
    assert "top1_m75_x10" in run.run(replace(own, more=("samples",)))["metrics"]


def test_progress_over_time_and_operations(made: Path) -> None:
    result = run.run(replace(job("m75-r25", epochs=4), stages=2))
    first, last = result["checkpoints"]
    assert (first["epoch"], last["epoch"]) == (2, 4)
    assert last["top1"] == result["metrics"]["top1"]
    assert last["train_seconds"] == result["metrics"]["train_seconds"] == 2 * first["train_seconds"]
    clips = 2 * count("steps", "train")
    assert last["gflops"] == pytest.approx(4 * clips * result["metrics"]["train_gflops"])


def test_steps_that_cannot_be_read_are_counted_once(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, config = actions.given(job("m0"))
    steps = found.steps("test", config, train=False)
    steps._failed[steps.steps[0].video] = 1
    monkeypatch.setattr(type(found), "steps", lambda *args, **how: steps)
    rows = actions.read(
        lambda b: b["video"].flatten(1)[:, :3], Turbo(config), found, config, "test"
    )
    assert rows.skipped == 2 and len(rows.values) == len(steps) - 2
    for value, number in zip(rows.values, rows.videos, strict=True):
        assert np.allclose(value, steps[int(number)]["video"].flatten()[:3], atol=1e-6)


def test_guessing_and_random_weights(made: Path) -> None:
    assert run.run(job("chance"))["metrics"]["top1"] == 1 / 6
    found = run.run(job("random"))
    assert found["metrics"]["top1"] == found["metrics"]["probe_top1"] and found["source"] == ""
    assert found["hits"]["top1"] == found["hits"]["probe_top1"]


# -- beginnings ------------------------------------------------------------------------------


def test_reconstruction_first(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = run.run(job("mae"))
    assert set(pixels["metrics"]) >= {"probe_top1", "pretext_pmae"} and pixels["source"]
    begun: list[Turbo] = []
    start_from = Turbo.start_from

    def seen(self: Turbo, other: Turbo) -> None:
        start_from(self, other)
        begun.append(other)
        assert torch.equal(
            self.encoder.blocks[0].mlp[0].weight, other.encoder.blocks[0].mlp[0].weight
        )

    monkeypatch.setattr(Turbo, "start_from", seen)
    found = run.run(job("from-mae"))
    assert found["metrics"]["finetune_top1"] == found["metrics"]["top1"] and len(begun) == 1
    assert found["hits"]["finetune_top1"] == found["hits"]["top1"]
    _, config, _ = load_run(found["source"])
    assert (config.source, config.mask_ratio, config.recon_ratio) == (pixels["source"], 0.5, 0.5)


def test_from_video_and_language_the_row_is_run_first(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Job] = []

    def first(job: Job) -> Trained:
        asked.append(job)
        return actions.trained(replace(job, dataset="synthetic"))

    # The studio has one data set for both; here it is another.
    monkeypatch.setitem(ROWS, actions.LANGUAGE, Row("stands in", first, (), settle=actions.settle))
    found = run.run(job("from-nce"))
    assert [one.row for one in asked] == [actions.LANGUAGE] and asked[0].dataset == ""
    assert load_run(found["source"])[1].source.startswith("turbo-small-synthetic-")


def test_a_result_is_named_by_what_it_starts_from(made: Path) -> None:
    own = job("from-mae")
    other = replace(own, changes={**own.changes, "lr": 2e-3})
    names = {run.folder(one).name for one in (own, other, job("from-mae", source="a"))}
    assert len(names) == 3
    first = actions.before(actions.PIXELS, job("from-mae", dataset="steps", source="x"))
    assert (first.dataset, first.row, "source" in first.changes) == ("steps", "turbo/mae", False)


def test_a_named_source_is_started_from(made: Path) -> None:
    pixels = run.run(job("mae"))["source"]
    own = job("m75-r25", source=pixels)
    assert run.run(own)["source"] != run.run(job("m75-r25"))["source"]
    with pytest.raises(ThesisError, match="no run 'nowhere'"):
        run.run(job("m75-r25", source="nowhere"))


# -- settings --------------------------------------------------------------------------------


def test_as_long_as_all_tokens_take() -> None:
    usual, longer = (run.settings(Job(f"turbo/m75-r25{end}")) for end in ("", "-time"))
    assert longer == replace(usual, epochs=2 * usual.epochs)
    for profile in ("gpu", "paper"):
        usual, longer, full = (
            run.settings(Job(f"turbo/{row}", profile)) for row in ("m75-r25", "m75-r25-time", "m0")
        )
        assert longer.epochs == round(usual.epochs * gflops(full) / gflops(usual))
    assert run.settings(Job("turbo/m75-r25-time", changes={"epochs": 3})).epochs == 3


def test_rows_of_equal_cost_see_equally_many_tokens(made: Path) -> None:
    for name, rival in (
        ("m50-r0", "runs-m50"), ("m75-r0", "runs-m75"), ("m75-r25", "dual-m75-r25"),
        ("m75-r25", "tube-m75-r25"),
    ):  # fmt: skip
        ours, theirs = (run.settings(Job(f"turbo/{row}")) for row in (name, rival))
        assert gflops(ours) == gflops(theirs) and ours.epochs == theirs.epochs


def test_operations_where_the_video_decides(made: Path) -> None:
    own = job("runs-auto", run_threshold=1.0)
    result = run.run(own)
    found, config = actions.given(own)
    share = action_scores.dropped(Turbo(config), found, config)
    assert 0 < share < 1
    assert result["metrics"]["train_gflops"] == gflops(replace(config, mask_ratio=share))
    assert {"top1_runs", "top1_m0", "top1"} <= set(result["metrics"])
    assert "top1_m90" not in result["metrics"], "there m says nothing"
    # By a loop: what changes enough, and all of the first time; as many as the fullest clip has.
    seen, batches = [], action_scores.BATCHES
    loader = make_loader(found.training(config)[0], 8, shuffle=True, seed=config.seed)
    for _, batch in zip(range(batches), loader, strict=False):
        kept = []
        for clip in batch["video"][:, 0]:
            number = 16
            for y in range(0, 16, 4):
                for x in range(0, 16, 4):
                    before, after = (
                        clip[:, 0, y : y + 4, x : x + 4],
                        clip[:, 3, y : y + 4, x : x + 4],
                    )
                    number += float((after - before).abs().mean()) >= 1.0
            kept.append(number)
        seen.append(1 - max(kept) / 32)
    assert share == pytest.approx(np.mean(seen))


@pytest.mark.parametrize(
    ("row", "printed"),
    [
        ("m0", 180.6), ("m50-r50", 99.3), ("m75-r75", 57.6), ("m75-r25", 45.9), ("m90-r90", 35.2),
        ("m90-r10", 18.3),
    ],
)  # fmt: skip
def test_operations_in_the_paper_are_table_6_1s(row: str, printed: float) -> None:
    config: TurboConfig = run.settings(Job(f"turbo/{row}", "paper"))
    found = action_scores.cost(Trained(None, None, {}), None, config)  # type: ignore[arg-type]
    assert round(found.metrics["train_gflops"], 1) == printed
    assert published.table("6.1").printed(f"turbo/{row}", "train_gflops") == str(printed)
    assert "train_seconds" not in found.metrics, "nothing was trained"


def test_every_number_of_tables_and_claims_has_a_row() -> None:
    keys = {row.key for n in ("6.1", "6.2") for row in published.table(n).rows if row.key}
    assert {key for key in keys if key.startswith("turbo/")} <= set(ROWS)
    for claim in ACTIONS:
        assert {claim.better, claim.worse} <= set(ROWS) | {actions.LANGUAGE}
        assert math.isfinite(published.metric(claim.metric).factor)
    assert len({claim.id for claim in ACTIONS}) == len(ACTIONS)


# -- errors ----------------------------------------------------------------------------------


def test_what_cannot_be_classified_is_named(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ThesisError, match="tells the classes apart that it has learnt"):
        run.run(replace(job("m0"), on="synthetic"))
    with pytest.raises(ThesisError, match="There is no data set 'nowhere'"):
        run.run(job("m0", "nowhere"))
    found = replace(actions.actions("synthetic"), classes=("one",))
    monkeypatch.setattr(actions, "actions", lambda name: found)
    with pytest.raises(Lacking, match="fewer than two classes"):
        run.run(job("m0", "synthetic"))
    # Of videos without labels reconstruction alone is learnt.
    alone = run.train(job("m75-r25", "synthetic", classes=0))
    assert alone.model.config.classes == 0 and "pretext_pmae" in alone.result["metrics"]
