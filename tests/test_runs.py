"""A run is what it says: one process at a time, sealed weights, finite numbers, plain remedies."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from studio import SMALL, TUNE, tiny
from test_train import Line, Points, config
from thesislib import files, reproduce, train
from thesislib.chapters import run as rows
from thesislib.chapters.row import Job
from thesislib.checkpoint import RunFolder, load_state, read_info, save_state
from thesislib.cli import main
from thesislib.data.contents import Content, contents_of, write_contents
from thesislib.data.manifest import Manifest, Video, write_manifest
from thesislib.errors import ThesisError
from thesislib.ledger import promote, read_entry
from thesislib.synthetic import prepare

HERE = Path(__file__).parent


def learn(log: Any = None, **changes: Any) -> train.Trained:
    """Four epochs of a regression in a run folder, trained or found."""
    data = lambda: (Points(), Points())  # noqa: E731
    return train.train("line", Line, data, config(**changes), "print", log=log)


def sentence(error: pytest.ExceptionInfo[ThesisError]) -> str:
    """What it says, which is one line."""
    text = str(error.value)
    assert "\n" not in text and text.endswith(".")
    return text


# -- two processes -----------------------------------------------------------------------------

SCRIPT = """
import sys, time; sys.path.insert(0, {tests!r})
from test_train import Line, Points, config
from thesislib import train
class Slow(Line):
    def forward(self, batch):
        time.sleep({pause})
        return super().forward(batch)
data = lambda: (Points(), Points())
say = lambda line: print(line, flush=True)
train.train("line", Slow, data, config(), "print", log=say)
say("done")
"""


def start(pause: float) -> subprocess.Popen[str]:
    script = SCRIPT.format(tests=str(HERE), pause=pause)
    return subprocess.Popen([sys.executable, "-c", script], text=True, stdout=subprocess.PIPE)


def line_with(process: subprocess.Popen[str], words: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return line
    raise AssertionError(f"it ended without saying {words!r}")


def test_two_trainings_of_one_run_never_mix(
    roots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is paused and later killed; without a lock its checkpoint replaced the second's."""
    first = start(0.3)
    line_with(first, "epoch   1/4")
    first.send_signal(signal.SIGSTOP)
    second = start(0.0)
    assert f"waiting for process {first.pid}," in line_with(second, "waiting")
    first.send_signal(signal.SIGCONT)
    line_with(first, "epoch   2/4")
    first.kill()
    first.communicate()
    assert second.communicate(timeout=60)[0].endswith("done\n")
    (folder,) = (roots / "runs").iterdir()
    run = RunFolder(folder)
    assert run.result()["checkpoint"]["epoch"] == read_info(run.checkpoint)["epoch"] == 4
    found = learn()
    monkeypatch.setenv("THESISLIB_RUNS", str(tmp_path / "calm"))
    calm = learn()
    assert found.run == run and calm.run is not None and run.metrics() == calm.run.metrics()
    assert found.result["checkpoint"] == calm.result["checkpoint"]


def test_a_row_is_judged_by_one_process_at_a_time(roots: Path) -> None:
    """The folder of the row is held while it is judged, and that of the training meanwhile."""
    tiny(roots / "data")
    job, said = Job("dpc/random", changes=SMALL, tune=TUNE), []
    script = (
        "import pathlib; from thesislib.locks import held\nheld(pathlib.Path({!r}), {}).__enter__()"
    )
    busy = "lambda who: (print(who, flush=True), exit())"

    def log(line: str) -> None:
        code = script.format(str(rows.folder(job).path / ".lock"), busy)
        command = [sys.executable, "-c", code]
        said.append(said or subprocess.run(command, capture_output=True, text=True).stdout)

    rows.run(replace(job, log=log))
    assert said[0] == f"process {os.getpid()}\n"


# -- kills at renames --------------------------------------------------------------------------


class Killed(BaseException):
    """Ends a training in the middle of a write."""


def contents(folder: Path) -> dict[str, Any]:
    """All that a run leaves but times."""
    found: dict[str, Any] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != ".lock"):
        name = str(path.relative_to(folder))
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                found[name] = {key: file.get_tensor(key).tolist() for key in file.keys()}  # noqa: SIM118
        elif name != "result.json":
            found[name] = path.read_text()
    result = json.loads((folder / "result.json").read_text())
    return found | {"result": {k: v for k, v in result.items() if k != "provenance"}}


def test_a_kill_at_any_rename_loses_nothing(
    roots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, rename, seen = {"epochs": 2, "keep_every": 1}, os.replace, 0
    monkeypatch.setenv("THESISLIB_RUNS", str(tmp_path / "calm"))
    calm = contents(learn(**settings).run.path)  # type: ignore[union-attr]
    assert {"epoch0001.safetensors", "epoch0002.safetensors", "metrics.jsonl"} <= calm.keys()
    number = 0
    while True:
        number += 1
        for after in (False, True):
            seen = 0

            def dying(one: Any, two: Any, after: bool = after, at: int = number) -> None:
                nonlocal seen
                seen += 1
                if seen == at and not after:
                    raise Killed
                rename(one, two)
                if seen == at:
                    raise Killed

            monkeypatch.setenv("THESISLIB_RUNS", str(tmp_path / f"{number}-{after}"))
            with monkeypatch.context() as patch:
                patch.setattr(files.os, "replace", dying)
                with contextlib.suppress(Killed):
                    learn(**settings)
            assert contents(learn(**settings).run.path) == calm  # type: ignore[union-attr]
        if seen < number:
            break
    assert number > 8, "settings, two checkpoints, two copies, metrics twice, result"


# -- weights and results belong together -------------------------------------------------------


def test_the_checkpoint_of_another_moment_is_refused_and_the_remedy_works(roots: Path) -> None:
    run = learn(keep_every=2).run
    assert run is not None and run.result()["checkpoint"]["epoch"] == 4
    before = learn(epochs=3)  # as a process without a lock might leave it
    run.checkpoint.write_bytes(before.run.checkpoint.read_bytes())  # type: ignore[union-attr]
    with pytest.raises(ThesisError, match=r"epoch 4.*epoch 3.*delete the folder") as error:
        learn(keep_every=2)
    assert str(run.path) in sentence(error)
    _remove(run.path)
    assert learn(keep_every=2).result["checkpoint"]["epoch"] == 4


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def test_a_result_knows_the_weights_that_it_was_judged_by(roots: Path) -> None:
    tiny(roots / "data")
    job = Job("dpc/5pred3", changes=SMALL | {"epochs": 1}, tune=TUNE, log=None)
    result = rows.run(job)
    source = RunFolder(roots / "runs" / result["source"])
    assert result["checkpoint"] == source.result()["checkpoint"] and result["skipped"] == []
    other = source.result() | {"checkpoint": {"epoch": 1, "sha256": "0" * 64}}
    source.finish(other)
    with pytest.raises(ThesisError, match="of other weights than") as error:
        rows.run(job)
    sentence(error)


def test_runs_of_before_have_no_seal_and_stay(roots: Path) -> None:
    trained = learn()
    run = trained.run
    assert run is not None
    with safe_open(run.checkpoint, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        info = file.metadata()["info"]
    save_file(tensors, run.checkpoint, {"info": info})
    run.finish({k: v for k, v in run.result().items() if k not in ("checkpoint", "skipped")})
    again = learn()
    assert torch.equal(again.model.layer.weight, trained.model.layer.weight)


def test_every_flipped_bit_of_a_checkpoint_is_noticed(tmp_path: Path) -> None:
    path, rng = tmp_path / "checkpoint.safetensors", random.Random(0)
    model = Line()
    save_state(path, model, torch.optim.Adam(model.parameters()), {"epoch": 1, "rows": [{"a": 1}]})
    good = path.read_bytes()
    for _ in range(300):
        bad = bytearray(good)
        bit = rng.randrange(8 * len(bad))
        bad[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
        try:
            info = load_state(path, Line())
        except ThesisError:
            continue
        # Blanks and the names of the sums themselves are all that may change unseen.
        assert info["epoch"] == 1 and info["rows"] == [{"a": 1}]
        fresh = Line()
        load_state(path, fresh)
        assert torch.equal(fresh.layer.weight, model.layer.weight)


# -- the videos are those that it has seen -----------------------------------------------------


def prepared(root: Path, mark: str) -> None:
    """A data set of one video as if it had been deleted and prepared again, holding ``mark``."""
    video = Video("a.mp4", "", "train", "", 30, 25.0, 64, 64)
    folder = root / "data" / config().dataset
    write_manifest(Manifest(folder.name, folder, (video,)), {"a.mp4": Content(9, 0, mark)})


def test_other_videos_under_the_same_names_are_noticed(roots: Path) -> None:
    """The rows are the same, and so are the fingerprint and the name of the run."""
    prepared(roots, "one")
    run = learn().run
    assert run is not None and list(run.result()["editions"]) == [config().dataset]
    learn()
    prepared(roots, "two")
    with pytest.raises(ThesisError, match=r"other videos than 'synthetic' holds now") as error:
        learn()
    assert f"delete the folder {run.path}" in sentence(error)
    prepared(roots, "one")
    assert learn().run == run, "they were put back"
    prepared(roots, "two")
    (run.path / "result.json").unlink()  # killed before its end: it must not go on either
    with pytest.raises(ThesisError, match=r"other videos than 'synthetic' holds now"):
        learn()
    _remove(run.path)
    assert learn().run == run and learn().run == run
    old = {name: value for name, value in run.result().items() if name != "editions"}
    run.finish(old)  # as runs of before
    prepared(roots, "one")
    assert learn().run == run


def test_a_row_knows_the_videos_that_it_was_judged_on(roots: Path) -> None:
    manifest = tiny(roots / "data")
    contents = contents_of({v.path: manifest.file(v) for v in manifest.videos})
    write_contents(manifest.root, contents)
    job = Job("dpc/random", changes=SMALL, tune=TUNE, log=None)
    result = rows.run(job)
    assert rows.run(job) == result and list(result["editions"]) == ["synthetic"]
    first = manifest.videos[0].path
    write_contents(manifest.root, contents | {first: contents[first]._replace(mark="other")})
    with pytest.raises(ThesisError, match=f"The run {result['run']} is of other videos") as error:
        rows.run(job)
    sentence(error)
    promoted = promote(roots / "runs" / result["run"], dirty=True)
    assert not hasattr(read_entry(promoted), "editions")


# -- damaged files -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["result.json", "metrics.jsonl", "config.json", "checkpoint"])
@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff\xfe\x00\xd8", b"[" * 100_000, None])
def test_a_damaged_file_of_a_finished_run(name: str, damage: bytes | None, roots: Path) -> None:
    """One sentence; what it says to do is all there is to do."""
    trained = learn()
    run, weight = trained.run, trained.model.layer.weight
    assert run is not None
    rows_before = run.metrics()
    path = run.path / name if "." in name else run.checkpoint
    path.unlink() if damage is None else path.write_bytes(damage)
    try:
        learn()
    except ThesisError as error:
        text = str(error)
        assert "\n" not in text and ("delete it" in text or "delete the folder" in text)
        path.unlink(missing_ok=True) if "delete it" in text else _remove(run.path)
    again = learn()
    assert torch.equal(again.model.layer.weight, weight)
    assert run.metrics() == rows_before and run.settings() and run.result()["metrics"]


def test_a_checkpoint_without_groups_of_parameters(roots: Path) -> None:
    run = learn().run
    assert run is not None
    (run.path / "result.json").unlink()
    save_state(run.checkpoint, Line(), None, {"epoch": 2, "batch": 0, "rows": []})
    with pytest.raises(ThesisError, match=r"delete the folder") as error:
        learn()
    sentence(error)


# -- videos that could not be read -------------------------------------------------------------


class Torn(Points):
    """Two files cannot be read."""

    failures = ("b.mp4", "a.mp4")


def test_a_run_says_what_it_was_trained_without(roots: Path) -> None:
    said: list[str] = []
    data = lambda: (Torn(), Points())  # noqa: E731
    for _ in range(2):
        found = train.train("line", Line, data, config(), "print", log=said.append)
        assert found.result["skipped"] == ["a.mp4", "b.mp4"]
    assert "trained without a.mp4 and 1 more" in said[-1]
    assert learn(lr=0.1).result["skipped"] == []


def test_files_that_go_away_are_named_in_the_result(roots: Path) -> None:
    manifest = tiny(roots / "data")
    for video in manifest.select(split="train").videos[:3]:
        manifest.file(video).write_bytes(b"no video")
    job = Job("dpc/5pred3", dataset="synthetic", changes=SMALL, tune=TUNE, log=None)
    result, said = rows.run(job), []
    assert len(result["skipped"]) == 3
    rows.run(replace(job, log=said.append))
    assert len(said) == 1 and "and 2 more, which could not be read" in said[0]


# -- numbers that are none ---------------------------------------------------------------------


@pytest.mark.parametrize("val_every", [1, 2])
def test_a_network_that_diverges_in_its_last_step_is_no_run(roots: Path, val_every: int) -> None:
    """One step: its loss is finite, what it leaves is not."""
    tiny(roots / "data")
    changes = SMALL | {"lr": 1e30, "epochs": 1, "val_every": val_every, "batch_size": 64}
    with pytest.raises(ThesisError, match="lower lr") as error:
        rows.train(Job("dpc/5pred3", dataset="synthetic", changes=changes, log=None))
    sentence(error)
    assert not list((roots / "runs").rglob("result.json"))


class Broken(Line):
    """Its loss is a number, another log is none."""

    def forward(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, Any]]:
        loss, logs = super().forward(batch)
        return loss, logs | {"hits": torch.tensor(torch.nan)}


def test_a_metric_or_weight_that_is_no_number_stops_the_run(roots: Path, tmp_path: Path) -> None:
    with pytest.raises(ThesisError, match="hits became nan"):
        train.fit(Broken(), Points(), None, config(), RunFolder(tmp_path), log=None)
    model = Line()
    nn.init.constant_(model.layer.bias, torch.inf)
    with pytest.raises(ThesisError, match=r"layer\.bias.*lower lr") as error:
        save_state(tmp_path / "a.safetensors", model, None, {})
    sentence(error)
    assert not list(tmp_path.glob("*.safetensors"))


# -- settings and names ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["train", "dpc", "--set", "dataset=other"], "--dataset other"),
        (["train", "dpc", "--set", "seed=1"], "--seed 1"),
        (["eval", "dpc", "--set", "profile=paper"], "--profile paper"),
        (["eval", "dpc", "--tune", "dataset=other"], "--on other"),
    ],
)
def test_settings_that_have_an_option_name_it(
    words: list[str], option: str, roots: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 1
    assert option in capsys.readouterr().err and not list((roots / "runs").iterdir())


@pytest.mark.parametrize("name", ["../x", "", "..", ".", "a/b", "a\\b", "/tmp/x", "a\0b"])
def test_a_data_set_stays_in_its_root(name: str, roots: Path) -> None:
    with pytest.raises(ThesisError, match="cannot be the name of a data set"):
        prepare(name, root=roots / "data", clips=1)
    assert not list((roots / "data").iterdir()) and not (roots / "x").exists()


@pytest.mark.parametrize("field", ["method", "row", "profile", "dataset"])
def test_a_result_stays_in_the_ledger(field: str, tmp_path: Path) -> None:
    entry = {"row": "dpc/a", "method": "dpc", "profile": "small", "dataset": "x", "seed": 0}
    entry |= {"metrics": {"top1": 0.5}, "provenance": {"commit": "abc"}}
    for bad in ("../../x", "..", 7):
        file = tmp_path / "result.json"
        file.write_text(json.dumps(entry | {field: bad}))
        try:
            target = promote(file, tmp_path / "results")
        except ThesisError:
            continue
        assert target.parent.parent == tmp_path / "results" and field not in ("method",)
    assert not (tmp_path.parent / "x").exists() and not (tmp_path / "x").exists()


def test_a_data_set_named_by_its_folder_keeps_its_run_below_the_root(roots: Path) -> None:
    run = RunFolder.open("dpc", config(dataset="/somewhere/../../x"), "print")
    assert run.path.parent == roots / "runs"


def test_a_parameter_of_a_notebook_is_no_path(roots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import papermill

    def execute(source: str, out: str, *_: Any, **__: Any) -> None:
        Path(out).write_text("{}")

    monkeypatch.setattr(papermill, "execute_notebook", execute)
    out = reproduce.reproduce("2", {"dataset": "../../x"})
    assert out.is_file() and out.parent == roots / "runs" / "notebooks"
