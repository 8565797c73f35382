"""What the notebooks show: library calls put together into one table, picture or sentence each.

A notebook holds prose and one call a cell; whatever would take it more lines stands here. Nothing
else in the library needs this room, but `thesislib show --augmented` borrows a picture.
"""

from thesislib.chapters.coclr import (
    coclr_numbers,
    cycles_page,
    cycles_picture,
    mining_picture,
)
from thesislib.chapters.memdpc import (
    efficiency_picture,
    flow_picture,
    memdpc_numbers,
    memory_picture,
    moments_page,
)
from thesislib.chapters.pictures import (
    actions_picture,
    augmentation_picture,
    batch_picture,
    clip_picture,
    curves_picture,
    pair_picture,
    retrieval_picture,
    stages_picture,
    views_picture,
)
from thesislib.chapters.runs import HEADLINE_ROWS, chance, chapter_rows, first_batch, run_rows
from thesislib.chapters.text import (
    Page,
    claims_page,
    glue_all,
    grid,
    judge_page,
    moves_page,
    numbers,
    pairs_page,
    parts_page,
    rows_page,
    scores_page,
    settings_page,
    shapes_page,
    source,
    start,
    tables_page,
    world_page,
)

__all__ = [
    "HEADLINE_ROWS",
    "Page",
    "actions_picture",
    "augmentation_picture",
    "batch_picture",
    "chance",
    "chapter_rows",
    "claims_page",
    "clip_picture",
    "coclr_numbers",
    "curves_picture",
    "cycles_page",
    "cycles_picture",
    "efficiency_picture",
    "first_batch",
    "flow_picture",
    "glue_all",
    "grid",
    "judge_page",
    "memdpc_numbers",
    "memory_picture",
    "mining_picture",
    "moments_page",
    "moves_page",
    "numbers",
    "pair_picture",
    "pairs_page",
    "parts_page",
    "retrieval_picture",
    "rows_page",
    "run_rows",
    "scores_page",
    "settings_page",
    "shapes_page",
    "source",
    "stages_picture",
    "start",
    "tables_page",
    "views_picture",
    "world_page",
]
