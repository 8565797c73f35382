"""The command line: what it says when something stops it, and the codes it ends with."""

from __future__ import annotations

import errno
import os
import signal
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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["flow", "x", "--jobs", "-1"], "argument --jobs: must be at least 1, not -1"),
        (["flow", "x", "--jobs", "two"], "argument --jobs: 'two' is no whole number"),
        (["flow", "x", "--bound", "inf"], "argument --bound: must be a finite number, not inf"),
        (["retrieve", "x", "--k", "0"], "argument --k: must be at least 1"),
        (["retrieve", "x", "--queries", "-1"], "argument --queries: must be at least 0"),
        (["retrieve", "x", "--above", "1.5"], "argument --above: must be at most 1"),
        (["retrieve", "x", "--out", ""], "argument --out: The path is empty"),
        (["prepare", "synthetic", "--clips", "0"], "argument --clips: must be at least 1"),
        (["prepare", "folder", "x", "--val", "-0.1"], "argument --val: must be at least 0"),
        (["prepare", "folder", "x", "--root", "~nobody-here"], "argument --root: The path ~nobody"),
        (["classify", "x", "--rate", "nan"], "argument --rate: must be a finite number, not nan"),
        (["classify", "x", "--window", "-1"], "argument --window: must be above 0, not -1"),
        (["classify", "x", "--layers", "9"], "argument --layers: must be at most 4"),
        (["train", "dpc", "--seed", "-1"], "argument --seed: must be at least 0"),
        (["train", "dpc", "--seed", "1" * 5000], "argument --seed: "),
        (["train", "dcp"], "argument method: invalid choice"),
        (["show"], "the following arguments are required: dataset"),
    ],
)
def test_a_wrong_call_is_one_line_and_code_2(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert said in told and told.startswith(f"thesislib {words[0]}: ")
    assert told.count("\n") == 1 and len(told) < 400


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGTERM, 143, "ended"), (signal.SIGINT, 130, "stopped")]
)
def test_a_signal_lets_the_command_clean_up_and_say_so(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    code: int,
    word: str,
) -> None:
    cleaned = []

    def work(args: object) -> None:
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            cleaned.append(number)
            raise

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(commands, "doctor", work)
    # What a shell has put into the background ignores it, and so would this process.
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert cli.main(["doctor", "x"]) == code and cleaned == [number]
    finally:
        signal.signal(signal.SIGINT, interrupt)
    assert word in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before, "as it was found"


def test_a_forked_worker_dies_of_the_signal_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(args: object) -> dict[str, int]:
        if (child := os.fork()) == 0:
            signal.raise_signal(signal.SIGTERM)
            os._exit(1)  # not reached
        return {"ended by": os.WTERMSIG(os.waitpid(child, 0)[1])}

    monkeypatch.setattr(commands, "doctor", work)
    assert cli.main(["doctor", "x", "--json"]) == 0
    told = capsys.readouterr()
    assert told.out == f'{{\n "ended by": {int(signal.SIGTERM)}\n}}\n' and told.err == ""


@pytest.mark.parametrize(
    "words",
    [
        ["report", "promote", "--dirty", "A", "B"],
        ["report", "--dirty", "promote", "A", "B"],
        ["report", "promote", "A", "--dirty", "B"],
    ],
)
def test_options_stand_anywhere(words: list[str]) -> None:
    args = cli.parser().parse_args(words)
    assert (args.what, args.item, args.dirty) == ("promote", ["A", "B"], True)
    args = cli.parser().parse_args(["retrieve", "index", "--k", "3", "one.mp4", "two.mp4"])
    assert (str(args.index), args.k, args.query) == ("index", 3, ["one.mp4", "two.mp4"])
    args = cli.parser().parse_args(["prepare", "folder", "--name", "mine", "videos"])
    assert (args.name, args.as_name, args.path) == ("folder", "mine", "videos")
