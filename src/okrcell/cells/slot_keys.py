"""Keys of the slots of a file of cells; of an h5ad file they are read without its cells and without anndata."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from okrcell.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class SlotKeys:
    """Keys of the slots of a file of cells."""

    obs: tuple[str, ...]
    """Columns of obs."""
    obsm: tuple[str, ...]
    matrices: tuple[str, ...]
    """The stored ones of "X" and "raw", and "layers['…']" for each layer."""

    @classmethod
    def from_anndata(cls, adata: "AnnData") -> "SlotKeys":
        """Keys of cells that are open."""
        present: dict[str, Any] = {"X": adata.X, "raw": adata.raw}
        matrices = [name for name, matrix in present.items() if matrix is not None]
        return cls(tuple(map(str, adata.obs)), tuple(adata.obsm), (*matrices, *map(layer_source, adata.layers)))


@dataclass(frozen=True)
class RequestedKeys:
    """Keys that the options of a command name; None for an option that is not used."""

    columns: Mapping[str, str | None] | None = None
    """Column of obs by option."""
    layer: str | None = None
    """A layer, "X" or "raw"."""
    use_rep: str | None = None
    """Key of obsm."""

    @property
    def used_columns(self) -> dict[str, str]:
        """Column of obs by option, of the options that are used."""
        return {option: column for option, column in (self.columns or {}).items() if column is not None}

    def check(self, keys: SlotKeys) -> None:
        """Check that a file of cells has the keys.

        Raises
        ------
        InputError
            If one does not exist.
        """
        for option, column in self.used_columns.items():
            if column not in keys.obs:
                raise missing_column_error(keys.obs, column, option)
        if self.layer is not None:
            matrix_source(self.layer, keys.matrices)
        if self.use_rep is not None and self.use_rep not in keys.obsm:
            raise missing_obsm_error(keys.obsm, self.use_rep)


def layer_source(name: str) -> str:
    """Name of a layer among the matrices of a file."""
    return f"layers['{name}']"


def matrix_source(layer: str, matrices: Collection[str]) -> str:
    """Name of the matrix that the option ``layer`` asks for: "X" or "raw" if it is stored, otherwise the layer.

    Raises
    ------
    InputError
        If the matrix does not exist.
    """
    source = layer if layer in matrices else layer_source(layer)
    if source not in matrices:
        raise InputError(f"There is no {source} in this file. There are: {', '.join(matrices)}.")
    return source


def missing_column_error(columns: Collection[str], key: str, option: str) -> InputError:
    """Error that lists similar columns, or all columns if none is similar."""
    similar = get_close_matches(key, columns, n=3)
    hint = f"similar columns are {', '.join(similar)}" if similar else f"it has {', '.join(columns) or 'none'}"
    return InputError(f"obs has no column '{key}'; {hint}. Pass an existing column: {option}.")


def missing_obsm_error(keys: Collection[str], key: str) -> InputError:
    """Error that lists the keys of obsm."""
    return InputError(f"There is no {key} in obsm, which has: {', '.join(keys) or 'nothing'}. Change use_rep.")


def read_slot_keys(path: Path) -> SlotKeys | None:
    """Return the keys of an h5ad file; None if the file has another format or cannot be read."""
    import h5py

    if not path.is_file() or not h5py.is_hdf5(path):
        return None
    try:
        with h5py.File(path, "r") as file:
            # A link to another file is not followed; in a MuData file obs is not that of the genes.
            is_link = any(not isinstance(file.get(name, getlink=True), h5py.HardLink) for name in file)
            if "mod" in file or "obs" not in file or "var" not in file or is_link:
                return None
            obs, obsm, layers = (_keys_of(file.get(slot)) for slot in ("obs", "obsm", "layers"))
            matrices = ["X"] if _is_stored(file, "X") else []
            matrices += ["raw"] if _is_stored(file, "raw") or "raw.X" in file else []  # the latter before anndata 0.7
            return SlotKeys(
                obs if hasattr(file["obs"], "keys") else obs[1:], obsm, (*matrices, *map(layer_source, layers))
            )
    except (OSError, KeyError, RuntimeError, TypeError, ValueError):
        return None


def _keys_of(slot: Any) -> tuple[str, ...]:
    """Keys of a group, or of a table as anndata wrote it before 0.7, in which the index comes first."""
    if slot is None:
        return ()
    if not hasattr(slot, "keys"):
        return tuple(slot.dtype.names or ())
    return tuple(str(name) for name in slot if name not in (slot.attrs.get("_index", "_index"), "__categories"))


def _is_stored(file: Any, name: str) -> bool:
    return name in file and file[name].attrs.get("encoding-type") != "null"
