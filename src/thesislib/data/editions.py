"""Which contents of its data sets a run has seen, so that others under the same names are noticed.

The rows of a manifest name a run, and a data set that was deleted and prepared again from other
files of the same names and lengths has the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from thesislib.data.contents import edition, read_contents
from thesislib.data.manifest import read_manifest
from thesislib.errors import ThesisError


def editions(*datasets: str) -> dict[str, str]:
    """Name of each data set -> 16 hex digits of what its videos held when it was prepared.

    Sets that are not there or have no ``contents.csv`` (simulated ones) are left out.
    """
    found = {}
    for name in datasets:
        with suppress(ThesisError):  # whoever needs the set says what is wrong with it
            contents = read_contents(read_manifest(name, checked=False).root)
            if contents:
                found[name] = edition(contents)
    return found


def check_editions(seen: Mapping[str, str], run: Path) -> None:
    """Refuses a run that is of other contents than its data sets have now.

    Args:
        seen: What :func:`editions` gave when it ran; runs of before have nothing.
        run: Its folder.

    Raises:
        ThesisError: They have changed.
    """
    now = editions(*seen)
    for name, then in seen.items():
        if now.get(name, then) != then:
            raise ThesisError(
                f"The run {run.name} is of other videos than {name!r} holds now under the same "
                f"names: put them back and prepare {name!r} again, or delete the folder {run} and "
                "repeat the command."
            )
