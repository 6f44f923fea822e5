"""Batches of pairs are determined by the seed and the step."""

import numpy as np
import pytest
import torch

from okrcell.cells.genes import GeneTable
from okrcell.cells.tokenizer import BinTokenizer, ExpressionTokenizer, TokenizerSettings
from okrcell.data.dataloader import PairBatch, PairDataLoader, StreamSettings
from okrcell.data.dataset import PairDataset

ROWS = np.arange(20, 700)


@pytest.fixture(scope="module")
def pairs(corpus):
    return PairDataset.from_corpus(corpus)


@pytest.fixture
def stream(pairs, vocabulary):
    def made(rows=ROWS, limit=64, select="hashed", **settings):
        tokeniser = BinTokenizer(TokenizerSettings(limit=limit, select=select), vocabulary, GeneTable.bundled())
        return PairDataLoader(pairs, rows, tokeniser, StreamSettings(**{"batch_size": 32, **settings}))

    return made


def same(one: PairBatch, other: PairBatch) -> bool:
    tensors = [(batch.cells.gene, batch.cells.value, batch.masked, batch.text, batch.row) for batch in (one, other)]
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(*tensors, strict=True))


@pytest.mark.parametrize("balance", [0.0, 0.5])
def test_a_batch_is_the_same_whenever_it_is_asked_for(stream, balance):
    settings = {"balance": balance, "min_gene_fraction": 0.3}
    one, other = stream(**settings), stream(**settings)
    for step in (0, 3):
        one.batch(step)
    for step in (40, 7, 40):
        assert same(one.batch(step), other.batch(step))
    assert not same(one.batch(7), one.batch(8))
    assert not same(one.batch(7), stream(seed=1, **settings).batch(7))


def test_a_pass_sees_every_cell_once_in_an_order_of_its_own(stream):
    made = stream(batch_size=34)
    assert made.steps_per_epoch == 20
    passes = [torch.cat([made.batch(20 * number + step).row for step in range(20)]).tolist() for number in range(2)]
    assert [sorted(rows) for rows in passes] == [ROWS.tolist()] * 2
    assert passes[0] != passes[1]


def test_a_batch_may_span_two_passes_and_be_larger_than_the_corpus(stream):
    seen = np.concatenate([stream(rows=ROWS[:10], batch_size=7).batch(step).row for step in range(10)])
    assert np.unique(seen, return_counts=True)[1].tolist() == [7] * 10
    assert len(stream(rows=ROWS[:3], batch_size=8).batch(0).row) == 8


@pytest.mark.parametrize("balance", [0.0, 0.5])
def test_two_devices_share_what_one_would_see(stream, balance):
    whole = stream(batch_size=32, balance=balance)
    shared = stream(batch_size=16, balance=balance)
    for step in (0, 5):
        parts = [shared.batch(step, rank, 2) for rank in range(2)]
        both = torch.stack([part.row for part in parts], dim=1).flatten()
        assert torch.equal(both, whole.batch(step).row)
        assert not same(*parts)


def test_with_balance_rare_kinds_come_as_often_as_common_ones(stream, pairs):
    made = stream(balance=1.0, batch_size=512)
    rows = torch.cat([made.batch(step).row for step in range(20)]).numpy()
    kind = pairs.cell_type[pairs.description]
    study = pairs.corpus.obs["study"].cat.codes.to_numpy()
    groups = {(study[row], kind[row]) for row in ROWS.tolist()}
    share = [np.mean((study[rows] == one) & (kind[rows] == other)) for one, other in groups]
    assert np.ptp(share) < 0.3 / len(groups)


def test_without_balance_kinds_come_as_they_are(stream, pairs):
    made = stream(batch_size=512)
    rows = torch.cat([made.batch(step).row for step in range(20)]).numpy()
    kind = pairs.cell_type[pairs.description]
    for one in set(kind.tolist()):
        assert np.mean(kind[rows] == one) == pytest.approx(np.mean(kind[ROWS] == one), abs=0.02)


def test_only_genes_are_hidden_and_one_share_is_drawn_for_a_step(stream):
    made = stream(batch_size=64, limit=1200)
    shares = []
    for step in range(12):
        batch = made.batch(step)
        assert not (batch.masked & ~batch.cells.attention_mask).any()
        shares.append(float(batch.masked.sum() / batch.cells.attention_mask.sum()))
    assert {round(share * 4) for share in shares} == {1, 2, 3}
    assert max(abs(share * 4 - round(share * 4)) for share in shares) < 0.1
    assert not stream(mask=(0.0,)).batch(0).masked.any()


def test_no_more_genes_are_hidden_than_allowed(stream):
    free, bounded = stream(batch_size=64), stream(batch_size=64, max_masked_genes=5)
    for step in range(4):
        free_mask, bounded_mask = free.batch(step).masked, bounded.batch(step).masked
        assert bounded_mask.sum(dim=1).tolist() == free_mask.sum(dim=1).clamp(max=5).tolist()
        assert not (bounded_mask & ~free_mask).any()


def test_a_cell_without_type_or_genes_has_no_trust_and_all_others_have_it(pairs, vocabulary, stream):
    made = stream(rows=np.arange(700), batch_size=100)
    batches = list(made.validation_batches())
    rows = torch.cat([batch.row for batch in batches]).tolist()
    trust = dict(zip(rows, torch.cat([batch.weight for batch in batches]).tolist(), strict=True))
    assert sorted(row for row, value in trust.items() if value == 0) == [3, *range(690, 700)]
    assert set(trust.values()) == {0.0, 1.0}
    kinds = dict(zip(rows, torch.cat([batch.cell_type for batch in batches]).tolist(), strict=True))
    assert {kinds[row] for row in range(690, 700)} == {-1}
    assert pairs.has_text.sum() == 690


def test_a_text_is_one_of_the_phrasings_of_the_cells_own_description(stream, pairs):
    made = stream(batch_size=64)
    drawn = {}
    for step in range(40):
        batch = made.batch(step)
        for row, text in zip(batch.row[batch.weight > 0].tolist(), batch.text[batch.weight > 0].tolist(), strict=True):
            assert text in pairs.text_indices[pairs.description[row]]
            drawn.setdefault(int(pairs.description[row]), set()).add(text)
    assert max(len(texts) for texts in drawn.values()) > 1


def test_validation_goes_through_all_cells_in_order_and_makes_the_same_choices_again(stream):
    made = stream(batch_size=100)
    one, other = list(made.validation_batches()), list(made.validation_batches())
    assert torch.cat([batch.row for batch in one]).tolist() == ROWS.tolist()
    assert all(same(first, second) for first, second in zip(one, other, strict=True))


@pytest.mark.parametrize("balance", [0.0, 0.5])
def test_no_validation_cells_are_no_batches(stream, balance):
    assert list(stream(rows=ROWS[:0], balance=balance).validation_batches()) == []


def test_long_cells_are_sampled_anew_at_each_visit_unless_the_choice_is_by_height(stream):
    for select, anew in (("hashed", True), ("highest", False)):
        made = stream(rows=ROWS[:1], batch_size=1, limit=5, select=select)
        genes = {tuple(sorted(made.batch(step).cells.gene[0].tolist())) for step in range(6)}
        assert (len(genes) > 1) == anew


def test_half_of_the_cells_are_shown_as_if_fewer_genes_had_been_measured(stream):
    whole = stream(batch_size=300, limit=1200).batch(0)
    fewer = stream(batch_size=300, limit=1200, min_gene_fraction=0.1).batch(0)
    assert torch.equal(whole.row, fewer.row)
    before, after = whole.cells.attention_mask.sum(dim=1), fewer.cells.attention_mask.sum(dim=1)
    assert bool((after <= before).all())
    assert float((after == before).float().mean()) == pytest.approx(0.5, abs=0.1)
    thinned = after < before
    assert float((after[thinned] / before[thinned]).mean()) == pytest.approx(0.55, abs=0.08)


def test_a_dropped_gene_is_not_measured_and_one_without_counts_is(pairs, vocabulary):
    tokenizer = ExpressionTokenizer(TokenizerSettings(kind="expression"), vocabulary, GeneTable.bundled())
    settings = StreamSettings(batch_size=64, mask=(0,), min_gene_fraction=0.3)
    batch = PairDataLoader(pairs, ROWS, tokenizer, settings).batch(2)
    measured, gene = batch.cells.measured.numpy(), batch.cells.gene.numpy()
    study_genes = pairs.measured(batch.row.numpy())[:, vocabulary.rows(GeneTable.bundled())]
    fraction = (measured & study_genes).sum(axis=1) / study_genes.sum(axis=1)
    assert not (measured & ~study_genes).any()
    assert 0.3 < (fraction == 1).mean() < 0.7 and 0.2 < fraction.min() < 0.5
    full = pairs.expression(batch.row.numpy()).toarray()[:, vocabulary.rows(GeneTable.bundled())]
    for row in range(64):
        expressed = np.zeros(len(vocabulary), dtype=bool)
        expressed[gene[row][gene[row] > 0] - 1] = True
        np.testing.assert_array_equal(expressed, (full[row] > 0) & measured[row])
    assert (measured & (full == 0)).any()
