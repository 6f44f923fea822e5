"""Marker genes that names, synonyms, definitions and descriptions of the Cell Ontology state (CC BY 4.0)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from okrcell.descriptions.lexicon import Sign
from okrcell.descriptions.negation import sign_of
from okrcell.descriptions.statements import ParsedSentence
from okrcell.errors import InputError
from okrcell.evidence import split_sentences
from okrcell.knowledge.cell_type_markers import (
    MarkerConsensus,
    MarkerStatement,
    MarkerStatements,
    available_tables,
    read_marker_tables,
)
from okrcell.knowledge.curated_texts import read_ontology_terms
from okrcell.knowledge.downloads import KnowledgeFiles, LocalFile
from okrcell.knowledge.marker_licences import ONTOLOGY_RESOURCE
from okrcell.knowledge.markers import MarkerRow
from okrcell.ontology.ontology import ontology

MarkerSelection = Literal["open", "all"]
"""open: statements of openly licensed resources (`okrcell.knowledge.marker_licences`); all: of all resources."""
ONTOLOGY_FILE = "cl_terms.json.gz"
_POSITIVE, _NEGATIVE = frozenset[Sign]({"present", "high"}), frozenset[Sign]({"absent", "low"})


def load_markers(
    knowledge: str | Path | KnowledgeFiles | None = None, markers: MarkerSelection = "open"
) -> MarkerConsensus:
    """Sum the statements of the marker tables and of the Cell Ontology, without rows that leak from benchmarks.

    Parameters
    ----------
    knowledge
        Folder or URL of the knowledge files; the user's cache by default.
    markers
        Which statements are used.

    Raises
    ------
    InputError
        If the folder does not exist, has no statement of these resources, or a file cannot be read.
    """
    knowledge_files = knowledge if isinstance(knowledge, KnowledgeFiles) else KnowledgeFiles(knowledge)
    statements = read_statements(knowledge_files)
    if markers == "all":
        return statements.consensus()
    if not statements.openly_licensed().rows:
        raise InputError(
            f"{knowledge_files.folder} has no openly licensed statement on markers, only "
            f"{', '.join(sorted(statements.sources))}. Add {ONTOLOGY_FILE}, or set knowledge.markers to all: "
            "the licences of the tables then apply to the model."
        )
    return statements.openly_licensed().consensus()


def read_statements(knowledge_files: KnowledgeFiles) -> MarkerStatements:
    """Read the statements of all available marker tables and of the texts of the Cell Ontology.

    Raises
    ------
    InputError
        If there is none of the files, or one cannot be read.
    """
    has_ontology = bool(knowledge_files.url) or knowledge_files.has_file(ONTOLOGY_FILE)
    if not has_ontology:
        return read_marker_tables(knowledge_files)
    texts = ontology_statements(knowledge_files.local_file(ONTOLOGY_FILE))
    return read_marker_tables(knowledge_files).union(texts) if available_tables(knowledge_files) else texts


def ontology_statements(file: LocalFile) -> MarkerStatements:
    """Read the genes that the texts of each cell type state.

    A gene is a marker of a type if its texts call it present or high, and absent if they call it absent or low; a gene of
    which both is said is left out, and so is a name of several genes.

    Raises
    ------
    InputError
        If the file cannot be read or is no list of terms.
    """
    signs: defaultdict[tuple[str, str], set[Sign]] = defaultdict(set)
    for record in read_ontology_terms(file.path):
        try:
            cell_type, texts = ontology("CL").current_id(record["id"]), list(_sentences(record))
        except (TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{file.path} is not a JSON list of ontology terms: {error!r}.") from None
        for gene, sign in stated_genes(texts) if cell_type else ():
            signs[cell_type or "", gene].add(sign)
    rows: list[MarkerStatement] = [
        (MarkerRow(cell_type, gene, ONTOLOGY_RESOURCE, present=gene_signs <= _POSITIVE), ONTOLOGY_RESOURCE)
        for (cell_type, gene), gene_signs in sorted(signs.items())
        if gene_signs <= _POSITIVE or gene_signs <= _NEGATIVE
    ]
    return MarkerStatements(rows, (f"texts of the {file.version}",), {ONTOLOGY_RESOURCE: file.version})


def stated_genes(texts: Iterable[str]) -> Iterator[tuple[str, Sign]]:
    """Yield each gene that a text names without ambiguity, with its stated presence.

    Examples
    --------
    >>> sorted(stated_genes(["CD4-positive, CD25-negative T cell", "A cell that lacks CD19."]))
    [('CD19', 'absent'), ('CD4', 'present'), ('IL2RA', 'absent')]
    """
    for text in texts:
        sentence = ParsedSentence(text)
        for mention in sentence.genes:
            if mention.category == "gene" and len(mention.ids) == 1:
                yield next(iter(mention.ids)), sign_of(sentence.words, mention.start, mention.stop)


def _sentences(record: dict[str, Any]) -> Iterator[str]:
    yield record["name"]
    yield from record["synonyms_exact"] or ()
    for field in ("definition", "extended_description"):
        yield from split_sentences(record[field] or "")
