"""Pictures of the method: the contrastive score matrix, the blocks of a clip."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from thesislib.viz.style import WIDTH, Picture, bare, new_picture

_KINDS = {  # codes of losses.pair_kinds, from the rarest to the most frequent, dark to light
    1: ("positive", "#00395C"),
    -1: ("temporal", "#D55E00"),
    -3: ("spatial", "#F0C05A"),
    0: ("easy", "#F2F2F2"),
}


def score_matrix(scores: NDArray[Any], kinds: NDArray[Any], caption: str = "") -> Picture:
    """The scores of one contrastive step beside what each pair is.

    Light is a high score. All below zero are as dark as zero: what points the other way is no
    rival. The positives are framed, and their mean stands in the title beside that of the others.

    Args:
        scores: (R, R) float, predictions in rows, targets in columns.
        kinds: (R, R) codes of :func:`thesislib.losses.pair_kinds`: 1 positive, -1 temporal,
            -3 spatial, 0 easy.
        caption: Kept with the picture.
    """
    counts = {name: int((kinds[0] == code).sum()) for code, (name, _) in _KINDS.items()}
    right, wrong = float(scores[kinds == 1].mean()), float(scores[kinds != 1].mean())
    means = f"mean {right:.1f}, others {wrong:.1f}".replace("-", "\N{MINUS SIGN}")
    alt = f"Left: {len(scores)} predictions against {len(scores)} targets, the positives framed; "
    alt += f"their scores have {means}. Right: the kind of each "
    alt += "pair; each prediction meets " + ", ".join(f"{n} {k}" for k, n in counts.items()) + "."
    picture = new_picture(WIDTH, 3.8, alt, caption, tight=False)
    picture.subplots_adjust(left=0.05, right=0.99, top=0.93, bottom=0.2, wspace=0.06)
    left, other = picture.subplots(1, 2)
    shown = left.imshow(scores, cmap="cividis", vmin=0, vmax=max(float(scores.max()), 1e-9))
    for row, column in np.argwhere(kinds == 1):
        left.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="white",
                                 linewidth=min(1.4, 40 / len(scores))))  # fmt: skip
    bar = picture.colorbar(shown, cax=left.inset_axes((0, -0.1, 1, 0.05)), orientation="horizontal",
                           extend="min" if scores.min() < 0 else "neither")  # fmt: skip
    bar.set_label("score (dot product)")
    place = np.zeros(kinds.shape, dtype=int)
    for i, code in enumerate(_KINDS):
        place[kinds == code] = i
    other.imshow(place, cmap=ListedColormap([c for _, c in _KINDS.values()]), vmin=0, vmax=3)
    for ax, title in ((left, f"scores; framed: {means}"), (other, "kinds of pairs")):
        ax.set_title(title, fontsize=10)
        bare(ax)
    left.set_ylabel("prediction")
    handles = [Patch(facecolor=c, edgecolor="#888888", label=f"{n} ({counts[n]})")
               for n, c in _KINDS.values()]  # fmt: skip
    other.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=2,
                 fontsize=9, handlelength=1.2, columnspacing=1)  # fmt: skip
    return picture


def block_diagram(
    num_seq: int = 8,
    pred_step: int = 3,
    seq_len: int = 5,
    stride: int = 3,
    fps: float = 30.0,
    caption: str = "",
) -> Picture:
    """How a clip is cut into blocks: those the model sees and those it predicts.

    Args:
        num_seq: Blocks N.
        pred_step: The last so many blocks are predicted.
        seq_len: Frames a block.
        stride: Raw frames from one frame to the next.
        fps: Raw frames a second.
        caption: Kept with the picture.
    """
    seen = num_seq - pred_step
    seconds = seq_len * stride / fps
    alt = f"{num_seq} blocks of {seq_len} frames, {seconds:.3g} s each: the first {seen} are seen, "
    alt += f"the last {pred_step} are predicted ({seen}pred{pred_step})."
    picture = new_picture(WIDTH, 1.75, alt, caption)
    ax = picture.subplots()
    for n in range(num_seq):
        ahead = n >= seen
        tint = "#E69F00" if ahead else "#0072B2"
        ax.add_patch(Rectangle((n + 0.05, 0), 0.9, 1, facecolor=tint, alpha=0.2, edgecolor="none"))
        ax.add_patch(Rectangle((n + 0.05, 0), 0.9, 1, fill=False, edgecolor=tint, linewidth=2,
                               linestyle="--" if ahead else "-"))  # fmt: skip
        for t in range(seq_len):
            ax.add_patch(Rectangle((n + 0.12 + t * 0.76 / seq_len, 0.12), 0.6 / seq_len, 0.34,
                                   facecolor=tint, edgecolor="none"))  # fmt: skip
        ax.text(n + 0.5, 0.72, f"$x_{{{n + 1}}}$", ha="center", va="center", fontsize=12,
                parse_math=True)  # fmt: skip
        ax.text(n + 0.05, -0.1, f"{round(n * seconds, 2):g}", ha="center", va="top", fontsize=9)
    ax.text(num_seq, -0.1, f"{round(num_seq * seconds, 2):g} s", ha="center", va="top", fontsize=9)
    for start, end, text in ((0, seen, f"seen: {seen} blocks"),
                             (seen, num_seq, f"predicted: {pred_step}")):  # fmt: skip
        ax.annotate(
            "",
            (start + 0.05, 1.18),
            (end - 0.05, 1.18),
            arrowprops={"arrowstyle": "|-|,widthA=0.25,widthB=0.25", "color": "#444444"},
        )
        ax.text((start + end) / 2, 1.26, text, ha="center", va="bottom", fontsize=11)
    ax.set(xlim=(-0.15, num_seq + 0.35), ylim=(-0.4, 1.65))
    ax.set_axis_off()
    return picture
