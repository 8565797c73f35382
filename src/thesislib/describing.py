"""``thesislib describe``: audio description of a film, and what a track of it is worth."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from thesislib.classifying.answers import warning_of
from thesislib.classifying.names import load_encoder
from thesislib.data.containers import probe
from thesislib.data.extraction import extract_features
from thesislib.data.features import NOTE_FILE, FeatureStore, fingerprint, read_note
from thesislib.data.film_features import RATE, clip_of
from thesislib.data.films import Cue, names_of, recent
from thesislib.data.manifest import Manifest, Video
from thesislib.data.streaming import Stream
from thesislib.descriptions.checking import Limits, check_track
from thesislib.descriptions.gaps import Span, gaps_between, spoken
from thesislib.descriptions.names import likely_names, read_names, whole_names
from thesislib.descriptions.writing import EXTENDED, SILENT, Described, Pace, clips_in, fitted
from thesislib.errors import ThesisError, choose
from thesislib.files import derived, make_folder, read_text, write_text
from thesislib.image_text import ImageText
from thesislib.language import LanguageModel, load_language_model
from thesislib.language.describing import describe_clips
from thesislib.methods.autoad import AutoAD
from thesislib.own_videos import Say, to_stderr
from thesislib.recipes import RECIPES
from thesislib.runs import finished_runs, load_run, settings_of
from thesislib.soundtrack.loudness import Loud
from thesislib.soundtrack.parts import FindsSpeech, Silero
from thesislib.soundtrack.sound import check_sound, read_sound
from thesislib.subtitles import parse_subtitles, read_subtitles
from thesislib.subtitles.siblings import DESCRIPTIONS, STDIN, dialogue_of
from thesislib.subtitles.writing import untouched, vtt
from thesislib.synthetic.describer import NAMES
from thesislib.viz.described_page import described_page, pictures_of_clips

NO_RUN = (
    "A film is described by a run of chapter 8, and there is no finished one here: `thesislib "
    "train autoad` makes one. `thesislib describe --check` judges a track without any."
)
NO_DIALOGUE = (
    "There are no subtitles beside {film}, and without them nobody knows when it speaks: name them "
    "with --subtitles, let --sound go by how loud it is, or say --silent where nobody speaks."
)
# Ways to find dialogue in the sound, and what they take for it.
SOUNDS: dict[str, tuple[type[FindsSpeech], str]] = {
    "loud": (Loud, "what is loud is dialogue"),
    "voice": (Silero, "dialogue is where voices are heard"),
}
STUDIO = "synthetic"  # where its recipes stand
REAL = (
    "name a run that has learnt from films by the features of a real model (--set model=ViT-B-16)"
)
LOOKS = "Looking at the film, {rate:g} frames a second; that takes longest."
KIND = (
    "kind: descriptions. Spoken by a player or a screen reader while the film goes on.\n"
    "Written by a machine; nobody has looked at what it says."
)
SEAL = "Written by thesislib describe, "
STOPS = "Cues that are longer than their gap, at which the film has to stop: "


def check(
    file: str | Path,
    film: str | Path | None = None,
    subtitles: str | None = None,
    *,
    limits: Limits = Limits(),  # noqa: B008  # frozen
    names: str | Path | None = None,
    language: str = "en",
    encoding: str | None = None,
    log: Say = to_stderr,
) -> dict[str, Any]:
    """Judges a track of descriptions; see :func:`~thesislib.descriptions.checking.check_track`.

    Args:
        file: The track, of any kind that subtitles have.
        film: Gives its length, and the subtitles beside it.
        subtitles: The dialogue; ``-``: the standard input.
        limits: What is asked.
        names: A file with a name of the cast a line.
        language: Of the subtitles, where several lie beside the film.
        encoding: Of the subtitles, where it is known.
        log: Where what was mended in the files is told.

    Returns:
        Plain JSON: the report, ``file``, ``subtitles`` and ``limits``.

    Raises:
        ThesisError: A file cannot be used.
    """
    track = read_subtitles(file)
    seconds = Stream(film).duration if film is not None else None
    dialogue = dialogue_of(film, subtitles, language=language, encoding=encoding, track=file)
    for read in (track, dialogue):
        for line in read.summary() if read else ():
            log(line)
    cast: Sequence[str] = read_names(names) if names is not None else ()
    report = check_track(track, dialogue.cues if dialogue else None, seconds, limits, cast)
    about = {"file": str(file), "subtitles": dialogue.name if dialogue else None}
    return {**about, **report.as_dict(), "limits": asdict(limits)}


@dataclass(frozen=True)
class Describer:
    """What describes: a finished run and the two frozen models around it.

    Attributes:
        run: Its name.
        model: Its network.
        language: Its language model.
        encoder: Its image-text model.
        names: That it may write, as films that it learnt from have them: the studio's, or none that
            anybody knows.
    """

    run: str
    model: AutoAD
    language: LanguageModel
    encoder: ImageText
    names: tuple[str, ...] = ()


def load_describer(run: str = "", *, weights: str = "", download: bool = False) -> Describer:
    """The models of a run of chapter 8.

    Args:
        run: Its name or folder; default: the newest that has finished.
        weights: Of its image-text model, where that needs some.
        download: Fetch what is published and not here.

    Raises:
        ThesisError: There is no such run, or it learnt from features that cannot be computed here.
    """
    if not run:
        runs = finished_runs(methods=("autoad",))
        if not runs:
            raise ThesisError(NO_RUN)
        run = str(runs[0].path)
    config = settings_of(run, ("autoad",))
    language = load_language_model(config.language, download=download)
    model, _, folder = load_run(run, ("autoad",), language=language.model)
    if config.features:
        raise ThesisError(
            f"{folder.name} learnt from features of {config.features}, which cannot be computed of "
            "a film here: name a run whose features are an image-text model's."
        )
    encoder = load_encoder(config.model, weights, download=download)
    learnt = RECIPES.get(config.dataset)
    names = tuple(NAMES) if learnt is not None and learnt.module == STUDIO else ()
    return Describer(folder.name, model, language, encoder, names)


def describe(
    film: str | Path,
    subtitles: str | None = None,
    *,
    run: str = "",
    weights: str = "",
    download: bool = False,
    pace: Pace = Pace(),  # noqa: B008  # frozen
    sound: str = "",
    silent: bool = False,
    names: str | Path | None = None,
    language: str = "en",
    encoding: str | None = None,
    out: str | Path | None = None,
    log: Say = to_stderr,
) -> dict[str, Any]:
    """Describes a film where nobody speaks, and writes that beside it; the film stays as it is.

    A killed call is simply repeated: what it had done lies in a folder ``<film>.describing`` until
    the track is written.

    Args:
        film: The file.
        subtitles: Its dialogue; ``-``: the standard input; default: the file beside the film.
        run: See :func:`load_describer`.
        weights: Likewise.
        download: Likewise.
        pace: How cues are fitted in.
        sound: Where there are no subtitles, one of ``SOUNDS`` finds dialogue in the sound.
        silent: Nobody speaks in the film, whatever lies beside it.
        names: A file with a name of the cast a line, besides those that the dialogue shows to be
            names, and those that the run may write.
        language: Of the subtitles, where several lie beside the film.
        encoding: Of the subtitles, where it is known.
        out: Folder to write to, default that of the film.
        log: Where the log lines go.

    Returns:
        Plain JSON: ``cues``, ``clips`` that nothing is said of, what :func:`check` would say of the
        track, and ``files``: ``<film>.descriptions.vtt`` (kind descriptions) and ``.html``.

    Raises:
        ThesisError: A file cannot be used, there is no gap, or no run.
    """
    if silent and (sound or subtitles is not None):
        raise ThesisError("Where nobody speaks there is no dialogue: leave --silent out, or alone.")
    film = Path(film).expanduser()
    stream = Stream(film)
    dialogue = None
    if not silent:
        dialogue = dialogue_of(film, subtitles, language=language, encoding=encoding)
    if dialogue is None and not (sound or silent):
        raise ThesisError(NO_DIALOGUE.format(film=film))
    lines = spoken(dialogue.cues) if dialogue else []
    # All that can be refused is, before a film is listened to, which takes a minute.
    finder = _finder(film, sound) if dialogue is None and not silent else None
    given = read_names(names) if names is not None else ()
    describer = load_describer(run, weights=weights, download=download)
    cast = whole_names([*given, *describer.names, *likely_names(line.text for line in lines)])
    target = film if out is None else make_folder(Path(out).expanduser()) / film.name
    files = [target.with_name(derived(film.stem, f"{DESCRIPTIONS}{e}")) for e in (".vtt", ".html")]
    for path in files:
        untouched(path, [film, *([dialogue.name] if dialogue and subtitles != STDIN else [])])
    _check_ours(files[0])
    speech = finder.spans(read_sound(film)) if finder else [(one.start, one.end) for one in lines]
    clips = clips_in(gaps_between(speech, stream.duration, pace.min_gap), pace)
    if not clips:
        raise ThesisError(
            f"{film} leaves no gap of {pace.min_gap:g} s without dialogue: lower --min-gap."
        )
    how = SOUNDS[sound][1] if finder else "nobody speaks"
    for note in dialogue.summary() if dialogue else [f"Without subtitles: {how}."]:
        log(note)
    said = [Cue(line.start, line.end, line.text) for line in lines]
    heard = [_heard(said, clip.start, describer, cast) for clip in clips]
    work = target.with_name(derived(film.stem, ".describing"))
    log(LOOKS.format(rate=RATE))
    texts = _texts(film, clips, heard, describer, work)
    described = fitted(clips, texts, pace, lines, cast)
    cues = [one for one in described if one.text]
    track = _track(described)
    write_text(files[0], track)
    seconds = stream.duration
    limits = Limits(min_gap=pace.min_gap)
    known = lines if dialogue or silent else None
    report = None
    if cues:
        read = parse_subtitles(track.encode(), files[0].name)
        report = check_track(read, known, seconds, limits, cast)
    warning = warning_of(describer.encoder, REAL)
    notes = [
        f"{len(clips):,} clips in gaps of {pace.min_gap:g} s or more, {len(cues):,} of them "
        f"described by {describer.run}, a machine: nobody has looked at what it says.",
    ]
    page = described_page(
        film, seconds, described, [[line.text for line in recent(said, c.start)] for c in clips],
        notes=notes, warning=warning, pictures=pictures_of_clips(film, described),
    )  # fmt: skip
    write_text(files[1], page)
    shutil.rmtree(work, ignore_errors=True)
    for line in (*notes, warning):
        if line:
            log(line)
    return {
        "film": str(film),
        "run": describer.run,
        "subtitles": dialogue.name if dialogue else None,
        "clips": len(clips),
        "cues": [one._asdict() for one in cues],
        "silent": [one._asdict() for one in described if one.kind == SILENT],
        "check": report.as_dict() if report else None,
        "warning": warning,
        "files": [str(path) for path in files],
    }


def _finder(film: Path, sound: str) -> FindsSpeech:
    """What is to find dialogue in the sound of a film, which has some."""
    way, _ = SOUNDS[choose("way to hear dialogue", sound, SOUNDS)]
    check_sound(film)
    return way()


def _heard(said: Sequence[Cue], start: float, by: Describer, cast: Sequence[str]) -> list[str]:
    """The dialogue before a clip as the run reads it: lines, names, or nothing."""
    config = by.model.config
    if config.subtitles == "none":
        return []
    lines = recent(said, start, config.dialogues, config.seconds)
    return list(names_of(lines, cast) if config.subtitles == "names" else (c.text for c in lines))


def _texts(
    film: Path, clips: Sequence[Span], heard: Sequence[Sequence[str]], by: Describer, work: Path
) -> list[str]:
    """What is written of each clip, in a folder that lets a killed call go on."""
    video = Video.of(str(film.absolute()), "", "test", "", probe(film))
    manifest = Manifest(film.name, work, (video,), {})
    # Each mixture of film, clips and dialogue has a file of its own.
    asked = json.dumps([fingerprint(film), clips, heard, by.encoder.describe()], default=str)
    text = work / f"texts-{hashlib.sha256(asked.encode()).hexdigest()[:12]}.jsonl"
    frames = work / hashlib.sha256(json.dumps(by.encoder.describe()).encode()).hexdigest()[:12]
    try:
        extract_features(manifest, by.encoder, frames, rate=RATE, jobs=1)
    except ThesisError:
        skipped = read_note(frames)["skipped"] if (frames / NOTE_FILE).is_file() else {}
        if not skipped:
            raise
        shutil.rmtree(work, ignore_errors=True)
        why = next(iter(skipped.values()))
        raise ThesisError(f"{film}: {why}: name a whole copy of it.") from None
    rows, times = FeatureStore(frames).read(video)
    count = by.model.config.frames
    features: Tensor = torch.stack([clip_of(rows, times, *clip, count) for clip in clips])
    found = describe_clips(by.model, by.language, features, heard, out=text)
    return [one.text for one in found]


def _track(described: Sequence[Described]) -> str:
    """The WebVTT; a note names the cues at which the film has to stop, and tells it from others."""
    cues = [one for one in described if one.text]
    stops = [str(number) for number, one in enumerate(cues, 1) if one.kind == EXTENDED]
    rows = [Cue(one.start, one.until, one.text) for one in cues]
    notes = [KIND, f"{STOPS}{', '.join(stops)}."] if stops else [KIND]
    return vtt(rows, "\n".join([*notes, f"{SEAL}{_seal(vtt(rows))}"]))


def _seal(cues: str) -> str:
    return hashlib.sha256(cues.encode()).hexdigest()[:12]


def _check_ours(path: Path) -> None:
    """Refuses to replace a track that somebody else has written, or has changed."""
    if not path.exists():
        return
    text = read_text(path, "name another folder with --out.")
    note = re.search(r"\nNOTE\n.*?\n(?=\n|\Z)", text, re.DOTALL)  # ends a track without a cue
    if note is None or f"{SEAL}{_seal(text.replace(note[0], '', 1))}" not in note[0]:
        raise ThesisError(
            f"{path} is there and is not as this command writes it: move it away, or name another "
            "folder with --out."
        )
