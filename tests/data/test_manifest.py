from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from thesislib import files
from thesislib.data.manifest import Manifest, Video, read_manifest, write_manifest
from thesislib.errors import ThesisError


def rows(count: int = 12) -> tuple[Video, ...]:
    splits = ["train"] * 8 + ["val"] * 2 + ["test"] * 2
    return tuple(
        Video(f"a b/vidéo {i},{i}.mp4", "xyz"[i % 3], splits[i], f"g{i}", 50 + i, 29.97, 64, 48)
        for i in range(count)
    )


def test_round_trip_keeps_rows_info_and_fingerprint(roots: Path) -> None:
    made = Manifest("mine", roots / "data" / "mine", rows(), {"licence": "none", "n": 3})
    path = write_manifest(made)
    assert path == roots / "data" / "mine" / "manifest.csv"
    for way in ("mine", str(path), path.parent):
        back = read_manifest(way)
        assert back.videos == made.videos
        assert back.fingerprint == made.fingerprint == back.info["fingerprint"]
        assert (back.name, back.info["licence"], back.info["n"]) == ("mine", "none", 3)
    assert sorted(p.name for p in path.parent.iterdir()) == ["dataset.json", "manifest.csv"]


def test_fingerprint_sees_every_field() -> None:
    video = rows()[0]
    marks = {Manifest("a", Path("."), (video,)).fingerprint}
    for name, value in dataclasses.asdict(video).items():
        other = value + "x" if isinstance(value, str) else value + 1
        changed = dataclasses.replace(video, **{name: other})
        marks.add(Manifest("a", Path("."), (changed,)).fingerprint)
    assert len(marks) == 1 + len(dataclasses.fields(Video))


def test_a_subset_keeps_order_and_class_numbers() -> None:
    whole = Manifest("a", Path("."), rows())
    test = whole.select("test")
    assert [v.label for v in test.videos] == ["y", "z"]
    assert test.classes == whole.classes == ("x", "y", "z")
    few = whole.select("train", per_class=2, seed=1)
    assert Counter(v.label for v in few.videos) == {"x": 2, "y": 2, "z": 2}
    assert [v.path for v in few.videos] == sorted(
        (v.path for v in few.videos), key=[v.path for v in whole.videos].index
    )
    assert few.videos == whole.select("train", per_class=2, seed=1).videos
    draws = {whole.select("train", per_class=2, seed=s).videos for s in range(8)}
    assert len(draws) > 1


def test_problems_name_the_remedy(roots: Path) -> None:
    with pytest.raises(ThesisError, match="thesislib prepare nowhere"):
        read_manifest("nowhere")
    with pytest.raises(ThesisError, match="choose one of train, val, test"):
        Manifest("a", Path("."), rows()).select("dev")
    with pytest.raises(ThesisError, match="'a' has no video in split 'val'"):
        Manifest("a", Path("."), rows(8)).select("val")
    with pytest.raises(ThesisError, match="listed twice"):
        write_manifest(Manifest("a", roots / "a", rows()[:1] * 2))
    folder = roots / "data" / "broken"
    folder.mkdir()
    (folder / "manifest.csv").write_text("path,label\nx,y\n")
    with pytest.raises(ThesisError, match="lacks the column"):
        read_manifest("broken")


def test_a_write_that_dies_leaves_the_old_file(
    roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Manifest("a", roots / "a", rows(4))
    write_manifest(old)

    def die(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(files.os, "fsync", die)
    with pytest.raises(ThesisError, match=r"dataset.json cannot be written \(disk full\): free"):
        write_manifest(Manifest("a", roots / "a", rows(9)))
    monkeypatch.undo()
    assert read_manifest(roots / "a").videos == old.videos
    write_manifest(Manifest("a", roots / "a", rows(9)))
    assert len(read_manifest(roots / "a")) == 9
    assert sorted(os.listdir(roots / "a")) == ["dataset.json", "manifest.csv"]


def test_a_dataset_json_that_has_changed_is_refused(roots: Path) -> None:
    made = Manifest("mine", roots / "data" / "mine", rows(), {"class_texts": {"x": "to wave"}})
    file = write_manifest(made).parent / "dataset.json"
    file.write_text(file.read_text().replace("to wave", "to rave"))
    with pytest.raises(ThesisError, match=r'its checksum.* delete the line "info_sha256"'):
        read_manifest("mine")
    told = json.loads(file.read_text())
    del told["info_sha256"]  # as the sentence says; data sets of before have none
    file.write_text(json.dumps(told))
    assert read_manifest("mine").info["class_texts"] == {"x": "to rave"}


@pytest.mark.parametrize("value", ["9" * 400, "1e999", "-1", "nan", "\u0663" * 12])
def test_numbers_that_no_video_has_are_refused(roots: Path, value: str) -> None:
    file = write_manifest(Manifest("mine", roots / "data" / "mine", rows()))
    file.write_text(file.read_text().replace(",29.97,64,", f",29.97,{value},", 1))
    with pytest.raises(ThesisError, match="line 2"):
        read_manifest("mine")
