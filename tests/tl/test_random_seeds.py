"""Every tool rejects an invalid seed before any work is done."""

import pytest

import okrcell as okr
from okrcell.errors import InputError


@pytest.mark.parametrize("seed", [-1, 2**32])
@pytest.mark.parametrize(
    ("tool", "options"),
    [
        (okr.tl.annotate, {"examples": "cell_type"}),
        (okr.tl.annotate, {"candidates": ["B cell"]}),
        (okr.tl.cluster, {}),
        (okr.tl.describe, {"groupby": "cell_type"}),
        (okr.tl.integrate, {"batch_key": "donor"}),
    ],
)
def test_a_seed_out_of_range_is_refused_and_nothing_is_written(blood, tool, options, seed):
    adata = blood[:5].copy()
    with pytest.raises(InputError, match=f"seed must not be negative, but it is {seed}|seed must be below 4294967296"):
        tool(adata, seed=seed, **options)
    assert not adata.obsm
    assert not adata.uns


def test_the_largest_seed_is_a_seed(blood):
    adata = blood[:60].copy()
    okr.tl.cluster(adata, seed=2**32 - 1)
    assert adata.uns["okrcell"]["cluster"]["seed"] == 2**32 - 1
