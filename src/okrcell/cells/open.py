"""Open a file of cells: detect the format and read it lazily."""

import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
from anndata import AnnData

from okrcell.cells import io as formats
from okrcell.errors import InputError, OkrcellError

SUPPORTED_FORMATS = "h5ad, zarr, 10x .h5, 10x folder with matrix.mtx, loom, csv or tsv (also .gz)"
TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".tab")
UNSUPPORTED_SUFFIXES = {
    ".rds": "an R object: write it as h5ad first (for example with zellkonverter or sceasy)",
    ".rdata": "an R object: write it as h5ad first (for example with zellkonverter or sceasy)",
    ".rda": "an R object: write it as h5ad first (for example with zellkonverter or sceasy)",
    ".pkl": "a pickle, which could run code when opened: write it as h5ad first",
    ".pickle": "a pickle, which could run code when opened: write it as h5ad first",
    ".joblib": "a pickle, which could run code when opened: write it as h5ad first",
    ".h5seurat": "a Seurat object: write it as h5ad first (SeuratDisk::Convert)",
}
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


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
            return formats.read_zarr
        if any(path.glob("*matrix.mtx*")):
            return formats.read_mtx
        raise InputError(
            f"The folder {path} contains neither a zarr store nor matrix.mtx. Supported formats: {SUPPORTED_FORMATS}."
        )
    if path.suffix.lower() in UNSUPPORTED_SUFFIXES:
        raise InputError(f"{path} is {UNSUPPORTED_SUFFIXES[path.suffix.lower()]}.")
    with path.open("rb") as file:
        magic = file.read(8)
    if not magic:
        raise InputError(f"{path} is empty.")
    if magic == HDF5_MAGIC:
        return _select_hdf5_reader(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    table_suffix = suffixes[-2:-1] if suffixes[-1:] == [".gz"] else suffixes[-1:]
    if table_suffix and table_suffix[0] in TABLE_SUFFIXES:
        return formats.read_text_table
    if ".mtx" in suffixes:
        raise InputError(
            f"{path} is a matrix without gene and cell names: pass the folder {path.parent} with all three files."
        )
    raise InputError(f"{path} has an unknown format or is damaged. Supported formats: {SUPPORTED_FORMATS}.")


def _select_hdf5_reader(path: Path) -> Callable[[Path], AnnData]:
    try:
        with h5py.File(path, "r") as file:
            keys = set(file)
            groups = [set(member) for member in file.values() if isinstance(member, h5py.Group)]
    except OSError as error:
        raise InputError(f"{path} is truncated or damaged: {' '.join(str(error).split())}.") from None
    if {"matrix", "row_attrs", "col_attrs"} <= keys:
        return formats.read_loom
    if {"obs", "var"} <= keys:
        return formats.read_h5ad
    if any({"barcodes", "indptr"} <= group for group in groups):
        return formats.read_10x_h5
    raise InputError(
        f"{path} is HDF5, but neither h5ad, 10x nor loom; it contains: {', '.join(sorted(keys)) or 'nothing'}."
    )
