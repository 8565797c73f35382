"""Locks on files, which the system frees however the process that holds one ends."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from thesislib.errors import of_the_system

try:
    import fcntl
except ImportError:  # not on Windows: there two writers at once are not caught
    fcntl = None  # type: ignore[assignment]

# File systems that know no locks, some over a network among them.
LOCKLESS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}

_held: set[Path] = set()  # by this process, to whom the system would grant them again


@contextlib.contextmanager
def held(path: Path, busy: Callable[[str], object]) -> Iterator[None]:
    """Holds the lock of a file, which is made and stays; asked for within, it is held already.

    Worker processes that are forked meanwhile do not have it, so it never outlives its holder.

    Args:
        path: The file. It says which process holds it.
        busy: Told who holds it, as ``"process 12"``, when another process does. Where that returns,
            the other one's end is waited for; to refuse, let it raise.

    Raises:
        ThesisError: The file cannot be made.
    """
    path = path.absolute()
    if fcntl is None or path in _held:
        yield
        return
    try:
        opened = path.open("a+b", buffering=0)
    except OSError as error:
        raise of_the_system(error, path, "written") from error
    with opened as file:
        try:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EAGAIN):
                    raise
                file.seek(0)
                busy(f"process {file.read().decode().strip() or 'unknown'}")
                fcntl.lockf(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in LOCKLESS:
                raise of_the_system(error, path, "locked") from error
        with contextlib.suppress(OSError):  # a full disk: who waits is not told for whom
            file.truncate(0)
            file.write(str(os.getpid()).encode())
        _held.add(path)
        try:
            yield
        finally:
            _held.discard(path)
