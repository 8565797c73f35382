"""The small image-text model: its recipe at toy size, and what ships."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from thesislib import pretrained
from thesislib.cli import main
from thesislib.errors import ThesisError
from thesislib.image_text import Preprocess, load_image_text
from thesislib.image_text.model import SMALL_FOLDER
from thesislib.pretrained.image_text import judge, recipe
from thesislib.pretrained.image_text.contrast import (
    Contrast,
    ContrastConfig,
    PairDataset,
    encode_tokens,
)
from thesislib.synthetic.pairs import pairs
from thesislib.torchvision_here import ensure_torchvision

ensure_torchvision()
open_clip = pytest.importorskip("open_clip")

TINY = ContrastConfig().override(
    {"width": 4, "text_width": 32, "text_layers": 2, "embed": 16, "size": 32, "window": 20}
)


@pytest.fixture
def tiny() -> Any:
    torch.manual_seed(0)
    return open_clip.CLIP(**TINY.architecture())


def texts(lengths: list[int], window: int = 20) -> torch.Tensor:
    """Ids whose end, the largest number, stands at these places."""
    ids = torch.randint(1, 2000, (len(lengths), window))
    for row, length in zip(ids, lengths, strict=True):
        row[length], row[length + 1 :] = 2559, 0
    return ids


def test_texts_of_unequal_lengths_are_encoded_as_open_clip_does_it(tiny: Any) -> None:
    ids = texts([3, 19, 1, 8, 8, 12, 2])
    for buckets in (1, 4, 20):
        torch.testing.assert_close(
            encode_tokens(tiny, ids, buckets), tiny.encode_text(ids), rtol=1e-5, atol=1e-5
        )


@torch.no_grad()
def test_the_loss_against_a_loop(tiny: Any) -> None:
    module = Contrast(tiny, Preprocess.of({"size": 32})).eval()
    batch = {"image": torch.randint(0, 256, (5, 32, 32, 3), dtype=torch.uint8),
             "tokens": texts([3, 4, 5, 6, 7])}  # fmt: skip
    loss, logs = module(batch)
    images = F.normalize(tiny.encode_image(module.preprocess(batch["image"])), dim=-1)
    words = F.normalize(tiny.encode_text(batch["tokens"]), dim=-1)
    scale, total, right = float(tiny.logit_scale.exp()), 0.0, 0
    for i in range(5):
        row = [scale * float(images[i] @ words[j]) for j in range(5)]
        column = [scale * float(images[j] @ words[i]) for j in range(5)]
        for scores in (row, column):
            total -= (scores[i] - np.log(np.sum(np.exp(scores)))) / 10
        right += int(np.argmax(row) == i)
    assert float(loss.detach()) == pytest.approx(total, rel=1e-5)
    assert float(logs["right"]) == pytest.approx(right / 5)
    with torch.no_grad():
        tiny.logit_scale.fill_(9.0)
    assert float(module(batch)[1]["scale"]) == pytest.approx(100)


def test_it_learns_one_batch_by_heart(tiny: Any) -> None:
    module = Contrast(tiny, Preprocess.of({"size": 32}))
    config = ContrastConfig()
    groups = module.parameter_groups(config)
    assert {g["weight_decay"] for g in groups} == {0.05, 0.0}
    assert sum(len(g["params"]) for g in groups) == len(list(module.parameters()))
    batch = {"image": torch.randint(0, 256, (8, 32, 32, 3), dtype=torch.uint8),
             "tokens": texts([3, 4, 5, 6, 7, 8, 9, 10])}  # fmt: skip
    optimiser = torch.optim.AdamW(groups, lr=3e-3)
    for _ in range(25):
        loss, logs = module(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.2 and float(logs["right"]) == 1


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The recipe at toy size, made once."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("recipe")
        patch.setenv("THESISLIB_RUNS", str(root / "runs"))
        found = recipe.make(root / "out", recipe.TOY, judged=64, jobs=1, log=None)
        again = recipe.make(root / "again", recipe.TOY, judged=64, jobs=1, log=None)
    assert again["weights_hash"] == found["weights_hash"], "the run is found, not repeated"
    return root / "out", found


def test_the_recipe_writes_a_folder_that_is_read(made: tuple[Path, dict[str, Any]]) -> None:
    folder, found = made
    model = load_image_text(folder)
    assert model.weights_hash == found["weights_hash"]
    assert (model.width, model.window, model.preprocess.size) == (32, 77, 32)
    assert model.encode_texts(["骑自行车", ""]).isfinite().all()
    features = model.encode_frames(pairs(4, 4, 4, 7, 32, 1).images(range(64)))
    assert 0.3 < float(features.square().mean().sqrt()) < 0.5
    own = open_clip.create_model(f"local-dir:{folder}").eval()  # open_clip reads it too
    with torch.no_grad():
        theirs = own.encode_text(model.tokenizer(["waving"]))
    torch.testing.assert_close(theirs, model.encode_texts(["waving"]))


def test_features_have_the_level_of_published_models(tiny: Any) -> None:
    module = Contrast(tiny, Preprocess.of({"size": 32})).eval()
    frames = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    with torch.no_grad():
        before = tiny.encode_image(module.preprocess(frames))
        recipe.level(module, frames)
        after = tiny.encode_image(module.preprocess(frames))
    assert float(after.square().mean().sqrt()) == pytest.approx(recipe.LEVEL, rel=1e-4)
    torch.testing.assert_close(F.normalize(after), F.normalize(before))


def test_scores_and_card_say_where_they_come_from(made: tuple[Path, dict[str, Any]]) -> None:
    folder, found = made
    note = json.loads((folder / "scores.json").read_text())
    card = (folder / "README.md").read_text()
    assert note["scores"] == found["scores"] and note["provenance"]["commit"] in card
    assert note["settings"]["groups"] == 4 and note["weights_hash"] in card
    assert all(0 <= v <= 1 for k, v in note["scores"].items() if k != "retrieval_videos")
    assert "CLIP" not in card.replace("open_clip", "")


def test_pairs_become_items_from_seed_epoch_and_index() -> None:
    some = pairs(1, 2, 3, 0, 32, 1)
    tokenizer = open_clip.SimpleTokenizer(context_length=77)
    dataset = PairDataset(some, tokenizer, seed=0, joined=0.5)
    assert len(dataset) == 6
    one, again, later = dataset[2, 1], dataset[2, 1], dataset[3, 1]
    assert one["image"].shape == (32, 32, 3) and one["image"].dtype == torch.uint8
    assert torch.equal(one["tokens"], again["tokens"])
    assert not torch.equal(one["tokens"], later["tokens"])
    ends = [int(dataset[e, i]["tokens"].argmax()) for e in range(40) for i in range(6)]
    single = PairDataset(some, tokenizer, seed=0, joined=0.0)
    alone = [int(single[e, i]["tokens"].argmax()) for e in range(40) for i in range(6)]
    assert max(ends) > 1.3 * max(alone), "late slots are learnt"
    with pytest.raises(IndexError):
        dataset[0, 6]


# -- judging --------------------------------------------------------------------------------


class Oracle:
    """Sees which action a frame is marked with, and reads every text about an action."""

    def __init__(self, blind: bool) -> None:
        self.blind = blind

    def encode_frames(self, frames: np.ndarray) -> torch.Tensor:
        numbers = torch.from_numpy(frames[:, 0, 0, 0].astype(np.int64))
        if self.blind:  # to the direction of time
            other = judge.counterparts()
            numbers = torch.tensor([min(int(n), other.get(int(n), 99)) for n in numbers])
        return F.one_hot(numbers, 16).float()

    def encode_texts(self, lines: list[str]) -> torch.Tensor:
        rows = torch.full((len(lines), 16), 1e-3)
        for row, line in zip(rows, lines, strict=True):
            for i, action in enumerate(judge.DEFAULT_ACTIONS):
                phrases = (judge.NAMES[action], *judge.PHRASES[action])
                row[i] += float(any(phrase in line for phrase in phrases))
        return rows


@pytest.mark.parametrize("blind", [False, True])
def test_the_judge_tells_seeing_from_seeing_half(
    blind: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def marked(spec: Any) -> np.ndarray:
        return np.full((16, 2, 2, 3), judge.DEFAULT_ACTIONS.index(spec.action), np.uint8)

    monkeypatch.setattr(judge, "render_clip", marked)
    specs = recipe.CaptionedRecipe(clips=256, size=16).specs()
    scores = judge.judge(Oracle(blind), specs)
    assert scores["chance"] == 1 / 16 and scores["retrieval_videos"] == 64
    right = 11 / 16 if blind else 1.0  # five pairs of sixteen actions: one of each two is right
    for name in ("template", "template_1_frame", "linear_probe"):
        # Of two actions that look alike the probe takes one or the other by a last digit.
        unsure = 1 / 64 if blind and name == "linear_probe" else 1e-9
        assert scores[name] == pytest.approx(right, abs=unsure), name
    assert scores["template_pairs_merged"] == scores["linear_probe_pairs_merged"] == 1
    assert scores["template_pairs_two_way"] == (0.5 if blind else 1.0)
    assert scores["text_to_video_r1"] == scores["video_to_text_r1"] == 0, "equals count against it"


# -- what ships -----------------------------------------------------------------------------

shipped = pytest.mark.skipif(
    not (SMALL_FOLDER / "scores.json").is_file(), reason="the weights are not there yet"
)


@shipped
def test_what_ships_is_what_its_card_says() -> None:
    note = json.loads((SMALL_FOLDER / "scores.json").read_text())
    model = load_image_text()
    assert model.weights_hash == note["weights_hash"] in (SMALL_FOLDER / "README.md").read_text()
    assert (SMALL_FOLDER / "open_clip_model.safetensors").stat().st_size <= 8_000_000
    assert note["settings"] == ContrastConfig().to_dict(), "the defaults of the recipe made it"
    assert sum(p.numel() for p in model.model.parameters()) == note["parameters"]
    assert not note["provenance"]["dirty"]


@shipped
def test_what_ships_is_worth_prompting() -> None:
    scores = json.loads((SMALL_FOLDER / "scores.json").read_text())["scores"]
    assert scores["template"] > 4 * scores["chance"], "clearly above chance"
    assert scores["template"] < scores["linear_probe"] - 0.05, "clearly below a linear probe"
    assert 0.4 < scores["template_pairs_two_way"] < 0.65, "one frame does not tell them apart"
    assert scores["linear_probe_pairs_merged"] > scores["linear_probe"] + 0.1


@shipped
def test_what_ships_knows_a_little() -> None:
    specs = recipe.CaptionedRecipe(clips=48, seed=5).specs()
    model = load_image_text("small")
    words = [judge.TEMPLATES[0].format(judge.NAMES[a]) for a in judge.DEFAULT_ACTIONS]
    vectors = judge.class_vectors(model, [[word] for word in words])
    videos = judge.encode(model, specs)
    hits = ((videos.mean @ vectors.T).argmax(1).numpy() == videos.labels).mean()
    assert hits > 0.25, "chance is 0.06"


# -- the command ----------------------------------------------------------------------------


def test_the_command_lists_and_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    note = {"parameters": 5, "bytes": 7, "weights_hash": "ab", "scores": {"template": 0.4}}
    (tmp_path / "image_text").mkdir()
    (tmp_path / "image_text" / "scores.json").write_text(json.dumps(note))
    monkeypatch.setitem(pretrained.MODELS, "image-text", tmp_path / "image_text")
    assert main(["weights", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["packaged"]["image-text"]["template"] == 0.4
    asked: dict[str, Any] = {}
    monkeypatch.setattr(
        recipe, "make", lambda out, settings, **more: asked.update(out=out, **settings) or {}
    )
    words = ["weights", "make", "image-text", "--out", str(tmp_path), "--set", "epochs=1"]
    assert main(words) == 0 and asked == {"out": tmp_path, "epochs": "1"}
    assert main(["weights", "make", "image-txt"]) == 1
    assert "did you mean 'image-text'" in capsys.readouterr().err


def test_settings_out_of_range_are_one_sentence() -> None:
    with pytest.raises(ThesisError, match="groups must be at least 1"):
        ContrastConfig().override({"groups": 0})
