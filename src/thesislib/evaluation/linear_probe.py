"""Linear probe: how well a linear classifier reads frozen features."""

from __future__ import annotations

from typing import Any

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from thesislib.errors import ThesisError
from thesislib.evaluation.features import Features


def linear_probe(train: Features, test: Features, c: float = 1.0) -> dict[str, Any]:
    """Logistic regression on standardised features.

    Args:
        train: Labelled features the classifier is fitted on.
        test: Labelled features it is scored on.
        c: Inverse strength of the L2 penalty.

    Returns:
        ``probe_top1`` in ``[0, 1]``, ``hits`` (one character a test video), ``evaluated`` and
        ``skipped`` (test videos).

    Raises:
        ThesisError: Fewer than two classes.
    """
    if len(set(train.labels.tolist())) < 2:
        raise ThesisError("A linear probe needs videos of at least two classes: label the data.")
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=2000))
    probe.fit(train.values, train.labels)
    right = probe.predict(test.values) == test.labels
    return {
        "probe_top1": float(right.mean()),
        "hits": "".join("01"[int(r)] for r in right),
        "evaluated": len(right),
        "skipped": test.report["total"] - test.report["used"],
    }
