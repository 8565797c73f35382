"""A table of when the sentences of a data set are seen, and networks that say so of a film."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import studio
import toy_narrated
from thesislib import aligning, aligning_sets
from thesislib.chapters import run
from thesislib.chapters.row import Job
from thesislib.cli import main
from thesislib.data.narrated_windows import Told
from thesislib.data.narrations import Narration
from thesislib.errors import ThesisError
from thesislib.methods.tan import TAN
from thesislib.methods.tan_config import TanConfig

TINY: dict[str, Any] = {
    "seconds": 32, "width": 16, "depth": 1, "joint_depth": 1, "heads": 2, "places": 64,
    "batch_size": 4, "epochs": 1, "warmup": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("sets")
    with pytest.MonkeyPatch.context() as patch:
        studio.use_folders(patch, root)
        toy_narrated.make(root, patch)
        yield root


def rows_in(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_for_every_sentence(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = made / "all.csv"
    assert main(["align", "synthetic_narrated", "--out", str(table), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    rows = rows_in(table)
    assert told["compared"] == told["seen"] == len(rows) == 6 * 14
    assert told["sentences"] == 6 * 15, "one video cannot be read: its sentences are counted"
    assert told["videos"] == 15 and told["videos_without_features"] == 1
    assert [int(row["number"]) for row in rows[:7]] == [0, 1, 2, 3, 4, 5, 0]
    for row in rows:
        start, end, centre = (float(row[f"seen_{n}"]) for n in ("start", "end", "centre"))
        assert 0 <= start < end <= toy_narrated.SECONDS and centre == (start + end) / 2
        length = float(row["heard_end"]) - float(row["heard_start"])
        assert end - start == max(1, round(length)) and row["alignable"] == "1"


def test_a_run_and_its_head(made: Path) -> None:
    trained = run.train(Job("tan/d", log=None, changes=TINY))
    assert trained.run is not None
    name, table = trained.run.name, made / "some.csv"
    found = aligning_sets.align_set(
        "synthetic_narrated", name, split="test", out=table, log=lambda _: None
    )
    rows = rows_in(table)
    assert found["videos"] == len(toy_narrated.SPLIT["test"]) and found["compared"] == len(rows)
    seen = [row for row in rows if row["alignable"] == "1"]
    assert found["seen"] == len(seen)
    assert all(row["seen_start"] for row in seen)
    assert not any(row["seen_start"] or row["seen_centre"] for row in rows if row not in seen)
    assert all(row["score"] for row in rows), "a score is kept of what is not seen too"
    with pytest.raises(ThesisError, match="There is no split 'dev'"):
        aligning_sets.align_set("synthetic_narrated", name, split="dev", out=table)
    with pytest.raises(ThesisError, match="There is no run 'dpc-none'"):
        aligning_sets.align_set("synthetic_narrated", "dpc-none", out=table)
    with pytest.raises(ThesisError, match=r"neither in \.csv nor in \.parquet"):
        aligning_sets.align_set("synthetic_narrated", out=made / "x.txt")


def test_parquet_holds_the_same(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    quiet: Any = {"split": "val", "min_score": 0.3, "log": lambda _: None}
    for ending in aligning_sets.ENDINGS:
        aligning_sets.align_set("synthetic_narrated", out=made / f"t{ending}", **quiet)
    for plain, row in zip(
        rows_in(made / "t.csv"), parquet.read_table(made / "t.parquet").to_pylist(), strict=True
    ):
        assert {k: aligning_sets._cell(v) for k, v in row.items()} == {
            k: v if k in ("path", "text") or not v else float(v) for k, v in plain.items()
        }
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ThesisError, match=r"thesislib\[parquet\]"):
        aligning_sets.align_set("synthetic_narrated", out=made / "u.parquet", **quiet)


def test_words_that_do_not_go_together(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, says in (
        (["synthetic_narrated", "--also", "srt"], "leave out also"),
        (["none.mp4", "--split", "test"], "--split is of a data set"),
    ):
        assert main(["align", *words]) == 1
        assert says in capsys.readouterr().err


# -- one film ------------------------------------------------------------------------------


@pytest.fixture
def network() -> TAN:
    """It begins with the cosines of its features."""
    config = TanConfig.preset("small")
    config = replace(
        config, dim=8, text_dim=8, width=8, heads=2, seconds=16, places=64, one_space=True, stage=2
    )
    torch.manual_seed(0)
    return TAN(config)


def test_a_network_scores_a_film_and_its_head_decides(network: TAN) -> None:
    times = [2.0, 9, 19, 29, math.nan]
    said = tuple(Narration(start, start + 2, "words") for start in times)
    video = Told(torch.randn(40, 8), said, torch.randn(5, 8))
    found = aligning.compared(video, network)
    assert found.scores.shape == (5, 40) and found.alignable is not None
    for bias, able in ((3.0, True), (-3.0, False)):
        with torch.no_grad():
            network.online.network.head.bias.fill_(bias)
            network.online.network.head.weight.zero_()
        again = aligning.compared(video, network)
        assert again.alignable is not None and (again.alignable == able).all()
    first = TAN(replace(network.config, stage=1))
    assert aligning.compared(video, first).alignable is None


def test_a_run_brings_its_model(network: TAN, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(network.config, features="/kept")
    folder = type("Folder", (), {"name": "tan-x"})()
    monkeypatch.setattr(aligning, "load_run", lambda *_: (network, config, folder))
    with pytest.raises(ThesisError, match="tan-x learnt from features of /kept"):
        aligning.named_network("tan-x")
    with pytest.raises(ThesisError, match="leave --model out"):
        aligning.named_network("tan-x", "ViT-B-32")
