"""A video read once, from its first frame to its last, in bounded memory, however long it is.

:mod:`thesislib.data.reader` finds frames by number and suits clips of a known data set. A
stranger's video is read here: a container without times is read once, a damaged one gives what it
has and says what is missing, and a telephone's pictures stand upright.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thesislib.data.containers import SLACK, FrameTable, facts
from thesislib.data.extraction import row_frames
from thesislib.data.opening import check_readable, decoded, named, video_stream
from thesislib.data.pictures import Pictures
from thesislib.errors import VideoError

FPS = 25.0  # of a container that does not say


class Stream:
    """A video, to be gone through from its start.

    Args:
        path: The file.

    Attributes:
        fps: Frames a second.
        duration: Seconds that the container promises.
        damage: What was missing, one short phrase, known when :meth:`rows` has ended; "" where
            nothing was.

    Raises:
        VideoError: The file cannot be used; the reason is one short phrase.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.damage = Path(path), ""
        self._table = table = _table(self.path)
        self.fps = table.nominal_fps or FPS
        if table.pts is None:
            self._times = np.arange(table.count) / self.fps
            self.duration = table.count / self.fps
        else:
            self._times = (table.pts - table.pts[0]).astype(np.float64) * table.unit
            self.duration = table.duration
            self.fps = table.count / self.duration if self.duration > 0 else self.fps

    def count(self, rate: float) -> int:
        """Rows that :meth:`rows` promises."""
        return len(row_frames(self._times, rate))

    def rows(self, rate: float) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        """The frame nearest to each of 0, 1 / rate, 2 / rate, ... seconds.

        Where the video has fewer than that, frames are repeated.

        Args:
            rate: Rows a second.

        Yields:
            Seconds from the first frame, and the frame, (H, W, 3) uint8 RGB, upright.

        Raises:
            VideoError: Not one frame decodes.
        """
        numbers, picture = row_frames(self._times, rate), Pictures(facts(self.path).shape)
        row, good, last = 0, 0, None
        for number, frame in self._decoded():
            good, last = good + 1, frame
            while row < len(numbers) and numbers[row] <= number:
                yield float(self._times[numbers[row]]), picture(frame)
                row += 1
        promised = max(self._table.count, self._table.declared)
        if last is None:
            raise VideoError(self.path, "no frame decodes")
        if good < promised - SLACK:
            self.damage = f"damaged: {good:,} of {promised:,} frames decode"
        elif row < len(numbers):  # a last packet without a picture of its own
            yield float(self._times[numbers[row]]), picture(last)

    def _decoded(self) -> Iterator[tuple[int, Any]]:
        """Whole frames with their numbers, as far as the file can be decoded."""
        pts = self._table.pts
        # What does not decode, the count tells.
        with (
            video_stream(self.path) as (container, stream),
            contextlib.suppress(VideoError),
            named(self.path),
        ):
            for number, frame in enumerate(decoded(container, stream)):
                if frame.is_corrupt or (pts is not None and frame.pts is None):
                    continue
                yield number if pts is None else int(np.searchsorted(pts, frame.pts)), frame


def frame_times(path: str | Path) -> NDArray[np.float64]:
    """Seconds from the first frame at which each frame of a video is shown; nothing is decoded.

    Raises:
        VideoError: The file cannot be used.
    """
    return _table(Path(path)).times


def _table(path: Path) -> FrameTable:
    check_readable(path)
    with video_stream(path) as (container, stream):
        return FrameTable.of(path, container, stream)
