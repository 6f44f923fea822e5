"""Error rates of the fact checker, and rejections of the similarity screening.

    python experiments/screening.py KNOWLEDGE_FOLDER PRETRAIN_FOLDER [--each 1000] [-o docs/results/screening.json]

Sentences are generated from real records and changed by rules. To be accepted: a record cited to itself, a gene by an alias, a
term by a synonym or a broader term. To be rejected: a record cited to another one, an exchanged gene or term, a negated
statement.
"""

import argparse
import json
import random
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import h5py
from anndata.io import read_elem
from real_cells import data_folder, knowledge_folder

from okrcell.cells.genes import GeneTable
from okrcell.descriptions.description import Description, Sentence
from okrcell.descriptions.evidence_lookup import EvidenceCache, gather_evidence
from okrcell.descriptions.fact_check import FactChecker, ancestors
from okrcell.descriptions.metadata_text import definition_sentence, original_description, split_sentences
from okrcell.descriptions.screening import screen
from okrcell.descriptions.template_writer import TemplateWriter
from okrcell.evidence import Evidence
from okrcell.knowledge.registry import open_sources
from okrcell.model.text_encoder import SentenceEncoder
from okrcell.ontology.obs_profile import CellProfile, read_profiles
from okrcell.ontology.ontology import Term, ontology
from okrcell.provenance import provenance_record, write_json

Case = tuple[str, bool, Sentence, CellProfile]
"""Kind of change, whether the checker should accept it, the sentence, and the profile that it describes."""


def definitions(rng: random.Random, n: int) -> Iterator[Case]:
    """Cite each definition to itself and to another record."""
    cells = ontology("CL")
    defined = [term for term in map(cells.term, cells.term_ids()) if term.definition]
    sample = rng.sample(defined, min(n, len(defined)))
    for term, exchanged in zip(sample, sample[1:] + sample[:1], strict=True):
        text = definition_sentence(term.name, term.definition)
        yield (
            "Cell Ontology definition, own record",
            True,
            Sentence(text, (definition_evidence(term),)),
            type_profile(term),
        )
        yield (
            "Cell Ontology definition, another record",
            False,
            Sentence(text, (definition_evidence(exchanged),)),
            type_profile(exchanged),
        )


def summaries(knowledge: Path, rng: random.Random, n: int) -> Iterator[Case]:
    """Cite the first sentence of each gene summary, and of each function, to itself and to another record."""
    for name, kind in (("gene_summaries", "RefSeq summary"), ("gene_ontology", "Gene Ontology definition")):
        (source,) = open_sources([name], knowledge)
        pieces = [piece for piece in source.passages() if len(piece.text) > 40]
        sample = rng.sample(pieces, min(n, len(pieces)))
        for piece, exchanged in zip(sample, sample[1:] + sample[:1], strict=True):
            statement = split_sentences(piece.text)[0]
            yield f"{kind}, own record", True, Sentence(statement, (piece,)), CellProfile()
            yield f"{kind}, another record", False, Sentence(statement, (exchanged,)), CellProfile()


def terms_changed(rng: random.Random, n: int) -> Iterator[Case]:
    """State the definition of a cell type under a synonym, a broader name, or the name of a sibling."""
    cells = ontology("CL")
    defined = [term for term in map(cells.term, cells.term_ids()) if term.definition and cells.parents(term.id)]
    children: dict[str, list[str]] = {}
    for term in map(cells.term, cells.term_ids()):
        for parent in cells.parents(term.id):
            children.setdefault(parent, []).append(term.id)
    for term in rng.sample(defined, min(n, len(defined))):
        parent = cells.term(rng.choice(cells.parents(term.id)))
        cited = (definition_evidence(term),)
        if term.synonyms:
            statement = definition_sentence(rng.choice(term.synonyms), term.definition)
            yield "cell type by a synonym", True, Sentence(statement, cited), type_profile(term)
        statement = f"It is a kind of {parent.name}."
        yield "cell type by its parent", True, Sentence(statement, cited), type_profile(term)
        siblings = [child for child in children[parent.id] if child != term.id]
        if siblings:
            sibling = cells.term(rng.choice(siblings))
            statement = definition_sentence(sibling.name, term.definition)
            wrong = not {term.id, *cells.ancestors(term.id)} & {sibling.id}
            if wrong:
                yield "cell type by a sibling's name", False, Sentence(statement, cited), type_profile(term)
        if " is a" in (statement := definition_sentence(term.name, term.definition)):
            yield (
                "definition denied",
                False,
                Sentence(statement.replace(" is a", " is not a", 1), cited),
                type_profile(term),
            )


def markers_changed(knowledge: Path, rng: random.Random, n: int) -> Iterator[Case]:
    """State the markers of a cell type, by symbols or aliases, with an exchanged gene, or negated."""
    table = GeneTable.bundled()
    symbols = {str(symbol): row for row, symbol in enumerate(table.symbol)}
    aliases_by_row: dict[int, list[str]] = {}
    for name, row in table.alias.items():
        aliases_by_row.setdefault(row, []).append(name)
    (source,) = open_sources(["accordion"], knowledge)
    marker_records = [
        piece for term in ontology("CL").term_ids() for piece in source.evidence_for(term) if piece.aspect == "marker"
    ]
    all_genes = sorted({gene for piece in marker_records for gene in piece.genes})
    for piece in rng.sample(marker_records, min(n, len(marker_records))):
        cell_profile = type_profile(ontology("CL").term(next(term for term in piece.terms if term.startswith("CL:"))))
        genes = rng.sample(piece.genes, min(3, len(piece.genes)))
        gene_list, first_gene = join_names(genes), genes[0]
        exchanged_gene = rng.choice([gene for gene in all_genes if gene not in piece.genes])
        aliases = [name for name in aliases_by_row.get(symbols.get(first_gene, -1), []) if len(name) > 3]

        def case(
            kind: str, passes: bool, statement: str, cell_profile: CellProfile = cell_profile, piece: Evidence = piece
        ) -> Case:
            return kind, passes, Sentence(statement, (piece,)), cell_profile

        yield case("markers", True, f"Its marker genes include {gene_list}.")
        yield case("markers", True, f"This {cell_profile.cell_type} can be told by high expression of {gene_list}.")
        if aliases:
            yield case("marker by an alias", True, f"It expresses {rng.choice(aliases)}.")
        yield case("marker swapped", False, f"Its marker genes include {join_names([*genes[1:], exchanged_gene])}.")
        yield case("polarity turned", False, f"It is negative for {first_gene}.")
        yield case("polarity turned", False, f"This cell does not express {gene_list}.")
        yield case(
            "polarity turned", False, f"{gene_list} {'are' if len(genes) > 1 else 'is'} absent from these cells."
        )
        yield case("polarity turned", False, f"It is a {first_gene}-low cell.")
        tissue = ontology("UBERON").term(rng.choice(TISSUES))
        known_terms = {ancestor for term in piece.terms for ancestor in (term, *ancestors(term))}
        if tissue.id not in known_terms:
            yield case("tissue added", False, f"In the {tissue.name}, its marker genes include {gene_list}.")


TISSUES = (
    "UBERON:0000955", "UBERON:0002107", "UBERON:0002048", "UBERON:0002113", "UBERON:0000948", "UBERON:0001264",
    "UBERON:0002106", "UBERON:0002370", "UBERON:0000945", "UBERON:0002097", "UBERON:0001155", "UBERON:0000966",
)  # fmt: skip
"""Brain, liver, lung, kidney, heart, pancreas, spleen, thymus, stomach, skin, colon, retina."""


def read_study_profiles(folder: Path) -> list[CellProfile]:
    """Read the distinct profiles of all files of a folder."""
    profiles_seen: dict[CellProfile, None] = {}
    for path in sorted(folder.rglob("*.h5ad")):
        with h5py.File(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            profiles_seen |= dict.fromkeys(read_profiles(read_elem(file["obs"])).distinct)
    return [cell_profile for cell_profile in profiles_seen if cell_profile.has_values]


def write_descriptions(knowledge: Path, all_profiles: list[CellProfile]) -> tuple[list[Description], list[Description]]:
    """Write the template description of every profile, and its original."""
    inquiry, plain = EvidenceCache(open_sources(None, knowledge)), EvidenceCache(open_sources(["ontologies"]))
    writer = TemplateWriter()
    descriptions = [writer.write(cell_profile, gather_evidence(cell_profile, inquiry)) for cell_profile in all_profiles]
    return descriptions, [
        original_description(cell_profile, gather_evidence(cell_profile, plain)) for cell_profile in all_profiles
    ]


def definition_evidence(term: Term) -> Evidence:
    """Return the definition of a term as evidence."""
    source = ontology("CL")
    return Evidence(term.definition, source.name, term.id, source.snapshot, source.licence, "definition", (term.id,))


def type_profile(term: Term) -> CellProfile:
    """Return a profile with a cell type and nothing else."""
    return CellProfile(cell_type=term.name, cell_type_id=term.id, label=term.name)


def join_names(names: list[str]) -> str:
    """Format a list: "A, B and C"."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("knowledge", type=Path, nargs="?", default=knowledge_folder())
    parser.add_argument("pretrain", type=Path, nargs="?", default=(data_folder() or Path()) / "pretrain")
    parser.add_argument("--each", type=int, default=1000, help="number of records of each kind; default: 1000")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=0, help="number of wrong decisions to print")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    if args.knowledge is None or not args.pretrain.is_dir():
        parser.exit(0, "No knowledge files or cells: give their folders.\n")
    rng, gate = random.Random(args.seed), FactChecker()
    cases = [
        *definitions(rng, args.each), *summaries(args.knowledge, rng, args.each), *terms_changed(rng, args.each),
        *markers_changed(args.knowledge, rng, args.each),
    ]  # fmt: skip
    descriptions, originals = write_descriptions(args.knowledge, read_study_profiles(args.pretrain))
    cases += [
        ("template sentence", True, sentence, text.profile) for text in descriptions for sentence in text.sentences
    ]
    started = time.perf_counter()
    gate.reason_to_reject(
        Sentence("A T cell.", (definition_evidence(ontology("CL").term("CL:0000084")),)), CellProfile()
    )
    ready = time.perf_counter()
    count, n_rejected, wrong = Counter[tuple[str, bool]](), Counter[tuple[str, bool]](), list[str]()
    for kind, passes, sentence, cell_profile in cases:
        reason = gate.reason_to_reject(sentence, cell_profile)
        count[kind, passes] += 1
        n_rejected[kind, passes] += reason is not None
        if passes == (reason is not None):
            wrong.append(f"{kind}: {reason} | {sentence.text} || {sentence.evidence[0].text[:160]}")
    seconds = time.perf_counter() - ready
    rows = [
        {
            "what": kind,
            "should_pass": passes,
            "sentences": n_sentences,
            "objected": n_rejected[kind, passes] / n_sentences,
        }
        for (kind, passes), n_sentences in count.items()
    ]
    screened = screen(descriptions, originals, SentenceEncoder())
    figures = {
        "gate": rows, "seconds_to_load": ready - started, "sentences_per_second": len(cases) / seconds,
        "reliability": asdict(screened.report), "seed": args.seed,
    }  # fmt: skip
    random.Random(1).shuffle(wrong)
    for line in wrong[: args.show]:
        print(line)
    for row in rows:
        print(
            f"{row['what']:45s} pass={row['should_pass']!s:5s} n={row['sentences']:6d} objected={row['objected']:.4f}"
        )
    print(json.dumps({name: figures[name] for name in figures if name != "gate"}, indent=1))
    if args.output:
        write_json(args.output, provenance_record("benchmark screening", each=args.each, **figures))


if __name__ == "__main__":
    main()
