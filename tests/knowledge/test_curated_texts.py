"""Knowledge sources: evidence with source, record, version and licence."""

import csv
import gzip
import json
from collections import Counter

import pytest

from okrcell.errors import InputError
from okrcell.knowledge.downloads import KnowledgeFiles
from okrcell.knowledge.registry import SOURCES, open_sources, unavailable_sources
from okrcell.ontology.ontology import ontology, prefix_of


@pytest.fixture(scope="module")
def sources(shared_knowledge):
    return {source.name: source for source in open_sources(knowledge=shared_knowledge)}


def test_all_sources_are_opened_in_their_order(sources):
    assert tuple(sources) == tuple(SOURCES)


@pytest.mark.parametrize("name", [name for name in SOURCES if name != "ontologies"])
def test_every_passage_has_an_address_and_terms_of_today(sources, name):
    number = 0
    for piece in sources[name].passages():
        number += 1
        assert piece.text.strip()
        assert piece.source and piece.record and piece.snapshot and piece.licence
        for term in piece.terms:
            prefix = prefix_of(term)
            assert prefix is None or ontology(prefix).current_id(term) == term
        assert "" not in piece.genes
    assert number > 100


def test_a_cell_type_is_told_of_by_experts(sources):
    term_id = next(sources["descriptions"].passages()).record
    (described,) = sources["descriptions"].evidence_for(term_id)
    assert (described.aspect, described.record, described.terms) == ("description", term_id, (term_id,))
    assert len(described.text) > 500


def test_a_gene_is_told_of_by_its_summary_its_name_and_its_functions(sources):
    summary, name = sources["gene_summaries"].evidence_for("CD19")
    assert (summary.source, summary.record, summary.aspect, summary.genes) == (
        "RefSeq",
        "Entrez:930",
        "gene",
        ("CD19",),
    )
    assert (name.text, name.source) == ("CD19 molecule", "HGNC")
    functions = sources["gene_ontology"].evidence_for("CD19")
    assert all(piece.genes == ("CD19",) and piece.aspect == "function" for piece in functions)
    assert "CD19 is annotated with: phosphatidylinositol-4,5-bisphosphate 3-kinase activity." in [
        piece.text for piece in functions
    ]
    (term,) = functions[0].terms
    (meaning,) = sources["gene_ontology"].evidence_for(term)
    assert meaning.text.startswith(functions[0].text.removeprefix("CD19 is annotated with: ").removesuffix("."))
    assert "CD19" in meaning.genes


def test_the_function_of_few_genes_comes_before_that_of_many(sources, shared_knowledge):
    with gzip.open(shared_knowledge / "go_annotations_human_2018.csv.gz", "rt") as file:
        annotations = {(row["go_id"], row["symbol"]) for row in csv.DictReader(file)}
    genes = Counter(term for term, symbol in annotations if symbol)
    counts = [genes[piece.terms[0]] for piece in sources["gene_ontology"].evidence_for("TP53")]
    assert len(counts) > 20
    assert counts == sorted(counts)


@pytest.mark.parametrize("question", ["", "CL:9999999", "no such thing", "UBERON:0002048", "cd19"])
def test_no_source_fails_on_what_it_does_not_know(sources, question):
    for name, source in sources.items():
        if name != "ontologies":
            assert tuple(source.evidence_for(question)) == ()


def test_a_source_is_opened_once_and_again_after_a_change(shared_knowledge, tmp_path):
    one, other = (open_sources(["accordion"], shared_knowledge) for _ in range(2))
    assert one[0] is other[0]
    assert open_sources(["accordion"], shared_knowledge, leaks=True)[0] is not one[0]
    file = tmp_path / "cl_terms.json.gz"
    for text in ("One.", "Two words."):
        record = {"id": "CL:0000084", "name": "T cell", "extended_description": text}
        file.write_bytes(gzip.compress(json.dumps([record]).encode()))
        (source,) = open_sources(["descriptions"], tmp_path)
        assert source.evidence_for("CL:0000084")[0].text == text


def test_leaks_are_told_in_the_snapshot(tmp_path):
    columns = "species,CL_ID,marker,marker_type,resources,resource,Uberon_ID\n"
    for name in SOURCES["accordion"].files:
        (tmp_path / name).write_text(f"{columns}Human,CL:0000084,CD3E,positive,Abcam,Abcam,\n")
    (accordion,) = open_sources(["accordion"], tmp_path)
    (all_of_it,) = open_sources(["accordion"], tmp_path, leaks=True)
    assert "without Azimuth, CELLxGENE" in accordion.evidence_for("CL:0000084")[0].snapshot
    assert "without" not in all_of_it.evidence_for("CL:0000084")[0].snapshot
    assert "CellMarker2.0 and PanglaoDB are asked as tables of their own" in all_of_it.snapshot


def test_a_folder_without_any_knowledge_file_is_told(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="contains none of the knowledge files") as error:
        open_sources(knowledge=tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)
    monkeypatch.setenv("OKRCELL_KNOWLEDGE", str(tmp_path))
    with pytest.raises(InputError, match="contains none"):
        open_sources(knowledge=KnowledgeFiles())
    assert [source.name for source in open_sources(["ontologies"], tmp_path)] == ["ontologies"]


def test_a_source_that_is_asked_for_must_be_there(tmp_path):
    with pytest.raises(InputError, match=r"cellmarker2_raw\.csv\.gz .* is not in"):
        open_sources(["cellmarker2"], tmp_path)
    with pytest.raises(InputError, match="no knowledge source 'wikipedia'; choose from ontologies"):
        open_sources(["wikipedia"], tmp_path)


def test_absent_sources_say_what_they_lack(shared_knowledge, tmp_path):
    assert unavailable_sources(KnowledgeFiles(shared_knowledge)) == {}
    absent = unavailable_sources(tmp_path)
    assert set(absent) == set(SOURCES) - {"ontologies"}
    assert all("\n" not in line for line in absent.values())


def test_ones_own_literature_takes_the_place_of_the_small_corpus(tmp_path):
    (tmp_path / "mine.jsonl").write_text('{"id": "note 1", "text": "T cells kill."}\n')
    _, literature = open_sources(knowledge=tmp_path, literature=tmp_path / "mine.jsonl")
    (passage,) = literature.passages()
    assert [source.name for source in open_sources(["ontologies"], tmp_path, literature=tmp_path)][-1] == "literature"
    assert (passage.record, passage.text, passage.terms) == ("note 1", "T cells kill.", ("CL:0000084",))


def test_a_cut_file_of_descriptions_is_told_as_such(tmp_path):
    (tmp_path / "cl_terms.json.gz").write_bytes(gzip.compress(b"[" * 1000)[:-9])
    (source,) = open_sources(["descriptions"], tmp_path)
    with pytest.raises(InputError, match="truncated"):
        source.evidence_for("CL:0000084")


@pytest.mark.parametrize(
    "content",
    [
        b"[1, 2]",
        b'{"id": 1}',
        b'[{"extended_description": "x"}]',
        b"no json",
        b'[{"id": "CL:0000084", "extended_description": 5}]',
        b'[{"id": 5, "extended_description": "x"}]',
        b'[{"id": ["CL:0000084"], "extended_description": "x"}]',
    ],
)
def test_a_damaged_file_of_descriptions_is_told(tmp_path, content):
    (tmp_path / "cl_terms.json.gz").write_bytes(gzip.compress(content))
    (source,) = open_sources(["descriptions"], tmp_path)
    with pytest.raises(InputError, match=r"cl_terms\.json\.gz") as error:
        source.evidence_for("CL:0000084")
    assert "\n" not in str(error.value)
