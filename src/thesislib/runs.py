"""Finished pre-training runs: which there are, and the model of one of them."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from thesislib import book
from thesislib.checkpoint import RunFolder, load_weights
from thesislib.clip_config import ClipConfig
from thesislib.config import AUTHORS
from thesislib.errors import ThesisError
from thesislib.places import runs_root

SHOWN = 5  # runs that an error message lists
QUEUE = "queue."  # names of the tensors of a queue begin with it


def encoders() -> tuple[str, ...]:
    """The methods that train an encoder of clips; prompts, say, are learnt on another's."""
    return tuple(m for m in book.methods() if issubclass(book.method(m).CONFIG, ClipConfig))


def load_run(
    name: str | Path, methods: tuple[str, ...] = (), **brought: Any
) -> tuple[Any, Any, RunFolder]:
    """The model of a finished run, its settings and its folder.

    Args:
        name: Name of a run below :func:`thesislib.places.runs_root`, or the path of its folder,
            whose own name starts with the method: ``dpc-small-...``.
        methods: It must be of one of these; default: :func:`encoders`, the pre-training ones.
        brought: What its model is built on besides its settings, as ``language`` of AutoAD.

    Returns:
        The model on the CPU in evaluation mode; its settings (``config.dataset`` is the data set it
        was trained on); the run.

    Raises:
        ThesisError: There is no such run, it has not finished, it is of another method, or a file
            of it is damaged.
    """
    run = _finished(name, methods)
    config = config_of(run)
    model = _method(run).MODEL(config, **brought)
    run.load_into(model)
    return model.eval(), config, run


def imported(name: str | Path) -> tuple[Any, str]:
    """The settings of a run that ``thesislib import`` made, and the row that it stands for.

    Raises:
        ThesisError: There is no such run, or it was trained here.
    """
    run = _finished(name)
    result = run.result()
    if result.get("weights") != AUTHORS:
        raise ThesisError(
            f"{run.name} was trained here, and `thesislib eval` finds it by its row and settings: "
            "leave --run out, which takes what `thesislib import` made."
        )
    return config_of(run), str(result["row"])


def settings_of(name: str | Path, methods: tuple[str, ...] = ()) -> Any:
    """The settings of a finished run; see :func:`load_run`, whose ``brought`` they decide."""
    return config_of(_finished(name, methods))


def config_of(run: RunFolder) -> Any:
    """The settings of a pre-training run, as its method has them.

    Raises:
        ThesisError: They cannot be read.
    """
    return _method(run).CONFIG.from_dict(run.settings())


def _method(run: RunFolder) -> ModuleType:
    return book.method(run.name.partition("-")[0])


def starting_from(name: str | Path) -> Callable[[Any], None]:
    """What gives a model the weights of a finished pre-training run: the setting ``init``.

    All weights are taken over, and must fit. A queue of features is not: it fills anew, as the
    videos that it names are those of the run's own data.

    Args:
        name: As for :func:`load_run`.

    Raises:
        ThesisError: At once, where there is no such finished run; when the weights are given, where
            they do not fit the model.
    """
    _finished(name)  # before a folder is made for a run that could not start
    return partial(_take_over, name)


def _take_over(name: str | Path, model: Any) -> None:
    source, _, run = load_run(name)
    weights = {k: v for k, v in source.state_dict().items() if not k.startswith(QUEUE)}
    own = {k: v for k, v in model.state_dict().items() if k.startswith(QUEUE)}
    load_weights(model, weights | own, f"The run {run.name}")


def finished_runs(dataset: str | None = None, methods: tuple[str, ...] = ()) -> list[RunFolder]:
    """The finished runs below the runs' root, the newest first.

    Args:
        dataset: Name of a data set: only the runs that were trained on it.
        methods: Of which; default: :func:`encoders`.
    """
    methods = methods or encoders()
    found = []
    for path in runs_root().glob("*-*/"):
        run = RunFolder(path)
        if run.name.partition("-")[0] not in methods or not run.finished:
            continue
        try:
            if dataset is None or run.settings()["dataset"] == dataset:
                ended = _result(run).get("provenance", {}).get("ended", "")  # sorts by time
                found.append((ended, run.name, run))
        except (ThesisError, KeyError):  # damaged: not to be offered
            continue
    return [run for _, _, run in sorted(found, reverse=True, key=lambda item: item[:2])]


def _finished(name: str | Path, methods: tuple[str, ...] = ()) -> RunFolder:
    """A finished run of some methods; of none: a pre-training run."""
    run = _find(name, methods or encoders())
    if run.name.partition("-")[0] not in (methods or encoders()):
        if methods:
            raise ThesisError(f"{run.name} is no run of {' or '.join(methods)}: name one.")
        raise ThesisError(
            f"{run.name} is no pre-training run, so it has no encoder of its own: {_instead(run)}."
        )
    if not run.finished:
        run.result()  # raises, and says how to go on
    return run


def _find(name: str | Path, methods: tuple[str, ...]) -> RunFolder:
    root = runs_root()
    for folder in (root / name, Path(name).expanduser()):
        if (folder / "config.json").is_file():
            return RunFolder(folder.resolve())
    runs = finished_runs(methods=methods)
    if (root / name / "result.json").is_file():
        raise ThesisError(
            f"The run {root / name} has lost its config.json: delete the folder and train again."
        )
    if not runs:
        which = "pre-training run" if methods == encoders() else f"run of {' or '.join(methods)}"
        raise ThesisError(
            f"There is no run {str(name)!r} and no finished {which} in {root}: "
            "`thesislib train` makes one."
        )
    near = difflib.get_close_matches(str(name), [run.name for run in runs], n=1)
    hint = f"did you mean {near[0]!r}? There are" if near else "choose one of"
    raise ThesisError(f"There is no run {str(name)!r} in {root}: {hint} {_listed(runs)}.")


def _listed(runs: list[RunFolder]) -> str:
    more = f" and {len(runs) - SHOWN} older ones" if len(runs) > SHOWN else ""
    return ", ".join(run.name for run in runs[:SHOWN]) + more


def _instead(run: RunFolder) -> str:
    """What to name in the place of a run that was fine-tuned, fused, or only judged another."""
    source = str(run.settings().get("source") or _result(run).get("source"))
    if (runs_root() / source.partition(" ")[0] / "config.json").is_file():
        return f"name {source.partition(' ')[0]}, whose weights it used"
    return f"the name of one starts with {' or '.join(f'{method}-' for method in encoders())}"


def _result(run: RunFolder) -> dict[str, Any]:
    """What a run wrote at its end; nothing where that cannot be read."""
    try:
        return run.result()
    except ThesisError:
        return {}
