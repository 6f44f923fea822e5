"""Checks of input files and columns that need neither anndata nor a model, so that mistakes are reported at once."""

from collections.abc import Mapping
from pathlib import Path

from okrcell.errors import InputError


def check_cells(cells: Path, columns: Mapping[str, str | None] | None = None) -> None:
    """Check that a file of cells exists and, if it is an h5ad file, has the columns of obs that options name.

    Parameters
    ----------
    cells
        The file.
    columns
        Column by option; None for an option that is not used.

    Raises
    ------
    InputError
        If the file or a column does not exist.
    """
    from okrcell.cells.obs_columns import check_obs_column

    if not cells.exists():
        raise InputError(f"There is no file {cells}. Check the path.")
    for option, column in (columns or {}).items():
        if column is not None:
            check_obs_column(cells, column, option)
