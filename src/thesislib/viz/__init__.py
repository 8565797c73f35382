"""Figures of the book: one style, one colour a method, videos as strips of frames.

Every function takes arrays or plain dictionaries and returns a :class:`Picture`, which shows itself
once in a notebook, carries a caption and an alternative text, and stays below 150 kB.
"""

from thesislib.viz.charts import (
    alternation,
    curves,
    lines_with_interval,
    pretext_vs_downstream,
)
from thesislib.viz.diagrams import block_diagram, score_matrix
from thesislib.viz.style import Picture, use_style
from thesislib.viz.video import (
    contact_sheet,
    flow_colours,
    retrieval_grid,
    write_contact_sheet,
)

__all__ = [
    "Picture",
    "alternation",
    "block_diagram",
    "contact_sheet",
    "curves",
    "flow_colours",
    "lines_with_interval",
    "pretext_vs_downstream",
    "retrieval_grid",
    "score_matrix",
    "use_style",
    "write_contact_sheet",
]
