"""What rows of chapter 6 start from: the weights of other rows, of runs, or of VideoMAE's files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from thesislib.authors import load_videomae, read_checkpoint
from thesislib.chapters import run
from thesislib.chapters.row import Job
from thesislib.config import RunConfig
from thesislib.methods.turbo import Turbo
from thesislib.runs import load_run

# What a caller changes of a row that also holds for the row that it starts from: the network, and
# what it is given. How long and how fast that one learns is its own affair.
SHARED = (
    "size", "tubelet", "width", "depth", "heads", "pool", "decoder_width", "decoder_depth",
    "decoder_heads", "text_encoder",
)  # fmt: skip

Start = Callable[[Turbo], object]


def first(row: str, job: Job, dataset: str = "") -> Job:
    """The row that another starts from, at the same scale and with the same network.

    Args:
        row: Its key.
        job: Of the row that starts.
        dataset: What it learns from; "": that of its own table.
    """
    own = {name: value for name, value in job.changes.items() if name in SHARED}
    return replace(job.also(row), dataset=dataset, on="", more=(), changes=own)


def identity(before: Callable[[Job], Job], job: Job) -> tuple[RunConfig, dict[str, Any]]:
    """Results also depend on what a row starts from, with all that decides that one's.

    Args:
        before: Of a row to the one that it starts from, unless ``source`` names another beginning.
        job: Of the row that starts.
    """
    whole, more = run.usual_identity(job)
    if run.settings(job).source:
        return whole, more
    start, others = run.identity(before(job))
    return whole, {"init": f"{more['init']} from {start.hash(**others)}"}


def begin(source: str) -> Start:
    """What gives a model the encoder, and the decoder if both have one, of others' weights.

    Args:
        source: A finished run, or a file of VideoMAE's weights.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return lambda model: load_videomae(model, read_checkpoint(path))
    return taking(load_run(source)[0])


def taking(other: Turbo) -> Start:
    """The same of a model that is at hand."""
    return lambda model: model.start_from(other)
