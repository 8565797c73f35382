"""The optimiser of a run, and how its rate changes."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from thesislib.config import RunConfig


def make_optimiser(module: nn.Module, config: RunConfig) -> torch.optim.Optimizer:
    """The optimiser of ``config`` for the parameters that learn.

    A module may group them itself: ``parameter_groups(config)``, each with its ``weight_decay``
    and, where its rate is another, ``lr_scale``.
    """
    module_: Any = module
    if hasattr(module, "parameter_groups"):
        groups = module_.parameter_groups(config)
    else:
        learnt = [p for p in module.parameters() if p.requires_grad]
        groups = [{"params": learnt, "weight_decay": config.weight_decay}]
    if config.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=0.9)
    kind = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
    return kind(groups, lr=config.lr)


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


def lower_on_plateau(state: dict[str, Any], loss: float, config: RunConfig) -> None:
    """Multiplies the rate by 0.1, once, when the loss stops to improve (thesis 2.3.5).

    It is that of validation, or of training where no video is for validation.
    """
    if loss < state["best"] - 1e-4:
        state["best"], state["bad"] = loss, 0
        return
    state["bad"] += config.val_every
    if state["bad"] >= config.patience and state["scale"] == 1.0:
        state["scale"], state["bad"] = 0.1, 0
