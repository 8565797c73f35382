"""The windows of a video in one pass over it: opened once, each frame decoded once."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path

import numpy as np
from torch.utils.data import get_worker_info

from thesislib.data.clips import Indices
from thesislib.data.opening import check_readable
from thesislib.data.pyav_reader import Frames, PyAVReader
from thesislib.errors import VideoError

Each = Callable[[Frames], Frames]
Numbered = Generator[tuple[int, Frames], None, None]
LANES = 4  # decoders of a pass at most: each holds pictures
LONG = 1000  # frames of a pass that is worth several: each opens the video anew
STRETCH, PIECE = 128, 16  # frames that one decoder reads in a row, and hands over at once
AHEAD = 16  # pieces that a decoder may be ahead


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
                self._going = Going(PyAVReader(path), windows, each=self._each, lanes=_lanes())
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
        lanes: Decoders that may read at once, each in a thread of its own. More than one read
            only a long pass whose frames ``each`` has made small, for they are held.
    """

    def __init__(
        self,
        reader: PyAVReader,
        windows: Sequence[Sequence[int]],
        scale: float = 1.0,
        each: Each | None = None,
        lanes: int = 1,
    ) -> None:
        self._windows, numbers = iter(windows), sorted({n for some in windows for n in some})
        parts = [numbers]
        if lanes > 1 and each is not None and len(numbers) >= LONG:
            parts = stretches(numbers, reader.entries)
        if len(parts) > 1:
            reader.close()
            self._frames = abreast(reader.path, parts, lanes, scale, each)
        else:
            self._frames = passing(reader, numbers, scale, each)
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
            self._held[number] = frame
        return np.stack([self._held[n] for n in numbers])


def passing(
    reader: PyAVReader, numbers: Sequence[int], scale: float, each: Each | None
) -> Numbered:
    """The frames of one pass with their numbers, ``each`` done."""
    for number, frame in reader.onward(numbers, scale):
        yield number, each(frame) if each else frame


def stretches(numbers: Sequence[int], entries: Indices) -> list[list[int]]:
    """Rising frame numbers in parts of ``STRETCH`` or more, all but the first begun at an entry.

    Args:
        numbers: Of frames.
        entries: Those at which decoding can begin: no frame is decoded for two parts.
    """
    group = np.searchsorted(entries, numbers, side="right")
    parts: list[list[int]] = [[]]
    for place, number in enumerate(numbers):
        if len(parts[-1]) >= STRETCH and group[place] != group[place - 1]:
            parts.append([])
        parts[-1].append(number)
    return parts


def abreast(
    path: Path, parts: Sequence[Sequence[int]], lanes: int, scale: float, each: Each | None
) -> Numbered:
    """As :func:`passing` over all parts in their order, read by several decoders at once.

    A decoder's own threads gain next to nothing where most frames are passed over: measured on
    half an hour of 640 x 480, two of them cost a third more and saved a twentieth of the time, two
    decoders saved two fifths. Each reads every ``lanes``-th part.
    """

    def lane(share: Sequence[Sequence[int]]) -> Numbered:
        yield from passing(PyAVReader(path), [*chain.from_iterable(share)], scale, each)

    shares = [parts[i::lanes] for i in range(lanes)]
    readers = [lane(share) for share in shares]
    sizes = [iter([size for part in share for size in _pieces(part)]) for share in shares]
    pools = [ThreadPoolExecutor(1) for _ in shares]
    waiting: list[deque[Future[list[tuple[int, Frames]]]]] = [deque() for _ in shares]

    def more(i: int) -> None:
        if size := next(sizes[i], 0):
            waiting[i].append(pools[i].submit(lambda: [*islice(readers[i], size)]))

    try:
        for _ in range(AHEAD):
            for i in range(lanes):
                more(i)
        for place, part in enumerate(parts):
            i = place % lanes
            for _ in _pieces(part):
                piece = waiting[i].popleft().result()
                more(i)
                yield from piece
    finally:
        for pool in pools:
            pool.shutdown(cancel_futures=True)
        for reader in readers:
            reader.close()


def _pieces(part: Sequence[int]) -> list[int]:
    """Sizes of the pieces of a part."""
    return [len(part[i : i + PIECE]) for i in range(0, len(part), PIECE)]


def read_small(path: Path, scale: float, indices: Indices) -> Frames:
    """Frames by number, repeats allowed, with sides ``scale`` times as long, at most 1.

    Returns:
        (L, H, W, 3) uint8 RGB, each pixel the mean of its area.

    Raises:
        VideoError: The file cannot be read, or a frame does not decode.
    """
    check_readable(path)
    numbers, places = np.unique(indices, return_inverse=True)
    frames = PyAVReader(path).onward(numbers.tolist(), scale)
    return np.stack([frame for _, frame in frames])[places]


def _lanes() -> int:
    """Decoders for a pass of this process; in a worker one, for the workers are the parallelism."""
    return 1 if get_worker_info() is not None else min(LANES, os.cpu_count() or 1)
