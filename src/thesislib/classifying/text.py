"""The answers of :func:`thesislib.classifying.classify` as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from thesislib.data.class_list import shortened
from thesislib.viz.timeline_page import between, percent

BEST, PARTS, WIDTH = 5, 12, 24  # classes, stretches of time, and cells of a bar that are shown


def titled(model: str, weights: str) -> str:
    """A model and its weights; the small one has its own."""
    return model if model == weights else f"{model} ({weights})"


def as_text(found: Mapping[str, Any]) -> str:
    """Each video with its likeliest classes, and which is likeliest when."""
    lines = [f"{titled(found['model']['model'], found['model']['weights'])}, {found['how']}"]
    for video in found["videos"]:
        note = f", {video['note']}" if video["note"] else ""
        lines += ["", f"{video['path']} ({video['seconds']:.1f} s{note})"]
        best = sorted(video["probabilities"].items(), key=lambda item: -item[1])
        width = max(len(shortened(name)) for name, _ in best[:BEST])
        for name, share in best[:BEST]:
            bar = "█" * round(WIDTH * share)
            lines.append(f"  {shortened(name):<{width}} {percent(share):>6} {bar}".rstrip())
        if len(best) > BEST:
            rest = 1 - sum(share for _, share in best[:BEST])
            lines.append(f"  {len(best) - BEST} others {percent(max(0.0, rest))}")
        lines += [f"  {line}" for line in _over_time(video, found["classes"])]
    lines += ["", *(f"skipped: {line}" for line in found["skipped"])]
    if found["page"]:
        lines.append(f"page: {found['page']}")
    if found["warning"]:
        lines.append(found["warning"])
    return "\n".join(lines).rstrip()


def _over_time(video: Mapping[str, Any], classes: list[str]) -> Iterator[str]:
    """Stretches with the same likeliest class, if that changes."""
    stretches: list[tuple[float, int, list[float]]] = []
    windows = video["windows"]
    for window in windows:
        share = max(window["probabilities"])
        best = window["probabilities"].index(share)
        if stretches and stretches[-1][1] == best:
            stretches[-1][2].append(share)
        else:
            stretches.append((window["start"], best, [share]))
    if len(stretches) < 2:
        return
    ends = [start for start, _, _ in stretches[1:]] + [video["seconds"]]
    longest = sorted(range(len(ends)), key=lambda i: stretches[i][0] - ends[i])[:PARTS]
    for i in sorted(longest):
        start, best, shares = stretches[i]
        times = between(start, ends[i], video["seconds"])
        yield f"{times}  {shortened(classes[best])} {percent(sum(shares) / len(shares))}"
    if len(stretches) > PARTS:
        more = len(stretches) - PARTS
        yield f"and {more} shorter stretches: --json and --out tell them all"
