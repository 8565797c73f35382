from __future__ import annotations

import inspect
import json
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest
from video_files import write_video

from thesislib import recipes
from thesislib.cli import PREPARE, main
from thesislib.data import public
from thesislib.data.doctor import group_leaks
from thesislib.data.manifest import read_manifest
from thesislib.data.public import actions
from thesislib.errors import ThesisError


def test_ucf101_lists_and_videos_are_joined(roots: Path) -> None:
    source = roots / "ucf"
    clips = [f"Jump/v_Jump_g{g:02d}_c01.avi" for g in range(1, 8)]
    for name in clips[:-1]:
        write_video(source / name, 5, codec="mpeg4")
    (source / "trainlist01.txt").write_bytes(b"".join(f"{c} 1\r\n".encode() for c in clips[2:]))
    (source / "testlist01.txt").write_bytes(b"".join(f"{c}\r\n".encode() for c in clips[:2]))
    made = public.prepare_ucf101(source, progress=False, val=0.25)
    assert Counter(v.split for v in made.videos) == {"train": 3, "val": 1, "test": 2}
    assert {v.path for v in made.videos if v.split == "test"} == {
        str((source / c).resolve()) for c in clips[:2]
    }
    assert made.classes == ("Jump",)
    assert (made.info["listed"], made.info["not_on_disk"]) == (7, 1)
    assert group_leaks(made) == {}


def two_splits(folder: Path) -> Path:
    """Eight videos of one class; the lists of split 2, in a folder of their own, are turned round.

    Returns:
        The folder of the lists.
    """
    clips = [f"Jump/v_Jump_g{g:02d}_c01.avi" for g in range(8)]
    for name in clips:
        write_video(folder / "videos" / name, 5, codec="mpeg4")
    lists = folder / "lists"
    lists.mkdir()
    for split, test in ((1, clips[:2]), (2, clips[6:])):
        train = [name for name in clips if name not in test]
        (lists / f"trainlist{split:02d}.txt").write_text("".join(f"{c} 1\n" for c in train))
        (lists / f"testlist{split:02d}.txt").write_text("".join(f"{c}\n" for c in test))
    return lists


def test_options_reach_the_recipe(roots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lists = two_splits(roots)
    words = ["prepare", "ucf101", str(roots / "videos"), "--annotations", str(lists), "--json"]

    def told(*more: str) -> dict:
        capsys.readouterr()
        assert main([*words, *more]) == 0
        return json.loads(capsys.readouterr().out)

    first = told("--val", "0")
    assert (first["name"], first["official_split"], first["not_on_disk"]) == ("ucf101", 1, 0)
    assert first["splits"] == {"train": 6, "val": 0, "test": 2}
    second = told("--split", "2", "--val", "0.5")
    assert (second["name"], second["official_split"]) == ("ucf101_split2", 2)
    assert second["splits"] == {"train": 3, "val": 3, "test": 2}
    tested = [
        {Path(v.path).stem for v in read_manifest(name).videos if v.split == "test"}
        for name in ("ucf101", "ucf101_split2")
    ]
    assert tested == [{f"v_Jump_g{g:02d}_c01" for g in pair} for pair in ((0, 1), (6, 7))]
    assert read_manifest("ucf101").info["options"]["full_check"] is False
    told("--name", "whole", "--full-check")
    assert read_manifest("whole").info["options"]["full_check"] is True


def test_a_name_never_holds_another_split(roots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lists = two_splits(roots)
    words = ["prepare", "ucf101", str(roots / "videos"), "--annotations", str(lists)]
    for more, message in (
        (["--name", "ucf101_split2"], "'ucf101_split2' would hold split 1: ask for split 2"),
        (["--name", "mine", "--split", "2"], ""),
        (["--name", "mine", "--split", "1"], "The name 'mine' is taken by a data set from"),
        (["--split", "4"], "There is no trainlist04.txt in"),
    ):
        capsys.readouterr()
        assert main([*words, *more]) == bool(message)
        assert message in capsys.readouterr().err
    assert main(["prepare", "kinetics400", str(roots), "--split", "2"]) == 1
    assert "'kinetics400' takes no split: leave it out" in capsys.readouterr().err


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_a_recipe_takes_what_it_says(name: str) -> None:
    """Its function has each option as an argument, and the command line offers each."""
    one = recipes.RECIPES[name]
    module = import_module(f"thesislib.{one.module}")
    takes = inspect.signature(getattr(module, one.function)).parameters
    if "options" in takes:
        takes = inspect.signature(public.prepare_listed).parameters
    assert set(one.options) <= set(takes)
    assert set(one.options) <= {option for option, *_ in PREPARE}


def test_the_command_line_offers_no_other_options() -> None:
    assert {option for option, *_ in PREPARE} == set(recipes.OPTIONS)
    assert recipes.takers("split") == "ucf101, hmdb51, breakfast"
    without = [name for name, one in recipes.RECIPES.items() if "jobs" not in one.options]
    assert without == ["mad"]  # words and features alone: there is no video to read
    assert "mad" not in recipes.takers("jobs").split(", ")


def test_hmdb51_codes_and_kinetics_csv(roots: Path) -> None:
    source = roots / "h"
    names = [f"film{i}_brush_hair_u_nm_np1_ba_goo_{i}.avi" for i in range(4)]
    for name in names:
        write_video(source / name, 5, codec="mpeg4")
    lines = [f"{n} {c} " for n, c in zip(names, (1, 2, 0, 1), strict=True)]
    (source / "brush_hair_test_split1.txt").write_text("\n".join(lines))
    made = public.prepare_hmdb51(source, progress=False, val=0)
    assert [(Path(v.path).name, v.split, v.group) for v in made.videos] == [
        (names[0], "train", "brush_hair/film0"),
        (names[1], "test", "brush_hair/film1"),
        (names[3], "train", "brush_hair/film3"),
    ]
    kinetics = roots / "k"
    write_video(kinetics / "x" / "-0wR5jVB.WPk_000417_000427.mp4", 5)
    (kinetics / "val.csv").write_text(
        "label,youtube_id,time_start,time_end,split,is_cc\n"
        '"passing, ball",-0wR5jVB.WPk,417,427,val,0\n'
    )
    told = recipes.prepare("kinetics400", path=kinetics)
    assert told["splits"] == {"train": 0, "val": 0, "test": 1}


def test_what_is_missing_is_named(tmp_path: Path, roots: Path) -> None:
    for name, part in (
        ("ucf101", "trainlist01.txt"), ("hmdb51", "_test_split1.txt"), ("kinetics400", "no csv"),
    ):  # fmt: skip
        with pytest.raises(ThesisError, match=part):
            recipes.prepare(name, path=tmp_path)
        with pytest.raises(ThesisError, match=f"thesislib prepare {name} PATH"):
            recipes.prepare(name)
    with pytest.raises(ThesisError, match="did you mean 'ucf101'"):
        recipes.prepare("ucf10")
    with pytest.raises(ThesisError, match="takes no path"):
        recipes.prepare("big_buck_bunny", path=tmp_path)


def test_the_published_lists(shared: Path) -> None:
    lists = shared / "annotations"
    for split in (1, 2, 3):
        rows = actions.ucf101_lists(lists / "ucf101", split).rows
        assert len(rows) == 13320
        if split == 1:
            assert Counter(row.split for row in rows) == {"train": 9537, "test": 3783}
        assert len({r.label for r in rows}) == 101
        places: dict[str, set[str]] = {}
        for row in rows:
            places.setdefault(row.group, set()).add(row.split)
        assert all(len(s) == 1 for s in places.values())
        rows = actions.hmdb51_lists(lists / "hmdb51", split).rows
        assert Counter(r.split for r in rows) == {"train": 3570, "test": 1530}
        assert len({r.label for r in rows}) == 51
    rows = actions.KINETICS400.read(lists / "kinetics400", 1).rows
    assert len(rows) == 19906
    assert len({r.label for r in rows}) == 400


def test_real_clips_by_the_real_lists(shared: Path, roots: Path) -> None:
    clips, lists = shared / "real_clips", shared / "annotations"
    made = public.prepare_ucf101(clips, annotations=lists / "ucf101", progress=False)
    assert [v.label for v in made.videos] == ["SoccerJuggling"]
    made = public.prepare_hmdb51(clips, annotations=lists / "hmdb51", progress=False)
    assert [(v.label, v.split) for v in made.videos] == [("wave", "train"), ("wave", "test")]
