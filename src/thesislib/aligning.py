"""``thesislib align``: when a video shows what its subtitles say, and whether it does at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from thesislib.chapters.tan import judging
from thesislib.classifying.answers import warning_of
from thesislib.classifying.names import is_small, load_encoder
from thesislib.classifying.windows import encoded
from thesislib.data.narrated_windows import Told
from thesislib.data.narrations import Narration
from thesislib.data.streaming import Stream
from thesislib.errors import ThesisError
from thesislib.files import make_folder, write_text
from thesislib.image_text import ImageText
from thesislib.methods.tan import TAN
from thesislib.own_videos import Say, to_stderr
from thesislib.runs import load_run
from thesislib.subtitles import Sentences, whole_sentences
from thesislib.subtitles.aligned import (
    MEANING,
    Aligned,
    aligned_path,
    aligned_text,
    as_row,
    tally,
    write_aligned,
)
from thesislib.subtitles.placing import LEAST, PRIOR, best_place, place_cues
from thesislib.subtitles.siblings import STDIN, subtitles_of
from thesislib.viz.aligned_page import aligned_page, pictures_of

RATE = 1.0  # features a second, as in the thesis
NEAR = 10.0  # seconds around the speech in which most of what is shown is shown
SURE = 2.0  # standard errors
# Of a cosine of the small model, found on validation videos: benchmarks/seen.py. There it takes
# four of five sentences that are seen, and a third of the others.
LEAD = 0.19
FEW = 5  # sentences of which the mean says something
STRANGE = (
    "Sentences fit the time at which they are spoken hardly better than any other (agreement below "
    "2): the subtitles may be another video's, or speak of what the model does not know. Look at "
    "the page before you trust a time."
)
ALL_SEEN = (
    "Above which score a cue is seen nobody has measured for this model, so all count as seen: "
    "give --min-score."
)
TOO_FEW = (
    f"Of fewer than {FEW} sentences it cannot be told which are seen, so all count as seen: give "
    "--min-score."
)
UNTOLD = (
    "Fewer than three sentences have film both within ten seconds of their speech and beyond that, "
    "too few to tell whether the subtitles are this video's."
)


def align(
    video: str | Path,
    subtitles: str | None = None,
    *,
    run: str = "",
    model: str = "",
    weights: str = "",
    download: bool = False,
    language: str = "en",
    encoding: str | None = None,
    prior: float = PRIOR,
    max_shift: float | None = None,
    min_score: float | None = None,
    out: str | Path | None = None,
    also: Sequence[str] = (),
    log: Say = to_stderr,
) -> dict[str, Any]:
    """Finds when each cue is seen, and writes it beside the video; the subtitles stay as they are.

    Each second of the video is compared with each sentence by an image-text model: the baseline of
    thesis Table 7.1, which sees one frame at a time and no context. Or by a network of chapter 7 on
    top of it, which sees a minute, and after its second stage says which sentences are seen at all.

    Args:
        video: The file.
        subtitles: Its subtitles; ``-``: the standard input; default: the file beside it.
        run: A finished run of ``thesislib train tan``; it brings its image-text model with it.
        model: Image-text model of open_clip, or its folder; default: the small one that ships.
        weights: Of it.
        download: Fetch published weights.
        language: Of the subtitles, where several lie beside the video, and for cutting sentences.
        encoding: Of the subtitles, where it is known.
        prior: See :func:`~thesislib.subtitles.placing.place_cues`.
        max_shift: Likewise.
        min_score: Likewise. Default: a run's head says what is seen, or, of the small model,
            :func:`stand_out`; of other models all are.
        out: Folder to write to, default that of the video; ``-``: write no file.
        also: Subtitles for players too, at the times of what is seen: ``srt``, ``ass``.
        log: Where the log lines go.

    Returns:
        Plain JSON: what ``<video>.aligned.json`` holds, and ``files``. There are also
        ``.aligned.vtt`` (kind metadata) and ``.aligned.html``, with frames beside sentences.

    Raises:
        ThesisError: A file cannot be used, or settings that do not fit.
    """
    video = Path(video).expanduser()
    stream = Stream(video)
    read = subtitles_of(
        video, subtitles, language=language, encoding=encoding, duration=stream.duration
    )
    said = whole_sentences(read.cues, language=language, join=False)
    notes = [*read.summary(), *said.summary()]
    if not said.sentences:
        raise ThesisError(f"{read.name} holds no sentence that can be looked for: name another.")
    for note in notes:
        log(note)
    network = named_network(run, model, weights) if run else None
    encoder = load_encoder(network.config.model if network else model, weights, download=download)
    video_told = told(stream, said, encoder)
    found = compared(video_told, network, leads=min_score is None and is_small(encoder))
    if min_score is None and found.alignable is None:
        why = TOO_FEW if network is None and is_small(encoder) else ALL_SEEN
        notes.append(why)
        log(why)
    cues = place_cues(
        read.cues, said, found.scores, rate=RATE, prior=prior, max_shift=max_shift,
        min_score=min_score, alignable=found.alignable,
    )  # fmt: skip
    surer = agreement(found.scores, said)
    warnings = [warning_of(encoder), doubt(surer), stream.damage]
    warnings = [one for one in warnings if one]
    for line in (*warnings, f"{tally(cues, 'cue')}. {MEANING}"):
        log(line)
    described = encoder.describe()
    about = {
        "video": video.name,
        "subtitles": read.name,
        "run": run,
        "model": {key: described[key] for key in ("model", "weights", "weights_hash")},
        "prior": prior,
        "max_shift": max_shift,
        "min_score": min_score,
        "agreement": round(surer, 2) if math.isfinite(surer) else None,
        "warnings": warnings,
        "notes": notes,
    }
    files: list[str] = []
    if str(out) != "-":
        never: list[str | Path] = [video] if subtitles == STDIN else [video, read.name]
        files = _write(video, stream.duration, cues, about, never, out, also)
    return {"meaning": MEANING, **about, "cues": [as_row(one) for one in cues], "files": files}


class Compared(NamedTuple):
    """What is known of S sentences and T seconds.

    Its fields:

    - ``scores``: float32 (S, T), cosines; below -10,000 where the two were never compared.
    - ``alignable``: bool (S,), whether a sentence is seen at all; ``None``: nobody says.
    """

    scores: NDArray[np.float32]
    alignable: NDArray[np.bool_] | None


def named_network(run: str, model: str = "", weights: str = "") -> TAN:
    """The network of a run, for features of an image-text model.

    Raises:
        ThesisError: There is no such run, a model is named beside it, or it learnt from features
            that cannot be computed here.
    """
    if model or weights:
        raise ThesisError("A run brings its image-text model with it: leave --model out.")
    network, config, folder = load_run(run, ("tan",))
    if config.texts != "features" or config.features:
        raise ThesisError(
            f"{folder.name} learnt from features of {config.features or 'others'}, which cannot be "
            "computed of a film here: name a run whose features are an image-text model's."
        )
    assert isinstance(network, TAN)
    return network


def told(stream: Stream, said: Sentences, encoder: ImageText) -> Told:
    """A film and what is said in it, as features; of each second one frame."""
    frames = torch.stack([row[1] for row in encoded(stream.rows(RATE), encoder)])
    texts = encoder.encode_texts([one.text for one in said.sentences])
    heard = tuple(Narration(one.start, one.end, one.text) for one in said.sentences)
    return Told(frames.float(), heard, texts.float())


def compared(video: Told, network: TAN | None = None, *, leads: bool = False) -> Compared:
    """Scores of sentences and seconds.

    Args:
        video: Features of its seconds and sentences; a sentence is looked for where it is spoken.
        network: Of chapter 7; else plain cosines. Its head, which the second stage trains, says
            what is seen at all.
        leads: Without a network: whether :func:`stand_out` says it.
    """
    if network is None:
        scores = judging.cosines(video)
        return Compared(scores, stand_out(scores, video.narrations) if leads else None)
    found = judging.windows_of(network, video, judging.heard(video))
    return Compared(found.similarity, found.head >= 0 if network.config.says_alignable else None)


def stand_out(
    scores: NDArray[np.floating], said: Sequence[Narration], lead: float = LEAD
) -> NDArray[np.bool_] | None:
    """Which sentences fit some moment better than a video's sentences do on the whole.

    A cosine alone does not tell: of pictures and words that are strange to a model, all are alike.
    So the mean of all sentences is taken off each second, and a sentence is placed by what is left.

    Args:
        scores: ``(S, T)``, cosines of sentences and seconds.
        said: When the S sentences are spoken.
        lead: What a sentence must have left, in the mean of its seconds.

    Returns:
        ``(S,)``; ``None`` for fewer sentences than :data:`FEW`.
    """
    if len(said) < FEW:
        return None
    return leads_of(scores, said) >= lead


def leads_of(scores: NDArray[np.floating], said: Sequence[Narration]) -> NDArray[np.float64]:
    """What :func:`stand_out` compares with its threshold, ``(S,)``."""
    above = scores.astype(np.float64)
    above -= above.mean(0)
    return np.array(
        [best_place(row, x.start, x.end)[2] for row, x in zip(above, said, strict=True)]
    )


def doubt(surer: float) -> str:
    """What must be said of an :func:`agreement`; or ""."""
    return UNTOLD if not math.isfinite(surer) else STRANGE if surer < SURE else ""


def agreement(scores: NDArray[np.floating], said: Sentences) -> float:
    """How much better sentences fit the seconds around their speech than all, in standard errors.

    Narrators speak of what is to be seen about then. Of the subtitles of another video that does
    not hold, and this is about 0, give or take 1. Of few sentences, or where most are chatter, it
    stays small too. Minus infinity for fewer than three sentences.
    """
    middles = np.arange(scores.shape[1])[None] / RATE
    heard = np.array([[(one.start + one.end) / 2] for one in said.sentences])
    near = np.abs(middles - heard) <= NEAR
    known = scores >= LEAST
    some = (near & known).any(1) & (~near & known).any(1)
    if some.sum() < 3:
        return -math.inf
    scores = np.where(known, scores, np.nan)[some].astype(np.float64)
    beside = np.where(near[some], scores, np.nan)
    spread = np.maximum(np.nanstd(scores, 1), 1e-9)
    better = (np.nanmean(beside, 1) - np.nanmean(scores, 1)) / spread
    error = better.std(ddof=1) / math.sqrt(len(better))
    return float(better.mean() / max(error, 1e-9))


def _write(
    video: Path,
    seconds: float,
    cues: Sequence[Aligned],
    about: dict[str, Any],
    never: Sequence[str | Path],
    out: str | Path | None,
    also: Sequence[str],
) -> list[str]:
    target = video if out is None else make_folder(Path(out).expanduser()) / video.name
    endings = (".json", ".vtt", *(f".{kind}" for kind in also))
    for ending in endings:  # all can be written before one is
        aligned_text(ending, cues, about)
    files = [aligned_path(target, ending) for ending in (*endings, ".html")]
    for path in files[:-1]:
        write_aligned(path, cues, about, never=never)
    page = aligned_page(
        video, seconds, cues, notes=about["notes"], warning=" ".join(about["warnings"]),
        pictures=pictures_of(video, cues),
    )  # fmt: skip
    write_text(files[-1], page)
    return [str(path) for path in files]
