"""How chapter 8 is judged: what is written of the test films, against the describers' words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from thesislib.chapters import run
from thesislib.chapters.autoad import films
from thesislib.chapters.autoad.films import World
from thesislib.chapters.row import Job
from thesislib.data.anonymise import names_in
from thesislib.data.film_clips import FilmItem
from thesislib.evaluation.captions import caption_scores
from thesislib.evaluation.describing import identity_recall
from thesislib.evaluation.scores import Scores
from thesislib.language.describing import Description, describe_films
from thesislib.methods.autoad import AutoAD
from thesislib.train import Trained

ORACLE = "oracle"  # the true descriptions are the context


def judge(job: Job, trained: Trained) -> Scores:
    """Scores of the test films: with the model's own context, and with the true one (``_oracle``).

    A model that reads no past descriptions is judged once.
    """
    found = scores(job, trained)
    if trained.model.config.past:
        oracle = scores(job, trained, oracle=True)
        found = found | Scores(
            metrics={f"{name}_{ORACLE}": value for name, value in oracle.metrics.items()},
            items={f"{name}_{ORACLE}": values for name, values in oracle.items.items()},
        )
    return found


def scores(job: Job, trained: Trained, oracle: bool = False, split: str = "test") -> Scores:
    """CIDEr, ROUGE-L, BLEU; and how often the names are there, and those that are there right."""
    world = judged(job, trained.model)
    written = described(job, trained, world, oracle, split)
    texts = [one.text for some in written.values() for one in some]
    items = [item for some in world.items(split) for item in some]
    found = caption_scores(texts, [[item.text] for item in items])
    names = named(world, items)
    if any(names):
        cast = sorted({name for film in world.films.select(split) for name in film.cast})
        found = found | identity_recall(texts, names, cast)
    return found | Scores(counts={"evaluated": len(texts), "skipped": 0})


def judged(job: Job, model: AutoAD) -> World:
    """The films that a row is judged on, by the settings of its model."""
    return films.world(replace(model.config, dataset=run.judged_on(job)), job.log)


def described(
    job: Job, trained: Trained, world: World, oracle: bool = False, split: str = "test"
) -> dict[str, list[Description]]:
    """What a model writes of films; kept in its run folder as it is written."""
    kind = ORACLE if oracle else "recurrent"
    out = None
    if trained.run is not None:
        out = trained.run.path / f"descriptions-{world.manifest.name}-{split}-{kind}.jsonl"
    clips = world.clips(split, oracle)
    return describe_films(trained.model, world.language, clips, out)


def named(world: World, items: Sequence[FilmItem]) -> list[list[str]]:
    """The names of the cast that each true description says."""
    return [names_in(item.text, world.films.films[item.movie].cast) for item in items]
