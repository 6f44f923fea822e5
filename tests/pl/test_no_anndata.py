"""Plots of what is no AnnData are refused in one line."""

import pytest

from okrcell import pl
from okrcell.errors import InputError

PLOTS = sorted(set(pl.__all__) - {"annotation"})


@pytest.mark.parametrize("name", PLOTS)
@pytest.mark.parametrize("adata", ["cells.h5ad", ["B cell"], None])
def test_a_path_or_a_list_in_the_place_of_cells_is_refused(name, adata):
    with pytest.raises(InputError, match="adata must be an AnnData, but it is") as refused:
        getattr(pl, name)(adata, *["B cell"] * (name == "explanation"))
    assert "\n" not in str(refused.value)
