"""Rows that learn from clips and are judged by actions: what chapters 2 to 4 share."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from thesislib.chapters import run
from thesislib.chapters.row import Job, Judge, Row
from thesislib.checkpoint import load_state
from thesislib.config import RunConfig
from thesislib.data.dataset import clips_of
from thesislib.data.flow_files import read_note
from thesislib.data.manifest import Manifest, read_manifest
from thesislib.errors import ThesisError, choose
from thesislib.evaluation.features import TestView, extract, extract_readings
from thesislib.evaluation.finetune import FinetuneConfig, finetune
from thesislib.evaluation.fusion import beside, fuse
from thesislib.evaluation.linear_probe import linear_probe, sgd_probe
from thesislib.evaluation.nonlinear_probe import nonlinear_probe
from thesislib.evaluation.retrieval import retrieval
from thesislib.evaluation.scores import Lacking, PerVideo, Scores, accuracy, load_rows, save_rows
from thesislib.places import runs_root
from thesislib.runs import starting_from
from thesislib.train import Trained, placed, pretext_metrics, seed_everything
from thesislib.train import train as train_model

SHARES = (0.1, 0.2, 0.5, 1.0)  # of the labels (thesis 3.5.5, figure 3.5)
PROBE = "probe.safetensors"  # class probabilities of the linear probe, in the row's run folder
FEATURES = "features-{}.safetensors"  # of the test and training videos, likewise

# How the released tests see videos, by name (the setting ``protocol`` of fine-tuning). "full"
# evaluates every video and augments nothing. "as_released" is MemDPC's test, whatever it does:
# short videos are left out (29.7 % of UCF101's test videos, 84.8 % of HMDB51's), the input is not
# normalised, three clips in ten get other colours, windows start half a window less one frame
# apart. DPC's test drops short videos and is sane else. CoCLR's has colours as MemDPC's, stronger,
# and is sane else; for retrieval it has one random window of each training video (`one_random`).
# The resize is that of `config.augment` (nearest neighbour in the presets "as_released" of DPC and
# MemDPC). Left out: DPC's hop of 6 blocks for HMDB51, and CoCLR's padding of short videos by their
# first frame: here the last frame stands.
PROTOCOLS = {
    "full": TestView(),
    "as_released": TestView("drop", 1, False, (0.2, 0.2, 0.2, 0.1), 0.3),
    "as_released_dpc": TestView("drop"),
    "as_released_coclr": TestView("pad", 1, True, (0.4, 0.4, 0.4, 0.1), 0.3),
}


# -- settings ------------------------------------------------------------------------------


def flow_at_hand(config: Any, job: Job) -> Any:
    """Other data sets than the preset's take the flow that was computed for them.

    What the caller says of flow stands.
    """
    preset = type(config).preset(job.profile)
    if config.dataset == preset.dataset or config.streams == "rgb":
        return config
    found = dataclasses.asdict(preset.flow)
    with contextlib.suppress(ThesisError):  # none there yet: the error comes with its remedy later
        found = dict(read_note(read_manifest(config.dataset))["settings"])
    asked = {k: v for k, v in job.changes.items() if k.partition(".")[0] == "flow"}
    return config.override({"flow": found}).override(asked)


def tuning(config: Any, changes: Mapping[str, Any], **own: Any) -> FinetuneConfig:
    """Settings of fine-tuning: seed, stream and flow are those of pre-training.

    Args:
        config: Of pre-training.
        changes: The caller's, who has the last word.
        own: The chapter's, against the preset.
    """
    stream = {"modality": config.modality, "flow": dataclasses.asdict(config.flow)}
    tuned = FinetuneConfig.preset(config.profile).override({"seed": config.seed, **own, **stream})
    if "source" in changes:
        raise ThesisError(
            "What is trained on top starts from the row's own weights: leave out source."
        )
    tuned = tuned.override(changes)
    choose("protocol", tuned.protocol, PROTOCOLS)
    return tuned


# -- training ------------------------------------------------------------------------------


def pretrain(job: Job) -> Trained:
    """Trains the row's model on the training split, without labels."""
    return pretrain_with(job, run.settings(job))


def pretrain_with(job: Job, config: Any, start: Callable[[Any], object] | None = None) -> Trained:
    """The same with settings of the caller's, and first weights: by default those of ``init``."""
    manifest = read_manifest(config.dataset)
    if start is None and config.init:
        start = starting_from(config.init)
    build = partial(run.method_of(job.row).MODEL, config)
    data = partial(clips_of, manifest, config)
    name = run.method_name(job.row)
    return train_model(name, build, data, config, manifest.fingerprint, start=start, log=job.log)


def untrained(job: Job) -> Trained:
    """The row's model with random weights."""
    config = run.settings(job)
    if config.init:
        raise ThesisError(f"{job.row} has random weights: leave init out, or train another row.")
    read_manifest(config.dataset)  # it must be there: to say so later would not be kinder
    seed_everything(config.seed)
    return Trained(placed(run.method_of(job.row).MODEL(config)), None, {})


def nothing(job: Job) -> Trained:
    """Trains nothing: the row is made of others."""
    return Trained(None, None, {})


# -- judging -------------------------------------------------------------------------------


def labelled(job: Job) -> Manifest:
    """The data set that a row is judged on, with actions in training and test split.

    Raises:
        Lacking: The two splits do not both hold videos of two classes.
    """
    manifest = read_manifest(run.judged_on(job))
    for split in ("train", "test"):
        found = {v.label for v in manifest.videos if v.split == split and v.label}
        if len(found) < 2:
            raise Lacking(
                f"{manifest.name!r} has videos of {len(found)} classes in its {split} split, so "
                "nothing can be classified: label more of them, or stay with `thesislib train`."
            )
    return manifest


def both_splits(model: Any, manifest: Manifest, config: Any) -> tuple[PerVideo, PerVideo]:
    """Features of the training and of the test videos."""
    train, test = (extract(model, manifest.select(split=s), config) for s in ("train", "test"))
    return train, test


def judge(job: Job, trained: Trained) -> Scores:
    """Linear probe and retrieval of frozen features, then fine-tuning (thesis 2.4, 3.4, 4.4.3).

    Features and the probabilities of the probe stay in the row's run folder, for fusion.
    """
    manifest, config, folder = labelled(job), run.settings(job), run.folder(job).path
    seen = {
        split: extract_readings(trained.model, manifest.select(split=split), config)
        for split in ("train", "test")
    }
    own, *others = seen["test"]
    train, test = seen["train"][own], seen["test"][own]
    probe = linear_probe(train, test)
    for name, rows in (("train", train), ("test", test)):
        save_rows(folder / FEATURES.format(name), rows)
    save_rows(folder / PROBE, probe)
    frozen = accuracy(probe, "probe_top1") | retrieval(test, train)
    for name in others:
        frozen |= other_reading(name, seen["train"][name], seen["test"][name])
    scores = frozen | tune(job, trained, manifest, _tuning(job, trained))
    if job.stages and trained.run is not None:
        scores = scores | _along(job, trained, manifest, scores)
    return scores


def other_reading(name: str, train: PerVideo, test: PerVideo) -> Scores:
    """Probe and R@1 of what else a network can be read by: ``probe_NAME_top1``, ..."""
    near, own, other = retrieval(test, train, (1,)), "retrieval_r1", f"retrieval_{name}_r1"
    probe = accuracy(linear_probe(train, test), f"probe_{name}_top1")
    return probe | Scores({other: near.metrics[own]}, {other: near.hits[own]})


def _tuning(job: Job, trained: Trained) -> FinetuneConfig:
    """Settings of fine-tuning that name the weights it starts from."""
    source = trained.run.name if trained.run else f"random {run.settings(job).hash()}"
    return replace(run.tuning(job), source=source)


def tune(
    job: Job, trained: Trained, manifest: Manifest, config: FinetuneConfig, frozen: bool = False
) -> Scores:
    """A classifier that starts from the model, its head drawn by the seed: ``finetune_top1``."""
    build = partial(trained.model.classifier, len(manifest.classes), config.dropout, frozen=frozen)
    return finetune(
        build,
        manifest,
        config,
        name=f"{run.method_name(job.row)}_finetune",
        view=PROTOCOLS[config.protocol],
        log=job.log,
    )[1]


def supervised(job: Job, trained: Trained) -> Scores:
    """Training with all labels and cross-entropy from the model's weights (table 4.1).

    Retrieval is by the features of the trained classifier.
    """
    manifest, config = labelled(job), run.settings(job)
    # All labels make longer epochs: as many steps as pre-training has, with the same clips.
    settings = replace(
        run.tuning(job), per_class=0, source="supervised", epochs=config.epochs, milestones=(),
        val_every=config.epochs, batch_size=config.batch_size,
    )  # fmt: skip
    build = partial(trained.model.classifier, len(manifest.classes), settings.dropout)
    name = f"{run.method_name(job.row)}_finetune"
    view = PROTOCOLS[settings.protocol]
    tuned, scores = finetune(build, manifest, settings, name=name, view=view, log=job.log)
    train, test = both_splits(tuned.model, manifest, config)
    return retrieval(test, train) | scores


def _along(job: Job, trained: Trained, manifest: Manifest, last: Scores) -> Scores:
    """Downstream beside pretext accuracy of the weights kept along the way (figure 2.3)."""
    assert trained.run is not None
    config, rows = run.settings(job), trained.run.metrics()
    points = []
    for path in sorted(trained.run.path.glob("epoch*.safetensors")):
        epoch = load_state(path, trained.model)["epoch"]
        if epoch == config.epochs:
            continue
        stage = replace(run.tuning(job), source=f"{trained.run.name} {path.stem}")
        tuned = tune(job, trained, manifest, stage)
        train, test = both_splits(trained.model, manifest, config)
        probe = accuracy(linear_probe(train, test), "probe_top1")
        points.append({"epoch": epoch, **tuned.metrics, **probe.metrics})
        points[-1] |= pretext_metrics(rows[epoch - 1])
    trained.run.load_into(trained.model)
    names = ("finetune_top1", "probe_top1")
    points.append({"epoch": config.epochs, **{name: last.metrics[name] for name in names}})
    points[-1] |= pretext_metrics(rows[-1])
    return Scores(points=tuple(points))


# -- more, where a job asks for it ---------------------------------------------------------


def _on_features(probe: Callable[..., PerVideo], metric: str, job: Job, trained: Trained) -> Scores:
    """Another probe of the features that :func:`judge` has left in the row's folder."""
    folder = run.folder(job).path
    train, test = (load_rows(folder / FEATURES.format(s)) for s in ("train", "test"))
    return accuracy(probe(train, test, seed=job.seed), metric)


def network_probe(job: Job, trained: Trained) -> Scores:
    """The linear probe behind the frozen network, on augmented clips, as chapter 4 released it."""
    config = _tuning(job, trained)
    frozen = replace(config, per_class=0, source=f"{config.source} frozen", lr=0.1, optimiser="sgd")
    found = tune(job, trained, labelled(job), frozen, frozen=True)
    return renamed(found, "network_probe_top1")


def renamed(scores: Scores, metric: str) -> Scores:
    """The scores of fine-tuning under another name."""
    return Scores({metric: scores.metrics["finetune_top1"]}, {metric: scores.hits["finetune_top1"]})


def efficiency(job: Job, trained: Trained) -> Scores:
    """Fine-tuning with shares of the labels (thesis figure 3.5), from the same weights each."""
    manifest, config, scores = labelled(job), _tuning(job, trained), Scores()
    for share in SHARES:
        part = manifest.with_labels(share, config.seed)
        if job.log:
            held = sum(v.split == "train" for v in part.videos)
            job.log(f"{share:.0%} of the labels: {held} videos")
        found = tune(job, trained, part, _same_steps(part, config))
        scores = scores | renamed(found, f"finetune_top1_{round(100 * share)}")
    return scores


def _same_steps(part: Manifest, config: FinetuneConfig) -> FinetuneConfig:
    """Settings for all labels of ``part``, with the steps of the preset where it bounds them.

    Otherwise the share with ten times the labels would also be trained ten times as long.
    """
    if not config.per_class:
        return config
    usual = max(config.per_class * len(part.classes), config.min_clips)
    held = max(sum(v.split == "train" for v in part.videos), config.min_clips)
    factor = min(1.0, usual / held)
    epochs, *milestones = (max(1, round(factor * e)) for e in (config.epochs, *config.milestones))
    return replace(
        config, per_class=0, epochs=epochs, milestones=tuple(milestones), val_every=epochs
    )


MORE: dict[str, Judge] = {
    "nonlinear": partial(_on_features, nonlinear_probe, "nonlinear_top1"),
    "sgd": partial(_on_features, sgd_probe, "sgd_probe_top1"),
    "network": network_probe,
    "efficiency": efficiency,
}


# -- two streams ---------------------------------------------------------------------------


def fused(name: str, *parts: str) -> Row:
    """A row that fuses what others have left in their folders; they are run, or found run.

    Probabilities of fine-tuning and probe are averaged (thesis 3.3.3), similarities of retrieval
    added (table 4.3).
    """
    rest = dict.fromkeys(MORE, lambda job, trained: Scores())  # the parts answer those
    return Row(
        name,
        nothing,
        (partial(_fuse, parts),),
        more=rest,
        identity=partial(_fused_identity, parts),
    )


def _parts(parts: tuple[str, ...], job: Job) -> list[dict[str, Any]]:
    return [run.run(job.also(part)) for part in parts]


def _fused_identity(parts: tuple[str, ...], job: Job) -> tuple[RunConfig, dict[str, Any]]:
    source = " ".join(part["run"] for part in _parts(parts, job))
    first = replace(run.tuning(job.also(parts[0])), modality="both", source=source)
    return first, {}


def _fuse(parts: tuple[str, ...], job: Job, trained: Trained) -> Scores:
    found, root = _parts(parts, job), runs_root()
    tuned = fuse([load_rows(root / part["tuned"]) for part in found])
    probe = fuse([load_rows(root / part["run"] / PROBE) for part in found])
    test, train = (
        beside([load_rows(root / part["run"] / FEATURES.format(split)) for part in found])
        for split in ("test", "train")
    )
    scores = retrieval(test, train, centre=False) | accuracy(probe, "probe_top1")
    return scores | accuracy(tuned, "finetune_top1") | Scores(parts=tuple(found))
