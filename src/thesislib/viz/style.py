"""The book's plot style, and the figure type that every function returns."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from thesislib.files import replacing

WIDTH, HEIGHT, DPI = 6.0, 3.2, 120  # inches, inches, dots an inch
MAX_BYTES = 150_000
# Okabe and Ito's palette: told apart with any of the common colour-vision deficiencies.
CYCLE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9"]


def use_style() -> None:
    """Sets the book's plot style; call it once at the top of a notebook."""
    mpl.rcParams.update(
        {
            "figure.figsize": (WIDTH, HEIGHT),
            "figure.dpi": DPI,
            "savefig.dpi": DPI,
            "figure.facecolor": "white",
            "axes.facecolor": "white",
            "axes.prop_cycle": cycler(color=CYCLE),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 11,
            "axes.labelsize": 11,
            "font.size": 11,
            "xtick.labelsize": 10,
            "ytick.labelsize": 10,
            "legend.fontsize": 10,
            "legend.frameon": False,
            "lines.linewidth": 2,
            "image.interpolation": "nearest",
            # Names of people's videos and classes hold dollar signs; who draws formulas says so.
            "text.parse_math": False,
        }
    )


class Picture(Figure):
    """A figure with its caption and the text that stands in for it."""

    caption: str = ""
    alt: str = ""

    def png(self, limit: int = MAX_BYTES) -> bytes:
        """The figure as PNG of at most ``limit`` bytes: fewer colours first, then fewer dots."""
        for dpi in (DPI, 0.8 * DPI, 0.6 * DPI, 0.4 * DPI):
            buffer = io.BytesIO()
            # No software version in the file: the same figure is the same bytes.
            self.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
            if buffer.tell() <= limit:
                return buffer.getvalue()
            image = Image.open(buffer).convert("RGB")
            for colours in (256, 96):
                small = io.BytesIO()
                image.quantize(colours, dither=Image.Dither.NONE).save(small, "png", optimize=True)
                if small.tell() <= limit:
                    return small.getvalue()
        return small.getvalue()

    def save(self, path: str | Path, limit: int = MAX_BYTES) -> Path:
        """Writes :meth:`png` to a file.

        Raises:
            ThesisError: It cannot be written.
        """
        path, data = Path(path), self.png(limit)
        with replacing(path) as partial:
            partial.write_bytes(data)
        return path

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        # Before any backend's own formatter: the notebook holds the small picture and the words.
        return {"image/png": self.png(), "text/plain": self.alt or self.caption}


def new_picture(
    width: float, height: float, alt: str, caption: str, *, tight: bool = True
) -> Picture:
    """An empty picture of the book's style.

    Args:
        width: Inches.
        height: Inches.
        alt: What it will show, for readers who do not see it.
        caption: Kept with the picture.
        tight: Let the layout engine place the axes.
    """
    use_style()
    picture = Picture(figsize=(width, height), dpi=DPI, layout="constrained" if tight else None)
    picture.alt, picture.caption = " ".join(alt.split()), caption
    return picture


def bare(ax: Axes) -> None:
    """Takes ticks and frame off an axes that shows a picture."""
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
