"""Read h5ad, zarr, 10x, mtx, loom, csv and tsv files; write results to h5ad."""

import json
import shutil
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import anndata
import h5py
import numpy as np
import pandas as pd
from anndata import AnnData
from anndata import read_h5ad as read_whole_h5ad
from anndata.io import write_elem

from okrcell.cells.findings import add_read_findings
from okrcell.cells.loom import read_loom
from okrcell.cells.matrix_folders import has_matrix, read_mtx
from okrcell.cells.store_checks import check_hdf5, check_zarr_folder, check_zarr_group
from okrcell.cells.stored_anndata import (
    check_filters,
    choose_modality,
    find_zarr_table,
    misaligned_entries,
    read_element,
    read_stored_anndata,
)
from okrcell.cells.tenx_h5 import read_10x_h5
from okrcell.errors import InputError, MissingExtraError, OkrcellError
from okrcell.storage import FILE_ERRORS, atomic_file, error_number

SUPPORTED_FORMATS = "h5ad, h5mu, zarr, 10x .h5, folder with matrix.mtx, loom, csv or tsv (also .gz)"
TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".tab")
UNSUPPORTED_SUFFIXES = {
    ".rds": "an R object: write it as h5ad first (for example with zellkonverter or sceasy)",
    ".rdata": "an R object: write it as h5ad first (for example with zellkonverter or sceasy)",
    ".rda": "an R object: write it as h5ad first (for example with zellkonverter or sceasy)",
    ".pkl": "a pickle, which could run code when opened: write it as h5ad first",
    ".pickle": "a pickle, which could run code when opened: write it as h5ad first",
    ".joblib": "a pickle, which could run code when opened: write it as h5ad first",
    ".h5seurat": "a Seurat object: write it as h5ad first (SeuratDisk::Convert)",
    ".xlsx": "an Excel workbook: save the sheet as csv first",
    ".xls": "an Excel workbook: save the sheet as csv first",
}
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
COMPRESSIONS = {
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"PK\x03\x04": ("zip", "unzip"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ": ("xz", "unxz"),
}
"""First bytes of compressed files, name of the compression and command that unpacks them."""
OKRCELL_KEY = "okrcell"
"""Keys of ``obsm`` and ``uns`` that contain this word are ours and are overwritten."""


def open_cells(path: str | Path) -> AnnData:
    """Open a file of cells; for h5ad and zarr expression stays on disk.

    The format is detected from the contents, not from the file name alone. No code stored in a file is run. Pairwise
    matrices (``obsp``, ``varp``) are not read.

    Raises
    ------
    InputError
        If the file is missing, truncated, damaged or of an unsupported format.
    MissingExtraError
        If an optional package is needed for the format.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"There is no file {path}. Check the path.")
    if not (path.is_file() or path.is_dir()):
        raise InputError(f"{path} is a pipe or a device, which cannot be read twice. Save the cells to a file first.")
    try:
        with warnings.catch_warnings():
            # Cells are addressed by position and duplicated genes are summed, so duplicated names are harmless.
            warnings.filterwarnings("ignore", message=".*names are not unique.*")
            warnings.filterwarnings("ignore", message=".*(very old version|without encoding metadata).*")
            return select_reader(path)(path)
    except OkrcellError:
        raise
    except Exception as error:  # noqa: BLE001 - a foreign file may fail in any way; the user gets one line
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path} cannot be read: it is damaged, truncated or of another format ({reason}).") from None


def select_reader(path: Path) -> Callable[[Path], AnnData]:
    """Select the reader for ``path``.

    Raises
    ------
    InputError
        If the format is not supported.
    """
    if path.is_dir():
        if any((path / name).exists() for name in (".zattrs", ".zgroup", "zarr.json")):
            return read_zarr
        if has_matrix(path):
            return read_mtx
        raise InputError(_folder_message(path))
    if path.suffix.lower() in UNSUPPORTED_SUFFIXES:
        raise InputError(f"{path} is {UNSUPPORTED_SUFFIXES[path.suffix.lower()]}.")
    with path.open("rb") as file:
        magic = file.read(8)
    if not magic:
        raise InputError(f"{path} is empty.")
    if magic == HDF5_MAGIC or h5py.is_hdf5(path):  # MuData begins with a block of its own
        return _select_hdf5_reader(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    table_suffix = suffixes[-2:-1] if suffixes[-1:] == [".gz"] else suffixes[-1:]
    if table_suffix and table_suffix[0] in TABLE_SUFFIXES:
        from okrcell.cells.text_tables import read_text_table

        return read_text_table
    if ".mtx" in suffixes:
        return read_mtx
    raise InputError(_unknown_format_message(path, magic))


def _select_hdf5_reader(path: Path) -> Callable[[Path], AnnData]:
    try:
        with h5py.File(path, "r") as file:
            check_filters(file, path)
            check_hdf5(file, path)
            keys = set(file)
            is_mudata = "mod" in keys or file.attrs.get("encoding-type") == "MuData"
            groups = [set(member) for member in file.values() if isinstance(member, h5py.Group)]
    except OSError as error:
        raise InputError(f"{path} is truncated or damaged: {' '.join(str(error).split())}.") from None
    if {"matrix", "row_attrs", "col_attrs"} <= keys:
        return read_loom
    if is_mudata:
        return read_h5mu
    if {"obs", "var"} <= keys:
        return read_h5ad
    if any({"barcodes", "indptr"} <= group for group in groups):
        return read_10x_h5
    raise InputError(
        f"{path} is HDF5, but neither h5ad, h5mu, 10x nor loom; it contains: {', '.join(sorted(keys)) or 'nothing'}."
    )


def _folder_message(path: Path) -> str:
    """Say what a folder should contain, and which folders within it could be read."""
    inner = sorted(folder.name for folder in path.iterdir() if folder.is_dir() and has_matrix(folder))
    hint = f" Pass one of the folders within it: {', '.join(inner)}." if inner else ""
    return (
        f"The folder {path} contains neither a zarr store nor matrix.mtx. Supported formats: {SUPPORTED_FORMATS}.{hint}"
    )


def _unknown_format_message(path: Path, magic: bytes) -> str:
    """Say how to unpack a compressed file or an archive."""
    if ".tar" in path.suffixes or path.suffix.lower() == ".tgz":
        return f"{path} is an archive of several files: unpack it (tar -xf {path.name}) and pass one sample of it."
    for start, (compression, command) in COMPRESSIONS.items():
        if magic.startswith(start) and (compression != "zip" or path.suffix.lower() == ".zip"):
            return f"{path} is compressed with {compression}: unpack it first ({command} {path.name})."
    return f"{path} has an unknown format or is damaged. Supported formats: {SUPPORTED_FORMATS}."


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
            with _storage_settings():
                if source is not None and _is_h5ad(Path(source)):
                    shutil.copyfile(source, temp_path)
                    _write_results(adata, temp_path, Path(source))
                else:
                    adata.write_h5ad(temp_path)
        except OkrcellError:
            raise
        except Exception as error:  # for example a value that h5ad cannot store
            if error_number(error) in FILE_ERRORS:
                raise  # a full disk, for example, is explained by atomic_file
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise InputError(f"{path} cannot be written ({reason}).") from error


def check_storable(adata: AnnData, source: str | Path) -> None:
    """Check that the tables of ``adata``, which was read from ``source``, can be written as h5ad, before any work.

    Of each column a row of every type of value is written to memory.

    Raises
    ------
    InputError
        If a column cannot be written.
    """
    obs, var = (_rows_of_each_type(pd.DataFrame(table)) for table in (adata.obs, adata.var))
    try:
        with _storage_settings(), h5py.File("trial", "w", driver="core", backing_store=False) as file:
            if _is_h5ad(Path(source)):  # var is copied with the file
                write_elem(file, "obs", obs)
            else:
                trial = AnnData(obs=obs, var=var)
                trial.strings_to_categoricals()  # as write_h5ad does
                write_elem(file, "trial", trial)
                if cast(Any, adata.raw) is not None:
                    write_elem(file, "raw", _rows_of_each_type(pd.DataFrame(adata.raw.var)))
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(
            f"The columns of {source} cannot be written as h5ad ({reason}). Rename or convert the column, or leave it out."
        ) from error


def _rows_of_each_type(table: pd.DataFrame) -> pd.DataFrame:
    """The first row and, for each column of objects, the first row with a value of each type; all of them twice."""
    rows = {0} if len(table) else set[int]()
    for column in range(table.shape[1]):
        if pd.api.types.is_object_dtype(table.dtypes.iloc[column]):
            types = [type(value).__name__ for value in table.iloc[:, column]]
            rows.update(map(types.index, set(types)))
    return table.iloc[2 * sorted(rows)]  # twice, because anndata stores words that repeat in another way


@contextmanager
def _storage_settings() -> Generator[None]:
    """Let anndata write strings that may be missing and names with "/" as it read them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*([Ff]orward slashes|names are not unique).*")
        if hasattr(anndata.settings, "allow_write_nullable_strings"):
            with anndata.settings.override(allow_write_nullable_strings=True):
                yield
        else:
            yield


def _write_results(adata: AnnData, temp_path: Path, source: Path) -> None:
    with h5py.File(temp_path, "r") as file:
        check_hdf5(file, source)
    with h5py.File(temp_path, "r+") as file:
        names = read_element(file["obs"]).index
        if not np.array_equal(names.astype(str), adata.obs_names.astype(str)):
            raise InputError(f"{source} contains other cells ({len(names)}) than those to be saved ({adata.n_obs}).")
        for slot, name in list(misaligned_entries(file)):
            del file[f"{slot}/{name}"]
        if cast(Any, adata.raw) is None and "raw" in file:  # it was left out at reading
            del file["raw"]
        write_elem(file, "obs", adata.obs)
        for slot, values in (("obsm", adata.obsm), ("uns", adata.uns)):
            group: Any = file.require_group(slot)
            for name, value in values.items():
                if name not in group or OKRCELL_KEY in name:
                    write_elem(group, name, value)


def _is_h5ad(path: Path) -> bool:
    if not h5py.is_hdf5(path):
        return False
    with h5py.File(path, "r") as file:
        return {"obs", "var"} <= set(file) and "mod" not in file and "encoding-type" in file["obs"].attrs


def read_h5ad(path: Path) -> AnnData:
    """Read an h5ad file; X, raw and layers stay on disk."""
    file = h5py.File(path, "r")
    if "encoding-type" not in file["obs"].attrs:  # written before anndata 0.7
        file.close()
        return read_whole_h5ad(path, backed="r")
    return read_stored_anndata(file)


def read_h5mu(path: Path) -> AnnData:
    """Read the modality of genes of a MuData file; X, raw and layers stay on disk."""
    file = h5py.File(path, "r")
    modalities: Any = file["mod"]
    name, findings = choose_modality(modalities, path)
    return add_read_findings(read_stored_anndata(modalities[name]), findings)


def read_zarr(path: Path) -> AnnData:
    """Read a zarr store, or the only table of a SpatialData or MuData store; X, raw and layers stay on disk."""
    try:
        import zarr
    except ImportError:
        raise MissingExtraError("zarr", "zarr", f"Reading the zarr store {path}") from None
    check_zarr_folder(path)
    table, findings = find_zarr_table(path)
    for metadata in (file for name in (".zarray", ".zmetadata", "zarr.json") for file in table.rglob(name)):
        if _uses_pickle(json.loads(metadata.read_text(encoding="utf-8"))):
            raise InputError(f"{path} holds pickled objects ({metadata}), which could run code, so it is not opened.")
    group = zarr.open_group(table, mode="r")
    check_zarr_group(group, path)
    return add_read_findings(read_stored_anndata(group), findings)


def _uses_pickle(metadata: Any) -> bool:
    if isinstance(metadata, Mapping):
        codec = (metadata.get("id"), metadata.get("name"))
        return any("pickle" in str(codec_name) for codec_name in codec) or any(
            _uses_pickle(value) for value in metadata.values()
        )
    return isinstance(metadata, list) and any(_uses_pickle(value) for value in metadata)
