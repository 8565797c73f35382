"""The one fit loop: accelerate, checkpoints that resume exactly, a short honest log.

A module is known here only by ``module(batch) -> loss, logs``; a true ``waiting`` among the logs
keeps the optimiser from stepping. Whatever the batch contains, each
optimiser step draws its randomness from (seed, step), and each clip its augmentation from (seed,
epoch, index); so a run that is killed and started again ends with the numbers of an undisturbed
one, at whatever step it was killed.
"""

from __future__ import annotations

import math
import random
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from thesislib.checkpoint import RunFolder, load_state, save_state
from thesislib.config import RunConfig
from thesislib.data.dataset import make_loader
from thesislib.errors import ThesisError

CHECKPOINT_SECONDS = 60.0
LOG_LINES = 10


def seed_everything(seed: int) -> None:
    """Seeds Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  # libraries may draw from it
    torch.manual_seed(seed)


class Mean:
    """Weighted means of named scalars; ``nan`` values are left out of their own mean."""

    def __init__(self, sums: Mapping[str, list[float]] | None = None) -> None:
        self.sums = {k: list(v) for k, v in (sums or {}).items()}

    def add(self, logs: Mapping[str, Tensor | float], weight: int) -> None:
        for name, value in logs.items():
            value = float(value)
            if not math.isnan(value):
                pair = self.sums.setdefault(name, [0.0, 0.0])
                pair[0] += value * weight
                pair[1] += weight

    def result(self) -> dict[str, float]:
        return {name: total / weight for name, (total, weight) in self.sums.items()}


def learning_rate(config: RunConfig, step: int, steps_per_epoch: int) -> float:
    """The scheduled rate at an optimiser step ("plateau" is decided by the loop instead)."""
    if config.warmup and step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    if config.schedule == "steps":
        passed = sum(step // steps_per_epoch >= m for m in config.milestones)
        return config.lr * 0.1**passed
    if config.schedule == "cosine":
        whole = max(1, config.epochs * steps_per_epoch - config.warmup)
        return config.lr * 0.5 * (1 + math.cos(math.pi * (step - config.warmup) / whole))
    return config.lr


def evaluate(module: nn.Module, loader: DataLoader[Any]) -> dict[str, float]:
    """Mean logs of ``module`` over the batches of ``loader`` in evaluation mode."""
    device = next(module.parameters()).device
    mean = Mean()
    training = module.training
    module.eval()
    with torch.no_grad():
        for batch in loader:
            batch = {k: v.to(device) for k, v in batch.items()}
            mean.add(module(batch)[1], len(batch["video"]))
    module.train(training)
    return mean.result()


def fit(
    module: nn.Module,
    train_set: Dataset[Any],
    val_set: Dataset[Any] | None,
    config: RunConfig,
    run: RunFolder,
    *,
    log: Callable[[str], None] | None = print,
    tensorboard: bool = False,
) -> list[dict[str, Any]]:
    """Trains ``module`` and returns one row of metrics an epoch.

    Args:
        module: ``module(batch)`` gives a scalar loss and a dictionary of scalars.
        train_set: Items are dictionaries of tensors, keyed by (epoch, index).
        val_set: The same, for ``val_*`` metrics, one fixed clip a video; ``None`` for none.
        config: Epochs, batch size, rates, schedule, seed.
        run: Where checkpoints and metrics go. A checkpoint found there is continued.
        log: Receives at most a dozen lines; ``None`` for silence.
        tensorboard: Also write event files into the run folder.

    Raises:
        ThesisError: Fewer videos than one batch, or a loss that is not finite.
    """
    accelerator = Accelerator(
        mixed_precision=config.precision, gradient_accumulation_steps=config.accumulate
    )
    loader = make_loader(
        train_set,
        config.batch_size,
        shuffle=True,
        num_workers=config.num_workers,
        seed=config.seed,
        drop_last=True,
        # Sharded here and not by accelerate, whose loader counts epochs from the start of the
        # process and so would repeat the first ones after a restart.
        share=(accelerator.process_index, accelerator.num_processes),
    )
    # One loader for all epochs: a worker that keeps decoded videos must outlive the first of them.
    val_loader = None
    if val_set is not None:
        val_loader = make_loader(
            val_set, config.batch_size, shuffle=True, num_workers=config.num_workers, seed=0
        )
    batches = len(loader)
    if batches == 0:
        raise ThesisError(
            f"The training set has fewer clips than one batch ({config.batch_size} on each of "
            f"{accelerator.num_processes} devices): lower batch_size or add videos."
        )
    optimiser = _optimiser(module, config)
    state: dict[str, Any] = {"epoch": 0, "batch": 0, "sums": {}, "rows": [], "seconds": 0.0}
    state |= {"scale": 1.0, "best": math.inf, "bad": 0}
    if run.checkpoint.exists():
        module.to("cpu")
        state = load_state(run.checkpoint, module, optimiser)
    model, optimiser_ = accelerator.prepare(module, optimiser)
    writer = _writer(run) if tensorboard and accelerator.is_main_process else None
    main = accelerator.is_main_process
    started = saved = time.monotonic()
    begun = state["epoch"] + state["batch"] / batches
    log_every = max(1, math.ceil(config.epochs / LOG_LINES))

    def save() -> None:
        nonlocal saved
        if main:
            state["seconds"] += time.monotonic() - saved
            save_state(run.checkpoint, accelerator.unwrap_model(model), optimiser, state)
            run.write_metrics(state["rows"])
        saved = time.monotonic()

    for epoch in range(state["epoch"], config.epochs):
        model.train()
        mean = Mean(state["sums"])
        seen = state["batch"] * config.batch_size * accelerator.num_processes
        loader.sampler.set_epoch(epoch, skip=seen)  # type: ignore[attr-defined]
        for batch in loader:
            batch = {k: v.to(accelerator.device, non_blocking=True) for k, v in batch.items()}
            step = epoch * batches + state["batch"]
            seed_everything((config.seed * 1_000_003 + step) * 101 + accelerator.process_index)
            rate = learning_rate(config, step, batches) * state["scale"]
            for group in optimiser.param_groups:
                group["lr"] = rate * group.get("lr_scale", 1.0)
            with accelerator.accumulate(model):
                with accelerator.autocast():
                    loss, logs = model(batch)
                accelerator.backward(loss)
                if not logs.get("waiting"):  # a model that is not ready yet lets its steps pass
                    optimiser_.step()
                optimiser_.zero_grad()
            value = float(loss.detach())
            if not math.isfinite(value):
                raise ThesisError(
                    f"The loss became {value} at step {step} of {run.name}: lower lr, the last "
                    "checkpoint is kept."
                )
            mean.add(logs, len(batch["video"]))
            state["batch"] += 1
            if time.monotonic() - saved > CHECKPOINT_SECONDS and state["batch"] < batches:
                state |= {"epoch": epoch, "sums": mean.sums}
                save()
        row: dict[str, Any] = {"epoch": epoch + 1, "lr": rate, **mean.result()}
        last = epoch + 1 == config.epochs
        if val_loader is not None and ((epoch + 1) % config.val_every == 0 or last):
            scores = evaluate(accelerator.unwrap_model(model), val_loader)
            row |= {f"val_{k}": v for k, v in scores.items()}
            if config.schedule == "plateau":
                _plateau(state, scores["loss"], config)
        state["rows"].append(row)
        state |= {"epoch": epoch + 1, "batch": 0, "sums": {}}
        save()
        if main and config.keep_every and (epoch + 1) % config.keep_every == 0:
            path = run.path / f"epoch{epoch + 1:04d}.safetensors"
            save_state(path, accelerator.unwrap_model(model), None, {"epoch": epoch + 1})
        if writer is not None:
            for name, number in row.items():
                writer.add_scalar(name, number, epoch + 1)
        if log and main and ((epoch + 1) % log_every == 0 or last):
            per_epoch = (time.monotonic() - started) / (epoch + 1 - begun)
            log(_line(row, config.epochs, per_epoch * (config.epochs - epoch - 1)))
    if writer is not None:
        writer.close()
    accelerator.wait_for_everyone()
    return state["rows"]


def _optimiser(module: nn.Module, config: RunConfig) -> torch.optim.Optimizer:
    if config.optimiser == "sgd":
        return torch.optim.SGD(_groups(module, config), lr=config.lr, momentum=0.9)
    return torch.optim.Adam(_groups(module, config), lr=config.lr)


def _groups(module: nn.Module, config: RunConfig) -> Any:
    groups = getattr(module, "parameter_groups", None)
    if groups is not None:
        return groups(config)
    params = [p for p in module.parameters() if p.requires_grad]
    return [{"params": params, "weight_decay": config.weight_decay}]


def _plateau(state: dict[str, Any], loss: float, config: RunConfig) -> None:
    """Multiplies the rate by 0.1, once, when validation stops to improve (thesis 2.3.5)."""
    if loss < state["best"] - 1e-4:
        state["best"], state["bad"] = loss, 0
        return
    state["bad"] += config.val_every
    if state["bad"] >= config.patience and state["scale"] == 1.0:
        state["scale"], state["bad"] = 0.1, 0


def _line(row: Mapping[str, Any], epochs: int, left: float) -> str:
    names = [k for k in ("loss", "top1", "top1_temporal", "val_loss", "val_top1") if k in row]
    text = "  ".join(f"{k} {row[k]:.3f}" for k in names)
    return f"epoch {row['epoch']:>3}/{epochs}  {text}  {left / 60:.1f} min left"


def _writer(run: RunFolder) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ThesisError(
            "TensorBoard is not installed: pip install 'thesislib[tensorboard]'."
        ) from None
    return SummaryWriter(str(run.path / "tensorboard"))


def warn(text: str) -> None:
    """A remark to the person at the terminal; results go to standard output."""
    print(text, file=sys.stderr, flush=True)
