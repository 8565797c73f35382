"""How chapter 8 is judged: what is written of the test films, against the describers' words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from thesislib.chapters import run
from thesislib.chapters.autoad import films
from thesislib.chapters.autoad.films import World
from thesislib.chapters.row import Job
from thesislib.data.anonymise import names_in
from thesislib.data.film_clips import FilmItem
from thesislib.evaluation.captions import caption_scores
from thesislib.evaluation.describing import identity_recall
from thesislib.evaluation.scores import Lacking, Scores
from thesislib.language.describing import Description, FilmClips, describe_films, identity
from thesislib.methods.autoad import AutoAD
from thesislib.train import Trained

ORACLE = "oracle"  # the true descriptions are the context
HIDDEN = "unnamed"  # ... which, as the truth, has no names
STORY = 5  # clips in a row that are one text (LSMDC)


def judge(job: Job, trained: Trained) -> Scores:
    """Scores of the test films: with the model's own context, and with the true one (``_oracle``).

    A model that reads no past descriptions is judged once.
    """
    found = scores(job, trained)
    if trained.model.config.past:
        found = found | _called(scores(job, trained, oracle=True), ORACLE)
    return found


def scores(job: Job, trained: Trained, oracle: bool = False, split: str = "test") -> Scores:
    """CIDEr, ROUGE-L, BLEU; and how often the names are there, and those that are there right."""
    world = judged(job, trained.model)
    written = described(job, trained, world, oracle, split)
    texts = _texts(written)
    items = [item for some in world.items(split) for item in some]
    found = caption_scores(texts, [[item.text] for item in items])
    names = named(world, items)
    if any(names):
        cast = sorted({name for film in world.films.select(split) for name in film.cast})
        found = found | identity_recall(texts, names, cast)
    return found | Scores(counts={"evaluated": len(texts), "skipped": 0})


def unnamed(job: Job, trained: Trained) -> Scores:
    """The same on descriptions without names, the true ones its context (Table 8.3).

    Raises:
        Lacking: No test film has such descriptions.
    """
    world = judged(job, trained.model, names=False)
    items = [item for some in world.items("test") for item in some]
    if not items:
        raise Lacking(
            f"The test films of {world.manifest.name!r} have no descriptions without names."
        )
    written = _written(trained, world, world.clips("test", oracle=True), f"test-{ORACLE}-{HIDDEN}")
    found = caption_scores(_texts(written), [[item.text] for item in items])
    return _called(found, HIDDEN)


def story(job: Job, trained: Trained) -> Scores:
    """CIDEr, ROUGE-L and BLEU of five clips in a row as one text, without names (Table 8.5).

    The model begins anew with each five, and reads what it wrote of those before in the same five.
    What is left at the end of a film is not judged.

    Raises:
        Lacking: No test film has so many descriptions without names.
    """
    world, clips, truth = judged(job, trained.model, names=False), {}, []
    items = {some[0].movie: some for some in world.items("test") if some}
    for movie, film in world.clips("test").items():
        for start in range(0, len(film) - STORY + 1, STORY):
            five = slice(start, start + STORY)
            clips[f"{movie} {start}"] = FilmClips(film.features[five], film.subtitles[five])
            truth.append([" ".join(one.text for one in items[movie][five])])
    if len(truth) < 2:  # CIDEr of one text is 0
        raise Lacking(
            f"The test films of {world.manifest.name!r} have too few descriptions without names: "
            f"twice {STORY} in a row are needed."
        )
    written = _written(trained, world, clips, "test-story")
    texts = [" ".join(one.text for one in some) for some in written.values()]
    found = caption_scores(texts, truth)
    left = sum(map(len, items.values())) - STORY * len(texts)
    return found | Scores(counts={"evaluated": len(texts), "skipped": left})


def judged(job: Job, model: AutoAD, names: bool = True) -> World:
    """The films that a row is judged on, by the settings of its model.

    Args:
        job: Of the row.
        model: Trained.
        names: Whether the true descriptions, and so the true context, have names; it does not
            follow from what the model has learnt from (Table 8.3).
    """
    config = replace(model.config, dataset=run.judged_on(job), names=names)
    return films.world(config, job.log)


def described(
    job: Job, trained: Trained, world: World, oracle: bool = False, split: str = "test"
) -> dict[str, list[Description]]:
    """What a model writes of films; kept in its run folder as it is written."""
    kind = ORACLE if oracle else "recurrent"
    return _written(trained, world, world.clips(split, oracle), f"{split}-{kind}")


def _written(
    trained: Trained, world: World, clips: Mapping[str, FilmClips], kind: str
) -> dict[str, list[Description]]:
    out, given = None, (trained.model, world.language, clips)
    if trained.run is not None:
        # Texts of films that have changed since lie beside the new ones, and are in nobody's way.
        of = json.dumps(identity(*given), sort_keys=True)
        mark = hashlib.sha256(of.encode()).hexdigest()[:8]
        out = trained.run.path / f"descriptions-{world.manifest.name}-{kind}-{mark}.jsonl"
    return describe_films(*given, out)


def _called(found: Scores, kind: str) -> Scores:
    """The same metrics under the names of another kind of judging; nothing is counted twice."""
    return Scores(
        metrics={f"{name}_{kind}": value for name, value in found.metrics.items()},
        items={f"{name}_{kind}": values for name, values in found.items.items()},
    )


def _texts(written: Mapping[str, Sequence[Description]]) -> list[str]:
    return [one.text for some in written.values() for one in some]


def named(world: World, items: Sequence[FilmItem]) -> list[list[str]]:
    """The names of the cast that each true description says."""
    return [names_in(item.text, world.films.films[item.movie].cast) for item in items]
