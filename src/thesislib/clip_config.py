"""What a clip is: its frames, its streams, its augmentation, and the flow that it may need."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thesislib.config import RunConfig, as_tuples, at_least_one, check_share
from thesislib.errors import ThesisError, choose

MODALITIES = ("rgb", "flow", "both")
FLOW_ALGORITHMS = ("tvl1", "tvl1_fast", "tvl1_quick", "farneback", "dis")


@dataclass(frozen=True)
class Augment:
    """Augmentation of one clip; every random operation states its scope.

    A *clip* scope draws once for all frames of the clip, a *frame* scope anew for each frame.
    Crop, flip and blur are always per clip: the thesis applies the first two "in a consistent way"
    (2.3.5), and all of chapter 4's "clip-wise consistent" (4.4.2).
    """

    crop: str = "resized"  # resized (area and aspect drawn), random (fixed size), centre
    crop_area: tuple[float, float] = (0.5, 1.0)  # share of the frame's area, for "resized"
    crop_aspect: tuple[float, float] = (0.75, 4 / 3)  # width / height, for "resized"
    crop_fallback: str = "square"  # no box fits: after ten tries the largest square, or whole: the
    #   whole frame after one try (as CoCLR was released)
    crop_size: int = 0  # pixels, for "random" and "centre"; 0: the largest square
    flip: float = 0.5  # probability of a mirror image
    grey: float = 0.0  # probability of grey
    grey_scope: str = "frame"
    grey_kind: str = "luma"  # luma; channel: one random channel copied (as released); channels:
    #   another one in each frame, also where the clip turns grey as a whole (as CoCLR was released)
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)  # brightness, contrast,
    #   saturation: factor in 1 +- value; hue: shift in +- value turns
    jitter_p: float = 1.0  # probability that the jitter is applied at all
    jitter_scope: str = "frame"
    test_jitter: bool = False  # the jitter at test time as well (as MemDPC was released)
    blur_p: float = 0.0  # probability of a Gaussian blur, for training alone
    blur: tuple[float, float] = (0.1, 2.0)  # range of its sigma, in pixels of the output
    interpolation: str = "bilinear"  # or nearest (as DPC was released), bicubic (as CoCLR was)
    normalise: bool = True  # ImageNet mean and standard deviation, of flow too (as released)
    # Flow becomes a picture of three channels. The thesis stacks "a third zero-valued channel" and
    # *then* maps [-20, 20] to [0, 255] (3.5.2, 4.4.2): zero motion, 128, as in the released files.
    flow_third: int = 128  # 0 for the other reading: a channel of zeros after the mapping
    flow_channels: str = "xy0"  # x, y, third; or 0yx (the released files in an RGB reader)
    flow_colour: bool = True  # grey, jitter and blur for flow too: "for both streams" (3.5.2)

    def __post_init__(self) -> None:
        as_tuples(self)
        choose("crop", self.crop, ("resized", "random", "centre"))
        choose("crop fallback", self.crop_fallback, ("square", "whole"))
        for name in ("grey_scope", "jitter_scope"):
            choose(f"scope for {name}", getattr(self, name), ("frame", "clip"))
        choose("grey kind", self.grey_kind, ("luma", "channel", "channels"))
        choose("interpolation", self.interpolation, ("bilinear", "nearest", "bicubic"))
        choose("order of flow channels", self.flow_channels, ("xy0", "0yx"))
        if not 0 <= self.flow_third <= 255:
            raise ThesisError(f"flow_third={self.flow_third} is no pixel value: give 0 to 255.")
        check_share("blur_p", self.blur_p)
        if not 0 < self.blur[0] <= self.blur[1]:
            raise ThesisError(f"blur={self.blur} is no range of sigmas: give 0 < least <= most.")

    def light(self) -> Augment:
        """The same crop and flip without grey, jitter and blur."""
        return dataclasses.replace(self, grey=0.0, jitter=(0.0,) * 4, blur_p=0.0)


@dataclass(frozen=True)
class FlowConfig:
    """How optical flow is computed (thesis 3.5.2 and 4.4.2: TV-L1, clipped at 20 pixels)."""

    algorithm: str = "tvl1"  # OpenCV's own settings; the others are faster, and departures
    bound: float = 20.0  # pixels at which x and y are clipped

    def __post_init__(self) -> None:
        choose("flow algorithm", self.algorithm, FLOW_ALGORITHMS)
        if not 0 < self.bound < float("inf"):
            raise ThesisError(f"bound={self.bound} pixels is no bound: give a number above 0.")


# Colour per frame, against the optical-flow shortcut (thesis 2.3.3).
FRAME_WISE = Augment(grey=0.5, grey_scope="frame", jitter=(0.5, 0.5, 0.5, 0.25))


@dataclass(frozen=True)
class ClipConfig(RunConfig):
    """What a run on clips has besides; the same for training clips and for test windows.

    Videos of at most ``span`` frames are *short*. Flow field k belongs to frame k; the last frame,
    which has none, takes the field before it.
    """

    unhashed = (*RunConfig.unhashed, "cache")

    cache: bool = False  # keep decoded frames in memory: for small data sets
    num_seq: int = 8  # blocks N
    seq_len: int = 5  # frames per block T
    stride: int = 3  # raw frames from one frame to the next
    size: int = 128  # pixels, side of the square input
    views: int = 1  # clips of each video in an item: 2 for a query and its key (4.4.2)
    one_window: float = 0.0  # two views: probability that both show the same window of time
    heavy: float = 1.0  # views of two windows: probability that one gets colour and blur besides
    #   crop and flip; below 1, of two views of one window exactly one does
    batch_groups: int = 0  # groups of videos that a batch is drawn from (hard negatives); 0: the
    #   batch is drawn at large, as in the thesis, and so where videos have no groups
    batch_clips: int = 1  # clips of each video in a batch of groups
    min_clips: int = 160  # clips of an epoch at least: a small set is passed over several times
    short: str = "drop"  # videos shorter than the clip: drop, or pad with the last frame
    augment: Augment = Augment()
    modality: str = "rgb"  # rgb, flow, or both streams of the same clip
    flow: FlowConfig = FlowConfig()  # which flow, for "flow" and "both"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, kind in (("augment", Augment), ("flow", FlowConfig)):
            if isinstance(value := getattr(self, name), Mapping):  # from a model's config.json
                object.__setattr__(self, name, kind(**value))
        choose("modality", self.modality, MODALITIES)
        choose("policy for short videos", self.short, ("drop", "pad"))
        if self.views not in (1, 2):
            raise ThesisError(
                f"There are no items of {self.views} views: choose views=1 or views=2."
            )
        check_share("one_window", self.one_window)
        check_share("heavy", self.heavy)
        at_least_one(self, "num_seq", "seq_len", "stride", "size", "batch_clips")
        if self.batch_groups < 0:
            raise ThesisError(f"batch_groups={self.batch_groups}: give 0 (at large) or more.")

    @property
    def streams(self) -> str:
        """What a clip for training has to hold: ``modality``, unless a method needs more."""
        return self.modality

    @property
    def span(self) -> int:
        """Raw frames that a clip covers."""
        return self.num_seq * self.seq_len * self.stride

    @property
    def hop(self) -> int:
        """Raw frames from one test window to the next: half a window, in whole blocks if many."""
        if self.num_seq == 1:
            return max(1, self.span // 2)
        return self.num_seq // 2 * self.seq_len * self.stride


def one_view(config: ClipConfig) -> ClipConfig:
    """The clips of any settings, one of each video and of its own stream alone."""
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(ClipConfig)}
    return ClipConfig(**{**fields, "views": 1})


# Clips of the small profile: one place, so that pre-training and fine-tuning of all methods agree.
SMALL_CLIPS: dict[str, Any] = {
    "profile": "small", "dataset": "synthetic", "num_workers": 0, "cache": True,
    "size": 48, "seq_len": 3, "stride": 2,
}  # fmt: skip
