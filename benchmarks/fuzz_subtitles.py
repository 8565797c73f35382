"""Mutated subtitle files of every kind: read, cut into sentences, written, read again.

Nothing but a named problem may come of a file, and no cue may be lost in silence. The first file
that breaks this is printed, with the seed that makes it again.
"""

from __future__ import annotations

import argparse
import collections
import json
import math
import random
import time
from collections.abc import Callable, Sequence

import pysubs2

from thesislib.errors import ThesisError
from thesislib.subtitles import Subtitles, parse_subtitles, whole_sentences
from thesislib.subtitles.sentences import LEFT_OUT
from thesislib.subtitles.writing import WRITERS

SAID = [
    "Add the salt, please.", "and then we", "stir it well\nwith a spoon.", "[Music]", "♪ la ♪",
    "<i>Wait</i> &amp; taste", "It’s 5° here, café?", "今天 我们。", "", "two\n\nthree", ">> How?",
]  # fmt: skip
TOKENS = [
    "-->", "->", "\0", "\ufeff", "&#x110000;", "&amp;lt;", "<c.a>", "<00:00:01.000>", "{\\an8}",
    "*", "{\\p1}", "\\N", "[", "]", "{", "}", "<", ">", "NOTE x", "STYLE", "WEBVTT",
    "Dialogue:", "[[", "(", "Format: Text", "99999999999", "-", "\u2212", ":", ",", ".", "1e999",
    "NaN", "null", '"', "'", "\\ud800", "\n", "\n\n", "\r",
    "00:00:01,000 --> 00:00:02,000", "00:00:01,1000", "61:61:61",
    "\u2028", "😀", "<br/>", 'begin="1t"', 'timeContainer="seq"', "<!ENTITY a 'b'>", "</p>", "true",
    '{"start": 1}', "\u00a0", "\x1e", "\x85", " ", "[Events]",
]  # fmt: skip
ENCODINGS = ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "gb18030"]


def originals() -> list[bytes]:
    """A small file of each kind."""
    subtitles = pysubs2.SSAFile()
    at = 0
    for i, text in enumerate(SAID):
        length = 1500 + 700 * (i % 3)
        subtitles.append(pysubs2.SSAEvent(at, at + length, text.replace("\n", "\\N")))
        at += length + 300 * (i % 5) - 400
    files = [subtitles.to_string(kind) for kind in ("srt", "vtt", "ass", "ssa", "ttml")]
    rows = [(e.start / 1000, e.end / 1000, e.plaintext) for e in subtitles]
    events = [{"tStartMs": int(1000 * a), "segs": [{"utf8": text}]} for a, _, text in rows]
    columns = zip(("start", "end", "text"), zip(*rows, strict=True), strict=True)
    srv1 = "".join(f'<text start="{a}" dur="{b - a}">a {b}</text>' for a, b, _ in rows)
    srv3 = "".join(f'<p t="{1000 * a:.0f}" d="900"><s>a</s><s t="9"> b</s></p>' for a, *_ in rows)
    files += [
        json.dumps({"wireMagic": "pb3", "events": [{"id": 1}, *events]}),
        json.dumps([{"text": text, "start": a, "duration": b - a} for a, b, text in rows]),
        json.dumps({"segments": [{"text": text, "start": a, "end": b} for a, b, text in rows]}),
        json.dumps(dict(columns)),
        f"<transcript>{srv1}</transcript>",
        f"<timedtext><body>{srv3}</body></timedtext>",
        "WEBVTT\nKind: captions\n\nSTYLE\n::cue {}\n\nREGION\nid:a\n\nNOTE b\n\nc\n"
        "00:01.000 --> 00:02.000\n"
        " \n<c>d</c>\n\n00:02.000 --> 00:02.010\nd\n \n\n00:02.010 --> 00:03.000\nd\ne\n",
    ]
    return [file.encode() for file in files]


def mutated(files: Sequence[bytes], rng: random.Random) -> bytes:
    """One of the files with one to eight changes."""
    data = rng.choice(files)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        data = rng.choice(_CHANGES)(data, files, rng)
    return data


def _slice(data: bytes, rng: random.Random, most: int = 80) -> tuple[int, int]:
    a = rng.randrange(len(data) + 1)
    return a, min(a + rng.randrange(1, most), len(data))


def _drop(data: bytes, files: Sequence[bytes], rng: random.Random) -> bytes:
    a, b = _slice(data, rng)
    return data[:a] + data[b:]


def _double(data: bytes, files: Sequence[bytes], rng: random.Random) -> bytes:
    a, b = _slice(data, rng)
    return data[:b] + data[a:]


def _flip(data: bytes, files: Sequence[bytes], rng: random.Random) -> bytes:
    some = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        if some:
            some[rng.randrange(len(some))] = rng.randrange(256)
    return bytes(some)


def _token(data: bytes, files: Sequence[bytes], rng: random.Random) -> bytes:
    a = rng.randrange(len(data) + 1)
    return data[:a] + rng.choice(TOKENS).encode() + data[a:]


def _digit(data: bytes, files: Sequence[bytes], rng: random.Random) -> bytes:
    places = [i for i, byte in enumerate(data) if 48 <= byte < 58]
    if not places:
        return data
    a = rng.choice(places)
    return data[:a] + rng.choice((b"9", b"0", b"", b"-", b"x", b"59", b" ")) + data[a + 1 :]


def _lines(data: bytes, files: Sequence[bytes], rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[i], lines[j] = lines[j], lines[i]
    return b"\n".join(lines)


def _splice(data: bytes, files: Sequence[bytes], rng: random.Random) -> bytes:
    other = rng.choice(files)
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other)) :]


def _ends(data: bytes, files: Sequence[bytes], rng: random.Random) -> bytes:
    return data.replace(b"\n", rng.choice((b"\r\n", b"\r", b"\r\r\n", b"\n\n")))


def _encode(data: bytes, files: Sequence[bytes], rng: random.Random) -> bytes:
    return data.decode("utf-8", "replace").encode(rng.choice(ENCODINGS), "replace")


def _cut(data: bytes, files: Sequence[bytes], rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


Change = Callable[[bytes, Sequence[bytes], random.Random], bytes]
_CHANGES: list[Change] = [
    *(
        _drop,
        _double,
        _flip,
        _token,
        _token,
        _token,
        _digit,
        _digit,
        _lines,
        _splice,
        _ends,
        _encode,
    ),
    _cut,
]


def check(data: bytes) -> str:
    """What came of a file: its kind, or ``refused``. Anything wrong is an error."""
    try:
        subtitles = parse_subtitles(data, duration=20.0)
    except ThesisError:
        return "refused"
    _whole(subtitles)
    result = whole_sentences(subtitles.cues)
    assert "\n".join(result.summary()).encode()
    out = {number for kind in LEFT_OUT for number in result.fates.get(kind, ())}
    used = set(result.of_cue())
    assert used.isdisjoint(out) and used | out == {cue.number for cue in subtitles.cues}
    assert all(0 <= one.start <= one.end and one.text for one in result.sentences)
    for kind, writer in WRITERS.items():
        try:
            text = writer(subtitles.cues)
        except ThesisError:  # ten hours in ass
            assert kind == "ass"
            continue
        again = parse_subtitles(text.encode())
        assert again.kind == kind and len(again.cues) == len(subtitles.cues)
        assert sorted(a.text for a in again.cues) == sorted(one.text for one in subtitles.cues)
    return subtitles.kind


def _whole(subtitles: Subtitles) -> None:
    assert "\n".join(subtitles.summary()).encode()
    numbers = [cue.number for cue in subtitles.cues]
    lost = subtitles.repairs.get("no time", [])
    assert sorted([*numbers, *lost]) == list(range(1, subtitles.found + 1))
    starts = [cue.start for cue in subtitles.cues]
    assert starts == sorted(starts)
    for cue in subtitles.cues:
        assert math.isfinite(cue.end) and 0 <= cue.start <= cue.end
        assert cue.text == "\n".join(" ".join(line.split()) for line in cue.text.split("\n"))
        assert cue.text.encode() is not None


def fuzz(count: int, seed: int = 0, seconds: float = math.inf) -> dict[str, int]:
    """Counts of what came of so many files; stops early after some seconds of the processor."""
    files = originals()
    found: collections.Counter[str] = collections.Counter()
    until = time.process_time() + seconds
    for i in range(count):
        if time.process_time() > until:
            break
        data = mutated(files, random.Random(seed * 1_000_003 + i))
        try:
            found[check(data)] += 1
        except BaseException:
            print(f"file {i} of seed {seed}: {data!r}")
            raise
    return dict(found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    begun = time.process_time()
    for kind, number in sorted(fuzz(options.count, options.seed).items()):
        print(f"{kind:8} {number:7,}")
    print(f"{time.process_time() - begun:.0f} s of the processor")
