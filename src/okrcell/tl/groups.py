"""Read a grouping of cells from a column of obs."""

from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from okrcell.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

MAX_GROUPS = 1000
"""A column with more distinct values than this is a measurement or an identifier, not a grouping."""


def read_groups(adata: "AnnData", key: str) -> "tuple[NDArray[np.intp], list[str]]":
    """Return the group index of each cell, -1 where the column is missing, and the names of the groups.

    Groups are in the order of the categories of a categorical column; otherwise in ascending order of the values.

    Raises
    ------
    InputError
        If the column does not exist, is empty, holds continuous numbers or has more than `MAX_GROUPS` distinct values.
    """
    if key not in adata.obs:
        columns = [str(name) for name in adata.obs.columns]
        similar = get_close_matches(key, columns, n=3, cutoff=0.5)
        hint = " Run okrcell.tl.cluster first, or pass the name of another column." if key == "okrcell_cluster" else ""
        suggestion = (
            f" Did you mean {' or '.join(similar)}?" if similar else f" It has: {', '.join(columns) or 'no columns'}."
        )
        raise InputError(f"There is no column '{key}' in obs.{hint}{suggestion}")
    column = pd.Series(adata.obs[key])
    n_values = int(column.nunique())
    if n_values == 0:
        raise InputError(f"obs['{key}'] is empty: it puts no cell into a group. Pass the name of another column.")
    if n_values > MAX_GROUPS or (n_values > 1 and isinstance(column.dtype, np.dtype) and _is_continuous(column)):
        raise InputError(
            f"obs['{key}'] has {n_values:,} different values for {adata.n_obs:,} cells, such as {column.dropna().iloc[0]}: "
            "that is no grouping. Pass the name of a column with clusters or labels."
        )
    if not isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype("category")
    categories = column.cat.remove_unused_categories()
    codes = categories.cat.codes.to_numpy().astype(np.intp)
    # Values with the same text (1 and "1") are one group.
    names = [_format_value(value) for value in categories.cat.categories]
    unique_names = list(dict.fromkeys(names))
    group_of_code = np.array([unique_names.index(name) for name in names] + [-1], dtype=np.intp)
    return group_of_code[codes], unique_names


def _is_continuous(column: pd.Series) -> bool:
    """Whether a float column holds values that are not whole numbers, such as 0.31."""
    if not pd.api.types.is_float_dtype(column):
        return False
    values = column.dropna().to_numpy(dtype=np.float64)
    return bool((values != np.round(values)).any())


def _format_value(value: object) -> str:
    """Format 3.0 as "3": pandas converts an integer column with missing values to float."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
