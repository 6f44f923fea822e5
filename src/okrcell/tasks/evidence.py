"""Signature scores of all cells of a sample for each candidate."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression
from okrcell.cells.samples.some_cells import some_cells
from okrcell.model.embedder import Embedder, Progress
from okrcell.model.evidence import Contrast, balanced_usual, measured_part
from okrcell.model.relative_expression import Panel, Usual
from okrcell.model.rivals import lead_over_rivals, rivals
from okrcell.model.signature_head import SignatureHead, Signatures
from okrcell.tasks.candidates import Candidate, candidate_vectors

CELLS_THAT_TELL = 20_000
"""Maximum number of evenly spaced cells from which the background of a sample is estimated; more would not change it."""


@dataclass(frozen=True)
class SampleEvidence:
    """Signature scores of all cells of a sample."""

    score: Float[np.ndarray, "cell candidate"]
    """Scalar product of relative expression and each candidate's signature minus the mean signature of all candidates, in
    standard scores of independent genes; NaN for a cell without expression."""
    lead: Float[np.ndarray, " cell"]
    """Margin of the best candidate over the best known type outside the candidates; NaN for a cell without expression."""
    signatures: Signatures
    """Expected gene signatures of the candidates."""
    usual: Usual
    """Background expression: that of the sample, shrunk to that of the corpus."""


def signatures_of(some: Sequence[Candidate], embedder: Embedder) -> Signatures:
    """Signature of each candidate: stored for a known type, else a mixture of the types with the nearest known texts."""
    head = cast(SignatureHead, embedder.signatures)
    shares = np.zeros((len(some), len(head.types)), dtype=np.float32)
    place = head.known([each.term_id for each in some])
    shares[np.flatnonzero(place >= 0), place[place >= 0]] = 1
    words = np.flatnonzero(place < 0).tolist()
    if words:
        import torch

        texts = [some[number].texts for number in words]
        read = head.read(torch.from_numpy(embedder.pool_texts([text for each in texts for text in each])))
        starts = np.cumsum([0, *map(len, texts[:-1])])
        shares[words] = np.add.reduceat(read, starts, axis=0) / np.array([len(each) for each in texts])[:, None]
    return head.signatures(shares)


def known_vectors(some: Sequence[Candidate], embedder: Embedder) -> Float[np.ndarray, "candidate dim"]:
    """Return a unit vector for each candidate: stored for a known type, else embedded from its texts."""
    head = cast(SignatureHead, embedder.signatures)
    place = head.known([each.term_id for each in some])
    vectors = head.vectors.numpy()[place]
    words = np.flatnonzero(place < 0)
    if len(words):
        vectors[words] = candidate_vectors([some[number] for number in words.tolist()], embedder)
    return vectors


def sample_evidence(
    expression: Expression, some: Sequence[Candidate], embedder: Embedder, progress: Progress | None = None
) -> SampleEvidence:
    """Score each cell for each candidate, in two passes over the file and with bounded memory.

    Parameters
    ----------
    expression
        Expression of the cells.
    some
        Candidate cell types.
    embedder
        Model with signatures.
    progress
        Called with the number of finished cells and their total.
    """
    head = cast(SignatureHead, embedder.signatures)
    panel = embedder.panel(expression)
    signatures = signatures_of(some, embedder)
    contrast = Contrast.of(signatures.genes, panel.measured)
    known = balanced_usual(head, _telling_cells(expression, panel), contrast)
    others = measured_part(head.genes, panel.measured)[rivals(head.types, [each.term_id for each in some])]
    score = np.full((expression.n_cells, len(some)), np.nan, dtype=np.float32)
    lead = np.full(expression.n_cells, np.nan, dtype=np.float32)
    for rows, logs in _logs(expression, panel):
        own = contrast.scores(logs, known)
        filled = np.diff(logs.indptr) > 0
        score[rows] = np.where(filled[:, None], own, np.nan)
        # Ancestors and descendants of a candidate are not competitors: they may be what the user meant.
        ahead = lead_over_rivals(own.max(axis=1), contrast.scores(logs, known, others))
        lead[rows] = np.where(filled, ahead, np.nan)
        if progress is not None:
            progress(rows.stop, expression.n_cells)
    return SampleEvidence(score, lead, signatures, known)


def telling_rows(cells: int) -> NDArray[np.intp]:
    """Return the rows of the cells used to estimate the background of a sample, ascending."""
    return np.unique(np.linspace(0, cells - 1, min(cells, CELLS_THAT_TELL)).astype(np.intp))


def _telling_cells(expression: Expression, panel: Panel) -> sparse.csr_matrix:
    parts = [panel.logs(block) for block in some_cells(expression, telling_rows(expression.n_cells))]
    return sparse.csr_matrix(sparse.vstack(parts))


def _logs(expression: Expression, panel: Panel) -> Iterator[tuple[slice, sparse.csr_matrix]]:
    done = 0
    for block in expression.blocks():
        rows = slice(done, done + len(block.indptr) - 1)
        yield rows, panel.logs(block)
        done = rows.stop
