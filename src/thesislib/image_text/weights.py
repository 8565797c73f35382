"""Weights of image-text models on this machine: found, read without running anything, hashed."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from huggingface_hub import constants, try_to_load_from_cache
from safetensors.torch import load_file
from torch import Tensor, nn

from thesislib.authors import read_checkpoint
from thesislib.checksums import sha256
from thesislib.errors import ThesisError, choose
from thesislib.files import reading
from thesislib.image_text.offline import offline

SAFE_NAME, PLAIN_NAME = "open_clip_model.safetensors", "open_clip_pytorch_model.bin"
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
# What archives hold besides weights.
SETTINGS = ("input_resolution", "context_length", "vocab_size", "attn_mask")


def clip_cache() -> Path:
    """Where open_clip and OpenAI's own package keep what they fetch by address."""
    return Path.home() / ".cache" / "clip"


def find_tag(name: str, tag: str, *, download: bool = False) -> tuple[Path, dict[str, Any]]:
    """The file of published weights, and what open_clip's table says of them.

    Args:
        name: An architecture of open_clip.
        tag: One of its published weights, for instance ``openai``.
        download: Fetch them if they are not here.

    Raises:
        ThesisError: No such tag, or not on this machine; it says where was looked.
    """
    from open_clip import pretrained

    tags = pretrained.list_pretrained_tags_by_model(name)
    if not tags:
        raise ThesisError(f"open_clip knows no published weights of {name}: name a file.")
    choose(f"published weights of {name}", tag, tags)
    card = pretrained.get_pretrained_cfg(name, tag)
    if download:
        try:
            return Path(pretrained.download_pretrained(card)), card
        except Exception as error:  # of the hub, of the network, of the disk
            raise ThesisError(
                f"The weights {tag!r} of {name} could not be fetched ({type(error).__name__}): try "
                "again where there is a network, with HF_HUB_OFFLINE unset."
            ) from error
    repo, _, file = card.get("hf_hub", "").rpartition("/")
    for candidate in _in_hub(repo, file):
        return candidate, card
    url_file = clip_cache() / PurePosixPath(card.get("url", "")).name
    if card.get("url") and url_file.is_file():
        _check_sum(url_file, card["url"])
        return url_file, card
    places = [f"{constants.HF_HUB_CACHE} ({repo})"] if repo else []
    places += [str(url_file)] if card.get("url") else []
    raise ThesisError(
        f"The weights {tag!r} of {name} are not on this machine (looked in {' and '.join(places)}):"
        " pass download=True where there is a network, or name a file that you have."
    )


def _in_hub(repo: str, file: str) -> list[Path]:
    """Files of a repository in the hub's cache that fit, the safest first."""
    names = [SAFE_NAME, PLAIN_NAME] if not file else [f"{Path(file).stem}.safetensors", file]
    found = [try_to_load_from_cache(repo, name) for name in names] if repo else []
    return [Path(path) for path in found if isinstance(path, str)]


def find_repository(repo: str) -> Path:
    """The folder of a model repository in the hub's cache.

    Raises:
        ThesisError: It is not there.
    """
    with offline():
        config = try_to_load_from_cache(repo, "open_clip_config.json")
    if not isinstance(config, str):
        raise ThesisError(
            f"The model hf-hub:{repo} is not on this machine (looked in {constants.HF_HUB_CACHE}): "
            f"fetch it once by `hf download {repo}` where there is a network."
        )
    return Path(config).parent


def find_in_folder(folder: Path) -> Path:
    """The weights beside an ``open_clip_config.json``."""
    files = [folder / name for name in (SAFE_NAME, PLAIN_NAME)]
    files += sorted(f for f in folder.iterdir() if f.suffix in SUFFIXES)
    for file in files:
        if file.is_file():
            return file
    raise ThesisError(f"There are no weights in {folder}: put {SAFE_NAME} there.")


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name. Nothing in the file is executed.

    OpenAI published its models as TorchScript archives, which are programs. Such a file is opened
    only if its sha256 is the one that open_clip's table gives for it.

    Raises:
        ThesisError: No such file, a damaged one, or one that cannot be read safely.
    """
    if not path.is_file():
        raise ThesisError(f"There is no file of weights {path}: give the path of one.")
    if path.suffix == ".safetensors":
        with reading(path, "fetch it again."):
            return load_file(path)
    if path.suffix not in SUFFIXES:
        raise ThesisError(
            f"{path} has no ending that is known here: give one of {', '.join(SUFFIXES)}."
        )
    if _is_program(path):
        if published_card(path) is None:
            raise ThesisError(
                f"{path} is a TorchScript archive, a program rather than weights, and not one that "
                "open_clip's table knows: give the weights as safetensors."
            )
        with reading(path, "fetch it again."):
            state = torch.jit.load(str(path), map_location="cpu").state_dict()
        return {k: v for k, v in state.items() if k not in SETTINGS}
    state = read_checkpoint(path)
    prefix = "module." if all(name.startswith("module.") for name in state) else ""
    return {name.removeprefix(prefix): value for name, value in state.items()}


def _is_program(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except Exception:  # a damaged archive has many; whoever reads it next names it
        return False


def published_card(path: Path) -> dict[str, Any] | None:
    """What open_clip's table says of the published file that this one is, by its sha256."""
    from open_clip import pretrained

    digest = ""
    for name, tag in pretrained.list_pretrained():
        card = pretrained.get_pretrained_cfg(name, tag)
        expected = _expected_sum(card.get("url", ""))
        if len(expected) == 64:
            digest = digest or sha256(path)
            if digest == expected:
                return card
    return None


def _expected_sum(url: str) -> str:
    """The sha256 that is part of one of OpenAI's addresses."""
    return url.split("/")[-2] if "openaipublic" in url else ""


def _check_sum(path: Path, url: str) -> None:
    expected = _expected_sum(url)
    if expected and sha256(path) != expected:
        raise ThesisError(
            f"{path} is not the file that was published (its sha256 differs): delete it and fetch "
            "it again."
        )


def fitted(model: Any, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published names and shapes to those of today's open_clip, as its own loader does it.

    But positions are never interpolated: weights of another window or picture size do not fit.
    """
    from open_clip.convert import convert_state_dict
    from open_clip.factory import convert_to_custom_text_state_dict

    fit: dict[str, Tensor] = convert_state_dict(model, dict(state))
    if "positional_embedding" in fit and not hasattr(model, "positional_embedding"):
        fit = convert_to_custom_text_state_dict(fit)
    own = model.state_dict()
    for name in ("logit_scale", "logit_bias"):
        if name in own and name in fit and fit[name].numel() == 1:
            fit[name] = fit[name].reshape(own[name].shape)
    unused = {"text.transformer.embeddings.position_ids"} - own.keys()
    return {name: value for name, value in fit.items() if name not in unused}


def weights_hash(model: nn.Module) -> str:
    """Sixteen hex digits of all weights as float32: the same from whatever file they came."""
    whole = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if not name.endswith("num_batches_tracked"):
            whole.update(f"{name} {tuple(value.shape)}\n".encode())
            whole.update(value.detach().to("cpu", torch.float32).contiguous().numpy().data)
    return whole.hexdigest()[:16]
