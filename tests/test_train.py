"""The fit loop and run folders: determinism, kills, schedules, damaged files."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import Dataset

from studio import COCLR, SMALL, TUNE, tiny
from thesislib import files, optimiser, train
from thesislib.chapters import run as rows
from thesislib.chapters.row import Job
from thesislib.checkpoint import RunFolder, load_state, read_info, save_state
from thesislib.config import RunConfig
from thesislib.data.composition import Composition
from thesislib.errors import ThesisError


class Points(Dataset[dict[str, torch.Tensor]]):
    """A regression problem: no video, so that the loop is tested alone."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, key: tuple[int, int]) -> dict[str, torch.Tensor]:
        epoch, index = key
        generator = torch.Generator().manual_seed(1000 * epoch + index)
        return {"x": torch.randn(3, generator=generator)}


class Line(nn.Module):
    """Fits the sum of its input, with dropout so that the random state matters."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)
        self.dropout = nn.Dropout(0.3)
        self.fail_at = -1
        self.calls = 0

    def forward(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, Any]]:
        self.calls += self.training
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        x = batch["x"]
        loss = ((self.layer(self.dropout(x)) - x.sum(1, keepdim=True)) ** 2).mean()
        return loss, {"loss": loss.detach()}


def config(**changes: Any) -> RunConfig:
    return replace(RunConfig(epochs=4, batch_size=4, num_workers=0, lr=0.05), **changes)


def line(seed: int = 0) -> Line:
    train.seed_everything(seed)
    return Line()


def run_at(path: Path) -> RunFolder:
    path.mkdir()
    return RunFolder(path)


def test_same_seed_same_numbers(tmp_path: Path) -> None:
    rows = [
        train.fit(line(), Points(), Points(), config(), run_at(tmp_path / name), log=None)
        for name in "ab"
    ]
    assert rows[0] == rows[1]
    other = train.fit(line(), Points(), Points(), config(seed=1), run_at(tmp_path / "c"), log=None)
    assert other != rows[0]


def test_one_process_trains_in_one_precision_after_another(tmp_path: Path) -> None:
    plain, _, again = (
        train.fit(line(), Points(), None, config(precision=kind), run_at(tmp_path / name), log=None)
        for name, kind in (("a", "no"), ("b", "bf16"), ("c", "no"))
    )
    assert again == plain


@pytest.mark.parametrize("stop", [2, 3, 5, 11])
def test_interrupted_equals_undisturbed(
    stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", -1.0)  # after every step
    whole = line()
    rows = train.fit(whole, Points(), Points(), config(), run_at(tmp_path / "a"), log=None)
    run = run_at(tmp_path / "b")
    broken = line()
    broken.fail_at = stop
    with pytest.raises(KeyboardInterrupt):
        train.fit(broken, Points(), Points(), config(), run, log=None)
    again = line(seed=99)  # another start: everything must come from the checkpoint
    assert train.fit(again, Points(), Points(), config(), run, log=None) == rows
    for a, b in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    assert run.metrics() == rows


def test_processor_seconds_add_up_over_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of steps that count: a second each, by a clock that ticks when it is read."""
    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", -1.0)
    clock = itertools.count()
    monkeypatch.setattr(train.time, "process_time", lambda: float(next(clock)))
    whole, run = run_at(tmp_path / "a"), run_at(tmp_path / "b")
    train.fit(line(), Points(), Points(), config(), whole, log=None)
    broken = line()
    broken.fail_at = 5
    with pytest.raises(KeyboardInterrupt):
        train.fit(broken, Points(), None, config(), run, log=None)
    train.fit(line(), Points(), None, config(), run, log=None)
    seconds = [read_info(one.checkpoint)["processor"] for one in (whole, run)]
    steps = config().epochs * (len(Points()) // config().batch_size)
    assert seconds == [steps, steps]


def test_log_is_short(tmp_path: Path) -> None:
    lines: list[str] = []
    train.fit(line(), Points(), None, config(epochs=57), run_at(tmp_path / "a"), log=lines.append)
    assert "items, 57 epochs, batches of" in lines[0] and "min left" in lines[1]
    assert 5 <= len(lines) <= 13


class WhoRead(Points):
    """Says which process made each item."""

    def __getitem__(self, key: tuple[int, int]) -> dict[str, torch.Tensor]:
        return super().__getitem__(key) | {"process": torch.tensor(os.getpid())}


class Witness(Line):
    """Keeps what the validation batches say."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, Any]]:
        if not self.training:
            self.seen += batch["process"].tolist()
        return super().forward(batch)


def test_one_worker_validates_in_all_epochs(tmp_path: Path) -> None:
    # A new one each epoch would decode each time what it is to keep.
    model = Witness()
    train.fit(
        model, WhoRead(), WhoRead(), config(num_workers=1, epochs=3), RunFolder(tmp_path), log=None
    )
    assert len(model.seen) == 3 * 12
    assert len(set(model.seen) - {os.getpid()}) == 1


def test_every_validation_item_counts(tmp_path: Path) -> None:
    """Also those of the last, smaller batch, in their share."""
    model = Witness()
    rows = train.fit(
        model, WhoRead(), WhoRead(), config(epochs=1, batch_size=5), RunFolder(tmp_path), log=None
    )
    assert len(model.seen) == 12
    whole = torch.stack([Points()[0, i]["x"] for i in range(12)])
    loss = ((model.eval().layer(whole) - whole.sum(1, keepdim=True)) ** 2).mean()
    assert rows[-1]["val_loss"] == pytest.approx(float(loss.detach()), rel=1e-5)


class Sessions(Points):
    """Three groups of four, which share their batches."""

    def composition(self, batch_size: int, processes: int = 1) -> Composition:
        return Composition(np.repeat(np.arange(3), 4), batch_size, 1, 2, processes=processes)


def test_the_log_counts_what_a_composition_draws(tmp_path: Path) -> None:
    lines: list[str] = []
    train.fit(line(), Sessions(), None, config(), run_at(tmp_path / "a"), log=lines.append)
    drawn = len(Sessions().composition(config().batch_size))
    assert drawn == 2 * len(Sessions()) and f": {drawn} items, " in lines[0]


@pytest.mark.parametrize("stop", [2, 7, 12])
def test_interrupted_batches_of_sessions_go_on(
    stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", -1.0)
    rows = train.fit(line(), Sessions(), None, config(), run_at(tmp_path / "a"), log=None)
    run, broken = run_at(tmp_path / "b"), line()
    broken.fail_at = stop
    with pytest.raises(KeyboardInterrupt):
        train.fit(broken, Sessions(), None, config(), run, log=None)
    assert train.fit(line(seed=99), Sessions(), None, config(), run, log=None) == rows


def test_schedules() -> None:
    steps = config(schedule="steps", milestones=(2, 3), lr=1.0)
    assert [round(optimiser.learning_rate(steps, s, 10), 6) for s in (0, 19, 20, 30)] == [
        1.0, 1.0, 0.1, 0.01,
    ]  # fmt: skip
    cosine = config(schedule="cosine", lr=1.0, warmup=4, epochs=2)
    assert optimiser.learning_rate(cosine, 0, 10) == 0.25
    assert optimiser.learning_rate(cosine, 4, 10) == 1.0
    assert optimiser.learning_rate(cosine, 12, 10) == pytest.approx(0.5)


def test_plateau_lowers_the_rate_once(tmp_path: Path) -> None:
    stuck = config(schedule="plateau", patience=2, epochs=9, lr=0.0)
    rows = train.fit(line(), Points(), Points(), stuck, run_at(tmp_path / "a"), log=None)
    assert {row["lr"] for row in rows} == {0.0}
    state = {"best": 1.0, "bad": 0, "scale": 1.0}
    for _ in range(6):
        optimiser.lower_on_plateau(state, 1.0, stuck)
    assert state["scale"] == 0.1


def test_plateau_without_validation_watches_the_loss_of_training(tmp_path: Path) -> None:
    stuck = config(schedule="plateau", patience=2, epochs=9, lr=1e-6)
    lines: list[str] = []
    rows = train.fit(line(), Points(), None, stuck, run_at(tmp_path / "a"), log=lines.append)
    assert rows[-1]["lr"] == pytest.approx(1e-7) and rows[0]["lr"] == 1e-6
    assert "the loss of training decides" in lines[1]
    watched = train.fit(line(), Points(), Points(), stuck, run_at(tmp_path / "b"), log=lines.append)
    assert "val_loss" in watched[0] and sum("loss of training" in text for text in lines) == 1


def test_a_loss_that_is_not_finite_stops_with_the_remedy(tmp_path: Path) -> None:
    model = line()
    nn.init.constant_(model.layer.weight, float("inf"))
    with pytest.raises(ThesisError, match="lower lr"):
        train.fit(model, Points(), None, config(), run_at(tmp_path / "a"), log=None)


def test_gradient_accumulation_is_one_large_batch(tmp_path: Path) -> None:
    def weights(**changes: Any) -> torch.Tensor:
        model = line()
        model.dropout.p = 0.0
        run = run_at(tmp_path / str(changes["batch_size"]))
        train.fit(model, Points(), None, config(epochs=1, **changes), run, log=None)
        return model.layer.weight.detach()

    assert torch.allclose(weights(batch_size=12), weights(batch_size=4, accumulate=3), atol=1e-6)


def test_sgd_with_momentum_equals_the_formula(tmp_path: Path) -> None:
    model = line()
    model.dropout.p = 0.0
    weight, bias = (p.detach().clone() for p in model.layer.parameters())
    velocity = [torch.zeros_like(weight), torch.zeros_like(bias)]
    options = {"optimiser": "sgd", "lr": 0.1, "weight_decay": 0.2, "epochs": 3, "batch_size": 12}
    train.fit(model, Points(), None, config(**options), run_at(tmp_path / "a"), log=None)
    for epoch in range(3):
        x = torch.stack([Points()[epoch, i]["x"] for i in range(12)])
        residual = x @ weight.T + bias - x.sum(1, keepdim=True)
        slopes = [(2 * residual * x).mean(0, keepdim=True), 2 * residual.mean(0)]
        for i, (value, slope) in enumerate(zip((weight, bias), slopes, strict=True)):
            velocity[i] = 0.9 * velocity[i] + slope + 0.2 * value
            value -= 0.1 * velocity[i]
    assert torch.allclose(model.layer.weight, weight, atol=1e-5)
    assert torch.allclose(model.layer.bias, bias, atol=1e-5)


class Late(Line):
    """Not ready before its third step: until then its loss has no gradient."""

    def forward(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, Any]]:
        loss, logs = super().forward(batch)
        self.seen = [*getattr(self, "seen", []), self.layer.weight.detach().clone()]
        return loss.detach() if self.calls < 3 else loss, logs


def test_a_model_that_waits_is_left_as_it_is(tmp_path: Path) -> None:
    train.seed_everything(0)
    model = Late()
    run = run_at(tmp_path / "a")
    train.fit(model, Points(), None, config(epochs=2), run, log=None)
    assert all(torch.equal(weight, model.seen[0]) for weight in model.seen[:3])
    assert not torch.equal(model.seen[3], model.seen[2]), "the third step is taken"
    # Adam counts the steps that it took, not those that passed.
    model = line()
    optimiser = torch.optim.Adam(model.parameters())
    load_state(run.checkpoint, model, optimiser)
    assert {float(s["step"]) for s in optimiser.state.values()} == {4.0}


class Words(Dataset[dict[str, Any]]):
    """Sentences and nested features of unequal lengths: nothing that could be stacked."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        epoch, index = key
        rng = torch.Generator().manual_seed(1000 * epoch + index)
        length = 2 + index % 3
        rows = torch.randn(length, 4, generator=rng)
        return {
            "sentence": " ".join(["word"] * length),
            "film": {"rows": rows, "seconds": torch.arange(length)},
            "index": torch.tensor(index),
        }


class Reader(nn.Module):
    """Says how long a sentence is from what was seen beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def forward(self, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, Any]]:
        film, device = batch["film"], self.layer.weight.device
        assert len(batch["sentence"]) == len(film["rows"]) == len(batch["index"])
        assert all(rows.device == device for rows in film["rows"])
        found = torch.stack([self.layer(rows).sum() for rows in film["rows"]])
        wanted = torch.tensor([float(len(s.split())) for s in batch["sentence"]])
        loss = (found - wanted).square().mean()
        return loss, {"error": loss.detach(), "words": wanted.mean()}


class Counted(Words):
    """Puts its batches together itself."""

    def collate(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        rows = nn.utils.rnn.pad_sequence([item["film"]["rows"] for item in items], True)
        return {"padded": rows, "sentence": [item["sentence"] for item in items]}


class Padded(Reader):
    def forward(self, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, Any]]:
        loss = self.layer(batch["padded"]).square().mean()
        return loss, {"error": loss.detach(), "longest": float(batch["padded"].shape[1])}


def test_batches_of_text_and_of_nested_features(tmp_path: Path) -> None:
    lines: list[str] = []
    train.seed_everything(0)
    options = config(epochs=30, batch_size=4, lr=0.02)
    model, run = Reader(), run_at(tmp_path / "a")
    rows = train.fit(model, Words(), Words(), options, run, log=lines.append)
    assert rows[-1]["val_error"] < 0.5 * rows[0]["val_error"]
    assert rows[-1]["words"] == pytest.approx(3, abs=0.5)
    assert "error" in lines[1] and "words" in lines[1], "the log has the model's own names"
    train.seed_everything(0)
    rows = train.fit(Padded(), Counted(), None, config(), run_at(tmp_path / "b"), log=None)
    assert rows[-1]["longest"] > 2, "a data set's own collate wins"


@pytest.mark.parametrize(
    ("optimiser", "kind"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam)]
)
def test_weight_decay_apart_from_the_gradient_or_in_it(
    optimiser: str, kind: type[torch.optim.Optimizer], tmp_path: Path
) -> None:
    options = config(epochs=2, batch_size=12, optimiser=optimiser, weight_decay=0.3)
    model, other = line(), line()
    model.dropout.p = other.dropout.p = 0.0
    train.fit(model, Points(), None, options, run_at(tmp_path / "a"), log=None)
    steps = kind(other.parameters(), lr=options.lr, weight_decay=0.3)
    for epoch in range(2):
        order = np.random.default_rng([0, epoch]).permutation(12)
        batch = {"x": torch.stack([Points()[epoch, int(i)]["x"] for i in order])}
        steps.zero_grad()
        other(batch)[0].backward()
        steps.step()
    assert torch.allclose(model.layer.weight, other.layer.weight, atol=1e-6)


def test_gradients_are_clipped_by_their_norm_over_an_accumulation(tmp_path: Path) -> None:
    options = {"optimiser": "sgd", "lr": 1.0, "weight_decay": 0.0, "epochs": 1, "clip_grad": 0.1}
    moved = []
    for batch_size, accumulate in ((12, 1), (4, 3)):
        model = line()
        model.dropout.p = 0.0
        before = torch.cat([p.detach().flatten().clone() for p in model.parameters()])
        settings = config(**options, batch_size=batch_size, accumulate=accumulate)
        train.fit(model, Points(), None, settings, run_at(tmp_path / str(batch_size)), log=None)
        after = torch.cat([p.detach().flatten() for p in model.parameters()])
        moved.append(after - before)
    assert float(moved[0].norm()) == pytest.approx(0.1, abs=1e-5)
    assert torch.allclose(*moved, atol=1e-6)


def test_a_trained_model_is_found_again(roots: Path) -> None:
    called: list[str] = []

    def data() -> tuple[Points, Points]:
        called.append("data")
        return Points(), Points()

    def after(model: nn.Module) -> dict[str, float]:
        return {"size": float(sum(p.numel() for p in model.parameters()))}

    def again(**changes: Any) -> train.Trained:
        return train.train("line", Line, data, config(**changes), "print", after=after, log=None)

    first, second = again(), again()
    assert called == ["data"] and first.run == second.run
    assert first.result["metrics"]["size"] == 4 and "pretext_loss" in first.result["metrics"]
    assert torch.equal(first.model.layer.weight, second.model.layer.weight)
    assert json.loads(json.dumps(first.result)) == second.result
    assert again(lr=0.1).run != first.run and len(called) == 2


# ---- files -----------------------------------------------------------------------------------


def test_damaged_checkpoint_gets_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_state(path, line(), None, {"epoch": 1})
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ThesisError, match="damaged") as info:
        load_state(path, line())
    assert "\n" not in str(info.value)


def test_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_state(path, line(), None, {"epoch": 1})
    with pytest.raises(ThesisError, match="does not fit the model"):
        load_state(path, nn.Linear(4, 1))


def test_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.json"
    files.write_json(path, {"a": 1})

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(ThesisError, match="free some space"):
        files.write_json(path, {"a": 2})
    monkeypatch.undo()
    assert json.loads(path.read_text()) == {"a": 1} and len(list(tmp_path.iterdir())) == 1


def test_another_data_set_is_another_run(roots: Path) -> None:
    one = RunFolder.open("dpc", config(), "aaa")
    assert one.name == RunFolder.open("dpc", config(), "aaa").name
    assert one.name != RunFolder.open("dpc", config(), "bbb").name
    assert one.name.startswith("dpc-small-synthetic-s0-")
    with pytest.raises(ThesisError, match="has not finished"):
        one.result()


# ---- the whole row ---------------------------------------------------------------------------


def test_a_row_runs_and_is_found_again(roots: Path) -> None:
    tiny(roots / "data")
    lines: list[str] = []
    job = Job("dpc/5pred3", "small", "synthetic", 0, SMALL, TUNE, stages=2, log=lines.append)
    first = rows.run(job)
    assert {"pretext_top1", "pretext_top1_temporal", "finetune_top1", "probe_top1"} <= set(
        first["metrics"]
    )
    assert len(first["hits"]["finetune_top1"]) == first["videos"]["evaluated"]
    assert [p["epoch"] for p in first["checkpoints"]] == [1, 2]
    assert first["provenance"]["data_fingerprint"] and first["config_hash"]
    folder = roots / "runs" / first["run"]
    assert json.loads((folder / "result.json").read_text()) == first
    count = len(lines)
    assert rows.run(job) == first
    assert len(lines) == count, "a finished row is found, not run again"


def test_curriculum_starts_from_the_first_task(roots: Path) -> None:
    tiny(roots / "data")
    changes = {k: v for k, v in SMALL.items() if k != "pred_step"}
    job = Job("dpc/5pred3+4pred4", changes={**changes, "num_seq": 6}, log=None)
    model, run, _ = rows.train(job)
    assert model.config.pred_step == 4 and model.config.init.startswith("dpc-small")
    assert len(run.metrics()) == 1, "half of the epochs for each task"


SCRIPT = """
import sys; sys.path.insert(0, {tests!r})
import studio
from thesislib import train
from thesislib.chapters import run
from thesislib.chapters.row import Job
train.CHECKPOINT_SECONDS = 0.0
run.train(Job({row!r}, dataset="synthetic", changes={{**studio.{settings}, "epochs": 4}}))
print("done")
"""


@pytest.mark.parametrize("row, settings", [("dpc/5pred3", "SMALL"), ("coclr/infonce-rgb", "COCLR")])
def test_killed_training_ends_with_the_same_metrics_and_weights(
    row: str, settings: str, roots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny(roots / "data")
    script = SCRIPT.format(tests=str(Path(__file__).parent), row=row, settings=settings)

    def start(runs: Path) -> subprocess.Popen[str]:
        environment = {**os.environ, "THESISLIB_RUNS": str(runs)}
        return subprocess.Popen(
            [sys.executable, "-c", script], env=environment, text=True, stdout=subprocess.PIPE
        )

    calm, rough = tmp_path / "calm", tmp_path / "rough"
    with monkeypatch.context() as patch:
        patch.setenv("THESISLIB_RUNS", str(calm))
        patch.setattr(train, "CHECKPOINT_SECONDS", 0.0)
        changes = {"SMALL": SMALL, "COCLR": COCLR}[settings] | {"epochs": 4}
        rows.train(Job(row, dataset="synthetic", changes=changes, log=None))
    process = start(rough)
    deadline = time.monotonic() + 120
    while not list(rough.glob("*/checkpoint.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not list(rough.glob("*/result.json")), "the kill came too late to test anything"
    assert start(rough).communicate(timeout=240)[0].endswith("done\n")
    (a,), (b,) = (list(p.glob("*-small-*")) for p in (calm, rough))
    assert a.name == b.name
    assert (a / "metrics.jsonl").read_text() == (b / "metrics.jsonl").read_text()
    for file in ("model/model.safetensors", "checkpoint.safetensors"):
        (one, two) = (load_file(folder / file) for folder in (a, b))
        assert one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)
    kept = sorted(p.name for p in b.rglob("*") if p.is_file())
    assert kept == sorted(p.name for p in a.rglob("*") if p.is_file()), "no temporary file is left"
