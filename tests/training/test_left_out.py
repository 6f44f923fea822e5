"""Each study is named as if the memory had never seen it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from known_memory import some_vectors
from scipy import sparse

from okrcell.cells.genes import GeneTable
from okrcell.cells.samples.neighbours import drawn_to_neighbours, neighbour_graph, neighbours_share
from okrcell.cells.samples.sample import sample_components
from okrcell.model.relative_expression import Panel
from okrcell.pairs.pair import Pairs
from okrcell.tasks.candidates import candidates
from okrcell.tasks.evidence import sample_evidence
from okrcell.training import left_out as module
from okrcell.training.left_out import left_out_studies, scored
from okrcell.training.signatures import known_types, signature_head
from okrcell.training.study_profiles import study_profiles


@pytest.fixture(scope="module")
def learned(corpus, vocabulary):
    """What is learned of the two studies of blood."""
    pairs = Pairs.of(corpus)
    table = GeneTable.bundled()
    token = vocabulary.tokens(table)
    genes = np.flatnonzero(token > 0)[np.argsort(token[token > 0], kind="stable")]
    known = known_types(study_profiles(pairs, np.arange(len(corpus)), genes, {}), (), None)
    head = signature_head(known, some_vectors, lambda pooled: pooled[:, :4])
    return SimpleNamespace(pairs=pairs, genes=genes, known=known, head=head, rows=np.arange(len(corpus)))


def studies(learned, **changes):
    given = {"rows": learned.rows, "known": learned.head.types, "overlapping": {}, "seed": 0, **changes}
    return list(left_out_studies(learned.pairs, given["rows"], given["known"], given["overlapping"], given["seed"]))


@pytest.fixture(scope="module")
def first(learned):
    return studies(learned)[0]


def test_each_study_comes_with_its_own_cells_and_what_they_are(learned):
    found = studies(learned)
    obs, names = learned.pairs.corpus.obs, np.array(learned.pairs.cell_type_names)
    assert [study.name for study in found] == ["first", "second"]
    for study in found:
        assert set(obs["study"].to_numpy()[study.corpus_row]) == {study.name}
        kind = learned.pairs.cell_type[learned.pairs.description[study.corpus_row]]
        for place, number in zip(study.truth, kind, strict=True):
            assert (names[number] if number >= 0 else None) == (study.types[place] if place >= 0 else None)
        np.testing.assert_allclose(study.rows.toarray(), learned.pairs.corpus.rows(study.corpus_row).toarray())
    assert (found[1].truth == -1).sum() == 10


def test_types_that_the_memory_lacks_are_no_candidates_and_their_cells_stay(learned, first):
    lacking = next(name for name in first.types)
    found = studies(learned, known=tuple(name for name in learned.head.types if name != lacking))[0]
    assert lacking not in found.types
    assert len(found.truth) == len(first.truth)
    assert (found.truth == -1).sum() == (first.truth == 0).sum()


def test_a_study_gives_no_more_cells_than_its_share_and_the_same_with_one_seed(learned, monkeypatch):
    monkeypatch.setattr(module, "CELLS_OF_A_STUDY", 120)
    found, again, other = studies(learned), studies(learned), studies(learned, seed=1)
    assert [len(study.truth) for study in found] == [120, 120]
    np.testing.assert_array_equal(found[0].corpus_row, again[0].corpus_row)
    assert set(found[0].corpus_row.tolist()) != set(other[0].corpus_row.tolist())
    assert (np.diff(found[0].corpus_row) > 0).all()


def test_small_studies_and_those_of_one_type_are_passed_over(learned, first):
    assert [study.name for study in studies(learned, rows=learned.rows[350:])] == ["second"]
    assert studies(learned, known=first.types[:1]) == []


def test_learning_and_use_find_the_same_evidence(learned, first):
    """The same cells, named by the task with a memory that lacks the study, get the same scores."""
    told, shown = learned.known.parts("first")
    head = replace(learned.head, knowledge=sparse.csr_matrix(told), cells=sparse.csr_matrix(shown))
    measured = np.asarray(first.rows.getnnz(axis=0) > 0)
    model = SimpleNamespace(
        signatures=head, panel=lambda _: Panel.of(head, learned.genes.astype(np.intp), measured[learned.genes])
    )
    found = scored(first, learned.known, learned.head, learned.genes)
    expression = module._as_file(first.rows)
    used = sample_evidence(expression, candidates(first.types), model)
    np.testing.assert_allclose(found.scores, used.score, rtol=1e-3, atol=1e-3)
    filled = np.flatnonzero(~np.isnan(used.lead))
    graph = neighbour_graph(sample_components(expression, module.COMPONENTS)[filled])
    share = neighbours_share(int(measured[learned.genes].sum()))
    drawn = drawn_to_neighbours(np.column_stack([used.score, used.lead])[filled], graph, share=share)
    np.testing.assert_allclose(found.drawn[filled], drawn[:, :-1], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.lead[filled], drawn[:, -1], rtol=1e-3, atol=1e-3)


def test_what_the_study_itself_showed_has_no_say(learned, first):
    """Its own profiles may be turned about as one likes: only the scale of a gene over all profiles remembers them."""
    profiles = learned.known.profiles
    mine = np.flatnonzero(profiles.group == "first")
    difference = profiles.difference.copy()
    difference[mine] = difference[np.roll(mine, 1)]
    turned = replace(learned.known, profiles=replace(profiles, difference=difference))
    np.testing.assert_allclose(
        scored(first, learned.known, learned.head, learned.genes).scores,
        scored(first, turned, learned.head, learned.genes).scores,
        rtol=1e-3,
        atol=1e-3,
    )


def test_blood_is_named_by_the_other_half_of_it(learned, first):
    found = scored(first, learned.known, learned.head, learned.genes)
    rows = np.flatnonzero((first.truth >= 0) & np.isfinite(found.scores[:, 0]))
    right = (found.scores[rows].argmax(axis=1) == first.truth[rows]).mean()
    drawn = (found.drawn[rows].argmax(axis=1) == first.truth[rows]).mean()
    assert right > 0.6
    assert drawn > right - 0.05


def test_a_cell_without_expression_has_no_score_and_changes_nobodys(learned, first):
    gone = next(place for place, row in enumerate(first.corpus_row.tolist()) if row == 3)
    found = scored(first, learned.known, learned.head, learned.genes)
    assert np.flatnonzero(np.isnan(found.scores).any(axis=1)).tolist() == [gone]
    assert np.flatnonzero(np.isnan(found.lead)).tolist() == [gone]
    assert np.isnan(found.drawn[gone]).all()
    rest = np.setdiff1d(np.arange(len(first.truth)), [gone])
    without = replace(first, rows=first.rows[rest], corpus_row=first.corpus_row[rest], truth=first.truth[rest])
    again = scored(without, learned.known, learned.head, learned.genes)
    np.testing.assert_allclose(found.drawn[rest], again.drawn, rtol=1e-3, atol=1e-3)


def test_only_what_a_panel_measures_has_a_say(learned, first):
    panel = np.zeros(len(GeneTable.bundled()), dtype=bool)
    panel[learned.genes[::3]] = True
    spoilt = first.rows.toarray()
    spoilt[:, ~panel] *= 7
    found = scored(first, learned.known, learned.head, learned.genes, panel)
    again = scored(replace(first, rows=sparse.csr_matrix(spoilt)), learned.known, learned.head, learned.genes, panel)
    np.testing.assert_allclose(found.scores, again.scores, rtol=1e-4, atol=1e-4)


def test_other_candidates_may_be_asked_for(learned, first):
    some = first.types[:3]
    found = scored(first, learned.known, learned.head, learned.genes, None, some)
    assert found.scores.shape == (len(first.truth), 3)
    assert found.drawn.shape == (len(first.truth), 3)
    assert found.lead.shape == (len(first.truth),)
