"""What an epoch of prompt training on kept features costs: reading alone, and with its step.

    python benchmarks/features.py                 # 10,000 videos x 16 frames, two threads

Files of random features are written into a temporary folder, 60 to 300 rows each, one file a video.
An epoch reads a random clip of each in random order: every file is opened anew. The step is that of
``methods.clip_prompt`` with its small preset on a text tower of the small model's size, 16 classes;
as in ``train`` memory is kept from step to step. Writes ``features.json`` beside this file. The
clock says how long an epoch takes only where as many cores as threads are free.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from conditions import conditions
from thesislib.data.feature_clips import FeatureClips
from thesislib.data.features import FeatureStore, feature_file, write_features, write_note
from thesislib.data.loader import make_loader
from thesislib.data.manifest import Manifest, Video
from thesislib.processes import keep_memory

HERE = Path(__file__).parent
BATCH, CLASSES = 64, 16


def write_store(folder: Path, count: int, width: int) -> Manifest:
    """Random features of ``count`` videos in as many files."""
    settings = {"model": "random", "width": width, "rate": None, "dtype": "float16"}
    rng, videos = np.random.default_rng(0), []
    for i in range(count):
        name, length = f"{i % 100:02d}/{i:05d}.mp4", int(rng.integers(60, 300))
        rows = rng.standard_normal((length, width), np.float32)
        path = feature_file(folder, name)
        write_features(path, rows, np.arange(length) / 30, settings, name, "0" * 32)
        videos.append(Video(name, f"c{i % CLASSES:02d}", "train", name, length, 30.0, 64, 64))
    write_note(folder, {"dataset": "random", "settings": settings, "skipped": {}})
    return Manifest("random", folder, tuple(videos))


def prompt_step(width: int) -> Callable[[dict[str, Any]], object]:
    """One training step of chapter 5 at the sizes of the small model."""
    from thesislib.methods.clip_prompt import ClipPrompt, ClipPromptConfig
    from thesislib.pretrained.image_text.contrast import ContrastConfig
    from thesislib.torchvision_here import ensure_torchvision

    ensure_torchvision()
    import open_clip

    tower = open_clip.CLIP(**{**ContrastConfig().architecture(), "embed_dim": width})
    tokens = torch.zeros(CLASSES, 77, dtype=torch.long)
    tokens[:, :4], tokens[:, 4] = torch.randint(1, 2000, (CLASSES, 4)), 2559
    model = ClipPrompt(ClipPromptConfig.preset("small"), tower, tokens)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-3)

    def step(batch: dict[str, Any]) -> None:
        loss, _ = model(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def epoch(loader: Any, number: int, step: Callable[[dict[str, Any]], object]) -> dict[str, float]:
    """Seconds of one pass, of the processor and by the clock."""
    loader.sampler.set_epoch(number)
    clock, processor = time.perf_counter(), time.process_time()
    for batch in loader:
        step(batch)
    return {
        "processor_s": round(time.process_time() - processor, 2),
        "clock_s": round(time.perf_counter() - clock, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--videos", type=int, default=10_000)
    parser.add_argument("--width", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_memory()
    result: dict[str, Any] = {
        **conditions(),
        "videos": args.videos,
        "frames": 16,
    }
    for width in args.width:
        with tempfile.TemporaryDirectory() as folder:
            manifest = write_store(Path(folder), args.videos, width)
            clips = FeatureClips(manifest, FeatureStore(folder), train=True)
            loader = make_loader(clips, BATCH, shuffle=True)
            result[f"width_{width}"] = {
                "first_epoch_reading": epoch(loader, 0, lambda _: None),
                "epoch_reading": epoch(loader, 1, lambda _: None),
                "epoch_training": epoch(loader, 2, prompt_step(width)),
            }
    (HERE / "features.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
