"""Read a grouping of cells from a column of obs."""

from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from okrcell.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

MOST_GROUPS = 1000
"""A column with more distinct values than this is a measurement or an identifier, not a grouping."""


def groups_of(adata: "AnnData", key: str) -> "tuple[NDArray[np.intp], list[str]]":
    """Return the group index of each cell, -1 where the column is missing, and the names of the groups.

    Groups are in the order of the categories of a categorical column; otherwise in ascending order of the values.

    Raises
    ------
    InputError
        If the column does not exist, is empty, holds continuous numbers or has more than `MOST_GROUPS` distinct values.
    """
    if key not in adata.obs:
        columns = [str(name) for name in adata.obs.columns]
        near = get_close_matches(key, columns, n=3, cutoff=0.5)
        hint = " Run okrcell.tl.cluster first, or pass the name of another column." if key == "okrcell_cluster" else ""
        meant = f" Did you mean {' or '.join(near)}?" if near else f" It has: {', '.join(columns) or 'no columns'}."
        raise InputError(f"There is no column '{key}' in obs.{hint}{meant}")
    column = pd.Series(adata.obs[key])
    distinct = int(column.nunique())
    if distinct == 0:
        raise InputError(f"obs['{key}'] is empty: it puts no cell into a group. Pass the name of another column.")
    if distinct > MOST_GROUPS or (distinct > 1 and isinstance(column.dtype, np.dtype) and _measures(column)):
        raise InputError(
            f"obs['{key}'] has {distinct:,} different values for {adata.n_obs:,} cells, such as {column.dropna().iloc[0]}: "
            "that is no grouping. Pass the name of a column with clusters or labels."
        )
    if not isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype("category")
    present = column.cat.remove_unused_categories()
    code = present.cat.codes.to_numpy().astype(np.intp)
    # Values with the same text (1 and "1") are one group.
    names = [_written(value) for value in present.cat.categories]
    distinct_names = list(dict.fromkeys(names))
    place = np.array([distinct_names.index(name) for name in names] + [-1], dtype=np.intp)
    return place[code], distinct_names


def _measures(column: pd.Series) -> bool:
    """Whether a float column holds values that are not whole numbers, such as 0.31."""
    if not pd.api.types.is_float_dtype(column):
        return False
    values = column.dropna().to_numpy(dtype=np.float64)
    return bool((values != np.round(values)).any())


def _written(value: object) -> str:
    """Format 3.0 as "3": pandas converts an integer column with missing values to float."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
