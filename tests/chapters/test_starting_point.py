"""The setting ``init``: a run that starts from the weights of a finished one, or a sentence."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import studio
from thesislib import runs
from thesislib.chapters import run
from thesislib.chapters.row import Job
from thesislib.cli import main
from thesislib.errors import ThesisError
from thesislib.methods.coclr import build
from thesislib.methods.coclr_config import CoCLRConfig

# A rate of zero: what training ends with is what it began with.
STILL = studio.SMALL | {"epochs": 1, "lr": 0.0, "schedule": "constant", "warmup": 0}
JOB = Job("dpc/5pred3", dataset="synthetic", changes=STILL, log=None)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("starting")
    with pytest.MonkeyPatch.context() as patch:
        studio.use_folders(patch, path)
        studio.tiny(path / "data")
        yield path


@pytest.fixture(scope="module")
def source(root: Path) -> str:
    """A finished run with weights of its own."""
    found = run.train(JOB.also(JOB.row, lr=0.1)).run
    assert found is not None
    return found.name


def weights(model: Any) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_a_run_starts_from_the_weights_that_it_names(root: Path, source: str) -> None:
    other = replace(JOB, seed=1)
    plain, started = run.train(other), run.train(other.also(JOB.row, init=source))
    theirs = weights(runs.load_run(source)[0])
    assert torch.equal(weights(started.model), theirs)
    assert not torch.allclose(weights(plain.model), theirs)
    assert started.run is not None and plain.run is not None
    assert started.run.name != plain.run.name
    assert runs.load_run(started.run.name)[1].init == source
    # A curriculum begins there too, and then goes on from its own first task.
    changes = {"num_seq": 6, "epochs": 2, "init": source}
    last = run.train(Job("dpc/5pred3+4pred4", "small", "synthetic", 1, STILL | changes, log=None))
    assert torch.equal(weights(last.model), theirs)


def test_the_command_line_says_where_a_run_starts(root: Path, source: str) -> None:
    words = [f"--set={key}={value}" for key, value in STILL.items()]
    words += ["--dataset=synthetic", "--seed=1", f"--set=init={source}"]
    assert main(["train", "dpc", *words]) == 0


def test_rows_that_start_elsewhere_are_other_rows(root: Path) -> None:
    def name(**changes: Any) -> str:
        whole, more = run.identity(JOB.also(JOB.row, **changes))
        return whole.hash(**more)

    assert len({name(), name(init="dpc-a"), name(init="dpc-b")}) == 3


@pytest.mark.parametrize(
    ("row", "init", "changes", "message"),
    [
        ("dpc/5pred3", "dpc-gone", {}, "There is no run 'dpc-gone'"),
        ("dpc/5pred3", "UNFINISHED", {}, "has not finished"),
        ("dpc/5pred3", "SOURCE", {"width": 8}, "The run dpc-.* does not fit the model"),
        ("memdpc/rgb", "SOURCE", {}, "does not fit the model: [0-9]+ tensors are missing"),
        ("dpc/random", "SOURCE", {}, "dpc/random has random weights: leave init out"),
    ],
)
def test_what_cannot_be_started_from_is_said_in_one_sentence(
    row: str, init: str, changes: dict[str, Any], message: str, root: Path, source: str
) -> None:
    unfinished = root / "runs" / f"{source}x"
    if init == "UNFINISHED":
        shutil.copytree(root / "runs" / source, unfinished)
        (unfinished / "result.json").unlink()
    before = {path.name for path in (root / "runs").iterdir()}
    names = {"SOURCE": source, "UNFINISHED": unfinished.name}
    job = replace(JOB, row=row, seed=2).also(row, **changes, init=names.get(init, init))
    with pytest.raises(ThesisError, match=message) as error:
        run.train(job)
    assert "\n" not in str(error.value)
    after = {path.name for path in (root / "runs").iterdir()}
    assert after == before or "fit" in message, "no folder for a run that could not start"
    assert not any((root / "runs" / name / "result.json").exists() for name in after - before)


@pytest.mark.parametrize("changes", [{"init": "coclr-x"}, {"sampler": "coclr-x"}])
def test_the_cycles_name_their_own_runs(changes: dict[str, Any]) -> None:
    with pytest.raises(ThesisError, match=r"coclr/coclr-rgb names .* leave init and sampler out"):
        run.train(Job("coclr/coclr-rgb", dataset="synthetic", changes=changes, log=None))


def test_a_row_that_mines_nothing_takes_no_sampler() -> None:
    with pytest.raises(ThesisError, match="coclr/infonce-rgb mines nothing"):
        run.settings(Job("coclr/infonce-rgb", changes={"sampler": "coclr-x"}))


def test_a_queue_is_not_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names videos by their numbers in another data set, and may have another length."""
    config = CoCLRConfig.preset("small").override(studio.COCLR)
    own, theirs = build(replace(config, queue=32)), build(config)
    theirs.queue.source.fill_(3)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.fill_(0.5)
    fresh = own.queue.features.clone()
    found = (theirs, config, SimpleNamespace(name="coclr-x"))
    monkeypatch.setattr(runs, "load_run", lambda name: found)
    runs._take_over("coclr-x", own)
    assert torch.equal(weights(own.pair.query), weights(theirs.pair.query))
    assert torch.equal(weights(own.pair.key), weights(theirs.pair.key))
    assert torch.equal(own.queue.features, fresh) and not own.queue.full
