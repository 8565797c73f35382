"""Made-up narrated videos: features a second, and sentences late, early, or of nothing seen."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import prompting
from thesislib.chapters import frame_features
from thesislib.data.manifest import Manifest
from thesislib.data.narrations import UNSEEN, Alignment, Narration, write_narrations
from thesislib.data.segments import write_segments

STEPS = ("pour", "stir", "cut", "serve", "taste", "wash")
DIM, SECONDS, LASTS = 12, 90, 8
SPLIT = {"train": range(8), "val": range(8, 10), "test": range(10, 14)}


def _drawn(text: str) -> np.ndarray:
    return np.random.default_rng(zlib.crc32(text.encode())).standard_normal(DIM)


class Encoder:
    """A frozen model whose sentences lie near the step that they name."""

    name = "made-up"
    weights_hash = "0123456789abcdef"
    width = DIM

    def describe(self) -> dict[str, Any]:
        return {"model": self.name, "weights_hash": self.weights_hash, "width": DIM}

    def encode_texts(self, texts: Sequence[str], batch_size: int = 256) -> torch.Tensor:
        rows = []
        for text in texts:
            named = [_drawn(step) for step in STEPS if step in text.split()]
            rows.append(sum(named) + 0.3 * _drawn(text))
        return torch.tensor(np.array(rows), dtype=torch.float32)


def video(number: int) -> tuple[np.ndarray, list[tuple[float, float, str]]]:
    """Features ``(90, 12)`` and what is shown when: four steps, ten seconds apart."""
    rng = np.random.default_rng(number)
    names = [str(name) for name in rng.permutation(STEPS)[:4]]
    shown = [(4.0 + 20 * i, 4.0 + 20 * i + LASTS, name) for i, name in enumerate(names)]
    features = 0.5 * rng.standard_normal((SECONDS, DIM)) + 0.3 * _drawn(f"room {number}")
    for start, end, name in shown:
        features[int(start) : int(end)] += 1.2 * _drawn(name)
    return features, shown


def said(number: int) -> tuple[list[Narration], list[Alignment]]:
    """Of each step a sentence, some seconds off; chatter, and the mention of another step."""
    rng, (_, shown) = np.random.default_rng([number, 1]), video(number)
    found = []
    for start, end, name in shown:
        off = float(rng.choice([-5, 0, 0, 3, 6]))
        heard = Narration(max(0.0, start + off), end + off, f"{name} it {int(rng.integers(3))}")
        found.append((heard, Alignment(True, start, end, "shown")))
    absent = next(name for name in STEPS if name not in {name for *_, name in shown})
    found.append((Narration(14.2, 17.7, f"never {absent}"), UNSEEN._replace(kind="mentioned")))
    found.append((Narration(54.0, 57.0, f"hello {number}"), UNSEEN._replace(kind="chatter")))
    found.sort(key=lambda pair: pair[0].start)
    return [heard for heard, _ in found], [seen for _, seen in found]


def make(root: Path, patch: pytest.MonkeyPatch) -> Manifest:
    """``synthetic_narrated`` of fourteen such videos, one of which has no features."""
    videos = {f"{split}/{n}.mp4": n for split, some in SPLIT.items() for n in some}
    splits = {path: path.partition("/")[0] for path in videos} | {"train/broken.mp4": "train"}
    manifest = prompting.listed(root, "synthetic_narrated", splits, {"step_texts": {}})
    write_segments(manifest, {path: video(n)[1] for path, n in videos.items()})
    told = {path: said(n) for path, n in videos.items()}
    told["train/broken.mp4"] = told["train/0.mp4"]
    write_narrations(
        manifest, {p: one[0] for p, one in told.items()}, {p: one[1] for p, one in told.items()}
    )
    prompting.written(manifest)
    prompting.given_features(
        patch, {path: (video(n)[0], np.arange(float(SECONDS))) for path, n in videos.items()}
    )
    encoder = Encoder()
    patch.setattr(frame_features, "encoder", lambda model, weights="", seed=0: encoder)
    return manifest
