"""What prose says of the ledger: one comparison by several readers is one sentence."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from thesislib.chapters import compare, pages
from thesislib.chapters.compare import repeat_page, told, verdicts_page
from thesislib.chapters.row import Job
from thesislib.claims import MIN_SEEDS, Claim, claims
from thesislib.errors import ThesisError


def claim(id: str, statement: str, verdict: str, ours: str) -> Claim:
    return Claim(id, 2, statement, "", "Table 2.1", "a - b", verdict=verdict, ours=ours)


KNOWN = {
    c.id: c
    for c in (
        claim("a", "A beats B, fine-tuned.", "holds", "5.0 against 2.0; 95 % over seeds: +1 to +5; "
              "95 % over seeds and videos: +2 to +4"),
        claim("b", "A beats B, by linear probe of the context.", "unclear", "3.0 against 3.0"),
        claim("c", "A beats B, by linear probe.", "not run", ""),
        claim("d", "C beats B, fine-tuned.", "does not hold here", "1.0 against 2.0"),
    )
}  # fmt: skip


def test_readers_of_one_comparison_are_one_sentence() -> None:
    assert told(KNOWN, "a", "b", "c", "d") == (
        "A beats B: fine-tuned, holds (5.0 against 2.0, 95 % over seeds: +1 to +5); by linear "
        "probe of the context, unclear (3.0 against 3.0); by linear probe, not run. "
        "C beats B, fine-tuned. Does not hold here: 1.0 against 2.0."
    )


def test_a_claim_alone_keeps_its_words() -> None:
    assert told(KNOWN, "c") == "A beats B, by linear probe. Not run."
    assert told(KNOWN, "a", "d").startswith("A beats B, fine-tuned. Holds: 5.0 against 2.0")


def test_verdicts_stand_one_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "verdicts", lambda job: KNOWN)
    page = verdicts_page(Job("dpc/5pred3"), "d", "c", "a").text
    caption, _, head, _, *lines = page.split("\n")
    assert caption == "**What the ledger says**"
    assert [cell.strip() for cell in head.strip("|").split("|")] == ["claim", "verdict", "ours"]
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line] == [
        ["C beats B, fine-tuned.", "does not hold here", "1.0 against 2.0"],
        ["A beats B, by linear probe.", "not run", "–"],
        ["A beats B, fine-tuned.", "holds", "5.0 against 2.0, 95 % over seeds: +1 to +5"],
    ]
    with pytest.raises(ThesisError, match="claim 'e'"):
        verdicts_page(Job("dpc/5pred3"), "e")


def test_unclear_stands_beside_the_interval_that_makes_it_so() -> None:
    ours = "5.0 against 2.0; 95 % over seeds: +1 to +5; 95 % over seeds and videos: -1 to +7"
    numbers = {"t_interval": (0.01, 0.05), "bootstrap": (-0.01, 0.07)}
    unclear = Claim("e", 2, "A beats B.", "", "Table 2.1", "a - b", verdict="unclear", ours=ours,
                    n=5, numbers=numbers)  # fmt: skip
    said = "A beats B. Unclear: 5.0 against 2.0, 95 % over seeds and videos: -1 to +7."
    assert told({"e": unclear}, "e") == said
    few = replace(unclear, n=2)  # unclear for want of seeds
    assert told({"e": few}, "e").endswith("95 % over seeds: +1 to +5.")
    wide = replace(unclear, numbers={"t_interval": (-0.01, 0.05), "bootstrap": (0.01, 0.07)})
    assert told({"e": wide}, "e").endswith("95 % over seeds: +1 to +5.")


def test_no_chapter_says_unclear_beside_an_interval_without_zero() -> None:
    for claim in claims():
        if claim.verdict == "unclear" and claim.n >= MIN_SEEDS and "; " in claim.ours:
            text = told({claim.id: claim}, claim.id)
            low, high = re.findall(r"([+-]?\d+\.\d+) to ([+-]?\d+\.\d+)", text)[-1]
            assert float(low) <= 0 <= float(high), text


def test_two_metrics_of_one_name_are_told_apart() -> None:
    result = {"dataset": "none", "metrics": {"t2v_r1": 0.1, "align_r1": 0.4, "top1": 0.2}}
    text = repeat_page({"tan/a": result}, Job("tan/a", "small", "none", 0)).text
    assert "R@1 (`t2v_r1`)" in text and "R@1 (`align_r1`)" in text and "| top-1 |" in text


def test_a_chapter_without_fine_tuning_trains_and_does_not_pre_train() -> None:
    text = pages.settings_page(Job("autoad/v+ad", "small", "", 0)).text
    assert "training, here" in text and "pre-training" not in text
