"""What each ``thesislib`` command does: from its words to the call, and back to plain data.

Heavy modules load inside the command that needs them, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thesislib import book
from thesislib.clip_config import FlowConfig
from thesislib.errors import ThesisError


def pairs(items: Sequence[str]) -> dict[str, str]:
    """``["a=1"]`` as ``{"a": "1"}``."""
    for item in items:
        if "=" not in item:
            raise ThesisError(f"{item!r} is no setting: write it as key=value.")
    return dict(item.split("=", 1) for item in items)


# Settings that more than the training depends on, and the options that reach all of it.
OPTIONS = {"dataset": "--dataset", "seed": "--seed", "profile": "--profile"}
ON_TOP = {**OPTIONS, "dataset": "--on"}


def changes(items: Sequence[str], options: Mapping[str, str]) -> dict[str, str]:
    """The same for settings of a row, without those that have an option of their own."""
    found = pairs(items)
    for name in found.keys() & options.keys():
        raise ThesisError(
            f"{name} is no setting of the training alone: give {options[name]} {found[name]}."
        )
    return found


def first_process() -> bool:
    """Whether this process speaks and writes for all that train together (``torchrun``)."""
    return os.environ.get("RANK", "0") == "0"


def say(text: str) -> None:
    """A line of progress, to standard error."""
    if first_process():
        print(text, file=sys.stderr, flush=True)


def _alone(command: str) -> None:
    """Refuses several processes where only one can do the work."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ThesisError(
            f"`thesislib {command}` judges in one process: train by torchrun first, then call it "
            "without, with the same settings; it finds the run."
        )


def prepare(args: argparse.Namespace) -> dict[str, Any]:
    """Makes a data set."""
    from thesislib import recipes

    return recipes.prepare(
        args.name,
        path=args.path,
        name=args.as_name,
        root=args.root,
        **{option: getattr(args, option) for option in recipes.OPTIONS},
    )


def show(args: argparse.Namespace) -> dict[str, Any]:
    """Draws a data set, or training clips as a network gets them."""
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


def doctor(args: argparse.Namespace) -> dict[str, Any]:
    """Reports on the health of a data set."""
    from thesislib.data.doctor import doctor
    from thesislib.data.manifest import read_manifest

    return doctor(read_manifest(args.dataset, checked=False))


def flow(args: argparse.Namespace) -> dict[str, Any]:
    """Computes the optical flow of a data set, or goes on with it."""
    from thesislib.data.flow import compute_flow
    from thesislib.data.manifest import read_manifest

    config = FlowConfig(args.algorithm, args.bound)
    return compute_flow(read_manifest(args.dataset), config, jobs=args.jobs, force=args.force)


def info(args: argparse.Namespace) -> dict[str, Any]:
    """Describes a method."""
    from thesislib.info import describe

    return describe(args.method, args.preset, pairs(args.set))


def _job(args: argparse.Namespace, **more: Any) -> Any:
    """What `train` and `eval` ask for; without a row the chapter's headline."""
    from thesislib.chapters.row import Job

    row = args.row or book.chapter(args.method).headline[-1]
    return Job(
        row if "/" in row else f"{args.method}/{row}",
        args.profile or "small",
        args.dataset or "",
        args.seed,
        changes(args.set, OPTIONS),
        log=say,
        **more,
    )


def train(args: argparse.Namespace) -> dict[str, Any]:
    """Pre-trains a row, or finds it trained."""
    from thesislib.chapters.run import train

    job = _job(args)
    if args.tensorboard:
        job = job.also(job.row, tensorboard=True)
    trained = train(job)
    if trained.run is None:
        raise ThesisError(f"{job.row} trains nothing of its own: `thesislib eval` runs it.")
    took = trained.result["provenance"]["wall_seconds"]
    return {
        "run": str(trained.run.path),
        "metrics": trained.result["metrics"],
        "minutes": round(took / 60, 1),
    }


def evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """Runs a row whole: pre-training, and every protocol on it."""
    from thesislib.chapters.run import run

    _alone("eval")
    tune, more = changes(args.tune, ON_TOP), tuple(args.more)
    asked = {"tune": tune, "on": args.on or "", "stages": args.stages, "more": more}
    if args.run_of:
        from thesislib.runs import imported

        config, row = imported(args.run_of)
        _agree(args, config, row)
        args.row, args.profile, asked["weights"] = row, config.profile, args.run_of
    result = run(_job(args, **asked))
    return {"run": result["run"], "metrics": result["metrics"], "videos": result["videos"]}


def _agree(args: argparse.Namespace, config: Any, row: str) -> None:
    """Refuses what an imported run says otherwise."""
    method, _, short = row.partition("/")
    said = (("method", args.method, (method,)), ("--row", args.row, (row, short)))
    for name, asked, own in (*said, ("--profile", args.profile, (config.profile,))):
        if asked and asked not in own:
            raise ThesisError(
                f"{args.run_of} is of {name} {own[0]}, not {asked}: leave it at that."
            )


def baselines(args: argparse.Namespace) -> dict[str, Any]:
    """What the simplest readers reach on a data set."""
    from thesislib.chapters.row import Job
    from thesislib.chapters.world.rows import baselines

    _alone("baselines")
    job = Job("baseline/chance", dataset=args.dataset, seed=args.seed, log=say)
    return {"top1": baselines(job, supervised=args.supervised)}


def features(args: argparse.Namespace) -> dict[str, Any]:
    """Encodes videos into an index."""
    from thesislib.own_videos import index_videos

    return index_videos(
        args.source, args.runs, args.out, args.crops, say, table=args.csv, moments=args.moments
    )


def retrieve(args: argparse.Namespace) -> dict[str, Any]:
    """Looks up the nearest videos in an index."""
    from thesislib.data.checking import printable
    from thesislib.lookup import pairs, retrieve

    if args.above is not None and args.duplicates is not None:
        raise ThesisError("--duplicates is --above with a list of the pairs: give one of them.")
    found = retrieve(
        args.index,
        args.query,
        args.k,
        args.out,
        args.queries,
        say,
        above=args.above if args.duplicates is None else args.duplicates,
        table=args.csv,
        dataset=args.dataset,
    )
    if args.duplicates is not None:
        near = pairs(found["results"])
        found["duplicates"] = [f"{c:.4f}  {printable(a)}  {printable(b)}" for c, a, b in near]
    return found if args.json else {k: v for k, v in found.items() if k != "results"}


def classify(args: argparse.Namespace) -> Any:
    """Says which classes videos show, over time."""
    from thesislib.classifying import How, Timing, as_text, classify

    how = How(
        args.model,
        args.weights,
        args.download,
        tuple(args.template),
        args.shots,
        args.layers,
        args.prompts,
        args.temperature,
        args.seed,
    )
    timing = Timing(args.rate, args.window, args.hop)
    found = classify(args.videos, args.classes, how, timing, out=args.out, jobs=args.jobs, log=say)
    return found if args.json else as_text(found)


def import_weights(args: argparse.Namespace) -> dict[str, Any]:
    """Makes a run of a checkpoint of the authors."""
    from thesislib.importing import import_weights

    _alone("import")
    changes = pairs(args.set)
    made = import_weights(args.method, args.file, args.row or "", args.preset or "", changes)
    name = Path(made["run"]).name
    say(f"thesislib eval {args.method} --run {name} judges it.")
    return made


def weights(args: argparse.Namespace) -> dict[str, Any]:
    """Lists the models that ship with the package and those that the authors published.

    Or makes one of the former again.
    """
    from thesislib import pretrained, released

    if args.what == "list":
        return {"packaged": pretrained.shipped(), "published": released.listing()}
    _alone("weights")
    return pretrained.make(args.name or "", args.out, pairs(args.set), jobs=args.jobs, log=say)


def reproduce(args: argparse.Namespace) -> dict[str, Any]:
    """Runs chapters' notebooks with other parameters."""
    from thesislib.reproduce import reproduce

    values = {"profile": args.profile, "seed": args.seed}
    values |= {"dataset": args.dataset} if args.dataset else {}
    values |= pairs(args.parameter)
    return {chapter: str(reproduce(chapter, values)) for chapter in args.chapters}


def report(args: argparse.Namespace) -> Any:
    """Tables, claims and the state of the ledger; or takes runs into it."""
    from thesislib import report
    from thesislib.rendering import rendered

    if args.what != "table" and args.what != "promote" and args.item:
        raise ThesisError(
            f"`thesislib report {args.what}` takes no {args.item[0]!r}: leave it out."
        )
    if args.format and (args.json or args.what == "promote"):
        other = "--json" if args.json else "promote"
        raise ThesisError(f"--format says how text is written, {other} writes none: leave it out.")
    if args.what == "promote":
        from thesislib.ledger import promote

        if not args.item:
            raise ThesisError("Name the run folders to promote.")
        return {item: str(promote(item, dirty=args.dirty)) for item in args.item}
    if args.what == "table":
        if len(args.item) != 1:
            raise ThesisError("Name one table, for instance: thesislib report table 2.1")
        where = (args.item[0], args.profile, args.dataset)
        if args.json:
            return report.table_data(*where)
        return report.render_table(*where, args.format or "markdown")
    if args.what == "claims":
        if not args.format:
            return {c["id"]: c for c in report.claims_table(args.profile, args.dataset)}
        found = report.claims(None, args.profile, args.dataset)
        frame = (report.claims_numbers if args.format == "csv" else report.claims_frame)(found)
        return rendered(frame, args.format)
    if args.format:
        return rendered(report.status_frame(), args.format)
    return {str(i): row for i, row in enumerate(report.status())}
