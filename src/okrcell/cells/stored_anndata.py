"""Build an AnnData from an open h5ad file or zarr store; matrices stay on disk and odd slots are left out."""

import importlib
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import pandas as pd
from anndata import AnnData
from anndata.io import read_elem, sparse_dataset

from okrcell.cells.findings import add_read_findings
from okrcell.cells.store_checks import check_sparse_group
from okrcell.errors import InputError

RNA_MODALITIES = ("rna", "gex", "mrna", "gene expression", "transcriptome", "expression")
"""Names of the modality of genes in MuData files, in lower case."""
HDF5_FILTERS = {307: "bzip2", 32001: "blosc", 32004: "lz4", 32008: "bitshuffle", 32015: "zstd", 32026: "blosc2"}
"""Registered names of HDF5 filters that h5py does not bring."""


def read_stored_anndata(store: Any) -> AnnData:
    """Read the tables and small slots; matrices stay on disk.

    An entry of ``obsm``, ``varm``, ``layers``, ``uns`` or ``raw`` that cannot be read or has another shape than the cells
    and genes is left out with a warning.
    """
    obs, var = read_element(store["obs"]), read_element(store["var"])
    findings: list[str] = []
    slots = {
        "obsm": (_read_readable(store, "obsm", findings), (len(obs),)),
        "varm": (_read_readable(store, "varm", findings), (len(var),)),
        "layers": (_read_readable(store, "layers", findings, on_disk=True), (len(obs), len(var))),
    }
    indices = {"obsm": obs.index, "varm": var.index}
    aligned: dict[str, Any] = {
        slot: _aligned(slot, elements, shape, indices.get(slot), findings) for slot, (elements, shape) in slots.items()
    }
    findings += [
        f"{slot}['{name}'] has another shape than the file and is left out"
        for slot, name in misaligned_entries(store)
        if slot in ("obsp", "varp")
    ]
    raw = _read_raw(store, len(obs), findings)
    uns = _read_readable(store, "uns", findings)
    for finding in findings:
        warnings.warn(finding + ".", stacklevel=2)
    X = _on_disk(store["X"]) if _is_stored(store, "X") else None
    adata = AnnData(X=X, obs=obs, var=var, uns=uns, raw=raw, **aligned)
    return add_read_findings(adata, findings)


def read_element(element: Any) -> Any:
    """Read a stored table, array or mapping."""
    return read_elem(element)


def misaligned_entries(store: Any) -> Iterator[tuple[str, str]]:
    """Iterate over the slots and names of stored entries that do not fit the cells and genes."""
    obs_names, var_names = (_row_names(store[name]) for name in ("obs", "var"))
    n_obs, n_var = len(obs_names), len(var_names)
    shapes = {
        "obsm": (n_obs,),
        "varm": (n_var,),
        "layers": (n_obs, n_var),
        "obsp": (n_obs, n_obs),
        "varp": (n_var, n_var),
    }
    for slot, shape in shapes.items():
        for name in store.get(slot, ()):
            element = store[slot][name]
            encoding = element.attrs.get("encoding-type")
            seen = element.attrs.get("shape", getattr(element, "shape", None))
            if encoding == "dataframe":
                fits = _row_names(element).equals(obs_names if slot == "obsm" else var_names)
            else:
                fits = encoding != "dict" and (seen is None or _fits(tuple(seen), shape))
            if not fits:
                yield slot, str(name)


def choose_modality(names: Iterable[str], path: Path) -> tuple[str, list[str]]:
    """Name of the modality of genes in a MuData file, and what to say about it.

    Raises
    ------
    InputError
        If no name or several names mean gene expression.
    """
    names = sorted(names)
    matches = [name for name in names if name.casefold() in RNA_MODALITIES] or names
    if len(matches) != 1:
        raise InputError(
            f"{path} is MuData with the modalities {', '.join(names) or 'none'}, and it is not clear which one holds gene "
            "expression. Write that one as h5ad: mudata.read_h5mu(...)['rna'].write_h5ad(...)."
        )
    others = [name for name in names if name != matches[0]]
    rest = f"; {', '.join(others)} was left out" if others else ""
    return matches[0], [f"the modality {matches[0]} of the MuData file was read{rest}"]


def find_zarr_table(path: Path) -> tuple[Path, list[str]]:
    """Folder of the cells in a zarr store, which may be AnnData, MuData or SpatialData, and what to say about it.

    Raises
    ------
    InputError
        If there is no table of cells, or if there are several.
    """
    if (path / "obs").exists() and not (path / "mod").is_dir():
        return path, []
    if (path / "mod").is_dir():
        name, findings = choose_modality((entry.name for entry in (path / "mod").iterdir() if entry.is_dir()), path)
        return path / "mod" / name, findings
    tables = [
        table
        for folder in ("tables", "table")
        for table in sorted(path.glob(f"{folder}/*"))
        if (table / "obs").exists() and (table / "var").exists()
    ]
    if len(tables) == 1:
        return tables[0], [f"the table {tables[0].relative_to(path)} of the SpatialData store was read"]
    if tables:
        raise InputError(f"{path} holds several tables: pass the path of one of them, such as {tables[0]}.")
    entries = ", ".join(sorted(entry.name for entry in path.iterdir())[:8])
    raise InputError(f"{path} is a zarr store, but it holds no cells (obs and var); it contains: {entries}.")


def check_filters(file: h5py.File, path: Path) -> None:
    """Check that HDF5 can decompress all arrays of a file.

    Raises
    ------
    InputError
        If the plugin of a compression filter is not installed.
    """
    missing: dict[str, str] = {}

    def check(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            created = item.id.get_create_plist()
            for position in range(created.get_nfilters()):
                code = int(created.get_filter(position)[0])
                if not h5py.h5z.filter_avail(code):
                    missing.setdefault(name, HDF5_FILTERS.get(code, f"HDF5 filter {code}"))

    file.visititems(check)
    if missing:
        with suppress(ImportError):  # to import the package registers its filters
            importlib.import_module("hdf5plugin")
            missing.clear()
            file.visititems(check)
    if missing:
        name, compression = next(iter(missing.items()))
        raise InputError(
            f"{path} cannot be read, because {name} is compressed with {compression}, which needs another package: pip "
            "install hdf5plugin. Or write the file again with compression='gzip'."
        )


def _row_names(table: Any) -> pd.Index:
    index = table.attrs.get("_index")
    return read_element(table).index if index is None else pd.Index(read_element(table[index])).astype(str)


def _fits(seen: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether an array has the lengths ``shape`` and at least two axes."""
    return seen[: len(shape)] == shape and len(seen) > 1


def _on_disk(element: Any) -> Any:
    if str(element.attrs.get("encoding-type", "")) in ("csr_matrix", "csc_matrix"):
        check_sparse_group(element)
        return sparse_dataset(element)
    return element if hasattr(element, "shape") else read_element(element)


def _is_stored(store: Any, name: str) -> bool:
    return name in store and store[name].attrs.get("encoding-type") != "null"


def _read_raw(store: Any, n_obs: int, findings: list[str]) -> dict[str, Any] | None:
    if not _is_stored(store, "raw") or "X" not in store["raw"]:
        return None
    try:
        matrix, var = _on_disk(store["raw"]["X"]), read_element(store["raw"]["var"])
    except Exception as error:  # noqa: BLE001 - a damaged table may fail in any way
        findings.append(f"raw cannot be read and is ignored ({_first_line(error)})")
        return None
    if tuple(matrix.shape) != (n_obs, len(var)):
        findings.append(
            f"raw has the shape {_format_shape(matrix.shape)} instead of {n_obs} × {len(var)} and is left out"
        )
        return None
    return {"X": matrix, "var": var}


def _read_readable(store: Any, slot: str, findings: list[str], *, on_disk: bool = False) -> dict[str, Any]:
    """Read all readable entries of a slot, so that an odd entry does not block the file."""
    elements: dict[str, Any] = {}
    for name in store.get(slot, ()):
        try:
            elements[name] = (_on_disk if on_disk else read_element)(store[slot][name])
        except Exception as error:  # noqa: BLE001 - an unknown encoding may fail in any way
            findings.append(f"{slot}['{name}'] cannot be read and is ignored ({_first_line(error)})")
    return elements


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _aligned(
    slot: str, elements: Mapping[str, Any], shape: tuple[int, ...], index: pd.Index | None, findings: list[str]
) -> dict[str, Any]:
    """Entries of a slot that fit the cells and genes."""
    aligned: dict[str, Any] = {}
    for name, element in elements.items():
        seen = tuple(getattr(element, "shape", ()))
        if not _fits(seen, shape):
            expected = _format_shape([*shape, "…"] if len(shape) == 1 else shape)
            findings.append(
                f"{slot}['{name}'] has the shape {_format_shape(seen)} instead of {expected} and is left out"
            )
        elif isinstance(element, pd.DataFrame) and index is not None and not element.index.equals(index):
            findings.append(f"{slot}['{name}'] has other names of rows than the file and is left out")
        else:
            aligned[name] = element
    return aligned


def _format_shape(shape: Iterable[object]) -> str:
    return " × ".join(map(str, shape)) or "of a single value"
