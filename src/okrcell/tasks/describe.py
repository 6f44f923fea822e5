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
from okrcell.evidence import KnowledgeSource
from okrcell.model.embedder import Embedder
from okrcell.tasks.candidates import Candidate, candidate_vectors
from okrcell.tasks.rank_genes import GroupGene, GroupGenes, rank_genes
from okrcell.tasks.groups.group_sentences import MAX_NAMED_GENES, cite_vote, genes_sentence
from okrcell.tasks.group_annotation import GroupVote, LikelyType, group_votes
from okrcell.tasks.groups.rivals import CompetingType, competing_types
from okrcell.tasks.groups.verdict import GroupLabel, label_group
from okrcell.tasks.ontology_texts import cached_type_vectors
from okrcell.texts.description import Sentence
from okrcell.texts.gather import EvidenceCache, gather_evidence
from okrcell.texts.known import EvidenceIndex
from okrcell.ontology.obs_profile import PROFILE_COLUMNS, CellProfile, read_profile
from okrcell.texts.template.gene_words import function_sentences
from okrcell.descriptions.template_writer import TemplateWriter

MAX_GENES = 20
MAX_FUNCTIONS = 3

Progress = Callable[[int, int], None]
"""Callback with the number of finished groups and their total."""


@dataclass(frozen=True)
class GroupDescription:
    """Description of one group of cells."""

    group: str
    n_cells: int
    without_expression: int
    """Number of cells without expression."""
    status: str
    """confident: one candidate. broad: some descendant of the named type. unknown: no type is assigned."""
    name: str
    """Likely type or broader type; "unknown" if no type is assigned."""
    term_id: str
    """Cell Ontology id of the type, "" if it has none."""
    vote: GroupVote
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
    cell_vectors: Float[np.ndarray, "cell dim"],
    group: NDArray[np.intp],
    names: Sequence[str],
    candidates: Sequence[Candidate],
    embedder: Embedder,
    sources: Sequence[KnowledgeSource],
    *,
    known_types: Sequence[Candidate] = (),
    obs: pd.DataFrame | None = None,
    max_genes: int = MAX_GENES,
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
    cell_vectors
        Unit vectors of the cells, NaN for a cell without expression.
    group
        Index of each cell's group in ``names``, -1 for none.
    names
        Names of the groups.
    candidates
        Candidate cell types of the groups.
    embedder
        Model that computed ``cell_vectors``.
    sources
        Knowledge sources for markers and other cited facts.
    known_types
        Types that the model knows, compared with the candidates; if empty, this check is skipped.
    obs
        Annotation of the cells: a tissue or disease shared by most cells of a group is described too.
    max_genes
        Maximum number of marker genes in a description.
    seed
        Random seed of the cells sampled for the comparison of genes.
    progress
        Called after each group.
    """
    votes = group_votes(cell_vectors, group, len(names), candidates, embedder, embedder.n_measured_genes(expression))
    competitors: tuple[CompetingType | None, ...] = (None,) * len(names)
    if known_types:
        competitors = competing_types(
            cell_vectors,
            group,
            len(names),
            candidates,
            candidate_vectors(candidates, embedder),
            known_types,
            cached_type_vectors(known_types, embedder),
        )
    genes = rank_genes(expression, group, len(names), seed=seed)
    method = f"Welch's t-test (scanpy {version('scanpy')}, rank_genes_groups), seed {seed}"
    model = f"{embedder.name} {embedder.fingerprint[:12]}".strip()
    evidence_cache = EvidenceCache(sources)
    descriptions: list[GroupDescription] = []
    for idx, name in enumerate(names):
        in_group = group == idx
        profile = CellProfile() if obs is None else _majority_profile(obs.loc[in_group])
        group_label = label_group(
            name,
            int(in_group.sum()),
            votes[idx],
            competitors[idx],
            genes[idx],
            len(candidates),
            evidence_cache,
            (model, method),
        )
        descriptions.append(
            _describe_group(
                name,
                int(in_group.sum()),
                votes[idx],
                genes[idx],
                group_label,
                profile,
                evidence_cache,
                method,
                max_genes,
            )
        )
        if progress is not None:
            progress(idx + 1, len(names))
    return tuple(descriptions)


def _describe_group(
    name: str,
    n_cells: int,
    vote: GroupVote,
    genes: GroupGenes | None,
    group_label: GroupLabel,
    shared_profile: CellProfile,
    evidence_cache: EvidenceCache,
    method: str,
    max_genes: int,
) -> GroupDescription:
    markers = genes.top_markers(max_genes) if genes else ()
    profile = replace(
        shared_profile, cell_type=group_label.name if group_label.term_id else "", cell_type_id=group_label.term_id
    )
    sentences = (
        group_label.sentence,
        genes_sentence(name, markers, method, compared=genes is not None),
        *group_label.marker_sentences,
        *(
            cite_vote(cited_sentence, group_label.sentence)
            for cited_sentence in _knowledge_sentences(profile, evidence_cache)
        ),
        *_function_sentences(markers, evidence_cache),
    )
    unique_sentences = tuple({sentence.text: sentence for sentence in sentences}.values())
    return GroupDescription(
        name,
        n_cells,
        n_cells - vote.n_measured,
        group_label.status,
        group_label.name,
        group_label.term_id,
        vote,
        markers,
        unique_sentences,
    )


def _knowledge_sentences(profile: CellProfile, evidence_cache: EvidenceCache) -> Sequence[Sentence]:
    """Sentences of the sources about the type and the sample, without gene functions (see `_function_sentences`)."""
    if not profile.has_values:
        return ()
    evidence = [piece for piece in gather_evidence(profile, evidence_cache) if piece.aspect not in ("gene", "function")]
    return TemplateWriter().write(profile, evidence).sentences


def _function_sentences(markers: Sequence[GroupGene], evidence_cache: EvidenceCache) -> Sequence[Sentence]:
    """Sentences about the functions of the group's marker genes."""
    symbols = [gene.symbol for gene in markers[:MAX_NAMED_GENES]]
    evidence = EvidenceIndex(piece for symbol in symbols for piece in evidence_cache.evidence_for(symbol))
    return function_sentences(symbols, evidence, MAX_FUNCTIONS)


def _majority_profile(obs: pd.DataFrame) -> CellProfile:
    """Profile of the facts (tissue, disease, ...) shared by more than half of the group's cells."""
    facts: dict[str, str] = {}
    for field in PROFILE_COLUMNS[1:]:
        for column in (field, f"{field}_ontology_term_id"):
            counts = Counter(obs[column].dropna().astype(str)) if column in obs else Counter[str]()
            for value, count in counts.most_common(1):
                if count > len(obs) / 2:
                    facts[column] = value
    return read_profile(facts)
