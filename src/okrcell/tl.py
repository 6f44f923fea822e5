"""Tools in scanpy's grammar: AnnData in, named slots out."""

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from okrcell.errors import InputError
from okrcell.provenance import receipt

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from okrcell.cells.expression import Expression
    from okrcell.model.embedder import Embedder, Progress

VECTORS = "X_okrcell"


def embed(
    adata: "AnnData",
    model: "Embedder | None" = None,
    *,
    layer: str | None = None,
    orthologs: bool = False,
    key_added: str = VECTORS,
    progress: "Progress | None" = None,
) -> None:
    """Give each cell its vector in the space of cells and texts.

    Parameters
    ----------
    adata
        Counts in X, ``.raw`` or a layer; symbols or Ensembl ids. Rows are neither dropped nor moved.
    model
        From `okrcell.load`; the bundled one by default.
    layer
        Which matrix to read: a layer, "X" or "raw". By default the one nearest to counts.
    orthologs
        Accept mouse genes, each led to its one-to-one human ortholog.
    key_added
        Name of the slot in ``obsm``.
    progress
        Called with the number of cells done and in all.

    Returns
    -------
    None; ``obsm[key_added]`` float32 (cell, dim), rows of unit length, NaN for a cell without expression;
    ``uns["okrcell"]["embed"]`` the receipt.

    Raises
    ------
    InputError
        If counts or genes cannot be found; the message says what to do.
    """
    model = _model(model)
    expression = _expression(adata, layer, orthologs=orthologs)
    _embedded(adata, model, expression, key_added, progress)
    _leave_receipt(adata, "embed", model, expression, key_added=key_added, layer=layer or "", orthologs=orthologs)


def annotate(
    adata: "AnnData",
    model: "Embedder | None" = None,
    *,
    candidates: Sequence[str] | None = None,
    layer: str | None = None,
    orthologs: bool = False,
    progress: "Progress | None" = None,
) -> None:
    """Name the type of each cell, zero-shot.

    Parameters
    ----------
    candidates
        Names, Cell Ontology ids or free text. None: every Cell Ontology type that the model has seen in learning.
    adata, model, layer, orthologs, progress
        As for `embed`, whose slot is written too.

    Returns
    -------
    None; ``obs["okrcell_cell_type"]`` the best candidate, "unknown" for a cell without expression;
    ``obs["okrcell_cell_type_ontology_term_id"]`` its Cell Ontology id, "" if its words name none;
    ``obs["okrcell_confidence"]`` the probability that it is right, in [0, 1];
    ``obs["okrcell_status"]``: "confident" where that is at least one half, "broad" where only
    ``obs["okrcell_broader_cell_type_ontology_term_id"]`` is more likely than not, else "unknown";
    ``obsm["okrcell_scores"]`` DataFrame (cell, candidate; "/" in a name becomes "|"), cosine similarity;
    ``uns["okrcell"]["annotate"]`` the receipt.

    Raises
    ------
    InputError
        If counts, genes or candidates cannot be read; the message says what to do.
    """
    from okrcell.tasks.candidates import candidates as read_candidates
    from okrcell.tasks.candidates import known_candidates
    from okrcell.tasks.zero_shot import zero_shot

    model = _model(model)
    # Candidates are read first: a slip in one of them should not cost the time of a million cells.
    some = known_candidates(model) if candidates is None else read_candidates(candidates)
    expression = _expression(adata, layer, orthologs=orthologs)
    cells = _embedded(adata, model, expression, VECTORS, progress)
    found = zero_shot(cells, some, model, model.measured(expression))

    empty = np.isnan(cells[:, 0])
    # An h5ad file takes "/" for a folder; the receipt has the names as they were given.
    names = pd.Index(np.array([each.name.replace("/", "|") for each in some], dtype=object))
    adata.obsm["okrcell_scores"] = pd.DataFrame(found.scores, index=adata.obs_names, columns=names)
    best = found.answer.best
    _column(adata, "cell_type", [each.name for each in some], best, empty, absent="unknown")
    _column(adata, "cell_type_ontology_term_id", [each.term_id for each in some], best, empty, absent="")
    adata.obs["okrcell_confidence"] = found.answer.confidence
    adata.obs["okrcell_status"] = pd.Categorical(found.answer.status, categories=["confident", "broad", "unknown"])
    adata.obs["okrcell_broader_cell_type_ontology_term_id"] = pd.Categorical(found.answer.broader)
    _leave_receipt(
        adata,
        "annotate",
        model,
        expression,
        method="zero-shot",
        candidates=[each.name for each in some],
        candidates_named_by="user" if candidates is not None else "the model's own cell types",
        candidate_texts=json.dumps({each.name: each.texts for each in some}, ensure_ascii=False),
        temperature=found.temperature,
        layer=layer or "",
        orthologs=orthologs,
    )


def find_cells(
    adata: "AnnData",
    model: "Embedder | None" = None,
    text: str = "",
    *,
    layer: str | None = None,
    orthologs: bool = False,
    key_added: str = "okrcell_match",
    progress: "Progress | None" = None,
) -> None:
    """Tell how well each cell fits a sentence.

    Vectors that `embed` or `annotate` left, by the same model, are used again.

    Parameters
    ----------
    text
        A sentence, a name or a Cell Ontology id.
    key_added
        Name of the column in ``obs``.
    adata, model, layer, orthologs, progress
        As for `embed`.

    Returns
    -------
    None; ``obs[key_added]`` cosine similarity in [-1, 1], NaN for a cell without expression;
    ``uns["okrcell"]["find"]`` the receipt.

    Raises
    ------
    InputError
        If the text is empty, or counts or genes cannot be found.
    """
    from okrcell.tasks.retrieve import match

    model = _model(model)
    if not text.strip():
        raise InputError("The text to search for is empty; write what the cells should be, such as 'B cell'.")
    expression = None
    if not _has_vectors_of(adata, model) or layer is not None:
        expression = _expression(adata, layer, orthologs=orthologs)
        _embedded(adata, model, expression, VECTORS, progress)
    adata.obs[key_added] = match(np.asarray(adata.obsm[VECTORS]), text, model)
    _leave_receipt(
        adata, "find", model, expression, text=text, key_added=key_added, layer=layer or "", orthologs=orthologs
    )


def _model(model: "Embedder | None") -> "Embedder":
    from okrcell.model.embedder import load

    return load() if model is None else model


def _expression(adata: "AnnData", layer: str | None, *, orthologs: bool) -> "Expression":
    from okrcell.cells.expression import read_expression

    return read_expression(adata, layer=layer, orthologs=orthologs)


def _column(
    adata: "AnnData",
    name: str,
    values: Sequence[str],
    best: "NDArray[np.intp]",
    empty: "NDArray[np.bool_]",
    *,
    absent: str,
) -> None:
    written = np.array(values, dtype=object)[best]
    written[empty] = absent
    adata.obs[f"okrcell_{name}"] = pd.Categorical(written)


def _embedded(
    adata: "AnnData", model: "Embedder", expression: "Expression", slot: str, progress: "Progress | None"
) -> "NDArray[np.float32]":
    """Write the vectors to ``obsm[slot]``, and beside the receipts, whose they are."""
    vectors = model.embed_cells(expression, progress)
    adata.obsm[slot] = vectors
    receipts = dict(adata.uns.get("okrcell", {}))
    receipts["vectors"] = {**dict(receipts.get("vectors", {})), slot: model.fingerprint}
    adata.uns["okrcell"] = receipts
    return vectors


def _has_vectors_of(adata: "AnnData", model: "Embedder") -> bool:
    whose = dict(adata.uns.get("okrcell", {})).get("vectors", {}).get(VECTORS, "")
    return VECTORS in adata.obsm and bool(model.fingerprint) and whose == model.fingerprint


def _leave_receipt(
    adata: "AnnData", verb: str, model: "Embedder", expression: "Expression | None", **facts: Any
) -> None:
    facts["findings"] = []
    if expression is not None:
        facts |= {
            "matrix": expression.source,
            "kind": expression.kind,
            "findings": list(expression.findings),
            "gene_coverage": float(expression.resolution.coverage),
            "model_genes_measured": model.measured(expression),
            "model_genes": len(model.vocabulary),
        }
    rows = hashlib.sha256("\n".join([*adata.obs_names, "", *adata.var_names]).encode()).hexdigest()
    table = {"cells": adata.n_obs, "genes": adata.n_vars, "names_sha256": rows}
    written = receipt(verb, model=model.name, weights_sha256=model.fingerprint, input=table, **facts)
    adata.uns["okrcell"] = {**adata.uns.get("okrcell", {}), verb: written}
