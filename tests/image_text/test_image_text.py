"""Image-text models from disk: found, read safely, frozen, and one sentence where they are not."""

from __future__ import annotations

import hashlib
import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from thesislib.data.extraction import extract_features
from thesislib.data.features import FeatureStore
from thesislib.data.manifest import Manifest, Video
from thesislib.data.reader import open_video
from thesislib.errors import ThesisError
from thesislib.image_text import Preprocess, load_image_text, model, weights
from thesislib.image_text.tokens import make_tokenizer, write_merges
from thesislib.synthetic.studio import write_mp4
from thesislib.torchvision_here import ensure_torchvision

ensure_torchvision()
open_clip = pytest.importorskip("open_clip")

# Of torch, about archives that only a test writes.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning"
)
TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16},
    "text_cfg": {
        "context_length": 12, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1,
    },
}  # fmt: skip
TEXTS = ["a person waving", "sitting down"]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def tiny() -> Any:
    torch.manual_seed(0)
    return open_clip.CLIP(**TINY).eval()


@pytest.fixture
def folder(tiny: Any, tmp_path: Path) -> Path:
    """A model as open_clip keeps it, its weights in every form."""
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY}))
    (tmp_path / "tiny.json").write_text(json.dumps(TINY))
    state = tiny.state_dict()
    save_file({k: v.clone() for k, v in state.items()}, tmp_path / "open_clip_model.safetensors")
    torch.save(state, tmp_path / "plain.pt")
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "ddp.bin")
    save_file({k: v.half() for k, v in state.items()}, tmp_path / "half.safetensors")
    return tmp_path


def frames(count: int = 3, height: int = 40, width: int = 56) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


# -- preprocessing --------------------------------------------------------------------------


def smooth(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    parts = [np.sin(x / 9), np.cos(y / 7), np.sin((x + y) / 11)]
    return np.stack([127 + 120 * part for part in parts], -1).astype(np.uint8)


@pytest.mark.parametrize("size", [(90, 130), (131, 90), (37, 70), (64, 64), (65, 99)])
@pytest.mark.parametrize("mode", ["shortest", "squash"])
@pytest.mark.parametrize("kind", ["bicubic", "bilinear"])
def test_the_same_as_open_clips_own_transform(size: Any, mode: str, kind: str) -> None:
    cfg = open_clip.transform.PreprocessCfg(size=64, resize_mode=mode, interpolation=kind)
    theirs = open_clip.transform.image_transform_v2(cfg, is_train=False)
    ours = Preprocess.of({"size": 64, "resize_mode": mode, "interpolation": kind})
    even = smooth(*size)
    for picture in (even, frames(1, *size)[0]):
        wanted = theirs(Image.fromarray(picture))
        got = ours(picture[None])[0]
        levels = (got - wanted).abs() * torch.tensor(ours.std).view(3, 1, 1) * 255
        assert levels.mean() < 0.3, "of 255"
        assert levels.max() < (2 if picture is even else 16)


def test_red_and_blue_may_be_exchanged() -> None:
    own = frames(2, 64, 64)
    plain, other = Preprocess.of({"size": 64}), Preprocess.of({"size": 64}, "bgr")
    assert torch.equal(other(own), plain(np.ascontiguousarray(own[..., ::-1])))
    assert other.to_dict() != plain.to_dict()
    assert Preprocess(**plain.to_dict()) == plain, "JSON and back"


@pytest.mark.parametrize(
    "wrong", [{"size": [4, 8]}, {"size": 4, "resize_mode": "longest"}, {"size": 4, "mean": [0]}]
)
def test_other_preprocessing_is_one_sentence(wrong: dict[str, Any]) -> None:
    with pytest.raises(ThesisError):
        Preprocess.of(wrong)


def test_frames_of_another_kind_are_one_sentence() -> None:
    with pytest.raises(ThesisError, match="uint8"):
        Preprocess.of({"size": 4})(np.zeros((1, 8, 8, 3), np.float32))


# -- tokens ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def merges(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("merges") / "merges.txt.gz"
    assert write_merges(path, 600, ["jumping", "Cupboard", "trousers"]) == 512 + 600 + 2
    return path


def test_the_words_are_as_short_as_with_all_merges(merges: Path) -> None:
    whole = open_clip.SimpleTokenizer()
    part = open_clip.SimpleTokenizer(bpe_path=str(merges), context_length=12)
    assert part.vocab_size == 512 + 600 + 2
    for word in ("jumping", "cupboard", "trousers"):
        assert part.bpe(word) == whole.bpe(word)
    assert part.bpe("bicycle") != whole.bpe("bicycle")


@pytest.mark.parametrize(
    "text", ["riding a bicycle", "Öffnet die Tür", "骑自行车", "كرة 🙂", "x_1-b"]
)
def test_any_script_comes_back(merges: Path, text: str) -> None:
    part = open_clip.SimpleTokenizer(bpe_path=str(merges), context_length=77)
    ids = part.encode(text)
    assert ids and max(ids) < part.vocab_size - 2
    assert part.decode(ids).replace(" ", "") == text.lower().replace(" ", "")


def test_the_file_is_the_same_every_time(merges: Path, tmp_path: Path) -> None:
    write_merges(tmp_path / "again.gz", 600, ["trousers", "jumping", "cupboard"])
    assert (tmp_path / "again.gz").read_bytes() == merges.read_bytes()
    with pytest.raises(ThesisError, match="the words alone need"):
        write_merges(tmp_path / "few.gz", 1, ["jumping"])


def test_truncation_keeps_the_end_mark(merges: Path) -> None:
    text = {"context_length": 9, "tokenizer_kwargs": {"bpe_path": merges.name}}
    tokenizer = make_tokenizer(text, "x", merges.parent)
    ids = tokenizer(["a very long name of something that nobody would ever type", "a"])
    assert ids.shape == (2, 9) and ids[0, -1] == tokenizer.eot_token_id
    assert ids.argmax(1).tolist() == [8, 2]


def test_a_tokenizer_of_the_hub_is_not_fetched() -> None:
    with pytest.raises(ThesisError, match="tokenizer of x is not on this machine"):
        make_tokenizer({"hf_tokenizer_name": "nobody/nothing"}, "x", Path())


# -- loading --------------------------------------------------------------------------------


def test_every_form_gives_the_same_frozen_model(tiny: Any, folder: Path) -> None:
    made = [
        load_image_text(folder),
        load_image_text(folder / "tiny.json", folder / "plain.pt"),
        load_image_text(folder / "tiny.json", folder / "ddp.bin"),
    ]
    with torch.no_grad():
        texts = tiny.encode_text(open_clip.SimpleTokenizer(context_length=12)(TEXTS))
        pictures = tiny.encode_image(Preprocess.of({"size": 32})(frames()))
    for one in made:
        assert (one.width, one.window) == (16, 12)
        assert one.weights_hash == made[0].weights_hash
        assert not one.model.training and not any(p.requires_grad for p in one.model.parameters())
        assert all(p.dtype == torch.float32 for p in one.model.parameters())
        torch.testing.assert_close(one.encode_texts(TEXTS), texts)
        torch.testing.assert_close(one.encode_frames(frames(), batch_size=2), pictures)
    half = load_image_text(folder / "tiny.json", folder / "half.safetensors")
    assert half.weights_hash != made[0].weights_hash
    assert all(p.dtype == torch.float32 for p in half.model.parameters())
    torch.testing.assert_close(half.encode_texts(TEXTS), texts, rtol=1e-2, atol=1e-2)
    assert json.loads(json.dumps(half.describe()))["weights_hash"] == half.weights_hash
    assert made[0].encode_frames(frames(0)).shape == (0, 16)
    assert made[0].encode_texts([]).shape == (0, 16)


def test_an_architecture_of_open_clip_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: asked.append(name) or TINY)
    own = load_image_text("ViT-B/16", "random")
    assert asked == ["ViT-B-16"] and own.name == "ViT-B/16"
    assert own.preprocess == Preprocess.of({"size": 32})
    monkeypatch.undo()
    real = load_image_text("ViT-S-32-alt", "random")
    assert (real.width, real.window, real.preprocess.size) == (256, 77, 224)
    assert real.tokenizer(["a"]).shape == (1, 77)


def test_published_weights_are_named_but_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(weights, "clip_cache", lambda: tmp_path / "clip")
    with pytest.raises(ThesisError) as caught:
        load_image_text("ViT-B-16", "openai")
    text = str(caught.value)
    assert "not on this machine" in text and "\n" not in text
    assert "timm/vit_base_patch16_clip_224.openai" in text and "ViT-B-16.pt" in text
    assert "download=True" in text
    with pytest.raises(ThesisError, match="hf-hub:nobody/nothing is not on this machine"):
        load_image_text("hf-hub:nobody/nothing")


@pytest.mark.parametrize(
    ("name", "weights", "said"),
    [
        ("ViT-B-61", "openai", "did you mean"),
        ("ViT-B-16", "opanai", "did you mean 'openai'"),
        ("ViT-B-16", "", "Name a tag"),
        ("ViT-B-16", "none.safetensors", "There is no file"),
        ("none.json", "random", "There is no none.json"),
        ("small", "openai", "brings its own weights"),
    ],
)
def test_what_is_not_there_is_one_sentence(name: str, weights: str, said: str) -> None:
    with pytest.raises(ThesisError, match=said) as caught:
        load_image_text(name, weights)
    assert "\n" not in str(caught.value)


def cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quick: bool) -> None:
    """``RN50`` is the tiny model, and its tag ``openai`` one of open_clip's table."""
    card = {"url": "https://openaipublic.x/SUM/tiny.pt", "hf_hub": "a/b/", "quick_gelu": quick}
    digest = hashlib.sha256((tmp_path / "tiny.pt").read_bytes()).hexdigest()
    card["url"] = card["url"].replace("SUM", digest)
    monkeypatch.setattr(weights, "clip_cache", lambda: tmp_path)
    monkeypatch.setattr(open_clip.pretrained, "get_pretrained_cfg", lambda *_: card)
    monkeypatch.setattr(open_clip.pretrained, "list_pretrained", lambda: [("RN50", "openai")])
    monkeypatch.setattr(open_clip, "get_model_config", lambda *_: json.loads(json.dumps(TINY)))


def archive(tiny: Any, path: Path) -> None:
    """The weights as OpenAI published its own: a program, in half precision."""
    torch.jit.save(torch.jit.trace_module(
        tiny.half(), {"encode_text": torch.ones(1, 12, dtype=torch.long)}
    ), str(path))  # fmt: skip
    tiny.float()


def test_an_archive_is_opened_only_where_its_sum_is_known(
    tiny: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive(tiny, folder / "tiny.pt")
    with pytest.raises(ThesisError, match="a program rather than weights"):
        load_image_text(folder / "tiny.json", folder / "tiny.pt")
    cached(monkeypatch, folder, quick=True)
    by_tag = load_image_text("RN50", "openai")
    by_file = load_image_text("RN50", folder / "tiny.pt")
    assert by_tag.weights_hash == by_file.weights_hash
    for one in (by_tag, by_file):  # the name does not say so, the table does
        assert type(one.model.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"
    with (folder / "tiny.pt").open("ab") as file:
        file.write(b" ")
    with pytest.raises(ThesisError, match="sha256 differs"):
        load_image_text("RN50", "openai")


def test_the_hubs_cache_is_looked_into_first(
    folder: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive(tiny, folder / "tiny.pt")
    cached(monkeypatch, folder, quick=False)
    place = str(folder / "open_clip_model.safetensors")
    monkeypatch.setattr(weights, "try_to_load_from_cache", lambda repo, name: place)
    own = load_image_text("RN50", "openai")
    assert own.weights == "openai" and own.weights_hash == load_image_text(folder).weights_hash


class Evil:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("touched"),)


def test_nothing_in_a_file_is_executed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Evil()}, folder / "evil.pt")
    with pytest.raises(ThesisError, match="read safely"):
        load_image_text(folder / "tiny.json", folder / "evil.pt")
    assert not (tmp_path / "touched").exists()


def test_weights_that_do_not_fit_are_one_sentence(folder: Path) -> None:
    state = load_file(folder / "open_clip_model.safetensors")
    longer = {**state, "positional_embedding": torch.zeros(20, 8)}
    fewer = {k: v for k, v in state.items() if "ln_final" not in k}
    for wrong, named in ((longer, "1 have another shape"), (fewer, "2 tensors are missing")):
        save_file(wrong, folder / "wrong.safetensors")
        with pytest.raises(ThesisError, match=named) as caught:
            load_image_text(folder / "tiny.json", folder / "wrong.safetensors")
        assert "\n" not in str(caught.value) and "wrong.safetensors" in str(caught.value)
    (folder / "wrong.safetensors").write_bytes(b"no weights")
    with pytest.raises(ThesisError, match="is damaged"):
        load_image_text(folder / "tiny.json", folder / "wrong.safetensors")
    with pytest.raises(ThesisError, match="needs a file of weights"):
        load_image_text(folder / "tiny.json", "openai")


@pytest.mark.parametrize("text", ["{", "[]", '{"embed_dim": 3}'])
def test_a_configuration_that_is_none_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "odd.json").write_text(text)
    with pytest.raises(ThesisError, match=r"odd\.json (is|holds) no.*: it needs embed_dim"):
        load_image_text(tmp_path / "odd.json", "random")


def test_a_configuration_that_cannot_be_built_is_one_sentence(tmp_path: Path) -> None:
    odd = {**TINY, "vision_cfg": {"unheard": 1}}
    (tmp_path / "odd.json").write_text(json.dumps(odd))
    with pytest.raises(ThesisError, match="cannot build"):
        load_image_text(tmp_path / "odd.json", "random")
    odd = {**TINY, "text_cfg": {"hf_model_name": "nobody/nothing", "hf_tokenizer_name": "x"}}
    (tmp_path / "odd.json").write_text(json.dumps(odd))
    with pytest.raises(ThesisError, match="cannot build"):
        load_image_text(tmp_path / "odd.json", "random")


def test_a_folder_without_weights_is_one_sentence(folder: Path) -> None:
    for path in folder.iterdir():
        if path.suffix != ".json":
            path.unlink()
    with pytest.raises(ThesisError, match="no weights in"):
        load_image_text(folder)


def test_the_small_model_is_a_folder_of_the_package() -> None:
    assert model.SMALL_FOLDER.parent.name == "pretrained"


# -- features of videos ---------------------------------------------------------------------


def test_features_of_videos_are_those_of_their_frames(folder: Path, tmp_path: Path) -> None:
    looks = load_image_text(folder)
    path = tmp_path / "videos" / "v.mp4"
    path.parent.mkdir()
    write_mp4(path, np.repeat(frames(3, 40, 56), 5, axis=0))
    row = Video("v.mp4", "", "train", "", 15, 30.0, 56, 40)
    manifest = Manifest("v", path.parent, (row,))
    report = extract_features(manifest, looks, rate=10.0, dtype="float32", progress=False)
    store = FeatureStore(report.folder, looks.describe())
    kept, times = store.read("v.mp4")
    wanted = looks.encode_frames(open_video(path).frames([0, 3, 6, 9, 12]))
    np.testing.assert_allclose(kept, wanted.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(times, [0, 0.1, 0.2, 0.3, 0.4], atol=1e-6)
    assert store.settings["preprocess"] == looks.preprocess.to_dict()
    exchanged = load_image_text(folder, channels="bgr")
    with pytest.raises(ThesisError, match="preprocess"):
        extract_features(manifest, exchanged, rate=10.0, dtype="float32", progress=False)
    state = load_file(folder / "open_clip_model.safetensors")
    save_file({k: v + 1e-3 for k, v in state.items()}, folder / "open_clip_model.safetensors")
    with pytest.raises(ThesisError, match="weights_hash"):
        FeatureStore(report.folder, load_image_text(folder).describe())
