"""Chapter 7's rows on made-up narrated videos: whole rows, judges against naive loops."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import studio
import toy_narrated
from thesislib import published
from thesislib.chapters import frame_features, run
from thesislib.chapters.row import Job
from thesislib.chapters.tan import judging, learning, narrated, show, steps
from thesislib.chapters.tan.claims import CLAIMS
from thesislib.chapters.tan.rows import ROWS
from thesislib.data.features import feature_file, write_features, write_note
from thesislib.data.loader import make_loader
from thesislib.data.manifest import read_manifest
from thesislib.data.narrations import Narration
from thesislib.errors import ThesisError
from thesislib.evaluation.scores import Lacking
from thesislib.methods.tan import TAN
from thesislib.optimiser import make_optimiser
from thesislib.places import runs_root
from thesislib.subtitles.placing import PRIOR

TINY: dict[str, Any] = {
    "seconds": 32, "width": 16, "depth": 1, "joint_depth": 1, "heads": 2, "places": 64,
    "batch_size": 4, "epochs": 2, "lr": 3e-3, "warmup": 0, "val_every": 1, "dropout": 0.0,
    "drop_path": 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("tan")
    with pytest.MonkeyPatch.context() as patch:
        studio.use_folders(patch, root)
        toy_narrated.make(root, patch)
        patch.setattr(learning, "SHARED", tuple(TINY))  # beginnings as short as the rest
        yield root


def job(row: str, **changes: Any) -> Job:
    return Job(f"tan/{row}", log=None, changes=TINY | changes)


def plain(row: str) -> Job:
    """A row of which nothing is trained."""
    return Job(f"tan/{row}", log=None)


@pytest.fixture(scope="module")
def second(made: Path) -> dict[str, Any]:
    return run.run(job("d"))


TEST = [(f"test/{n}.mp4", n) for n in toy_narrated.SPLIT["test"]]


# -- whole rows ------------------------------------------------------------------------------


def test_a_row_runs(second: dict[str, Any]) -> None:
    metrics = second["metrics"]
    assert second["dataset"] == "synthetic_narrated"
    wanted = {
        "align_r1", "align_r1_strict", "chance_align_r1", "align_auc", "align_auc_head",
        "align_auc_max_mention", "align_auc_both_chatter", "align_within_0.5", "align_within_5",
        "segment_frame_acc", "segment_iou", "segment_f1_50", "pretext_agree", "pretext_head",
        "t2v_r1", "t2v_median_rank",
    }  # fmt: skip
    assert wanted <= metrics.keys()
    assert len(second["hits"]["align_r1"]) == second["videos"]["evaluated"] == 4 * len(TEST)
    assert second["videos"]["sentences"] == 6 * len(TEST)
    assert metrics["align_auc"] == metrics["align_auc_head"]
    assert run.run(job("d")) == second  # found, not trained again


def test_stage_two_starts_from_stage_one(second: dict[str, Any]) -> None:
    first = run.train(job("a"))
    trained = run.train(job("d"))
    assert first.run is not None and trained.model.config.source == first.run.name
    fresh = TAN(trained.model.config)
    learning.taking(first.model, "x")(fresh)
    for part in (fresh.online, fresh.target):
        assert part is not None
        for name, value in part.state_dict().items():
            assert torch.equal(value, first.model.online.state_dict()[name])
    named = learning.trained(job("cont", source=first.run.name))
    assert named.model.config.stage == 1
    assert named.run == learning.trained(job("cont"), first="tan/a").run
    with pytest.raises(ThesisError, match="does not fit the model"):
        learning.trained(job("cont", source=first.run.name, width=8))


def test_two_runs_are_one(
    second: dict[str, Any], made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THESISLIB_RUNS", str(made / "again"))
    assert run.run(job("d"))["metrics"] == second["metrics"]


@pytest.mark.parametrize("row", ["d-literal", "d-no-ema", "alone-2", "a-prior"])
def test_other_rows_run(row: str, made: Path) -> None:
    small = {} if not row.startswith("alone") else {"depth": 0, "joint_depth": 0}
    found = run.run(job(row, **small))
    assert 0 <= found["metrics"]["align_r1"] <= 1


def test_lists_of_steps_tune_the_second_stage(made: Path) -> None:
    found = run.run(job("d-finetuned"))
    assert 0 <= found["metrics"]["segment_frame_acc_foreground"] <= 1
    assert "align_r1" not in found["metrics"] and found["dataset"] == "synthetic_narrated"
    second = run.train(job("d"))
    assert second.run is not None and found["config"]["pretrain"]["stage"] == 3
    trained = run.train(job("d-finetuned"))
    assert trained.model.config.source == second.run.name and trained.model.target is None
    items = learning.given(job("d-finetuned")).lists("train")
    assert len(items) == 8 and set(items[0]) == {"video", "text"}, "no time is read"


def test_a_result_is_named_by_all_that_decides_it(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ("a", "d", "d-prior", "zero-shot", "chance")
    before = [run.folder(job(row)).name for row in rows]
    other = toy_narrated.Encoder()
    monkeypatch.setattr(other, "weights_hash", "fedcba9876543210", raising=False)
    with monkeypatch.context() as patch:
        patch.setattr(frame_features, "encoder", lambda *_: other)
        after = [run.folder(job(row)).name for row in rows]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False] * 4 + [True]
    monkeypatch.setattr(learning, "SHARED", ())  # another beginning
    again = [run.folder(job(row)).name for row in rows]
    assert [a == b for a, b in zip(before, again, strict=True)] == [True, False, False, True, True]


def test_steps_that_somebody_writes_beside_the_videos_name_a_result(made: Path) -> None:
    """Those that were prepared have a checksum, and cannot change under the same name."""
    manifest = read_manifest("synthetic_narrated")
    file, note = manifest.root / "segments.json", manifest.root / "dataset.json"
    kept, text = file.read_text(), note.read_text()

    def prints() -> tuple[str, str, str]:
        worlds = (learning.given(job(row)) for row in ("a", "d-finetuned"))
        return narrated.fingerprint("synthetic_narrated"), *(one.fingerprint for one in worlds)

    prepared = prints()
    try:
        own = json.loads(text)
        del own["segments_sha256"], own["info_sha256"]
        note.write_text(json.dumps(own))
        first = prints()
        file.write_text(kept.replace('"' + toy_narrated.STEPS[0] + '"', '"another"'))
        assert file.read_text() != kept
        second = prints()
        file.unlink()
        none = prints()
    finally:
        file.write_text(kept)
        note.write_text(text)
    assert first[0] != second[0] != none[0] == prepared[0]
    assert first[1] == second[1] == prepared[1], "a row without lists reads no step"
    assert len({first[2], second[2], none[2]}) == 3


def test_given_features_name_a_result(made: Path, tmp_path: Path) -> None:
    def name(model: str) -> str:
        settings = {"model": model, "width": 12, "rate": 1.0, "dtype": "float32"}
        write_note(tmp_path, {"dataset": "x", "settings": settings, "skipped": {}})
        return run.folder(job("zero-shot", features=str(tmp_path))).name

    assert name("one") == name("one") != name("other")


def test_words_bring_their_vectors(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"{word} {i}.5 {-i} 0.25" for i, word in enumerate((*toy_narrated.STEPS, "it"), 1)]
    file = tmp_path / "words.txt"
    file.write_text("\n".join(lines))
    kept = learning.given(job("a")).kept.folder
    how: dict[str, Any] = {
        "texts": "words", "features": str(kept), "vocabulary": str(file), "word_hidden": 16,
        "text_dim": 8, "one_space": False,
    }  # fmt: skip
    monkeypatch.setattr(learning, "SHARED", (*TINY, *how))
    first = run.train(job("a", **how)).model
    want = [[0.0, 0, 0], *([i + 0.5, -i, 0.25] for i in range(1, 8))]
    assert first.online.text.table.weight.tolist() == want, "vectors do not learn"
    second = run.train(job("d", **how)).model
    for part in (second.online, second.target):
        np.testing.assert_allclose(part.text.table.weight, want, rtol=1e-6)  # a running mean


def test_training_does_not_read_the_truth(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = learning.given(job("a"))

    def refuse(*_: Any) -> None:
        raise AssertionError("the truth is for judging")

    monkeypatch.setattr("thesislib.data.narrations.read_alignments", refuse)
    monkeypatch.setattr(judging, "read_alignments", refuse)
    for split, count in (("train", 8), ("val", 2)):
        assert len(world.windows(split)) == count  # the broken one is left out


def test_a_batch_is_learnt_by_heart(made: Path) -> None:
    torch.manual_seed(0)
    world = learning.given(job("a", lr=1e-2, random_offset=False))
    batch = next(iter(make_loader(world.windows("train"), 4, shuffle=True, seed=0)))
    model = TAN(world.config)
    optimiser = make_optimiser(model, world.config)
    for _ in range(80):
        loss, _ = model(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    right = []
    for b in range(4):
        found = model.window(batch["video"][b], batch["text"][b])
        for n in (~batch["text_padding"][b]).nonzero().flatten().tolist():
            at = int(found["dual"][n].argmax())
            right.append(int(batch["start"][b, n]) <= at < int(batch["end"][b, n]))
    assert np.mean(right) > 0.9


# -- judges against naive loops --------------------------------------------------------------


def naive(similarity: dict[str, np.ndarray]) -> dict[str, float]:
    """R@1, what is near enough, and ROC-AUC by the maximum, from the made-up truth."""
    hits, apart, best, able, kinds = [], [], [], [], []
    for path, number in TEST:
        _, seen = toy_narrated.said(number)
        for row, one in zip(similarity[path], seen, strict=True):
            second = int(np.argmax(row))
            best.append(row.max())
            able.append(one.alignable)
            kinds.append(one.kind)
            if one.alignable:
                hits.append(math.floor(one.start) <= second <= math.ceil(one.end))
                middle = second + 0.5
                inside = one.start <= middle <= one.end
                ends = (abs(middle - one.start), abs(middle - one.end))
                apart.append(0 if inside else min(ends))
    some = [able[i] or kinds[i] == "mentioned" for i in range(len(able))]
    return {
        "align_r1": float(np.mean(hits)),
        "align_within_0.5": float(np.mean([a <= 0.5 for a in apart])),
        "align_within_5": float(np.mean([a <= 5 for a in apart])),
        "align_auc_max": roc_auc_score(able, best),
        "align_auc_max_mention": roc_auc_score(np.array(able)[some], np.array(best)[some]),
    }


def agrees(metrics: dict[str, float], wanted: dict[str, float], *names: str) -> None:
    for name in names or wanted:
        assert metrics[name] == pytest.approx(wanted[name], abs=1e-9), name


def test_what_a_row_leaves_gives_its_scores_again(second: dict[str, Any]) -> None:
    kept = load_file(runs_root() / second["run"] / judging.ALIGNED)
    similarity = {path: kept[f"similarity/{path}"] for path, _ in TEST}
    agrees(second["metrics"], naive(similarity))
    head = np.concatenate([kept[f"head/{path}"] for path, _ in TEST])
    able = [one.alignable for _, n in TEST for one in toy_narrated.said(n)[1]]
    assert second["metrics"]["align_auc_head"] == pytest.approx(roc_auc_score(able, head))


def zero_shot() -> dict[str, np.ndarray]:
    found = {}
    for path, number in TEST:
        features = toy_narrated.video(number)[0].astype(np.float16).astype(np.float32)
        texts = toy_narrated.Encoder().encode_texts([s.text for s in toy_narrated.said(number)[0]])
        rows = [
            [t @ f / np.linalg.norm(t) / np.linalg.norm(f) for f in features] for t in texts.numpy()
        ]
        found[path] = np.array(rows)
    return found


def middles(number: int) -> list[float]:
    return [(one.start + one.end) / 2 for one in toy_narrated.said(number)[0]]


def test_zero_shot_and_the_prior(made: Path) -> None:
    cosines = zero_shot()
    agrees(run.run(plain("zero-shot"))["metrics"], naive(cosines))
    nearer = {
        path: np.array(
            [
                [cosines[path][n, t] - PRIOR * abs(t + 0.5 - at) for t in range(90)]
                for n, at in enumerate(middles(number))
            ]
        )
        for path, number in TEST
    }
    found = run.run(plain("zero-shot-prior"))["metrics"]
    agrees(found, naive(nearer), "align_r1", "align_within_0.5", "align_within_5")
    assert "align_auc" not in found


def test_where_all_sentences_are_seen_they_are_pointed_at_all_the_same(made: Path) -> None:
    """As in YouCook2: there is no ROC-AUC, and the rest is not lost with it."""
    world = learning.given(job("a"))
    seen, videos = judging.truth(world, "test"), world.told("test")
    found, shown = {}, {}
    for path, video in videos.items():
        found[path] = judging.Found(seen[path], judging.heard(video), judging.cosines(video))
        kept = np.array([one.alignable for one in seen[path]])
        only = tuple(one for one in seen[path] if one.alignable)
        shown[path] = judging.Found(only, found[path].heard[kept], found[path].similarity[kept])
    whole, part = judging.measured(found).metrics, judging.measured(shown).metrics
    assert part and part == {name: value for name, value in whole.items() if "auc" not in name}


def test_no_time_stamps_where_nobody_knows_them(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in HTM-Align: they are not at second 0."""
    said = judging.heard

    def unknown(video: Any) -> Any:
        times = said(video)
        times[0] = math.nan
        return times

    monkeypatch.setattr(judging, "heard", unknown)
    with pytest.raises(Lacking, match="nobody knows when they are heard"):
        judging.stamps(plain("stamps"), run.train(plain("stamps")))
    assert "align_r1" in judging.chance(plain("chance"), run.train(plain("chance"))).metrics


def test_time_stamps_and_chance(made: Path) -> None:
    spoken = {
        path: np.array([[-abs(t + 0.5 - at) for t in range(90)] for at in middles(number)])
        for path, number in TEST
    }
    found = run.run(plain("stamps"))["metrics"]
    agrees(found, naive(spoken), "align_r1", "align_within_0.5", "align_within_5")
    shares, close = [], []
    for _, number in TEST:
        for one in toy_narrated.said(number)[1]:
            if one.alignable:
                right = [math.floor(one.start) <= t <= math.ceil(one.end) for t in range(90)]
                shares.append(np.mean(right))
                gaps = [max(0, one.start - t - 0.5, t + 0.5 - one.end) for t in range(90)]
                close.append(np.mean([gap <= 2 for gap in gaps]))
    chance = run.run(plain("chance"))["metrics"]
    assert chance["align_r1"] == pytest.approx(np.mean(shares))
    assert chance["align_within_2"] == pytest.approx(np.mean(close))
    assert chance["align_auc"] == 0.5


def test_steps_in_their_order(made: Path) -> None:
    """The best of all ways to cut a video into its steps, by trying them."""
    world = judging.asked(plain("zero-shot"))
    right, found = steps.labelled(world, "test", judging.cosines)
    for path, number in TEST[:1]:
        features, shown = toy_narrated.video(number)
        numbers = [int(right[path][int(start)]) for start, *_ in shown]
        for t in range(90):
            inside = [k for k, (start, end, _) in enumerate(shown) if start <= t + 0.5 < end]
            assert right[path][t] == (numbers[inside[0]] if inside else 0)
        texts = toy_narrated.Encoder().encode_texts([name for *_, name in shown])
        rows = torch.from_numpy(features.astype(np.float16).astype(np.float32))
        score = torch.cosine_similarity(texts[:, None], rows[None], dim=2).double().numpy()
        total = np.concatenate([np.zeros((4, 1)), score.cumsum(1)], 1)
        best = max(
            (
                sum(total[k, cuts[k + 1]] - total[k, cuts[k]] for k in range(4)),
                [-c for c in cuts],
            )
            for a in range(1, 88)
            for b in range(a + 1, 89)
            for c in range(b + 1, 90)
            for cuts in [(0, a, b, c, 90)]
        )  # fmt: skip
        cuts = [-c for c in best[1]]
        want = np.concatenate([[numbers[k]] * (cuts[k + 1] - cuts[k]) for k in range(4)])
        assert (found[path] == want).mean() > 0.98
    metrics = run.run(plain("zero-shot"))["metrics"]
    inside = [np.mean(found[p][right[p] > 0] == right[p][right[p] > 0]) for p, _ in TEST]
    assert metrics["segment_frame_acc_foreground"] == pytest.approx(np.mean(inside))


def test_sentences_look_up_moments(made: Path) -> None:
    found = run.run(plain("zero-shot"))
    texts, clips, own = [], [], []
    for _, number in TEST:
        features = toy_narrated.video(number)[0].astype(np.float16).astype(np.float32)
        units = features / np.linalg.norm(features, axis=1, keepdims=True)
        heard, seen = toy_narrated.said(number)
        rows = toy_narrated.Encoder().encode_texts([s.text for s in heard]).numpy()
        for row, one, said in zip(rows, seen, heard, strict=True):
            if one.alignable:
                own.append(len(clips))
                texts.append(row)
                mean = units[int(one.start) : int(one.end)].mean(0)
                clips.append((mean / np.linalg.norm(mean), said.text.split()[0]))
    ranks = []
    for text, right in zip(texts, own, strict=True):
        near = [clip @ text for clip, _ in clips]
        rivals = [near[i] for i, (_, step) in enumerate(clips) if step != clips[right][1]]
        ranks.append(1 + sum(rival >= near[right] for rival in rivals))
    assert found["metrics"]["t2v_r1"] == pytest.approx(np.mean([r <= 1 for r in ranks]))
    assert found["metrics"]["t2v_r5"] == pytest.approx(np.mean([r <= 5 for r in ranks]))
    assert found["metrics"]["t2v_median_rank"] == pytest.approx(np.median(ranks))
    assert found["videos"]["moments"] == len(clips)


def test_without_a_truth_nothing_is_judged(made: Path) -> None:
    world = judging.asked(plain("zero-shot"))
    mute = replace(world, manifest=replace(world.manifest, root=made))  # where no such files are
    with pytest.raises(Lacking, match="Nobody knows"):
        judging.truth(mute, "test")


# -- what is read ----------------------------------------------------------------------------


def test_rows_become_seconds_by_their_mean() -> None:
    times = np.array([0.0, 0.5, 1.0, 3.2, 3.4, 3.9])
    rows = np.arange(12.0).reshape(6, 2)
    want = [rows[:2].mean(0), rows[2], rows[2], rows[3:].mean(0)]
    np.testing.assert_allclose(narrated.by_second(rows, times).numpy(), want, rtol=1e-6)
    np.testing.assert_allclose(narrated.by_second(rows, times + 7.3).numpy(), want, rtol=1e-6)


def test_features_and_words_of_others(made: Path, tmp_path: Path) -> None:
    """As the thesis has them: another network's features at another rate, and a text module."""
    changes = {"texts": "words", "words": 5, "word_dim": 6, "word_hidden": 8, "text_dim": 10}
    changes |= {"one_space": False}
    with pytest.raises(ThesisError, match="texts=words reads features and words of others"):
        run.train(job("a", **changes))
    manifest = read_manifest("synthetic_narrated")
    settings = {"model": "s3dg", "width": 3, "rate": 2.0, "dtype": "float32"}
    for video in manifest.videos:
        rows = np.random.default_rng(0).standard_normal((2 * toy_narrated.SECONDS, 3))
        write_features(
            feature_file(tmp_path, video.path), rows, np.arange(len(rows)) / 2, settings,
            video.path, "x",
        )  # fmt: skip
    write_note(tmp_path, {"dataset": manifest.name, "settings": settings, "skipped": {}})
    (tmp_path / "words.txt").write_text("\n".join(toy_narrated.STEPS))
    given = {"features": str(tmp_path), "vocabulary": str(tmp_path / "words.txt")}
    trained = run.train(job("a", **changes, **given))
    assert (trained.model.config.dim, trained.model.config.words) == (3, 7)


def test_rows_serve_the_tables() -> None:
    keys = {row.key for number in ("7.1", "7.2", "7.3") for row in published.table(number).rows}
    mine = {key for key in keys if key and key.startswith("tan/")}
    assert mine - {"tan/h", "tan/d-finetuned"} <= ROWS.keys()


# -- what is shown ---------------------------------------------------------------------------


def test_a_window_is_shown_with_its_labels(second: dict[str, Any]) -> None:
    one = show.window(job("d"), 1)
    heard, seen = toy_narrated.said(9)
    texts = [s.text for s in heard]
    assert set(one.sentences) <= set(texts)
    assert list(one.stages) == ["before stage 2", "after stage 2"]
    for cosines, labels in one.stages.values():
        assert cosines.shape == labels.seconds.shape == (len(one.sentences), 32)
        assert np.abs(cosines).max() <= 1 and labels.seconds.any(1).all()
    assert all(0 <= a < b <= 32 for a, b in one.heard)
    for text, times in zip(one.sentences, one.seen, strict=True):
        assert times is None or seen[texts.index(text)].alignable
    picture = show.window_picture(job("d"), 1)
    assert f"{len(one.sentences)} sentences of a window" in picture.alt
    assert len(picture.axes) == 4


def test_the_best_span_by_trying_all() -> None:
    row = np.random.default_rng(0).standard_normal(30)
    found = show._found(row, Narration(3.1, 7.4, "x"))
    means = [row[s : s + 4].mean() for s in range(27)]
    assert found == (float(np.argmax(means)), float(np.argmax(means)) + 4)


def test_a_time_line_is_drawn(second: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    frames = np.zeros((show.FRAMES, 4, 4, 3), np.uint8)
    monkeypatch.setattr(show, "_strip", lambda *_: frames)
    picture = show.time_line_picture(job("d"), {"stage 2": "tan/d"})
    assert "heard reports 4" in picture.alt and "stage 2 reports 4" in picture.alt


def test_sentences_are_counted(made: Path) -> None:
    lines = show.sentences_page(job("d")).text.splitlines()
    test = [cell.strip() for cell in lines[4].strip("| ").split("|")]
    count = len(TEST)
    told = [pair for _, n in TEST for pair in zip(*toy_narrated.said(n), strict=True)]
    on_time = sum(a.alignable and a.start <= (s.start + s.end) / 2 <= a.end for s, a in told)
    assert test == ["test", *map(str, (count, 6 * count, 4 * count, on_time, count, count))]


def test_guessing_is_the_loss_of_equal_cosines(made: Path) -> None:
    """Of one sentence in one video: one of the seconds it is heard at, the one sentence."""
    batch = {
        "video": torch.zeros(1, 32, 3), "text": torch.zeros(1, 1, 3),
        "start": torch.tensor([[4.0]]), "end": torch.tensor([[8.0]]),
    }  # fmt: skip
    config = run.settings(job("a"))
    assert show.guessing(batch, config) == pytest.approx(math.log(8) / 2)


def test_what_the_text_says_is_asked_of_claims() -> None:
    known = {claim.id for claim in CLAIMS}
    assert {name for names in show.ASKED.values() for name in names} == known
    rows = {
        row
        for one in CLAIMS
        for row in (getattr(one, "better", ""), getattr(one, "worse", ""), getattr(one, "row", ""))
    }
    assert rows - {""} <= ROWS.keys()
    for some in (show.BASELINES, show.PARTS, show.SIMPLE, show.ABLE):
        assert set(some) <= ROWS.keys()
    for metric in (*show.NEAR, *show.KINDS, *show.TOLD):
        assert published.metric(metric)
