"""Marker tables of the user, added to the signatures of a model."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse

import okrcell as okr
from okrcell.descriptions.metadata_text import label_texts
from okrcell.errors import InputError
from okrcell.knowledge.cell_type_markers import read_marker_tables
from okrcell.knowledge.open_markers import read_open_markers
from okrcell.model.checkpoint import load_checkpoint, save_checkpoint
from okrcell.model.embedder import Embedder
from okrcell.model.signatures import SignatureHead, embed_types, knowledge_weight
from okrcell.tasks.marker_tables import add_marker_tables, added_tables, unit_rows

B_CELL, T_CELL, MONOCYTE, NK_CELL = "CL:0000236", "CL:0000084", "CL:0000576", "CL:0000623"
RARE = "CL:0000001"
"""Primary cultured cell: a type of which no openly licensed resource states a marker."""
TYPES = ["B cell", "T cell", "monocyte"]
STATED = {B_CELL: "LYZ CD79A IRF8", RARE: "GNLY NKG7 PRF1"}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OKRCELL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("OKRCELL_KNOWLEDGE", raising=False)


@pytest.fixture
def model(checkpoint):
    """A model with random weights and the signatures of the openly licensed markers; B cells and monocytes have cells too."""
    markers, vocabulary, blank = read_open_markers().consensus(), checkpoint.vocabulary, Embedder(checkpoint)
    gene_index = markers.gene_index(vocabulary)
    strength = markers.on_gene_axis(gene_index, len(vocabulary))
    rows = np.flatnonzero(np.diff(strength.indptr))
    types = tuple(markers.types[row] for row in rows)
    cells = sparse.lil_matrix((len(types), len(vocabulary)), dtype=np.float32)
    cells[types.index(B_CELL), 3] = cells[types.index(MONOCYTE), 4] = 1
    has_cells, share = np.isin(types, (B_CELL, MONOCYTE)), knowledge_weight(np.diff(strength[rows].indptr))
    weight = np.where(has_cells, share, 1.0)
    cells = sparse.diags(np.where(has_cells, 1 - share, 1.0)) @ cells
    knowledge = sparse.csr_matrix(sparse.diags(weight) @ unit_rows(strength[rows]), dtype=np.float32)
    with torch.inference_mode():
        texts = embed_types(
            [label_texts(name) for name in types],
            lambda texts: torch.from_numpy(blank.pool_texts(texts)),
            checkpoint.model.project_texts,
        )
    level = torch.full((len(vocabulary),), 0.5)
    masks = markers.source_masks(types, gene_index, knowledge)
    head = SignatureHead(
        types,
        *texts,
        knowledge,
        sparse.csr_matrix(cells, dtype=np.float32),
        level,
        level,
        level,
        knowledge_sources=masks,
    )
    facts = {**checkpoint.facts, "signature_sources": markers.source_records(masks), "type_places": {B_CELL: {"": 2}}}
    return Embedder(replace(checkpoint, signatures=head, facts=facts))


def write_tables(folder, stated, resource):
    folder.mkdir(exist_ok=True)
    rows = [f"Human,{kind},{gene},positive,{resource}" for kind, genes in stated.items() for gene in genes.split()]
    header = "species,CL_ID,marker,marker_type"
    (folder / "cellmarker_accordion_by_cl.csv.gz").write_text("\n".join([f"{header},resources", *rows]))
    (folder / "cellmarker_accordion_healthy.csv.gz").write_text(f"{header},Uberon_ID,resource\n")
    return folder


@pytest.fixture
def folder(tmp_path):
    return write_tables(tmp_path / "tables", STATED, "scBrainMap")


def gene(model, symbol):
    return model.vocabulary.symbol.tolist().index(symbol)


def test_only_the_types_that_the_tables_state_change(model, folder):
    before, after = model.signatures, add_marker_tables(model, folder).signatures
    assert after.types == (*before.types, RARE)
    changed = [name for i, name in enumerate(before.types) if abs(before.combined[i] - after.combined[i]).max() > 1e-6]
    assert changed == [B_CELL]
    b_cell = before.index_of([B_CELL])[0]
    assert before.knowledge[b_cell, gene(model, "LYZ")] == 0
    assert after.knowledge[b_cell, gene(model, "LYZ")] > 0
    assert np.linalg.norm(after.knowledge[b_cell].toarray()) + np.linalg.norm(after.cells[b_cell].toarray()) == (
        pytest.approx(1)
    )


def test_the_part_from_markers_is_that_of_all_statements_together(model, folder):
    union = read_open_markers().union(read_marker_tables(folder)).consensus()
    expected = unit_rows(union.on_gene_axis(union.gene_index(model.vocabulary), len(model.vocabulary)))
    head = add_marker_tables(model, folder).signatures
    for name, i in union.type_index.items():
        if expected[i].nnz:
            actual = unit_rows(head.knowledge[head.index_of([name])[0]])
            np.testing.assert_allclose(actual.toarray(), expected[i].toarray(), atol=1e-6)


def test_what_the_model_has_already_is_not_counted_twice(model, tmp_path):
    markers = read_open_markers()
    known = [row.gene for row, name in markers.rows if row.cell_type == B_CELL and name == "ASCT+B" and row.present]
    folder = write_tables(tmp_path / "known", {B_CELL: " ".join(sorted(set(known)))}, "ASCT+B")
    before, after = model.signatures, add_marker_tables(model, folder).signatures
    assert after.types == before.types
    assert abs(before.combined - after.combined).max() < 1e-6


def test_a_new_type_has_the_vectors_of_its_texts_and_a_tissue_count(model, folder):
    extended = add_marker_tables(model, folder)
    head, index = extended.signatures, extended.signatures.index_of([RARE])[0]
    keys = head.key[head.key_type == index].numpy()
    pooled = model.pool_texts(label_texts(RARE))
    np.testing.assert_allclose(keys, pooled / np.linalg.norm(pooled, axis=1, keepdims=True), atol=1e-5)
    mean = model.embed_texts(label_texts(RARE)).mean(axis=0)
    np.testing.assert_allclose(head.vectors[index].numpy(), mean / np.linalg.norm(mean), atol=1e-5)
    assert extended.facts["type_places"] == {B_CELL: {"": 3}, RARE: {"": 1}}


def test_every_weight_names_its_sources_and_their_numbers_add_up(model, folder):
    extended = add_marker_tables(model, folder)
    sources = {source["name"]: source for source in extended.facts["signature_sources"]}
    assert list(sources) == ["ASCT+B", "Cell Ontology", "scBrainMap"]
    assert [source["open"] for source in sources.values()] == [True, True, False]
    masks, head = extended.signatures.knowledge_sources, extended.signatures
    assert len(masks) == head.knowledge.nnz
    assert (masks > 0).all()
    # The table states six genes, all in the vocabulary.
    assert sources["scBrainMap"]["weights"] == (masks & 4 > 0).sum() == 6
    assert sum(source["weights"] for source in sources.values()) == sum(bin(mask).count("1") for mask in masks.tolist())


def test_the_given_model_stays_as_it_is_and_a_changed_table_is_read_again(model, folder):
    types = model.signatures.types
    extended = add_marker_tables(model, folder)
    assert add_marker_tables(model, folder) is extended
    assert (model.signatures.types, added_tables(model)) == (types, [])
    assert "MIT (package); its 23 resources keep their own terms" in added_tables(extended)[0]
    table = folder / "cellmarker_accordion_by_cl.csv.gz"
    table.write_text(table.read_text().replace("LYZ", "NKG7"))
    assert add_marker_tables(model, folder) is not extended


def test_a_model_with_sources_survives_its_folder(model, checkpoint, tmp_path):
    saved = replace(checkpoint, signatures=model.signatures, facts=model.facts)
    save_checkpoint(saved, tmp_path / "model", card="a card")
    loaded = load_checkpoint(tmp_path / "model")
    np.testing.assert_array_equal(loaded.signatures.knowledge_sources, model.signatures.knowledge_sources)
    assert loaded.facts["signature_sources"] == model.facts["signature_sources"]


def test_what_cannot_be_added_is_refused(model, folder, tmp_path):
    with pytest.raises(InputError, match=r"has no marker table to add\. It needs one of: cellmarker_accordion_by_cl"):
        add_marker_tables(model, tmp_path)
    model.facts = {**model.facts, "signature_sources": [{"name": "PanglaoDB"}, {"name": "ASCT+B"}]}
    with pytest.raises(InputError, match=r"come from PanglaoDB too, which .*tables does not have"):
        add_marker_tables(model, folder)
    model.signatures = replace(model.signatures, knowledge_sources=None)
    with pytest.raises(InputError, match="does not say which markers its signatures come from"):
        add_marker_tables(model, folder)


def test_annotation_and_explanation_use_the_same_tables(model, folder, blood):
    adata = blood[:40].copy()
    okr.tl.annotate(adata, model, candidates=TYPES)
    assert adata.uns["okrcell"]["annotate"]["knowledge"] == []
    plain = adata.obsm["okrcell_scores"].copy()
    okr.tl.explain(adata, model, knowledge=folder)
    # An annotation without tables is explained as it is.
    assert adata.uns["okrcell"]["explain"]["knowledge"] == []
    okr.tl.annotate(adata, model, candidates=TYPES, knowledge=folder)
    tables = adata.uns["okrcell"]["annotate"]["knowledge"]
    assert "cellmarker_accordion_by_cl.csv.gz" in tables[0]
    assert abs(plain - adata.obsm["okrcell_scores"]).to_numpy().max() > 1e-3
    with pytest.raises(InputError, match="The cells were annotated with marker tables"):
        okr.tl.explain(adata, model)
    okr.tl.explain(adata, model, knowledge=folder)
    assert adata.uns["okrcell"]["explain"]["knowledge"] == tables


def test_a_type_that_only_the_tables_have_is_a_candidate_like_others(model, folder, blood):
    adata = blood[:40].copy()
    okr.tl.annotate(adata, model, candidates=[*TYPES, RARE], knowledge=folder)
    okr.tl.explain(adata, model, "cell_type", knowledge=folder)
    assert adata.uns["okrcell"]["annotate"]["candidate_ids"][3] == RARE
    okr.tl.describe(adata, model, "cell_type", candidates=TYPES, knowledge=folder)
    assert adata.uns["okrcell"]["describe"]["knowledge"] == adata.uns["okrcell"]["annotate"]["knowledge"]


def test_labelled_cells_and_tables_exclude_each_other(model, folder, blood):
    with pytest.raises(InputError, match="adds marker tables to a zero-shot annotation"):
        okr.tl.annotate(blood[:40].copy(), model, examples="cell_type", knowledge=folder)


def test_a_model_without_sources_is_described_with_a_remark(model, folder, blood):
    model.signatures = replace(model.signatures, knowledge_sources=None)
    adata = blood[:40].copy()
    okr.tl.describe(adata, model, "cell_type", candidates=TYPES, knowledge=folder)
    record = adata.uns["okrcell"]["describe"]
    assert record["knowledge"] == []
    assert any("not added to the signatures" in finding for finding in record["findings"])
