"""Few-shot trials and open-set splits: the authors' forms, the real lists, our own draws."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from thesislib.data import few_shot, few_shot_names
from thesislib.data.few_shot import OpenSet, Trial
from thesislib.data.manifest import Manifest, Video
from thesislib.data.public import actions, intervals
from thesislib.errors import ThesisError


def manifest(rows: list[tuple[str, str, str]], name: str = "toy") -> Manifest:
    """Of (path, label, split); the group is the name without its times."""
    videos = tuple(
        Video(p, label, split, Path(p).stem.rsplit("_", 2)[0], 10, 25.0, 8, 8)
        for p, label, split in rows
    )
    return Manifest(name, Path(), videos)


HMDB = manifest([
    (f"/h/{name}/film{i}_{name}_f_{i}.avi", name, "train" if i < 6 else "test")
    for name in ("kick_ball", "run")
    for i in range(8)
])  # fmt: skip


def write_trials(folder: Path, spelling: str = "kick ball") -> Path:
    """Two trials of two classes in the authors' tree."""
    place = folder / "Few-shot Action Recognition" / "5-Shot-5-Way setting" / "HMDB-51"
    names = {spelling: "kick_ball", "run": "run"}
    for part, numbers in (("train", (0, 1)), ("test", (2, 7))):
        (place / part).mkdir(parents=True)
        lines = [f"{k}/film{i}_{c}_f_{i}" for k, c in names.items() for i in numbers]
        for number in (0, 10):
            (place / part / f"split_{number}.list").write_text("\r\n".join(lines) + "\n")
    return place


def test_trials_are_read_and_matched(tmp_path: Path) -> None:
    place = write_trials(tmp_path)
    assert few_shot.list_folder(tmp_path, "5-shot-5-way", "hmdb51") == place
    trials = few_shot.read_trials(place)
    assert [trial.number for trial in trials] == [0, 10]
    assert trials[0].classes == ("kick ball", "run")
    assert trials[0].query[0] == "kick ball/film2_kick_ball_f_2"
    matched = few_shot_names.match_trials(trials, HMDB)[1]
    assert matched.classes == ("kick_ball", "run")
    assert matched.support == (
        "/h/kick_ball/film0_kick_ball_f_0.avi", "/h/kick_ball/film1_kick_ball_f_1.avi",
        "/h/run/film0_run_f_0.avi", "/h/run/film1_run_f_1.avi",
    )  # fmt: skip
    assert len(matched.query) == 4
    (place / "test" / "split_10.list").unlink()
    with pytest.raises(ThesisError, match=r"split_10\.list is not in both train and test"):
        few_shot.read_trials(place)


def test_c_way_is_asked_the_official_test_split(tmp_path: Path) -> None:
    place = write_trials(tmp_path, "kick_ball")
    for file in (place / "test").iterdir():
        file.unlink()
    trial = few_shot.read_trials(place)[0]
    assert trial.query == ()
    matched = few_shot_names.match_trials([trial], HMDB)[0]
    assert matched.query == tuple(v.path for v in HMDB.videos if v.split == "test")


def test_missing_videos_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """A clip of Kinetics is found by its id; one that has left YouTube is named once."""
    kinetics = manifest([
        ("/k/busking/-YGUR0HXgyE_000085_000095.mp4", "busking", "train"),
        ("/k/folding_paper/a.mp4", "folding paper", "train"),
    ], "kinetics400")  # fmt: skip
    renamed = Video("/k/x.mp4", "busking", "test", "-bfFYc-aQro", 10, 25.0, 8, 8)
    kinetics = Manifest("kinetics400", Path(), (*kinetics.videos, renamed))
    trial = Trial(
        0,
        ("busking", "folding paper"),
        ("busking/-YGUR0HXgyE_000085_000095", "folding paper/a", "busking/gone_000001_000011"),
        ("busking/-bfFYc-aQro_000047_000057", "busking/gone_000001_000011"),
    )
    said = "1 of the 4 videos in the lists are not in the data set 'kinetics400', e.g. busking/gone"
    with pytest.raises(ThesisError, match=said):
        few_shot_names.match_trials([trial], kinetics)
    matched = few_shot_names.match_trials([trial], kinetics, missing=True)[0]
    assert matched.query == ("/k/x.mp4",) and len(matched.support) == 2
    assert capsys.readouterr().err.startswith(said)
    lost = Trial(3, trial.classes, trial.support[:1], ())
    with pytest.raises(ThesisError, match="Trial 3 has no video left to learn 'folding paper'"):
        few_shot_names.match_trials([lost], kinetics, missing=True)
    with pytest.raises(ThesisError, match=r"1 of the 1 classes .* e.g. 'swimming'"):
        few_shot_names.match_trials([Trial(0, ("swimming",), (), ())], kinetics)


def test_bad_lists(tmp_path: Path) -> None:
    place = write_trials(tmp_path)
    with pytest.raises(ThesisError, match="There are 0 folders of 5-shot-C-way / UCF-101"):
        few_shot.list_folder(tmp_path, "5-shot-C-way", "UCF-101")
    with pytest.raises(ThesisError, match=r"no train/split_0\.list"):
        few_shot.read_trials(tmp_path)
    (place / "test" / "split_0.list").write_text("walk/film0_walk_f_0\n")
    with pytest.raises(ThesisError, match="asks for classes that"):
        few_shot.read_trials(place)
    (place / "train" / "split_0.list").write_text("film\n")
    with pytest.raises(ThesisError, match="'film' is not <class>/<video>"):
        few_shot.read_trials(place)
    with pytest.raises(ThesisError, match="no train and test lists"):
        few_shot.read_open_sets(tmp_path)
    (tmp_path / "train.list").write_text("a b\nc\n")
    (tmp_path / "test.list").write_text("A_b\n")
    with pytest.raises(ThesisError, match="ab is both a seen and an unseen class"):
        few_shot.read_open_sets(tmp_path)
    (tmp_path / "names.json").write_text("[1]")
    with pytest.raises(ThesisError, match="does not hold words for classes"):
        few_shot_names.read_names(tmp_path / "names.json")


def test_our_own_trials() -> None:
    labels = [f"class {i}" for i in range(8)]
    rows = [
        (f"/v/{label}/{split}{i}.mp4", label, split)
        for label in labels
        for split, count in (("train", 7), ("val", 2), ("test", 3))
        for i in range(count)
    ]
    data = manifest(rows)
    trials = few_shot.draw_trials(data, trials=20, seed=3)
    split = {v.path: v.split for v in data.videos}
    label = {v.path: v.label for v in data.videos}
    for trial in trials:
        assert len(trial.classes) == len(set(trial.classes)) == 5
        assert len(set(trial.support)) == 25 and {split[p] for p in trial.support} == {"train"}
        assert len(trial.query) == 15 and {split[p] for p in trial.query} == {"test"}
        assert {label[p] for p in trial.support} == set(trial.classes)
    assert len({trial.support for trial in trials}) == 20
    # Neither the order of rows nor the number of trials matters; fewer shots are among the more.
    assert few_shot.draw_trials(manifest(rows[::-1]), trials=5, seed=3) == trials[:5]
    assert few_shot.draw_trials(data, trials=20, seed=4) != trials
    one = few_shot.draw_trials(data, trials=20, seed=3, shots=1)
    assert all(set(a.support) <= set(b.support) for a, b in zip(one, trials, strict=True))
    c_way = few_shot.draw_trials(data, ways=None, trials=2, split="val", queries=1)[0]
    assert c_way.classes == tuple(labels) and len(c_way.query) == 8
    assert {split[p] for p in c_way.query} == {"val"}
    with pytest.raises(ThesisError, match="9 ways cannot be drawn"):
        few_shot.draw_trials(data, ways=9)
    with pytest.raises(ThesisError, match="'class 0' of 'toy' has 7 training videos: 8 shots"):
        few_shot.draw_trials(data, shots=8)


def test_our_own_open_sets() -> None:
    classes = [f"c{i:02d}" for i in range(16)]
    splits = few_shot.draw_open_sets(classes, seen=0.75, draws=10, seed=1)
    assert {(len(s.seen), len(s.unseen)) for s in splits} == {(12, 4)}
    assert all(sorted(s.seen + s.unseen) == classes for s in splits)
    assert len({s.unseen for s in splits}) > 5
    assert few_shot.draw_open_sets(classes[::-1], draws=2, seed=1) == splits[:2]
    with pytest.raises(ThesisError, match="leaves one side empty"):
        few_shot.draw_open_sets(["a", "b"], seen=0.9)


def test_words_of_classes() -> None:
    names = ("ApplyEyeMakeup", "brush_hair", "BMX", "YoYo", "Tai chi", "massaging person's head")
    assert few_shot_names.words_of(names) == (
        "apply eye makeup", "brush hair", "BMX", "yo yo", "tai chi", "massaging person's head",
    )  # fmt: skip
    assert few_shot_names.words_of(["kick ball"], {"kick_ball": "kick a ball"}) == ("kick a ball",)
    with pytest.raises(ThesisError, match=r"1 of the 2 classes have no words, e.g. 'run'"):
        few_shot_names.words_of(["a", "run"], {"a": "b"})


def test_the_real_lists(shared: Path) -> None:
    lists = shared / "annotations" / "efficient_prompt"
    thumos = intervals.THUMOS_CLASSES
    segments = intervals.activitynet_lists(shared / "annotations" / "activitynet").segments
    anet = sorted({one.label for some in segments.values() for one in some})
    for share, counts in ("train75", {(15, 5), (150, 50)}), ("train50", {(10, 10), (100, 100)}):
        for name, classes in (("THUMOS14", thumos), ("ActivityNet1.3", anet)):
            splits = few_shot.read_open_sets(few_shot.list_folder(lists, share, name))
            assert [split.number for split in splits] == list(range(10))
            for split in splits:
                known = few_shot_names.match_open_set(split, classes)
                assert (len(known.seen), len(known.unseen)) in counts
                assert sorted(known.seen + known.unseen) == list(classes)
    kinetics = few_shot.read_open_sets(few_shot.list_folder(lists, "K700"))
    assert [(len(split.seen), len(split.unseen)) for split in kinetics] == [(400, 300)]
    names = few_shot_names.read_names(lists / "HMDB51_clsname.json")
    rows = actions.hmdb51_lists(shared / "annotations" / "hmdb51").rows
    words = few_shot_names.words_of(sorted({row.label for row in rows}), names)
    assert len(words) == 51 and words[0] == "brush hairs"
    with pytest.raises(ThesisError, match=r"10 of the 10 classes .* e.g. 'BaseballPitch'"):
        few_shot_names.match_open_set(
            OpenSet(0, tuple(thumos[:10]), tuple(thumos[10:])), ["swimming"]
        )
    assert json.loads((lists / "HMDB51_clsname.json").read_text()) == names
