"""Gene contributions to the annotation of groups of cells or single cells, with marker records."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.expression import Expression
from okrcell.errors import InputError
from okrcell.knowledge.evidence import Evidence, KnowledgeSource
from okrcell.model.embedder import Embedder
from okrcell.model.relative_expression import Panel, Usual
from okrcell.tasks.candidates import Candidate
from okrcell.tasks.evidence import SampleEvidence, sample_evidence
from okrcell.tasks.explaining.expectations import Expectation, expectations
from okrcell.tasks.explaining.presence import presence
from okrcell.tasks.explaining.speakers import Speaker, speakers
from okrcell.tasks.explaining.witnesses import witnesses
from okrcell.texts.gather import Inquiry

NEAREST_TYPES = 3
"""Maximum number of known types of a signature mixture whose records are searched."""

Progress = Callable[[int, int], None]
"""Callback with the number of finished groups and their total."""


@dataclass(frozen=True)
class ExplainingGene:
    """Contribution of a gene, with its detection rates and supporting records."""

    symbol: str
    speaker: Speaker
    inside: float
    """Fraction of the group's cells in which the gene was detected, in [0, 1]."""
    outside: float
    """Fraction of all other cells in which the gene was detected, in [0, 1]; NaN if there are none."""
    records: tuple[Evidence, ...]
    """Supporting records of marker tables; empty if there is none, or if the weight was learned from cells alone."""

    @property
    def speaks_for(self) -> bool:
        """Whether the gene supports the predicted type rather than the runner-up."""
        return self.speaker.contribution > 0


@dataclass(frozen=True)
class Explanation:
    """Explanation of the annotation of one group of cells or one cell."""

    group: str
    cells: int
    without_expression: int
    answer: Candidate | None
    """Prediction of most cells of the group; None if no cell has expression."""
    share: float
    """Fraction of the cells with expression that have this prediction, in [0, 1]."""
    rival: Candidate | None
    """Runner-up: the other candidate with the highest mean score; None with one candidate."""
    scores: tuple[float, float]
    """Mean scores of prediction and runner-up from `okrcell.tl.annotate`; NaN if there is none."""
    genes: tuple[ExplainingGene, ...]
    """Genes with the largest absolute contribution, largest first."""


def explain_groups(
    expression: Expression,
    group: NDArray[np.intp],
    names: Sequence[str],
    some: Sequence[Candidate],
    scores: Float[np.ndarray, "cell candidate"],
    best: NDArray[np.intp],
    embedder: Embedder,
    *,
    sources: Sequence[KnowledgeSource] = (),
    top: int = 20,
    progress: Progress | None = None,
) -> tuple[Explanation, ...]:
    """Explain the predictions of groups of cells by the genes of the model's signatures.

    The prediction of a group is that of most of its cells; the runner-up is the other candidate with the highest mean score.
    Contributions (`gene_contributions`) explain the signature part of a score (`okrcell.tasks.evidence`), not
    the similarity of vectors and not the smoothing over neighbours.

    Parameters
    ----------
    expression
        Expression of all cells.
    group
        Index of each cell's group in ``names``, -1 for none.
    names
        Names of the groups.
    some
        Candidate cell types.
    scores
        Score of each cell for each candidate, NaN for a cell without expression.
    best
        Index of each cell's predicted candidate.
    embedder
        Model with signatures.
    sources
        Knowledge sources searched for records.
    top
        Maximum number of genes of an explanation.
    progress
        Called after each group.

    Raises
    ------
    InputError
        If the model has no signatures.
    """
    if embedder.signatures is None:
        raise InputError(
            f"The model {embedder.name} has no gene signatures, so its annotations cannot be explained. "
            "Use the bundled model or a model trained with signatures."
        )
    panel = embedder.panel(expression)
    said = sample_evidence(expression, some, embedder)
    known = np.asarray(~np.isnan(scores).any(axis=1))
    inquiry = Inquiry(sources)
    standing = [
        _standing(name, np.flatnonzero(group == place), known, some, scores, best) for place, name in enumerate(names)
    ]
    relative = _relative(expression, np.where(known, group, -1), len(names), panel, said.usual)
    heard: list[Explanation] = []
    for each, shown in zip(standing, relative, strict=True):
        genes = _genes(each, shown, some, said, panel.measured, top, embedder, inquiry) if each.answer else ()
        heard.append(replace(each, genes=genes))
        if progress is not None:
            progress(len(heard), len(names))
    return _counted(heard, expression, group, embedder)


def _relative(
    expression: Expression, group: NDArray[np.intp], groups: int, panel: Panel, known: Usual
) -> Float[np.ndarray, "group gene"]:
    """Mean relative expression of each group, in one pass over the file; NaN for a group without cells."""
    total, cells = np.zeros((groups, len(known.level))), np.bincount(group[group >= 0], minlength=groups)
    start = 0
    for block in expression.blocks():
        logs = known.cut(panel.logs(block))
        mine = group[start : start + len(logs.indptr) - 1]
        start += len(mine)
        inside = np.flatnonzero(mine >= 0)
        member = sparse.csr_matrix((np.ones(len(inside)), (mine[inside], inside)), shape=(groups, len(mine)))
        total += np.asarray(cast(sparse.csr_matrix, member @ logs).todense())
    with np.errstate(invalid="ignore", divide="ignore"):
        return (total / cells[:, None] - known.level) / known.spread


def _standing(
    name: str,
    mine: NDArray[np.intp],
    known: NDArray[np.bool_],
    some: Sequence[Candidate],
    scores: Float[np.ndarray, "cell candidate"],
    best: NDArray[np.intp],
) -> Explanation:
    """Prediction and runner-up of one group, without genes."""
    cells, heard = len(mine), mine[known[mine]]
    nothing = (float("nan"), float("nan"))
    if not len(heard):
        return Explanation(name, cells, cells, None, 0.0, None, nothing, ())
    votes = np.bincount(best[heard], minlength=len(some))
    mean = np.asarray(scores[heard], dtype=np.float64).mean(axis=0)
    # Ties are broken by the mean score.
    answer = int(np.lexsort((-mean, -votes))[0])
    others = np.where(np.arange(len(some)) == answer, -np.inf, mean)
    rival = int(others.argmax()) if len(some) > 1 else None
    return Explanation(
        name,
        cells,
        cells - len(heard),
        some[answer],
        float(votes[answer] / len(heard)),
        None if rival is None else some[rival],
        (float(mean[answer]), float("nan") if rival is None else float(mean[rival])),
        (),
    )


def _genes(
    each: Explanation,
    relative: Float[np.ndarray, " gene"],
    some: Sequence[Candidate],
    said: SampleEvidence,
    measured: NDArray[np.bool_],
    top: int,
    embedder: Embedder,
    inquiry: Inquiry,
) -> tuple[ExplainingGene, ...]:
    """Contributions of the genes for one group; detection rates are added later."""
    numbers = [list(some).index(who) for who in (each.answer, each.rival) if who is not None]
    apart = expectations(said.signatures, measured, numbers)
    answer = apart[numbers[0]]
    rival = apart[numbers[1]] if len(numbers) > 1 else Expectation.nothing(len(relative))
    terms = [_terms(some[number], said, number, embedder) for number in numbers] + [()]
    nowhere = float("nan")
    return tuple(
        ExplainingGene(symbol, word, nowhere, nowhere, witnesses(symbol, word, terms[0], terms[1], inquiry))
        for word in speakers(relative, answer, rival, top)
        for symbol in (str(embedder.vocabulary.symbol[word.gene]),)
    )


def _terms(who: Candidate, said: SampleEvidence, number: int, embedder: Embedder) -> tuple[str, ...]:
    """Term ids of the candidate and of the known types in its signature mixture, largest weight first."""
    types = () if embedder.signatures is None else embedder.signatures.types
    share = said.signatures.known_types[number]
    near = [int(place) for place in np.argsort(-share, kind="stable")[:NEAREST_TYPES] if share[place] > 0]
    return tuple(dict.fromkeys(filter(None, (who.term_id, *(types[place] for place in near)))))


def _counted(
    found: Sequence[Explanation], expression: Expression, group: NDArray[np.intp], embedder: Embedder
) -> tuple[Explanation, ...]:
    """Add the detection rates of the genes, in one pass over the file for all groups."""
    genes = sorted({gene.speaker.gene for each in found for gene in each.genes})
    if not genes:
        return tuple(found)
    tokens = embedder.vocabulary.tokens(expression.table)
    row_of = np.zeros(len(embedder.vocabulary), dtype=np.intp)
    row_of[tokens[tokens > 0] - 1] = np.flatnonzero(tokens > 0)
    shares = presence(expression, group, len(found), row_of[genes])
    column = {gene: place for place, gene in enumerate(genes)}
    return tuple(
        replace(
            each,
            genes=tuple(
                replace(
                    gene,
                    inside=float(shares.inside[place, column[gene.speaker.gene]]),
                    outside=float(shares.outside[place, column[gene.speaker.gene]]),
                )
                for gene in each.genes
            ),
        )
        for place, each in enumerate(found)
    )
