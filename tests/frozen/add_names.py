"""Adds to ``run_names.json`` the names of a chapter's rows that are not in it yet.

    python tests/frozen/add_names.py autoad [small gpu paper as_released]

What is in it stays as it is: that a row has another name now is for ``test_frozen.py`` to tell.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from thesislib.chapters import clips, row, run
from thesislib.chapters.autoad import learning
from thesislib.chapters.row import Job

FILE = Path(__file__).with_name("run_names.json")
PROFILES = ("small", "gpu", "paper", "as_released")
SEEDS = (0, 5)
PRINT = "print"  # the fingerprint of all data


def digest(hash_: str, fingerprint: str = PRINT) -> str:
    return hashlib.sha256(f"{hash_} {fingerprint}".encode()).hexdigest()[:8]


@contextlib.contextmanager
def without_data() -> Iterator[None]:
    """Names of what would be read from runs, films and networks, which are not here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clips, "_parts", lambda parts, job: [{"run": "one"}, {"run": "two"}])
        patch.setattr(row, "read_manifest", lambda name: SimpleNamespace(fingerprint=PRINT))
        patch.setattr(learning, "given", lambda job: SimpleNamespace(
            config=run.settings(job), fingerprint=lambda *more: PRINT
        ))  # fmt: skip
        yield


def asked(key: str) -> Job:
    """The job of a line: row, profile, seed."""
    name, profile, seed = key.split()
    return Job(name, profile, "mine", int(seed), log=None)


def named(key: str) -> tuple[str, str]:
    """The hash of a whole row's settings, and the end of its run's name."""
    whole, more = run.identity(asked(key))
    return whole.hash(**more), digest(whole.hash(**more))


def add(method: str, profiles: list[str], file: Path = FILE) -> list[str]:
    """The lines that were added."""
    content = json.loads(file.read_text())
    keys = [f"{name} {profile} {seed}" for name in run.rows(method) for profile in profiles
            for seed in SEEDS]  # fmt: skip
    new = [key for key in keys if key not in content["settings"]]
    with without_data():
        content["settings"] |= {key: ["", *named(key)] for key in new}
    file.write_text(json.dumps(content, indent=0, sort_keys=True) + "\n")
    return new


if __name__ == "__main__":
    print(f"{len(add(sys.argv[1], sys.argv[2:] or [*PROFILES]))} names added to {FILE}")
