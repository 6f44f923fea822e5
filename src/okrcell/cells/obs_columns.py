"""Names of the columns of obs, read from an h5ad file without its cells and without anndata."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from okrcell.errors import InputError


def check_obs_column(path: Path, key: str, option: str) -> None:
    """Check that an h5ad file has a column of obs, before anything else of it is read.

    Files of other formats are checked when they are read.

    Raises
    ------
    InputError
        If the column does not exist.
    """
    columns = read_obs_columns(path)
    if columns is not None and key not in columns:
        raise missing_column_error(columns, key, option)


def missing_column_error(columns: Sequence[str], key: str, option: str) -> InputError:
    """Error that lists similar columns, or all columns if none is similar."""
    similar = get_close_matches(key, columns, n=3)
    hint = f"similar columns are {', '.join(similar)}" if similar else f"it has {', '.join(columns) or 'none'}"
    return InputError(f"obs has no column '{key}'; {hint}. Pass an existing column: {option}.")


def read_obs_columns(path: Path) -> list[str] | None:
    """Return the names of the columns of obs; None if the file is no h5ad file or cannot be read."""
    import h5py

    if not path.is_file() or not h5py.is_hdf5(path):
        return None
    try:
        with h5py.File(path, "r") as file:
            # A link to another file is not followed; in a MuData file obs is not that of the genes.
            if "mod" in file or not isinstance(file.get("obs", getlink=True), h5py.HardLink):
                return None
            obs = file["obs"]
            if isinstance(obs, h5py.Group):
                return [str(name) for name in obs if name not in (obs.attrs.get("_index", "_index"), "__categories")]
            return [str(name) for name in obs.dtype.names or ()][1:] if isinstance(obs, h5py.Dataset) else None
    except (OSError, KeyError, RuntimeError, TypeError, ValueError):
        return None
