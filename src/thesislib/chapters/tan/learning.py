"""How the rows of chapter 7 learn.

On the times of speech (stage 1), then on found ones (2); on lists of steps without a time (3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch.utils.data import Dataset

from thesislib.chapters import frame_features, run
from thesislib.chapters.row import Job
from thesislib.chapters.tan import narrated
from thesislib.chapters.tan.narrated import World
from thesislib.checkpoint import load_weights
from thesislib.config import RunConfig
from thesislib.data.features import FeatureStore
from thesislib.data.words import Vocabulary
from thesislib.errors import ThesisError
from thesislib.methods.tan import TAN
from thesislib.methods.tan_config import TanConfig
from thesislib.runs import load_run
from thesislib.train import Trained, train

NAME = "tan"  # of the runs: other rows start from them
# What a caller changes of a row that also holds for the row that it starts from: the network, and
# what it is given. How long and how fast that one learns is its own affair.
SHARED = (
    "seconds", "texts", "model", "features", "vocabulary", "word_dim", "word_hidden", "text_dim",
    "width", "depth", "joint_depth", "heads", "places", "one_space",
)  # fmt: skip


def given(job: Job) -> World:
    """What a row learns from, and its settings for that."""
    config: TanConfig = run.settings(job)
    return narrated.world(config.dataset, config, job.log)


def before(first: str, job: Job) -> Job:
    """The row that another starts from, at the same scale and with the same network."""
    own = {name: value for name, value in job.changes.items() if name in SHARED}
    return replace(job.also(first), on="", more=(), changes=own)


def on_own_data(config: TanConfig, job: Job) -> TanConfig:
    """A row that learns from the data set on which it is judged."""
    return replace(config, dataset=run.judged_on(job))


def trained(job: Job, first: str = "") -> Trained:
    """Training of a row, or the finished run.

    Args:
        job: Its setting ``source`` names a finished run to start from.
        first: The row that it starts from otherwise; "": from random weights.
    """
    world = given(job)
    config, begin = world.config, None
    if config.source:
        begin = taking(load_run(config.source, (NAME,))[0], config.source)
    elif first:
        start = run.train(before(first, job))
        assert start.run is not None
        config = replace(config, source=start.run.name)
        begin = taking(start.model, config.source)
    elif config.texts == "words":
        begin = with_vectors(narrated.words_of(config))

    def data() -> tuple[Dataset[Any], Dataset[Any] | None]:
        some = world.lists if config.stage == 3 else world.windows
        learnt = some("train")
        try:
            return learnt, some("val")
        except ThesisError:  # no such video, or none with a sentence: training goes on without
            return learnt, None

    build = partial(TAN, config)
    return train(NAME, build, data, config, world.fingerprint, start=begin, log=job.log)


def another(job: Job, row: str) -> Trained:
    """The model of another row, to be judged otherwise."""
    return run.train(job.also(row))


def taking(other: TAN, name: str) -> Callable[[TAN], None]:
    """What gives a model, and its slow copy, the network of another."""

    def take(model: TAN) -> None:
        for part in (model.online, model.target):
            if part is not None:
                load_weights(part, other.online.state_dict(), f"The run {name}")

    return take


def with_vectors(words: Vocabulary) -> Callable[[TAN], None] | None:
    """What gives a model, and its slow copy, the vectors of its words; ``None``: there are none."""
    if words.vectors is None:
        return None
    vectors = torch.from_numpy(words.vectors)

    def give(model: TAN) -> None:
        for part in (model.online, model.target):
            if part is not None and part.text is not None:
                part.text.table.weight.data = torch.cat([torch.zeros_like(vectors[:1]), vectors])

    return give


def identity(job: Job, start: Job | None = None) -> tuple[RunConfig, dict[str, Any]]:
    """Results also depend on the frozen encoder, given features, and what a row starts from.

    Args:
        job: Of the row.
        start: Of the row that it starts from, or whose model it is.
    """
    whole, more = run.usual_identity(job)
    config: TanConfig = run.settings(job)
    text = more["init"]
    if config.texts != "words":
        text += f" {frame_features.encoder(config.model).weights_hash}"
    if config.features:
        text += f" {FeatureStore(config.features).fingerprint}"
    if start is not None:
        first, others = run.identity(start)
        text += f" from {first.hash(**others)}"
    return whole, {"init": text}


def identity_from(job: Job, first: str) -> tuple[RunConfig, dict[str, Any]]:
    """:func:`identity` of a row that starts from another, unless ``source`` names its beginning."""
    return identity(job, None if run.settings(job).source else before(first, job))


def identity_like(job: Job, row: str) -> tuple[RunConfig, dict[str, Any]]:
    """:func:`identity` of a row that judges the model of another."""
    return identity(job, job.also(row))
