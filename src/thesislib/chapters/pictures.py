"""What all pages show of videos: frames, clips as a network gets them, neighbours.

What looks at data or networks gives arrays; the notebook hands them to :mod:`thesislib.viz`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from thesislib import viz
from thesislib.clip_config import FRAME_WISE, one_view
from thesislib.data.clips import centre_start
from thesislib.data.dataset import ClipDataset
from thesislib.data.manifest import Manifest, Video
from thesislib.data.reader import Frames, open_video
from thesislib.data.transforms import Transform, denormalise
from thesislib.errors import ThesisError
from thesislib.evaluation.features import over_windows
from thesislib.evaluation.imagenet import imagenet_features
from thesislib.evaluation.retrieval import nearest
from thesislib.evaluation.scores import PerVideo
from thesislib.synthetic import PAIRS
from thesislib.train import placed, seed_everything


class Strips(NamedTuple):
    """Rows of frames, for :func:`thesislib.viz.contact_sheet`."""

    frames: list[Frames]  # each (T, H, W, 3)
    titles: list[str]
    numbers: list[list[int]] | None  # of the frames in their videos


class Neighbours(NamedTuple):
    """Queries and what is nearest to them, for :func:`thesislib.viz.retrieval_grid`."""

    queries: Frames  # (Q, T, H, W, 3)
    labels: list[str]
    found: dict[str, Frames]  # by encoder, (Q, K, T, H, W, 3)
    found_labels: dict[str, list[list[str]]]


def actions_picture(manifest: Manifest, frames: int = 5, seed: int = 0) -> viz.Picture:
    """One video of each class (or some videos, without classes), evenly spaced frames."""
    chosen = manifest.select(per_class=1 if manifest.classes else 12, seed=seed)
    videos = sorted(chosen.videos, key=lambda v: (v.label, v.path))
    return _sheet(manifest, videos, frames, columns=2)


def pair_picture(manifest: Manifest, frames: int = 8, among: int = 100) -> viz.Picture:
    """Two actions by one actor that only the order of the frames tells apart.

    Of the first ``among`` such pairs it shows the one of which one video, played backwards, is
    most like the other: same side, same arms, same tempo. Other data sets than the studio show
    their first two videos.
    """
    known = {(v.group, v.label): v for v in manifest.videos}
    groups = dict.fromkeys(v.group for v in manifest.videos)
    both = [(known.get((g, a)), known.get((g, b))) for g in groups for a, b in PAIRS]
    pairs = [(one, other) for one, other in both if one and other][:among]
    if not pairs:
        return _sheet(manifest, list(manifest.videos[:2]), frames, columns=1)
    best = min(pairs, key=lambda pair: _reversal(*(_spread(manifest, v, frames)[0] for v in pair)))
    return _sheet(manifest, list(best), frames, columns=1)


def _reversal(one: Frames, other: Frames) -> float:
    """How far two videos (T, H, W, 3) are apart with one played backwards, against both forwards.

    Small for the same poses in opposite order; about 1 where nothing moves or all differs.
    """
    a, b = one.astype(np.float64), other.astype(np.float64)
    if a.shape != b.shape:
        return np.inf
    return float(np.abs(a - b[::-1]).mean() / max(np.abs(a - b).mean(), 1e-9))


def _spread(manifest: Manifest, video: Video, frames: int) -> tuple[Frames, NDArray[np.int64]]:
    """Evenly spaced frames of a whole video, and their numbers."""
    numbers = np.linspace(0, video.n_frames - 1, frames).round().astype(int)
    return open_video(manifest.file(video)).frames(numbers), numbers


def _sheet(manifest: Manifest, videos: list[Video], frames: int, columns: int) -> viz.Picture:
    shown, numbers = [], []
    for video in videos:
        strip, places = _spread(manifest, video, frames)
        shown.append(strip)
        numbers.append(places.tolist())
    names = [video_name(video) for video in videos]
    return viz.contact_sheet(shown, names, numbers, columns)


def batch_picture(batch: Mapping[str, Tensor], videos: ClipDataset, count: int = 4) -> viz.Picture:
    """Some clips of a batch, the first frame of each block, as the network gets them."""
    frames = denormalise(batch["video"][:count])[:, :, 0]  # (count, N, H, W, 3)
    names = [video_name(videos.manifest.videos[int(i)]) for i in batch["index"][:count]]
    blocks = [list(range(1, frames.shape[1] + 1))] * len(frames)
    return viz.contact_sheet(list(frames), names, blocks, columns=1)


def augmentation_picture(
    manifest: Manifest, config: Any, frames: int = 8, seed: int = 0
) -> viz.Picture:
    """One clip as it is, with colours drawn once for the clip, and drawn anew for each frame."""
    plain = replace(one_view(config), short="pad")
    clip = denormalise(ClipDataset(manifest, plain, train=False)[0]["video"])
    clip = clip.reshape(-1, *clip.shape[2:])[:frames]  # (frames, H, W, 3)
    each = replace(FRAME_WISE, crop="centre", flip=0.0)
    once = replace(each, grey=0.0, jitter_scope="clip")  # grey would hide what is meant
    rows = {"as decoded": clip}
    for name, augment in (("colours drawn once", once), ("colours drawn for each frame", each)):
        transform = Transform(augment, clip.shape[1], train=True)
        rows[name] = transform.augment_frames(clip, np.random.default_rng(seed + 7))
    return viz.contact_sheet(list(rows.values()), list(rows), columns=1)


def training_views(manifest: Manifest, config: Any, videos: int = 3, frames: int = 6) -> Strips:
    """Training clips as decoded and as the network gets them: one view beside, two views below.

    What differs between the frames of a view was drawn for each frame, what they share was drawn
    once for the clip. Flow is shown by direction and speed as decoded, and as the three channels
    that the network sees, with the deviations from standing still made larger for the eye.

    Args:
        manifest: The data set; its training split, if there is one.
        config: Clips, views, augmentation, streams; the seed draws the videos as well. Of two views
            the picture prefers a light and a heavy one, of windows as far apart as can be.
        videos: How many.
        frames: Of each clip, evenly spaced, under their numbers in the video.
    """
    held = {v.split for v in manifest.videos}
    some = manifest.select("train") if "train" in held else manifest
    dataset = ClipDataset(some, replace(config, short="pad", cache=False), train=True)
    picks = np.linspace(0, config.num_seq * config.seq_len - 1, frames).round().astype(int)
    rows: list[Frames] = []
    titles: list[str] = []
    numbers: list[list[int]] = []
    for index in _telling(dataset, videos):
        item = dataset[(0, index)]
        number = int(item["index"])  # of the next video, where this one cannot be read
        video, views = some.videos[number], dataset.views(number, 0, index)
        raw = dataset.raw(number, [view.start for view in views])
        seen = ["as the network gets it"]
        if len(views) == 2:
            kinds = ["light" if view.transform is dataset.light else "heavy" for view in views]
            seen = [f"view {i}, {kind}" for i, kind in enumerate(kinds, 1)]
        for name, flow in dataset.held.items():
            decoded = [clip[name][picks] for clip in raw]
            if flow:
                decoded = [viz.flow_colours(clip, config.flow.bound) for clip in decoded]
            shown = denormalise(item[name], config.augment.normalise)
            shown = shown.reshape(len(views), -1, *shown.shape[-3:])  # (views, N * T, S, S, 3)
            shown, more = shown[:, picks], ""
            if flow:
                gain = _gain(shown)
                shown = np.stack([viz.amplified(view, gain) for view in shown])
                more = f", contrast × {gain}" if gain > 1 else ""
            rows += [*decoded, *shown]
            title = f"{video_name(video)}{', flow' if flow else ''}, as decoded"
            titles += [title] * len(views) + [name + more for name in seen]
            indices = [dataset.indices(view.start)[picks] for view in views]
            numbers += 2 * [np.minimum(i, video.n_frames - 1).tolist() for i in indices]
    return Strips(rows, titles, numbers)


def _gain(views: Frames, full: int = 120) -> int:
    """How many times larger flow (V, T, S, S, 3) is to deviate from standing still, 1 to 20.

    So the fastest twentieth of the places gets a full colour, about what a limb covers. Only noise
    asks for more than 20.
    """
    ground = np.median(views, axis=(1, 2, 3), keepdims=True)
    fast = float(np.percentile(np.abs(views - ground).max(-1), 95))
    return int(np.clip(full / max(fast, 1), 1, 20))


def _telling(dataset: ClipDataset, count: int) -> list[int]:
    """Items drawn by the seed; of two views first those whose views differ most."""
    order = np.random.default_rng(dataset.config.seed).permutation(len(dataset)).tolist()
    if dataset.config.views == 2:
        order = order[:1000]  # enough to choose from, and quick for a set of any size

        def alike(index: int) -> tuple[bool, int]:
            one, other = dataset.views(dataset.videos[index], 0, index)
            return one.transform is other.transform, -abs(one.start - other.start)

        order.sort(key=alike)
    return order[:count]


def neighbours(
    model: Any, manifest: Manifest, config: Any, queries: int = 4, k: int = 3
) -> tuple[Neighbours, str]:
    """Queries from the test split and their nearest training videos under three encoders.

    The gallery is a sample of the training split, one window a video, and the queries are drawn by
    the seed of ``config``. Without a test split the training videos query one another. Each video
    is shown by the first, the middle and the last frame of its window, since no single one can tell
    an action from its counterpart in time.

    Returns:
        What was found, and a sentence on what is missing in it ("" if nothing is).
    """
    held = {v.split for v in manifest.videos}
    some, few = (20, 1) if manifest.classes else (300, queries)
    gallery = manifest.select("train", some, config.seed)
    asked = manifest.select("test" if "test" in held else "train", few, config.seed)
    order = np.random.default_rng(config.seed).permutation(len(asked))[:queries]
    asked = replace(asked, videos=tuple(asked.videos[i] for i in sorted(order)))
    config = replace(config, short="pad")

    seed_everything(config.seed)
    untrained = placed(type(model)(config))
    columns: dict[str, tuple[PerVideo, PerVideo]] = {}
    for name, network in ((type(model).__name__, model), ("random weights", untrained)):
        both = [over_windows(network.encode, network, m, config, 1) for m in (asked, gallery)]
        columns[name] = both[0], both[1]
    missing = ""
    try:
        columns["ImageNet"] = imagenet_features(asked, config), imagenet_features(gallery, config)
    except ThesisError as error:
        missing = f"The ImageNet column is left out: {error}"

    k = min(k, max(1, len(gallery) - 1))
    found: dict[str, Frames] = {}
    labels: dict[str, list[list[str]]] = {}
    for name, (query, pool) in columns.items():
        ranked = pool.videos[nearest(query.values, pool.values, min(k + 1, len(pool.values)))]
        rows = []
        for number, row in zip(query.videos, ranked, strict=True):
            near = [gallery.videos[i] for i in row]
            # Without a test split a video finds itself first.
            rows.append([v for v in near if v.path != asked.videos[number].path][:k])
        found[name] = np.stack([window_frames(gallery, row, config) for row in rows])
        labels[name] = [[v.label for v in row] for row in rows]
    seen = [asked.videos[i] for i in next(iter(columns.values()))[0].videos]
    frames = window_frames(asked, seen, config)
    return Neighbours(frames, [v.label for v in seen], found, labels), missing


def window_frames(
    manifest: Manifest, videos: Sequence[Video], config: Any, frames: int = 3
) -> Frames:
    """Frames of the middle window of each video, evenly spaced from its first to its last.

    They are cut and resized as the network gets them: (V, frames, size, size, 3).
    """
    strips = []
    for video in videos:
        start = centre_start(video.n_frames, config.span)
        numbers = np.linspace(start, start + config.span - config.stride, frames).round()
        numbers = np.minimum(numbers.astype(int), video.n_frames - 1)
        strips.append(_as_seen(manifest, video, numbers, config))
    return np.stack(strips)


def middle_frames(manifest: Manifest, videos: Sequence[Video], config: Any) -> Frames:
    """One frame of each video, cut and resized as the network gets it: (V, size, size, 3)."""
    middles = [np.array([video.n_frames // 2]) for video in videos]
    pairs = zip(videos, middles, strict=True)
    return np.concatenate([_as_seen(manifest, video, n, config) for video, n in pairs])


def _as_seen(manifest: Manifest, video: Video, numbers: NDArray[np.int64], config: Any) -> Frames:
    """Frames of a video by number, as the network gets them: (T, size, size, 3)."""
    cut = Transform(config.augment, config.size, train=False)
    rng = np.random.default_rng(0)  # nothing is drawn: the centre crop
    return cut.augment_frames(open_video(manifest.file(video)).frames(numbers), rng)


def video_name(video: Video) -> str:
    """What a picture calls a video: its action, or its file."""
    return video.label.replace("_", " ") or video.path.rpartition("/")[2][:24]
