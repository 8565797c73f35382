"""Classes over time in a user's own videos, by the command line."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent / "data"))
import video_files
from video_files import write_bad_files, write_video

from thesislib.checkpoint import RunFolder, save_state
from thesislib.classifying import How, Timing, as_text, classify
from thesislib.classifying import shots as learning
from thesislib.classifying.names import from_run, load_encoder, zero_shot
from thesislib.classifying.shots import few_shot
from thesislib.classifying.windows import cut, encoded
from thesislib.cli import main
from thesislib.data.reader import open_video
from thesislib.errors import ThesisError
from thesislib.image_text import ImageText, model
from thesislib.image_text.tokens import write_merges
from thesislib.methods.clip_prompt import ClipPrompt, ClipPromptConfig
from thesislib.pretrained.image_text.contrast import ContrastConfig
from thesislib.pretrained.image_text.recipe import TOY, write_model
from thesislib.synthetic import CAPTIONED, prepare_captions
from thesislib.synthetic.wording import vocabulary
from thesislib.torchvision_here import ensure_torchvision
from thesislib.viz.timeline_page import TimeLine, between, clock, percent, timeline_page

ensure_torchvision()
open_clip = pytest.importorskip("open_clip")

EVIL = "<script>alert(1)&\"'.mp4"
NAMES = ("wave", "sit_down", 'say "<b>hi</b>"', "弾く")
SHORT = Timing(rate=10, window=0.5, hop=0.3)


class Home:
    """A tiny model of random weights, a list, videos of three tones, and examples of them."""

    def __init__(self, root: Path) -> None:
        self.root, self.model, self.videos = root, root / "model", root / "videos"
        config = ContrastConfig().override(TOY)
        write_merges(root / "merges.txt.gz", config.merges, vocabulary())
        torch.manual_seed(0)
        write_model(self.model, config, self.network(config), root / "merges.txt.gz")
        self.list = root / "classes.txt"
        self.list.write_text("\n".join(NAMES), encoding="utf-8")
        for tone, name in enumerate(["a.mp4", "b.mp4", EVIL]):
            write_video(self.videos / name, 36 + 8 * tone, tone=tone)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(video_files, "picture", self.bars)
            for tone, label in enumerate(["wave", "Sit down", "other"]):
                for i in range(3 if tone < 2 else 1):
                    write_video(root / "shots" / label / f"{i}.mp4", 15 + i, tone=tone)

    @staticmethod
    def bars(number: int, tone: int, size: tuple[int, int] | None) -> np.ndarray:
        """Bars that lie or stand, and move."""
        bars = (np.arange(48)[:, None] if tone else np.arange(64)[None]) + number
        grey = np.broadcast_to((bars // 8 % 2 * 200).astype(np.uint8), (48, 64))
        return np.repeat(grey[..., None], 3, axis=2)

    @staticmethod
    def network(config: ContrastConfig) -> Any:
        network = open_clip.CLIP(**config.architecture())
        for name, parameter in network.named_parameters():  # its own make all texts alike
            if parameter.ndim > 1 and not name.startswith("visual"):
                torch.nn.init.normal_(parameter, std=1.0 if "token_embedding" in name else 0.3)
        return network

    def words(self, *more: str) -> list[str]:
        return ["--classes", str(self.list), "--model", str(self.model), *more]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    root = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("data", "runs", "results"):
            patch.setenv(f"THESISLIB_{name.upper()}", str(root / name))
        patch.chdir(root)
        patch.setattr(learning, "STEPS", 25)
        patch.setattr(learning, "STEPS_OF_LAYERS", 40)
        yield Home(root)


@pytest.fixture(scope="module")
def encoder(home: Home) -> ImageText:
    return load_encoder(str(home.model))


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    assert main(["classify", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_json(home: Home, encoder: ImageText, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(home.videos), *home.words("--rate", "10", "--window", ".5", "--hop", ".3")]
    found = said([*words, "--template", "a {}", "--template", "{} here"], capsys)
    assert found["classes"] == list(NAMES) and found["warning"] == "" and found["skipped"] == []
    assert found["model"]["weights_hash"] == encoder.weights_hash
    assert found["timing"] == {"rate": 10, "window": 0.5, "hop": 0.3}
    assert [Path(v["path"]).name for v in found["videos"]] == sorted(["a.mp4", "b.mp4", EVIL])
    for video in found["videos"]:
        rows = np.array([w["probabilities"] for w in video["windows"]])
        assert rows.shape[1] == len(NAMES) and np.allclose(rows.sum(1), 1, atol=1e-3)
        mean = np.array([video["probabilities"][name] for name in NAMES])
        assert np.allclose(rows.mean(0), mean, atol=1e-4)
        assert video["answer"] == NAMES[int(mean.argmax())]
        starts = [w["start"] for w in video["windows"]]
        assert starts[0] == 0 and np.allclose(np.diff(starts)[:-1], 0.3, atol=1e-3)
        assert video["windows"][-1]["end"] == pytest.approx(video["seconds"], abs=0.1)
    assert said([*words, "--template", "a {}", "--template", "{} here"], capsys) == found


def test_a_window_is_what_naive_loops_say(home: Home, encoder: ImageText) -> None:
    path = home.videos / "b.mp4"
    reader = open_video(path)
    frames = reader.frames(range(0, len(reader), 3))  # 10 of 30 a second
    rows = torch.nn.functional.normalize(encoder.encode_texts([f"see {n}" for n in "xy"]), dim=1)
    (home.root / "xy.txt").write_text("x\ny")
    how = How(str(home.model), templates=("see {}",), temperature=0.2)
    found = classify([str(path)], home.root / "xy.txt", how, SHORT, log=lambda line: None)
    windows = found["videos"][0]["windows"]
    places = [*range(0, len(frames) - 5, 3), len(frames) - 5]
    assert len(windows) == len(places)
    for first, window in zip(places, windows, strict=True):
        video = sum(encoder.encode_frames(frames[i : i + 1])[0] for i in range(first, first + 5))
        scores = [float(video @ row / video.norm()) / 0.2 for row in rows]
        shares = np.exp(scores) / np.exp(scores).sum()
        assert np.allclose(window["probabilities"], shares, atol=2e-3)
        assert window["start"] == pytest.approx(first / 10, abs=1e-3)


@pytest.mark.parametrize("length", [1, 3, 4])
@pytest.mark.parametrize("hop", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7, 12])
def test_windows_cover_every_row(count: int, length: int, hop: int) -> None:
    rows: Any = ((float(i), torch.tensor(i), None) for i in range(count))
    found = [[int(row) for row in w.rows] for w in cut(rows, length, hop)]
    expected = [list(range(i, i + length)) for i in range(0, count - length + 1, hop)]
    if count and (not expected or expected[-1][-1] != count - 1):
        expected.append(list(range(max(0, count - length), count)))
    assert found == expected


def test_few_frames_are_held(encoder: ImageText, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def encode(frames: np.ndarray) -> torch.Tensor:
        sizes.append(len(frames))
        return torch.zeros(len(frames), 2)

    fake: Any = type("Fake", (), {"encode_frames": staticmethod(encode)})
    large = np.zeros((1000, 8000, 3), np.uint8)  # 24 MB: three at a time
    frames = ((float(i), large if i < 7 else large[:50, :60]) for i in range(207))
    assert len(list(encoded(frames, fake))) == 207
    assert sizes == [3, 3, 1, 64, 64, 64, 8]


def test_bad_files_stop_nothing(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    bad = home.root / "bad"
    write_bad_files(bad)
    capsys.readouterr()
    words = [str(bad), str(home.videos / "a.mp4"), "gone.mp4", *home.words("--json")]
    assert main(["classify", *words, "--out", "bad.html"]) == 0
    done = capsys.readouterr()
    found = json.loads(done.out)
    notes = {Path(v["path"]).name: v["note"] for v in found["videos"]}
    assert set(notes) == {"cut.avi", "single.mp4", "a.mp4"}
    assert "of 60 frames decode" in notes["cut.avi"] and notes["single.mp4"] == "one frame"
    assert [line.partition(": ")[0] for line in found["skipped"]] == [
        *("cut.mp4", "empty.mp4", "sound.mp4", "text.mp4", "gone.mp4")
    ]
    assert all(f"skipped: {line}" in done.err for line in found["skipped"])
    page = Path("bad.html").read_text()
    assert "audio only" in page and "frames decode" in page
    assert main(["classify", str(bad / "sound.mp4"), *home.words()]) == 1
    assert "None of the videos can be used: " in capsys.readouterr().err


class Page(HTMLParser):
    """What a browser would find; every tag has to be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "wbr"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_stands_alone(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    found = said([str(home.videos), *home.words("--out", "page.html")], capsys)
    assert found["page"] == "page.html"
    text = Path("page.html").read_text(encoding="utf-8")
    page = Page(text)
    assert all(text.count(f">{name}</th>") for name in ("wave", "sit_down", "弾く"))
    assert page.words.count(NAMES[2]) >= 3 and "<b>" not in text, "escaped, and in every table"
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe"}
    assert not re.search(r"https?:|@import|url\(", text)
    assert "default-src 'none'" in text and "width=device-width" in text
    pictures = [a for tag, a in page.tags if tag == "img"]
    shown = [min(8, int(4 * v["seconds"] + 1)) for v in found["videos"]]
    assert len(pictures) == sum(shown) and all(
        str(a["alt"]).startswith("frame at ") for a in pictures
    )
    assert all(str(a["src"]).startswith("data:image/webp;base64,") for a in pictures)
    lanes = [a["aria-label"] for tag, a in page.tags if tag == "svg"]
    assert len(lanes) == 3 * 4 and all(
        "\N{NO-BREAK SPACE}% on average, most at" in str(lane) for lane in lanes
    )
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert all(f"#{i}" in text for i in ids if str(i).startswith("v"))
    assert not any(key.startswith("on") for _, a in page.tags for key in a)
    assert any(EVIL in (a.get("href") or "") or "script" in page.words for _, a in page.tags)
    assert "not in plain Latin letters" in page.words.replace("Not", "not")


def test_a_long_video_stays_a_small_page() -> None:
    count, classes = 9000, [f"class {i}" for i in range(30)]
    shares = np.random.default_rng(0).dirichlet(np.ones(30), count).astype(np.float32)
    starts = np.arange(count, dtype=float)
    line = TimeLine("/x/a.mp4", "a.mp4", 9001.0, starts, starts + 2, shares)
    text = timeline_page("t", [], "careful", classes, [line], ["b.mp4: empty file"])
    page = Page(text)
    assert len(text) < 80_000 and all(f">{name}</th>" in text for name in classes)
    assert "2:30:01" in page.words and "neighbours averaged" in page.words
    short = line.binned(60)
    assert short.probabilities.shape == (60, 30)
    assert np.allclose(short.probabilities[0], shares[:150].mean(0), atol=1e-6)
    assert (short.starts[1], short.ends[0]) == (150, 151)
    assert clock(61.2, 70) == "1:01" and clock(2.44, 3) == "2.4 s"
    assert between(0.5, 2, 3) == "0.5 to 2.0 s"
    shown = [percent(x).replace("\N{NO-BREAK SPACE}", " ") for x in (0, 0.001, 0.314, 1)]
    assert shown == ["0 %", "< 1 %", "31 %", "100 %"]


def test_text(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(home.videos / "a.mp4"), *home.words()]
    assert main(["classify", *words]) == 0
    out = capsys.readouterr().out
    assert "a.mp4 (1.2 s)" in out and all(name in out for name in NAMES)
    window = {"start": 0.0, "end": 2.0, "probabilities": [0.9, 0.1]}
    later = {"start": 1.0, "end": 3.0, "probabilities": [0.2, 0.8]}
    video = {"path": "v", "seconds": 12.0, "note": "one frame", "windows": [window, window, later]}
    found = {
        "model": {"model": "m", "weights": "w"}, "how": "h", "classes": ["x" * 50, "y"],
        "videos": [video | {"probabilities": {"x" * 50: 0.6, "y": 0.4}}], "skipped": ["b: bad"],
        "page": "p.html", "warning": "careful",
    }  # fmt: skip
    text = as_text(found).replace("\N{NO-BREAK SPACE}", " ")
    assert "v (12.0 s, one frame)" in text and f"0:00 to 0:01  {'x' * 39}… 90 %" in text
    assert "0:01 to 0:12  y 80 %" in text and text.endswith(
        "skipped: b: bad\npage: p.html\ncareful"
    )


def test_the_small_model_says_what_it_knows(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(model, "SMALL_FOLDER", home.model)
    words = [str(home.videos / "a.mp4"), "--classes", str(home.list), "--out", "small.html"]
    found = said(words, capsys)
    assert "at sixteen actions: sitting down, standing up" in found["warning"]
    assert "Of real videos it knows nothing" in Page(Path("small.html").read_text()).words
    assert 'each name in "a person {}"' in found["how"]
    (note,) = found["notes"]
    assert note.startswith("the small model never read these names: ") and "弾く" in note
    assert "wave" not in note and "sit_down" not in note, "it knows them by a phrase"
    long = home.root / "long.txt"
    long.write_text("waving\n" + "waving " * 90)
    found = said([words[0], "--classes", str(long)], capsys)
    assert "longer than the 75 tokens" in found["notes"][0]
    architecture = str(home.model / "open_clip_config.json")
    words = [words[0], "--classes", str(home.list), "--model", architecture, "--weights", "random"]
    assert "mean nothing" in said(words, capsys)["warning"]


def test_the_model_that_ships(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """It names actions of the studio, and strange lists of names are no trouble to it."""
    world = replace(CAPTIONED, actions=("wave", "kick", "jumping_jack", "squat"))
    world = replace(world, actions_per_group=4)
    studio = prepare_captions(root=home.root, clips=12, seed=5, world=world, jobs=1, progress=False)
    listed = home.root / "strange.txt"
    names = ["kick", "wave", "", "jumping jack", "Wave", "squat", "弾く", "приседание " * 60]
    listed.write_text("\n".join(names), encoding="utf-8")
    videos = [str(studio.root / video.path) for video in studio.videos]
    found = said([*videos, "--classes", str(listed), "--jobs", "1"], capsys)
    assert found["model"]["weights"] == "small" and len(found["classes"]) == 6
    notes = "; ".join(found["notes"])
    assert "named more than once, and merged: wave" in notes
    assert "longer than the 75 tokens" in notes and "never read these names: '弾く'" in notes
    assert as_text(found).startswith("small, zero-shot")
    answers = [v["answer"].replace(" ", "_") for v in found["videos"]]
    right = [v.label == answer for v, answer in zip(studio.videos, answers, strict=True)]
    assert sum(right) > 8, answers  # of 12; two would be luck


def test_examples(home: Home, encoder: ImageText, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(home.videos / "a.mp4"), "--model", str(home.model), "--rate", "10"]
    words += ["--window", ".5", "--shots", str(home.root / "shots")]
    found = said([*words, "--classes", str(home.list)], capsys)
    assert found["shots"] == {"wave": 3, "sit_down": 3, NAMES[2]: 0, NAMES[3]: 0}
    assert "folders of examples that are none of the classes: 'other'" in found["notes"]
    assert any(n.startswith("classes without an example: ") for n in found["notes"])
    assert found["how"] == "prompts learnt on 6 examples" and found["held_out"]["videos"] == 2
    assert said([*words, "--classes", str(home.list)], capsys) == found
    other = said([*words, "--classes", str(home.list), "--seed", "1"], capsys)
    assert other["videos"] != found["videos"]
    alone = said(words, capsys)
    assert alone["classes"] == ["sit down", "other", "wave"], "from the folders' names"
    assert alone["shots"] == {"sit down": 3, "other": 1, "wave": 3}


@pytest.mark.parametrize("layers", [0, 1])
def test_examples_are_learnt(
    layers: int, encoder: ImageText, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "STEPS", 60)
    torch.manual_seed(5)
    kinds = torch.randn(2, encoder.width)
    features = tuple(kinds[i % 2] + 0.3 * torch.randn(4 + i, encoder.width) for i in range(6))
    shots = learning.Shots(("wave", "sit down"), features, (0, 1, 0, 1, 0, 1))
    assert zero_shot(encoder, shots.classes)(features[0][None]).shape == (1, 2)
    frozen = {k: v.clone() for k, v in encoder.model.state_dict().items()}
    learnt, held = few_shot(encoder, shots, SHORT, layers=layers)
    assert (held["videos"], held["learnt"]) == (2, 2)
    grid = learnt.grid(SHORT, 30)
    assert (grid.rate, grid.rows, grid.hop) == (10, 5, 3)
    for features, label in zip(shots.features, shots.labels, strict=True):
        assert int(learnt(features[None, :5], grid.gap)[0].argmax()) == label
    assert all(torch.equal(v, frozen[k]) for k, v in encoder.model.state_dict().items())
    if layers:
        with pytest.raises(ThesisError, match=r"windows of 5 frames, here 0\.5 s"):
            learnt.grid(replace(SHORT, window=2.0), 30)


def test_prompts_of_a_run(home: Home, encoder: ImageText) -> None:
    config = replace(
        ClipPromptConfig.preset("small"), model=str(home.model), weights="", context=2, layers=1,
        heads=4, frames=4, strides=(2, 4),
    )  # fmt: skip
    torch.manual_seed(3)
    trained = ClipPrompt(config, encoder.model)
    run = RunFolder.open("clip_prompt", config, "data")
    save_state(run.checkpoint, trained, None, {})
    with pytest.raises(ThesisError, match="has not finished"):
        from_run(run.name, NAMES)
    run.finish({})
    found = from_run(run.name, NAMES)
    assert found.temperature == 0.07 and run.name in found.how and "1 layers" in found.how
    grid = found.grid(Timing(), 30)  # of 15 and 7.5 frames a second the nearer to 4
    assert (grid.rate, grid.rows, grid.gap) == (7.5, 4, 4)
    features = torch.randn(2, 4, encoder.width)
    names = [name.replace("_", " ") for name in NAMES]
    assert names != list(NAMES)
    text = trained.encode_text(encoder.tokenizer(names))
    same = trained.classify(features, text, torch.tensor([4, 4])).softmax(1)
    assert torch.allclose(found(features, 4), same, atol=1e-5)
    with pytest.raises(ThesisError, match=r"learnt on .*, not on ViT-B-16: leave out --model"):
        from_run(run.name, NAMES, "ViT-B-16")
    with pytest.raises(ThesisError, match="There is no run 'zzz'"):
        from_run("zzz", NAMES)
    shutil.rmtree(run.path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Which classes? Give --classes FILE"),
        (["--classes", "LIST", "--template", "a video"], "no place for a name: write {}"),
        (["--classes", "LIST", "--out", "."], "is a folder: name a file for the page"),
        (["--classes", "LIST", "--out", "VIDEO"], "does not end in .html: name a file"),
        (["--classes", "LIST", "--out", "LIST"], "does not end in .html: name a file"),
        (["--classes", "LIST", "--layers", "2"], "--layers are learnt on examples"),
        (["--classes", "LIST", "--shots", "SHOTS", "--prompts", "x"], "give one of them"),
        (["--classes", "LIST", "--prompts", "x", "--template", "{}"], "needs no template"),
        (["--classes", "LIST", "--shots", "nowhere"], "no folder of examples"),
        (["--classes", "LIST", "--shots", "VIDEOS"], "Not one video in"),
        (["--shots", "VIDEOS"], "names no class"),
        (["--classes", "LIST", "--weights", "laion"], "brings its own weights"),
    ],
)
def test_each_wrong_call_is_one_sentence(
    words: list[str], message: str, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"LIST": home.list, "SHOTS": home.root / "shots", "VIDEOS": home.videos}
    places["VIDEO"] = home.videos / "a.mp4"
    before = [path.read_bytes() for path in (places["VIDEO"], home.list)]
    words = [str(places.get(word, word)) for word in words]
    words += [] if "--prompts" in words else ["--model", str(home.model)]
    capsys.readouterr()
    assert main(["classify", str(home.videos / "a.mp4"), *words]) == 1
    last = capsys.readouterr().err.rstrip("\n").rsplit("\n", 1)[-1]
    assert last.startswith("thesislib: ") and message in last and last.endswith(".")
    assert [path.read_bytes() for path in (places["VIDEO"], home.list)] == before


def test_templates_are_averaged(encoder: ImageText) -> None:
    both = zero_shot(encoder, ["wave", "bow"], ["a {}", "the {} of {}"])
    rows = [encoder.encode_texts([f"a {n}", f"the {n} of {n}"]) for n in ("wave", "bow")]
    expected = torch.stack([torch.nn.functional.normalize(r, dim=1).mean(0) for r in rows])
    assert torch.allclose(both.text, expected, atol=1e-6)
    assert both.temperature == pytest.approx(0.07, abs=1e-3), "the model's own"
