"""The command line: what it says when something stops it, and the codes it ends with."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from thesislib import cli, commands


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "a.csv"), 1, "a.csv cannot be used ("),
        (OSError(errno.EMFILE, "Too many open files"), 1, "ulimit -n 4096"),
        (MemoryError(), 1, "do less at a time"),
        (KeyboardInterrupt(), 130, "stopped; the same command goes on from here."),
    ],
)
def test_what_stops_a_command_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    words: str,
) -> None:
    def stop(args: object) -> None:
        raise error

    monkeypatch.setattr(commands, "doctor", stop)
    assert cli.main(["doctor", "x"]) == code
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith("thesislib: ") and words in told.err
    assert told.err.count("\n") == 1


def test_text_that_the_terminal_cannot_show_is_escaped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(commands, "doctor", lambda args: {"class": "naïve \udcff"})
    with (tmp_path / "out").open("w", encoding="ascii") as out:
        monkeypatch.setattr("sys.stdout", out)
        assert cli.main(["doctor", "x"]) == 0
    assert (tmp_path / "out").read_text().split() == ["class", "na\\xefve", "\\udcff"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_behind_the_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "doctor", lambda args: {"videos": 3})
    monkeypatch.setattr("sys.stdout", open("/dev/full", "w"))  # noqa: SIM115
    assert cli.main(["doctor", "x"]) == 1
    said = f"The result cannot be written ({os.strerror(errno.ENOSPC)}): free some space."
    assert capsys.readouterr().err == f"thesislib: {said}\n"
