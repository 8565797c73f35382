"""The recipes of chapters 6 and 7 on lists in each publisher's form, and on the real list."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from video_files import write_video

from thesislib import recipes
from thesislib.data.manifest import read_manifest
from thesislib.data.narrations import read_alignments, read_narrations
from thesislib.data.public import activities, howto100m, narrated
from thesislib.data.segments import read_segments
from thesislib.errors import ThesisError

COARSE = "1-30 SIL  \n31-150 take_bowl  \n151-428 pour_cereals  \n429-450 SIL\n"


def breakfast(folder: Path) -> Path:
    """Persons of the first and the second part, two cameras, and fine segments beside."""
    names = ("P03_cam01_P03_cereals", "P03_stereo01_P03_cereals", "P16_webcam02_P16_tea")
    for kind, text in (("coarse", COARSE), ("fine", "1-450 reach  \n")):
        for name in names:
            file = folder / f"segmentation_{kind}" / name.split("_")[-1] / f"{name}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    (folder / "readme.txt").write_text("1-2 hello")
    return folder


def test_breakfast_as_published(roots: Path) -> None:
    folder = breakfast(roots / "b")
    write_video(folder / "videos" / "P03" / "cam01" / "P03_cereals.avi", 5, codec="mpeg4")
    for channel in "01":
        file = folder / "videos" / "P03" / "stereo" / f"P03_cereals_ch{channel}.avi"
        write_video(file, 5, codec="mpeg4")
    told = recipes.prepare("breakfast", path=folder, val=0)
    assert told["splits"] == {"train": 0, "val": 0, "test": 2} and told["not_on_disk"] == 1
    assert told["listed_counts"] == {
        "videos": {"train": 1, "test": 2}, "segments": {"train": 2, "test": 4},
    }  # fmt: skip
    made = read_manifest("breakfast")
    assert {Path(v.path).name for v in made.videos} == {"P03_cereals.avi", "P03_cereals_ch0.avi"}
    assert {(v.label, v.group) for v in made.videos} == {("cereals", "P03")}
    for some in read_segments(made).values():
        assert some == ((2.0, 10.0, "take_bowl"), (10.0, 28.5333, "pour_cereals"))
    assert made.info["class_texts"] == {"cereals": "cereals", "tea": "tea"}


def test_breakfast_splits_and_other_forms(tmp_path: Path) -> None:
    folder = breakfast(tmp_path / "b")
    parts = {row.name[:3]: row.split for row in activities.breakfast_lists(folder, 2).rows}
    assert parts == {"P03": "train", "P16": "test"}
    with pytest.raises(ThesisError, match="no split 5: give 1 to 4"):
        activities.breakfast_lists(folder, 5)
    first = activities.breakfast_lists(folder)
    frames = tmp_path / "frames" / "groundTruth"
    frames.mkdir(parents=True)
    labels = ["SIL"] * 30 + ["take_bowl"] * 120 + ["pour_cereals"] * 278 + ["SIL"] * 22
    (frames / "P03_cam01_P03_cereals.txt").write_text("\n".join(labels))
    (tmp_path / "frames" / "test.split1.bundle").write_text("P16_webcam02_P16_tea.txt\n")
    second = activities.breakfast_lists(tmp_path / "frames")
    name = "P03_cam01_P03_cereals"
    assert second.segments == {name: first.segments[name]}
    assert second.lengths == {name: (450, 15.0)} and first.lengths[name] == (450, 15.0)
    assert second.rows[0].split == "train" and first.rows[0].split == "test", "the bundle decides"


@pytest.mark.parametrize(
    ("file", "stem"),
    [
        ("v/P03/cam01/P03_tea.avi", "P03_cam01_P03_tea"),
        ("v/P03/stereo/P03_tea_ch0.avi", "P03_stereo01_P03_tea"),
        ("v/P03/stereo/P03_tea_ch1.avi", "P03_stereo01_P03_tea_ch1"),
        ("v/P03_cam01_P03_tea.mp4", "P03_cam01_P03_tea"),
        ("v/x/holiday.avi", "holiday"),
        ("holiday.avi", "holiday"),
    ],
)
def test_names_of_breakfast_on_disk(file: str, stem: str) -> None:
    assert activities.breakfast_stem(Path(file)) == stem


def test_coin(roots: Path) -> None:
    folder = roots / "c"
    one = {"id": "212", "segment": [60.0, 69.0], "label": "take out the laptop CD drive"}
    database = {
        "LtRSn-ntcLY": {
            "duration": 131.03, "class": "ReplaceCDDriveWithSSD", "subset": "training",
            "recipe_type": 131, "start": 56.6, "end": 85.7, "annotation": [one],
        },
        "-x": {"class": "MakeTea", "subset": "testing", "annotation": [one, one]},
    }  # fmt: skip
    write_video(folder / "131" / "LtRSn-ntcLY.mp4", 5)
    write_video(folder / "-x.mp4", 5)
    (folder / "COIN.json").write_text(json.dumps({"database": database}))
    told = recipes.prepare("coin", path=folder, val=0)
    assert told["classes"] == 2 and told["splits"] == {"train": 1, "val": 0, "test": 1}
    made = read_manifest("coin")
    assert made.info["class_texts"]["ReplaceCDDriveWithSSD"] == "replace CD drive with SSD"
    found = read_segments(made)
    path = next(v.path for v in made.videos if v.split == "train")
    assert found[path] == ((60.0, 69.0, "take out the laptop CD drive"),)


def test_htm_align(roots: Path) -> None:
    folder = roots / "h"
    write_video(folder / "-a.webm.mp4", 5)
    content = {
        "-a.webm": [[1, 10.7, 17.5, "add oil"], [0, 20, 22.5, "thank you"]],
        "b": [[0, 1, 2, "hello"]],
    }
    folder.joinpath("htm_align.json").write_text(json.dumps(content))
    told = recipes.prepare("htm_align", path=folder, lists_only=True)
    assert told["splits"] == {"train": 0, "val": 0, "test": 2}
    assert told["listed_counts"] == {
        "videos": {"test": 2}, "sentences": {"test": 3}, "alignable": {"test": 1},
    }  # fmt: skip
    made = read_manifest("htm_align")
    heard, seen = read_narrations(made), read_alignments(made)
    assert math.isnan(heard["-a.webm"][0].start), "nobody knows when it is heard"
    assert heard["-a.webm"][1] == (20, 22.5, "thank you")
    assert seen["-a.webm"][0] == (True, 10.7, 17.5, "") and not seen["-a.webm"][1].alignable


def captions(texts: list[str], seconds: float = 2.0) -> dict[str, list[object]]:
    starts = [seconds * i for i in range(len(texts))]
    return {"text": list(texts), "start": starts, "end": [a + seconds for a in starts]}


def test_htm_370k_cleans_the_captions_of_howto100m(roots: Path) -> None:
    folder = roots / "h"
    folder.mkdir()
    spoken = "now we are going to add|some salt to the hot pan. And|then stir it well with a spoon."
    parts = spoken.split("|")
    good = captions([*parts, *parts, "[Music]", *parts, *parts])
    good["text"][6:6] = [float("nan")]  # as pandas has written it
    good["start"][6:6], good["end"][6:6] = [12.0], [12.0]
    german = captions(["jetzt geben wir noch etwas mehr Salz hinein"] * 12)
    german["text"] = [f"{text} und {i}" for i, text in enumerate(german["text"])]
    content = {
        **dict.fromkeys((f"v{i:02}" for i in range(40)), good),
        "german": german, "short": captions(parts), "held": good, "long": good, "align": good,
        "empty": captions([]),
    }  # fmt: skip
    lengths = {"v00": 100, "v01": 64, "long": 1000} | {f"v{i:02}": 70 for i in range(2, 40)}
    lengths |= dict.fromkeys(("german", "short", "held", "align", "empty"), 80)
    (folder / "raw_caption.json").write_text(json.dumps(content))
    (folder / "htm_vlen.csv").write_text(
        "vid,seconds\n" + "".join(f"{video},{s}\n" for video, s in lengths.items())
    )
    (folder / "htm_holdout.txt").write_text("held\nother\n")
    (folder / "htm_align.json").write_text('{"align": [[1, 2, 3, "x"]]}')
    told = recipes.prepare("htm_370k", path=folder, lists_only=True)
    assert told["splits"] == {"train": 38, "val": 1, "test": 0}
    made = read_manifest("htm_370k")
    assert made.info["left_out"] == {
        "another language": 1, "few captions": 1, "held out": 2, "of another length": 2,
        "without text": 1,
    }  # fmt: skip
    assert made.info["cleaned_here"] is True
    assert made.info["captions"] == {"all": 39 * 14, "empty": 39, "point": 39, "sounds": 39}
    assert [v.path for v in made.videos if v.split == "val"] == ["v00"]
    assert not (made.root / "alignments.csv").exists(), "nobody knows when they are seen"
    some = read_narrations(made)["v05"]
    whole = [" ".join(parts[:2])[:-4], "And then stir it well with a spoon."]
    assert [one.text for one in some] == [*whole, *whole, *whole, *whole]
    assert some[0].start == 0.0 and 3 < some[0].end < 4


def test_htm_370k_leaves_the_sentences_of_the_authors(tmp_path: Path) -> None:
    content = {"b": captions(["Add salt.", " stir\nit "]), "a": captions(["Hi", ""])}
    content["b"]["start"][0] = 5.0  # after its end, and after the next
    (tmp_path / "sentencified_htm_370k.json").write_text(json.dumps(content))
    (tmp_path / "a_raw_caption.json").write_text(json.dumps({"x": captions(["no"])}))
    listed = howto100m.htm_370k_lists(tmp_path)
    assert [row.name for row in listed.rows] == ["a", "b"] and listed.notes["cleaned_here"] is False
    assert [one.heard for one in listed.said["b"]] == [
        (2.0, 4.0, "stir it"),
        (5.0, 10.0, "Add salt."),
    ]
    assert [one.heard.text for one in listed.said["a"]] == ["Hi"]
    assert listed.counts()["sentences"] == {"train": 3}


def test_htm_aa(roots: Path) -> None:
    folder = roots / "h"
    write_video(folder / "a.mp4", 5)
    folder.joinpath("htm_aa.csv").write_text('vid,timestamp,text\na,12,"cut, then mix"\nb,3,stir\n')
    told = recipes.prepare("htm_aa", path=folder, val=0)
    assert told["splits"]["train"] == 1 and told["not_on_disk"] == 1
    made = read_manifest("htm_aa")
    (heard,), (seen,) = read_narrations(made).values(), read_alignments(made).values()
    assert heard[0].text == "cut, then mix" and math.isnan(heard[0].start)
    assert seen == ((True, 12.0, 12.0, ""),), "seen, not heard"
    recipes.prepare("coin", path=coin_of(roots), name="htm_aa", lists_only=True, force=True)
    assert not (made.root / "narrations.csv").exists(), "those of the earlier data set are gone"


def coin_of(roots: Path) -> Path:
    folder = roots / "other"
    folder.mkdir()
    one = {"class": "A", "subset": "training", "annotation": []}
    (folder / "COIN.json").write_text(json.dumps({"database": {"x": one}}))
    return folder


def test_youcook2_forms_agree(tmp_path: Path) -> None:
    steps = [(47, 60, "pick the ends off"), (67, 89, "combine juice and oil")]
    notes = [{"segment": [a, b], "id": i, "sentence": t} for i, (a, b, t) in enumerate(steps)]
    database = {
        "v": {"duration": 99.0, "subset": "validation", "recipe_type": "226", "annotations": notes},
        "t": {"subset": "training", "recipe_type": "101", "annotations": notes[:1]},
        "u": {"subset": "testing", "recipe_type": "101"},
    }
    for name, text in (
        ("json", json.dumps({"database": database})),
        ("csv", "\n".join(["end,start,task,text,video_id",
                           *(f"{b},{a},226,{t},v" for a, b, t in steps)])),
    ):  # fmt: skip
        (tmp_path / name).mkdir()
        (tmp_path / name / f"list.{name}").write_text(text)
    first, second = (narrated.youcook2_lists(tmp_path / name) for name in ("json", "csv"))
    assert [one.seen for one in first.said["v"]] == [one.seen for one in second.said["v"]]
    assert [one.heard.text for one in second.said["v"]] == [t for _, _, t in steps]
    assert {row.name: (row.split, row.label) for row in first.rows} == {
        "v": ("test", "226"), "t": ("train", "101"),
    }  # fmt: skip
    assert second.rows == [row for row in first.rows if row.name == "v"]
    assert first.notes["without_labels"] == 1


def test_the_real_list_of_youcook2(shared: Path) -> None:
    listed = narrated.youcook2_lists(shared / "annotations" / "youcook2")
    assert listed.counts() == {
        "videos": {"test": 436}, "sentences": {"test": 3350}, "alignable": {"test": 3350},
    }  # fmt: skip
    assert len({row.label for row in listed.rows}) == 89
    step = listed.said["xHr8X2Wpmno"][0]
    assert step.heard.text == "pick the ends off the verdalago" and step.seen[1:3] == (47, 60)


BAD = (
    ("breakfast", "P03_cam01_P03_tea.txt", "1-30 SIL\n5 x\n", "is not <first>-<last frame>"),
    ("breakfast", "P03_cam01_P03_tea.txt", "9-3 SIL\n", "is not <first>-<last frame>"),
    ("breakfast", "tea.txt", "1-3 SIL\n", "There is no list of Breakfast"),
    ("coin", "COIN.json", '{"database": {"a": {"class": "A"}}}', "There is no list of COIN"),
    ("coin", "COIN.json", '{"database": {"a": {"class": "A", "subset": "x", "annotation": []}}}',
     '"annotation" of a'),
    ("coin", "COIN.json", '{"database": {"a": {"class": "A", "subset": "training", "annotation": '
     '[{"segment": [1], "label": "x"}]}}}', '"segment" and "label" of a'),
    ("htm_align", "a.json", '{"a": [[2, 1, 2, "x"]]}', "[1 or 0, start, end, text] of a"),
    ("htm_align", "a.json", '{"a": [[1, 3, 2, "x"]]}', "3 to 2 s is no span"),
    ("htm_align", "a.json", "{}", "There is no list of HTM-Align"),
    ("htm_370k", "a.json", '{"a": {"text": ["b"], "start": [], "end": [2]}}', "no lists of one"),
    ("htm_370k", "a.json", '{"a": {"text": [], "start": [], "end": []}}', "no video that can be"),
    ("htm_370k", "a.json", '{"a": [1]}', "There is no list of HTM-370K"),
    ("htm_aa", "a.csv", "vid,timestamp,text\na,x,y\n", "'x' is not a number"),
    ("htm_aa", "a.csv", "vid,text\na,y\n", "There is no list of HTM-AA"),
    ("youcook2", "a.json", '{"database": {"a": {"recipe_type": "1", "subset": "training", '
     '"annotations": [{"segment": [1, 2]}]}}}', '"segment" and "sentence" of a'),
    ("youcook2", "a.csv", "end,start,task,text,video_id\n1,5,2,x,a\n", "5 to 1 s is no span"),
    ("youcook2", "a.txt", "x", "There is no list of YouCook2"),
)  # fmt: skip


@pytest.mark.parametrize(("recipe", "name", "content", "message"), BAD)
def test_damaged_lists_are_one_sentence(
    tmp_path: Path, recipe: str, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ThesisError) as caught:
        recipes.prepare(recipe, path=tmp_path, lists_only=True)
    assert message in str(caught.value) and "\n" not in str(caught.value)
