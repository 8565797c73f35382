"""A few labelled examples of a user's: prompts learnt on them (thesis chapter 5, few-shot)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thesislib.classifying.names import (
    Classifier,
    Timing,
    learnt_classifier,
    listed,
    wording,
    zero_shot,
)
from thesislib.classifying.windows import cut, encoded
from thesislib.data.class_list import merged
from thesislib.data.few_shot import plain
from thesislib.data.few_shot_names import words_of
from thesislib.data.scan import Candidate, find_candidates
from thesislib.data.streaming import Stream
from thesislib.errors import ThesisError, VideoError
from thesislib.image_text import ImageText
from thesislib.methods.clip_prompt import ClipPrompt, ClipPromptConfig
from thesislib.optimiser import learning_rate, make_optimiser
from thesislib.train import Log, placed

# In a trial on 480 videos of the studio (16 actions, five examples each, a model at three quarters
# of its training) the template named 49 %, prompts 45, with two layers 46 to 49. Of names that mean
# nothing it named 4 %, prompts 21, with two layers 43. Steps without layers hardly matter.
STEPS, STEPS_OF_LAYERS = 100, 600
CONTEXT = 4  # learnt vectors before a name, and as many after it
SCALE = 0.4  # size of a number of a feature at which layers over time see the order of frames
MOST = 32  # windows of a step


@dataclass(frozen=True)
class Shots:
    """Features of labelled examples.

    Attributes:
        classes: Names.
        features: (n, D) of each example, n as long as it lasts.
        labels: Class of each.
        notes: What was left out.
    """

    classes: tuple[str, ...]
    features: tuple[Tensor, ...]
    labels: tuple[int, ...]
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Examples of each class."""
        return {name: self.labels.count(i) for i, name in enumerate(self.classes)}

    def select(self, rows: Sequence[int]) -> Shots:
        """Some of the examples."""
        return replace(
            self,
            features=tuple(self.features[i] for i in rows),
            labels=tuple(self.labels[i] for i in rows),
        )


def shot_classes(folder: str | Path) -> tuple[str, ...]:
    """The classes of a folder ``<class>/<video>``, as words.

    Raises:
        ThesisError: No such folder, no video in it, or fewer than two classes.
    """
    labels = sorted({c.label for c in _candidates(folder) if c.label})
    return merged(words_of(labels), f"The folder {folder}").names


def _candidates(folder: str | Path) -> list[Candidate]:
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise ThesisError(f"There is no folder of examples {path}: make one of <class>/<video>.")
    return find_candidates(path.resolve())[0]


def read_shots(
    folder: str | Path, classes: Sequence[str], encoder: ImageText, rate: float, log: Log
) -> Shots:
    """Looks at every example of the classes.

    Args:
        folder: ``<class>/<video>``.
        classes: Names; a folder belongs to the one of the same letters and digits.
        encoder: Looks at frames.
        rate: Frames a second.
        log: Is told what is skipped, and how many were read.

    Raises:
        ThesisError: Not one example can be used.
    """
    known = {plain(name): i for i, name in enumerate(classes)}
    features, labels, others, skipped = [], [], set(), []
    for candidate in _candidates(folder):
        label = known.get(plain(candidate.label)) if candidate.label else None
        if label is None:
            others.add(candidate.label or "(no folder of its own)")
            continue
        try:
            rows = [f for _, f, _ in encoded(Stream(candidate.path).rows(rate), encoder)]
        except VideoError as error:
            skipped.append(f"{candidate.name}: {error.reason}")
            continue
        features.append(torch.stack(rows))
        labels.append(label)
    if not features:
        why = f" ({skipped[0]})" if skipped else ""
        raise ThesisError(
            f"Not one video in {folder} is an example of these classes{why}: its folders are to "
            f"be called as the classes are, e.g. {classes[0]!r}."
        )
    notes = [f"example skipped: {line}" for line in skipped]
    if others:
        notes.append(f"folders of examples that are none of the classes: {listed(sorted(others))}")
    shots = Shots(tuple(classes), tuple(features), tuple(labels), tuple(notes))
    if empty := [name for name, count in shots.counts.items() if not count]:
        shots = replace(shots, notes=(*notes, f"classes without an example: {listed(empty)}"))
    if log:
        log("examples: " + ", ".join(f"{name} {count}" for name, count in shots.counts.items()))
    return shots


def few_shot(
    encoder: ImageText,
    shots: Shots,
    timing: Timing,
    *,
    layers: int = 0,
    templates: Sequence[str] = (),
    temperature: float | None = None,
    seed: int = 0,
    log: Log = None,
) -> tuple[Classifier, dict[str, int]]:
    """A classifier whose prompts were learnt on the examples.

    Before that, one example of each class that has two is set aside, the others are learnt from,
    and those are named by this and by the template: does learning help here?

    Args:
        encoder: The frozen model.
        shots: The examples.
        timing: Length of a window, frames a second.
        layers: Transformer layers over time that are learnt as well.
        templates: Of the template that it is compared with.
        temperature: Of training and use; default: the thesis's.
        seed: Of everything drawn.
        log: Is told what happens.

    Returns:
        The classifier; and ``videos`` set aside, of which so many were named rightly by the
        ``template`` and as ``learnt``: empty where there were none.
    """
    config = settings(encoder, shots, timing, layers, temperature, seed)
    aside = _set_aside(shots)
    held: dict[str, int] = {}
    rest = [i for i in range(len(shots.labels)) if i not in aside]
    if aside and len({shots.labels[i] for i in rest}) > 1:
        part = learnt_classifier(encoder, learn(encoder, shots.select(rest), config), shots.classes,
                                 "", temperature)  # fmt: skip
        by_hand = zero_shot(encoder, shots.classes, templates)
        held = {
            "videos": len(aside),
            "template": _right(by_hand, shots.select(aside), timing),
            "learnt": _right(part, shots.select(aside), timing),
        }
        if log:
            log(held_out_sentence(held))
    if log:
        log(f"learning from {len(shots.labels)} examples: {config.epochs} steps")
    how = f"prompts learnt on {len(shots.labels)} examples"
    model = learn(encoder, shots, config)
    return learnt_classifier(encoder, model, shots.classes, how, temperature), held


def held_out_sentence(held: dict[str, int]) -> str:
    """What the trial on examples that were set aside says."""
    worse = held["learnt"] < held["template"]
    advice = ": leave out --shots, or give more of them" if worse else ""
    return (
        f"of {held['videos']} examples set aside, prompts learnt on the others name "
        f"{held['learnt']} rightly, the template {held['template']}{advice}"
    )


def settings(
    encoder: ImageText, shots: Shots, timing: Timing, layers: int, temperature: float | None,
    seed: int,
) -> ClipPromptConfig:  # fmt: skip
    """Of a training on a few examples; an epoch is a step."""
    steps = STEPS_OF_LAYERS if layers else STEPS
    base = ClipPromptConfig.preset("small")
    size = float(torch.cat(shots.features).square().mean().sqrt())
    return replace(
        base,
        dataset="examples", model=encoder.name, weights=encoder.weights, seed=seed,
        epochs=steps, warmup=steps // 10,
        context=max(0, min(CONTEXT, (encoder.window - 8) // 2)),
        layers=layers,
        heads=next(n for n in (8, 4, 2, 1) if encoder.width % n == 0),
        frames=max(1, round(timing.seconds * timing.rate)), strides=(1,), rate=timing.rate,
        code_gap=False, feature_scale=SCALE / max(size, 1e-6),
        temperature=base.temperature if temperature is None else temperature,
    )  # fmt: skip


def learn(encoder: ImageText, shots: Shots, config: ClipPromptConfig) -> ClipPrompt:
    """Trains on windows drawn from the examples, every class as often; same seed, same weights."""
    names = [wording(name, encoder) for name in shots.classes]
    tokens = encoder.tokenizer(names).to(encoder.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = placed(ClipPrompt(config, encoder.model, tokens)).train()
    rng = np.random.default_rng([config.seed, len(shots.labels)])
    optimiser = make_optimiser(model, config)
    for step in range(config.epochs):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(config, step, 1)
        batch = {k: v.to(encoder.device) for k, v in _batch(shots, config.frames, rng).items()}
        loss, _ = model.training_step(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model


def _batch(shots: Shots, frames: int, rng: np.random.Generator) -> dict[str, Tensor]:
    """Windows of T rows; a shorter example has its last row repeated."""
    present = sorted(set(shots.labels))
    rows, labels = [], []
    for label in rng.permutation(present * max(1, MOST // len(present)))[: max(MOST, len(present))]:
        own = [i for i, other in enumerate(shots.labels) if other == label]
        features = shots.features[rng.choice(own)]
        first = int(rng.integers(max(1, len(features) - frames + 1)))
        at = torch.arange(first, first + frames).clamp(max=len(features) - 1)
        rows.append(features[at])
        labels.append(int(label))
    return {"features": torch.stack(rows), "label": torch.tensor(labels)}


def _set_aside(shots: Shots) -> list[int]:
    """The last example of each class that has two or more."""
    last = {label: i for i, label in enumerate(shots.labels)}
    return [i for label, i in last.items() if shots.labels.count(label) > 1]


def _right(classifier: Classifier, shots: Shots, timing: Timing) -> int:
    """How many examples get their own class."""
    hits = 0
    grid = classifier.grid(timing, timing.rate)
    for features, label in zip(shots.features, shots.labels, strict=True):
        rows: Any = ((0.0, row, None) for row in features)
        windows = torch.stack([torch.stack(w.rows) for w in cut(rows, grid.rows, grid.hop)])
        hits += int(classifier(windows, grid.gap).mean(0).argmax()) == label
    return hits
