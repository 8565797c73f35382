"""What a setting may be, said by the type of its field and checked in one place.

``epochs: Count = 10`` is a whole number from 1, ``Annotated[tuple[Share, Share], rising]`` are two
shares in order. :func:`settle` holds all fields of a frozen dataclass to their types, whoever made
it: the command line, a ``config.json``, Python.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import numbers
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from thesislib.errors import ThesisError, choose


class Rule(NamedTuple):
    """Part of a field's type: says what a value must be, where it is not; else ``""``."""

    must_be: Callable[[Any], str]


def between(least: float, most: float = math.inf, *, above: bool = False) -> Rule:
    """A finite number from ``least`` (or above it) to ``most``."""

    def must_be(value: float) -> str:
        if not math.isfinite(value):
            return "a finite number"
        if above and value <= least:
            return f"above {least:,}"
        if value < least:
            return f"at least {least:,}"
        return f"at most {most:,}" if value > most else ""

    return Rule(must_be)


def one_of(kind: str, options: Iterable[Any]) -> Rule:
    """One of ``options``; another value is told the nearest of them."""
    options = tuple(options)

    def must_be(value: Any) -> str:
        if isinstance(value, str):
            choose(kind, value, options)
        return "" if value in options else f"one of {', '.join(map(str, options))}"

    return Rule(must_be)


def _rising(values: Sequence[float]) -> str:
    return "" if list(values) == sorted(values) else "in order, the least first"


rising = Rule(_rising)
filled = Rule(lambda values: "" if len(values) else "one value or more")

# The upper ends are far above what any machine can do: they tell a slip from a wish.
Count = Annotated[int, between(1, 10**9)]
Natural = Annotated[int, between(0, 10**9)]
Seed = Annotated[int, between(0, 2**32 - 1)]  # of each step one is made of it that fits 64 bits
Pixels = Annotated[int, between(1, 8192)]
Frames = Annotated[int, between(1, 100_000)]
Channels = Annotated[int, between(1, 65_536)]  # of a layer
Layers = Annotated[int, between(1, 1000)]
MaybeLayers = Annotated[int, between(0, 1000)]
Workers = Annotated[int, between(0, 1024)]
Share = Annotated[float, between(0, 1)]  # or a probability
Positive = Annotated[float, between(0, above=True)]
NonNegative = Annotated[float, between(0)]


def settle(config: Any) -> None:
    """Holds every field of a dataclass to its type and range; call it in ``__post_init__``.

    JSON has lists where settings have tuples, and mappings where they have settings: those are
    taken as what they stand for.

    Raises:
        ThesisError: A value that does not fit; names the field and what it must be.
    """
    kind: Any = type(config)
    for name, hint in _hints(kind).items():
        value = getattr(config, name)
        if (settled := _settled(hint, value, name)) is not value:
            object.__setattr__(config, name, settled)


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    """The type of each field. A subclass that names the bare type again changes a default alone."""
    found: dict[str, Any] = {}
    for part in filter(dataclasses.is_dataclass, reversed(kind.__mro__)):
        bare, whole = typing.get_type_hints(part), typing.get_type_hints(part, include_extras=True)
        for name in part.__annotations__:
            if name not in found or whole[name] != bare[name]:
                found[name] = whole[name]
    return {field.name: found[field.name] for field in dataclasses.fields(kind)}


def _settled(hint: Any, value: Any, name: str) -> Any:
    origin = typing.get_origin(hint)
    if origin is Annotated:
        inner, *rules = typing.get_args(hint)
        value = _settled(inner, value, name)
        for rule in rules:
            if must_be := rule.must_be(value):
                raise ThesisError(f"{name} must be {must_be}, not {value}.")
        return value
    if origin in (types.UnionType, typing.Union):
        some = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        return None if value is None else _settled(some[0], value, name)
    if origin is tuple:
        return _settled_tuple(typing.get_args(hint), value, name)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        for key in value:
            choose(f"setting of {name}", key, _hints(typing.cast(type, hint)))
        return typing.cast(type, hint)(**value)
    if not _fits(hint, value):
        kind = getattr(hint, "__name__", str(hint))
        raise ThesisError(f"{name}={value!r} does not fit: {kind} expected.")
    return value


def _settled_tuple(kinds: tuple[Any, ...], value: Any, name: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ThesisError(f"{name}={value!r} does not fit: several values expected.")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise ThesisError(f"{name}={value!r} does not fit: {len(kinds)} values expected.")
    settled = tuple(_settled(k, v, name) for k, v in zip(kinds, value, strict=True))
    return value if settled == value else settled


def _fits(hint: Any, value: Any) -> bool:
    if hint in (int, float):
        number = numbers.Integral if hint is int else numbers.Real
        return isinstance(value, number) and not isinstance(value, bool)
    return isinstance(value, hint) if isinstance(hint, type) else True
