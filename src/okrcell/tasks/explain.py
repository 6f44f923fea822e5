"""Say of a group of cells, or of one, which genes spoke for its name and which against it."""

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
"""So many of the known types that a signature was read from are asked for records."""

Progress = Callable[[int, int], None]
"""Told how many groups of how many are done."""


@dataclass(frozen=True)
class ExplainingGene:
    """A gene that spoke, with where its word comes from."""

    symbol: str
    speaker: Speaker
    inside: float
    """Share of the group's cells in which it was found, in [0, 1]."""
    outside: float
    """Share of all other cells in which it was found; NaN where there are none."""
    records: tuple[Evidence, ...]
    """Which records of marker tables say so; empty where none is at hand, or the model has it from cells."""

    @property
    def speaks_for(self) -> bool:
        """Whether it is the answer's, and not the rival's."""
        return self.speaker.contribution > 0


@dataclass(frozen=True)
class Explanation:
    """Why a group of cells, or one, was given its name."""

    group: str
    cells: int
    without_expression: int
    answer: Candidate | None
    """What most of its cells were named; None where none has expression."""
    share: float
    """Share of its cells with expression that were named so, in [0, 1]."""
    rival: Candidate | None
    """What came next; None with one candidate."""
    scores: tuple[float, float]
    """Mean score of answer and rival, as `okrcell.tl.annotate` gave them; NaN where there is none."""
    genes: tuple[ExplainingGene, ...]
    """The genes with the strongest word, for and against, the strongest first."""


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
    """Explain the answers of groups of cells by the genes that the model's signatures name.

    The answer of a group is what most of its cells were named, its rival the candidate with the next highest mean score.
    Each gene's word is what `okrcell.tasks.explaining.speakers` says; it explains the part of a score that comes from genes
    (`okrcell.tasks.evidence`), not the similarity of vectors, nor the word of neighbours in the sample.

    Parameters
    ----------
    group
        Place of each cell's group among ``names``, -1 for none.
    some, scores, best
        What the cells could be named, how well each fits, NaN for a cell without expression, and which they were named.
    sources
        Who is asked for records.

    Raises
    ------
    InputError
        If the model has no signatures.
    """
    if embedder.signatures is None:
        raise InputError(
            f"The model {embedder.name} does not tell which genes a sentence predicts, so its answers cannot be explained. "
            "Use the bundled model, or one that was trained with signatures."
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
    """Return the mean relative expression of each group, in one pass over the file; NaN for a group without cells."""
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
    """Find what most cells were named, and what comes next."""
    cells, heard = len(mine), mine[known[mine]]
    nothing = (float("nan"), float("nan"))
    if not len(heard):
        return Explanation(name, cells, cells, None, 0.0, None, nothing, ())
    votes = np.bincount(best[heard], minlength=len(some))
    mean = np.asarray(scores[heard], dtype=np.float64).mean(axis=0)
    # Of equal votes the one with the better score.
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
    """Hear the genes on one group; in how many cells they are is counted later."""
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
    """List the type itself and those that its signature was read from, the nearest first."""
    types = () if embedder.signatures is None else embedder.signatures.types
    share = said.signatures.known_types[number]
    near = [int(place) for place in np.argsort(-share, kind="stable")[:NEAREST_TYPES] if share[place] > 0]
    return tuple(dict.fromkeys(filter(None, (who.term_id, *(types[place] for place in near)))))


def _counted(
    found: Sequence[Explanation], expression: Expression, group: NDArray[np.intp], embedder: Embedder
) -> tuple[Explanation, ...]:
    """Add in how many cells each gene was found; the file is read once for all groups."""
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
