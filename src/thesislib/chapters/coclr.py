"""Chapter 4: pictures and numbers of mining and of the cycles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from thesislib import published, viz
from thesislib.chapters.pictures import middle_frames
from thesislib.chapters.text import NOTHING, Page, grid
from thesislib.checkpoint import RunFolder
from thesislib.config import runs_root
from thesislib.data.flow_files import read_flow
from thesislib.data.manifest import Manifest, Video
from thesislib.data.transforms import Transform
from thesislib.evaluation.features import Features, over_windows
from thesislib.evaluation.retrieval import others
from thesislib.ledger import Ledger
from thesislib.methods.coclr import OTHER
from thesislib.nn.classifier import joined
from thesislib.rows import row_config
from thesislib.runs import load_run

Frames = NDArray[np.uint8]
STREAMS = {"rgb": "RGB", "flow": "flow"}
HISTORY = "coclr/coclr-flow"  # the row whose stages are all there are


def mining_picture(
    result: Mapping[str, Any], manifest: Manifest, queries: int = 3, k: int = 4
) -> tuple[viz.Picture, str]:
    """Training videos, and whom each stream's first network takes for their own kind.

    The queries are drawn by the seed of the run, not chosen. Each stands on two lines, as frames
    and as flow, and so do its neighbours.

    Args:
        result: Of a row of CoCLR; the networks are those of its initialisation.
        manifest: The data set, with flow.
        queries: How many.
        k: Neighbours of each.

    Returns:
        The picture, and a sentence on how often the neighbours share the query's action, over all
        videos looked at.
    """
    seed = result["seed"]
    first = {stage["stream"]: stage["run"] for stage in result["checkpoints"] if not stage["cycle"]}
    train = manifest.select("train", 30 if manifest.classes else 300, seed)
    k = min(k, len(train) - 1)
    found: dict[str, Features] = {}
    order: dict[str, NDArray[np.int64]] = {}
    for stream in OTHER:
        model, config, _ = load_run(runs_root() / first[stream])
        seen = replace(config, short="pad")

        def project(batch: dict[str, Tensor], model: Any = model) -> Tensor:
            features: Tensor = model.pair.query(joined(batch["video"]))  # what mining compares
            return features

        found[stream] = over_windows(project, model, train, seen, windows=1)
        order[stream] = others(found[stream], k)
    flow = row_config(result["row"], result["profile"], manifest.name, seed).flow
    videos = [train.videos[i] for i in found["rgb"].videos]
    picks = np.random.default_rng(seed).permutation(len(videos))[:queries]
    both = _pictures(manifest, [videos[i] for i in picks], config, flow.bound)
    columns, labels = {}, {}
    for stream, name in STREAMS.items():
        near = [[videos[j] for j in order[stream][i]] for i in picks]
        tiles = [_pictures(manifest, row, config, flow.bound) for row in near]
        lines = [line for tile in tiles for line in (tile[::2], tile[1::2])]
        columns[f"neighbours by {name}"] = np.stack(lines)
        marks = [line for row in near for line in ([v.label for v in row], [""] * k)]
        labels[f"neighbours by {name}"] = marks
    asked = [text for i in picks for text in (videos[i].label, "")]
    groups = [video.group for video in videos]
    reading = _mining_reading(found["rgb"].labels, groups, order)
    return viz.retrieval_grid(both, asked, columns, labels), reading


def _pictures(manifest: Manifest, videos: Sequence[Video], config: Any, bound: float) -> Frames:
    """The middle frame of each video and, after it, the motion there: (2V, size, size, 3)."""
    cut = Transform(config.augment, config.size, train=False)
    rng = np.random.default_rng(0)  # nothing is drawn: the centre crop
    shown = []
    for video, frame in zip(videos, middle_frames(manifest, videos, config), strict=True):
        field = read_flow(manifest, video, [min(video.n_frames // 2, video.n_frames - 2)])
        shown += [frame, cut.augment_frames(viz.flow_colours(field, bound), rng)[0]]
    return np.stack(shown)


def _mining_reading(
    labels: NDArray[np.int64], groups: Sequence[str], order: Mapping[str, NDArray[np.int64]]
) -> str:
    """How often each stream's neighbours have the query's label, and its room, in words."""
    if len(set(labels.tolist())) < 2:
        return (
            "This data set has no labels, so nobody can say how many of the neighbours are right."
        )
    k, count = order["rgb"].shape[1], len(labels)
    places = np.unique(np.array(groups), return_inverse=True)[1]

    def shares(kinds: NDArray[np.int64]) -> tuple[float, float, float]:
        """Of the neighbours by RGB, of those by flow, and of all other videos, in per cent."""
        rgb, flow = (100 * float((kinds[order[s]] == kinds[:, None]).mean()) for s in OTHER)
        pairs = int((kinds[:, None] == kinds).sum()) - count  # with another video
        return rgb, flow, 100 * pairs / (count * (count - 1))

    rgb, flow, guess = shares(labels)
    text = (
        f"Over the {count} training videos looked at, {rgb:.0f} % of the {k} nearest by RGB show "
        f"the query's action, and {flow:.0f} % of the {k} nearest by flow; by chance it would be "
        f"{guess:.0f} %."
    )
    if len(set(groups)) in (1, count):
        return text
    rgb, flow, guess = shares(places)
    return (
        f"{text} Its actor and room are shared by {rgb:.1f} and {flow:.1f} %, by chance "
        f"{guess:.1f} %."
    )


def _accuracy_reading(result: Mapping[str, Any], queue: int) -> str:
    """How the contrastive accuracy of RGB's initialisation came and went, in words."""
    first = next(stage for stage in result["checkpoints"] if stage["stream"] == "rgb")
    rows = RunFolder(runs_root() / first["run"]).metrics()
    found = [100 * row["top1"] for row in rows]
    guess = 1 + queue
    return (
        f"While RGB was initialised, the share of queries that found their key reached "
        f"{max(found):.0f} % in epoch {1 + int(np.argmax(found))} and ended at {found[-1]:.0f} % "
        f"(guessing: {100 / guess:.1f} %), and the loss went from {rows[0]['loss']:.2f} to "
        f"{rows[-1]['loss']:.2f} (guessing: {np.log(guess):.2f})."
    )


def cycles_picture(result: Mapping[str, Any], profile: str, dataset: str) -> viz.Picture:
    """R@1 among the training videos over the stages, both streams (thesis figure 4.2).

    All seeds of the ledger, or the run at hand where there are none.
    """
    entries = Ledger.load().select(HISTORY, profile, dataset)
    histories = [entry.checkpoints for entry in entries.values() if entry.checkpoints]
    histories = histories or [result["checkpoints"]]
    stages = max(histories, key=len)
    names = ["InfoNCE"] + [
        f"cycle {s['cycle']}\n{STREAMS[str(s['stream'])]} learns" for s in stages if s["cycle"]
    ]
    lines = {STREAMS[stream]: [_line(history, stream) for history in histories] for stream in OTHER}
    return viz.alternation({n: [x for x in s if x] for n, s in lines.items()}, names)


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
        mined = STREAMS[OTHER[stream]] if stage["cycle"] else NOTHING
        shares = stage.get("precision"), stage["metrics"].get("train_r1")
        shown = [NOTHING if s is None else f"{100 * s:.1f}" for s in shares]
        name = f"cycle {stage['cycle']}" if stage["cycle"] else "initialisation"
        rows.append(
            (name, STREAMS[stream], mined, stage["epochs"],
             f"{stage['seconds'] / 60:.1f}", *shown)
        )  # fmt: skip
    head = ("stage", "learns", "mined by", "epochs", "minutes", "positives right, %", "R@1, %")
    return grid(head, rows)


def cmc_reading(ledger: Ledger, profile: str, dataset: str) -> str:
    """CoCLR beside CMC, by a linear probe of RGB, in words."""
    found = ledger.compare("coclr/coclr-rgb", "coclr/cmc", "probe_top1", profile, dataset)
    mine, other = found["mean_a"], found["mean_b"]
    if mine is None or other is None:
        return "CMC was not run on this data set."
    text = f"By a linear probe of RGB, CMC reaches {100 * other:.1f} % and CoCLR {100 * mine:.1f} %"
    text += f" ({found['n']} seeds)."
    if other > mine:
        text += (
            " In the thesis it is the other way round. The likely reason is the world: where the "
            "flow of a clip says nearly all about its action, to match each clip with its own "
            "flow teaches RGB more than to learn whom flow finds alike."
        )
    return text


def coclr_numbers(
    results: Mapping[str, Mapping[str, Any]], config: Any, manifest: Manifest
) -> dict[str, Any]:
    """What the text of chapter 4 quotes."""
    table = published.table("4.1")
    quoted = {"infonce": "infonce-rgb", "coclr": "coclr-rgb", "uber": "uber-rgb", "cmc": "cmc"}
    minutes = sum(r["provenance"]["wall_seconds"] for r in results.values()) / 60
    return {
        "scale": f"{config.profile} profile, data set {manifest.name}, seed {config.seed}",
        "minutes_run": round(minutes, 1),
        "device": next(iter(results.values()))["provenance"]["device"],
        "queue": config.queue,
        "cmc_reading": cmc_reading(Ledger.load(), config.profile, manifest.name),
        "accuracy_reading": _accuracy_reading(results["coclr/coclr-rgb"], config.queue),
        **{
            f"thesis_{name}": table.cell(f"coclr/{row}", "probe_top1").text
            for name, row in quoted.items()
        },
    }
