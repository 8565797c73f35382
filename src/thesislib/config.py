"""The frozen settings of a run: what the loop needs, presets, overrides, JSON, hash."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from thesislib.errors import ThesisError, choose

PROFILES = ("small", "gpu", "paper", "as_released")
AUTHORS = "authors"  # no preset: results of the authors' own weights, judged here
MEASURED = (*PROFILES, AUTHORS)  # profiles of results
FULL_SCALE = ("paper", "as_released", AUTHORS)  # on the thesis's own data sets
SCHEDULES = ("constant", "plateau", "steps", "cosine")
OPTIMISERS = ("adam", "adamw", "sgd")


def check_share(name: str, value: float) -> None:
    """Refuses a probability or share outside ``[0, 1]``."""
    if not 0 <= value <= 1:
        raise ThesisError(f"{name}={value} is no probability: give 0 to 1.")


def at_least_one(config: Any, *names: str) -> None:
    """Refuses settings of these names below 1."""
    for name in names:
        if getattr(config, name) < 1:
            raise ThesisError(f"{name} must be at least 1, not {getattr(config, name)}.")


def as_tuples(config: Any) -> None:
    """JSON has lists where our settings have tuples."""
    for field in dataclasses.fields(config):
        if isinstance(value := getattr(config, field.name), list):
            object.__setattr__(config, field.name, tuple(value))


@dataclass(frozen=True)
class RunConfig:
    """What every training run has. Kinds of data and methods add their own fields."""

    unhashed: ClassVar[tuple[str, ...]] = ("num_workers", "tensorboard")  # decide no number

    dataset: str = "synthetic"
    profile: str = "small"
    seed: int = 0
    epochs: int = 10
    batch_size: int = 16  # items per process (a GPU has one); gradients are averaged
    optimiser: str = "adam"  # adam, adamw (decay apart from the gradient), sgd (momentum 0.9)
    lr: float = 1e-3
    weight_decay: float = 1e-5
    clip_grad: float = 0.0  # most that the norm of all gradients may be; 0: no bound
    schedule: str = "constant"  # constant, plateau, steps, cosine
    milestones: tuple[int, ...] = ()  # epochs at which "steps" multiplies lr by 0.1
    patience: int = 10  # epochs without a better validation loss before "plateau" does
    warmup: int = 0  # optimiser steps of linear warm-up
    accumulate: int = 1  # batches per optimiser step
    precision: str = "no"  # no (float32) or bf16: half the time where the processor has it
    num_workers: int = 1
    tensorboard: bool = False  # also write event files into the run folder
    val_every: int = 1  # epochs
    keep_every: int = 0  # keep a copy of the weights every so many epochs; 0: only the last

    def __post_init__(self) -> None:
        as_tuples(self)
        choose("profile", self.profile, PROFILES)
        choose("schedule", self.schedule, SCHEDULES)
        choose("optimiser", self.optimiser, OPTIMISERS)
        choose("precision", self.precision, ("no", "bf16"))
        at_least_one(self, "epochs", "batch_size", "accumulate")

    def override(self, values: Mapping[str, Any]) -> Self:
        """A copy with some fields changed; text values are parsed to the field's type.

        Nested fields are reached with a dot: ``{"augment.flip": "0"}``.

        Raises:
            ThesisError: An unknown name (with the nearest known one) or a value that does not fit.
        """
        return _override(self, values)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`."""
        return cls().override(dict(values))

    def hash(self, **more: Any) -> str:
        """Eight hex digits of everything that decides the numbers of a run.

        Only what differs from the class's defaults counts, down into nested settings. So a new
        field, whose default is what was done before, leaves the hashes of all runs as they were.
        The other side of it: *changing* a default would give old hashes a new meaning, so presets
        change, defaults do not.

        What decides no number (``unhashed``: workers, caches, logs) is left out.

        Args:
            more: What else decides them; it takes the place of a field of the same name.
        """
        values = _changed(self.to_dict(), type(self)().to_dict()) | more
        kept = {k: v for k, v in values.items() if k not in self.unhashed}
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:8]


def _changed(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of ``values`` that differ from ``defaults``, in nested dictionaries too."""
    out = {}
    for key, value in values.items():
        default = defaults[key]
        if isinstance(value, dict):
            value, default = _changed(value, default), {}
        if value != default:
            out[key] = value
    return out


def _override(config: Any, values: Mapping[str, Any]) -> Any:
    """All changes at once: fields are checked together, so their order must not matter."""
    names = [f.name for f in dataclasses.fields(config)]
    hints = typing.get_type_hints(type(config))
    changes: dict[str, Any] = {}
    for key, value in values.items():
        name, _, rest = key.partition(".")
        choose(f"setting of {type(config).__name__}", name, names)
        inner = changes.get(name, getattr(config, name))
        if rest:
            changes[name] = _override(inner, {rest: value})
        elif dataclasses.is_dataclass(inner) and isinstance(value, Mapping):
            changes[name] = _override(inner, value)
        else:
            changes[name] = _parse(hints[name], value, key)
    return dataclasses.replace(config, **changes)


def _parse(hint: Any, value: Any, name: str) -> Any:
    """``value`` as the type ``hint``; text comes from the command line."""
    try:
        if isinstance(value, hint if isinstance(hint, type) else ()) and hint is not int:
            return value
        origin = typing.get_origin(hint)
        if origin in (types.UnionType, typing.Union):
            if value is None or value == "none":
                return None
            inner = [a for a in typing.get_args(hint) if a is not type(None)]
            return _parse(inner[0], value, name)
        if origin is tuple:
            items = value.split(",") if isinstance(value, str) else list(value)
            items = [i for i in items if i != ""]
            kinds = typing.get_args(hint)
            if len(kinds) == 2 and kinds[1] is Ellipsis:
                kinds = (kinds[0],) * len(items)
            if len(kinds) != len(items):
                raise ValueError(f"{len(kinds)} values expected")
            return tuple(_parse(k, i, name) for k, i in zip(kinds, items, strict=True))
        if hint is bool:
            return {"true": True, "false": False, "1": True, "0": False}[str(value).lower()]
        if hint is int:
            if isinstance(value, bool) or float(value) != int(float(value)):
                raise ValueError("a whole number expected")
            return int(float(value))
        return hint(value)
    except (ValueError, KeyError, TypeError):
        kind = getattr(hint, "__name__", str(hint))
        raise ThesisError(f"{name}={value!r} does not fit: {kind} expected.") from None
