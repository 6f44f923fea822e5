"""Read h5ad, zarr, 10x, mtx, loom, csv and tsv files; write results to h5ad."""

import gzip
import json
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData
from anndata import read_h5ad as read_whole_h5ad
from anndata.io import read_elem, sparse_dataset, write_elem
from scipy import sparse

from okrcell.cells.genes import GeneTable
from okrcell.errors import InputError, MissingExtraError, OkrcellError
from okrcell.storage import atomic_file

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
OKRCELL_KEY = "okrcell"
"""Keys of ``obsm`` and ``uns`` that contain this word are ours and are overwritten."""
CHUNK_SIZE = 1000
"""Rows of a text table, or cells of a loom file, that are held dense in memory at a time."""


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
            return read_zarr
        if any(path.glob("*matrix.mtx*")):
            return read_mtx
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
        return read_text_table
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
        return read_loom
    if {"obs", "var"} <= keys:
        return read_h5ad
    if any({"barcodes", "indptr"} <= group for group in groups):
        return read_10x_h5
    raise InputError(
        f"{path} is HDF5, but neither h5ad, 10x nor loom; it contains: {', '.join(sorted(keys)) or 'nothing'}."
    )


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


def read_h5ad(path: Path) -> AnnData:
    """Read an h5ad file; X, raw and layers stay on disk."""
    file = h5py.File(path, "r")
    if "encoding-type" not in file["obs"].attrs:  # written before anndata 0.7
        file.close()
        return read_whole_h5ad(path, backed="r")
    return _read_anndata(file)


def read_zarr(path: Path) -> AnnData:
    """Read a zarr store; X, raw and layers stay on disk."""
    try:
        import zarr
    except ImportError:
        raise MissingExtraError("zarr", "zarr", f"Reading the zarr store {path}") from None
    for metadata in (file for name in (".zarray", ".zmetadata", "zarr.json") for file in path.rglob(name)):
        if _uses_pickle(json.loads(metadata.read_text(encoding="utf-8"))):
            raise InputError(f"{path} holds pickled objects ({metadata}), which could run code, so it is not opened.")
    return _read_anndata(zarr.open_group(path, mode="r"))


def read_10x_h5(path: Path) -> AnnData:
    """Read a .h5 file of Cell Ranger, version 2 or later."""
    with h5py.File(path, "r") as file:
        group: Any = next(entry for entry in file.values() if isinstance(entry, h5py.Group) and "barcodes" in entry)
        n_genes, n_cells = (int(length) for length in group["shape"][:])
        arrays = tuple(group[name][:] for name in ("data", "indices", "indptr"))
        if "features" in group:
            features = group["features"]
            var = {"gene_ids": _decode(features["id"]), "feature_types": _decode(features["feature_type"])}
            symbols = _decode(features["name"])
        else:
            var, symbols = {"gene_ids": _decode(group["genes"])}, _decode(group["gene_names"])
        barcodes = _decode(group["barcodes"])
    matrix = sparse.csr_matrix(arrays, shape=(n_cells, n_genes))
    matrix.check_format(full_check=True)
    return AnnData(matrix, obs=pd.DataFrame(index=barcodes), var=pd.DataFrame(var, index=symbols))


def read_mtx(path: Path) -> AnnData:
    """Read the three files of a Cell Ranger folder: matrix.mtx, genes or features, barcodes; each may be gzipped."""
    from scipy.io import mmread

    matrix = cast(Any, sparse.csr_matrix(mmread(_find_file(path, "*matrix.mtx*")).T))
    features = pd.read_csv(_find_file(path, "*features.tsv*", "*genes.tsv*"), sep="\t", header=None, dtype=str)
    barcodes = pd.read_csv(_find_file(path, "*barcodes.tsv*"), sep="\t", header=None, dtype=str)
    if matrix.shape != (len(barcodes), len(features)):
        raise InputError(
            f"The files in {path} do not match: the matrix has {matrix.shape[0]} cells and {matrix.shape[1]} genes, "
            f"but there are {len(barcodes)} barcodes and {len(features)} features."
        )
    var = pd.DataFrame({"gene_ids": features[0].to_numpy()}, index=features[min(1, features.shape[1] - 1)].to_numpy())
    if features.shape[1] > 2:
        var["feature_types"] = features[2].to_numpy()
    return AnnData(matrix, obs=pd.DataFrame(index=barcodes[0].to_numpy()), var=var)


def read_loom(path: Path) -> AnnData:
    """Read a loom file: genes in rows, cells in columns."""
    with h5py.File(path, "r") as file:
        matrix: Any = file["matrix"]
        n_genes, n_cells = matrix.shape
        starts = range(0, n_cells, CHUNK_SIZE)
        parts = [sparse.csr_matrix(np.asarray(matrix[:, start : start + CHUNK_SIZE]).T) for start in starts]
        obs, var = _attributes(file["col_attrs"], n_cells), _attributes(file["row_attrs"], n_genes)
    for table, names in ((obs, ("CellID", "obs_names", "cell_id")), (var, ("Gene", "var_names", "gene", "Accession"))):
        for name in names:
            if name in table:
                table.index = pd.Index(table[name].astype(str).to_numpy())
                break
    if "Accession" in var:
        var["gene_ids"] = var["Accession"]
    return AnnData(sparse.csr_matrix(sparse.vstack(parts, format="csr")), obs=obs, var=var)


def read_text_table(path: Path) -> AnnData:
    """Read a csv or tsv file with names in the first row and column; it is transposed if the genes are in rows.

    Columns of text are kept as annotation in ``obs`` (or ``var``).
    """
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rt", encoding="utf-8", errors="strict") as file:
        header, first_line = file.readline().rstrip("\r\n"), file.readline().rstrip("\r\n")
    separator = max("\t,;", key=header.count)
    fields = [field.strip('"') for field in header.split(separator)]
    if not header.count(separator) or not first_line:
        raise InputError(
            f"{path} must be a table with names in the first row and column, but its first line is: {header[:80]}"
        )
    if len(first_line.split(separator)) == len(fields) + 1:  # R writes no header above the row names
        fields = ["", *fields]
    names, parts, annotation_parts, index = fields[1:], list[Any](), list[pd.DataFrame](), list[str]()
    numeric = np.zeros(0, dtype=np.intp)
    for chunk in _iter_chunks(path, separator, len(fields)):
        index += chunk[0].astype(str).tolist()
        columns = chunk.iloc[:, 1:]
        if not parts:
            numeric = np.flatnonzero([pd.api.types.is_numeric_dtype(dtype) for dtype in columns.dtypes])
        annotation_parts.append(columns.iloc[:, np.setdiff1d(np.arange(len(names)), numeric)])
        parts.append(sparse.csr_matrix(columns.iloc[:, numeric].to_numpy(dtype=np.float32)))
    if not len(numeric):
        raise InputError(f"{path} contains no numeric column.")
    labels = pd.concat(annotation_parts, ignore_index=True)
    labels.columns = [names[int(column) - 1] for column in labels.columns]
    labels.index = pd.Index(index)
    matrix = sparse.csr_matrix(sparse.vstack(parts, format="csr"))
    column_names = pd.DataFrame(index=pd.Index([names[column] for column in numeric]))
    if _gene_coverage(index) > _gene_coverage(list(column_names.index)):
        return AnnData(sparse.csr_matrix(matrix.T), obs=column_names, var=labels)
    return AnnData(matrix, obs=labels, var=column_names)


def _read_anndata(store: Any) -> AnnData:
    """Build an AnnData from an h5ad file or zarr store; matrices stay on disk."""
    layers = {name: _on_disk(store["layers"][name]) for name in store.get("layers", ())}
    raw = None
    if "raw" in store and "X" in store["raw"]:
        raw = {"X": _on_disk(store["raw"]["X"]), "var": _read_element(store["raw"]["var"])}
    return AnnData(
        X=_on_disk(store["X"]) if "X" in store else None,
        obs=_read_element(store["obs"]),
        var=_read_element(store["var"]),
        uns=_read_readable(store, "uns"),
        obsm=_read_readable(store, "obsm"),
        varm=_read_readable(store, "varm"),
        layers=layers,
        raw=raw,
    )


def _read_element(element: Any) -> Any:
    return read_elem(element)


def _on_disk(element: Any) -> Any:
    if str(element.attrs.get("encoding-type", "")) in ("csr_matrix", "csc_matrix"):
        return sparse_dataset(element)
    return element if hasattr(element, "shape") else _read_element(element)


def _read_readable(store: Any, name: str) -> dict[str, Any]:
    """Read all readable elements of a slot; warn about the others, so that an odd entry of ``uns`` does not block the file."""
    elements: dict[str, Any] = {}
    for key in store.get(name, ()):
        try:
            elements[key] = _read_element(store[name][key])
        except Exception as error:  # noqa: BLE001 - an unknown encoding may fail in any way
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            warnings.warn(f"{name}['{key}'] cannot be read and is ignored ({reason}).", stacklevel=2)
    return elements


def _uses_pickle(metadata: Any) -> bool:
    if isinstance(metadata, Mapping):
        codec = (metadata.get("id"), metadata.get("name"))
        return any("pickle" in str(codec_name) for codec_name in codec) or any(
            _uses_pickle(value) for value in metadata.values()
        )
    return isinstance(metadata, list) and any(_uses_pickle(value) for value in metadata)


def _attributes(group: Any, length: int) -> pd.DataFrame:
    columns = {name: attribute for name, attribute in group.items() if attribute.shape == (length,)}
    index = pd.RangeIndex(length).astype(str)
    values = {
        name: _decode(attribute) if attribute.dtype.kind in "OS" else attribute[:]
        for name, attribute in columns.items()
    }
    return pd.DataFrame(values, index=index)


def _decode(values: Any) -> Any:
    return np.array([value.decode() if isinstance(value, bytes) else str(value) for value in values[:]], dtype=object)


def _find_file(path: Path, *patterns: str) -> Path:
    files = [file for pattern in patterns for file in sorted(path.glob(pattern))]
    if not files:
        raise InputError(f"The folder {path} must contain a file {' or '.join(patterns)}, but there is none.")
    return files[0]


def _iter_chunks(path: Path, separator: str, width: int) -> Iterator[pd.DataFrame]:
    names = list(range(width))
    with pd.read_csv(
        path, sep=separator, header=None, skiprows=1, names=names, chunksize=CHUNK_SIZE, dtype={0: str}
    ) as chunks:
        yield from chunks


def _gene_coverage(names: list[str]) -> float:
    return GeneTable.bundled().resolve(names).coverage
