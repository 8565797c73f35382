"""R@1 of temporal alignment: against naive loops and the numbers of TAN's own evaluation."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from thesislib.errors import ThesisError
from thesislib.evaluation.alignment import Pointing, alignment, inside, pointed
from thesislib.evaluation.scores import Lacking

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics"
sys.path.insert(0, str(GOLDEN))
import golden_metrics  # noqa: E402


def drawn(seed: int, sentences: int, seconds: int) -> Pointing:
    rng = np.random.default_rng(seed)
    start = np.round(rng.uniform(0, seconds - 1, sentences), 1)
    end = np.minimum(start + np.round(rng.uniform(0, 9, sentences), 1), seconds)
    return Pointing(rng.standard_normal((sentences, seconds)), start, end)


def naive(videos: list[Pointing], rule: str) -> tuple[list[bool], float]:
    hits, chance = [], []
    for video in videos:
        for row, start, end in zip(video.similarity, video.start, video.end, strict=True):
            best, right = 0, []
            for second, value in enumerate(row):
                if value > row[best]:
                    best = second
                if rule == "released":
                    right.append(math.floor(start) <= second <= math.ceil(end))
                else:
                    right.append(start <= second + 0.5 <= end)
            hits.append(bool(right[best]))
            chance.append(sum(right) / len(right))
    return hits, sum(chance) / len(chance)


@pytest.mark.parametrize("rule", ["released", "strict"])
def test_against_loops(rule: str) -> None:
    videos = [drawn(seed, 40, 30 + 7 * seed) for seed in range(6)]
    found, (hits, chance) = alignment(videos, rule), naive(videos, rule)
    assert found.hits["align_r1"] == "".join("01"[int(hit)] for hit in hits)
    assert found.metrics["align_r1"] == pytest.approx(sum(hits) / len(hits))
    assert found.metrics["chance_align_r1"] == pytest.approx(chance)
    assert 0 < sum(hits) < len(hits)
    assert found.counts["evaluated"] == 240


def test_a_random_second_finds_what_chance_says() -> None:
    videos = [drawn(seed, 200, 60) for seed in range(20)]
    metrics = alignment(videos).metrics
    assert metrics["align_r1"] == pytest.approx(metrics["chance_align_r1"], abs=0.02)


def test_ends() -> None:
    released, strict = (
        [np.flatnonzero(row).tolist() for row in inside([2.0, 2.2, 3.0], [4.0, 4.2, 3.0], 8, rule)]
        for rule in ("released", "strict")
    )
    assert released == [[2, 3, 4], [2, 3, 4, 5], [3]]
    assert strict == [[2, 3], [2, 3], []]  # 2.5 and 3.5; no middle of a second is at 3.0
    edge = inside([0.5], [1.5], 3, "strict")
    assert edge.tolist() == [[True, True, False]]  # both ends are inside


def test_of_equal_seconds_the_first() -> None:
    assert pointed([[0.0, 2.0, 2.0], [1.0, 1.0, 1.0]]).tolist() == [1, 0]


@pytest.mark.parametrize("part", ["main", "edge"])
def test_the_peers_numbers(shared: Path, part: str) -> None:
    golden = json.loads((shared / "golden" / "metrics" / "A" / "alignment.json").read_text())
    videos = golden_metrics.alignment("A")[: 12 if part == "main" else 14]
    one = golden[f"{part}_similarity"]
    rows = []
    for video, best in zip(videos, one["best_second"], strict=True):
        seen = video["aligned"].astype(bool)
        near = np.zeros((len(seen), video["length"]))
        near[np.arange(len(seen)), best] = 1
        rows.append(Pointing(near[seen], video["start"][seen], video["end"][seen]))
    assert alignment(rows).metrics["align_r1"] == pytest.approx(one["recall"], abs=1e-9)


def test_refusals() -> None:
    good = drawn(0, 3, 20)
    with pytest.raises(ThesisError, match="rule"):
        alignment([good], "exact")
    with pytest.raises(ThesisError, match="do not fit"):
        alignment([Pointing(good.similarity, good.start[:2], good.end)])
    with pytest.raises(ThesisError, match="not all finite"):
        alignment([Pointing(good.similarity * np.nan, good.start, good.end)])
    with pytest.raises(ThesisError, match="ends before it starts"):
        alignment([Pointing(good.similarity, good.end + 1, good.start)])
    with pytest.raises(ThesisError, match="has no time"):
        alignment([Pointing(good.similarity, good.start * np.nan, good.end)])
    with pytest.raises(Lacking, match="No sentence"):
        alignment([Pointing(np.zeros((0, 9)), np.zeros(0), np.zeros(0))])
    with pytest.raises(Lacking, match="No sentence"):
        alignment([])
