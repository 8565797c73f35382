"""How the rows of chapter 8 learn: from films; before that from captions or text alone (8.3.3)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from thesislib.chapters import run
from thesislib.chapters.autoad import films
from thesislib.chapters.autoad.films import World
from thesislib.chapters.row import Job
from thesislib.config import RunConfig
from thesislib.data.film_clips import FilmSequences
from thesislib.methods.autoad import AutoAD
from thesislib.methods.autoad_config import AutoADConfig
from thesislib.runs import load_run
from thesislib.train import Trained, placed, train

NAME = "autoad"  # of the runs: other rows start from them
# What a caller changes of a row that also holds for the rows that it starts from: the networks, and
# what they are given. How long and how fast those learn is their own affair.
SHARED = (
    "model", "features", "dim", "frames", "latents", "depth", "heads", "places", "language",
    "order", "context_tokens", "subtitle_tokens", "text_tokens", "names",
)  # fmt: skip
FEW_FILMS = ("small", "gpu")  # profiles on the studio's films
CAPTIONS = {"small": "synthetic_captions", "gpu": "synthetic_captions"}  # else by --dataset

Sets = tuple[FilmSequences, FilmSequences | None]


def given(job: Job) -> World:
    """What a row learns from, and its settings for that."""
    config: AutoADConfig = run.settings(job)
    return films.world(config, job.log)


def before(first: str, job: Job) -> Job:
    """A row that another starts from, at the same scale and with the same networks."""
    own = {name: value for name, value in job.changes.items() if name in SHARED}
    return replace(job.also(first), on="", more=(), changes=own)


def build(config: AutoADConfig) -> AutoAD:
    """A fresh model."""
    language = films.language(config.language)
    model = AutoAD(config, language.model)
    if config.tokens_start == "words":
        model.start_as_words(language.end, language.full_stop)
    return placed(model)


def trained(
    job: Job, starts: Sequence[str] = (), data: str = "films", few: Sequence[str] = ()
) -> Trained:
    """Training of a row, or the finished run.

    Args:
        job: Its setting ``source`` names finished runs to start from, with commas between them.
        starts: The rows that it starts from otherwise, the later one's part where two have one.
        data: ``films``; ``texts``, of films without pictures; ``captions``, of videos without
            context.
        few: The rows that it starts from in their place where films are few: in ``FEW_FILMS``.
    """
    world = given(job)
    models, names = [], []
    if world.config.source:
        names = world.config.source.split(",")
        brought = {"language": world.language.model}
        models = [load_run(name, (NAME,), **brought)[0] for name in names]
    else:
        for row in _origins(job, starts, few):
            one = run.train(before(row, job))
            assert one.run is not None
            models.append(one.model)
            names.append(one.run.name)
    config = replace(world.config, source=",".join(names))

    def start(model: AutoAD) -> None:
        for one in models:
            model.start_from(one)
        if model.mapping.scale is not None and config.visual:
            model.mapping.scale.copy_(sets()[0].scale())

    made: dict[str, Callable[[], Sets]] = {
        "films": lambda: (world.sequences("train"), world.sequences("val")),
        "texts": lambda: (world.written(), None),
        "captions": lambda: (world.captioned(_captions(job), "train", job.log), None),
    }
    sets = functools.cache(made[data])
    mark = world.fingerprint(data, _captions(job) if data == "captions" else "")
    return train(
        NAME, partial(build, config), sets, config, mark, start=start, log=job.log,
    )  # fmt: skip


def _origins(job: Job, starts: Sequence[str], few: Sequence[str]) -> Sequence[str]:
    """The rows that a row starts from, by how many films there are."""
    return few if job.profile in FEW_FILMS else starts


def _captions(job: Job) -> str:
    return CAPTIONS.get(job.profile, "webvid")


def identity(
    job: Job, starts: Sequence[str] = (), few: Sequence[str] = ()
) -> tuple[RunConfig, dict[str, Any]]:
    """Results also depend on both frozen models, and on what a row starts from."""
    whole, more = run.usual_identity(job)
    world = given(job.quietly())
    text = f"{more['init']} {world.fingerprint()[:16]}"
    if not world.config.source:
        for row in _origins(job, starts, few):
            start, others = run.identity(before(row, job))
            text += f" from {start.hash(**others)}"
    return whole, {"init": text}
