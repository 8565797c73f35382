"""What the learnt vectors of chapter 5 are near to in word space."""

from __future__ import annotations

from typing import NamedTuple

import torch

from thesislib.chapters.pages import Page, grid
from thesislib.image_text import ImageText
from thesislib.methods.clip_prompt import ClipPrompt
from thesislib.report import NO_VALUE


class Near(NamedTuple):
    """What one learnt vector is nearest to in word space."""

    place: str  # before 1, ..., after 1, ...; by slot: slot 1, ...
    words: list[str]
    cosines: list[float]


def nearest_words(model: ClipPrompt, encoder: ImageText, k: int = 3) -> list[Near]:
    """The words that each learnt vector is nearest to, by the cosine of token vectors.

    Args:
        model: With learnt vectors.
        encoder: The frozen model, whose tokenizer spells tokens.
        k: Words each.
    """
    text, context = model.text, model.config.context
    if text.vectors is None:
        return []
    ids, cosines = text.tower.nearest_tokens(text.vectors.detach(), k)
    places = [f"slot {i}" for i in range(len(ids))]
    if not text.by_slot:
        places = [f"{side} {i + 1}" for side in ("before", "after") for i in range(context)]
    return [
        Near(place, [spelt(encoder, i) for i in row], values)
        for place, row, values in zip(places, ids.tolist(), cosines.tolist(), strict=True)
    ]


def spelt(encoder: ImageText, token: int) -> str:
    """A token as text, by number if it is no text: a byte of a letter, say.

    open_clip marks the end of a word, which becomes a space and is cut.
    """
    text = str(encoder.tokenizer.decode([token])).strip()
    return text if text and "\ufffd" not in text else f"token {token}"


def by_chance(model: ClipPrompt, draws: int = 200, seed: int = 0) -> float:
    """The mean cosine of a random vector and the word nearest to it."""
    tower = model.text.tower
    vectors = torch.randn(draws, tower.width, generator=torch.Generator().manual_seed(seed))
    return float(tower.nearest_tokens(vectors, 1)[1].mean())


def nearest_words_page(model: ClipPrompt, encoder: ImageText, k: int = 3, most: int = 8) -> Page:
    """:func:`nearest_words` as a table, and below it how near random vectors are.

    Args:
        model: With learnt vectors.
        encoder: The frozen model.
        k: Words each.
        most: Vectors shown: those nearest to a word.
    """
    found = nearest_words(model, encoder, k)
    if not found:
        return Page("This model has no learnt vectors.\n")
    best = sorted(found, key=lambda near: -near.cosines[0])[:most]
    shown = [near for near in found if near in best]  # in the order of their places
    rows = [(near.place, *map(_told, near.words, near.cosines)) for near in shown]
    mean = sum(near.cosines[0] for near in found) / len(found)
    blanks = [NO_VALUE] * (k - 1)
    rows += [
        (f"mean of all {len(found)}", f"{mean:.2f}", *blanks),
        ("mean of random vectors", f"{by_chance(model):.2f}", *blanks),
    ]
    return grid(("vector", "nearest word (cosine)", *["next"] * (k - 1)), rows)


def _told(word: str, cosine: float) -> str:
    return f"{word} ({cosine:.2f})"
