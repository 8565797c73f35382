"""Files that are whole or not there."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from thesislib import files
from thesislib.errors import ThesisError
from thesislib.files import SUFFIX, replacing, write_json, write_text


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_a_block_that_ends_well_takes_the_place(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "x.bin"
    for content in (b"one", b"two"):
        with replacing(path) as partial:
            assert partial.parent == path.parent
            assert partial.name == f".x.bin.{os.getpid()}{SUFFIX}", "hidden, one a process"
            partial.write_bytes(content)
            assert not path.exists() or path.read_bytes() == b"one", "not before the end"
        assert path.read_bytes() == content
        assert names(path.parent) == ["x.bin"]


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), ThesisError("mine")])
def test_an_error_leaves_the_old_file_and_no_partial_one(
    tmp_path: Path, there: bool, error: BaseException
) -> None:
    path = tmp_path / "x.txt"
    if there:
        path.write_text("old")
    with pytest.raises(type(error)) as caught, replacing(path) as partial:
        partial.write_text("half")
        raise error
    assert caught.value is error, "as it was raised"
    assert names(tmp_path) == (["x.txt"] if there else [])
    assert not there or path.read_text() == "old"


@pytest.mark.parametrize("begun", [True, False])
def test_a_block_that_gives_up_changes_nothing(tmp_path: Path, begun: bool) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    with replacing(path) as partial:
        if begun:
            partial.write_text("half")
            partial.unlink()
    assert path.read_text() == "old" and names(tmp_path) == ["x.txt"]


def test_an_error_of_another_file_passes_through(tmp_path: Path) -> None:
    path, other = tmp_path / "x.txt", tmp_path / "source.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError) as caught, replacing(path) as partial:
        partial.write_text("half")
        other.read_text()
    assert caught.value.filename == str(other)
    assert path.read_text() == "old" and names(tmp_path) == ["x.txt"]


SENTENCE = r"x.txt cannot be written \(No space left on device\): free some space"


@pytest.mark.parametrize("named", [True, False])
def test_a_full_disk_gets_a_sentence(tmp_path: Path, named: bool) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(ThesisError, match=SENTENCE) as caught, replacing(path) as partial:
        partial.write_text("half")
        raise OSError(28, "No space left on device", *([str(partial)] if named else []))
    assert isinstance(caught.value.__cause__, OSError)
    assert path.read_text() == "old" and names(tmp_path) == ["x.txt"]


def test_safetensors_has_a_full_disk_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with (
        pytest.raises(ThesisError, match=r"cannot be written \(I/O error: full\): free some space"),
        replacing(path),
    ):
        raise SafetensorError("I/O error: full")
    assert names(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("write", [write_text, write_json])
def test_a_disk_that_is_really_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, str], None]
) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    real = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, *a, **k: real(Path("/dev/full"), *a, **k)
    )  # every write of it fails
    with pytest.raises(ThesisError, match=SENTENCE):
        write(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old" and names(tmp_path) == ["x.txt"]


def limited(script: str, folder: Path, size: int) -> subprocess.CompletedProcess[str]:
    """Runs a script in a process whose files can hold ``size`` bytes, as a disk that fills up."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return subprocess.run(
        [sys.executable, "-B", "-c", textwrap.dedent(script), str(folder)],
        preexec_fn=limit, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_what_does_not_fit_leaves_the_old_rows(tmp_path: Path) -> None:
    """Real writers on a disk that fills up in the middle of a file."""
    script = """
        import sys
        from pathlib import Path
        import numpy as np
        from thesislib.errors import ThesisError
        from thesislib.evaluation.scores import PerVideo, load_rows, save_rows
        from thesislib.files import write_text

        folder = Path(sys.argv[1])
        def rows(count):
            names = tuple(map(str, range(count)))
            values = np.full((count, 3), count, np.float32)
            numbers = np.arange(count)
            return PerVideo(values, numbers, numbers, {"total": count, "used": count}, names)

        save_rows(folder / "x.safetensors", rows(4))
        write_text(folder / "x.txt", "old")
        for write in (
            lambda: save_rows(folder / "x.safetensors", rows(100_000)),
            lambda: write_text(folder / "x.txt", "new" * 100_000),
        ):
            try:
                write()
            except ThesisError as error:
                print(error)
        assert len(load_rows(folder / "x.safetensors").values) == 4
        assert (folder / "x.txt").read_text() == "old"
    """
    done = limited(script, tmp_path, 100_000)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert "x.safetensors cannot be written (" in first and first.endswith(": free some space.")
    assert second == f"{tmp_path / 'x.txt'} cannot be written (File too large): free some space."
    assert names(tmp_path) == ["x.safetensors", "x.txt"]


@pytest.mark.parametrize("moment", ["written", "moved"])
def test_a_kill_leaves_the_old_file_or_the_new_one(tmp_path: Path, moment: str) -> None:
    path = tmp_path / "x.safetensors"
    script = """
        import os, signal, sys
        from pathlib import Path
        import numpy as np
        from safetensors.numpy import save_file
        from thesislib import files

        path, moment = Path(sys.argv[1]), sys.argv[2]
        def save(value):
            with files.replacing(path) as partial:
                save_file({"x": np.full(1000, value, np.float32)}, partial)
                if value and moment == "written":
                    os.kill(os.getpid(), signal.SIGKILL)
        def replace(*paths, move=os.replace):
            move(*paths)
            if moment == "moved" and done:
                os.kill(os.getpid(), signal.SIGKILL)
        done = []
        files.os.replace = replace
        save(0)
        done.append(True)
        save(1)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(path), moment]
    child = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert child.returncode == -signal.SIGKILL, child.stderr
    value = 0 if moment == "written" else 1
    assert np.array_equal(load_file(path)["x"], np.full(1000, value, np.float32))
    left = [name for name in names(tmp_path) if name != path.name]
    assert all(name.startswith(".x.safetensors.") and name.endswith(SUFFIX) for name in left)
    assert len(left) == (moment == "written")
    with replacing(path) as partial:  # and what the kill left is in nobody's way
        partial.write_bytes(b"new")
    assert path.read_bytes() == b"new"


def test_two_processes_do_not_mix_their_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.txt"
    with replacing(path) as mine:
        mine.write_text("mine")
        monkeypatch.setattr(files.os, "getpid", lambda: 1)
        with replacing(path) as other:
            assert other != mine
            other.write_text("other")
        assert path.read_text() == "other" and mine.read_text() == "mine"
    assert path.read_text() == "mine" and names(tmp_path) == ["x.txt"]


def test_text_is_written_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ä.csv"
    write_text(path, "ä,é\r\nb\n")
    assert path.read_bytes() == "ä,é\r\nb\n".encode(), "UTF-8, line ends untouched"
    write_text(str(path), "")
    assert path.read_bytes() == b""


def test_json_is_for_people_too(tmp_path: Path) -> None:
    value = {"b": [1, 2.5, None], "a": "é"}
    write_json(tmp_path / "x.json", value)
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads(text) == value and list(json.loads(text)) == ["b", "a"]
    assert '\n "a": "é"\n' in text and text.endswith("}\n")
    write_json(tmp_path / "x.json", value, sort_keys=True)
    assert list(json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))) == ["a", "b"]
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", {"a": object()})
    assert list(json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))) == ["a", "b"]


def test_what_keeps_a_file_from_being_opened_is_said(tmp_path: Path) -> None:
    """safetensors calls all of it "No such file", and the remedy would be to train again."""
    (tmp_path / "x").symlink_to(tmp_path / "x")
    with pytest.raises(ThesisError) as caught, files.reading(tmp_path / "x", "train again."):
        load_file(tmp_path / "x")
    said = f"{tmp_path / 'x'} cannot be read (Too many levels of symbolic links): its links lead"
    assert str(caught.value).startswith(said)


def test_arrays_have_the_rights_of_other_files(tmp_path: Path) -> None:
    """safetensors writes for the owner alone: nobody else could use a run or an index."""
    with replacing(tmp_path / "x.safetensors") as partial:
        save_file({"x": np.zeros(3)}, partial)
    write_text(tmp_path / "x.txt", "text")
    rights = {(tmp_path / name).stat().st_mode for name in ("x.safetensors", "x.txt")}
    assert len(rights) == 1


def test_what_safetensors_has_left_of_a_killed_process_goes_in_time(tmp_path: Path) -> None:
    for name in (".tmpAb3xyz", "sub/.tmpq0Zrst", ".tmp", "kept.safetensors"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("half")
    os.utime(tmp_path / ".tmpAb3xyz", (0, 0))
    os.utime(tmp_path / ".tmp", (0, 0))
    files.sweep(tmp_path)
    assert names(tmp_path) == [".tmp", "kept.safetensors", "sub"], "somebody may write the other"
    assert names(tmp_path / "sub") == [".tmpq0Zrst"]


def test_a_lock_needs_no_space(tmp_path: Path) -> None:
    script = """
        import sys
        from pathlib import Path
        from thesislib.locks import held

        with held(Path(sys.argv[1]) / ".lock", print):
            print("held")
    """
    done = limited(script, tmp_path, 0)
    assert (done.returncode, done.stdout, done.stderr) == (0, "held\n", "")


def test_a_folder_that_cannot_be_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for path in (tmp_path / "file" / "x.txt", tmp_path / "file" / "sub" / "x.txt"):
        with pytest.raises(ThesisError, match=r"x.txt cannot be written \("):
            write_text(path, "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ThesisError, match=r"folder cannot be written \(Is a directory\)"):
        write_text(tmp_path / "folder", "x")
    assert names(tmp_path) == ["file", "folder"] and names(tmp_path / "folder") == []


def test_a_long_name_is_cut_and_told_from_others(tmp_path: Path) -> None:
    assert files.derived("a.mp4", ".npz") == "a.mp4.npz"
    names = {files.derived("\u5916" * 80 + end, ".flow.npz") for end in ("a.mp4", "b.mp4")}
    assert len(names) == 2 and all(len(name.encode()) <= files.LONGEST for name in names)
    assert all(name.endswith(".flow.npz") for name in names)
    longest = tmp_path / ("x" * 255)
    files.write_text(longest, "text")
    assert longest.read_text() == "text" and len(list(tmp_path.iterdir())) == 1


def test_what_a_killed_process_has_left_of_a_file_goes_when_it_is_written(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    left = [tmp_path / f".{name}.{child.pid}.part" for name in ("a [1].json", "b.json")]
    alive = tmp_path / f".a [1].json.{os.getppid()}.part"
    for path in (*left, alive):
        path.write_text("half")
    write_text(tmp_path / "a [1].json", "whole")
    assert names(tmp_path) == sorted(["a [1].json", left[1].name, alive.name])
