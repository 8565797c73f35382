"""Rows as runs: settings, training, judging.

A notebook, the command line and the ledger all call :func:`run`, so a number in the book, one in
the terminal and one in ``results/`` come from the same code.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from thesislib import book, published
from thesislib.chapters.row import Job, Row
from thesislib.checkpoint import RunFolder
from thesislib.config import AUTHORS, RunConfig
from thesislib.data.editions import check_editions, editions
from thesislib.data.manifest import read_manifest
from thesislib.errors import ThesisError, choose
from thesislib.evaluation.scores import Lacking, Scores
from thesislib.places import runs_root
from thesislib.provenance import provenance
from thesislib.runs import imported, load_run
from thesislib.train import Trained, placed


def rows(method: str) -> Mapping[str, Row]:
    """The rows of a chapter, by key.

    Raises:
        ThesisError: There is no such chapter, or it is not written yet.
    """
    written = [name for name, one in book.CHAPTERS.items() if one.written]
    found: Mapping[str, Row] = book.room(choose("method", method, written), "rows").ROWS
    return found


def find(row: str) -> Row:
    """A row by its key.

    Raises:
        ThesisError: There is none (with the nearest one).
    """
    known = rows(row.partition("/")[0])
    return known[choose("row", row, known)]


def method_name(row: str) -> str:
    """The method that a row trains."""
    return find(row).method or row.partition("/")[0]


def method_of(row: str) -> ModuleType:
    """The module of that method: its ``CONFIG`` and ``MODEL``."""
    return book.method(method_name(row))


def settings(job: Job) -> Any:
    """The resolved settings of training a row.

    The preset of its method, what the row changes, what it changes in the small profile, what the
    caller changes, and what the row settles in the end. Of imported weights: those of their run,
    and what the caller changes.
    """
    if job.weights:
        return _imported(job)
    row = find(job.row)
    config = method_of(job.row).CONFIG.preset(job.profile)
    config = config.override({"dataset": job.dataset or config.dataset, "seed": job.seed})
    config = config.override(row.changes)
    if job.profile == "small":
        config = config.override(row.small)
    config = row.settle(config.override(job.changes), job)
    if job.stages:
        config = replace(config, keep_every=max(1, config.epochs // job.stages))
    return config


def _imported(job: Job) -> Any:
    config, row = imported(job.weights)
    if row != job.row:
        raise ThesisError(f"{job.weights} stands for {row}, not for {job.row}: leave --row out.")
    if job.stages:
        raise ThesisError(f"{job.weights} has no intermediate checkpoints: leave --stages out.")
    return config.override({"seed": job.seed}).override(job.changes)


def tuning(job: Job) -> Any:
    """The resolved settings of what is trained on top of a row; ``None`` where nothing is."""
    row = find(job.row)
    if row.tuning is None:
        return None
    return row.tuning(settings(job), {"dataset": judged_on(job), **job.tune})


def judged_on(job: Job) -> str:
    """Name of the data set that a row is judged on."""
    if job.on or job.dataset:
        return job.on or job.dataset
    preset = method_of(job.row).CONFIG.preset(job.profile)
    home = find(job.row).home or job.row
    return published.home(home, job.profile) or str(preset.dataset)


def identity(job: Job) -> tuple[RunConfig, dict[str, Any]]:
    """What decides the result of a row: settings, and what else goes into their hash.

    The name of its run and ``config_hash`` in its result come from it.
    """
    own = find(job.row).identity
    return usual_identity(job) if own is None else own(job)


def usual_identity(job: Job) -> tuple[RunConfig, dict[str, Any]]:
    """The same of a row that has no ``identity`` of its own."""
    row, config, on_top = find(job.row), settings(job), tuning(job)
    asked = [choose("protocol", name, row.more) for name in sorted(job.more)]
    text = " ".join([job.row, *([on_top.hash()] if on_top else []), str(job.stages), *asked])
    whole = replace(config, dataset=judged_on(job))
    if job.weights:
        text += f" weights {Path(job.weights).name}"
    elif config.dataset != whole.dataset:
        text += f" {row.fingerprint(config.dataset)}"
    if first := getattr(config, "init", ""):  # whose place in the hash the text takes
        text += f" from {first}"
    return whole, {"init": text}


def folder(job: Job) -> RunFolder:
    """The run folder of a whole row."""
    whole, more = identity(job)
    name = job.row.replace("/", "_") + (f"-{AUTHORS}" if job.weights else "")
    return RunFolder.open(name, whole, find(job.row).fingerprint(whole.dataset), **more)


def train(job: Job) -> Trained:
    """The model of a row, trained, found trained, or imported."""
    if not job.weights:
        return find(job.row).train(job)
    model, _, found = load_run(job.weights)
    return Trained(placed(model), found, found.result())


def run(job: Job) -> dict[str, Any]:
    """One row, whole: trains and judges it, writes its ``result.json``; or finds it.

    Returns:
        The content of ``result.json``: row, metrics (shares in ``[0, 1]``), hits, provenance, ...

    Raises:
        Lacking: Nothing could be measured; says what the data set lacks.
        ThesisError: The weights or the videos that a result is of are others now.
    """
    run_ = folder(job)
    with run_.alone(job.log):
        return _found(run_, job) if run_.finished else _judged(run_, job)


def _found(run_: RunFolder, job: Job) -> dict[str, Any]:
    """The result of a row that ran before."""
    result = run_.result()
    check_editions(result.get("editions", {}), run_.path)
    source = RunFolder(runs_root() / result.get("source", ""))
    told = result.get("checkpoint")  # runs of before did not say
    if told and source.finished and source.result().get("checkpoint", told) != told:
        raise ThesisError(
            f"The numbers of {run_.name} are of other weights than {source.name} has now: delete "
            f"the folder {run_.path} and repeat the command."
        )
    if job.log and (lost := run_.lost):
        job.log(lost)
    return result


def _judged(run_: RunFolder, job: Job) -> dict[str, Any]:
    """Trains, judges, and writes the result."""
    row, begun = find(job.row), time.time()
    if row.tuning is not None:
        _all_or_none(judged_on(job))
    trained = train(job)
    after = time.time()
    scores, lacking = Scores(), []
    for judge in row.judges:
        try:
            scores = scores | judge(job, trained)
        except Lacking as error:  # others may have what they need
            lacking.append(str(error))
    tuned = scores.runs[:1]
    for name in sorted(job.more):
        scores = row.more[name](job, trained) | scores
    if not scores.metrics:
        raise Lacking(" ".join(lacking) or f"{job.row} has no judge: give its row one.")
    whole, more = identity(job)
    on_top = tuning(job)
    config = {"pretrain": settings(job).to_dict()}
    config |= {"finetune": on_top.to_dict()} if on_top else {}
    fused = {"fuse": [part["config"] for part in scores.parts]}
    learnt = [trained.result, *(RunFolder(runs_root() / name).result() for name in scores.runs)]
    source = trained.result.get("provenance", {})
    seconds = float(source.get("wall_seconds", 0))
    result = {
        "row": job.row,
        "run": run_.name,
        "name": row.name,
        "method": job.row.partition("/")[0],
        "profile": AUTHORS if job.weights else job.profile,
        "dataset": whole.dataset,
        "seed": job.seed,
        "config_hash": whole.hash(**more),
        "metrics": {**trained.result.get("metrics", {}), **scores.metrics},
        "hits": dict(scores.hits),
        "items": dict(scores.items),
        "videos": dict(scores.counts),
        "checkpoints": [*trained.result.get("stages", []), *scores.points],
        "config": fused if scores.parts else config,
        "source": trained.run.name if trained.run else "",
        "checkpoint": trained.result.get("checkpoint", {}),
        "skipped": sorted({path for one in learnt for path in one.get("skipped", [])}),
        "editions": {name: e for one in learnt for name, e in one.get("editions", {}).items()}
        | editions(whole.dataset),
        "tuned": "".join(tuned),
        "parts": [part["run"] for part in scores.parts],
        "provenance": provenance(
            # Found trained, it still took its time.
            begun,
            row.fingerprint(whole.dataset),
            seconds + time.time() - after,
            whole,
        )
        | {name: source[name] for name in ("processes",) if name in source},
    }
    run_.finish(result)
    return result


def _all_or_none(dataset: str) -> None:
    """Refuses, before hours are spent, videos of which classifying would lose some."""
    manifest = read_manifest(dataset)
    bare = [video.path for video in manifest.videos if not video.label]
    if bare and len(bare) < len(manifest):
        raise ThesisError(
            f"{len(bare)} of the {len(manifest)} videos of {manifest.name!r} have no label "
            f"({bare[0]} for one): label them or leave them out; `thesislib train` needs no labels."
        )
