"""Probabilities on disk and late fusion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from thesislib.errors import ThesisError
from thesislib.evaluation.fusion import beside, fuse
from thesislib.evaluation.retrieval import nearest, retrieval
from thesislib.evaluation.scores import PerVideo, accuracy, load_rows, save_rows


def stream(names: str, seed: int, total: int = 9) -> PerVideo:
    """Probabilities of three classes for videos with one-letter names."""
    rng = np.random.default_rng(seed)
    values = rng.dirichlet(np.ones(3), len(names)).astype(np.float32)
    labels = np.array([ord(n) % 3 for n in names], np.int64)
    report = {"total": total, "used": len(names), "failed": 0}
    return PerVideo(values, labels, np.arange(len(names)), report, tuple(names))


def test_a_file_gives_back_what_went_in(tmp_path: Path) -> None:
    before = stream("abcd", 0)
    save_rows(tmp_path / "new" / "probabilities.safetensors", before)
    after = load_rows(tmp_path / "new")
    for name in ("values", "labels", "videos"):
        assert np.array_equal(getattr(before, name), getattr(after, name))
    assert after.names == before.names and after.report == before.report
    assert [f.name for f in (tmp_path / "new").iterdir()] == ["probabilities.safetensors"]


def test_fusion_equals_a_naive_loop() -> None:
    rgb, flow = stream("abcdefg", 1), stream("gfedcxy", 2)  # another order, two unknown
    found = fuse([rgb, flow], weights=[1, 3])
    assert found.names == tuple("cdefg"), "what both have, in the order of the first"
    right, alone = [], []
    for name in "cdefg":
        p = rgb.values[rgb.names.index(name)].astype(float)
        q = flow.values[flow.names.index(name)].astype(float)
        mean = [(p[c] + 3 * q[c]) / 4 for c in range(3)]
        right.append(mean.index(max(mean)) == ord(name) % 3)
        alone.append(int(np.argmax(p)) == ord(name) % 3)
        place = found.names.index(name)
        assert found.values[place] == pytest.approx(mean, abs=1e-6)
        assert found.labels[place] == ord(name) % 3
        assert found.videos[place] == rgb.names.index(name)
    scores = accuracy(found, "fusion_top1")
    assert scores.hits["fusion_top1"] == "".join("01"[r] for r in right)
    assert scores.metrics["fusion_top1"] == pytest.approx(np.mean(right))
    assert scores.counts["evaluated"] == 5
    assert scores.counts["skipped"] == 4, "of the nine test videos of the first stream"
    assert not set("abxy") & set(found.names), "what some stream lacks"
    first = accuracy(fuse([rgb, flow], weights=[1, 0]), "rgb_top1")
    assert first.metrics["rgb_top1"] == pytest.approx(np.mean(alone)), "alone, on the same videos"


def test_features_beside_one_another_add_their_cosines() -> None:
    """Two-stream retrieval, against the sum of two naive similarity matrices."""
    test = [stream("abcdefg", 1), stream("gfedcbx", 2)]
    train = [stream("nopqrstuv", 3), stream("vutsrqpo", 4)]

    def centred(features: PerVideo, names: str) -> dict[str, np.ndarray]:
        rows = {n: features.values[features.names.index(n)].astype(float) for n in names}
        middle = np.mean(list(rows.values()), 0)
        return {n: (v - middle) / np.linalg.norm(v - middle) for n, v in rows.items()}

    queries, gallery = "bcdefg", "opqrstuv"  # what both streams have, in the first one's order
    tables = [(centred(q, queries), centred(g, gallery)) for q, g in zip(test, train, strict=True)]
    found = nearest(beside(test).values, beside(train).values, 5, centre=False)
    hits: dict[int, list[bool]] = {1: [], 5: []}
    for row, name in zip(found, queries, strict=True):
        total = {o: sum(float(q[name] @ g[o]) for q, g in tables) for o in gallery}
        near = sorted(gallery, key=lambda o: -total[o])
        assert [gallery[i] for i in row] == near[:5]
        for k, right in hits.items():
            right.append(any(ord(o) % 3 == ord(name) % 3 for o in near[:k]))
    scores = retrieval(beside(test), beside(train), (1, 5), centre=False)
    assert scores.metrics == {f"retrieval_r{k}": pytest.approx(np.mean(r)) for k, r in hits.items()}
    assert scores.counts == {"evaluated": 6, "skipped": 3}
    assert beside(test).names == tuple(queries) and beside(test).values.shape == (6, 6)


def test_streams_that_disagree_cannot_stand_beside_one_another() -> None:
    with pytest.raises(ThesisError, match="disagree"):
        beside([stream("ab", 0), replace(stream("ab", 1), labels=np.array([2, 2]))])
    with pytest.raises(ThesisError, match="no video in common"):
        beside([stream("ab", 0), stream("cd", 1)])


def test_equal_weights_are_the_default_and_order_does_not_matter() -> None:
    a, b, c = (stream("abcdef", seed) for seed in (3, 4, 5))
    plain = fuse([a, b, c]).values
    assert np.allclose(plain, np.mean([a.values, b.values, c.values], 0), atol=1e-6)
    assert np.allclose(plain, fuse([a, b, c], [2, 2, 2]).values, atol=1e-6)
    assert np.array_equal(fuse([a, b], [1, 0]).values, a.values)


@pytest.mark.parametrize(
    ("streams", "weights", "message"),
    [
        ([stream("ab", 0)], None, "at least two streams"),
        ([stream("ab", 0), stream("cd", 1)], None, "no video in common"),
        ([stream("ab", 0), stream("ab", 1)], [1.0], "do not fit 2 streams"),
        ([stream("ab", 0), stream("ab", 1)], [0, 0], "not all 0"),
        ([stream("ab", 0), stream("ab", 1)], [1, -1], "0 or more"),
        ([stream("ab", 0), stream("ab", 1)], [1, float("nan")], "0 or more"),
        ([stream("ab", 0), replace(stream("ab", 1), labels=np.array([2, 2]))], None, "disagree"),
        ([stream("ab", 0), stream("aa", 1)], None, "2 rows for 1 different videos"),
    ],
)
def test_bad_streams_get_a_sentence(streams, weights, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ThesisError, match=message):
        fuse(streams, weights)


def test_bad_files_get_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ThesisError, match="no probabilities"):
        load_rows(tmp_path)
    path = tmp_path / "probabilities.safetensors"
    path.write_bytes(b"not a file of ours")
    with pytest.raises(ThesisError, match="damaged"):
        load_rows(path)
    save_rows(path, stream("abc", 0))
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ThesisError, match="damaged"):
        load_rows(path)
    with pytest.raises(ThesisError, match="0 names of videos"):
        save_rows(path, replace(stream("abc", 0), names=()))
