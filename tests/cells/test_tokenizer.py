"""Cell tokenizer: gene tokens with value bins."""

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.stats import rankdata

from okrcell.cells.genes import PADDING, GeneTable, GeneVocabulary
from okrcell.cells.tokenizer import CHUNK_SIZE, TARGET_SUM, BinTokenizer, TokenizerSettings

GENES = 60


@pytest.fixture(scope="module")
def table():
    return GeneTable.bundled()


@pytest.fixture(scope="module")
def known(table):
    """Vocabulary of the first sixty genes of the table, with distinct means."""
    scale = np.zeros(len(table), np.float32)
    scale[:GENES] = np.random.default_rng(0).uniform(0.1, 30, GENES)
    return GeneVocabulary.from_table(table, np.arange(GENES), scale)


@pytest.fixture
def tokenizer(table, known):
    def made(**settings):
        return BinTokenizer(TokenizerSettings(**settings), known, table)

    return made


def rows_of(dense, table):
    """Matrix on the whole gene axis with values for the first genes of the table."""
    dense = np.atleast_2d(np.asarray(dense, np.float32))
    matrix = sparse.csr_matrix(dense)
    return sparse.csr_matrix((matrix.data, matrix.indices, matrix.indptr), shape=(len(dense), len(table)))


def counts(cells, genes=GENES, seed=0):
    rng = np.random.default_rng(seed)
    return rng.poisson(rng.gamma(0.5, 4.0, (cells, genes))).astype(np.float32)


def as_dict(tokens, cell):
    known = tokens.attention_mask[cell]
    return dict(zip(tokens.gene[cell][known].tolist(), tokens.value[cell][known].tolist(), strict=True))


@pytest.mark.parametrize("bins", [3, 51, 4096])
def test_bins_are_the_share_of_the_cells_values_that_lie_below(tokenizer, table, bins):
    dense = counts(40)
    tokens = tokenizer(bins=bins).tokenize(rows_of(dense, table))
    for cell, row in enumerate(dense):
        present = np.flatnonzero(row)
        twice = (2 * rankdata(row[present].astype(np.float64), method="average")).astype(int)
        expected = {
            gene + 1: 1 + (bins - 1) * (rank - 2) // (2 * len(present))
            for gene, rank in zip(present, twice, strict=True)
        }
        assert as_dict(tokens, cell) == expected


def test_equal_values_share_the_middle_bin(tokenizer, table):
    tokens = tokenizer(bins=51).tokenize(rows_of(np.full((1, 10), 7.0), table))
    assert set(tokens.value[0].tolist()) == {1 + 50 * 9 // 20}


def test_values_are_never_the_padding_and_never_reach_the_number_of_bins(tokenizer, table):
    for kind in ("quantile_bins", "rank"):
        tokens = tokenizer(bins=3, kind=kind, limit=GENES).tokenize(rows_of(counts(50), table))
        assert int(tokens.value[tokens.attention_mask].min()) >= 1
        assert int(tokens.value.max()) <= 2
        assert not tokens.value[~tokens.attention_mask].any()


@pytest.mark.parametrize("limit", [7, 1200])
@pytest.mark.parametrize("change", [np.log1p, lambda x: x * 1000, lambda x: np.expm1(np.log1p(x)), np.sqrt])
def test_a_cell_in_another_scale_has_the_same_tokens(tokenizer, table, change, limit):
    dense = counts(30)
    one = tokenizer(limit=limit).tokenize(rows_of(dense, table))
    other = tokenizer(limit=limit).tokenize(rows_of(change(dense), table))
    assert torch.equal(one.gene, other.gene)
    assert torch.equal(one.value, other.value)


@pytest.mark.parametrize("kind", ["quantile_bins", "rank"])
@pytest.mark.parametrize("select", ["hashed", "highest", "relative"])
@pytest.mark.parametrize("value", ["expression", "relative"])
def test_a_cells_tokens_are_the_same_alone_among_others_and_in_another_order(tokenizer, table, kind, select, value):
    made = tokenizer(kind=kind, select=select, value=value, limit=9)
    dense = counts(CHUNK_SIZE + 30)
    order = np.random.default_rng(1).permutation(len(dense))
    together = made.tokenize(rows_of(dense, table))
    shuffled = made.tokenize(rows_of(dense[order], table))
    assert torch.equal(together.gene[order], shuffled.gene)
    assert torch.equal(together.value[order], shuffled.value)
    for cell in (0, 5, CHUNK_SIZE, len(dense) - 1):
        alone = made.tokenize(rows_of(dense[cell], table))
        assert as_dict(alone, 0) == as_dict(together, cell)


def test_no_cell_has_more_tokens_than_the_limit_and_none_is_lost_below_it(tokenizer, table):
    dense = counts(50)
    expressed = (dense > 0).sum(axis=1)
    for limit in (1, 20, 1000):
        tokens = tokenizer(limit=limit).tokenize(rows_of(dense, table))
        assert tokens.attention_mask.sum(dim=1).tolist() == np.minimum(expressed, limit).tolist()
        assert tokens.gene.shape[1] == min(expressed.max(), limit)


def test_bins_are_of_the_whole_cell_also_when_some_genes_are_left_out(tokenizer, table):
    dense = counts(20)
    whole = tokenizer().tokenize(rows_of(dense, table))
    limited = tokenizer(limit=5).tokenize(rows_of(dense, table))
    for cell in range(20):
        assert as_dict(limited, cell).items() <= as_dict(whole, cell).items()


def test_padding_stands_at_the_end(tokenizer, table):
    for kind in ("quantile_bins", "rank"):
        known = tokenizer(kind=kind).tokenize(rows_of(counts(40), table)).attention_mask.int()
        assert bool((known.diff(dim=1) <= 0).all())


def test_the_hashed_choice_favours_no_gene_and_no_company(tokenizer, table):
    dense = np.random.default_rng(3).permuted(np.tile(np.arange(1, 41), (4000, 1)), axis=1).astype(np.float32)
    tokens = tokenizer(limit=10).tokenize(rows_of(dense, table))
    chosen = torch.zeros(4000, 41).scatter_(1, tokens.gene, 1.0)[:, 1:]
    assert float((chosen.mean(dim=0) - 0.25).abs().max()) < 0.05
    together = chosen.T @ chosen / 4000
    apart = together[~torch.eye(40, dtype=torch.bool)]
    assert float((apart - 0.25 * 9 / 39).abs().max()) < 0.03


def test_the_highest_are_the_highest(tokenizer, table):
    dense = np.random.default_rng(4).permuted(np.tile(np.arange(1.0, 31), (5, 1)), axis=1)
    tokens = tokenizer(select="highest", limit=6).tokenize(rows_of(dense, table))
    expected = np.argsort(-dense, axis=1)[:, :6] + 1
    assert tokens.gene.tolist() == expected.tolist()


def relative(dense, known):
    """Expression of each gene relative to its mean in the corpus, in float64."""
    dense = dense.astype(np.float64)
    share = np.log1p(dense * TARGET_SUM / dense.sum(axis=1, keepdims=True))
    return share - np.log1p(known.scale[: dense.shape[1]].astype(np.float64))


def test_the_relative_choice_is_of_those_most_above_their_mean(tokenizer, table, known):
    dense = np.random.default_rng(5).uniform(1, 50, (8, 30)).astype(np.float32)
    tokens = tokenizer(select="relative", limit=6).tokenize(rows_of(dense, table))
    expected = np.argsort(-relative(dense, known), axis=1)[:, :6] + 1
    assert tokens.gene.tolist() == expected.tolist()


def test_rank_follows_the_order_of_relative_expression(tokenizer, table, known):
    dense = np.random.default_rng(6).uniform(1, 50, (8, 30)).astype(np.float32)
    tokens = tokenizer(kind="rank", limit=30, bins=31).tokenize(rows_of(dense, table))
    expected = np.argsort(-relative(dense, known), axis=1) + 1
    assert tokens.gene.tolist() == expected.tolist()
    assert tokens.value.tolist() == [list(range(30, 0, -1))] * 8


def test_a_lottery_draws_the_lowest_numbers_and_leaves_the_bins(tokenizer, table):
    dense = counts(CHUNK_SIZE + 5)
    rows = rows_of(dense, table)
    lottery = np.random.default_rng(7).random(rows.nnz, dtype=np.float32)
    whole = tokenizer().tokenize(rows)
    drawn = tokenizer(limit=4).tokenize(rows, lottery)
    for cell in (0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 4):
        own = slice(rows.indptr[cell], rows.indptr[cell + 1])
        lowest = rows.indices[own][np.argsort(lottery[own])[:4]] + 1
        assert set(as_dict(drawn, cell)) == set(lowest.tolist())
        assert as_dict(drawn, cell).items() <= as_dict(whole, cell).items()


def test_a_lottery_does_not_disturb_ranks(tokenizer, table):
    rows = rows_of(counts(20), table)
    made = tokenizer(kind="rank", limit=8)
    drawn = made.tokenize(rows, np.random.default_rng(8).random(rows.nnz, dtype=np.float32))
    assert torch.equal(drawn.value, made.tokenize(rows).value)
    assert torch.equal(drawn.gene, made.tokenize(rows).gene)


def test_genes_that_the_model_does_not_know_are_as_if_not_measured(tokenizer, table):
    dense = counts(10, genes=GENES + 40)
    both = tokenizer().tokenize(rows_of(dense, table))
    ours = tokenizer().tokenize(rows_of(dense[:, :GENES], table))
    assert torch.equal(both.gene, ours.gene)
    assert torch.equal(both.value, ours.value)


@pytest.mark.parametrize("kind", ["quantile_bins", "rank"])
def test_an_empty_cell_is_all_padding_and_keeps_its_place(tokenizer, table, kind):
    dense = counts(5)
    dense[[1, 4]] = 0
    tokens = tokenizer(kind=kind).tokenize(rows_of(dense, table))
    assert tokens.attention_mask.any(dim=1).tolist() == [True, False, True, True, False]
    assert not tokens.value[[1, 4]].any()
    alone = tokenizer(kind=kind).tokenize(rows_of(np.zeros((2, 3)), table))
    assert alone.gene.tolist() == [[PADDING], [PADDING]]
    assert len(tokenizer(kind=kind).tokenize(rows_of(np.zeros((0, 3)), table))) == 0
