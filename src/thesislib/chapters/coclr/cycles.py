"""CoCLR's cycles (thesis 4.3.2): who learns when, from which start, mined by whom.

*Initialisation* trains a network for each stream with InfoNCE. In each cycle of the *alternation*
the RGB network goes on with positives mined by the flow network, then the flow network with
positives mined by the new RGB network. Every stage is a run folder of its own, whose settings name
the runs it starts from; so a killed call goes on where it stopped, and variations of a later stage
share the earlier ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from thesislib.chapters import run
from thesislib.chapters.row import Job
from thesislib.data.dataset import clips_of
from thesislib.data.flow_files import check_flow
from thesislib.data.manifest import Manifest, read_manifest
from thesislib.errors import ThesisError
from thesislib.evaluation.features import over_windows
from thesislib.evaluation.retrieval import within
from thesislib.methods.coclr import build
from thesislib.methods.coclr_config import OTHER, CoCLRConfig
from thesislib.train import Log, Trained, train

# What InfoNCE has no use for: at its default, so that all variations of CoCLR share one start.
UNUSED = (
    "topk", "siblings", "drop_self", "fill_first", "cycles", "cycle_epochs", "init", "sampler"
)  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """One network's training in the course of the cycles.

    Attributes:
        cycle: 0 for the initialisation.
        stream: The stream that learns, ``rgb`` or ``flow``.
        start: Number of the stage whose weights it goes on from; ``None`` for random ones.
        sampler: Number of the stage whose network, fixed, mines the positives.
    """

    cycle: int
    stream: str
    start: int | None = None
    sampler: int | None = None

    @property
    def name(self) -> str:
        return f"cycle {self.cycle}, {self.stream}" if self.cycle else f"InfoNCE, {self.stream}"


def plan(cycles: int, stream: str = "flow", at_once: bool = False) -> list[Stage]:
    """The stages in their order, up to the last of ``stream`` (flow is last in a cycle).

    With ``at_once`` one stage, in which both streams learn, stands for all cycles.
    """
    stages = [Stage(0, "rgb"), Stage(0, "flow")]
    latest = {"rgb": 0, "flow": 1}
    if at_once:
        return [*stages, Stage(1, stream, latest[stream], latest[OTHER[stream]])]
    for cycle in range(1, cycles + 1):
        for one in OTHER:
            stages.append(Stage(cycle, one, latest[one], latest[OTHER[one]]))
            latest[one] = len(stages) - 1
    return stages[: latest[stream] + 1]


def cycles(job: Job) -> Trained:
    """Initialisation and all cycles, up to the network of the row's stream."""
    config = run.settings(job)
    if config.init or config.sampler:
        raise ThesisError(
            f"{job.row} names the runs that its stages start from and mine with itself: leave init "
            "and sampler out."
        )
    return cotrain(config, read_manifest(config.dataset), job.log)


def cotrain(config: CoCLRConfig, manifest: Manifest, log: Log = print) -> Trained:
    """The stages of :func:`plan`, each found or trained.

    Args:
        config: With ``objective`` ``coclr`` or ``simultaneous``; ``epochs`` of the initialisation,
            ``cycle_epochs`` of each network in each of ``cycles`` cycles.
        manifest: The data set, with flow.
        log: Where the log lines go.

    Returns:
        The last stage, whose result has the time of all stages together, the precision of the
        positives of each stage of the alternation, and ``stages``, a dictionary of each: ``name``,
        ``cycle``, ``stream``, ``run``, ``epochs``, ``seconds``, ``metrics``, ``precision`` (in its
        last epoch; absent without labels).
    """
    check_flow(manifest, config.flow)  # before the hours of the first stage, not after them
    done: list[Trained] = []
    stages: list[dict[str, Any]] = []
    todo = plan(config.cycles, config.modality, config.objective == "simultaneous")
    for number, stage in enumerate(todo, 1):
        own = stage_config(config, stage, [s["run"] for s in stages])
        start = None
        if stage.start is not None and stage.sampler is not None:
            start = partial(
                hand_over, own=done[stage.start].model, sampler=done[stage.sampler].model
            )
        if log:
            log(f"{stage.name}, stage {number} of {len(todo)}{_left(config, todo, stages)}")
        data, after = (
            partial(clips_of, manifest, own),
            partial(monitor, manifest=manifest, config=own),
        )
        model, print_ = partial(build, own), manifest.fingerprint
        done.append(train("coclr", model, data, own, print_, start=start, after=after, log=log))
        stages.append(_facts(stage, own, done[-1]))
    return _summed(done[-1], stages)


def _left(config: CoCLRConfig, todo: list[Stage], done: list[dict[str, Any]]) -> str:
    """How long the stages that are left take, by the epochs so far; nothing before the first."""
    if not done:
        return ""
    pace = sum(stage["seconds"] for stage in done) / sum(stage["epochs"] for stage in done)
    seconds = pace * sum(_epochs(config, stage) for stage in todo[len(done) :])
    return f", about {seconds / 60:.0f} minutes to the end of all"


def _epochs(config: CoCLRConfig, stage: Stage) -> int:
    if stage.start is None:
        return config.epochs
    return config.cycle_epochs * (config.cycles if config.objective == "simultaneous" else 1)


def _facts(stage: Stage, config: CoCLRConfig, trained: Trained) -> dict[str, Any]:
    """What is kept of a stage in the result of the whole."""
    assert trained.run is not None
    last = trained.run.metrics()[-1]
    return {
        "name": stage.name,
        "cycle": stage.cycle,
        "stream": stage.stream,
        "run": trained.run.name,
        "epochs": config.epochs,
        "seconds": float(trained.result["provenance"]["wall_seconds"]),
        "metrics": trained.result["metrics"],
    } | {k: last[k] for k in ("precision",) if k in last}


def _summed(last: Trained, stages: list[dict[str, Any]]) -> Trained:
    """The last stage, with what is known of all of them."""
    seconds = round(sum(stage["seconds"] for stage in stages), 1)
    mined = {
        f"precision_{stage['stream']}_cycle{stage['cycle']}": stage["precision"]
        for stage in stages
        if stage["cycle"] and "precision" in stage
    }
    result = {
        **last.result,
        "metrics": last.result["metrics"] | mined,
        "provenance": {**last.result["provenance"], "wall_seconds": seconds},
        "stages": stages,
    }
    return last._replace(result=result)


def stage_config(config: CoCLRConfig, stage: Stage, runs: list[str]) -> CoCLRConfig:
    """The settings of one stage, given the names of the runs of the stages before it."""
    settings = replace(config, modality=stage.stream)
    if stage.start is None or stage.sampler is None:
        defaults = {name: getattr(CoCLRConfig, name) for name in UNUSED}
        return replace(settings, objective="infonce", **defaults)
    epochs = _epochs(config, stage)
    return replace(
        settings,
        epochs=epochs,
        # Once to a tenth, after four fifths (80 of 100 epochs, 40 of 50: as released).
        milestones=(round(0.8 * epochs),) if config.schedule == "steps" else (),
        init=runs[stage.start],
        sampler=runs[stage.sampler],
    )


def hand_over(model: Any, own: Any, sampler: Any) -> None:
    """Starts a stage from the networks of earlier ones: of its own stream, and of the sampler."""
    model.start_from(own, sampler)


def monitor(model: Any, manifest: Manifest, config: CoCLRConfig) -> Mapping[str, Any]:
    """How well the training videos find their own kind (thesis figure 4.2); for looking at alone.

    Returns:
        ``train_r1`` and ``train_precision``: the share of training videos whose nearest neighbour,
        and of the ``topk`` nearest those, that have its label; nothing without labels.
    """
    train = manifest.select(split="train")
    if len({v.label for v in train.videos if v.label}) < 2:
        return {}
    features = over_windows(model.encode, model, train, config, windows=1)
    found = within(features, CoCLRConfig.topk)
    return {"train_r1": found["r1"], "train_precision": found["precision"]}
