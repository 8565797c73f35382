"""What the narrator of an instruction video says: of a step, of one that is not shown, or chatter.

The words are those of the captions as far as they go, so that a text encoder that was trained on
captions can read them. A sentence about a step that is not shown is worded like one that is: only
the video tells them apart.
"""

from __future__ import annotations

import numpy as np

from thesislib.synthetic import wording
from thesislib.synthetic.activities import PAINTS, Step
from thesislib.synthetic.captions import Rng, articles, pick, say

SHOWN, MENTIONED, CHATTER = "shown", "mentioned", "chatter"  # kinds of sentences
KEPT = 0.92  # of the words of a sentence: the others are lost to the recogniser of speech
VAGUE = 0.08  # how often the colour or the place is left out
PRONOUN = 0.3  # how often a thing is "it" right after a sentence that named it

# What is said of each action, the thing or the place to be filled in.
SAID: dict[str, tuple[str, ...]] = {
    "sit_down": ("sits down on {thing}", "takes a seat on {thing}", "goes down on {thing}"),
    "stand_up": ("stands up from {thing}", "gets up from {thing}", "leaves {thing}"),
    "pick_up": ("picks up {thing}", "takes {thing} from the floor", "lifts {thing}"),
    "put_down": ("puts down {thing}", "puts {thing} on the floor", "lets {thing} go down"),
    "open_door": ("opens {thing}", "makes {thing} go open", "pulls {thing} open"),
    "close_door": ("closes {thing}", "makes {thing} go shut", "shuts {thing}"),
    "push": ("pushes {thing}", "moves {thing} forward", "walks forward with {thing}"),
    "pull": ("pulls {thing}", "moves {thing} back", "walks back with {thing}"),
    "raise_arms": ("raises the arms{place}", "lifts the arms up{place}",
                   "brings the hands up{place}"),
    "lower_arms": ("lowers the arms{place}", "lets the arms down{place}",
                   "brings the hands down{place}"),
    "wave": ("waves{place}", "waves one hand{place}", "says hello{place}"),
    "clap": ("claps{place}", "claps the hands{place}", "gives a hand{place}"),
    "jumping_jack": ("does jumping jacks{place}", "jumps with arms and legs apart{place}"),
    "squat": ("squats{place}", "does squats{place}", "bends the knees and gets up again{place}"),
    "punch": ("punches{place}", "hits the air{place}", "punches with both hands{place}"),
    "kick": ("kicks{place}", "kicks the air{place}", "kicks with one leg{place}"),
    "bow": ("bows{place}", "takes a bow{place}", "bends forward and back{place}"),
    "march": ("marches{place}", "walks on the spot{place}", "lifts one leg and the other{place}"),
    "jump": ("jumps{place}", "jumps on the spot{place}", "goes up in the air{place}"),
    "turn": ("turns around{place}", "turns on the spot{place}", "goes around{place}"),
}  # fmt: skip
CALLED = {
    "stool": ("stool", "seat"), "box": ("box", "parcel"), "door": ("door", "cupboard"),
    "crate": ("crate", "case"),
}  # fmt: skip
WHERE = {
    "left": (" on the left", " at the left"), "middle": (" in the middle", " in the centre"),
    "right": (" on the right", " at the right"),
}  # fmt: skip
# The beginning of the name of a step with a thing; the others are those of the classes.
NAMED = {
    "sit_down": "sitting down on", "stand_up": "standing up from", "pick_up": "picking up",
    "put_down": "putting down", "open_door": "opening", "close_door": "closing", "push": "pushing",
    "pull": "pulling",
}  # fmt: skip
WHO = ("the actor", "she", "he", "this person", "somebody")
FIRST = ("now", "then", "next", "and here", "so now", "after that", "", "")
ASIDE = (
    "last time {who} {does}", "some people say {who} {does} first", "in another video {who} {does}",
    "you may want to wait until {who} {does}",
)  # fmt: skip
HEDGED = 0.35  # how often a step that is not shown is told as an aside
OPENINGS = (
    "", "", "", "well", "you know", "as i said", "to be honest", "by the way", "okay", "so",
)  # fmt: skip
TALK = (
    "welcome to my channel and thank you for watching", "this is my favourite part of the day",
    "my brother gave me this idea last summer", "please leave a comment if you have a question",
    "it took me years to get this right", "do not worry if it does not work the first time",
    "the weather has been terrible this week", "i always do this before breakfast",
    "my mother used to do it another way", "it is easier than it seems",
    "you can find the whole list under the video", "we are almost done with this",
    "take your time and have fun", "i forgot to tell you about the music",
    "that was a lot of work last time", "this is a great thing to do with friends",
    "i have to thank everybody who wrote to me", "there are many ways to do it",
    "it should not take more than ten minutes", "let me know what you think",
    "my dog is sleeping next door", "i learned it from an old book",
    "you do not need to spend any money", "the neighbours must think we are mad",
    "remember to breathe and to smile", "it looks much better in the evening",
    "i am a little tired today", "next week we try something new",
    "some of you asked how long it takes", "that is all there is to it",
    "my first try was a disaster", "the secret is to stay calm",
    "we moved here three years ago", "have a drink of water if you like",
    "i promise it gets better with time", "no animal was harmed in this film",
)  # fmt: skip


def sentence(step: Step, who: str, rng: Rng, before: Step | None = None) -> str:
    """A sentence about a step.

    Args:
        step: What it tells of.
        who: One of :data:`WHO`; the same throughout a video.
        rng: Draws how it is told.
        before: What the sentence just before tells of: a thing that it named may now be "it".
    """
    return articles(misheard(f"{pick(rng, FIRST)} {who} {does(step, rng, before)}", rng))


def aside(step: Step, who: str, rng: Rng, vague: bool = True) -> str:
    """A sentence about a step that is not shown; often it is told like one that is.

    Args:
        step: What it tells of.
        who: As for :func:`sentence`.
        rng: Draws how it is told.
        vague: Whether its detail may be left out. Not if the same action is shown with another
            detail: the sentence would then be true of that.
    """
    if rng.random() >= HEDGED:
        return articles(misheard(f"{pick(rng, FIRST)} {who} {does(step, rng, None, vague)}", rng))
    text = say(rng, ASIDE, who=who, does=does(step, rng, None, vague))
    return articles(misheard(text, rng))


def chatter(rng: Rng) -> str:
    """A sentence about something else."""
    return misheard(f"{pick(rng, OPENINGS)} {pick(rng, TALK)}", rng)


def does(step: Step, rng: Rng, before: Step | None = None, vague: bool = True) -> str:
    """What is done in a step, in one of several ways; its detail may be left out if ``vague``."""
    vague = bool(rng.random() < VAGUE) and vague
    if not step.thing:
        place = "" if vague else pick(rng, WHERE[step.detail])
        return say(rng, SAID[step.action], place=place)
    named = before is not None and (before.thing, before.detail) == (step.thing, step.detail)
    if named and rng.random() < PRONOUN:
        return say(rng, SAID[step.action], thing="it")
    called = pick(rng, CALLED[step.thing])
    return say(
        rng, SAID[step.action], thing=f"the {called if vague else f'{step.detail} {called}'}"
    )


def misheard(text: str, rng: Rng) -> str:
    """What is left of a sentence when some words are lost; never nothing."""
    words = text.split()
    kept = rng.random(len(words)) < KEPT
    kept[int(rng.integers(len(words)))] = True
    return " ".join(np.array(words)[kept].tolist())


def title(step: Step) -> str:
    """A step as a person would write its name down."""
    if step.thing:
        return articles(f"{NAMED[step.action]} a {step.detail} {step.thing}")
    return wording.NAMES[step.action] + WHERE[step.detail][0]


def words() -> tuple[str, ...]:
    """All words that a narrator may say, sorted."""
    tables = (*SAID.values(), *CALLED.values(), *WHERE.values(), WHO, FIRST, ASIDE, OPENINGS, TALK)
    texts = [text for table in tables for text in table] + [*PAINTS, "the it a an"]
    return tuple(sorted({word for text in texts for word in wording.words_of(text)}))
