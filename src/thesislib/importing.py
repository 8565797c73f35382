"""The authors' checkpoints as runs of ours: ``thesislib import METHOD FILE``.

A file becomes a finished run of the row that it belongs to, at full scale, whose weights are the
authors': ``thesislib eval METHOD --run RUN`` judges them, ``thesislib features --run RUN`` takes
them. Names are matched strictly: a tensor of the model that the file leaves unfilled, or a tensor
of the file that the model has no place for, ends it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from thesislib import authors, authors_tan, book
from thesislib.authors import LoadReport, read_told
from thesislib.chapters import clips, run
from thesislib.checkpoint import RunFolder, save_state, seal
from thesislib.checksums import sha256
from thesislib.config import AUTHORS, FULL_SCALE, PROFILES
from thesislib.errors import ThesisError, choose
from thesislib.places import user_path
from thesislib.provenance import provenance
from thesislib.released import weights
from thesislib.train import seed_everything


@dataclass(frozen=True)
class Reader:
    """How the files of a method are read.

    Attributes:
        load: Fills a model.
        row: Whose network a file is, if nobody says.
        preset: Whose settings, if nobody says.
        aside: What begins so in a file is known, and not taken.
    """

    load: Callable[[nn.Module, Mapping[str, Tensor]], LoadReport]
    row: str
    preset: str = "as_released"
    aside: tuple[str, ...] = ()


READERS = {
    "dpc": Reader(authors.load_dpc, "dpc/5pred3"),
    "memdpc": Reader(authors.load_memdpc, "memdpc/bd-rgb"),
    "coclr": Reader(authors.load_coclr, "coclr/coclr-rgb", aside=("queue",)),
    "turbo": Reader(authors.load_videomae, "turbo/mae", preset="paper"),
    "tan": Reader(authors_tan.load_tan, "tan/d", aside=authors_tan.UNUSED),
}


def import_weights(
    method: str,
    file: str | Path,
    row: str = "",
    preset: str = "",
    changes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Makes a finished run of a file of the authors, or finds it made.

    Args:
        method: ``dpc``, ``memdpc``, ``coclr``, ``tan``, or ``turbo`` for VideoMAE's.
        file: A checkpoint, as the authors save it; nothing in it is executed.
        row: Of the chapter: whose network it is.
        preset: ``as_released`` or ``paper``: whose settings the run has.
        changes: To these settings.

    Returns:
        Plain JSON: ``run`` (its folder), ``row``, ``preset``, ``file`` with size, SHA-256 and what
        it tells of itself, and ``tensors``: how many are ``matched``; the names of those that
        ``start_fresh`` in our model, as the file has nothing of the kind; of those ``set_aside`` in
        the file; and how many were found ``equal`` to a frozen part that we hold.

    Raises:
        ThesisError: No such method, row or file; not a checkpoint; or names that do not match.
    """
    choose("method whose weights can be a run", method, READERS)
    reader, begun = READERS[method], time.time()
    row, preset = row or reader.row, preset or reader.preset
    row = row if "/" in row else f"{method}/{row}"
    choose("preset at full scale", preset, [one for one in PROFILES if one in FULL_SCALE])
    config = settings(row, preset, changes or {})
    path = user_path(file, "the path of the checkpoint")
    state, told = read_told(path)
    seed_everything(config.seed)  # what the file does not fill
    model = book.method(method).MODEL(config)
    report = _filled(reader, model, state, method, str(path))
    digest = sha256(path)
    folder = RunFolder.open(f"{method}-{AUTHORS}", config, digest)
    with folder.alone(None):
        if not folder.finished:
            save_state(folder.checkpoint, model, None, {"epoch": config.epochs, "rows": []})
            folder.keep_model(model)
            facts = {"name": path.name, "bytes": path.stat().st_size, "sha256": digest}
            folder.finish(
                {
                    "row": row,
                    "metrics": {},
                    "weights": AUTHORS,
                    "file": facts | told,
                    "tensors": _summary(report),
                    "checkpoint": seal(folder.checkpoint),
                    "provenance": provenance(begun, digest, time.time() - begun),
                }
            )
    made = folder.result()
    return {
        "run": str(folder.path),
        **{name: made[name] for name in ("row", "file", "tensors")},
        "preset": preset,
    }


def settings(row: str, preset: str, changes: Mapping[str, Any]) -> Any:
    """The settings of a row at full scale, whatever lies on this machine.

    Raises:
        ThesisError: There is no such row, or it trains nothing of its own.
    """
    found = run.find(row)
    if found.train in (clips.untrained, clips.nothing):
        raise ThesisError(
            f"{row} ({found.name}) trains nothing: name the row of the file's network."
        )
    config = run.method_of(row).CONFIG.preset(preset)
    return config.override(found.changes).override(changes)


def _filled(
    reader: Reader, model: nn.Module, state: Mapping[str, Tensor], method: str, file: str
) -> LoadReport:
    """Fills the model, strictly.

    Raises:
        ThesisError: A name that does not match, or a number that is not finite; a row that would
            fit is named.
    """
    odd = [n for n, v in state.items() if v.is_floating_point() and not bool(v.isfinite().all())]
    if odd:
        raise ThesisError(
            f"{file} holds numbers that are not finite, first in {odd[0]}: get it anew."
        )
    try:
        report = reader.load(model, state)
        _check_unknown(reader, report, file)
    except ThesisError as error:
        raise ThesisError(f"{error} {_advice(reader, state, method)}") from None
    return report


def _check_unknown(reader: Reader, report: LoadReport, file: str) -> None:
    unknown = [name for name in report.unused if not name.startswith(reader.aside or ("\0",))]
    if unknown:
        raise ThesisError(
            f"{file} does not fit: {len(unknown)} tensors have no place in the model, the first is "
            f"{unknown[0]}."
        )


def _advice(reader: Reader, state: Mapping[str, Tensor], method: str) -> str:
    """The row and settings of the published files that a file fits, if any."""
    shapes = {name: tensor.to("meta") for name, tensor in state.items()}
    for one in (one for one in weights(method) if one.row):
        with torch.device("meta"):
            model = book.method(method).MODEL(settings(one.row, one.preset, one.changes))
        try:
            _check_unknown(reader, reader.load(model, shapes), "it")
        except ThesisError:
            continue
        return f"It fits {one.command.partition(' --row ')[2]}."
    return "`thesislib weights` lists rows and presets of the published files."


def _summary(report: LoadReport) -> dict[str, Any]:
    return {
        "matched": len(report.mapped),
        "start_fresh": list(report.missing),
        "set_aside": list(report.unused),
        "equal": len(report.compared),
    }
