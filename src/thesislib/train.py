"""The one training loop: accelerate, checkpoints that resume exactly, a short honest log.

A module is known here only by ``module(batch) -> loss, logs``, a data set by its items, which are
dictionaries of anything. Whatever a batch holds, each optimiser step draws its randomness from
(seed, step), and each item its own from (seed, epoch, index); so a run that is killed and started
again ends with the numbers of an undisturbed one, at whatever step it was killed.
"""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import gather_object, send_to_device
from torch import nn
from torch.utils.data import Dataset

from thesislib import processes
from thesislib.checkpoint import RunFolder, load_state, read_info, save_state, seal
from thesislib.config import RunConfig
from thesislib.data.editions import check_editions, editions
from thesislib.data.loader import items_in, make_loader
from thesislib.errors import ThesisError
from thesislib.means import Mean, check_loss, evaluate
from thesislib.optimiser import learning_rate, lower_on_plateau, make_optimiser
from thesislib.provenance import provenance

CHECKPOINT_SECONDS = 60.0
LOG_LINES = 10

Log = Callable[[str], None] | None


class Trained(NamedTuple):
    """A model, and where it came from."""

    model: Any
    run: RunFolder | None  # None: nothing was trained
    result: dict[str, Any]  # of its run: metrics of the pretext task, provenance, stages


def train(
    name: str,
    build: Callable[[], nn.Module],
    data: Callable[[], tuple[Dataset[Any], Dataset[Any] | None]],
    config: RunConfig,
    fingerprint: str,
    *,
    start: Callable[[Any], object] | None = None,
    after: Callable[[Any], Mapping[str, float]] | None = None,
    log: Log = print,
) -> Trained:
    """Trains a model into its run folder, or finds it there.

    Args:
        name: The first part of the run's name.
        build: Makes the model; called after seeding.
        data: Makes training and validation set; not called for a finished run.
        config: Settings; a run that starts from others' weights names them there.
        fingerprint: Of everything that ``data`` reads.
        start: Gives a fresh model its first weights; not called for a run that goes on.
        after: More metrics of the trained model, kept with the run.
        log: Where the log lines go.

    Returns:
        The model on the device where it was trained; the run; its result: ``metrics`` of the
        validation set as ``pretext_...`` and those of ``after``; ``provenance``; ``checkpoint``,
        the seal of the weights that they are of; ``skipped``, the paths of the videos that could
        not be read; ``editions`` of the data set (:mod:`thesislib.data.editions`).

    Raises:
        ThesisError: What has been learnt, or a metric of it, is not finite; a file of the run is
            damaged, or the videos of its data set are others now.
    """
    processes.meet()
    seed_everything(config.seed)
    model = build()
    run = RunFolder.open(name, config, fingerprint)
    with _alone(run, log):
        if run.finished:
            return _found(model, run, log)
        if start is not None and not run.checkpoint.exists():
            start(model)
        begun = time.time()
        train_set, val_set = data()
        rows = fit(model, train_set, val_set, config, run, log=log)
        metrics = pretext_metrics(rows[-1]) | dict(after(model) if after else {})
        for metric, value in metrics.items():
            check_loss(float(value), f"in {metric} of {run.name}")
        spent = read_info(run.checkpoint)  # over all the starts of the run
        source = provenance(begun, fingerprint, float(spent["seconds"]), config)
        source |= processes.note()
        source["processor_seconds"] = round(float(spent["processor"]), 1)
        result = {
            "metrics": metrics,
            "provenance": source,
            "checkpoint": seal(run.checkpoint),
            "skipped": spent["skipped"],
            "editions": spent.get("editions", {}),
        }
        if PartialState().is_main_process:
            run.keep_model(model)
            run.finish(result)
        PartialState().wait_for_everyone()
    return Trained(model, run, result)


@contextlib.contextmanager
def _alone(run: RunFolder, log: Log) -> Iterator[None]:
    """One process holds the run for all that train together."""
    with contextlib.ExitStack() as stack:
        if PartialState().is_main_process:
            stack.enter_context(run.alone(log))
        PartialState().wait_for_everyone()
        yield


def _found(model: Any, run: RunFolder, log: Log) -> Trained:
    """A run that was trained before."""
    check_editions(run.result().get("editions", {}), run.path)
    info = run.load_into(model)
    if not run.metrics() and PartialState().is_main_process:
        run.write_metrics(info.get("rows", []))
    if log and (lost := run.lost):
        log(lost)
    return Trained(placed(model), run, run.result())


def placed(model: Any) -> Any:
    """The model on the device that training would take."""
    return model.to(PartialState().device)


def pretext_metrics(row: Mapping[str, Any]) -> dict[str, Any]:
    """The validation metrics of one epoch as ``pretext_...``."""
    return {f"pretext_{k.removeprefix('val_')}": v for k, v in row.items() if k.startswith("val_")}


def seed_everything(seed: int) -> None:
    """Seeds Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  # libraries may draw from it
    torch.manual_seed(seed)


def fit(
    module: nn.Module,
    train_set: Dataset[Any],
    val_set: Dataset[Any] | None,
    config: RunConfig,
    run: RunFolder,
    *,
    log: Log = print,
) -> list[dict[str, Any]]:
    """Trains ``module`` and returns one row of metrics an epoch.

    Args:
        module: ``module(batch)`` gives a scalar loss and a dictionary of scalars. A loss without
            gradient is no step: a model that is not ready yet lets its steps pass.
        train_set: Items are dictionaries, keyed by (epoch, index).
        val_set: The same, for ``val_*`` metrics, always of epoch 0; ``None`` for none.
        config: Epochs, batch size, rates, schedule, seed.
        run: Where checkpoints and metrics go. A checkpoint found there is continued.
        log: Receives a dozen lines; ``None`` for silence.

    Raises:
        ThesisError: Fewer items than one batch, or a loss, metric or weight that is not finite.
    """
    loop = _Loop(module, train_set, val_set, config, run)
    started, begun = time.monotonic(), loop.state["epoch"] + loop.state["batch"] / loop.batches
    log_every = max(1, math.ceil(config.epochs / LOG_LINES))
    if log and loop.accelerator.is_main_process:
        batches = processes.batch_text(int(loop.loader.batch_size or 1), config)
        log(f"{run.name}: {loop.sampler.length} items, {config.epochs} epochs, {batches}")
        if config.schedule == "plateau" and val_set is None:
            log("no video is for validation: the loss of training decides when lr is lowered")
    for epoch in range(loop.state["epoch"], config.epochs):
        row = loop.epoch(epoch)
        last = epoch + 1 == config.epochs
        if (epoch + 1) % config.val_every == 0 or last:
            scores = row
            if loop.val_loader is not None:
                scores = evaluate(loop.bare, loop.val_loader)
                row |= {f"val_{k}": v for k, v in scores.items()}
            if config.schedule == "plateau":
                lower_on_plateau(loop.state, scores["loss"], config)
        loop.end_epoch(row)
        if log and loop.accelerator.is_main_process and ((epoch + 1) % log_every == 0 or last):
            per_epoch = (time.monotonic() - started) / (epoch + 1 - begun)
            log(_line(row, config.epochs, per_epoch * (config.epochs - epoch - 1)))
    loop.accelerator.wait_for_everyone()
    return loop.state["rows"]


class _Loop:
    """What the steps and epochs of one training share."""

    def __init__(
        self,
        module: nn.Module,
        train_set: Dataset[Any],
        val_set: Dataset[Any] | None,
        config: RunConfig,
        run: RunFolder,
    ) -> None:
        self.config, self.run = config, run
        self.sets = (train_set, val_set)
        known = AcceleratorState._shared_state.get("_mixed_precision", config.precision)
        if known != config.precision:  # of a training before this one in the same process
            AcceleratorState._reset_state()
        self.accelerator = Accelerator(
            mixed_precision=config.precision, gradient_accumulation_steps=config.accumulate
        )
        self.processes = self.accelerator.num_processes
        if self.accelerator.device.type == "cpu":
            processes.keep_memory()
        self.loader = make_loader(
            train_set,
            config.batch_size,
            shuffle=True,
            num_workers=config.num_workers,
            seed=config.seed,
            drop_last=True,
            # Sharded here and not by accelerate, whose loader counts epochs from the start of the
            # process and so would repeat the first ones after a restart.
            share=(self.accelerator.process_index, self.processes),
        )
        self.sampler: Any = self.loader.sampler
        # One loader for all epochs: a worker that keeps decoded videos must outlive the first.
        self.val_loader = None
        if val_set is not None:
            self.val_loader = make_loader(
                val_set, config.batch_size, shuffle=True, num_workers=config.num_workers, seed=0,
                drop_last=False,  # every video counts
            )  # fmt: skip
        self.batches = len(self.loader)
        if self.batches == 0:
            raise ThesisError(
                f"The training set has fewer items than one batch ({config.batch_size} on each of "
                f"{self.processes} devices): lower batch_size or add to it."
            )
        optimiser = make_optimiser(module, config)
        self.state: dict[str, Any] = {"epoch": 0, "batch": 0, "sums": {}, "rows": [], "skipped": []}
        self.state |= {"seconds": 0.0, "processor": 0.0, "scale": 1.0, "best": math.inf, "bad": 0}
        self.state["editions"] = editions(config.dataset)
        if run.checkpoint.exists():
            module.to("cpu")
            self.state |= load_state(run.checkpoint, module, optimiser)
            check_editions(self.state["editions"], run.path)
            if self.accelerator.is_main_process:
                self.write_rows(module)  # a kill may have come before they were written
        self.bare, self.plain = module, optimiser
        self.model, self.optimiser = self.accelerator.prepare(module, optimiser)
        self.writer = None
        if config.tensorboard and self.accelerator.is_main_process:
            self.writer = _writer(run)
        self.saved = time.monotonic()

    def step(self, batch: Mapping[str, Any]) -> tuple[float, Mapping[str, Any]]:
        """One batch: forward, backward, and at the end of an accumulation the optimiser's step."""
        with self.accelerator.accumulate(self.model):
            with self.accelerator.autocast():
                loss, logs = self.model(batch)
            if loss.requires_grad:
                self.accelerator.backward(loss)
                if self.config.clip_grad and self.accelerator.sync_gradients:
                    self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.clip_grad)
                self.optimiser.step()
            self.optimiser.zero_grad()
        return float(loss.detach()), logs

    def epoch(self, epoch: int) -> dict[str, Any]:
        """All batches of an epoch, or those that are left of it; returns their mean logs."""
        config, state = self.config, self.state
        self.model.train()
        mean = Mean(state["sums"])
        seen = state["batch"] * config.batch_size * self.processes
        self.sampler.set_epoch(epoch, skip=seen)
        clock = time.process_time()
        for batch in self.loader:
            batch = send_to_device(batch, self.accelerator.device, non_blocking=True)
            step = epoch * self.batches + state["batch"]
            seed_everything((config.seed * 1_000_003 + step) * 101 + self.accelerator.process_index)
            rate = learning_rate(config, step, self.batches) * state["scale"]
            for group in self.plain.param_groups:
                group["lr"] = rate * group.get("lr_scale", 1.0)
            value, logs = self.step(batch)
            check_loss(value, f"at step {step} of {self.run.name}")
            mean.add(logs, items_in(batch))
            state["batch"] += 1
            now = time.process_time()
            state["processor"] += now - clock  # loading and learning, not validation
            clock = now
            late = time.monotonic() - self.saved > CHECKPOINT_SECONDS
            if late and state["batch"] < self.batches:
                state |= {"epoch": epoch, "sums": mean.sums}
                self.save()
        return {"epoch": epoch + 1, "lr": rate, **mean.result()}

    def end_epoch(self, row: dict[str, Any]) -> None:
        """Keeps an epoch's metrics, a checkpoint, and a copy of the weights where one is due."""
        self.state["rows"].append(row)
        self.state |= {"epoch": row["epoch"], "batch": 0, "sums": {}}
        self.state["skipped"] = sorted(set(gather_object(self.lost())))
        self.save()
        if self.writer is not None:
            for name, number in row.items():
                self.writer.add_scalar(name, number, row["epoch"])
            self.writer.flush()

    def save(self) -> None:
        """Writes the checkpoint, then what is read from it; one process does."""
        if self.accelerator.is_main_process:
            self.state["skipped"] = self.lost()
            self.state["seconds"] += time.monotonic() - self.saved
            save_state(self.run.checkpoint, self.bare, self.plain, self.state)
            self.write_rows(self.bare)
        self.saved = time.monotonic()

    def lost(self) -> list[str]:
        """The videos that could not be read, in all starts of the run."""
        found = {path for one in self.sets for path in getattr(one, "failures", ())}
        return sorted(found.union(self.state["skipped"]))

    def write_rows(self, module: nn.Module) -> None:
        """The metrics, and at the end of an epoch a copy of the weights where one is due."""
        self.run.write_metrics(self.state["rows"])
        done, every = self.state["epoch"], self.config.keep_every
        path = self.run.path / f"epoch{done:04d}.safetensors"
        ended = done > 0 and self.state["batch"] == 0
        if every and ended and done % every == 0:
            save_state(path, module, None, {"epoch": done})


def _line(row: Mapping[str, Any], epochs: int, left: float) -> str:
    """An epoch in one line: the model's own logs by their names, and the time that is left."""
    names = [k for k in row if k not in ("epoch", "lr")]
    names = sorted(names, key=lambda name: name.removeprefix("val_") != "loss")[:5]
    text = "  ".join(f"{k} {row[k]:.3f}" for k in names)
    return f"epoch {row['epoch']:>3}/{epochs}  {text}  {left / 60:.1f} min left"


def _writer(run: RunFolder) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ThesisError("TensorBoard is not installed: pip install 'thesislib[board]'.") from None
    return SummaryWriter(str(run.path / "tensorboard"))
