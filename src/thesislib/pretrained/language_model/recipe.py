"""The recipe of the small language model: ``thesislib weights make language``.

It reads the text of films that nobody filmed (:mod:`thesislib.synthetic.films`): descriptions and
dialogue, none of a film of the data set, and captions of videos that nobody filmed. Names are drawn
alike for all films, so who is on the screen in a film it cannot know. Everything is written at the
end, as transformers reads it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from thesislib.data.films import Film
from thesislib.files import make_folder, replacing, write_json, write_text
from thesislib.image_text.weights import weights_hash
from thesislib.language.model import CONFIG_FILE, TOKENIZER_FILE
from thesislib.nn.video_vit import sine_cosine
from thesislib.places import runs_root
from thesislib.pretrained.language_model.writing import Documents, Writing, WritingConfig
from thesislib.synthetic.captioned import CaptionedRecipe, caption_of
from thesislib.synthetic.films import directions, screenplays, told
from thesislib.synthetic.wording import vocabulary
from thesislib.torchvision_here import ensure_torchvision
from thesislib.train import Log, train

NAME, WORD = "language_model", "language"  # of its folder, and on the command line
WEIGHTS_FILE, SCORES_FILE, CARD_FILE = "model.safetensors", "scores.json", "README.md"
END = "<|endoftext|>"
VERSION = 4  # of the recipe: raised whenever the same settings would give other weights
APART = 1_000_000  # added to the seed: no text of a data set is read
# Settings with which the whole recipe takes seconds; its model knows nothing.
TOY: dict[str, Any] = {
    "epochs": 1, "batch_size": 4, "films": 8, "val_films": 2, "captions": 8, "tokens": 400,
    "width": 16, "layers": 1, "heads": 2, "warmup": 0, "window": 32,
}  # fmt: skip


def make(
    out: str | Path | None = None, settings: Mapping[str, Any] | None = None, *, log: Log = print
) -> dict[str, Any]:
    """Makes the model, or finds its run, and writes its folder.

    Args:
        out: The folder; default ``language_model`` among the runs.
        settings: Changes of :class:`WritingConfig`, by name.
        log: Where the log lines go.

    Returns:
        Plain JSON: ``folder``, ``parameters``, ``bytes``, ``weights_hash``, ``scores``.
    """
    config = WritingConfig().override(dict(settings or {}))
    folder = Path(out).expanduser() if out is not None else runs_root() / NAME
    plays = screenplays(config.films + config.val_films, APART + config.seed)
    films = [told(f"t{i:05d}", "train", play) for i, play in enumerate(plays)]
    rng = np.random.default_rng([APART + config.seed, len(plays)])
    notes = [directions(play, rng) for play in plays]
    clips = CaptionedRecipe(config.captions + config.val_films, APART + config.seed).specs()
    captions = [caption_of(clip) for clip in clips]
    tokenizer = make_tokenizer(films[: config.films], config.tokens)
    end = tokenizer.token_to_id(END)

    def documents(part: slice, some: Sequence[str], seed: int) -> Documents:
        def encode(text: str) -> list[int]:
            return tokenizer.encode(text).ids

        return Documents(films[part], notes[part], some, encode, end, config, seed)

    def data() -> tuple[Documents, Documents]:
        count, seed = config.captions, config.seed
        learnt = documents(slice(config.films), captions[:count], seed)
        return learnt, documents(slice(config.films, None), captions[count:], seed + 1)

    def build() -> Writing:
        return Writing(build_model(config, tokenizer.get_vocab_size(), end))

    trained = train(WORD, build, data, config, f"{WORD} recipe {VERSION}", log=log)
    model = trained.model.model
    write_model(folder, model, tokenizer)
    metrics = trained.result["metrics"]
    note = {
        "recipe": f"thesislib weights make {WORD}",
        "version": VERSION,
        "settings": config.to_dict(),
        "weights_hash": weights_hash(read_back(folder)),
        "parameters": sum(p.numel() for p in model.parameters()),
        "bytes": sum(path.stat().st_size for path in folder.glob("*") if path.is_file()),
        "scores": {
            "perplexity": round(math.exp(metrics["pretext_loss"]), 3),
            "next_token": round(metrics["pretext_tokens"], 4),
        },
        "provenance": trained.result["provenance"],
    }
    write_json(folder / SCORES_FILE, note)
    write_text(folder / CARD_FILE, card(note))
    kept = ("parameters", "bytes", "weights_hash", "scores")
    return {"folder": str(folder), **{key: note[key] for key in kept}}


def make_tokenizer(films: Iterable[Film], tokens: int) -> Any:
    """Byte-pair tokens of the studio's words; any other text falls apart into bytes.

    A word is the same token wherever it stands, at the beginning of a text as well.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=tokens, special_tokens=[END], show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    lines = [cue.text for film in films for cue in (*film.named, *film.subtitles)]
    # Words of captions are learnt as well: pictures with captions are read before films are.
    tokenizer.train_from_iterator([*lines, *vocabulary()], trainer)
    return tokenizer


def build_model(config: WritingConfig, tokens: int, end: int) -> Any:
    """A GPT-2 of these sizes with random weights, and sines for places."""
    ensure_torchvision()
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=tokens, n_positions=config.positions, n_embd=config.width,
            n_layer=config.layers, n_head=config.heads, bos_token_id=end, eos_token_id=end,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, initializer_range=config.spread,
        )
    )  # fmt: skip
    with torch.no_grad():
        model.transformer.wte.weight.normal_(std=config.word_spread)
        # Of sines, which place is how far before another is soon learnt.
        places = sine_cosine(config.positions, config.width)
        model.transformer.wpe.weight.copy_(config.word_spread * places)
    return model


def write_model(folder: Path, model: Any, tokenizer: Any) -> None:
    """Configuration, tokenizer, and weights in float16, each whole or not at all."""
    make_folder(folder)
    settings = model.config.to_diff_dict()
    write_json(folder / CONFIG_FILE, {"architectures": ["GPT2LMHeadModel"], **settings})
    write_text(folder / TOKENIZER_FILE, tokenizer.to_str(pretty=True))
    state = model.state_dict()
    del state["lm_head.weight"]  # it is the table of the words
    tensors = {
        name: value.detach().to("cpu", torch.float16).contiguous() for name, value in state.items()
    }
    with replacing(folder / WEIGHTS_FILE) as place:
        save_file(tensors, place, metadata={"format": "pt"})


def read_back(folder: Path) -> Any:
    """The model as whoever loads the folder has it."""
    from thesislib.language import load_language_model

    return load_language_model(folder).model


def card(note: Mapping[str, Any]) -> str:
    """The model card: written from the numbers of a run, never by hand."""
    settings, source, scores = note["settings"], note["provenance"], note["scores"]
    dirty = " with changes" if source["dirty"] else ""
    return f"""---
license: mit
library_name: transformers
---
# The small language model

A GPT-2 of {settings["layers"]} layers and width {settings["width"]} that has read the screenplays
and captions of the simulated studio and nothing else. It is not OpenAI's, and knows no English
beyond some two hundred words. Written by `{note["recipe"]}`; all numbers here are read from
`{SCORES_FILE}`.

- **Parameters**: {note["parameters"]:,}; {note["bytes"] / 1e6:.1f} MB in float16.
- **Tokenizer**: byte-pair, at most {settings["tokens"]} tokens, trained on the same text. Bytes are
  the last resort, so any text in any script has tokens; what is not of the studio means nothing.
- **Data**: descriptions and dialogue of {settings["films"]:,} films that nobody filmed, in parts of
  one cue to many, a share of {settings["told"]:g} of them without the dialogue, and a share of
  {settings["unnamed"]:g} with "someone" for all names. A share of {settings["directed"]:g} has
  stage directions before some descriptions: who is there by their clothes, and what they do. A
  share of {settings["captioned"]:g} of all documents are captions of {settings["captions"]:,}
  videos that nobody filmed. No film of `synthetic_films` and no video of `synthetic_captions` is
  among them. The names of characters are drawn alike for all films.
- **Recipe**: next-token loss, {settings["epochs"]} epochs, batches of {settings["batch_size"]} rows
  of {settings["window"]} tokens, AdamW {settings["lr"]} (a share of
  {settings["word_rate"]:g} of it for the vectors of words, so that words that stand in the same
  places stay apart), one cosine, seed {settings["seed"]};
  {source["processor_seconds"] / 60:.0f} minutes of processor time.
- **Commit**: {source["commit"]}{dirty}. **Weights hash**: {note["weights_hash"]}.

On {settings["val_films"]} films set aside its perplexity is {scores["perplexity"]} a token, and the
likeliest next token is right {100 * scores["next_token"]:.1f}% of the time.

```python
from thesislib.language import load_language_model

language = load_language_model("small")
```
"""
