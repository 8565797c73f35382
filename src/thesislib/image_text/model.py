"""Any image-text model of open_clip from this machine's disk, frozen."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thesislib.checkpoint import load_weights
from thesislib.errors import ThesisError, choose
from thesislib.files import read_json, reading
from thesislib.image_text.offline import offline
from thesislib.image_text.preprocess import Preprocess
from thesislib.image_text.tokens import make_tokenizer
from thesislib.image_text.weights import (
    SUFFIXES,
    find_in_folder,
    find_repository,
    find_tag,
    fitted,
    published_card,
    read_weights,
    weights_hash,
)
from thesislib.torchvision_here import ensure_torchvision

SMALL = "small"
SMALL_FOLDER = Path(__file__).parents[1] / "pretrained" / "image_text"
CONFIG_FILE = "open_clip_config.json"
RANDOM = "random"
HUB = "hf-hub:"
TOWERS = ("vision_cfg", "text_cfg")
NEEDED = "it needs embed_dim, vision_cfg and text_cfg, as open_clip writes them."


@dataclass(frozen=True)
class ImageText:
    """A frozen image-text model and what belongs to it.

    Attributes:
        name: As it was asked for, e.g. ``ViT-B-16``.
        weights: Tag or file of its weights.
        weights_hash: Of the weights as float32; part of every feature file.
        model: open_clip's module in evaluation mode, float32, no parameter learns.
        tokenizer: ``tokenizer(texts)`` gives ids (N, window) int64, truncated so that the mark of
            the end stays; ``tokenizer.encode(text)`` those of one text without marks.
        preprocess: What the image tower wants.
        width: Numbers D of a feature, in the space that pictures and texts share.
        window: Most tokens of a text, with its two marks.
    """

    name: str
    weights: str
    weights_hash: str
    model: Any
    tokenizer: Any
    preprocess: Preprocess
    width: int
    window: int

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @torch.no_grad()
    def encode_frames(self, frames: NDArray[np.uint8] | Tensor, batch_size: int = 64) -> Tensor:
        """Image features, not of unit length.

        Args:
            frames: (N, H, W, 3) uint8 RGB.
            batch_size: Frames at a time.

        Returns:
            (N, D) float32 on the CPU.
        """
        rows = [
            self.model.encode_image(self.preprocess(part.to(self.device))).float().cpu()
            for part in torch.as_tensor(frames).split(batch_size)
            if len(part)
        ]
        return torch.cat(rows) if rows else torch.zeros(0, self.width)

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str], batch_size: int = 256) -> Tensor:
        """Text features, not of unit length: (N, D) float32 on the CPU."""
        parts = [list(texts[i : i + batch_size]) for i in range(0, len(texts), batch_size)]
        rows = [
            self.model.encode_text(self.tokenizer(part).to(self.device)).float().cpu()
            for part in parts
        ]
        return torch.cat(rows) if rows else torch.zeros(0, self.width)

    def describe(self) -> dict[str, Any]:
        """What decides a feature, as plain JSON: it goes into every feature file."""
        return {
            "model": self.name,
            "weights": self.weights,
            "weights_hash": self.weights_hash,
            "preprocess": self.preprocess.to_dict(),
            "width": self.width,
        }


class _Source(NamedTuple):
    """What a model is made of."""

    config: dict[str, Any]  # open_clip's, of the architecture
    pictures: dict[str, Any]  # settings of the preprocessing
    folder: Path | None  # that a configuration was read from
    state: dict[str, Tensor] | None  # None: random weights
    file: str  # that the weights came from
    label: str


def load_image_text(
    name: str | Path = SMALL,
    weights: str | Path = "",
    *,
    channels: str = "rgb",
    device: str | torch.device = "cpu",
    download: bool = False,
) -> ImageText:
    """An image-text model, frozen, from this machine's disk.

    Args:
        name: ``small``, which ships with the package; an architecture of open_clip
            (``ViT-B-16``, ``ViT-B/16``); a ``.json`` file of one; a folder of
            ``open_clip_config.json`` and weights, or ``hf-hub:owner/name`` from the hub's cache.
        weights: Of an architecture: a published tag (``openai``), a file (``.safetensors``,
            ``.pt``, ``.pth``, ``.bin``), or ``random``. A folder brings its own.
        channels: ``bgr`` feeds red and blue exchanged, as the features released for chapter 5.
        device: Where it goes.
        download: Fetch published weights that are not here; the network is not touched otherwise.

    Raises:
        ThesisError: The extra ``models`` is missing, an unknown name, weights that are not here or
            do not fit.
    """
    ensure_torchvision()
    try:
        import open_clip  # noqa: F401
    except ImportError as error:
        raise ThesisError(
            f"open_clip cannot be imported ({error}): pip install 'thesislib[models]' brings it."
        ) from error
    source = _find(name, str(weights), download)
    model = _build(source.config, str(name))
    if source.state is not None:
        with reading(source.file, "take the weights of this architecture, or fetch them again."):
            state = fitted(model, source.state)
        load_weights(model, state, source.file)
    model.float().eval().requires_grad_(False).to(device)
    text = source.config["text_cfg"]
    with reading(f"The configuration of {name}", NEEDED):
        pictures = Preprocess.of({**source.pictures, "size": model.visual.image_size}, channels)
        width, window = int(source.config["embed_dim"]), int(text.get("context_length", 77))
    tokenizer = make_tokenizer(text, _plain(str(name)), source.folder)
    hash_ = weights_hash(model)
    return ImageText(str(name), source.label, hash_, model, tokenizer, pictures, width, window)


def _find(name: str | Path, weights: str, download: bool) -> _Source:
    """The parts of a model by name: a folder, a file, or an architecture of open_clip."""
    text = str(name)
    folder = SMALL_FOLDER if text == SMALL else Path(text).expanduser()
    if text.startswith(HUB):
        folder = find_repository(text.removeprefix(HUB))
    if folder.is_dir():
        if weights and weights != text and not _is_own(weights):
            raise ThesisError(
                f"{text} brings its own weights: leave out {weights!r}, or name the file "
                f"{CONFIG_FILE} of it to give it others."
            )
        config, pictures = _read_config(folder / CONFIG_FILE)
        if weights in ("", text):
            file = find_in_folder(folder)
            label = SMALL if text == SMALL else file.name
            return _Source(config, pictures, folder, read_weights(file), str(file), label)
        return _with_file(config, pictures, folder, weights)
    if folder.suffix == ".json":
        config, pictures = _read_config(folder)
        return _with_file(config, pictures, folder.parent, weights)
    return _published(_plain(text), weights, download)


def _published(name: str, weights: str, download: bool) -> _Source:
    """An architecture of open_clip by its name, with published weights, a file or none."""
    import open_clip

    choose("image-text architecture", name, [SMALL, *open_clip.list_models()])
    config = open_clip.get_model_config(name)
    tags = open_clip.list_pretrained_tags_by_model(name)
    if _is_own(weights):
        source = _with_file(config, {}, None, weights)
        if source.file.endswith(".pt") and (card := published_card(Path(source.file))):
            return source._replace(config=_as_trained(config, card), pictures=card)
        return source
    if not weights:
        raise ThesisError(
            f"Which weights of {name}? Name a tag ({', '.join(tags) or 'there is none'}) or a file."
        )
    file, card = find_tag(name, weights, download=download)
    state = read_weights(file)
    return _Source(_as_trained(config, card), card, None, state, str(file), weights)


def _as_trained(config: dict[str, Any], card: dict[str, Any]) -> dict[str, Any]:
    """With the activation that published weights were trained with.

    The name alone does not say it: OpenAI's ViT-B-16 has QuickGELU, open_clip's has not.
    """
    return {**config, "quick_gelu": bool(card.get("quick_gelu", False))}


def _is_own(weights: str) -> bool:
    """Whether weights are a file of the user's, or random."""
    return weights == RANDOM or Path(weights).suffix in SUFFIXES


def _with_file(
    config: dict[str, Any], pictures: dict[str, Any], folder: Path | None, weights: str
) -> _Source:
    if weights == RANDOM:
        return _Source(config, pictures, folder, None, "", RANDOM)
    if not _is_own(weights):
        raise ThesisError(
            f"A configuration from a file needs a file of weights, not {weights!r}: name one "
            "(.safetensors, .pt, .pth, .bin), or random."
        )
    file = Path(weights).expanduser()
    return _Source(config, pictures, folder, read_weights(file), str(file), file.name)


def _read_config(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The architecture and the preprocessing in a file of open_clip's, or an architecture alone."""
    if not path.is_file():
        raise ThesisError(f"There is no {path}: name a model by its folder or its file.")
    whole = read_json(path, NEEDED)
    config, pictures = whole.get("model_cfg", whole), whole.get("preprocess_cfg", {})
    towers = [config.get(name) for name in TOWERS] if isinstance(config, dict) else [None]
    if not all(isinstance(one, dict) for one in [*towers, pictures]) or "embed_dim" not in config:
        raise ThesisError(f"{path} is no architecture of an image-text model: {NEEDED}")
    return config, pictures


def _build(config: dict[str, Any], name: str) -> Any:
    """open_clip's module, with random weights."""
    import open_clip

    config = deepcopy(config)
    hugging = "hf_model_name" in config["text_cfg"]
    if hugging:
        config["text_cfg"]["hf_model_pretrained"] = False
    if "timm_model_name" in config["vision_cfg"]:
        config["vision_cfg"]["timm_model_pretrained"] = False
    kind = open_clip.CLIP
    if config.pop("custom_text", False) or hugging:
        kind = open_clip.CoCa if "multimodal_cfg" in config else open_clip.CustomTextCLIP
    try:
        with offline():
            return kind(**config)
    except Exception as error:  # whatever a configuration of somebody else provokes
        raise ThesisError(
            f"open_clip cannot build {name} here ({type(error).__name__}: {error}): mend its "
            "configuration, or choose a model whose parts are on this machine."
        ) from error


def _plain(name: str) -> str:
    """``ViT-B/16`` as open_clip writes it."""
    return name.replace("/", "-")
