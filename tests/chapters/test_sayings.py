"""What prose says of the ledger: one comparison by several readers is one sentence."""

from __future__ import annotations

from thesislib.chapters.compare import told
from thesislib.claims import Claim


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
