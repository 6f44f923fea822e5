"""Read from a column of obs which cells belong together."""

from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from okrcell.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

MOST_GROUPS = 1000
"""A column with more values than this is no grouping, but a measurement or a name of each cell."""


def groups_of(adata: "AnnData", key: str) -> "tuple[NDArray[np.intp], list[str]]":
    """Return each cell's place among the groups, -1 where the column is empty, and the groups' names.

    Groups come in the order of their categories where there are any, else numbers by size and words by alphabet.

    Raises
    ------
    InputError
        If there is no such column, it is empty, or its values are too many to be groups.
    """
    if key not in adata.obs:
        columns = [str(name) for name in adata.obs.columns]
        near = get_close_matches(key, columns, n=3, cutoff=0.5)
        hint = " Run okrcell.tl.cluster first, or name a column that it has." if key == "okrcell_cluster" else ""
        meant = f" Did you mean {' or '.join(near)}?" if near else f" It has: {', '.join(columns) or 'no columns'}."
        raise InputError(f"There is no column '{key}' in obs.{hint}{meant}")
    column = pd.Series(adata.obs[key])
    distinct = int(column.nunique())
    if distinct == 0:
        raise InputError(f"obs['{key}'] is empty: it puts no cell into a group.")
    if distinct > MOST_GROUPS or (distinct > 1 and isinstance(column.dtype, np.dtype) and _measures(column)):
        raise InputError(
            f"obs['{key}'] has {distinct:,} different values for {adata.n_obs:,} cells, such as {column.dropna().iloc[0]}: "
            "that is no grouping. Name a column of clusters or labels."
        )
    if not isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype("category")
    present = column.cat.remove_unused_categories()
    code = present.cat.codes.to_numpy().astype(np.intp)
    # Two values that are written alike (1 and "1") are one group.
    names = [_written(value) for value in present.cat.categories]
    distinct_names = list(dict.fromkeys(names))
    place = np.array([distinct_names.index(name) for name in names] + [-1], dtype=np.intp)
    return place[code], distinct_names


def _measures(column: pd.Series) -> bool:
    """Tell whether a column holds numbers that count nothing, such as 0.31."""
    if not pd.api.types.is_float_dtype(column):
        return False
    values = column.dropna().to_numpy(dtype=np.float64)
    return bool((values != np.round(values)).any())


def _written(value: object) -> str:
    """Write 3.0 as 3: a missing value turns whole numbers into others."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
