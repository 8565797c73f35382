"""Captions and the videos that they look up, as strips of frames."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from thesislib.data.reader import Frames
from thesislib.viz.style import WIDTH, Picture, new_picture
from thesislib.viz.video import mark_strip

_EDGE, _GAP, _LINE, _FOOT = 0.04, 0.12, 0.17, 0.26  # inches: around, between, a line, below strips
_LETTERS = 88  # a line of a caption


def caption_grid(
    captions: Sequence[str],
    strips: Frames,
    right: Sequence[Sequence[bool]],
    ranks: Sequence[int],
    caption: str = "",
) -> Picture:
    """Each caption over the videos nearest to it, best first.

    The caption's own video has a full frame and a tick, others a dashed frame and a cross.

    Args:
        captions: Q texts.
        strips: uint8 ``(Q, K, T, H, W, 3)`` RGB: T frames of each of K videos.
        right: Q lists of K: it is the caption's own video.
        ranks: Q: the rank of the caption's own video, from 1.
        caption: Kept with the picture.
    """
    k, t, h, w = strips.shape[1:5]
    wide = (WIDTH - 2 * _EDGE - (k - 1) * _GAP) / k
    tall = wide * h / (t * w)
    texts = [
        textwrap.wrap(f"“{text}” (its own video: rank {rank})", _LETTERS)
        for text, rank in zip(captions, ranks, strict=True)
    ]
    blocks = [len(lines) * _LINE + tall + _FOOT for lines in texts]
    height = sum(blocks) + 2 * _EDGE
    alt = (
        f"{len(captions)} captions and the {k} videos nearest to each. Rank of the own video: "
        f"{', '.join(map(str, ranks))}."
    )
    picture = new_picture(WIDTH, height, alt, caption, tight=False)
    top = height - _EDGE
    for q, lines in enumerate(texts):
        words = "\n".join(lines)
        picture.text(_EDGE / WIDTH, top / height, words, va="top", ha="left", fontsize=8.5)
        below = top - len(lines) * _LINE - tall
        for j in range(k):
            left = _EDGE + j * (wide + _GAP)
            ax = picture.add_axes((left / WIDTH, below / height, wide / WIDTH, tall / height))
            mark_strip(ax, strips[q, j], f"{j + 1}", right[q][j])
        top -= blocks[q]
    return picture
