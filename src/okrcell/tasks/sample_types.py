"""Which types of the Cell Ontology the cells of a sample are, out of all that a model knows."""

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
"""What similarity counts for beside evidence: among hundreds of types it tells more than among ten."""
TEMPERATURE = 1.5
PRIOR_WEIGHT = 0.75
"""How far it speaks for a type that many know it. These three were chosen on pretraining studies that were held out
(docs/results/bundled-model.md)."""
CORPUS_SHARE = 0.25
"""What is usual in the corpus has so much of the say besides: where nobody says what the cells may be, they may all be of one
type, and a sample of one type does not show what is usual. Chosen likewise."""
RAREST_TYPE = 0.005
"""A type is one of the sample's if it is the answer of this share of its cells."""
LEAST_MASS = 0.02
"""Or if all of them together give it this probability on average: where cells are few, their second thoughts are kept."""
WORTH = (1.0, 0.5, 0.2)
"""What an answer is worth that is right, or broader or narrower than the truth by one step, or by two."""


@dataclass(frozen=True)
class SampleTypes:
    """The types that fit a sample, with what it takes to score cells for them."""

    places: NDArray[np.intp]
    """Of the types among those that the model knows, the most frequent first; none of a sample without expression."""
    signatures: sparse.csr_matrix
    """(type, gene): theirs, on the measured genes."""
    contrast: Contrast
    """Of all known types."""
    known: Usual

    def evidence(self, logs: sparse.csr_matrix) -> Float[np.ndarray, "cell type"]:
        """Score cells for the types against all that the model knows; NaN for a cell without expression."""
        scores = self.contrast.scores(logs, self.known, self.signatures)
        return np.where((np.diff(logs.indptr) > 0)[:, None], scores, np.nan).astype(np.float32)


@dataclass
class Neighbours:
    """Which cells of a sample are neighbours, found when first asked for."""

    expression: Expression
    seed: int
    _points: NDArray[np.float32] | None = field(default=None, init=False)

    @property
    def asked(self) -> bool:
        """Whether any cell was drawn to others."""
        return self._points is not None

    def drawn(self, values: Float[np.ndarray, "cell value"], rows: NDArray[np.intp]) -> Float[np.ndarray, "cell value"]:
        """Draw the cells at ``rows`` to their neighbours among them; where they are few, or empty, they stay."""
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
    """Find the types that fit a sample.

    Some cells are compared with every type that the model has a signature of: evidence of genes, similarity, and how many
    know the type, in this tissue above all. The answer of a cell is the type of highest worth, where an answer one step
    beside the truth has half the worth of a right one: a type too fine for the evidence gives way to its parent. Ours.

    Parameters
    ----------
    cells, vectors
        Unit vectors of the cells, NaN for one without expression, and of the head's types.
    neighbours
        Draws cells to each other; None: each by itself.
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
    """Draw what is usual in a sample further towards what is usual in the corpus (`CORPUS_SHARE`)."""
    level, within = head.level.numpy().astype(np.float64), head.spread.numpy().astype(np.float64)
    spread = (1 - CORPUS_SHARE) * known.spread**2 + CORPUS_SHARE * (within**2 + FLOOR**2)
    return Usual((1 - CORPUS_SHARE) * known.level + CORPUS_SHARE * level, np.sqrt(spread))


def worth(types: Sequence[str]) -> Float[np.ndarray, "truth answer"]:
    """Return what each answer is worth for each truth, by how many steps the one is above or below the other (`WORTH`)."""
    home = ontology(CELL_ONTOLOGY)
    place = {term: number for number, term in enumerate(types)}
    found = np.eye(len(types), dtype=np.float32)
    for term, number in place.items():
        for above in home.ancestors(term):
            steps = home.distance(term, above)
            if above in place and steps is not None and steps < len(WORTH):
                found[number, place[above]] = found[place[above], number] = WORTH[steps]
    return found
