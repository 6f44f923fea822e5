"""The generative losses equal their references, and look at hidden genes alone."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from okrcell.losses.objective import expression_loss
from okrcell.model.cell_encoder import ExpressionDecoder


def example_predictions(cells=4, tokens=9, seed=0):
    made = torch.Generator().manual_seed(seed)
    predicted = torch.randn(cells, tokens, generator=made)
    value = torch.randint(1, 51, (cells, tokens), generator=made)
    return predicted, value, torch.rand(cells, tokens, generator=made) < 0.5


def test_it_is_the_mean_squared_error_over_the_hidden_genes():
    predicted, value, masked = example_predictions()
    errors = (predicted.double().numpy() - value.numpy() / 51)[masked.numpy()] ** 2
    assert float(expression_loss(predicted, value, masked, 51)) == pytest.approx(errors.mean(), rel=1e-6)
    expected = torch.nn.functional.mse_loss(predicted[masked], value[masked] / 51)
    torch.testing.assert_close(expression_loss(predicted, value, masked, 51), expected)


def test_known_genes_and_padding_have_no_say():
    predicted, value, masked = example_predictions()
    predicted.requires_grad_()
    loss = expression_loss(predicted, value, masked, 51)
    loss.backward()
    assert not predicted.grad[~masked].any()
    assert predicted.grad[masked].all()
    torch.testing.assert_close(expression_loss(predicted.detach(), value * masked, masked, 51), loss)


def test_nothing_hidden_costs_nothing():
    predicted, value, masked = example_predictions()
    predicted.requires_grad_()
    loss = expression_loss(predicted, value, torch.zeros_like(masked), 51)
    loss.backward()
    assert loss.item() == 0
    assert bool(predicted.grad.isfinite().all())


@given(st.integers(3, 4096))
def test_a_blind_guess_costs_about_a_twelfth_whatever_the_number_of_classes(bins):
    value = torch.arange(1, bins)[None]
    guess = torch.full(value.shape, 0.5)
    loss = float(expression_loss(guess, value, torch.ones_like(value, dtype=torch.bool), bins))
    assert loss == pytest.approx(((np.arange(1, bins) / bins - 0.5) ** 2).mean(), rel=1e-4)
    assert loss < 1 / 12


def test_the_cells_guess_is_the_inner_product_of_e6():
    torch.manual_seed(0)
    decoder, embedding = ExpressionDecoder(8), torch.nn.Embedding(20, 8)
    gene, cell = torch.randint(0, 20, (3, 5)), torch.randn(3, 8)
    seen = decoder.gepc(gene, cell, embedding)
    for row in range(3):
        for place in range(5):
            query = torch.sigmoid(decoder.query(embedding.weight[gene[row, place]]))
            expected = query @ (decoder.cell.weight @ cell[row]) / math.sqrt(8)
            torch.testing.assert_close(seen[row, place], expected)


@pytest.mark.parametrize("width", [16, 128, 512])
def test_both_heads_start_near_the_values_they_are_to_guess(width):
    torch.manual_seed(0)
    decoder, embedding = ExpressionDecoder(width), torch.nn.Embedding(50, width)
    gene = torch.randint(0, 50, (64, 30))
    # Three times as long as a layer norm leaves them: states that passed several residual blocks.
    states = 3 * torch.randn(64, 30, width)
    for guess in (decoder.gepc(gene, states[:, 0], embedding), decoder.gep(states)):
        assert float((guess.detach() - 0.5).square().mean()) < 2
