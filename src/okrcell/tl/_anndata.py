"""Shared steps of the tools: model, counts, stored embeddings, provenance."""

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from okrcell.provenance import provenance_record

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from okrcell.cells.expression import Expression
    from okrcell.model.embedder import Embedder, Progress

EMBEDDING_KEY = "X_okrcell"
"""Slot of ``obsm`` with the cell embeddings."""


def get_model(model: "Embedder | None") -> "Embedder":
    """Return ``model``, or the bundled model if it is None."""
    from okrcell.model.embedder import load

    return load() if model is None else model


def read_counts(adata: "AnnData", layer: str | None, *, orthologs: bool) -> "Expression":
    """Locate counts and genes; by default in the matrix that is nearest to raw counts."""
    from okrcell.cells.expression import read_expression

    return read_expression(adata, layer=layer, orthologs=orthologs)


def embed_and_store(
    adata: "AnnData", model: "Embedder", expression: "Expression", slot: str, progress: "Progress | None"
) -> "NDArray[np.float32]":
    """Embed the cells, write the vectors to ``obsm[slot]`` and the sha256 of the weights to ``uns["okrcell"]["vectors"]``."""
    embeddings = model.embed_cells(expression, progress)
    adata.obsm[slot] = embeddings
    records = dict(adata.uns.get("okrcell", {}))
    records["vectors"] = {**dict(records.get("vectors", {})), slot: model.fingerprint}
    adata.uns["okrcell"] = records
    return embeddings


def get_embeddings(
    adata: "AnnData",
    model: "Embedder",
    expression: "Expression | None",
    layer: str | None,
    progress: "Progress | None",
) -> "NDArray[np.float32]":
    """Return the stored embeddings of this model (`has_embeddings`), or compute and store them.

    Parameters
    ----------
    expression
        Expression of the cells; None if embeddings are stored and nothing was read.

    Returns
    -------
    float32, shape (cell, dim), rows of unit length; NaN for a cell without expression.
    """
    if expression is None or has_embeddings(adata, model, layer):
        return np.asarray(adata.obsm[EMBEDDING_KEY])
    return embed_and_store(adata, model, expression, EMBEDDING_KEY, progress)


def has_embeddings(adata: "AnnData", model: "Embedder", layer: str | None = None) -> bool:
    """Whether ``obsm`` holds embeddings of a model with the same weights; always False if ``layer`` is given."""
    if layer is not None:
        return False
    fingerprint = dict(adata.uns.get("okrcell", {})).get("vectors", {}).get(EMBEDDING_KEY, "")
    return EMBEDDING_KEY in adata.obsm and bool(model.fingerprint) and fingerprint == model.fingerprint


def write_provenance(
    adata: "AnnData", verb: str, model: "Embedder", expression: "Expression | None", **facts: Any
) -> None:
    """Write the provenance record to ``uns["okrcell"][verb]``.

    It holds ``facts``, the model and the sha256 of its weights, the matrix that was read, its findings and gene coverage,
    package versions and time.
    """
    facts["findings"] = []
    if expression is not None:
        facts |= {
            "matrix": expression.source,
            "kind": expression.kind,
            "findings": list(expression.findings),
            "gene_coverage": float(expression.resolution.coverage),
            "model_genes_measured": model.n_measured_genes(expression),
            "model_genes": len(model.vocabulary),
        }
    names_sha256 = hashlib.sha256("\n".join([*adata.obs_names, "", *adata.var_names]).encode()).hexdigest()
    input_facts = {"cells": adata.n_obs, "genes": adata.n_vars, "names_sha256": names_sha256}
    record = provenance_record(verb, model=model.name, weights_sha256=model.fingerprint, input=input_facts, **facts)
    adata.uns["okrcell"] = {**adata.uns.get("okrcell", {}), verb: record}
