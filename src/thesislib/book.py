"""The chapters as data. A new chapter is a line here, a file in ``methods``, and a folder."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from types import ModuleType

from thesislib.errors import choose


@dataclass(frozen=True)
class Chapter:
    """One chapter of the thesis that has rows to run.

    Attributes:
        number: In the thesis.
        headline: The rows that its notebook trains, or reads from the ledger; the last one is the
            method itself.
        package: Its folder: ``rows.py``, ``claims.py``, ``show.py``, ``published.json``.
        module: Its method: ``CONFIG`` and ``MODEL``.
    """

    number: int
    headline: tuple[str, ...]
    package: str
    module: str

    @property
    def written(self) -> bool:
        """Whether its rows can be run already."""
        return importlib.util.find_spec(f"{self.package}.rows") is not None


def _chapter(number: int, name: str, *headline: str) -> Chapter:
    rows = tuple(f"{name}/{row}" for row in headline)
    return Chapter(number, rows, f"thesislib.chapters.{name}", f"thesislib.methods.{name}")


CHAPTERS = {
    "baseline": Chapter(1, (), "thesislib.chapters.world", "thesislib.methods.dpc"),
    "dpc": _chapter(2, "dpc", "random", "5pred3"),
    "memdpc": _chapter(3, "memdpc", "rgb"),
    "coclr": _chapter(4, "coclr", "coclr-rgb"),
    "clip_prompt": _chapter(
        5, "clip_prompt", "zero-shot", "linear-probe", "localisation-zero-shot", "localisation",
        "retrieval-zero-shot", "16+x+16-2tfm",
    ),
    "turbo": _chapter(6, "turbo", "nce-m75-r25", "long-f32", "m75-r25"),
    "tan": _chapter(7, "tan", "a", "d"),
    "autoad": _chapter(8, "autoad", "blind", "v", "v+ad"),
}  # fmt: skip


def chapter(name: str) -> Chapter:
    """The chapter of a method, or of a row: ``"dpc"``, ``"dpc/pooled"``.

    Raises:
        ThesisError: There is none.
    """
    return CHAPTERS[choose("method", name.partition("/")[0], CHAPTERS)]


def methods() -> tuple[str, ...]:
    """The methods that can be trained, in the order of the chapters."""
    return tuple(name for name, one in CHAPTERS.items() if one.headline and one.written)


def method(name: str) -> ModuleType:
    """The module of a method: ``CONFIG``, ``MODEL``, ``summary``, ``forward_one``."""
    return importlib.import_module(chapter(name).module)


def room(name: str, part: str) -> ModuleType:
    """A file of a chapter's folder: ``rows``, ``claims``."""
    return importlib.import_module(f"{chapter(name).package}.{part}")
