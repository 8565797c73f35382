"""How action classification is judged (thesis 6.5.1, Tables 6.1 and 6.2), and what it costs."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from thesislib.chapters import run
from thesislib.chapters.row import Job
from thesislib.chapters.turbo.actions import Actions, classify, given, read
from thesislib.checkpoint import load_state
from thesislib.config import FULL_SCALE
from thesislib.data.loader import make_loader
from thesislib.evaluation.linear_probe import linear_probe
from thesislib.evaluation.scores import PROBABILITIES, Scores, accuracy, save_rows
from thesislib.methods.turbo import Turbo
from thesislib.methods.turbo_config import TurboConfig, gflops
from thesislib.nn.classifier import joined
from thesislib.train import Trained

DROPPED = {"top1_m90": 0.9, "top1_m75": 0.75, "top1_m50": 0.5, "top1_m0": 0.0}  # at test time
SAMPLES = 10  # draws of tokens, where a job asks for them
BATCHES = 20  # in which tokens are counted, where their number follows the video


def judge(job: Job, trained: Trained, split: str = "test") -> Scores:
    """Top-1 with four shares of tokens dropped at test time, and what training has cost.

    ``top1`` and the probabilities that stay in the run folder are of all tokens. Where what repeats
    is dropped by a threshold, ``top1_runs`` drops it at test time too.
    """
    found, config = given(job)
    by_change = config.masking == "runs" and config.run_threshold > 0
    ratios = {"top1_runs": config.mask_ratio, "top1_m0": 0.0} if by_change else DROPPED
    rows = classify(trained.model, found, config, split, ratios)
    scores = Scores()
    for name, one in rows.items():
        scores |= accuracy(one, name)
    if split == "test":
        save_rows(run.folder(job).path / PROBABILITIES, rows["top1_m0"])
    scores |= also(scores, "top1_m0", "top1") | cost(trained, found, config)
    return scores | along(trained, found, config, scores) if job.stages else scores


def cost(trained: Trained, found: Actions, config: TurboConfig) -> Scores:
    """Operations of a training clip in 10^9, and seconds of all training.

    Seconds are the processor's, which other processes on the machine do not lengthen; with a GPU,
    those of the clock.
    """
    if config.masking == "runs" and config.run_threshold > 0:
        config = replace(config, mask_ratio=dropped(trained.model, found, config))
    # The table's numbers have all tokens embedded.
    counted = replace(config, embed_all=config.embed_all or config.profile in FULL_SCALE)
    source = trained.result.get("provenance", {})
    on_gpu = source.get("device", "cpu") != "cpu"
    seconds = source.get("wall_seconds" if on_gpu else "processor_seconds", math.nan)
    known = {} if math.isnan(seconds) else {"train_seconds": float(seconds)}
    return Scores({"train_gflops": gflops(counted), **known})


def along(trained: Trained, found: Actions, config: TurboConfig, last: Scores) -> Scores:
    """Top-1 of the weights that were kept along the way, and what they had cost (Figure 6.3).

    Points: ``epoch``, ``top1`` of all tokens, ``train_seconds`` and ``gflops`` until then.
    """
    assert trained.run is not None
    points = []
    clips = len(found.training(config)[0])
    for path in sorted(trained.run.path.glob("epoch*.safetensors")):
        epoch = load_state(path, trained.model)["epoch"]
        rows = classify(trained.model, found, config, "test", {"top1": 0.0})["top1"]
        points.append({"epoch": epoch, **accuracy(rows, "top1").metrics})
        points[-1]["gflops"] = epoch * clips * last.metrics["train_gflops"]
        if "train_seconds" in last.metrics:
            points[-1]["train_seconds"] = epoch / config.epochs * last.metrics["train_seconds"]
    trained.run.load_into(trained.model)
    return Scores(points=tuple(points))


@torch.no_grad()
def dropped(model: Turbo, found: Actions, config: TurboConfig) -> float:
    """The mean share of tokens that training drops, where the video decides."""
    clips, _ = found.training(config)
    loader = make_loader(clips, config.batch_size, shuffle=True, seed=config.seed)
    whole = math.prod(config.grid)
    shares = []
    for _, batch in zip(range(BATCHES), loader, strict=False):
        drawn = model.draw(joined(batch["video"]), config.mask_ratio, 0.0)
        shares.append(0.0 if drawn is None else 1 - drawn.visible.shape[1] / whole)
    return float(np.mean(shares))


def finetuned(job: Job, trained: Trained, split: str = "test") -> Scores:
    """The same; Table 6.2 has top-1 under another name than Table 6.1."""
    scores = judge(job, trained, split)
    return scores | also(scores, "top1", "finetune_top1")


def also(scores: Scores, name: str, other: str) -> Scores:
    """A metric under another name."""
    return Scores({other: scores.metrics[name]}, {other: scores.hits[name]})


def samples(job: Job, trained: Trained, split: str = "test") -> Scores:
    """Ten draws of tokens of each clip, whose probabilities are averaged: ``top1_m90_x10``, ..."""
    found, config = given(job)
    ratios = {f"{name}_x{SAMPLES}": ratio for name, ratio in DROPPED.items() if ratio}
    scores = Scores()
    for name, rows in classify(trained.model, found, config, split, ratios, SAMPLES).items():
        scores |= accuracy(rows, name)
    return scores


def probe(job: Job, trained: Trained, split: str = "test") -> Scores:
    """A linear classifier of the frozen features of all tokens."""
    found, config = given(job)
    encode = partial(trained.model.encode, mask_ratio=0.0)
    learnt, seen = (read(encode, trained.model, found, config, part) for part in ("train", split))
    return accuracy(linear_probe(learnt, seen), "probe_top1")


def as_top1(job: Job, trained: Trained, split: str = "test") -> Scores:
    """The probe of random weights, beside rows that were trained."""
    scores = probe(job, trained, split)
    return scores | also(scores, "probe_top1", "top1")


def chance(job: Job, trained: Trained) -> Scores:
    """Guessing."""
    one = 1 / len(given(job)[0].classes)
    return Scores(dict.fromkeys(("top1", "finetune_top1", "probe_top1", *DROPPED), one))
