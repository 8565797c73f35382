"""Chapter 5's recognition rows on a tiny captioned data set and a tiny model of random weights."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import studio
from thesislib import published
from thesislib.chapters import run
from thesislib.chapters.clip_prompt import claims, few_shot, frames, lists, recognition, sceptic
from thesislib.chapters.clip_prompt.rows import ROWS
from thesislib.chapters.row import Job
from thesislib.data.manifest import Manifest, read_manifest
from thesislib.errors import ThesisError
from thesislib.evaluation.scores import PROBABILITIES, PerVideo, load_rows
from thesislib.methods.clip_prompt import ClipPrompt, ClipPromptConfig
from thesislib.synthetic import PAIRS, World, prepare_captions
from thesislib.torchvision_here import ensure_torchvision

ensure_torchvision()
pytest.importorskip("open_clip")

ACTIONS = ("sit_down", "stand_up", "raise_arms", "lower_arms", "wave", "squat")
VISION = {"layers": [1, 1, 1, 1], "width": 4, "image_size": 32, "head_width": 8}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
MODEL = {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": TEXT}
SETTINGS: dict[str, Any] = {
    "weights": "random", "epochs": 2, "batch_size": 8, "frames": 4, "strides": (1, 2), "warmup": 0,
    "test_clips": 2, "most_classes": 6, "heads": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("chapter5")
    (root / "tiny.json").write_text(json.dumps(MODEL))
    paper = ClipPromptConfig.preset("paper")
    small = ClipPromptConfig.preset("small").override(
        {"model": str(root / "tiny.json"), **SETTINGS}
    )
    with pytest.MonkeyPatch.context() as patch:
        studio.use_folders(patch, root)
        patch.setattr(
            ClipPromptConfig, "preset", staticmethod({"small": small, "paper": paper}.get)
        )
        patch.setattr(lists, "TRIALS", {5: 3, None: 2})
        patch.setattr(lists, "DRAWS", 2)
        world = World(actions=ACTIONS, actions_per_group=6, split=(0.6, 0.1, 0.3))
        prepare_captions(root=root / "data", clips=100, world=world, size=32, frames=8, jobs=1,
                         progress=False)  # fmt: skip
        yield root


def job(row: str, **more: Any) -> Job:
    return Job(f"clip_prompt/{row}", **{"log": None, **more})


def test_prepared(tiny: Path) -> None:
    for row in ROWS:
        print(row, run.run(job(row.partition("/")[2]))["metrics"])
