"""The model card: written from the numbers of a run, never by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thesislib.files import write_text

CARD_FILE = "README.md"
LINES = (
    ("template_1_frame", "zero-shot by the template, one frame"),
    ("template", "zero-shot by the template, mean of 16 frames"),
    ("template_pairs_merged", "the same, actions and their reverses merged"),
    ("own_words", "zero-shot in the captions' own words, mean of 16 frames"),
    ("template_pairs_two_way", "template, an action against itself in reverse (chance 50)"),
    ("linear_probe", "linear probe of the mean feature"),
    ("linear_probe_pairs_merged", "the same, actions and their reverses merged"),
    ("linear_probe_5_labels", "linear probe, 5 labels a class"),
    ("linear_probe_50_labels", "linear probe, 50 labels a class"),
    ("text_to_video_r1", "text-to-video R@1 among {videos} videos (chance {one})"),
    ("video_to_text_r1", "video-to-text R@1 among {videos} videos (chance {one})"),
)


def score_table(note: Mapping[str, Any]) -> str:
    """The scores of ``scores.json`` in words and percent, as a table."""
    scores = note["scores"]
    videos = int(scores["retrieval_videos"])
    words = {"videos": videos, "one": f"{100 / videos:.1f}"}
    rows = [f"| {text.format(**words)} | {100 * scores[key]:.1f} |" for key, text in LINES]
    return "\n".join(["| | % |", "|---|---:|", *rows]) + "\n"


def write_card(folder: Path, note: Mapping[str, Any]) -> Path:
    """Writes the card of what ``scores.json`` says."""
    settings, source, scores = note["settings"], note["provenance"], note["scores"]
    pictures = settings["groups"] * settings["videos"] * settings["frames"]
    judged = note["judged"]
    dirty = " with changes" if source["dirty"] else ""
    minutes = source["wall_seconds"] / 60
    path = folder / CARD_FILE
    write_text(
        path,
        f"""---
license: mit
library_name: open_clip
---
# The small image-text model

Pictures and sentences in one space of {settings["embed"]} numbers. It has seen the simulated studio
and nothing else: jointed figures, {settings["size"]} pixels. It is open_clip's architecture at a
small size, and not a published model. Written by `{note["recipe"]}`; all numbers here are read from
`scores.json`.

- **Parameters**: {note["parameters"]:,}, {note["bytes"] / 1e6:.1f} MB in float16. Image tower: a
  residual network of four blocks, width {settings["width"]}; text tower: {settings["text_layers"]}
  layers, width {settings["text_width"]}, {settings["window"]} tokens.
- **Tokenizer**: open_clip's, with {settings["merges"]} of its merges (OpenAI's, MIT licence): those
  that spell the studio's words, and the most frequent others. Bytes are the last resort, so any
  text in any script has tokens; what is not of the studio means nothing to it.
- **Data**: {pictures:,} pictures of {settings["groups"]:,} sessions, each with an actor, a room
  and a world of its own, filmed on the spot; a caption is drawn anew each time. No picture of a
  person and no text by a person is in it.
- **Recipe**: symmetric InfoNCE, {settings["epochs"]} epochs, batches of {settings["batch_size"]},
  AdamW {settings["lr"]}, weight decay {settings["weight_decay"]}, one cosine, seed
  {settings["seed"]}; {minutes:.0f} minutes by the clock, threads: {source["threads"]}, on a
  machine that did other work beside it.
- **Commit**: {source["commit"]}{dirty}. **Weights hash**: {note["weights_hash"]}.

## What it knows

Percent right of {judged["test"]:,} videos of chapter 5 (`synthetic_captions`, test split, painted
and not encoded), of actors and rooms that it has not met; probes learn from the
{judged["train"]:,} training videos. Chance is {100 * scores["chance"]:.1f}.

{score_table(note)}
## Use

```python
from thesislib.image_text import load_image_text

model = load_image_text("small")
model.encode_frames(frames)  # (N, H, W, 3) uint8 RGB to (N, {settings["embed"]})
model.encode_texts(["a person waving"])
```

Image features are scaled to about 0.4 a number. The model is for the studio and for trying things
out; of real videos it knows nothing.
""",
    )
    return path
