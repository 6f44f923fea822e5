"""Short texts of genes: name, cell types that the gene marks, functions, summary."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from okrcell.errors import InputError
from okrcell.knowledge.evidence import KnowledgeSource
from okrcell.knowledge.ontology import ontology
from okrcell.knowledge.snapshots import KnowledgeFiles
from okrcell.knowledge.sources.registry import SOURCES, open_sources
from okrcell.knowledge.type_genes import TypeGenes

READ = ("gene_summaries", "gene_ontology")
"""Sources of gene names, summaries and functions."""
TYPES = 6
"""Maximum number of marked cell types in a text, those of highest support."""
FUNCTIONS = 3
"""Maximum number of Gene Ontology terms in a text, rarest first."""


def gene_texts(
    symbols: Iterable[str], folder: str | Path | KnowledgeFiles | None = None, known: TypeGenes | None = None
) -> dict[str, str]:
    """Compose a text for each gene; genes without any information are left out.

    Parameters
    ----------
    symbols
        Approved symbols.
    folder
        Folder or URL of the knowledge files; the user's cache by default.
    known
        Marker genes of cell types. If given, a text lists the cell types that the gene marks.

    Returns
    -------
    Text by symbol, in the order of ``symbols``.

    Raises
    ------
    InputError
        If the folder has neither the gene summaries nor the Gene Ontology annotations.
    """
    held = folder if isinstance(folder, KnowledgeFiles) else KnowledgeFiles(folder)
    names = [name for name in READ if held.url is not None or all(map(held.holds, SOURCES[name].files))]
    if not names:
        raise InputError(held.missing(SOURCES[READ[0]].files[0]))
    sources = open_sources(names, held)
    marked = {} if known is None else types_by_gene(known)
    texts = {symbol: _text(symbol, sources, marked.get(symbol, ())) for symbol in symbols}
    return {symbol: text for symbol, text in texts.items() if text}


def types_by_gene(known: TypeGenes) -> Mapping[str, Sequence[str]]:
    """Return for each gene the names of the cell types that it marks, highest support first, at most `TYPES`."""
    entries = known.support.tocoo()
    types: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)
    for row, column, support in zip(entries.row.tolist(), entries.col.tolist(), entries.data.tolist(), strict=True):
        if support > 0:
            types[known.genes[column]].append((-support, known.types[row]))
    return {gene: [ontology("CL").term(kind).name for _, kind in sorted(of)[:TYPES]] for gene, of in types.items()}


def _text(symbol: str, sources: Sequence[KnowledgeSource], marked: Sequence[str]) -> str:
    told = [piece for source in sources for piece in source.about(symbol)]
    name = next((piece.text for piece in told if piece.source == "HGNC"), "")
    summary = next((piece.text for piece in told if piece.source == "RefSeq"), "")
    functions = [piece.text.partition(": ")[2].rstrip(".") for piece in told if piece.aspect == "function"]
    parts = (
        f"{symbol}: {name}." if name else "",
        f"Marker of {', '.join(marked)}." if marked else "",
        f"Functions: {', '.join(functions[:FUNCTIONS])}." if functions else "",
        summary,
    )
    return " ".join(filter(None, parts))
