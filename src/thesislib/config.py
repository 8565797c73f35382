"""The frozen settings of a run: what the loop needs, presets, overrides, JSON, hash."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from thesislib.errors import ThesisError, choose
from thesislib.fields import Count, Natural, NonNegative, Seed, Workers, one_of, settle

PROFILES = ("small", "gpu", "paper", "as_released")
AUTHORS = "authors"  # no preset: results of the authors' own weights, judged here
MEASURED = (*PROFILES, AUTHORS)  # profiles of results
FULL_SCALE = ("paper", "as_released", AUTHORS)  # on the thesis's own data sets
SCHEDULES = ("constant", "plateau", "steps", "cosine")
OPTIMISERS = ("adam", "adamw", "sgd")


@dataclass(frozen=True)
class RunConfig:
    """What every training run has. Kinds of data and methods add their own fields.

    A field's type says its range (:mod:`thesislib.fields`), whose checks run when one is made.
    """

    unhashed: ClassVar[tuple[str, ...]] = ("num_workers", "tensorboard")  # decide no number

    dataset: str = "synthetic"
    profile: Annotated[str, one_of("profile", PROFILES)] = "small"
    seed: Seed = 0
    epochs: Count = 10
    batch_size: Count = 16  # items per process (a GPU has one); gradients are averaged
    # adam, adamw (decay apart from the gradient), sgd (momentum 0.9)
    optimiser: Annotated[str, one_of("optimiser", OPTIMISERS)] = "adam"
    lr: NonNegative = 1e-3
    weight_decay: NonNegative = 1e-5
    clip_grad: NonNegative = 0.0  # most that the norm of all gradients may be; 0: no bound
    schedule: Annotated[str, one_of("schedule", SCHEDULES)] = "constant"
    milestones: tuple[Natural, ...] = ()  # epochs at which "steps" multiplies lr by 0.1
    patience: Natural = 10  # epochs without a better validation loss before "plateau" does
    warmup: Natural = 0  # optimiser steps of linear warm-up
    accumulate: Count = 1  # batches per optimiser step
    # no (float32) or bf16: half the time where the processor has it
    precision: Annotated[str, one_of("precision", ("no", "bf16"))] = "no"
    num_workers: Workers = 1
    tensorboard: bool = False  # also write event files into the run folder
    val_every: Count = 1  # epochs
    keep_every: Natural = 0  # keep a copy of the weights every so many epochs; 0: only the last

    def __post_init__(self) -> None:
        settle(self)

    def override(self, values: Mapping[str, Any]) -> Self:
        """A copy with some fields changed; text values are parsed to the field's type.

        Nested fields are reached with a dot: ``{"augment.flip": "0"}``.

        Raises:
            ThesisError: An unknown name (with the nearest known one) or a value that does not fit.
        """
        return _override(self, values)

    def of_a_batch(self, momentum: float) -> float:
        """How much of a slow copy stays at a batch, so that ``momentum`` of it stays at a step."""
        return momentum ** (1 / self.accumulate)

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
            if not dataclasses.is_dataclass(inner):
                raise ThesisError(f"{name} has no parts, so there is no {key}: set {name} itself.")
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
        if dataclasses.is_dataclass(hint):
            raise ValueError("settings expected, its parts are set one by one")
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
            with contextlib.suppress(ValueError):  # "2.0" and 1e3 are whole numbers as well
                if isinstance(value, str):
                    return int(value)
            if isinstance(value, bool) or float(value) != int(float(value)):
                raise ValueError("a whole number expected")
            return int(float(value))
        return hint(value)
    except (ValueError, KeyError, TypeError, OverflowError):
        kind = getattr(hint, "__name__", str(hint))
        raise ThesisError(f"{name}={value!r} does not fit: {kind} expected.") from None
