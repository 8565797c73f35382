"""The fit loop and run folders: determinism, kills, schedules, damaged files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from studio import SMALL, TUNE, tiny
from thesislib import checkpoint, train
from thesislib.checkpoint import RunFolder, load_state, save_state
from thesislib.config import RunConfig
from thesislib.errors import ThesisError
from thesislib.experiments import pretrain, run_row


class Points(Dataset[dict[str, torch.Tensor]]):
    """A regression problem: no video, so that the loop is tested alone."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, key: tuple[int, int]) -> dict[str, torch.Tensor]:
        epoch, index = key
        generator = torch.Generator().manual_seed(1000 * epoch + index)
        return {"video": torch.randn(3, generator=generator)}


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
        x = batch["video"]
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


def test_log_is_short(tmp_path: Path) -> None:
    lines: list[str] = []
    train.fit(line(), Points(), None, config(epochs=57), run_at(tmp_path / "a"), log=lines.append)
    assert 5 <= len(lines) <= 12 and "min left" in lines[0]


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


def test_schedules() -> None:
    steps = config(schedule="steps", milestones=(2, 3), lr=1.0)
    assert [round(train.learning_rate(steps, s, 10), 6) for s in (0, 19, 20, 30)] == [
        1.0, 1.0, 0.1, 0.01,
    ]  # fmt: skip
    cosine = config(schedule="cosine", lr=1.0, warmup=4, epochs=2)
    assert train.learning_rate(cosine, 0, 10) == 0.25
    assert train.learning_rate(cosine, 4, 10) == 1.0
    assert train.learning_rate(cosine, 12, 10) == pytest.approx(0.5)


def test_plateau_lowers_the_rate_once(tmp_path: Path) -> None:
    stuck = config(schedule="plateau", patience=2, epochs=9, lr=0.0)
    rows = train.fit(line(), Points(), Points(), stuck, run_at(tmp_path / "a"), log=None)
    assert {row["lr"] for row in rows} == {0.0}
    state = {"best": 1.0, "bad": 0, "scale": 1.0}
    for _ in range(6):
        train._plateau(state, 1.0, stuck)
    assert state["scale"] == 0.1


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
        x = torch.stack([Points()[epoch, i]["video"] for i in range(12)])
        residual = x @ weight.T + bias - x.sum(1, keepdim=True)
        slopes = [(2 * residual * x).mean(0, keepdim=True), 2 * residual.mean(0)]
        for i, (value, slope) in enumerate(zip((weight, bias), slopes, strict=True)):
            velocity[i] = 0.9 * velocity[i] + slope + 0.2 * value
            value -= 0.1 * velocity[i]
    assert torch.allclose(model.layer.weight, weight, atol=1e-5)
    assert torch.allclose(model.layer.bias, bias, atol=1e-5)


class Late(Line):
    """Not ready before its third step."""

    def forward(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, Any]]:
        loss, logs = super().forward(batch)
        self.seen = [*getattr(self, "seen", []), self.layer.weight.detach().clone()]
        return loss, logs | {"waiting": torch.tensor(float(self.calls < 3))}


def test_a_model_that_waits_is_left_as_it_is(tmp_path: Path) -> None:
    train.seed_everything(0)
    model = Late()
    run = run_at(tmp_path / "a")
    rows = train.fit(model, Points(), None, config(epochs=2), run, log=None)
    assert all(torch.equal(weight, model.seen[0]) for weight in model.seen[:3])
    assert not torch.equal(model.seen[3], model.seen[2]), "the third step is taken"
    assert [row["waiting"] for row in rows] == pytest.approx([2 / 3, 0])
    # Adam counts the steps that it took, not those that passed.
    model = line()
    optimiser = torch.optim.Adam(model.parameters())
    load_state(run.checkpoint, model, optimiser)
    assert {float(s["step"]) for s in optimiser.state.values()} == {4.0}


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
    checkpoint.write_json(path, {"a": 1})

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ThesisError, match="free some space"):
        checkpoint.write_json(path, {"a": 2})
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
    first = run_row("dpc/5pred3", changes=SMALL, tune=TUNE, stages=2, log=lines.append)
    assert {"pretext_top1", "pretext_top1_temporal", "finetune_top1", "probe_top1"} <= set(
        first["metrics"]
    )
    assert len(first["hits"]["finetune_top1"]) == first["videos"]["evaluated"]
    assert [p["epoch"] for p in first["checkpoints"]] == [1, 2]
    assert first["provenance"]["data_fingerprint"] and first["config_hash"]
    folder = roots / "runs" / first["run"]
    assert json.loads((folder / "result.json").read_text()) == first
    count = len(lines)
    assert run_row("dpc/5pred3", changes=SMALL, tune=TUNE, stages=2, log=lines.append) == first
    assert len(lines) == count, "a finished row is found, not run again"


def test_curriculum_starts_from_the_first_task(roots: Path) -> None:
    tiny(roots / "data")
    changes = {k: v for k, v in SMALL.items() if k != "pred_step"}
    model, run, _ = pretrain("dpc/5pred3+4pred4", changes={**changes, "num_seq": 6}, log=None)
    assert model.config.pred_step == 4 and model.config.init.startswith("dpc-small")
    assert len(run.metrics()) == 1, "half of the epochs for each task"


SCRIPT = """
import sys; sys.path.insert(0, {tests!r})
from studio import SMALL
from thesislib import train
from thesislib.experiments import pretrain
train.CHECKPOINT_SECONDS = 0.0
pretrain("dpc/5pred3", changes={{**SMALL, "epochs": 4}}, log=print)
print("done")
"""


def test_killed_training_ends_with_the_same_metrics_and_weights(
    roots: Path, tmp_path: Path
) -> None:
    tiny(roots / "data")
    script = SCRIPT.format(tests=str(Path(__file__).parent))

    def start(runs: Path) -> subprocess.Popen[str]:
        environment = {**os.environ, "THESISLIB_RUNS": str(runs)}
        return subprocess.Popen(
            [sys.executable, "-c", script], env=environment, text=True, stdout=subprocess.PIPE
        )

    calm, rough = tmp_path / "calm", tmp_path / "rough"
    process = start(calm)
    assert process.communicate(timeout=240)[0].endswith("done\n")
    process = start(rough)
    deadline = time.monotonic() + 120
    while not list(rough.glob("*/checkpoint.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(rough.glob("*/result.json")), "the kill came too late to test anything"
    assert start(rough).communicate(timeout=240)[0].endswith("done\n")
    (a,), (b,) = (list(p.glob("dpc-*")) for p in (calm, rough))
    assert a.name == b.name
    assert (a / "metrics.jsonl").read_text() == (b / "metrics.jsonl").read_text()
    weights = "model/model.safetensors"
    assert (a / weights).read_bytes() == (b / weights).read_bytes()
    kept = sorted(p.name for p in b.rglob("*") if p.is_file())
    assert kept == sorted(p.name for p in a.rglob("*") if p.is_file()), "no temporary file is left"
