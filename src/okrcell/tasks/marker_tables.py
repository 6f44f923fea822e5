"""Add the marker tables on the user's machine to the signatures of a model."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from okrcell.descriptions.metadata_text import label_texts
from okrcell.errors import InputError
from okrcell.knowledge.cell_type_markers import (
    TABLE_FILES,
    MarkerConsensus,
    MarkerStatements,
    available_tables,
    read_marker_tables,
)
from okrcell.knowledge.cell_type_tissues import count_cell_type_tissues
from okrcell.knowledge.downloads import KnowledgeFiles
from okrcell.knowledge.marker_licences import source_of_resource
from okrcell.knowledge.open_markers import read_open_markers
from okrcell.model.embedder import Embedder
from okrcell.model.gene_init import cached_embed
from okrcell.model.signatures import SignatureHead, embed_types, knowledge_weight
from okrcell.tasks.open_vocabulary import TYPE_TISSUES_KEY

SOURCES_KEY, ADDED_TABLES_KEY = "signature_sources", "added_tables"
"""Keys in the metadata of a model: sources of its markers; tables that were added to the model in memory."""


def add_marker_tables(embedder: Embedder, knowledge: str | Path | KnowledgeFiles) -> Embedder:
    """Return the model with signatures from its own marker statements and those of the user's tables.

    The part of each signature from markers is computed anew from the union of the openly licensed statements of the package
    and the tables, without rows derived from atlases that benchmarks use; the part from cells stays. Types that only the
    tables have are added, with the vectors of their texts. Weights, calibration and the given model are not changed.

    Parameters
    ----------
    embedder
        Model with signatures and their sources.
    knowledge
        Folder or URL of the knowledge files.

    Raises
    ------
    InputError
        If there is no marker table, or the model's own markers could not be kept.
    """
    files = knowledge if isinstance(knowledge, KnowledgeFiles) else KnowledgeFiles(knowledge)
    if reason := obstacle(embedder):
        raise InputError(f"No marker tables can be added: {reason}. Leave --knowledge (knowledge=...) out.")
    names = available_tables(files)
    if not names:
        table_files = ", ".join(file for entry in TABLE_FILES.values() for file in entry)
        raise InputError(f"{files.folder} has no marker table to add. It needs one of: {table_files}.")
    local_files = [files.local_file(file) for name in names for file in TABLE_FILES[name]]
    state = tuple((str(file.path), file.path.stat().st_mtime_ns) for file in local_files)
    licences = [f"{file.entry.file} ({file.version}): {file.entry.licence}" for file in local_files]
    return _extended(embedder, str(files.url or files.folder), state, tuple(licences))


def add_available_tables(embedder: Embedder, knowledge: str | Path | None) -> tuple[Embedder, tuple[str, ...]]:
    """Add the tables of a folder that is also read for citations; return the model, and a remark if they cannot be added.

    Without a folder, or with one that has no marker table, the model stays as it is.
    """
    if knowledge is None or not available_tables(files := KnowledgeFiles(knowledge)):
        return embedder, ()
    if reason := obstacle(embedder):
        return embedder, (f"the marker tables are cited, but not added to the signatures: {reason}",)
    return add_marker_tables(embedder, files), ()


def added_tables(embedder: Embedder) -> list[str]:
    """Return the tables that were added to the model, each with version and licence."""
    return [str(table) for table in embedder.facts.get(ADDED_TABLES_KEY, ())]


def obstacle(embedder: Embedder) -> str:
    """Return why no tables can be added to a model, "" if they can."""
    if embedder.signatures is None:
        return f"the model {embedder.name} has no gene signatures"
    if embedder.signatures.knowledge.nnz and embedder.signatures.knowledge_sources is None:
        return f"the model {embedder.name} does not say which markers its signatures come from"
    return ""


@lru_cache(maxsize=2)
def _extended(
    embedder: Embedder, location: str, state: tuple[tuple[str, int], ...], licences: tuple[str, ...]
) -> Embedder:
    # ``state`` invalidates the cached model after a change of a file.
    tables, bundled = read_marker_tables(location), read_open_markers()
    own = {str(source["name"]) for source in embedder.facts.get(SOURCES_KEY, [])}
    if missing := own - bundled.sources - tables.sources:
        raise InputError(
            f"No marker tables can be added: the signatures of the model {embedder.name} come from "
            f"{', '.join(sorted(missing))} too, which {location} does not have. Add its files (okrcell knowledge list), or "
            "leave --knowledge (knowledge=...) out."
        )
    consensus = bundled.union(tables).consensus()
    head = extend_head(embedder, consensus)
    extended = copy.copy(embedder)
    extended.signatures = head
    extended.facts = {
        **embedder.facts,
        TYPE_TISSUES_KEY: _add_tissues(embedder.facts.get(TYPE_TISSUES_KEY), tables, own),
        SOURCES_KEY: consensus.source_records(cast(Any, head.knowledge_sources)),
        ADDED_TABLES_KEY: list(licences),
    }
    return extended


def extend_head(embedder: Embedder, consensus: MarkerConsensus) -> SignatureHead:
    """Return the model's signatures with another part from markers, and with the types that only the markers have."""
    head = cast(SignatureHead, embedder.signatures)
    gene_index = consensus.gene_index(embedder.vocabulary)
    strength = consensus.on_gene_axis(gene_index, len(embedder.vocabulary))
    row_of = {consensus.types[i]: i for i in np.flatnonzero(np.diff(strength.indptr)).tolist()}
    new_types = [name for name in row_of if name not in set(head.types)]
    types = (*head.types, *new_types)
    knowledge, cells = _join_parts(head, strength, np.array([row_of.get(name, -1) for name in types]))
    masks = consensus.source_masks(types, gene_index, knowledge)
    own = {str(source["name"]) for source in embedder.facts.get(SOURCES_KEY, [])}
    # The weights of a type that kept its own row.
    masks[masks == 0] = sum(1 << bit for bit, name in enumerate(consensus.sources) if name in own)
    key, key_type, vectors = _embed_new_types(embedder, new_types)
    return replace(
        head,
        types=types,
        key=torch.cat([head.key, key]),
        key_type=torch.cat([head.key_type, key_type + len(head.types)]),
        vectors=torch.cat([head.vectors, vectors]),
        knowledge=knowledge,
        cells=cells,
        knowledge_sources=masks,
    )


def _join_parts(
    head: SignatureHead, strength: sparse.csr_matrix, rows: NDArray[np.intp]
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Join new rows from markers with the stored part from cells; each type's row in ``strength`` is in ``rows``, or -1.

    Where both parts exist, that of markers has `knowledge_weight`, as in training. A type that has too few markers in the
    union of all statements (-1) keeps its part from markers.
    """
    n_types, n_genes = len(rows), head.knowledge.get_shape()[1]
    empty = sparse.csr_matrix((n_types - len(head.types), n_genes), dtype=np.float32)
    stored, cells = (sparse.csr_matrix(sparse.vstack([part, empty])) for part in (head.knowledge, head.cells))
    found = np.flatnonzero(rows >= 0)
    selector = sparse.csr_matrix((np.ones(len(found)), (found, rows[found])), shape=(n_types, strength.get_shape()[0]))
    knowledge = unit_rows(sparse.csr_matrix(selector @ strength + sparse.diags(np.where(rows < 0, 1.0, 0.0)) @ stored))
    cells = unit_rows(cells)
    has_both = (np.diff(knowledge.indptr) > 0) & (np.diff(cells.indptr) > 0)
    weight = knowledge_weight(np.diff(knowledge.indptr))
    return (
        _scale_rows(knowledge, np.where(has_both, weight, 1.0)),
        _scale_rows(cells, np.where(has_both, 1 - weight, 1.0)),
    )


def unit_rows(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Normalize rows to unit length; an empty row stays, and stored zeros are removed."""
    matrix.eliminate_zeros()
    length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return _scale_rows(matrix, 1 / np.where(length > 0, length, 1))


def _scale_rows(matrix: sparse.csr_matrix, scale: NDArray[np.float64]) -> sparse.csr_matrix:
    scaled = sparse.csr_matrix(sparse.diags(scale) @ matrix, dtype=np.float32)
    scaled.sort_indices()
    return scaled


def _embed_new_types(embedder: Embedder, new_types: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Embed the texts of the new types; the vectors of the text encoder are cached on disk."""
    if not new_types:
        head = cast(SignatureHead, embedder.signatures)
        return head.key[:0], head.key_type[:0], head.vectors[:0]
    name = f"{embedder.fingerprint} {embedder.facts.get('text_encoder_sha256', '')}"
    pool = cached_embed(name, embedder.pool_texts)
    with torch.inference_mode():
        return embed_types(
            [label_texts(name) for name in new_types],
            lambda texts: torch.from_numpy(pool(texts)),
            embedder.model.project_texts,
        )


def _add_tissues(
    stored: Mapping[str, Mapping[str, int]] | None, tables: MarkerStatements, own: set[str]
) -> dict[str, dict[str, int]] | None:
    """Add the resources of the tables that are not the model's own to its number of resources per type and tissue."""
    if stored is None:
        return None
    added = count_cell_type_tissues(
        (row for row, resource in tables.rows if source_of_resource(resource) not in own), ()
    ).n_resources
    return {
        cell_type: {
            tissue: stored.get(cell_type, {}).get(tissue, 0) + added.get(cell_type, {}).get(tissue, 0)
            for tissue in sorted({*stored.get(cell_type, {}), *added.get(cell_type, {})})
        }
        for cell_type in sorted({*stored, *added})
    }
