"""A hundred thousand real passages of knowledge, to time a search.

Read from a folder of public knowledge files (ontologies, the Gene Ontology, gene summaries, marker tables, abstracts), one
passage per record. For timing only: restrictively licensed sources, and sources that overlap with evaluations, are included.
"""

import gzip
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pandas as pd

from okrcell.evidence import Evidence
from okrcell.ontology.ontology import OntologySource


def real_passages(folder: Path, limit: int = 100_000) -> list[Evidence]:
    """Read ``limit`` passages in a fixed order, without duplicate texts."""
    seen: set[str] = set()
    passages = (passage for passage in _all(folder) if not (passage.text in seen or seen.add(passage.text)))
    return list(islice(passages, limit))


def _all(folder: Path) -> Iterator[Evidence]:
    yield from OntologySource().passages()
    yield from _terms(folder)
    yield from _genes(folder)
    yield from _literature(folder)
    yield from _markers(folder)


def _terms(folder: Path) -> Iterator[Evidence]:
    for term in json.loads(gzip.decompress((folder / "efo_terms.json.gz").read_bytes())):
        if term["definition"]:
            text = f"{term['name']}: {term['definition']}"
            yield Evidence(text, "Experimental Factor Ontology", term["id"], "file", "Apache-2.0", "definition")
    for term in pd.read_csv(folder / "go_terms_2018.tsv.gz", sep="\t").itertuples():
        text = f"{term.name}: {term.definition}"
        yield Evidence(text, "Gene Ontology", str(term.go_id), "2018", "CC BY 4.0", "function")


def _genes(folder: Path) -> Iterator[Evidence]:
    genes = pd.read_csv(folder / "human_genes.csv.gz", dtype=str).dropna(subset=["refseq_summary", "symbol"])
    for gene in genes.itertuples():
        text = f"{gene.symbol}: {gene.refseq_summary}"
        yield Evidence(text, "RefSeq", str(gene.Entrez), "file", "public domain", "gene", genes=(str(gene.symbol),))
    names = pd.read_csv(folder / "go_terms_2018.tsv.gz", sep="\t").set_index("go_id")["name"]
    pairs = pd.read_csv(folder / "go_annotations_human_2018.csv.gz", dtype=str)
    for symbol, terms in pairs.assign(name=pairs["go_id"].map(names)).dropna().groupby("symbol")["name"]:
        text = f"{symbol}: {'; '.join(sorted(set(terms)))}."
        yield Evidence(text, "Gene Ontology", f"annotations of {symbol}", "2018", "CC BY 4.0", "function")


def _literature(folder: Path) -> Iterator[Evidence]:
    for paper in json.loads(gzip.decompress((folder / "pubmedqa_labeled_1k.json.gz").read_bytes())):
        yield Evidence(paper["text"], "PubMed", f"PMID:{paper['pmid']}", "file", "its publisher's")


def _markers(folder: Path) -> Iterator[Evidence]:
    rows = pd.read_csv(folder / "cellmarker2_raw.csv.gz", dtype=str).dropna(subset=["marker", "PMID", "cell_name"])
    keys = ["species", "cell_name", "tissue_type", "PMID"]
    for (species, cell, tissue, paper), group in rows.groupby(keys):
        text = f"{species} {cell} in {tissue}: {', '.join(dict.fromkeys(group['marker']))}. {group['Title'].iloc[0]}"
        yield Evidence(text, "CellMarker 2.0", f"PMID:{float(paper):.0f}", "file", "academic use", "marker")
