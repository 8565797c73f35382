"""Lists as people save them: other encodings are read, what is no list is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from video_files import write_video

from thesislib import recipes
from thesislib.data.public import lists
from thesislib.errors import ThesisError


def test_accents_and_encodings(roots: Path) -> None:
    """A latin-1 list names a file whose accents the disk keeps apart."""
    folder = roots / "u"
    write_video(folder / "v_Stra\u00dfe_cafe\u0301_g01_c01.avi", 5, codec="mpeg4")
    (folder / "trainlist01.txt").write_bytes("J/v_Straße_café_g01_c01.avi 1\r\n".encode("latin-1"))
    (folder / "testlist01.txt").write_bytes("J/v_J_g02_c01.avi\r\n".encode("utf-16"))
    told = recipes.prepare("ucf101", path=folder, val=0)
    assert told["splits"]["train"] == 1 and told["not_on_disk"] == 1


BAD = (
    ("kinetics700", "val.csv", b"<!DOCTYPE html><html>", "val.csv is a web page, not a list"),
    ("kinetics400", "val.csv", b"\x1f\x8bxx", "val.csv is a gzip archive, not a list"),
    ("kinetics400", "val.csv", b"", "val.csv is empty"),
    (
        "kinetics400", "val.csv",
        b"label,youtube_id,time_start,time_end,split\nabseiling,xx\n", "line 2, is cut off",
    ),
    (
        "kinetics400", "val.csv",
        b"label,youtube_id,time_start,time_end,split\na,b,x,3,val\n",
        "line 2: 'x' is not a number",
    ),
    ("kinetics700", "val.csv", b"label,youtube_id\na,b\n", "There is no csv with label"),
    ("thumos14", "val_Annotation.csv", b"video,type,start,end\nfilm,A,1,2\n", "no video of THUMOS"),
    (
        "thumos14", "a.csv", b"video,type,start,end\nvideo_test_0000004,Diving,5,2\n",
        "5 to 2 s is no span",
    ),
    ("thumos14", "Diving_test.txt", b"video_test_0000004 3\n", "is not <video> <start> <end>"),
    ("thumos14", "x.txt", b"1", "There is no list of THUMOS14"),
    ("activitynet", "a.json", b'{"database": {"v', "is not valid JSON"),
    ("activitynet", "a.json", b'{"database": {"v": {"subset": "training"}}}', '"annotations" of v'),
    (
        "activitynet", "a.json",
        b'{"v_a": {"duration_second": 1, "annotations": []}}', "put video_info_new.csv",
    ),
    ("activitynet", "a.json", b"version https://git-lfs.github.com/spec/v1", "pointer of a large"),
    ("msrvtt", "a.json", b'{"sentences": [{"caption": "x"}]}', '"sentences" with "video_id"'),
    ("msrvtt", "b.txt", b"x", "There is no list of MSRVTT"),
    ("lsmdc", "LSMDC16_annos_val.csv", b"clip,1,2,3,4,He runs.", "separated by tabs"),
    ("lsmdc", "x.csv", b"x", "There is no LSMDC16_annos_"),
    ("smit", "train.csv", b"name,words\na,b\n", "lacks the column video, caption"),
    ("smit", "train.json", b"[1]", "does not hold videos with captions"),
    ("smit", "all.json", b"{}", "There is no list of SMIT"),
    ("didemo", "val_data.json", b'{"a": 1}', 'moments with "video" and "description"'),
    ("didemo", "val.json", b"{}", "There is no train_data.json"),
    ("ucf101", "trainlist01.txt", b"v_a_g01_c01.avi 1\n", "is not <class>/<video>"),
    ("hmdb51", "wave_test_split1.txt", b"film.avi 7\n", "the code '7'"),
    ("hmdb51", "wave_test_split1.txt", b"film.avi\n", "has no code"),
)  # fmt: skip


@pytest.mark.parametrize(("recipe", "name", "content", "message"), BAD)
def test_damaged_lists_are_one_sentence(
    tmp_path: Path, recipe: str, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ThesisError) as caught:
        recipes.prepare(recipe, path=tmp_path, lists_only=True)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_of_a_list(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "latin-1"):
        (tmp_path / "list.txt").write_bytes("é 1\r\n\r\nb\r\n".encode(encoding))
        assert lists.read_lines(tmp_path / "list.txt") == ["é 1", "b"]
    with pytest.raises(ThesisError, match=r"There is no a\.txt or b\.txt in .* of X there"):
        lists.find_list(tmp_path, "a.txt", "b.txt", of="X")
