"""The objective adds up its parts, and each part has its name."""

import pytest
import torch
from torch.nn import functional

from okrcell.losses.objective import ContrastiveLosses, MaskedPredictions, ObjectiveSettings, cell_type_loss, total_loss

KINDS = torch.tensor([0, 2, -1, 1])


def guess(type_logits=None):
    rng = torch.Generator().manual_seed(0)
    return MaskedPredictions(
        torch.rand(4, 6, generator=rng),
        torch.rand(4, 6, generator=rng),
        torch.randint(1, 51, (4, 6), generator=rng),
        torch.rand(4, 6, generator=rng) < 0.5,
        51,
        type_logits,
    )


ALIGNED = ContrastiveLosses(torch.tensor(1.5), torch.tensor(0.25), torch.tensor(0.75))


def test_the_total_is_the_weighted_sum_of_its_parts():
    chosen = ObjectiveSettings(gene_weight=2, cell_weight=0.5, type_weight=0.7, alignment_weight=3, negative_weight=4)
    loss = total_loss(guess(torch.randn(4, 3)), KINDS, ALIGNED, torch.tensor([1.0, 0.5]), chosen)
    named = 2 * loss.gene + 0.5 * loss.cell + 0.7 * loss.cell_type
    torch.testing.assert_close(loss.total, named + 3 * (1.5 + 0.25 + 4 * loss.contradiction))
    assert loss.trust.item() == 0.75
    assert min(float(part) for part in loss) > 0


def test_without_pairs_the_cells_alone_are_learned_from():
    loss = total_loss(guess(), KINDS, None, torch.zeros(0), ObjectiveSettings(preset="faithful"))
    torch.testing.assert_close(loss.total, loss.gene + loss.cell)
    assert [float(part) for part in loss[3:]] == [0.0] * 5


def test_naming_the_type_is_cross_entropy_over_the_cells_whose_type_is_known():
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    known = KINDS >= 0
    torch.testing.assert_close(cell_type_loss(logits, KINDS), functional.cross_entropy(logits[known], KINDS[known]))
    assert float(cell_type_loss(torch.full((1, 3), 50.0) * torch.eye(3)[:1], torch.tensor([0]))) == pytest.approx(0)


def test_where_no_type_is_known_there_is_nothing_to_name():
    logits = torch.randn(4, 3, requires_grad=True)
    loss = cell_type_loss(logits, torch.full((4,), -1))
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()
    assert cell_type_loss(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)).item() == 0
