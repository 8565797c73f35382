"""Two processes learn what one does with the same batches: losses, queue, weights.

Chapter 4's share a queue, so halves of a batch do what the whole does. DPC and MemDPC contrast the
clips of a process with one another, so two processes do what two batches a step do in one.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import load_file
from test_coclr import TINY, batch_of
from torch import Tensor
from torch.utils.data import Dataset

from thesislib import book
from thesislib.checkpoint import RunFolder, load_state
from thesislib.data.loader import EpochSampler
from thesislib.methods.coclr import build
from thesislib.train import fit, seed_everything, train

pytestmark = pytest.mark.skipif(
    not dist.is_available() or not dist.is_gloo_available(), reason="needs torch.distributed, gloo"
)
OBJECTIVES = ("infonce", "ubernce", "coclr", "cmc", "simultaneous")
BATCH, STEPS = 8, 2  # clips of all processes together
WHOLE = replace(
    TINY, batch_size=BATCH, queue=12, bn_splits=2, optimiser="sgd", lr=0.05, epochs=1,
    num_workers=0, weight_decay=0.0, temperature=0.5,
)  # fmt: skip
HALF = replace(WHOLE, batch_size=BATCH // 2, bn_splits=1)
BLOCKS: dict[str, Any] = {
    "width": 4, "size": 32, "num_seq": 4, "pred_step": 2, "seq_len": 3, "epochs": 1,
    "batch_size": BATCH // 2, "optimiser": "sgd", "lr": 0.05, "weight_decay": 0.0,
    "dropout": 0.0, "num_workers": 0, "schedule": "constant", "warmup": 0, "batch_groups": 0,
}  # fmt: skip


def model_of(config: Any) -> Any:
    seed_everything(1)
    model = build(config).train()
    model.queue.source.copy_(1000 + torch.arange(config.queue))  # full, so that it can be mined
    return model


def learnt(name: str) -> bool:
    """Whether processes must agree on it: statistics of batch norm are each one's own."""
    return "running" not in name and "num_batches" not in name


def learn(objective: str, rank: int, processes: int) -> dict[str, Tensor]:
    """Two steps of SGD on this process's part of each batch; everything that matters after each."""
    config = replace(WHOLE if processes == 1 else HALF, objective=objective)
    model = model_of(config)
    found: dict[str, Tensor] = {}
    for step in range(STEPS):
        whole = batch_of(replace(WHOLE, objective=objective), step)
        batch = {k: v.chunk(processes)[rank].clone() for k, v in whole.items()}
        seed_everything(10 * step + rank)  # each process draws for itself, as in `fit`
        loss, logs = model(batch)
        loss.backward()
        terms = {"loss": loss.detach(), "positives": logs["positives"]}
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                terms[f"gradient {name}"] = parameter.grad
        for value in terms.values():
            if processes > 1:
                dist.all_reduce(value)
                value /= processes
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter -= 0.05 * parameter.grad
                    parameter.grad = None
        state = {k: v for k, v in model.state_dict().items() if learnt(k)}
        found |= {f"{step} {k}": v.clone() for k, v in (terms | state).items()}
    return found


class Videos(Dataset[dict[str, Tensor]]):
    """Sixteen videos in the order in which two processes would take them."""

    def __init__(self, batches: list[dict[str, Tensor]], as_two: bool) -> None:
        self.batches = batches
        keys = list(EpochSampler(len(self), shuffle=True, seed=WHOLE.seed))
        self.place = {}  # number of an item -> the item that is given
        for start in range(0, len(self), BATCH):
            part = [i for _, i in keys[start : start + BATCH]]
            taken = part[0::2] + part[1::2] if as_two else part
            self.place |= dict(zip(part, taken, strict=True))

    def __len__(self) -> int:
        return BATCH * STEPS

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        number = self.place[key[1]]
        return {k: v[number % BATCH] for k, v in self.batches[number // BATCH].items()}


def run_fit(objective: str, folder: Path, processes: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = replace(WHOLE if processes == 1 else HALF, objective=objective)
    dataset = Videos(batches(objective), as_two=processes == 1)
    fit(model_of(config), dataset, None, config, RunFolder(folder), log=None)


def batches(objective: str) -> list[dict[str, Tensor]]:
    return [batch_of(replace(WHOLE, objective=objective), i) for i in range(STEPS)]


def run_blocks(method: str, folder: Path, processes: int) -> list[str]:
    """Two steps of chapter 2 or 3, of two batches each; returns what was said."""
    folder.mkdir(parents=True, exist_ok=True)
    module, lines = book.method(method), list[str]()
    config = module.CONFIG.preset("small").override(BLOCKS | {"accumulate": 3 - processes})
    seed_everything(1)
    generator = torch.Generator().manual_seed(2)
    shape = (BATCH, config.num_seq, 3, config.seq_len, config.size, config.size)
    clips = [{"video": torch.randn(shape, generator=generator)} for _ in range(STEPS)]
    videos = Videos(clips, as_two=processes == 1)
    fit(module.MODEL(config), videos, None, config, RunFolder(folder), log=lines.append)
    return lines


def run_train(folder: Path, rank: int) -> None:
    """A whole run; what this process said and how often it wrote a result goes to a file."""
    os.environ["THESISLIB_RUNS"] = str(folder / "runs")
    lines: list[str] = []
    written: list[str] = []
    finish = RunFolder.finish

    def counted(run: RunFolder, result: Any) -> None:
        written.append(run.name)
        finish(run, result)

    RunFolder.finish = counted  # type: ignore[method-assign]  # in this process alone
    data = Videos(batches("coclr"), as_two=False), None
    trained = train("coclr", lambda: model_of(HALF), lambda: data, HALF, "p", log=lines.append)
    said = {"lines": lines, "written": written, "result": trained.result}
    (folder / f"train-{rank}.json").write_text(json.dumps(said))


def process(rank: int, folder: str) -> None:
    """One of two."""
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    os.environ |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    # What accelerate wants to see and does not use: the processes have met in a file by then, for
    # which no port can be taken.
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    for objective in OBJECTIVES:
        torch.save(learn(objective, rank, 2), f"{folder}/{objective}-{rank}.pt")
    run_fit("coclr", Path(folder) / "fit", 2)
    for method in ("dpc", "memdpc"):
        lines = run_blocks(method, Path(folder) / method, 2)
        (Path(folder) / f"{method}-{rank}.json").write_text(json.dumps(lines))
    run_train(Path(folder), rank)
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the two processes leave behind; they are stopped after two minutes."""
    path = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "true")
        context = mp.start_processes(process, (str(path),), 2, join=False, start_method="spawn")
        end = time.monotonic() + 120
        try:
            while not context.join(timeout=1):
                assert time.monotonic() < end, "the processes wait for one another"
        finally:
            for child in context.processes:
                child.kill()
    return path


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_two_processes_learn_what_one_does(folder: Path, objective: str) -> None:
    one = learn(objective, 0, 1)
    two = [torch.load(folder / f"{objective}-{rank}.pt", weights_only=True) for rank in range(2)]
    for name, expected in one.items():
        exact = name.partition(" ")[2] in ("queue.source", "queue.label", "queue.pointer")
        for found in two:
            tolerance = {"rtol": 0, "atol": 0} if exact else {"rtol": 1e-3, "atol": 1e-4}
            torch.testing.assert_close(
                found[name], expected, **tolerance, msg=lambda m, n=name: f"{n}: {m}"
            )
    assert one["1 queue.source"].tolist() == [12, 13, 14, 15, *range(4, 12)], "wrapped around"
    assert any(v.abs().max() > 1e-4 for k, v in one.items() if "gradient" in k)


def test_two_processes_of_the_fit_loop(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    run_fit("coclr", tmp_path, 1)
    models = [model_of(replace(WHOLE, objective="coclr")) for _ in range(3)]
    for model, path in zip(models, (tmp_path, folder / "fit"), strict=False):
        load_state(path / "checkpoint.safetensors", model)
    one, two, fresh = ({k: v for k, v in m.state_dict().items() if learnt(k)} for m in models)
    for name, expected in one.items():
        torch.testing.assert_close(
            two[name], expected, rtol=1e-3, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
        )
    assert all(not torch.equal(one[k], fresh[k]) for k in one if ".query." in k)


@pytest.mark.parametrize("method", ["dpc", "memdpc"])
def test_two_processes_are_two_batches_a_step(
    method: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    alone = run_blocks(method, tmp_path, 1)
    assert f"batches of {BATCH // 2}, 2 batches a step" in alone[0]
    said = json.loads((folder / f"{method}-0.json").read_text())
    assert f"batches of 2 processes x {BATCH // 2} = {BATCH}" in said[0]
    one, two = (
        {k: v for k, v in load_file(path / "checkpoint.safetensors").items() if learnt(k)}
        for path in (tmp_path, folder / method)
    )
    seed_everything(1)
    config = book.method(method).CONFIG.preset("small").override(BLOCKS)
    fresh = book.method(method).MODEL(config).state_dict()
    names = [name for name in one if name.startswith("model.")]
    for name in names:
        torch.testing.assert_close(
            two[name], one[name], rtol=1e-3, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
        )
    moved = [(one[n] - fresh[n.removeprefix("model.")]).abs().max() > 1e-4 for n in names]
    assert sum(moved) > len(moved) // 2


def test_one_process_speaks_and_writes(folder: Path) -> None:
    """And says how large a batch is: ``batch_size`` is that of a process."""
    first, second = (json.loads((folder / f"train-{rank}.json").read_text()) for rank in range(2))
    assert (
        f"16 items, 1 epochs, batches of 2 processes x {BATCH // 2} = {BATCH}" in first["lines"][0]
    )
    assert second["lines"] == [] and second["written"] == []
    (name,) = first["written"]
    run = folder / "runs" / name
    assert RunFolder(run).result()["provenance"]["processes"] == 2
    assert (run / "model" / "model.safetensors").is_file()
    assert not list(run.rglob(".*.part"))
