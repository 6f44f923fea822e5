"""Checks of what a user passes as AnnData, before any work is done."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from okrcell.errors import InputError

RECORDS_KEY = "okrcell"
"""Key of ``uns`` with the provenance records."""


def check_is_anndata(adata: object, name: str = "adata") -> None:
    """Check that ``adata`` is an AnnData, and not the path of one or a list.

    Raises
    ------
    InputError
        If it is something else.
    """
    from anndata import AnnData

    if isinstance(adata, str | Path):
        raise InputError(f"{name} must be an AnnData, but it is the path {adata}. Pass anndata.read_h5ad('{adata}').")
    if not isinstance(adata, AnnData):
        raise InputError(f"{name} must be an AnnData, but it is a {type(adata).__name__}. Pass one AnnData.")


def check_anndata(adata: Any, name: str = "adata") -> None:
    """Check that ``adata`` is an AnnData that results can be written to.

    Parameters
    ----------
    adata
        What was passed.
    name
        Name of the argument, for the error message.

    Raises
    ------
    InputError
        If it is something else, a view of a backed AnnData, or ``uns["okrcell"]`` holds no records.
    """
    check_is_anndata(adata, name)
    if adata.isbacked and adata.is_view:
        raise InputError(
            f"{name} is a view of a backed AnnData, to which nothing can be written. Pass {name}.to_memory()."
        )
    read_records(adata)


def read_records(adata: Any) -> dict[str, Any]:
    """Return the provenance records in ``uns["okrcell"]`` by verb; empty without them.

    Raises
    ------
    InputError
        If ``uns["okrcell"]`` is no mapping of records.
    """
    records = adata.uns.get(RECORDS_KEY, {})
    if isinstance(records, Mapping) and all(isinstance(record, Mapping) for record in records.values()):
        return {str(name): record for name, record in records.items()}
    raise InputError(
        f"uns['{RECORDS_KEY}'] must hold provenance records, but it holds something else ({type(records).__name__}). "
        f"Rename or delete it: del adata.uns['{RECORDS_KEY}']."
    )
