"""What chapter 4 shows: mining and the cycles."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from thesislib import viz
from thesislib.chapters import compare, pages, run
from thesislib.chapters.pages import Page, grid
from thesislib.chapters.pictures import Neighbours, middle_frames
from thesislib.chapters.row import Job
from thesislib.checkpoint import RunFolder
from thesislib.claims import FAILS
from thesislib.data.flow_files import read_flow
from thesislib.data.manifest import Manifest, Video, read_manifest
from thesislib.data.reader import Frames
from thesislib.data.transforms import Transform
from thesislib.evaluation.features import over_windows
from thesislib.evaluation.retrieval import others
from thesislib.evaluation.scores import PerVideo
from thesislib.ledger import Ledger
from thesislib.methods.coclr_config import OTHER
from thesislib.nn.classifier import joined
from thesislib.places import runs_root
from thesislib.report import NO_VALUE
from thesislib.runs import load_run

STREAMS = {"rgb": "RGB", "flow": "flow"}
HISTORY = "coclr/coclr-flow"  # the row whose stages are all there are
AXES = {
    "views": "(B, 2, N, 3, T, H, W)",
    "query": "(B, D)",
    "key": "(B, D)",
    "queue": "(Q, D)",
    "logits": "(B, 1 + Q)",
}
QUOTES = {
    "InfoNCE, linear probe": ("4.1", "coclr/infonce-rgb", "probe_top1"),
    "UberNCE (the oracle), linear probe": ("4.1", "coclr/uber-rgb", "probe_top1"),
    "CoCLR, linear probe": ("4.1", "coclr/coclr-rgb", "probe_top1"),
}
# What the text takes from the ledger: its name there -> claims.
SAID = {
    "oracle": ("coclr-oracle", "coclr-oracle-ahead"),
    "cycles": ("coclr-cycles-rgb", "coclr-cycles-flow"),
    "alternating": ("coclr-alternating",),
}


# -- mining --------------------------------------------------------------------------------


class Mined(NamedTuple):
    """Whom each stream's network takes for whose kind, among some training videos."""

    videos: list[Video]  # (V,)
    labels: NDArray[np.int64]  # (V,), -1 without one
    order: dict[str, NDArray[np.int64]]  # by stream, (V, near): places of the nearest others


def mine(result: Mapping[str, Any], manifest: Manifest, k: int = 4) -> Mined:
    """Neighbours by the two networks of the initialisation, as mining compares them.

    Args:
        result: Of a row of CoCLR.
        manifest: The data set, with flow.
        k: Neighbours of each video.
    """
    seed = result["seed"]
    first = {stage["stream"]: stage["run"] for stage in result["checkpoints"] if not stage["cycle"]}
    train = manifest.select("train", 30 if manifest.classes else 300, seed)
    found: dict[str, PerVideo] = {}
    for stream in OTHER:
        model, config, _ = load_run(runs_root() / first[stream])

        def project(batch: dict[str, Tensor], model: Any = model) -> Tensor:
            features: Tensor = model.pair.query(joined(batch["video"]))  # what mining compares
            return features

        found[stream] = over_windows(project, model, train, replace(config, short="pad"), windows=1)
    order = {stream: others(rows, min(k, len(train) - 1)) for stream, rows in found.items()}
    return Mined([train.videos[i] for i in found["rgb"].videos], found["rgb"].labels, order)


def mined_neighbours(mined: Mined, manifest: Manifest, job: Job, queries: int = 3) -> Neighbours:
    """Some videos, drawn by the seed, and their neighbours: of each a frame and the flow there."""
    config = run.settings(job)
    picks = np.random.default_rng(job.seed).permutation(len(mined.videos))[:queries]
    asked = [mined.videos[i] for i in picks]
    found, labels = {}, {}
    for stream, name in STREAMS.items():
        near = [[mined.videos[j] for j in mined.order[stream][i]] for i in picks]
        found[f"by {name}"] = np.stack([_pictures(manifest, row, config) for row in near])
        labels[f"by {name}"] = [[v.label for v in row] for row in near]
    names = [video.label for video in asked]
    return Neighbours(_pictures(manifest, asked, config), names, found, labels)


def _pictures(manifest: Manifest, videos: Sequence[Video], config: Any) -> Frames:
    """The middle frame of each video and, beside it, the motion there: (V, 2, size, size, 3)."""
    cut = Transform(config.augment, config.size, train=False)
    rng = np.random.default_rng(0)  # nothing is drawn: the centre crop
    shown = []
    for video, frame in zip(videos, middle_frames(manifest, videos, config), strict=True):
        field = read_flow(manifest, video, [min(video.n_frames // 2, video.n_frames - 2)])
        motion = cut.augment_frames(viz.flow_colours(field, config.flow.bound), rng)[0]
        shown.append(np.stack([frame, motion]))
    return np.stack(shown)


def shares(
    kinds: NDArray[np.int64], order: Mapping[str, NDArray[np.int64]]
) -> tuple[float, float, float]:
    """How often neighbours are of the same kind, in ``[0, 1]``: by RGB, by flow, by chance."""
    count = len(kinds)
    rgb, flow = (float((kinds[order[s]] == kinds[:, None]).mean()) for s in OTHER)
    pairs = int((kinds[:, None] == kinds).sum()) - count  # with another video
    return rgb, flow, pairs / (count * (count - 1))


def mining_reading(mined: Mined) -> str:
    """How often each stream's neighbours have the query's label, and its room, in words."""
    if len(set(mined.labels.tolist())) < 2:
        return (
            "This data set has no labels, so nobody can say how many of the neighbours are right."
        )
    k, count = mined.order["rgb"].shape[1], len(mined.labels)
    rgb, flow, guess = (100 * share for share in shares(mined.labels, mined.order))
    text = (
        f"Over the {count} training videos looked at, {rgb:.0f} % of the {k} nearest by RGB show "
        f"the query's action, and {flow:.0f} % of the {k} nearest by flow; by chance it would be "
        f"{guess:.0f} %."
    )
    groups = [video.group for video in mined.videos]
    if len(set(groups)) in (1, count):
        return text
    places = np.unique(np.array(groups), return_inverse=True)[1]
    rgb, flow, guess = (100 * share for share in shares(places, mined.order))
    return (
        f"{text} Its actor and room are shared by {rgb:.1f} and {flow:.1f} %, by chance "
        f"{guess:.1f} %."
    )


def confused_reading(mined: Mined) -> str:
    """Which pairs of actions the flow network takes for one another most often, in words."""
    names = [video.label.replace("_", " ") for video in mined.videos]
    if len(set(names)) < 2:
        return "This data set has no labels, so nobody can say."
    near = mined.order["flow"]
    pairs = [(names[i], names[j]) for i, row in enumerate(near) for j in row]
    wrong = Counter(" and ".join(sorted(pair)) for pair in pairs if pair[0] != pair[1])
    if not wrong:
        return f"None, among the {len(pairs)} neighbours looked at."
    most = ", ".join(f"{pair} ({count} times)" for pair, count in wrong.most_common(3))
    return (
        f"Of the {len(pairs)} neighbours that it names for the training videos looked at, "
        f"{wrong.total()} show another action; most often {most}."
    )


def mined_page(
    mask: Tensor, queue: Tensor, labels: Tensor, classes: Sequence[str], count: int = 6
) -> Page:
    """What was mined for the first clips of a batch, and how much of it for all is right.

    Args:
        mask: bool ``(B, Q)``, the entries that were mined.
        queue: int64 ``(Q,)``, classes of the entries; -1 without one.
        labels: int64 ``(B,)``, classes of the clips.
        classes: Their names.
        count: Clips shown.
    """
    name = lambda i: classes[i].replace("_", " ") if i >= 0 else "no label"  # noqa: E731
    rows = []
    for row, label in list(zip(mask, labels.tolist(), strict=True))[:count]:
        found = queue[row].tolist()
        marks = [f"{name(i)} {'✓' if i == label else '✗'}" for i in found]
        rows.append((name(label), ", ".join(marks)))
    right = (queue[None] == labels[:, None]) & mask
    share = f"{100 * float(right.sum() / mask.sum()):.0f} % of {int(mask.sum())} right"
    return grid(("clip shows", "mined by flow"), [*rows, (f"all {len(labels)} clips", share)])


# -- cycles --------------------------------------------------------------------------------


def accuracy_reading(result: Mapping[str, Any], queue: int) -> str:
    """How the contrastive accuracy of RGB's initialisation came and went, in words."""
    first = next(stage for stage in result["checkpoints"] if stage["stream"] == "rgb")
    rows = RunFolder(runs_root() / first["run"]).metrics()
    found = [100 * row["top1"] for row in rows]
    guess = 1 + queue
    text = (
        f"While RGB was initialised, the share of queries that found their key reached "
        f"{max(found):.0f} % in epoch {1 + int(np.argmax(found))} and ended at {found[-1]:.0f} % "
        f"(guessing: {100 / guess:.1f} %), and the loss went from {rows[0]['loss']:.2f} to "
        f"{rows[-1]['loss']:.2f} (guessing: {np.log(guess):.2f})."
    )
    if found[-1] > 0.9 * max(found):
        return text
    return (
        f"{text} A likely reason for the fall: while the rate is high, the keys in the queue come "
        "from an encoder that has moved on, so that the one fresh key stands out; as the rate "
        "falls, the queue catches up and the question becomes harder."
    )


def course(
    result: Mapping[str, Any], job: Job
) -> tuple[dict[str, list[list[tuple[float, bool]]]], list[str]]:
    """R@1 among the training videos over the stages, both streams (thesis figure 4.2).

    All seeds of the ledger, or the run at hand where there are none.

    Returns:
        Network -> one line a seed, of its value and whether it learnt in each stage; the names of
        the stages. Both are what :func:`thesislib.viz.alternation` draws.
    """
    entries = Ledger.load().select(HISTORY, job.profile, run.judged_on(job))
    histories = [entry.checkpoints for entry in entries.values() if entry.checkpoints]
    histories = histories or [result["checkpoints"]]
    stages = max(histories, key=len)
    names = ["InfoNCE"] + [
        f"cycle {s['cycle']}\n{STREAMS[str(s['stream'])]} learns" for s in stages if s["cycle"]
    ]
    lines = {STREAMS[stream]: [_line(history, stream) for history in histories] for stream in OTHER}
    return {n: [x for x in s if x] for n, s in lines.items()}, names


def _line(history: Sequence[Mapping[str, Any]], stream: str) -> list[tuple[float, bool]]:
    """R@1 of a stream's network after the initialisation and after each later stage."""
    if not all("train_r1" in stage["metrics"] for stage in history):
        return []
    value, line = 0.0, []
    for stage in history:
        mine = stage["stream"] == stream
        value = stage["metrics"]["train_r1"] if mine else value
        if stage["cycle"]:
            line.append((value, mine))
        elif mine:
            line = [(value, True)]
    return line


def cycles_page(result: Mapping[str, Any]) -> Page:
    """The stages of a run of CoCLR: who learnt, mined by whom, how well."""
    rows = []
    for stage in result["checkpoints"]:
        stream = str(stage["stream"])
        mined = STREAMS[OTHER[stream]] if stage["cycle"] else NO_VALUE
        shares = stage.get("precision"), stage["metrics"].get("train_r1")
        shown = [NO_VALUE if s is None else f"{100 * s:.1f}" for s in shares]
        name = f"cycle {stage['cycle']}" if stage["cycle"] else "initialisation"
        rows.append(
            (name, STREAMS[stream], mined, stage["epochs"],
             f"{stage['seconds'] / 60:.1f}", *shown)
        )  # fmt: skip
    head = ("stage", "learns", "mined by", "epochs", "minutes", "positives right, %", "R@1, %")
    return grid(head, rows)


def cmc_reading(job: Job) -> str:
    """What the ledger says of CoCLR beside CMC; where it contradicts the thesis, a conjecture."""
    known = compare.verdicts(job)
    text = compare.told(known, "coclr-cmc")
    if known["coclr-cmc"].verdict != FAILS:
        return text
    return (
        f"{text} The thesis has it the other way round. The likely reason is the world: where the "
        "flow of a clip says nearly all about its action, to match each clip with its own flow may "
        "teach RGB more than to learn whom flow finds alike."
    )


def topk_answer(job: Job) -> str:
    """What fifty mined positives instead of five do to their precision and to the probe."""
    config, where, rows = run.settings(job), run.judged_on(job), ("coclr-rgb", "coclr-rgb-k50")
    metric = f"precision_rgb_cycle{config.cycles}"
    five, fifty = (f"coclr/{row}" for row in rows)
    found = Ledger.load().compare(five, fifty, metric, job.profile, where)
    right, among = found["mean_a"], found["mean_b"]
    if right is None or among is None:
        return "The ledger does not hold both rows for this data set."
    classes = max(1, len(read_manifest(where).classes))
    share = config.queue / classes
    return (
        f"In the last cycle {100 * right:.0f} % of five mined positives are right and "
        f"{100 * among:.0f} % of fifty, over {found['n']} seeds. A queue of {config.queue} keys "
        f"holds about {share:.0f} of each of {classes} actions, so of fifty not many more than "
        f"{min(100.0, 2 * share):.0f} % could be. {compare.said(job, 'coclr-many-neighbours')}"
    )


def numbers(results: Mapping[str, Mapping[str, Any]], job: Job) -> dict[str, Any]:
    """What the text quotes."""
    config = run.settings(job)
    return {
        **pages.run_numbers(results, job),
        "judged_on": run.judged_on(job),
        "queue": config.queue,
        "temperature": config.temperature,
        "steps_to_fill": math.ceil(config.queue / config.batch_size),
        "cmc_reading": cmc_reading(job),
        "topk_answer": topk_answer(job),
        "accuracy_reading": accuracy_reading(results[job.row], config.queue),
        **compare.sayings(job, SAID),
    }
