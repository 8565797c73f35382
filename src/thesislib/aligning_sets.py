"""``thesislib align DATASET``: a table of when each sentence of a data set is seen.

As HTM-AA is of HowTo100M (thesis 7.5.4): what others train on, where the times of speech mislead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from thesislib.aligning import compared
from thesislib.chapters import frame_features
from thesislib.chapters.tan import narrated
from thesislib.classifying.names import is_small
from thesislib.data.narrated_windows import Told
from thesislib.data.narrations import read_narrations
from thesislib.errors import ThesisError
from thesislib.files import csv_text, replacing, write_text
from thesislib.methods.tan import TAN
from thesislib.methods.tan_config import TanConfig
from thesislib.own_videos import Say, to_stderr
from thesislib.runs import load_run
from thesislib.subtitles.aligned import MEANING
from thesislib.subtitles.placing import PRIOR, best_place

ENDINGS = (".csv", ".parquet")


class Row(NamedTuple):
    """A sentence of a data set; its fields are the columns of the table.

    Times are seconds from the start of its video, ``None`` where there is none: what is not
    alignable is not seen, and of some sentences nobody knows when they are heard. ``number`` is its
    place among the sentences of its video, from 0, as in ``alignments.csv``.
    """

    path: str
    number: int
    heard_start: float | None
    heard_end: float | None
    seen_start: float | None
    seen_end: float | None
    seen_centre: float | None
    score: float | None
    alignable: bool
    text: str


def align_set(
    dataset: str,
    run: str = "",
    *,
    split: str = "",
    prior: float = PRIOR,
    max_shift: float | None = None,
    min_score: float | None = None,
    out: str | Path | None = None,
    log: Say = to_stderr,
) -> dict[str, Any]:
    """Aligns the narrations of a prepared data set, and writes a table.

    Args:
        dataset: Its name; it has a ``narrations.csv``.
        run: A finished run of ``thesislib train tan``; default: cosines of the small image-text
            model, which sees one frame at a time and no context.
        split: One of it; default: all.
        prior: See :func:`~thesislib.subtitles.placing.place_cues`.
        max_shift: Likewise.
        min_score: Likewise. Default: a run's head says what is seen; without a run
            :func:`~thesislib.aligning.stand_out`.
        out: File to write, ``.csv`` or ``.parquet``; default ``<data set>.aligned.csv``.
        log: Where the log lines go.

    Returns:
        Plain JSON: how many videos and sentences there were, were compared, and are seen.

    Raises:
        ThesisError: No such data set, run or split, no sentence, or a file that cannot be written.
    """
    target = Path(out or f"{Path(dataset).name}.aligned.csv").expanduser()
    if target.suffix.lower() not in ENDINGS:
        raise ThesisError(f"{target} ends neither in {' nor in '.join(ENDINGS)}: give it one.")
    if target.suffix.lower() == ".parquet":
        _pyarrow()  # before the work of hours
    config, network = TanConfig.preset("small"), None
    if run:
        network, config, _ = load_run(run, ("tan",))
    world = narrated.world(dataset, config, log)
    manifest = world.manifest.select(split) if split else world.manifest
    said = read_narrations(manifest)
    leads = min_score is None and not run and is_small(frame_features.encoder(config.model))
    rows = []
    for path, some in said.items():
        if world.kept.has(path):
            video = world.video(path, some)
            rows += rows_of(video, network, prior, max_shift, min_score, leads)
    if not rows:
        raise ThesisError(
            f"No video of {dataset!r} has features and a sentence: see {world.kept.folder}."
        )
    _write(target, rows)
    log(MEANING)
    return {
        "file": str(target),
        "videos": len(said),
        "videos_without_features": sum(not world.kept.has(path) for path in said),
        "sentences": sum(map(len, said.values())),
        "compared": len(rows),
        "seen": sum(row.alignable for row in rows),
    }


def rows_of(
    video: Told,
    network: TAN | None,
    prior: float = PRIOR,
    max_shift: float | None = None,
    min_score: float | None = None,
    leads: bool = False,
) -> list[Row]:
    """The rows of one video, one for each sentence; see :func:`align_set`."""
    found = compared(video, network, leads=leads)
    rows = []
    for number, one in enumerate(video.narrations):
        scores = found.scores[number].astype(np.float64)
        start, end, score = best_place(scores, one.start, one.end, prior=prior, max_shift=max_shift)
        able = found.alignable is None or bool(found.alignable[number])
        seen = able and not math.isnan(score) and (min_score is None or score >= min_score)
        if not seen:
            start = end = math.nan
        times = (one.start, one.end, start, end, (start + end) / 2)
        known: list[Any] = [None if math.isnan(time) else round(time, 3) for time in times]
        known.append(None if math.isnan(score) else round(score, 4))
        rows.append(Row._make([video.name, number, *known, seen, one.text]))
    return rows


def _cell(value: Any) -> Any:
    """0 or 1 for what is or is not, nothing for what nobody knows."""
    return "" if value is None else int(value) if isinstance(value, bool) else value


def _write(target: Path, rows: Sequence[Row]) -> None:
    if target.suffix.lower() == ".csv":
        write_text(target, csv_text(Row._fields, [[_cell(value) for value in row] for row in rows]))
        return
    pyarrow = _pyarrow()
    types = dict.fromkeys(Row._fields[2:8], pyarrow.float64()) | {"alignable": pyarrow.bool_()}
    columns = {name: [getattr(row, name) for row in rows] for name in Row._fields}
    table = pyarrow.table(
        {name: pyarrow.array(values, types.get(name)) for name, values in columns.items()}
    )
    with replacing(target) as partial:
        pyarrow.parquet.write_table(table, partial)


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ThesisError(
            "A .parquet file is written by pyarrow, which is not installed: "
            '`pip install "thesislib[parquet]"`, or end the name in .csv.'
        ) from None
    return pyarrow
