"""Every knob of the simulated studio, in one frozen dataclass.

The knobs decide how hard the world is: how large the figure stands in the frame, how loud the
scene behind it is, how the camera moves.  A data set records the world that it was filmed in, so
that two data sets that differ in a knob never pass for the same one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from thesislib.errors import ThesisError

# The sixteen actions filmed by default; `actions.ACTIONS` knows some more.
DEFAULT_ACTIONS = (
    "sit_down", "stand_up", "pick_up", "put_down", "open_door", "close_door", "raise_arms",
    "lower_arms", "push", "pull", "wave", "clap", "jumping_jack", "squat", "punch", "kick",
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """The choice of world.  Angles are degrees, lengths are fractions of the frame's side.

    Every pair is a closed range from which each group or video draws uniformly.
    """

    actions: tuple[str, ...] = DEFAULT_ACTIONS
    actions_per_group: int = 8  # how many videos one actor makes in one scene
    split: tuple[float, float, float] = (0.6, 0.15, 0.25)  # share of train, val, test videos

    # the figure
    height: tuple[float, float] = (0.8, 0.88)  # stature of the standing figure
    body: float = 0.4  # 0: all bodies alike; 1: limbs differ by about 10 %, girth by 20 %
    clothes: float = 0.05  # 0: everyone wears the same grey; 1: any colour, with patterns
    style: float = 3.0  # standard deviation of the habitual offset of each joint angle
    tremor: float = 1.0  # standard deviation of the slow wandering of each joint angle
    amplitude: tuple[float, float] = (0.9, 1.15)  # size of the movement
    tempo: tuple[float, float] = (1.2, 1.8)  # speed of the movement; 1 is the usual speed
    mirror: float = 0.5  # probability that left and right are exchanged
    props: float = 0.0  # probability that a prop which the action does not need stands about

    # the scene, drawn once a group
    scenes: float = 0.05  # share of the group's own room in the backdrop; 0: one room for all
    loudness: float = 0.2  # 0: a plain wall; 1: full contrast, stripes, much furniture

    # One session a group: its videos share camera, mirror image, light and the actor's habits as
    # they share room and clothes, and differ in what happens alone. False: each has its own.
    session: bool = False

    # the camera, drawn once a video
    yaw: float = 20.0  # largest angle between the line of sight and the actor's front
    elevation: tuple[float, float] = (0.0, 4.0)  # angle from which the camera looks down
    place: float = 0.02  # largest distance of the actor from the middle of the frame
    pan: float = 0.0  # largest pan over the whole clip, to either side
    zoom: float = 0.0  # largest relative change of scale over the whole clip
    shake: float = 0.0  # standard deviation of the hand-held shake
    drift: float = 0.0  # largest distance that actor and prop travel over the whole clip
    light: float = 0.03  # largest relative change of brightness between videos of one group
    noise: float = 2.0  # standard deviation of the sensor noise, in grey levels of 255

    def __post_init__(self) -> None:
        for name in ("height", "amplitude", "tempo", "elevation"):
            low, high = getattr(self, name)
            if low > high:
                raise ThesisError(
                    f"World.{name} is ({low}, {high}), which is no range: give (low, high)."
                )
        if not self.actions:
            raise ThesisError("World.actions is empty: name at least one action.")
        if self.actions_per_group < 1:
            raise ThesisError(
                f"World.actions_per_group is {self.actions_per_group}: give 1 or more."
            )
        if min(self.split) < 0 or abs(sum(self.split) - 1) > 1e-6:
            raise ThesisError(
                f"World.split is {self.split}: give three shares (train, val, test) that add to 1."
            )

    def to_dict(self) -> dict[str, Any]:
        """All knobs as plain JSON types (tuples become lists).

        ``session`` is left out when off: data sets from before it keep their names.
        """
        knobs = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        if not self.session:
            del knobs["session"]
        return knobs

    @classmethod
    def from_dict(cls, knobs: dict[str, Any]) -> World:
        """The inverse of :meth:`to_dict`; an unknown knob raises :class:`ThesisError`."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(knobs) - known)
        if unknown:
            raise ThesisError(
                f"The world has no knob called {unknown[0]!r}; it has {', '.join(sorted(known))}."
            )
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in knobs.items()
        }
        return cls(**values)


#: The studio of chapters 1 to 3: sessions of one actor in one room, all of them different, in which
#: random weights, colours and single frames are weak readers and clips are enough. Found on the
#: validation split; book/data.md says how.
STUDIO = World(
    session=True,
    scenes=0.7,
    clothes=0.8,
    loudness=0.35,
    light=0.1,
    height=(0.6, 0.88),
    place=0.12,
    yaw=40.0,
    tempo=(0.8, 1.2),
)
