"""The words of a film: its dialogue, and what a describer says in the gaps of it.

A describer speaks in the present tense and says a name only once it has been introduced: by the
dialogue, or by the describer, who then says what the character wears. Who has not been introduced
is "a person in red". After that nothing but the clothes tells who is on the screen, and nothing but
the words so far tells whose clothes they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from thesislib.synthetic.activities import Step
from thesislib.synthetic.captions import Rng, articles, pick
from thesislib.synthetic.narrator import CALLED, SAID

# Names that films share, and what stands for each.
NAMES = {
    "Anna": "she", "Clara": "she", "Emma": "she", "Grace": "she", "Julia": "she", "Laura": "she",
    "Maria": "she", "Nora": "she", "Rose": "she", "Sarah": "she", "Adam": "he", "Ben": "he",
    "David": "he", "Henry": "he", "Jack": "he", "Leo": "he", "Mark": "he", "Oscar": "he",
    "Paul": "he", "Tom": "he",
}  # fmt: skip
USUAL = 0.7  # how often an act is told in the usual one of its three phrases
REMINDED, PRONOUN = 0.25, 0.25  # how often the clothes are told again; "she" for who acted before
TOWARDS, WATCHED = 0.6, 0.35  # how often the other is told of, where both are on the screen
AT = {"wave": "waves at {other}", "bow": "bows to {other}", "clap": "claps for {other}"}
WATCHES = " while {other} watches"
# What two do at once.
TOGETHER = {
    "wave": "wave", "bow": "bow", "clap": "clap", "jump": "jump", "squat": "squat",
    "march": "march", "turn": "turn around", "jumping_jack": "do jumping jacks", "kick": "kick",
    "punch": "punch",
}  # fmt: skip

NAMED = 0.4  # of the lines call the other by name
OWN = 0.1  # of the lines say the speaker's own
GONE = 0.12  # of the lines ask for somebody who is not there
CALLS = (
    "{name}, look at this.", "{name}, come here.", "Where are you going, {name}?",
    "I need you, {name}.", "Thank you, {name}.", "{name}, I have to tell you something.",
    "Please, {name}, let me think.", "I am glad that you are here, {name}.",
)  # fmt: skip
OWNS = ("I am {name}.", "My name is {name}.", "They call me {name}.")
ASKS = ("Have you seen {name}?", "I am waiting for {name}.", "We must not tell {name}.")
LINES = (
    "I do not know what to say.", "We have to go now.", "I think it is my turn.",
    "We should wait until the morning.", "I have never been here before.", "Do not say that.",
    "I was only joking.", "We can do it.", "I had a strange dream.", "That is not my fault.",
    "I am so tired of this.", "We will never get home.", "I want to see it again.",
    "You promised me.", "I told you so.", "My brother would have loved it.", "Is it late?",
    "I lost my keys.", "We could start again.", "I believe you.",
)  # fmt: skip


class Character(NamedTuple):
    """Somebody in a film.

    Its fields:

    - ``name``: A key of :data:`NAMES`.
    - ``pronoun``: ``she`` or ``he``.
    - ``top``: What is worn, a key of :data:`activities.PAINTS`; nobody else in the film wears it.
    - ``presented``: Whether the describer gives the name at once, without waiting for the dialogue.
    """

    name: str
    pronoun: str
    top: str
    presented: bool


def line(
    rng: Rng, cast: tuple[Character, ...], who: int, other: int | None, absent: list[int]
) -> tuple[str, int | None]:
    """A line of dialogue.

    Args:
        rng: Draws it.
        cast: Of the film.
        who: Who speaks, a place in the cast.
        other: Who is spoken to, if anybody is there.
        absent: Who is not there.

    Returns:
        The line, and whom it introduces: one of those there whose name it says.
    """
    chance = rng.random()
    if chance < OWN:
        return pick(rng, OWNS).format(name=cast[who].name), who
    if absent and chance < OWN + GONE:
        return pick(rng, ASKS).format(name=cast[absent[int(rng.integers(len(absent)))]].name), None
    if other is not None and chance < OWN + GONE + NAMED:
        return pick(rng, CALLS).format(name=cast[other].name), other
    return pick(rng, LINES), None


class Describer:
    """Describes one film, and remembers whom its listeners know by name."""

    def __init__(self, rng: Rng, cast: tuple[Character, ...]) -> None:
        self.rng, self.cast = rng, cast
        self.known: set[int] = set()  # by name, from the dialogue or from a description
        self.told: set[int] = set()  # what they wear, together with the name
        self.last: tuple[int, ...] = ()  # who acted in the description before, in this scene

    def scene(self) -> None:
        """A new scene begins: nobody is "she" or "he" any more."""
        self.last = ()

    def heard(self, named: int | None) -> None:
        """The dialogue says the name of somebody who is there."""
        if named is not None:
            self.known.add(named)

    def tell(self, who: int, step: Step, beside: int | None, together: bool) -> str:
        """A sentence about what somebody does, perhaps beside or together with somebody."""
        rng = self.rng
        if together and beside is not None:
            self.last = ()  # "they" is not said
            subject = f"{self.call(who)} and {self.call(beside)}"
            return sentence(f"{subject} {TOGETHER[step.action]}")
        subject = self.call(who, (who,) == self.last)
        self.last = (who,)
        if beside is not None and step.action in AT and rng.random() < TOWARDS:
            return sentence(f"{subject} {AT[step.action].format(other=self.call(beside))}")
        watched = beside is not None and rng.random() < WATCHED
        end = WATCHES.format(other=self.call(beside)) if beside is not None and watched else ""
        return sentence(f"{subject} {does(step, rng)}{end}")

    def call(self, who: int, again: bool = False) -> str:
        """What somebody is called now; ``again``: right after a sentence about them alone."""
        one, rng = self.cast[who], self.rng
        if who not in self.known and not one.presented:
            return f"a person in {one.top}"
        first = who not in self.told
        self.known.add(who)
        self.told.add(who)
        if not first and again and rng.random() < PRONOUN:
            return one.pronoun
        return f"{one.name} in {one.top}" if first or rng.random() < REMINDED else one.name


def does(step: Step, rng: Rng) -> str:
    """What is done, most often in the usual phrase."""
    phrases = SAID[step.action]
    phrase = phrases[0] if rng.random() < USUAL else phrases[int(rng.integers(1, len(phrases)))]
    if not step.thing:
        return phrase.format(place="")
    called = CALLED[step.thing]
    return phrase.format(thing=f"the {step.detail} {called[int(rng.random() > USUAL)]}")


def direction(step: Step, tops: Sequence[str], rng: Rng) -> str:
    """What the screenplay says of a shot: who is there by their clothes, and the act, in any order.

    Nobody films or speaks it. A language model that has read it before the description knows that
    what stands before a sentence can decide it.
    """
    does_it = pick(rng, SAID[step.action])
    thing = f"the {step.detail} {pick(rng, CALLED[step.thing])}" if step.thing else ""
    parts = [" and ".join(tops), does_it.format(thing=thing, place="")]
    if rng.random() < 0.5:
        parts.reverse()
    return f"{', '.join(parts)}."


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    text = articles(text)
    return f"{text[0].upper()}{text[1:]}."
