"""Chapter 7's network that sees pixels, on a few narrated videos: pairs, rows and probe."""

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
import studio
from thesislib import aligning_sets
from thesislib.chapters import run
from thesislib.chapters.row import Job
from thesislib.chapters.tan import end_to_end, learning, narrated
from thesislib.chapters.tan.narrated import World
from thesislib.data.manifest import read_manifest
from thesislib.data.narrations import read_narrations
from thesislib.data.segments import SEGMENTS_FILE
from thesislib.errors import ThesisError
from thesislib.evaluation.scores import Lacking
from thesislib.synthetic import prepare_narrated

TINY: dict[str, Any] = {
    "size": 16, "width": 24, "depth": 1, "heads": 2, "epochs": 1, "val_every": 1, "warmup": 1,
}  # fmt: skip
NETWORK: dict[str, Any] = {
    "seconds": 32, "width": 16, "depth": 1, "joint_depth": 1, "heads": 2, "places": 64,
    "batch_size": 2, "epochs": 1, "val_every": 1, "one_space": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("pixels")
    usual = end_to_end.before
    with pytest.MonkeyPatch.context() as patch:
        studio.use_folders(patch, root)
        prepare_narrated(root=root / "data", clips=12, size=16, jobs=1, progress=False)
        patch.setattr(end_to_end, "before", lambda job: replace(usual(job), changes=NETWORK))
        patch.setattr(learning, "SHARED", tuple(NETWORK))
        yield root


def job(row: str = "end-to-end", **changes: Any) -> Job:
    return Job(f"tan/{row}", log=None, changes=TINY | changes)


@pytest.fixture(scope="module")
def second(made: Path) -> tuple[Any, World]:
    """The network that says when sentences are seen, and its world."""
    first = end_to_end.before(job())
    return run.train(first).model, narrated.world("synthetic_narrated", run.settings(first), None)


def test_pairs_are_what_align_takes_for_seen(second: tuple[Any, World]) -> None:
    model, world = second
    some = world.manifest.select("train")
    with torch.no_grad():  # so that some are and some are not
        model.online.network.head.weight.mul_(100)
        said = world.told("train")
        heads = np.concatenate(
            [end_to_end.judging.windows_of(model, v, end_to_end.judging.heard(v)).head
             for v in said.values()]
        )  # fmt: skip
        model.online.network.head.bias.sub_(float(np.median(heads)))
    found = end_to_end.found_pairs(model, world, some, "train")
    wanted = [
        (path, row.seen_start, row.seen_end, row.text)
        for path, video in said.items()
        for row in aligning_sets.rows_of(video, model)
        if row.alignable
    ]
    assert 0 < len(found) < len(heads)
    assert [(some.videos[p.video].path, p.start, p.end, p.text) for p in found] == wanted
    with torch.no_grad():
        model.online.network.head.bias.sub_(1e6)
    with pytest.raises(ThesisError, match="no val sentence is taken for seen"):
        end_to_end.found_pairs(model, world, world.manifest.select("val"), "val")


@pytest.mark.parametrize("row", ["end-to-end", "end-to-end-heard", "end-to-end-random"])
def test_a_row_runs(row: str, made: Path) -> None:
    found = run.run(job(row))
    classes = len(read_manifest("synthetic_narrated").info["step_texts"])
    assert 0 <= found["metrics"]["probe_top1"] <= 1 and classes > 2
    assert len(found["hits"]["probe_top1"]) == found["videos"]["evaluated"] > 0
    assert found["dataset"] == "synthetic_narrated" and run.run(job(row)) == found
    assert ("pretext_top1" in found["metrics"]) == (row != "end-to-end-random")


def test_as_heard_every_sentence_is_one(made: Path) -> None:
    some = read_manifest("synthetic_narrated").select("train")
    said = read_narrations(some)
    found = end_to_end.pairs(job("end-to-end-heard"), some, "train")
    assert [(p.start, p.end, p.text) for p in found] == [
        (one.start, one.end, one.text) for video in some.videos for one in said[video.path]
    ]


def test_whose_times_they_are_is_part_of_the_name(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ("end-to-end", "end-to-end-heard")
    before = [run.folder(job(row)).name for row in rows]
    mine = end_to_end.before
    other = NETWORK | {"lr": 0.5}
    monkeypatch.setattr(end_to_end, "before", lambda job: replace(mine(job), changes=other))
    assert [run.folder(job(row)).name == name for row, name in zip(rows, before, strict=True)] == [
        False,
        True,
    ]


def test_without_steps_nothing_is_judged(made: Path) -> None:
    place = made / "data" / "synthetic_narrated" / SEGMENTS_FILE
    kept = place.read_bytes()
    trained = run.train(job("end-to-end-random"))
    try:
        place.unlink()
        with pytest.raises(Lacking, match=f"write {SEGMENTS_FILE}"):
            end_to_end.judge(job(), trained)
    finally:
        place.write_bytes(kept)
