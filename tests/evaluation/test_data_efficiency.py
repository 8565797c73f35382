"""Shares of the labels: nested, balanced, rounded as stated."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from studio import SMALL, TUNE, tiny
from thesislib.data.manifest import Manifest, Video
from thesislib.errors import ThesisError
from thesislib.evaluation.data_efficiency import data_efficiency, with_labels
from thesislib.evaluation.finetune import FinetuneConfig
from thesislib.evaluation.fusion import load_probabilities
from thesislib.methods.dpc import DPC, DPCConfig

CONFIG = replace(FinetuneConfig.preset("small"), per_class=0)


def listed(**counts: int) -> Manifest:
    """So many training videos of each class, and two test videos of each."""
    videos = [
        Video(f"{split}/{label}/{i}.mp4", label, split, "g", 30, 30.0, 32, 32)
        for label, n in counts.items()
        for split, m in (("train", n), ("test", 2))
        for i in range(m)
    ]
    return Manifest("listed", Path("/nowhere"), tuple(videos))


def paths(manifest: Manifest, split: str = "train") -> set[str]:
    return {v.path for v in manifest.videos if v.split == split}


def test_subsets_are_balanced_nested_and_rounded_half_up() -> None:
    manifest = listed(a=40, b=15, c=3)
    parts = [with_labels(manifest, share, seed=1) for share in (0.1, 0.2, 0.5, 1.0)]
    counts = [Counter(v.label for v in p.videos if v.split == "train") for p in parts]
    assert counts == [
        {"a": 4, "b": 2, "c": 1},  # 4.0, 1.5, 0.3: half goes up, and one at least
        {"a": 8, "b": 3, "c": 1},
        {"a": 20, "b": 8, "c": 2},  # 7.5 and 1.5
        {"a": 40, "b": 15, "c": 3},
    ]
    for few, more in itertools.pairwise(parts):
        assert paths(few) < paths(more)
    assert all(paths(p, "test") == paths(manifest, "test") for p in parts)
    assert all(p.classes == ("a", "b", "c") for p in parts)
    other = with_labels(manifest, 0.1, seed=2)
    assert paths(other) != paths(parts[0]), "the seed draws"


def test_any_protocol_can_be_scored() -> None:
    seen = []

    def score(part: Manifest) -> dict[str, float]:
        seen.append(part)
        return {"probe_top1": 0.5}

    found = data_efficiency(
        None, listed(a=10, b=10), CONFIG, method="x", shares=(0.1, 0.5), score=score, log=None
    )
    assert found["data_efficiency"] == [
        {"share": 0.1, "labels": 2, "probe_top1": 0.5},
        {"share": 0.5, "labels": 10, "probe_top1": 0.5},
    ]
    assert seen[0].fingerprint != seen[1].fingerprint


@pytest.mark.parametrize(
    ("shares", "config", "message"),
    [
        ((0.0,), CONFIG, "above 0"),
        ((1.5,), CONFIG, "at most 1"),
        ((), CONFIG, "No share"),
        ((0.5,), replace(CONFIG, per_class=3), "set per_class=0"),
    ],
)
def test_bad_shares_get_a_sentence(
    shares: tuple[float, ...], config: FinetuneConfig, message: str
) -> None:
    with pytest.raises(ThesisError, match=message):
        data_efficiency(None, listed(a=4, b=4), config, method="x", shares=shares, log=None)


def test_fine_tuning_is_the_default_and_keeps_its_probabilities(roots: Path) -> None:
    manifest = tiny(roots / "data")
    model = DPC(DPCConfig.preset("small").override(SMALL))
    config = CONFIG.override({**TUNE, "per_class": 0, "min_clips": 1, "windows": 1})
    found = data_efficiency(
        model, manifest, config, method="dpc_finetune", shares=(0.25, 1.0), log=None
    )
    rows = found["data_efficiency"]
    assert [row["share"] for row in rows] == [0.25, 1.0]
    assert rows[0]["labels"] < rows[1]["labels"] == 24
    assert rows[0]["run"] != rows[1]["run"]
    test = manifest.select(split="test")
    for row in rows:
        kept = load_probabilities(roots / "runs" / row["run"])
        assert list(kept.names) == [v.path for v in test.videos]
        assert np.allclose(kept.values.sum(1), 1, atol=1e-5)
        hits = kept.values.argmax(1) == kept.labels
        assert row["finetune_top1"] == pytest.approx(hits.mean())
        assert row["evaluated"] == len(test) and row["skipped"] == 0
    again = data_efficiency(
        model, manifest, config, method="dpc_finetune", shares=(0.25, 1.0), log=None
    )
    assert again == found, "finished runs are found"
