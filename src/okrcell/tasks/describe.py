"""Say of a group of cells what it likely is, by which genes, and who says so."""

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
"""Told how many groups of how many are done."""


@dataclass(frozen=True)
class GroupDescription:
    """What is said of one group of cells."""

    group: str
    cells: int
    without_expression: int
    """Cells of it that say nothing."""
    status: str
    """confident: one candidate. broad: some kind of the type that is named. unknown: it is left open."""
    name: str
    """The type it likely is, or the broader one; "unknown" where it is left open."""
    term_id: str
    """Cell Ontology id, "" where there is none."""
    vote: Vote
    """What its cells say, before the marker tables are asked."""
    genes: tuple[GroupGene, ...]
    """The genes that tell it from the other groups, the clearest first."""
    sentences: tuple[Sentence, ...]
    """What is said of it; each sentence names what it rests on."""

    @property
    def types(self) -> tuple[LikelyType, ...]:
        """The likeliest candidates, the likeliest first."""
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
    """Describe each group: likely types, the genes that mark it, and cited sentences.

    What a group is, its cells decide by vote (`okrcell.tasks.groups.group_votes`). Then a second witness is heard: the known
    marker genes of that type (`okrcell.tasks.groups.witness`). Where enough of them were measured and the group has none, the
    cells' word is not taken; what is said is the nearest broader type whose marker genes do mark the group, or nothing.
    A third one are the types that the model knows: where most cells match one of them twice as well as any candidate, none of
    the candidates is believed (`okrcell.tasks.groups.rivals`). All three rules are ours.

    Parameters
    ----------
    cells
        Vectors of the cells, NaN for one without expression.
    group
        Place of each cell's group among ``names``, -1 for none.
    some
        The types that a group may be.
    sources
        Who is asked what is known.
    known
        Types that cells may be although they are not among the candidates; without any, nothing is doubted on their account.
    obs
        What else is known of the cells: a tissue or disease that most of a group share is told too.
    seed
        Draws the cells whose genes are compared.
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
    """Say what the sources tell of the type and the sample; what genes do is told of the group's own genes instead."""
    if not profile.known:
        return ()
    evidence = [piece for piece in evidence_for(profile, inquiry) if piece.aspect not in ("gene", "function")]
    return TemplateWriter().write(profile, evidence).sentences


def _functions(marking: Sequence[GroupGene], inquiry: Inquiry) -> Sequence[Sentence]:
    """Say what the genes do that mark the group."""
    symbols = [gene.symbol for gene in marking[:NAMED_GENES]]
    told = Known(piece for symbol in symbols for piece in inquiry.about(symbol))
    return functions_of(symbols, told, MOST_FUNCTIONS)


def _shared_facts(obs: pd.DataFrame) -> CellProfile:
    """Read where most of a group's cells come from; a fact that no more than half of them share is left out."""
    facts: dict[str, str] = {}
    for stem in FIELDS[1:]:
        for column in (stem, f"{stem}_ontology_term_id"):
            counted = Counter(obs[column].dropna().astype(str)) if column in obs else Counter[str]()
            for word, cells in counted.most_common(1):
                if cells > len(obs) / 2:
                    facts[column] = word
    return read_profile(facts)
