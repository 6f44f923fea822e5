"""Who fits whom: own texts, texts of the same type, of related, and of those not believed."""

import numpy as np
import pytest
import torch
from example_pairs import pairs_of
from hypothesis import given, settings
from hypothesis import strategies as st

from okrcell.losses.contrastive import PairEmbeddings, TargetSettings, contrastive_targets

NAN = float("nan")


def targets(kinds, keys=None, related=None, **chosen):
    kinds = torch.tensor(kinds, dtype=torch.long)
    keys = kinds if keys is None else torch.tensor(keys, dtype=torch.long)
    return contrastive_targets(kinds, keys, TargetSettings(**chosen), related).numpy()


def test_partners_are_who_they_should_be():
    np.testing.assert_array_equal(targets([4, 9, 4]), np.eye(3))
    np.testing.assert_array_equal(targets([4, 9, 4], same_type="masked"), [[1, 0, NAN], [0, 1, 0], [NAN, 0, 1]])
    np.testing.assert_array_equal(targets([4, 9, 4], same_type="shared"), [[0.5, 0, 0.5], [0, 1, 0], [0.5, 0, 0.5]])


def test_a_banks_keys_match_by_their_type():
    np.testing.assert_array_equal(targets([4, 9], [4, 9, 4, 7]), [[1, 0, 0, 0], [0, 1, 0, 0]])
    np.testing.assert_array_equal(targets([4, 9], [4, 9, 4, 7], same_type="masked"), [[1, 0, NAN, 0], [0, 1, 0, 0]])
    np.testing.assert_array_equal(targets([4, 9], [4, 9, 4, 7], same_type="shared"), [[0.5, 0, 0.5, 0], [0, 1, 0, 0]])


@pytest.mark.parametrize("same_type", ["own", "masked", "shared"])
def test_a_key_that_is_not_believed_is_neither_match_nor_contradiction_but_to_its_own(same_type):
    seen = targets([4, 4, 9], [-1, 4, 9, -1], same_type=same_type)
    assert np.isnan(seen[[1, 2, 0, 1, 2], [0, 0, 3, 3, 3]]).all()
    assert seen[0, 0] > 0
    np.testing.assert_array_equal(seen[2, 1:3], [0, 1])


@pytest.mark.parametrize("same_type", ["own", "masked", "shared"])
def test_an_unknown_type_is_like_no_other_and_kin_to_none(same_type):
    related = torch.ones(3, 3, dtype=torch.bool)
    seen = targets([-1, -1, 2], [-1, -1, 2, 0, 1, -1], related, same_type=same_type, related_types="masked")
    np.testing.assert_array_equal(seen[0], [1, NAN, 0, 0, 0, NAN])
    np.testing.assert_array_equal(seen[1], [NAN, 1, 0, 0, 0, NAN])


def test_kin_neither_match_nor_contradict_and_siblings_contradict():
    # 0 is the parent of 1 and 2.
    related = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 1]], dtype=torch.bool)
    np.testing.assert_array_equal(
        targets([0, 1, 2], related=related, related_types="masked"), [[1, NAN, NAN], [NAN, 1, 0], [NAN, 0, 1]]
    )
    np.testing.assert_array_equal(targets([0, 1, 2], related=related), np.eye(3))
    # Kin includes the type itself: a cell of the same type stays what ``same_type`` says.
    np.testing.assert_array_equal(targets([1, 1], related=related, related_types="masked"), np.eye(2))
    np.testing.assert_array_equal(
        targets([1, 1], related=related, related_types="masked", same_type="shared"), np.full((2, 2), 0.5)
    )


@given(
    kinds=st.lists(st.integers(-1, 3), min_size=1, max_size=6),
    past=st.lists(st.integers(-1, 3), max_size=6),
    same_type=st.sampled_from(["own", "masked", "shared"]),
    kin_bits=st.lists(st.booleans(), min_size=16, max_size=16),
    masked=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_every_pair_has_its_own_partner_and_shares_that_add_up_to_one(kinds, past, same_type, kin_bits, masked):
    related = torch.tensor(kin_bits).view(4, 4)
    related = related | related.T | torch.eye(4, dtype=torch.bool)
    seen = targets(kinds, kinds + past, related, same_type=same_type, related_types="masked" if masked else "negative")
    np.testing.assert_allclose(np.nansum(seen, axis=1), 1, rtol=1e-6)
    assert (np.diagonal(seen) > 0).all()
    assert (np.nanmin(seen) >= 0) and (np.nanmax(seen) <= 1)


def test_vectors_stay_side_by_side():
    one, other = pairs_of([1, 2]), pairs_of([3], seed=4)
    both = one.concat(other)
    assert isinstance(both, PairEmbeddings)
    torch.testing.assert_close(both.cells, torch.cat([one.cells, other.cells]))
    torch.testing.assert_close(both.texts, torch.cat([one.texts, other.texts]))
    assert both.cell_type.tolist() == [1, 2, 3]
    doubted = both.mask_untrusted(torch.tensor([True, False, True]))
    assert doubted.cell_type.tolist() == [1, -1, 3]
    assert doubted.cells is both.cells
    assert both.cell_type.tolist() == [1, 2, 3]
