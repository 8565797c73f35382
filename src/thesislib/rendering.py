"""A pandas frame as text: a Markdown table, LaTeX for a paper, or csv.

The ``attrs`` of a frame may hold a ``caption`` and ``notes``.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pandas as pd

from thesislib.errors import choose
from thesislib.files import sheet_text

# What LaTeX takes for an order, and what its usual fonts lack or draw as something else.
LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''", "\n": " ",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "–": "--", "—": "---", "±": r"$\pm$", "×": r"$\times$", "→": r"$\to$",
    "†": r"\dag{}", "‡": r"\ddag{}", "§": r"\S{}", "✓": r"$\checkmark$", "✗": r"$\times$",
    "α": r"$\alpha$", "ρ": r"$\rho$",
}  # fmt: skip


def rendered(frame: pd.DataFrame, format: str) -> str:
    """A frame as ``markdown``, ``latex`` or ``csv``.

    Raises:
        ThesisError: Unknown format.
    """
    render = {"markdown": to_markdown, "latex": to_latex, "csv": to_csv}
    return render[choose("format", format, render)](frame)


def to_markdown(frame: pd.DataFrame) -> str:
    """A pipe table; the notes of the frame follow as a list."""
    lines = ["| " + " | ".join(_pipe(c) for c in frame.columns) + " |"]
    lines.append("|" + "---|" * len(frame.columns))
    lines += ["| " + " | ".join(_pipe(v) for v in row) + " |" for row in frame.values]
    if notes := frame.attrs.get("notes"):
        lines += ["", *(f"- {note}" for note in notes)]
    return "\n".join(lines) + "\n"


def _pipe(value: Any) -> str:
    return str(value).replace("|", r"\|").replace("\n", " ")


def to_csv(frame: pd.DataFrame) -> str:
    """Comma-separated text that a spreadsheet takes for data; what is not known is empty."""
    known = frame.astype(object).where(frame.notna(), "")
    return sheet_text(list(frame.columns), known.values.tolist())


def to_latex(frame: pd.DataFrame, label: str = "") -> str:
    """A ``booktabs`` table, its notes below it.

    Columns may be pairs of a head that stands over neighbours ("" for none) and their own.
    """
    columns = [c if isinstance(c, tuple) else ("", c) for c in frame.columns]
    numbers = [pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes]
    right = [bool(over) or number for (over, _), number in zip(columns, numbers, strict=True)]
    lines = [r"\begin{table}", r"% \usepackage{booktabs,amssymb}", r"\centering"]
    if caption := frame.attrs.get("caption"):
        lines.append(rf"\caption{{{latex_text(caption)}}}")
    if label:
        lines.append(rf"\label{{{label}}}")
    places = "".join("r" if numeric else "l" for numeric in right)
    lines += [rf"\begin{{tabular}}{{{places}}}", r"\toprule"]
    if any(over for over, _ in columns):
        lines += _heads_over([over for over, _ in columns])
    lines += [_line([name for _, name in columns]), r"\midrule"]
    lines += [_line(row) for row in frame.astype(object).values.tolist()]
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par{{\footnotesize {latex_text(n)}}}" for n in frame.attrs.get("notes", ())]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _heads_over(heads: Sequence[str]) -> list[str]:
    """A line of heads, each over all neighbours that have it, and the rules below them."""
    cells, rules, first = [], "", 1
    for head, group in itertools.groupby(heads):
        width = len(list(group))
        cells.append(rf"\multicolumn{{{width}}}{{c}}{{{latex_text(head)}}}")
        if head:
            rules += rf"\cmidrule(lr){{{first}-{first + width - 1}}}"
        first += width
    return [" & ".join(cells) + r" \\", rules]


def _line(cells: Sequence[Any]) -> str:
    line = " & ".join(latex_text(cell) for cell in cells) + r" \\"
    # The end of the line before, or a rule, would take a bracket or a star for its own.
    return "{}" * line.lstrip().startswith(("[", "*")) + line


def latex_text(value: Any) -> str:
    """A value as LaTeX prints it; nothing in it is an order."""
    return "" if value is None else "".join(LATEX.get(sign, sign) for sign in str(value))
