"""From text to token numbers: open_clip's tokenizers, and a shorter list of merges for a small one.

The small model keeps the first merges of the list that comes with open_clip (OpenAI's, MIT
licence). A list of words would have been smaller (0.025 against 0.33 million parameters), but users
type any name in any script. Bytes are the last resort here, so every text has tokens, and what the
studio never said is spelt from pieces rather than lost as one unknown word.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thesislib.errors import ThesisError
from thesislib.files import replacing
from thesislib.image_text.offline import offline

BYTES = 512  # numbers of the 256 bytes, inside and at the end of a word
MARKS = 2  # of the start and the end of a text


def write_merges(path: Path, count: int) -> int:
    """Writes the first ``count`` merges of the installed open_clip for ``bpe_path``.

    The file is the same on every machine, to the byte.

    Returns:
        The size of the vocabulary: bytes, merges and the two marks.

    Raises:
        ThesisError: The list has not so many.
    """
    from open_clip.tokenizer import default_bpe

    with gzip.open(default_bpe(), "rt", encoding="utf-8") as file:
        head, *merges = file.read().split("\n")[: count + 1]
    if len(merges) < count:
        raise ThesisError(f"open_clip lists {len(merges)} merges, not {count}: ask for fewer.")
    # No line feed at the end: open_clip would read an empty merge after it.
    data = "\n".join([head, *merges]).encode()
    with replacing(path) as partial:
        partial.write_bytes(gzip.compress(data, compresslevel=9, mtime=0))
    return BYTES + count + MARKS


def make_tokenizer(text: Mapping[str, Any], name: str, folder: Path | None) -> Any:
    """The tokenizer of an architecture.

    Args:
        text: Its ``text_cfg``; a ``bpe_path`` in its ``tokenizer_kwargs`` is relative to ``folder``.
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
