"""Intentional, transitional, unintentional: labels of windows, xi, both protocols."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from studio import SMALL, TUNE
from thesislib.data.failures import read_failures, write_failures
from thesislib.data.manifest import Manifest
from thesislib.errors import ThesisError
from thesislib.evaluation.features import Features
from thesislib.evaluation.fusion import load_probabilities
from thesislib.evaluation.unintentional import (
    KINDS,
    UnintentionalConfig,
    discrepancy,
    kind_of,
    moment_clips,
    moment_scores,
    moment_windows,
    unintentional_finetune,
    unintentional_probe,
)
from thesislib.methods.dpc import DPC, DPCConfig
from thesislib.synthetic import World, prepare_oops

CHANGES = {**TUNE, "num_seq": 4, "per_class": 0, "min_clips": 1}
CONFIG = UnintentionalConfig.preset("small").override(CHANGES)  # windows of 12 frames


@pytest.fixture(scope="module")
def oops(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    world = World(actions=("wave", "squat"), actions_per_group=2)
    return prepare_oops(
        "oops", tmp_path_factory.mktemp("data"), clips=20, world=world, size=32, frames=48, jobs=1,
        progress=False,
    )  # fmt: skip


def test_a_window_is_named_by_its_frames() -> None:
    for failure in range(40):
        for start in range(30):
            frames = range(start, start + 12)
            if failure in frames:
                kind = "transitional"
            else:
                kind = "intentional" if max(frames) < failure else "unintentional"
            assert KINDS[kind_of(start, 12, failure)] == kind


def test_windows_and_clips_carry_the_kind(oops: Manifest) -> None:
    moments = read_failures(oops)
    windows = moment_windows(oops, CONFIG)
    seen = set()
    for i in range(len(windows)):
        number, window, start = windows.windows[i]
        video = oops.videos[number]
        label = windows.label(video, start)
        assert label == kind_of(start, 12, moments[video.path])
        seen.add(label)
        if i % 7 == 0:
            item = windows[i]
            assert (int(item["index"]), int(item["window"])) == (number, window)
            assert int(item["label"]) == label
    assert seen == {0, 1, 2}
    clips = moment_clips(oops, CONFIG)
    labels = [int(clips[epoch, i]["label"]) for epoch in range(3) for i in range(len(clips))]
    assert min(np.bincount(labels, minlength=3)) > 5, "random places show all kinds"


def test_xi_sees_guess_truth_and_distance_of_each_step() -> None:
    guess, truth = torch.randn(2, 3, 4, 2, 2), torch.randn(2, 3, 4, 2, 2)
    found = discrepancy(guess, truth)
    for b in range(2):
        row = []
        for p in range(3):
            for part in (guess, truth, (guess - truth).abs()):
                row += [float(part[b, p, d].sum()) / 4 for d in range(4)]
        assert found[b].tolist() == pytest.approx(row, abs=1e-6)


def test_scores_equal_a_naive_count(oops: Manifest) -> None:
    labels = np.array([0, 0, 0, 1, 2, 2])
    values = np.eye(3, dtype=np.float32)[[0, 1, 0, 1, 1, 2]]
    rows = Features(values, labels, np.array([0, 0, 1, 1, 2, 2]), {"total": 3, "used": 3})
    found = moment_scores(rows, np.array([2, 2, 0]), oops)
    assert found == {
        "balanced_top1": pytest.approx((2 / 3 + 1 + 1 / 2) / 3),
        "majority_top1": pytest.approx(2 / 6),
        "windows": {"intentional": 3, "transitional": 1, "unintentional": 2},
        "hits": "101101",
        "evaluated": 3,
        "skipped": 17,
    }


class Oracle(nn.Module):
    """Its guess is off by what the label says."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def predicted_and_true(
        self, batch: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        truth = batch["video"].mean((1, 2, 3, 4, 5)).view(-1, 1, 1, 1, 1).expand(-1, 2, 1, 2, 2)
        label = batch["label"].view(-1, 1, 1, 1, 1)
        return truth + torch.eye(3)[label.flatten()].view(-1, 1, 3, 1, 1), truth.expand(
            -1, 2, 3, 2, 2
        )


def test_a_telling_surprise_is_read(oops: Manifest) -> None:
    found = unintentional_probe(Oracle(), oops, CONFIG)
    assert found["oops_probe_top1"] == found["balanced_top1"] == 1.0
    test = oops.select(split="test")
    assert found["evaluated"] == len(test) and found["skipped"] == 0
    windows = moment_windows(test, CONFIG)
    assert sum(found["windows"].values()) == len(windows) == len(found["hits"])
    names = [f"{test.videos[v].path}@{start}" for v, _, start in windows.windows]
    assert list(found["probabilities"].names) == names


def test_dpc_offers_what_both_protocols_need(oops: Manifest, roots: Path) -> None:
    model = DPC(DPCConfig.preset("small").override(SMALL))
    z = model.features(torch.randn(2, 4, 3, 3, 32, 32))
    guess, truth = model.predicted_and_true({"video": torch.randn(2, 4, 3, 3, 32, 32)})
    assert guess.shape == truth.shape == (2, 2, *z.shape[2:])
    before = {k: v.clone() for k, v in model.state_dict().items()}
    probe = unintentional_probe(model, oops, CONFIG)
    tuned = unintentional_finetune(model, oops, CONFIG, method="oops", log=None)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    for found, name in ((probe, "oops_probe_top1"), (tuned, "oops_finetune_top1")):
        assert found[name] == pytest.approx(found["hits"].count("1") / len(found["hits"]))
        assert found["evaluated"] == 5
    kept = load_probabilities(roots / "runs" / tuned["run"])
    assert kept.values.shape == (len(tuned["hits"]), 3)
    assert unintentional_finetune(model, oops, CONFIG, method="oops", log=None) == tuned


def test_videos_without_a_moment_are_counted(oops: Manifest, tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    moments = read_failures(oops)
    lost = next(v.path for v in oops.videos if v.split == "test")
    elsewhere = replace(
        oops,
        root=tmp_path,
        videos=tuple(replace(v, path=str(oops.root / v.path)) for v in oops.videos),
    )
    kept = {str(oops.root / p): frame for p, frame in moments.items() if p != lost}
    write_failures(elsewhere, kept)
    found = unintentional_probe(Oracle(), elsewhere, CONFIG)
    assert (found["evaluated"], found["skipped"]) == (4, 1)
    with pytest.raises(ThesisError, match="does not say when its actions fail"):
        unintentional_probe(Oracle(), replace(oops, root=tmp_path / "test"), CONFIG)


def test_presets() -> None:
    paper = UnintentionalConfig.preset("paper")
    assert (paper.dataset, paper.num_seq, paper.seq_len, paper.stride) == ("oops", 8, 5, 3)
    assert UnintentionalConfig.preset("small").dataset == "synthetic_oops"
