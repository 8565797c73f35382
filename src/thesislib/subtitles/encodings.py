"""Bytes of a subtitle file to text: as told, by its mark, as UTF-8, or by a guess that is named."""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

from thesislib.errors import ThesisError

_MARKS = {  # the longer ones first: UTF-32's begins with UTF-16's
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_DECLARED = re.compile(rb"<\?xml[^>]*encoding=[\"']([\w.-]+)[\"']")
# What subtitles come in; a guess among all encodings there are is wrong more often.
_USUAL = [
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "koi8_r"),
    *("cp932", "euc_jp", "gb18030", "big5", "cp949"),
]


def decode(data: bytes, name: str, encoding: str | None = None) -> tuple[str, str]:
    r"""The text of a file, its lines ended by ``\n``, and how it was read, for people.

    Args:
        data: The file.
        name: Of the file, for errors.
        encoding: What it is in, where somebody knows; as Python names them: ``cp1251``.

    Raises:
        ThesisError: ``encoding`` is unknown or does not fit, or the bytes are no text.
    """
    text, how = _decoded(data, name, encoding)
    text = text.removeprefix("\ufeff")
    if text.count("\0") > len(text) // 10:
        raise ThesisError(f"{name} is no text file, it is full of NUL bytes: name another one.")
    return re.sub(r"\r*\n|[\r\u2028\u2029]", "\n", text), how


def _decoded(data: bytes, name: str, encoding: str | None) -> tuple[str, str]:
    if encoding is not None:
        return _as(data, name, encoding), encoding
    for mark, marked in _MARKS.items():
        if data.startswith(mark):
            text = data.decode(marked, "replace")
            damaged = ", damaged signs replaced" if "\ufffd" in text else ""
            return text, f"{marked.removesuffix('-sig')} by its mark{damaged}"
    if match := _DECLARED.match(data.lstrip()[:200]):
        declared = match.group(1).decode("ascii")
        try:
            return data.decode(declared), f"{declared} as it declares"
        except (UnicodeError, LookupError):
            pass  # what it declares is wrong, as often
    if data.count(b"\0") > len(data) // 4:
        wide = "utf-16-le" if data[1::2].count(0) >= data[::2].count(0) else "utf-16-be"
        return data.decode(wide, "replace"), f"{wide}, a guess"
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        pass
    best = from_bytes(data, cp_isolation=_USUAL).best()
    guess = "cp1252" if best is None else best.encoding
    # Signs that the guess does not know become marks of their own, so that no cue is lost by them.
    return data.decode(guess, "replace"), f"{guess}, a guess: --encoding says another"


def _as(data: bytes, name: str, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except LookupError:
        raise ThesisError(
            f"There is no encoding {encoding!r}: name one such as utf-8, cp1252 or utf-16."
        ) from None
    except (UnicodeError, ValueError):
        raise ThesisError(
            f"{name} is not in {encoding}: name its encoding with --encoding."
        ) from None
