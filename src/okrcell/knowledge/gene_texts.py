"""Short texts of genes: name, cell types that the gene marks, functions, summary."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from okrcell.errors import InputError
from okrcell.evidence import KnowledgeSource
from okrcell.ontology.ontology import ontology
from okrcell.knowledge.downloads import KnowledgeFiles
from okrcell.knowledge.registry import SOURCES, open_sources
from okrcell.knowledge.cell_type_markers import MarkerConsensus

GENE_SOURCES = ("gene_summaries", "gene_ontology")
"""Sources of gene names, summaries and functions."""
MAX_CELL_TYPES = 6
"""Maximum number of marked cell types in a text, those of highest support."""
MAX_FUNCTIONS = 3
"""Maximum number of Gene Ontology terms in a text, rarest first."""


def gene_texts(
    symbols: Iterable[str], knowledge: str | Path | KnowledgeFiles | None = None, markers: MarkerConsensus | None = None
) -> dict[str, str]:
    """Compose a text for each gene; genes without any information are left out.

    Parameters
    ----------
    symbols
        Approved symbols.
    knowledge
        Folder or URL of the knowledge files; the user's cache by default.
    markers
        Marker genes of cell types. If given, a text lists the cell types that the gene marks.

    Returns
    -------
    Text by symbol, in the order of ``symbols``.

    Raises
    ------
    InputError
        If the folder has neither the gene summaries nor the Gene Ontology annotations.
    """
    knowledge_files = knowledge if isinstance(knowledge, KnowledgeFiles) else KnowledgeFiles(knowledge)
    names = [
        name
        for name in GENE_SOURCES
        if knowledge_files.url is not None or all(map(knowledge_files.has_file, SOURCES[name].files))
    ]
    if not names:
        raise InputError(knowledge_files.missing_message(SOURCES[GENE_SOURCES[0]].files[0]))
    sources = open_sources(names, knowledge_files)
    marked_types = {} if markers is None else types_by_gene(markers)
    texts = {symbol: _gene_text(symbol, sources, marked_types.get(symbol, ())) for symbol in symbols}
    return {symbol: text for symbol, text in texts.items() if text}


def types_by_gene(markers: MarkerConsensus) -> Mapping[str, Sequence[str]]:
    """Return for each gene the names of the cell types that it marks, highest support first, at most `MAX_CELL_TYPES`."""
    entries = markers.support.tocoo()
    types: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)
    for row, column, support in zip(entries.row.tolist(), entries.col.tolist(), entries.data.tolist(), strict=True):
        if support > 0:
            types[markers.genes[column]].append((-support, markers.types[row]))
    return {
        gene: [ontology("CL").term(cell_type).name for _, cell_type in sorted(supported_types)[:MAX_CELL_TYPES]]
        for gene, supported_types in types.items()
    }


def _gene_text(symbol: str, sources: Sequence[KnowledgeSource], marked_types: Sequence[str]) -> str:
    evidence = [record for source in sources for record in source.evidence_for(symbol)]
    name = next((record.text for record in evidence if record.source == "HGNC"), "")
    summary = next((record.text for record in evidence if record.source == "RefSeq"), "")
    functions = [record.text.partition(": ")[2].rstrip(".") for record in evidence if record.aspect == "function"]
    parts = (
        f"{symbol}: {name}." if name else "",
        f"Marker of {', '.join(marked_types)}." if marked_types else "",
        f"Functions: {', '.join(functions[:MAX_FUNCTIONS])}." if functions else "",
        summary,
    )
    return " ".join(filter(None, parts))
