"""Names that would share a key of an h5ad file are told apart, or refused before the work."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from okrcell.errors import InputError
from okrcell.tl._anndata import read_groups, slot_names


def test_names_that_differ_in_a_slash_have_distinct_columns():
    assert slot_names(["A/B", "A|B", "C", "A/B"]) == ["A|B", "A|B.1", "C", "A|B.2"]
    assert slot_names(["A|B.1", "A/B", "A|B", ""]) == ["A|B.1", "A|B", "A|B.2", "(empty)"]


def test_groups_that_differ_in_a_slash_are_refused():
    adata = AnnData(
        np.ones((4, 1), dtype=np.float32), pd.DataFrame({"type": ["A/B", "A|B", "A/B", "A|B"]}, index=list("abcd"))
    )
    with pytest.raises(InputError, match=r"groups 'A/B' and 'A\|B'"):
        read_groups(adata, "type")
