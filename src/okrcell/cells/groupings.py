"""Tell columns of groups (labels, batches, donors) from measurements and identifiers."""

from typing import Any

import numpy as np
import pandas as pd

from okrcell.errors import InputError

MAX_GROUPS = 1000
"""A column with more distinct values than this is a measurement or an identifier, not a grouping."""
MAX_SMALL_GROUPS = 50
"""Number of distinct values from which groups must have `MIN_MEAN_SIZE` cells on average."""
MIN_MEAN_SIZE = 5
MAX_NUMBERED_GROUPS = 100
"""Number of distinct numbers from which groups must have `MIN_NUMBERED_SIZE` cells on average: beyond, they are counts."""
MIN_NUMBERED_SIZE = 20
BARCODE = r"[ACGTN]{10,}"


def is_grouping(column: pd.Series) -> bool:
    """Whether a column groups cells, rather than measures or names each of them; missing values do not count."""
    values = pd.Series(column[column.notna() & (column.astype(object) != "")])
    n_cells, n_values = len(values), int(values.nunique())
    if n_values < 2:
        return True
    is_number = isinstance(values.dtype, np.dtype) and values.dtype.kind in "iuf"
    if is_number and bool((values.to_numpy(dtype=np.float64) % 1 != 0).any()):
        return False
    if n_values > MAX_GROUPS or (n_values > MAX_SMALL_GROUPS and n_cells < MIN_MEAN_SIZE * n_values):
        return False
    if is_number and n_values > MAX_NUMBERED_GROUPS and n_cells < MIN_NUMBERED_SIZE * n_values:
        return False
    return 2 * n_values < n_cells or not _are_identifiers(values)


def _are_identifiers(values: pd.Series) -> bool:
    """Whether most values are the names of their cells, or barcodes."""
    texts = values.astype(str)
    is_name = texts.to_numpy(dtype=object) == texts.index.astype(str).to_numpy(dtype=object)
    return float(is_name.mean()) > 0.5 or float(texts.str.contains(BARCODE).mean()) > 0.5


def check_grouping(column: Any, key: str, hint: str) -> None:
    """Check that a column of obs groups the cells.

    Parameters
    ----------
    column
        The column, a Series indexed by the names of the cells.
    key
        Its name.
    hint
        What to pass instead, for the error message.

    Raises
    ------
    InputError
        If it holds measurements, barcodes or other values that differ from cell to cell.
    """
    if not is_grouping(column):
        values = column.dropna()
        raise InputError(
            f"obs['{key}'] has {values.nunique():,} different values for {len(column):,} cells, such as {values.iloc[0]}: "
            f"that is no grouping. {hint}"
        )
