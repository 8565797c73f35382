"""Takes a synthesised film's sound apart and compares with what was spoken (thesis 8.4, 8.5).

    python benchmarks/collecting.py                          # --seeds 3 4 5, --seconds 120

A film of the studio is spoken by espeak-ng, each character and the narrator in a voice of its own,
over soft music, and starts some seconds late. Needs the extras audio and audio-dev, and
``pip install --no-deps Resemblyzer==0.1.4``. Seeds 0 to 2 were used while it was written.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from spoken_track import Track, synthesised
from thesislib.soundtrack.collecting import Collected, Parts, collect

HALF = 0.5  # seconds


def measured(track: Track, found: Collected) -> dict[str, float | bool]:
    """What is right of a track that was taken apart.

    Returns:
        ``word_error_rate`` of all that is said; ``narrator`` whether the voice taken for the
        narrator's is the one in most descriptions; ``boundaries``: share of cues of which start and
        end are both found within half a second; ``voices``: share of cues with the right one of
        narrator and others; ``offset_error`` in seconds.
    """
    import jiwer

    spans = np.array([one.cue[:2] for one in found.spoken])
    nearest, right = [], []
    for cue, _ in track.cues:
        away = np.abs(spans - np.array(cue[:2])).max(1)
        nearest.append(int(away.argmin()))
        right.append(bool(away.min() < HALF))
    narrates = [voice == 0 for _, voice in track.cues]
    said = [found.spoken[k].voice for k in nearest]
    most = Counter(v for v, yes in zip(said, narrates, strict=True) if yes).most_common(1)[0][0]
    agree = [(v == found.narrator) == yes for v, yes in zip(said, narrates, strict=True)]
    spoken = words(" ".join(cue.text for cue, _ in track.cues))
    heard = words(" ".join(one.cue.text for one in found.spoken))
    return {
        "word_error_rate": float(jiwer.wer(spoken, heard)),
        "narrator": most == found.narrator,
        "boundaries": float(np.mean(right)),
        "voices": float(np.mean(agree)),
        "offset_error": abs(found.offset - track.offset),
    }


def words(text: str) -> str:
    """In lower case, without signs."""
    return " ".join(re.findall(r"[a-z']+", text.lower()))


def main() -> None:
    """Measures all seeds and writes the JSON beside itself."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 4, 5])
    parser.add_argument("--seconds", type=float, default=120.0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    parts, rows = Parts(), []
    for seed in args.seeds:
        track, clock = synthesised(args.seconds, seed=seed), time.process_time()
        found = collect(track.described, track.film, parts=parts)
        row = {"seed": seed, "cues": len(track.cues), **measured(track, found)}
        rows.append({**row, "processor_seconds": round(time.process_time() - clock, 1)})
        print(rows[-1])
    text = json.dumps({"seconds": args.seconds, "tracks": rows}, indent=1) + "\n"
    Path(__file__).with_suffix(".json").write_text(text)


if __name__ == "__main__":
    main()
