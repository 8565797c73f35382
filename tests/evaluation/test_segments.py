"""The table of segments, overlap in time, soft suppression."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thesislib.errors import ThesisError
from thesislib.evaluation.segments import DECAYS, Segments, soft_nms, suppress, temporal_iou

COLUMNS = ("video", "start", "end", "label", "score")


def random_segments(n: int, seed: int = 0) -> Segments:
    rng = np.random.default_rng(seed)
    start = rng.random(n) * 20
    end = start + np.where(rng.random(n) < 0.2, 0, rng.random(n) * 10)
    videos, labels = rng.choice(["a", "b", "ü \n\"'"], n), rng.choice(["run", "手を振る"], n)
    return Segments.of(videos, start, end, labels, rng.random(n))


def test_a_file_gives_back_what_went_in(tmp_path: Path) -> None:
    before = random_segments(40)
    before.save(tmp_path / "new" / "predictions.jsonl")
    after = Segments.load(tmp_path / "new" / "predictions.jsonl")
    for name in COLUMNS:
        assert np.array_equal(getattr(before, name), getattr(after, name)), name
    assert len((tmp_path / "new" / "predictions.jsonl").read_text().splitlines()) == 40
    empty = Segments.of([], [], [])
    empty.save(tmp_path / "empty.jsonl")
    assert len(Segments.load(tmp_path / "empty.jsonl")) == 0


def test_other_peoples_lines_are_read(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text('{"video": "a", "start": 1, "end": 2}\n\n{"video": "b", "start": 0, "end": 0}')
    found = Segments.load(file)
    assert found.video.tolist() == ["a", "b"] and found.start.tolist() == [1, 0]
    assert found.label.tolist() == ["", ""] and found.score.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "line 1, is no segment"),
        ('{"video": "a", "start": 1, "end": 2}\n{"video": "a"}', "line 2, is no segment"),
        ('{"video": 3, "start": 1, "end": 2}', "strings"),
        ('{"video": "a", "start": [], "end": 2}', "is no segment"),
        ("[1, 2]", "is no segment"),
        ("[" * 100_000, "is no segment"),
        ('{"video": "a", "start": 1, "end": 2, "score": NaN}', "no finite score"),
        ('{"video": "a", "start": NaN, "end": 2}', "no finite times"),
        ('{"video": "a", "start": 1, "end": Infinity}', "no finite times"),
        ('{"video": "a", "start": 3, "end": 2}', "end before the start"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "x.jsonl").write_text(text)
    with pytest.raises(ThesisError, match=sentence):
        Segments.load(tmp_path / "x.jsonl")


def test_a_missing_or_binary_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff\xfe\x00")
    for name in ("none", "x", "."):
        with pytest.raises(ThesisError, match=r"cannot be read|is not text in UTF-8"):
            Segments.load(tmp_path / name)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"score": [0.5, math.nan]}, r"1 of 2 .* no finite score.*'b'.*diverged"),
        ({"score": [math.inf, 0.1]}, "no finite score"),
        ({"score": [0.1]}, "differ in length"),
        ({"start": [[0.0], [1.0]]}, "differ in length"),
        ({"end": [-1.0, 9.0]}, "end before the start"),
    ],
)
def test_bad_columns_are_named(changes: dict[str, Any], sentence: str) -> None:
    columns: dict[str, Any] = {"video": ["a", "b"], "start": [0.0, 1.0], "end": [2.0, 2.0]}
    with pytest.raises(ThesisError, match=sentence):
        Segments.of(**columns | changes)


def test_rows_are_selected_by_mask_and_position() -> None:
    some = random_segments(10)
    assert some.select(some.score > 0.5).score.min() > 0.5
    turned = some.select(np.arange(10)[::-1])
    assert turned.start.tolist() == some.start.tolist()[::-1]
    assert len(some) == 10


# -- overlap -------------------------------------------------------------------------------


def naive_iou(a: float, b: float, c: float, d: float, empty: float) -> float:
    overlap = max(0.0, min(b, d) - max(a, c))
    union = (b - a) + (d - c) - overlap
    return overlap / union if union > 0 else empty


def test_temporal_iou_equals_loops() -> None:
    one, two = random_segments(30), random_segments(25, 1)
    found = temporal_iou(one.start[:, None], one.end[:, None], two.start, two.end, empty=7)
    for i in range(30):
        for j in range(25):
            args = (one.start[i], one.end[i], two.start[j], two.end[j])
            assert found[i, j] == pytest.approx(naive_iou(*args, 7))
    assert (found == 7).any() and (found == 0).any() and ((found > 0) & (found < 1)).any()
    same = temporal_iou(one.start, one.end, one.start, one.end)
    assert set(same.tolist()) == {0.0, 1.0}, "0 for those of no length"


# -- soft suppression ----------------------------------------------------------------------


def naive_soft_nms(
    rows: list[tuple[float, float, float]], decay: str, width: float, floor: float, keep: int
) -> list[tuple[int, float]]:
    left = {i: score for i, (_, _, score) in enumerate(rows)}
    found: list[tuple[int, float]] = []
    while left and len(found) < keep:
        best = max(left, key=lambda i: (left[i], -i))
        score = left.pop(best)
        if score < floor or score <= 0:
            break
        found.append((best, score))
        for i in left:
            iou = naive_iou(*rows[best][:2], *rows[i][:2], 0)
            if decay == "gaussian":
                left[i] *= math.exp(-iou * iou / width)
            elif iou > width:
                left[i] *= 1 - iou if decay == "linear" else 0
    return found


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("whole", [True, False])
def test_soft_nms_equals_loops(decay: str, whole: bool) -> None:
    rng = np.random.default_rng(1)
    for width, floor, keep in ((0.5, 1e-3, 200), (0.3, 0.2, 200), (0.8, 0.0, 7)):
        start = rng.integers(0, 12, 40) * 1.0 if whole else rng.random(40) * 12
        end = start + (rng.integers(0, 6, 40) if whole else rng.random(40) * 6)
        score = rng.integers(0, 5, 40) / 4 if whole else rng.random(40)
        index, kept = soft_nms(start, end, score, decay, width, floor, keep)
        expected = naive_soft_nms(
            list(zip(start, end, score, strict=True)), decay, width, floor, keep
        )
        assert index.tolist() == [i for i, _ in expected]
        assert kept == pytest.approx([s for _, s in expected])
        assert (np.diff(kept) <= 0).all() and 0 < len(kept) <= keep


def test_videos_and_labels_leave_one_another_alone() -> None:
    some = random_segments(60)
    found = suppress(some, decay="hard", width=0.3)
    together = suppress(some, by_label=False, decay="hard", width=0.3)
    assert len(together) < len(found) < 60
    groups: dict[tuple[str, str], list[int]] = {}
    for i in range(60):
        groups.setdefault((str(some.video[i]), str(some.label[i])), []).append(i)
    expected = []
    for (video, label), mine in sorted(groups.items()):
        rows = [(some.start[i], some.end[i], some.score[i]) for i in mine]
        for i, score in naive_soft_nms(rows, "hard", 0.3, 1e-3, 200):
            expected.append((video, some.start[mine[i]], some.end[mine[i]], label, score))
    assert list(zip(*(getattr(found, name) for name in COLUMNS), strict=True)) == expected
    assert len(suppress(Segments.of([], [], []))) == 0


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"decay": "gauss"}, "did you mean 'gaussian'"),
        ({"width": 0}, "positive"),
        ({"score": np.array([-1.0])}, "0 or more"),
        ({"score": np.array([math.nan])}, "0 or more"),
    ],
)
def test_bad_suppression_is_named(how: dict[str, Any], sentence: str) -> None:
    one = {"start": np.zeros(1), "end": np.ones(1), "score": np.ones(1)}
    with pytest.raises(ThesisError, match=sentence):
        soft_nms(**one | how)
