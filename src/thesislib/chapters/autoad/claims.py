"""What the thesis asserts in chapter 8, each as a comparison of rows of the ledger."""

from __future__ import annotations

from thesislib.claims import Greater

BLIND, READS, SEES, BOTH = "autoad/blind", "autoad/ad", "autoad/v", "autoad/v+ad"
LONGER = "autoad/v-cont"
FROM_TEXT, FROM_BOTH = "autoad/v+ad-text", "autoad/v+ad-text+webvid"
CIDER, NAMED = "cider", "identity_recall"
ORACLE, NAMED_ORACLE = "cider_oracle", "identity_recall_oracle"

# fmt: off
CLAIMS: tuple[Greater, ...] = (
    # The film. Ours: a language model that has read descriptions can go on without any.
    Greater("autoad-film", "8.2", SEES, BLIND,
        "Without context, seeing the film beats not seeing it.", CIDER),
    Greater("autoad-film-context", "8.2", BOTH, READS,
        "With its own descriptions as context, seeing the film beats not seeing it.", CIDER),
    Greater("autoad-film-oracle", "8.2", BOTH, READS,
        "With the true descriptions as context, seeing the film beats not seeing it.", ORACLE),
    Greater("autoad-frames", "8.2", SEES, "autoad/v1",
        "Eight frames of a clip beat one.", CIDER),
    # Context.
    Greater("autoad-context", "8.2", BOTH, SEES,
        "Its own past descriptions help.", CIDER),
    Greater("autoad-oracle", "8.2", BOTH, SEES,
        "The true past descriptions help.", ORACLE, CIDER),
    # Ours: here they are read in further steps of training, which may help by themselves.
    Greater("autoad-context-cont", "8.2", BOTH, LONGER,
        "Its own past descriptions help more than as many further steps without.", CIDER),
    Greater("autoad-oracle-cont", "8.2", BOTH, LONGER,
        "The true past descriptions help more than as many further steps without.", ORACLE, CIDER),
    Greater("autoad-recurrent", "8.2", BOTH, BOTH,
        "The true past descriptions are a better context than its own.", ORACLE, CIDER),
    # Ours: only names that the context says can be known.
    Greater("autoad-names", "8.2", BOTH, LONGER,
        "With its own past descriptions names are right more often than without.", NAMED),
    Greater("autoad-names-oracle", "8.2", BOTH, LONGER,
        "With the true past descriptions names are right more often than without.",
        NAMED_ORACLE, NAMED),
    Greater("autoad-names-recurrent", "8.2", BOTH, BOTH,
        "Names are right more often with the true past descriptions than with its own.",
        NAMED_ORACLE, NAMED),
    # Ours: who recites the cast has all the recall.
    Greater("autoad-precision", "8.2", BOTH, LONGER,
        "Of the names that are said, more are right with the true past descriptions.",
        "identity_precision_oracle", "identity_precision"),
    # How far back (Figure 8.4).
    Greater("autoad-length", "8.4", BOTH, "autoad/v+ad-1",
        "Six past descriptions beat one.", CIDER, figure=True),
    Greater("autoad-length-oracle", "8.4", BOTH, "autoad/v+ad-1",
        "Six true past descriptions beat one.", ORACLE, figure=True),
    Greater("autoad-length-half", "8.4", BOTH, "autoad/v+ad-3",
        "Six past descriptions beat three.", CIDER, figure=True),
    # Partial data.
    Greater("autoad-stills", "8.2", "autoad/v-cc3m", SEES,
        "Training on captions of stills first helps.", CIDER),
    Greater("autoad-clips", "8.2", "autoad/v-webvid", SEES,
        "Training on captions of clips first helps.", CIDER),
    Greater("autoad-clips-stills", "8.2", "autoad/v-webvid", "autoad/v-cc3m",
        "Captions of clips are a better beginning than captions of stills.", CIDER),
    Greater("autoad-text", "8.2", FROM_TEXT, BOTH,
        "Training on text alone first helps.", CIDER),
    Greater("autoad-text-oracle", "8.2", FROM_TEXT, BOTH,
        "Training on text alone first helps with the true context, too.", ORACLE),
    Greater("autoad-partial", "8.2", FROM_BOTH, FROM_TEXT,
        "Captions of clips first add to text first.", CIDER),
    Greater("autoad-partial-oracle", "8.2", FROM_BOTH, FROM_TEXT,
        "Captions of clips first add to text first with the true context, too.", ORACLE),
    # Dialogue. The thesis says in words that it gives no gain.
    Greater("autoad-dialogue", "8.2", FROM_BOTH, "autoad/v+ad+sub-text+webvid",
        "Reading the dialogue as well does harm.", CIDER),
    Greater("autoad-dialogue-names", "8.2", "autoad/v+ad+subn-text+webvid",
        "autoad/v+ad+sub-text+webvid",
        "Of the dialogue the names alone are better than all of it.", CIDER),
    # Ours: the dialogue holds names, and so is worth something to who reads no descriptions.
    Greater("autoad-dialogue-alone", "8.2", "autoad/v+subn", LONGER,
        "Names from the dialogue make names right more often where nothing else is read.", NAMED),
    # Others.
    Greater("autoad-clipcap", "8.4", FROM_TEXT, "autoad/clipcap",
        "Context beats ClipCap, which has none.", CIDER),
    Greater("autoad-capdec", "8.4", FROM_TEXT, "autoad/capdec",
        "Context and pictures beat CapDec, which has learnt from text alone.", CIDER),
)
# fmt: on
