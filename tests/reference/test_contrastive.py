"""The alignment loss equals its references, and holds at its edges."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from okrcell.alignment.contrastive import info_nce, masked_partners, one_partner, shared_partners
from okrcell.alignment.objective import Guess, ObjectiveSettings, objective


def unit(rows, dim=8, seed=0):
    vectors = torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed))
    return functional.normalize(vectors, dim=-1)


def in_float64(queries, keys, targets, temperature, weights):
    """The definition, written out; targets of NaN are neither match nor negative."""
    logits = queries.double().numpy() @ keys.double().numpy().T / temperature
    total = weight = 0.0
    for row, target, trust in zip(logits, targets.numpy(), weights.tolist(), strict=True):
        counted = ~np.isnan(target)
        log_sum = np.log(np.exp(row[counted] - row[counted].max()).sum()) + row[counted].max()
        total += trust * float((target[counted] * (log_sum - row[counted])).sum())
        weight += trust
    return total / weight


def test_with_one_partner_and_full_trust_it_is_cross_entropy():
    queries, keys = unit(9), unit(9, seed=1)
    logits = queries @ keys.T / 0.07
    expected = functional.cross_entropy(logits, torch.arange(9))
    for weights in (None, torch.ones(9)):
        torch.testing.assert_close(info_nce(queries, keys, one_partner(9), 0.07, weights), expected)


KINDS = torch.tensor([0, 1, 0, 2, 1, 0, 3])


@pytest.mark.parametrize("targets", [one_partner(7), masked_partners(KINDS), shared_partners(KINDS)])
def test_it_equals_its_definition_in_float64(targets):
    queries, keys = unit(7), unit(7, seed=1)
    weights = torch.tensor([1.0, 0.2, 0.0, 0.7, 1.0, 0.5, 1.0])
    seen = float(info_nce(queries, keys, targets, 0.05, weights))
    assert seen == pytest.approx(in_float64(queries, keys, targets, 0.05, weights), rel=1e-5)


def test_partners_are_who_they_should_be():
    kinds = torch.tensor([4, 9, 4])
    assert shared_partners(kinds).tolist() == [[0.5, 0, 0.5], [0, 1, 0], [0.5, 0, 0.5]]
    np.testing.assert_array_equal(masked_partners(kinds), [[1, 0, np.nan], [0, 1, 0], [np.nan, 0, 1]])
    assert one_partner(2).tolist() == [[1, 0], [0, 1]]


def test_an_untrusted_query_pulls_nothing():
    queries, keys = unit(5).requires_grad_(), unit(5, seed=1)
    info_nce(queries, keys, one_partner(5), 0.05, torch.tensor([1.0, 1, 0, 1, 1])).backward()
    assert not queries.grad[2].any()
    assert queries.grad[[0, 1, 3, 4]].any(dim=1).all()


def test_without_any_trust_there_is_no_loss():
    queries = unit(3).requires_grad_()
    loss = info_nce(queries, unit(3, seed=1), one_partner(3), 0.05, torch.zeros(3))
    loss.backward()
    assert loss.item() == 0
    assert not queries.grad.any()


def test_others_of_the_cell_type_do_not_repel_when_they_are_masked():
    keys = unit(4, seed=1).requires_grad_()
    kinds = torch.tensor([0, 0, 1, 2])
    # Only the first query speaks: the second key is of its kind, the last two are not.
    info_nce(unit(4), keys, masked_partners(kinds), 0.05, torch.tensor([1.0, 0, 0, 0])).backward()
    assert not keys.grad[1].any()
    assert keys.grad[[0, 2, 3]].any(dim=1).all()


def test_sharing_pulls_towards_every_text_of_the_cell_type():
    queries = unit(4).requires_grad_()
    keys, kinds = unit(4, seed=1), torch.tensor([0, 0, 1, 2])
    info_nce(queries, keys, shared_partners(kinds), 1.0, torch.tensor([1.0, 0, 0, 0])).backward()
    share = (queries[0] @ keys.T).softmax(0).detach()
    expected = ((share - torch.tensor([0.5, 0.5, 0, 0]))[:, None] * keys).sum(0)
    torch.testing.assert_close(queries.grad[0], expected)


def nothing_hidden(cells):
    blank = torch.zeros(cells, 1)
    return Guess(blank, blank, blank.long(), blank.bool(), 51)


def parts(cells, texts, kinds, trust, **chosen):
    guess = nothing_hidden(len(cells))
    return objective(cells, texts, kinds, trust, torch.tensor(0.05), guess, ObjectiveSettings(**chosen))


@pytest.mark.parametrize("partners", ["own", "masked", "shared"])
def test_the_order_of_the_batch_says_nothing(partners):
    cells, texts, trust = unit(7), unit(7, seed=1), torch.tensor([1.0, 1, 0, 1, 1, 0, 1])
    order = torch.randperm(7, generator=torch.Generator().manual_seed(2))
    one = parts(cells, texts, KINDS, trust, partners=partners)
    other = parts(cells[order], texts[order], KINDS[order], trust[order], partners=partners)
    for first, second in zip(one, other, strict=True):
        torch.testing.assert_close(first, second)


@pytest.mark.parametrize("partners", ["own", "masked", "shared"])
def test_swapping_cells_and_texts_swaps_the_two_directions(partners):
    cells, texts, trust = unit(7), unit(7, seed=1), torch.ones(7)
    one = parts(cells, texts, KINDS, trust, partners=partners)
    other = parts(texts, cells, KINDS, trust, partners=partners)
    torch.testing.assert_close(one.cell_to_text, other.text_to_cell)
    torch.testing.assert_close(one.total, other.total)


@pytest.mark.parametrize("partners", ["own", "masked", "shared"])
def test_an_untrusted_pair_has_no_say_neither_as_query_nor_as_key(partners):
    cells, texts = unit(7).requires_grad_(), unit(7, seed=1).requires_grad_()
    trust = torch.tensor([1.0, 1, 1, 1, 0, 1, 1])
    loss = parts(cells, texts, KINDS, trust, partners=partners).total
    loss.backward()
    assert not cells.grad[4].any()
    assert not texts.grad[4].any()
    rest = [0, 1, 2, 3, 5, 6]
    without = parts(cells[rest], texts[rest], KINDS[rest], trust[rest], partners=partners).total
    torch.testing.assert_close(loss, without)


def test_a_batch_without_trust_and_a_run_without_alignment_have_no_alignment_loss():
    cells = unit(3).requires_grad_()
    for trust, alignment in ((torch.zeros(3), "info_nce"), (torch.ones(3), "none")):
        loss = parts(cells, unit(3, seed=1), torch.tensor([0, 1, 2]), trust, alignment=alignment)
        loss.total.backward()
        assert [part.item() for part in loss] == [0.0] * 5


def test_the_total_is_the_weighted_sum_of_its_parts():
    cells, texts = unit(4), unit(4, seed=1)
    guess = Guess(torch.rand(4, 6), torch.rand(4, 6), torch.randint(1, 51, (4, 6)), torch.rand(4, 6) < 0.5, 51)
    chosen = ObjectiveSettings(gene_weight=2, cell_weight=0.5, alignment_weight=3)
    loss = objective(cells, texts, torch.arange(4), torch.ones(4), torch.tensor(0.05), guess, chosen)
    expected = 2 * loss.gene + 0.5 * loss.cell + 3 * (loss.cell_to_text + loss.text_to_cell)
    torch.testing.assert_close(loss.total, expected)
    assert min(float(part) for part in loss) > 0


@given(
    st.integers(1, 6),
    st.sampled_from(["own", "masked", "shared"]),
    st.sampled_from([torch.float32, torch.bfloat16]),
    st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=12, max_size=12),
    st.lists(st.integers(0, 2), min_size=6, max_size=6),
)
@settings(max_examples=100, deadline=None)
def test_gradients_are_finite_at_any_similarity_also_of_a_single_pair(pairs, partners, dtype, signs, kinds):
    # Vectors along one axis: all similarities are +1 or -1 (or 0), as hard as it gets; heat is at its floor.
    axis = torch.zeros(2 * pairs, 3, dtype=dtype)
    axis[:, 0] = torch.tensor(signs[: 2 * pairs])
    cells, texts = axis[:pairs].clone().requires_grad_(), axis[pairs:].clone().requires_grad_()
    temperature = torch.tensor(0.01, requires_grad=True)
    loss = objective(
        cells,
        texts,
        torch.tensor(kinds[:pairs]),
        torch.ones(pairs),
        temperature,
        nothing_hidden(pairs),
        ObjectiveSettings(partners=partners),
    )
    loss.total.backward()
    assert bool(loss.total.isfinite())
    for gradient in (cells.grad, texts.grad, temperature.grad):
        assert bool(gradient.isfinite().all())
