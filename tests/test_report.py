"""Ledger, intervals, claims and tables, against slow loops and hand-made values."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thesislib import amounts, claims, intervals, published, report
from thesislib.claims import verdict
from thesislib.errors import ThesisError
from thesislib.intervals import t_interval
from thesislib.ledger import Entry, Ledger, promote, read_entry
from thesislib.rendering import to_csv, to_latex, to_markdown


def entry(row: str, seed: int = 0, **metrics: float) -> Entry:
    return Entry(
        row=row,
        method=row.split("/")[0],
        profile="small",
        dataset="synthetic",
        seed=seed,
        metrics=metrics,
        config={"pretrain": {"seed": seed, "epochs": 3}, "finetune": {"seed": seed}},
        provenance={
            "commit": "0123456789abcdef",
            "dirty": False,
            "versions": {"torch": "2.13.0", "python": "3.11"},
            "device": "cpu",
            "threads": 2,
            "wall_seconds": 90.0,
            "data_fingerprint": "d",
        },
    )


def with_hits(row: str, seed: int, bits: str, metric: str = "finetune_top1") -> Entry:
    plain = entry(row, seed, **{metric: bits.count("1") / len(bits)})
    plain.hits[metric] = bits
    return plain


def write_run(folder: Path, found: Entry, **changes: Any) -> Path:
    folder.mkdir(parents=True)
    raw = {name: getattr(found, name) for name in Entry.__dataclass_fields__} | changes
    (folder / "result.json").write_text(json.dumps(raw))
    return folder


# -- intervals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    # Quantiles of Student's t at 0.975 from a printed table.
    ("values", "quantile"),
    [([1.0, 3.0], 12.706), ([1.0, 2.0, 4.0], 4.303), ([0.2, 0.4, 0.1, 0.9, 0.5], 2.776)],
)
def test_t_interval_equals_the_textbook(values: list[float], quantile: float) -> None:
    n = len(values)
    mean = sum(values) / n
    sd = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1))
    low, high = intervals.t_interval(values)
    assert low == pytest.approx(mean - quantile * sd / math.sqrt(n), abs=1e-3 * sd)
    assert high == pytest.approx(mean + quantile * sd / math.sqrt(n), abs=1e-3 * sd)
    assert intervals.t_interval(values[:1]) is None


def test_bootstrap_over_seeds_equals_enumeration() -> None:
    # Same hits in every video: only the draw of two of three seeds is left, nine equal cases.
    per_seed = np.array([0.0, 1.0, -1.0])
    replicates = intervals.hierarchical_bootstrap(np.repeat(per_seed[:, None], 5, axis=1))
    exact = [(a + b) / 2 for a, b in itertools.product(per_seed, repeat=2)]
    for value in sorted(set(exact)):
        share = np.mean(np.isclose(replicates, value))
        assert share == pytest.approx(exact.count(value) / 9, abs=0.03)


def test_bootstrap_interval_equals_a_slow_loop() -> None:
    rng = np.random.default_rng(3)
    table = rng.integers(-1, 2, size=(4, 60)).astype(float)
    table[2] += 0.3
    fast = intervals.percentile_interval(intervals.hierarchical_bootstrap(table, seed=1))
    slow = []
    seeds, videos = table.shape
    for _ in range(3000):
        drawn_seeds = rng.integers(seeds, size=seeds - 1)
        drawn_videos = rng.integers(videos, size=videos)
        by_seed = np.mean([np.mean(table[s]) for s in drawn_seeds])
        by_video = np.mean([np.mean(table[:, v]) for v in drawn_videos])
        slow.append(by_seed + by_video - table.mean())
    low, high = np.quantile(slow, [0.025, 0.975])
    assert fast == pytest.approx((low, high), abs=0.03)


def test_bootstrap_is_the_same_every_time() -> None:
    table = np.random.default_rng(0).integers(-1, 2, size=(3, 40)).astype(float)
    first, second = (intervals.hierarchical_bootstrap(table) for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, intervals.hierarchical_bootstrap(table, seed=1))


def test_bootstrap_variance_is_unbiased_over_seeds() -> None:
    values = np.array([0.1, 0.4, 0.2, 0.6])
    spread = intervals.hierarchical_bootstrap(np.repeat(values[:, None], 3, axis=1)).var()
    assert spread == pytest.approx(values.var(ddof=1) / 4, rel=0.1)


def test_spearman_with_and_without_ties() -> None:
    assert intervals.spearman([1, 2, 3, 4], [10, 20, 25, 90]) == pytest.approx(1)
    assert intervals.spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert list(intervals.ranks([5.0, 1.0, 5.0, 2.0])) == [3.5, 1.0, 3.5, 2.0]
    # Without ties: 1 - 6 sum d^2 / (n (n^2 - 1)).
    x, y = [1, 2, 3, 4, 5], [2, 1, 4, 3, 5]
    assert intervals.spearman(x, y) == pytest.approx(1 - 6 * 4 / (5 * 24))
    assert intervals.spearman([1, 2, 3], [7, 7, 7]) == 0.0


def test_rank_correlation_looks_inside_each_seed() -> None:
    # Inside each seed the two fall together; only the seeds' levels rise together.
    x = np.array([1.0, 2.0, 3.0, 4.0])
    groups = [(x + 10 * s, -x + 10 * s) for s in range(3)]
    rho, (low, high), p = intervals.rank_correlation(groups, replicates=300)
    assert rho == pytest.approx(-1)
    assert low <= high < 0
    assert p > 0.9
    rho, (low, _), p = intervals.rank_correlation([(x, x)] * 3, replicates=300)
    assert rho == pytest.approx(1)
    assert low > 0
    assert 0 < p < 0.05


PAIR = ("dpc/5pred3", "dpc/random", "finetune_top1", "small", "synthetic")


# -- ledger --------------------------------------------------------------------------------------


def test_summary_over_seeds() -> None:
    ledger = Ledger(entry("dpc/pooled", s, finetune_top1=v) for s, v in enumerate([0.4, 0.5, 0.6]))
    found = ledger.summary("dpc/pooled", "finetune_top1", "small", "synthetic")
    assert found["n"] == 3 and found["seeds"] == [0, 1, 2]
    assert found["mean"] == pytest.approx(0.5)
    assert found["sd"] == pytest.approx(0.1)
    assert found["half_width"] == pytest.approx(4.303 * 0.1 / math.sqrt(3), rel=1e-3)
    assert found["configs"] == 1  # the seed itself is no difference
    json.dumps(found)


def test_summary_of_nothing_and_of_one() -> None:
    empty = Ledger().summary("dpc/pooled", "finetune_top1", "small", "synthetic")
    assert (empty["n"], empty["mean"], empty["half_width"]) == (0, None, None)
    one = Ledger([entry("dpc/pooled", probe_top1=0.5)]).summary(
        "dpc/pooled", "probe_top1", "small", "synthetic"
    )
    assert (one["n"], one["mean"], one["half_width"]) == (1, 0.5, None)


def test_summary_sees_mixed_settings() -> None:
    a, b = entry("dpc/pooled", 0, probe_top1=0.5), entry("dpc/pooled", 1, probe_top1=0.5)
    b.config["pretrain"]["epochs"] = 9
    assert Ledger([a, b]).summary("dpc/pooled", "probe_top1", "small", "synthetic")["configs"] == 2


def test_compare_pairs_common_seeds_only() -> None:
    better = [entry("dpc/5pred3", s, finetune_top1=v) for s, v in [(0, 0.5), (1, 0.6), (2, 0.9)]]
    worse = [entry("dpc/random", s, finetune_top1=v) for s, v in [(2, 0.5), (1, 0.5), (7, 0.0)]]
    found = Ledger([*better, *worse]).compare(
        "dpc/5pred3", "dpc/random", "finetune_top1", "small", "synthetic"
    )
    assert found["seeds"] == [1, 2]
    assert found["difference"] == pytest.approx((0.1 + 0.4) / 2)
    assert found["mean_a"] == pytest.approx(0.75)
    assert found["bootstrap"] is None and found["videos"] == 0
    json.dumps(found)


def test_compare_uses_hits_of_the_same_videos() -> None:
    rng = np.random.default_rng(0)
    entries = []
    for seed in range(3):
        for row, p in (("dpc/5pred3", 0.9), ("dpc/random", 0.4)):
            bits = "".join("1" if r < p else "0" for r in rng.random(80))
            entries.append(with_hits(row, seed, bits))
    found = Ledger(entries).compare(
        "dpc/5pred3", "dpc/random", "finetune_top1", "small", "synthetic"
    )
    assert found["videos"] == 80
    low, high = found["bootstrap"]
    assert 0 < low < found["difference"] < high
    entries[0].provenance["data_fingerprint"] = "another"
    assert Ledger(entries).compare(*PAIR)["videos"] == 0


def test_promote_then_load(tmp_path: Path) -> None:
    found = with_hits("dpc/5pred3+4pred4", 2, "0110")
    run = write_run(tmp_path / "run", found)
    target = promote(run, tmp_path / "results")
    expected = "dpc/dpc__5pred3+4pred4-small-synthetic-s2.json"
    assert target == tmp_path / "results" / expected
    assert Ledger.load(tmp_path / "results").entries == [found]
    before = target.read_bytes()
    assert promote(run / "result.json", tmp_path / "results").read_bytes() == before
    assert [p.name for p in target.parent.iterdir()] == [target.name]  # no temporary files left
    known = Ledger.load(tmp_path / "results")
    assert Ledger.load(tmp_path / "results") is known, "read once as long as nothing changes"
    other = with_hits("dpc/5pred3+4pred4", 2, "1001")  # a file of the same length
    promote(write_run(tmp_path / "other", other), tmp_path / "results")
    assert Ledger.load(tmp_path / "results").entries == [other]


def test_promote_refuses_what_is_not_finished_or_not_committed(tmp_path: Path) -> None:
    results = tmp_path / "results"
    (tmp_path / "half").mkdir()
    with pytest.raises(ThesisError, match="holds no finished run"):
        promote(tmp_path / "half", results)
    found = entry("dpc/random", finetune_top1=0.5)
    for name, change in (("dirty", {"dirty": True}), ("none", {"commit": None})):
        run = write_run(tmp_path / name, found, provenance=found.provenance | change)
        with pytest.raises(ThesisError, match="no commit holds"):
            promote(run, results)
    assert not results.exists()
    assert promote(tmp_path / "dirty", results, dirty=True).is_file()


def test_a_failed_write_leaves_the_last_good_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(tmp_path / "run", entry("dpc/random", finetune_top1=0.5))
    target = promote(run, tmp_path / "results")
    before = target.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("thesislib.files.os.replace", full_disk)
    with pytest.raises(ThesisError, match="No space left"):
        promote(run, tmp_path / "results")
    assert target.read_bytes() == before
    assert [p.name for p in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not valid JSON"),
        ("[]", "holds no JSON object"),
        ('{"row": "dpc/random"}', "is not a result"),
        ('{"row": "a/b", "method": "a", "profile": "p", "dataset": "d", "seed": 0, '
         '"metrics": {"x": NaN}}', "holds no number for x"),
        ('{"row": "a/b", "method": "a", "profile": "p", "dataset": "d", "seed": 0, '
         '"metrics": {"x": 0.25}, "hits": {"x": "0110"}}', "hits of x do not give"),
    ],
)  # fmt: skip
def test_a_damaged_result_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(ThesisError, match=message) as caught:
        read_entry(path)
    assert str(path) in str(caught.value)


def test_settings_are_mixed_only_where_they_differ() -> None:
    """A later version knows more fields, workers decide nothing, seeds are seeds."""
    a, b, c = (entry("dpc/pooled", seed, probe_top1=0.5) for seed in range(3))
    b.config["pretrain"] |= {"clip_grad": 0.0, "num_workers": 4, "keep_every": 2}
    fused = [entry("dpc/two", s, probe_top1=0.5) for s in range(2)]
    for seed, one in enumerate(fused):
        one.config.clear()
        one.config["fuse"] = [{"pretrain": {"seed": seed, "epochs": 3}}]
    ledger = Ledger([a, b, *fused])
    assert ledger.summary("dpc/pooled", "probe_top1", "small", "synthetic")["configs"] == 1
    assert ledger.summary("dpc/two", "probe_top1", "small", "synthetic")["configs"] == 1
    c.config["pretrain"]["epochs"] = 9
    found = report.thesis_table("3.2", ledger=Ledger([a, c]))
    assert not found.isin(["mixed"]).any().any()
    mixed = Ledger([replace(e, metrics={"finetune_top1": 0.5}) for e in (a, c)])
    frame = report.thesis_table("2.1", ledger=mixed)
    assert "(2, mixed settings)" in frame.iloc[3]["action top-1 (%), ours"]


def test_compare_pairs_values_of_each_item() -> None:
    """What is no share, such as a caption's score, has a value an item."""
    rng = np.random.default_rng(1)
    rows = []
    for seed in range(3):
        for row, mean in (("autoad/v+ad", 0.4), ("autoad/v", 0.1)):
            values = (mean + 0.1 * rng.normal(size=50)).tolist()
            made = entry(row, seed, cider=float(np.mean(values)))
            made.items["cider"] = values
            rows.append(made)
    args = ("autoad/v+ad", "autoad/v", "cider", "small", "synthetic")
    found = Ledger(rows).compare(*args)
    assert found["videos"] == 50 and 0.25 < found["bootstrap"][0] < found["bootstrap"][1] < 0.35
    assert Ledger(rows).compare(*args[:4], None)["n"] == 0, "no data set, no result"


def test_two_worlds_never_share_a_column() -> None:
    """Chapter 4 is filmed elsewhere: what was measured in chapter 3's world stays out."""
    mine = replace(entry("coclr/coclr-rgb", retrieval_r1=0.8), dataset="synthetic_rooms")
    other = entry("memdpc/rgb", retrieval_r1=0.3)
    frame = report.thesis_table("4.3", ledger=Ledger([mine, other])).set_index("method")
    assert frame.loc["CoCLR-RGB", "R@1 (%), ours"] == "80.0 (1)"
    assert frame.loc["MemDPC", "R@1 (%), ours"] == "–", "its clips are longer than these videos"
    assert "data set synthetic_rooms" in frame.attrs["caption"]
    asked = report.thesis_table("4.3", dataset="synthetic", ledger=Ledger([mine, other]))
    assert asked.set_index("method").loc["MemDPC", "R@1 (%), ours"] == "30.0 (1)"
    numbers = report.thesis_numbers("4.3", ledger=Ledger([mine, other]))
    assert set(numbers[numbers["n"] > 0]["ours_dataset"]) == {"synthetic_rooms"}
    assert set(numbers["thesis_dataset"]) == {"ucf101", "hmdb51"}


def test_columns_without_a_world_of_ours_are_dashes() -> None:
    small, paper = (report.thesis_table("2.4", p, ledger=Ledger()) for p in ("small", "paper"))
    assert not any(c.startswith("HMDB51") and c.endswith("ours") for c in small.columns)
    ours = [c for c in paper.columns if c.endswith("ours")]
    assert ours == ["UCF101 top-1 (%), ours", "HMDB51 top-1 (%), ours"], "there under its own name"
    assert "UCF101 top-1 on ucf101, HMDB51 top-1 on hmdb51" in paper.attrs["caption"]
    asked = report.thesis_table("2.4", dataset="mine", ledger=Ledger())
    assert sum(c.endswith("ours") for c in asked.columns) == 1, "one data set, one column"
    large = small[small["method"].str.startswith("DPC (224")]
    assert list(large["action top-1 (%), ours"]) == ["–"], "the studio cannot stand in for it"


# -- claims --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "found", "word"),
    [
        (0, [], "not run"),
        (2, [(0.1, 0.2)], "unclear"),
        (3, [], "unclear"),
        (3, [(0.1, 0.2), (0.05, 0.3)], "holds"),
        (3, [(0.1, 0.2), (-0.05, 0.3)], "unclear"),
        (3, [(-0.2, -0.1), (-0.3, -0.01)], "does not hold here"),
        (3, [(-0.2, -0.1), (-0.3, 0.01)], "unclear"),
        (3, [(0.0, 0.2)], "unclear"),
    ],
)
def test_verdicts(n: int, found: list[tuple[float, float]], word: str) -> None:
    assert verdict(n, found) == word


def test_claims_without_results_are_not_run() -> None:
    found = report.claims(Ledger(), chapter=2)
    assert len(found) == 30
    assert {c.verdict for c in found} == {"not run"}
    assert all(c.ours == "" and c.n == 0 for c in found)
    assert len({c.id for c in found}) == len(found)
    quoted = {c.id: c.thesis for c in found}
    assert quoted["dpc-pretraining"] == "60.6 against 46.5"
    assert quoted["dpc-pretraining-probe-top1"] == "–", "the thesis has not measured it"
    assert quoted["dpc-dense"] == "60.6 against 44.9"
    assert quoted["dpc-sequential"] == "60.6 against 56.9"
    assert quoted["dpc-curriculum"] == "68.2 against 64.9"
    assert quoted["dpc-further"] == "68.2 against 65.9"
    assert report.claims(Ledger(), chapter=9) == []


@pytest.mark.parametrize(("low", "word"), [(True, "holds"), (False, "does not hold here")])
def test_less_is_more_where_the_metric_says_so(
    low: bool, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A median rank: the row that is better has the lower one."""
    claim = claims.Greater("x", "7.3", "tan/e", "tan/a", "E beats A.", "t2v_median_rank")
    values = {"tan/e": 10.0, "tan/a": 30.0} if low else {"tan/e": 30.0, "tan/a": 10.0}
    ranks = [entry(row, s, t2v_median_rank=v + s) for s in range(3) for row, v in values.items()]
    found = claims._greater(claim, Ledger(ranks), "small", "synthetic")
    assert found.verdict == word
    assert found.ours.startswith("11.0 against 31.0" if low else "31.0 against 11.0")


def test_claims_follow_the_numbers() -> None:
    entries = []
    for seed, noise in enumerate([0.0, 0.01, -0.01]):
        entries.append(entry("dpc/5pred3", seed, finetune_top1=0.6 + noise))
        entries.append(entry("dpc/random", seed, finetune_top1=0.4))
        entries.append(entry("dpc/pooled", seed, finetune_top1=0.7))
        entries.append(entry("dpc/parallel", seed, finetune_top1=0.6 + [0.05, -0.05, 0.01][seed]))
    words = {c.id: c.verdict for c in report.claims(Ledger(entries))}
    assert words["dpc-pretraining"] == "holds"
    assert words["dpc-dense"] == "does not hold here"
    assert words["dpc-sequential"] == "unclear"
    assert words["dpc-curriculum"] == "not run"


@pytest.mark.parametrize(("sign", "word"), [(1, "holds"), (-1, "does not hold here")])
def test_pretext_and_downstream_over_checkpoints(sign: int, word: str) -> None:
    entries = [entry("dpc/5pred3", seed, finetune_top1=0.6) for seed in range(3)]
    for e in entries:
        for i in range(5):
            e.checkpoints.append(
                {"epoch": i, "pretext_top1": 0.1 * i, "probe_top1": 0.5 + sign * 0.02 * i}
            )
    claim = {c.id: c for c in report.claims(Ledger(entries))}["dpc-pretext-downstream"]
    assert claim.verdict == word
    assert claim.n == 3
    assert claim.numbers["points"] == 15
    assert claim.numbers["y"] == "probe_top1"
    assert claim.numbers["spearman"] == pytest.approx(sign)


# -- tables --------------------------------------------------------------------------------------


def test_thesis_table_shows_thesis_and_ours() -> None:
    values = [0.50, 0.52, 0.54]
    ledger = Ledger(entry("dpc/pooled", s, finetune_top1=v) for s, v in enumerate(values))
    frame = report.thesis_table("2.1", ledger=ledger)
    assert list(frame.columns) == [
        "network", "setting", "method",
        "pretext top-1 (%), thesis", "pretext top-1 (%), ours",
        "UCF101 top-1 (%), thesis", "action top-1 (%), ours",
    ]  # fmt: skip
    pooled = frame.iloc[3]
    half = 100 * 4.303 * 0.02 / math.sqrt(3)
    assert pooled["UCF101 top-1 (%), thesis"] == "44.9"
    assert pooled["action top-1 (%), ours"] == f"52.0 ± {half:.1f} (3)"
    assert pooled["pretext top-1 (%), ours"] == "not run"
    assert frame.iloc[1]["action top-1 (%), ours"] == "not run"
    assert frame.iloc[0]["pretext top-1 (%), ours"] == "–"  # random weights have no pretext task
    assert "profile small, data set synthetic, mean" in frame.attrs["caption"]


@pytest.mark.parametrize("number", [t.number for t in report.published.tables()])
def test_every_table_can_be_rendered_and_never_shows_the_thesis_as_ours(number: str) -> None:
    frame = report.thesis_table(number, ledger=Ledger())
    for name in (c for c in frame.columns if c.endswith(", ours")):
        assert set(frame[name]) <= {"not run", "–"}
    for render in (to_markdown, to_latex, to_csv):
        assert render(frame).strip()
    numbers = report.thesis_numbers(number, ledger=Ledger())
    assert numbers["ours"].isna().all() and not numbers["n"].any()


def test_status_counts_minutes_and_names_what_it_ran_on() -> None:
    entries = [entry("dpc/random", s, finetune_top1=0.5) for s in (0, 1)]
    entries.append(entry("dpc/pooled", 0, finetune_top1=0.5))
    entries[2].provenance["dirty"] = True
    frame = report.status_frame(Ledger(entries))
    assert len(frame) == 1
    line = frame.iloc[0]
    assert (line["chapter"], line["rows"], line["results"], line["seeds"]) == (2, 2, 3, "0, 1")
    assert line["minutes"] == 4.5
    assert line["commit"] == "01234567, 01234567 + changes"
    assert line["versions"] == "python 3.11 torch 2.13.0"
    assert report.status_frame(Ledger()).empty


def test_claims_table_has_one_line_a_claim() -> None:
    frame = report.claims_frame(report.claims(Ledger(), chapter=2))
    assert list(frame["verdict"]) == ["not run"] * 30
    assert set(frame["ours"]) == {"–"}


def test_plain_data_is_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(entry("dpc/random", s, finetune_top1=0.5) for s in range(3))
    json.dumps(report.status(ledger))
    found = report.claims_table(ledger=ledger, chapter=2)
    assert [c["verdict"] for c in json.loads(json.dumps(found))] == ["not run"] * 30
    monkeypatch.setenv("THESISLIB_RESULTS", str(tmp_path))
    assert report.render_table("2.1").startswith("| network |")
    assert report.render_table("2.1", format="csv").startswith("row,key,metric,unit,thesis_column,")
    with pytest.raises(ThesisError, match="latex"):
        report.render_table("2.1", format="latx")


def test_glue_stores_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    import types

    calls = []
    fake = types.ModuleType("myst_nb")
    fake.glue = lambda *a, **k: calls.append((a, k))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "myst_nb", fake)
    report.glue("dpc-top1", 0.5)
    assert calls == [(("dpc-top1", 0.5), {"display": False})]
    monkeypatch.setitem(sys.modules, "myst_nb", None)
    report.glue("dpc-top1", 0.5)  # without the book extra: nothing, and no error
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ((0.36, 0.37, 0.38), "holds"),
        ((0.29, 0.30, 0.31), "does not hold here"),
        ((0.30, 0.34, 0.38), "unclear"),
        ((0.36, 0.37), "unclear"),
        ((), "not run"),
    ],
)
def test_more_than_guessing_is_a_claim(values: tuple[float, ...], word: str) -> None:
    runs = [entry("dpc/5pred3", s, pretext_top1_temporal=v) for s, v in enumerate(values)]
    found = {c.id: c for c in report.claims(Ledger(runs), chapter=2)}["dpc-times"]
    assert (found.verdict, found.n) == (word, len(values))
    if len(values) == 3:
        low, high = t_interval(values)  # type: ignore[misc]
        assert found.numbers["t_interval"] == pytest.approx((low - 1 / 3, high - 1 / 3))
        assert "guessing 33.3" in found.ours


def test_by_readers_asks_each_of_them() -> None:
    found = claims.by_readers("x", "2.1", "dpc/5pred3", "dpc/random", "A beats B, {}.")
    assert [c.id for c in found] == ["x", "x-probe-top1", "x-retrieval-r1"]
    assert [c.metric for c in found] == list(claims.FROZEN)
    assert found[1].statement == "A beats B, by linear probe."


def test_a_claim_quotes_what_its_table_has() -> None:
    table = published.table("3.2")
    assert table.printed("memdpc/2stream-more-data", "nonlinear_top1") == "58.5"
    assert table.printed("memdpc/random-rgb", "probe_top1") == "–"
    assert table.printed("memdpc/2stream-more-data", "retrieval_r1") == "–"


def test_small_numbers_show_two_digits() -> None:
    assert [amounts.digits(x) for x in (0.086, 0.0066, 0.5, 1.0, 12.0, 0.0, None)] == [
        3, 4, 2, 1, 1, 1, 1,
    ]  # fmt: skip
    found: Any = {"n": 2, "mean": 0.0863, "half_width": 0.0021}
    assert amounts.in_unit(found, published.metric("train_gflops")) == "0.086 ± 0.002"
    assert amounts.in_unit(found, published.metric("top1")) == "8.6 ± 0.2" == amounts.percent(found)
    assert amounts.in_unit({**found, "mean": None}, published.metric("top1")) == "not run"
