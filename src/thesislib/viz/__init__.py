"""Figures of the book: one style, one colour a method, videos as strips of frames.

Every function takes arrays, plain dictionaries or claims and returns a :class:`Picture`, which
shows itself once in a notebook, carries a caption and an alternative text, and stays below 150 kB.
"""

from thesislib.viz.alignment_plots import alignments
from thesislib.viz.captions import caption_grid
from thesislib.viz.charts import (
    alternation,
    curves,
    lines,
    lines_with_interval,
    pretext_vs_downstream,
)
from thesislib.viz.cotraining import co_training, queue_roles
from thesislib.viz.dataflow import dpc_flow, two_futures
from thesislib.viz.diagrams import block_diagram, score_matrix
from thesislib.viz.dropping import turbo_flow
from thesislib.viz.forest_plot import forest
from thesislib.viz.lanes import timeline
from thesislib.viz.prompting import confusions, prompt_flow
from thesislib.viz.style import Picture, use_style
from thesislib.viz.telling import token_row, told_clips
from thesislib.viz.video import (
    amplified,
    contact_sheet,
    flow_colours,
    retrieval_grid,
    shrunk,
    write_contact_sheet,
)

__all__ = [
    "Picture",
    "alignments",
    "alternation",
    "amplified",
    "block_diagram",
    "caption_grid",
    "co_training",
    "confusions",
    "contact_sheet",
    "curves",
    "dpc_flow",
    "flow_colours",
    "forest",
    "lines",
    "lines_with_interval",
    "pretext_vs_downstream",
    "prompt_flow",
    "queue_roles",
    "retrieval_grid",
    "score_matrix",
    "shrunk",
    "timeline",
    "token_row",
    "told_clips",
    "turbo_flow",
    "two_futures",
    "use_style",
    "write_contact_sheet",
]
