"""Recognition from five videos a class (thesis 5.4.2, Table 5.3).

A trial is a training of its own. There are 200 of five classes, so they go through a light loop:
the steps of :func:`thesislib.train.train`, without a folder, a checkpoint or a validation each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from accelerate.utils import send_to_device

from thesislib.chapters.clip_prompt.lists import class_words, trials
from thesislib.chapters.clip_prompt.recognition import (
    build,
    by_text,
    clips_of,
    given,
    learns,
    mean_frame,
    read,
)
from thesislib.chapters.row import Job
from thesislib.data.feature_clips import FeatureClips
from thesislib.data.features import FeatureStore
from thesislib.data.few_shot import Trial, draw_trials
from thesislib.data.loader import make_loader
from thesislib.data.manifest import Manifest, Video
from thesislib.errors import ThesisError
from thesislib.evaluation.linear_probe import linear_probe
from thesislib.evaluation.recognition import over_draws, top
from thesislib.evaluation.scores import PerVideo, Scores
from thesislib.methods.clip_prompt import ClipPrompt, ClipPromptConfig
from thesislib.optimiser import learning_rate, make_optimiser
from thesislib.train import Trained, seed_everything

Reading = Callable[
    [Trial, Manifest, dict[str, Video], FeatureStore, ClipPromptConfig], PerVideo
]  # of one trial
METRIC = "fewshot_top1"
CURVE = (1, 2, 5, 10, 20)  # videos a class
ROUNDS = 5  # each


def few_shot(job: Job, trained: Trained, ways: int | None, split: str = "test") -> Scores:
    """Mean top-1 over trials; a row that learns nothing meets the same trials.

    Args:
        job: The row; the thesis has 5 and all ways.
        trained: Not used: every trial starts anew.
        ways: Classes a trial; ``None``: all.
        split: Of the videos to classify.
    """
    manifest, kept, config = given(job)
    videos = {video.path: video for video in manifest.videos}
    draws = []
    for number, trial in enumerate(found := trials(manifest, ways, config.seed, split)):
        if job.log and number % max(1, len(found) // 5) == 0:
            job.log(f"trial {number} of {len(found)}")
        rows = one_trial(trial, manifest, videos, kept, config)
        draws.append(top(rows))
    scores = over_draws(draws, {"top1": METRIC})
    return replace(scores, counts={"trials": len(draws)})


def curve(job: Job, trained: Trained, one: Reading, split: str = "test") -> Scores:
    """Mean top-1 over rounds of all classes, by how many videos each is learnt from.

    Not in the thesis, whose Table 5.3 has five. The rounds are always draws of our own, since lists
    are of five.

    Args:
        job: The row.
        trained: Not used: every round starts anew.
        one: Learns and reads a round: :func:`one_trial` or :func:`one_probe`.
        split: Of the videos to classify.

    Raises:
        ThesisError: A class has too few videos.
    """
    manifest, kept, config = given(job)
    videos = {video.path: video for video in manifest.videos}
    scores = Scores()
    for shots in CURVE:
        found = draw_trials(
            manifest, ways=None, shots=shots, trials=ROUNDS, seed=config.seed, split=split
        )
        draws = [top(one(trial, manifest, videos, kept, config)) for trial in found]
        scores = scores | replace(over_draws(draws, {"top1": f"{METRIC}_{shots}"}), counts={})
    return scores


def one_trial(
    trial: Trial,
    manifest: Manifest,
    videos: dict[str, Video],
    kept: FeatureStore,
    config: ClipPromptConfig,
) -> PerVideo:
    """Probabilities of a trial's queries, ``(V, ways)``.

    Args:
        trial: Its classes, videos to learn from and videos to classify.
        manifest: The whole data set.
        videos: Its videos by path.
        kept: Their features.
        config: Settings; their seed and the trial's number draw its first weights and its order.
    """
    support, query = sides(trial, manifest, videos)
    # A seed of its own for each: other trials change nothing.
    own = replace(config, seed=(config.seed * 1_000_003 + trial.number) % 2**31)
    seed_everything(own.seed)
    model = build(config, class_words(support))
    if learns(config):
        fit(model, clips_of(support, kept, own, train=True), own)
    queries = clips_of(query, kept, config, train=False)
    return read(by_text(model, query), queries, config)[""]


def one_probe(
    trial: Trial,
    manifest: Manifest,
    videos: dict[str, Video],
    kept: FeatureStore,
    config: ClipPromptConfig,
) -> PerVideo:
    """The same as :func:`one_trial` by a linear probe of the mean frame."""
    learnt, asked = (
        read(mean_frame, clips_of(part, kept, config, train=False), config)[""]
        for part in sides(trial, manifest, videos)
    )
    return linear_probe(learnt, asked)


def sides(trial: Trial, manifest: Manifest, videos: dict[str, Video]) -> tuple[Manifest, Manifest]:
    """Support and queries of a trial, whose classes are numbered in its order."""
    support, query = (
        replace(manifest, videos=tuple(videos[p] for p in paths), class_names=trial.classes)
        for paths in (trial.support, trial.query)
    )
    return support, query


def fit(model: ClipPrompt, clips: FeatureClips, config: ClipPromptConfig) -> None:
    """Trains in memory.

    Raises:
        ThesisError: The loss is not finite.
    """
    loader = make_loader(clips, config.batch_size, shuffle=True, seed=config.seed)
    optimiser = make_optimiser(model, config)
    device = next(model.parameters()).device
    model.train()
    for epoch in range(config.epochs):
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        for number, batch in enumerate(loader):
            step = epoch * len(loader) + number
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(config, step, len(loader))
            optimiser.zero_grad()
            loss, _ = model(send_to_device(batch, device))
            loss.backward()
            optimiser.step()
    if not math.isfinite(last := float(loss.detach())):
        raise ThesisError(f"The loss of a trial became {last:g}: lower lr.")
