"""The recipes of chapter 8 on lists in each publisher's form."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from video_files import write_video

from thesislib import recipes
from thesislib.data.captions import read_captions
from thesislib.data.film_files import read_films
from thesislib.data.mad import mad_lists
from thesislib.data.manifest import read_manifest
from thesislib.data.public.web import cc3m_lists, webvid_lists
from thesislib.errors import ThesisError


def test_mad(roots: Path) -> None:
    folder = roots / "mad"
    folder.mkdir()
    text = "movie,start,end,text\n" + "".join(
        f"{movie},-1,2,Anna sits.\n" for movie in ("10142", "1005_Signs", "x_val", "x_test", "y")
    )
    (folder / "mad-v2-ad-named.csv").write_text(text)
    split = {"EVAL": ["1005_Signs"], "TRAIN": ["10142"], "V1-VAL": ["1005_Signs", "x_val"],
             "V1-TEST": ["x_test"]}  # fmt: skip
    with pytest.raises(ThesisError, match=r"put mad_split\.json there"):
        mad_lists(folder)
    (folder / "mad_split.json").write_text(json.dumps(split))
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "CLIP_B32_frames_features_5fps.h5", "w") as file:
        file["10142"] = np.zeros((50, 3), np.float16)
    told = recipes.prepare("mad", path=folder)
    assert told["splits"] == {"train": 1, "val": 1, "test": 1}
    manifest = read_manifest("mad")
    assert {v.n_frames for v in manifest.select("train").videos} == {50}
    assert manifest.info["lines"] == {"negative": 5}
    assert manifest.info["left_out"] == {"of no part": 1, "v1-test": 1}
    found = read_films(manifest)
    assert {movie: film.split for movie, film in found.films.items()} == {
        "10142": "train", "1005_Signs": "test", "x_val": "val",
    }  # fmt: skip
    assert found.films["10142"].named[0] == (0.0, 2.0, "Anna sits.") and not found.found


def test_webvid(roots: Path) -> None:
    folder = roots / "w"
    folder.mkdir()
    head = "videoid,contentUrl,duration,page_dir,name\n"
    (folder / "results_2M_train.csv").write_text(head + '7,u,PT00H00M10S,p,"Dog, running"\n')
    (folder / "results_2M_val.csv").write_text(head + "9,u,PT00H00M10S,p,Sea\n")
    write_video(folder / "p" / "7.mp4", 5)
    told = recipes.prepare("webvid", path=folder)
    assert told["listed_counts"]["videos"] == {"train": 1, "val": 1} and told["not_on_disk"] == 1
    assert list(read_captions(read_manifest("webvid")).values()) == [("Dog, running",)]


def test_cc3m(tmp_path: Path) -> None:
    (tmp_path / "Train_GCC-training.tsv").write_text("a dog\thttp://a\nthe sea\thttp://b\n")
    (tmp_path / "Validation_GCC-1.1.0-Validation.tsv").write_text("a hut\thttp://c\n")
    listed = cc3m_lists(tmp_path)
    assert listed.captions == {
        "000000000": ["a dog"], "000000001": ["the sea"], "val/000000000": ["a hut"],
    }  # fmt: skip
    assert listed.counts()["videos"] == {"train": 2, "val": 1}
    (tmp_path / "Train_GCC-training.tsv").write_text("no address\n")
    with pytest.raises(ThesisError, match="line 1, is no caption, tab and address"):
        cc3m_lists(tmp_path)
    for lists in (cc3m_lists, webvid_lists):
        with pytest.raises(ThesisError, match="There is no list of"):
            lists(tmp_path / "empty")
