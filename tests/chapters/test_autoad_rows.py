"""Chapter 8's rows on made-up films: whole rows, beginnings, judges against what is on the disk."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import studio
import toy_films
from thesislib import published
from thesislib.chapters import run
from thesislib.chapters.autoad import judging, learning
from thesislib.chapters.autoad.rows import CC3M, FILMED, ROWS, TEXT, WEBVID
from thesislib.chapters.row import Job
from thesislib.data.film_features import clip_of
from thesislib.data.films import Film
from thesislib.evaluation.captions import caption_scores
from thesislib.evaluation.scores import Lacking
from thesislib.files import read_json_lines
from thesislib.language.describing import describe_clips

CLIPS = toy_films.CLIPS * toy_films.SPLIT["test"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    root = tmp_path_factory.mktemp("autoad")
    tiny = {
        "language": str(root / "lm"), "heads": 2, "latents": 2, "depth": 1, "frames": 4,
        "pairs": 3, "epochs": 2, "warmup": 0, "past": 3, "decoding.beams": 2,
        "decoding.new_tokens": 5, "batch_size": 4,
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        studio.use_folders(patch, root)
        toy_films.make(root, patch)
        yield tiny


def job(row: str, made: dict[str, Any], **changes: Any) -> Job:
    own = {k: v for k, v in made.items() if k not in ROWS[f"autoad/{row}"].changes}
    return Job(f"autoad/{row}", log=None, changes=own | changes)


def test_a_row_learns_to_say_what_is_seen(made: dict[str, Any]) -> None:
    """The deed stands in the picture, the name nowhere: random words say neither."""
    seen = run.run(job("v", made, epochs=20, lr=3e-2))["metrics"]
    blind = run.run(job("blind", made, lr=3e-2))["metrics"]
    wanted = {"cider", "rouge_l", "bleu_4", "identity_recall", "identity_precision"}
    assert wanted <= seen.keys() and "cider_oracle" not in seen
    assert seen["rouge_l"] > 0.5 > 0.45 > blind["rouge_l"]


def test_what_was_written_is_kept_and_gives_the_scores(made: dict[str, Any]) -> None:
    asked = job("v+ad", made)
    result = run.run(asked)
    trained = run.train(asked)
    assert trained.run is not None and {"cider", "cider_oracle"} <= result["metrics"].keys()
    assert result["videos"]["evaluated"] == CLIPS
    truth = [
        cue.text for n in range(8, 11) for cue in toy_films.film(n, "test")[0].named
    ]  # films in order
    for kind, end in (("recurrent", ""), ("oracle", "_oracle")):
        (path,) = trained.run.path.glob(f"descriptions-synthetic_films-test-{kind}-????????.jsonl")
        rows = sorted(read_json_lines(path, "x")[1:], key=lambda r: (int(r["film"][1:]), r["clip"]))
        assert len(rows) == CLIPS
        scores = caption_scores([row["text"] for row in rows], [[text] for text in truth])
        for name in ("cider", "rouge_l", "bleu_1"):
            assert result["metrics"][f"{name}{end}"] == pytest.approx(scores.metrics[name])
    assert run.run(asked) == result


@pytest.mark.parametrize("row", ["ad", "v+ad+sub", "v+subn", "mad2-unnamed", "clipcap", "capdec"])
def test_other_rows_run(row: str, made: dict[str, Any]) -> None:
    found = run.run(job(row, made))
    assert found["videos"]["evaluated"] == CLIPS
    assert all(value >= 0 for value in found["metrics"].values())


@pytest.mark.parametrize("clips", [2, judging.STORY])
def test_a_story_is_told_in_parts(
    clips: int, made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part by itself, its words and the true ones joined; by the training of Table 8.3."""
    monkeypatch.setattr(judging, "STORY", clips)
    asked = job("story", made)
    trained = run.train(asked)
    assert trained.run is not None and trained.run == run.train(job("mad2-unnamed", made)).run
    found = judging.story(asked, trained)
    language = learning.given(asked).language
    written, truth = [], []
    for number in range(8, 11):
        film, features = toy_films.film(number, "test")
        times = np.arange(len(features)) / toy_films.RATE
        for start in range(0, toy_films.CLIPS - clips + 1, clips):
            some = film.unnamed[start : start + clips]
            seen = [clip_of(features, times, cue.start, cue.end, 4) for cue in some]
            own = describe_clips(trained.model, language, torch.stack(seen).float())
            written.append(" ".join(one.text for one in own))
            truth.append([" ".join(cue.text for cue in some)])
    assert "omeone" in truth[0][0] and len(truth) == 3 * (toy_films.CLIPS // clips)
    naive = caption_scores(written, truth)
    for name in ("cider", "rouge_l", "bleu_4"):
        assert found.metrics[name] == pytest.approx(naive.metrics[name])
        assert found.items[name] == pytest.approx(naive.items[name])
    assert found.counts == {"evaluated": len(truth), "skipped": CLIPS - clips * len(truth)}


def test_rows_of_names_are_judged_on_text_without_them_too(made: dict[str, Any]) -> None:
    for name in ("mad2-unnamed", "v+ad"):
        asked = job(name, made)
        trained = run.train(asked)
        found = judging.unnamed(asked, trained)
        language = learning.given(asked).language
        written, truth = [], []
        for number in range(8, 11):
            film, features = toy_films.film(number, "test")
            times = np.arange(len(features)) / toy_films.RATE
            seen = [clip_of(features, times, cue.start, cue.end, 4) for cue in film.unnamed]
            told = [cue.text for cue in film.unnamed]
            one = describe_clips(trained.model, language, torch.stack(seen).float(), truth=told)
            written += [clip.text for clip in one]
            truth += [[text] for text in told]
        naive = caption_scores(written, truth)
        assert found.metrics == {
            f"{key}_unnamed": pytest.approx(value) for key, value in naive.metrics.items()
        }
        assert judging.unnamed in ROWS[f"autoad/{name}"].judges


def test_no_judge_of_text_without_names_where_there_is_none(
    made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = run.train(job("v+ad", made))
    monkeypatch.setattr(Film, "descriptions", lambda self, named=True: self.named if named else ())
    with pytest.raises(Lacking, match="'synthetic_films' have no descriptions without names"):
        judging.unnamed(job("v+ad", made), trained)


def test_no_story_without_descriptions_that_hide_names(
    made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = run.train(job("story", made))
    monkeypatch.setattr(Film, "descriptions", lambda self, named=True: self.named if named else ())
    with pytest.raises(Lacking, match="'synthetic_films' have too few descriptions without names"):
        judging.story(job("story", made), trained)


def test_a_film_without_descriptions_is_left_out(
    made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = learning.given(job("v", made))
    gone = next(iter(world.clips("test")))
    told = Film.descriptions
    monkeypatch.setattr(
        Film,
        "descriptions",
        lambda self, named=True: () if self.movie == gone else told(self, named),
    )
    assert gone not in world.clips("test") and len(world.clips("test")) == 2


def test_who_learns_without_names_is_judged_with_them(made: dict[str, Any]) -> None:
    """The truth, and so the true context, is that of all rows of Table 8.3."""
    trained = run.train(job("mad2-unnamed", made))
    assert not trained.model.config.names
    world = judging.judged(job("mad2-unnamed", made), trained.model)
    (first, *_) = world.items("test")
    film, _ = toy_films.film(8, "test")
    assert [item.text for item in first] == [cue.text for cue in film.named]
    assert first[2].context == tuple(cue.text for cue in film.named[:2])
    assert world.clips("test", oracle=True)[film.movie].truth == [c.text for c in film.named]
    learnt = learning.given(job("mad2-unnamed", made)).items("train")[0]
    assert all("omeone" in item.text for item in learnt)


def test_another_file_of_features_under_the_same_name_is_another_run(
    made: dict[str, Any], tmp_path: Path
) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "features.h5"

    def names() -> tuple[str, str]:
        asked = job("v", made, features=str(path))
        return learning.given(asked).fingerprint("films"), run.folder(asked).name

    found = []
    for scale in (1, 1, 2):
        path.unlink(missing_ok=True)
        with h5py.File(path, "w") as file:
            for number in range(sum(toy_films.SPLIT.values())):
                file[f"f{number}"] = scale * toy_films.film(number)[1].astype(np.float32)
        found.append(names())
    assert found[0] == found[1]
    assert found[0][0] != found[2][0] and found[0][1] != found[2][1]


def test_partial_data_come_together(made: dict[str, Any]) -> None:
    """The pictures' part of the run on captions, the words' of the run on text (8.3.3)."""
    both = run.train(job("v+ad-text+webvid", made, lr=0.0))
    seen = run.train(learning.before(FILMED, job("v+ad-text+webvid", made)))
    read = run.train(learning.before(TEXT, job("v+ad-text+webvid", made)))
    assert both.run is not None and seen.run is not None and read.run is not None
    assert both.model.config.source == f"{seen.run.name},{read.run.name}"
    state = both.model.state_dict()
    for name, value in seen.model.state_dict().items():
        if name.startswith(("mapping", "project")) and name != "mapping.scale":
            assert torch.equal(state[name], value)
    scale = learning.given(job("v", made)).sequences("train").scale()
    assert torch.equal(state["mapping.scale"], scale), "that of what it learns from itself"
    assert scale.shape == (2, toy_films.DIM) and (scale[1] > 0).all()
    for name, value in read.model.state_dict().items():
        if name.startswith(("reader", "context", "begin")):
            assert torch.equal(state[name], value)
    assert not torch.equal(  # the language model of the text run has learnt
        read.model.reader.model.transformer.wte.weight,
        learning.given(job("v", made)).language.model.transformer.wte.weight,
    )
    named = learning.trained(job("v+ad-text+webvid", made, lr=0.0, source=both.model.config.source))
    assert named.run == both.run
    other = run.identity(job("v+ad-text+webvid", made))[1]["init"]
    assert other.count(" from ") == 2


def test_a_sequence_holds_what_precedes_its_clips(made: dict[str, Any]) -> None:
    world = learning.given(job("v+ad+sub", made))
    item = world.sequences("train")[1]  # the second half of the first film
    film, features = toy_films.film(0)
    assert item["features"].shape == (3, 4, 12) and item["index"].tolist() == [3, 4, 5]
    decode = world.language.decode
    for at, number in enumerate((3, 4, 5)):
        ids = {name: [i for i in item[name][at].tolist() if i >= 0] for name in
               ("context", "subtitles", "text")}  # fmt: skip
        assert ids["text"][-1] == 0 and decode(ids["text"]) == film.named[number].text
        before = [cue.text for cue in film.named[number - 3 : number]]
        assert decode(ids["context"]) == " ".join(before)
        said = [cue.text for cue in film.subtitles[max(0, number - 4) : number]]
        assert ids["subtitles"] == world.language.encode(" ".join(said))
        start = number * 4 * toy_films.RATE
        rows = torch.tensor(features[start : start + 2 * toy_films.RATE + 1]).float()
        nearest = torch.cdist(item["features"][at], rows).min(1).values
        assert nearest.max() < 0.01
    blind = learning.given(job("text", made)).written()[0]
    assert not blind["features"].any() and (blind["context"] >= 0).any()


def test_keys_are_those_of_the_tables() -> None:
    """All that the studio can stand in for, and no other."""
    keys, none = set(), set()
    for row in (row for number in range(2, 6) for row in published.table(f"8.{number}").rows):
        (keys if row.studio else none).add(row.key)
    assert keys - {None} <= ROWS.keys() and {CC3M, WEBVID, TEXT} <= ROWS.keys()
    assert none == {f"autoad/{name}" for name in ("mad1-named", "mad1-unnamed", "story+lsmdc")}
    assert not none & ROWS.keys()


def test_a_story_is_judged_on_its_own_data() -> None:
    assert run.judged_on(Job("autoad/story", "paper")) == "lsmdc"
    assert run.judged_on(Job("autoad/story", "small")) == "synthetic_films"
