"""The commands that read a film and its subtitles: ``align`` and ``describe``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from thesislib import arguments
from thesislib.commands import say
from thesislib.errors import ThesisError
from thesislib.terminal import Verdict

Add = Callable[[str, Callable[[argparse.Namespace], Any], str], Any]


def add_options(add: Add) -> None:
    """Both commands with their options."""
    _align_options(add)
    _describe_options(add)


def _align_options(add: Add) -> None:
    align = add("align", align_film, "say when a video shows what its subtitles say")
    align.add_argument(
        "video", type=arguments.path, metavar="VIDEO", help="or a data set with narrations"
    )
    align.add_argument(
        "subtitles", nargs="?", help="srt, vtt, ass, ttml, json3; - : stdin; default: beside it"
    )
    align.add_argument(
        "--run", dest="source", default="", help="of `train tan`; default: the image-text model"
    )
    align.add_argument("--split", default="", help="of a data set; default: all of it")
    align.add_argument("--model", default="", help="image-text model of open_clip; default: small")
    align.add_argument("--weights", default="", help="of the model: a tag of open_clip's, a file")
    align.add_argument("--download", action="store_true", help="fetch these weights if need be")
    align.add_argument("--language", default="en", help="of the subtitles; default: en")
    align.add_argument("--encoding", help="of the subtitles; default: what they say, or a guess")
    align.add_argument(
        "--prior", type=arguments.not_negative, default=0.003,
        help="pull towards the time of speech, a second; default: 0.003",
    )  # fmt: skip
    align.add_argument(
        "--max-shift", type=arguments.not_negative, metavar="SECONDS",
        help="how far what is seen may be from what is heard; default: any",
    )  # fmt: skip
    align.add_argument(
        "--min-score", type=arguments.cosine, help="a cue that scores less is not seen"
    )
    align.add_argument(
        "--out", metavar="FOLDER",
        help="default: the video's; - : print alone; of a data set: the .csv or .parquet file",
    )  # fmt: skip
    align.add_argument(
        "--also", action="append", default=[], choices=("srt", "ass"),
        help="also for players, at the time of what is seen; may be given again",
    )  # fmt: skip


def _describe_options(add: Add) -> None:
    describe = add(
        "describe", describe_film, "judge a track of audio description by when the film speaks"
    )
    describe.add_argument(
        "--check", type=arguments.path, metavar="FILE", required=True,
        help="the track: WebVTT, srt and whatever `align` reads. Exit code 1 where more than "
        "--tolerance of its time is over dialogue, of its cues too fast or of its sentences "
        "repeated; or where cues are out of order, overlap, have no time or end after the film. "
        "Warned of: each such cue, gaps left empty, names before their introduction, no text",
    )  # fmt: skip
    describe.add_argument("--film", type=arguments.path, help="gives its length and its subtitles")
    describe.add_argument(
        "--subtitles", metavar="FILE", help="the dialogue; - : stdin; default: beside the film"
    )
    describe.add_argument("--language", default="en", help="of the subtitles; default: en")
    describe.add_argument("--encoding", help="of the subtitles; default: what they say, or a guess")
    describe.add_argument(
        "--max-rate", type=arguments.positive, default=5.3, metavar="WORDS",
        help="a second, above which a cue is too fast; default: 5.3",
    )  # fmt: skip
    describe.add_argument(
        "--min-gap", type=arguments.not_negative, default=2.0, metavar="SECONDS",
        help="without dialogue that can be described; default: 2",
    )  # fmt: skip
    describe.add_argument(
        "--tolerance", type=arguments.share, default=0.1, help="see --check; default: 0.1"
    )
    describe.add_argument(
        "--names", type=arguments.path, metavar="FILE",
        help="the cast, a name a line; default: words with a capital inside a sentence that the "
        "track and the subtitles never write small",
    )  # fmt: skip


def align_film(args: argparse.Namespace) -> Any:
    """Says when a video shows what its subtitles say."""
    from thesislib.aligning import align
    from thesislib.own_videos import is_data_set

    if is_data_set(str(args.video)):
        return _align_set(args)
    if args.split:
        raise ThesisError(f"--split is of a data set, and {args.video} is none: leave it out.")
    found = align(
        args.video,
        args.subtitles,
        run=args.source,
        model=args.model,
        weights=args.weights,
        download=args.download,
        language=args.language,
        encoding=args.encoding,
        prior=args.prior,
        max_shift=args.max_shift,
        min_score=args.min_score,
        out=args.out,
        also=args.also,
        log=say,
    )
    if args.out == "-" and not args.json:
        return json.dumps(found, indent=1, ensure_ascii=False)
    return found if args.json else {key: found[key] for key in ("files", "agreement", "warnings")}


def _align_set(args: argparse.Namespace) -> dict[str, Any]:
    from thesislib.aligning_sets import align_set

    own = ("subtitles", "model", "weights", "download", "encoding", "also")
    if given := [name for name in own if getattr(args, name)]:
        raise ThesisError(
            f"{args.video} is a data set: it has narrations and a run's model, so leave out "
            f"{', '.join(given)}."
        )
    return align_set(
        str(args.video), args.source, split=args.split, prior=args.prior, max_shift=args.max_shift,
        min_score=args.min_score, out=args.out, log=say,
    )  # fmt: skip


def describe_film(args: argparse.Namespace) -> Verdict:
    """Judges a track of descriptions."""
    from thesislib.describing import check
    from thesislib.descriptions.checking import Limits

    found = check(
        args.check,
        args.film,
        args.subtitles,
        limits=Limits(args.max_rate, args.min_gap, args.tolerance),
        names=args.names,
        language=args.language,
        encoding=args.encoding,
        log=say,
    )
    if args.json:
        return Verdict(found, found["passed"])
    rows = found.pop("findings")
    for title, fails in (("fails", True), ("warnings", False)):
        found[title] = [row["text"] for row in rows if row["fails"] == fails]
    shown = {key: "not known" if value is None else value for key, value in found.items()}
    return Verdict(shown, found["passed"])
