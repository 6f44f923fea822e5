"""Retrieval: cells that match a text, and texts that match a cell."""

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.descriptions.metadata_text import label_texts
from okrcell.errors import InputError
from okrcell.evidence import TextEmbedder
from okrcell.model.embedder import Embedder
from okrcell.model.signatures import MIN_TEXT_SIMILARITY
from okrcell.ontology.resolver import as_free_text, is_sentence, resolve_cell_type

logger = logging.getLogger(__name__)

_GENE_NAME = re.compile(r"\b[A-Z][A-Z0-9]{2,}(?:-[A-Z0-9]+)?\b")
MAX_SCORES = 16_000_000
"""Maximum number of similarities in memory: 64 MB."""


@dataclass(frozen=True)
class Query:
    """Text to search for."""

    texts: tuple[str, ...]
    """The texts that are embedded: those of the term, or the text itself."""
    term_id: str
    """Cell Ontology id, "" for free text."""
    remark: str
    """What the text was resolved to; "" for the name or id of a term, and for a sentence."""


def resolve_query(text: str, tissue_id: str = "", *, strict: bool = False) -> Query:
    """Resolve a name or Cell Ontology id to the texts of its term; any other text stays as it is.

    Raises
    ------
    InputError
        If the text is empty, the id of another ontology, or an id that does not exist; with ``strict``, if it is not resolved.
    """
    resolved = resolve_cell_type(text, tissue_id)
    if resolved.term is not None and resolved.is_exact:
        query = Query(label_texts(resolved.term.id), resolved.term.id, resolved.remark)
    elif strict:
        broader = f" (only the broader {resolved.term.name})" if resolved.term is not None else resolved.question
        raise InputError(
            f"'{text}' names no known cell type{broader}. Correct it, or leave --strict (strict=True) out to search for it as "
            "free text."
        )
    else:
        # A broader term would lose a word that a sentence keeps.
        query = Query(label_texts(text), "", "" if is_sentence(text) else as_free_text(resolved).remark)
    if query.remark:
        logger.info("%s", query.remark)
    return query


def query_findings(text: str, embedder: Embedder) -> list[str]:
    """Say which words of a free text are gene names, and whether the text resembles no cell type that the model knows."""
    findings: list[str] = []
    words = dict.fromkeys(_GENE_NAME.findall(text))
    genes = [word for word in words if word in set(embedder.gene_table.symbol.tolist())] if words else []
    if genes:
        findings.append(
            f"{', '.join(genes)}: gene names; the search compares the whole text with cells and does not look up the "
            "expression of single genes"
        )
    head = embedder.signatures
    if head is not None and head.nearest_similarity(embedder.pool_texts([text]))[0] < MIN_TEXT_SIMILARITY:
        findings.append(
            "the text resembles no cell type that the model knows, so the best cells may match it by chance"
        )
    return findings


def text_similarity(
    cell_vectors: Float[np.ndarray, "cell dim"], texts: str | Sequence[str], embedder: TextEmbedder
) -> Float[np.ndarray, "cell"]:
    """Cosine similarity in [-1, 1] of each cell and the mean of ``texts``; a single text is resolved first.

    NaN for a cell without expression.

    Raises
    ------
    InputError
        If the text is empty.
    """
    vectors = embedder.embed_texts(resolve_query(texts).texts if isinstance(texts, str) else list(texts))
    mean_vector = vectors.mean(axis=0)
    return cell_vectors @ (mean_vector / np.linalg.norm(mean_vector))


def top_indices(scores: Float[np.ndarray, "cell"], top: int) -> NDArray[np.intp]:
    """Return the indices of the ``top`` highest scores, highest first, ties in cell order; NaN is left out."""
    order = np.argsort(-scores, kind="stable")
    return order[: min(top, int((~np.isnan(scores)).sum()))]


@dataclass(frozen=True)
class TextRanking:
    """Best matching texts of each cell, best first."""

    indices: NDArray[np.int32]
    """(cell, rank): indices of texts; -1 for a cell without expression."""
    similarity: Float[np.ndarray, "cell rank"]
    """Cosine similarities in [-1, 1], in descending order per row; NaN for a cell without expression."""


def rank_texts(
    cell_vectors: Float[np.ndarray, "cell dim"], texts: Float[np.ndarray, "text dim"], top: int
) -> TextRanking:
    """Return the ``top`` best matching texts of each cell, or all if there are fewer; ties in text order.

    Similarities are computed in blocks of cells, so that memory is bounded by the result.

    Parameters
    ----------
    cell_vectors
        Unit vectors of the cells; NaN for a cell without expression.
    texts
        Unit vectors of the texts.
    top
        Maximum number of texts per cell.
    """
    top = min(top, len(texts))
    indices = np.full((len(cell_vectors), top), -1, dtype=np.int32)
    similarity = np.full((len(cell_vectors), top), np.nan, dtype=np.float32)
    chunk_size = max(MAX_SCORES // max(len(texts), 1), 1)
    for rows in _chunks(np.flatnonzero(~np.isnan(cell_vectors).any(axis=1)), chunk_size):
        scores = cell_vectors[rows] @ texts.T
        order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
        indices[rows] = order
        similarity[rows] = np.take_along_axis(scores, order, axis=1)
    return TextRanking(indices, similarity)


def group_vectors(
    cell_vectors: Float[np.ndarray, "cell dim"], group: NDArray[np.intp], n_groups: int
) -> Float[np.ndarray, "group dim"]:
    """Return the mean vector of each group; its scalar product with a text is the mean similarity of the group's cells.

    Cells without expression or group (-1) are skipped; NaN for a group without cells.
    """
    is_counted = (group >= 0) & ~np.isnan(cell_vectors).any(axis=1)
    n_cells = np.bincount(group[is_counted], minlength=n_groups).astype(np.float32)
    total = np.zeros((n_groups, cell_vectors.shape[1]), dtype=np.float32)
    np.add.at(total, group[is_counted], cell_vectors[is_counted])
    with np.errstate(invalid="ignore"):
        return total / np.where(n_cells > 0, n_cells, np.nan)[:, None]


def _chunks(rows: NDArray[np.intp], chunk_size: int) -> Iterator[NDArray[np.intp]]:
    for start in range(0, len(rows), chunk_size):
        yield rows[start : start + chunk_size]
