"""Losses against naive loops written from the thesis's equations."""

from __future__ import annotations

import math

import pytest
import torch

from thesislib.losses import (
    candidates,
    contrastive_accuracy,
    cosine_logits,
    count_pairs,
    dense_nce,
    dense_scores,
    info_nce,
    leave_out,
    multi_instance_nce,
    nearest_entries,
    pair_kinds,
    pair_nce,
    queue_logits,
    queue_measures,
    same,
    similarity,
    top1,
    uber_nce,
    with_own_key,
    without_own_key,
)

B, P, D, H, W = 3, 2, 5, 2, 3


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(B, P, D, H, W, generator=generator) for _ in range(2))


def places() -> list[tuple[int, int, int, int]]:
    return [(b, p, i, j) for b in range(B) for p in range(P) for i in range(H) for j in range(W)]


def test_loss_is_equation_2_5(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    prediction, target = pair
    total = 0.0
    for b, p, i, j in places():
        scores = {
            q: sum(float(prediction[b, p, d, i, j] * target[q[0], q[1], d, q[2], q[3]])
                   for d in range(D))
            for q in places()
        }  # fmt: skip
        normaliser = sum(math.exp(s) for s in scores.values())
        total -= math.log(math.exp(scores[(b, p, i, j)]) / normaliser)
    loss, matrix = dense_nce(prediction, target)
    assert float(loss) == pytest.approx(total / len(places()), abs=1e-5)
    assert matrix.shape == (B * P * H * W, B * P * H * W)


def test_gradient_reaches_both_sides(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    prediction, target = (x.requires_grad_() for x in pair)
    dense_nce(prediction, target)[0].backward()
    assert prediction.grad is not None and target.grad is not None
    assert float(target.grad.abs().sum()) > 0


def test_kinds_by_definition() -> None:
    kinds = pair_kinds(B, P, H, W)
    for row, (b, p, i, j) in enumerate(places()):
        for column, (b2, p2, i2, j2) in enumerate(places()):
            if b != b2:
                expected = 0
            elif (i, j) != (i2, j2):
                expected = -3
            else:
                expected = 1 if p == p2 else -1
            assert kinds[row, column] == expected


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (64, 3, 4, 4), (5, 4, 7, 7), (3, 1, 1, 1)])
def test_ratio_of_negatives(shape: tuple[int, int, int, int]) -> None:
    """1 : (q-1) : (H'W'-1)q : (B-1)H'W'q, thesis 2.3.2."""
    batch, steps, height, width = shape
    expected = count_pairs(*shape)
    assert list(expected.values()) == [
        1,
        steps - 1,
        (height * width - 1) * steps,
        (batch - 1) * height * width * steps,
    ]
    if batch * steps * height * width > 1000:
        return
    kinds = pair_kinds(*shape)
    for name, code in {"positive": 1, "temporal": -1, "spatial": -3, "easy": 0}.items():
        assert set((kinds == code).sum(1).tolist()) == {expected[name]}


def test_accuracy_by_counting(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    scores, kinds = dense_scores(*pair), pair_kinds(B, P, H, W)
    names = {"top1": None, "top1_temporal": -1, "top1_spatial": -3, "top1_easy": 0}
    found = contrastive_accuracy(scores, kinds)
    for name, code in names.items():
        wins = 0
        for row in range(len(scores)):
            rivals = [
                float(scores[row, c])
                for c in range(len(scores))
                if c != row and (code is None or kinds[row, c] == code)
            ]
            wins += all(float(scores[row, row]) > r for r in rivals)
        assert float(found[name]) == pytest.approx(wins / len(scores))
    for k in (3, 5):
        wins = 0
        for row in range(len(scores)):
            order = sorted(range(len(scores)), key=lambda c: -float(scores[row, c]))
            wins += row in order[:k]
        assert float(found[f"top{k}"]) == pytest.approx(wins / len(scores))


def test_a_constant_network_scores_nothing() -> None:
    """Equal scores are ties, and a tie is no success."""
    same = torch.ones(B, P, D, H, W)
    found = contrastive_accuracy(dense_scores(same, same), pair_kinds(B, P, H, W))
    assert float(found["top1"]) == 0.0 and float(found["top1_temporal"]) == 0.0


def test_kinds_that_do_not_occur_are_left_out() -> None:
    found = contrastive_accuracy(torch.eye(3), pair_kinds(3, 1, 1, 1))
    assert not found.keys() & {"top1_temporal", "top1_spatial"}
    assert float(found["top1_easy"]) == 1.0


def test_top1_counts_rows_whose_largest_logit_is_the_right_one() -> None:
    logits = torch.randn(20, 4, generator=torch.Generator().manual_seed(3))
    right = torch.arange(20) % 4
    hits = 0
    for row, own in zip(logits.tolist(), right.tolist(), strict=True):
        hits += row.index(max(row)) == own
    assert 0 < hits < 20
    assert float(top1(logits, right)) == pytest.approx(hits / 20)
    assert float(top1(torch.zeros(2, 3), torch.tensor([0, 1]))) == 0.5  # of equal ones the first


# ---- chapter 4: a query, its key, a queue ----------------------------------------------------

Q, K, TAU = 4, 9, 0.07


def unit(*shape: int, seed: int) -> torch.Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(x, dim=1)


@pytest.fixture
def logits() -> torch.Tensor:
    return queue_logits(unit(Q, D, seed=1), unit(Q, D, seed=2), unit(K, D, seed=3), TAU)


@pytest.fixture
def positives() -> torch.Tensor:
    """Rows with one positive, several, all, and one that is not the own key."""
    mask = torch.zeros(Q, 1 + K, dtype=torch.bool)
    mask[0, 0] = True
    mask[1, [0, 3, 7]] = True
    mask[2] = True
    mask[3, 5] = True
    return mask


def test_logits_by_hand(logits: torch.Tensor) -> None:
    query, key, queue = unit(Q, D, seed=1), unit(Q, D, seed=2), unit(K, D, seed=3)
    assert logits.shape == (Q, 1 + K)
    for i in range(Q):
        for j in range(1 + K):
            other = key[i] if j == 0 else queue[j - 1]
            dot = sum(float(query[i, d] * other[d]) for d in range(D))
            assert float(logits[i, j]) == pytest.approx(dot / TAU, abs=1e-5)


def test_info_nce_is_equation_4_1(logits: torch.Tensor) -> None:
    losses = []
    for row in logits.double().tolist():
        positive, negatives = math.exp(row[0]), sum(math.exp(x) for x in row[1:])
        losses.append(-math.log(positive / (positive + negatives)))
    assert float(info_nce(logits)) == pytest.approx(sum(losses) / Q, abs=1e-5)


def test_multi_instance_nce_is_equations_4_2_and_4_4(
    logits: torch.Tensor, positives: torch.Tensor
) -> None:
    losses = []
    for row, mask in zip(logits.double().tolist(), positives.tolist(), strict=True):
        right = sum(math.exp(x) for x, m in zip(row, mask, strict=True) if m)
        wrong = sum(math.exp(x) for x, m in zip(row, mask, strict=True) if not m)
        losses.append(-math.log(right / (right + wrong)))
    assert losses[2] == 0, "where all are positives nothing is left to lose"
    assert float(multi_instance_nce(logits, positives)) == pytest.approx(sum(losses) / Q, abs=1e-5)


def test_uber_nce_has_the_logarithm_inside_the_mean(
    logits: torch.Tensor, positives: torch.Tensor
) -> None:
    losses = []
    for row, mask in zip(logits.double().tolist(), positives.tolist(), strict=True):
        whole = sum(math.exp(x) for x in row)
        each = [-math.log(math.exp(x) / whole) for x, m in zip(row, mask, strict=True) if m]
        losses.append(sum(each) / len(each))
    assert float(uber_nce(logits, positives)) == pytest.approx(sum(losses) / Q, abs=1e-5)
    assert float(uber_nce(logits, positives)) > float(multi_instance_nce(logits, positives))


def test_with_the_own_key_alone_all_three_are_one(logits: torch.Tensor) -> None:
    own = with_own_key(torch.zeros(Q, K, dtype=torch.bool))
    assert own.sum() == Q and own[:, 0].all()
    for loss in (uber_nce(logits, own), multi_instance_nce(logits, own)):
        assert float(loss) == pytest.approx(float(info_nce(logits)), abs=1e-5)


@pytest.mark.parametrize("k", [1, 3, K, K + 5])
def test_nearest_entries_by_sorting(k: int) -> None:
    near = similarity(unit(Q, D, seed=4), unit(K, D, seed=5))
    apart = torch.zeros(Q, K, dtype=torch.bool)
    apart[0, near[0].argmax()] = True  # the nearest of the first is its own video
    apart[1, :-2] = True  # the second has but two others
    apart[2] = True  # the third has none
    taken = nearest_entries(near, k, apart)
    for i in range(Q):
        free = [j for j in range(K) if not apart[i, j]]
        expected = sorted(free, key=lambda j: -float(near[i, j]))[:k]
        assert taken[i].nonzero().flatten().tolist() == sorted(expected)
    assert taken[0].sum() == min(k, K - 1), "those of the own video do not use k up"


def test_unknown_agrees_with_nothing() -> None:
    found = same(torch.tensor([2, -1, 0]), torch.tensor([-1, 2, 0, 2]))
    assert found.tolist() == [
        [False, True, False, True],
        [False, False, False, False],
        [False, False, True, False],
    ]


def test_the_own_key_goes_only_where_another_positive_stays(positives: torch.Tensor) -> None:
    left = without_own_key(positives)
    for before, after in zip(positives.tolist(), left.tolist(), strict=True):
        assert after == ([False, *before[1:]] if any(before[1:]) else [True, *before[1:]])
    assert left.any(1).all(), "no row without a positive"


def test_entries_left_out_are_neither_positive_nor_negative(logits: torch.Tensor) -> None:
    entries = torch.zeros(Q, K, dtype=torch.bool)
    entries[0, [0, 4]] = entries[2, 8] = True
    logits = logits.clone().requires_grad_()
    loss = info_nce(leave_out(logits, entries))
    losses = []
    for i, row in enumerate(logits.tolist()):
        kept = [row[0], *(x for j, x in enumerate(row[1:]) if not entries[i, j])]
        losses.append(-math.log(math.exp(row[0]) / sum(map(math.exp, kept))))
    assert float(loss.detach()) == pytest.approx(sum(losses) / Q, abs=1e-5)
    loss.backward()
    assert (logits.grad[:, 1:][entries] == 0).all() and logits.grad.isfinite().all()


def test_queue_measures_by_counting(logits: torch.Tensor, positives: torch.Tensor) -> None:
    label, labels = torch.tensor([0, 1, 2, -1]), torch.tensor([0, 1, 2, -1, 0, 1, 2, 0, 1])
    out = torch.zeros(Q, K, dtype=torch.bool)
    out[0, 2] = True
    mask, found = positives.clone(), positives[:, 1:].clone()
    mask[3, 1] = True  # an older key of its own video, which no sampler found
    found[1, 3] = True  # found with an unknown class
    logs = queue_measures(leave_out(logits, out), mask, found, label, labels)
    wins, right, known, counts, rivals = [], 0, 0, [], []
    for i in range(Q):
        kept = [j for j in range(1 + K) if j == 0 or not out[i, j - 1]]
        best = max(kept, key=lambda j: float(logits[i, j]))
        wins.append(bool(mask[i, best]))
        counts.append(sum(bool(mask[i, j]) for j in range(1 + K)))
        rivals.append(sum(not mask[i, j] for j in kept))
        for j in range(K):
            if found[i, j] and label[i] >= 0 and labels[j] >= 0:
                known += 1
                right += int(label[i] == labels[j])
    assert 0 < right < known
    assert float(logs["top1"]) == pytest.approx(sum(wins) / Q)
    assert float(logs["positives"]) == pytest.approx(sum(counts) / Q)
    assert float(logs["negatives"]) == pytest.approx(sum(rivals) / Q)
    assert float(logs["precision"]) == pytest.approx(right / known)


def test_precision_is_unknown_without_labels(logits: torch.Tensor, positives: torch.Tensor) -> None:
    none, found = torch.full((K,), -1), positives[:, 1:]
    for label in (torch.full((Q,), -1), torch.zeros(Q, dtype=torch.long)):
        assert "precision" not in queue_measures(logits, positives, found, label, none)
    nothing = queue_measures(logits, positives, torch.zeros_like(found), label, none + 1)
    assert "precision" not in nothing


def test_a_network_that_has_diverged_has_no_accuracy() -> None:
    """No comparison with nan holds, so nothing would beat its answers."""
    odd = torch.eye(3)
    odd[1, 2] = torch.nan
    for found in contrastive_accuracy(odd, pair_kinds(3, 1, 1, 1)).values():
        assert found.isnan()
    assert top1(odd, torch.tensor([0, 0, 0])).isnan()
    mask = torch.eye(3, dtype=torch.bool)
    label = torch.zeros(3, dtype=torch.long)
    assert queue_measures(odd, mask, mask[:, 1:], label, label[1:])["top1"].isnan()


def test_cosines_stay_exact_where_a_run_computes_in_bfloat16() -> None:
    query, queue = unit(Q, D, seed=1), unit(K, D, seed=3)
    exact = query @ queue.T
    with torch.autocast("cpu", torch.bfloat16):
        assert (query @ queue.T).dtype == torch.bfloat16
        torch.testing.assert_close(similarity(query, queue), exact, atol=1e-6, rtol=0)
        assert queue_logits(query, query, queue, TAU).dtype == torch.float32


# -- videos and texts (chapter 5) ----------------------------------------------------------------


def test_cosine_logits_and_both_ways_are_loops() -> None:
    generator = torch.Generator().manual_seed(3)
    video, text = (torch.randn(4, 6, generator=generator) * s for s in (3.0, 0.2))
    cosine = [[float(v @ t / v.norm() / t.norm()) / 0.07 for t in text] for v in video]
    logits = cosine_logits(video, text, 0.07)
    assert logits.flatten().tolist() == pytest.approx([c for row in cosine for c in row], abs=1e-4)
    there = back = 0.0
    for i in range(4):
        there -= math.log(math.exp(cosine[i][i]) / sum(math.exp(cosine[i][j]) for j in range(4)))
        back -= math.log(math.exp(cosine[i][i]) / sum(math.exp(cosine[j][i]) for j in range(4)))
    assert there != pytest.approx(back, rel=1e-2)
    assert float(pair_nce(logits, both_ways=False)) == pytest.approx(there / 4, rel=1e-4)
    assert float(pair_nce(logits)) == pytest.approx((there + back) / 8, rel=1e-4)


@pytest.mark.parametrize(("most", "taken"), [(2, 3), (5, 5), (9, 9), (40, 9)])
def test_candidates_are_those_present_and_others_by_chance(most: int, taken: int) -> None:
    label = torch.tensor([7, 2, 7, 5])
    seen = set()
    for seed in range(40):
        torch.manual_seed(seed)
        chosen, place = candidates(label, 9, most)
        assert torch.equal(chosen[place], label)
        assert len(chosen) == len(set(chosen.tolist())) == taken
        assert set(chosen.tolist()) <= set(range(9))
        seen |= set(chosen.tolist())
    assert seen == (set(range(9)) if most > 3 else {2, 5, 7})
