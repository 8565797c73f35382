"""What the thesis asserts of recognition in chapter 5, each as a comparison of rows."""

from __future__ import annotations

from thesislib.claims import Above, Greater

ZERO, PROBE = "clip_prompt/zero-shot", "clip_prompt/linear-probe"
FIVE = "clip_prompt/zero-shot-5way"
PROMPTS, LAYERS = "clip_prompt/16+x+16", "clip_prompt/16+x+16-2tfm"
FEW = "fewshot_top1"

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
)
# fmt: on
