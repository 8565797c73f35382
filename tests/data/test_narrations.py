"""What is heard and what is seen: two files, and each mistake in them is a sentence."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from thesislib.data.manifest import Manifest, Video
from thesislib.data.narrations import (
    ALIGNMENTS_FILE,
    NARRATIONS_FILE,
    UNKNOWN,
    UNSEEN,
    Alignment,
    Narration,
    read_alignments,
    read_narrations,
    write_narrations,
)
from thesislib.errors import ThesisError

HEARD = {
    "a.mp4": [
        Narration(0.5, 2.25, "hello, you"),
        Narration(UNKNOWN, UNKNOWN, 'he said "it"\n now'),
    ],
    "c.mp4": [Narration(7654.321, 7656.0, "Grüße")],
}
SEEN = {
    "a.mp4": [UNSEEN._replace(kind="chatter"), Alignment(True, 3.0, 3.0, "shown")],
    "c.mp4": [Alignment(True, 7650.0, 7654.5)],
}


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    videos = [Video(f"{x}.mp4", "", "train", x, 100, 2.0, 8, 8) for x in "abc"]
    return Manifest("m", tmp_path, tuple(videos))


def test_what_is_written_is_read(manifest: Manifest) -> None:
    write_narrations(manifest, HEARD, SEEN)
    heard, seen = read_narrations(manifest), read_alignments(manifest)
    assert list(heard) == list(seen) == ["a.mp4", "c.mp4"]
    assert heard["a.mp4"][0] == HEARD["a.mp4"][0] and heard["c.mp4"] == tuple(HEARD["c.mp4"])
    assert math.isnan(heard["a.mp4"][1].start) and heard["a.mp4"][1].text == 'he said "it" now'
    assert seen["a.mp4"][1] == SEEN["a.mp4"][1] and seen["c.mp4"] == tuple(SEEN["c.mp4"])
    assert not seen["a.mp4"][0].alignable and math.isnan(seen["a.mp4"][0].end)
    part = replace(manifest, videos=manifest.videos[2:])
    assert list(read_narrations(part)) == list(read_alignments(part)) == ["c.mp4"]
    for read in (read_narrations, read_alignments):
        with pytest.raises(ThesisError, match="says nothing of the videos of this selection"):
            read(replace(manifest, videos=manifest.videos[1:2]))


def test_without_the_truth_there_is_no_file_of_it(manifest: Manifest) -> None:
    write_narrations(manifest, HEARD, SEEN)
    write_narrations(manifest, HEARD)
    assert list(manifest.info) == ["narrations_sha256"]
    with pytest.raises(ThesisError, match="Nobody knows what of the narration"):
        read_alignments(manifest)
    (manifest.root / NARRATIONS_FILE).unlink()
    with pytest.raises(ThesisError, match="prepare synthetic_narrated"):
        read_narrations(manifest)


@pytest.mark.parametrize(
    ("heard", "seen", "message"),
    [
        ({"x.mp4": []}, None, "no video 'x.mp4'"),
        (HEARD, {**SEEN, "x.mp4": []}, "no video 'x.mp4'"),
        ({"a.mp4": [Narration(2, 1, "x")]}, None, "2 to 1 s is no span"),
        ({"a.mp4": [Narration(-1, 1, "x")]}, None, "-1 to 1 s is no span"),
        ({"a.mp4": [Narration(1, math.inf, "x")]}, None, "inf s is no span"),
        ({"a.mp4": [Narration(UNKNOWN, 1, "x")]}, None, "nan to 1 s is no span"),
        ({"a.mp4": [Narration(0, 1, " \n")]}, None, "says nothing"),
        (HEARD, {"a.mp4": SEEN["a.mp4"]}, "c.mp4 has 1 sentences and 0 alignments"),
        (HEARD, {**SEEN, "c.mp4": [Alignment(True, UNKNOWN, UNKNOWN)]}, "alignable has a time"),
        (HEARD, {**SEEN, "c.mp4": [Alignment(False, 1, 2)]}, "alignable has a time"),
    ],
)
def test_what_cannot_be_written(
    manifest: Manifest, heard: dict, seen: dict | None, message: str
) -> None:
    with pytest.raises(ThesisError, match=message):
        write_narrations(manifest, heard, seen)


NARRATED = "path,start,end,text\na.mp4,0,1,hello\na.mp4,2,3,you\nother.mp4,x,y,z\n"
ALIGNED = "path,number,alignable,start,end,kind\na.mp4,1,0,,,\na.mp4,0,1,5,6,shown\n"


@pytest.mark.parametrize(
    ("name", "before", "after", "message"),
    [
        ("n", "a.mp4,2,3,you", "a.mp4,2,3,", "line 3: needs a text"),
        ("n", "a.mp4,2,3,you", "a.mp4,2,,you", "line 3: '2' to '' s is no span"),
        ("n", "a.mp4,2,3,you", "a.mp4,4,3,you", "line 3: '4' to '3' s is no span"),
        ("n", "a.mp4,2,3,you", "a.mp4,2", "line 3, is cut off"),
        ("n", "path,start", "path,begin", "lacks the column start"),
        ("n", "a.mp4,2,3,you\n", "", "line 2: '1' is no sentence"),
        ("n", "a.mp4,2,3,you", "b.mp4,2,3,you", "line 2: '1' is no sentence"),
        ("n", "hello", "h\xffllo", "is not text in UTF-8"),
        ("a", "a.mp4,1,0,,,", "a.mp4,1,2,,,", "alignable is '2'"),
        ("a", "a.mp4,1,0,,,", "a.mp4,1,0,1,2,", "line 2: what is alignable has a time"),
        ("a", "a.mp4,1,0,,,", "a.mp4,1,1,,,", "line 2: what is alignable has a time"),
        ("a", "a.mp4,1,0,,,", "a.mp4,0,0,,,", "'0' is no sentence, or one for the 2nd time"),
        ("a", "a.mp4,1,0,,,", "a.mp4,-1,0,,,", "'-1' is no sentence"),
        ("a", "a.mp4,1,0,,,", "a.mp4,00000000010,0,,,", "'00000000010' is no sentence"),
        ("a", "a.mp4,1,0,,,\n", "", "2 sentences and 1 alignments"),
        ("a", "a.mp4,1,0,,,", "b.mp4,0,0,,,", "b.mp4 has no sentence"),
    ],
)
def test_what_cannot_be_read(
    manifest: Manifest, name: str, before: str, after: str, message: str
) -> None:
    texts = {"n": NARRATED, "a": ALIGNED}
    for key, file in (("n", NARRATIONS_FILE), ("a", ALIGNMENTS_FILE)):
        (manifest.root / file).write_text(texts[key])
    assert len(read_alignments(manifest)["a.mp4"]) == 2
    assert before in texts[name]
    file = NARRATIONS_FILE if name == "n" else ALIGNMENTS_FILE
    (manifest.root / file).write_bytes(texts[name].replace(before, after).encode("latin-1"))
    with pytest.raises(ThesisError, match=message) as caught:
        read_alignments(manifest)
    assert "\n" not in str(caught.value)


def test_another_file_than_the_one_that_was_prepared_is_refused(manifest: Manifest) -> None:
    write_narrations(manifest, HEARD, SEEN)
    for name in (ALIGNMENTS_FILE, NARRATIONS_FILE):
        with (manifest.root / name).open("a") as file:
            file.write("\n")
        with pytest.raises(ThesisError, match="checksum differs"):
            read_alignments(manifest)
