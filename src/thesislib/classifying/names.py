"""Names of classes made into a classifier of frames: by a template, a finished run, or a few shots.

Thesis chapter 5 for a user's own videos and names; :mod:`thesislib.classifying.answers` uses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from thesislib.checkpoint import RunFolder
from thesislib.data.class_list import as_words, shortened
from thesislib.errors import ThesisError
from thesislib.image_text import ImageText, load_image_text
from thesislib.image_text.model import RANDOM, SMALL
from thesislib.losses import cosine_logits
from thesislib.methods.clip_prompt import ClipPrompt, ClipPromptConfig
from thesislib.places import runs_root
from thesislib.synthetic.wording import NAMES, TEMPLATES, vocabulary, words_of
from thesislib.train import placed

TEMPLATE = "a video of {}."  # of a model that somebody else trained
SHOWN = 8  # words or names that a note lists


@dataclass(frozen=True)
class Timing:
    """How a video is looked at.

    Attributes:
        rate: Frames a second.
        window: Seconds that an answer is about; ``None``: 2, or what layers over time have learnt.
        hop: Seconds from one answer to the next.
    """

    rate: float = 4.0
    window: float | None = None
    hop: float = 1.0

    def __post_init__(self) -> None:
        for name in ("rate", "window", "hop"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ThesisError(f"{name}={value:g}: give a number above 0.")

    @property
    def seconds(self) -> float:
        """The window."""
        return 2.0 if self.window is None else self.window


@dataclass(frozen=True)
class Grid:
    """The same in rows, for one video."""

    rate: float  # rows a second
    rows: int  # of a window
    hop: int  # rows from one window to the next
    gap: int = 1  # in the units of the position code


@dataclass(frozen=True)
class Classifier:
    """Text features of some classes, and what is done to frames before they are compared.

    Attributes:
        encoder: The frozen image-text model.
        classes: Names as the user wrote them.
        text: (C, D), on the device of the encoder.
        temperature: That cosines are divided by.
        how: One sentence: where the texts come from.
        notes: What the user should know about names and model.
        model: With layers over time; ``None``: frames are averaged.
    """

    encoder: ImageText
    classes: tuple[str, ...]
    text: Tensor
    temperature: float
    how: str
    notes: tuple[str, ...] = ()
    model: ClipPrompt | None = None

    def grid(self, timing: Timing, fps: float) -> Grid:
        """How a video of ``fps`` frames a second is cut into windows.

        Raises:
            ThesisError: The window is longer than layers over time have learnt.
        """
        if self.model is None:
            return Grid(
                timing.rate,
                max(1, round(timing.seconds * timing.rate)),
                max(1, round(timing.hop * timing.rate)),
            )
        config = self.model.config
        base = config.rate or fps
        gap = min(config.strides, key=lambda stride: abs(base / stride - timing.rate))
        rate, rows = base / gap, config.frames
        if timing.window is not None:
            rows = max(1, round(timing.window * rate))
        if rows > config.frames:
            raise ThesisError(
                f"The layers over time know windows of {config.frames} frames, here "
                f"{config.frames / rate:.3g} s: leave out --window, or give no more than that."
            )
        return Grid(rate, rows, max(1, round(timing.hop * rate)), gap)

    @torch.no_grad()
    def __call__(self, windows: Tensor, gap: int = 1) -> Tensor:
        """Probabilities (W, C) of windows of frame features (W, T, D)."""
        windows = windows.to(self.text.device)
        if self.model is None:
            video = windows.mean(1)
        else:
            missing = self.model.config.frames - windows.shape[1]
            if missing > 0:  # as in training: the last frame again
                windows = torch.cat([windows, windows[:, -1:].expand(-1, missing, -1)], 1)
            gaps = torch.full((len(windows),), gap, device=windows.device)
            video = self.model.encode_video(windows, gaps)
        return cosine_logits(video, self.text, self.temperature).softmax(1).cpu()


def load_encoder(model: str = "", weights: str = "", *, download: bool = False) -> ImageText:
    """The image-text model, on the device that training would take."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of weights that are random
        encoder = load_image_text(model or SMALL, weights, download=download)
    placed(encoder.model)
    return encoder


def zero_shot(
    encoder: ImageText,
    classes: Sequence[str],
    templates: Sequence[str] = (),
    temperature: float | None = None,
) -> Classifier:
    """Baseline I of the chapter: each name in hand-written sentences.

    Args:
        encoder: The model.
        classes: Names.
        templates: Sentences with ``{}`` for the name; a class is the mean of their text features
            of unit length. Default: the one of the small model, or "a video of {}.".
        temperature: Default: the model's own.

    Raises:
        ThesisError: A template without ``{}``.
    """
    templates = tuple(templates) or (TEMPLATES[0] if is_small(encoder) else TEMPLATE,)
    for template in templates:
        if "{}" not in template:
            raise ThesisError(f"{template!r} has no place for a name: write {{}} where it goes.")
    names = [wording(name, encoder) for name in classes]
    sentences = [[t.replace("{}", name) for t in templates] for name in names]
    text = torch.stack([F.normalize(encoder.encode_texts(own), dim=1).mean(0) for own in sentences])
    room = encoder.window - 2
    cut = [
        name
        for name, own in zip(classes, sentences, strict=True)
        if any(_length(encoder, sentence) > room for sentence in own)
    ]
    if temperature is None:
        temperature = float(torch.exp(-encoder.model.logit_scale))
    quoted = " and ".join(f'"{t}"' for t in templates)
    how = f"zero-shot: each name in {quoted}"
    notes = (*_cut_note(cut, room), *notes_on(classes, encoder))
    return Classifier(encoder, tuple(classes), text.to(encoder.device), temperature, how, notes)


def from_run(
    name: str, classes: Sequence[str], model: str = "", temperature: float | None = None
) -> Classifier:
    """The prompts, and layers over time, of a finished run of chapter 5.

    Args:
        name: Of the run, or its folder.
        classes: Names, also ones that it was not trained on.
        model: What the user asked for, if anything: it has to be the run's.
        temperature: Default: that of the run.

    Raises:
        ThesisError: No such run, one that is not finished, or of another model.
    """
    run, config = _find_run(name)
    if model and model != config.model:
        raise ThesisError(
            f"The prompts of {run.name} were learnt on {config.model}, not on {model}: leave out "
            "--model."
        )
    if config.weights == RANDOM:
        raise ThesisError(f"{run.name} learnt on random weights: name another run.")
    encoder = load_encoder(config.model, config.weights)
    learnt = ClipPrompt(config, encoder.model)
    run.load_into(learnt)
    return learnt_classifier(encoder, learnt, classes, f"prompts of {run.name}", temperature)


def learnt_classifier(
    encoder: ImageText,
    model: ClipPrompt,
    classes: Sequence[str],
    how: str,
    temperature: float | None = None,
) -> Classifier:
    """A classifier of learnt prompts, and of the layers over time where there are some."""
    placed(model).eval()
    names = [wording(name, encoder) for name in classes]
    tokens = encoder.tokenizer(names).to(encoder.device)
    with torch.no_grad():
        text = model.encode_text(tokens)
    # The tokenizer cuts at the whole window, the layout at what the vectors leave of it.
    room = model.text.room
    cut = [n for n, own in zip(classes, names, strict=True) if _length(encoder, own) > room]
    if model.temporal is not None:
        how += f", with {model.config.layers} layers over time"
    return Classifier(
        encoder,
        tuple(classes),
        text,
        model.config.temperature if temperature is None else temperature,
        how,
        (*_cut_note(cut, room), *notes_on(classes, encoder)),
        model if model.temporal is not None else None,
    )


def _find_run(name: str) -> tuple[RunFolder, ClipPromptConfig]:
    for folder in (runs_root() / name, Path(name).expanduser()):
        if not (folder / "config.json").is_file():
            continue
        run = RunFolder(folder.resolve())
        settings = run.settings()
        if not {"context", "layers", "model"} <= settings.keys():
            raise ThesisError(f"{run.name} is no run of prompts: name one of chapter 5.")
        run.result()  # raises where it has not finished
        return run, ClipPromptConfig.from_dict(settings)
    raise ThesisError(f"There is no run {name!r} in {runs_root()}: `thesislib train` makes one.")


def is_small(encoder: ImageText) -> bool:
    """Whether it is the small model that ships with the package."""
    return encoder.name == SMALL


def wording(name: str, encoder: ImageText) -> str:
    """A name as the model should read it; the small one knows the studio's classes by a phrase."""
    words = as_words(name)
    if is_small(encoder):
        return NAMES.get(words.lower().replace(" ", "_"), words)
    return words


def notes_on(classes: Sequence[str], encoder: ImageText) -> tuple[str, ...]:
    """What the user should know about names that the model may not understand."""
    if is_small(encoder):
        known = set(vocabulary())
        strange = [n for n in classes if not (own := words_of(wording(n, encoder))) or
                   not n.isascii() or not known.issuperset(own)]  # fmt: skip
        if strange:
            return (f"the small model never read these names: {listed(strange)}",)
        return ()
    other = [name for name in classes if not name.isascii()]
    if other:
        return (
            f"not in plain Latin letters, which most models spell byte by byte: {listed(other)}",
        )
    return ()


def _length(encoder: ImageText, text: str) -> int:
    """Tokens of a text without marks; 0 where the tokenizer does not tell."""
    encode = getattr(encoder.tokenizer, "encode", None)
    return len(encode(text)) if encode else 0


def _cut_note(names: Sequence[str], room: int) -> tuple[str, ...]:
    if not names:
        return ()
    return (f"longer than the {room} tokens that there is room for, and cut: {listed(names)}",)


def listed(names: Sequence[str]) -> str:
    """Some names, shortened, and how many there are besides."""
    shown = [repr(shortened(name)) for name in names[:SHOWN]]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(shown) + more
