"""What the simplest readers of a data set reach: is the world neither trivial nor hopeless?

A sceptic asks whether colour gives the action away, or one frame. Each answer is a row of the
ledger like any other, so that the data page shows measured numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from thesislib.checkpoint import RunFolder, provenance
from thesislib.config import RunConfig, choose
from thesislib.data.manifest import Manifest
from thesislib.data.transforms import denormalise
from thesislib.evaluation.features import Features, extract
from thesislib.evaluation.finetune import FinetuneConfig, clips, finetune
from thesislib.evaluation.linear_probe import linear_probe
from thesislib.evaluation.retrieval import retrieval
from thesislib.methods.dpc import DPC, DPCConfig
from thesislib.train import seed_everything

NAMES = {
    "chance": "chance",
    "colour": "mean colour of a clip, linear classifier",
    "pixels": "nearest neighbour on pixels",
    "random": "random weights, linear probe",
    "frame": "supervised, one frame, all labels",
    "clip": "supervised, clips, all labels",
}
TRAINED = ("frame", "clip")


def baselines(
    manifest: Manifest,
    *,
    seed: int = 0,
    supervised: bool = False,
    log: Callable[[str], None] | None = print,
) -> dict[str, float]:
    """Top-1 on the test split of every reader, in ``[0, 1]``; the trained two only if asked for."""
    names = [n for n in NAMES if supervised or n not in TRAINED]
    return {name: baseline(name, manifest, seed=seed, log=log)["metrics"]["top1"] for name in names}


def baseline(
    name: str,
    manifest: Manifest,
    *,
    seed: int = 0,
    log: Callable[[str], None] | None = print,
) -> dict[str, Any]:
    """One reader as a finished run; see :data:`NAMES`.

    Returns:
        The content of its ``result.json``: ``metrics.top1``, ``hits``, provenance.
    """
    choose("baseline", name, NAMES)
    config = replace(DPCConfig.preset("small"), dataset=manifest.name, seed=seed)
    run = RunFolder.open(f"baseline-{name}", config, manifest.fingerprint)
    if run.finished:
        return run.result()
    begun = time.time()
    hits = ""
    if name == "chance":
        top1 = 1 / len(manifest.classes)
    elif name in TRAINED:
        top1, hits = _supervised(name, manifest, config, log)
    else:
        train, test = (_describe(name, manifest.select(split=s), config) for s in ("train", "test"))
        if name == "pixels":
            found = retrieval(test, train, (1,))
            top1, hits = found["retrieval_r1"], found["hits"]
        else:
            found = linear_probe(train, test)
            top1, hits = found["probe_top1"], found["hits"]
    result = {
        "row": f"baseline/{name}",
        "run": run.name,
        "name": NAMES[name],
        "method": "baseline",
        "profile": "small",
        "dataset": manifest.name,
        "seed": seed,
        "metrics": {"top1": top1},
        "hits": {"top1": hits} if hits else {},
        "config": config.to_dict(),
        "config_hash": config.hash(),
        "provenance": provenance(begun, manifest.fingerprint, time.time() - begun),
    }
    run.finish(result)
    return result


def _supervised(
    name: str, manifest: Manifest, config: DPCConfig, log: Callable[[str], None] | None
) -> tuple[float, str]:
    """The small network trained on all labels: on single frames, or on clips."""
    tuning = FinetuneConfig.preset("small").override(
        {"dataset": manifest.name, "seed": config.seed, "per_class": 0, "source": name}
    )
    # All labels make an epoch six times as long, so fewer of them are more steps than a row has.
    tuning = replace(tuning, epochs=12, milestones=(8, 11), val_every=12)
    if name == "frame":
        # One frame a clip: the same network, with nothing that moves.
        tuning = replace(tuning, num_seq=1, seq_len=1, windows=1)
    seed_everything(config.seed)
    classifier = DPC(config).classifier(len(manifest.classes), tuning.dropout)
    result = finetune(classifier, manifest, tuning, method=f"baseline_{name}", log=log)
    return result["finetune_top1"], result["hits"]


def _describe(name: str, manifest: Manifest, config: DPCConfig) -> Features:
    if name == "random":
        seed_everything(config.seed)
        return extract(DPC(config), manifest, config)
    colour = name == "colour"
    return pixel_features(manifest, config, _mean_colour if colour else _thumbnails)


def pixel_features(
    manifest: Manifest, config: RunConfig, function: Callable[[NDArray[np.uint8]], Any]
) -> Features:
    """``function`` of the middle clip ``(L, H, W, 3)`` of every video, without a network."""
    dataset = clips(manifest, replace(config, views=1), train=False)
    rows, labels, videos = [], [], []
    for i in range(len(dataset)):
        item = dataset[i]
        frames = denormalise(item["video"])  # (N, T, H, W, 3)
        rows.append(function(frames.reshape(-1, *frames.shape[2:])))
        labels.append(int(item["label"]))
        videos.append(int(item["index"]))
    return Features(
        np.stack(rows).astype(np.float32), np.array(labels), np.array(videos), dataset.report
    )


def _mean_colour(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean and spread of each channel over the clip."""
    pixels = frames.reshape(-1, 3).astype(np.float32)
    return np.concatenate([pixels.mean(0), pixels.std(0)])


def _thumbnails(frames: NDArray[np.uint8], side: int = 16, count: int = 8) -> NDArray[np.float32]:
    """Evenly spaced frames, 16 x 16, in grey."""
    picks = frames[np.linspace(0, len(frames) - 1, count).round().astype(int)]
    small = [
        cv2.resize(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), (side, side), interpolation=cv2.INTER_AREA)
        for f in picks
    ]
    return np.concatenate([s.reshape(-1) for s in small]).astype(np.float32)
