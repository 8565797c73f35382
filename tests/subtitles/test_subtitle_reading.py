"""Every kind of subtitle file, each with its times, its text and its account."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pysubs2
import pytest

from thesislib.errors import ThesisError
from thesislib.subtitles import Subtitles, parse_subtitles, read_subtitles


def read(text: str | bytes, **options: object) -> Subtitles:
    data = text if isinstance(text, bytes) else text.encode()
    return parse_subtitles(data, "a.srt", **options)  # type: ignore[arg-type]


def cues(text: str | bytes, **options: object) -> list[tuple[float, float, str]]:
    return [(one.start, one.end, one.text) for one in read(text, **options).cues]


SRT = """1
00:00:01,000 --> 00:00:02,500
Add the <i>salt</i>.

2
00:01:03,250 --> 00:01:04,000
{\\an8}Stir &amp; wait,
then taste.
"""
TWO = [(1.0, 2.5, "Add the salt."), (63.25, 64.0, "Stir & wait,\nthen taste.")]


# -- SubRip ----------------------------------------------------------------------------------------


def test_srt() -> None:
    subtitles = read(SRT)
    assert cues(SRT) == TWO
    assert [one.number for one in subtitles.cues] == [1, 2]
    assert subtitles.cues[1].raw == "{\\an8}Stir &amp; wait,\nthen taste."
    assert (subtitles.kind, subtitles.encoding, subtitles.found) == ("srt", "utf-8", 2)
    assert subtitles.summary() == ["a.srt (srt, utf-8): 2 cues in the file, 2 read."]


@pytest.mark.parametrize("end", ["\r\n", "\r", "\r\r\n"])
def test_ends_of_lines(end: str) -> None:
    assert cues(SRT.replace("\n", end)) == TWO


@pytest.mark.parametrize(
    ("line", "start", "end", "odd"),
    [
        ("00:00:01,5 --> 00:00:02,25", 1.5, 2.25, True),
        ("00:00:01.2345 --> 00:00:02,1000", 1.2345, 3.0, True),  # 999.6 ms, rounded by programs
        ("00:01,500 --> 00:02,000", 1.5, 2.0, False),  # no hours
        ("0:0:1,500-->0:0:2,000", 1.5, 2.0, False),
        ("00:00:01:500 --> 00:00:02:000", 1.5, 2.0, False),
        ("00 : 00 : 01, 500 -> 00: 00: 02, 000", 1.5, 2.0, False),
        ("00:00:01 --> 00:00:02", 1.0, 2.0, False),
        ("00:90:00,000 --> 00:90:01,000", 5400.0, 5401.0, True),
        ("100:00:00,000 --> 100:00:01,000", 360000.0, 360001.0, False),
        ("00:00:01,500 --> 00:00:02,000  X1:40 X2:600 Y1:20 Y2:50", 1.5, 2.0, False),
        ("00:00:01,500 --> 00:00:02,000 align:start position:0%", 1.5, 2.0, False),
    ],
)
def test_times(line: str, start: float, end: float, odd: bool) -> None:
    subtitles = read(f"1\n{line}\nsalt\n")
    assert cues(f"1\n{line}\nsalt\n") == [(start, end, "salt")]
    assert subtitles.repairs == ({"odd time": [1]} if odd else {})


def test_numbers_and_blank_lines_in_texts() -> None:
    text = (
        "00:01,0 --> 00:02,0\n7\n\n2\n00:03,0 --> 00:04,0\none\n\ntwo\n3\n00:05,0 --> 00:06,0\n42\n"
    )
    assert [one.text for one in read(text).cues] == ["7", "one\ntwo", "42"]


@pytest.mark.parametrize("said", ["[Script Info]", "Dialogue: 0, 1:00", "WEBVTT", "{", "[1]"])
def test_a_text_that_looks_like_another_kind(said: str) -> None:
    assert cues(f"1\n00:01,000 --> 00:02,000\n{said}") == [(1.0, 2.0, said)]


def test_an_arrow_is_no_line_of_times() -> None:
    said = "turn --> left\nx -> 5\nratio 3:1 --> 2:1"
    assert cues(f"1\n00:01,000 --> 00:02,000\n{said}") == [(1.0, 2.0, said)]


def test_markup_that_is_none() -> None:
    said = "00:01,000 --> 00:02,000\n"
    for raw, text in {
        "I <3 it, 2 < 3 > 1": "I <3 it, 2 < 3 > 1",
        "&lt;b&gt; is a tag": "<b> is a tag",
        '<font color="#fff">white</font>&nbsp;&#39;wine&#39;': "white 'wine'",
        "a set {1, 2}": "a set {1, 2}",
        "\u202bright\u202c \u200bto\ufeff left\x00\x07": "right to left",
    }.items():
        assert cues(said + raw) == [(1.0, 2.0, text)]


# -- what is mended --------------------------------------------------------------------------------

BAD = """9
00:00:20,000 --> 00:00:22,000
late

00:00:10,000 --> 00:00:09,000
ends early

00:00:12,000 --> 00:00:99,xxx
half a line

aa:00:00,000 --> 00:00:xx,000
lost

-00:00:01,500 --> 00:00:01,000
before

00:00:00,500 --> 00:00:00,700
within

00:00:05,000 --> 00:00:05,000
<i></i>
"""


def test_each_repair_is_counted_and_named() -> None:
    subtitles = read(BAD, duration=21.0)
    assert [(one.number, one.start, one.end) for one in subtitles.cues] == [
        (5, 0.0, 1.0),
        (6, 0.5, 0.7),
        (7, 5.0, 5.0),
        (2, 10.0, 12.0),
        (3, 12.0, 17.0),
        (1, 20.0, 21.0),
    ]
    assert subtitles.found == 7
    assert subtitles.repairs == {
        "cut": [1],
        "reversed": [2],
        "no end": [3],
        "no time": [4],
        "negative": [5],
        "unordered": [2, 3, 5, 6, 7],
        "overlapping": [6],
        "point": [7],
        "empty": [7],
    }
    says = subtitles.summary()
    assert says[0] == "a.srt (srt, utf-8): 7 cues in the file, 6 read."
    assert "  1 without a time that can be read, left out: no. 4" in says
    assert len(says) == 1 + len(subtitles.repairs)


def test_an_end_that_is_missing() -> None:
    text = "00:01,000 -->\nlong\n\n00:09,000 --> xx\nshort\n\n00:10,000 --> 00:09,000\nlast\n"
    assert cues(text) == [(1.0, 6.0, "long"), (9.0, 10.0, "short"), (10.0, 15.0, "last")]
    assert read(text).repairs == {"no end": [1, 2], "reversed": [3]}


def test_past_the_end_of_the_video() -> None:
    assert read(SRT, duration=30.0).repairs == {"past the end": [2]}
    assert cues(SRT, duration=30.0) == TWO


def test_every_cue_is_read_or_named(shared: Path) -> None:
    for text in (SRT, BAD, VTT, ASS, TTML, json.dumps(JSON3)):
        subtitles = read(text)
        lost = subtitles.repairs.get("no time", [])
        numbers = sorted([*(one.number for one in subtitles.cues), *lost])
        assert numbers == list(range(1, subtitles.found + 1))


# -- WebVTT ----------------------------------------------------------------------------------------

VTT = """WEBVTT - a title
Kind: captions
Language: en

STYLE
::cue { color: lime }

REGION
id:fred

NOTE
a remark
of two lines

first
00:01.000 --> 00:02.500 align:start position:0%
<v Emo>Add</v> the<00:00:01.500><c.yellow> salt</c>

NOTE another

00:01:03.250 --> 00:01:04.000
Stir &amp; wait,
then taste.

Nobody knows when.
"""


def test_vtt() -> None:
    subtitles = read(VTT)
    assert cues(VTT) == [(1.0, 2.5, "Add the salt"), TWO[1]]
    assert subtitles.kind == "vtt" and subtitles.repairs == {}
    assert subtitles.others == {
        "lines of the header": 2,
        "STYLE blocks": 1,
        "REGION blocks": 1,
        "NOTE blocks": 2,
        "texts without times": 1,
    }
    assert "  1 texts without times, no cues" in subtitles.summary()


def test_captions_and_descriptions_of_a_film(shared: Path) -> None:
    folder = shared / "annotations" / "elephants_dream"
    if not folder.is_dir():
        pytest.skip("no real subtitles here")
    captions = read_subtitles(folder / "captions.en.vtt")
    assert len(captions.cues) == captions.found == 78
    assert captions.cues[3][:3] == (21.999, 24.368, "Everything is safe.\nPerfectly safe.")
    descriptions = read_subtitles(folder / "descriptions.en.vtt", duration=653.8)
    assert len(descriptions.cues) == descriptions.found == 63
    assert descriptions.others == {"lines of the header": 2}
    for one in (captions, descriptions):
        ours = [(round(c.start * 1000), round(c.end * 1000)) for c in one.cues]
        theirs = pysubs2.load(one.name)
        assert ours == [(event.start, event.end) for event in sorted(theirs, key=lambda e: e.start)]


# -- SubStation Alpha ------------------------------------------------------------------------------

ASS = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname
Style: Default,Arial

[Events]
Format: Start, End, Layer, Style, Text
Comment: 0:00:00.00,0:00:01.00,0,Default,a remark
Dialogue: 0:00:01.00,0:00:02.50,0,Default,{\\i1}Add{\\i0} the salt, please.
Dialogue: 0:00:03.00,0:00:04.00,0,Default,{\\p1}m 0 0 l 100 0{\\p0}
Dialogue: 0:01:03.25,0:01:04.00,0,Default,Stir \\{well\\}\\Nand\\hwait
Dialogue: none,0:01:04.00,0,Default,lost
"""


def test_ass_reads_the_order_of_its_cells() -> None:
    subtitles = read(ASS)
    assert cues(ASS) == [
        (1.0, 2.5, "Add the salt, please."),
        (63.25, 64.0, "Stir {well}\nand wait"),
    ]
    assert subtitles.others == {"comments": 1, "drawings": 1}
    assert subtitles.repairs == {"no time": [3]} and subtitles.found == 3


# -- TTML and YouTube's XML ------------------------------------------------------------------------

TTML = """<?xml version="1.0" encoding="UTF-8"?>
<tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter"
    ttp:frameRate="25" ttp:tickRate="10000000"><head><layout/></head>
 <body begin="10s"><div><div begin="00:00:01">
  <p begin="500ms" end="2.5s">Add <span>the<br/>salt</span>.</p>
  <p begin="00:00:03:05" dur="25f">Stir &amp; wait</p>
  <p begin="40000000t" end="0.1m"/>
  <p begin="soon" end="later">lost</p>
  <p><span begin="7s" end="8s">one</span> <span begin="8s" end="9s">two</span></p>
 </div></div></body></tt>"""


def test_ttml() -> None:
    subtitles = read(TTML)
    assert cues(TTML) == [
        (11.5, 13.5, "Add the\nsalt."),
        (14.2, 15.2, "Stir & wait"),
        (15.0, 17.0, ""),
        (18.0, 19.0, "one"),
        (19.0, 20.0, "two"),
    ]
    assert subtitles.kind == "ttml"
    assert subtitles.repairs == {"no time": [4], "overlapping": [3], "empty": [3]}


def test_ttml_one_after_another() -> None:
    text = (
        '<tt xmlns="http://www.w3.org/2006/10/ttaf1"><body><div timeContainer="seq">'
        '<p dur="2s">a</p><p dur="3s">b</p><p begin="1s" dur="1s">c</p></div></body></tt>'
    )
    assert cues(text.replace("<p dur=\"2s\"", '<p begin="0s" dur="2s"')) == [
        (0.0, 2.0, "a"), (2.0, 5.0, "b"), (6.0, 7.0, "c"),
    ]  # fmt: skip


def test_xml_of_youtube() -> None:
    srv1 = '<transcript><text start="1" dur="1.5">It&amp;#39;s hot</text></transcript>'
    srv3 = (
        '<timedtext format="3"><head/><body><p t="1000" d="1500"><s>It&#39;s</s><s t="400"> hot</s>'
        '</p><p t="2400" d="100" a="1">\n</p></body></timedtext>'
    )
    for text in (srv1, srv3):
        assert cues(text) == [(1.0, 2.5, "It's hot")]
        assert read(text).kind == "youtube"
    assert read(srv3).others == {"ends of lines": 1}


# -- JSON ------------------------------------------------------------------------------------------

JSON3 = {
    "wireMagic": "pb3",
    "events": [
        {"tStartMs": 0, "dDurationMs": 9000, "id": 1, "wpWinPosId": 1},
        {"tStartMs": 1000, "dDurationMs": 1500, "segs": [{"utf8": "Add the"}, {"utf8": " salt"}]},
        {"tStartMs": 2490, "dDurationMs": 10, "aAppend": 1, "segs": [{"utf8": "\n"}]},
        {"tStartMs": 3000, "segs": [{"utf8": "A < B\ud83d"}]},
        {"tStartMs": "x", "dDurationMs": 5, "segs": [{"utf8": "lost"}]},
    ],
}


def test_json3_of_youtube() -> None:
    subtitles = read(json.dumps(JSON3))
    assert cues(json.dumps(JSON3)) == [(1.0, 2.5, "Add the salt"), (3.0, 8.0, "A < B\ufffd")]
    assert subtitles.kind == "youtube" and subtitles.found == 3
    assert subtitles.others == {"windows": 1, "ends of lines": 1}
    assert subtitles.repairs == {"no end": [2], "no time": [3]}


def test_lists_of_objects() -> None:
    rows = [
        {"text": "salt", "start": 1, "duration": 1.5},
        {"text": "it&#39;s", "start": "3", "end": 4},
    ]
    both = [(1.0, 2.5, "salt"), (3.0, 4.0, "it's")]
    assert cues(json.dumps(rows)) == both
    assert cues(json.dumps({"segments": rows, "language": "en"})) == both
    columns = {"start": [1, 3], "end": [2.5, 4], "text": ["salt", "it's"]}
    assert cues(json.dumps(columns)) == both
    rows += [{"start": True, "text": 5}, 7, {"start": 1e300, "text": "x"}]  # type: ignore[list-item]
    assert read(json.dumps(rows)).repairs["no time"] == [3, 4, 5]


# -- encodings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "how"),
    [
        ("utf-8-sig", "utf-8 by its mark"),
        ("utf-16", "utf-16 by its mark"),
        ("utf-32", "utf-32 by its mark"),
        ("utf-16-be", "utf-16-be, a guess"),
        ("utf-16-le", "utf-16-le, a guess"),
    ],
)
def test_marks(encoding: str, how: str) -> None:
    assert cues(SRT.encode(encoding)) == TWO
    assert read(SRT.encode(encoding)).encoding == how


def test_a_damaged_sign_loses_no_cue() -> None:
    data = b"\xef\xbb\xbf" + SRT.encode().replace(b"salt", b"s\xe9lt")
    assert cues(data)[0][2] == "Add the s\ufffdlt."
    assert read(data).encoding == "utf-8 by its mark, damaged signs replaced"


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("cp1252", "Le café est chaud, voilà l’été"),
        ("cp1251", "Сегодня мы будем готовить борщ с говядиной"),
        ("cp1253", "Σήμερα θα μαγειρέψουμε μουσακά"),
        ("cp932", "今日は美味しいラーメンを作ります"),
        ("gb18030", "今天我们来做一道非常好吃的红烧肉"),
        ("cp949", "오늘은 맛있는 김치찌개를 만들어 보겠습니다"),
    ],
)
def test_an_encoding_is_guessed_and_named(encoding: str, said: str) -> None:
    text = "".join(f"{i}\n00:0{i},000 --> 00:0{i},900\n{said}\n\n" for i in range(1, 6))
    subtitles = read(text.encode(encoding))
    assert [one.text for one in subtitles.cues] == [said] * 5
    assert "a guess: --encoding says another" in subtitles.summary()[0]
    assert cues(text.encode(encoding), encoding=encoding)[4][2] == said


def test_xml_says_its_encoding() -> None:
    text = TTML.replace("UTF-8", "iso-8859-1").replace("wait", "café")
    assert cues(text.encode("latin-1"))[1][2] == "Stir & café"
    assert read(text.encode("latin-1")).encoding == "iso-8859-1 as it declares"


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "a.srt is empty: srt, WebVTT"),
        (b"hello\nworld", "holds no subtitles of a known kind"),
        (b"WEBVTT\n\nNOTE nothing", r"\(vtt, utf-8\) holds no cue: name another file"),
        (b"1\nxx:00:01,000 --> 00:x0:02,00\nlost", "holds 1 cues and none with a time"),
        (b"<html><body>1</body></html>", "is XML of another kind, <html>"),
        (b"<tt><body>", "is not valid XML"),
        (b"{25}{75}Hello.\n", "is MicroDVD, which counts frames: save the subtitles as srt"),
        (b'{"a": 1}', "is JSON of another kind"),
        (b'[{"start": 1, ', "is not valid JSON"),
        (b'{"start": [1], "end": [], "text": ["a"]}', "no lists of one length"),
        (b"[" * 200_000, "is not valid JSON"),
        (b"\0" * 1000 + b"\x01", "is full of NUL bytes"),
    ],
)
def test_refused(data: bytes, says: str) -> None:
    with pytest.raises(ThesisError, match=says):
        read(data)


def test_an_encoding_that_is_wrong() -> None:
    with pytest.raises(ThesisError, match="There is no encoding 'utf-9'"):
        read(SRT, encoding="utf-9")
    with pytest.raises(ThesisError, match="is not in ascii: name its encoding"):
        read(SRT.replace("salt", "café"), encoding="ascii")


def test_no_subtitle_file(tmp_path: Path) -> None:
    with pytest.raises(ThesisError, match="cannot be read"):
        read_subtitles(tmp_path / "none.srt")
    with (tmp_path / "film.mp4").open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(ThesisError, match="has 68 MB, so it is no subtitle file"):
        read_subtitles(tmp_path / "film.mp4")


# -- another reader --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["srt", "vtt", "ass", "ssa", "ttml"])
def test_pysubs2_agrees_where_a_file_is_well_formed(kind: str) -> None:
    theirs = pysubs2.SSAFile()
    for i in range(40):
        both = " and\\N" if i % 3 else " and "
        text = f"Step {i}: stir{both}wait, “{math.pi * i:.2f}” times"
        theirs.append(pysubs2.SSAEvent(start=i * 2370, end=i * 2370 + 1990, text=text))
    data = theirs.to_string(kind)
    again = pysubs2.SSAFile.from_string(data, format_=kind)
    expected = [(e.start / 1000, e.end / 1000, e.plaintext.replace(" \n", "\n")) for e in again]
    assert cues(data) == expected
    assert read(data).repairs == {} and len(expected) == 40
