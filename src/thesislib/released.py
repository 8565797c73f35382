"""The weights that the authors published: what, where, and which row of ours each belongs to.

A chapter lists them in its ``released.json``, as their authors tell of them. Nothing is fetched:
:mod:`thesislib.importing` makes a run of a file that is on the disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from thesislib import book
from thesislib.files import read_json


@dataclass(frozen=True)
class Weights:
    """A file of the authors, or a page that links files.

    Attributes:
        file: Its name; "": we do not know it.
        what: Network, data, stream, size.
        where: Its address, or that of the page.
        said: Where its authors tell of it; "": at the same address.
        row: Whose network it is; "": none that was pre-trained, so no run can be made of it.
        preset: Whose settings fit, with ``changes``.
        changes: Setting to value.
    """

    file: str
    what: str
    where: str
    said: str
    row: str
    preset: str
    changes: Mapping[str, str]

    @property
    def command(self) -> str:
        """The command that makes a run of it; "" where none does."""
        if not self.row:
            return ""
        method, _, row = self.row.partition("/")
        words = ["thesislib import", method, self.file or "FILE", "--row", row]
        words += ["--preset", self.preset, *(f"--set {k}={v}" for k, v in self.changes.items())]
        return " ".join(words)

    def facts(self) -> dict[str, str]:
        """What is known of it besides what it is."""
        known = {"file": self.file, "where": self.where, "told": self.said, "use": self.command}
        return {name: text for name, text in known.items() if text}


def weights(method: str) -> tuple[Weights, ...]:
    """What the authors of a method published; nothing where its chapter lists nothing.

    Raises:
        ThesisError: There is no such method.
    """
    file = Path(str(resources.files(book.chapter(method).package).joinpath("released.json")))
    listed = read_json(file, "install the package again.", list) if file.is_file() else []
    return tuple(Weights(**one) for one in listed)


def listing() -> dict[str, dict[str, dict[str, str]]]:
    """All of them: method, then what each is, then :meth:`Weights.facts`."""
    return {method: {one.what: one.facts() for one in weights(method)} for method in book.methods()}
