"""How much a new chapter takes: a folder from outside, and one line in ``book``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from thesislib import book
from thesislib.chapters import compare, pages, run
from thesislib.chapters.row import Job
from thesislib.claims import claims
from thesislib.cli import main
from thesislib.ledger import promote
from thesislib.report import thesis_table

HERE = Path(__file__).parent
LINE = 'book.Chapter(9, ("toy/guess", "toy/line"), "toychapter", "toychapter.rows")'


@pytest.fixture
def toy(roots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setitem(book.CHAPTERS, "toy", eval(LINE))


def test_it_takes_sixty_lines() -> None:
    files = [p for p in (HERE / "toychapter").iterdir() if p.suffix in (".py", ".json")]
    lines = [line for p in files for line in p.read_text().splitlines() if line.strip()]
    assert len(lines) <= 60


def test_a_new_chapter_trains_is_judged_promoted_and_shown(
    toy: None, roots: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = Job("toy/line", log=None)
    assert "toy" in book.methods() and pages.chapter_rows("toy") == ("toy/guess", "toy/line")
    for seed in range(3):
        results = pages.run_rows(pages.chapter_rows("toy"), replace(job, seed=seed))
        for result in results.values():
            promote(roots / "runs" / result["run"], dirty=True)
    # Trained, judged and found again.
    line, guess = results["toy/line"], results["toy/guess"]
    assert line["metrics"]["toy_top1"] > 0.8 > guess["metrics"]["toy_top1"]
    assert line["source"].startswith("toy-small-points-s2-") and guess["source"] == ""
    assert run.run(replace(job, seed=2)) == line
    # Its table, its claim, its pages.
    frame = thesis_table("9.1").set_index("method")
    assert frame.loc["line", "right (%), thesis"] == "90.0"
    assert frame.loc["line", "right (%), ours"].endswith("(3)")
    assert "data set points" in frame.attrs["caption"]
    (claim,) = claims(chapter=9)
    assert (claim.verdict, claim.thesis, claim.n) == ("holds", "90.0 against 50.0", 3)
    assert "holds" in compare.claims_page(job).text
    assert "right, %" in pages.scores_page(results).text
    assert "`fit`" in pages.rows_page("toy", ("toy/line",)).text
    assert "| toy/line |" in book.room("toy", "show").page(results).text
    # And the command line, as for any other.
    assert main(["train", "toy", "--seed", "1", "--set", "epochs=2"]) == 0
    assert main(["eval", "toy", "--row", "guess"]) == 0
    assert "toy_top1" in capsys.readouterr().out
    assert main(["eval", "toy", "--row", "lines"]) == 1
    assert "did you mean 'toy/line'" in capsys.readouterr().err


def test_a_row_that_measures_nothing_is_an_error(toy: None) -> None:
    bare = replace(run.find("toy/line"), judges=())
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(run.rows("toy"), "toy/line", bare)  # type: ignore[arg-type]
        with pytest.raises(Exception, match="toy/line has no judge"):
            run.run(Job("toy/line", log=None))
