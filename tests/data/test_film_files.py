"""Films in MAD's form: both versions read, and what is wrong with a line is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from thesislib.data.film_files import PARTS, read_films
from thesislib.data.film_texts import read_texts
from thesislib.data.films import Cue, names_of, recent
from thesislib.errors import ThesisError

SECOND = """movie,start,end,text
10142,-3.5,1.25,Anna  opens the door.
10142,-9,-8,Before all.
10142,8,7,Backwards.
10142,5,6,
10142,2.5,4,"She leaves, and Ben waits."
1005_Signs,1,2,Ben sits.
"""
SPLIT = {"EVAL": ["1005_Signs"], "TRAIN": ["10142"], "V1-VAL": ["1005_Signs"], "V1-TEST": ["x"]}


@pytest.fixture
def mad(tmp_path: Path) -> Path:
    below = tmp_path / "annotations" / "MAD-v2"
    below.mkdir(parents=True)
    (below / "mad-v2-ad-named.csv").write_text(SECOND)
    (below / "mad-v2-subs.csv").write_text("movie,start,end,text\n10142,0.5,1,Hello Anna!\n")
    (tmp_path / "mad_split.json").write_text(json.dumps(SPLIT))
    cast = {"10142": [{"id": "nm1", "name": "A. Actor", "role": "Anna"}, {"name": "Ben"}]}
    (tmp_path / "charbank.json").write_text(json.dumps(cast))
    return tmp_path


def test_second_version(mad: Path) -> None:
    found = read_films(mad)
    film = found.films["10142"]
    assert film.named == (
        Cue(0.0, 1.25, "Anna opens the door."), Cue(2.5, 4.0, "She leaves, and Ben waits."),
    )  # fmt: skip
    assert film.subtitles == (Cue(0.5, 1.0, "Hello Anna!"),) and film.cast == ("Anna", "Ben")
    assert dict(found.found) == {"negative": 1, "before": 1, "reversed": 1, "silent": 1}
    assert len(found.report()) == 4 and "cut to its beginning" in " ".join(found.report())
    assert film.split == "train" and film.descriptions(False) == ()
    assert [one.movie for one in found.select("test")] == ["1005_Signs"], "not of MAD's own val"
    with pytest.raises(ThesisError, match="No film is of the split 'val'"):
        found.select("val")


def test_first_version_takes_times_without_padding(tmp_path: Path) -> None:
    rows = {
        "0": {"movie": "7", "sentence": "Someone walks.", "timestamps": [3.0, 5.0],
              "ext_timestamps": [1.0, 7.0], "movie_duration": 60.0},
        "1": {"movie": "7", "sentence": "He sits.", "timestamps": [58.0, 63.0],
              "movie_duration": 60.0},
        "2": {"movie": "7", "sentence": "Late.", "timestamps": [61.0, 63.0],
              "movie_duration": 60.0},
    }  # fmt: skip
    (tmp_path / "MAD_val.json").write_text(json.dumps(rows))
    found = read_films(tmp_path)
    film = found.films["7"]
    assert [cue[:2] for cue in film.named] == [(3.0, 5.0), (58.0, 60.0)]
    assert film.split == "val" and film.seconds == 60.0
    assert dict(found.found) == {"padded": 1, "beyond": 1, "after": 1}


def test_the_real_split_reads(shared: Path, mad: Path) -> None:
    text = (shared / "annotations" / "mad" / "mad_split.json").read_text()
    (mad / "mad_split.json").write_text(text)
    content = json.loads(text)
    lines = [f"{movie},1,2,Ben sits." for movies in content.values() for movie in movies]
    (mad / "ad-named.csv").write_text("movie,start,end,text\n" + "\n".join(lines) + "\n")
    found = read_films(mad)
    counts = {split: len(found.select(split)) for split in dict.fromkeys(PARTS.values())}
    assert counts == {"test": 10, "train": 488, "val": 46, "v1-test": 106}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("ad-named.csv", "movie,start,end,text\n1,soon,2,x\n", "'soon' is not a number"),
        ("ad-named.csv", "movie,start,end\n1,1,2\n", "lacks the column text"),
        ("MAD_train.json", '{"0": {"movie": "1", "sentence": "x"}}', "timestamps"),
        ("MAD_train.json", "[1]", "timestamps"),
        ("split.json", '{"TRAIN": ["1"], "REST": []}', "lists of films under some of EVAL"),
        ("cast.json", '{"1": "Anna"}', "a list of characters"),
        ("other.csv", "a\n", "There are no descriptions of films"),
    ],
)
def test_what_is_wrong_is_a_sentence(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ThesisError, match=message):
        read_films(tmp_path)


def test_audiovault(tmp_path: Path) -> None:
    with pytest.raises(ThesisError, match="no text of films without pictures"):
        read_texts(tmp_path)
    (tmp_path / "audiovault_ad.csv").write_text("imdbid,start,end,text\ntt1,4,6,He sits.\n")
    (tmp_path / "audiovault_sub.csv").write_text(
        "imdbid,start,end,text\ntt1,1,2,Sit!\ntt1,-2,-1,a\n"
    )
    found = read_texts(tmp_path)
    film = found.films["tt1"]
    assert film.named[0].text == "He sits." and film.subtitles == (Cue(1.0, 2.0, "Sit!"),)
    assert dict(found.found) == {"before": 1} and film.split == "train"


def test_subtitles_of_the_last_minute() -> None:
    cues = [Cue(float(t), t + 1.0, f"Ben, look! {t}") for t in range(0, 100, 10)]
    assert [cue.start for cue in recent(cues, 95.0)] == [60.0, 70.0, 80.0, 90.0]
    assert [cue.start for cue in recent(cues, 30.0)] == [0.0, 10.0, 20.0]
    assert recent(cues, 95.0, lines=9)[0].start == 40.0
    assert recent(cues, 95.0, lines=0) == () == recent(cues, 0.0)
    said = [*cues[:1], Cue(2.0, 3.0, "Anna and Ben are here.")]
    assert names_of(said, ("Anna", "Ben", "Clara")) == ("Ben", "Anna")
