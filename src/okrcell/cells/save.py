"""Write cells with their results as h5ad, atomically."""

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from anndata import AnnData
from anndata.io import read_elem, write_elem

from okrcell.errors import InputError, OkrcellError
from okrcell.storage import atomic_file

OKRCELL_KEY = "okrcell"
"""Keys of ``obsm`` and ``uns`` that contain this word are ours and are overwritten."""


def save_cells(adata: AnnData, path: str | Path, *, source: str | Path | None = None) -> None:
    """Write ``adata`` as h5ad.

    If ``source`` is the h5ad file that ``adata`` was read from, it is copied, and only ``obs`` and the new entries of
    ``obsm`` and ``uns`` are written to the copy: expression is never loaded, and the rest of the file is unchanged.

    Raises
    ------
    InputError
        If ``path`` does not end in .h5ad or cannot be written, if a slot cannot be stored, or if ``source`` contains other
        cells.
    """
    path = Path(path)
    if path.suffix.lower() != ".h5ad":
        raise InputError(f"Results are written as h5ad, so the name must end in .h5ad; seen: {path}.")
    with atomic_file(path) as temp_path:
        try:
            if source is not None and _is_h5ad(Path(source)):
                shutil.copyfile(source, temp_path)
                _write_results(adata, temp_path, Path(source))
            else:
                adata.write_h5ad(temp_path)
        except OkrcellError:
            raise
        except Exception as error:  # for example a full disk, or a value that h5ad cannot store
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise InputError(f"{path} cannot be written ({reason}).") from error


def _write_results(adata: AnnData, temp_path: Path, source: Path) -> None:
    with h5py.File(temp_path, "r+") as file:
        names = _obs_names(file["obs"])
        if not np.array_equal(names.astype(str), adata.obs_names.astype(str)):
            raise InputError(f"{source} contains other cells ({len(names)}) than those to be saved ({adata.n_obs}).")
        write_elem(file, "obs", adata.obs)
        for slot, values in (("obsm", adata.obsm), ("uns", adata.uns)):
            group: Any = file.require_group(slot)
            for name, value in values.items():
                if name not in group or OKRCELL_KEY in name:
                    write_elem(group, name, value)


def _obs_names(obs: Any) -> Any:
    table: Any = read_elem(obs)
    return table.index


def _is_h5ad(path: Path) -> bool:
    if not h5py.is_hdf5(path):
        return False
    with h5py.File(path, "r") as file:
        return {"obs", "var"} <= set(file) and "encoding-type" in file["obs"].attrs
