"""Probabilities on disk and late fusion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from thesislib.errors import ThesisError
from thesislib.evaluation.features import Features
from thesislib.evaluation.fusion import beside, fuse, load_probabilities, save_probabilities
from thesislib.evaluation.retrieval import retrieval


def stream(names: str, seed: int, total: int = 9) -> Features:
    """Probabilities of three classes for videos with one-letter names."""
    rng = np.random.default_rng(seed)
    values = rng.dirichlet(np.ones(3), len(names)).astype(np.float32)
    labels = np.array([ord(n) % 3 for n in names], np.int64)
    report = {"total": total, "used": len(names), "failed": 0}
    return Features(values, labels, np.arange(len(names)), report, tuple(names))


def test_a_file_gives_back_what_went_in(tmp_path: Path) -> None:
    before = stream("abcd", 0)
    save_probabilities(tmp_path / "new" / "probabilities.safetensors", before)
    after = load_probabilities(tmp_path / "new")
    for name in ("values", "labels", "videos"):
        assert np.array_equal(getattr(before, name), getattr(after, name))
    assert after.names == before.names and after.report == before.report
    assert [f.name for f in (tmp_path / "new").iterdir()] == ["probabilities.safetensors"]


def test_fusion_equals_a_naive_loop() -> None:
    rgb, flow = stream("abcdefg", 1), stream("gfedcxy", 2)  # another order, two unknown
    found = fuse([rgb, flow], weights=[1, 3])
    right, alone = [], []
    for name in "cdefg":
        p = rgb.values[rgb.names.index(name)].astype(float)
        q = flow.values[flow.names.index(name)].astype(float)
        mean = [(p[c] + 3 * q[c]) / 4 for c in range(3)]
        right.append(mean.index(max(mean)) == ord(name) % 3)
        alone.append(int(np.argmax(p)) == ord(name) % 3)
        row = found["probabilities"].values[found["probabilities"].names.index(name)]
        assert row == pytest.approx(mean, abs=1e-6)
    assert found["hits"] == "".join("01"[r] for r in right)
    assert found["fusion_top1"] == pytest.approx(np.mean(right))
    assert found["stream_top1"][0] == pytest.approx(np.mean(alone))
    assert found["evaluated"] == 5
    assert found["skipped"] == 4, "of the nine test videos of the first stream"
    assert found["missing"] == ["a", "b", "x", "y"]


def test_features_beside_one_another_add_their_cosines() -> None:
    """Two-stream retrieval, against the sum of two naive similarity matrices."""
    test = [stream("abcdefg", 1), stream("gfedcbx", 2)]
    train = [stream("nopqrstuv", 3), stream("vutsrqpo", 4)]

    def centred(features: Features, names: str) -> dict[str, np.ndarray]:
        rows = {n: features.values[features.names.index(n)].astype(float) for n in names}
        middle = np.mean(list(rows.values()), 0)
        return {n: (v - middle) / np.linalg.norm(v - middle) for n, v in rows.items()}

    queries, gallery = "bcdefg", "opqrstuv"  # what both streams have, in the first one's order
    tables = [(centred(q, queries), centred(g, gallery)) for q, g in zip(test, train, strict=True)]
    found = retrieval(beside(test), beside(train), (1, 5), centre=False)
    for row, name in zip(found["neighbours"], queries, strict=True):
        total = {o: sum(float(q[name] @ g[o]) for q, g in tables) for o in gallery}
        assert [gallery[i] for i in row] == sorted(gallery, key=lambda o: -total[o])[:5]
    assert beside(test).names == tuple(queries) and beside(test).values.shape == (6, 6)


def test_streams_that_disagree_cannot_stand_beside_one_another() -> None:
    with pytest.raises(ThesisError, match="disagree"):
        beside([stream("ab", 0), replace(stream("ab", 1), labels=np.array([2, 2]))])
    with pytest.raises(ThesisError, match="no video in common"):
        beside([stream("ab", 0), stream("cd", 1)])


def test_equal_weights_are_the_default_and_order_does_not_matter() -> None:
    a, b, c = (stream("abcdef", seed) for seed in (3, 4, 5))
    plain = fuse([a, b, c])["probabilities"].values
    assert np.allclose(plain, np.mean([a.values, b.values, c.values], 0), atol=1e-6)
    assert np.allclose(plain, fuse([a, b, c], [2, 2, 2])["probabilities"].values, atol=1e-6)
    assert np.array_equal(fuse([a, b], [1, 0])["probabilities"].values, a.values)


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
        load_probabilities(tmp_path)
    path = tmp_path / "probabilities.safetensors"
    path.write_bytes(b"not a file of ours")
    with pytest.raises(ThesisError, match="damaged"):
        load_probabilities(path)
    save_probabilities(path, stream("abc", 0))
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ThesisError, match="damaged"):
        load_probabilities(path)
    with pytest.raises(ThesisError, match="0 names of videos"):
        save_probabilities(path, replace(stream("abc", 0), names=()))
