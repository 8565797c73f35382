"""Tracks of audio description, judged by when a film speaks."""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

import pytest

from thesislib.cli import main
from thesislib.descriptions.checking import Limits, check_track
from thesislib.descriptions.gaps import Span, gaps_between, joined, shared, spoken
from thesislib.descriptions.names import (
    first_uses,
    introduces,
    likely_names,
    read_names,
    whole_names,
)
from thesislib.errors import ThesisError
from thesislib.subtitles import Cue, Subtitles, parse_subtitles, read_subtitles, write_subtitles

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from video_files import write_video

HUMAN = Path(os.environ.get("THESISLIB_SHARED", "")) / "annotations" / "elephants_dream"

LINES = [(10, 14, "Anna, where are you?"), (20, 26, "Here!"), (40, 41, "[Music]"), (50, 58, "Go!")]
TRACK = [
    (2, 9, "A woman waits at the door of a house by the sea."),
    (15, 19, "Anna, a tall woman, turns around."),
    (27, 39, "The old man, Tom, walks past Anna and sits down on a bench."),
    (42, 49, "They look at the water."),
]


def cues(rows: list[tuple[float, float, str]]) -> list[Cue]:
    return [Cue(a, b, text, text, i) for i, (a, b, text) in enumerate(rows, 1)]


def track(rows: list[tuple[float, float, str]]) -> Subtitles:
    blocks = "".join(
        f"{a // 60:02.0f}:{a % 60:06.3f} --> {b // 60:02.0f}:{b % 60:06.3f}\n{text}\n\n"
        for a, b, text in rows
    )
    return parse_subtitles(f"WEBVTT\n\n{blocks}".encode(), "track.vtt")


def judged(rows: list[tuple[float, float, str]], **more: object) -> dict[str, bool]:
    """Kind of each finding to whether it fails."""
    found = check_track(track(rows), cues(LINES), 59.5, **more)  # type: ignore[arg-type]
    return {one.kind: one.fails for one in found.findings}


# -- gaps ----------------------------------------------------------------------------------


def test_gaps_and_shares_by_tenths_of_a_second() -> None:
    draw = random.Random(0)
    for _ in range(200):
        speech = [
            (start, start + draw.randint(0, 60)) for start in draw.choices(range(500), k=12)
        ]  # tenths
        end, least = draw.randint(100, 600), draw.randint(0, 40)
        silent = [not any(a <= t < b for a, b in speech) for t in range(end)]
        runs, first = [], None
        for t, quiet in enumerate([*silent, False]):
            if quiet and first is None:
                first = t
            elif not quiet and first is not None:
                runs.append((first, t))
                first = None
        found = gaps_between(speech, end, least)
        assert [tuple(gap) for gap in found] == [run for run in runs if run[1] - run[0] >= least]
        talk, probe = joined(speech), (draw.randint(0, 250), draw.randint(250, 600))
        loud = sum(any(a <= t < b for a, b in speech) for t in range(*probe))
        assert shared(probe, talk) == loud
    with pytest.raises(ThesisError, match="positive lengths"):
        gaps_between([], float("nan"))


def test_sounds_are_no_dialogue() -> None:
    some = cues([(0, 1, "[Music]"), (1, 2, "♪ ♪"), (2, 3, "[sighs] Oh."), (3, 4, "(door slams)")])
    assert [cue.number for cue in spoken(some)] == [3]
    assert Span(1, 3).seconds == 2


# -- names ---------------------------------------------------------------------------------


def test_what_a_name_is() -> None:
    texts = ["Anna sees Tom-Lee and a Cook.", "The cook nods to Anna.", "Produced By Sam Jones"]
    assert likely_names(texts) == ("Tom-Lee", "Anna")
    assert likely_names([" ".join(texts)]) == ("Tom-Lee", "Anna"), "a cue has several sentences"
    assert likely_names(["He said I am OK.", "At NASA Dr Who waits!"]) == ("Who",)


def test_a_part_of_a_name_is_none_of_its_own() -> None:
    assert whole_names(["Anna", "Ben", "Anna Gray", "Ben", "Mr. Gray", "e e"]) == (
        "Ben", "Anna Gray", "Mr. Gray", "e e",
    )  # fmt: skip
    assert whole_names([]) == ()


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("The old man, Tom, sits.", True),
        ("Tom, a cook, sits.", True),
        ("A dog named Tom barks.", True),
        ("Director: Tom", True),
        ("Tom (the cook) sits.", True),
        ("She sees Tom and sits.", False),
        ("As she waits, Tom sits.", False),
    ],
)
def test_who_bears_a_name(text: str, known: bool) -> None:
    assert introduces("Tom", text) is known


def test_a_part_of_a_name_stands_for_it() -> None:
    assert introduces("Anna Gray", "Anna, a cook, sits.")
    assert introduces("Anna Gray", "The cook, Anna Gray, sits.")
    assert introduces("Anna Gray", "A woman named Gray sits.")
    assert not introduces("Anna Gray", "Ben, a cook, sees Anna Gray.")
    told = cues([(0, 2, "Anna sits."), (5, 7, "Anna Gray sits."), (8, 9, "May we see May Lee?")])
    said = cues([(1, 1.5, "May I sit?"), (3, 4, "ANNA!")])
    uses = [(use.name, use.cue, use.introduced) for use in first_uses(told, said, ["Anna Gray"])]
    assert uses == [("Anna Gray", 1, False)], "the line began after the first cue had ended"
    (use,) = first_uses(told[1:], said, ["Anna Gray"])
    assert use.introduced
    (use,) = first_uses(told[2:], said, ["May Lee"])
    assert not use.introduced, "may I is no name"


def test_names_and_when_they_are_known() -> None:
    told = cues(
        [(0, 5, "A man sees Anna."), (9, 12, "Anna greets Tom."), (20, 22, "She likes Tom.")]
    )
    said = cues([(10, 11, "TOM!"), (30, 31, "Anna?")])
    uses = {use.name: (use.cue, use.introduced) for use in first_uses(told, said)}
    assert uses == {"Anna": (1, False), "Tom": (2, True)}
    assert [u.name for u in first_uses(told, said, ["Tom", "Nobody"])] == ["Tom"]
    # What only begins sentences of a track may be known from the dialogue to be a name.
    begins = cues([(0, 5, "Nora waves. Rain falls.")])
    assert first_uses(begins) == []
    (use,) = first_uses(begins, cues([(9, 10, "They call me Nora."), (11, 12, "It is rain.")]))
    assert (use.name, use.introduced) == ("Nora", False)


def test_a_cast_list(tmp_path: Path) -> None:
    file = tmp_path / "cast.txt"
    file.write_text("Anna\n\n Tom  Lee \nAnna\n")
    assert read_names(file) == ("Anna", "Tom Lee")
    file.write_text("\n")
    with pytest.raises(ThesisError, match="holds no name"):
        read_names(file)


# -- tracks --------------------------------------------------------------------------------


def test_a_good_track_and_what_is_wrong_with_others() -> None:
    report = check_track(track(TRACK), cues(LINES), 59.5)
    assert report.passed and report.findings == () and report.notes == ()
    assert (report.cues, report.gaps, report.gaps_filled) == (4, 3, 3)
    assert report.over_dialogue == 0 and report.repeated == 0

    later = [(a + 5, b + 5, text) for a, b, text in TRACK]
    assert judged(later)["dialogue"] is True
    a, b, text = TRACK[3]
    assert judged([*TRACK[:3], (a, 50.9, text)]) == {"dialogue": False}  # a little of one cue
    assert judged([*TRACK[:3], (a, 50.9, text)], limits=Limits(tolerance=0.01)) == {
        "dialogue": True
    }
    assert judged([*TRACK[:3], (a, a + 0.5, text)]) == {"fast": True}  # one of four
    assert judged([*TRACK[:3], (a, a + 0.5, text)], limits=Limits(tolerance=0.5)) == {"fast": False}
    assert judged(TRACK, limits=Limits(rate=1.0))["fast"] is True
    assert judged(TRACK[1:]) == {"gaps": False}
    assert judged(TRACK[1:], limits=Limits(min_gap=20)) == {}
    again = [*TRACK[:3], (a, b, "anna, a TALL woman turns around")]
    assert judged(again) == {"repeated": True}
    assert judged(again, limits=Limits(tolerance=0.3)) == {"repeated": False}
    assert judged([*TRACK[:3], (a, b, "They wave at Sam.")]) == {"names": False}
    assert judged(TRACK, cast=["Tom"]) == {}
    assert judged([*TRACK, (59, 62, "The end comes.")]) == {"end": True}
    assert judged([*TRACK, (58.5, 59.9, "The end comes.")]) == {}  # lengths are rounded
    assert judged([*TRACK, (45, 49, "Gulls cry.")])["overlapping"] is True
    assert judged([TRACK[1], TRACK[0], *TRACK[2:]]) == {"unordered": True}
    assert judged([*TRACK[:3], (b, a, text)])["reversed"] is True
    assert judged([*TRACK, (59, 59.5, "")]) == {"empty": False}


def test_what_is_not_known_is_not_judged_and_said() -> None:
    report = check_track(track([(a + 500, b + 500, text) for a, b, text in TRACK]))
    assert report.passed and report.over_dialogue is None and report.gaps is None
    assert ["No dialogue" in n or "No film" in n for n in report.notes] == [True, True]
    with pytest.raises(ThesisError, match="rate must be above 0"):
        Limits(rate=0)


def test_by_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = write_video(
        tmp_path / "a film.mp4", 60, times=[30 * i for i in range(60)], size=(64, 48)
    )
    write_subtitles(tmp_path / "a film.en.srt", cues(LINES))
    file = tmp_path / "a film.descriptions.vtt"
    write_subtitles(file, cues(TRACK))
    before = file.read_bytes()
    assert main(["describe", "--check", str(file), "--film", str(film)]) == 0
    out = capsys.readouterr().out
    assert "passed                         true" in out and "a film.en.srt" in out
    write_subtitles(
        file, [cue._replace(start=cue.start + 5, end=cue.end + 5) for cue in cues(TRACK)]
    )
    lines = ["--subtitles", str(tmp_path / "a film.en.srt")]
    assert main(["describe", "--check", str(file), *lines]) == 1
    assert "fails:\n  3 cues (no. 1, 2, 4) over dialogue" in capsys.readouterr().out
    assert main(["describe", "--check", str(file), *lines, "--tolerance", "0.6", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] and found["findings"][0]["kind"] == "dialogue"
    assert found["limits"]["tolerance"] == 0.6 and file.read_bytes() != before
    assert main(["describe", "--check", str(tmp_path / "none.vtt")]) == 1
    assert "none.vtt" in capsys.readouterr().err
    # Descriptions are nobody's dialogue, also where they alone lie beside the film.
    (tmp_path / "a film.en.srt").unlink()
    assert main(["describe", "--check", str(file), "--film", str(film), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["subtitles"] is None and found["over_dialogue"] is None
    # ... and half a minute later they end after the film.
    late = [cue._replace(start=cue.start + 30, end=cue.end + 30) for cue in cues(TRACK)]
    write_subtitles(file, late)
    assert main(["describe", "--check", str(file), "--film", str(film), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert {row["kind"]: row["cues"] for row in found["findings"]} == {"end": [3, 4]}


@pytest.mark.golden
@pytest.mark.skipif(not HUMAN.is_dir(), reason="the shared folder is not here")
@pytest.mark.parametrize(("shift", "code"), [(0, 0), (5, 1), (-5, 1)])
def test_elephants_dream(
    shift: float, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A human's track passes against the film's captions, and fails five seconds off."""
    read = read_subtitles(HUMAN / "descriptions.en.vtt")
    file = tmp_path / "shifted.vtt"
    moved = [c._replace(start=max(c.start + shift, 0), end=c.end + shift) for c in read.cues]
    write_subtitles(file, moved[1:] if shift < 0 else moved)
    captions = HUMAN / "captions.en.vtt"
    assert main(["describe", "--check", str(file), "--subtitles", str(captions), "--json"]) == code
    found = json.loads(capsys.readouterr().out)
    assert [row["kind"] for row in found["findings"] if row["fails"]] == ["dialogue"] * code
