"""Where things lie, and the frozen settings of a run: presets, overrides, JSON, hash."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import os
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from thesislib.errors import ThesisError

PROFILES = ("small", "gpu", "paper", "as_released")
FULL_SCALE = ("paper", "as_released")  # on the thesis's own data sets
MODALITIES = ("rgb", "flow", "both")
FLOW_ALGORITHMS = ("tvl1", "tvl1_fast", "tvl1_quick", "farneback", "dis")


def repo_root() -> Path | None:
    """The checkout this package is imported from, or ``None`` for an installed wheel."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() else None


def _root(variable: str, folder: str) -> Path:
    if value := os.environ.get(variable):
        return Path(value).expanduser().resolve()
    # Never the working directory: papermill runs in the caller's folder, nbval in the notebook's.
    return (repo_root() or Path.home() / ".thesislib") / folder


def data_root() -> Path:
    """Folder of the data sets: ``$THESISLIB_DATA`` or ``data/`` in the checkout."""
    return _root("THESISLIB_DATA", "data")


def runs_root() -> Path:
    """Folder of the runs: ``$THESISLIB_RUNS`` or ``runs/`` in the checkout."""
    return _root("THESISLIB_RUNS", "runs")


def results_root() -> Path:
    """Folder of the ledger: ``$THESISLIB_RESULTS`` or ``results/`` in the checkout."""
    return _root("THESISLIB_RESULTS", "results")


def choose(kind: str, name: str, options: typing.Iterable[str]) -> str:
    """Returns ``name`` if it is one of ``options``; else one sentence with the nearest name.

    Raises:
        ThesisError: ``name`` is unknown.
    """
    options = list(options)
    if name in options:
        return name
    near = difflib.get_close_matches(str(name), options, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(options)}."
    raise ThesisError(f"There is no {kind} {name!r}: {hint}")


def check_share(name: str, value: float) -> None:
    """Refuses a probability or share outside ``[0, 1]``."""
    if not 0 <= value <= 1:
        raise ThesisError(f"{name}={value} is no probability: give 0 to 1.")


def check_views(views: int, one_window: float, heavy: float) -> None:
    """Refuses settings of views that :class:`RunConfig` does not describe."""
    if views not in (1, 2):
        raise ThesisError(f"There are no items of {views} views: choose views=1 or views=2.")
    check_share("one_window", one_window)
    check_share("heavy", heavy)


def _tuples(config: Any) -> None:
    """JSON has lists where our settings have tuples."""
    for field in dataclasses.fields(config):
        if isinstance(value := getattr(config, field.name), list):
            object.__setattr__(config, field.name, tuple(value))


@dataclass(frozen=True)
class Augment:
    """Augmentation of one clip; every random operation states its scope.

    A *clip* scope draws once for all frames of the clip, a *frame* scope anew for each frame.
    Crop, flip and blur are always per clip: the thesis applies the first two "in a consistent way"
    (2.3.5), and all of chapter 4's "clip-wise consistent" (4.4.2).
    """

    crop: str = "resized"  # resized (area and aspect drawn), random (fixed size), centre
    crop_area: tuple[float, float] = (0.5, 1.0)  # share of the frame's area, for "resized"
    crop_aspect: tuple[float, float] = (0.75, 4 / 3)  # width / height, for "resized"
    crop_fallback: str = "square"  # no box fits: after ten tries the largest square, or whole: the
    #   whole frame after one try (as CoCLR was released)
    crop_size: int = 0  # pixels, for "random" and "centre"; 0: the largest square
    flip: float = 0.5  # probability of a mirror image
    grey: float = 0.0  # probability of grey
    grey_scope: str = "frame"
    grey_kind: str = "luma"  # luma; channel: one random channel copied (as released); channels:
    #   another one in each frame, also where the clip turns grey as a whole (as CoCLR was released)
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)  # brightness, contrast,
    #   saturation: factor in 1 +- value; hue: shift in +- value turns
    jitter_p: float = 1.0  # probability that the jitter is applied at all
    jitter_scope: str = "frame"
    test_jitter: bool = False  # the jitter at test time as well (as MemDPC was released)
    blur_p: float = 0.0  # probability of a Gaussian blur, for training alone
    blur: tuple[float, float] = (0.1, 2.0)  # range of its sigma, in pixels of the output
    interpolation: str = "bilinear"  # or nearest (as DPC was released), bicubic (as CoCLR was)
    normalise: bool = True  # ImageNet mean and standard deviation, of flow too (as released)
    # Flow becomes a picture of three channels. The thesis stacks "a third zero-valued channel" and
    # *then* maps [-20, 20] to [0, 255] (3.5.2, 4.4.2): zero motion, 128, as in the released files.
    flow_third: int = 128  # 0 for the other reading: a channel of zeros after the mapping
    flow_channels: str = "xy0"  # x, y, third; or 0yx (the released files in an RGB reader)
    flow_colour: bool = True  # grey, jitter and blur for flow too: "for both streams" (3.5.2)

    def __post_init__(self) -> None:
        _tuples(self)
        choose("crop", self.crop, ("resized", "random", "centre"))
        choose("crop fallback", self.crop_fallback, ("square", "whole"))
        for name in ("grey_scope", "jitter_scope"):
            choose(f"scope for {name}", getattr(self, name), ("frame", "clip"))
        choose("grey kind", self.grey_kind, ("luma", "channel", "channels"))
        choose("interpolation", self.interpolation, ("bilinear", "nearest", "bicubic"))
        choose("order of flow channels", self.flow_channels, ("xy0", "0yx"))
        if not 0 <= self.flow_third <= 255:
            raise ThesisError(f"flow_third={self.flow_third} is no pixel value: give 0 to 255.")
        check_share("blur_p", self.blur_p)
        if not 0 < self.blur[0] <= self.blur[1]:
            raise ThesisError(f"blur={self.blur} is no range of sigmas: give 0 < least <= most.")

    def light(self) -> Augment:
        """The same crop and flip without grey, jitter and blur."""
        return dataclasses.replace(self, grey=0.0, jitter=(0.0,) * 4, blur_p=0.0)


@dataclass(frozen=True)
class FlowConfig:
    """How optical flow is computed (thesis 3.5.2 and 4.4.2: TV-L1, clipped at 20 pixels)."""

    algorithm: str = "tvl1"  # OpenCV's own settings; the others are faster, and departures
    bound: float = 20.0  # pixels at which x and y are clipped

    def __post_init__(self) -> None:
        choose("flow algorithm", self.algorithm, FLOW_ALGORITHMS)
        if not 0 < self.bound < float("inf"):
            raise ThesisError(f"bound={self.bound} pixels is no bound: give a number above 0.")


@dataclass(frozen=True)
class RunConfig:
    """What every training run has. Methods add their own fields."""

    dataset: str = "synthetic"
    profile: str = "small"
    seed: int = 0
    epochs: int = 10
    batch_size: int = 16  # clips per device; gradients add over devices
    optimiser: str = "adam"  # or sgd, with momentum 0.9
    lr: float = 1e-3
    weight_decay: float = 1e-5
    schedule: str = "constant"  # constant, plateau, steps, cosine
    milestones: tuple[int, ...] = ()  # epochs at which "steps" multiplies lr by 0.1
    patience: int = 10  # epochs without a better validation loss before "plateau" does
    warmup: int = 0  # optimiser steps of linear warm-up
    accumulate: int = 1  # batches per optimiser step
    precision: str = "no"  # no (float32) or bf16
    num_workers: int = 1
    cache: bool = False  # keep decoded frames in memory: for small data sets
    num_seq: int = 8  # blocks N
    seq_len: int = 5  # frames per block T
    stride: int = 3  # raw frames from one frame to the next
    size: int = 128  # pixels, side of the square input
    views: int = 1  # clips of each video in an item: 2 for a query and its key (4.4.2)
    one_window: float = 0.0  # two views: probability that both show the same window of time
    heavy: float = 1.0  # views of two windows: probability that one gets colour and blur besides
    #   crop and flip; below 1, of two views of one window exactly one does
    min_clips: int = 160  # clips of an epoch at least: a small set is passed over several times
    short: str = "drop"  # videos shorter than the clip: drop, or pad with the last frame
    augment: Augment = Augment()
    modality: str = "rgb"  # rgb, flow, or both streams of the same clip
    flow: FlowConfig = FlowConfig()  # which flow, for "flow" and "both"
    val_every: int = 1  # epochs
    keep_every: int = 0  # keep a copy of the weights every so many epochs; 0: only the last

    def __post_init__(self) -> None:
        _tuples(self)
        for name, kind in (("augment", Augment), ("flow", FlowConfig)):
            if isinstance(value := getattr(self, name), Mapping):  # from a model's config.json
                object.__setattr__(self, name, kind(**value))
        choose("profile", self.profile, PROFILES)
        choose("modality", self.modality, MODALITIES)
        choose("schedule", self.schedule, ("constant", "plateau", "steps", "cosine"))
        choose("optimiser", self.optimiser, ("adam", "sgd"))
        choose("precision", self.precision, ("no", "bf16"))
        choose("policy for short videos", self.short, ("drop", "pad"))
        check_views(self.views, self.one_window, self.heavy)
        for name in ("epochs", "batch_size", "num_seq", "seq_len", "stride", "size", "accumulate"):
            if getattr(self, name) < 1:
                raise ThesisError(f"{name} must be at least 1, not {getattr(self, name)}.")

    @property
    def streams(self) -> str:
        """What a clip for training has to hold: ``modality``, unless a method needs more."""
        return self.modality

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

    def hash(self) -> str:
        """Eight hex digits of everything that decides the numbers of a run.

        Only what differs from the class's defaults counts, down into ``augment`` and ``flow``. So a
        new field, whose default is what was done before, leaves the hashes of all runs as they
        were. The other side of it: *changing* a default would give old hashes a new meaning, so
        presets change, defaults do not.

        The number of workers and the cache are left out: the random draws do not depend on them.
        """
        values = _changed(self.to_dict(), type(self)().to_dict())
        text = json.dumps(
            {k: v for k, v in values.items() if k not in ("num_workers", "cache")}, sort_keys=True
        )
        return hashlib.sha256(text.encode()).hexdigest()[:8]


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


# Clips of the small profile: one place, so that pre-training and fine-tuning of all methods agree.
SMALL_CLIPS: dict[str, Any] = {
    "profile": "small",
    "dataset": "synthetic",
    "size": 48,
    "seq_len": 3,
    "stride": 2,
    "num_workers": 0,
    "cache": True,
}


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
