"""The side files of segments and of captions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from thesislib.data.captions import CAPTIONS_FILE, read_captions, write_captions
from thesislib.data.failures import FAILURES_FILE, read_failures, write_failures
from thesislib.data.manifest import Manifest, Video
from thesislib.data.segments import (
    SEGMENTS_FILE,
    Segment,
    labels_of,
    read_segments,
    write_segments,
)
from thesislib.data.side_files import checksum_key
from thesislib.errors import ThesisError


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    videos = tuple(
        Video(f"{split}/{i}.mp4", "", split, f"g{i}", 300, 7.5, 64, 64)
        for i, split in enumerate(("train", "train", "test"))
    )
    return Manifest("m", tmp_path, videos)


def test_what_is_written_is_read(manifest: Manifest) -> None:
    a, b, c = (video.path for video in manifest.videos)
    rows = [(3.0, 4.5, "kick"), (1.25, 2.0, "Tür öffnen"), (3.5, 3.5, "kick")]
    write_segments(manifest, {a: rows}, {a: [(0.0, 9.0, "kick")], c: [(1.0, 2.0, "")]})
    found = read_segments(manifest)
    assert list(found) == [a, b, c]
    assert found[a] == tuple(Segment(*row) for row in sorted(rows))
    assert found[b] == found[c] == ()
    start, end, label = found[a][0]
    assert (start, end, label) == (1.25, 2.0, "Tür öffnen")
    assert labels_of(found) == ("Tür öffnen", "kick")
    assert read_segments(manifest, ambiguous=True) == {
        a: (Segment(0.0, 9.0, "kick"),), b: (), c: (Segment(1.0, 2.0, ""),)
    }  # fmt: skip
    text = (manifest.root / SEGMENTS_FILE).read_text(encoding="utf-8")
    assert json.loads(text)["format"] == 1 and len(text.splitlines()) == 5, "a video a line"
    with pytest.raises(ThesisError, match="not one segment"):
        read_segments(manifest.select("test"))


@pytest.mark.parametrize(
    "row",
    [
        [1, 2], [2, 1, "a"], [-1, 2, "a"], [1, 2, ""], [1, 2, 3], ["1", 2, "a"], "a", None,
        [1, 2, "a", "no"], [1, 2, "a", "ambiguous", 0], [1, float("nan"), "a"], [True, 2, "a"],
    ],
)  # fmt: skip
def test_what_is_no_segment_is_named(row: object, manifest: Manifest) -> None:
    path = manifest.root / SEGMENTS_FILE
    path.write_text(json.dumps({"format": 1, "videos": {"train/1.mp4": [row]}}))
    with pytest.raises(ThesisError, match=r"train/1\.mp4: .* is no segment"):
        read_segments(manifest)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no valid JSON|not valid JSON"), ("[]", "holds no JSON object"),
        ('{"format": 2, "videos": {}}', "not of format 1"), ('{"format": 1}', "no table"),
        ('{"format": 1, "videos": {"train/0.mp4": 3}}', "no list"),
    ],
)  # fmt: skip
def test_other_files_are_refused(text: str, message: str, manifest: Manifest) -> None:
    with pytest.raises(ThesisError, match="does not say what happens when"):
        read_segments(manifest)
    (manifest.root / SEGMENTS_FILE).write_text(text)
    with pytest.raises(ThesisError, match=message):
        read_segments(manifest)


def test_segments_of_no_video_or_no_length_are_not_written(manifest: Manifest) -> None:
    with pytest.raises(ThesisError, match=r"no video 'x\.mp4'"):
        write_segments(manifest, {"x.mp4": []})
    with pytest.raises(ThesisError, match="is no segment"):
        write_segments(manifest, {"train/0.mp4": [(2.0, 1.0, "a")]})
    assert not (manifest.root / SEGMENTS_FILE).exists()


def test_captions_several_a_video(manifest: Manifest) -> None:
    a, _, c = (video.path for video in manifest.videos)
    write_captions(manifest, [(c, "three"), (a, 'one, "first"'), (a, "two\nlines")])
    assert read_captions(manifest) == {a: ('one, "first"', "two\nlines"), c: ("three",)}
    assert len(str(manifest.info["captions_sha256"])) == 64
    assert list(read_captions(manifest.select("test"))) == [c]
    alone = replace(manifest, videos=(manifest.videos[1],))
    with pytest.raises(ThesisError, match="says nothing of the videos"):
        read_captions(alone)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"path,text\na,b\n", "lacks the column"), (b"path,caption\ntrain/0.mp4,\n", "line 2"),
        (b"path,caption\n,b\n", "line 2"), ("path,caption\na,\u00fc\n".encode("latin-1"), "UTF-8"),
        (b"", "lacks the column"),
    ],
)  # fmt: skip
def test_other_captions_are_refused(data: bytes, message: str, manifest: Manifest) -> None:
    with pytest.raises(ThesisError, match="synthetic_captions"):
        read_captions(manifest)
    (manifest.root / CAPTIONS_FILE).write_bytes(data)
    with pytest.raises(ThesisError, match=message):
        read_captions(manifest)


def test_what_was_written_beside_a_manifest_is_what_is_read(manifest: Manifest) -> None:
    """Segments and failures have a checksum too; without one, as before, they are read."""
    path = manifest.videos[0].path
    write_segments(manifest, {path: [(1.0, 2.0, "kick")]})
    write_failures(manifest, {path: 8})
    for name, read in ((SEGMENTS_FILE, read_segments), (FAILURES_FILE, read_failures)):
        file = manifest.root / name
        assert read(manifest)[path]
        whole = file.read_text()
        file.write_text(whole.replace(".", ". ", 1))
        with pytest.raises(ThesisError, match="is not the file that was prepared"):
            read(manifest)
        del manifest.info[checksum_key(name)]
        file.write_text(whole)
        assert read(manifest)[path]


def test_a_caption_with_a_comma_is_not_cut(manifest: Manifest) -> None:
    (manifest.root / CAPTIONS_FILE).write_text(f"path,caption\n{manifest.videos[0].path},a, b\n")
    with pytest.raises(ThesisError, match=r"line 2, has more cells .* quote a caption"):
        read_captions(manifest)
