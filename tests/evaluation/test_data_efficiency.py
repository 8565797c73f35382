"""Shares of the labels: nested, balanced, rounded as stated; and what is trained on them."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio import SMALL, TUNE, tiny
from thesislib.chapters.clips import SHARES
from thesislib.chapters.row import Job
from thesislib.chapters.run import run
from thesislib.checkpoint import RunFolder
from thesislib.data.manifest import Manifest, Video
from thesislib.errors import ThesisError
from thesislib.evaluation.finetune import FinetuneConfig
from thesislib.evaluation.scores import load_rows


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
    assert SHARES == (0.1, 0.2, 0.5, 1.0)
    parts = [manifest.with_labels(share, seed=1) for share in SHARES]
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
    other = manifest.with_labels(0.1, seed=2)
    assert paths(other) != paths(parts[0]), "the seed draws"


def test_every_share_is_a_data_set_of_its_own() -> None:
    manifest = listed(a=10, b=10)
    few, half, whole = (manifest.with_labels(share) for share in (0.1, 0.5, 1.0))
    assert [len(paths(part)) for part in (few, half, whole)] == [2, 10, 20]
    assert len({part.fingerprint for part in (few, half, whole)}) == 3
    assert whole.fingerprint == manifest.fingerprint


@pytest.mark.parametrize(("share", "message"), [(0.0, "above 0"), (1.5, "at most 1")])
def test_bad_shares_get_a_sentence(share: float, message: str) -> None:
    with pytest.raises(ThesisError, match=message):
        listed(a=4, b=4).with_labels(share)


def tuned(roots: Path) -> list[Path]:
    """The runs of fine-tuning."""
    return sorted((roots / "runs").glob("dpc_finetune-*"))


def settings(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


def test_every_share_is_fine_tuned_and_keeps_its_probabilities(roots: Path) -> None:
    manifest = tiny(roots / "data")
    tune = {**TUNE, "per_class": 0, "min_clips": 1, "windows": 1}
    lines: list[str] = []
    job = Job(
        "dpc/5pred3", dataset="synthetic", changes=SMALL, tune=tune, more=("efficiency",),
        log=lines.append,
    )  # fmt: skip
    found = run(job)
    told = [line for line in lines if "of the labels" in line]
    assert told == [  # six videos a class: 0.6 and 1.2 of them are one
        "10% of the labels: 4 videos", "20% of the labels: 4 videos",
        "50% of the labels: 12 videos", "100% of the labels: 24 videos",
    ]  # fmt: skip
    # The same labels are the same run: of 10 and 20 %, and of all and the row's own fine-tuning.
    folders = tuned(roots)
    assert len(folders) == 3
    assert len({settings(folder)["source"] for folder in folders}) == 1, "the same weights"
    config = FinetuneConfig.from_dict(settings(folders[0]))
    assert config.source == found["source"] and config.per_class == 0
    test = manifest.select(split="test")
    for share in SHARES:
        part = manifest.with_labels(share, config.seed)
        folder = RunFolder.open("dpc_finetune", config, part.fingerprint)
        assert folder.path in folders
        kept = load_rows(folder.path)
        assert list(kept.names) == [v.path for v in test.videos]
        assert np.allclose(kept.values.sum(1), 1, atol=1e-5)
        right = kept.values.argmax(1) == kept.labels
        name = f"finetune_top1_{round(100 * share)}"
        assert found["metrics"][name] == pytest.approx(right.mean())
        assert found["hits"][name] == "".join("01"[int(r)] for r in right)
    assert found["videos"] == {"evaluated": len(test), "skipped": 0}
    assert found["metrics"]["finetune_top1_100"] == found["metrics"]["finetune_top1"]
    assert found["tuned"] == RunFolder.open("dpc_finetune", config, manifest.fingerprint).name

    stamps = [(folder / "checkpoint.safetensors").stat().st_mtime_ns for folder in folders]
    (roots / "runs" / found["run"] / "result.json").unlink()
    again = run(job)
    assert (again["metrics"], again["hits"]) == (found["metrics"], found["hits"])
    assert tuned(roots) == folders
    assert [(f / "checkpoint.safetensors").stat().st_mtime_ns for f in folders] == stamps


def test_shares_have_all_their_labels_and_the_steps_of_the_preset(roots: Path) -> None:
    """Fine-tuning bounds labels and steps by ``per_class``; a share bounds the labels itself."""
    tiny(roots / "data")
    tune = {**TUNE, "epochs": 6, "milestones": (3, 5), "windows": 1}  # two videos a class
    found = run(
        Job("dpc/random", dataset="synthetic", changes=SMALL, tune=tune, more=("efficiency",),
            log=None)
    )  # fmt: skip
    names = ("per_class", "epochs", "milestones", "val_every")
    seen = [tuple(map(str, map(settings(folder).get, names))) for folder in tuned(roots)]
    # Eight videos of the preset: 4 are fewer, 12 and 24 get two thirds and a third of the epochs.
    assert sorted(seen) == [
        ("0", "2", "[1, 2]", "2"), ("0", "4", "[2, 3]", "4"), ("0", "6", "[3, 5]", "6"),
        ("2", "6", "[3, 5]", "40"),
    ]  # fmt: skip
    assert {name for name in found["metrics"] if name.startswith("finetune_top1")} == {
        "finetune_top1", *(f"finetune_top1_{share}" for share in (10, 20, 50, 100)),
    }  # fmt: skip


def test_a_protocol_that_the_row_does_not_know_is_refused(roots: Path) -> None:
    tiny(roots / "data")
    job = Job("dpc/random", dataset="synthetic", changes=SMALL, more=("efficient",), log=None)
    with pytest.raises(ThesisError, match="There is no protocol 'efficient': did you mean"):
        run(job)
