"""The ``thesislib`` command: the calls of the notebooks, from a terminal.

Results go to standard output, progress to standard error. Exit codes: 0, 1 for a named problem,
2 for a wrong call. Heavy modules load inside the command that needs them, so that ``--help`` is
quick.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from thesislib import book
from thesislib.clip_config import FLOW_ALGORITHMS, FlowConfig
from thesislib.config import PROFILES
from thesislib.errors import ThesisError
from thesislib.recipes import RECIPES


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    args = parser().parse_args(argv)
    try:
        result = args.run(args)
        if result is not None:
            print(json.dumps(result, indent=1, default=str) if args.json else _text(result))
            sys.stdout.flush()
    except ThesisError as error:
        print(f"thesislib: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("thesislib: stopped; the same command goes on from here.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (head, less) has seen enough; what is left in the buffer has no taker.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    return 0


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="thesislib", description=__doc__.split("\n")[0])
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], Any], text: str) -> Any:
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--json", action="store_true", help="print the result as JSON")
        command.set_defaults(run=run)
        return command

    prepare = add("prepare", _prepare, "make a data set: videos on disk and a manifest")
    prepare.add_argument("name", help=f"{', '.join(RECIPES)}")
    prepare.add_argument("path", nargs="?", help="folder: your videos, or a csv of path,label")
    prepare.add_argument("--name", dest="as_name", help="name of the new data set")
    prepare.add_argument("--root", type=Path, help="folder of the data sets")
    prepare.add_argument("--clips", type=int, help="synthetic sets: number of videos")
    prepare.add_argument("--size", type=int, help="synthetic sets, big_buck_bunny: pixels")
    prepare.add_argument("--seed", type=int)
    prepare.add_argument("--jobs", type=int, help="processes; default: one a core")
    prepare.add_argument(
        "--force", action="store_true", help="synthetic sets: replace what is there"
    )

    show = add("show", _show, "write a contact sheet of a data set")
    show.add_argument("dataset")
    show.add_argument("--out", type=Path, help="picture file; default: <dataset>.png")
    show.add_argument("--per-class", type=int, default=1)
    show.add_argument(
        "--augmented",
        metavar="METHOD[:PRESET]",
        help="instead: training clips as this method's network gets them (default preset: paper)",
    )
    _settings(show)

    doctor = add("doctor", _doctor, "health report of a data set")
    doctor.add_argument("dataset")

    flow = add("flow", _flow, "compute the optical flow of a data set, or go on with it")
    flow.add_argument("dataset")
    flow.add_argument(
        "--algorithm",
        default="tvl1",
        choices=FLOW_ALGORITHMS,
        help="tvl1, as in the thesis; the others are faster, and departures from it",
    )
    flow.add_argument("--bound", type=float, default=20.0, help="pixels at which motion is clipped")
    flow.add_argument("--jobs", type=int, help="videos at a time; default: one a core")
    flow.add_argument("--force", action="store_true", help="replace what is there")

    info = add("info", _info, "parameters, operations, shapes and settings of a method")
    info.add_argument("method", choices=book.methods())
    info.add_argument("--preset", default="paper", choices=PROFILES)
    _settings(info)

    train = add("train", _train, "pre-train one method, without labels")
    _run_options(train)
    train.add_argument("--tensorboard", action="store_true", help="also write event files")
    evaluate = add("eval", _eval, "pre-train (or find) a model and run every protocol on it")
    _run_options(evaluate)
    evaluate.add_argument("--tune", action="append", default=[], metavar="KEY=VALUE")
    evaluate.add_argument("--on", metavar="DATASET", help="judge on another data set")
    evaluate.add_argument("--stages", type=int, default=0, help="intermediate checkpoints")
    evaluate.add_argument("--more", action="append", default=[], help="nonlinear, efficiency")

    baselines = add("baselines", _baselines, "what colour, pixels and chance reach on a data set")
    baselines.add_argument("dataset")
    baselines.add_argument("--seed", type=int, default=0)
    baselines.add_argument("--supervised", action="store_true", help="train the two networks too")

    features = add("features", _features, "encode your videos: an index to look things up in")
    features.add_argument("source", help="name of a data set, or a folder of videos")
    features.add_argument(
        "--run",
        dest="runs",
        action="append",
        default=[],
        metavar="RUN",
        help="pre-training run, twice for two streams; default: the newest on these videos",
    )
    features.add_argument("--out", type=Path, help="folder; default: <data set>_index")
    features.add_argument("--crops", type=int, default=1, choices=(1, 5, 10))

    retrieve = add("retrieve", _retrieve, "show the nearest videos in an index as a web page")
    retrieve.add_argument("index", type=Path, help="folder that `features` wrote")
    retrieve.add_argument("query", nargs="*", help="videos or folders; default: those of the index")
    retrieve.add_argument("--k", type=int, default=5, help="neighbours of each query")
    retrieve.add_argument("--out", type=Path, default=Path("gallery.html"), help="the page")
    retrieve.add_argument(
        "--queries", type=int, default=40, metavar="N", help="at most so many queries; 0: all"
    )

    reproduce = add("reproduce", _reproduce, "run chapters' notebooks into runs/ by papermill")
    reproduce.add_argument("chapters", nargs="+", help="02, or 02_dpc")
    reproduce.add_argument("--profile", default="small", choices=PROFILES)
    reproduce.add_argument("--dataset", help="default: the chapter's own")
    reproduce.add_argument("--seed", type=int, default=0)
    reproduce.add_argument("-p", "--parameter", action="append", default=[], metavar="KEY=VALUE")

    report = add("report", _report, "ledger, tables and claims")
    report.add_argument("what", choices=("table", "claims", "status", "promote"))
    report.add_argument("item", nargs="*", help="table: its number; promote: run folders")
    report.add_argument("--profile", default="small", choices=PROFILES)
    report.add_argument("--dataset", default="", help="default: that of each table's columns")
    report.add_argument("--format", default="markdown", choices=("markdown", "csv", "latex"))
    report.add_argument("--dirty", action="store_true", help="promote a run of uncommitted code")
    return top


def _settings(command: argparse.ArgumentParser) -> None:
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")


def _run_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("method", choices=book.methods())
    command.add_argument("--row", help="row of the chapter's tables; default: the headline")
    command.add_argument("--profile", default="small", choices=PROFILES)
    command.add_argument("--dataset", help="default: that of the profile")
    command.add_argument("--seed", type=int, default=0)
    _settings(command)


def pairs(items: Sequence[str]) -> dict[str, str]:
    """``["a=1"]`` as ``{"a": "1"}``."""
    for item in items:
        if "=" not in item:
            raise ThesisError(f"{item!r} is no setting: write it as key=value.")
    return dict(item.split("=", 1) for item in items)


def _text(result: Any) -> str:
    if isinstance(result, str):
        return result
    lines = []
    for key, value in result.items():
        if isinstance(value, dict):
            lines.append(f"{key}:")
            lines += [f"  {k:<28} {_value(v)}" for k, v in value.items()]
        elif isinstance(value, list):
            lines += [f"{key}:", *(f"  {item}" for item in value)]
        else:
            lines.append(f"{key:<30} {_value(value)}")
    return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _prepare(args: argparse.Namespace) -> dict[str, Any]:
    from thesislib import recipes

    return recipes.prepare(
        args.name,
        path=args.path,
        name=args.as_name,
        root=args.root,
        clips=args.clips,
        size=args.size,
        seed=args.seed,
        jobs=args.jobs,
        force=args.force,
    )


def _show(args: argparse.Namespace) -> dict[str, Any]:
    from thesislib.data.manifest import read_manifest

    manifest = read_manifest(args.dataset)
    if not args.augmented:
        from thesislib.viz import write_contact_sheet

        if args.set:
            raise ThesisError("--set changes how clips are augmented: add --augmented METHOD.")
        out = args.out or Path(f"{args.dataset}.png")
        return {"picture": str(write_contact_sheet(manifest, out, per_class=args.per_class))}
    from thesislib.chapters.pictures import training_views
    from thesislib.info import settings
    from thesislib.viz import contact_sheet

    method, _, preset = args.augmented.partition(":")
    config = settings(method, preset or "paper", pairs(args.set))
    picture = contact_sheet(*training_views(manifest, config), columns=2)
    out = args.out or Path(f"{args.dataset}-{method}.png")
    return {"picture": str(picture.save(out, limit=4_000_000))}


def _doctor(args: argparse.Namespace) -> dict[str, Any]:
    from thesislib.data.doctor import doctor
    from thesislib.data.manifest import read_manifest

    return doctor(read_manifest(args.dataset))


def _flow(args: argparse.Namespace) -> dict[str, Any]:
    from thesislib.data.flow import compute_flow
    from thesislib.data.manifest import read_manifest

    config = FlowConfig(args.algorithm, args.bound)
    return compute_flow(read_manifest(args.dataset), config, jobs=args.jobs, force=args.force)


def _info(args: argparse.Namespace) -> dict[str, Any]:
    from thesislib.info import describe

    return describe(args.method, args.preset, pairs(args.set))


def _job(args: argparse.Namespace, **more: Any) -> Any:
    """What `train` and `eval` ask for; without a row the chapter's headline."""
    from thesislib.chapters.row import Job

    row = args.row or book.chapter(args.method).headline[-1]
    return Job(
        row if "/" in row else f"{args.method}/{row}",
        args.profile,
        args.dataset or "",
        args.seed,
        pairs(args.set),
        log=_say,
        **more,
    )


def _train(args: argparse.Namespace) -> dict[str, Any]:
    from thesislib.chapters.run import train

    job = _job(args)
    if args.tensorboard:
        job = job.also(job.row, tensorboard=True)
    trained = train(job)
    if trained.run is None:
        raise ThesisError(f"{job.row} trains nothing of its own: `thesislib eval` runs it.")
    return {"run": str(trained.run.path), "metrics": trained.result["metrics"]}


def _eval(args: argparse.Namespace) -> dict[str, Any]:
    from thesislib.chapters.run import run

    tune, more = pairs(args.tune), tuple(args.more)
    result = run(_job(args, tune=tune, on=args.on or "", stages=args.stages, more=more))
    return {"run": result["run"], "metrics": result["metrics"], "videos": result["videos"]}


def _baselines(args: argparse.Namespace) -> dict[str, Any]:
    from thesislib.chapters.row import Job
    from thesislib.chapters.world.rows import baselines

    job = Job("baseline/chance", dataset=args.dataset, seed=args.seed, log=_say)
    return {"top1": baselines(job, supervised=args.supervised)}


def _features(args: argparse.Namespace) -> dict[str, Any]:
    from thesislib.own_videos import index_videos

    return index_videos(args.source, args.runs, args.out, args.crops, _say)


def _retrieve(args: argparse.Namespace) -> dict[str, Any]:
    from thesislib.own_videos import retrieve

    found = retrieve(args.index, args.query, args.k, args.out, args.queries, _say)
    return found if args.json else {k: v for k, v in found.items() if k != "results"}


def _reproduce(args: argparse.Namespace) -> dict[str, Any]:
    from thesislib.reproduce import reproduce

    values = {"profile": args.profile, "seed": args.seed}
    values |= {"dataset": args.dataset} if args.dataset else {}
    values |= pairs(args.parameter)
    return {chapter: str(reproduce(chapter, values)) for chapter in args.chapters}


def _report(args: argparse.Namespace) -> Any:
    from thesislib import report

    if args.what == "promote":
        from thesislib.ledger import promote

        if not args.item:
            raise ThesisError("Name the run folders to promote.")
        return {item: str(promote(item, dirty=args.dirty)) for item in args.item}
    if args.what == "table":
        if len(args.item) != 1:
            raise ThesisError("Name one table, for instance: thesislib report table 2.1")
        return report.render_table(args.item[0], args.profile, args.dataset, args.format)
    if args.what == "claims":
        return {c["id"]: c for c in report.claims_table(args.profile, args.dataset)}
    return {str(i): row for i, row in enumerate(report.status())}


if __name__ == "__main__":
    sys.exit(main())
