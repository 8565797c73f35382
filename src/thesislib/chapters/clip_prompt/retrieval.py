"""The rows of text-video retrieval (thesis 5.4.4, Table 5.7): how they learn and are judged.

A caption is one text of the batch, and the video that it belongs to has to be told from those of
the others, and the other way round. Captions longer than the window lose their last words and never
the mark of their end, which is where a text is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from thesislib import published
from thesislib.chapters import run
from thesislib.chapters.clip_prompt.frames import image_text, store, tokens
from thesislib.chapters.row import Job
from thesislib.data.caption_clips import CaptionClips
from thesislib.data.captions import read_captions
from thesislib.data.feature_clips import FeatureClips
from thesislib.data.features import FeatureStore
from thesislib.data.loader import make_loader
from thesislib.data.manifest import Manifest, read_manifest
from thesislib.errors import ThesisError
from thesislib.evaluation.scores import Lacking, Scores
from thesislib.evaluation.text_retrieval import RANKS, text_retrieval
from thesislib.files import replacing
from thesislib.methods.clip_prompt import ClipPrompt, ClipPromptConfig
from thesislib.train import Log, Trained, placed, seed_everything, train

NAME = "clip_prompt_retrieval"  # first part of runs' names
FEATURES = "retrieval.safetensors"  # of texts and videos, in the row's run folder
LEARNT_FROM = {"lsmdc": "val"}  # splits to train on (5.4.4); else the training split
PARAGRAPHS = ("didemo",)  # the sentences of a video are one text
CHUNK = 256  # texts at a time


def captions_of(manifest: Manifest) -> dict[str, tuple[str, ...]]:
    """What is said of each video, as retrieval reads it."""
    found = read_captions(manifest)
    if manifest.info.get("recipe") in PARAGRAPHS:
        return {path: (" ".join(texts),) for path, texts in found.items()}
    return found


def fingerprint(dataset: str) -> str:
    """Of a data set with its captions, for the names of rows."""
    manifest = read_manifest(dataset)
    text = f"{manifest.fingerprint} {read_captions(manifest)!r}"
    return hashlib.sha256(text.encode()).hexdigest()


def settle(config: ClipPromptConfig, job: Job) -> ClipPromptConfig:
    """The data set of the table, unless another is asked for."""
    dataset = job.dataset or str(published.home(job.row, job.profile) or config.dataset)
    return replace(config, dataset=str(job.changes.get("dataset", dataset)))


# -- learning ------------------------------------------------------------------------------


def pairs(
    manifest: Manifest, kept: FeatureStore, config: ClipPromptConfig, split: str
) -> CaptionClips:
    """Videos of a split with captions, as training sees them."""
    some = manifest.select(split)
    clips = FeatureClips(
        some, kept, frames=config.frames, strides=config.strides, train=True, seed=config.seed
    )
    encoder = image_text(config)
    return CaptionClips(clips, captions_of(some), lambda t: tokens(encoder, t), config.seed)


def learn(
    manifest: Manifest, kept: FeatureStore, config: ClipPromptConfig, log: Log = print
) -> Trained:
    """Learns from the captions of a data set, or finds that learnt."""
    split = LEARNT_FROM.get(manifest.name, "train")

    def data() -> tuple[CaptionClips, CaptionClips | None]:
        held = split != "val" and any(video.split == "val" for video in manifest.videos)
        # One clip and one caption of a validation video, of one epoch and so always the same.
        val = pairs(manifest, kept, config, "val") if held else None
        return pairs(manifest, kept, config, split), val

    text = f"{manifest.fingerprint}\n{kept.fingerprint}\n{captions_of(manifest)!r}"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return train(NAME, lambda: build(config), data, config, digest, log=log)


def build(config: ClipPromptConfig) -> ClipPrompt:
    """A fresh model on the device of training."""
    model: ClipPrompt = placed(ClipPrompt(config, image_text(config).model))
    return model


def prompted(job: Job) -> Trained:
    """Training of a row."""
    config = run.settings(job)
    manifest = read_manifest(config.dataset)
    return learn(manifest, store(manifest, config, job.log), config, job.log)


def untrained(job: Job) -> Trained:
    """Baseline IV: the frozen model as it is."""
    config = run.settings(job)
    seed_everything(config.seed)
    return Trained(build(config), None, {})


# -- judging -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Embedded:
    """The texts and videos of a test set.

    Attributes:
        texts: float32 ``(texts, D)``.
        videos: float32 ``(videos, clips, D)``, the clips of each.
        video_of_text: int64 ``(texts,)``.
        names: Paths of the videos.
        captions: The texts as they were read.
    """

    texts: Tensor
    videos: Tensor
    video_of_text: Tensor
    names: tuple[str, ...]
    captions: tuple[str, ...]

    def similarity(self) -> Tensor:
        """Mean cosine of a text and the clips of a video, ``(texts, videos)``."""
        clips = F.normalize(self.videos, dim=2).mean(1)
        return F.normalize(self.texts, dim=1) @ clips.T

    def save(self, path: Path) -> None:
        """Writes one safetensors file, so that any measure can be taken again."""
        tensors = {name: getattr(self, name) for name in ("texts", "videos", "video_of_text")}
        note = json.dumps({"names": self.names, "captions": self.captions})
        with replacing(path) as partial:
            save_file(
                {name: t.contiguous() for name, t in tensors.items()}, partial, {"info": note}
            )

    @classmethod
    def load(cls, path: str | Path) -> Embedded:
        """The inverse of :meth:`save`.

        Raises:
            ThesisError: No such file, or not one of ours.
        """
        try:
            with safe_open(path, framework="pt") as file:
                note = json.loads((file.metadata() or {})["info"])
            tensors = load_file(path)
            return cls(
                tensors["texts"], tensors["videos"], tensors["video_of_text"],
                tuple(note["names"]), tuple(note["captions"]),
            )  # fmt: skip
        except Exception as error:
            raise ThesisError(
                f"{path} holds no texts and videos of ours ({type(error).__name__}): evaluate the "
                "row again."
            ) from None


@torch.no_grad()
def embedded(
    model: ClipPrompt,
    manifest: Manifest,
    kept: FeatureStore,
    captions: Mapping[str, Sequence[str]],
) -> Embedded:
    """What a model makes of the videos of a manifest and of all their captions.

    A model that has learnt nothing takes the mean over all rows of a video (baseline IV), another
    one clips as in training.

    Raises:
        Lacking: No video has features and a caption.
    """
    config = model.config
    videos = [v for v in manifest.videos if kept.has(v) and captions.get(v.path)]
    if not videos:
        raise Lacking(f"No video of {manifest.name!r} has features and a caption.")
    texts = [(text, i) for i, video in enumerate(videos) for text in captions[video.path]]
    model.eval()
    if config.context or config.layers:
        rows = _clips(model, replace(manifest, videos=tuple(videos)), kept)
    else:
        means = [kept.read(video)[0].astype(np.float32).mean(0) for video in videos]
        rows = torch.from_numpy(np.stack(means))[:, None]
    return Embedded(
        texts=encode_texts(model, [text for text, _ in texts]),
        videos=rows,
        video_of_text=torch.tensor([i for _, i in texts]),
        names=tuple(video.path for video in videos),
        captions=tuple(text for text, _ in texts),
    )


def encode_texts(model: ClipPrompt, texts: Sequence[str]) -> Tensor:
    """Features of captions ``(N, D)`` on the CPU; learnt vectors stand around them."""
    encoder = image_text(model.config)
    parts = [texts[i : i + CHUNK] for i in range(0, len(texts), CHUNK)]
    device = encoder.device
    return torch.cat([model.encode_text(tokens(encoder, p).to(device)).cpu() for p in parts])


def _clips(model: ClipPrompt, manifest: Manifest, kept: FeatureStore) -> Tensor:
    """``(V, S, D)``: S test clips of each video; one where all of them would be the same."""
    config, device = model.config, image_text(model.config).device
    longest = max(kept.length(video) for video in manifest.videos)
    fixed = longest <= (config.frames - 1) * min(config.strides) + 1
    clips = FeatureClips(
        manifest, kept, frames=config.frames, strides=config.strides, train=False,
        samples=1 if fixed else config.test_clips, seed=config.seed,
    )  # fmt: skip
    rows = []
    for batch in make_loader(
        clips, 2 * config.batch_size, shuffle=False, num_workers=config.num_workers
    ):
        features, gap = batch["features"].to(device), batch["gap"].to(device)  # (B, S, T, D)
        found = model.encode_video(features.flatten(0, 1), gap.flatten())
        rows.append(found.unflatten(0, features.shape[:2]).float().cpu())
    return torch.cat(rows)


def measured(found: Embedded) -> Scores:
    """Ranks both ways: ties at their worst, beside them at their mean (``..._ties_mean``)."""
    similarity, own = found.similarity(), found.video_of_text.numpy()
    scores = text_retrieval(similarity, own)
    fair = text_retrieval(similarity, own, ties="mean")
    scores |= Scores({f"{name}_ties_mean": value for name, value in fair.metrics.items()})
    return scores | guessing(len(found.names))


def guessing(videos: int) -> Scores:
    """What a random order gives: R@k and the median rank of a text among the videos."""
    shares = {f"chance_t2v_r{k}": k / videos for k in RANKS if k <= videos}
    return Scores({**shares, "chance_t2v_median": (videos + 1) / 2})


def judge(job: Job, trained: Trained, split: str = "test") -> Scores:
    """Texts look up videos, videos look up texts; both are left in the row's run folder."""
    config = run.settings(job)
    manifest = read_manifest(run.judged_on(job))
    kept = store(manifest, config, job.log)
    some = manifest.select(split)
    found = embedded(trained.model, some, kept, captions_of(some))
    found.save(run.folder(job).path / FEATURES)
    scores = measured(found)
    skipped = len(some) - len(found.names)
    return scores | Scores(counts={**scores.counts, "skipped": skipped})
