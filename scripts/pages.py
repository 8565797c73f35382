"""Parts of the prose pages that come from runs: the ledger's tables, the claims, the status.

Each fragment is MyST text that a page includes; it is written into the staged book, never into
the repository, so that a page cannot show a number that the ledger does not hold.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Mapping
from typing import Any

NOTHING = "Nothing has been run yet.\n"
STORIES = (
    "facts wording captions pairs captioned plot untrimmed activities narrator script narrated"
)
# Pages of the manual in the order in which a reader meets them (`_toc.yml` has the same one): file
# name, title, modules and packages. What is named nowhere comes last.
MANUAL: dict[str, tuple[str, tuple[str, ...]]] = {
    "methods": ("Methods and losses", ("methods", "losses", "segment_losses")),
    "networks": ("Networks", ("nn",)),
    "runs": (
        "Settings, training and runs",
        (
            "fields",
            "config",
            "clip_config",
            "optimiser",
            "train",
            "means",
            "checkpoint",
            "provenance",
            "locks",
            "runs",
        ),
    ),
    "data": ("Data", ("data",)),
    "lists": (
        "Public data sets, lists and kept features",
        (
            "data.public",
            "data.few_shot",
            "data.few_shot_names",
            "data.class_list",
            "data.failures",
            "data.moments",
            "data.captions",
            "data.narrations",
            "data.segments",
            "data.untrimmed",
            "data.features",
            "data.extraction",
            "data.feature_clips",
            "data.step_clips",
            "data.narrated_clips",
            "data.narrated_windows",
            "data.words",
        ),
    ),
    "films": (
        "Films and their descriptions",
        (
            "data.films",
            "data.film_files",
            "data.film_texts",
            "data.film_features",
            "data.film_clips",
            "data.step_lists",
            "data.anonymise",
        ),
    ),
    "describing": (
        "AutoAD, language and description",
        (
            "methods.autoad",
            "methods.autoad_config",
            "authors_autoad",
            "language",
            "descriptions",
            "describing",
            "soundtrack",
        ),
    ),
    "subtitles": ("Subtitles", ("subtitles",)),
    "studio": ("The studio", ("synthetic",)),
    "stories": (
        "The studio: captions, untrimmed and narrated videos",
        tuple(f"synthetic.{name}" for name in STORIES.split()),
    ),
    "evaluation": ("Evaluation", ("evaluation",)),
    "aligning": (
        "Alignment of sentences with videos",
        (
            "methods.tan",
            "methods.tan_config",
            "methods.tan_labels",
            "alignment_losses",
            "soft_dtw",
            "authors_tan",
            "evaluation.aligning",
            "evaluation.warping",
            "evaluation.segmentation",
            "aligning",
        ),
    ),
    "own": ("Your own videos", ("own_videos", "lookup", "pretrained", "classifying")),
    "chapters": ("Rows of the tables, and what chapters show", ("chapters",)),
    "prompting": ("Rows of chapter 5", ("chapters.clip_prompt",)),
    "dropping": ("Rows of chapter 6", ("chapters.turbo",)),
    "narrations": ("Rows of chapter 7", ("chapters.tan",)),
    "tellings": ("Rows of chapter 8", ("chapters.autoad",)),
    "numbers": (
        "The thesis's numbers, ours, and the claims",
        (
            "book",
            "published",
            "ledger",
            "intervals",
            "released",
            "amounts",
            "rendering",
            "report",
            "claims",
        ),
    ),
    "figures": ("Figures", ("viz",)),
    "rest": ("The command, files and the rest", ()),
}

FOREST = "forest_{}.png"  # of a chapter
SEEN_AS = (
    "One line a claim, a point and two bars for its difference, coloured by verdict, beside 0."
)


def fragments(minutes: Mapping[str, Mapping[str, Any]]) -> dict[str, str | bytes]:
    """All generated parts by file name.

    Args:
        minutes: minutes and machine of each executed notebook.
    """
    from thesislib import report, viz
    from thesislib.ledger import Ledger

    ledger = Ledger.load()
    found = report.claims(ledger)
    return {
        "tables.md": tables(report, ledger),
        "coverage.md": coverage(ledger),
        "claims.md": claims(found, report),
        "decided.md": decided(found),
        **{
            FOREST.format(chapter): viz.forest([c for c in found if c.chapter == chapter]).png()
            for chapter in sorted({c.chapter for c in found})
        },
        "ledger.md": kept(report.status_frame(ledger)),
        "chapters.md": chapters(minutes),
        "versions.md": versions(minutes),
        "baselines.md": baselines(),
        "stories.md": stories(),
        "narrated.md": narrated(),
        "films.md": films(),
        "story_baselines.md": story_baselines(),
        "image_text.md": image_text(),
    }


def table(frame: Any) -> str:
    """A frame as a MyST table, or a sentence where it has no rows."""
    from thesislib.rendering import to_markdown

    return NOTHING if frame.empty else str(to_markdown(frame))


def kept(frame: Any) -> str:
    """What the ledger holds; the versions stand below it, as they would make its lines tall."""
    if not frame.empty:
        versions = frame.groupby("versions", sort=True)["method"].unique()
        frame = frame.drop(columns="versions")
        frame.attrs["notes"] = [f"{', '.join(names)}: {text}" for text, names in versions.items()]
    return table(frame)


def tables(report: Any, ledger: Any) -> str:
    """The thesis's tables of the written chapters, ours beside them."""
    from thesislib import book, published
    from thesislib.rendering import to_markdown

    parts = []
    for chapter in (one.number for one in book.CHAPTERS.values() if one.written and one.headline):
        parts.append(f"## Chapter {chapter}\n")
        for number in (one.number for one in published.tables(chapter)):
            frame = report.thesis_table(number, ledger=ledger)
            notes = frame.attrs.pop("notes", [])
            # The thesis numbers its tables; a second number from the book would only confuse.
            title, _, rest = frame.attrs["caption"].partition(". ")
            label = f"tab-{number.replace('.', '-')}"
            parts.append(f"({label})=\n### {title}\n\n{rest}\n\n{to_markdown(frame)}")
            if notes:
                body = "\n".join(f"- {note}" for note in notes)
                parts.append(f":::{{dropdown}} Notes on Table {number}\n{body}\n:::\n")
    return "\n".join(parts)


def claims(found: list[Any], report: Any) -> str:
    """The claims of each chapter under their profile and data set."""
    parts = []
    for chapter in sorted({c.chapter for c in found}):
        mine = [c for c in found if c.chapter == chapter]
        where = sorted({(c.profile, c.dataset) for c in mine if c.dataset})
        said = "; ".join(f"profile {profile}, data set {dataset}" for profile, dataset in where)
        frame = table(report.claims_frame(mine))
        picture = (
            f"```{{figure}} generated/{FOREST.format(chapter)}\n:name: fig-claims-{chapter}\n"
            f":alt: {SEEN_AS}\n\nThe claims of chapter {chapter} that compare shares.\n```"
        )
        parts.append(f"## Chapter {chapter}\n\nOurs: {said}.\n\n{picture}\n\n{frame}")
    return "\n".join(parts)


def decided(found: list[Any]) -> str:
    """How many verdicts there are, and how many of them luck alone would give."""
    from thesislib.claims import FAILS, HOLDS, NOT_RUN

    run = [c for c in found if c.verdict != NOT_RUN]
    counts = {word: sum(c.verdict == word for c in run) for word in (HOLDS, FAILS)}
    return (
        f"There are {len(run)} claims with results: {counts[HOLDS]} hold, {counts[FAILS]} do not "
        f"hold here, {len(run) - sum(counts.values())} are unclear. Were every difference zero, "
        f"about {0.025 * len(run):.1f} would hold by luck and as many would fail.\n"
    )


def coverage(ledger: Any) -> str:
    """How far every numbered table of the thesis is reproduced: rows of ours that have a result."""
    from thesislib import published

    known = {entry.row for entry in ledger.entries}
    lines = ["| table | chapter | title | rows that can be run | run |", "|---|---|---|---|---|"]
    for found in published.tables():
        ours = {row.key for row in found.rows if row.key}
        rows = str(len(ours)) if ours else "none yet"
        run = str(len(ours & known)) if ours & known else "not run"
        lines.append(f"| {found.number} | {found.chapter} | {found.title} | {rows} | {run} |")
    return "\n".join(lines) + "\n"


def chapters(minutes: Mapping[str, Mapping[str, Any]]) -> str:
    """Minutes, device and date of each notebook's last execution."""
    if not minutes:
        return NOTHING
    lines = ["| chapter | minutes | device | processor | date |", "|---|---|---|---|---|"]
    for name, at in sorted(minutes.items()):
        lines.append(f"| {name} | {at['minutes']} | {at['device']} | {at['cpu']} | {at['date']} |")
    return "\n".join(lines) + "\n"


def versions(minutes: Mapping[str, Mapping[str, Any]]) -> str:
    """The packages that the chapters were executed with."""
    if not minutes:
        return NOTHING
    found: dict[str, set[str]] = {}
    for at in minutes.values():
        for name, version in {"python": at["python"], **at["versions"]}.items():
            found.setdefault(name, set()).add(version)
    lines = ["| package | version |", "|---|---|"]
    lines += [f"| {name} | {', '.join(sorted(v))} |" for name, v in found.items()]
    return "\n".join(lines) + "\n"


def baselines() -> str:
    """What the simplest readers of the synthetic data reach on its test split, in percent."""
    from thesislib.chapters.world.show import world_page

    return world_page("synthetic").text


def stories() -> str:
    """What the captioned and the untrimmed videos hold, by their recipes: nothing is filmed."""
    from thesislib.data.manifest import SPLITS
    from thesislib.synthetic import CaptionedRecipe, UntrimmedRecipe
    from thesislib.synthetic.untrimmed import LongSpec

    short, long = (
        [(spec, spec.length / float(spec.fps)) for spec in recipe().specs()]
        for recipe in (CaptionedRecipe, UntrimmedRecipe)
    )
    plots = [spec for spec, _ in long if isinstance(spec, LongSpec)]
    acts = [end - start for spec in plots for start, end, _ in spec.segments()]
    seconds = [sum(length for _, length in videos) for videos in (short, long)]

    def splits(videos: list[Any]) -> str:
        counts = [sum(spec.split == part for spec, _ in videos) for part in SPLITS]
        return ", ".join(f"{count:,}" for count in counts)

    def lengths(videos: list[Any]) -> str:
        every = sorted(length for _, length in videos)
        mean = sum(every) / len(every)
        return f"{mean:.1f}" if every[0] == every[-1] else f"{every[0]:.0f} to {every[-1]:.0f}"

    rows = [
        ("videos: training, validation, test", splits(short), splits(long)),
        ("actors, each in one room", *(str(len({s.group for s, _ in v})) for v in (short, long))),
        ("frames a second", *(f"{float(v[0][0].fps):.1f}" for v in (short, long))),
        ("seconds of a video", lengths(short), lengths(long)),
        ("minutes in all", *(f"{total / 60:.0f}" for total in seconds)),
        ("labelled actions", f"{len(short):,}", f"{len(acts):,}"),
        ("mean seconds of an action", "the whole", f"{sum(acts) / len(acts):.1f}"),
        ("share of the time that is labelled, %", "100", f"{100 * sum(acts) / seconds[1]:.0f}"),
    ]
    lines = ["| | `synthetic_captions` | `synthetic_untrimmed` |", "|---|---:|---:|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def narrated() -> str:
    """What the narrated videos hold, by their recipe: nothing is filmed."""
    from thesislib.data.manifest import SPLITS
    from thesislib.synthetic import NarratedRecipe
    from thesislib.synthetic.narrated import NarratedSpec

    specs = [spec for spec in NarratedRecipe().specs() if isinstance(spec, NarratedSpec)]
    minutes = [spec.length / float(spec.fps) / 60 for spec in specs]
    steps = [step for spec in specs for step in spec.segments()]
    said = [one for spec in specs for one in spec.sentences()]
    seen = [one for one in said if one.seen.alignable]
    late = [abs(h.start + h.end - s.start - s.end) > s.end - s.start for h, s in seen]
    mentioned = sum(one.seen.kind == "mentioned" for one in said)
    counts = ", ".join(str(sum(spec.split == part for spec in specs)) for part in SPLITS)
    rows = [
        ("videos: training, validation, test", counts),
        ("minutes of a video", f"{min(minutes):.1f} to {max(minutes):.1f}"),
        ("activities", str(len({spec.label for spec in specs}))),
        ("different steps", str(len({label for _, _, label in steps}))),
        ("steps of a video", f"{len(steps) / len(specs):.1f}"),
        ("mean seconds of a step", f"{sum(b - a for a, b, _ in steps) / len(steps):.1f}"),
        ("sentences", f"{len(said):,}"),
        ("sentences a minute", f"{len(said) / sum(minutes):.1f}"),
        ("different words", f"{len({w for one in said for w in one.heard.text.split()})}"),
        ("alignable, %", f"{100 * len(seen) / len(said):.1f}"),
        ("spoken while it is seen, % of the alignable", f"{100 - 100 * sum(late) / len(seen):.1f}"),
        ("of a step that is not shown, % of the others",
         f"{100 * mentioned / (len(said) - len(seen)):.1f}"),
    ]  # fmt: skip
    lines = ["| | `synthetic_narrated` |", "|---|---:|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def films() -> str:
    """What the films hold, by their recipe: nothing is filmed."""
    from thesislib.data.anonymise import names_in
    from thesislib.data.manifest import SPLITS
    from thesislib.synthetic.films import FilmRecipe, FilmSpec, told

    specs = [spec for spec in FilmRecipe().specs() if isinstance(spec, FilmSpec)]
    some = [told(str(number), spec.split, spec.play) for number, spec in enumerate(specs)]
    cues = [(one, cue) for one in some for cue in one.named]
    seconds = [cue.end - cue.start for _, cue in cues]
    words = [word for _, cue in cues for word in cue.text.split()]
    named = sum(bool(names_in(cue.text, one.cast)) for one, cue in cues)
    said = [(one, cue) for one in some for cue in one.subtitles]
    calls = sum(bool(names_in(cue.text, one.cast)) for one, cue in said)
    minutes = [one.seconds / 60 for one in some]
    rows = [
        ("films: training, validation, test",
         ", ".join(str(sum(one.split == part for one in some)) for part in SPLITS)),
        ("minutes of a film", f"{min(minutes):.1f} to {max(minutes):.1f}"),
        ("characters of a film", f"{sum(len(one.cast) for one in some) / len(some):.1f}"),
        ("different names", str(len({name for one in some for name in one.cast}))),
        ("descriptions", f"{len(cues):,}"),
        ("descriptions of a film", f"{len(cues) / len(some):.1f}"),
        ("mean seconds of one", f"{sum(seconds) / len(cues):.1f}"),
        ("words of one", f"{len(words) / len(cues):.1f}"),
        ("different words", str(len({w.strip(".,?") for w in words}))),
        ("with a name, %", f"{100 * named / len(cues):.1f}"),
        ("lines of dialogue", f"{len(said):,}"),
        ("lines with a name, %", f"{100 * calls / len(said):.1f}"),
    ]  # fmt: skip
    lines = ["| | `synthetic_films` |", "|---|---:|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def story_baselines() -> str:
    """What needs no learning of prompts in chapter 5's tasks, from the ledger, in percent."""
    from thesislib.amounts import percent
    from thesislib.chapters.clip_prompt.rows import ROWS
    from thesislib.ledger import Ledger
    from thesislib.report import NO_VALUE

    asked = [
        *(("captions", row, "top1") for row in ("chance", "random", "zero-shot", "linear-probe")),
        ("captions", "retrieval-zero-shot", "t2v_r1"),
        ("untrimmed", "localisation-zero-shot", "map_mean"),
    ]
    lines = ["| data set | reader | metric | % | seeds |", "|---|---|---|---:|---:|"]
    ledger = Ledger.load()
    for data, row, metric in asked:
        key = f"clip_prompt/{row}"
        found = ledger.summary(key, metric, "small", f"synthetic_{data}")
        value = f"{percent(found)} | {found['n'] or NO_VALUE}"
        lines.append(f"| `synthetic_{data}` | {ROWS[key].name} | `{metric}` | {value} |")
    return "\n".join(lines) + "\n"


def image_text() -> str:
    """What the small image-text model knows, from the scores that lie beside its weights."""
    from thesislib.image_text.model import SMALL_FOLDER
    from thesislib.pretrained.image_text.card import score_table

    note = json.loads((SMALL_FOLDER / "scores.json").read_text(encoding="utf-8"))
    scores = {key: 100 * value for key, value in note["scores"].items()}
    return (
        f"It is worth prompting: the hand-written template names {scores['template']:.1f} % of the "
        f"{note['judged']['test']:,} test videos of `synthetic_captions` as they were painted, "
        "before a codec changed their pixels (the table above and chapter 5 read the files). "
        f"Chance is {scores['chance']:.1f} %, and a linear probe of the same features reaches "
        f"{scores['linear_probe']:.1f} %. Actions that one frame cannot tell apart stay confused: "
        "asked for an action or the same one in reverse, the template is right in "
        f"{scores['template_pairs_two_way']:.1f} % of their videos, where chance is 50 %. With the "
        f"two merged it names {scores['template_pairs_merged']:.1f} %, the probe "
        f"{scores['linear_probe_pairs_merged']:.1f} %.\n\n{score_table(note)}"
    )


def manual() -> dict[str, str]:
    """A page for each part of the library, for autodoc to fill in, and the list of these pages.

    Returns:
        Text by file name, as seen from ``book/``.
    """
    rooms: dict[str, list[str]] = {}
    for name in public_modules():
        rooms.setdefault(_room(name), []).append(name)
    lines = ["| part | modules |", "|---|---|"]
    parts = {}
    for page, (title, wanted) in MANUAL.items():
        found = [name for room in wanted or list(rooms) for name in rooms.pop(room)]
        parts[f"api/{page}.md"] = f"# {title}\n\n" + "\n".join(map(described, found))
        links = [f"{{py:mod}}`{name.partition('.')[2]} <{name}>`" for name in found]
        lines.append(f"| [{title}](api/{page}.md) | {', '.join(links)} |")
    return {"generated/api.md": "\n".join(lines) + "\n", **parts}


def _room(name: str) -> str:
    """The part of the manual that a module belongs to: the longest that its name begins with."""
    steps = name.split(".")[1:]
    known = {room for _, rooms in MANUAL.values() for room in rooms}
    parts = [".".join(steps[:n]) for n in range(len(steps), 0, -1)]
    return next((part for part in parts if part in known), steps[0])


def described(name: str) -> str:
    """The section of one module; a package also names what it passes on from its modules."""
    module = importlib.import_module(name)
    lines = [f"## {name}", "", "```{eval-rst}", f".. automodule:: {name}", ""]
    objects = {n: getattr(module, n) for n in getattr(module, "__all__", ())}
    homes = {n: getattr(o, "__module__", name) for n, o in objects.items() if callable(o)}
    passed = {n: home for n, home in homes.items() if home != name}
    if passed:
        links = [f":py:obj:`{n} <{home}.{n}>`" for n, home in passed.items()]
        lines += [f"Passes on {', '.join(links)}.", ""]
    for n in passed:  # so that a text may name it by the shorter way
        lines += [f".. py:function:: {n}", f"   :module: {name}", "   :no-typesetting:", ""]
    return "\n".join([*lines, "```", ""])


def public_modules() -> list[str]:
    """Dotted names of the library's modules and packages, without the private ones."""
    import thesislib

    names = [m.name for m in pkgutil.walk_packages(thesislib.__path__, "thesislib.")]
    return [n for n in names if not any(part.startswith("_") for part in n.split("."))]
