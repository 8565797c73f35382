"""Action localisation in two stages (thesis 5.4.3): proposals, then classes by text.

The first stage, :func:`train_detector` and :func:`propose`, does not know classes. The second,
:func:`classify`, compares what a proposal shows with embeddings of class names: hand-written
templates make baseline III, learnt prompts the thesis's method. No score comes from a classifier
that was trained on labelled videos: many published results multiply by one, which tells the
answer.

**Open set.** The detector learns the segments of seen classes alone. Segments of unseen classes in
the same videos are *ignored*: no point inside learns anything from them, as it would otherwise be
taught that they are background. (``unseen=background`` teaches just that.) Their times are used,
then, but never as something to find.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from thesislib.data.segment_clips import spread
from thesislib.data.untrimmed import FeatureWindows, Place, Untrimmed, cut, test_windows
from thesislib.errors import ThesisError
from thesislib.evaluation.segments import Segments, soft_nms
from thesislib.methods.proposals import ProposalConfig, ProposalDetector, moments
from thesislib.train import Log, Trained, train

BATCH = 8  # windows at a time: what they hold stays near the processor
FLOOR = 1e-3  # proposals of lower scores are noise
TEMPERATURE = 0.07  # as in training (thesis 5.4.1)
FRAMES = 16  # rows of a proposal that a temporal encoder sees, unless told otherwise

Encode = Callable[[Tensor], Tensor]
Scored = tuple[NDArray[np.float64], NDArray[np.float64]]
T = TypeVar("T")
R = TypeVar("R")


# -- first stage ---------------------------------------------------------------------------


def looked_at(video: Untrimmed, config: ProposalConfig) -> Untrimmed:
    """The rows of a video that the detector sees."""
    video = video.every(config.every)
    return video.stretched(config.window) if config.whole else video


def windows(
    videos: Sequence[Untrimmed],
    config: ProposalConfig,
    classes: Collection[str] | None = None,
    *,
    train: bool,
) -> FeatureWindows:
    """Windows by the settings of a detector that learns ``classes``, or all."""
    return FeatureWindows(
        [looked_at(video, config) for video in videos],
        config.window,
        train=train,
        classes=classes,
        unseen=config.unseen,
        least_seen=config.least_seen,
        least=config.min_windows,
        seed=config.seed,
    )


def train_detector(
    name: str,
    videos: Sequence[Untrimmed],
    val: Sequence[Untrimmed],
    config: ProposalConfig,
    fingerprint: str,
    classes: Collection[str] | None = None,
    log: Log = print,
) -> Trained:
    """Trains a detector into its run folder, or finds it there.

    Args:
        name: First part of the run's name.
        videos: To learn from.
        val: To validate on, by the loss; may be empty.
        config: Its settings.
        fingerprint: Of features and segments.
        classes: Those to learn; ``None``: all. Leave out what a publisher calls ambiguous.
        log: Where the log lines go.

    Raises:
        ThesisError: None of the videos shows any of the classes.
    """
    labels = {label for video in videos for *_, label in video.segments}
    learnt = labels if classes is None else labels & set(classes)
    if not learnt:
        raise ThesisError("No video has a segment of the classes to learn: check their names.")
    if classes is not None:
        text = "\n".join([fingerprint, *sorted(set(classes))])
        fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]

    def data() -> tuple[FeatureWindows, FeatureWindows | None]:
        held = windows(val, config, classes, train=False) if val else None
        return windows(videos, config, classes, train=True), held

    def start(model: ProposalDetector) -> None:
        model.standardise(*moments([tensor(video.features) for video in videos]))

    build = partial(ProposalDetector, config)
    return train(name, build, data, config, fingerprint, start=start, log=log)


def tensor(features: Any) -> Tensor:
    """Rows of features as float32, from whatever they are kept in."""
    return torch.from_numpy(np.array(features, np.float32))


def propose(detector: ProposalDetector, video: Untrimmed, **suppression: Any) -> Segments:
    """Proposals of a video of any length, best first; none of an empty one.

    Args:
        detector: Trained on such features.
        video: Its features; segments are not looked at.
        suppression: Arguments of :func:`~thesislib.evaluation.segments.soft_nms`.

    Returns:
        Segments without labels, inside the video, with scores in ``[0, 1]``: at most
        ``config.top`` a window.
    """
    config = detector.config
    seen = looked_at(video, config)
    places = test_windows(len(seen), config.window)
    detector.eval()
    threads = torch.get_num_threads() if detector.mean.is_cpu else 1
    found = _in_threads(partial(_best, detector, seen), _batches(places), threads)
    rows, scores = zip((np.zeros((0, 2)), np.zeros(0)), *found, strict=True)
    start, end = seen.to_seconds(np.concatenate(rows)).T
    score, real = np.concatenate(scores), end > start
    start, end, score = start[real], end[real], score[real]
    most = config.top * max(1, len(places))
    kept, score = soft_nms(start, end, score, **{"floor": FLOOR, "keep": most, **suppression})
    return Segments.of([video.name] * len(kept), start[kept], end[kept], score=score)


def _batches(places: Sequence[Place]) -> list[list[Place]]:
    """Neighbouring windows that answer for the same of their rows, at most so many together."""
    same = [list(group) for _, group in groupby(places, lambda place: place.span)]
    return [group[i : i + BATCH] for group in same for i in range(0, len(group), BATCH)]


@torch.no_grad()  # here, as it holds for one thread
def _best(detector: ProposalDetector, seen: Untrimmed, places: Sequence[Place]) -> Scored:
    """Proposals of some windows with one span, in rows of the video ``(N, 2)``, and scores."""
    config = detector.config
    shown = [cut(seen, place.start, config.window) for place in places]
    device = detector.mean.device
    features, valid = (torch.stack(parts).to(device) for parts in zip(*shown, strict=True))
    # Half of a window belongs to its neighbours: the head need not look there.
    found = detector.predict(features, valid, places[0].span, config.top)
    segments, score = (x.double().cpu().numpy() for x in (found.segments, found.score))
    segments += np.array([place.start for place in places])[:, None, None]
    kept = score >= FLOOR
    return segments[kept], score[kept]


def _in_threads(work: Callable[[T], R], items: Sequence[T], threads: int) -> list[R]:
    """Results in order. Each thread computes on one core, and so none waits for another.

    What is found does not depend on their number, as it may where threads share a product.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(work, items))
    finally:
        torch.set_num_threads(before)


def sliding_windows(video: Untrimmed, lengths: Sequence[float], seed: int = 0) -> Segments:
    """What any detector has to beat: windows of some lengths, half overlapping, scored at random.

    Args:
        video: Its features tell how long it is.
        lengths: Seconds, above 0.
        seed: Of the scores.
    """
    first, last = video.edges[0], video.edges[-1]
    spans = [
        (start, min(start + length, last))
        for length in lengths
        for start in np.arange(first, max(last - length / 2, first + 1e-9), length / 2)
        if last > first
    ]
    start, end = np.array(spans).reshape(-1, 2).T
    score = np.random.default_rng(seed).random(len(spans))
    return Segments.of([video.name] * len(spans), start, end, score=score)


# -- second stage --------------------------------------------------------------------------


def proposal_features(
    proposals: Segments, video: Untrimmed, encode: Encode | None = None, frames: int = FRAMES
) -> Tensor:
    """One vector a proposal, from the rows that it covers (at least one).

    Args:
        proposals: Of this video.
        video: Its features.
        encode: ``(K, T, D)``, rows drawn evenly from each proposal, to ``(K, D')``; ``None``: the
            mean of all its rows (thesis 5.3.2).
        frames: T.

    Returns:
        float32 ``(K, D)`` or ``(K, D')``.
    """
    n = len(video)
    if not n or not len(proposals):
        return torch.zeros(0, video.features.shape[1])
    first = np.clip(np.rint(video.to_rows(proposals.start)).astype(int), 0, n - 1)
    last = np.clip(np.rint(video.to_rows(proposals.end)).astype(int), first + 1, n)
    if encode is not None:
        with torch.no_grad():
            return encode(tensor(video.features[spread(first, last, frames)])).float()
    sums = np.zeros((n + 1, video.features.shape[1]))
    np.cumsum(video.features, axis=0, dtype=np.float64, out=sums[1:])
    return tensor((sums[last] - sums[first]) / (last - first)[:, None])


def class_scores(features: Tensor, texts: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Probabilities of classes by cosine.

    Args:
        features: ``(K, D)``.
        texts: ``(C, D)``, embeddings of the class names: of templates, or of learnt prompts.
        temperature: Cosines are divided by it.

    Returns:
        ``(K, C)``, rows add up to 1.

    Raises:
        ThesisError: Videos and texts are of different models.
    """
    if features.shape[1] != texts.shape[1]:
        raise ThesisError(
            f"Videos have {features.shape[1]} numbers and class names {texts.shape[1]}: embed both "
            "by the same model."
        )
    cosine = F.normalize(features, dim=1) @ F.normalize(texts.to(features), dim=1).T
    return torch.softmax(cosine / temperature, 1)


def classify(
    proposals: Segments,
    video: Untrimmed,
    texts: Tensor,
    classes: Sequence[str],
    *,
    encode: Encode | None = None,
    frames: int = FRAMES,
    temperature: float = TEMPERATURE,
    most: int = 5,
) -> Segments:
    """Says by text what each proposal is.

    Args:
        proposals: Of this video.
        video: Its features, of the image-text model.
        texts: ``(C, D)``, embeddings of the class names.
        classes: The C names.
        encode: See :func:`proposal_features`.
        frames: See there.
        temperature: See :func:`class_scores`.
        most: Likeliest classes of a proposal that are kept; with one alone, of two things that
            happen at once one would never be found.

    Returns:
        Detections, best first: score of the proposal times probability of the class.
    """
    if len(classes) != len(texts):
        raise ThesisError(f"{len(classes)} classes have {len(texts)} texts: give one for each.")
    features = proposal_features(proposals, video, encode, frames)
    if not len(features):
        return Segments.of([], [], [])
    sure, label = class_scores(features, texts, temperature).topk(min(most, len(classes)))
    score = (proposals.score[:, None] * sure.double().numpy()).ravel()
    order = np.argsort(-score, kind="stable")
    which: NDArray[np.int64] = np.arange(len(proposals)).repeat(sure.shape[1])[order]
    names = np.asarray(classes, str)[label.numpy().ravel()[order]]
    of = proposals.select(which)
    return Segments.of(of.video, of.start, of.end, names, score[order])


def truth(videos: Sequence[Untrimmed], classes: Collection[str] | None = None) -> Segments:
    """What really happens in some videos, of some classes or all."""
    rows = [
        (video.name, start, end, label)
        for video in videos
        for start, end, label in video.segments
        if classes is None or label in classes
    ]
    return Segments.of(*zip(*rows, strict=True)) if rows else Segments.of([], [], [])
