"""The driver of CoCLR's cycles (thesis 4.3.2): who learns when, from which start, mined by whom.

*Initialisation* trains a network for each stream with InfoNCE. In each cycle of the *alternation*
the RGB network goes on with positives mined by the flow network, then the flow network with
positives mined by the new RGB network. Every stage is a run folder of its own, whose settings name
the runs it starts from; so a killed call goes on where it stopped, and variations of a later stage
share the earlier ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from thesislib.checkpoint import RunFolder
from thesislib.data.flow_files import check_flow
from thesislib.data.manifest import Manifest
from thesislib.evaluation.features import over_windows
from thesislib.evaluation.retrieval import within
from thesislib.methods import coclr
from thesislib.methods.coclr import OTHER, CoCLRConfig
from thesislib.pretraining import Log, train_model

# What InfoNCE has no use for: at its default, so that all variations of CoCLR share one start.
UNUSED = (
    "topk",
    "siblings",
    "drop_self",
    "fill_first",
    "cycles",
    "cycle_epochs",
    "init",
    "sampler",
)
MINING = ("coclr", "simultaneous")  # objectives that start from two networks


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


def cotrain(
    config: CoCLRConfig,
    manifest: Manifest,
    *,
    log: Log = print,
    tensorboard: bool = False,
) -> tuple[Any, RunFolder, dict[str, Any]]:
    """Initialisation and all cycles, up to the network of ``config.modality``.

    Args:
        config: With ``objective`` ``coclr`` or ``simultaneous``; ``epochs`` of the initialisation,
            ``cycle_epochs`` of each network in each of ``cycles`` cycles.
        manifest: The data set, with flow.
        log: Where the log lines go.
        tensorboard: Also write event files.

    Returns:
        As :func:`thesislib.pretraining.train_model`, of the last stage; its time is that of all
        stages together, and ``stages`` has a dictionary of each: ``name``, ``cycle``, ``stream``,
        ``run``, ``epochs``, ``seconds``, ``precision`` (of the positives in its last epoch, absent
        without labels), ``metrics``.
    """
    check_flow(manifest, config.flow)  # before the hours of the first stage, not after them
    models: list[Any] = []
    runs: list[RunFolder] = []
    stages: list[dict[str, Any]] = []
    at_once = config.objective == "simultaneous"
    for stage in plan(config.cycles, config.modality, at_once):
        settings = stage_config(config, stage, [run.name for run in runs])
        hand_over = None
        if stage.start is not None and stage.sampler is not None:
            hand_over = partial(_start, own=models[stage.start], sampler=models[stage.sampler])
        if log:
            log(stage.name)
        model, run, result = train_model(
            coclr,
            "coclr",
            settings,
            manifest,
            start=hand_over,
            judge=partial(monitor, manifest=manifest, config=settings),
            log=log,
            tensorboard=tensorboard,
        )
        models.append(model)
        runs.append(run)
        last = run.metrics()[-1]
        stages.append(
            {
                "name": stage.name,
                "cycle": stage.cycle,
                "stream": stage.stream,
                "run": run.name,
                "epochs": settings.epochs,
                "seconds": float(result["provenance"]["wall_seconds"]),
                "metrics": result["metrics"],
            }
            | {k: last[k] for k in ("precision",) if k in last}
        )
    seconds = round(sum(stage["seconds"] for stage in stages), 1)
    provenance = {**result["provenance"], "wall_seconds": seconds}
    return models[-1], runs[-1], {**result, "provenance": provenance, "stages": stages}


def stage_config(config: CoCLRConfig, stage: Stage, runs: list[str]) -> CoCLRConfig:
    """The settings of one stage, given the names of the runs before it."""
    settings = replace(config, modality=stage.stream)
    if stage.start is None or stage.sampler is None:
        defaults = {name: getattr(CoCLRConfig, name) for name in UNUSED}
        return replace(settings, objective="infonce", **defaults)
    at_once = config.objective == "simultaneous"
    epochs = config.cycle_epochs * (config.cycles if at_once else 1)
    return replace(
        settings,
        epochs=epochs,
        # Once to a tenth, after four fifths (80 of 100 epochs, 40 of 50: as released).
        milestones=(round(0.8 * epochs),) if config.schedule == "steps" else (),
        init=runs[stage.start],
        sampler=runs[stage.sampler],
    )


def _start(model: Any, own: Any, sampler: Any) -> None:
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


def cycle_metrics(stages: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Precision of the positives of each stage of the alternation, as metrics of a row."""
    return {
        f"precision_{stage['stream']}_cycle{stage['cycle']}": stage["precision"]
        for stage in stages
        if stage["cycle"] and "precision" in stage
    }
