"""Simulated pairs from marker knowledge, kept apart from measured cells."""

import numpy as np
import pytest
import torch

from okrcell.cells.genes import GeneTable
from okrcell.cells.tokenizer import BinTokenizer, TokenizerSettings
from okrcell.data.dataloader import PairDataLoader, StreamSettings
from okrcell.data.dataset import PairDataset
from okrcell.data.simulated_pairs import KnowledgeSettings, SimulatedPairs
from okrcell.descriptions.metadata_text import label_texts
from okrcell.errors import InputError
from okrcell.knowledge.cell_type_markers import build_marker_consensus
from okrcell.knowledge.markers import MarkerRow
from okrcell.ontology.ontology import ontology

B_CELL, PLASMA_CELL, MAST_CELL = "CL:0000236", "CL:0000786", "CL:0000097"
GENES = {
    B_CELL: ("CD79A", "CD79B", "MS4A1", "CD74"),
    PLASMA_CELL: ("IGJ", "MZB1", "SSR4", "TNFRSF17"),
    MAST_CELL: ("TPSAB1", "CPA3", "KIT"),
}
"""The corpus has cells of the first type but not of the second, and lacks the genes of the third."""
ROWS = np.arange(20, 700)
ALL = ("masked", "text", "cell_type", "weight", "row")


@pytest.fixture(scope="module")
def pairs(corpus):
    return PairDataset.from_corpus(corpus)


@pytest.fixture(scope="module")
def known():
    statements = [(MarkerRow(kind, gene, "one"), "one") for kind, genes in GENES.items() for gene in genes]
    return build_marker_consensus([*statements, (MarkerRow(B_CELL, "CD3D", "two", present=False), "two")], ("a table",))


@pytest.fixture
def knowledge(pairs, known):
    def made(**settings):
        return SimulatedPairs(pairs, ROWS, known, KnowledgeSettings(**settings))

    return made


@pytest.fixture
def stream(pairs, vocabulary):
    def made(knowledge=None, **settings):
        tokeniser = BinTokenizer(TokenizerSettings(limit=64, select="highest"), vocabulary, GeneTable.bundled())
        return PairDataLoader(
            pairs, ROWS, tokeniser, StreamSettings(**{"batch_size": 40, **settings}), simulated_pairs=knowledge
        )

    return made


def test_types_whose_genes_the_corpus_has_are_drawn_and_others_are_not(knowledge):
    assert set(knowledge().types) == {B_CELL, PLASMA_CELL}


def test_texts_and_types_of_the_corpus_keep_their_places(knowledge, pairs):
    made = knowledge()
    assert made.texts[: len(pairs.texts)] == pairs.texts
    assert made.cell_type_names[: len(pairs.cell_type_names)] == pairs.cell_type_names
    assert len(set(made.texts)) == len(made.texts)
    assert made.cell_type_names.count(B_CELL) == 1


def test_a_drawn_text_tells_of_the_type_that_is_drawn(knowledge):
    made = knowledge()
    drawn = made.sample(200, np.random.default_rng(0))
    texts_of_type = {}
    for text, kind in zip(drawn.text.tolist(), drawn.cell_type.tolist(), strict=True):
        texts_of_type.setdefault(made.cell_type_names[kind], set()).add(made.texts[text])
    assert set(texts_of_type) == {B_CELL, PLASMA_CELL}
    for kind, texts in texts_of_type.items():
        assert set(label_texts(kind)) <= texts
        names = (ontology("CL").term(kind).name, *ontology("CL").term(kind).synonyms)
        assert all(any(name.lower() in text.lower() for name in names) for text in texts)


def test_simulated_cells_show_the_markers_of_their_type_and_lack_what_it_lacks(knowledge, corpus):
    made = knowledge()
    drawn = made.sample(400, np.random.default_rng(0))
    row = dict(zip(GENES[B_CELL] + ("CD3D",), GeneTable.bundled().resolve([*GENES[B_CELL], "CD3D"]).row, strict=True))
    b_cells = np.array([made.cell_type_names[kind] == B_CELL for kind in drawn.cell_type])
    share = drawn.expression.multiply(1 / drawn.expression.sum(axis=1)).tocsr()
    for gene in GENES[B_CELL]:
        mean = np.asarray(share[:, row[gene]].todense()).ravel()
        assert mean[b_cells].mean() > 1.15 * mean[~b_cells].mean()
    lacked = np.asarray((share[:, row["CD3D"]] > 0).todense()).ravel()
    assert lacked[b_cells].mean() < 0.9 * lacked[~b_cells].mean()
    scale = corpus.gene_scale()
    assert (scale[np.unique(drawn.expression.indices)] > 0).all()


def test_markers_are_raised_in_training_cells_alone(pairs, known, corpus):
    studies = corpus.obs["study"].astype(str).to_numpy()
    made = SimulatedPairs(pairs, np.flatnonzero(studies == "first"), known, KnowledgeSettings())
    seen = np.unique(made.sample(50, np.random.default_rng(0)).expression.indices)
    first = np.unique(corpus.rows(np.flatnonzero(studies == "first")).indices)
    marked = GeneTable.bundled().resolve([gene for genes in GENES.values() for gene in genes]).row
    assert set(seen.tolist()) <= {*first.tolist(), *marked.tolist()}


def test_without_markers_in_the_corpus_there_is_nothing_to_draw(pairs):
    statements = [(MarkerRow(MAST_CELL, gene, "one"), "one") for gene in GENES[MAST_CELL]]
    with pytest.raises(InputError, match="knowledge"):
        SimulatedPairs(pairs, ROWS, build_marker_consensus(statements), KnowledgeSettings())


def test_knowledge_takes_its_share_of_a_batch_behind_the_cells(stream, knowledge, pairs):
    made = knowledge(share=0.25)
    batch = stream(made, min_gene_fraction=0.3).batch(3)
    simulated = batch.row < 0
    assert simulated.tolist() == [False] * 30 + [True] * 10
    assert not batch.masked[simulated].any()
    assert batch.masked[~simulated].any()
    assert {made.cell_type_names[kind] for kind in batch.cell_type[simulated]} <= set(made.types)
    assert {kind for kind in batch.cell_type[~simulated].tolist() if kind >= 0} <= set(
        range(len(pairs.cell_type_names))
    )
    assert (batch.weight[simulated] == batch.cells.attention_mask[simulated].any(dim=1).float()).all()


def test_a_batch_with_knowledge_is_the_same_whenever_it_is_asked_for(stream, knowledge):
    one, other = stream(knowledge(share=0.2), balance=0.5), stream(knowledge(share=0.2), balance=0.5)
    one.batch(0)
    for step in (5, 2):
        batch, other_batch = one.batch(step), other.batch(step)
        assert torch.equal(batch.cells.gene, other_batch.cells.gene)
        assert torch.equal(batch.cells.value, other_batch.cells.value)
        assert all(torch.equal(getattr(batch, name), getattr(other_batch, name)) for name in ALL)
    assert not torch.equal(one.batch(5).text, one.batch(6).text)


def test_every_cell_still_comes_once_in_a_pass(stream, knowledge):
    made = stream(knowledge(share=0.15))
    assert made.steps_per_epoch == 20
    rows = torch.cat([made.batch(step).row for step in range(20)])
    assert sorted(rows[rows >= 0].tolist()) == ROWS.tolist()


def test_two_devices_draw_different_knowledge(stream, knowledge):
    made = stream(knowledge(share=0.5))
    assert not torch.equal(made.batch(0, 0, 2).text[20:], made.batch(0, 1, 2).text[20:])


def test_a_share_too_small_for_a_pair_changes_nothing(stream, knowledge):
    plain, none = stream().batch(1), stream(knowledge(share=0.001)).batch(1)
    assert torch.equal(plain.cells.gene, none.cells.gene)
    assert all(torch.equal(getattr(plain, name), getattr(none, name)) for name in ALL)


def test_validation_is_of_cells_alone(stream, knowledge):
    assert all((batch.row >= 0).all() for batch in stream(knowledge(share=0.5)).validation_batches())
