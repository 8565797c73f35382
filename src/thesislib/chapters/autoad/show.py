"""What chapter 8 shows besides what all pages do: a film, inputs as tokens, texts of clips."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from thesislib import published, viz
from thesislib.chapters import pages, run
from thesislib.chapters.autoad import judging, learning
from thesislib.chapters.autoad.films import World
from thesislib.chapters.autoad.rows import LONGEST
from thesislib.chapters.pages import Page
from thesislib.chapters.row import Job
from thesislib.data.film_clips import FilmItem
from thesislib.data.reader import open_video
from thesislib.files import read_json
from thesislib.language.generation import generate
from thesislib.language.inputs import Inputs
from thesislib.ledger import Ledger
from thesislib.methods.autoad import AutoAD
from thesislib.methods.autoad_config import Decoding
from thesislib.nn.reader import Read

AXES = {
    "features": "(B, S, T, D)",
    "context": "(B, S, n)",
    "text": "(B, S, m)",
    "vectors": "(B·S, P, W)",
    "prompt": "(B·S, k, W)",
    "logits": "(B·S, m', V)",
}
QUOTES = {
    "no context, CIDEr": ("8.2", "autoad/v", "cider"),
    "its own (the true) past descriptions": ("8.2", "autoad/v+ad", "cider"),
    "the same, begun with text alone": ("8.2", "autoad/v+ad-text", "cider"),
    "the same, begun with captions and text": ("8.2", "autoad/v+ad-text+webvid", "cider"),
}
# Claims whose verdicts stand together, by what they ask.
ASKED = {
    "film": ("autoad-film", "autoad-film-context", "autoad-film-oracle", "autoad-frames"),
    "context": (
        "autoad-context",
        "autoad-oracle",
        "autoad-context-cont",
        "autoad-oracle-cont",
        "autoad-recurrent",
        "autoad-length",
        "autoad-length-oracle",
        "autoad-length-half",
        "autoad-dialogue",
        "autoad-dialogue-names",
    ),
    "names": (
        "autoad-names",
        "autoad-names-oracle",
        "autoad-names-recurrent",
        "autoad-precision",
        "autoad-dialogue-alone",
    ),
    "parts": (
        "autoad-stills",
        "autoad-clips",
        "autoad-clips-stills",
        "autoad-text",
        "autoad-text-oracle",
        "autoad-partial",
        "autoad-partial-oracle",
    ),
    "others": ("autoad-clipcap", "autoad-capdec"),
}


def _rows(*names: str) -> tuple[str, ...]:
    return tuple(f"autoad/{name}" for name in names)


SCEPTIC = _rows("blind", "ad", "v1", "v", "v-cont", "v+ad")
NAMING = _rows("blind", "v-cont", "v+subn", "v+sub", "v+ad", "v+ad+subn", "v+ad-text")
SCORES = ("cider", "cider_oracle", "rouge_l", "rouge_l_oracle")
NAMES = tuple(
    f"identity_{kind}{end}" for end in ("", "_oracle") for kind in ("recall", "precision")
)
FRAMES = 8  # of a clip in a picture
SHOWN = (10, 11, 12)  # clips of a test film with their texts: a film's names are known by then

# -- the world -----------------------------------------------------------------------------


def films_page(job: Job) -> Page:
    """How many films each split has, and what is told and said in them."""
    world, lines = learning.given(job.quietly()), []
    for split in ("train", "val", "test"):
        some = world.films.select(split)
        items = [item for one in world.items(split) for item in one]
        minutes = sum(video.n_frames / video.fps for video in world.manifest.select(split).videos)
        said = sum(len(film.subtitles) for film in some)
        named = sum(map(bool, judging.named(world, items)))
        lines.append((split, len(some), f"{minutes / 60:.0f}", said, len(items), named))
    head = ("split", "films", "minutes", "lines of dialogue", "descriptions", "with a name")
    return pages.grid(head, lines)


def film_picture(job: Job, clips: Sequence[int] = (0, 1, 2), number: int = 0) -> viz.Picture:
    """Clips of a training film with the dialogue before them and their descriptions.

    Args:
        job: The page's.
        clips: Their numbers.
        number: Of the training films.
    """
    world = learning.given(job.quietly())
    world = replace(world, config=replace(world.config, subtitles="all"))
    some = world.items("train")[number]
    items = [some[clip] for clip in clips]
    told = [{"dialogue": " / ".join(one.subtitles), "description": one.text} for one in items]
    return viz.told_clips([strip(world, one) for one in items], told)


def strip(world: World, item: FilmItem, count: int = FRAMES) -> NDArray[np.uint8]:
    """Frames of a clip, evenly spread over it, small: uint8 ``(count, H, W, 3)``."""
    (video,) = [one for one in world.manifest.videos if PurePosixPath(one.path).stem == item.movie]
    seconds = item.start + (np.arange(count) + 0.5) / count * (item.end - item.start)
    places = np.minimum((seconds * video.fps).astype(np.int64), video.n_frames - 1)
    frames = open_video(world.manifest.file(video)).frames(places)
    return np.stack([viz.shrunk(frame) for frame in frames])


# -- what is read --------------------------------------------------------------------------


def tokens(job: Job, number: int = 0, clip: int = 3) -> list[tuple[str, str]]:
    """What the model reads of a validation clip, in order, and what it is to write.

    Args:
        job: The page's.
        number: Of the validation films.
        clip: Of the film.

    Returns:
        Part and text of each token; a vector that is no word has the name of the thesis.
    """
    world = learning.given(job.quietly())
    world = replace(world, config=replace(world.config, subtitles="all"))
    item, language = world.items("val")[number][clip], world.language
    inputs = Inputs(language, world.config)
    latents = [f"v{i + 1}" for i in range(world.config.latents)]

    def read(ids: Sequence[int]) -> list[str]:
        return [language.decode([i]) or "end" for i in ids]

    parts = {
        "visual": latents,
        "context": ["B", *read(inputs.context(item.context)), "E"],
        "subtitles": ["B", *read(inputs.subtitles(item.subtitles)), "E"],
    }
    whole = [(part, text) for part in world.config.active for text in parts[part]]
    return [*whole, ("begin", "B"), *(("to write", one) for one in read(inputs.text(item.text)))]


def tokens_picture(job: Job, number: int = 0, clip: int = 3, caption: str = "") -> viz.Picture:
    """:func:`tokens`, drawn (thesis figure 8.2)."""
    return viz.token_row(tokens(job, number, clip), caption)


def by_hand(world: World, model: AutoAD, batch: Mapping[str, Tensor]) -> Page:
    """Equation 8.2 for the first description of a batch: the chance of each token, its logarithm.

    Args:
        world: Its language model knows the tokens.
        model: Any.
        batch: Of clips ``(B, ...)``, not of sequences.
    """
    with torch.no_grad():
        logits, text = model.logits(batch)
    ids = text[0][text[0] >= 0]
    log = torch.log_softmax(logits[0, : len(ids)], -1).gather(1, ids[:, None])[:, 0]
    rows = [
        (world.language.decode([int(i)]) or "end", f"{math.exp(one):.2g}", f"{-one:.2f}")
        for i, one in zip(ids, log, strict=True)
    ]
    rows.append(("mean", "", f"{-float(log.mean()):.2f}"))
    return pages.grid(("token", "chance", "minus its logarithm"), rows)


def guessing(model: AutoAD) -> float:
    """The loss of a model to which all tokens are alike: the logarithm of their number."""
    return math.log(model.reader.vocabulary)


# -- how text is searched for --------------------------------------------------------------

WORDS = (".", "he", "she", "sits", "waves")
# The chance of each word after each, and, in the last line, at the beginning.
CHANCES = (
    (1.0, 0.0, 0.0, 0.0, 0.0),
    (0.34, 0.0, 0.0, 0.33, 0.33),
    (0.05, 0.0, 0.0, 0.05, 0.9),
    (1.0, 0.0, 0.0, 0.0, 0.0),
    (1.0, 0.0, 0.0, 0.0, 0.0),
    (0.0, 0.55, 0.45, 0.0, 0.0),
)


class _Chain(nn.Module):
    """A language model that knows a word from the one before it."""

    def embed(self, ids: Tensor) -> Tensor:
        return nn.functional.one_hot(ids, len(CHANCES)).float()

    def forward(
        self, vectors: Tensor, mask: Tensor, cache: Any = None, keep: int = 1, cached: bool = False
    ) -> Read:
        return Read((vectors @ torch.tensor(CHANCES)).clamp(min=1e-9).log(), self)

    def reorder_cache(self, rows: Tensor) -> None:
        """There is nothing that it remembers."""


def searched(beams: int) -> tuple[str, float]:
    """What a search of so many beams writes by :data:`CHANCES`, and its mean log-probability."""
    chain: Any = _Chain()
    start = chain.embed(torch.tensor([[len(WORDS)]]))
    rules = Decoding(beams=beams, new_tokens=4)
    best = generate(chain, start, torch.ones(1, 1, dtype=torch.bool), rules, [0])[0][0]
    return " ".join(WORDS[i] for i in best.ids), best.score


def search_page() -> Page:
    """Greedy search beside beams, on a language model of five words."""
    rows = [(beams, *searched(beams)) for beams in (1, 2, 5)]
    return pages.grid(
        ("beams", "text", "mean log-probability"), [(n, t, f"{s:.2f}") for n, t, s in rows]
    )


# -- context -------------------------------------------------------------------------------


def length_series(job: Job, metric: str) -> list[tuple[float, float, float | None, int]]:
    """A metric of the ledger over the number of past descriptions, for lines with intervals."""
    ledger, where = Ledger.load(), run.judged_on(job)
    found: list[tuple[float, float, float | None, int]] = []
    factor = published.metric(metric).factor
    for past in range(1, LONGEST + 1):
        row = "autoad/v+ad" if past == LONGEST else f"autoad/v+ad-{past}"
        one = ledger.summary(row, metric, job.profile, where)
        if one["mean"] is not None:
            half = one["half_width"]
            found.append((past, factor * one["mean"], half and factor * half, one["n"]))
    return found


def length_picture(job: Job, caption: str = "") -> viz.Picture:
    """CIDEr over the number of past descriptions (thesis figure 8.4), from the ledger."""
    names = {"its own (recurrent)": "cider", "the true ones (oracle)": "cider_oracle"}
    lines = {name: length_series(job, metric) for name, metric in names.items()}
    return viz.lines_with_interval(lines, "past descriptions", "CIDEr (%)", caption)


def texts(job: Job, number: int = 0, clips: Sequence[int] = SHOWN) -> list[dict[str, str]]:
    """Clips of a test film: context, truth, and what the row of the page writes of them.

    Args:
        job: The page's; its row has run.
        number: Of the test films.
        clips: Of the film, by their numbers.
    """
    trained = run.train(job.quietly())
    world = judging.judged(job.quietly(), trained.model)
    some = world.items("test")[number]
    movie = some[0].movie
    own = judging.described(job, trained, world)[movie]
    true = judging.described(job, trained, world, oracle=True)[movie]
    return [
        {
            "true context": " ".join(some[clip].context),
            "truth": some[clip].text,
            "recurrent": own[clip].text,
            "oracle": true[clip].text,
        }
        for clip in clips
    ]


def texts_picture(
    job: Job, number: int = 0, clips: Sequence[int] = SHOWN, caption: str = ""
) -> viz.Picture:
    """:func:`texts` below the frames of the clips (thesis figure 8.5)."""
    world = learning.given(job.quietly())
    some = world.items("test")[number]
    strips = [strip(world, some[clip]) for clip in clips]
    return viz.told_clips(strips, texts(job, number, clips), caption)


# -- collecting ----------------------------------------------------------------------------

MEASURED = Path(__file__).parents[4] / "benchmarks" / "collecting.json"  # of a checkout


def collecting_page(path: Path = MEASURED) -> Page:
    """How well the pipeline finds the describer in sound that was mixed (section 8.4)."""
    if not path.is_file():
        return Page("The measurement lies in a checkout of this project, in `benchmarks`.\n")
    rows = [
        (one["seed"], one["cues"], f"{100 * one['word_error_rate']:.1f}",
         "yes" if one["narrator"] else "no", f"{100 * one['boundaries']:.0f}",
         f"{one['offset_error']:.2f}", f"{one['processor_seconds']:.1f}")
        for one in read_json(path, "run benchmarks/collecting.py again.")["tracks"]
    ]  # fmt: skip
    head = ("track", "cues", "word errors (%)", "describer found", "boundaries found (%)",
            "offset off by (s)", "processor (s)")  # fmt: skip
    return pages.grid(head, rows)


# -- numbers that the text quotes ----------------------------------------------------------


def numbers(results: Mapping[str, Mapping[str, Any]], job: Job) -> dict[str, Any]:
    """What the text quotes.

    Args:
        results: Of the rows that the page has run.
        job: The page's.
    """
    config = run.settings(job)
    return {
        **pages.run_numbers(results, job),
        "frames": config.frames,
        "latents": config.latents,
        "past": config.past,
        "beams": config.decoding.beams,
        "penalty": config.decoding.penalty,
        "no_repeat": config.decoding.no_repeat,
    }
