"""Genes that do alike start alike, and what is not known starts from chance."""

import numpy as np
import pytest
import torch

from okrcell.knowledge.cell_type_markers import gene_texts
from okrcell.model.cell_encoder import INIT_STD
from okrcell.model.gene_init import cached_embed, gene_vectors, init_gene_embeddings

TEXTS = {f"GENE{number}": f"text {number}" for number in range(40)}
SYMBOLS = [*TEXTS, "UNTOLD1", "UNTOLD2"]


class Reader:
    """Gives texts of even number one direction, those of odd number another, with some of their own."""

    def __init__(self):
        self.requests = 0
        self.read = cached_embed("reader", self.embed_texts)

    def embed_texts(self, texts):
        self.requests += len(texts)
        vectors = np.random.default_rng(0).normal(0, 0.1, (len(texts), 6)).astype(np.float32)
        for place, text in enumerate(texts):
            vectors[place, int(text.split()[1]) % 2] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def reader(tmp_path, monkeypatch):
    monkeypatch.setenv("OKRCELL_CACHE", str(tmp_path))
    return Reader()


def test_told_genes_start_as_spread_as_chance_would_be_and_alike_genes_near(reader):
    vectors = gene_vectors(SYMBOLS, TEXTS, reader.read, 4, 0)
    assert vectors.shape == (42, 4)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors[:40].std(axis=0), INIT_STD, rtol=1e-4)
    np.testing.assert_allclose(vectors[:40].mean(axis=0), 0, atol=1e-6)
    even, odd = vectors[0:40:2, 0], vectors[1:40:2, 0]
    assert even.max() < odd.min() or odd.max() < even.min()


def test_untold_genes_and_components_that_texts_do_not_have_start_from_chance(reader):
    vectors, other = (gene_vectors(SYMBOLS, TEXTS, reader.read, 10, seed) for seed in (0, 1))
    np.testing.assert_array_equal(vectors[:40, :6], other[:40, :6])
    assert not np.isclose(vectors[40:], other[40:]).any()
    assert not np.isclose(vectors[:40, 6:], other[:40, 6:]).all()
    assert 0.5 * INIT_STD < vectors[:, 6:].std() < 2 * INIT_STD


def test_texts_are_read_once(reader):
    first = gene_vectors(SYMBOLS, TEXTS, reader.read, 4, 0)
    np.testing.assert_array_equal(first, gene_vectors(SYMBOLS, TEXTS, reader.read, 4, 0))
    assert reader.requests == 40
    gene_vectors(SYMBOLS, {**TEXTS, "GENE3": "text 5"}, reader.read, 4, 0)
    assert reader.requests == 80


def test_a_damaged_copy_is_read_anew(reader, tmp_path):
    first = gene_vectors(SYMBOLS, TEXTS, reader.read, 4, 0)
    (cache_file,) = (tmp_path / "gene_vectors").glob("*.npy")
    cache_file.write_bytes(cache_file.read_bytes()[:100])
    np.testing.assert_array_equal(first, gene_vectors(SYMBOLS, TEXTS, reader.read, 4, 0))
    assert reader.requests == 80


def test_where_nothing_is_told_all_start_from_chance(reader):
    vectors = gene_vectors(SYMBOLS, {}, reader.read, 5, 0)
    assert np.isfinite(vectors).all()
    assert reader.requests == 0


def test_a_model_takes_them_and_its_padding_stays_nothing(checkpoint):
    model = checkpoint.model
    vectors = np.random.default_rng(0).normal(size=(len(checkpoint.vocabulary), 16)).astype(np.float32)
    init_gene_embeddings(model, vectors)
    weight = model.cell_encoder.tokens.gene.weight
    assert torch.equal(weight[1:], torch.from_numpy(vectors))
    assert weight[0].abs().sum() == 0
    assert weight.requires_grad


def test_a_genes_text_tells_its_name_the_types_it_marks_and_what_it_does(shared_knowledge):
    from okrcell.knowledge.cell_type_markers import load_marker_consensus

    texts = gene_texts(["CD19", "NO_SUCH_GENE"], shared_knowledge, load_marker_consensus(shared_knowledge))
    assert set(texts) == {"CD19"}
    assert texts["CD19"].startswith("CD19: CD19 molecule. Marker of B cell,")
    assert "immunoglobulin gene superfamily" in texts["CD19"]
    assert "Marker of" not in gene_texts(["CD19"], shared_knowledge)["CD19"]
