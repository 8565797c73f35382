"""A line that parts points, and guessing."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from thesislib.chapters import run
from thesislib.chapters.row import Row
from thesislib.config import RunConfig
from thesislib.evaluation.scores import Scores, as_hits
from thesislib.train import Trained, train


@dataclass(frozen=True)
class CONFIG(RunConfig):
    @classmethod
    def preset(cls, profile):
        return cls("points", profile, epochs=5, batch_size=8, lr=0.05, num_workers=0)


class MODEL(nn.Linear):
    def read(self, x):
        return super().forward(x)[..., 0]

    def forward(self, batch):
        loss = binary_cross_entropy_with_logits(self.read(batch["x"]), batch["y"])
        return loss, {"loss": loss.detach()}


def points(count):
    x = torch.randn(count, 2, generator=torch.Generator().manual_seed(count))
    return [{"x": one, "y": (one.sum() > 0).float()} for one in x]


class Points(list):
    def __getitem__(self, key):
        return super().__getitem__(key[1])


def fit(job):
    config, data = run.settings(job), Points(points(64))
    build = partial(MODEL, 2, 1)
    return train("toy", build, lambda: (data, None), config, "points", log=job.log)


def right(job, trained):
    x, y = (torch.stack([one[name] for one in points(100)]) for name in ("x", "y"))
    found = trained.model.read(x) > 0 if trained.model else torch.ones(100)
    return Scores(
        {"toy_top1": float((found == y).float().mean())}, {"toy_top1": as_hits(found == y)}
    )


row = partial(Row, judges=(right,), fingerprint=lambda dataset: dataset)
ROWS = {
    "toy/line": row("a line", train=fit),
    "toy/guess": row("guessing", train=lambda job: Trained(None, None, {})),
}
