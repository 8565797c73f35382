"""The ``thesislib`` command: the calls of the notebooks, from a terminal.

Results go to standard output, progress to standard error. Exit codes: 0, 1 for a named problem
or a check that fails, 2 for a wrong call, 130 and 143 for a stop. What the commands do is in
:mod:`thesislib.commands` and :mod:`thesislib.film_commands`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from thesislib import __version__, arguments, book, commands, film_commands, recipes, terminal
from thesislib.clip_config import FLOW_ALGORITHMS
from thesislib.config import MEASURED, PROFILES

# The options of the recipes; which recipe takes which is known there.
PREPARE: tuple[tuple[str, Callable[[str], Any], str], ...] = (
    ("clips", arguments.count, "number of videos"),
    ("size", arguments.pixels, "pixels"),
    ("split", arguments.count, "number of the official split; default: 1"),
    ("annotations", arguments.path, "folder of the official lists; default: anywhere in PATH"),
    ("val", arguments.share, "share of the training groups for validation; default: 0.1"),
    ("test", arguments.share, "share of the groups for testing; default: 0.2"),
    ("copy", bool, "copy the videos into the data set"),
    ("full_check", bool, "decode every frame, not the headers alone"),
    ("lists_only", bool, "write what the lists say, look for no video"),
    ("seed", arguments.seed, "of everything drawn"),
    ("jobs", arguments.jobs, "processes or threads; default: one a core"),
    ("force", bool, "replace what is there under this name"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    args = parser().parse_args(argv)
    passed = True

    def work() -> str | None:
        nonlocal passed
        result = args.run(args)
        if isinstance(result, terminal.Verdict):
            result, passed = result
        if result is None or not commands.first_process():
            return None
        return json.dumps(result, indent=1, default=str) if args.json else terminal.as_text(result)

    return terminal.run(work) or int(not passed)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = arguments.Parser(prog="thesislib", description=__doc__.split("\n")[0])
    top.add_argument("--version", action="version", version=f"thesislib {__version__}")
    group = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], Any], text: str) -> Any:
        command = group.add_parser(name, help=text, description=text)
        command.add_argument("--json", action="store_true", help="print the result as JSON")
        command.set_defaults(run=run)
        return command

    prepare = add("prepare", commands.prepare, "make a data set: videos on disk and a manifest")
    prepare.add_argument("name", help=", ".join(recipes.RECIPES))
    prepare.add_argument("path", nargs="?", help="your videos: a folder; or a csv of path,label")
    prepare.add_argument("--name", dest="as_name", help="name of the new data set")
    prepare.add_argument("--root", type=arguments.path, help="folder of the data sets")
    for option, kind, text in PREPARE:
        kinds = {"action": "store_true"} if kind is bool else {"type": kind}
        who = recipes.takers(option)
        text = f"{text} ({who})" if who else text
        prepare.add_argument(f"--{option.replace('_', '-')}", help=text, **kinds)

    show = add("show", commands.show, "write a contact sheet of a data set")
    show.add_argument("dataset")
    show.add_argument("--out", type=arguments.path, help="picture file; default: <dataset>.png")
    show.add_argument("--per-class", type=arguments.count, default=1)
    show.add_argument(
        "--augmented",
        metavar="METHOD[:PRESET]",
        help="instead: training clips as this method's network gets them (default preset: paper)",
    )
    _settings(show)

    doctor = add("doctor", commands.doctor, "health report of a data set")
    doctor.add_argument("dataset")

    flow = add("flow", commands.flow, "compute the optical flow of a data set, or go on with it")
    flow.add_argument("dataset")
    flow.add_argument(
        "--algorithm",
        default="tvl1",
        choices=FLOW_ALGORITHMS,
        help="tvl1, as in the thesis; the others are faster, and departures from it",
    )
    flow.add_argument(
        "--bound", type=arguments.positive, default=20.0, help="pixels at which motion is clipped"
    )
    flow.add_argument("--jobs", type=arguments.jobs, help="videos at a time; default: one a core")
    flow.add_argument("--force", action="store_true", help="replace what is there")

    info = add("info", commands.info, "parameters, operations, shapes and settings of a method")
    info.add_argument("method", choices=book.methods())
    info.add_argument("--preset", default="paper", choices=PROFILES)
    _settings(info)

    train = add("train", commands.train, "pre-train one method, without labels")
    _run_options(train)
    train.add_argument("--tensorboard", action="store_true", help="also write event files")
    evaluate = add(
        "eval", commands.evaluate, "pre-train (or find) a model and run every protocol on it"
    )
    _run_options(evaluate)
    evaluate.add_argument("--tune", action="append", default=[], metavar="KEY=VALUE")
    evaluate.add_argument(
        "--run",
        dest="run_of",
        metavar="RUN",
        help="judge what `thesislib import` made: its row, its settings, no training",
    )
    evaluate.add_argument("--on", metavar="DATASET", help="judge on another data set")
    evaluate.add_argument(
        "--stages", type=arguments.natural, default=0, help="intermediate checkpoints"
    )
    evaluate.add_argument("--more", action="append", default=[], help="nonlinear, efficiency")

    baselines = add(
        "baselines", commands.baselines, "what colour, pixels and chance reach on a data set"
    )
    baselines.add_argument("dataset")
    baselines.add_argument("--seed", type=arguments.seed, default=0)
    baselines.add_argument("--supervised", action="store_true", help="train the two networks too")

    features = add(
        "features", commands.features, "encode your videos: an index to look things up in"
    )
    features.add_argument("source", help="name of a data set, or a folder of videos")
    features.add_argument(
        "--run",
        dest="runs",
        action="append",
        default=[],
        metavar="RUN",
        help="pre-training run on whatever videos, twice for two streams; or what needs no "
        "training: small-coclr-rgb, small-coclr-flow, or imagenet, an image network; default: the "
        "newest run on these videos, else small-coclr-rgb",
    )
    features.add_argument("--out", type=arguments.path, help="folder; default: <data set>_index")
    features.add_argument("--crops", type=int, default=1, choices=(1, 5, 10))
    features.add_argument("--csv", action="store_true", help="also write features.csv there")
    features.add_argument(
        "--moments", action="store_true", help="a row for each second or so, not for each video"
    )

    retrieve = add(
        "retrieve", commands.retrieve, "show the nearest videos in an index as a web page"
    )
    retrieve.add_argument("index", type=arguments.path, help="folder that `features` wrote")
    retrieve.add_argument("query", nargs="*", help="videos or folders; default: those of the index")
    retrieve.add_argument("--k", type=arguments.count, default=5, help="neighbours of each query")
    retrieve.add_argument(
        "--out", type=arguments.path, default=Path("gallery.html"), help="the page"
    )
    retrieve.add_argument(
        "--queries",
        type=arguments.natural,
        default=40,
        metavar="N",
        help="at most so many queries; 0: all",
    )
    retrieve.add_argument(
        "--above",
        type=arguments.cosine,
        metavar="COSINE",
        help="only neighbours this near, and queries that have one: copies stand near 1",
    )
    retrieve.add_argument(
        "--duplicates",
        type=arguments.cosine,
        nargs="?",
        const=0.95,
        metavar="COSINE",
        help="the same, and the pairs are listed, the nearest first; 0.95 if no number is given",
    )
    retrieve.add_argument(
        "--csv", type=arguments.path, metavar="FILE", help="also write a line a neighbour"
    )
    retrieve.add_argument(
        "--dataset", help="whose videos the page shows; default: that of the index's name, here"
    )

    classify = add(
        "classify", commands.classify, "say which of your classes your videos show, over time"
    )
    classify.add_argument("videos", nargs="+", metavar="VIDEO", help="videos, or folders of them")
    classify.add_argument("--classes", metavar="FILE", help="names of classes, one a line")
    classify.add_argument(
        "--out", type=arguments.path, metavar="PAGE", help="also write a page: page.html"
    )
    classify.add_argument(
        "--model", default="", help="image-text model of open_clip, or its folder; default: small"
    )
    classify.add_argument(
        "--weights", default="", help="of the model: a tag of open_clip's, a file"
    )
    classify.add_argument("--download", action="store_true", help="fetch these weights if need be")
    classify.add_argument(
        "--template",
        action="append",
        default=[],
        metavar="TEXT",
        help='sentence with {} for the name, e.g. "a video of {}."; may be given again',
    )
    classify.add_argument(
        "--shots", metavar="FOLDER", help="learn prompts on a few examples: <class>/<video>"
    )
    classify.add_argument(
        "--layers",
        type=arguments.layers,
        default=0,
        help="with --shots: layers over time; 2 for names that mean nothing to the model",
    )
    classify.add_argument("--prompts", default="", metavar="RUN", help="prompts of a finished run")
    classify.add_argument(
        "--rate", type=arguments.positive, default=4.0, help="frames a second; default: 4"
    )
    classify.add_argument(
        "--window", type=arguments.positive, metavar="SECONDS", help="of a window; default: 2"
    )
    classify.add_argument(
        "--hop", type=arguments.positive, default=1.0, metavar="SECONDS", help="default: 1"
    )
    classify.add_argument("--temperature", type=arguments.positive, help="default: the model's own")
    classify.add_argument("--seed", type=arguments.seed, default=0, help="of learning on examples")
    classify.add_argument(
        "--jobs", type=arguments.jobs, help="videos at a time; default: one a core"
    )

    film_commands.add_options(add)

    weights = add(
        "weights",
        commands.weights,
        "models that ship with the package (list, make again), and what the authors published",
    )
    weights.add_argument("what", nargs="?", default="list", choices=("list", "make"))
    weights.add_argument(
        "name", nargs="?", help="make: image-text, small-coclr-rgb, small-coclr-flow"
    )
    weights.add_argument(
        "--out", type=arguments.path, help="folder of the new model; default: in the runs"
    )
    weights.add_argument(
        "--jobs", type=arguments.jobs, help="processes that film; default: one a core"
    )
    _settings(weights)

    import_ = add(
        "import", commands.import_weights, "make a run of a checkpoint that the authors published"
    )
    import_.add_argument("method", choices=book.methods())
    import_.add_argument(
        "file", type=arguments.path, metavar="FILE", help="as downloaded; never executed"
    )
    import_.add_argument("--row", help="whose network it is; `thesislib weights` says")
    import_.add_argument(
        "--preset",
        choices=PROFILES,
        help="as_released or paper; default: as_released (turbo: paper)",
    )
    _settings(import_)

    reproduce = add(
        "reproduce", commands.reproduce, "run chapters' notebooks into runs/ by papermill"
    )
    reproduce.add_argument("chapters", nargs="+", help="02, or 02_dpc")
    reproduce.add_argument("--profile", default="small", choices=PROFILES)
    reproduce.add_argument("--dataset", help="default: the chapter's own")
    reproduce.add_argument("--seed", type=arguments.seed, default=0)
    reproduce.add_argument("-p", "--parameter", action="append", default=[], metavar="KEY=VALUE")

    report = add("report", commands.report, "ledger, tables and claims")
    report.add_argument("what", choices=("table", "claims", "status", "promote"))
    report.add_argument("item", nargs="*", help="table: its number; promote: run folders")
    report.add_argument("--profile", default="small", choices=MEASURED)
    report.add_argument("--dataset", default="", help="default: that of each table's columns")
    report.add_argument("--format", choices=("markdown", "csv", "latex"))
    report.add_argument("--dirty", action="store_true", help="promote a run of uncommitted code")
    return top


def _settings(command: argparse.ArgumentParser) -> None:
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")


def _run_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("method", choices=book.methods())
    command.add_argument("--row", help="row of the chapter's tables; default: the headline")
    command.add_argument("--profile", choices=PROFILES, help="default: small")
    command.add_argument("--dataset", help="default: that of the profile")
    command.add_argument("--seed", type=arguments.seed, default=0)
    _settings(command)


if __name__ == "__main__":
    sys.exit(main())
