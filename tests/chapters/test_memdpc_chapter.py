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
from thesislib import viz
from thesislib.chapters import blocks, pictures, run
from thesislib.chapters.compare import _entry
from thesislib.chapters.memdpc import show
from thesislib.chapters.memdpc.rows import FAST
from thesislib.chapters.row import Job
from thesislib.clip_config import FlowConfig
from thesislib.data.flow import compute_flow
from thesislib.data.manifest import read_manifest
from thesislib.errors import ThesisError
from thesislib.evaluation.finetune import FinetuneConfig
from thesislib.evaluation.scores import load_rows
from thesislib.ledger import Ledger
from thesislib.methods.memdpc import MemDPCConfig
from thesislib.places import runs_root

JOB = Job("memdpc/rgb", dataset="synthetic", more=("nonlinear", "efficiency"), log=None)
SMALL, TUNE = studio.SMALL | {"size": 64, "memory_slots": 8}, studio.TUNE | {"size": 64}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("chapter3")
    paper, tuned = MemDPCConfig.preset("paper"), FinetuneConfig.preset("paper")
    small = paper.override({"profile": "small", "dataset": "synthetic", **SMALL})
    tune = tuned.override({"profile": "small", "dataset": "synthetic", **TUNE})
    with pytest.MonkeyPatch.context() as patch:
        studio.use_folders(patch, root)
        patch.setattr(MemDPCConfig, "preset", staticmethod({"small": small, "paper": paper}.get))
        patch.setattr(FinetuneConfig, "preset", staticmethod({"small": tune, "paper": tuned}.get))
        patch.setitem(FAST, "flow.algorithm", "dis")
        patch.setitem(FAST, "flow.bound", 20.0)
        studio.tiny(root / "data")
        yield root


@pytest.fixture(scope="module")
def result(tiny: Path) -> dict:
    return run.run(JOB)


def test_a_row_has_all_its_protocols(result: dict) -> None:
    metrics = result["metrics"]
    assert {"pretext_top1", "finetune_top1", "probe_top1", "nonlinear_top1"} <= metrics.keys()
    assert {f"finetune_top1_{share}" for share in show.PERCENT} <= metrics.keys()
    assert result["method"] == "memdpc" and result["videos"]["evaluated"] > 0
    assert len(result["hits"]["nonlinear_top1"]) == result["videos"]["evaluated"]
    with pytest.raises(ThesisError, match=r"no protocol .efficient.*efficiency"):
        run.run(replace(JOB, more=("efficient",)))


def test_flow_is_asked_for_before_anything_is_trained(tiny: Path) -> None:
    with pytest.raises(ThesisError, match="thesislib flow"):
        run.run(JOB.also("memdpc/flow"))


def test_two_streams_are_the_mean_of_their_probabilities(result: dict, tiny: Path) -> None:
    manifest = read_manifest("synthetic")
    compute_flow(manifest, FlowConfig("dis"), jobs=1, progress=False)
    both, flow = (run.run(JOB.also(f"memdpc/{row}")) for row in ("2stream", "flow"))
    parts = [load_rows(runs_root() / part["tuned"]) for part in (result, flow)]
    mean = np.mean([p.values for p in parts], axis=0)
    expected = float(np.mean(mean.argmax(1) == parts[0].labels))
    assert both["metrics"]["finetune_top1"] == pytest.approx(expected)
    assert both["parts"] == [result["run"], flow["run"]]


def test_settings_of_rows() -> None:
    def paper(row: str) -> MemDPCConfig:
        config: MemDPCConfig = run.settings(Job(f"memdpc/{row}", "paper"))
        return config

    assert paper("rgb").memory_slots == 1024 and not paper("rgb").bidirectional
    assert paper("bd-flow").flow == FlowConfig()
    assert paper("bd-rgb").bidirectional
    assert run.settings(Job("memdpc/rgb-m2048")).memory_slots == 256
    assert run.tuning(Job("memdpc/flow", "paper")).modality == "flow"
    assert run.tuning(Job("memdpc/flow", "paper")).dropout == 0.9
    assert run.tuning(Job("dpc/5pred3", "paper")).dropout == 0.5


def test_pictures(result: dict, tiny: Path) -> None:
    manifest = read_manifest("synthetic")
    config, model = run.settings(JOB), run.train(JOB).model
    reading = show.read_memory(model, manifest, config)
    assert np.allclose(reading.address.sum(1), 1, atol=1e-5)
    assert len(reading.address) == len(reading.frames) == len(reading.names) == 10
    said = show.memory_reading(reading, 4)
    assert "of the 8" in said and "commonest action" in said
    strips = show.memory_strips(reading, slots=3, width=4)
    assert [len(row) for row in strips.frames] == [4, 4, 4]
    found, _ = pictures.neighbours(model, manifest, config)
    retrieval = viz.retrieval_grid(*found)
    empty = viz.lines_with_interval(show.efficiency(JOB), "share of the labels (%)")
    for picture in (
        viz.contact_sheet(*strips),
        viz.contact_sheet(*show.flow_strips(manifest, JOB, frames=3)),
        retrieval,
        empty,
        blocks.curves_picture(result, JOB),
    ):
        assert len(picture.png()) <= 150_000 and picture.alt
    assert "not run" in empty.alt and "MemDPC" in retrieval.alt


def test_mistakes_of_two_streams_are_counted(
    result: dict, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, hits = _entry(result), {"rgb": "1100", "flow": "1010", "2stream": "1110"}
    entries = [
        replace(entry, row=f"memdpc/{row}", hits={"finetune_top1": text}, metrics={})
        for row, text in hits.items()
    ]
    monkeypatch.setattr(show.Ledger, "load", lambda: Ledger(entries))
    said = show.mistakes_reading(JOB)
    assert "Over 1 seeds both are wrong on 25.0 %" in said
    assert "RGB alone on 25.0 % and flow alone on 25.0 %" in said and "right on 75.0 %" in said
    monkeypatch.setattr(show.Ledger, "load", lambda: Ledger(entries[:2]))
    assert "does not hold both" in show.mistakes_reading(JOB)


def test_moments_stand_beside_guessing(tiny: Path) -> None:
    assert show.moments_page(JOB).text.count("not run") == 6


def test_reading_of_the_memory_is_what_the_words_say() -> None:
    address = np.zeros((4, 4, 1, 1), np.float32)
    address[:, 0] = 1  # every video reads the first slot alone
    frames = np.zeros((4, 8, 8, 3), np.uint8)
    reading = show.Reading(address, frames, ["a", "a", "b", "b"])
    text = show.memory_reading(reading, 2)
    assert "reads 1.0 slots" in text and "use 1 of the 4" in text
    assert "100 % of the 2 strongest" in text
    spread = np.full((4, 4, 1, 1), 0.25, np.float32)
    assert "reads 4.0 slots" in show.memory_reading(show.Reading(spread, frames, [""] * 4), 2)
    assert show.agreement(reading, 2)[0] == 1.0 and show.agreement(reading, 4) == (0.5, 0.5)


def test_numbers_come_from_the_tables(result: dict, tiny: Path) -> None:
    values = show.numbers({"memdpc/rgb": result}, JOB)
    assert values["slots"] == 8 and values["chance_temporal"] == pytest.approx(50)
    assert "Not run" in values["said_times"] and "guessing" in values["said_times"]
