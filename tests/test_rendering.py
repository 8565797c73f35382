"""Frames as text for other programs: Markdown, LaTeX that compiles, csv that runs nothing."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pandas as pd
import pytest

from thesislib import files, published, report
from thesislib.ledger import Entry, Ledger
from thesislib.rendering import LATEX, latex_text, to_csv, to_latex, to_markdown

EVIL = ["=1+1", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0"]


def frame() -> pd.DataFrame:
    made = pd.DataFrame({"a|b": ["50 % & more", "<b>"], "x_1": ["52.0 ± 0.1 (3)", "–"]})
    made.attrs = {"caption": "A & B", "notes": ["see <here>"]}
    return made


def test_markdown() -> None:
    assert to_markdown(frame()).splitlines() == [
        r"| a\|b | x_1 |",
        "|---|---|",
        "| 50 % & more | 52.0 ± 0.1 (3) |",
        "| <b> | – |",
        "",
        "- see <here>",
    ]


def test_latex() -> None:
    assert to_latex(frame(), "tab:x").splitlines() == [
        r"\begin{table}",
        r"% \usepackage{booktabs,amssymb}",
        r"\centering",
        r"\caption{A \& B}",
        r"\label{tab:x}",
        r"\begin{tabular}{ll}",
        r"\toprule",
        r"a\textbar{}b & x\_1 \\",
        r"\midrule",
        r"50 \% \& more & 52.0 $\pm$ 0.1 (3) \\",
        r"\textless{}b\textgreater{} & -- \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\par{\footnotesize see \textless{}here\textgreater{}}",
        r"\end{table}",
    ]


@pytest.mark.parametrize("first", ["[A]", " [0.1, 0.2]", "*"])
def test_a_line_of_latex_that_begins_like_an_option_is_text(first: str) -> None:
    """LaTeX said "Missing number" of the rows [A] to [F] of a table of chapter 6."""
    (line,) = [x for x in to_latex(pd.DataFrame({"a": [first]})).splitlines() if first in x]
    assert line == f"{{}}{first} \\\\"


def unescaped(tex: str) -> str:
    """What is left to LaTeX's own reading once everything that stands for a sign is gone."""
    for order in sorted(LATEX.values(), key=len, reverse=True):
        tex = tex.replace(order, "")
    return tex


def test_no_text_is_an_order_of_latex() -> None:
    text = r"\input{/etc/passwd} $x_1^2$ 50% #1 a&b ~ \\ {" + '"' + "\n}"
    shown = latex_text(text)
    assert not set(unescaped(shown)) & set("\\{}$&%#_~^\n")
    assert latex_text(None) == "" and latex_text(3) == "3"


def measured() -> Ledger:
    """Three seeds of one row of Table 2.1, one of another."""
    values = {("dpc/pooled", s): v for s, v in enumerate([0.50, 0.52, 0.54])}
    values |= {("dpc/random", 0): 0.4}
    return Ledger(
        Entry(row, "dpc", "small", "synthetic", seed, {"finetune_top1": value})
        for (row, seed), value in values.items()
    )


def test_a_table_of_the_thesis_in_latex_has_a_cell_for_each_number() -> None:
    whole = report.thesis_table("2.1", ledger=measured(), apart=True)
    ours = [("action top-1 (%)", name) for name in ("ours", "low", "high", "seeds")]
    assert [c for c in whole.columns if c[0] == "action top-1 (%)"] == ours
    half = 100 * 4.303 * 0.02 / 3**0.5
    assert whole[ours].iloc[3].tolist() == ["52.0", f"{52 - half:.1f}", f"{52 + half:.1f}", "3"]
    assert whole[ours].iloc[0].tolist() == ["40.0", "", "", "1"]
    assert whole[ours].iloc[1].tolist() == ["not run", "", "", ""]
    tex = to_latex(whole)
    assert r"\multicolumn{4}{c}{action top-1 (\%)}" in tex
    assert r"\cmidrule(lr){7-7}" in tex or r"\cmidrule(lr){" in tex
    assert "52.0 & " in tex and "±" not in tex


@pytest.mark.parametrize("number", [table.number for table in published.tables()])
def test_latex_of_every_table_is_well_formed(number: str) -> None:
    tex = to_latex(report.thesis_table(number, ledger=measured(), apart=True))
    assert tex.isascii(), "nothing that a plain engine lacks"
    (places,) = re.findall(r"\\begin\{tabular\}\{([lr]+)\}", tex)
    body = tex.partition(r"\toprule")[2].partition(r"\bottomrule")[0]
    for line in (line for line in body.splitlines() if line.endswith(r"\\")):
        cells = re.split(r"(?<!\\)&", line)
        wide = [int(n) for n in re.findall(r"\\multicolumn\{(\d+)\}", line)]
        assert len(cells) + sum(n - 1 for n in wide) == len(places), line
    ends = [int(n) for n in re.findall(r"\\cmidrule\(lr\)\{\d+-(\d+)\}", tex)]
    assert ends == sorted(ends) and max(ends) <= len(places)
    plain = re.sub(r"\\[&%$#_{}\\]", "", tex)
    assert plain.count("{") == plain.count("}") and plain.count("$") % 2 == 0
    opened, closed = (re.findall(rf"\\{word}\{{(\w+)\}}", tex) for word in ("begin", "end"))
    assert opened == closed[::-1]


@pytest.mark.parametrize("text", EVIL)
def test_no_text_is_a_formula_of_a_spreadsheet(text: str) -> None:
    made = pd.DataFrame({text: [text, "plain"], "number": [-1.5, 2.0]})
    for written in (to_csv(made), files.sheet_text(list(made), made.values.tolist())):
        head, first, second = csv.reader(io.StringIO(written, newline=""))
        assert head == ["'" + text, "number"]
        assert first == ["'" + text, "-1.5"] and second == ["plain", "2.0"]


@pytest.mark.parametrize("number", [-1.5, -3, "-1.5", "-2e-05", "+3"])
def test_numbers_stay_numbers(number: Any) -> None:
    assert files.sheet_text(["x"], [[number]]) == f"x\n{number}\n"


def test_csv_of_a_data_set_is_left_alone() -> None:
    """It is read again, and its files are called so."""
    assert files.csv_text(["path"], [["-1.mp4"], ["=a.mp4"]]) == "path\n-1.mp4\n=a.mp4\n"


def test_what_is_not_known_is_empty_in_csv() -> None:
    made = pd.DataFrame({"a": [1.5, None], "b": ["x", None], "n": [3, 0], "m": [True, False]})
    assert to_csv(made) == "a,b,n,m\n1.5,x,3,True\n,,0,False\n"
