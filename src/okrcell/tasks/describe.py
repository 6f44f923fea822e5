"""Cited description of groups of cells: likely type, marker genes and supporting records."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.cells.expression import Expression
from okrcell.knowledge.evidence import KnowledgeSource
from okrcell.model.embedder import Embedder
from okrcell.tasks.candidates import Candidate, candidate_vectors
from okrcell.tasks.groups.group_genes import GroupGene, GroupGenes, group_genes
from okrcell.tasks.groups.group_sentences import NAMED_GENES, cited_anew, genes_told
from okrcell.tasks.groups.group_votes import LikelyType, Vote, group_votes
from okrcell.tasks.groups.rivals import Rival, group_rivals
from okrcell.tasks.groups.verdict import Verdict, verdict
from okrcell.tasks.ontology_texts import kept_vectors
from okrcell.texts.description import Sentence
from okrcell.texts.gather import Inquiry, evidence_for
from okrcell.texts.known import Known
from okrcell.texts.profile import FIELDS, CellProfile, read_profile
from okrcell.texts.template.gene_words import functions_of
from okrcell.texts.template.writer import TemplateWriter

MOST_GENES = 20
MOST_FUNCTIONS = 3

Progress = Callable[[int, int], None]
"""Callback with the number of finished groups and their total."""


@dataclass(frozen=True)
class GroupDescription:
    """Description of one group of cells."""

    group: str
    cells: int
    without_expression: int
    """Number of cells without expression."""
    status: str
    """confident: one candidate. broad: some descendant of the named type. unknown: no type is assigned."""
    name: str
    """Likely type or broader type; "unknown" if no type is assigned."""
    term_id: str
    """Cell Ontology id of the type, "" if it has none."""
    vote: Vote
    """Majority vote of the cells, before the marker tables are consulted."""
    genes: tuple[GroupGene, ...]
    """Marker genes of the group, strongest first."""
    sentences: tuple[Sentence, ...]
    """Sentences of the description, each with its evidence."""

    @property
    def types(self) -> tuple[LikelyType, ...]:
        """Most frequent candidates, most frequent first."""
        return self.vote.types


def describe_groups(
    expression: Expression,
    cells: Float[np.ndarray, "cell dim"],
    group: NDArray[np.intp],
    names: Sequence[str],
    some: Sequence[Candidate],
    embedder: Embedder,
    sources: Sequence[KnowledgeSource],
    *,
    known: Sequence[Candidate] = (),
    obs: pd.DataFrame | None = None,
    most_genes: int = MOST_GENES,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[GroupDescription, ...]:
    """Describe each group: likely types, marker genes, and cited sentences.

    The type of a group is the majority vote of its cells (`group_votes`). The vote is checked against
    the known marker genes of the type (`marker_support`): if enough of them were measured and none is
    expressed in the group, the vote is rejected, and the nearest broader type whose marker genes mark the group is reported,
    or "unknown". The vote is also rejected if most cells match a known type outside the candidates at least twice as well as
    the best candidate (`competing_types`). All three rules are ours.

    Parameters
    ----------
    expression
        Expression of all cells.
    cells
        Unit vectors of the cells, NaN for a cell without expression.
    group
        Index of each cell's group in ``names``, -1 for none.
    names
        Names of the groups.
    some
        Candidate cell types of the groups.
    embedder
        Model that computed ``cells``.
    sources
        Knowledge sources for markers and other cited facts.
    known
        Types that the model knows, compared with the candidates; if empty, this check is skipped.
    obs
        Annotation of the cells: a tissue or disease shared by most cells of a group is described too.
    most_genes
        Maximum number of marker genes in a description.
    seed
        Random seed of the cells sampled for the comparison of genes.
    progress
        Called after each group.
    """
    votes = group_votes(cells, group, len(names), some, embedder, embedder.measured(expression))
    rivals: tuple[Rival | None, ...] = (None,) * len(names)
    if known:
        rivals = group_rivals(
            cells, group, len(names), some, candidate_vectors(some, embedder), known, kept_vectors(known, embedder)
        )
    genes = group_genes(expression, group, len(names), seed=seed)
    method = f"Welch's t-test (scanpy {version('scanpy')}, rank_genes_groups), seed {seed}"
    model = f"{embedder.name} {embedder.fingerprint[:12]}".strip()
    inquiry = Inquiry(sources)
    described: list[GroupDescription] = []
    for place, name in enumerate(names):
        mine = group == place
        facts = CellProfile() if obs is None else _shared_facts(obs.loc[mine])
        heard = verdict(
            name, int(mine.sum()), votes[place], rivals[place], genes[place], len(some), inquiry, (model, method)
        )
        described.append(
            _described(name, int(mine.sum()), votes[place], genes[place], heard, facts, inquiry, method, most_genes)
        )
        if progress is not None:
            progress(place + 1, len(names))
    return tuple(described)


def _described(
    name: str,
    cells: int,
    vote: Vote,
    genes: GroupGenes | None,
    heard: Verdict,
    facts: CellProfile,
    inquiry: Inquiry,
    method: str,
    most_genes: int,
) -> GroupDescription:
    marking = genes.marking(most_genes) if genes else ()
    profile = replace(facts, cell_type=heard.name if heard.term_id else "", cell_type_id=heard.term_id)
    sentences = (
        heard.sentence,
        genes_told(name, marking, method, compared=genes is not None),
        *heard.testimony,
        *(cited_anew(each, heard.sentence) for each in _known_of(profile, inquiry)),
        *_functions(marking, inquiry),
    )
    once = tuple({sentence.text: sentence for sentence in sentences}.values())
    return GroupDescription(
        name, cells, cells - vote.measured, heard.status, heard.name, heard.term_id, vote, marking, once
    )


def _known_of(profile: CellProfile, inquiry: Inquiry) -> Sequence[Sentence]:
    """Sentences of the sources about the type and the sample, without gene functions (see `_functions`)."""
    if not profile.known:
        return ()
    evidence = [piece for piece in evidence_for(profile, inquiry) if piece.aspect not in ("gene", "function")]
    return TemplateWriter().write(profile, evidence).sentences


def _functions(marking: Sequence[GroupGene], inquiry: Inquiry) -> Sequence[Sentence]:
    """Sentences about the functions of the group's marker genes."""
    symbols = [gene.symbol for gene in marking[:NAMED_GENES]]
    told = Known(piece for symbol in symbols for piece in inquiry.about(symbol))
    return functions_of(symbols, told, MOST_FUNCTIONS)


def _shared_facts(obs: pd.DataFrame) -> CellProfile:
    """Profile of the facts (tissue, disease, ...) shared by more than half of the group's cells."""
    facts: dict[str, str] = {}
    for stem in FIELDS[1:]:
        for column in (stem, f"{stem}_ontology_term_id"):
            counted = Counter(obs[column].dropna().astype(str)) if column in obs else Counter[str]()
            for word, cells in counted.most_common(1):
                if cells > len(obs) / 2:
                    facts[column] = word
    return read_profile(facts)
