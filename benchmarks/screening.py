"""Error rates of the fact checker, and rejections of the similarity screening.

    python benchmarks/screening.py KNOWLEDGE_FOLDER PRETRAIN_FOLDER [--each 1000] [-o docs/results/screening.json]

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
from okrcell.knowledge.evidence import Evidence
from okrcell.knowledge.ontology import Term, ontology
from okrcell.knowledge.sources.registry import open_sources
from okrcell.model.sentence_encoder import SentenceEncoder
from okrcell.provenance import receipt, write_json
from okrcell.texts.description import Description, Sentence
from okrcell.texts.gather import Inquiry, evidence_for
from okrcell.texts.profile import CellProfile, profiles
from okrcell.texts.screening.faithful import Gate
from okrcell.texts.screening.ground import ancestors
from okrcell.texts.screening.screen import screen
from okrcell.texts.sentences import introduced, split
from okrcell.texts.template.original import original_description
from okrcell.texts.template.writer import TemplateWriter

Case = tuple[str, bool, Sentence, CellProfile]
"""Kind of change, whether the checker should accept it, the sentence, and the profile that it describes."""


def definitions(rng: random.Random, each: int) -> Iterator[Case]:
    """Cite each definition to itself and to another record."""
    cells = ontology("CL")
    defined = [term for term in map(cells.term, cells.terms()) if term.definition]
    some = rng.sample(defined, min(each, len(defined)))
    for term, other in zip(some, some[1:] + some[:1], strict=True):
        text = introduced(term.name, term.definition)
        yield "Cell Ontology definition, own record", True, Sentence(text, (defining(term),)), profile(term)
        yield "Cell Ontology definition, another record", False, Sentence(text, (defining(other),)), profile(other)


def summaries(knowledge: Path, rng: random.Random, each: int) -> Iterator[Case]:
    """Cite the first sentence of each gene summary, and of each function, to itself and to another record."""
    for name, kind in (("gene_summaries", "RefSeq summary"), ("gene_ontology", "Gene Ontology definition")):
        (source,) = open_sources([name], knowledge)
        pieces = [piece for piece in source.passages() if len(piece.text) > 40]
        some = rng.sample(pieces, min(each, len(pieces)))
        for piece, other in zip(some, some[1:] + some[:1], strict=True):
            said = split(piece.text)[0]
            yield f"{kind}, own record", True, Sentence(said, (piece,)), CellProfile()
            yield f"{kind}, another record", False, Sentence(said, (other,)), CellProfile()


def terms_changed(rng: random.Random, each: int) -> Iterator[Case]:
    """State the definition of a cell type under a synonym, a broader name, or the name of a sibling."""
    cells = ontology("CL")
    defined = [term for term in map(cells.term, cells.terms()) if term.definition and cells.parents(term.id)]
    children: dict[str, list[str]] = {}
    for term in map(cells.term, cells.terms()):
        for parent in cells.parents(term.id):
            children.setdefault(parent, []).append(term.id)
    for term in rng.sample(defined, min(each, len(defined))):
        parent = cells.term(rng.choice(cells.parents(term.id)))
        cited = (defining(term),)
        if term.synonyms:
            said = introduced(rng.choice(term.synonyms), term.definition)
            yield "cell type by a synonym", True, Sentence(said, cited), profile(term)
        said = f"It is a kind of {parent.name}."
        yield "cell type by its parent", True, Sentence(said, cited), profile(term)
        siblings = [child for child in children[parent.id] if child != term.id]
        if siblings:
            sibling = cells.term(rng.choice(siblings))
            said = introduced(sibling.name, term.definition)
            wrong = not {term.id, *cells.ancestors(term.id)} & {sibling.id}
            if wrong:
                yield "cell type by a sibling's name", False, Sentence(said, cited), profile(term)
        if " is a" in (said := introduced(term.name, term.definition)):
            yield "definition denied", False, Sentence(said.replace(" is a", " is not a", 1), cited), profile(term)


def markers_changed(knowledge: Path, rng: random.Random, each: int) -> Iterator[Case]:
    """State the markers of a cell type, by symbols or aliases, with an exchanged gene, or negated."""
    table = GeneTable.bundled()
    symbols = {str(symbol): row for row, symbol in enumerate(table.symbol)}
    other_names: dict[int, list[str]] = {}
    for name, row in table.alias.items():
        other_names.setdefault(row, []).append(name)
    (source,) = open_sources(["accordion"], knowledge)
    known = [piece for term in ontology("CL").terms() for piece in source.about(term) if piece.aspect == "marker"]
    all_genes = sorted({gene for piece in known for gene in piece.genes})
    for piece in rng.sample(known, min(each, len(known))):
        of = profile(ontology("CL").term(next(term for term in piece.terms if term.startswith("CL:"))))
        genes = rng.sample(piece.genes, min(3, len(piece.genes)))
        listed, one = listing(genes), genes[0]
        stranger = rng.choice([gene for gene in all_genes if gene not in piece.genes])
        aliases = [name for name in other_names.get(symbols.get(one, -1), []) if len(name) > 3]

        def case(what: str, passes: bool, said: str, of: CellProfile = of, piece: Evidence = piece) -> Case:
            return what, passes, Sentence(said, (piece,)), of

        yield case("markers", True, f"Its marker genes include {listed}.")
        yield case("markers", True, f"This {of.cell_type} can be told by high expression of {listed}.")
        if aliases:
            yield case("marker by an alias", True, f"It expresses {rng.choice(aliases)}.")
        yield case("marker swapped", False, f"Its marker genes include {listing([*genes[1:], stranger])}.")
        yield case("polarity turned", False, f"It is negative for {one}.")
        yield case("polarity turned", False, f"This cell does not express {listed}.")
        yield case("polarity turned", False, f"{listed} {'are' if len(genes) > 1 else 'is'} absent from these cells.")
        yield case("polarity turned", False, f"It is a {one}-low cell.")
        tissue = ontology("UBERON").term(rng.choice(PLACES))
        told = {above for term in piece.terms for above in (term, *ancestors(term))}
        if tissue.id not in told:
            yield case("tissue added", False, f"In the {tissue.name}, its marker genes include {listed}.")


PLACES = (
    "UBERON:0000955", "UBERON:0002107", "UBERON:0002048", "UBERON:0002113", "UBERON:0000948", "UBERON:0001264",
    "UBERON:0002106", "UBERON:0002370", "UBERON:0000945", "UBERON:0002097", "UBERON:0001155", "UBERON:0000966",
)  # fmt: skip
"""Brain, liver, lung, kidney, heart, pancreas, spleen, thymus, stomach, skin, colon, retina."""


def studied(folder: Path) -> list[CellProfile]:
    """Read the distinct profiles of all files of a folder."""
    found: dict[CellProfile, None] = {}
    for path in sorted(folder.rglob("*.h5ad")):
        with h5py.File(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found |= dict.fromkeys(profiles(read_elem(file["obs"])).distinct)
    return [each for each in found if each.known]


def described(knowledge: Path, all_profiles: list[CellProfile]) -> tuple[list[Description], list[Description]]:
    """Write the template description of every profile, and its original."""
    inquiry, plain = Inquiry(open_sources(None, knowledge)), Inquiry(open_sources(["ontologies"]))
    writer = TemplateWriter()
    written = [writer.write(each, evidence_for(each, inquiry)) for each in all_profiles]
    return written, [original_description(each, evidence_for(each, plain)) for each in all_profiles]


def defining(term: Term) -> Evidence:
    """Return the definition of a term as evidence."""
    home = ontology("CL")
    return Evidence(term.definition, home.name, term.id, home.snapshot, home.licence, "definition", (term.id,))


def profile(term: Term) -> CellProfile:
    """Return a profile with a cell type and nothing else."""
    return CellProfile(cell_type=term.name, cell_type_id=term.id, label=term.name)


def listing(names: list[str]) -> str:
    """Format a list: "A, B and C"."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("knowledge", type=Path, nargs="?", default=knowledge_folder())
    parser.add_argument("pretrain", type=Path, nargs="?", default=(data_folder() or Path()) / "pretrain")
    parser.add_argument("--each", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path)
    asked = parser.parse_args()
    if asked.knowledge is None or not asked.pretrain.is_dir():
        parser.exit(0, "No knowledge files or cells: give their folders.\n")
    rng, gate = random.Random(asked.seed), Gate()
    cases = [
        *definitions(rng, asked.each), *summaries(asked.knowledge, rng, asked.each), *terms_changed(rng, asked.each),
        *markers_changed(asked.knowledge, rng, asked.each),
    ]  # fmt: skip
    written, originals = described(asked.knowledge, studied(asked.pretrain))
    cases += [("template sentence", True, sentence, text.profile) for text in written for sentence in text.sentences]
    began = time.perf_counter()
    gate.objection(Sentence("A T cell.", (defining(ontology("CL").term("CL:0000084")),)), CellProfile())
    ready = time.perf_counter()
    count, objected, wrong = Counter[tuple[str, bool]](), Counter[tuple[str, bool]](), list[str]()
    for what, passes, sentence, of in cases:
        objection = gate.objection(sentence, of)
        count[what, passes] += 1
        objected[what, passes] += objection is not None
        if passes == (objection is not None):
            wrong.append(f"{what}: {objection} | {sentence.text} || {sentence.evidence[0].text[:160]}")
    took = time.perf_counter() - ready
    rows = [
        {"what": what, "should_pass": passes, "sentences": number, "objected": objected[what, passes] / number}
        for (what, passes), number in count.items()
    ]
    screened = screen(written, originals, SentenceEncoder())
    figures = {
        "gate": rows, "seconds_to_load": ready - began, "sentences_per_second": len(cases) / took,
        "reliability": asdict(screened.report), "seed": asked.seed,
    }  # fmt: skip
    random.Random(1).shuffle(wrong)
    for line in wrong[: asked.show]:
        print(line)
    for row in rows:
        print(
            f"{row['what']:45s} pass={row['should_pass']!s:5s} n={row['sentences']:6d} objected={row['objected']:.4f}"
        )
    print(json.dumps({name: figures[name] for name in figures if name != "gate"}, indent=1))
    if asked.output:
        write_json(asked.output, receipt("benchmark screening", each=asked.each, **figures))


if __name__ == "__main__":
    main()
