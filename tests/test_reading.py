"""Text, JSON and csv as people save them, and every kind of damage as one sentence."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from thesislib import files, places
from thesislib.errors import ThesisError, of_the_system

AGAIN = "fetch it again."
READERS: dict[str, Callable[[Path], object]] = {
    "text": lambda path: files.read_text(path, AGAIN),
    "json": lambda path: files.read_json(path, AGAIN),
    "lines": lambda path: files.read_json_lines(path, AGAIN),
    "table": lambda path: files.read_table(path, ("a", "b"), AGAIN),
}


def sentence(call: Callable[[], object]) -> str:
    """The one sentence that a call ends in."""
    with pytest.raises(ThesisError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and text.endswith((".", "?")) and ": " in text
    return text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_editors_save_is_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "x"
    path.write_bytes('{"a": "é"}\r\n'.encode(encoding))
    assert files.read_json(path, AGAIN) == {"a": "é"} == files.read_json_lines(path, AGAIN)[0]
    path.write_bytes('A , b,c\r\n1,"2\r\nof two lines",\r\n\r\n é,4\r\n'.encode(encoding))
    rows = files.read_table(path, ("a", "b"), AGAIN)
    assert rows == [
        (3, {"a": "1", "b": "2\r\nof two lines", "c": ""}),
        (5, {"a": " é", "b": "4", "c": ""}),
    ]
    assert files.read_table(path, ("a",), AGAIN, strip=True)[1][1]["a"] == "é"


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"na\xefve", "is not text in UTF-8: save it as UTF-8"),
        (b"a,b\n1,\0\n", "holds NUL bytes"),
        (b"\xff\xfea", "is not text in UTF-8"),  # UTF-16 that is cut off
        (b"\x80\0", "is not text in UTF-8"),
    ],
)
def test_other_encodings_are_named(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (path := tmp_path / "x").write_bytes(content)
    told = sentence(lambda: READERS[name](path))
    assert told.startswith(f"{path} ") and words in told and told.endswith(AGAIN)


def test_an_old_encoding_is_read_where_the_caller_allows_it(tmp_path: Path) -> None:
    (path := tmp_path / "x").write_bytes(b"na\xefve")
    assert files.read_text(path, AGAIN, otherwise="latin-1") == "naïve"
    path.write_bytes(b"\xe9\0")
    assert "is not text" in sentence(lambda: files.read_text(path, AGAIN, otherwise="latin-1"))


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000, '{"a": 1', "nul", "9" * 5000 + "}"])
def test_damaged_json_is_one_sentence(tmp_path: Path, content: str) -> None:
    (path := tmp_path / "x").write_text(content)
    told = sentence(lambda: files.read_json(path, AGAIN))
    assert told.startswith(f"{path} is not valid JSON (") and told.endswith(f": {AGAIN}")
    path.write_text("{}\n" + content + "\n")
    if content:
        told = sentence(lambda: files.read_json_lines(path, AGAIN))
        assert told == f"{path}, line 2, is no JSON object: {AGAIN}"


def test_json_of_another_kind_is_named(tmp_path: Path) -> None:
    (path := tmp_path / "x").write_text("[1]")
    assert sentence(lambda: files.read_json(path, AGAIN)).endswith(f"holds no JSON object: {AGAIN}")
    assert files.read_json(path, AGAIN, (dict, list)) == [1] == files.read_json(path, AGAIN, list)
    assert "JSON object or text" in sentence(lambda: files.read_json(path, AGAIN, (dict, str)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "lacks the column a, b"),
        ("a;b\n1;2\n", "has semicolons between its columns"),
        ("a\tb\n1\t2\n", "has tabs between its columns"),
        ("a,b,a\n1,2,3\n", "has the column a twice"),
        ("a,b\n1\n", "line 2, is cut off"),
        ("a,b\n1,2,3\n", "line 2, has more cells than the header"),
        ("a,b\n1," + "x" * 140_000 + "\n", "line 2, is no line of a table (field larger"),
        ('a,b\n1,"2\n3,4\n', "is no line of a table (unexpected end"),
    ],
)
def test_damaged_tables_are_named_with_their_line(tmp_path: Path, content: str, words: str) -> None:
    (path := tmp_path / "x").write_text(content)
    told = sentence(lambda: files.read_table(path, ("a", "b"), AGAIN))
    assert told.startswith(f"{path}") and words in told


@pytest.mark.parametrize("name", READERS)
def test_what_the_system_refuses_is_named_with_its_remedy(tmp_path: Path, name: str) -> None:
    def told(path: Path) -> str:
        return sentence(lambda: READERS[name](path))

    assert told(tmp_path / "x").endswith("(No such file or directory): look to the name.")
    assert told(tmp_path).endswith("(Is a directory): name a file, this is a folder.")
    (tmp_path / "circle").symlink_to("circle")
    assert "its links lead in a circle" in told(tmp_path / "circle")
    assert told(tmp_path / ("n" * 300)).endswith("(File name too long): shorten the name.")
    (tmp_path / "file").touch()
    assert "a part of the path is a file" in told(tmp_path / "file" / "x")
    assert "cannot be made (Not a directory)" in sentence(
        lambda: files.make_folder(tmp_path / "file" / "x")
    )


def test_every_error_of_the_system_is_a_sentence() -> None:
    for number in errno.errorcode:
        error = OSError(number, os.strerror(number), "a/file")
        assert sentence(lambda e=error: _raise(of_the_system(e))).startswith(
            "a/file cannot be used"
        )
    assert str(of_the_system(OSError())) == "Something cannot be used (OSError): try it again."
    assert "b'" not in str(of_the_system(OSError(2, "no", b"bytes")))


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    "error", [KeyError("k"), IndexError(), MemoryError(), RecursionError("deep\nand deeper")]
)
def test_whatever_a_damaged_file_does_to_its_reader(error: Exception) -> None:
    def read() -> None:
        with files.reading("x.bin", AGAIN):
            raise error

    told = sentence(read)
    assert told.startswith(f"x.bin is damaged or another file ({type(error).__name__}")
    assert told.endswith(f"): {AGAIN}")


def test_reading_lets_a_named_problem_and_a_stop_through() -> None:
    for error in (ThesisError("mine"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, files.reading("x", AGAIN):
            raise error
        assert caught.value is error


def test_paths_as_people_type_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert places.user_path("~/x") == tmp_path / "x"
    assert "is empty" in sentence(lambda: places.user_path(" ", "the path in line 3"))
    assert "holds a NUL" in sentence(lambda: places.user_path("a\0b"))
    assert sentence(lambda: places.user_path("~nobody-here/x", "--out")).startswith(
        "--out ~nobody-here/x begins with the home of somebody"
    )
    monkeypatch.setenv("THESISLIB_RUNS", "~nobody-here")
    assert sentence(places.runs_root).startswith("THESISLIB_RUNS ~nobody-here")


def test_no_home_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("THESISLIB_RUNS", raising=False)
    monkeypatch.setattr(places, "repo_root", lambda: None)
    monkeypatch.setattr(Path, "home", homeless)
    assert (
        sentence(places.runs_root)
        == "You have no home folder here: set THESISLIB_RUNS to a folder."
    )
