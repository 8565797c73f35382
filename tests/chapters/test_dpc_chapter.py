"""What the notebooks show, on a tiny data set with labels and on the same videos without."""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import studio
from thesislib import ledger, viz
from thesislib.chapters import blocks, compare, pages, pictures, run
from thesislib.chapters.dpc import show
from thesislib.chapters.row import Job
from thesislib.chapters.world import show as primer
from thesislib.data.dataset import training_clips
from thesislib.data.manifest import Manifest, read_manifest, write_manifest
from thesislib.errors import ThesisError
from thesislib.evaluation.finetune import FinetuneConfig
from thesislib.evaluation.scores import Lacking, PerVideo
from thesislib.losses import count_pairs, dense_nce, dense_scores, pair_kinds
from thesislib.methods.dpc import DPC, DPCConfig

JOB = Job("dpc/5pred3", dataset="synthetic", log=None)
FILM = dataclasses.replace(JOB, dataset="film")
ROWS = ("dpc/random", "dpc/5pred3")
# Maps of two by two places, so that there are negatives of each kind.
SMALL, TUNE = studio.SMALL | {"size": 64}, studio.TUNE | {"size": 64}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folders of their own, presets of a few seconds, one data set with and one without labels."""
    root = tmp_path_factory.mktemp("chapters")
    paper, tuned = DPCConfig.preset("paper"), FinetuneConfig.preset("paper")
    small = paper.override({"profile": "small", "dataset": "synthetic", **SMALL})
    tune = tuned.override({"profile": "small", "dataset": "synthetic", **TUNE})
    with pytest.MonkeyPatch.context() as patch:
        studio.use_folders(patch, root)
        presets = {"small": small, "paper": paper, "gpu": paper}
        patch.setattr(DPCConfig, "preset", staticmethod(presets.__getitem__))
        patch.setattr(FinetuneConfig, "preset", staticmethod({"small": tune, "paper": tuned}.get))
        labelled = studio.tiny(root / "data")
        bare = [
            dataclasses.replace(v, label="", path=str(labelled.file(v))) for v in labelled.videos
        ]
        write_manifest(Manifest("film", root / "data" / "film", tuple(bare)))
        yield root


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return []


@pytest.fixture(scope="module")
def results(tiny: Path, lines: list[str]) -> dict[str, dict]:
    return pages.run_rows(ROWS, dataclasses.replace(JOB, log=lines.append))


@pytest.fixture(scope="module")
def film(tiny: Path) -> dict[str, dict]:
    return pages.run_rows(ROWS, FILM)


def cells(page: pages.Page) -> list[list[str]]:
    rows = [line.strip("| ").split(" | ") for line in page.text.splitlines() if line[:1] == "|"]
    return [row for row in rows if set("".join(row)) - set("-|")]


# -- runs ----------------------------------------------------------------------------------


def test_one_job_says_what_is_shown_and_trained(tiny: Path) -> None:
    """A reader who changes a setting in the cell sees it everywhere."""
    job = JOB.also(JOB.row, pred_step=1)
    manifest = read_manifest("synthetic")
    assert ["`pred_step`", "1", "3"] in [row[:3] for row in cells(pages.settings_page(job))]
    titles = [ax.get_title("left") for ax in blocks.clip_picture(manifest, run.settings(job)).axes]
    assert titles[-2:] == ["$x_3$, seen", "$x_4$, to predict"]
    assert blocks.chance(job)["temporal"] == 1
    found = pages.run_rows(["dpc/5pred3"], job)["dpc/5pred3"]
    assert found["config"]["pretrain"]["pred_step"] == 1
    assert run.train(job).model.config.pred_step == 1


def test_batches_go_on_from_epoch_to_epoch(tiny: Path) -> None:
    config = run.settings(JOB)
    train = training_clips(read_manifest("synthetic"), config)
    some = [
        batch["index"] for batch, _ in zip(pages.batches(train, config), range(7), strict=False)
    ]
    assert sorted(torch.cat(some[:6]).tolist()) == list(range(24)), "one epoch"
    assert not torch.equal(some[0], some[6])


def test_rows_of_a_chapter(tiny: Path) -> None:
    headline, everything = pages.chapter_rows("dpc"), pages.chapter_rows("dpc", "all")
    assert set(headline) < set(everything)
    assert {"dpc/random", "dpc/5pred3"} <= set(headline)
    with pytest.raises(ThesisError, match="headline"):
        pages.chapter_rows("dpc", "headlines")


def test_what_the_ledger_holds_is_not_trained_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def kept(row: str, data: str) -> ledger.Entry:
        return ledger.Entry(row, row.split("/")[0], "small", data, 3, {"finetune_top1": 0.5})

    one = ledger.Ledger([kept("dpc/random", "synthetic"), kept("dpc/5pred3", "synthetic"),
                         kept("turbo/nce-m75-r25", "talks")])  # fmt: skip
    monkeypatch.setattr(ledger.Ledger, "load", classmethod(lambda cls: one))
    assert pages.chapter_rows("dpc", "headline", JOB) == ("dpc/5pred3",)
    for other in (FILM, dataclasses.replace(JOB, profile="gpu"),
                  dataclasses.replace(JOB, changes={"width": 8}),
                  dataclasses.replace(JOB, tune={"epochs": 2})):  # fmt: skip
        assert pages.chapter_rows("dpc", "headline", other) == ROWS, other
    assert "dpc/random" in pages.chapter_rows("dpc", "all", JOB)
    job, spoken, long = (
        Job(f"turbo/{row}", dataset=data)
        for row, data in (("m75-r25", "acts"), ("nce-m75-r25", "talks"), ("long-f32", "talks"))
    )
    found = pages.chapter_rows("turbo", "headline", job, spoken, long)
    assert found == ("turbo/long-f32", "turbo/m75-r25")


def test_a_run_says_what_it_does_and_a_second_call_finds_it(results: dict, lines: list) -> None:
    for row in ROWS:
        mine = [line for line in lines if line.startswith(f"{row}: ")]
        assert "done in" in mine[-1] and len(mine) <= 24
    again: list[str] = []
    assert pages.run_rows(ROWS, dataclasses.replace(JOB, log=again.append)) == results
    assert len(again) == len(ROWS) and all("found finished" in line for line in again)


def test_chance_is_one_over_the_candidates(tiny: Path) -> None:
    config = run.settings(JOB)
    side = DPC(config).features(torch.zeros(1, 2, 3, 3, 64, 64)).shape[-1]
    held = len(read_manifest("synthetic").select(split="val"))
    # Guessing is easier where the validation split is smaller than a batch.
    for batch in (2, 1000):
        pairs = count_pairs(min(batch, held), config.pred_step, side, side)
        levels = blocks.chance(JOB.also(JOB.row, batch_size=batch))
        assert levels["all"] == pytest.approx(1 / sum(pairs.values()))
    assert levels["all"] == pytest.approx(1 / sum(pairs.values()))
    assert levels["temporal"] == pytest.approx(1 / config.pred_step)
    assert levels["easy"] == pytest.approx(1 / (1 + pairs["easy"]))


# -- text ----------------------------------------------------------------------------------


def test_source_is_what_the_file_holds() -> None:
    page = pages.source(DPC.features, DPC.predict, dense_nce)
    head = "```python\n# class DPC, in part\n\ndef features("
    assert page.text.startswith(head) and page.text.endswith("\n```\n")
    assert page.text.count("# class") == 1, "once for all methods of a class in a row"
    assert inspect.getsource(dense_nce) in page.text + "\n"
    assert repr(page) == page._repr_markdown_() == page.text


def test_a_table_keeps_its_columns() -> None:
    page = pages.grid(("a", "b"), [("x|y", 1)])
    assert page.text == "| a | b |\n| --- | --- |\n| x\\|y | 1 |\n"


def test_settings_are_those_that_differ(tiny: Path) -> None:
    config = DPCConfig.preset("small").override({"augment.flip": 0.25})
    paper = DPCConfig.preset("paper")
    page = pages.differences_page(("pre-training", config, paper))
    rows = {row[0]: row[1:] for row in cells(page)[1:]}
    assert rows["`epochs`"] == [str(config.epochs), str(paper.epochs)]
    assert rows["`augment.flip`"] == ["0.25", "0.5"]
    assert "`lr`" in rows, "what one needs to train it again stands there, also where it agrees"
    assert "`dropout`" not in rows and "`num_workers`" not in rows
    both = cells(pages.settings_page(JOB))
    assert {len(row) for row in both} == {5}
    (per_class,) = [row for row in both if row[0] == "`per_class`"]
    assert per_class[1:] == ["–", "–", "2", "all"]


def test_pairs_are_those_of_the_score_matrix(tiny: Path) -> None:
    config = DPCConfig.preset("small")
    ((_, *row),) = cells(blocks.pairs_page(JOB, {"here": config}))[1:]
    side = DPC(config).features(torch.zeros(1, 2, 3, 3, 64, 64)).shape[-1]
    kinds = pair_kinds(config.batch_size, config.pred_step, side, side)[0]
    assert [int(n) for n in row[:4]] == [int((kinds == code).sum()) for code in (1, -1, -3, 0)]


def test_a_gradient_step_moves_belief_to_the_positive() -> None:
    torch.manual_seed(0)
    target = torch.randn(2, 3, 8, 2, 2)
    guess = (0.4 * target + 0.5 * torch.randn_like(target)).requires_grad_()
    before = dense_scores(guess, target)
    dense_nce(guess, target)[0].backward()
    after = dense_scores(guess - 3 * guess.grad, target)
    table = cells(primer.moves_page(before, after, pair_kinds(2, 3, 2, 2)))[1:]
    shares = {row[0]: [float(x) for x in row[1:]] for row in table}
    assert shares["positive"][1] > shares["positive"][0]
    for column in (0, 1):
        assert sum(s[column] for s in shares.values()) == pytest.approx(100, abs=0.3)


def test_shapes_name_their_axes() -> None:
    z, odd = torch.zeros(1, 2, 3, 4, 5), torch.zeros(2)
    rows = cells(pages.shapes_page(show.AXES, z=z, odd=odd))
    assert rows[1] == ["`z`", "(B, N, D, H', W')", "(1, 2, 3, 4, 5)"]
    assert rows[2] == ["`odd`", "–", "(2,)"]


def test_scores_are_the_metrics_of_the_runs(results: dict) -> None:
    head, *rows = cells(pages.scores_page(results))
    place = head.index("fine-tuned, %")
    for row in rows:
        assert row[place] == f"{100 * results[row[0]]['metrics']['finetune_top1']:.1f}"
    assert rows[0][head.index("pretext, %")] == "–"


def test_without_labels_one_line_says_so(film: dict) -> None:
    manifest = read_manifest("film")
    page = pages.scores_page(film, pages.NO_LABELS)
    assert "nothing can be classified" in page.text and "fine-tuned" not in page.text
    assert "pretext, %" in page.text
    some = PerVideo(np.zeros((2, 3), np.float32), np.full(2, -1), np.arange(2), {})
    assert "no labels" in primer.judge_page(some, some, manifest).text


def test_a_row_that_cannot_be_judged_says_what_the_data_lacks(film: dict) -> None:
    for row in ROWS:
        with pytest.raises(Lacking, match="'film' has videos of 0 classes in its train split") as e:
            run.run(FILM.also(row))
        assert "\n" not in str(e.value) and "label" in str(e.value)


def test_tables_hold_the_ledger_and_the_run_at_hand(results: dict, tiny: Path) -> None:
    empty = cells(compare.tables_page("2.1", results, JOB))
    for row in ROWS:
        source = json.loads(json.dumps(results[row]))
        path = tiny / "promoted.json"
        path.write_text(json.dumps(source))
        ledger.promote(path, dirty=True)
    try:
        page = compare.tables_page(["2.1", "2.3"], results, JOB)
        head, first, second, *_ = cells(page)
        value = f"{100 * results['dpc/5pred3']['metrics']['finetune_top1']:.1f}"
        assert second[head.index("action top-1 (%), ours")] == f"{value} (1)"
        # The run has a column of its own only as long as the ledger does not hold its rows.
        assert "action top-1 (%), this run" in empty[0] and not any("this run" in c for c in head)
        assert "60.6" in second and "46.5" in first and "network" not in head
        assert "Table 2.1" in page.text and "Table 2.3" in page.text
        assert "not run" in " ".join(empty[2]) and value in empty[2]
        stages = viz.pretext_vs_downstream(show.stages(JOB))
        assert "not run" in stages.alt  # this run kept no checkpoints
        assert "unclear" in compare.claims_page(JOB).text
        said = compare.said(JOB, "dpc-pretraining", "dpc-times")
        assert "random weights, fine-tuned. Unclear: " in said and "guessing 33.3" in said
        glance = compare.glance(JOB, {"paper": "a paper"}, show.QUOTES).text
        assert "60.6 % in the thesis" in glance and f"{value} % here (1 seeds)" in glance
        both = cells(compare.repeat_page(results, JOB))
        assert all(line[2] == line[3] == line[4].removesuffix(" (1)") for line in both[1:])
        rows = cells(compare.readers_page(JOB, show.BATCHES, ("finetune_top1",)))
        assert [line[2] for line in rows[1:]][1:] == ["not run", f"{value} (1)"]
    finally:
        for file in (tiny / "results").rglob("*.json"):
            file.unlink()
    assert len(ledger.Ledger.load()) == 0


def test_the_world_without_runs_is_not_run(tiny: Path) -> None:
    rows = cells(primer.world_page("synthetic"))
    assert len(rows) == 7 and all(row[1] == "not run" for row in rows[1:])


def test_numbers_of_the_prose(results: dict) -> None:
    values = show.numbers(results, JOB, read_manifest("synthetic"))
    assert values["videos"] == 40 and values["classes"] == 4
    assert values["thesis_pooled"] == "44.9" and "neither ablation" in values["costliest"]
    assert values["candidates"] * values["chance_all"] == pytest.approx(100)


@pytest.mark.parametrize(
    ("found", "said"), [(0.95, "more than luck"), (0.5, "from luck"), (0.4, "from luck")]
)
def test_time_is_read_honestly(tiny: Path, found: float, said: str) -> None:
    sentence = blocks.temporal_reading({"pretext_top1_temporal": found}, JOB)
    assert said in sentence and f"{100 * found:.1f} %" in sentence and "50.0 %" in sentence
    assert "not measured" in blocks.temporal_reading({}, JOB)


# -- pictures ------------------------------------------------------------------------------


def test_pictures_of_the_data(tiny: Path) -> None:
    config = run.settings(JOB)
    for name in ("synthetic", "film"):
        manifest = read_manifest(name)
        train = training_clips(manifest, config)
        batch = next(pages.batches(train, config))
        assert batch["video"].shape == (4, 4, 3, 3, 64, 64)
        for picture in (
            pictures.actions_picture(manifest),
            pictures.pair_picture(manifest),
            blocks.clip_picture(manifest, config),
            pictures.batch_picture(batch, train),
            pictures.augmentation_picture(manifest, config),
        ):
            assert len(picture.png()) <= 150_000 and picture.alt


def test_the_pair_is_one_actor_in_one_scene(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list = []
    monkeypatch.setattr(pictures, "_sheet", lambda m, videos, *rest, **kw: seen.extend(videos))
    pictures.pair_picture(read_manifest("synthetic"))
    assert [v.label for v in seen] == ["sit_down", "stand_up"]
    assert seen[0].group == seen[1].group


def test_curves_show_the_run_and_its_chance(results: dict) -> None:
    picture = blocks.curves_picture(results["dpc/5pred3"], JOB)
    labels = [line.get_label() for line in picture.axes[0].lines]
    assert labels[:2] == ["all candidates", "other times only"]
    assert picture.axes[0].lines[3].get_ydata()[0] == pytest.approx(50)


def test_retrieval_with_and_without_labels(
    results: dict, film: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: object) -> PerVideo:
        raise ThesisError("The weights are not installed.")

    def present(manifest: Manifest, config: DPCConfig) -> PerVideo:
        rng = np.random.default_rng(0)
        n = len(manifest)
        values = rng.normal(size=(n, 5)).astype(np.float32)
        return PerVideo(values, np.zeros(n, np.int64), np.arange(n), {})

    for name in ("synthetic", "film"):
        job = dataclasses.replace(JOB, dataset=name)
        manifest, config, model = read_manifest(name), run.settings(job), run.train(job).model
        monkeypatch.setattr(pictures, "imagenet_features", absent)
        found, missing = pictures.neighbours(model, manifest, config, queries=3)
        picture = viz.retrieval_grid(*found)
        assert "not installed" in missing and len(picture.png()) <= 150_000
        assert ("same class" in picture.alt) == (name == "synthetic")
        ticks = [t.get_text() for ax in picture.axes for t in ax.texts]
        assert bool(ticks) == (name == "synthetic")
        monkeypatch.setattr(pictures, "imagenet_features", present)
        found, missing = pictures.neighbours(model, manifest, config, queries=3)
        more = viz.retrieval_grid(*found)
        assert missing == "" and len(more.axes) == len(picture.axes) * 10 / 7


def test_a_video_is_not_its_own_neighbour(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a test split the training videos are queries and gallery at once."""
    whole = read_manifest("synthetic")
    train = whole.select("train")
    config = run.settings(JOB)
    monkeypatch.setattr(pictures, "imagenet_features", lambda *a: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # only a missing extra is forgiven
        pictures.neighbours(DPC(config), train, config)

    def absent(*_: object) -> PerVideo:
        raise ThesisError("none")

    monkeypatch.setattr(pictures, "imagenet_features", absent)
    seen, _ = pictures.neighbours(DPC(config), train, config, queries=3)
    for query, near in zip(seen.queries, seen.found["random weights"], strict=True):
        assert near.shape[0] == 3 and not any((query == other).all() for other in near)
