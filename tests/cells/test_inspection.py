"""Values are told apart: counts, logs, fractions, bins, scaled and smoothed ones; the best matrix is read and named."""

import numpy as np
import pytest
from anndata import AnnData
from scipy import sparse
from scipy.stats import rankdata

from okrcell.cells.counts import MatrixRows, find_counts
from okrcell.cells.expression import read_expression
from okrcell.cells.genes import GeneTable
from okrcell.cells.inspection import inspect_values
from okrcell.errors import InputError

N_CELLS, N_GENES = 120, 400
NAMES = GeneTable.bundled().symbol[GeneTable.bundled().biotype == "protein_coding"][:N_GENES].tolist()


def simulate(depth=0.6, seed=0):
    """Counts of cells of two types and of various depths, with many weak genes and few strong ones."""
    rng = np.random.default_rng(seed)
    level = rng.lognormal(0, 1.2, (2, N_GENES)) * depth
    cell_depth = rng.lognormal(0, 0.5, (N_CELLS, 1))
    return rng.poisson(level[np.arange(N_CELLS) % 2] * cell_depth).astype(np.float64)


COUNTS = simulate()
SHALLOW = np.minimum(simulate(0.3), 20)
LOGS = np.log1p(COUNTS * 1e4 / COUNTS.sum(axis=1, keepdims=True))


def cells(values, genes=slice(None), **layers) -> AnnData:
    adata = AnnData(sparse.csr_matrix(np.asarray(values, dtype=np.float32)[:, genes]))
    adata.var_names = NAMES[genes]
    for name, layer in layers.items():
        adata.layers[name] = sparse.csr_matrix(np.asarray(layer, dtype=np.float32)[:, genes])
    return adata


def kind(values):
    return inspect_values(sparse.csr_matrix(np.asarray(values, dtype=np.float32))).kind


def noise(scale):
    return np.random.default_rng(1).exponential(scale, SHALLOW.shape)


@pytest.mark.parametrize(
    "values",
    [
        SHALLOW * (1 - np.minimum(noise(0.1), 0.9)),  # background removed
        np.where(SHALLOW > 0, SHALLOW - np.minimum(noise(0.1), 0.9), 0),
        np.where(
            np.random.default_rng(2).random(SHALLOW.shape) < 0.3, SHALLOW * 0.61, SHALLOW
        ),  # ambiguous reads shared out
        SHALLOW + noise(0.02),  # posterior means, nowhere zero
    ],
)
def test_fractional_counts_of_a_panel_are_no_logarithms(values):
    found = find_counts(cells(values))
    assert 5 < values.max() < 25
    assert found.inspection.kind == "linear"
    assert "fractional counts" in found.findings[0]


@pytest.mark.parametrize("values", [np.round(LOGS, 2), LOGS + 1e-3 * (LOGS > 0), np.round(LOGS[:, :150], 2)])
@pytest.mark.parametrize("base", [np.e, 2])
def test_logarithms_that_were_rounded_stay_logarithms(values, base):
    assert kind(values / np.log(base)) == "log1p"


def test_logarithms_of_fractions_are_known_by_their_equal_sums():
    values = COUNTS * (1 - np.minimum(np.random.default_rng(1).exponential(0.1, COUNTS.shape), 0.9))
    binary_logs = np.log2(1 + values * 1e4 / values.sum(axis=1, keepdims=True))
    found = find_counts(cells(binary_logs))
    assert (found.inspection.kind, found.inspection.base) == ("log1p", 2.0)
    assert "equal sums without the logarithm" in found.findings[0]


@pytest.mark.parametrize("values", [LOGS, COUNTS])
@pytest.mark.parametrize("limit", [10, np.inf])
def test_unit_variance_per_gene_is_refused_like_z_scores(values, limit):
    deviation = values.std(axis=0)
    scaled = np.minimum(values / np.where(deviation == 0, 1, deviation), limit)
    with pytest.raises(InputError, match=r"every gene has a variance of about 1.* before sc.pp.scale"):
        find_counts(cells(scaled))


def test_a_range_of_0_to_1_per_gene_is_refused():
    with pytest.raises(InputError, match="every gene is scaled to the range 0 to 1"):
        find_counts(cells(LOGS / np.maximum(LOGS.max(axis=0), 1e-9)))


def binned(values, n_bins):
    """Quantile bins of the expressed genes of each cell, as models of expression store them."""
    edges = [np.quantile(row[row > 0], np.linspace(0, 1, n_bins)) for row in values]
    jitter = np.random.default_rng(3).random(values.shape)
    return np.stack(
        [
            np.where(row > 0, np.ceil(np.digitize(row, edge, right=True) * (1 - u) + np.digitize(row, edge) * u), 0)
            for row, edge, u in zip(values, edges, jitter, strict=True)
        ]
    )


@pytest.mark.parametrize("n_bins", [10, 50])
def test_bins_are_no_counts(n_bins):
    bins = binned(COUNTS, n_bins)
    assert kind(bins) == "binned"
    with pytest.raises(InputError, match=f"its whole numbers are bins: the highest of nearly every cell is {n_bins}"):
        find_counts(cells(bins))
    found = find_counts(cells(LOGS, X_binned=bins))
    assert (found.source, found.inspection.kind) == ("X", "log1p")
    assert found.findings[0] == (
        "X (log values, 400 genes) was chosen over layers['X_binned'] (bins or ranks, 400 genes)"
    )
    with pytest.raises(InputError, match="Use X instead"):
        find_counts(cells(LOGS, X_binned=bins), "X_binned")


def test_ranks_are_no_counts():
    ranks = np.stack([np.where(row > 0, rankdata(row, "ordinal") - (row == 0).sum(), 0) for row in COUNTS])
    assert kind(ranks) == "binned"


def test_detected_or_not_is_no_count_where_logs_are_at_hand():
    found = find_counts(cells(LOGS, binary=COUNTS > 0))
    assert (found.source, found.inspection.exact) == ("X", True)
    assert "was chosen over layers['binary'] (only 0 and 1" in found.findings[0]
    alone = read_expression(cells(COUNTS > 0))
    assert alone.kind == "binary"
    assert "only 0 and 1" in alone.findings[0]


def test_counts_in_some_cells_and_logs_in_others_are_refused():
    with pytest.raises(InputError, match="counts in some cells and fractions in the others"):
        find_counts(cells(np.vstack([COUNTS[:60], LOGS[60:]])))


def test_tiny_negatives_of_smoothing_are_read_as_zero_and_named():
    smoothed = LOGS + np.random.default_rng(0).normal(0, 1e-4, LOGS.shape)
    expression = read_expression(cells(smoothed))
    assert expression.kind == "log1p"
    assert any("was smoothed or corrected" in finding and "z-score" not in finding for finding in expression.findings)
    found, expected = (sparse.vstack(list(read_expression(cells(x)).blocks())) for x in (smoothed, LOGS))
    assert np.array_equal(found.toarray() > 0, expected.toarray() > 0)
    assert np.allclose(found.toarray(), expected.toarray(), rtol=1e-3)


def test_corrected_values_are_not_called_z_scores():
    corrected = LOGS + np.random.default_rng(0).normal(0, 0.3, LOGS.shape)
    with pytest.raises(
        InputError, match=r"as batch correction, regression or imputation leave them.* before that step"
    ):
        find_counts(cells(corrected))
    with pytest.raises(InputError, match="like z-scores"):
        find_counts(cells(LOGS - LOGS.mean(axis=0)))


def test_raw_with_all_genes_is_preferred_to_counts_of_few():
    few = cells(LOGS, slice(0, 60), counts=COUNTS)
    for logs, exactness in ((LOGS, "exactly log1p"), (np.round(LOGS, 2), "assumed to be log1p")):
        few.raw = cells(logs)
        found = find_counts(few)
        assert found.source == "raw"
        assert "raw (log values, 400 genes) was chosen over layers['counts'] (counts, 60 genes)" in found.findings
        assert exactness in found.findings[-1]
        assert "no counts" not in found.findings[-1]


def test_counts_are_preferred_to_assumed_logs_of_a_few_more_genes():
    subset = cells(LOGS, slice(0, 300), counts=COUNTS)
    subset.raw = cells(np.round(LOGS, 2))
    found = find_counts(subset)
    assert found.source == "layers['counts']"
    assert "layers['counts'] (counts, 300 genes) was chosen over raw (log values, 400 genes)" in found.findings


def test_only_known_genes_count():
    adata = cells(LOGS, slice(0, 60))
    unknown = cells(COUNTS)
    unknown.var_names = [f"row {number}" for number in range(N_GENES)]
    adata.raw = unknown
    assert read_expression(adata).source == "X"


def test_part_of_the_molecules_gives_way_to_exact_logs():
    found = find_counts(cells(LOGS, spliced=np.floor(COUNTS * 0.7)))
    assert found.source == "X"
    assert "layers['spliced'] (counts of part of the molecules, 400 genes)" in found.findings[0]


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_all_stored_values_are_seen(form):
    chunks = list(MatrixRows(form(COUNTS.astype(np.float32)), "X").stored_values())
    assert sum(chunk.sum() for chunk in chunks) == pytest.approx(COUNTS.sum())
