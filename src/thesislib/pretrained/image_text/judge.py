"""What an image-text model knows of the videos of chapter 5, whose actors and rooms are new to it.

They are painted on the spot and not encoded as files; probes learn from the training videos, all
are judged on the test videos.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from thesislib.image_text import ImageText
from thesislib.synthetic import PAIRS
from thesislib.synthetic.captioned import caption_of
from thesislib.synthetic.render import ClipSpec, render_clip
from thesislib.synthetic.wording import NAMES, PHRASES, TEMPLATES
from thesislib.synthetic.world import DEFAULT_ACTIONS

SHOTS = (5, 50)
GALLERY = 480  # videos among which a caption looks for its own


class Videos(NamedTuple):
    """Features of videos."""

    frames: Tensor  # (V, T, D), each of unit length
    labels: NDArray[np.int64]  # (V,)

    @property
    def mean(self) -> Tensor:
        """(V, D)."""
        return self.frames.mean(1)


def encode(model: ImageText, specs: Sequence[ClipSpec]) -> Videos:
    """Paints videos and looks at every frame of them."""
    frames = [F.normalize(model.encode_frames(render_clip(spec)), dim=-1) for spec in specs]
    labels = [DEFAULT_ACTIONS.index(spec.action) for spec in specs]
    return Videos(torch.stack(frames), np.array(labels))


def class_vectors(model: ImageText, texts: Sequence[Sequence[str]]) -> Tensor:
    """One vector a class, the mean of those of its texts: (C, D) of unit length."""
    rows = [F.normalize(model.encode_texts(own), dim=-1).mean(0) for own in texts]
    return F.normalize(torch.stack(rows), dim=-1)


def judge(model: ImageText, specs: Sequence[ClipSpec], seed: int = 0) -> dict[str, float]:
    """Shares of right answers on test videos; chance is beside them.

    Args:
        model: The model.
        specs: Videos of chapter 5, of which those of ``train`` and ``test`` are used.
        seed: Of the draws of few labels.
    """
    test = [spec for spec in specs if spec.split == "test"]
    seen, learnt = encode(model, test), encode(model, [s for s in specs if s.split == "train"])
    by_template = [[TEMPLATES[0].format(NAMES[action])] for action in DEFAULT_ACTIONS]
    template = class_vectors(model, by_template)
    phrases = [[f"a person {p}" for p in PHRASES[action]] for action in DEFAULT_ACTIONS]
    middle = seen.frames[:, seen.frames.shape[1] // 2]
    scores = {
        "chance": 1 / len(DEFAULT_ACTIONS),
        "template_1_frame": _right(middle @ template.T, seen.labels),
        "template": _right(seen.mean @ template.T, seen.labels),
        "template_pairs_merged": _merged_right((seen.mean @ template.T).argmax(1), seen.labels),
        "own_words": _right(seen.mean @ class_vectors(model, phrases).T, seen.labels),
        "template_pairs_two_way": _two_way(seen.mean @ template.T, seen.labels),
    }
    scores |= _probes(learnt, seen, seed)
    return scores | retrieval(model, seen, test)


def _right(scores: Tensor, labels: NDArray[np.int64]) -> float:
    return float((scores.argmax(1).numpy() == labels).mean())


def _merged_right(found: Tensor, labels: NDArray[np.int64]) -> float:
    """How often the action is right, an action and its counterpart in reverse being one."""
    lower = {max(pair): min(pair) for pair in counterparts().items()}
    merged = np.array([lower.get(label, label) for label in range(len(DEFAULT_ACTIONS))])
    return float((merged[found.numpy()] == merged[labels]).mean())


def counterparts() -> dict[int, int]:
    """Class number to that of the action which is the same in reverse."""
    number = {action: i for i, action in enumerate(DEFAULT_ACTIONS)}
    both = [(number[a], number[b]) for a, b in PAIRS]
    return dict(both) | {b: a for a, b in both}


def _two_way(scores: Tensor, labels: NDArray[np.int64]) -> float:
    """Of videos that have a counterpart in reverse: how often the right one of the two wins."""
    other = counterparts()
    rows = [i for i, label in enumerate(labels.tolist()) if label in other]
    wins = [bool(scores[i, labels[i]] > scores[i, other[int(labels[i])]]) for i in rows]
    return float(np.mean(wins))


def _probes(train: Videos, test: Videos, seed: int) -> dict[str, float]:
    """Linear probes of the mean feature: of all labels, of few, and with reverses merged."""
    found = probe(train, test, np.arange(len(train.labels)))
    scores = {
        "linear_probe": float((found == test.labels).mean()),
        "linear_probe_pairs_merged": _merged_right(torch.from_numpy(found), test.labels),
    }
    rng = np.random.default_rng(seed)
    for shots in SHOTS:
        draws = []
        for _ in range(3):
            rows = [
                rng.permutation(np.flatnonzero(train.labels == label))[:shots]
                for label in range(len(DEFAULT_ACTIONS))
            ]
            draws.append((probe(train, test, np.concatenate(rows)) == test.labels).mean())
        scores[f"linear_probe_{shots}_labels"] = float(np.mean(draws))
    return scores


def probe(train: Videos, test: Videos, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Class numbers of ``test`` by logistic regression on some rows of ``train``.

    scikit-learn's L-BFGS searches along its lines; without that a trial ended at half the accuracy.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.03, max_iter=2000))
    classifier.fit(train.mean[rows].numpy(), train.labels[rows])
    return np.asarray(classifier.predict(test.mean.numpy()), np.int64)


def retrieval(model: ImageText, videos: Videos, specs: Sequence[ClipSpec]) -> dict[str, float]:
    """R@1 of whole captions among ``GALLERY`` videos, both ways; ties count against it."""
    count = min(GALLERY, len(specs))
    texts = [caption_of(spec) for spec in specs[:count]]
    scores = videos.mean[:count] @ F.normalize(model.encode_texts(texts), dim=-1).T
    own = scores.diagonal()
    return {
        "retrieval_videos": float(count),
        "text_to_video_r1": float(((scores >= own).sum(0) == 1).float().mean()),
        "video_to_text_r1": float(((scores >= own[:, None]).sum(1) == 1).float().mean()),
    }


def shown(scores: dict[str, Any]) -> dict[str, Any]:
    """As they are written: four places."""
    return {k: round(v, 4) for k, v in scores.items()}
