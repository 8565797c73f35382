"""What flows where in DPC and MemDPC, with shapes; and two futures in one small memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from thesislib.viz.boxes import (
    AHEAD,
    FAINT,
    FUTURES,
    GUESS,
    INK,
    LOSS,
    NORMAL,
    QUIET,
    SEEN,
    SMALL,
    arrow,
    box,
    canvas,
    shape_words,
    squares,
    words,
)
from thesislib.viz.style import Picture

_X, _Z, _HAT, _G = 0.55, 1.5, 2.45, 3.4  # heights of the rows of dpc_flow
_COLUMNS = 4.12  # inches for all blocks; shapes stand beside them


def dpc_flow(
    video: Sequence[int], feature: Sequence[int], pred_step: int, caption: str = ""
) -> Picture:
    """DPC from the blocks to the loss (thesis figure 2.2, equations 2.1 to 2.5).

    Args:
        video: Shape of a batch, ``(B, N, 3, T, H, W)``.
        feature: Shape of a block's feature map, ``(D, H', W')``.
        pred_step: P; the last so many blocks are predicted.
        caption: Kept with the picture.
    """
    batch, blocks = video[:2]
    seen = blocks - pred_step
    wide = _COLUMNS / blocks
    at = [0.1 + (n + 0.5) * wide for n in range(blocks)]
    alt = f"{blocks} blocks pass through f one by one. g sums up the first {seen} maps z. From its "
    alt += f"context phi guesses map {seen + 1}; each guess goes back into g for the next, up to "
    alt += f"map {blocks}. The loss compares the guesses (P = {pred_step}) with the true maps."
    picture, ax = canvas(4.0, alt, caption)
    for n, x in enumerate(at):
        _block(ax, x, n + 1, seen, wide)
    for n in range(seen - 1, blocks - 1):
        _guess(ax, at[n], at[n + 1], n + 1, last=n == blocks - 2, wide=wide)
    for n in range(blocks - 2):
        arrow(ax, (at[n] + 0.17, _G), (at[n + 1] - 0.17, _G))
    right = 0.1 + _COLUMNS + 0.1
    shape_words(ax, (right, _X), "video", "B N 3 T H W", video)
    shape_words(ax, (right, _Z), "features", "B N D H' W'", (batch, blocks, *feature))
    shape_words(ax, (right, _HAT), "guesses", "B P D H' W'", (batch, pred_step, *feature))
    shape_words(ax, (right, _G), "context", "B D H' W'", (batch, *feature))
    words(ax, (right, (_Z + _HAT) / 2), "loss", ha="left", tint=LOSS, weight="bold")
    for first, last, text in ((0, seen - 1, "seen"), (seen, blocks - 1, "to predict")):
        words(ax, ((at[first] + at[last]) / 2, 0.14), text, fontsize=NORMAL, tint=INK)
    return picture


def _block(ax: Axes, x: float, t: int, seen: int, wide: float) -> None:
    """One block, its map, and, of the past, its way into the context."""
    side, ahead = (0.8 * wide, 0.4), t > seen
    tint = AHEAD if ahead else SEEN
    box(ax, (x, _X), side, f"$x_{{{t}}}$", tint, dashed=ahead)
    arrow(ax, (x, _X + 0.2), (x, _Z - 0.2))
    box(ax, (x, (_X + _Z) / 2), (0.22, 0.22), "$f$", FAINT, fontsize=SMALL)
    box(ax, (x, _Z), side, f"$z_{{{t}}}$", tint, dashed=ahead)
    if not ahead:
        arrow(ax, (x, _Z + 0.2), (x, _G - 0.17))
        box(ax, (x, _G), (0.34, 0.34), "$g$", FAINT, round_=0.17)


def _guess(ax: Axes, x: float, ahead: float, t: int, last: bool, wide: float) -> None:
    """From the context c_t to the guess of block t + 1, and back into g."""
    words(ax, (x, _G + 0.34), f"$c_{{{t}}}$", fontsize=NORMAL, tint=INK)
    arrow(ax, (x + 0.12, _G - 0.12), (ahead - 0.1, _HAT + 0.2))
    words(ax, ((x + ahead) / 2 - 0.1, (_G + _HAT) / 2 - 0.02), r"$\phi$", tint=INK)
    box(ax, (ahead, _HAT), (0.8 * wide, 0.4), rf"$\hat z_{{{t + 1}}}$", GUESS)
    arrow(ax, (ahead, _Z + 0.2), (ahead, _HAT - 0.2), LOSS, style="<|-|>")
    if not last:
        arrow(ax, (ahead, _HAT + 0.2), (ahead, _G - 0.17), GUESS)
        box(ax, (ahead, _G), (0.34, 0.34), "$g$", FAINT, round_=0.17)


class Weighed(NamedTuple):
    """What a prediction out of memory is worth, whichever of the futures comes."""

    predicted: NDArray[np.float64]  # (D,), z hat of equation 3.4
    scores: NDArray[np.float64]  # (futures,), psi of equation 3.5
    loss: float  # equation 3.6, mean of the futures, the slots of no future as wrong answers


def weighed(
    memory: NDArray[np.float64], address: NDArray[np.float64], futures: Sequence[int]
) -> Weighed:
    """Scores and mean loss of one prediction when each of some futures may come.

    Args:
        memory: ``(S, D)``.
        address: ``(S,)`` probabilities.
        futures: Slots that may come, each as likely as the others; the rest are wrong answers.
    """
    predicted = address @ memory
    scores = memory @ predicted
    wrong = np.exp(np.delete(scores, futures)).sum()
    true = scores[list(futures)]
    return Weighed(predicted, true, float(np.log1p(wrong / np.exp(true)).mean()))


def two_futures(
    batch: int, slots: int, feature: Sequence[int], length: float = 3.0, caption: str = ""
) -> Picture:
    """MemDPC's prediction out of memory, and a small memory with two futures (figure 3.2).

    Below, five slots that are at right angles to each other. One prediction believes in two of
    them alike, the other bets on the first; every number is computed by :func:`weighed`.

    Args:
        batch: B.
        slots: S.
        feature: Shape of a block's feature map, ``(D, H', W')``.
        length: Of each slot's vector in the example; scores are at most its square.
        caption: Kept with the picture.
    """
    memory = length * np.linalg.qr(np.random.default_rng(4).normal(size=(5, 5)))[0]
    futures, head = (1, 3), np.zeros((2, 5))
    head[0, list(futures)], head[1, futures[0]] = 3.5, 3.5
    address = np.exp(head) / np.exp(head).sum(1, keepdims=True)
    found = [weighed(memory, p, futures) for p in address]
    (a, b), (c, d) = (f.scores for f in found)
    alt = "The context gives a probability for each slot, and the prediction is the sum of the "
    alt += f"slots under them. Example: belief in both futures scores {a:.1f} and {b:.1f} with "
    alt += f"them, mean loss {found[0].loss:.2f}; a bet on the first scores {c:.1f} and {d:.1f}, "
    alt += f"mean loss {found[1].loss:.2f}."
    picture, ax = canvas(4.55, alt, caption)
    _addressing(ax, 3.95, batch, slots, feature)
    _slots(ax, memory, futures)
    _belief(ax, 2.5, "belief in both", address[0], found[0], futures, length)
    _belief(ax, 4.3, "bet on $z$", address[1], found[1], futures, length)
    return picture


def _addressing(ax: Axes, y: float, batch: int, slots: int, feature: Sequence[int]) -> None:
    """Context, address, memory, prediction; and the way back into the aggregator."""
    dim, *places = feature
    parts = (
        (0.62, "$c_t$", SEEN, "B D H' W'", (batch, dim, *places), "context"),
        (2.35, "$p_{t+1}$", QUIET, "B S H' W'", (batch, slots, *places), "address"),
        (3.8, r"$\mathbf{M}$", QUIET, "S D", (slots, dim), "memory"),
        (5.3, r"$\hat z_{t+1}$", GUESS, "B D H' W'", (batch, dim, *places), "prediction"),
    )
    for x, text, tint, axes, shape, name in parts:
        box(ax, (x, y), (0.7, 0.44), text, tint)
        shape_words(ax, (x, y - 0.53), name, axes, shape, ha="center")
    arrow(ax, (0.97, y), (2.0, y))
    words(ax, (1.48, y + 0.14), r"softmax $\phi$", tint=INK)
    words(ax, (3.07, y), "×", fontsize=16, tint=INK)
    words(ax, (4.55, y), "=", fontsize=16, tint=INK)
    ax.plot([5.3, 5.3, 0.62], [y + 0.22, y + 0.4, y + 0.4], color=GUESS, linewidth=1.5)
    arrow(ax, (0.62, y + 0.41), (0.62, y + 0.22), GUESS)
    box(ax, (3.0, y + 0.4), (0.26, 0.26), "$g$", FAINT, fontsize=SMALL, round_=0.13)


_TOP, _LINE = 2.55, 0.24  # of the first slot's row; a row's height
_WORTH = (1.06, 0.76, 0.33)  # heights of the lines below the slots: two scores and the loss


def _slots(ax: Axes, memory: NDArray[np.float64], futures: Sequence[int]) -> None:
    """The memory as coloured squares, a slot a row, and the names of the lines below."""
    tints = colormaps["PuOr"](0.5 + 0.5 * memory / np.abs(memory).max())
    words(ax, (1.7, _TOP + 0.15), "small memory", tint=INK, weight="bold")
    for i, row in enumerate(tints):
        y = _TOP - (i + 1) * _LINE
        squares(ax, (1.1, y), _LINE, row)
        equal = " = z" + "'" * futures.index(i) if i in futures else ""
        words(ax, (1.0, y + _LINE / 2), f"$m_{i + 1}{equal}$", "right", tint=INK, fontsize=NORMAL)
    lines = ("score if $z$ comes", "score if $z'$ comes", "mean loss")
    for y, text in zip(_WORTH, lines, strict=True):
        words(ax, (2.3, y), text, ha="right", tint=INK, fontsize=NORMAL)


def _belief(
    ax: Axes,
    x: float,
    title: str,
    address: NDArray[np.float64],
    found: Weighed,
    futures: Sequence[int],
    length: float,
) -> None:
    """One address as bars beside the slots, and below what its prediction is worth."""
    words(ax, (x, _TOP + 0.15), title, ha="left", tint=INK, weight="bold")
    for i, p in enumerate(address):
        tint = FUTURES[futures.index(i)] if i in futures else "#999999"
        _bar(ax, x, _TOP - (i + 0.5) * _LINE, p, tint, f"{p:.2f}")
    for y, score, tint in zip(_WORTH[:2], found.scores, FUTURES, strict=True):
        _bar(ax, x, y, score / length**2, tint, f"{score:.1f}")
    words(ax, (x, _WORTH[2]), f"{found.loss:.2f}", ha="left", fontsize=14, tint=INK, weight="bold")


def _bar(ax: Axes, x: float, y: float, share: float, tint: str, text: str) -> None:
    """A bar, a share of 1.2 inches long, and its number."""
    ax.add_patch(Rectangle((x, y - 0.08), 1.2 * share, 0.16, facecolor=tint, edgecolor="none"))
    words(ax, (x + 1.2 * share + 0.06, y), text, ha="left", tint=INK)
