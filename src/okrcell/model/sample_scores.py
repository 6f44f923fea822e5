"""Signature scores of all cells of a sample for each candidate."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression
from okrcell.cells.samples.some_cells import iter_rows
from okrcell.model.embedder import Embedder, Progress
from okrcell.model.marker_scores import SignatureContrast, balanced_background, restrict_to_panel
from okrcell.model.relative_expression import Background, GenePanel
from okrcell.model.rivals import open_set_margin, out_of_candidate_types
from okrcell.model.signatures import SignatureHead, Signatures
from okrcell.tasks.candidates import Candidate, candidate_vectors

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
    signatures: Signatures
    """Expected gene signatures of the candidates."""
    background: Background
    """Background expression: that of the sample, shrunk to that of the corpus."""


def candidate_signatures(candidates: Sequence[Candidate], embedder: Embedder) -> Signatures:
    """Signature of each candidate: stored for a known type, else a mixture of the types with the nearest known texts."""
    head = cast(SignatureHead, embedder.signatures)
    weights = np.zeros((len(candidates), len(head.types)), dtype=np.float32)
    type_idx = head.index_of([entry.term_id for entry in candidates])
    weights[np.flatnonzero(type_idx >= 0), type_idx[type_idx >= 0]] = 1
    untyped_idx = np.flatnonzero(type_idx < 0).tolist()
    if untyped_idx:
        import torch

        texts = [candidates[idx].texts for idx in untyped_idx]
        mixture = head.match_texts(torch.from_numpy(embedder.pool_texts([text for entry in texts for text in entry])))
        starts = np.cumsum([0, *map(len, texts[:-1])])
        weights[untyped_idx] = (
            np.add.reduceat(mixture, starts, axis=0) / np.array([len(entry) for entry in texts])[:, None]
        )
    return head.signatures(weights)


def stored_candidate_vectors(candidates: Sequence[Candidate], embedder: Embedder) -> Float[np.ndarray, "candidate dim"]:
    """Return a unit vector for each candidate: stored for a known type, else embedded from its texts."""
    head = cast(SignatureHead, embedder.signatures)
    type_idx = head.index_of([candidate.term_id for candidate in candidates])
    vectors = head.vectors.numpy()[type_idx]
    untyped_idx = np.flatnonzero(type_idx < 0)
    if len(untyped_idx):
        vectors[untyped_idx] = candidate_vectors([candidates[idx] for idx in untyped_idx.tolist()], embedder)
    return vectors


def score_sample(
    expression: Expression, candidates: Sequence[Candidate], embedder: Embedder, progress: Progress | None = None
) -> SampleScores:
    """Score each cell for each candidate, in two passes over the file and with bounded memory.

    Parameters
    ----------
    expression
        Expression of the cells.
    candidates
        Candidate cell types.
    embedder
        Model with signatures.
    progress
        Called with the number of finished cells and their total.
    """
    head = cast(SignatureHead, embedder.signatures)
    panel = embedder.gene_panel(expression)
    signatures = candidate_signatures(candidates, embedder)
    contrast = SignatureContrast.from_signatures(signatures.combined, panel.measured)
    background = balanced_background(head, _background_cells(expression, panel), contrast)
    competitor_signatures = restrict_to_panel(head.combined, panel.measured)[
        out_of_candidate_types(head.types, [candidate.term_id for candidate in candidates])
    ]
    scores = np.full((expression.n_cells, len(candidates)), np.nan, dtype=np.float32)
    margin = np.full(expression.n_cells, np.nan, dtype=np.float32)
    for rows, log_expr in _iter_log_expr(expression, panel):
        candidate_scores = contrast.scores(log_expr, background)
        has_expression = np.diff(log_expr.indptr) > 0
        scores[rows] = np.where(has_expression[:, None], candidate_scores, np.nan)
        # Ancestors and descendants of a candidate are not competitors: they may be what the user meant.
        block_margin = open_set_margin(
            candidate_scores.max(axis=1), contrast.scores(log_expr, background, competitor_signatures)
        )
        margin[rows] = np.where(has_expression, block_margin, np.nan)
        if progress is not None:
            progress(rows.stop, expression.n_cells)
    return SampleScores(scores, margin, signatures, background)


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
