"""From which lead on ``thesislib align`` takes a sentence for seen, when nobody says.

    python benchmarks/seen.py            # prepares the studio's narrated videos where they are not

Of the validation videos the shipped image-text model compares every sentence with every second
(:func:`thesislib.aligning.leads_of`). The threshold, of two digits, is the one with the largest
difference between the share of seen sentences that reach it and that of the others. Beside it stand
the same shares of a video with the sentences of the next one, which nobody has chosen it by; with
``--film`` and ``--subtitles``, of a film with the subtitles of another too. Writes ``seen.json``;
films that are not named keep what was found of them at the same threshold.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from conditions import conditions
from thesislib.aligning import leads_of, told
from thesislib.chapters.tan import judging, narrated
from thesislib.classifying.names import load_encoder
from thesislib.data.narrated_windows import Told
from thesislib.data.streaming import Stream
from thesislib.methods.tan_config import TanConfig
from thesislib.recipes import prepare
from thesislib.subtitles import whole_sentences
from thesislib.subtitles.siblings import subtitles_of

HERE = Path(__file__).parent
DATASET = "synthetic_narrated"

Floats = NDArray[np.float64]


def leads(video: Told) -> Floats:
    """Of the sentences of a video."""
    return leads_of(judging.cosines(video), video.narrations)


def validation() -> tuple[Floats, NDArray[np.str_], Floats]:
    """Leads of all sentences and their kinds; leads of each video's sentences in the one before."""
    prepare(DATASET)
    world = narrated.world(DATASET, TanConfig.preset("small"))
    videos, seen = world.told("val"), judging.truth(world, "val")
    own = np.concatenate([leads(video) for video in videos.values()])
    kinds = np.array([one.kind for path in videos for one in seen[path]])
    some = list(videos.values())
    pairs = zip(some, some[1:] + some[:1], strict=True)
    strange = [leads(a._replace(texts=b.texts, narrations=b.narrations)) for a, b in pairs]
    return own, kinds, np.concatenate(strange)


def of_film(film: Path, subtitles: Path) -> Floats:
    """Leads of subtitles in a film."""
    stream = Stream(film)
    read = subtitles_of(film, str(subtitles), duration=stream.duration)
    return leads(told(stream, whole_sentences(read.cues, join=False), load_encoder()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--film", type=Path)
    parser.add_argument("--subtitles", type=Path, help="of another film")
    args = parser.parse_args()
    before = conditions()
    own, kinds, strange = validation()
    seen = kinds == "shown"
    tried = np.round(np.arange(0.0, 0.5, 0.01), 2)
    gaps = [np.mean(own[seen] >= one) - np.mean(own[~seen] >= one) for one in tried]
    best = float(tried[int(np.argmax(gaps))])
    groups = {kind: own[kinds == kind] for kind in sorted(set(kinds))}
    groups["of another video"] = strange
    if args.film and args.subtitles:
        groups[f"{args.subtitles.parent.name} on {args.film.name}"] = of_film(
            args.film, args.subtitles
        )
    taken: dict[str, Any] = {
        name: {"sentences": len(some), "taken": round(float(np.mean(some >= best)), 3)}
        for name, some in groups.items()
    }
    file = HERE / "seen.json"
    known = json.loads(file.read_text()) if file.is_file() else {}
    if known.get("threshold") == best:
        taken = {**{k: v for k, v in known["groups"].items() if " on " in k}, **taken}
    result = {
        **before,
        "dataset": DATASET,
        "split": "val",
        "threshold": best,
        "roc_auc": round(float(roc_auc_score(seen, own)), 3),
        "groups": taken,
    }
    file.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
