"""What the thesis asserts in chapter 7, each as a comparison of rows of the ledger."""

from __future__ import annotations

from thesislib.claims import Above, Greater

FIRST, SECOND, LONGER, ZERO = "tan/a", "tan/d", "tan/cont", "tan/zero-shot"
ALONE = "tan/alone-2"
R1, AUC = "align_r1", "align_auc"

# fmt: off
CLAIMS: tuple[Above | Greater, ...] = (
    # Stage 1.
    Greater("tan-chance", "7.1", FIRST, "tan/chance",
        "Trained on times of speech, sentences point at their moments better than by guessing.",
        R1),
    Greater("tan-context-frozen", "7.1", FIRST, ZERO,
        "A network over a minute beats the frozen encoder, which sees each second alone.", R1),
    # Ours: it has to be better than what it was taught.
    Greater("tan-stamps", "7.1", FIRST, "tan/stamps",
        "Trained on times of speech, the network is nearer to the truth than these times.", R1),
    Greater("tan-depth", "7.1", FIRST, "tan/b",
        "After stage 1, deeper Transformers beat those with half the layers.", R1),
    # Stage 2.
    Greater("tan-second", "7.1", SECOND, FIRST,
        "Stage 2 points at moments better than stage 1.", R1),
    # Ours: without it a gain may be one of longer training.
    Greater("tan-second-longer", "7.1", SECOND, LONGER,
        "Stage 2 beats as many further steps on the times of speech.", R1),
    Greater("tan-second-near", "7.1", SECOND, LONGER,
        "Stage 2 lies within two seconds more often than as many further steps.",
        "align_within_2"),
    Greater("tan-second-stamps", "7.1", SECOND, "tan/stamps",
        "After stage 2 the network is nearer to the truth than the times of speech.", R1),
    Greater("tan-alpha-low", "7.1", SECOND, "tan/c",
        "Learning the surest half of the sentences beats learning the surest quarter.", R1),
    Greater("tan-alpha-high", "7.1", SECOND, "tan/e",
        "Learning the surest half beats learning the surest three quarters.", R1),
    Greater("tan-window", "7.1", SECOND, "tan/f",
        "Windows of 64 s beat windows of 32 s.", R1),
    Greater("tan-window-long", "7.1", SECOND, "tan/g",
        "Windows of 64 s beat windows of 128 s.", R1),
    # Ours: which part of stage 2 it is. The thesis asserts the first four without a row.
    Greater("tan-agreement-dual", "7.1", SECOND, "tan/d-dual",
        "Times on which both encoders agree beat times of the dual encoder.", R1),
    Greater("tan-agreement-joint", "7.1", SECOND, "tan/d-joint",
        "Times on which both encoders agree beat times of the joint encoder.", R1),
    Greater("tan-slow", "7.1", SECOND, "tan/d-no-ema",
        "Times found by a slow copy beat times found by the network itself.", R1),
    Greater("tan-literal", "7.1", SECOND, "tan/d-literal",
        "The released rules beat those of the thesis's text, taken to the letter.", R1),
    Greater("tan-retimed", "7.1", SECOND, "tan/d-stamps",
        "New times teach more than the surest sentences at their times of speech.", R1),
    # Ours: is it the Transformer?
    Greater("tan-alone", "7.1", SECOND, ALONE,
        "After stage 2 Transformers beat a network that sees each second alone.", R1),
    Greater("tan-alone-second", "7.1", ALONE, "tan/alone-cont",
        "Stage 2 helps a network that sees each second alone.", R1),
    # Ours: does it hang on where the network begins?
    Greater("tan-random-second", "7.1", "tan/random-2", "tan/random",
        "From random projections, as the thesis's, stage 2 beats stage 1.", R1),
    Greater("tan-random-longer", "7.1", "tan/random-2", "tan/random-cont",
        "From random projections stage 2 beats as many further steps on the times of speech.", R1),
    # Ours: a baseline that costs nothing.
    Greater("tan-prior", "7.1", "tan/a-prior", FIRST,
        "After stage 1, looking near the time of speech first helps.", R1),
    Greater("tan-prior-second", "7.1", "tan/d-prior", SECOND,
        "After stage 2, looking near the time of speech first helps.", R1),
    # Alignability.
    Greater("tan-able", "7.1", SECOND, FIRST,
        "Whether a sentence is seen at all is told better after stage 2, by its head, than after "
        "stage 1, by the maximum.", AUC),
    Greater("tan-able-longer", "7.1", SECOND, LONGER,
        "The same against as many further steps on the times of speech.", AUC),
    Greater("tan-able-max", "7.1", SECOND, LONGER,
        "By the maximum alone stage 2 tells it better than as many further steps.",
        "align_auc_max"),
    Greater("tan-able-both", "7.1", SECOND, SECOND,
        "Head and maximum together tell it better than the head alone.",
        "align_auc_both", "align_auc_head"),
    Above("tan-able-chatter", "7.1", SECOND, "align_auc_head_chatter", 0.5,
        "The head tells what is seen from chatter better than by guessing."),
    Above("tan-able-mention", "7.1", SECOND, "align_auc_head_mention", 0.5,
        "The head tells what is seen from mentions of what is not shown better than by guessing."),
    Greater("tan-able-kinds", "7.1", SECOND, SECOND,
        "Against mentions the maximum tells more than the head.",
        "align_auc_max_mention", "align_auc_head_mention"),
    # Segmentation.
    Greater("tan-steps", "7.2", SECOND, ZERO,
        "Laid over a video in order, steps fit better by the network than by the frozen encoder.",
        "segment_frame_acc"),
    # Ours: what lies between steps is wrong whatever is said of it.
    Greater("tan-steps-inside", "7.2", SECOND, ZERO,
        "The same on the frames of steps alone.", "segment_frame_acc_foreground"),
    # Retrieval.
    Greater("tan-lookup", "7.3", "tan/e", FIRST,
        "Stage 2 makes the dual encoder find a sentence's moment among all videos more often.",
        "t2v_r1"),
    Greater("tan-lookup-five", "7.3", "tan/e", FIRST,
        "The same among the first five.", "t2v_r5"),
    # Ours.
    Greater("tan-lookup-frozen", "7.3", "tan/e", ZERO,
        "After stage 2 the dual encoder finds it more often than the frozen encoder.", "t2v_r1"),
    # End to end.
    Greater("tan-pixels", "7.4", "tan/end-to-end", "tan/end-to-end-heard",
        "A network that learns from aligned sentences is read better than one that learns from "
        "sentences as heard.", "probe_top1"),
    Greater("tan-pixels-random", "7.4", "tan/end-to-end", "tan/end-to-end-random",
        "A network that learns from aligned sentences is read better than random weights.",
        "probe_top1"),
    # Tuned on lists of steps.
    Greater("tan-listed", "7.2", "tan/d-finetuned", SECOND,
        "Tuned on lists of steps, the network lays steps over a video better than before.",
        "segment_frame_acc"),
)
# fmt: on
