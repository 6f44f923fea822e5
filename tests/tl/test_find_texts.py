"""`tl.find_texts`: texts ranked by similarity."""

import anndata
import numpy as np
import pytest

import okrcell as okr
from okrcell.errors import InputError
from okrcell.tasks.candidates import candidate_vectors, ontology_types, ontology_vectors, parse_candidates
from okrcell.tl.retrieval import find_texts

TEXTS = ["B cell", "a cell that presents antigen to T cells", "natural killer cell", "T cell", "monocyte"]


@pytest.fixture(scope="module")
def model():
    return okr.load()


@pytest.fixture
def few(blood, model):
    adata = blood[:60].copy()
    okr.tl.embed(adata, model)
    return adata


def test_ranks_are_those_of_the_cosines(few, model):
    find_texts(few, model, TEXTS, top=3)
    scores = few.obsm["X_okrcell"] @ candidate_vectors(parse_candidates(TEXTS), model).T
    order = np.argsort(-scores, axis=1)[:, :3]
    np.testing.assert_array_equal(few.obsm["okrcell_texts_place"], order)
    np.testing.assert_allclose(few.obsm["okrcell_texts"], np.take_along_axis(scores, order, axis=1), atol=1e-6)
    assert few.obs["okrcell_texts"].tolist() == [TEXTS[place] for place in order[:, 0]]


def test_a_group_is_ranked_by_the_mean_of_its_cells(few, model):
    find_texts(few, model, TEXTS, groupby="cell_type", top=2)
    scores = few.obsm["X_okrcell"] @ candidate_vectors(parse_candidates(TEXTS), model).T
    table = few.uns["okrcell_texts"]
    for name, rows in table.groupby("group"):
        mean = scores[(few.obs["cell_type"] == name).to_numpy()].mean(axis=0)
        assert rows["text"].tolist() == [TEXTS[place] for place in np.argsort(-mean)[:2]]
        np.testing.assert_allclose(rows["match"], np.sort(mean)[::-1][:2], atol=1e-5)
    assert table.loc[table["text"] == "B cell", "cell_type_ontology_term_id"].unique().tolist() == ["CL:0000236"]
    assert few.uns["okrcell"]["find_texts"]["texts"] == TEXTS


def test_it_can_be_written_to_a_file(few, model, tmp_path):
    find_texts(few, model, TEXTS, groupby="cell_type")
    few.write_h5ad(tmp_path / "ranked.h5ad")
    again = anndata.read_h5ad(tmp_path / "ranked.h5ad")
    assert again.uns["okrcell_texts"]["text"].tolist() == few.uns["okrcell_texts"]["text"].tolist()


def test_a_cell_without_expression_gets_no_text(blood, model):
    adata = blood[:4].copy()
    rows = adata.X.tolil()
    rows[1] = 0
    adata.X = rows.tocsr()
    adata.obs["group"] = ["a", "empty", "a", "a"]
    find_texts(adata, model, TEXTS, groupby="group")
    assert adata.obs["okrcell_texts"].tolist().count("unknown") == 1
    assert adata.obsm["okrcell_texts_place"][1].tolist() == [-1] * 5
    assert set(adata.uns["okrcell_texts"]["group"]) == {"a"}


def test_a_later_ranking_does_not_leave_the_groups_of_an_earlier_one(few, model):
    find_texts(few, model, TEXTS, groupby="cell_type")
    find_texts(few, model, TEXTS[:1])
    assert "okrcell_texts" not in few.uns
    assert few.obsm["okrcell_texts"].shape == (60, 1)


def test_mistakes_are_told_before_the_work(few, model):
    with pytest.raises(InputError, match="at least 1"):
        find_texts(few, model, TEXTS, top=0)
    with pytest.raises(InputError, match="Did you mean cell_type"):
        find_texts(few, model, TEXTS, groupby="celltype")
    with pytest.raises(InputError, match="empty"):
        find_texts(few, model, ["B cell", " "])


class Counting(type(okr.load())):
    """The bundled model with a text encoder that counts its texts and returns random unit vectors."""

    def __init__(self, model, fingerprint):
        self.__dict__ = {**vars(model), "facts": {**model.facts, "weights_sha256": fingerprint}}
        self.read = 0

    def embed_texts(self, texts):
        self.read += len(texts)
        rng = np.random.default_rng(len(texts))
        vectors = rng.normal(size=(len(texts), self.dim)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_whole_ontology_is_read_once_and_kept(model, monkeypatch, tmp_path):
    monkeypatch.setenv("OKRCELL_CACHE", str(tmp_path / "cache"))
    reader = Counting(model, "one")
    first = ontology_vectors(reader)
    read = reader.read
    np.testing.assert_array_equal(ontology_vectors(reader), first)
    assert reader.read == read > len(ontology_types()) > 2500
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, rtol=1e-5)
    other = Counting(model, "two")
    ontology_vectors(other)
    assert other.read == read


def test_a_damaged_or_forbidden_cache_only_costs_time(model, monkeypatch, tmp_path):
    monkeypatch.setenv("OKRCELL_CACHE", str(tmp_path / "cache"))
    first = ontology_vectors(Counting(model, "one"))
    (cache_file,) = (tmp_path / "cache" / "vectors").iterdir()
    cache_file.write_bytes(b"no array")
    np.testing.assert_array_equal(ontology_vectors(Counting(model, "one")), first)
    (tmp_path / "file").touch()
    monkeypatch.setenv("OKRCELL_CACHE", str(tmp_path / "file"))
    np.testing.assert_array_equal(ontology_vectors(Counting(model, "one")), first)


def test_types_are_those_that_people_can_read_of(model):
    types = ontology_types()
    assert any(each.name == "B cell" for each in types)
    assert all(each.texts and "in taxon" not in each.texts[0] for each in types)
