"""What leaves the ledger for other programs: numbers are numbers, and no option is ignored."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from thesislib import __version__, report
from thesislib.cli import main

Told = Callable[..., str]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Told:
    """What a command writes; the ledger holds three seeds of two rows."""
    monkeypatch.setenv("THESISLIB_RESULTS", str(tmp_path))
    for seed, value in enumerate([0.50, 0.52, 0.54]):
        for row, more in (("dpc/5pred3", 0.2), ("dpc/random", 0.0)):
            entry = {
                "row": row, "method": "dpc", "profile": "small", "dataset": "synthetic",
                "seed": seed, "metrics": {"finetune_top1": value + more * (1 + seed / 9)},
            }  # fmt: skip
            path = tmp_path / "dpc" / f"{row.replace('/', '__')}-s{seed}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(entry))

    def run(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        assert main(["report", *words]) == code
        done = capsys.readouterr()
        return done.err if code else done.out

    return run


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_table_as_csv_is_numbers(told: Told) -> None:
    lines = {(r["key"], r["metric"]): r for r in rows(told("table", "2.1", "--format", "csv"))}
    line = lines["dpc/random", "finetune_top1"]
    assert float(line["thesis"]) == 46.5 and float(line["ours"]) == pytest.approx(52.0)
    assert float(line["half_width"]) == pytest.approx(100 * 4.303 * 0.02 / 3**0.5, rel=1e-3)
    half = float(line["half_width"])
    assert float(line["low"]) == pytest.approx(52.0 - half)
    assert float(line["high"]) == pytest.approx(52.0 + half)
    assert (line["n"], line["ours_dataset"], line["unit"]) == ("3", "synthetic", "%")
    assert lines["dpc/pooled", "finetune_top1"]["ours"] == "", "not run: no number"


def test_a_table_as_json_is_data(told: Told) -> None:
    found = json.loads(told("table", "2.1", "--json"))
    assert (found["table"], found["profile"]) == ("2.1", "small") and found["title"]
    lines = {(r["key"], r["metric"]): r for r in found["numbers"]}
    assert lines["dpc/random", "finetune_top1"]["ours"] == pytest.approx(52.0)
    assert lines["dpc/random", "finetune_top1"]["n"] == 3
    assert lines["dpc/pooled", "finetune_top1"]["ours"] is None
    assert lines["dpc/pooled", "finetune_top1"]["mixed"] is False
    for table in report.published.tables():
        json.loads(told("table", table.number, "--json"), parse_constant=pytest.fail)


def test_claims_as_csv_are_numbers(told: Told) -> None:
    lines = {line["id"]: line for line in rows(told("claims", "--format", "csv"))}
    line = lines["dpc-pretraining"]
    assert (line["verdict"], line["n"], line["profile"]) == ("holds", "3", "small")
    assert float(line["difference"]) == pytest.approx(0.2 * (1 + 1 / 9))
    low, high = float(line["t_interval_low"]), float(line["t_interval_high"])
    assert 0 < low < float(line["difference"]) < high
    assert lines["dpc-dense"]["difference"] == "" and lines["dpc-dense"]["n"] == "0"


@pytest.mark.parametrize(
    ("format", "first"), [("latex", r"\begin{table}"), ("markdown", "| claim |"), ("csv", "id,")]
)
def test_each_format_is_heard(format: str, first: str, told: Told) -> None:
    assert told("claims", "--format", format).startswith(first)
    whole = told("status", "--format", format)
    assert whole.startswith({"csv": "chapter,", "markdown": "| chapter |"}.get(format, first))
    assert not whole.endswith("\n\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["claims", "--format", "csv", "--json"], "--format says how text is written, --json"),
        (["promote", "x", "--format", "csv"], "promote writes none: leave it out"),
        (["claims", "2.1"], "`thesislib report claims` takes no '2.1'"),
        (["table"], "Name one table"),
    ],
)
def test_what_would_be_ignored_is_refused(words: list[str], message: str, told: Told) -> None:
    assert message in told(*words, code=1)


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"thesislib {__version__}\n"
