"""What folders and csv files of users say of their videos; the names alone, no file is decoded."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from thesislib import recipes
from thesislib.data.scan import Candidate, find_candidates, walk
from thesislib.errors import ThesisError


def tree(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def told(found: list[Candidate]) -> dict[str, tuple[str, str]]:
    return {one.name: (one.label, one.split) for one in found}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a/1.mp4", "b/c/2.mp4", "3.mp4"], [("a", ""), ("b", ""), ("", "")]),
        (["train/a/1.mp4", "Valid/a/2.mp4", "test/3.mp4"],
         [("a", "train"), ("a", "val"), ("", "test")]),
        (["zip/train/a/1.mp4", "zip/testing/b/2.mp4"], [("a", "train"), ("b", "test")]),
        # One split alone, or another folder beside: these are classes.
        (["train/1.mp4", "train/2.mp4"], [("train", "")] * 2),
        (["train/a/1.mp4", "test/a/2.mp4", "more/3.mp4"],
         [("train", ""), ("test", ""), ("more", "")]),
        # Passed through once, and twice; a class of its own is none.
        (["zip/run/1.mp4", "zip/jump/2.mp4"], [("run", ""), ("jump", "")]),
        (["zip/zip/run/1.mp4", "zip/zip/jump/2.mp4"], [("run", ""), ("jump", "")]),
        (["zip/run/1.mp4", "zip/2.mp4"], [("zip", ""), ("zip", "")]),
    ],
)  # fmt: skip
def test_folders_name_classes_and_splits(
    tmp_path: Path, names: list[str], expected: list[tuple[str, str]]
) -> None:
    found, _ = find_candidates(tree(tmp_path, *names))
    assert told(found) == dict(zip(names, expected, strict=True))


def test_links_are_followed_once(tmp_path: Path) -> None:
    source = tree(tmp_path / "mine", "run/1.mp4", "run/2.mp4", "zoo/3.mp4")
    tree(tmp_path / "elsewhere", "4.mp4", "deep/5.mp4")
    for link, goal in {
        "run/all": "..", "zoo/all": "..", "again": "run", "aaa": "zoo", "more": "../elsewhere",
        "twice": "../elsewhere/deep", "self": "self", "gone": "nothing",
    }.items():  # fmt: skip
        (source / link).symlink_to(goal)
    files = sorted(file.relative_to(source).as_posix() for file in walk(source) if file.is_file())
    assert files == ["more/4.mp4", "more/deep/5.mp4", "run/1.mp4", "run/2.mp4", "zoo/3.mp4"]


def test_other_files_are_counted_by_suffix(tmp_path: Path) -> None:
    tree(tmp_path, "1.mp4", "a.JPG", "b.jpg", "README", ".hidden/2.mp4", "._1.mp4")
    found, others = find_candidates(tmp_path)
    assert [one.name for one in found] == ["1.mp4"] and others == {".jpg": 2, "without suffix": 1}
    (tmp_path / "1.mp4").unlink()
    with pytest.raises(ThesisError, match=r"no video file in .* \(but 1 without suffix, 2 .jpg"):
        find_candidates(tmp_path)


def test_a_folder_that_cannot_be_read_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, "zip/a/1.mp4", "zip/secret/2.mp4")
    scandir = os.scandir

    def refused(path: Path) -> object:
        if Path(path).name == "secret":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    found, _ = find_candidates(tmp_path)
    assert told(found) == {"zip/a/1.mp4": ("", ""), "zip/secret": ("", "")} or told(found) == {
        "zip/a/1.mp4": ("a", ""), "zip/secret": ("", ""),
    }  # fmt: skip


HEAD = "path,label\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xef\xbb\xbfPath,Label,SPLIT\r\n1.mp4, a ,TRAIN\r\n", ("a", "train")),
        ((HEAD + "1.mp4,K\u00fcssen\n").encode("utf-16"), ("K\u00fcssen", "")),
        (b"path,class\n1.mp4,a\n,\n", ("a", "")),
        (b'path,label\n1.mp4,"hands, up"\n', ("hands, up", "")),
        (b"path,label,split\n1.mp4,,Validation\n", ("", "val")),
    ],
)
def test_a_csv_as_spreadsheets_write_it(
    tmp_path: Path, data: bytes, expected: tuple[str, str]
) -> None:
    (tmp_path / "list.csv").write_bytes(data)
    found, _ = find_candidates(tmp_path / "list.csv")
    assert told(found) == {"1.mp4": expected}
    assert found[0].path == tmp_path / "1.mp4"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ((HEAD + "1.mp4,K\u00fcssen\n").encode("cp1252"), "not text in UTF-8: save it as UTF-8"),
        (b"path,label\n1.mp4,a\0\n", "holds NUL bytes"),
        (b"path;label\n1.mp4;a\n", "semicolons between its columns"),
        (b"path,label\n1.mp4,hands, up\n", "line 2, has more cells than the header"),
        (b"1.mp4,a\n2.mp4,b\n", "lacks the column path; its first line is '1.mp4,a'"),
        (b"path,label,colour\n1.mp4,a,red\n", "unknown column 'colour'"),
        (b"path,label\n1.mp4,a\n./1.mp4,b\n", "line 3: ./1.mp4 is listed twice"),
        (b"path,label\n,a\n", "path in line 2 of .* is empty"),
        (b"path,label\n~nobody_here/1.mp4,a\n", "whom this machine does not know"),
        (b"path,label\n" + b"x" * 200_000 + b",a\n", "line 2"),
        (b'path,label\n"1.mp4,a\n', "no line of a table"),
        (b"", "lacks the column path"),
    ],
)
def test_a_list_that_cannot_be_read_is_named(tmp_path: Path, data: bytes, problem: str) -> None:
    (tmp_path / "list.csv").write_bytes(data)
    with pytest.raises(ThesisError, match=problem):
        find_candidates(tmp_path / "list.csv")


def test_letters_with_accents_in_either_spelling(tmp_path: Path) -> None:
    composed = unicodedata.normalize("NFC", "Ku\u0308sse.mp4")
    parted = unicodedata.normalize("NFD", composed)
    for there, listed in ((parted, composed), (composed, parted)):
        folder = tree(tmp_path / there[:3], there)
        (folder / "list.csv").write_text(f"path,label\n{listed},a\n", encoding="utf-8")
        found, _ = find_candidates(folder / "list.csv")
        assert found[0].path.name == there and found[0].name == listed


def test_a_point_in_a_folders_name_is_no_suffix(tmp_path: Path) -> None:
    for name in ("session.2024-05-01", "session.2024-05-02"):
        assert recipes.name_of(tree(tmp_path / name, "1.mp4")) == name
    assert recipes.name_of(tree(tmp_path, "list.csv") / "list.csv") == "list"


CASES = {
    "split_folders": ({"jump", "wave"}, {"train": 8, "val": 4, "test": 4}),
    "nested_once": ({"jump", "run"}, {"": 8}),
    "csv_columns/mixed_header.csv": ({"jump", "run"}, {"train": 4, "test": 2}),
    "csv_columns/capital_header.csv": ({"jump", "run"}, {"": 6}),
    "csv_columns/class_header.csv": ({"jump", "run"}, {"": 6}),
    "csv_columns/split_words.csv": ({"jump", "run"}, None),
    "csv_encoding/utf16.csv": ({"\u6325\u624b", "\u8df3\u8dc3"}, {"": 6}),
    "csv_encoding/ok_bom_crlf.csv": ({"K\u00fcssen", "\u00d6ffnen"}, {"": 6}),
    "nfd_names": (None, None),
}


@pytest.mark.parametrize("case", CASES)
def test_reported_cases(shared: Path, case: str) -> None:
    source = shared / "cases" / case
    lists = sorted(source.glob("*.csv"))
    found, _ = find_candidates(lists[0] if lists and source.is_dir() else source)
    assert found and all(one.path.is_file() for one in found)
    classes, splits = CASES[case]
    assert classes is None or {one.label for one in found} == classes
    assert splits is None or Counter(one.split for one in found) == splits
