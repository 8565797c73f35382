"""PyAV's reader of video files: frames by number, and many of them in one pass."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Generator, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thesislib.data.containers import SLACK, FrameTable, decoded_count, facts
from thesislib.data.opening import decoded, named, open_container
from thesislib.data.pictures import Pictures
from thesislib.errors import ThesisError, VideoError

Frames = NDArray[np.uint8]
NEAR = 8  # frames on which to go is no more work than to seek


class Owned:
    """Refuses to work outside the process and thread that opened the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._owner = (os.getpid(), threading.get_ident())

    def check(self, indices: Any, length: int) -> NDArray[np.int64]:
        if self._owner != (os.getpid(), threading.get_ident()):
            raise ThesisError(
                f"The reader of {self.path} was opened in another process or thread: "
                "open the video where it is read."
            )
        wanted = np.asarray(indices, dtype=np.int64).reshape(-1)
        if wanted.size and (wanted.min() < 0 or wanted.max() >= length):
            raise VideoError(self.path, f"frame {wanted.max()} is wanted, it has {length}")
        return wanted

    def __reduce__(self) -> Any:
        raise TypeError("a video reader cannot be sent to another process: send the path")


class PyAVReader(Owned):
    """Reader on PyAV, one thread: seeks to the key frame before, then decodes on."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._container, self._stream = open_container(path)
        self._table = FrameTable.of(path, self._container, self._stream)
        self._length = self._table.count if self._table.pts is not None else -1
        self._pictures = Pictures(facts(path).shape)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frames."""
        return self._pictures.shape.shown

    def __len__(self) -> int:
        if self._length < 0:
            # Without times a packet may hold no frame of its own (packed B-frames): count them.
            self._length = decoded_count(self.path)
        return self._length

    def frames(self, indices: Sequence[int] | NDArray[np.int64]) -> Frames:
        """See :class:`thesislib.data.reader.Reader`."""
        wanted = self.check(indices, self._length if self._length >= 0 else self._table.count)
        needed = sorted(set(wanted.tolist()))
        if not needed:
            raise VideoError(self.path, "no frame was asked for")
        open_numbers = set(needed)
        found: dict[int, Frames] = {}
        number, last = -1, None
        with named(self.path):
            for number, last in self._decode_from(needed[0]):
                if number in open_numbers and number not in found:
                    found[number] = self._pictures(last)
                if number >= needed[-1]:
                    break
        for i in needed:
            if i in found:
                continue
            # A container that was not counted may promise a packed frame that is not there.
            if last is None or self._table.pts is not None or i > number + SLACK:
                raise VideoError(self.path, f"frame {i} does not decode")
            found[i] = self._pictures(last)
        return np.stack([found[i] for i in wanted.tolist()])

    def onward(self, numbers: Sequence[int], scale: float = 1.0) -> Iterator[tuple[int, Frames]]:
        """Frames in one pass, of however long a video; of the others few are decoded.

        It closes the file at its end, also where it is left before.

        Args:
            numbers: Of the frames, rising.
            scale: Of the sides of the frames, at most 1.

        Yields:
            The number and the frame, (H, W, 3) uint8 RGB.

        Raises:
            VideoError: A frame does not decode.
        """
        self.check(numbers, self._length if self._length >= 0 else self._table.count)
        pictures = Pictures(self._pictures.shape, scale)
        found, number, frame = self._decode_from(numbers[0], numbers), numbers[0] - 1, None
        try:
            for due in numbers:
                with named(self.path):
                    if self._key_before(due) > number + NEAR:
                        found.close()
                        found, frame = self._decode_from(due, numbers), None
                    while frame is None or number < due:
                        if (step := next(found, None)) is None:
                            break
                        number, frame = step
                    # As in frames(): a packed frame may not be there.
                    short = SLACK if self._table.pts is None else 0
                    if frame is None or not number <= due <= number + short:
                        raise VideoError(self.path, f"frame {due} does not decode")
                    picture = pictures(frame)
                yield due, picture
        finally:
            found.close()
            self.close()

    def close(self) -> None:
        """Closes the file now: container and streams hold each other until the collector comes."""
        self._container.close()

    @cached_property
    def entries(self) -> NDArray[np.int64]:
        """Numbers of the frames at which decoding can begin, rising; none where that is unknown."""
        pts, keys = self._table.pts, self._table.keys
        return np.zeros(0, np.int64) if pts is None else np.searchsorted(pts, keys)

    def _key_before(self, number: int) -> int:
        """The last frame up to this one at which decoding can begin; 0 where that is not known."""
        place = int(np.searchsorted(self.entries, number, side="right"))
        return int(self.entries[place - 1]) if place else 0

    def _decode_from(
        self, first: int, only: Collection[int] | None = None
    ) -> Generator[tuple[int, Any], None, None]:
        """Frames with their numbers, starting at or before ``first``; all, or all of ``only``."""
        pts = self._table.pts
        if pts is None:
            self._rewind()
            yield from enumerate(decoded(self._container, self._stream))
            return
        stream, needed = self._stream, None
        if only is not None:
            needed = set(pts[list(only)].tolist()).__contains__
        self._container.seek(int(pts[first]), stream=stream, backward=True)
        for frame in decoded(self._container, stream, needed):
            if frame.pts is None:
                continue
            number = int(np.searchsorted(pts, frame.pts))
            if number < len(pts) and pts[number] == frame.pts:
                yield number, frame

    def _rewind(self) -> None:
        """Back to the first frame, by opening the file anew: a seek is not exact here."""
        self._container.close()
        self._container, self._stream = open_container(self.path)

    def timestamps(self) -> NDArray[np.float64]:
        """See :class:`thesislib.data.reader.Reader`."""
        table = self._table
        if table.pts is None:
            return np.arange(len(self), dtype=np.float64) / (table.nominal_fps or 1.0)
        return (table.pts - table.pts[0]).astype(np.float64) * table.unit
