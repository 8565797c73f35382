"""Decoded frames as the pictures that a player would show: RGB, upright, all of one size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Shape:
    """How the first frame of a video is stored, and how it is to be turned.

    Attributes:
        width: Pixels, as stored.
        height: Pixels, as stored.
        swapped: Rows become columns: a quarter turn, possibly mirrored.
        mirrored: Left and right change places, after that.
        upended: Top and bottom do.
    """

    width: int
    height: int
    swapped: bool = False
    mirrored: bool = False
    upended: bool = False

    @classmethod
    def of(cls, frame: Any) -> Shape:
        """That of a PyAV frame, by the display matrix that telephones write."""
        side = [d for d in frame.side_data if d.type.name == "DISPLAYMATRIX"]
        if not side:
            return cls(frame.width, frame.height)
        # x' = a x + c y, y' = b x + d y, with the picture's y pointing down.
        a, b, _, c, d = np.frombuffer(bytes(side[0]), dtype=np.int32)[:5].astype(int).tolist()
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(frame.width, frame.height, True, c < 0, b < 0)
        return cls(frame.width, frame.height, False, a < 0, d < 0)

    @property
    def turned(self) -> bool:
        """Whether it is shown otherwise than it is stored."""
        return self.swapped or self.mirrored or self.upended

    @property
    def shown(self) -> tuple[int, int]:
        """Width and height as shown."""
        return (self.height, self.width) if self.swapped else (self.width, self.height)

    def upright(self, picture: Picture) -> Picture:
        """A stored picture (height, width, 3) as it is shown."""
        if self.swapped:
            picture = picture.swapaxes(0, 1)
        if self.mirrored:
            picture = picture[:, ::-1]
        if self.upended:
            picture = picture[::-1]
        return np.ascontiguousarray(picture)


class Pictures:
    """Turns the PyAV frames of one video into pictures of the size of its first one.

    Args:
        shape: That of the first frame.
        scale: Of their sides, at most 1: each pixel of a smaller one is the mean of its area.
    """

    def __init__(self, shape: Shape, scale: float = 1.0) -> None:
        self.shape, self._convert = shape, converter()
        self._size = tuple(max(1, round(scale * n)) for n in (shape.width, shape.height))
        self._how = "BICUBIC" if scale == 1 else "AREA"

    def __call__(self, frame: Any) -> Picture:
        """(H, W, 3) uint8 RGB, upright."""
        size: dict[str, Any] = {}
        if (frame.width, frame.height) != self._size:
            # Small ones, or a call or a broadcast that changed its size in the middle: scaled as
            # ffmpeg does.
            width, height = self._size
            size = {"width": width, "height": height, "interpolation": self._how}
        return self.shape.upright(self._convert(frame, format="rgb24", **size).to_ndarray())


def converter() -> Callable[..., Any]:
    """A PyAV frame to another size or pixel format: ``f(frame, width, height, format, ...)``.

    One scaler for all frames and one thread: PyAV's own default, a new scaler with a thread a core
    for each frame, takes four times as long on small frames.
    """
    reformat = pyav().video.reformatter.VideoReformatter().reformat
    # An older PyAV knows one thread only, and no such argument (compiled: no signature to ask).
    return partial(reformat, threads=1) if "threads" in (reformat.__doc__ or "") else reformat


@lru_cache(maxsize=1)
def pyav() -> Any:
    """The PyAV module, made silent: what matters is raised as an error."""
    import av
    import av.error
    import av.logging
    import av.stream
    import av.video.reformatter

    av.logging.set_level(None)
    return av
