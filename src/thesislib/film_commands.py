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
    _reading_options(align)
    align.add_argument(
        "--prior", type=arguments.not_negative, default=0.003,
        help="pull towards the time of speech, a second; default: 0.003",
    )  # fmt: skip
    align.add_argument(
        "--max-shift", type=arguments.not_negative, metavar="SECONDS",
        help="how far what is seen may be from what is heard; default: any",
    )  # fmt: skip
    align.add_argument(
        "--min-score",
        type=arguments.cosine,
        help="a cue that scores less is not seen; default: a run's head decides, or, of the small "
        "model, whether it fits some moment better than the others do",
    )
    align.add_argument(
        "--out", metavar="FOLDER",
        help="default: the video's; - : print alone; of a data set: the .csv or .parquet file",
    )  # fmt: skip
    align.add_argument(
        "--also", action="append", default=[], choices=("srt", "ass"),
        help="also for players, at the time of what is seen; may be given again",
    )  # fmt: skip


def _reading_options(command: argparse.ArgumentParser) -> None:
    """How subtitles are read."""
    command.add_argument("--language", default="en", help="of the subtitles; default: en")
    command.add_argument("--encoding", help="of the subtitles; default: what they say, or a guess")


def _describe_options(add: Add) -> None:
    describe = add(
        "describe", describe_film, "describe a film where nobody speaks; or judge such a track"
    )
    describe.add_argument("film", nargs="?", type=arguments.path, metavar="FILM")
    describe.add_argument(
        "--check", type=arguments.path, metavar="FILE",
        help="judge this track: WebVTT, srt, whatever `align` reads. Exit code 1 where more than "
        "--tolerance of its time is over dialogue, of its cues too fast or of its sentences "
        "repeated; or where cues are out of order, overlap, have no time or end after the film. "
        "Warned of: each such cue, gaps left empty, names before their introduction, no text",
    )  # fmt: skip
    describe.add_argument(
        "--film", dest="of_film", type=arguments.path, metavar="FILM",
        help="with --check: gives its length and its subtitles",
    )  # fmt: skip
    describe.add_argument(
        "--subtitles", metavar="FILE", help="the dialogue; - : stdin; default: beside the film"
    )
    _reading_options(describe)
    describe.add_argument(
        "--min-gap", type=arguments.not_negative, default=2.0, metavar="SECONDS",
        help="without dialogue that can be described; default: 2",
    )  # fmt: skip
    describe.add_argument(
        "--names", type=arguments.path, metavar="FILE",
        help="the cast, a name a line; default, and without --check besides them: words with a "
        "capital inside a sentence that the track and the subtitles never write small",
    )  # fmt: skip
    check = describe.add_argument_group("with --check")
    check.add_argument(
        "--max-rate", type=arguments.positive, metavar="WORDS",
        help="a second, above which a cue is too fast; default: 5.3",
    )  # fmt: skip
    check.add_argument("--tolerance", type=arguments.share, help="see --check; default: 0.1")
    write = describe.add_argument_group("without it")
    write.add_argument(
        "--run", dest="source", metavar="RUN", help="of `train autoad`; default: the newest"
    )
    write.add_argument("--weights", help="of the run's image-text model, where it needs some")
    write.add_argument("--download", action="store_true", help="fetch published weights")
    write.add_argument(
        "--sound", nargs="?", const="loud", choices=("loud", "voice"),
        help="where there are no subtitles: what is loud is dialogue, music too; or, with the "
        "extra audio, what a detector of voices hears; default: loud",
    )  # fmt: skip
    write.add_argument("--silent", action="store_true", help="nobody speaks in the film")
    write.add_argument(
        "--rate", type=arguments.positive, metavar="WORDS", help="a second; default: 3.5"
    )
    write.add_argument(
        "--lead", type=arguments.not_negative, metavar="SECONDS",
        help="left free after the dialogue; default: 0.2",
    )  # fmt: skip
    write.add_argument(
        "--tail", type=arguments.not_negative, metavar="SECONDS",
        help="left free before it; default: 0.2",
    )  # fmt: skip
    write.add_argument(
        "--longest", type=arguments.positive, metavar="SECONDS",
        help="of film that one cue describes; default: 6",
    )  # fmt: skip
    write.add_argument(
        "--extended", action="store_true",
        help="keep cues that are longer than their gap, for players that stop the film",
    )  # fmt: skip
    write.add_argument("--out", metavar="FOLDER", help="default: that of the film")


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


PACE = ("rate", "lead", "tail", "longest", "extended")
WRITING = ("source", "weights", "download", "sound", "silent", *PACE, "out")
CHECKING = ("of_film", "max_rate", "tolerance")
OPTIONS = {"source": "run", "of_film": "film"}  # where the option has another name


def describe_film(args: argparse.Namespace) -> Any:
    """Describes a film, or judges a track of descriptions."""
    other = CHECKING if args.check is None else WRITING
    if given := [name for name in other if getattr(args, name) not in (None, False)]:
        names = ", ".join(f"--{OPTIONS.get(n, n).replace('_', '-')}" for n in given)
        ways = ("judging: name the track with --check", "describing: do without --check")
        use = f"of {ways[args.check is not None]}"
        raise ThesisError(f"{names} is {use}, or leave it out.")
    if args.check is not None:
        return _check(args)
    if args.film is None:
        raise ThesisError("Name the film to describe, or with --check the track to judge.")
    from thesislib.describing import describe
    from thesislib.descriptions.writing import Pace

    pace = {name: getattr(args, name) for name in PACE if getattr(args, name) is not None}
    found = describe(
        args.film,
        args.subtitles,
        run=args.source or "",
        weights=args.weights or "",
        download=args.download,
        pace=Pace(min_gap=args.min_gap, **pace),
        sound=args.sound or "",
        silent=args.silent,
        names=args.names,
        language=args.language,
        encoding=args.encoding,
        out=args.out,
        log=say,
    )
    if args.json:
        return found
    checked = found["check"]
    wrong = [row["text"] for row in checked["findings"]] if checked else []
    counts = {"cues": len(found["cues"]), "clips without": len(found["silent"])}
    return {"run": found["run"], **counts, "check": wrong, "files": found["files"]}


def _check(args: argparse.Namespace) -> Verdict:
    from thesislib.describing import check
    from thesislib.descriptions.checking import Limits

    if args.film is not None and args.of_film is not None:
        raise ThesisError(f"{args.film} and {args.of_film} are two films: name one.")
    asked = {"rate": args.max_rate, "tolerance": args.tolerance}
    found = check(
        args.check,
        args.film if args.of_film is None else args.of_film,
        args.subtitles,
        limits=Limits(min_gap=args.min_gap, **{k: v for k, v in asked.items() if v is not None}),
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
