"""Checks of HDF5 files and zarr stores before anything in them is read: nothing outside the file, no impossible sizes."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5l  # pyright: ignore[reportAttributeAccessIssue] - not in the stubs

from okrcell.errors import InputError

MIN_SUSPECT_SIZE = 512 << 20
"""Arrays up to this size in memory, in bytes, are read whatever their size on disk."""
MAX_COMPRESSION = 2000
"""Maximum ratio of an array's size in memory to its size on disk; deflate reaches 1,032."""
UNREAD_SLOTS = ("obsp", "varp")
"""Slots of pairwise matrices, which are never read."""


def check_hdf5(file: h5py.File, path: Path) -> None:
    """Check that a file holds all its data itself, and that no array is larger in memory than its bytes on disk allow.

    An external link or external storage would read, or write to, another file of the user.

    Raises
    ------
    InputError
        If the file has an external link, external storage, a virtual dataset or an array of impossible size.
    """

    def is_outward(name: bytes, info: Any) -> bytes | None:
        return None if info.type in (h5l.TYPE_HARD, h5l.TYPE_SOFT) else name

    def check_object(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            _check_dataset(name, item, path)

    link = file.id.links.visit(is_outward, info=True)
    if link is not None:
        raise InputError(_outside_message(path, link.decode(errors="replace"), "is a link to another file"))
    file.visititems(check_object)


def _check_dataset(name: str, dataset: h5py.Dataset, path: Path) -> None:
    if dataset.is_virtual:
        raise InputError(_outside_message(path, name, "is a virtual dataset, which takes its values from other files"))
    if dataset.id.get_create_plist().get_external_count():
        raise InputError(_outside_message(path, name, "stores its values in another file"))
    n_values = math.prod(dataset.shape or ())
    check_array_size(n_values * dataset.dtype.itemsize, dataset.id.get_storage_size(), f"{name} of {path}")


def _outside_message(path: Path, name: str, problem: str) -> str:
    return (
        f"{path} is not opened, because {name} {problem}. Write the cells anew, with all their data in one file: "
        "anndata.read_h5ad(...).write_h5ad(...)."
    )


def check_array_size(n_bytes: int, n_stored: int, name: str) -> None:
    """Check that an array of ``n_bytes`` in memory can come from ``n_stored`` bytes on disk.

    Raises
    ------
    InputError
        If it cannot.
    """
    if n_bytes > max(MIN_SUSPECT_SIZE, MAX_COMPRESSION * n_stored):
        raise InputError(
            f"{name} claims {n_bytes:,} bytes in memory, but has {n_stored:,} bytes on disk: it is damaged or made to "
            "exhaust memory. Fetch or write the file again."
        )


def check_sparse_group(group: Any) -> None:
    """Check that the parts of a stored sparse matrix fit each other, before its values are read.

    Raises
    ------
    ValueError
        If a part is missing or has another length, or a row holds more values than the matrix has columns.
    """
    try:
        shape = [int(length) for length in group.attrs["shape"]]
        indptr, indices, data = (group[part] for part in ("indptr", "indices", "data"))
        n_major, n_minor = shape if group.attrs["encoding-type"] == "csr_matrix" else reversed(shape)
        fits = (
            min(shape) >= 0
            and indptr.shape == (n_major + 1,)
            and indices.shape == data.shape
            and data.ndim == 1
            and indptr.dtype.kind in "iu"
            and indices.dtype.kind in "iu"
        )
        widths = np.diff(indptr[:].astype(np.int64)) if fits else np.zeros(0, dtype=np.int64)
        fits = fits and bool(((widths >= 0) & (widths <= n_minor)).all()) and int(widths.sum()) <= data.shape[0]
    except (KeyError, TypeError, ValueError, AttributeError):
        fits = False
    if not fits:
        raise ValueError(f"indptr, indices and data of {str(group.name).strip('/')} make no matrix of its shape")


def check_zarr_folder(path: Path) -> None:
    """Check that a zarr store on disk consists of regular files, none of them outside of its folder.

    Raises
    ------
    InputError
        If it holds a link out of the folder, a pipe or a device.
    """
    root = path.resolve()
    for entry in _walk(path):
        if entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(root):
            raise InputError(f"{path} is not opened, because {entry.name} is a link out of its folder. Copy the store.")
        if not (entry.is_file() or entry.is_dir()):
            raise InputError(f"{path} is not opened, because {entry.name} is neither a file nor a folder.")


def _walk(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path)


def check_zarr_group(group: Any, path: Path) -> None:
    """Check the sizes of all arrays of a zarr group.

    Raises
    ------
    InputError
        If an array is larger in memory than its bytes on disk allow.
    """
    for array in _zarr_arrays(group):
        n_bytes = math.prod(array.shape) * np.dtype(array.dtype).itemsize
        if n_bytes > MIN_SUSPECT_SIZE:
            stored: Any = array.nbytes_stored
            n_stored: Any = stored() if callable(stored) else stored
            check_array_size(n_bytes, int(n_stored), f"{array.path} of {path}")


def _zarr_arrays(group: Any) -> Iterator[Any]:
    for _, array in group.arrays():
        yield array
    for name, subgroup in group.groups():
        if name not in UNREAD_SLOTS:
            yield from _zarr_arrays(subgroup)
