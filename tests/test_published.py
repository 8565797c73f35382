"""The published numbers: complete, readable, and equal to what the thesis says in prose."""

from __future__ import annotations

import re

import pytest

from thesislib import published
from thesislib.errors import ThesisError

ROWS = {
    "2.1": 4, "2.2": 2, "2.3": 3, "2.4": 11,
    "3.1": 12, "3.2": 25, "3.3": 8, "3.4": 3,
    "4.1": 11, "4.2": 33, "4.3": 12,
    "5.1": 10, "5.2": 10, "5.3": 10, "5.4": 8, "5.5": 13, "5.6": 4, "5.7": 7,
    "6.1": 12, "6.2": 10, "6.3": 4, "6.4": 10,
    "7.1": 10, "7.2": 6, "7.3": 6, "7.4": 3,
    "8.1": 5, "8.2": 9, "8.3": 4, "8.4": 4, "8.5": 4,
}  # fmt: skip


def test_every_numbered_table_is_there_with_all_its_rows() -> None:
    assert {t.number: len(t.rows) for t in published.tables()} == ROWS
    assert len(published.tables()) == 31
    assert [t.number for t in published.tables(chapter=2)] == ["2.1", "2.2", "2.3", "2.4"]


@pytest.mark.parametrize("table", published.tables(), ids=lambda t: t.number)
def test_a_table_is_well_formed(table: published.Table) -> None:
    assert table.chapter == int(table.number[0])
    assert len({c.key for c in table.columns}) == len(table.columns)
    for row in table.rows:
        assert any(row.labels)
        assert len(row.cells) == len(row.metrics) == len(table.columns)
        for cell, column in zip(row.cells, table.columns, strict=True):
            assert cell.value is None or cell.value >= 0
            if column.unit == "%" and cell.value is not None:
                assert 0 < cell.value <= 100
                assert cell.decimals == 1
    for column in table.columns:
        assert column.better in ("higher", "lower", "none")


# Numbers as the running text quotes them, with the section; not taken from the tables.
PROSE = [
    ("2.1", "dpc/random", "finetune_top1", 46.5),  # 2.4.1
    ("2.1", "dpc/5pred3", "finetune_top1", 60.6),
    ("2.2", "dpc/5pred3-more-data", "pretext_top1", 61.1),
    ("2.2", "dpc/5pred3-more-data", "finetune_top1", 65.9),
    ("2.3", "dpc/5pred3+4pred4", "finetune_top1", 68.2),
    ("2.3", "dpc/4pred4", "finetune_top1", 64.9),
    ("2.4", "dpc/5pred3+4pred4", "finetune_top1_hmdb51", 34.5),  # 2.5
    ("2.4", "dpc/5pred3+4pred4-r34-224", "finetune_top1", 75.7),
    ("2.4", "dpc/5pred3+4pred4-r34-224", "finetune_top1_hmdb51", 35.7),
    ("3.1", "memdpc/rgb", "finetune_top1", 68.2),  # 3.5.4
    ("3.1", "memdpc/random-rgb", "finetune_top1", 61.8),
    ("3.1", "memdpc/dpc", "finetune_top1", 63.6),
    ("3.1", "memdpc/flow", "finetune_top1", 81.9),
    ("3.1", "memdpc/random-flow", "finetune_top1", 74.6),
    ("4.1", "coclr/uber-rgb", "probe_top1", 78.0),  # 4.4.4
    ("4.1", "coclr/infonce-rgb", "probe_top1", 46.8),
    ("4.1", "coclr/uber-rgb", "retrieval_r1", 71.6),
    ("4.1", "coclr/infonce-rgb", "retrieval_r1", 33.1),
    ("4.1", "coclr/cmc", "probe_top1", 55.0),
    ("4.1", "coclr/coclr-rgb", "probe_top1", 70.2),
    ("6.3", "turbo/nce-m75-r25", "align_r1", 36.7),  # 6.5.2
    ("6.4", "turbo/long-f32", "long_top1", 91.3),
    ("6.4", "turbo/long-f16", "long_top1", 88.2),
    ("6.4", "turbo/long-f32", "long_top1_coin", 87.5),
    ("7.1", "tan/a", "align_r1", 45.8),  # 7.5.2
    ("7.3", "tan/e", "t2v_r1", 20.1),  # 7.6
    ("7.3", "tan/a", "t2v_r1", 16.8),
    ("8.2", "autoad/v", "cider", 6.7),  # 8.6.2
    ("8.2", "autoad/v+ad", "cider", 13.7),
    ("8.2", "autoad/v+ad-text", "cider", 18.1),
    ("8.2", "autoad/v-webvid", "cider", 10.0),
    ("8.5", "autoad/story", "cider", 16.7),  # 8.6.3
]


@pytest.mark.parametrize(("number", "row", "column", "value"), PROSE)
def test_the_prose_quotes_the_same_value(number: str, row: str, column: str, value: float) -> None:
    assert published.table(number).cell(row, column).value == value


def test_differences_that_the_prose_states() -> None:
    a, b = published.table("5.1"), published.table("5.5")
    tfm, no_tfm = a.row("clip_prompt/16+x+16-1tfm"), a.row("clip_prompt/16+x+16")
    assert tfm.cells[2].value - no_tfm.cells[2].value == pytest.approx(4.9)
    assert tfm.cells[5].value - no_tfm.cells[5].value == pytest.approx(5.3)
    assert no_tfm.cells[5].value - a.row("clip_prompt/zero-shot").cells[5].value == pytest.approx(
        18.1
    )
    a2net, ours = b.rows[10], b.row("clip_prompt/localisation")
    assert a2net.labels == ("A2NET", "RGB")
    assert ours.cells[5].value - a2net.cells[5].value == pytest.approx(5.2)
    assert ours.cells[9].value - a2net.cells[9].value == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("number", "parts", "mean"),
    [
        ("5.1", (0, 1), 2),
        ("5.1", (3, 4), 5),
        ("5.4", (0, 1), 2),
        ("5.5", range(5), 5),
        ("5.6", range(5), 5),
    ],
)
def test_printed_means_fit_their_parts(number: str, parts: range, mean: int) -> None:
    # Parts are rounded to 0.05, and so is the mean: together they may differ by 0.1.
    for row in published.table(number).rows:
        values = [row.cells[i].value for i in parts]
        if None not in [*values, row.cells[mean].value]:
            assert sum(values) / len(values) == pytest.approx(row.cells[mean].value, abs=0.1001)


@pytest.mark.parametrize("table", published.tables(), ids=lambda t: t.number)
def test_bold_is_the_best_of_its_column_or_a_note_says_why_not(table: published.Table) -> None:
    for i, column in enumerate(table.columns):
        values = [row.cells[i].value for row in table.rows if row.cells[i].value is not None]
        best = min(values) if column.better == "lower" else max(values)
        bold = [row.cells[i].value for row in table.rows if row.cells[i].bold]
        if bold and bold != [best] * len(bold):
            assert any("bold" in note.lower() for note in table.notes), column.name


def test_one_model_has_one_number_unless_a_note_says_so() -> None:
    seen: dict[tuple[str | None, ...], tuple[float, str]] = {}
    clashes = set()
    for table in published.tables():
        for row in table.rows:
            for cell, metric, column in zip(row.cells, row.metrics, table.columns, strict=True):
                if row.key is None or metric is None or cell.value is None:
                    continue
                key = (row.key, metric, column.data[0])
                value, number = seen.setdefault(key, (cell.value, table.number))
                if value != cell.value:
                    clashes.add((number, table.number, row.key))
    five = ["infonce-rgb", "infonce-flow", "coclr-rgb", "coclr-flow", "coclr-2stream"]
    expected = {("4.1", "4.3", f"coclr/{name}") for name in five}
    expected.add(("2.1", "2.3", "dpc/5pred3"))
    assert clashes == expected
    for first, second, _ in clashes:
        assert any(f"Table {first}" in note for note in published.table(second).notes)


def test_cells_keep_what_is_printed() -> None:
    puzzle = published.table("2.4").rows[8]
    assert puzzle.labels[0].startswith("3D-ST-Puzzle")
    assert (puzzle.cells[0].value, puzzle.cells[0].second) == (63.9, 65.8)
    assert (puzzle.cells[1].text, puzzle.cells[1].value, puzzle.cells[1].marks) == (
        "33.7*", 33.7, "*",
    )  # fmt: skip
    audiovault = published.table("8.1").rows[4]
    assert [c.value for c in audiovault.cells] == [7057, 12510, 3.3e6]
    random = published.table("2.1").row("dpc/random")
    assert random.cells[0].value is None and random.cells[0].text == "-"
    assert published.table("2.1").row("dpc/5pred3").cells[1].bold
    frozen = published.table("3.2").rows[6]
    assert frozen.metrics[0] == "nonlinear_top1"


def test_figure_2_3() -> None:
    figure = published.figure("2.3")
    assert figure.series["epoch"] == (13, 48, 81, 109)
    assert figure.series["pretext_top1"] == (50.7, 57.4, 59.1, 61.1)
    # Only the last downstream value is printed anywhere: in Table 2.2, for the same model.
    last = published.table("2.2").cell("dpc/5pred3-more-data", "finetune_top1").value
    assert figure.series["finetune_top1"] == (None, None, None, last)


@pytest.mark.parametrize("name", ["2.1", " Table 2.1", "table 2.1"])
def test_a_table_is_found_by_the_names_people_use(name: str) -> None:
    assert published.table(name).number == "2.1"


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(ThesisError, match=r"There is no table of the thesis '2.9'.*'2\.\d'"):
        published.table("2.9")
    with pytest.raises(ThesisError, match="dpc/pooled"):
        published.table("2.1").row("dpc/poold")
    with pytest.raises(ThesisError, match="finetune_top1"):
        published.table("2.1").cell("dpc/random", "finetune_top5")
    with pytest.raises(ThesisError, match="result figure"):
        published.figure("2.2")


# -- what a column holds -------------------------------------------------------------------------


@pytest.mark.parametrize("table", published.tables(), ids=lambda t: t.number)
def test_a_column_knows_what_it_holds(table: published.Table) -> None:
    for column in table.columns:
        thesis, studio = column.data
        assert (thesis is not None) == any(row.metrics[table.columns.index(column)] for row in
                                           table.rows) or column.metric is None  # fmt: skip
        assert studio is None or studio.startswith("synthetic")
        assert column.dataset("paper") == column.dataset("as_released") == thesis
        assert column.dataset("small") == column.dataset("gpu") == studio
        # Our numbers never stand under the name of the thesis's data set.
        assert not re.match("UCF|HMDB|K-?[47]00|THUMOS|ActivityNet|MSRVTT|LSMDC|SMIT", column.ours)
        if column.metric:
            found = published.metric(column.metric)
            assert (found.unit, found.better) == (column.unit, column.better)
            # The data set is the column's business, not the metric's.
            assert not re.search("hmdb|ucf|k[47]00|anet|lsmdc|smit|coin", column.metric)


def test_a_metric_of_no_table_is_known_all_the_same() -> None:
    found = published.metric("precision_rgb_cycle2")
    assert (found.unit, found.better, found.factor) == ("%", "higher", 100.0)
    assert published.metric("train_gflops").factor == 1.0
    assert published.metric("t2v_median_rank").better == "lower"
    assert published.metric("cider").factor == 100.0  # as all captioning papers print it
    with pytest.raises(ThesisError, match="did you mean 'finetune_top1'"):
        published.metric("finetune_top")


def test_what_the_small_profile_can_fill_and_what_it_cannot() -> None:
    table = published.table("2.4")
    ours, large = table.row("dpc/5pred3"), table.row("dpc/5pred3+4pred4-r34-224")
    assert table.runs_in(ours, 0, "small") and table.runs_in(ours, 0, "paper")
    assert not table.runs_in(ours, 1, "small"), "no studio set stands in for HMDB51"
    assert table.runs_in(large, 1, "paper") and not table.runs_in(large, 0, "gpu")
    others = next(row for row in table.rows if row.key is None)
    assert not table.runs_in(others, 0, "paper"), "somebody else's method"
    cells = [
        (t, row, i)
        for t in published.tables()
        for row in t.rows
        for i, metric in enumerate(row.metrics)
        if row.key and metric and row.cells[i].value is not None
    ]
    assert all(t.runs_in(row, i, "paper") for t, row, i in cells), "each cell of ours can be run"


def test_two_worlds_never_share_a_column() -> None:
    assert published.home("memdpc/rgb", "small") == "synthetic"
    assert published.table("4.3").dataset("retrieval_r1", "small") == "synthetic_rooms"
    assert published.figure("4.2").dataset("train_r1", "small") == "synthetic_rooms"
    assert published.home("nobody/knows", "small") is None
