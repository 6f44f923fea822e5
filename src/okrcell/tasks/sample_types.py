"""Select the Cell Ontology types that are present in a sample, out of all types that a model knows."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression
from okrcell.cells.samples.neighbours import drawn_to_neighbours, neighbour_graph
from okrcell.cells.samples.sample import COMPONENTS, sample_components
from okrcell.cells.samples.some_cells import some_cells
from okrcell.knowledge.ontology import ontology
from okrcell.model.evidence import Contrast
from okrcell.model.relative_expression import FLOOR, Panel, Usual, usual
from okrcell.model.signature_head import SignatureHead
from okrcell.tasks.candidates import CELL_ONTOLOGY
from okrcell.tasks.confidence import probabilities
from okrcell.tasks.evidence import telling_rows
from okrcell.tasks.tissue_prior import TissuePrior
from okrcell.tasks.zero_shot import FEWEST_NEIGHBOURS

SIMILARITY_WEIGHT = 10.0
"""Weight of the similarity relative to the signature score; higher for hundreds of types than for ten candidates."""
TEMPERATURE = 1.5
PRIOR_WEIGHT = 0.75
"""Weight of the log prior of types. These three values were chosen on held-out pretraining studies
(docs/results/bundled-model.md)."""
CORPUS_SHARE = 0.25
"""Additional weight of the corpus background. Without candidates the cells may all be of one type, and a sample of one type
does not give a background. Chosen on the same studies."""
RAREST_TYPE = 0.005
"""A type is selected if at least this fraction of cells has it as prediction."""
LEAST_MASS = 0.02
"""A type is also selected if its mean probability is at least this; it matters in small samples."""
WORTH = (1.0, 0.5, 0.2)
"""Utility of a prediction that is right, or one or two steps broader or narrower than the truth."""


@dataclass(frozen=True)
class SampleTypes:
    """Types selected for a sample, with the parameters to score its cells."""

    places: NDArray[np.intp]
    """Indices of the selected types among the known types, most frequent first; empty for a sample without expression."""
    signatures: sparse.csr_matrix
    """(type, gene): signatures of the selected types, on the measured genes."""
    contrast: Contrast
    """Contrast of all known types."""
    known: Usual

    def evidence(self, logs: sparse.csr_matrix) -> Float[np.ndarray, "cell type"]:
        """Signature scores of cells for the selected types, relative to all known types; NaN for a cell without expression."""
        scores = self.contrast.scores(logs, self.known, self.signatures)
        return np.where((np.diff(logs.indptr) > 0)[:, None], scores, np.nan).astype(np.float32)


@dataclass
class Neighbours:
    """Smoothing over the kNN graph of a sample; sample components are computed on first use."""

    expression: Expression
    seed: int
    _points: NDArray[np.float32] | None = field(default=None, init=False)

    @property
    def asked(self) -> bool:
        """Whether any values were smoothed."""
        return self._points is not None

    def drawn(self, values: Float[np.ndarray, "cell value"], rows: NDArray[np.intp]) -> Float[np.ndarray, "cell value"]:
        """Smooth the values of the cells ``rows`` over their neighbours; few cells, and empty cells, are not changed."""
        filled = np.flatnonzero(~np.isnan(values).any(axis=1))
        if len(filled) < FEWEST_NEIGHBOURS:
            return values
        if self._points is None:
            self._points = sample_components(self.expression, COMPONENTS)
        graph = neighbour_graph(self._points[rows[filled]], seed=self.seed)
        moved = values.copy()
        moved[filled] = drawn_to_neighbours(values[filled], graph)
        return moved


def sample_types(
    expression: Expression,
    head: SignatureHead,
    panel: Panel,
    cells: Float[np.ndarray, "cell dim"],
    vectors: Float[np.ndarray, "type dim"],
    prior: TissuePrior,
    neighbours: Neighbours | None,
) -> SampleTypes:
    """Select the types that fit a sample (ours).

    A subset of cells is compared with every type that has a signature, by signature score, similarity and the prior of the
    type in the tissue. The prediction of a cell is the type with the highest expected utility (`worth`): a prediction one
    step away from the truth has half the utility of a right one, so a type that is too fine is replaced by its parent.

    Parameters
    ----------
    expression
        Expression of the cells.
    head
        Signatures of the known types.
    panel
        Measured genes of the file.
    cells
        Unit vectors of the cells, NaN for a cell without expression.
    vectors
        Unit vectors of the types of ``head``.
    prior
        Log prior of the types in the tissue of each cell.
    neighbours
        Smoothing over neighbours; None for no smoothing.
    """
    rows = telling_rows(len(cells))
    rows = rows[~np.isnan(cells[rows]).any(axis=1)]
    signatures = head.genes
    heard = np.flatnonzero(np.diff(sparse.csr_matrix(signatures.multiply(panel.measured[None, :])).indptr) > 0)
    contrast = Contrast.of(sparse.csr_matrix(signatures[heard]), panel.measured)
    logs = sparse.csr_matrix(sparse.vstack([panel.logs(block) for block in some_cells(expression, rows)]))
    known = towards_corpus(usual(head, [logs]), head)
    if not len(rows) or not len(heard):
        return SampleTypes(np.zeros(0, dtype=np.intp), contrast.own[:0], contrast, known)
    scores = contrast.scores(logs, known) + SIMILARITY_WEIGHT * (cells[rows] @ vectors[heard].T)
    if neighbours is not None:
        scores = neighbours.drawn(scores, rows)
    share = probabilities(scores + TEMPERATURE * PRIOR_WEIGHT * prior.at(rows, heard), TEMPERATURE)
    best = (share @ worth([head.types[place] for place in heard])).argmax(axis=1)
    often = np.bincount(best, minlength=len(heard)) / len(rows)
    mass = share.mean(axis=0)
    chosen = np.flatnonzero((often >= RAREST_TYPE) | (mass >= LEAST_MASS))
    chosen = chosen[np.lexsort((-mass[chosen], -often[chosen]))]
    return SampleTypes(heard[chosen], sparse.csr_matrix(contrast.own[chosen]), contrast, known)


def towards_corpus(known: Usual, head: SignatureHead) -> Usual:
    """Shrink the background of a sample further to that of the corpus (`CORPUS_SHARE`)."""
    level, within = head.level.numpy().astype(np.float64), head.spread.numpy().astype(np.float64)
    spread = (1 - CORPUS_SHARE) * known.spread**2 + CORPUS_SHARE * (within**2 + FLOOR**2)
    return Usual((1 - CORPUS_SHARE) * known.level + CORPUS_SHARE * level, np.sqrt(spread))


def worth(types: Sequence[str]) -> Float[np.ndarray, "truth answer"]:
    """Utility of each predicted type for each true type, by their distance as ancestor and descendant (`WORTH`)."""
    home = ontology(CELL_ONTOLOGY)
    place = {term: number for number, term in enumerate(types)}
    found = np.eye(len(types), dtype=np.float32)
    for term, number in place.items():
        for above in home.ancestors(term):
            steps = home.distance(term, above)
            if above in place and steps is not None and steps < len(WORTH):
                found[number, place[above]] = found[place[above], number] = WORTH[steps]
    return found
