"""What chapter 4 shows, on a tiny data set; and its rows as runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import studio
from thesislib import viz
from thesislib.chapters import pictures, run
from thesislib.chapters.coclr import show
from thesislib.chapters.coclr.rows import QUICK
from thesislib.chapters.row import Job
from thesislib.checkpoint import RunFolder
from thesislib.claims import FAILS, UNCLEAR, Claim
from thesislib.clip_config import FlowConfig
from thesislib.data.flow import compute_flow
from thesislib.data.manifest import Manifest, Video, read_manifest
from thesislib.evaluation.finetune import FinetuneConfig
from thesislib.losses import nearest_entries
from thesislib.methods.coclr_config import CoCLRConfig
from thesislib.places import runs_root

JOB = Job("coclr/coclr-flow", dataset="synthetic", log=None)
DIS = FlowConfig("dis", QUICK["flow.bound"])
SMALL = studio.SMALL | {
    "width": 0.05, "size": 36, "num_seq": 1, "seq_len": 9, "queue": 12, "topk": 2, "cycles": 1,
    "cycle_epochs": 1, "epochs": 1, "schedule": "constant", "milestones": (), "bn_splits": 1,
}  # fmt: skip
SMALL.pop("pred_step")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manifest]:
    root = tmp_path_factory.mktemp("chapter4")
    paper, tuned = CoCLRConfig.preset("paper"), FinetuneConfig.preset("paper")
    small = paper.override({"profile": "small", "dataset": "synthetic", **SMALL})
    tune = tuned.override({"profile": "small", "dataset": "synthetic", **studio.TUNE})
    with pytest.MonkeyPatch.context() as patch:
        studio.use_folders(patch, root)
        patch.setattr(CoCLRConfig, "preset", staticmethod({"small": small, "paper": paper}.get))
        patch.setattr(FinetuneConfig, "preset", staticmethod({"small": tune, "paper": tuned}.get))
        patch.setitem(QUICK, "flow.algorithm", "dis")
        studio.tiny(root / "data")
        made = read_manifest("synthetic")
        compute_flow(made, DIS, jobs=1, progress=False)
        yield made


@pytest.fixture(scope="module")
def result(manifest: Manifest) -> dict:
    return run.run(JOB)


def test_a_row_tells_its_stages(result: dict) -> None:
    stages = result["checkpoints"]
    assert [(s["cycle"], s["stream"]) for s in stages] == [
        (0, "rgb"), (0, "flow"), (1, "rgb"), (1, "flow"),
    ]  # fmt: skip
    assert result["source"] == stages[-1]["run"]
    assert {"probe_top1", "finetune_top1", "retrieval_r1"} <= result["metrics"].keys()
    assert result["metrics"]["precision_flow_cycle1"] == stages[-1]["precision"]


def test_pictures_and_pages(result: dict, manifest: Manifest) -> None:
    mined = show.mine(result, manifest, k=2)
    mining = viz.retrieval_grid(*show.mined_neighbours(mined, manifest, JOB, queries=2))
    reading = show.mining_reading(mined)
    cycles = viz.alternation(*show.course(result, JOB))
    strips = pictures.training_views(manifest, run.settings(JOB), videos=1)
    views = viz.contact_sheet(*strips, columns=2)
    for picture in (mining, cycles, views):
        assert len(picture.png()) <= 150_000 and picture.alt
    assert "nearest by RGB" in reading and "by chance" in reading
    assert "mean of 1 seeds" in cycles.alt
    page = show.cycles_page(result).text
    assert page.count("cycle 1") == 2 and page.count("initialisation") == 2


def test_lines_are_solid_where_a_network_learns() -> None:
    history = [
        {"cycle": c, "stream": s, "metrics": {"train_r1": r}}
        for c, s, r in ((0, "rgb", 0.1), (0, "flow", 0.2), (1, "rgb", 0.3), (1, "flow", 0.4))
    ]
    assert show._line(history, "rgb") == [(0.1, True), (0.3, True), (0.3, False)]
    assert show._line(history, "flow") == [(0.2, True), (0.2, False), (0.4, True)]
    del history[1]["metrics"]["train_r1"]
    assert show._line(history, "rgb") == []


def test_reading_of_mining_is_a_count() -> None:
    labels = np.array([0, 0, 1, 1])
    order = {"rgb": np.array([[2], [3], [0], [1]]), "flow": np.array([[1], [0], [3], [0]])}

    def reading(groups: list[str]) -> str:
        videos = [Video(f"{i}.mp4", "x", "train", g, 9, 9.0, 8, 8) for i, g in enumerate(groups)]
        return show.mining_reading(show.Mined(videos, labels, order))

    text = reading(["a", "b", "a", "b"])
    assert show.shares(labels, order) == pytest.approx((0, 0.75, 1 / 3))
    assert "0 % of the 1 nearest by RGB" in text and "75 % of the 1 nearest by flow" in text
    assert "by chance it would be 33 %" in text
    assert "room are shared by 100.0 and 0.0 %, by chance 33.3 %" in text
    # Videos without groups, or all of one, say nothing of rooms.
    assert "room" not in reading([""] * 4)


def test_what_was_mined_is_counted() -> None:
    alike = torch.tensor([[0.9, 0.1, 0.8, 0.2], [0.1, 0.9, 0.2, 0.3]])
    mask = nearest_entries(alike, 2, torch.zeros_like(alike, dtype=torch.bool))
    queue, labels = torch.tensor([0, 1, 1, -1]), torch.tensor([0, 1])
    page = show.mined_page(mask, queue, labels, ("sit_down", "wave"))
    rows = [line.strip("| ").split(" | ") for line in page.text.splitlines()][2:]
    assert rows == [
        ["sit down", "sit down ✓, wave ✗"],
        ["wave", "wave ✓, no label ✗"],
        ["all 2 clips", "50 % of 4 right"],
    ]


def test_reading_of_the_accuracy_is_the_runs(result: dict) -> None:
    rows = RunFolder(runs_root() / result["checkpoints"][0]["run"]).metrics()
    text = show.accuracy_reading(result, queue=12)
    assert "A likely reason" not in text, "one epoch cannot fall from its own peak"
    assert f"ended at {100 * rows[-1]['top1']:.0f} %" in text
    assert f"to {rows[-1]['loss']:.2f} (guessing" in text


def test_a_fall_of_the_accuracy_is_explained_where_there_is_one(
    result: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reading(*shares: float) -> str:
        rows = [{"top1": share, "loss": 2.0} for share in shares]
        monkeypatch.setattr(RunFolder, "metrics", lambda folder: rows)
        return show.accuracy_reading(result, queue=12)

    assert "reached 60 % in epoch 2 and ended at 30 %" in reading(0.1, 0.6, 0.3)
    assert "A likely reason for the fall" in reading(0.1, 0.6, 0.3)
    assert "A likely reason" not in reading(0.1, 0.6, 0.58)


@pytest.mark.parametrize(("verdict", "conjecture"), [(FAILS, True), (UNCLEAR, False)])
def test_reading_of_cmc_follows_the_verdict(
    verdict: str, conjecture: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = Claim("coclr-cmc", 4, "CoCLR beats CMC.", "", "", "", verdict=verdict)
    monkeypatch.setattr(show.compare, "verdicts", lambda job: {claim.id: claim})
    text = show.cmc_reading(JOB)
    assert text.startswith(f"CoCLR beats CMC. {verdict.capitalize()}")
    assert ("other way round" in text) == conjecture


def test_settings_of_rows() -> None:
    paper = run.settings(Job("coclr/coclr-rgb", "paper"))
    assert (paper.epochs, paper.cycle_epochs, paper.cycles, paper.topk) == (300, 100, 2, 5)
    alone = run.settings(Job("coclr/infonce-rgb", "paper"))
    assert alone.epochs == 500 and alone.milestones == (450, 480)  # as long before the end
    assert alone.streams == "rgb" and paper.streams == "both"
    tuning = run.tuning(Job("coclr/coclr-flow", "paper"))
    assert (tuning.num_seq, tuning.seq_len, tuning.dropout, tuning.crops) == (1, 32, 0.9, 10)
    assert tuning.modality == "flow" and tuning.augment.blur_p == 0 and tuning.backbone_lr == 0.1


def test_other_data_takes_the_flow_that_it_has(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        CoCLRConfig,
        "preset",
        staticmethod(lambda name: CoCLRConfig(profile="small", dataset="elsewhere")),
    )
    row = "coclr/coclr-rgb"
    assert run.settings(Job(row, dataset="synthetic")).flow == DIS
    assert run.settings(Job(row, dataset="unprepared")).flow == FlowConfig()
    asked = run.settings(Job(row, dataset="synthetic", changes={"flow.bound": "7"}))
    assert asked.flow == FlowConfig("dis", 7)
