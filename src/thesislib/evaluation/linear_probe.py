"""Linear probe: how well a linear classifier reads frozen features (thesis 3.4, 3.5.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from thesislib.errors import ThesisError
from thesislib.evaluation.features import Features, accuracy


def linear_probe(train: Features, test: Features, c: float = 1.0) -> dict[str, Any]:
    """Logistic regression on standardised features.

    Args:
        train: Labelled features the classifier is fitted on.
        test: Labelled features it is scored on.
        c: Inverse strength of the L2 penalty.

    Returns:
        ``probe_top1`` in ``[0, 1]``, ``hits`` (one character a test video), ``evaluated`` and
        ``skipped`` (test videos), ``probabilities`` (:class:`Features`, ``(V, classes)``).

    Raises:
        ThesisError: Fewer than two classes, or features that do not fit one another.
    """
    probabilities = read(LogisticRegression(C=c, max_iter=2000), train, test)
    scores = accuracy(probabilities)
    return {"probe_top1": scores.pop("top1"), **scores, "probabilities": probabilities}


def read(classifier: Any, train: Features, test: Features) -> Features:
    """Class probabilities of ``test`` by a scikit-learn classifier fitted on ``train``.

    Features are standardised by the mean and deviation of ``train``. A class without a training
    video gets probability 0.
    """
    if len(set(train.labels.tolist())) < 2:
        raise ThesisError("A probe needs videos of at least two classes: label the data.")
    for name, part in (("training", train), ("test", test)):
        if part.values.ndim != 2 or part.values.shape[1:] != train.values.shape[1:]:
            raise ThesisError(
                f"The {name} features have the shape {part.values.shape} and the training features "
                f"{train.values.shape}: extract both with the same model."
            )
        if not np.isfinite(part.values).all():
            raise ThesisError(f"The {name} features are not all finite: the encoder has diverged.")
        if part.labels.min(initial=0) < 0:
            raise ThesisError(
                f"{(part.labels < 0).sum()} {name} videos have no label: leave them out or label "
                "them."
            )
    probe = make_pipeline(StandardScaler(), classifier).fit(train.values, train.labels)
    classes = 1 + int(max(train.labels.max(), test.labels.max(initial=0)))
    values = np.zeros((len(test.values), classes), np.float32)
    values[:, probe.classes_] = probe.predict_proba(test.values)
    return replace(test, values=values)
