"""Clips of films: which rows, which words before them, and every description in a sequence."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from thesislib.data.features import FeatureStore, Rows, Times, write_note
from thesislib.data.film_clips import FilmItem, FilmSequences, cut, items_of
from thesislib.data.film_features import H5Films, KeptFilms, clip_of
from thesislib.data.films import Cue, Film
from thesislib.data.manifest import Manifest, Video
from thesislib.errors import ThesisError


def film(clips: int, movie: str = "m") -> Film:
    told = tuple(Cue(10.0 * i, 10.0 * i + 2, f"Anna does {i}.") for i in range(clips))
    spoken = tuple(Cue(10.0 * i + 5, 10.0 * i + 6, f"Ben, {i}!") for i in range(clips))
    return Film(movie, "train", 10.0 * clips, told, (), spoken, ("Anna", "Ben"))


class Counted:
    """Features whose first number is their second, twice a second."""

    width = 2

    def has(self, movie: str) -> bool:
        return movie != "gone"

    def read(self, movie: str) -> tuple[Rows, Times]:
        times = np.arange(0, 1000, 0.5)
        return np.stack([times, times * 0 + len(movie)], 1), times


def ids(item: FilmItem) -> Mapping[str, Tensor]:
    return {"text": torch.tensor([item.number])}


def test_rows_of_a_clip() -> None:
    rows, times = Counted().read("m")
    assert clip_of(rows, times, 10.0, 13.5, 8)[:, 0].tolist() == list(np.arange(10.0, 14.0, 0.5))
    assert clip_of(rows, times, 10.0, 11.0, 6)[:, 0].tolist() == [10, 10, 10.5, 10.5, 11, 11]
    assert clip_of(rows, times, 10.2, 10.3, 2)[:, 0].tolist() == [10.5, 10.5], "the nearest"
    assert clip_of(rows, times, 5000.0, 5001.0, 2)[:, 0].tolist() == [999.5, 999.5]
    seen = clip_of(rows, times, 0.0, 99.5, 4)[:, 0]
    assert seen.tolist() == [12.5, 37.5, 62.5, 87.5] and seen.dtype == torch.float32


def test_what_precedes_a_clip() -> None:
    items = items_of(film(9), past=2)
    assert items[0].context == () == items[0].subtitles
    assert items[5].context == ("Anna does 3.", "Anna does 4.") and items[5].text == "Anna does 5."
    assert items[5].subtitles == ("Ben, 1!", "Ben, 2!", "Ben, 3!", "Ben, 4!")
    assert items_of(film(9), within=20.0)[5].subtitles == ("Ben, 3!", "Ben, 4!")
    assert items_of(film(9), dialogue="names")[5].subtitles == ("Ben",)
    assert items_of(film(9), dialogue="none", past=0)[5][5:] == ((), ())
    assert items_of(film(9), named=False) == []
    with pytest.raises(ThesisError, match="has no list of its cast"):
        items_of(film(2)._replace(cast=()), dialogue="names")
    with pytest.raises(ThesisError, match="kind of dialogue"):
        items_of(film(2), dialogue="some")


def test_sequences_hold_every_clip_in_order() -> None:
    films = [items_of(film(n, name)) for n, name in ((37, "a"), (16, "bb"), (3, "ccc"))]
    data = FilmSequences([*films, [], items_of(film(2, "gone"))], Counted(), ids)
    assert len(data) == 3 + 1 + 1 and data.missing == ["gone"]
    seen = []
    for i in range(len(data)):
        item = data[(7, i)]
        assert item["features"].shape == (16, 8, 2) and item["text"].shape == (16, 1)
        numbers = item["index"].tolist()
        assert numbers == sorted(numbers) and len({data.items[n].movie for n in numbers}) == 1
        for n, row, text in zip(numbers, item["features"], item["text"], strict=True):
            assert data.items[n].number == text and row[0, 0] == data.items[n].start
        seen += numbers
    assert set(seen) == set(range(37 + 16 + 3))
    with pytest.raises(IndexError):
        data[len(data)]
    with pytest.raises(ThesisError, match="No film has both descriptions and features"):
        FilmSequences([items_of(film(2, "gone"))], Counted(), ids)


def test_cut() -> None:
    assert cut(16, 16) == [0] and cut(17, 16) == [0, 1] and cut(3, 16) == [0]
    assert cut(33, 16) == [0, 8, 17]
    for clips in range(1, 80):
        starts = cut(clips, 16)
        assert {s + i for s in starts for i in range(16)} >= set(range(clips))
        assert len(starts) == -(-clips // 16)


def test_features_of_mad(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "CLIP_B32_frames_features_5fps.h5"
    rows = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float16)
    with h5py.File(path, "w") as file:
        file["1005_Signs"], file["7"] = rows, rows[:0]
    films = H5Films(path)
    assert films.width == 3 and films.has("1005_Signs") and not films.has("7")
    found, times = films.read("1005_Signs")
    assert (found == rows).all() and times[-1] == pytest.approx(19 / 5)
    with pytest.raises(ThesisError, match="no features of the film '7'"):
        films.read("7")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["a"], file["b"] = rows, rows[:, :2]
    with pytest.raises(ThesisError, match="rows of one width"):
        H5Films(tmp_path / "other.h5")
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(ThesisError, match="is no h5 file"):
        H5Films(tmp_path / "text.h5")
    with pytest.raises(ThesisError, match="none"):
        H5Films(tmp_path / "none.h5")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ThesisError, match="5fps"):
        H5Films(path).read("1005_Signs")


def test_two_videos_of_one_name_are_no_film(tmp_path: Path) -> None:
    """The one would be told by the pictures of the other."""
    videos = [Video(f"{part}/film.mp4", "", part, "", 50, 25.0, 64, 64) for part in ("a", "b")]
    settings = {"model": "x", "width": 3, "rate": 5.0, "dtype": "float32"}
    write_note(tmp_path, {"dataset": "x", "settings": settings, "skipped": {}})
    store = FeatureStore(tmp_path)
    assert not KeptFilms(Manifest("x", tmp_path, tuple(videos[:1]), {}), store).has("film")
    with pytest.raises(ThesisError, match=r"a/film\.mp4 and b/film\.mp4 are both named 'film'"):
        KeptFilms(Manifest("x", tmp_path, tuple(videos), {}), store)


def test_h5_needs_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ThesisError, match=r"pip install thesislib\[mad\]"):
        H5Films(tmp_path / "x.h5")
