"""Chapter 7 in pictures: sentences against seconds, and what is made of it (thesis figure 7.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from thesislib.viz.style import CYCLE, WIDTH, Picture, new_picture

HEARD, SEEN, LEARNT, OUT = "#888888", "#222222", CYCLE[2], "#DDDDDD"
Span = tuple[float, float]
_ROW, _HEAD, _FOOT, _TEXT = 0.2, 0.42, 0.75, 0.36  # inches; the last one a share of the width
LONGEST = 31  # characters of a sentence


class Labels(NamedTuple):
    """Pseudo-labels of N sentences.

    Its fields:

    - ``seconds``: bool ``(N, T)``, the seconds that each is to be learnt at.
    - ``learnt``: bool ``(N,)``, whether it is.
    - ``alignable``: ``(N,)``: 1 alignable, 0 not, 2 not said.
    """

    seconds: NDArray[np.bool_]
    learnt: NDArray[np.bool_]
    alignable: NDArray[np.int64]


def alignments(
    sentences: Sequence[str],
    stages: Mapping[str, tuple[NDArray[Any], Labels]],
    heard: Sequence[Span],
    seen: Sequence[Span | None],
    caption: str = "",
) -> Picture:
    """Similarities of a window, and the pseudo-labels that follow, before and after something.

    A line of panels for each stage. On the left light is similar, a dashed frame is when a sentence
    is heard, a full one when it is seen. On the right bars say when each is learnt; grey ones are
    not. A tick or a cross at the end says what is taken for alignable.

    Args:
        sentences: N.
        stages: Title -> cosines ``(N, T)``, and labels.
        heard: Start and end of each sentence, seconds of the window.
        seen: The same, ``None`` of what is not seen.
        caption: Kept with the picture.
    """
    count = len(sentences)
    height = len(stages) * (_HEAD + _ROW * count) + _FOOT
    picture = new_picture(WIDTH, height, _alt(stages, seen), caption, tight=False)
    axes = picture.subplots(len(stages), 2, squeeze=False)
    picture.subplots_adjust(
        left=_TEXT, right=0.96, top=1 - 0.3 / height, bottom=_FOOT / height, wspace=0.06,
        hspace=_HEAD / (_ROW * count),
    )  # fmt: skip
    for line, (title, (cosines, labels)) in zip(axes, stages.items(), strict=True):
        _matrix(line[0], cosines, heard, seen)
        _bars(line[1], labels, seen)
        line[0].set_title(title, fontsize=9.5)
        line[1].set_title("what is learnt", fontsize=9.5)
        shown = [s if len(s) <= LONGEST else f"{s[: LONGEST - 1]}…" for s in sentences]
        line[0].set_yticks(range(count), shown, fontsize=7.5)
        for ax in line:
            ax.set(xlim=(0, cosines.shape[1]), ylim=(count - 0.5, -0.5))
            ax.tick_params(labelsize=8, length=2)
        line[1].set_yticks([])
        line[0].tick_params(axis="y", labelsize=7.5, length=0)
    for ax in axes[-1]:
        ax.set_xlabel("seconds", fontsize=9)
    picture.legend(
        handles=[
            Patch(fill=False, edgecolor=HEARD, linestyle="--", label="heard"),
            Patch(fill=False, edgecolor=SEEN, label="seen"),
            Patch(color=LEARNT, label="learnt"),
            Patch(color=OUT, label="left out"),
        ],
        loc="lower center", ncols=4, fontsize=8.5, bbox_to_anchor=(0.5, 0.0),
    )  # fmt: skip
    return picture


def _matrix(
    ax: Axes, cosines: NDArray[Any], heard: Sequence[Span], seen: Sequence[Span | None]
) -> None:
    low = cosines.min(1, keepdims=True)
    spread = np.maximum(cosines.max(1, keepdims=True) - low, 1e-9)
    ax.imshow(
        (cosines - low) / spread, cmap="cividis", aspect="auto",
        extent=(0, cosines.shape[1], len(cosines) - 0.5, -0.5),
    )  # fmt: skip
    for row, (when, truth) in enumerate(zip(heard, seen, strict=True)):
        _frame(ax, row, when, "--", "white")
        if truth is not None:
            _frame(ax, row, truth, "-", "white")


def _frame(ax: Axes, row: int, span: Span, style: str, tint: str) -> None:
    start, end = span
    ax.add_patch(
        Rectangle((start, row - 0.42), end - start, 0.84, fill=False, edgecolor=tint,
                  linestyle=style, linewidth=1.1)
    )  # fmt: skip


def _bars(ax: Axes, labels: Labels, seen: Sequence[Span | None]) -> None:
    length = labels.seconds.shape[1]
    for row, truth in enumerate(seen):
        at = np.flatnonzero(labels.seconds[row])
        if len(at):
            tint = LEARNT if labels.learnt[row] else OUT
            ax.broken_barh([(t, 1) for t in at.tolist()], (row - 0.3, 0.6), facecolor=tint)
        if truth is not None:
            _frame(ax, row, truth, "-", SEEN)
        mark = {1: "✓", 0: "×"}.get(int(labels.alignable[row]), "")
        ax.text(length * 1.02, row, mark, fontsize=8, va="center")


def _alt(stages: Mapping[str, tuple[NDArray[Any], Labels]], seen: Sequence[Span | None]) -> str:
    """In words: how many of the sentences that are seen point at their time."""
    times = [(row, truth) for row, truth in enumerate(seen) if truth is not None]
    alt = f"{len(seen)} sentences of a window, {len(times)} of which are seen in it."
    for title, (cosines, labels) in stages.items():
        right = sum(a <= cosines[row].argmax() + 0.5 <= b for row, (a, b) in times)
        learnt = int(labels.learnt.sum())
        alt += f" {title}: {right} of these are most similar to a second of their time; {learnt} "
        alt += "sentences are learnt."
    return alt
