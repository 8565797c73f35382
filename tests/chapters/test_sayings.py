"""What prose says of the ledger: one comparison by several readers is one sentence."""

from __future__ import annotations

import pytest

from thesislib.chapters import compare
from thesislib.chapters.compare import told, verdicts_page
from thesislib.chapters.row import Job
from thesislib.claims import Claim
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
