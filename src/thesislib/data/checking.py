"""Looks at many files at once, and remembers what it saw in case it is stopped."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

from tqdm import tqdm

from thesislib.data.containers import VideoInfo, probe
from thesislib.errors import VideoError
from thesislib.files import reading, write_text

T = TypeVar("T")
R = TypeVar("R")
Finding = VideoInfo | str  # what the file holds, or why it cannot be used
MIN_FRAMES = 2  # one frame has no time in it


def check_files(
    paths: Sequence[Path],
    notes: Path | None = None,
    *,
    full: bool = True,
    jobs: int | None = None,
    progress: bool = True,
) -> list[Finding]:
    """Probes files in parallel.

    Args:
        paths: The files.
        notes: Findings are appended here as they come and taken from here when a killed call is
            repeated; a file that has changed since is looked at again.
        full: Decode every frame (see :func:`thesislib.data.reader.probe`).
        jobs: Threads (decoding releases the interpreter); default one a core.
        progress: Show a bar on stderr, if that is a terminal.

    Returns:
        One finding a file, in the order of ``paths``.
    """
    stamps = [_stamp(path, full) for path in paths]
    known = _read_notes(notes)
    findings = {stamp: known[stamp] for stamp in stamps if stamp in known}
    todo = [(p, s) for p, s in zip(paths, stamps, strict=True) if s not in findings]
    if notes is not None:
        notes.parent.mkdir(parents=True, exist_ok=True)
        _end_last_line(notes)
    file = notes.open("a", encoding="utf-8") if notes is not None else None
    try:
        results = in_parallel(lambda item: (item[1], _look(item[0], full)), todo, jobs)
        bar = tqdm(results, "checking", len(todo), unit="file", disable=None if progress else True)
        for stamp, finding in bar:
            findings[stamp] = finding
            if file is not None:
                file.write(_note(stamp, finding))
                file.flush()
    finally:
        if file is not None:
            file.close()
    if notes is not None:
        # In order of name, so that an interrupted run leaves the same file as an undisturbed one.
        write_text(notes, "".join(_note(s, findings[s]) for s in sorted(set(stamps))))
    return [findings[stamp] for stamp in stamps]


def in_parallel(
    work: Callable[[T], R], items: Iterable[T], jobs: int | None, stop: Event | None = None
) -> Iterator[R]:
    """Results as they come, from threads; a few items wait at a time, so a stop is quick.

    Args:
        work: Called in a thread, with one item.
        items: What is to be done.
        jobs: Threads; default one a core.
        stop: Set at the end, however it comes: long work looks at it and gives up early.
    """
    jobs = max(1, jobs or os.cpu_count() or 1)
    waiting: set[Future[R]] = set()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for item in items:
                waiting.add(pool.submit(work, item))
                if len(waiting) >= 2 * jobs:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield future.result()
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            if stop is not None:
                stop.set()
            for future in waiting:
                future.cancel()


def printable(name: str) -> str:
    """A file's name as text: it may hold bytes that are none."""
    return os.fsencode(name).decode("utf-8", "replace")


def _look(path: Path, full: bool) -> Finding:
    try:
        info = probe(path, full)
    except VideoError as error:
        return error.reason
    if info.n_frames < MIN_FRAMES:
        return "only 1 frame"
    return info


Stamp = tuple[str, int, int, bool]


def _stamp(path: Path, full: bool) -> Stamp:
    try:
        status = path.stat()
    except OSError:
        return str(path), -1, -1, full
    return str(path), status.st_size, status.st_mtime_ns, full


def _note(stamp: Stamp, finding: Finding) -> str:
    content: Any = finding if isinstance(finding, str) else dataclasses.asdict(finding)
    return json.dumps([*stamp, content], ensure_ascii=True) + "\n"


def _end_last_line(notes: Path) -> None:
    """Ends the half line that a kill may have left, so that the next note starts a new one."""
    if notes.is_file() and (text := notes.read_bytes()) and not text.endswith(b"\n"):
        with notes.open("ab") as file:
            file.write(b"\n")


def _read_notes(notes: Path | None) -> dict[Stamp, Finding]:
    known: dict[Stamp, Finding] = {}
    if notes is None or not notes.is_file():
        return known
    with reading(notes, "delete it, then run the same command again."):
        lines = notes.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines:
        # What a kill left is half a line.
        with suppress(ValueError, TypeError, RecursionError):
            name, size, mtime, full, content = json.loads(line)
            finding = content if isinstance(content, str) else VideoInfo(**content)
            if not isinstance(content, str) and not {int, float}.issuperset(
                map(type, content.values())
            ):
                continue
            known[(name, size, mtime, full)] = finding
    return known
