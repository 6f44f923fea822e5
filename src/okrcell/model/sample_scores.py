"""Score all cells of a sample for candidate types; one recipe for annotation and for its calibration."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression, iter_rows
from okrcell.cells.neighbors import knn_graph, similar_neighbors, smooth_over_knn
from okrcell.cells.pca import N_COMPONENTS, sample_pca
from okrcell.model.embedder import Embedder, Progress
from okrcell.model.marker_scores import (
    Background,
    GenePanel,
    SignatureContrast,
    balanced_background,
    open_set_margin,
    out_of_candidate_types,
    restrict_to_panel,
)
from okrcell.model.signatures import MIN_TEXT_SIMILARITY, SignatureHead, Signatures
from okrcell.model.text_encoder import mean_text_vectors
from okrcell.ontology.relations import ancestors_or_self

SMOOTHING_WEIGHT = 0.7
"""Weight of the neighbours with similar scores in smoothing, in each of its rounds."""
MAX_BACKGROUND_CELLS = 20_000
"""Maximum number of evenly spaced cells from which the background of a sample is estimated; more would not change it."""


@dataclass(frozen=True)
class SampleScores:
    """Signature scores of all cells of a sample."""

    scores: Float[np.ndarray, "cell candidate"]
    """Scalar product of relative expression and each candidate's signature minus the mean signature of all candidates, in
    standard scores of independent genes; NaN for a cell without expression."""
    margin: Float[np.ndarray, " cell"]
    """Margin of the best candidate over the best known type outside the candidates; NaN for a cell without expression."""
    competitor: NDArray[np.int32]
    """Index of that type among the known types; -1 if there is none, or for a cell without expression."""
    background: Background
    """Background expression: that of the sample, shrunk to that of the corpus."""

    @property
    def expressed_rows(self) -> NDArray[np.intp]:
        """Rows of the cells with expression, ascending."""
        return np.flatnonzero(~np.isnan(self.margin))


def resembles_known_type(
    term_ids: Sequence[str], texts: Sequence[Sequence[str]], embedder: Embedder
) -> Bool[np.ndarray, " candidate"]:
    """Whether a candidate is a known type, or one of its texts resembles that of a known type (`MIN_TEXT_SIMILARITY`)."""
    head = cast(SignatureHead, embedder.signatures)
    resembles = head.index_of(term_ids) >= 0
    for idx in np.flatnonzero(~resembles).tolist():
        resembles[idx] = head.nearest_similarity(embedder.pool_texts(list(texts[idx]))).max() >= MIN_TEXT_SIMILARITY
    return resembles


def candidate_signatures(term_ids: Sequence[str], texts: Sequence[Sequence[str]], embedder: Embedder) -> Signatures:
    """Signature of each candidate: stored for a known type, else a mixture of the types with the nearest known texts.

    Parameters
    ----------
    term_ids
        Cell Ontology id of each candidate; "" for a candidate that is no term.
    texts
        Texts of each candidate, at least one.
    embedder
        Model with signatures.
    """
    head = cast(SignatureHead, embedder.signatures)
    weights = np.zeros((len(term_ids), len(head.types)), dtype=np.float32)
    type_idx = head.index_of(term_ids)
    weights[np.flatnonzero(type_idx >= 0), type_idx[type_idx >= 0]] = 1
    untyped_idx = np.flatnonzero(type_idx < 0).tolist()
    if untyped_idx:
        untyped_texts = [texts[idx] for idx in untyped_idx]
        mixture = _match_known_types([text for candidate_texts in untyped_texts for text in candidate_texts], embedder)
        sizes = np.array([len(candidate_texts) for candidate_texts in untyped_texts])
        starts = np.cumsum([0, *sizes[:-1]])
        weights[untyped_idx] = np.add.reduceat(mixture, starts, axis=0) / sizes[:, None]
    return head.signatures(weights)


def _match_known_types(texts: Sequence[str], embedder: Embedder) -> Float[np.ndarray, "text type"]:
    """Weight of each known type in the mixture of each text."""
    import torch

    head, pooled = cast(SignatureHead, embedder.signatures), torch.from_numpy(embedder.pool_texts(texts))
    if embedder.is_linear:
        with torch.inference_mode():
            return head.match_vectors(embedder.model.project_texts(pooled))
    return head.match_texts(pooled)


def stored_candidate_vectors(
    term_ids: Sequence[str], texts: Sequence[Sequence[str]], embedder: Embedder
) -> Float[np.ndarray, "candidate dim"]:
    """Return a unit vector for each candidate: stored for a known type, else the mean of its embedded texts.

    Parameters
    ----------
    term_ids
        Cell Ontology id of each candidate; "" for a candidate that is no term.
    texts
        Texts of each candidate, at least one.
    embedder
        Model with signatures.
    """
    head = cast(SignatureHead, embedder.signatures)
    type_idx = head.index_of(term_ids)
    vectors = head.vectors.numpy()[type_idx]
    untyped_idx = np.flatnonzero(type_idx < 0)
    if len(untyped_idx):
        vectors[untyped_idx] = mean_text_vectors([texts[idx] for idx in untyped_idx.tolist()], embedder)
    return vectors


def score_sample(
    expression: Expression,
    panel: GenePanel,
    head: SignatureHead,
    term_ids: Sequence[str],
    signatures: sparse.csr_matrix,
    type_signatures: sparse.csr_matrix,
    progress: Progress | None = None,
) -> SampleScores:
    """Score each cell for each candidate, in two passes over the file and with bounded memory (method 11.3).

    Annotation passes the signatures of the model, calibration passes signatures that were fitted without the study.

    Parameters
    ----------
    expression
        Expression of the cells.
    panel
        Measured genes of the file.
    head
        Known types and the background of the corpus.
    term_ids
        Cell Ontology id of each candidate; "" for a candidate that is no term.
    signatures
        Signature of each candidate, (candidate, gene of the model).
    type_signatures
        Signatures of all types of ``head``, (type, gene of the model); those outside the candidates compete in the margin.
    progress
        Called with the number of finished cells and their total.
    """
    contrast = SignatureContrast.from_signatures(signatures, panel.measured, head.variation)
    background = balanced_background(head, _background_cells(expression, panel), contrast)
    kinds = kinds_of_candidates(head.types, term_ids)
    # Ancestors and descendants of a candidate are not competitors: they may be what the user meant.
    outside = np.flatnonzero(out_of_candidate_types(head.types, term_ids))
    kind_idx = np.concatenate(kinds).astype(np.intp)
    others = restrict_to_panel(sparse.csr_matrix(type_signatures[np.concatenate([kind_idx, outside])]), panel.measured)
    rows_to_score = sparse.csr_matrix(sparse.vstack([contrast.signatures, others]))
    scores = np.full((expression.n_cells, len(term_ids)), np.nan, dtype=np.float32)
    margin = np.full(expression.n_cells, np.nan, dtype=np.float32)
    competitor = np.full(expression.n_cells, -1, dtype=np.int32)
    for rows, log_expr in _iter_log_expr(expression, panel):
        all_scores = contrast.scores(log_expr, background, rows_to_score)
        own, kind_scores, outside_scores = np.split(all_scores, [len(term_ids), len(term_ids) + len(kind_idx)], axis=1)
        candidate_scores = combine_kinds(own, kind_scores, kinds)
        has_expression = np.diff(log_expr.indptr) > 0
        scores[rows] = np.where(has_expression[:, None], candidate_scores, np.nan)
        block_margin = open_set_margin(candidate_scores.max(axis=1), outside_scores)
        if len(outside):
            competitor[rows] = np.where(has_expression, outside[outside_scores.argmax(axis=1)], -1)
        margin[rows] = np.where(has_expression, block_margin, np.nan)
        if progress is not None:
            progress(rows.stop, expression.n_cells)
    return SampleScores(scores, margin, competitor, background)


def kinds_of_candidates(known_types: Sequence[str], term_ids: Sequence[str]) -> list[NDArray[np.intp]]:
    """Return for each candidate the known types that are kinds of it and of no candidate below it (ours).

    A sample of "T cell" and "natural killer cell" has CD8 T cells, which resemble the signature of CD8 T cells more than that
    of all T cells. A type below two candidates, neither of which is below the other, is a kind of none.

    Parameters
    ----------
    known_types, term_ids
        Cell Ontology ids; "" for a candidate that is no term.
    """
    candidates = set(filter(None, term_ids))
    kinds: dict[str, list[int]] = {term_id: [] for term_id in candidates}
    for idx, known_type in enumerate(known_types):
        above = candidates & ancestors_or_self(known_type)
        deepest = [term for term in above if not any(term in ancestors_or_self(other) - {other} for other in above)]
        if known_type not in candidates and len(deepest) == 1:
            kinds[deepest[0]].append(idx)
    return [np.array(kinds.get(term_id, []), dtype=np.intp) for term_id in term_ids]


def combine_kinds(
    own: Float[np.ndarray, "cell candidate"],
    kind_scores: Float[np.ndarray, "cell kind"],
    kinds: Sequence[NDArray[np.intp]],
) -> Float[np.ndarray, "cell candidate"]:
    """Mean of each candidate's own score and the highest among its own and those of its kinds.

    Parameters
    ----------
    own
        Scores of the candidates.
    kind_scores
        Scores of the kinds of all candidates, one candidate after the other.
    kinds
        Kinds of each candidate (`kinds_of_candidates`).
    """
    combined, start = own.copy(), 0
    for idx, candidate_kinds in enumerate(kinds):
        stop = start + len(candidate_kinds)
        if stop > start:
            combined[:, idx] = (own[:, idx] + np.maximum(own[:, idx], kind_scores[:, start:stop].max(axis=1))) / 2
        start = stop
    return combined


def sample_knn_graph(expression: Expression, rows: NDArray[np.intp], seed: int = 0) -> sparse.csr_matrix:
    """KNN graph of the cells ``rows``, on the principal components of the whole sample."""
    return knn_graph(sample_pca(expression, N_COMPONENTS)[rows], seed=seed)


def similar_cells(
    scores: Float[np.ndarray, "cell candidate"], rows: NDArray[np.intp], graph: sparse.csr_matrix
) -> sparse.csr_matrix:
    """Graph over which the cells ``rows`` are smoothed (method 11.5): neighbours with similar scores, in standard scores.

    Parameters
    ----------
    graph
        kNN graph of the cells ``rows``; see `sample_knn_graph`.
    """
    return similar_neighbors(scores[rows], graph)


def smooth_values(
    values: Float[np.ndarray, "cell value"], rows: NDArray[np.intp], graph: sparse.csr_matrix
) -> Float[np.ndarray, "cell value"]:
    """Average values of the cells ``rows`` over the graph from `similar_cells`; other cells are unchanged."""
    smoothed = values.astype(np.float32)
    smoothed[rows] = smooth_over_knn(smoothed[rows], graph, weight=SMOOTHING_WEIGHT)
    return smoothed


def background_rows(n_cells: int) -> NDArray[np.intp]:
    """Return the rows of the cells used to estimate the background of a sample, ascending."""
    return np.unique(np.linspace(0, n_cells - 1, min(n_cells, MAX_BACKGROUND_CELLS)).astype(np.intp))


def _background_cells(expression: Expression, panel: GenePanel) -> sparse.csr_matrix:
    parts = [panel.log_normalize(block) for block in iter_rows(expression, background_rows(expression.n_cells))]
    return sparse.csr_matrix(sparse.vstack(parts))


def _iter_log_expr(expression: Expression, panel: GenePanel) -> Iterator[tuple[slice, sparse.csr_matrix]]:
    start = 0
    for block in expression.blocks():
        rows = slice(start, start + len(block.indptr) - 1)
        yield rows, panel.log_normalize(block)
        start = rows.stop
