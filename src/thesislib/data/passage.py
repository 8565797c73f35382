"""The windows of a video in one pass over it: opened once, each frame decoded once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from torch.utils.data import get_worker_info

from thesislib.data.clips import Indices
from thesislib.data.opening import check_readable
from thesislib.data.reader import Frames, PyAVReader
from thesislib.errors import VideoError

Each = Callable[[Frames], Frames]
THREADS = 4  # of a decoder at most: each holds pictures
LONG = 1000  # frames of a pass that is worth threads: they are started anew for each video


class Passage:
    """Reads windows on from the one before.

    The first window of a video begins a pass, one that follows on the last goes on with it. Any
    other, and all that one pass cannot give, is for the caller to read by itself.

    Args:
        each: What is done to every frame (H, W, 3) once; ``None``: nothing.
    """

    def __init__(self, each: Each | None = None) -> None:
        self._each = each
        self._at: tuple[object, ...] = ()  # process, thread, video and number of the last window
        self._going: Going | None = None
        self._hopeless: Path | None = None  # a video of which a frame did not decode

    def window(
        self, path: Path, number: int, count: int, plan: Callable[[], Indices]
    ) -> Frames | None:
        """One window; ``None``: it does not follow on the last, or does not decode this way.

        Args:
            path: The video.
            number: Of the window.
            count: Windows of this video.
            plan: Gives the frame numbers of all of them, (count, L), no row before the one above.

        Returns:
            (L, H, W, 3) uint8 RGB, or what ``each`` makes of it.
        """
        here = os.getpid(), threading.get_ident(), path
        follows = self._at == (*here, number - 1)
        self._at = (*here, number)
        if path == self._hopeless or not (follows or number == 0):
            self._going = None
            return None
        try:
            if not follows or self._going is None:
                windows = plan()[number:].tolist()
                self._going = Going(PyAVReader(path), windows, each=self._each)
            frames = self._going.next()
        except VideoError:
            self._going, self._hopeless = None, path
            return None
        if number == count - 1:
            self._going = None
        return frames

    def __reduce__(self) -> tuple[type[Passage], tuple[Each | None]]:
        return Passage, (self._each,)  # another process begins anew


class Going:
    """A pass under way over some windows of a video; what lies between them is jumped over.

    Args:
        reader: Of the video; it is closed at the end.
        windows: Rising frame numbers of each; no window begins before the one above.
        scale: Of the sides of the frames, at most 1.
        each: As for :class:`Passage`.
    """

    def __init__(
        self,
        reader: PyAVReader,
        windows: Sequence[Sequence[int]],
        scale: float = 1.0,
        each: Each | None = None,
    ) -> None:
        self._each = each
        self._windows, numbers = iter(windows), sorted({n for some in windows for n in some})
        self._frames = reader.onward(numbers, _threads(len(numbers)), scale)
        self._held: dict[int, Frames] = {}

    def next(self) -> Frames:
        """The next window, (L, H, W, 3) uint8 RGB.

        Raises:
            VideoError: A frame does not decode.
        """
        numbers = next(self._windows)
        self._held = {n: frame for n, frame in self._held.items() if n >= numbers[0]}
        while numbers[-1] not in self._held:
            number, frame = next(self._frames)
            self._held[number] = self._each(frame) if self._each else frame
        return np.stack([self._held[n] for n in numbers])


def read_small(path: Path, scale: float, indices: Indices) -> Frames:
    """Frames by number, repeats allowed, with sides ``scale`` times as long, at most 1.

    Returns:
        (L, H, W, 3) uint8 RGB, each pixel the mean of its area.

    Raises:
        VideoError: The file cannot be read, or a frame does not decode.
    """
    check_readable(path)
    numbers, places = np.unique(indices, return_inverse=True)
    frames = PyAVReader(path).onward(numbers.tolist(), _threads(len(numbers)), scale)
    return np.stack([frame for _, frame in frames])[places]


def _threads(count: int) -> int:
    """Of the decoder, for a pass of so many frames."""
    if count < LONG or get_worker_info() is not None:
        return 1  # the workers are the parallelism
    return min(THREADS, os.cpu_count() or 1)
