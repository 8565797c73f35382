"""Made-up films: two characters, known by their place in the features, and three deeds."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
import pytest

import prompting
from methods.writing import little
from thesislib.chapters import frame_features
from thesislib.data.anonymise import anonymise
from thesislib.data.captions import write_captions
from thesislib.data.film_files import write_films
from thesislib.data.film_texts import write_texts
from thesislib.data.films import Cue, Film
from thesislib.data.manifest import Manifest
from toy_narrated import Encoder

NAMES, DEEDS = ("Anna", "Ben", "Clara", "Tom"), ("waves", "sits", "runs")
WORDS = ("<|endoftext|>", ".", *NAMES, *DEEDS, "Someone", "someone", ",", "look", "?")
DIM, CLIPS, RATE = 12, 6, 5  # numbers of a feature; clips of a film, of two seconds in four
SPLIT = {"train": 6, "val": 2, "test": 3}


def film(number: int, split: str = "train") -> tuple[Film, np.ndarray]:
    """A film in words, and its features ``(120, 12)``."""
    rng = np.random.default_rng(number)
    cast = tuple(str(name) for name in rng.permutation(NAMES)[:2])
    features = 0.1 * rng.standard_normal((CLIPS * 4 * RATE, DIM))
    told, said = [], []
    for i in range(CLIPS):
        who, deed = int(rng.integers(2)), int(rng.integers(len(DEEDS)))
        told.append(Cue(4.0 * i, 4.0 * i + 2, f"{cast[who]} {DEEDS[deed]}."))
        said.append(Cue(4.0 * i + 3, 4.0 * i + 3.8, f"{cast[1 - who]}, look."))
        rows = slice(4 * i * RATE, (4 * i + 2) * RATE)
        features[rows, who] += 2
        features[rows, 2 + deed] += 2
    hidden = tuple(cue._replace(text=anonymise(cue.text, cast)) for cue in told)
    return Film(f"f{number}", split, 4.0 * CLIPS, tuple(told), hidden, tuple(said), cast), features


def make(root: Path, patch: pytest.MonkeyPatch) -> Manifest:
    """``synthetic_films`` and ``synthetic_captions`` of such, and a language model ``root/lm``."""
    splits = [split for split, count in SPLIT.items() for _ in range(count)]
    some = {f"{split}/f{n}.mp4": film(n, split) for n, split in enumerate(splits)}
    parts = {path: path.partition("/")[0] for path in some}
    manifest = prompting.listed(root, "synthetic_films", parts, {})
    write_films(manifest, [one for one, _ in some.values()])
    write_texts(manifest, [film(100 + n)[0]._replace(movie=f"t{n}") for n in range(4)])
    prompting.written(manifest)
    kept = {path: (rows, np.arange(len(rows)) / RATE) for path, (_, rows) in some.items()}

    shown = {f"train/c{n}.mp4": film(50 + n) for n in range(6)}
    videos = prompting.listed(root, "synthetic_captions", dict.fromkeys(shown, "train"), {})
    write_captions(videos, [(path, one.named[0].text) for path, (one, _) in shown.items()])
    prompting.written(videos)
    for path, (_, rows) in shown.items():
        kept[path] = rows[: 2 * RATE], np.arange(2.0 * RATE) / RATE
    assert len({PurePosixPath(path).stem for path in kept}) == len(kept)
    prompting.given_features(patch, kept)
    encoder = Encoder()
    patch.setattr(frame_features, "encoder", lambda model, weights="", seed=0: encoder)

    one = little(WORDS)
    one.model.save_pretrained(root / "lm")
    one.tokenizer.save(str(root / "lm" / "tokenizer.json"))
    return manifest
