"""What chapter 8's page shows, on made-up films: counts, tokens, texts, searches, pictures."""

from __future__ import annotations

import io
import itertools
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import studio
import toy_films
from thesislib import published, viz
from thesislib.chapters import run
from thesislib.chapters.autoad import learning, show
from thesislib.chapters.autoad.claims import CLAIMS
from thesislib.chapters.autoad.rows import ROWS
from thesislib.chapters.row import Job
from thesislib.methods.autoad import flat


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    root = tmp_path_factory.mktemp("autoad_show")
    tiny: dict[str, Any] = {
        "language": str(root / "lm"), "heads": 2, "latents": 2, "depth": 1, "frames": 4,
        "pairs": 3, "epochs": 1, "warmup": 0, "past": 2, "decoding.beams": 2,
        "decoding.new_tokens": 5, "batch_size": 4,
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        studio.use_folders(patch, root)
        toy_films.make(root, patch)
        yield Job("autoad/v+ad", log=None, changes=tiny)


def test_claims_are_of_rows_and_metrics_that_there_are() -> None:
    assert len({one.id for one in CLAIMS}) == len(CLAIMS)
    for one in CLAIMS:
        assert {one.better, one.worse} <= ROWS.keys()
        for metric in filter(None, (one.metric, one.worse_metric)):
            assert published.metric(metric).better == "higher"
        assert (one.better, one.metric) != (one.worse, one.worse_metric or one.metric)
    said = list(itertools.chain(*show.ASKED.values()))
    assert sorted(said) == sorted(one.id for one in CLAIMS), "the text says each claim once"


def test_our_scores_are_shown_as_the_thesis_prints_them() -> None:
    """CIDEr, ROUGE-L and names are shares here and times a hundred there."""
    for metric in (*show.SCORES, *show.NAMES):
        assert published.metric(metric).factor == 100


def test_films_are_counted(job: Job) -> None:
    lines = show.films_page(job).text.splitlines()[2:]
    for line, (split, count) in zip(lines, toy_films.SPLIT.items(), strict=True):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        clips = str(count * toy_films.CLIPS)
        assert cells[:2] == [split, str(count)] and cells[3:] == [clips] * 3
        videos = learning.given(job).manifest.select(split).videos
        assert float(cells[2]) == round(sum(v.n_frames / v.fps for v in videos) / 60)


def test_tokens_are_what_the_model_reads(job: Job) -> None:
    found = show.tokens(job, number=0, clip=3)
    film, _ = toy_films.film(6, "val")
    parts: dict[str, list[str]] = {}
    for part, text in found:
        parts.setdefault(part, []).append(text)
    assert parts["visual"] == ["v1", "v2"] and parts["begin"] == ["B"]
    before = " ".join(cue.text for cue in film.named[1:3]).replace(".", " .").split()
    assert parts["context"] == ["B", *before, "E"]
    assert parts["to write"] == [*film.named[3].text.replace(".", " .").split(), "end"]
    order = list(dict.fromkeys(part for part, _ in found))
    assert order == [*run.settings(job).order, "begin", "to write"]
    picture = show.tokens_picture(job)
    assert f"{len(found)} boxes" in picture.alt and len(picture.png()) < viz.style.MAX_BYTES


def test_the_loss_by_hand_is_that_of_the_model(job: Job) -> None:
    world = learning.given(job)
    model = learning.build(world.config).eval()
    item = {name: value[None] for name, value in world.sequences("train")[0].items()}
    batch = {name: value[:1] for name, value in flat(item).items()}
    lines = show.by_hand(world, model, batch).text.splitlines()[2:]
    rows = [line.strip("|").split("|") for line in lines]
    said = [row[0].strip() for row in rows]
    first = toy_films.film(0)[0].named[0].text
    assert said == [*first.replace(".", " .").split(), "end", "mean"]
    with torch.no_grad():
        loss, _ = model(batch)
    assert float(rows[-1][2]) == pytest.approx(float(loss), abs=0.006)
    each = [float(row[2]) for row in rows[:-1]]
    assert len(each) == int((batch["text"] >= 0).sum())
    assert float(loss) == pytest.approx(sum(each) / len(each), abs=0.006)
    assert show.guessing(model) == pytest.approx(math.log(len(toy_films.WORDS)))


def test_beams_find_the_best_of_all_sentences() -> None:
    """Every sentence of the little model, scored by the chances alone."""
    best, most = "", -math.inf
    for length in range(1, 4):
        for middle in itertools.permutations(range(1, len(show.WORDS)), length):
            ids = (*middle, 0)
            steps = itertools.pairwise((len(show.WORDS), *ids))
            chances = [max(show.CHANCES[a][b], 1e-9) for a, b in steps]
            mean = sum(map(math.log, chances)) / len(ids)
            if mean > most:
                best, most = " ".join(show.WORDS[i] for i in ids), mean
    text, score = show.searched(5)
    assert text == best and score == pytest.approx(most, abs=1e-4)
    assert show.searched(1)[1] < score and text in show.search_page().text


def test_texts_are_those_that_were_judged(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    run.run(job)
    trained = run.train(job)
    assert trained.run is not None
    found = show.texts(job, number=0, clips=(0, 2))
    film, _ = toy_films.film(8, "test")
    assert [one["truth"] for one in found] == [film.named[i].text for i in (0, 2)]
    assert found[0]["true context"] == ""
    assert found[1]["true context"] == " ".join(cue.text for cue in film.named[:2])
    for kind in ("recurrent", "oracle"):
        (path,) = trained.run.path.glob(f"descriptions-synthetic_films-test-{kind}-????????.jsonl")
        rows = [json.loads(line) for line in path.read_text().splitlines()[1:]]
        kept = {row["clip"]: row["text"] for row in rows if row["film"] == film.movie}
        assert [one[kind] for one in found] == [kept[0], kept[2]]
    grey = np.full((8, 12, 16, 3), 90, np.uint8)
    monkeypatch.setattr(show, "strip", lambda world, item: grey)
    picture = show.texts_picture(job, clips=(0, 2))
    assert "2 clips" in picture.alt and film.named[2].text in picture.alt
    assert len(picture.axes) == 2


def test_strips_are_inside_their_axes() -> None:
    strips = [np.full((4, 10, 20, 3), shade, np.uint8) for shade in (0, 200)]
    picture = viz.told_clips(strips, [{"a": "word " * 60}, {"a": "", "b": "x"}])
    shown = np.asarray(Image.open(io.BytesIO(picture.png())).convert("L"))
    assert (shown < 20).mean() > 0.05 and ((shown > 190) & (shown < 210)).mean() > 0.05
    upper, lower = (ax.get_position() for ax in picture.axes)
    assert 0 <= lower.y0 < lower.y1 < upper.y0 < upper.y1 <= 1


def test_what_was_collected_is_read(tmp_path: Path) -> None:
    track = {"seed": 3, "cues": 4, "word_error_rate": 0.25, "narrator": False, "boundaries": 0.5,
             "offset_error": 0.04, "processor_seconds": 1.0}  # fmt: skip
    path = tmp_path / "collecting.json"
    assert "checkout" in show.collecting_page(path).text
    path.write_text(json.dumps({"tracks": [track]}))
    assert "| 3 | 4 | 25.0 | no | 50 | 0.04 | 1.0 |" in show.collecting_page(path).text
    assert show.MEASURED.is_file(), "the page finds it in a checkout"


def test_the_curve_over_context_is_in_units_of_the_thesis(monkeypatch: pytest.MonkeyPatch) -> None:
    class Kept:
        def summary(self, row: str, metric: str, *_: Any) -> dict[str, Any]:
            past = 6 if row == "autoad/v+ad" else int(row[-1])
            known = past != 2
            return {"mean": past / 10 if known else None, "half_width": 0.01, "n": 3}

    monkeypatch.setattr(show.Ledger, "load", classmethod(lambda cls: Kept()))
    found = show.length_series(Job("autoad/v+ad"), "cider")
    assert [point[0] for point in found] == [1, 3, 4, 5, 6]
    assert found[-1][1:] == (pytest.approx(60), pytest.approx(1), 3)
