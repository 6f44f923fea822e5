"""Save what was learned about cells, whole or not at all."""

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from anndata import AnnData
from anndata.io import read_elem, write_elem

from okrcell.errors import InputError, OkrcellError
from okrcell.files import whole_file

OURS = "okrcell"
"""Slots with this word in their name are ours and are written anew."""


def save_cells(adata: AnnData, path: str | Path, *, source: str | Path | None = None) -> None:
    """Write ``adata`` as h5ad.

    If ``source`` is the h5ad file that ``adata`` came from, it is copied and only ``obs`` and what was added to
    ``obsm`` and ``uns`` is written into the copy: expression is never in memory, and all else in the file
    stays as it was.

    Raises
    ------
    InputError
        If ``path`` is no h5ad or cannot be written, if a slot cannot be stored, or if ``source`` holds other cells.
    """
    path = Path(path)
    if path.suffix.lower() != ".h5ad":
        raise InputError(f"Results are written as h5ad, so the name must end in .h5ad; seen: {path}.")
    with whole_file(path) as draft:
        try:
            if source is not None and _is_h5ad(Path(source)):
                shutil.copyfile(source, draft)
                _add(adata, draft, Path(source))
            else:
                adata.write_h5ad(draft)
        except OkrcellError:
            raise
        except Exception as error:  # from a full disk to a value that h5ad has no form for
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise InputError(f"{path} cannot be written ({reason}).") from error


def _add(adata: AnnData, draft: Path, source: Path) -> None:
    with h5py.File(draft, "r+") as file:
        names = _index(file["obs"])
        if not np.array_equal(names.astype(str), adata.obs_names.astype(str)):
            raise InputError(f"{source} holds other cells than those to be saved: {len(names)} against {adata.n_obs}.")
        write_elem(file, "obs", adata.obs)
        for slot, values in (("obsm", adata.obsm), ("uns", adata.uns)):
            group: Any = file.require_group(slot)
            for name, value in values.items():
                if name not in group or OURS in name:
                    write_elem(group, name, value)


def _index(obs: Any) -> Any:
    table: Any = read_elem(obs)
    return table.index


def _is_h5ad(path: Path) -> bool:
    if not h5py.is_hdf5(path):
        return False
    with h5py.File(path, "r") as file:
        return {"obs", "var"} <= set(file) and "encoding-type" in file["obs"].attrs
