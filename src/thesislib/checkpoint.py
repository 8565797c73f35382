"""Run folders: settings, provenance, metrics, checkpoints. Every write is atomic."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import re
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from thesislib.config import RunConfig
from thesislib.errors import ThesisError
from thesislib.files import replacing, sweep, write_json, write_text
from thesislib.places import repo_root, runs_root

PACKAGES = (
    "torch", "numpy", "accelerate", "av", "decord", "torchcodec", "opencv-contrib-python-headless",
)  # fmt: skip


def commit() -> tuple[str, bool]:
    """Commit of the checkout and whether files differ from it; ``("unknown", False)`` without."""
    root = repo_root()
    if root is None:
        return "unknown", False
    try:
        run = lambda *a: subprocess.run(  # noqa: E731
            ["git", "-C", str(root), *a], capture_output=True, text=True, check=True, timeout=20
        ).stdout.strip()
        return run("rev-parse", "HEAD"), bool(run("status", "--porcelain", "--", "src"))
    except (OSError, subprocess.SubprocessError):
        return "unknown", False


def provenance(started: float, fingerprint: str, seconds: float) -> dict[str, Any]:
    """Where a number comes from: commit, versions, device, time, data."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    name, dirty = commit()
    stamp = "%Y-%m-%dT%H:%M:%SZ"
    return {
        "commit": name,
        "dirty": dirty,
        "versions": versions,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "cpu": _cpu(),
        "threads": torch.get_num_threads(),
        "wall_seconds": round(seconds, 1),
        "data_fingerprint": fingerprint,
        "started": time.strftime(stamp, time.gmtime(started)),
        "ended": time.strftime(stamp, time.gmtime()),
    }


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        match = re.search(r"model name\s*:\s*(.+)", text)
        return match.group(1) if match else platform.processor()
    except OSError:
        return platform.processor() or platform.machine()


@dataclass(frozen=True)
class RunFolder:
    """``runs/<method>-<profile>-<dataset>-s<seed>-<hash>/`` and what is in it."""

    path: Path

    @classmethod
    def open(cls, name: str, config: RunConfig, fingerprint: str, **more: Any) -> RunFolder:
        """The folder of this run, made if need be.

        The hash covers the resolved settings, ``more`` (see :meth:`RunConfig.hash`) and the data,
        so the same call finds the same run and a changed data set never finds a stale one.
        """
        whole = f"{config.hash(**more)} {fingerprint}"
        digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
        run = cls(runs_root() / f"{name}-{config.profile}-{config.dataset}-s{config.seed}-{digest}")
        run.path.mkdir(parents=True, exist_ok=True)
        sweep(run.path)
        if not (run.path / "config.json").exists():
            write_json(run.path / "config.json", config.to_dict())
        return run

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return (self.path / "result.json").is_file()

    def result(self) -> dict[str, Any]:
        """The numbers of a finished run."""
        try:
            return json.loads((self.path / "result.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ThesisError(
                f"The run {self.name} has not finished: repeat the command that started it, "
                "it goes on from its last checkpoint."
            ) from None

    def finish(self, result: Mapping[str, Any]) -> None:
        """Writes ``result.json``, which marks the run as finished."""
        write_json(self.path / "result.json", dict(result))

    def metrics(self) -> list[dict[str, Any]]:
        """One dictionary an epoch."""
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def write_metrics(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Replaces ``metrics.jsonl``; a resumed run drops what came after its checkpoint."""
        text = "".join(json.dumps(dict(row)) + "\n" for row in rows)
        write_text(self.path / "metrics.jsonl", text)

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.safetensors"


def save_state(
    path: Path, model: nn.Module, optimiser: torch.optim.Optimizer | None, info: Mapping[str, Any]
) -> None:
    """Model, optimiser state and ``info`` (JSON) in one safetensors file."""
    tensors = {f"model.{k}": v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    meta = dict(info)
    if optimiser is not None:
        state = optimiser.state_dict()
        meta["param_groups"] = state["param_groups"]
        for index, values in state["state"].items():
            for key, value in values.items():
                tensor = torch.as_tensor(value).detach().cpu().contiguous()
                tensors[f"optim.{index}.{key}"] = tensor
    # Clones: safetensors refuses tensors that share memory.
    tensors = {k: v.clone() for k, v in tensors.items()}
    with replacing(path) as partial:
        save_file(tensors, partial, metadata={"info": json.dumps(meta)})


def load_state(
    path: Path, model: nn.Module, optimiser: torch.optim.Optimizer | None = None
) -> dict[str, Any]:
    """Fills model and optimiser from :func:`save_state` and returns its ``info``.

    Raises:
        ThesisError: No such file, a damaged one, or one that does not fit the model.
    """
    info, tensors = _read(path)
    weights = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    load_weights(model, weights, str(path))
    if optimiser is not None:
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optim."):
                _, index, key = name.split(".", 2)
                state.setdefault(int(index), {})[key] = tensor
        optimiser.load_state_dict({"state": state, "param_groups": info["param_groups"]})
    return info


def read_info(path: Path) -> dict[str, Any]:
    """The ``info`` of a checkpoint alone."""
    return _read(path, tensors=False)[0]


def _read(path: Path, tensors: bool = True) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise ThesisError(f"There is no checkpoint {path}: train the run first.")
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys()) if tensors else []
            info = json.loads((file.metadata() or {})["info"])
            return info, {name: file.get_tensor(name) for name in names}
    except Exception as error:
        raise ThesisError(
            f"{path} is damaged or not a checkpoint of ours ({type(error).__name__}): "
            "delete it and train again."
        ) from None


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Strict load with one sentence on what does not fit."""
    own = model.state_dict()
    missing = sorted(own.keys() - weights.keys())
    unknown = sorted(weights.keys() - own.keys())
    wrong = [k for k in own.keys() & weights.keys() if own[k].shape != weights[k].shape]
    if missing or unknown or wrong:
        first = (sorted(wrong) or missing or unknown)[0]
        raise ThesisError(
            f"{source} does not fit the model: {len(missing)} tensors are missing, {len(unknown)} "
            f"are unknown and {len(wrong)} have another shape, for instance {first}; use the "
            "settings it was trained with."
        )
    model.load_state_dict(dict(weights))
