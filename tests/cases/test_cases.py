"""What users of such tools reported, with its right value: small inputs of ../shared/cases."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import studio
from thesislib.chapters import run
from thesislib.chapters.row import Job
from thesislib.clip_config import ClipConfig, FlowConfig
from thesislib.data.dataset import ClipDataset
from thesislib.data.doctor import doctor
from thesislib.data.flow import compute_flow
from thesislib.data.folder import prepare_folder
from thesislib.data.loader import make_loader
from thesislib.data.manifest import read_manifest
from thesislib.data.public import prepare_kinetics400
from thesislib.data.reader import open_video
from thesislib.data.scan import find_candidates
from thesislib.errors import ThesisError
from thesislib.places import runs_root


@pytest.fixture
def case(shared: Path, request: pytest.FixtureRequest) -> Path:
    """The folder of the case that a test names as its parameter."""
    folder = shared / "cases" / request.param
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    return folder


@pytest.mark.parametrize("case", ["split_folders"], indirect=True)
def test_folders_named_like_splits_are_the_splits(case: Path) -> None:
    found, _ = find_candidates(case)
    assert {c.label for c in found} == {"jump", "wave"}
    assert Counter(c.split for c in found) == {"train": 8, "val": 4, "test": 4}


@pytest.mark.parametrize("case", ["nested_once"], indirect=True)
def test_the_folder_of_an_archive_is_passed_through(case: Path) -> None:
    assert {c.label for c in find_candidates(case)[0]} == {"jump", "run"}


@pytest.mark.parametrize("case", ["csv_encoding"], indirect=True)
def test_lists_in_other_encodings(case: Path) -> None:
    for name in ("utf16", "ok_bom_crlf"):
        assert len(find_candidates(case / f"{name}.csv")[0]) == 6
    for name, words in (
        ("cp1252", "is not text in UTF-8"),
        ("gbk", "is not text in UTF-8"),
        ("nul", "NUL"),
        ("semicolon", "semicolons"),
    ):
        with pytest.raises(ThesisError, match=words):
            find_candidates(case / f"{name}.csv")


@pytest.mark.parametrize("case", ["csv_columns"], indirect=True)
def test_columns_of_lists(case: Path) -> None:
    found, _ = find_candidates(case / "mixed_header.csv")
    assert {c.label for c in found} == {"run", "jump"}
    assert Counter(c.split for c in found) == {"train": 4, "test": 2}
    assert {c.label for c in find_candidates(case / "capital_header.csv")[0]} == {"run", "jump"}
    assert {c.label for c in find_candidates(case / "class_header.csv")[0]} == {"run", "jump"}
    for name, words in (
        ("unquoted_comma", "line 2, has more cells"),
        ("same_file_twice", "line 3.* twice"),
        ("no_header", "lacks the column path"),
        ("videomae", "lacks the column path"),
    ):
        with pytest.raises(ThesisError, match=words):
            find_candidates(case / f"{name}.csv")


@pytest.mark.parametrize("case", ["nfd_names"], indirect=True)
def test_names_with_accents_are_found_in_either_spelling(case: Path) -> None:
    found, _ = find_candidates(case / "list.csv")
    assert found
    assert all(c.path.is_file() for c in found)


@pytest.mark.parametrize("case", ["kinetics_csv"], indirect=True)
def test_lists_of_kinetics_put_together_with_a_mark_or_a_gap(case: Path, tmp_path: Path) -> None:
    options = {"root": tmp_path, "progress": False, "jobs": 1}
    both = prepare_kinetics400(case / "concat", **options)
    assert (len(both), len(both.classes)) == (8, 2)
    assert len(prepare_kinetics400(case / "bom", name="bom", **options).classes) == 2
    with pytest.raises(ThesisError, match=r"train\.csv, line \d+"):
        prepare_kinetics400(case / "empty", name="empty", **options)


@pytest.mark.parametrize("case", ["duplicates"], indirect=True)
def test_the_doctor_names_copies_in_several_splits(case: Path, tmp_path: Path) -> None:
    made = prepare_folder(case, "twice", root=tmp_path, full_check=False, progress=False)
    report = doctor(made)
    assert report["twins"]
    assert any("under several names" in problem for problem in report["problems"])


@pytest.mark.parametrize("case", ["duplicates"], indirect=True)
def test_other_contents_under_the_same_names_are_refused(case: Path, tmp_path: Path) -> None:
    folder = tmp_path / "v"
    shutil.copytree(case / "jump", folder)
    options = {"root": tmp_path / "data", "full_check": False, "progress": False}
    first = prepare_folder(folder, "mine", **options)
    files = sorted(folder.iterdir())
    for old, new in zip([*files], [*files[1:], files[0]], strict=True):
        old.rename(new.with_suffix(".new"))
    for file in folder.iterdir():
        file.rename(file.with_suffix(".mp4"))
    with pytest.raises(ThesisError, match=r"hold something else .*--force"):
        read_manifest("mine", tmp_path / "data")
    assert doctor(read_manifest("mine", tmp_path / "data", checked=False))["changed"]
    second = prepare_folder(folder, "mine", force=True, **options)
    assert second.fingerprint != first.fingerprint  # no run and no flow of the first is found
    assert read_manifest("mine", tmp_path / "data").fingerprint == second.fingerprint
    table = second.root / "manifest.csv"
    whole = table.read_text()
    for text, words in (
        (whole.replace("train", "test", 1), "not as it was prepared"),
        (whole.replace(",train,", ",TRAIN,", 1), "line .*cannot be its split"),
        (whole.replace(",64,", ",-64,", 1), "cannot be its|not as it was"),
    ):
        if text != whole:
            table.write_text(text)
            with pytest.raises(ThesisError, match=words):
                read_manifest("mine", tmp_path / "data")


@pytest.mark.parametrize("case", ["gif_folder"], indirect=True)
def test_what_the_decoder_reads_is_read(case: Path, tmp_path: Path) -> None:
    made = prepare_folder(case, "g", root=tmp_path, full_check=False, progress=False)
    assert len(made) == 14
    assert made.info["other_files"] == {".webp": 1, "without suffix": 1}
    for video in made.videos:
        assert len(open_video(made.file(video)).frames([0, 1])) == 2


@pytest.mark.parametrize("case", ["partly_labelled"], indirect=True)
def test_partly_labelled_is_refused_before_the_training(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio.use_folders(monkeypatch, tmp_path)
    prepare_folder(case, "partly", full_check=False, progress=False)
    with pytest.raises(ThesisError, match=r"4 of the 12 videos of 'partly' have no label"):
        run.run(Job("dpc/5pred3", dataset="partly", log=None))
    assert not list(runs_root().glob("dpc-*/metrics.jsonl"))


FRAMES = {
    "trim_editlist": [52, 52, 52, 52, 75],
    "vp8_altref": [100, 100],
    "avi_dropped": [56, 56, 57],
    "damaged_ts": None,
    "size_change": None,
    "long_name": None,
}


@pytest.mark.parametrize("case", [*FRAMES], indirect=True)
def test_frames_that_are_to_be_seen(case: Path, tmp_path: Path) -> None:
    made = prepare_folder(case, "seen", root=tmp_path, progress=False)
    assert made.info["skipped"] == []
    expected = FRAMES[case.name]
    assert expected is None or [video.n_frames for video in made.videos] == expected
    for video in made.videos:
        last = open_video(made.file(video)).frames([0, video.n_frames - 1])
        assert last.shape == (2, video.height, video.width, 3)


@pytest.mark.parametrize("case", ["rotation"], indirect=True)
def test_turned_videos_are_upright(case: Path, tmp_path: Path) -> None:
    made = prepare_folder(case, "turned", root=tmp_path, progress=False)
    for video in made.videos:
        quarter = Path(video.path).name.startswith("phone")
        assert (video.width, video.height) == ((64, 128) if quarter else (128, 64)), video.path
        frame = open_video(made.file(video)).frames([0])[0]
        assert frame.shape[:2] == (video.height, video.width)


@pytest.mark.parametrize("case", ["icon_flow", "tiny_flow"], indirect=True)
def test_a_tiny_video_stops_no_flow(case: Path, tmp_path: Path) -> None:
    made = prepare_folder(case, "small", root=tmp_path, progress=False)
    told = compute_flow(made, FlowConfig("dis", 20.0), jobs=1, progress=False)
    assert told["computed"] == 4 and len(told["skipped"]) == len(made) - 4
    assert compute_flow(made, FlowConfig("dis", 20.0), jobs=1, progress=False)["present"] == 4


@pytest.mark.parametrize("case", ["long_name"], indirect=True)
def test_a_long_name_has_flow_and_is_read(case: Path, tmp_path: Path) -> None:
    made = prepare_folder(case, "long", root=tmp_path, progress=False, copy=True)
    told = compute_flow(made, FlowConfig("dis", 20.0), jobs=1, progress=False)
    assert told["computed"] == 6 and not told["skipped"]


@pytest.mark.parametrize("case", ["trimmed_listed"], indirect=True)
def test_clips_as_scripts_cut_them_are_all_used(case: Path, tmp_path: Path) -> None:
    options = {"annotations": case, "full_check": True, "progress": False}
    made = prepare_kinetics400(case / "videos", root=tmp_path, **options)
    assert made.info["skipped"] == [] and len(made) == 5
    assert {video.n_frames for video in made.videos} == {52, 75}  # 75: the one that is whole


@pytest.mark.parametrize("case", ["val_last_batch"], indirect=True)
def test_validation_sees_every_video(case: Path, tmp_path: Path) -> None:
    made = prepare_folder(case / "list.csv", "val", root=tmp_path, progress=False)
    assert Counter(v.split for v in made.videos) == {"train": 20, "val": 20, "test": 4}
    held = made.select("val")
    data = ClipDataset(held, ClipConfig(num_seq=2, seq_len=2, stride=1, size=16), train=False)
    loader = make_loader(data, 16, shuffle=False)
    assert sum(len(batch["index"]) for batch in loader) == 20
