"""Cited description of groups of cells: likely type, marker genes and supporting records."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from okrcell.cells.expression import Expression
from okrcell.descriptions.description import Sentence
from okrcell.descriptions.evidence_lookup import EvidenceCache, EvidenceIndex, gather_evidence
from okrcell.descriptions.metadata_text import indefinite_article, join_list, lowercase_first
from okrcell.descriptions.template_writer import TemplateWriter, function_sentences
from okrcell.evidence import Evidence, KnowledgeSource
from okrcell.model.embedder import Embedder
from okrcell.ontology.obs_profile import PROFILE_COLUMNS, CellProfile, read_profile
from okrcell.ontology.ontology import ontology
from okrcell.tasks.candidates import CELL_ONTOLOGY
from okrcell.tasks.confidence import CONFIDENCE_THRESHOLD
from okrcell.tasks.group_annotation import (
    CellPredictions,
    CompetingType,
    GroupVote,
    LikelyType,
    MarkerSupport,
    competing_types,
    confirmed_ancestor,
    group_votes,
    marker_support,
)
from okrcell.tasks.rank_genes import GroupGene, GroupGenes, rank_genes
from okrcell.tasks.zero_shot import candidate_similarity

OWN_DATA = "these cells"
"""Source name of evidence computed from the data itself."""
MAX_NAMED_GENES = 8
"""Maximum number of genes in a sentence."""


MAX_GENES = 20
MAX_FUNCTIONS = 3
Progress = Callable[[int, int], None]
"""Callback with the number of finished groups and their total."""


def vote_evidence(group: str, vote: GroupVote, model: str) -> Evidence:
    """Evidence of the vote of the cells."""
    parts = (
        f"{likely_type.name} {likely_type.fraction:.1%} (mean probability {likely_type.probability:.3f})"
        for likely_type in vote.types
    )
    text = f"Nearest candidate of {vote.n_measured:,} cells with expression: {'; '.join(parts) or 'none'}."
    return Evidence(text, OWN_DATA, f"group {group}, nearest candidates", model, "", "metadata")


def genes_evidence(group: str, genes: Sequence[GroupGene], method: str) -> Evidence:
    """Evidence of the differential expression of genes."""
    parts = (f"{gene.symbol} {gene.log2_fold:+.1f} ({gene.inside:.0%}, {gene.outside:.0%})" for gene in genes)
    text = f"log2 fold (share of cells in the group, outside): {'; '.join(parts) or 'no gene'}."
    symbols = tuple(gene.symbol for gene in genes)
    return Evidence(
        text, OWN_DATA, f"group {group}, genes against all other cells", method, "", "metadata", (), symbols
    )


def vote_sentence(group: str, n_cells: int, vote: GroupVote, n_candidates: int, model: str) -> Sentence:
    """Sentence about the likely type by majority vote, or that the type is unknown."""
    subject = _subject(group, n_cells)
    candidates_text = f"{n_candidates} candidates"
    fraction_text = f"{vote.fraction:.0%} of its cells are"
    nearest_text = join_list([f"{likely_type.name} ({likely_type.fraction:.0%})" for likely_type in vote.types[:3]])
    if not vote.n_measured:
        text = f"{subject} has no cell with expression, so its type is unknown."
    elif vote.status == "confident":
        context = f"of {candidates_text}" if n_candidates > 1 else "and no other candidate was given"
        text = (
            f"{_likely_subject(subject, vote, f'{indefinite_article(vote.name)} {vote.name}')}: "
            f"{fraction_text} nearest to it, {context}."
        )
    elif vote.status == "broad":
        text = (
            f"{_likely_subject(subject, vote, f'some kind of {vote.name}')}: {fraction_text} nearest to kinds of it, "
            f"but none of {candidates_text} has more than half; the most frequent are {nearest_text}."
        )
    else:
        text = (
            f"The type of {lowercase_first(subject)} is unknown: its cells disagree. "
            f"The most frequent of {candidates_text} are {nearest_text}."
        )
    return Sentence(text, (vote_evidence(group, vote, model),))


def _likely_subject(subject: str, vote: GroupVote, type_text: str) -> str:
    """Name the type as likely only if the cells' own mean probability of it is at least one half."""
    if vote.probability >= CONFIDENCE_THRESHOLD:
        return f"{subject} is most likely {type_text}"
    return f"{subject} resembles {type_text} most, but with a mean probability of only {vote.probability:.2f}"


def contradiction_sentence(
    group: str, n_cells: int, vote: GroupVote, contradicted: MarkerSupport, confirmed: MarkerSupport | None, model: str
) -> Sentence:
    """Sentence about a group whose vote is contradicted by known marker genes."""
    subject = _subject(group, n_cells)
    reason = (
        f"{vote.fraction:.0%} of its cells are nearest to {vote.name}, "
        "but the known marker genes of that type contradict it."
    )
    if confirmed is None:
        text = f"The type of {lowercase_first(subject)} is unknown: {reason}"
    else:
        text = f"{subject} has the marker genes of some kind of {_type_name(confirmed)}: {reason}"
    markers = (*contradicted.markers.evidence, *(confirmed.markers.evidence if confirmed else ()))
    return Sentence(text, (vote_evidence(group, vote, model), *markers))


def competitor_sentence(
    group: str, n_cells: int, vote: GroupVote, competitor: CompetingType, n_candidates: int, model: str
) -> Sentence:
    """Sentence about a group whose cells match a known type outside the candidates better."""
    best_type = vote.types[0]
    candidates_text = (
        f"{best_type.name}, of {n_candidates} candidates"
        if n_candidates > 1
        else f"{best_type.name}, the only candidate"
    )
    text = (
        f"The type of {lowercase_first(_subject(group, n_cells))} is unknown: "
        f"{best_type.fraction:.0%} of its cells are nearest to {candidates_text}, but no candidate fits "
        f"{competitor.fraction_unknown:.0%} of them; of the types that the model knows, these resemble {competitor.name} most."
    )
    return Sentence(text, (vote_evidence(group, vote, model),))


def genes_sentence(group: str, markers: Sequence[GroupGene], method: str, *, compared: bool) -> Sentence:
    """Sentence about the marker genes of the group."""
    symbols = [gene.symbol for gene in markers]
    if not compared:
        text = f"No gene of group {group} could be compared: it, or all that is outside it, has fewer than three cells."
    elif not symbols:
        text = f"No gene distinguishes group {group} clearly from the others."
    else:
        text = f"Group {group} differs from the others most clearly by {join_list(symbols[:MAX_NAMED_GENES])}."
    return Sentence(text, (genes_evidence(group, markers[:MAX_NAMED_GENES], method),))


def marker_sentence(group: str, support: MarkerSupport, genes: GroupGenes, method: str) -> Sentence:
    """Sentence about the expression of a type's known marker genes in the group."""
    name, n_markers, measured = _type_name(support), len(support.markers.genes), support.measured
    only_present = [gene for gene in support.expressed if gene not in support.group_markers]
    if not measured:
        text = (
            f"None of the {n_markers} best supported marker genes of {name} was measured, so the type of group {group} "
            "cannot be checked."
        )
    else:
        parts = [
            f"{join_list(support.group_markers)} mark{'s' if len(support.group_markers) == 1 else ''} group {group} too"
        ] * bool(support.group_markers)
        verb = "is" if len(only_present) == 1 else "are"
        parts += [f"{join_list(only_present)} {verb} present in group {group}"] * bool(only_present)
        finding = " and ".join(parts) or f"none is expressed in a quarter of the cells of group {group}"
        conclusion = ", which contradicts the type" if support.contradicts else ""
        text = (
            f"Of the {n_markers} best supported marker genes of {name}, {len(measured)} "
            f"{'was' if len(measured) == 1 else 'were'} measured: {finding}{conclusion}."
        )
    own_evidence = genes_evidence(group, [gene for gene in map(genes.get, measured) if gene is not None], method)
    return Sentence(text, (*support.markers.evidence, own_evidence))


def cite_vote(sentence: Sentence, label_sentence: Sentence) -> Sentence:
    """Cite the vote of the cells in place of the profile's cell type, which is not an annotation of the file."""
    evidence = [
        label_sentence.evidence[0] if piece.record.startswith("profile.cell_type") else piece
        for piece in sentence.evidence
    ]
    return Sentence(sentence.text, tuple(dict.fromkeys(evidence)))


def _subject(group: str, n_cells: int) -> str:
    return f"Group {group} ({n_cells:,} {'cell' if n_cells == 1 else 'cells'})"


def _type_name(support: MarkerSupport) -> str:
    return ontology(CELL_ONTOLOGY).term(support.term_id).name


@dataclass(frozen=True)
class GroupLabel:
    """Type assigned to a group, with the sentences that justify it."""

    status: str
    """confident: one candidate. broad: some descendant of the named type. unknown: no type is assigned."""
    name: str
    term_id: str
    sentence: Sentence
    """Sentence that states the type."""
    marker_sentences: tuple[Sentence, ...] = ()
    """Sentences about known marker genes."""


def label_group(
    group: str,
    n_cells: int,
    vote: GroupVote,
    competitor: CompetingType | None,
    genes: GroupGenes | None,
    n_candidates: int,
    evidence_cache: EvidenceCache,
    methods: tuple[str, str],
) -> GroupLabel:
    """Return the majority vote, unless a competing type dominates or known marker genes contradict it.

    Parameters
    ----------
    group
        Name of the group.
    n_cells
        Number of cells of the group.
    vote
        Majority vote of the cells.
    competitor
        Type outside the candidates that unknown cells resemble, if computed.
    genes
        Differential expression of the group, if computed.
    n_candidates
        Number of candidates.
    evidence_cache
        Cached access to the knowledge sources.
    methods
        Name of the model, and of the comparison of genes, for the evidence.
    """
    model, method = methods
    if competitor is not None and competitor.dominates and vote.status == "unknown":
        return GroupLabel(
            "unknown", "unknown", "", competitor_sentence(group, n_cells, vote, competitor, n_candidates, model)
        )
    statement = vote_sentence(group, n_cells, vote, n_candidates, model)
    support = marker_support(vote.term_id, genes, evidence_cache) if vote.term_id and genes else None
    if support is None or genes is None:
        return GroupLabel(vote.status, vote.name, vote.term_id, statement)
    marker_statement = marker_sentence(group, support, genes, method)
    if not support.contradicts:
        return GroupLabel(vote.status, vote.name, vote.term_id, statement, (marker_statement,))
    confirmed = confirmed_ancestor(vote.term_id, genes, evidence_cache)
    rejection = contradiction_sentence(group, n_cells, vote, support, confirmed, model)
    if confirmed is None:
        return GroupLabel("unknown", "unknown", "", rejection, (marker_statement,))
    name = ontology(CELL_ONTOLOGY).term(confirmed.term_id).name
    confirmation = marker_sentence(group, confirmed, genes, method)
    return GroupLabel("broad", name, confirmed.term_id, rejection, (marker_statement, confirmation))


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
    predicted: CellPredictions,
    embedder: Embedder,
    sources: Sequence[KnowledgeSource],
    *,
    obs: pd.DataFrame | None = None,
    max_genes: int = MAX_GENES,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[GroupDescription, ...]:
    """Describe each group: likely types, marker genes, and cited sentences.

    The type of a group is the majority vote of its cells (`group_votes`), labelled as by `okrcell.tl.annotate`. The vote is
    checked against the known marker genes of the type (`marker_support`): if enough of them were measured and none is expressed
    in the group, the vote is rejected, and the nearest broader type whose marker genes mark the group is reported, or
    "unknown". Without a type that most cells support, the known type outside the candidates that most of them resemble is
    named (`competing_types`). All three rules are ours.

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
    predicted
        Predictions of the cells.
    embedder
        Model that computed ``cell_vectors``.
    sources
        Knowledge sources for markers and other cited facts.
    obs
        Annotation of the cells: a tissue or disease shared by most cells of a group is described too.
    max_genes
        Maximum number of marker genes in a description.
    seed
        Random seed of the cells sampled for the comparison of genes.
    progress
        Called after each group.
    """
    candidates, head = predicted.candidates, embedder.signatures
    votes = group_votes(predicted, candidate_similarity(cell_vectors, candidates, embedder), group, len(names))
    competitors = competing_types(predicted, group, len(names), () if head is None else head.types)
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
    return tuple(_without_repeated_sentences(descriptions))


def _without_repeated_sentences(descriptions: Sequence[GroupDescription]) -> Iterator[GroupDescription]:
    """Replace sentences that an earlier group has by one that names that group and cites their records."""
    first_group: dict[str, str] = {}
    for description in descriptions:
        repeated: dict[str, list[Sentence]] = {}
        for sentence in description.sentences:
            group = first_group.setdefault(sentence.text, description.group)
            if group != description.group:
                repeated.setdefault(group, []).append(sentence)
        own = [sentence for sentence in description.sentences if first_group[sentence.text] == description.group]
        references = [
            Sentence(
                f"What is known of group {description.group} and also of group {group} is written there.",
                tuple(dict.fromkeys(piece for sentence in sentences for piece in sentence.evidence)),
            )
            for group, sentences in repeated.items()
        ]
        yield replace(description, sentences=(*own, *references))


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
