"""Whatever a cell holds, its tokens depend on nothing but the order of its own values."""

import functools

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import sparse

from okrcell.cells.genes import GeneTable, GeneVocabulary
from okrcell.cells.tokenizer import BinTokenizer, TokenizerSettings

GENES = 12
cells = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 12), st.just(GENES)), elements=st.integers(0, 4000).map(float)
)
choices = st.tuples(
    st.sampled_from(["quantile_bins", "rank"]), st.sampled_from(["hashed", "highest", "relative"]), st.integers(1, 15)
)


@functools.cache
def vocabulary():
    table = GeneTable.bundled()
    return GeneVocabulary.from_table(table, np.arange(GENES), np.linspace(0.1, 9, len(table), dtype=np.float32))


def tokens(dense, **chosen):
    table = GeneTable.bundled()
    small = sparse.csr_matrix(dense)
    rows = sparse.csr_matrix((small.data, small.indices, small.indptr), shape=(len(dense), len(table)))
    return BinTokenizer(TokenizerSettings(**chosen), vocabulary(), table).tokenize(rows)


@given(cells, st.sampled_from([np.log1p, np.sqrt, lambda x: x * np.float32(1000), lambda x: x / np.float32(3)]))
@settings(max_examples=60, deadline=None)
def test_any_monotone_change_of_scale_changes_nothing(dense, change):
    one, other = (tokens(values, limit=5) for values in (dense, change(dense)))
    assert torch.equal(one.gene, other.gene)
    assert torch.equal(one.value, other.value)


@given(cells, choices, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_neighbours_change_nothing(dense, choice, random):
    kind, select, limit = choice
    order = list(range(len(dense)))
    random.shuffle(order)
    together = tokens(dense[order], kind=kind, select=select, limit=limit)
    for place, cell in enumerate(order):
        alone = tokens(dense[[cell]], kind=kind, select=select, limit=limit)
        width = alone.gene.shape[1]
        assert torch.equal(together.gene[place, :width], alone.gene[0])
        assert torch.equal(together.value[place, :width], alone.value[0])
        assert not together.gene[place, width:].any()
