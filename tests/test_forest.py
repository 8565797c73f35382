"""The forest plot of claims: what it draws, what it leaves out, and how large it gets."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from thesislib import viz
from thesislib.claims import Claim
from thesislib.published import Metric


def claim(
    verdict: str,
    difference: float | None,
    seeds: tuple[float, float] | None = None,
    videos: tuple[float, float] | None = None,
    *,
    statement: str = "One row beats another, by linear probe.",
    chapter: int = 2,
    **numbers: str,
) -> Claim:
    found = {"difference": difference, "t_interval": seeds, "bootstrap": videos, **numbers}
    return Claim("id", chapter, statement, "", "", "", verdict=verdict, numbers=found)


CLAIMS = [
    claim("holds", 0.05, (0.02, 0.08), (0.01, 0.09), metric="probe_top1"),
    claim("unclear", 0.01, (-0.05, 0.07), statement="One row beats another, fine-tuned."),
    claim("does not hold here", -0.04, (-0.06, -0.02), (-0.05, -0.03), chapter=3),
    claim("unclear", 0.02, (-2.0, 3.0), chapter=3, statement="Seeds differ a lot."),
    claim("not run", None),
    Claim("id", 2, "Two numbers rise together.", "", "", "", verdict="holds",
          numbers={"spearman": 0.8, "interval": (0.5, 0.9)}),
]  # fmt: skip


def drawn(picture: viz.Picture) -> list[Any]:
    """The points of a forest plot, from above."""
    (ax,) = picture.axes
    points = [line for line in ax.get_lines() if line.get_label() in viz.forest_plot.LOOKS]
    return sorted(points, key=lambda line: line.get_ydata()[0])


def test_a_forest_has_a_point_a_claim_coloured_by_its_verdict() -> None:
    picture = viz.forest(CLAIMS)
    points = drawn(picture)
    assert [p.get_xdata()[0] for p in points] == pytest.approx([5, 1, -4, 2])
    verdicts = [p.get_label() for p in points]
    assert verdicts == ["holds", "unclear", "does not hold here", "unclear"]
    looks = {p.get_label(): (p.get_color(), p.get_marker()) for p in points}
    assert len({c for c, _ in looks.values()}) == len({m for _, m in looks.values()}) == 3
    legend = [t.get_text() for t in picture.legends[0].get_texts()]
    assert {"holds (1)", "unclear (2)", "does not hold here (1)"} <= set(legend)
    assert "4 claims: 1 holds, 2 unclear, 1 does not hold here" in picture.alt
    assert "from −4.0 to 5.0 points" in picture.alt
    remark = [t.get_text() for t in picture.texts]
    assert remark == ["Left out: 1 not run, 1 not a difference of shares."]


def test_a_forest_draws_both_intervals_and_cuts_the_widest() -> None:
    picture = viz.forest(CLAIMS)
    (ax,) = picture.axes
    height = drawn(picture)[0].get_ydata()[0]
    spans = {line.get_linewidth(): line.get_xdata() for line in ax.get_lines()
             if len(line.get_xdata()) == 2 and line.get_ydata()[0] == height}  # fmt: skip
    assert spans[1.5] == pytest.approx((2, 8)) and spans[6] == pytest.approx((1, 9))
    low, high = ax.get_xlim()
    assert -15 < low < -6 and 9 < high < 15  # not the -200 to 300 of the last claim
    arrows = {line.get_marker(): line.get_xdata()[0] for line in ax.get_lines()
              if line.get_marker() in ("<", ">")}  # fmt: skip
    assert arrows == {"<": low, ">": high}
    assert 0 in [line.get_xdata()[0] for line in ax.get_lines()]


def test_a_forest_turns_what_is_better_lower(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {
        "error": Metric("error", "error", "%", "lower"),
        "rank": Metric("rank", "median rank", "", "lower"),
    }
    monkeypatch.setattr(viz.forest_plot.published, "metrics", lambda: known)
    picture = viz.forest(
        [claim("holds", -0.05, (-0.08, -0.02), metric="error"), claim("holds", -3, metric="rank")]
    )
    (point,) = drawn(picture)
    assert point.get_xdata()[0] == pytest.approx(5)
    assert "1 not a difference of shares" in picture.alt


def test_a_forest_is_grouped_by_chapter_and_says_nothing_twice() -> None:
    (ax,) = viz.forest(CLAIMS).axes
    texts = [t.get_text() for t in ax.texts]
    assert texts == [
        "Chapter 2", "One row beats another, by linear probe", "   … fine-tuned",
        "Chapter 3", "One row beats another, by linear probe", "Seeds differ a lot",
    ]  # fmt: skip
    empty = viz.forest(CLAIMS[4:])
    assert not empty.axes and "not run" in empty.alt


def test_a_forest_of_sixty_claims_is_tall_and_small() -> None:
    names = [
        f"A rather long statement on the number {i} of many, by one reader." for i in range(60)
    ]
    found = [claim("holds", 0.01 * i, (0, 0.02 * i), statement=n) for i, n in enumerate(names, 1)]
    data = viz.forest(found).png()
    with Image.open(io.BytesIO(data)) as image:
        assert image.width == 720 and image.height > 1500
    assert len(data) <= viz.style.MAX_BYTES
