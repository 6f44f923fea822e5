"""A cell's vector is of that cell alone."""

import pytest
import torch
from torch.nn.functional import pad

from okrcell.cells.tokenizer import CellTokens
from okrcell.errors import SettingsError
from okrcell.model.cell_encoder import CellEncoderSettings, build_cell_encoder
from okrcell.model.cell_text_model import CellTextModel, ModelSettings
from okrcell.settings import parse_settings


@pytest.fixture(
    params=[
        {"kind": "full"},
        {"kind": "full", "norm": "pre", "activation": "gelu", "value_embedding": "continuous"},
        {"kind": "latent"},
        {"kind": "latent", "norm": "pre", "value_embedding": "continuous"},
    ],
    ids=["full", "full-pre-continuous", "latent", "latent-pre-continuous"],
)
def encoder(request):
    torch.manual_seed(0)
    shape = {"width": 16, "heads": 4, "feed_forward": 24, "blocks": 2, "latents": 4}
    return build_cell_encoder(CellEncoderSettings(**shape, **request.param), n_genes=40, n_bins=11).eval()


def cells(count=5, seed=1):
    """Cells of 3, 5, 7 ... genes."""
    made = torch.Generator().manual_seed(seed)
    gene = torch.zeros(count, 2 * count + 1, dtype=torch.long)
    for row in range(count):
        gene[row, : 3 + 2 * row] = torch.randperm(40, generator=made)[: 3 + 2 * row] + 1
    value = torch.randint(1, 11, gene.shape, generator=made) * (gene != 0)
    return CellTokens(gene, value)


def vector(encoder, tokens):
    with torch.no_grad():
        return encoder(tokens).cell


def test_a_vector_knows_neither_padding_nor_neighbours(encoder):
    all_cells = cells()
    together = vector(encoder, all_cells)
    wider = vector(encoder, CellTokens(pad(all_cells.gene, (0, 9)), pad(all_cells.value, (0, 9))))
    assert float((wider - together).abs().max()) <= 1e-6
    for row in range(5):
        width = 3 + 2 * row
        alone = vector(
            encoder, CellTokens(all_cells.gene[row : row + 1, :width], all_cells.value[row : row + 1, :width])
        )
        assert float((alone[0] - together[row]).abs().max()) <= 1e-6
    assert float((together[0] - together[1]).abs().max()) > 1e-2


def test_the_order_of_the_genes_says_nothing(encoder):
    all_cells = cells()
    order = torch.randperm(all_cells.gene.shape[1], generator=torch.Generator().manual_seed(3))
    shuffled = CellTokens(all_cells.gene[:, order], all_cells.value[:, order])
    assert float((vector(encoder, shuffled) - vector(encoder, all_cells)).abs().max()) <= 1e-6


def test_values_and_genes_both_speak(encoder):
    all_cells = cells()
    first = vector(encoder, all_cells)
    louder = CellTokens(all_cells.gene, (11 - all_cells.value) * all_cells.attention_mask)
    others = CellTokens((41 - all_cells.gene) * all_cells.attention_mask, all_cells.value)
    for changed in (louder, others):
        assert float((vector(encoder, changed) - first).abs().amax(dim=1).min()) > 1e-3


def test_an_empty_cell_is_finite_and_disturbs_no_one(encoder):
    all_cells = cells()
    blank = torch.zeros(1, all_cells.gene.shape[1], dtype=torch.long)
    both = CellTokens(torch.cat([blank, all_cells.gene]), torch.cat([blank, all_cells.value]))
    vectors = vector(encoder, both)
    assert bool(vectors.isfinite().all())
    assert float((vectors[1:] - vector(encoder, all_cells)).abs().max()) <= 1e-6
    masked = torch.zeros_like(both.gene, dtype=torch.bool)
    loss = encoder(both, masked).cell.square().sum()
    loss.backward()
    assert all(bool(each.grad.isfinite().all()) for each in encoder.parameters() if each.grad is not None)


@pytest.fixture
def model(tiny_model):
    torch.manual_seed(0)
    return CellTextModel(parse_settings(ModelSettings, tiny_model, "test"), n_genes=40).eval()


def test_vectors_have_unit_length(model):
    with torch.no_grad():
        vectors = model.embed_cells(cells())
    assert vectors.shape == (5, 16)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(5))


def test_a_view_tells_of_the_hidden_genes_and_no_others(model):
    tokens = cells()
    masked = torch.zeros_like(tokens.gene, dtype=torch.bool)
    masked[0, 1] = masked[3, 0] = masked[3, 5] = True
    view = model.encode_masked(tokens, masked)
    assert view.hidden.sum(dim=1).tolist() == [1, 0, 0, 2, 0]
    assert sorted(view.value[3][view.hidden[3]].tolist()) == sorted(tokens.value[3, [0, 5]].tolist())
    assert view.value[0][view.hidden[0]].tolist() == [int(tokens.value[0, 1])]
    nothing = model.encode_masked(tokens, torch.zeros_like(masked))
    assert not nothing.hidden.any()
    torch.testing.assert_close(nothing.vector, model.embed_cells(tokens))


def test_the_temperature_starts_where_it_is_set_and_has_a_floor(model):
    assert float(model.temperature.detach()) == pytest.approx(0.05)
    with torch.no_grad():
        model.log_sharpness.fill_(20.0)
    assert float(model.temperature.detach()) == pytest.approx(0.01)


def test_two_lengths_that_cannot_meet_are_refused(tiny_model):
    settings = parse_settings(ModelSettings, {**tiny_model, "text_projector": "none", "dim": 24}, "test")
    with pytest.raises(SettingsError, match="dim must be the text encoder's width 16; seen: 24"):
        CellTextModel(settings, n_genes=40)
