"""CoCLR's cycles, and the rows of chapter 4, on forty small videos with flow."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from studio import tiny
from thesislib.chapters import run
from thesislib.chapters.coclr.cycles import (
    Stage,
    cotrain,
    hand_over,
    monitor,
    plan,
    stage_config,
)
from thesislib.chapters.row import Job
from thesislib.clip_config import FlowConfig
from thesislib.data.dataset import clips_of
from thesislib.data.flow import compute_flow
from thesislib.data.manifest import Manifest, read_manifest
from thesislib.errors import ThesisError
from thesislib.evaluation.scores import PerVideo, load_rows
from thesislib.methods.coclr import build
from thesislib.methods.coclr_config import CoCLRConfig
from thesislib.runs import load_run
from thesislib.train import Trained, train

FLOW = {"flow.algorithm": "dis", "flow.bound": 5.0}
CLIPS = {
    "size": 32, "num_seq": 1, "seq_len": 8, "stride": 1, "batch_size": 8, "num_workers": 0,
    "min_clips": 0, "epochs": 1,
}  # fmt: skip
TINY = {
    **CLIPS, **FLOW, "dataset": "synthetic", "width": 0.02, "mixed": ("3b", "5b"), "dim": 8,
    "queue": 16, "bn_splits": 2, "topk": 2, "cycles": 1,
    "cycle_epochs": 2,
}  # fmt: skip
TUNE = {**CLIPS, **FLOW, "per_class": 2, "val_every": 1}


normal = nn.init.normal_


def settings(**changes: Any) -> CoCLRConfig:
    config = CoCLRConfig.preset("small").override({**TINY, "objective": "coclr"})
    return config.override({"modality": "flow", **changes})


def alone(config: CoCLRConfig, manifest: Manifest) -> Trained:
    """One stage by itself."""
    data = partial(clips_of, manifest, config)
    return train("coclr", partial(build, config), data, config, manifest.fingerprint, log=None)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Forty videos with flow."""
    root = tmp_path_factory.mktemp("data")
    compute_flow(tiny(root), FlowConfig("dis", 5.0), jobs=1, progress=False)
    return read_manifest("synthetic", root)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of runs for all tests, so that they find each other's."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def manifest(data: Manifest, runs: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    monkeypatch.setenv("THESISLIB_DATA", str(data.root.parent))
    monkeypatch.setenv("THESISLIB_RUNS", str(runs))
    # With the weights of the thesis a handful of steps leaves features of zero in evaluation mode.
    monkeypatch.setattr(nn.init, "normal_", lambda x, std: normal(x, std=max(std, 0.3)))
    return data


# ---- who learns when -------------------------------------------------------------------------

ONE_CYCLE = [
    Stage(0, "rgb"),
    Stage(0, "flow"),
    Stage(1, "rgb", start=0, sampler=1),
    Stage(1, "flow", start=1, sampler=2),
]
TWO_CYCLES = [
    *ONE_CYCLE,
    Stage(2, "rgb", start=2, sampler=3),
    Stage(2, "flow", start=3, sampler=4),
]


@pytest.mark.parametrize(
    ("cycles", "stream", "stages"),
    [
        (1, "flow", ONE_CYCLE),
        (1, "rgb", ONE_CYCLE[:3]),
        (2, "flow", TWO_CYCLES),
        (2, "rgb", TWO_CYCLES[:5]),
    ],
)
def test_the_order_of_the_stages(cycles: int, stream: str, stages: list[Stage]) -> None:
    assert plan(cycles, stream) == stages
    assert [stage.name for stage in stages[:3]] == ["InfoNCE, rgb", "InfoNCE, flow", "cycle 1, rgb"]


def test_both_streams_at_once_are_one_stage_for_all_cycles() -> None:
    for stream, start, sampler in (("rgb", 0, 1), ("flow", 1, 0)):
        stages = plan(2, stream, at_once=True)
        assert stages == [*ONE_CYCLE[:2], Stage(1, stream, start, sampler)]
        config = replace(CoCLRConfig.preset("paper"), objective="simultaneous", modality=stream)
        last = stage_config(config, stages[-1], ["a", "b"])
        assert last.objective == "simultaneous" and last.epochs == 200 and last.milestones == (160,)
        assert (last.init, last.sampler) == ("ab"[start], "ab"[sampler])
        assert stage_config(config, stages[0], []).objective == "infonce"


def test_settings_of_a_stage() -> None:
    config = replace(CoCLRConfig.preset("as_released"), objective="coclr", topk=50)
    rgb, _, first, _ = plan(1)
    start = stage_config(config, rgb, [])
    assert start.objective == "infonce" and start.modality == "rgb" and start.epochs == 300
    assert start.milestones == (250, 280) and not start.init and not start.sampler
    then = stage_config(config, first, ["a", "b"])
    assert then.objective == "coclr" and then.modality == "rgb" and then.epochs == 100
    assert then.milestones == (80,) and then.init == "a" and then.sampler == "b"
    assert then.topk == 50 and then.fill_first and then.siblings


@pytest.mark.parametrize(
    "changes",
    [
        {"topk": 1}, {"fill_first": True}, {"drop_self": 0.9}, {"siblings": True}, {"cycles": 3},
        {"cycle_epochs": 7}, {"modality": "rgb"},
    ],
)  # fmt: skip
def test_variations_of_the_cycles_share_their_initialisation(changes: dict[str, Any]) -> None:
    one, other = settings(), settings(**changes)
    for stage in plan(1)[:2]:
        assert stage_config(one, stage, []) == stage_config(other, stage, [])
    longer = settings(epochs=9)
    assert stage_config(one, plan(1)[0], []) != stage_config(longer, plan(1)[0], [])


# ---- the cycles ------------------------------------------------------------------------------


def test_cycles_end_with_the_numbers_of_an_undisturbed_run(
    manifest: Manifest, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, lines = settings(), []
    model, run, calm = cotrain(config, manifest, log=lines.append)
    assert [s["name"] for s in calm["stages"]] == [s.name for s in plan(1)]
    assert [s["epochs"] for s in calm["stages"]] == [1, 1, 2, 2]
    assert [s["stream"] for s in calm["stages"]] == ["rgb", "flow"] * 2
    assert calm["stages"][-1]["run"] == run.name and model.config.modality == "flow"
    assert {"train_r1", "train_precision", "pretext_loss"} <= calm["stages"][0]["metrics"].keys()
    assert ["precision" in s for s in calm["stages"]] == [False, False, True, True]
    total = sum(s["seconds"] for s in calm["stages"])
    assert calm["provenance"]["wall_seconds"] == pytest.approx(total, abs=0.1)

    # What each stage says it starts from is what it started from.
    names = [s["run"] for s in calm["stages"]]
    assert load_run(names[2])[1].init == names[0] and load_run(names[2])[1].sampler == names[1]
    assert load_run(names[3])[1].init == names[1] and load_run(names[3])[1].sampler == names[2]
    rgb, sampler = load_run(names[2])[0].pair.query, model.sampler
    assert all(map(torch.equal, rgb.state_dict().values(), sampler.state_dict().values()))

    # Killed after the first epoch of the third stage, and called again.
    monkeypatch.setenv("THESISLIB_RUNS", str(tmp_path))
    said: list[str] = []

    def until(line: str) -> None:
        said.append(line)
        third = any("cycle 1, rgb, stage 3 of 4, about" in one for one in said)
        if third and "epoch   1/2" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cotrain(config, manifest, log=until)
    again: list[str] = []
    _, other, rough = cotrain(config, manifest, log=again.append)
    trained = [line for line in again if "items" in line]
    assert [line.partition(":")[0] for line in trained] == names[2:], "two were found trained"
    assert other.name == run.name
    for one, two in zip(calm["stages"], rough["stages"], strict=True):
        assert one | {"seconds": 0} == two | {"seconds": 0}
    for name in names:
        for file in ("metrics.jsonl", "model/model.safetensors"):
            assert (runs / name / file).read_bytes() == (tmp_path / name / file).read_bytes()

    # All of it is found, none is trained; another K shares the two first runs.
    assert cotrain(config, manifest, log=again.append)[2] == rough
    assert len([line for line in again if "items" in line]) == 2
    _, _, fewer = cotrain(settings(topk=1, modality="rgb"), manifest, log=None)
    assert [s["run"] for s in fewer["stages"][:2]] == names[:2]
    assert fewer["stages"][2]["run"] != names[2] and len(fewer["stages"]) == 3


def test_hand_over_of_a_stage() -> None:
    """A new queue; query and key of the own stream's query; the other stream's query samples."""
    own, other = (build(settings(objective="infonce")) for _ in range(2))
    model = build(settings())
    for one in (own, other, model):
        for tensor in one.state_dict().values():  # nobody's query is his key
            if tensor.is_floating_point():
                tensor.normal_()
    own.queue.source.fill_(3)
    fresh = {k: v.clone() for k, v in model.queue.state_dict().items()}
    hand_over(model, own, other)
    for part, source in ((model.pair.query, own), (model.pair.key, own), (model.sampler, other)):
        pairs = zip(
            part.state_dict().values(), source.pair.query.state_dict().values(), strict=True
        )
        assert all(torch.equal(a, b) and a is not b for a, b in pairs)
    assert all(torch.equal(v, fresh[k]) for k, v in model.queue.state_dict().items())
    assert not model.queue.full


@pytest.mark.parametrize("modality", ["rgb", "flow"])
def test_hand_over_to_both_streams_at_once(modality: str) -> None:
    own, other = (build(settings(objective="infonce")) for _ in range(2))
    model = build(settings(objective="simultaneous", modality=modality))
    for one in (own, other, model):
        for tensor in one.parameters():
            nn.init.uniform_(tensor.data)
    hand_over(model, own, other)
    for stream, pair in model.pairs.items():
        expected = (own if stream == modality else other).pair.query.state_dict().values()
        for part in (pair.query, pair.key):
            assert all(map(torch.equal, part.state_dict().values(), expected))
    assert not model.queue.full


def test_no_weight_moves_before_the_queue_is_full(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THESISLIB_RUNS", str(tmp_path))
    for queue, waits in ((64, True), (16, False)):
        config = settings(objective="simultaneous", fill_first=True, queue=queue)
        model, run, _ = alone(config, manifest)
        torch.manual_seed(config.seed)
        before = build(config)
        for (name, one), two in zip(model.named_parameters(), before.parameters(), strict=True):
            if waits or ".query." in name:
                assert torch.allclose(one, two, atol=1e-6) == waits, name
        assert (run.metrics()[-1]["waiting"] == 1) == waits


def test_videos_without_labels(manifest: Manifest, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("THESISLIB_RUNS", str(tmp_path))
    bare = replace(manifest, videos=tuple(replace(v, label="") for v in manifest.videos))
    _, run, result = cotrain(settings(cycle_epochs=1, modality="rgb"), bare, log=None)
    for stage in result["stages"]:
        assert "precision" not in stage and "train_r1" not in stage["metrics"]
        assert np.isfinite(stage["metrics"]["pretext_loss"])
    assert np.isfinite(run.metrics()[-1]["loss"])
    with pytest.raises(ThesisError, match="UberNCE is an oracle"):
        alone(settings(objective="ubernce", modality="rgb"), bare)


def test_one_class_is_nothing_to_tell_apart(manifest: Manifest) -> None:
    one = replace(manifest, videos=tuple(replace(v, label="wave") for v in manifest.videos))
    half = replace(
        one,
        videos=tuple(replace(v, label="wave" if i % 2 else "") for i, v in enumerate(one.videos)),
    )
    for few in (one, half):
        assert monitor(None, few, settings()) == {}


def test_without_flow_nothing_is_trained(roots: Path) -> None:
    with pytest.raises(
        ThesisError, match=r"no optical flow: run `thesislib flow synthetic"
    ) as info:
        cotrain(settings(), tiny(roots / "data"), log=None)
    assert "\n" not in str(info.value)
    assert not list((roots / "runs").iterdir()), "not even the stage that needs no flow"


# ---- rows ------------------------------------------------------------------------------------


def row(name: str, **changes: Any) -> dict[str, Any]:
    changes = {**TINY, **changes}
    return run.run(Job(f"coclr/{name}", dataset="synthetic", changes=changes, tune=TUNE, log=None))


def test_a_row_of_one_stream_trains_as_long_as_the_cycles(manifest: Manifest) -> None:
    found = row("infonce-rgb")
    assert {"pretext_loss", "finetune_top1", "probe_top1", "retrieval_r1"} <= found[
        "metrics"
    ].keys()
    assert found["config"]["pretrain"]["epochs"] == 1 + 1 * 2
    assert len(load_run(found["source"])[2].metrics()) == 3
    assert len(found["hits"]["probe_top1"]) == found["videos"]["evaluated"]
    assert row("infonce-rgb") == found


def test_cross_entropy_learns_from_all_labels(manifest: Manifest, runs: Path) -> None:
    found = row("cross-entropy")
    assert found["source"] == "" and "probe_top1" not in found["metrics"]
    assert {"finetune_top1", "retrieval_r1", "retrieval_r5"} <= found["metrics"].keys()
    tuned = runs / found["tuned"]
    assert len((tuned / "metrics.jsonl").read_text().splitlines()) == 1 + 1 * 2


def cosines(test: PerVideo, train: PerVideo) -> dict[tuple[str, str], float]:
    """Of every test to every training video, each set centred, by loops."""
    rows = []
    for part in (test, train):
        values = part.values.astype(float) - part.values.astype(float).mean(0)
        assert len(np.unique(values.round(9), axis=0)) == len(values), "the test needs features"
        rows.append({n: v / np.sqrt((v**2).sum()) for n, v in zip(part.names, values, strict=True)})
    return {(a, b): float(x @ y) for a, x in rows[0].items() for b, y in rows[1].items()}


def test_two_streams_are_retrieved_by_the_sum_of_their_cosines(
    manifest: Manifest, runs: Path
) -> None:
    found = row("coclr-2stream")
    parts = [runs / part for part in found["parts"]]
    streams = [
        [load_rows(part / f"features-{split}.safetensors") for split in ("test", "train")]
        for part in parts
    ]
    tables = [cosines(*stream) for stream in streams]
    test, train = streams[0]
    label = dict(zip(train.names, train.labels, strict=True))
    for k in (1, 5):
        hits = []
        for name, own in zip(test.names, test.labels, strict=True):
            order = sorted(train.names, key=lambda n, q=name: -sum(t[q, n] for t in tables))
            hits.append(own in [label[n] for n in order[:k]])
        assert found["metrics"][f"retrieval_r{k}"] == pytest.approx(np.mean(hits))
        if k == 1:
            assert found["hits"]["retrieval_r1"] == "".join("01"[h] for h in hits)
    assert {"finetune_top1", "probe_top1"} <= found["metrics"].keys()
    rgb, flow = (row(f"coclr-{s}") for s in ("rgb", "flow"))
    assert [rgb["run"], flow["run"]] == found["parts"]
    names = [stage["run"] for stage in flow["checkpoints"]]
    assert [stage["run"] for stage in rgb["checkpoints"]] == names[:3], "the same stages"
    assert "precision_rgb_cycle1" in rgb["metrics"] and "precision_flow_cycle1" in flow["metrics"]


def test_settings_of_the_rows() -> None:
    alone = ("infonce-rgb", "infonce-flow", "uber-rgb", "cross-entropy", "cmc")
    others = ("random-rgb", "coclr-rgb", "coclr-flow", "coclr-rgb-k1", "coclr-rgb-sim")
    for name in alone + others:
        for profile in ("small", "gpu", "paper"):
            config = run.settings(Job(f"coclr/{name}", profile, "synthetic"))
            own = CoCLRConfig.preset(profile)
            long = own.epochs + own.cycles * own.cycle_epochs
            assert config.epochs == (long if name in alone else own.epochs), name
            if profile == "paper":
                assert config.milestones == ((450, 480) if name in alone else (250, 280)), name
    assert run.settings(Job("coclr/coclr-rgb-k50", "paper")).topk == 50
    assert run.settings(Job("coclr/coclr-flow", "paper")).flow == FlowConfig()
    assert run.settings(Job("coclr/cmc")).flow.algorithm == "tvl1_quick"
