"""Made-up untrimmed videos: rows of noise in which something happens now and then."""

from __future__ import annotations

import numpy as np

from thesislib.data.untrimmed import Untrimmed

DIM, CLASSES, RATE = 32, ("run", "jump", "turn", "wave"), 4.0


def directions(seed: int = 0) -> np.ndarray:
    """``(2 * classes, DIM)`` unit vectors: of the classes, then of what is no action."""
    rows = np.random.default_rng([seed, 99]).standard_normal((2 * len(CLASSES), DIM))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def toy_video(number: int, rows: int = 0, noise: float = 0.5) -> Untrimmed:
    """Actions of 4 to 80 rows of a class's direction, others of no class, and a common mean."""
    rng, ways = np.random.default_rng([7, number]), directions()
    rows = rows or int(rng.integers(150, 400))
    features = rng.standard_normal((rows, DIM)) * noise + 2.0
    segments, at = [], int(rng.integers(5, 40))
    while True:
        length = int(np.exp(rng.uniform(np.log(4), np.log(80))))
        if at + length > rows:
            break
        which = int(rng.integers(len(ways)))
        features[at : at + length] += 2.0 * ways[which]
        if which < len(CLASSES):
            segments.append((at / RATE, (at + length) / RATE, CLASSES[which]))
        at += length + int(rng.integers(5, 60))
    return Untrimmed(
        f"toy{number}", features.astype(np.float32), np.arange(rows) / RATE, tuple(segments)
    )
