"""``thesislib align``: when a video shows what its subtitles say, and whether it does at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from thesislib.classifying.answers import warning_of
from thesislib.classifying.names import load_encoder
from thesislib.classifying.windows import encoded
from thesislib.data.streaming import Stream
from thesislib.errors import ThesisError
from thesislib.files import make_folder, write_text
from thesislib.image_text import ImageText
from thesislib.own_videos import Say, to_stderr
from thesislib.subtitles import Sentences, whole_sentences
from thesislib.subtitles.aligned import (
    MEANING,
    Aligned,
    aligned_path,
    aligned_text,
    as_row,
    write_aligned,
)
from thesislib.subtitles.placing import PRIOR, place_cues
from thesislib.subtitles.siblings import STDIN, subtitles_of
from thesislib.viz.aligned_page import aligned_page, pictures_of

RATE = 1.0  # features a second, as in the thesis
NEAR = 10.0  # seconds around the speech in which most of what is shown is shown
SURE = 2.0  # standard errors
STRANGE = (
    "Sentences fit the time at which they are spoken hardly better than any other (agreement below "
    "2): the subtitles may be another video's, or speak of what the model does not know. Look at "
    "the page before you trust a time."
)
UNTOLD = (
    "Fewer than three sentences are spoken within the video, too few to tell whether the subtitles "
    "are its own."
)


def align(
    video: str | Path,
    subtitles: str | None = None,
    *,
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
    thesis Table 7.1, which sees one frame at a time and no context.

    Args:
        video: The file.
        subtitles: Its subtitles; ``-``: the standard input; default: the file beside it.
        model: Image-text model of open_clip, or its folder; default: the small one that ships.
        weights: Of it.
        download: Fetch published weights.
        language: Of the subtitles, where several lie beside the video, and for cutting sentences.
        encoding: Of the subtitles, where it is known.
        prior: See :func:`~thesislib.subtitles.placing.place_cues`.
        max_shift: Likewise.
        min_score: Likewise.
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
    encoder = load_encoder(model, weights, download=download)
    scores = compared(stream, said, encoder)
    cues = place_cues(
        read.cues, said, scores, rate=RATE, prior=prior, max_shift=max_shift, min_score=min_score
    )
    surer = agreement(scores, said)
    warnings = [warning_of(encoder), doubt(surer), stream.damage]
    warnings = [one for one in warnings if one]
    seen = sum(one.alignable for one in cues)
    for line in (*warnings, f"{len(cues)} cues, {seen} of them seen. {MEANING}"):
        log(line)
    described = encoder.describe()
    about = {
        "video": video.name,
        "subtitles": read.name,
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


def compared(stream: Stream, said: Sentences, encoder: ImageText) -> NDArray[np.float32]:
    """Cosines of sentences and seconds, (S, T); one frame a second."""
    frames = torch.stack([row[1] for row in encoded(stream.rows(RATE), encoder)])
    texts = encoder.encode_texts([one.text for one in said.sentences])
    return (F.normalize(texts, dim=1) @ F.normalize(frames, dim=1).T).float().numpy()


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
    some = near.any(1) & ~near.all(1)
    if some.sum() < 3:
        return -math.inf
    scores, near = scores[some].astype(np.float64), near[some]
    spread = np.maximum(scores.std(1), 1e-9)
    better = ((scores * near).sum(1) / near.sum(1) - scores.mean(1)) / spread
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
