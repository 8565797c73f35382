"""Diagrams of the methods: that they say what the code does, and that no words collide."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from torch import Tensor, nn

from thesislib import viz
from thesislib.chapters.coclr import cycles, roles
from thesislib.chapters.turbo.show import flow_picture
from thesislib.methods.blocks import block_shape, input_shape
from thesislib.methods.coclr import CoCLR
from thesislib.methods.coclr_config import CoCLRConfig
from thesislib.methods.coclr_pairs import CoCLRPairs
from thesislib.methods.dpc import DPC, DPCConfig
from thesislib.methods.memdpc import MemDPCConfig
from thesislib.methods.turbo_config import TurboConfig
from thesislib.viz.dataflow import weighed

SMALL = CoCLRConfig.preset("small")


def dpc(config: DPCConfig) -> viz.Picture:
    dim, _, *places = block_shape(config)
    return viz.dpc_flow(input_shape(config), (dim, *places), config.pred_step)


def memdpc(config: MemDPCConfig) -> viz.Picture:
    dim, _, *places = block_shape(config)
    return viz.two_futures(config.batch_size, config.memory_slots, (dim, *places))


def turbo(config: TurboConfig) -> viz.Picture:
    return flow_picture(config)


def turns(config: CoCLRConfig) -> viz.Picture:
    return viz.co_training(cycles.plan(config.cycles), config.queue, config.topk)


DIAGRAMS: dict[str, Callable[[], viz.Picture]] = {
    "dpc, small": lambda: dpc(DPCConfig.preset("small")),
    "dpc, paper": lambda: dpc(DPCConfig.preset("paper").override({"pred_step": 4})),
    "dpc, short": lambda: viz.dpc_flow((2, 4, 3, 5, 32, 32), (8, 1, 1), 1),
    "dpc, long": lambda: viz.dpc_flow((64, 10, 3, 5, 224, 224), (256, 7, 7), 5),
    "memdpc, small": lambda: memdpc(MemDPCConfig.preset("small")),
    "memdpc, paper": lambda: memdpc(MemDPCConfig.preset("paper")),
    "roles, small": lambda: viz.queue_roles(*roles.queue_roles(SMALL)),
    "roles, paper": lambda: viz.queue_roles(*roles.queue_roles(CoCLRConfig.preset("paper"))),
    "turbo, small": lambda: turbo(TurboConfig.preset("small")),
    "turbo, paper": lambda: turbo(TurboConfig.preset("paper")),
    "turns, small": lambda: turns(SMALL),
    "turns, one cycle": lambda: turns(replace(SMALL, cycles=1, queue=16384)),
    "turns, three cycles": lambda: turns(replace(SMALL, cycles=3, topk=50)),
}


def texts(picture: viz.Picture) -> list[str]:
    return [text.get_text() for text in picture.axes[0].texts if text.get_text()]


@pytest.mark.parametrize("name", DIAGRAMS)
def test_a_diagram_is_a_small_wide_picture_with_words(name: str) -> None:
    picture = DIAGRAMS[name]()
    data = picture.png()
    image = Image.open(io.BytesIO(data))
    assert len(data) <= viz.style.MAX_BYTES and image.width == 720
    assert np.asarray(image.convert("RGB"))[0, 0].tolist() == [255, 255, 255]
    assert len(picture.alt) > 60
    assert data == DIAGRAMS[name]().png()


@pytest.mark.parametrize("name", DIAGRAMS)
def test_words_are_large_enough_and_neither_cut_nor_on_top_of_each_other(name: str) -> None:
    picture = DIAGRAMS[name]()
    renderer = FigureCanvasAgg(picture).get_renderer()
    boxes = {}
    for i, text in enumerate(picture.axes[0].texts):
        if text.get_text():
            assert text.get_fontsize() >= 10
            boxes[i, text.get_text()] = text.get_window_extent(renderer)
    whole = picture.bbox
    for key, box in boxes.items():
        assert whole.x0 <= box.x0 and box.x1 <= whole.x1, key
        assert whole.y0 <= box.y0 and box.y1 <= whole.y1, key
    for (a, one), (b, other) in itertools.combinations(boxes.items(), 2):
        assert not one.overlaps(other), (a, b)


# -- DPC -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pred_step", [1, 3, 4])
def test_the_flow_of_dpc_follows_the_settings(pred_step: int) -> None:
    config = DPCConfig.preset("small").override({"pred_step": pred_step})
    blocks, seen = config.num_seq, config.num_seq - pred_step
    said = texts(dpc(config))
    for n in range(1, blocks + 1):
        assert (f"$x_{{{n}}}$" in said) and (f"$z_{{{n}}}$" in said)
        assert (rf"$\hat z_{{{n}}}$" in said) == (n > seen)
        assert (f"$c_{{{n}}}$" in said) == (seen <= n < blocks)
    # The last guess goes nowhere: it is of no use to g.
    assert said.count("$g$") == blocks - 1
    assert said.count("$f$") == blocks and said.count(r"$\phi$") == pred_step


def test_the_shapes_of_dpc_are_those_of_the_tensors() -> None:
    config = DPCConfig.preset("small").override({"batch_size": 2, "width": 4, "size": 64})
    video = torch.zeros(input_shape(config))
    model = DPC(config)
    z = model.features(video)
    guess, context = model.predict(z[:, : -config.pred_step])
    said = texts(dpc(config))
    for name, tensor in (("video", video), ("features", z), ("guesses", guess),
                         ("context", context)):  # fmt: skip
        (words,) = [text for text in said if text.startswith(f"{name}\n")]
        assert words.endswith(f"\n{tuple(tensor.shape)}")


# -- MemDPC --------------------------------------------------------------------------------


def test_what_a_belief_is_worth_against_loops() -> None:
    rng = np.random.default_rng(0)
    memory, address = rng.normal(size=(4, 3)), np.array([0.4, 0.1, 0.3, 0.2])
    found = weighed(memory, address, (2, 0))
    predicted = [sum(address[s] * memory[s, d] for s in range(4)) for d in range(3)]
    assert found.predicted == pytest.approx(predicted)
    total = 0.0
    for place, future in enumerate((2, 0)):
        score = [sum(predicted[d] * memory[s, d] for d in range(3)) for s in (future, 1, 3)]
        assert found.scores[place] == pytest.approx(score[0])
        target = torch.tensor([0])
        total += torch.nn.functional.cross_entropy(torch.tensor([score]), target).item() / 2
    assert found.loss == pytest.approx(total)


def test_belief_in_both_futures_beats_a_bet_whichever_comes() -> None:
    picture = memdpc(MemDPCConfig.preset("small"))
    said = texts(picture)
    scores = [float(text) for text in said if text.count(".") == 1 and len(text) == 3]
    both_a, both_b, bet_a, bet_b = scores
    assert both_a == both_b and bet_b < both_b < bet_a
    belief, bet = [float(t.get_text()) for t in picture.axes[0].texts if t.get_fontsize() == 14]
    assert belief < bet
    assert f"mean loss {belief:.2f}" in picture.alt and f"mean loss {bet:.2f}" in picture.alt
    # The bars of an address are probabilities: five of each, to two digits.
    bars = [float(text) for text in said if len(text) == 4 and text[1] == "."]
    bars = [bar for bar in bars if bar not in (belief, bet)]
    assert sum(bars[:5]) == pytest.approx(1, abs=0.03) and sum(bars[5:]) == pytest.approx(
        1, abs=0.03
    )


# -- CoCLR ---------------------------------------------------------------------------------


class Fixed(nn.Module):
    """Stands in for a network: the same features for whatever comes."""

    def __init__(self, *features: Tensor) -> None:
        super().__init__()
        self.found = features

    def forward(self, *_: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.found if len(self.found) > 1 else self.found[0]


def unit(place: int) -> Tensor:
    return torch.eye(8)[place : place + 1]


def trained(objective: str, older_self: bool) -> list[int]:
    """Roles in the example by a step of the method itself: its gradient along the RGB query.

    All queries stand at right angles to all keys, so that all similarities are equal.
    """
    tiny = {"queue": 10, "batch_size": 2, "bn_splits": 1, "dim": 8, "topk": 3, "width": 0.125}
    config = SMALL.override({**tiny, "objective": objective, "older_self": older_self})
    near = roles.ALIKE[0][:, None]
    flow = near * unit(1) + (1 - near**2).sqrt() * unit(2)  # (Q, D), as alike to the key, unit 1
    features = torch.stack([unit(3).expand(10, 8), flow])
    query, keys = unit(0), {"rgb": unit(3).requires_grad_(), "flow": unit(1).requires_grad_()}
    model = CoCLRPairs(config) if objective == "cmc" else CoCLR(config)
    if isinstance(model, CoCLRPairs):
        pairs = {"rgb": Fixed(query, keys["rgb"]), "flow": Fixed(unit(4), keys["flow"])}
        model.pairs = nn.ModuleDict(pairs)
    else:
        model.pair = Fixed(query, keys["rgb"])
        model.sampler = Fixed(keys["flow"]) if objective == "coclr" else None
        features = features if objective == "coclr" else features[:1]
    queue = model.queue
    queue.features, queue.source = features.clone().requires_grad_(), roles.VIDEOS.clone()
    queue.label = roles.ACTIONS.clone()
    clip = torch.zeros(1, 2, 1, 3, 1, 1, 1)
    batch = {"video": clip, "flow": clip, "index": roles.VIDEO, "label": roles.ACTION}
    loss, _ = model.training_step(batch | {"source": roles.VIDEO})
    loss.backward()
    stream = "flow" if objective == "cmc" else "rgb"  # whose keys the RGB query is held against
    pulls = torch.cat([keys[stream].grad, queue.features.grad[int(stream == "flow")]])
    return [int(sign) for sign in -(pulls @ query[0]).sign()]


@pytest.mark.parametrize("older_self", [True, False])
@pytest.mark.parametrize(
    ("objective", "name"),
    [("infonce", "InfoNCE"), ("ubernce", "UberNCE"), ("coclr", "CoCLR"),
     ("cmc", "CMC\nflow keys")],
)  # fmt: skip
def test_the_queue_is_coloured_as_the_method_trains(
    objective: str, name: str, older_self: bool
) -> None:
    drawn = roles.queue_roles(replace(SMALL, older_self=older_self)).roles
    assert drawn[name] == trained(objective, older_self)


def test_the_example_shows_what_the_text_says_of_it() -> None:
    example = roles.queue_roles(SMALL)
    right = [action == example.actions[0] for action in example.actions]
    coclr = [role == 1 for role in example.roles["CoCLR"]]
    assert [role == 1 for role in example.roles["UberNCE"]] == right
    assert sum(c and not r for c, r in zip(coclr, right, strict=True)) == 1
    assert sum(r and not c for c, r in zip(coclr, right, strict=True)) == 1
    (own,) = [i for i, older in enumerate(example.older) if older]
    assert coclr[1 + own] and sum(coclr) == 1 + 1 + 3  # the older key uses up none of the three
    assert example.roles["InfoNCE"][1 + own] == 0


def test_the_squares_carry_signs_and_not_colour_alone() -> None:
    example = roles.queue_roles(SMALL)
    said = texts(viz.queue_roles(*example))
    every = list(itertools.chain(*example.roles.values()))
    assert said.count("+") == every.count(1) + 1  # one more in the legend
    assert said.count("−") == every.count(-1) + 1
    assert "CoCLR: 5 positive, 6 negative, 0 left out" in viz.queue_roles(*example).alt


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_turns_are_those_of_the_plan(count: int) -> None:
    plan = cycles.plan(count)
    picture = turns(replace(SMALL, cycles=count))
    said = texts(picture)
    assert said.count("learns") == len(plan) == 2 + 2 * count
    labels = [text for text in said if text.startswith(("cycle ", "InfoNCE"))]
    assert labels == ["InfoNCE", *(f"cycle {i + 1}" for i in range(count))]
    assert f"Q = {SMALL.queue}" in " ".join(said) and f"K = {SMALL.topk}\nnearest" in said
    order = [f"{'RGB' if t.stream == 'rgb' else 'flow'} (cycle {t.cycle})" for t in plan[2:]]
    assert f"{', '.join(order)}." in picture.alt
