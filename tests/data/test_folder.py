from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from video_files import BAD, write_bad_files, write_video

from thesislib.clip_config import ClipConfig
from thesislib.data.dataset import ClipDataset
from thesislib.data.doctor import doctor, group_leaks
from thesislib.data.folder import prepare_folder
from thesislib.data.loader import make_loader
from thesislib.data.manifest import read_manifest
from thesislib.data.splits import draw_splits, group_of
from thesislib.errors import ThesisError


@pytest.fixture
def mixed(good_folder: Path, tmp_path: Path) -> Path:
    """Six good videos of two classes among six bad files and a text file."""
    folder = tmp_path / "mixed"
    shutil.copytree(good_folder, folder)
    write_bad_files(folder / "b")
    (folder / "readme.txt").write_text("hello")
    return folder


def test_bad_files_are_named_skipped_counted_and_training_goes_on(
    mixed: Path, roots: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = prepare_folder(mixed, "mine", progress=False)
    said = capsys.readouterr().err
    assert "mine: 6 videos can be used, 6 skipped" in said
    skipped = {Path(s["path"]).name: s["reason"] for s in made.info["skipped"]}
    assert set(skipped) == set(BAD)
    for name, reason in BAD.items():
        assert reason in skipped[name]
        assert f"b/{name}: {skipped[name]}" in said
    assert sum(made.info["skipped_reasons"].values()) == 6
    assert made.info["other_files"] == {".txt": 1} and "1 .txt" in said
    back = read_manifest("mine")
    assert back.videos == made.videos
    assert {v.label for v in back.videos} == {"a", "b"}
    assert all(Path(v.path).is_absolute() and back.file(v).is_file() for v in back.videos)
    config = ClipConfig(num_seq=4, seq_len=5, stride=2, size=16)
    data = ClipDataset(back, config, train=True)
    assert sum(len(b["index"]) for b in make_loader(data, 2, shuffle=True)) == 6
    assert data.report["failed"] == 0


def test_a_name_that_is_no_text_is_skipped(good_folder: Path, tmp_path: Path, roots: Path) -> None:
    folder = tmp_path / "strange"
    folder.mkdir()
    shutil.copy(good_folder / "a" / "v0.mp4", folder / "v0.mp4")
    try:
        shutil.copy(good_folder / "a" / "v0.mp4", folder / os.fsdecode(b"\xff.mp4"))
    except OSError:
        pytest.skip("this file system has names in UTF-8 alone")
    made = prepare_folder(folder, "names", progress=False)
    assert [Path(v.path).name for v in made.videos] == ["v0.mp4"]
    assert made.info["skipped"] == [
        {"path": "\N{REPLACEMENT CHARACTER}.mp4", "reason": "its name is not UTF-8: rename it"}
    ]


def test_nothing_usable_stops_with_one_sentence(tmp_path: Path, roots: Path) -> None:
    write_bad_files(tmp_path / "bad")
    with pytest.raises(ThesisError, match=r"^None of the 6 files of .*bad is a usable video"):
        prepare_folder(tmp_path / "bad", "bad", progress=False)
    assert not (roots / "data" / "bad" / "manifest.csv").exists()
    (tmp_path / "none").mkdir()
    with pytest.raises(ThesisError, match="no video file in"):
        prepare_folder(tmp_path / "none", "none")
    with pytest.raises(ThesisError, match="neither a folder nor a csv"):
        prepare_folder(tmp_path / "gone", "gone")


def test_splits_follow_groups_and_the_seed_alone(roots: Path, tmp_path: Path) -> None:
    source = tmp_path / "ucf"
    whole = write_video(tmp_path / "v.mp4", 4)
    for label in ("Jump", "Run"):
        (source / label).mkdir(parents=True)
        for group in range(1, 6):
            for clip in (1, 2):
                shutil.copy(whole, source / label / f"v_{label}_g{group:02d}_c{clip:02d}.mp4")
    made = prepare_folder(source, "a", progress=False)
    assert group_leaks(made) == {}
    assert len({v.group for v in made.videos}) == 10
    counts = Counter((v.label, v.split) for v in made.videos)
    assert counts["Jump", "train"] == 6
    assert counts["Jump", "val"] == counts["Jump", "test"] == 2
    again = prepare_folder(source, "b", progress=False)
    assert again.videos == made.videos
    other = {prepare_folder(source, "a", progress=False, seed=s).fingerprint for s in range(5)}
    assert len(other) > 1
    assert group_of("x/v_Jump_g03_c01.avi") == "v_Jump_g03"
    assert group_of("x/home.mp4") == "x/home.mp4"


@pytest.mark.parametrize(("count", "expected"), [
    (1, (1, 0, 0)), (2, (1, 0, 1)), (3, (1, 1, 1)), (4, (2, 1, 1)), (10, (7, 1, 2)),
    (100, (70, 10, 20)),
])  # fmt: skip
def test_sizes_of_the_splits(count: int, expected: tuple[int, int, int]) -> None:
    for labels in (["x"], ["x", "y", "z"] if count < 7 else ["x"]):
        members = [(f"g{i}", labels[i % len(labels)] if count < 7 else "x") for i in range(count)]
        drawn = Counter(draw_splits(members, val=0.1, test=0.2, seed=0).values())
        if len(labels) == 1 or count < 5:
            assert (drawn["train"], drawn["val"], drawn["test"]) == expected
        assert draw_splits(members[::-1], val=0.1, test=0.2, seed=0) == draw_splits(
            members, val=0.1, test=0.2, seed=0
        )
    with pytest.raises(ThesisError, match="nothing to train on"):
        draw_splits([("a", "")], val=0.5, test=0.5, seed=0)


def test_four_real_clips_make_a_data_set(shared: Path, roots: Path) -> None:
    made = prepare_folder(shared / "real_clips", "real", progress=False)
    assert len(made) == 4
    assert Counter(v.split for v in made.videos) == {"train": 2, "val": 1, "test": 1}
    assert made.classes == ()
    report = doctor(made)
    assert report["missing"] == report["unreadable"] == []
    assert report["leaks"] == {}
    assert report["dropped"]["8x5 stride 1"] == {"train": 0, "val": 0, "test": 0}


def test_a_csv_gives_labels_splits_and_groups(good_folder: Path, roots: Path) -> None:
    table = roots / "mine.csv"
    rows = ["path,label,split,group"]
    rows += [f"{good_folder}/a/v0.mp4,eats,validation,k1", f"{good_folder}/b/v1.mp4,eats,,k2"]
    rows += [f"{good_folder}/a/v2.mp4,sleeps,test,k3", "gone.mp4,sleeps,,"]
    table.write_text("\n".join(rows) + "\n")
    made = prepare_folder(table, "t", progress=False, copy=True)
    split = {v.group: v.split for v in made.videos}
    assert split == {"k1": "val", "k2": "train", "k3": "test"}
    assert made.classes == ("eats", "sleeps")
    assert made.info["skipped"] == [{"path": "gone.mp4", "reason": "no such file"}]
    assert all(v.path.startswith("videos/") and made.file(v).is_file() for v in made.videos)
    for text, problem in (
        ("file,label\nx,y\n", "lacks the column path"),
        ("path,split\nx.mp4,dev\n", "line 2: the split 'dev'"),
        ("path,label\nx.mp4,a\nx.mp4,b\n", "line 3: x.mp4 is listed twice"),
        ("path,label\n", "lists no video"),
    ):
        table.write_text(text)
        with pytest.raises(ThesisError, match=problem):
            prepare_folder(table, "t", progress=False)


def test_a_name_is_not_taken_over(good_folder: Path, mixed: Path, roots: Path) -> None:
    first = prepare_folder(good_folder, "x", progress=False)
    prepare_folder(good_folder, "x", progress=False)  # the same source: made again
    with pytest.raises(ThesisError, match="name 'x' is taken"):
        prepare_folder(mixed / "a", "x", progress=False)
    assert read_manifest("x").videos == first.videos
    assert len(prepare_folder(mixed / "a", "x", progress=False, force=True)) == 3
    for name in ("../x", "a/b", "", ".x"):
        with pytest.raises(ThesisError, match="cannot be the name"):
            prepare_folder(good_folder, name, progress=False)


def test_killed_and_repeated_gives_the_same_files(mixed: Path, roots: Path) -> None:
    whole = prepare_folder(mixed, "mine", root=roots / "whole", progress=False, jobs=1)
    script = (
        "import time, sys\n"
        "from thesislib.data import checking, folder\n"
        "look = checking._look\n"
        "def slow(path, full):\n"
        "    time.sleep(0.2)\n"
        "    return look(path, full)\n"
        "checking._look = slow\n"
        f"folder.prepare_folder({str(mixed)!r}, 'mine', root={str(roots / 'cut')!r},"
        " progress=False, jobs=1)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    notes = roots / "cut" / "mine" / "checked.jsonl"
    until = time.monotonic() + 60
    while not (notes.is_file() and len(notes.read_text().splitlines()) >= 3):
        assert time.monotonic() < until
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (notes.parent / "manifest.csv").exists()
    known = len(notes.read_text().splitlines())
    with notes.open("a") as file:
        file.write('["half a li')  # what a kill in the middle of a write leaves
    looked = []
    from thesislib.data import checking

    look = checking._look
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checking, "_look", lambda p, f: (looked.append(p), look(p, f))[1])
        again = prepare_folder(mixed, "mine", root=roots / "cut", progress=False, jobs=1)
    assert len(looked) == 12 - known
    assert again.fingerprint == whole.fingerprint
    names = sorted(os.listdir(notes.parent))
    assert names == [".lock", "checked.jsonl", "contents.csv", "dataset.json", "manifest.csv"]
    for name in names:
        one, two = (roots / place / "mine" / name for place in ("whole", "cut"))
        assert one.read_bytes() == two.read_bytes(), name


def test_a_changed_file_is_looked_at_again(mixed: Path, roots: Path) -> None:
    prepare_folder(mixed, "mine", progress=False)
    write_video(mixed / "b" / "empty.mp4", 33)
    again = prepare_folder(mixed, "mine", progress=False)
    assert len(again) == 7
    assert {v.n_frames for v in again.videos if v.path.endswith("empty.mp4")} == {33}


def test_doctor_finds_what_is_wrong(mixed: Path, roots: Path) -> None:
    healthy = prepare_folder(mixed, "mine", progress=False)
    report = doctor(healthy, full=True)
    assert json.loads(json.dumps(report)) == report
    assert report["splits"]["train"]["videos"] == 2
    assert report["frames"] == {"shortest": 45, "median": 47.5, "longest": 50}
    assert sum(report["dropped"]["8x5 stride 1"].values()) == 0
    assert sum(report["dropped"]["8x5 stride 3"].values()) == 6
    assert report["skipped"]["truncated"] == 2
    assert len(report["problems"]) == 1  # too short for the long clips
    assert "too short for clips of 8x5 stride 2" in report["problems"][0]
    assert report["problems"][0].endswith("stride 1, 1x8 stride 3 fit into all of them.")
    rows = list(healthy.videos)
    healthy.file(rows[0]).unlink()
    healthy.file(rows[1]).write_text("no film")
    write_video(healthy.file(rows[2]), 12)
    table = (healthy.root / "manifest.csv").read_text()
    table = table.replace(f",{rows[4].group},", f",{rows[5].group},")
    (healthy.root / "manifest.csv").write_text(table)
    with pytest.raises(ThesisError, match="not as it was prepared"):
        read_manifest("mine")
    info = json.loads((healthy.root / "dataset.json").read_text())
    del info["fingerprint"]  # as the sentence says, for somebody who edited the rows
    (healthy.root / "dataset.json").write_text(json.dumps(info))
    sick = doctor(read_manifest("mine", checked=False))
    assert sick["missing"] == [rows[0].path]
    assert sick["unreadable"] == [{"path": rows[1].path, "reason": "not a video"}]
    assert sick["shorter_than_listed"] == [rows[2].path]
    text = " ".join(sick["problems"])
    for part in ("1 files are missing", "1 files cannot be read", "1 files hold fewer frames"):
        assert part in text
    if rows[4].split != rows[5].split:
        assert list(sick["leaks"]) == [rows[5].group]
        assert "1 groups lie in more than one split" in text
