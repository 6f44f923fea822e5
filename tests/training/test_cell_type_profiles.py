"""A profile says how a type differs from the others of its study, all types alike."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from okrcell.training.cell_type_profiles import build_study_profiles, contains_averages

NAMES = ("CL:0000236", "CL:0000084", "CL:0000576", "CL:0000623", "odd cell", "CL:0000233")
TABLE = 25
GENES = np.array([3, 1, 4, 15, 9, 2, 6, 5, 20, 21], dtype=np.intp)


def corpus(*studies, seed=0):
    """Cells of some studies; a study is its name, the types of its cells (-1: unknown), their samples, who measures what."""
    made = np.random.default_rng(seed)
    obs, kinds, rows = [], [], []
    for name, kind, *more in studies:
        batch = more[0] if more else ["one"] * len(kind)
        gone = more[1] if len(more) > 1 else []
        values = made.poisson(made.gamma(1, 2, TABLE), (len(kind), TABLE)).astype(np.float32)
        values[:, list(gone)] = 0
        obs.append(pd.DataFrame({"study": name, "batch": batch}))
        kinds.extend(kind)
        rows.append(values)
    rows = sparse.csr_matrix(np.concatenate(rows))
    # A description a cell, so that its place is that of the cell.
    return SimpleNamespace(
        corpus=SimpleNamespace(obs=pd.concat(obs, ignore_index=True), rows=lambda index: rows[index]),
        description=np.arange(len(kinds)),
        cell_type=np.array(kinds, dtype=np.int32),
        cell_type_names=NAMES,
        rows=rows,
    )


def profiles(pairs, rows=None, overlapping=None):
    return build_study_profiles(
        pairs, np.arange(len(pairs.cell_type)) if rows is None else rows, GENES, overlapping or {}
    )


def logs_of(pairs):
    rows = pairs.rows.toarray().astype(float)
    return np.log1p(rows / rows.sum(axis=1, keepdims=True) * 10_000)[:, GENES]


FIVE = np.repeat([0, 1, 2, 3, -1], [60, 10, 30, 5, 15])


def test_profiles_are_those_of_the_formula():
    pairs = corpus(("a", FIVE), ("b", FIVE[::-1]))
    found = profiles(pairs)
    assert found.types == tuple(sorted(NAMES[:4]))
    assert found.group.tolist() == ["a"] * 4 + ["b"] * 4
    logs, study = logs_of(pairs), pairs.corpus.obs["study"].to_numpy()
    for number in range(8):
        means = {
            kind: logs[(study == found.group[number]) & (pairs.cell_type == kind)].mean(axis=0)
            for kind in (-1, 0, 1, 2, 3)
        }
        own = NAMES.index(found.types[found.type[number]])
        expected = means[own] - np.mean(list(means.values()), axis=0)
        np.testing.assert_allclose(found.difference[number], expected, atol=1e-4)


def test_what_is_usual_counts_types_and_studies_alike_however_many_cells_they_have():
    pairs = corpus(("a", FIVE), ("b", np.repeat([0, 1, 2, 3], 100)))
    found = profiles(pairs)
    rows = pairs.rows.toarray().astype(float)
    linear = (rows / rows.sum(axis=1, keepdims=True) * 10_000)[:, GENES]
    logs, study = logs_of(pairs), pairs.corpus.obs["study"].to_numpy()

    def over_types(what, values):
        means = [
            np.mean(
                [what(values[(study == name) & (pairs.cell_type == kind)], axis=0) for kind in set(kinds.tolist())],
                axis=0,
            )
            for name, kinds in (("a", FIVE), ("b", np.arange(4)))
        ]
        return np.mean(means, axis=0)

    np.testing.assert_allclose(found.level, over_types(np.mean, logs), rtol=1e-4)
    np.testing.assert_allclose(found.linear, over_types(np.mean, linear), rtol=1e-4)
    np.testing.assert_allclose(found.spread, np.sqrt(over_types(np.var, logs)), rtol=1e-3)


@given(times=st.integers(1, 9), kind=st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_more_of_the_same_cells_of_a_type_change_nothing(times, kind):
    pairs = corpus(("a", FIVE))
    rows = np.arange(len(FIVE))
    more = np.concatenate([rows, *[np.flatnonzero(kind == FIVE)] * times])
    twice = SimpleNamespace(**vars(pairs))
    twice.corpus = SimpleNamespace(obs=pairs.corpus.obs.iloc[more], rows=lambda index: pairs.rows[more][index])
    twice.cell_type, twice.description = pairs.cell_type[more], np.arange(len(more))
    found, again = profiles(pairs), profiles(twice)
    np.testing.assert_allclose(found.difference, again.difference, atol=1e-4)
    np.testing.assert_allclose(found.level, again.level, rtol=1e-4)


def test_beside_two_types_nothing_is_special_but_their_cells_still_say_what_is_usual():
    found = profiles(corpus(("a", np.repeat([0, 1], 60))))
    assert found.types == ()
    assert found.difference.shape == (0, len(GENES))
    assert (found.level > 0).any()


def test_types_that_have_no_id_give_no_profile_but_are_part_of_what_is_usual():
    kinds = np.repeat([0, 1, 2, 4], 30)
    found = profiles(corpus(("a", kinds)))
    assert NAMES[4] not in found.types
    assert len(found.type) == 3
    assert np.abs(found.difference.sum(axis=0)).max() > 1e-3


def test_studies_that_share_donors_are_one_group():
    found = profiles(corpus(("a", FIVE), ("b", FIVE), ("c", FIVE)), overlapping={"a": "both", "b": "both"})
    assert sorted(set(found.group.tolist())) == ["both", "c"]


def test_cells_that_may_not_be_learned_from_are_not():
    pairs = corpus(("a", FIVE), ("b", FIVE))
    apart = np.flatnonzero(pairs.corpus.obs["study"] == "a")
    alone = profiles(corpus(("a", FIVE)))
    np.testing.assert_allclose(profiles(pairs, apart).difference, alone.difference)


def test_a_gene_that_a_study_did_not_measure_is_judged_by_the_others():
    gone = GENES[2]
    pairs = corpus(("a", FIVE), ("b", FIVE, ["one"] * len(FIVE), [gone]))
    found = profiles(pairs)
    assert found.measured[:4, 2].all()
    assert not found.measured[4:, 2].any()
    assert (found.difference[4:, 2] == 0).all()
    np.testing.assert_allclose(found.level[2], profiles(corpus(("a", FIVE))).level[2], rtol=1e-5)


def test_a_panel_does_not_say_what_is_usual_unless_there_are_only_panels():
    panel = np.setdiff1d(np.arange(TABLE), GENES[:3])
    both = corpus(("a", FIVE), ("b", FIVE, ["one"] * len(FIVE), panel))
    np.testing.assert_allclose(profiles(both).linear, profiles(corpus(("a", FIVE))).linear, rtol=1e-5)
    only = profiles(corpus(("b", FIVE, ["one"] * len(FIVE), panel)))
    # But for cells that express nothing of the panel.
    assert 9_000 < only.linear[:3].sum() <= 10_001
    assert not only.linear[3:].any()


def test_each_sample_of_averages_is_a_study_of_its_own():
    batch = np.repeat(["x", "y"], 5)
    pairs = corpus(("a", np.tile([0, 1, 2, 3, 5], 2), batch), ("cells", FIVE))
    found = profiles(pairs)
    logs = logs_of(pairs)
    of_group = np.flatnonzero(found.group == "a")
    assert len(of_group) == 10
    of_x = found.difference[of_group[:5]]
    np.testing.assert_allclose(of_x.sum(axis=0), 0, atol=1e-3)
    for row, number in zip(of_x, found.type[of_group[:5]], strict=True):
        place = [0, 1, 2, 3, 5].index(NAMES.index(found.types[number]))
        np.testing.assert_allclose(row, logs[place] - logs[:5].mean(axis=0), atol=1e-3)
    # They are no cells, so they do not say what is usual of cells.
    np.testing.assert_allclose(found.level, profiles(pairs, np.arange(10, 10 + len(FIVE))).level)


def test_averages_are_told_from_cells_by_how_many_rows_a_type_has():
    assert contains_averages(np.array(["x"] * 4), np.array([0, 1, 2, 3], dtype=np.int32))
    assert contains_averages(np.array(["x", "x", "y", "y"]), np.array([0, 1, 0, 1], dtype=np.int32))
    assert not contains_averages(np.array(["x"] * 9), np.repeat([0, 1, 2], 3).astype(np.int32))


def test_without_any_cell_nothing_is_learned():
    found = profiles(corpus(("a", FIVE)), np.array([], dtype=np.int64))
    assert found.types == ()
    assert not found.level.any()
