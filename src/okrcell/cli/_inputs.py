"""Checks of input files and keys that need neither anndata nor a model, so that mistakes are reported at once."""

from pathlib import Path

from okrcell.cells.slot_keys import RequestedKeys, read_slot_keys
from okrcell.errors import InputError


def check_cells(cells: Path, keys: RequestedKeys | None = None) -> None:
    """Check that a file of cells exists and, if it is an h5ad file, has the keys that options name.

    Files of other formats are checked by `okrcell.cli._common.read_cells`.

    Raises
    ------
    InputError
        If the file or a key does not exist.
    """
    if not cells.exists():
        raise InputError(f"There is no file {cells}. Check the path.")
    stored = None if keys is None else read_slot_keys(cells)
    if keys is not None and stored is not None:
        keys.check(stored)
