"""The written limits of a chapter: how long, in which order, and what a cell may hold."""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path
from statistics import median

import pytest
from nbformat import NotebookNode

import book
import notebooks

REPO = Path(__file__).resolve().parents[2]
PAIRS = notebooks.pairs(REPO)
CHAPTERS = pytest.mark.parametrize("pair", PAIRS, ids=lambda p: p.name)
HIDDEN = {"remove-cell", "remove-input"}
BY_HAND = "by-hand"  # the one cell that trains in the open, and may loop
CHECKED = "nbval-check-output"


def cells_of(pair: notebooks.Pair) -> list[NotebookNode]:
    """Cells of the text twin: the text decides."""
    page: list[NotebookNode] = notebooks.from_text(pair.text.read_text(encoding="utf-8")).cells
    return page


def tags(cell: NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", ()))


def code(cells: list[NotebookNode]) -> list[NotebookNode]:
    return [cell for cell in cells if cell.cell_type == "code"]


def lines(cell: NotebookNode) -> int:
    return len([line for line in cell.source.splitlines() if line.strip()])


def prose(cells: list[NotebookNode]) -> str:
    """What a reader reads: without equations, targets, directives, roles, links and tables."""
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    text = re.sub(r"```\{math\}.*?```|\$\$.*?\$\$", " ", text, flags=re.DOTALL)
    text = re.sub(r"^\(.*\)=$|^\|.*\|$|^#+ ", " ", text, flags=re.MULTILINE)
    text = re.sub(r"\{cite:\w+\}`[^`]*`|\$[^$]*\$", " ", text)
    text = re.sub(r"\{[\w:-]+\}`([^`<]*)(?:<[^`]*>)?`", r"\1", text)
    return re.sub(r"\]\([^)]*\)", "] ", text)


def faults(cells: list[NotebookNode]) -> list[str]:
    """Every breach of the house style as one sentence."""
    found = []
    codes = code(cells)
    shown = [cell for cell in codes if not tags(cell) & HIDDEN]
    if not 25 <= len(cells) <= 56:  # the diagrams and the tables of the ledger count as well
        found.append(f"{len(cells)} cells, not 25 to 56")
    if len(shown) > 15:
        found.append(f"{len(shown)} cells of code are shown, more than 15")
    if median(lines(cell) for cell in codes) > 8:
        found.append("the median cell has more than 8 lines")
    if sum(lines(cell) for cell in codes) > 150:
        found.append("more than 150 lines of code")
    if sum(BY_HAND in tags(cell) for cell in codes) != 1:
        found.append("not one cell that trains in the open")
    if sum("parameters" in tags(cell) for cell in codes) != 1:
        found.append("not one cell tagged parameters")
    if "parameters" not in tags(codes[0]):
        found.append("code before the parameters")
    for before, cell in itertools.pairwise(cells):
        if cell.cell_type == "code" and before.cell_type == "code":
            found.append(f"no prose before {cell.source[:40]!r}")
    for cell in codes:
        if lines(cell) > 25:
            found.append(f"{lines(cell)} lines in {cell.source[:40]!r}")
        if BY_HAND in tags(cell) and lines(cell) > 10:
            found.append(f"{lines(cell)} lines to train in the open, more than 10")
        wrong = [
            bad for bad in forbidden(cell.source) if BY_HAND not in tags(cell) or bad != "a loop"
        ]
        found += [f"{bad} in {cell.source[:40]!r}" for bad in wrong]
    return found


def forbidden(source: str) -> list[str]:
    """What a notebook leaves to the library: definitions, training loops, paths, filters."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            found.append(f"a {type(node).__name__}")
        if isinstance(node, ast.For | ast.While):
            found.append("a loop")
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and re.match(r"(/|~|[A-Za-z]:\\)", text):
            found.append(f"the absolute path {text!r}")
        if isinstance(node, ast.Name | ast.Attribute):
            name = node.id if isinstance(node, ast.Name) else node.attr
            if name in ("simplefilter", "filterwarnings", "urlopen", "urlretrieve", "system"):
                found.append(name)
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.path":
            found.append("sys.path")
    found += [
        f"the magic {line.strip()!r}" for line in source.splitlines() if line.startswith(("%", "!"))
    ]
    return found


def parameters(cells: list[NotebookNode]) -> dict[str, object]:
    """Names and values of the parameters cell."""
    (cell,) = [cell for cell in code(cells) if "parameters" in tags(cell)]
    values = {}
    for node in ast.parse(cell.source).body:
        assert isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        values[node.targets[0].id] = ast.literal_eval(node.value)
    return values


@CHAPTERS
def test_cells_keep_to_the_limits(pair: notebooks.Pair) -> None:
    assert faults(cells_of(pair)) == []


@CHAPTERS
def test_parameters_are_a_few_remarked_scalars(pair: notebooks.Pair) -> None:
    cells = cells_of(pair)
    values = parameters(cells)
    assert 3 <= len(values) <= 6
    # The command `thesislib reproduce` passes these three.
    assert values["profile"] == "small" and values["seed"] == 0
    assert values["dataset"] in book.DATASETS
    assert all(isinstance(v, str | int | float | bool) for v in values.values())
    (cell,) = [cell for cell in code(cells) if "parameters" in tags(cell)]
    assert all("  # " in line for line in cell.source.splitlines())


@CHAPTERS
def test_a_chapter_begins_with_its_label_and_ends_with_things_to_try(pair: notebooks.Pair) -> None:
    cells = cells_of(pair)
    name = pair.name.partition("_")[2]
    assert cells[0].source.startswith(f"(ch-{name})=\n# ")
    last = [cell for cell in cells if cell.cell_type == "markdown"][-1].source
    assert re.search(r"## Exercises|\*\*To try\*\*", last)


@CHAPTERS
def test_every_figure_has_name_caption_and_words(pair: notebooks.Pair) -> None:
    for cell in code(cells_of(pair)):
        drawn = re.search(r"_picture\(|viz\.|\bpicture$", cell.source)
        about = cell.metadata.get("mystnb", {})
        assert bool(drawn and "nbval" not in str(tags(cell))) == bool(about), cell.source
        if about:
            assert about["figure"]["name"].startswith("fig-")
            assert len(about["figure"]["caption"]) > 30 and len(about["image"]["alt"]) > 30


@CHAPTERS
def test_what_nbval_compares_does_not_depend_on_training(pair: notebooks.Pair) -> None:
    """Shapes, settings, counts and source text: nothing with a figure, a result or a loss."""
    checked = [cell for cell in code(cells_of(pair)) if CHECKED in tags(cell)]
    assert checked
    for cell in checked:
        last = cell.source.splitlines()[-1]
        assert re.match(
            r"pages\.(shapes|rows|settings|parts)_page|pages\.(source|grid)|blocks\.pairs_page",
            last,
        )
        assert "results" not in cell.source and "ledger" not in cell.source


@pytest.mark.parametrize(
    ("name", "equations", "tables"),
    [
        ("02_dpc", 5, 4),
        ("03_memdpc", 6, 4),
        ("04_coclr", 5, 3),
        ("05_clip_prompt", 2, 7),
        ("06_turbo", 2, 4),
        ("07_tan", 10, 4),
        ("08_autoad", 2, 5),
    ],
)
def test_a_chapter_has_its_length_its_equations_and_tables(
    name: str, equations: int, tables: int
) -> None:
    (pair,) = [pair for pair in PAIRS if pair.name == name]
    cells = cells_of(pair)
    text = prose(cells)
    assert 1200 <= len(text.split()) <= 3500  # the answers to the exercises count as well
    labels = re.findall(r":label: (eq-[\d-]+)", "\n".join(cell.source for cell in cells))
    assert labels == [f"eq-{int(name[:2])}-{i}" for i in range(1, equations + 1)]
    for number in (f"{int(name[:2])}.{i}" for i in range(1, tables + 1)):
        assert f"Table {number}" in text
        assert any(f'"{number}"' in cell.source for cell in code(cells))


@CHAPTERS
def test_no_result_is_typed_into_the_prose(pair: notebooks.Pair) -> None:
    """Decimal numbers and percentages in the text come by glue; figures and tables have names."""
    text = "\n".join(c.source for c in cells_of(pair) if c.cell_type == "markdown")
    text = re.sub(r"\{[\w:-]+\}`[^`]*`|\$[^$]*\$|`[^`]*`", " ", text)
    text = re.sub(r"[Tt]ables? \d\.\d|[Ff]igures? \d\.\d( and \d\.\d)?|95 % interval", " ", text)
    assert re.findall(r"\d+\.\d+|\d+ ?%", text) == []


def test_the_rules_see_what_is_wrong() -> None:
    """Each rule fails on a page that breaks it."""
    page = notebooks.from_text(
        "```{code-cell}\nfor epoch in range(3):\n    f = lambda: '/tmp/x'\n```\n\n"
        "```{code-cell}\nclass A:\n    pass\n```\n"
    ).cells
    text = " ".join(faults(page))
    for part in ("2 cells", "parameters", "no prose", "a loop", "Lambda", "'/tmp/x'", "ClassDef"):
        assert part in text
    assert forbidden("import sys\nsys.path.append('x')") == ["sys.path"]
    assert forbidden("import warnings\nwarnings.simplefilter('ignore')") == ["simplefilter"]


@CHAPTERS
def test_the_open_training_says_what_guessing_would_give(pair: notebooks.Pair) -> None:
    (cell,) = [cell for cell in code(cells_of(pair)) if BY_HAND in tags(cell)]
    assert "range(50)" in cell.source and "loss.backward()" in cell.source
    assert re.search(r"losses_page\(.*guessing=", cell.source)
    shown = next(c for c in notebooks.read(pair.notebook).cells if c.source == cell.source).outputs
    table = shown[0].data["text/markdown"].splitlines()
    first, last, guessing = [float(x) for x in table[2].strip("| ").split(" | ")[:3]]
    assert last < first and last < guessing, "fifty steps learn something"


@CHAPTERS
def test_one_job_feeds_a_chapter(pair: notebooks.Pair) -> None:
    """Settings, pictures and training all come from it: none is resolved a second time."""
    source = "\n".join(cell.source for cell in code(cells_of(pair)))
    assert len(re.findall(r"\bJob\(", source)) == 1
    assert len(re.findall(r"\brun\.settings\(", source)) == 1
    assert not re.search(r"preset\((?!\"paper\"\))", source)
