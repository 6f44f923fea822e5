"""Open a file of cells, whatever its format."""

import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
from anndata import AnnData

from okrcell.cells import formats
from okrcell.errors import InputError, OkrcellError

KNOWN = "h5ad, zarr, 10x .h5, 10x folder with matrix.mtx, loom, csv or tsv (also .gz)"
TABLES = (".csv", ".tsv", ".txt", ".tab")
NEVER = {
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
    """Open cells without reading their expression: of h5ad and zarr only names, labels and embeddings are in memory.

    The format is told from the contents, not from the name alone. No code stored in a file is ever run.
    Pairwise graphs (``obsp``, ``varp``) are not read.

    Raises
    ------
    InputError
        If the file is missing, truncated or damaged, or of no known format.
    MissingExtraError
        If an optional package is needed for the format.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"There is no file {path}.")
    try:
        with warnings.catch_warnings():
            # rows are kept by place and repeated genes are summed, so repeated names do no harm here
            warnings.filterwarnings("ignore", message=".*names are not unique.*")
            warnings.filterwarnings("ignore", message=".*(very old version|without encoding metadata).*")
            return reader(path)(path)
    except OkrcellError:
        raise
    except Exception as error:  # noqa: BLE001 - a stranger's file may fail in any way; its reader gets one line
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path} cannot be read; it is damaged, truncated or of another format ({reason}).") from None


def reader(path: Path) -> Callable[[Path], AnnData]:
    """Choose how to read ``path``.

    Raises
    ------
    InputError
        If the format is not one of those known.
    """
    if path.is_dir():
        if any((path / name).exists() for name in (".zattrs", ".zgroup", "zarr.json")):
            return formats.read_zarr
        if any(path.glob("*matrix.mtx*")):
            return formats.read_mtx
        raise InputError(f"The folder {path} holds neither a zarr store nor matrix.mtx; known are: {KNOWN}.")
    if path.suffix.lower() in NEVER:
        raise InputError(f"{path} is {NEVER[path.suffix.lower()]}.")
    with path.open("rb") as file:
        start = file.read(8)
    if not start:
        raise InputError(f"{path} is empty.")
    if start == HDF5_MAGIC:
        return _hdf5_reader(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = suffixes[-2:-1] if suffixes[-1:] == [".gz"] else suffixes[-1:]
    if kind and kind[0] in TABLES:
        return formats.read_table
    if ".mtx" in suffixes:
        raise InputError(
            f"{path} is a matrix without its names: give the folder {path.parent} that holds all three files."
        )
    raise InputError(f"{path} is of no known format, or damaged from its first byte; known are: {KNOWN}.")


def _hdf5_reader(path: Path) -> Callable[[Path], AnnData]:
    try:
        with h5py.File(path, "r") as file:
            keys = set(file)
            groups = [set(part) for part in file.values() if isinstance(part, h5py.Group)]
    except OSError as error:
        raise InputError(f"{path} is truncated or damaged: {' '.join(str(error).split())}.") from None
    if {"matrix", "row_attrs", "col_attrs"} <= keys:
        return formats.read_loom
    if {"obs", "var"} <= keys:
        return formats.read_h5ad
    if any({"barcodes", "indptr"} <= group for group in groups):
        return formats.read_10x_h5
    raise InputError(
        f"{path} is HDF5, but neither h5ad, 10x nor loom; it holds: {', '.join(sorted(keys)) or 'nothing'}."
    )
