"""A row of a table: one function that trains, and one or more that judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from thesislib.config import RunConfig
from thesislib.data.manifest import read_manifest
from thesislib.evaluation.scores import Scores
from thesislib.train import Log, Trained


@dataclass(frozen=True)
class Job:
    """One row at one scale with one seed: what a command or a notebook asks for.

    Attributes:
        row: Its key, ``<method>/<row>``; the method is that of the chapter.
        profile: ``small``, ``gpu``, ``paper`` or ``as_released``.
        dataset: Name of a prepared data set to train and judge on; "": the preset's to train on,
            that of the row's table to judge on.
        seed: Of initialisation, augmentation and label subset.
        changes: To the settings of the row.
        tune: To the settings of what is trained on top.
        on: Judged on this data set instead.
        stages: Judge so many intermediate checkpoints as well (thesis figure 2.3).
        more: Optional judges of the row.
        weights: Name of an imported run (:mod:`thesislib.importing`) that is judged as this row:
            nothing is trained, and the settings are that run's.
        log: Where the log lines go; ``None`` for silence.
    """

    row: str
    profile: str = "small"
    dataset: str = ""
    seed: int = 0
    changes: Mapping[str, Any] = field(default_factory=dict)
    tune: Mapping[str, Any] = field(default_factory=dict)
    on: str = ""
    stages: int = 0
    more: tuple[str, ...] = ()
    weights: str = ""
    log: Log = field(default_factory=lambda: print)

    def also(self, row: str, **changes: Any) -> Job:
        """The same for another row: one that this row starts from, fuses or is compared with."""
        return replace(self, row=row, changes={**self.changes, **changes}, stages=0, weights="")

    def quietly(self) -> Job:
        """The same without log lines."""
        return replace(self, log=None)


Judge = Callable[[Job, Trained], Scores]


def _as_it_is(config: Any, job: Job) -> Any:
    return config


def of_manifest(dataset: str) -> str:
    """The fingerprint of a prepared data set."""
    return read_manifest(dataset).fingerprint


@dataclass(frozen=True)
class Row:
    """One row of a table: how its model is trained, how it is judged.

    Attributes:
        name: As the thesis names it.
        train: Gives the model, trained or found.
        judges: Each gives scores of it. One that the data set lacks something for raises
            :class:`thesislib.evaluation.scores.Lacking`.
        changes: To the preset of its method.
        small: Instead, in the small profile.
        more: Judges that are run when a job names them.
        method: Whose preset; default: the first part of the row's key.
        home: The row of a table whose data set it is judged on; default: its own key.
        settle: The last word on its settings, given the job.
        tuning: Settings of what is trained on top, given those of the row and the caller's
            changes; ``None``: nothing is.
        fingerprint: Of a data set, by its name.
        identity: What decides its result, where that does not follow from all this: settings, and
            what else goes into their hash.
    """

    name: str
    train: Callable[[Job], Trained]
    judges: tuple[Judge, ...]
    changes: Mapping[str, Any] = field(default_factory=dict)
    small: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Judge] = field(default_factory=dict)
    method: str = ""
    home: str = ""
    settle: Callable[[Any, Job], Any] = _as_it_is
    tuning: Callable[[Any, Mapping[str, Any]], RunConfig] | None = None
    fingerprint: Callable[[str], str] = field(default_factory=lambda: of_manifest)
    identity: Callable[[Job], tuple[RunConfig, dict[str, Any]]] | None = None
