"""Unintentional actions: xi, both protocols, and the row that asks for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from studio import SMALL, TUNE, tiny
from thesislib.chapters.memdpc.moments import (
    SurpriseClassifier,
    UnintentionalConfig,
    discrepancy,
    each_window,
    finetune,
    moment_scores,
    moments,
    probe,
)
from thesislib.chapters.row import Job
from thesislib.data.failures import read_failures, write_failures
from thesislib.data.manifest import Manifest
from thesislib.data.moments import KINDS, moment_windows
from thesislib.errors import ThesisError
from thesislib.evaluation.scores import PerVideo, load_rows
from thesislib.methods.dpc import DPC, DPCConfig
from thesislib.synthetic import World, prepare_oops
from thesislib.train import Trained

CHANGES = {**TUNE, "num_seq": 4, "per_class": 0, "min_clips": 1}
CONFIG = UnintentionalConfig.preset("small").override(CHANGES)  # windows of 12 frames
WORLD = World(actions=("wave", "squat"), actions_per_group=2)


@pytest.fixture(scope="module")
def oops(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return prepare_oops(
        "oops", tmp_path_factory.mktemp("data"), clips=20, world=WORLD, size=32, frames=48, jobs=1,
        progress=False,
    )  # fmt: skip


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
    rows = PerVideo(values, labels, np.array([0, 0, 1, 1, 2, 2]), {"total": 3, "used": 3})
    found = moment_scores(rows, np.array([2, 2, 0]), oops, "probe")
    assert found.metrics == {
        "oops_probe_top1": pytest.approx(4 / 6),
        "oops_probe_balanced": pytest.approx((2 / 3 + 1 + 1 / 2) / 3),
        "majority_top1": pytest.approx(2 / 6),
    }
    assert found.hits == {"oops_probe_top1": "101101"}
    tested = len(oops.select(split="test"))
    assert found.counts == {
        "intentional": 3, "transitional": 1, "unintentional": 2,
        "evaluated": 3, "skipped": tested - 3,
    }  # fmt: skip
    other = moment_scores(rows, np.array([0, 0, 1]), oops, "finetune")
    assert set(other.hits) == {"oops_finetune_top1"}
    assert other.metrics["majority_top1"] == pytest.approx(3 / 6)


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
    found = probe(Oracle(), oops, CONFIG)
    assert found.metrics["oops_probe_top1"] == found.metrics["oops_probe_balanced"] == 1.0
    test = oops.select(split="test")
    assert found.counts["evaluated"] == len(test) and found.counts["skipped"] == 0
    windows = moment_windows(test, CONFIG)
    hits = found.hits["oops_probe_top1"]
    assert sum(found.counts[kind] for kind in KINDS) == len(windows) == len(hits)


def test_each_window_has_a_row_and_a_name(oops: Manifest) -> None:
    test = oops.select(split="test")
    windows = moment_windows(test, CONFIG)
    model = Oracle()
    rows = each_window(
        lambda batch: discrepancy(*model.predicted_and_true(batch)), model, windows, CONFIG
    )
    names = [f"{test.videos[v].path}@{start}" for v, _, start in windows.windows]
    assert list(rows.names) == names
    assert rows.labels.tolist() == windows.labels()
    assert rows.videos.tolist() == [v for v, _, _ in windows.windows]
    # Guess less truth is one at the place of the label, in each of the two steps.
    distance = rows.values.reshape(len(names), 2, 3, 3)[:, :, 2]
    expected = np.eye(3)[rows.labels][:, None].repeat(2, 1)
    assert np.allclose(distance, expected, atol=1e-5)


def test_a_file_that_fails_lends_its_place_to_no_other_row(oops: Manifest, tmp_path: Path) -> None:
    test = oops.select(split="test")
    for video in test.videos:
        (tmp_path / video.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / video.path).write_bytes(test.file(video).read_bytes())
    broken = replace(test, root=tmp_path, info={})
    write_failures(broken, read_failures(test))
    (tmp_path / test.videos[1].path).write_bytes(b"no video")
    model = Oracle()

    def read(manifest: Manifest) -> PerVideo:
        function = lambda batch: discrepancy(*model.predicted_and_true(batch))  # noqa: E731
        return each_window(function, model, moment_windows(manifest, CONFIG), CONFIG)

    found, whole = read(broken), read(test)
    keep = whole.videos != 1
    assert found.names == tuple(np.array(whole.names)[keep])
    assert np.array_equal(found.values, whole.values[keep])
    assert found.report["failed"] == 1
    scores = moment_scores(replace(found, values=found.values[:, :3]), found.labels, oops, "probe")
    assert (scores.counts["evaluated"], scores.counts["skipped"]) == (len(test) - 1, 1)


def test_dpc_offers_what_both_protocols_need(oops: Manifest, roots: Path) -> None:
    model = DPC(DPCConfig.preset("small").override(SMALL))
    z = model.features(torch.randn(2, 4, 3, 3, 32, 32))
    guess, truth = model.predicted_and_true({"video": torch.randn(2, 4, 3, 3, 32, 32)})
    assert guess.shape == truth.shape == (2, 2, *z.shape[2:])
    before = {k: v.clone() for k, v in model.state_dict().items()}
    frozen = probe(model, oops, CONFIG)
    tuned = finetune(model, oops, CONFIG, name="oops", log=None)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    for found, name in ((frozen, "oops_probe_top1"), (tuned, "oops_finetune_top1")):
        (hits,) = found.hits.values()
        assert found.metrics[name] == pytest.approx(hits.count("1") / len(hits))
        assert found.counts["evaluated"] == 5
    assert frozen.runs == ()
    (run,) = tuned.runs
    kept = load_rows(roots / "runs" / run)
    assert kept.values.shape == (len(tuned.hits["oops_finetune_top1"]), 3)
    assert np.allclose(kept.values.sum(1), 1, atol=1e-5)
    stamp = (roots / "runs" / run / "checkpoint.safetensors").stat().st_mtime_ns
    assert finetune(model, oops, CONFIG, name="oops", log=None) == tuned
    assert (roots / "runs" / run / "checkpoint.safetensors").stat().st_mtime_ns == stamp


def test_probabilities_that_a_kill_cost_are_made_again(oops: Manifest, roots: Path) -> None:
    model = DPC(DPCConfig.preset("small").override(SMALL))
    tuned = finetune(model, oops, CONFIG, name="oops", log=None)
    file = roots / "runs" / tuned.runs[0] / "probabilities.safetensors"
    before = load_rows(file)
    file.unlink()
    assert finetune(model, oops, CONFIG, name="oops", log=None) == tuned
    assert np.allclose(load_rows(file).values, before.values, atol=1e-6)
    assert load_rows(file).names == before.names


def test_xi_is_as_wide_as_what_it_sees() -> None:
    model = DPC(DPCConfig.preset("small").override(SMALL))
    classifier = SurpriseClassifier(model, (4, 3, 3, 32, 32), 0.5)
    video = torch.randn(2, 4, 3, 3, 32, 32)
    seen = discrepancy(*model.eval().predicted_and_true({"video": video}))
    assert classifier.linear.in_features == seen.shape[1]
    assert classifier.predict({"video": video}).shape == (2, 3)
    assert classifier.model is not model, "a copy: the frozen network stays as it is"
    classifier.eval()  # without dropout
    logits, label = classifier.predict({"video": video}), torch.tensor([0, 2])
    loss, logs = classifier({"video": video, "label": label})
    assert torch.allclose(loss, nn.functional.cross_entropy(logits, label))
    assert float(logs["top1"]) == float((logits.argmax(1) == label).float().mean())


def test_videos_without_a_moment_are_counted(oops: Manifest, tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    known = read_failures(oops)
    lost = next(v.path for v in oops.videos if v.split == "test")
    elsewhere = replace(
        oops,
        root=tmp_path,
        info={},
        videos=tuple(replace(v, path=str(oops.root / v.path)) for v in oops.videos),
    )
    kept = {str(oops.root / p): frame for p, frame in known.items() if p != lost}
    write_failures(elsewhere, kept)
    found = probe(Oracle(), elsewhere, CONFIG)
    assert (found.counts["evaluated"], found.counts["skipped"]) == (4, 1)
    with pytest.raises(ThesisError, match="does not say when its actions fail"):
        probe(Oracle(), replace(oops, root=tmp_path / "test"), CONFIG)


def test_presets() -> None:
    paper = UnintentionalConfig.preset("paper")
    assert (paper.dataset, paper.num_seq, paper.seq_len, paper.stride) == ("oops", 8, 5, 3)
    assert UnintentionalConfig.preset("small").dataset == "synthetic_oops"


def test_a_row_is_judged_by_both(roots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set of a small run is the studio's own failures, beside the one of pre-training."""
    tiny(roots / "data")
    prepare_oops(
        "synthetic_oops", roots / "data", clips=20, world=WORLD, size=32, frames=48, jobs=1,
        progress=False,
    )  # fmt: skip
    model = DPC(DPCConfig.preset("small").override(SMALL))
    short = UnintentionalConfig.preset("small").override(CHANGES)
    monkeypatch.setattr(UnintentionalConfig, "preset", lambda profile: short)
    job = Job("dpc/random", dataset="synthetic", seed=3, changes=SMALL, log=None)
    found = moments(job, Trained(model, None, {}))
    assert set(found.metrics) == {
        "oops_probe_top1", "oops_probe_balanced", "oops_finetune_top1", "oops_finetune_balanced",
        "majority_top1",
    }  # fmt: skip
    assert set(found.hits) == {"oops_probe_top1", "oops_finetune_top1"}
    assert found.counts["evaluated"] == 5 and found.counts["skipped"] == 0
    (run,) = found.runs
    assert run.startswith("dpc_oops-small-synthetic_oops-s3-")
