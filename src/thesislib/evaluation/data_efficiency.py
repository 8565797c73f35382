"""Data efficiency: how far few labels carry a representation (thesis 3.4, 3.5.5, figure 3.5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from thesislib.data.manifest import Manifest
from thesislib.errors import ThesisError
from thesislib.evaluation.finetune import FinetuneConfig, finetune
from thesislib.train import seed_everything

SHARES = (0.1, 0.2, 0.5, 1.0)


def with_labels(manifest: Manifest, share: float, seed: int = 0) -> Manifest:
    """The data set with a share of its training videos; validation and test stay whole.

    The subset is balanced: each class keeps this share of its videos, rounded to the nearest
    number (half up) and at least one. Subsets of one seed are nested: the 10 % are among the 20 %.
    """
    train = manifest.select(split="train", share=share, seed=seed)
    kept = {video.path for video in train.videos}
    videos = tuple(v for v in manifest.videos if v.split != "train" or v.path in kept)
    return replace(manifest, videos=videos, class_names=manifest.classes)


def data_efficiency(
    model: Any,
    manifest: Manifest,
    config: FinetuneConfig,
    *,
    method: str,
    shares: Sequence[float] = SHARES,
    score: Callable[[Manifest], dict[str, Any]] | None = None,
    log: Callable[[str], None] | None = print,
) -> dict[str, Any]:
    """Trains on a share of the labels and scores on the same test videos, share by share.

    Args:
        model: Any encoder with ``classifier(classes, dropout)``; each share starts from its
            weights anew.
        manifest: With labels in all splits.
        config: Settings of fine-tuning; ``seed`` also draws the subsets. ``per_class`` must be 0.
        method: Prefix of the run folders: every share is a run of its own, found when it is there.
        shares: Shares of the labelled training videos, in ``(0, 1]``.
        score: Another protocol than fine-tuning: a data set with the reduced training split in, a
            metric dictionary out.
        log: Where the log lines go.

    Returns:
        ``data_efficiency``: one row a share, with ``share``, ``labels`` (training videos used)
        and what the protocol returns, for instance ``finetune_top1``, ``evaluated`` and
        ``skipped``.

    Raises:
        ThesisError: A share is out of range, none is named, or ``per_class`` is set too.
    """
    if config.per_class:
        raise ThesisError(
            f"per_class={config.per_class} bounds the labels beside the share: set per_class=0."
        )
    if not shares:
        raise ThesisError("No share of the labels was named: give for instance shares=(0.1, 1.0).")

    def tune(part: Manifest) -> dict[str, Any]:
        seed_everything(config.seed)  # the new layers start alike for every share
        classifier = model.classifier(len(part.classes), config.dropout)
        return finetune(classifier, part, config, method=method, log=log)

    parts = [with_labels(manifest, share, config.seed) for share in shares]
    rows = []
    for share, part in zip(shares, parts, strict=True):
        labels = sum(v.split == "train" for v in part.videos)
        if log:
            log(f"{share:.0%} of the labels: {labels} videos")
        rows.append({"share": share, "labels": labels} | (score or tune)(part))
    return {"data_efficiency": rows}
