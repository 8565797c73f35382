"""From text to token numbers: open_clip's tokenizers, and a shorter list of merges for a small one.

The small model reads a part of the merges that come with open_clip (OpenAI's, MIT licence): those
that spell the words it learns from, so that each of them is one token, and of the others the most
frequent. A list of whole words would have been smaller (0.025 against 0.33 million parameters), but
users type any name in any script. Bytes are the last resort here, so every text has tokens, and a
word the studio never said is spelt from pieces and not lost as unknown.
"""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from thesislib.errors import ThesisError
from thesislib.files import replacing
from thesislib.image_text.offline import offline

BYTES = 512  # numbers of the 256 bytes, inside and at the end of a word
MARKS = 2  # of the start and the end of a text


def write_merges(path: Path, count: int, words: Iterable[str] = ()) -> int:
    """Writes a part of the installed open_clip's merges, for its ``bpe_path``.

    The same words give the same file on every machine, to the byte. What the whole list makes of
    one of ``words`` the part makes of it too: no merge on its way is missing.

    Args:
        path: The file, ending in ``.gz``.
        count: How many merges.
        words: Each is to be as few tokens as with the whole list.

    Returns:
        The size of the vocabulary: bytes, merges and the two marks.

    Raises:
        ThesisError: The list is shorter, or the words need more.
    """
    import open_clip

    whole = open_clip.SimpleTokenizer()
    ranks: dict[str, int] = {"".join(pair): rank for pair, rank in whole.bpe_ranks.items()}
    merges = list(whole.bpe_ranks)
    kept: set[int] = set()
    todo = [piece for word in words for piece in whole.bpe(word.lower()).split(" ")]
    while todo:  # a merge needs those of its two parts
        rank = ranks.get(todo.pop())
        if rank is not None and rank not in kept:
            kept.add(rank)
            todo += merges[rank]
    if not len(kept) <= count <= len(merges):
        raise ThesisError(
            f"{count} merges are not to be had: open_clip lists {len(merges)}, and the words alone "
            f"need {len(kept)}."
        )
    others = (rank for rank in range(len(merges)) if rank not in kept)
    kept.update(itertools.islice(others, count - len(kept)))
    lines = ["#version: 0.2", *(" ".join(merges[rank]) for rank in sorted(kept))]
    # No line feed at the end: open_clip would read an empty merge after it.
    data = gzip.compress("\n".join(lines).encode(), compresslevel=9, mtime=0)
    with replacing(path) as partial:
        partial.write_bytes(data)
    return BYTES + count + MARKS


def make_tokenizer(text: Mapping[str, Any], name: str, folder: Path | None) -> Any:
    """The tokenizer of an architecture.

    Args:
        text: Its ``text_cfg``; ``bpe_path`` in its ``tokenizer_kwargs`` is relative to ``folder``.
        name: Its name in open_clip, where it has one.
        folder: Where its configuration lies, otherwise.

    Raises:
        ThesisError: Files of the tokenizer are not on this machine.
    """
    import open_clip

    window = int(text.get("context_length", open_clip.tokenizer.DEFAULT_CONTEXT_LENGTH))
    options = dict(text.get("tokenizer_kwargs") or {})
    try:
        with offline():
            if folder is None:
                return open_clip.get_tokenizer(name, context_length=window)
            if source := text.get("hf_tokenizer_name"):
                local = folder if (folder / "tokenizer_config.json").is_file() else source
                return open_clip.tokenizer.HFTokenizer(
                    str(local),
                    context_length=window,
                    tokenizer_mode=text.get("tokenizer_mode"),
                    **options,
                )
            if path := options.get("bpe_path"):
                options["bpe_path"] = str(folder / path)
            return open_clip.SimpleTokenizer(context_length=window, **options)
    except Exception as error:  # transformers, the hub, gzip: each has its own
        raise ThesisError(
            f"The tokenizer of {name} is not on this machine ({type(error).__name__}): load the "
            "model once by open_clip where there is a network, or choose a model that reads "
            "OpenAI's merges, such as ViT-B-16."
        ) from error
