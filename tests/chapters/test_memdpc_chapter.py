"""What chapter 3 shows, on a tiny data set; and its rows as runs, two streams included."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import studio
from thesislib import chapters
from thesislib.chapters import memdpc
from thesislib.chapters.text import _entry
from thesislib.config import FlowConfig, runs_root
from thesislib.data.flow import compute_flow
from thesislib.data.manifest import read_manifest
from thesislib.errors import ThesisError
from thesislib.evaluation.finetune import FinetuneConfig
from thesislib.evaluation.fusion import load_probabilities
from thesislib.experiments import pretrain, run_row
from thesislib.ledger import Ledger
from thesislib.methods.memdpc import MemDPCConfig
from thesislib.rows import ROWS, row_config, row_tuning

SMALL, TUNE = studio.SMALL | {"size": 64, "memory_slots": 8}, studio.TUNE | {"size": 64}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("chapter3")
    paper, tuned = MemDPCConfig.preset("paper"), FinetuneConfig.preset("paper")
    small = paper.override({"profile": "small", "dataset": "synthetic", **SMALL})
    tune = tuned.override({"profile": "small", "dataset": "synthetic", **TUNE})
    with pytest.MonkeyPatch.context() as patch:
        for name in ("data", "runs", "results"):
            patch.setenv(f"THESISLIB_{name.upper()}", str(root / name))
        patch.setattr(MemDPCConfig, "preset", staticmethod({"small": small, "paper": paper}.get))
        patch.setattr(FinetuneConfig, "preset", staticmethod({"small": tune, "paper": tuned}.get))
        patch.setitem(
            ROWS, "memdpc/flow", ROWS["memdpc/flow"].__class__(
                "flow", {"modality": "flow", "bidirectional": False}, {"flow.algorithm": "dis"}
            )
        )  # fmt: skip
        studio.tiny(root / "data")
        yield root


@pytest.fixture(scope="module")
def result(tiny: Path) -> dict:
    return run_row("memdpc/rgb", log=None, more=("nonlinear", "efficiency"))


def test_a_row_has_all_its_protocols(result: dict) -> None:
    metrics = result["metrics"]
    assert {"pretext_top1", "finetune_top1", "probe_top1", "nonlinear_top1"} <= metrics.keys()
    assert {f"finetune_top1_{share}" for share in memdpc.SHARES} <= metrics.keys()
    assert result["method"] == "memdpc" and result["videos"]["evaluated"] > 0
    assert len(result["hits"]["nonlinear_top1"]) == result["videos"]["evaluated"]
    with pytest.raises(ThesisError, match=r"no protocol .efficient.*efficiency"):
        run_row("memdpc/rgb", log=None, more=("efficient",))


def test_flow_is_asked_for_before_anything_is_trained(tiny: Path) -> None:
    with pytest.raises(ThesisError, match="thesislib flow"):
        run_row("memdpc/flow", log=None)


def test_two_streams_are_the_mean_of_their_probabilities(result: dict, tiny: Path) -> None:
    manifest = read_manifest("synthetic")
    compute_flow(manifest, FlowConfig("dis"), jobs=1, progress=False)
    both = run_row("memdpc/2stream", log=None, more=("nonlinear", "efficiency"))
    flow = run_row("memdpc/flow", log=None, more=("nonlinear", "efficiency"))
    parts = [load_probabilities(runs_root() / part["tuned"]) for part in (result, flow)]
    mean = np.mean([p.values for p in parts], axis=0)
    expected = float(np.mean(mean.argmax(1) == parts[0].labels))
    assert both["metrics"]["finetune_top1"] == pytest.approx(expected)
    assert both["parts"] == [result["run"], flow["run"]]


def test_settings_of_rows() -> None:
    paper = row_config("memdpc/rgb", "paper", "ucf101", 0)
    assert paper.memory_slots == 1024 and not paper.bidirectional
    assert row_config("memdpc/bd-flow", "paper", "ucf101", 0).flow == FlowConfig()
    assert row_config("memdpc/bd-rgb", "paper", "ucf101", 0).bidirectional
    assert row_config("memdpc/rgb-m2048", "small", "synthetic", 0).memory_slots == 256

    def thesis(row: str) -> FinetuneConfig:
        return row_tuning(row, row_config(row, "paper", "ucf101", 0))

    assert thesis("memdpc/flow").modality == "flow"
    assert thesis("memdpc/flow").dropout == 0.9
    assert thesis("dpc/5pred3").dropout == 0.5


def test_every_row_of_ours_has_settings() -> None:
    for row, entry in ROWS.items():
        if not entry.fuse:
            assert row_config(row, "small", "synthetic", 0).dataset == "synthetic"


def test_pictures(result: dict, tiny: Path) -> None:
    manifest = read_manifest("synthetic")
    config = row_config("memdpc/rgb", "small", "synthetic", 0)
    model, _, _ = pretrain("memdpc/rgb", log=None)
    memory, reading = chapters.memory_picture(model, manifest, config, slots=3, width=4)
    assert "of the 8" in reading and "commonest action" in reading
    flow = chapters.flow_picture(manifest, "small", frames=3)
    retrieval, _ = chapters.retrieval_picture(model, manifest, config)
    empty = chapters.efficiency_picture("small", "synthetic")
    for picture in (memory, flow, retrieval, empty, chapters.curves_picture(result)):
        assert len(picture.png()) <= 150_000 and picture.alt
    assert "not run" in empty.alt and "MemDPC" in retrieval.alt


def test_frozen_features_stand_beside_random_weights(result: dict) -> None:
    entry = _entry(result)

    def reading(mine: float, random: float) -> str:
        rows = {"memdpc/rgb": mine, "memdpc/random-rgb": random}
        entries = [
            replace(entry, row=row, metrics={"probe_top1": v, "retrieval_r1": v / 2})
            for row, v in rows.items()
        ]
        return memdpc.frozen_reading(Ledger(entries), "small", "synthetic")

    worse = reading(0.4, 0.6)
    assert "linear probe 40.0 against 60.0 %, R@1 20.0 against 30.0 %" in worse
    assert "1 seeds" in worse and "worse than filters" in worse
    assert "worse" not in reading(0.6, 0.4)
    assert "were not compared" in memdpc.frozen_reading(Ledger([]), "small", "synthetic")


def test_moments_stand_beside_guessing(tiny: Path) -> None:
    assert chapters.moments_page("small", "synthetic").text.count("not run") == 6


def test_reading_of_the_memory_is_what_the_words_say() -> None:
    address = np.zeros((4, 4, 1, 1), np.float32)
    address[:, 0] = 1  # every video reads the first slot alone
    order = np.argsort(-address[:, :, 0, 0], axis=0, kind="stable")[:2]
    text = memdpc._memory_reading(address, order, ["a", "a", "b", "b"])
    assert "reads 1.0 slots" in text and "use 1 of the 4" in text
    assert "100 % of the 2 strongest" in text
    spread = np.full((4, 4, 1, 1), 0.25, np.float32)
    assert "reads 4.0 slots" in memdpc._memory_reading(spread, order, [""] * 4)


def test_numbers_come_from_the_tables(result: dict, tiny: Path) -> None:
    config = row_config("memdpc/rgb", "small", "synthetic", 0)
    values = chapters.memdpc_numbers({"memdpc/rgb": result}, config, read_manifest("synthetic"))
    assert (values["thesis_memdpc"], values["thesis_dpc"]) == ("68.2", "63.6")
    assert values["slots"] == 8
