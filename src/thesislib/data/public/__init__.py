"""Public data sets from the videos and the publishers' own lists that you have.

Nothing is downloaded: each set has its own terms. What a list says is read by kind: classes of
whole videos (``actions``), actions in time (``intervals``), both (``activities``), sentences
(``captions``, ``web``), sentences in time (``narrated``, ``howto100m``). One function joins any of
them with the disk (``joining``).
"""

from thesislib.data.public.actions import (
    prepare_hmdb51,
    prepare_kinetics400,
    prepare_kinetics700,
    prepare_ucf101,
)
from thesislib.data.public.activities import prepare_breakfast, prepare_coin
from thesislib.data.public.captions import (
    prepare_didemo,
    prepare_lsmdc,
    prepare_msrvtt,
    prepare_smit,
)
from thesislib.data.public.howto100m import prepare_htm_370k
from thesislib.data.public.intervals import prepare_activitynet, prepare_thumos14
from thesislib.data.public.joining import Listed, prepare_listed
from thesislib.data.public.narrated import prepare_htm_aa, prepare_htm_align, prepare_youcook2
from thesislib.data.public.web import prepare_cc3m, prepare_webvid

__all__ = [
    "Listed",
    "prepare_activitynet",
    "prepare_breakfast",
    "prepare_cc3m",
    "prepare_coin",
    "prepare_didemo",
    "prepare_hmdb51",
    "prepare_htm_370k",
    "prepare_htm_aa",
    "prepare_htm_align",
    "prepare_kinetics400",
    "prepare_kinetics700",
    "prepare_listed",
    "prepare_lsmdc",
    "prepare_msrvtt",
    "prepare_smit",
    "prepare_thumos14",
    "prepare_ucf101",
    "prepare_webvid",
    "prepare_youcook2",
]
