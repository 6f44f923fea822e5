"""Our attention is torch's, and a hidden gene keeps its secret."""

import pytest
import torch
from torch import nn

from okrcell.cells.tokenizer import CellTokens
from okrcell.model.cell_encoder import (
    Attention,
    Block,
    BlockSettings,
    CellEncoderSettings,
    attention_mask,
    build_cell_encoder,
)

SHAPE = BlockSettings(width=16, heads=4, feed_forward=24, dropout=0.0)


def copy_attention(ours: Attention, reference: nn.MultiheadAttention) -> None:
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key_value.weight]))
        reference.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key_value.bias]))
    reference.out_proj.load_state_dict(ours.out.state_dict())


def test_attention_is_torchs_multi_head_attention():
    torch.manual_seed(0)
    ours, reference = Attention(SHAPE), nn.MultiheadAttention(16, 4, batch_first=True)
    copy_attention(ours, reference)
    queries, context = torch.randn(3, 5, 16), torch.randn(3, 7, 16)
    hidden = torch.rand(3, 7) < 0.4
    hidden[:, 0] = False
    expected, _ = reference(queries, context, context, key_padding_mask=hidden)
    torch.testing.assert_close(ours(queries, context, ~hidden[:, None, None, :]), expected)


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_a_block_is_torchs_transformer_layer(norm, activation):
    torch.manual_seed(0)
    ours = Block(SHAPE.model_copy(update={"norm": norm, "activation": activation}))
    reference = nn.TransformerEncoderLayer(
        16, 4, 24, dropout=0.0, activation=activation, norm_first=norm == "pre", batch_first=True
    )
    copy_attention(ours.attention, reference.self_attn)
    reference.norm1.load_state_dict(ours.attention_norm.state_dict())
    reference.norm2.load_state_dict(ours.feed_norm.state_dict())
    reference.linear1.load_state_dict(ours.feed[0].state_dict())
    reference.linear2.load_state_dict(ours.feed[3].state_dict())
    tokens, hidden = torch.randn(3, 6, 16), torch.rand(3, 6) < 0.4
    hidden[:, 0] = False
    expected = reference(tokens, src_key_padding_mask=hidden)
    torch.testing.assert_close(ours(tokens, allowed=~hidden[:, None, None, :]), expected)


def test_known_keys_are_seen_by_all_and_hidden_ones_by_themselves():
    known = torch.tensor([[True, True, False, False]])
    hidden = torch.tensor([[False, False, True, False]])
    allowed = attention_mask(known, hidden)[0, 0].int().tolist()
    assert allowed == [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 0, 0]]


def example_cells():
    made = torch.Generator().manual_seed(1)
    gene = torch.stack([torch.randperm(30, generator=made)[:8] + 1 for _ in range(3)])
    value = torch.randint(1, 11, (3, 8), generator=made)
    masked = torch.zeros(3, 8, dtype=torch.bool)
    masked[:, [2, 5]] = True
    return CellTokens(gene, value), masked


@pytest.fixture(params=["full", "latent"])
def encoder(request):
    torch.manual_seed(0)
    settings = CellEncoderSettings(kind=request.param, width=16, heads=4, feed_forward=24, blocks=2, latents=4)
    return build_cell_encoder(settings, n_genes=30, n_bins=11).eval()


def test_the_value_of_a_hidden_gene_reaches_nothing(encoder):
    cells, masked = example_cells()
    other = CellTokens(cells.gene, torch.where(masked, 11 - cells.value, cells.value))
    assert not torch.equal(other.value, cells.value)
    one, two = encoder(cells, masked), encoder(other, masked)
    assert torch.equal(one.cell, two.cell)
    assert torch.equal(one.genes, two.genes)


def test_which_genes_are_hidden_reaches_only_those_genes(encoder):
    cells, masked = example_cells()
    other = CellTokens(torch.where(masked, 31 - cells.gene, cells.gene), cells.value)
    one, two = encoder(cells, masked), encoder(other, masked)
    torch.testing.assert_close(one.cell, two.cell)
    torch.testing.assert_close(one.genes[~masked], two.genes[~masked])
    assert (one.genes[masked] - two.genes[masked]).abs().sum(dim=-1).min() > 1e-3


def test_known_genes_reach_the_cell_and_the_hidden_genes(encoder):
    cells, masked = example_cells()
    changed = cells.value.clone()
    changed[:, 0] = 11 - changed[:, 0]
    one, two = encoder(cells, masked), encoder(CellTokens(cells.gene, changed), masked)
    assert (one.cell - two.cell).abs().sum(dim=-1).min() > 1e-4
    assert (one.genes[masked] - two.genes[masked]).abs().sum(dim=-1).min() > 1e-4


def test_a_cell_with_all_genes_hidden_says_nothing_and_is_finite(encoder):
    cells, _ = example_cells()
    everything = torch.ones_like(cells.gene, dtype=torch.bool)
    states = encoder(cells, everything)
    assert bool(states.cell.isfinite().all())
    assert bool(states.genes.isfinite().all())
    torch.testing.assert_close(states.cell, states.cell[:1].expand_as(states.cell))
    wider = CellTokens(*(nn.functional.pad(part, (0, 5)) for part in (cells.gene, cells.value)))
    torch.testing.assert_close(encoder(wider, wider.attention_mask).cell, states.cell)


def test_a_width_that_the_heads_cannot_share_is_refused():
    with pytest.raises(ValueError, match="width must be a multiple of heads; seen: 10 and 4"):
        BlockSettings(width=10, heads=4)
