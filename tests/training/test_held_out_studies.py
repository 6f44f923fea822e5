"""Each study is named as if the memory had never seen it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from example_states import example_vectors
from scipy import sparse

from okrcell.cells.genes import GeneTable
from okrcell.cells.neighbors import knn_graph, similar_neighbors, smooth_over_knn
from okrcell.cells.pca import N_COMPONENTS, sample_pca
from okrcell.data.dataset import PairDataset
from okrcell.model.embedder import Embedder
from okrcell.model.marker_scores import GenePanel
from okrcell.model.sample_scores import SMOOTHING_WEIGHT, candidate_signatures, score_sample
from okrcell.tasks.candidates import parse_candidates
from okrcell.training import held_out_studies as module
from okrcell.training.cell_type_profiles import build_known_types, build_signature_head, build_study_profiles
from okrcell.training.held_out_studies import held_out_studies, score_study


@pytest.fixture(scope="module")
def learned(corpus, vocabulary):
    """What is learned of the two studies of blood."""
    pairs = PairDataset.from_corpus(corpus)
    table = GeneTable.bundled()
    token = vocabulary.tokens(table)
    genes = np.flatnonzero(token > 0)[np.argsort(token[token > 0], kind="stable")]
    known = build_known_types(build_study_profiles(pairs, np.arange(len(corpus)), genes, {}), (), None)
    head = build_signature_head(known, example_vectors, lambda pooled: pooled[:, :4])
    return SimpleNamespace(pairs=pairs, genes=genes, known=known, head=head, rows=np.arange(len(corpus)))


class WithSignatures(Embedder):
    """A model of which only the signatures are used."""

    def __init__(self, head):
        self.head = head

    @property
    def signatures(self):
        return self.head


def studies(learned, **changes):
    given = {"rows": learned.rows, "known": learned.head.types, "overlapping": {}, "seed": 0, **changes}
    return list(held_out_studies(learned.pairs, given["rows"], given["known"], given["overlapping"], given["seed"]))


@pytest.fixture(scope="module")
def first(learned):
    return studies(learned)[0]


def test_each_study_comes_with_its_own_cells_and_what_they_are(learned):
    found = studies(learned)
    obs, names = learned.pairs.corpus.obs, np.array(learned.pairs.cell_type_names)
    assert [study.name for study in found] == ["first", "second"]
    for study in found:
        assert set(obs["study"].to_numpy()[study.corpus_rows]) == {study.name}
        kind = learned.pairs.cell_type[learned.pairs.description[study.corpus_rows]]
        for place, number in zip(study.truth, kind, strict=True):
            assert (names[number] if number >= 0 else None) == (study.types[place] if place >= 0 else None)
        np.testing.assert_allclose(study.rows.toarray(), learned.pairs.corpus.rows(study.corpus_rows).toarray())
    assert (found[1].truth == -1).sum() == 10


def test_types_that_the_memory_lacks_are_no_candidates_and_their_cells_stay(learned, first):
    lacking = next(name for name in first.types)
    found = studies(learned, known=tuple(name for name in learned.head.types if name != lacking))[0]
    assert lacking not in found.types
    assert len(found.truth) == len(first.truth)
    assert (found.truth == -1).sum() == (first.truth == 0).sum()


def test_a_study_gives_no_more_cells_than_its_share_and_the_same_with_one_seed(learned, monkeypatch):
    monkeypatch.setattr(module, "MAX_CELLS_PER_STUDY", 120)
    found, again, other = studies(learned), studies(learned), studies(learned, seed=1)
    assert [len(study.truth) for study in found] == [120, 120]
    np.testing.assert_array_equal(found[0].corpus_rows, again[0].corpus_rows)
    assert set(found[0].corpus_rows.tolist()) != set(other[0].corpus_rows.tolist())
    assert (np.diff(found[0].corpus_rows) > 0).all()


def test_small_studies_and_those_of_one_type_are_passed_over(learned, first):
    assert [study.name for study in studies(learned, rows=learned.rows[350:])] == ["second"]
    assert studies(learned, known=first.types[:1]) == []


def test_learning_and_use_find_the_same_evidence(learned, first):
    """The same cells, named by the task with a memory that lacks the study, get the same scores."""
    knowledge, cells = learned.known.parts("first")
    head = replace(learned.head, knowledge=sparse.csr_matrix(knowledge), cells=sparse.csr_matrix(cells))
    measured = np.asarray(first.rows.getnnz(axis=0) > 0)
    embedder = WithSignatures(head)
    panel = GenePanel.from_measured(head, learned.genes.astype(np.intp), measured[learned.genes])
    found = score_study(first, learned.known, learned.head, learned.genes)
    expression = module.as_expression(first.rows)
    texts = [candidate.texts for candidate in parse_candidates(first.types)]
    signatures = candidate_signatures(first.types, texts, embedder).combined
    used = score_sample(expression, panel, head, first.types, signatures, head.combined)
    np.testing.assert_allclose(found.scores, used.scores, rtol=1e-3, atol=1e-3)
    filled = np.flatnonzero(~np.isnan(used.margin))
    graph = knn_graph(sample_pca(expression, N_COMPONENTS)[filled])
    graph = similar_neighbors(used.scores[filled], graph)
    drawn = smooth_over_knn(np.column_stack([used.scores, used.margin])[filled], graph, weight=SMOOTHING_WEIGHT)
    np.testing.assert_allclose(found.smoothed[filled], drawn[:, :-1], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.margin[filled], drawn[:, -1], rtol=1e-3, atol=1e-3)


def test_what_the_study_itself_showed_has_no_say(learned, first):
    """Its own profiles may be turned about as one likes: only the scale of a gene over all profiles remembers them."""
    profiles = learned.known.profiles
    of_study = np.flatnonzero(profiles.group == "first")
    difference = profiles.difference.copy()
    difference[of_study] = difference[np.roll(of_study, 1)]
    turned = replace(learned.known, profiles=replace(profiles, difference=difference))
    np.testing.assert_allclose(
        score_study(first, learned.known, learned.head, learned.genes).scores,
        score_study(first, turned, learned.head, learned.genes).scores,
        rtol=1e-3,
        atol=1e-3,
    )


def test_blood_is_named_by_the_other_half_of_it(learned, first):
    found = score_study(first, learned.known, learned.head, learned.genes)
    rows = np.flatnonzero((first.truth >= 0) & np.isfinite(found.scores[:, 0]))
    right = (found.scores[rows].argmax(axis=1) == first.truth[rows]).mean()
    drawn = (found.smoothed[rows].argmax(axis=1) == first.truth[rows]).mean()
    assert right > 0.6
    assert drawn > right - 0.05


def test_a_cell_without_expression_has_no_score_and_changes_nobodys(learned, first):
    gone = next(place for place, row in enumerate(first.corpus_rows.tolist()) if row == 3)
    found = score_study(first, learned.known, learned.head, learned.genes)
    assert np.flatnonzero(np.isnan(found.scores).any(axis=1)).tolist() == [gone]
    assert np.flatnonzero(np.isnan(found.margin)).tolist() == [gone]
    assert np.isnan(found.smoothed[gone]).all()
    rest = np.setdiff1d(np.arange(len(first.truth)), [gone])
    without = replace(first, rows=first.rows[rest], corpus_rows=first.corpus_rows[rest], truth=first.truth[rest])
    again = score_study(without, learned.known, learned.head, learned.genes)
    np.testing.assert_allclose(found.smoothed[rest], again.smoothed, rtol=1e-3, atol=1e-3)


def test_only_what_a_panel_measures_has_a_say(learned, first):
    panel = np.zeros(len(GeneTable.bundled()), dtype=bool)
    panel[learned.genes[::3]] = True
    spoilt = first.rows.toarray()
    spoilt[:, ~panel] *= 7
    found = score_study(first, learned.known, learned.head, learned.genes, panel)
    again = score_study(
        replace(first, rows=sparse.csr_matrix(spoilt)), learned.known, learned.head, learned.genes, panel
    )
    np.testing.assert_allclose(found.scores, again.scores, rtol=1e-4, atol=1e-4)


def test_other_candidates_may_be_asked_for(learned, first):
    candidates = first.types[:3]
    found = score_study(first, learned.known, learned.head, learned.genes, None, candidates)
    assert found.scores.shape == (len(first.truth), 3)
    assert found.smoothed.shape == (len(first.truth), 3)
    assert found.margin.shape == (len(first.truth),)
