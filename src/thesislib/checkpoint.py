"""Run folders: settings, metrics, checkpoints, results. Every write is atomic."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelHubMixin
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from thesislib import locks
from thesislib.config import RunConfig
from thesislib.errors import ThesisError
from thesislib.files import (
    make_folder,
    read_json,
    read_json_lines,
    reading,
    replacing,
    share,
    sweep,
    to_disk,
    write_json,
    write_text,
)
from thesislib.places import runs_root

CONFIG, RESULT, METRICS = "config.json", "result.json", "metrics.jsonl"


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
        data = Path(config.dataset).name  # of a data set that is named by its folder
        run = cls(runs_root() / f"{name}-{config.profile}-{data}-s{config.seed}-{digest}")
        make_folder(run.path)
        sweep(run.path)
        try:
            run.settings()
        except ThesisError:  # not there, or damaged
            write_json(run.path / CONFIG, config.to_dict())
        return run

    @property
    def name(self) -> str:
        return self.path.name

    @contextlib.contextmanager
    def alone(self, log: Callable[[str], None] | None) -> Iterator[None]:
        """Keeps other processes from training or judging the same run meanwhile: they wait.

        Args:
            log: Told which process is waited for.

        Raises:
            ThesisError: The folder cannot be written.
        """

        def busy(holder: str) -> None:
            if log:
                log(f"{self.name}: waiting for {holder}, which is at work on the same run.")

        with locks.held(self.path / ".lock", busy):
            yield

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return (self.path / RESULT).is_file()

    def settings(self) -> dict[str, Any]:
        """What ``config.json`` says.

        Raises:
            ThesisError: It cannot be read.
        """
        return read_json(self.path / CONFIG, "repeat the command that trained it.")

    def result(self) -> dict[str, Any]:
        """The numbers of a finished run.

        Raises:
            ThesisError: It has not finished, or the file is damaged.
        """
        if not self.finished:
            raise ThesisError(
                f"The run {self.name} has not finished: repeat the command that started it, "
                "it goes on from its last checkpoint."
            )
        remedy = "delete it and repeat the command, which goes on from the last checkpoint."
        return read_json(self.path / RESULT, remedy)

    @property
    def lost(self) -> str:
        """A line on the videos that a finished run had to do without; "" where it had all."""
        skipped = self.result().get("skipped", [])
        if not skipped:
            return ""
        others = f" and {len(skipped) - 1} more" if skipped[1:] else ""
        return f"{self.name}: trained without {skipped[0]}{others}, which could not be read."

    def keep_model(self, model: nn.Module) -> None:
        """Writes ``model/``, as ``from_pretrained`` reads it, if the model has that."""
        if isinstance(model, ModelHubMixin):
            # A killed writer leaves temporary files of names that nobody knows.
            shutil.rmtree(self.path / "model", ignore_errors=True)
            model.save_pretrained(self.path / "model")
            for file in (self.path / "model").iterdir():
                share(file)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Writes ``result.json``, which marks the run as finished."""
        write_json(self.path / RESULT, dict(result))

    def load_into(self, model: nn.Module) -> dict[str, Any]:
        """Fills a model from the checkpoint of the finished run and returns its ``info``.

        Raises:
            ThesisError: It has not finished, the checkpoint is damaged or does not fit, or it is
                not the one that the result is of.
        """
        told = self.result().get("checkpoint")  # runs of before did not say
        if told and told != (found := seal(self.checkpoint)):
            raise ThesisError(
                f"The result of {self.name} is of other weights (epoch {told.get('epoch')}) than "
                f"its checkpoint (epoch {found['epoch']}): {_again(self.checkpoint)}"
            )
        return load_state(self.checkpoint, model)

    def metrics(self) -> list[dict[str, Any]]:
        """One dictionary an epoch.

        Raises:
            ThesisError: The file is damaged.
        """
        path = self.path / METRICS
        if not path.exists():
            return []
        remedy = "delete it and repeat the command that trained the run, which writes it anew."
        return read_json_lines(path, remedy)

    def write_metrics(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Replaces ``metrics.jsonl``; a resumed run drops what came after its checkpoint."""
        text = "".join(json.dumps(dict(row)) + "\n" for row in rows)
        write_text(self.path / METRICS, text)

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.safetensors"


def save_state(
    path: Path, model: nn.Module, optimiser: torch.optim.Optimizer | None, info: Mapping[str, Any]
) -> None:
    """Model, optimiser state and ``info`` (JSON) in one safetensors file, on the disk at the end.

    Its header has the SHA-256 of the tensors, and that of ``info``.

    Raises:
        ThesisError: A number of the model is not finite, or the file cannot be written.
    """
    tensors = {f"model.{k}": v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    odd = [k for k, v in tensors.items() if v.is_floating_point() and not v.isfinite().all()]
    if odd:
        raise ThesisError(
            f"The model has numbers that are not finite, first in {odd[0].removeprefix('model.')}, "
            f"and is not kept in {path.parent}: lower lr; the last checkpoint stays."
        )
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
    text = json.dumps(meta)
    head = {"info": text, "sha256": _sha256(tensors), "info_sha256": _text_sha256(text)}
    with replacing(path) as partial:
        save_file(tensors, partial, metadata=head)
        to_disk(partial)


def load_state(
    path: Path, model: nn.Module, optimiser: torch.optim.Optimizer | None = None
) -> dict[str, Any]:
    """Fills model and optimiser from :func:`save_state` and returns its ``info``.

    Raises:
        ThesisError: No such file, a damaged one, or one that does not fit the model.
    """
    info, tensors, _ = _read(path)
    weights = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    load_weights(model, weights, str(path))
    if optimiser is not None:
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optim."):
                _, index, key = name.split(".", 2)
                state.setdefault(int(index), {})[key] = tensor
        with reading(path, _again(path)):
            optimiser.load_state_dict({"state": state, "param_groups": info["param_groups"]})
    return info


def read_info(path: Path) -> dict[str, Any]:
    """The ``info`` of a checkpoint alone."""
    return _read(path, tensors=False)[0]


def seal(path: Path) -> dict[str, Any]:
    """What tells the weights of a checkpoint from all others: ``epoch``, ``sha256``."""
    info, _, head = _read(path, tensors=False)
    return {"epoch": info.get("epoch"), "sha256": head.get("sha256")}


def _read(
    path: Path, tensors: bool = True
) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, str]]:
    """Info, tensors and header. What has no SHA-256, as of before, is taken as it is."""
    if not path.is_file():
        raise ThesisError(f"There is no checkpoint {path}: {_again(path)}")
    with reading(path, _again(path)):
        with safe_open(path, framework="pt") as file:
            head = file.metadata() or {}
            found = {name: file.get_tensor(name) for name in file.keys()} if tensors else {}  # noqa: SIM118
        info = json.loads(head["info"])
        if not isinstance(info, dict):
            raise ValueError("its info is no dictionary")
        if head.get("info_sha256", told := _text_sha256(head["info"])) != told:
            raise ValueError("its info has changed since it was written")
        if tensors and "sha256" in head and head["sha256"] != _sha256(found):
            raise ValueError("its numbers have changed since they were written")
    return info, found, head


def _again(path: Path) -> str:
    # All of it: with a result in it, the folder would count as finished without the weights.
    return f"delete the folder {path.parent} and train again."


def _sha256(tensors: Mapping[str, Tensor]) -> str:
    """Of names, kinds, shapes and numbers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _text_sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


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
