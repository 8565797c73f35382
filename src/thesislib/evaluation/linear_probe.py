"""Linear probe: how well a linear classifier reads frozen features (thesis 3.4, 3.5.4, 4.4.3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thesislib.errors import ThesisError
from thesislib.evaluation.scores import PerVideo, unit


def linear_probe(train: PerVideo, test: PerVideo, c: float = 1.0) -> PerVideo:
    """Logistic regression on standardised features.

    Args:
        train: Labelled features the classifier is fitted on.
        test: Features it reads.
        c: Inverse strength of the L2 penalty.

    Returns:
        Probabilities ``(V, classes)`` of the test videos.

    Raises:
        ThesisError: Fewer than two classes, or features that do not fit one another.
    """
    # Here and below scikit-learn loads where it is needed: it takes a second, as torch does, of
    # every process that trains and does not probe.
    from sklearn.linear_model import LogisticRegression

    return read(LogisticRegression(C=c, max_iter=2000), train, test)


def sgd_probe(
    train: PerVideo,
    test: PerVideo,
    *,
    epochs: int = 100,
    lr: float = 1.0,
    weight_decay: float = 1e-3,
    batch_size: int = 1024,
    milestones: tuple[int, ...] = (60, 80),
    seed: int = 0,
) -> PerVideo:
    """A linear layer trained by SGD on stored features, as the thesis's was released (4.4.3).

    L2 norm, batch norm, linear layer (weights N(0, 0.01), bias 0); momentum 0.9; the rate falls to
    a tenth at every milestone. The released script scored the test videos every five epochs and
    reported the best; here the last epoch counts, whatever the test videos say.

    Args:
        train: Labelled features the layer is trained on.
        test: Features it reads, once.
        epochs: Passes over ``train``.
        lr: Rate at the start.
        weight_decay: Of all parameters.
        batch_size: Videos a step; a smaller set is one batch.
        milestones: Epochs after which the rate falls.
        seed: Draws weights and order; the same seed gives the same numbers.

    Returns:
        Probabilities ``(V, classes)`` of the test videos.

    Raises:
        ThesisError: Fewer than two classes, features that do not fit one another, or settings out
            of range.
    """
    check(train, test)
    if epochs < 1 or batch_size < 2 or lr <= 0:
        raise ThesisError(
            f"epochs={epochs}, batch_size={batch_size} and lr={lr} cannot all be used: give at "
            "least 1 epoch, 2 videos a batch and a rate above 0."
        )
    x, seen = (unit(torch.from_numpy(part.values)) for part in (train, test))
    labels = torch.from_numpy(train.labels)
    with torch.random.fork_rng(devices=[]):  # the caller's own draws go on as if nothing happened
        torch.manual_seed(seed)
        linear = nn.Linear(x.shape[1], _classes(train, test))
        nn.init.normal_(linear.weight, std=0.01)
        nn.init.zeros_(linear.bias)
        probe = nn.Sequential(nn.BatchNorm1d(x.shape[1]), linear)
        optimiser = torch.optim.SGD(probe.parameters(), lr, momentum=0.9, weight_decay=weight_decay)
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, list(milestones))
        for _ in range(epochs):
            for rows in torch.randperm(len(x)).split(batch_size):
                if len(rows) > 1:  # a single video has no batch statistics
                    _step(probe, optimiser, x[rows], labels[rows])
            schedule.step()
    with torch.no_grad():
        values = probe.eval()(seen).softmax(1).numpy()
    return replace(test, values=values)


def _step(probe: nn.Module, optimiser: torch.optim.Optimizer, x: Tensor, labels: Tensor) -> None:
    optimiser.zero_grad()
    F.cross_entropy(probe(x), labels).backward()
    optimiser.step()


def read(classifier: Any, train: PerVideo, test: PerVideo) -> PerVideo:
    """Class probabilities of ``test`` by a scikit-learn classifier fitted on ``train``.

    Features are standardised by the mean and deviation of ``train``. A class without a training
    video gets probability 0.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    check(train, test)
    probe = make_pipeline(StandardScaler(), classifier).fit(train.values, train.labels)
    values = np.zeros((len(test.values), _classes(train, test)), np.float32)
    values[:, probe.classes_] = probe.predict_proba(test.values)
    return replace(test, values=values)


def check(train: PerVideo, test: PerVideo) -> None:
    """Refuses features that no probe can be fitted on or scored on, in one sentence."""
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


def _classes(train: PerVideo, test: PerVideo) -> int:
    return 1 + int(max(train.labels.max(), test.labels.max(initial=0)))
