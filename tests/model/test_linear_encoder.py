"""The linear encoder against the formula on dense arrays."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from okrcell.cells.genes import GeneTable, GeneVocabulary
from okrcell.cells.tokenizer import CellTokens, ExpressionTokenizer, TokenizerSettings
from okrcell.errors import SettingsError
from okrcell.model.cell_encoder import CellEncoderSettings, LinearEncoder, build_cell_encoder
from okrcell.model.cell_text_model import ModelSettings
from okrcell.settings import parse_settings
from okrcell.training.settings import PretrainSettings

N_GENES, WIDTH = 12, 5
TABLE = GeneTable.bundled()
VOCABULARY = GeneVocabulary.from_table(
    TABLE, np.arange(100, 100 + 2 * N_GENES, 2), np.ones(len(TABLE), dtype=np.float32)
)
STATISTICS = tuple(torch.from_numpy(np.random.default_rng(0).uniform(0, 2, (3, N_GENES)).astype(np.float32)))
LEVEL, SPREAD, LINEAR = (values.numpy().astype(float) for values in STATISTICS)


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    built = build_cell_encoder(CellEncoderSettings(kind="linear", width=WIDTH, heads=1), n_genes=N_GENES, n_bins=51)
    assert isinstance(built, LinearEncoder)
    built.set_statistics(*STATISTICS)
    return built


def tokens_of(counts, measured):
    """Tokens of dense counts (cell, gene of the vocabulary)."""
    rows = VOCABULARY.rows(TABLE)
    table_counts = np.zeros((len(counts), len(TABLE)), dtype=np.float32)
    table_counts[:, rows] = counts
    table_counts[:, 3] = 7  # outside the vocabulary
    table_measured = np.zeros((len(measured), len(TABLE)), dtype=bool)
    table_measured[:, rows] = measured
    tokenizer = ExpressionTokenizer(TokenizerSettings(kind="expression"), VOCABULARY, TABLE)
    return tokenizer.tokenize(sparse.csr_matrix(table_counts), measured=table_measured)


def expected_states(encoder, counts, measured):
    measured = np.broadcast_to(measured, counts.shape)
    scale = (measured * LINEAR).sum(axis=1) / np.maximum(counts.sum(axis=1), 1e-12)
    spread = np.sqrt(SPREAD**2 + 0.1**2)
    z = np.minimum((np.log1p(counts * scale[:, None]) - LEVEL) / spread, 10) * measured
    return z @ encoder.tokens.gene.weight[1:].detach().numpy()


@given(data=st.data(), n_cells=st.integers(1, 4), one_panel=st.booleans())
@settings(max_examples=60, deadline=None)
def test_states_are_standardised_expression_times_gene_vectors(encoder, data, n_cells, one_panel):
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    measured = rng.random((1 if one_panel else n_cells, N_GENES)) < 0.7
    counts = rng.poisson(2, (n_cells, N_GENES)).astype(np.float32) * measured
    counts[rng.random(counts.shape) < 0.02] *= 1000
    cells = tokens_of(counts, measured)
    with torch.no_grad():
        states = encoder(cells).cell.numpy()
    np.testing.assert_allclose(states, expected_states(encoder, counts, measured), rtol=1e-4, atol=1e-4)


def test_without_a_panel_all_genes_were_measured(encoder):
    counts = np.random.default_rng(1).poisson(1, (3, N_GENES)).astype(np.float32)
    cells = tokens_of(counts, np.ones((1, N_GENES), dtype=bool))
    with torch.no_grad():
        states = encoder(CellTokens(cells.gene, cells.value)).cell
        assert torch.allclose(states, encoder(cells).cell)


def test_a_masked_gene_was_not_measured(encoder):
    rng = np.random.default_rng(2)
    counts = rng.poisson(2, (4, N_GENES)).astype(np.float32)
    cells = tokens_of(counts, np.ones((1, N_GENES), dtype=bool))
    masked = (torch.from_numpy(rng.random(cells.gene.shape)) < 0.4) & cells.attention_mask
    hidden = np.zeros((4, N_GENES + 1), dtype=bool)
    for row in range(4):
        hidden[row, cells.gene[row][masked[row]].numpy()] = True
    visible = ~hidden[:, 1:]
    with torch.no_grad():
        states = encoder(cells, masked)
    np.testing.assert_allclose(
        states.cell.numpy(), expected_states(encoder, counts * visible, visible), rtol=1e-4, atol=1e-4
    )
    assert states.genes.shape == (*cells.gene.shape, WIDTH)


def test_gene_vectors_can_be_trained(encoder):
    cells = tokens_of(np.ones((2, N_GENES), dtype=np.float32), np.ones((1, N_GENES), dtype=bool))
    encoder(cells).cell.square().sum().backward()
    gradient = encoder.tokens.gene.weight.grad
    assert bool((gradient[1:].abs().sum(dim=1) > 0).all()) and float(gradient[0].abs().sum()) == 0
    encoder.zero_grad()


LINEAR_MODEL = {
    "cell_encoder": {"kind": "linear", "width": 8},
    "tokeniser": {"kind": "expression"},
    "projector": "none",
    "dim": 8,
}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tokeniser": {"kind": "rank"}}, "needs the tokenizer of kind expression"),
        ({"cell_encoder": {"kind": "latent", "width": 8}}, "no other encoder can use it"),
        ({"dim": 16}, "dim must be cell_encoder.width 8"),
        ({"dim": None}, "dim must be cell_encoder.width 8"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, says):
    parse_settings(ModelSettings, LINEAR_MODEL, "settings")
    with pytest.raises(SettingsError, match=says):
        parse_settings(ModelSettings, LINEAR_MODEL | changes, "settings")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"stream": {"mask": [0.15]}}, "set stream.mask to"),
        ({"stream": {"mask": [0], "keep_tokens": True}}, "keep_tokens"),
        ({"knowledge": {"folder": "books", "share": 0.5}}, "knowledge.share"),
    ],
)
def test_a_run_of_it_masks_nothing_and_simulates_nothing(changes, says):
    run = {"corpus": "corpus", "output": "run", "model": LINEAR_MODEL, "stream": {"mask": [0]}}
    parse_settings(PretrainSettings, run, "settings")
    with pytest.raises(SettingsError, match=says):
        parse_settings(PretrainSettings, run | changes, "settings")
