"""Prose and ledger agree: what a chapter says of our runs is what the claims say.

A sentence that rests on verdicts either comes from the ledger (a glued text) or stands below
comments ``<!-- verdict: ID = WORD -->``, one a claim, which this test holds against the ledger.
"""

from __future__ import annotations

import re

import pytest

import notebooks
from conftest import REPO
from thesislib.claims import FAILS, HOLDS, NOT_RUN, UNCLEAR, claims

PAIRS = [pair for pair in notebooks.pairs(REPO) if not pair.name.startswith("01")]
CHAPTERS = pytest.mark.parametrize("pair", PAIRS, ids=lambda p: p.name)
NAMED = re.compile(r"<!-- verdict: (?P<id>[\w-]+) = (?P<word>[\w ]+?) -->")
# Words that judge, beside words for our own runs.
JUDGES = re.compile(
    r"\b(beats?|better than|worse than|outperforms?|gains?|loses|wins?|ahead of|ahead)\b", re.I
)
OURS = re.compile(
    r"\b(our (run|ledger|studio|world)s?|in the ledger|here,? (it|DPC|MemDPC))\b", re.I
)


@CHAPTERS
def test_named_verdicts_are_those_of_the_ledger(pair: notebooks.Pair) -> None:
    text = pair.text.read_text(encoding="utf-8")
    known = {c.id: c.verdict for c in claims()}
    for found in NAMED.finditer(text):
        assert found["word"] in (HOLDS, UNCLEAR, FAILS, NOT_RUN)
        assert known[found["id"]] == found["word"], f"the prose below {found[0]!r} must change"


@CHAPTERS
def test_no_sentence_judges_our_runs_by_itself(pair: notebooks.Pair) -> None:
    paragraphs = re.split(r"\n\s*\n", pair.text.read_text(encoding="utf-8"))
    bare = [
        p for p in paragraphs
        if OURS.search(p) and JUDGES.search(p) and not NAMED.search(p) and "{glue:text}`" not in p
    ]  # fmt: skip
    assert bare == []


def test_the_checks_see_what_they_are_for() -> None:
    assert JUDGES.search("MemDPC beats DPC") and OURS.search("In the ledger it does")
    (found,) = NAMED.finditer("<!-- verdict: dpc-times = does not hold here -->")
    assert (found["id"], found["word"]) == ("dpc-times", FAILS)
