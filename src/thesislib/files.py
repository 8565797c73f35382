"""Files: written whole or not at all, and read so that whatever is wrong is one sentence.

Every text, JSON and csv file of the library is read here, its own as well as a user's: what people
save in an editor or a spreadsheet (marks, UTF-16, CR LF) is read, what is damaged is named.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import glob
import hashlib
import io
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from thesislib.errors import ThesisError, of_the_system

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}  # in the place of commas
LONGEST = 230  # bytes of a name, of the 255 that disks allow: a partial file's is longer
SUFFIX = ".part"  # of a file that is not whole yet; its name begins with a dot
STILL = 600.0  # seconds without a byte, after which nobody writes a file any more
os.umask(_MASK := os.umask(0o022))  # there is no other way to ask for it


@contextlib.contextmanager
def replacing(path: str | Path, remedy: str = "free some space.") -> Iterator[Path]:
    """A path beside ``path`` to write to, which takes its place when the block ends well.

    A kill at any moment leaves the old file or the new one; an error leaves the old one. Each
    process has a name of its own, so two writers never mix their bytes; what killed ones have left
    half written of this file is removed.

    Raises:
        ThesisError: The file cannot be written; ends with ``remedy``. An error of another file,
            which the block has read, passes through.
    """
    path = Path(path)
    partial = path.with_name(derived(f".{path.name}", f".{os.getpid()}{SUFFIX}"))
    ours = {str(partial), str(path), *map(str, path.parents)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_dead(path.parent.glob(f".{glob.escape(path.name)}.*{SUFFIX}"))
        yield partial
        if partial.exists():  # a block that gave up has written nothing
            share(partial)
            os.replace(partial, path)
    except (OSError, SafetensorError) as error:  # safetensors has its own for a full disk
        names = {getattr(error, name, None) for name in ("filename", "filename2")}
        if names != {None} and not names & ours:
            raise
        raise of_the_system(error, path, "written", remedy) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def make_folder(path: str | Path) -> Path:
    """The folder, made with its parents where it is not there.

    Raises:
        ThesisError: It cannot be made.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise of_the_system(error, path, "made") from error
    return Path(path)


def derived(name: str, suffix: str) -> str:
    """The name of a file that is made from another: ``a.mp4`` and ``.npz`` give ``a.mp4.npz``.

    A name that would be too long for a disk while it is being written (see :func:`replacing`) is
    cut, and a hash of the whole of it tells it from others that begin alike.
    """
    if len(os.fsencode(name + suffix)) <= LONGEST:
        return name + suffix
    mark = f"~{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}{suffix}"
    while len(os.fsencode(name + mark)) > LONGEST:
        name = name[:-1]
    return name + mark


def sweep(folder: Path) -> None:
    """Removes what killed processes have left half written in a folder and below."""
    _remove_dead(folder.rglob(f".*{SUFFIX}"))
    for left in folder.rglob(".tmp??????"):  # of safetensors, which does not say of which process
        with contextlib.suppress(OSError):
            if left.is_file() and time.time() - left.stat().st_mtime > STILL:
                left.unlink()


def _remove_dead(partials: Iterable[Path]) -> None:
    if os.name == "nt":  # there to ask for a process by its number would end it
        return
    for partial in partials:
        number = partial.name.split(".")[-2]
        if number.isdigit() and int(number) != os.getpid():
            try:
                os.kill(int(number), 0)
            except ProcessLookupError:
                partial.unlink(missing_ok=True)
            except PermissionError:  # somebody else's, and alive
                continue


def share(path: Path) -> None:
    """Gives a file the usual rights: safetensors writes for the owner alone."""
    if not path.stat().st_mode & 0o077:
        with contextlib.suppress(OSError):  # a disk that knows no rights
            path.chmod(0o666 & ~_MASK)


def to_disk(path: Path) -> None:
    """Has the system write a file out now: a name that outlived a power cut would hold nothing."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_text(path: str | Path, text: str) -> None:
    """Writes a text file, on the disk when this returns."""
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def write_json(path: str | Path, value: Any, *, sort_keys: bool = False) -> None:
    """Writes JSON, one space a level."""
    text = json.dumps(value, indent=1, ensure_ascii=False, sort_keys=sort_keys)
    write_text(path, text + "\n")


@contextlib.contextmanager
def reading(path: str | Path, remedy: str) -> Iterator[None]:
    """Whatever goes wrong within the block is one sentence about the file that it reads.

    A damaged file can break its reader in any way, so every :class:`Exception` counts. Keep to the
    block what depends on the file's content.

    Args:
        path: The file.
        remedy: What to do where it is damaged: ``"prepare the data set again."``

    Raises:
        ThesisError: The block raised; a :class:`ThesisError` of its own passes through.
    """
    try:
        yield
    except ThesisError:
        raise
    except OSError as error:
        raise of_the_system(error, path, "read", remedy) from None
    except Exception as error:
        why = " ".join(str(error).split())[:120]
        kind = type(error).__name__
        why = f"{kind}: {why}" if why else kind
        raise ThesisError(f"{path} is damaged or another file ({why}): {remedy}") from None


def read_text(path: str | Path, remedy: str, *, otherwise: str | None = None) -> str:
    """The text of a file: UTF-8, with its mark or without, or UTF-16 with its mark.

    Args:
        path: The file.
        remedy: What to do where it cannot be read: ``"fetch it again."``
        otherwise: Encoding of a file that is none of these; default: it is refused.

    Returns:
        The text, line ends as they are.

    Raises:
        ThesisError: It cannot be read, is no text or has another encoding.
    """
    with reading(path, remedy):
        data = Path(path).read_bytes()
    wide = data.startswith(UTF_16)
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        if otherwise is None or wide or b"\0" in data:
            raise ThesisError(
                f"{path} is not text in UTF-8: save it as UTF-8, or else {remedy}"
            ) from None
        text = data.decode(otherwise)
    if "\0" in text:
        raise ThesisError(f"{path} is not a text file, it holds NUL bytes: {remedy}")
    return text


def read_json(path: str | Path, remedy: str, kind: type | tuple[type, ...] = dict) -> Any:
    """What a JSON file holds.

    Args:
        path: The file.
        remedy: What to do where it is damaged: ``"prepare the data set again."``
        kind: What it must be: ``dict``, ``list``, ``object`` for anything.

    Raises:
        ThesisError: It cannot be read, is no JSON, or holds something else.
    """
    text = read_text(path, remedy)
    try:
        value = _loads(text)
    except (ValueError, RecursionError) as error:
        why = str(error)[:80]
        raise ThesisError(f"{path} is not valid JSON ({why}): {remedy}") from None
    if not isinstance(value, kind):
        raise ThesisError(f"{path} holds no {_named(kind)}: {remedy}")
    return value


def _loads(text: str) -> Any:
    value = json.loads(text)
    if "\\u" in text:  # may name half a letter, which no file can be given
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _named(kind: type | tuple[type, ...]) -> str:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    words = {"dict": "JSON object", "list": "JSON list", "str": "text"}
    return " or ".join(words.get(one.__name__, one.__name__) for one in kinds)


def read_json_lines(path: str | Path, remedy: str) -> list[dict[str, Any]]:
    """The JSON objects of a file that has one a line; empty lines are left out.

    Raises:
        ThesisError: It cannot be read, or a line is no JSON object.
    """
    rows = []
    for number, line in enumerate(read_text(path, remedy).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = _loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise ThesisError(f"{path}, line {number}, is no JSON object: {remedy}")
        rows.append(row)
    return rows


def read_table(
    path: str | Path,
    columns: Sequence[str],
    remedy: str,
    *,
    known: Sequence[str] = (),
    text: str | None = None,
    strip: bool = False,
) -> list[tuple[int, dict[str, str]]]:
    """The rows of a csv with a header. Every cell is text; none is missing.

    Args:
        path: The file.
        columns: Those that it must have, in any spelling of capitals; rows have them as here.
        remedy: What to do where it is damaged: ``"fetch it again."``
        known: More columns whose spelling is mended like that.
        text: What it holds, where the caller has read it already.
        strip: Cells without blanks at their ends.

    Returns:
        The number of the line where a row ends, and the row by column. Cells that a short row lacks
        are empty where no column of ``columns`` is among them.

    Raises:
        ThesisError: It cannot be read, lacks a column or has one twice, has another delimiter, a
            quotation without an end, or a row that is cut off or has more cells than the header.
    """
    text = read_text(path, remedy) if text is None else text
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=strip, strict=True)
    rows = []
    try:
        header = [name.strip() for name in next(reader, [])]
        spelled = {name.casefold(): name for name in (*known, *columns)}
        names = [spelled.get(name.casefold(), name) for name in header]
        _check_header(path, names, columns, remedy)
        for cells in filter(None, reader):  # without empty lines
            row = dict(zip(names, cells, strict=False)) | dict.fromkeys(names[len(cells) :], "")
            cut = set(names[len(cells) :]) & set(columns)
            if cut or len(cells) > len(names):
                what = "is cut off" if cut else "has more cells than the header"
                raise ThesisError(f"{path}, line {reader.line_num}, {what}: {remedy}")
            row = {name: cell.strip() for name, cell in row.items()} if strip else row
            rows.append((reader.line_num, row))
    except csv.Error as error:
        raise ThesisError(
            f"{path}, line {reader.line_num}, is no line of a table ({error}): {remedy}"
        ) from None
    return rows


def _check_header(
    path: str | Path, names: Sequence[str], columns: Sequence[str], remedy: str
) -> None:
    if missing := [name for name in columns if name not in names]:
        first = ",".join(names)
        for sign, word in DELIMITERS.items():
            if len(names) == 1 and sign in first:
                raise ThesisError(
                    f"{path} has {word} between its columns: save it as csv with commas."
                )
        lacks = f"{path} lacks the column {', '.join(missing)}; its first line is {first[:80]!r}"
        raise ThesisError(f"{lacks}: {remedy}")
    if twice := [name for name in dict.fromkeys(names) if name and names.count(name) > 1]:
        raise ThesisError(f"{path} has the column {twice[0]} twice: {remedy}")


def csv_text(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table as csv, quoted where it has to be."""
    lines = []
    for row in [head, *rows]:
        text = io.StringIO()
        csv.writer(text).writerow(row)  # with its own end of a line it quotes a lone "\r" too
        lines.append(text.getvalue().removesuffix("\r\n"))
    return "\n".join([*lines, ""])


def sheet_text(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """The same for a spreadsheet, where a text that begins like a formula would be one.

    An apostrophe before it, as spreadsheets write it themselves, makes it a text again. For tables
    that people look at; a file of ours that is read again is :func:`csv_text`.
    """
    return csv_text([_cell(name) for name in head], ([_cell(value) for value in r] for r in rows))


def _cell(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
