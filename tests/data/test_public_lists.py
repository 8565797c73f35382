"""The recipes of chapter 5 on lists in each publisher's form, and on the real lists."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from video_files import write_video

from thesislib import recipes
from thesislib.cli import main
from thesislib.data.captions import read_captions
from thesislib.data.manifest import read_manifest
from thesislib.data.public import actions, captions, intervals, prepare_listed
from thesislib.data.public.joining import Listed, Span
from thesislib.data.segments import read_segments
from thesislib.errors import ThesisError


def said(name: str) -> list[tuple[str, ...]]:
    """The captions of a data set, in the order of its videos."""
    return list(read_captions(read_manifest(name)).values())


THUMOS_ROWS = (
    "video_validation_0000051,Billiards,12,67.5,75.9,2025,2277",
    "video_validation_0000052,Ambiguous,0,1.5,2.0,45,60",
    "video_validation_0000052,CliffDiving,22,1.0,4.0,30,120",
    "video_test_0000004,CricketBowling,23,0.2,1.1,6,33",
    "video_test_0001292,Ambiguous,0,3,4,90,120",
)


def thumos_csv(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for part in ("val", "test"):
        rows = [row for row in THUMOS_ROWS if row.startswith(f"video_{part}")]
        text = "\n".join(["video,type,type_idx,start,end,startFrame,endFrame", *rows])
        (folder / f"{part}_Annotation.csv").write_text(text)
    return folder


def test_thumos14_with_videos(roots: Path) -> None:
    thumos_csv(roots / "t")
    for name in ("video_validation_0000051", "video_test_0000004", "video_validation_0000052"):
        write_video(roots / "t" / f"{name}.mp4", 5)
    told = recipes.prepare("thumos14", path=roots / "t", val=0)
    assert told["splits"] == {"train": 2, "val": 0, "test": 1}
    assert (told["classes"], told["not_on_disk"]) == (0, 1)
    assert told["listed_counts"] == {
        "videos": {"train": 2, "test": 2},
        "segments": {"train": 3, "test": 2},
        "ambiguous": {"train": 1, "test": 1},
    }
    made = read_manifest("thumos14")
    path = next(v.path for v in made.videos if "0000052" in v.path)
    assert read_segments(made)[path] == ((1.0, 4.0, "CliffDiving"),)
    assert read_segments(made, ambiguous=True)[path] == ((1.5, 2.0, "Ambiguous"),)
    assert made.info["only_ambiguous"] == ["video_test_0001292"]
    assert made.info["kept_though_others_drop_them"] == ["video_test_0001292"]


def test_thumos14_forms_agree(tmp_path: Path) -> None:
    """Class files, and the csv and JSON that score, say what the csv with names says."""
    first = intervals.thumos14_lists(thumos_csv(tmp_path / "csv"))
    text = tmp_path / "text"
    truth, database = ["video-name,t-init,t-end,f-init,f-end,video-duration,frame-rate,"], {}
    truth[0] += "video-frames,label-idx"
    text.mkdir()
    for row in THUMOS_ROWS:
        video, label, _, start, end, *_ = row.split(",")
        part = "val" if "validation" in video else "test"
        with (text / f"{label}_{part}.txt").open("a") as file:
            file.write(f"{video}  {start} {end}\r\n")
        number = -1 if label == "Ambiguous" else intervals.THUMOS_CLASSES.index(label)
        truth.append(f"{video},{start},{end},0,0,20.0,30.0,600,{number}")
        said = database.setdefault(video, {"subset": "", "annotations": []})
        said["annotations"].append({"segment": [start, end], "label": label})
    assert intervals.thumos14_lists(text).segments == first.segments
    for name, content in (
        ("truth.csv", "\n".join(truth)),
        ("gt.json", json.dumps({"database": database})),
    ):
        folder = tmp_path / name.split(".")[0]
        folder.mkdir()
        (folder / name).write_text(content)
        assert intervals.thumos14_lists(folder).segments == first.segments
    assert intervals.thumos14_lists(tmp_path / "truth").lengths["video_test_0000004"] == (600, 30.0)


def test_lists_alone_make_a_data_set(roots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of videos that nobody has looked for: for features that others have extracted."""
    folder = thumos_csv(roots / "t")
    with pytest.raises(ThesisError, match=r"None of the 4 videos .*2 train, 2 test.*--lists-only"):
        recipes.prepare("thumos14", path=folder)
    assert main(["prepare", "thumos14", str(folder), "--lists-only", "--val", "0", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["splits"] == {"train": 2, "val": 0, "test": 2} and "not_on_disk" not in told
    made = read_manifest("thumos14")
    assert read_segments(made)["video_test_0000004"] == ((0.2, 1.1, "CricketBowling"),)
    video = made.videos[0]
    assert (video.path, video.n_frames, video.width) == ("video_test_0000004", 0, 0)
    assert not (made.root / "captions.csv").exists()


OFFICIAL = {
    "QOlSCBRmfWY": ("training", [[6.2, 77.7, "Ballet"]]),
    "ehGHCYKzyZ8": ("validation", [[43.9, 45.4, "Doing crunches"], [0, 0, "Archery"]]),
    "nwznKOuZM7w": ("testing", []),
}


def activitynet(folder: Path, bmn: bool) -> Path:
    folder.mkdir()
    told, table = {}, ["video,numFrame,seconds,fps,rfps,subset,featureFrame"]
    for video, (subset, segments) in OFFICIAL.items():
        notes = [{"segment": [a, b], "label": label} for a, b, label in segments]
        if bmn:
            told[f"v_{video}"] = {
                "duration_second": 82.0, "duration_frame": 2050, "annotations": notes,
                "feature_frame": 2048,
            }  # fmt: skip
            table.append(f"v_{video},2050,82,25,25,{subset},2048")
        else:
            told[video] = {"duration": 82.0, "subset": subset, "annotations": notes}
    content = told if bmn else {"version": "VERSION 1.3", "taxonomy": [], "database": told}
    (folder / "lists.json").write_text(json.dumps(content))
    if bmn:
        (folder / "video_info_new.csv").write_text("\n".join(table))
    return folder


@pytest.mark.parametrize("bmn", [True, False])
def test_activitynet(roots: Path, bmn: bool) -> None:
    folder = activitynet(roots / "a", bmn)
    write_video(roots / "a" / "v_QOlSCBRmfWY.mp4", 5)
    write_video(roots / "a" / "ehGHCYKzyZ8.mkv", 5)  # as YouTube names it
    told = recipes.prepare("activitynet", path=folder, val=0)
    assert told["splits"] == {"train": 1, "val": 0, "test": 1} and told["not_on_disk"] == 0
    made = read_manifest("activitynet")
    assert made.info["without_labels"] == 1
    path = next(v.path for v in made.videos if v.split == "test")
    assert read_segments(made)[path] == ((0.0, 0.0, "Archery"), (43.9, 45.4, "Doing crunches"))
    listed = intervals.activitynet_lists(folder)
    assert listed.lengths == ({row.name: (2050, 25.0) for row in listed.rows} if bmn else {})


def test_msrvtt(roots: Path) -> None:
    folder = roots / "m"
    folder.mkdir()
    (folder / "test.csv").write_text(
        "key,vid_key,video_id,sentence\nret0,msr9,video9,a person, says the list\n".replace(
            "a person, says the list", '"a person, says the list"'
        )
    )
    sentences = [(f"video{i}", f"caption {i}{j}") for i in range(12) for j in "ab"]
    split = {i: "train" if i < 8 else "validate" if i == 8 else "test" for i in range(12)}
    (folder / "MSRVTT_data.json").write_text(
        json.dumps({
            "videos": [{"video_id": f"video{i}", "split": part} for i, part in split.items()],
            "sentences": [{"video_id": v, "caption": c, "sen_id": 0} for v, c in sentences],
        })
    )  # fmt: skip
    (folder / "train_7k.csv").write_text("video_id\n" + "\n".join(f"video{i}" for i in range(7)))
    (folder / "train_9k.csv").write_text("video_id\n" + "\n".join(f"video{i}" for i in range(9)))
    listed = captions.msrvtt_lists(folder)
    assert listed.counts() == {
        "videos": {"train": 9, "test": 1}, "captions": {"train": 18, "test": 1},
    }  # fmt: skip
    assert listed.captions["video9"] == ["a person, says the list"]
    for i in (3, 9):
        write_video(folder / f"video{i}.mp4", 5)
    recipes.prepare("msrvtt", path=folder, val=0)
    assert sorted(said("msrvtt")) == [("a person, says the list",), ("caption 3a", "caption 3b")]
    for name in ("test.csv", "train_7k.csv", "train_9k.csv"):
        (folder / name).unlink()
    counts = captions.msrvtt_lists(folder).counts()
    assert counts["videos"] == {"train": 8, "val": 1, "test": 3}


def test_lsmdc(roots: Path) -> None:
    folder = roots / "l"
    folder.mkdir()
    clips = [f"1005_Signs_00.03.{i:02d}.000-00.03.{i + 2:02d}.500" for i in range(5)]

    def line(clip: str, text: str) -> str:
        return "\t".join([clip, "a", "b", "c", "d", text])

    (folder / "LSMDC16_annos_training.csv").write_text(
        line(clips[0], 'SOMEONE says "no.') + "\r\n" + line(clips[1], "He waits.")
    )
    (folder / "LSMDC16_annos_val.csv").write_text(line(clips[2], "A dog."))
    (folder / "LSMDC16_annos_test.csv").write_text(
        line(clips[3], "Rain.") + "\n" + line(clips[4], "Snow.")
    )
    assert captions.lsmdc_lists(folder).counts()["videos"] == {"train": 2, "val": 1, "test": 2}
    (folder / "LSMDC16_challenge_1000_publictect.csv").write_text(line(clips[4], "Snow."))
    for clip in clips:
        write_video(folder / "1005_Signs" / f"{clip}.avi", 5, codec="mpeg4")
    told = recipes.prepare("lsmdc", path=folder)
    assert told["splits"] == {"train": 2, "val": 1, "test": 1}  # no draw: there is a val list
    assert ('SOMEONE says "no.',) in said("lsmdc")
    assert {v.group for v in read_manifest("lsmdc").videos} == {"1005_Signs"}


@pytest.mark.parametrize("form", ["csv", "dict", "records"])
def test_smit(tmp_path: Path, form: str) -> None:
    for part, video in (("train", "cooking/a_1.mp4"), ("val", "b_2.mp4"), ("test", "c.d_3.mp4")):
        text = f"someone is {part}ing, maybe"
        file = tmp_path / f"smit_{part}.{'csv' if form == 'csv' else 'json'}"
        if form == "csv":
            file.write_bytes(f'video,caption\r\n{video},"{text}"\r\n'.encode("utf-8-sig"))
        elif form == "dict":
            file.write_text(json.dumps({video: [text]}))
        else:
            file.write_text(json.dumps([{"filename": video, "transcript": text}]))
    listed = captions.smit_lists(tmp_path)
    assert listed.counts()["videos"] == {"train": 1, "val": 1, "test": 1}
    assert listed.captions["c.d_3"] == ["someone is testing, maybe"]


def test_didemo(roots: Path) -> None:
    folder = roots / "d"
    folder.mkdir()
    for part, videos in (("train", "aab"), ("val", "c"), ("test", "d")):
        moments = [
            {"video": f"1@N0_{v}.mov", "description": f"{part} {i}", "times": [[0, 1]]}
            for i, v in enumerate(videos)
        ]
        (folder / f"{part}_data.json").write_text(json.dumps(moments))
    write_video(folder / "1@N0_a.mp4", 5)  # in another container than the list says
    told = recipes.prepare("didemo", path=folder)
    assert told["listed_counts"]["videos"] == {"train": 2, "val": 1, "test": 1}
    assert said("didemo") == [("train 0", "train 1")]


def test_kinetics_names_on_disk_and_other_lists(roots: Path) -> None:
    """Seconds without zeros and bare ids are found; an id that two clips share is nobody's."""
    folder = roots / "k"
    ids = [("a-1", 3, 13), ("b_2", 0, 10), ("c", 5, 15), ("c", 25, 35), ("gone", 1, 11)]
    folder.mkdir()
    (folder / "train.csv").write_text(
        "label,youtube_id,time_start,time_end,split\n"
        + "".join(f"abseiling,{i},{a},{b},train\n" for i, a, b in ids)
    )
    (folder / "test.csv").write_text("youtube_id,time_start,time_end,split\nq,1,2,test\n")
    for name in ("a-1_3_13", "b_2", "c"):
        write_video(folder / f"{name}.mp4", 5)
    told = recipes.prepare("kinetics700", path=folder, val=0)
    assert told["splits"]["train"] == 2 and told["not_on_disk"] == 3
    frames = roots / "frames"
    frames.mkdir()
    (frames / "train_split.csv").write_text("/d/abseiling/0wR5jVB-WPk_000417_000427/,300\n" * 2)
    (frames / "val_split.csv").write_text("folding_paper/x_1_000001_000011,250\n")
    rows = actions.KINETICS400.read(frames, 1).rows
    assert [(r.name, r.label, r.split, r.group) for r in rows] == [
        ("0wR5jVB-WPk_000417_000427", "abseiling", "train", "0wR5jVB-WPk"),
        ("x_1_000001_000011", "folding paper", "test", "x_1"),
    ]
    (folder / "more.csv").write_text(
        "label,youtube_id,time_start,time_end,split,is_cc\n"
        + "".join(f"class {i},id{i},0,10,val,0\n" for i in range(400))
    )
    assert len(actions.KINETICS700.read(folder, 1).rows) == 405
    with pytest.raises(ThesisError, match="name 401 classes, Kinetics-400 has 400"):
        actions.KINETICS400.read(folder, 1)


def test_hmdb51_csv(tmp_path: Path) -> None:
    (tmp_path / "hmdb51.csv").write_text(
        "video_id,label,split1,split2,split3\n"
        "film_brush_hair_u_nm_np1_ba_goo_0.avi,brush_hair_test,1,2,0\n"
    )
    row = actions.hmdb51_lists(tmp_path, 2).rows[0]
    assert (row.label, row.split, row.group) == ("brush_hair", "test", "brush_hair/film")
    assert not actions.hmdb51_lists(tmp_path, 3).rows


def test_a_data_set_without_segments_has_no_file_of_them(roots: Path) -> None:
    """A set that takes the name of another leaves nothing of the other beside it."""
    recipes.prepare("thumos14", path=thumos_csv(roots / "t"), lists_only=True, name="x")
    (roots / "train_data.json").write_text('[{"video": "a", "description": "b"}]')
    recipes.prepare("didemo", path=roots, lists_only=True, name="x", force=True)
    assert said("x") == [("b",)]
    assert not (read_manifest("x").root / "segments.json").exists()


def test_counts_of_what_is_listed() -> None:
    assert Listed(()).counts() == {}
    assert Span(1, 2, "a") == (1, 2, "a", False)
    assert callable(prepare_listed)


def test_the_real_lists(shared: Path) -> None:
    """The numbers of issue 12, from the lists alone (those of actions: test_public.py)."""
    folder = shared / "annotations"
    wanted = {
        intervals.THUMOS14: {
            "videos": {"train": 200, "test": 213}, "segments": {"train": 3096, "test": 3457},
            "ambiguous": {"train": 89, "test": 99},
        },
        intervals.ACTIVITYNET: {
            "videos": {"train": 9649, "test": 4728}, "segments": {"train": 14859, "test": 7293},
        },
        captions.MSRVTT: {"videos": {"test": 1000}, "captions": {"test": 1000}},
    }  # fmt: skip
    for one, counts in wanted.items():
        listed = one.read(folder / one.name, 1)
        assert listed.counts() == counts
    listed = intervals.thumos14_lists(folder / "thumos14")
    assert len({s.label for some in listed.segments.values() for s in some}) == 21
    assert listed.notes["only_ambiguous"] == ["video_test_0001292"]
    assert len(listed.notes["kept_though_others_drop_them"]) == 3
    assert len(listed.lengths) == 213


def test_the_real_forms_of_thumos14_agree(shared: Path, tmp_path: Path) -> None:
    folder = shared / "annotations" / "thumos14"
    named = intervals.thumos14_lists(folder).segments
    for file in ("thumos14_test_groundtruth.csv", "thumos_gt.json"):
        alone = tmp_path / file.replace(".", "_")
        alone.mkdir()
        (alone / file).symlink_to(folder / file)
    numbered = intervals.thumos14_lists(tmp_path / "thumos14_test_groundtruth_csv").segments
    assert numbered == {name: named[name] for name in numbered} and len(numbered) == 213
    scored = intervals.thumos14_lists(tmp_path / "thumos_gt_json").segments
    assert len(scored) == 410 and sum(map(len, scored.values())) == 3311 + 3007
    assert not set(intervals.THUMOS_OFTEN_DROPPED) & set(scored)
    for name, some in scored.items():
        assert some == [one for one in named[name] if not one.ambiguous]
