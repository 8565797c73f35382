"""What the thesis asserts of recognition in chapter 5, each as a comparison of rows."""

from __future__ import annotations

from thesislib.claims import Above, Greater

ZERO, PROBE = "clip_prompt/zero-shot", "clip_prompt/linear-probe"
FIVE = "clip_prompt/zero-shot-5way"
PROMPTS, LAYERS = "clip_prompt/16+x+16", "clip_prompt/16+x+16-2tfm"
FEW = "fewshot_top1"
NAMED, SPOTTED = "clip_prompt/localisation-zero-shot", "clip_prompt/localisation"
PLAIN, LOOKED_UP = "clip_prompt/retrieval-zero-shot", "clip_prompt/retrieval-4+x+4"

# fmt: off
CLAIMS: tuple[Above | Greater, ...] = (
    Greater("clip-prompts", "5.1", PROMPTS, ZERO,
        "Learnt prompts beat a template written by hand where all classes were seen.", "top1"),
    Greater("clip-prompts-probe", "5.1", PROMPTS, PROBE,
        "Learnt prompts beat a linear probe of the frozen features.", "top1"),
    Greater("clip-more-vectors", "5.1", PROMPTS, "clip_prompt/2+x+2",
        "Sixteen learnt vectors on either side of a name beat two.", "top1"),
    Greater("clip-one-layer", "5.1", "clip_prompt/16+x+16-1tfm", PROMPTS,
        "A Transformer layer over time beats the mean of the frames.", "top1"),
    Greater("clip-layers", "5.1", LAYERS, PROMPTS,
        "Two Transformer layers over time beat the mean of the frames.", "top1"),
    Greater("clip-second-layer", "5.1", LAYERS, "clip_prompt/16+x+16-1tfm",
        "A second layer over time adds to the first.", "top1"),
    # Ours: the thesis does not ask whether its layers read the order of frames.
    Greater("clip-layers-pairs", "5.1", LAYERS, PROMPTS,
        "Layers over time tell actions from the same ones backwards better than the mean does.",
        "pairs_top1"),
    Above("clip-mean-pairs", "5.1", PROMPTS, "pairs_top1", 0.5,
        "Without layers over time an action is told from the same one backwards more often than "
        "by guessing."),
    Greater("clip-order", "5.1", LAYERS, LAYERS,
        "Layers over time recognise frames in their order better than shuffled ones.",
        "top1", "shuffled_top1"),
    Greater("clip-order-pairs", "5.1", LAYERS, LAYERS,
        "Layers over time need the order of frames to tell an action from the same one backwards.",
        "pairs_top1", "shuffled_pairs_top1"),
    Greater("clip-frames", "5.1", PROMPTS, PROMPTS,
        "The mean of sixteen frames is recognised better than one frame.",
        "top1", "one_frame_top1"),
    Greater("clip-few-five", "5.3", "clip_prompt/fewshot-5way", FIVE,
        "Prompts learnt from five videos of each of five classes beat the template.", FEW),
    Greater("clip-few-all", "5.3", "clip_prompt/fewshot-all", ZERO,
        "Prompts learnt from five videos of every class beat the template.", FEW),
    Greater("clip-few-five-layers", "5.3",
        "clip_prompt/fewshot-5way", "clip_prompt/fewshot-5way-tfm",
        "With five videos of each of five classes prompts alone beat prompts with layers over "
        "time.", FEW),
    Greater("clip-few-all-layers", "5.3", "clip_prompt/fewshot-all-tfm", "clip_prompt/fewshot-all",
        "With five videos of every class layers over time add to the prompts.", FEW),
    Greater("clip-open", "5.4", PROMPTS, ZERO,
        "Learnt prompts beat the template on classes that were never seen.", "open_top1"),
    Greater("clip-open-layers", "5.4", PROMPTS, LAYERS,
        "Layers over time hurt on classes that were never seen.", "open_top1"),
    Greater("clip-open-harmonic", "5.4", PROMPTS, ZERO,
        "Learnt prompts beat the template by the harmonic mean of seen and unseen classes.",
        "harmonic_top1"),
    Greater("clip-localisation", "5.5", SPOTTED, NAMED,
        "Learnt prompts with layers over time name proposals better than the template.",
        "map_mean"),
    # Ours: what any detector has to beat.
    Greater("clip-localisation-lot", "5.5", NAMED, NAMED,
        "Proposals named by the template beat sliding windows named by lot.",
        "map_mean", "chance_map_mean"),
    # Both rows have one number a split of the classes, so that they are compared split by split.
    Greater("clip-localisation-open75", "5.6", f"{SPOTTED}-open75", f"{NAMED}-open75",
        "Learnt prompts name actions of an unseen quarter of the classes better than the template.",
        "map_mean"),
    Greater("clip-localisation-open50", "5.6", f"{SPOTTED}-open50", f"{NAMED}-open50",
        "Learnt prompts name actions of an unseen half of the classes better than the template.",
        "map_mean"),
    Greater("clip-retrieval", "5.7", LOOKED_UP, PLAIN,
        "Learnt prompts with layers over time find a caption's video more often than plain "
        "captions do.", "t2v_r1"),
    Greater("clip-retrieval-five", "5.7", LOOKED_UP, PLAIN,
        "The same among the first five.", "t2v_r5"),
    Greater("clip-retrieval-texts", "5.7", LOOKED_UP, PLAIN,
        "Learnt prompts with layers over time find a video's caption more often than the mean of "
        "its frames does.", "v2t_r1"),
)
# fmt: on
