"""What users of such tools reported, with its right value: small inputs of ../shared/cases."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from thesislib.data.doctor import doctor
from thesislib.data.folder import prepare_folder
from thesislib.data.manifest import read_manifest
from thesislib.data.public import prepare_kinetics400
from thesislib.data.reader import open_video
from thesislib.data.scan import find_candidates
from thesislib.errors import ThesisError


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
