"""Groups of study and donor are not split, and their assignment is stable."""

import numpy as np
import pandas as pd
import pytest

from okrcell.data.split import SplitSettings, exclude_types, train_validation_split
from okrcell.errors import InputError


def cells_of(groups):
    """Shuffled obs of groups given as {(study, donor): number of cells}."""
    rows = [pair for pair, cells in groups.items() for _ in range(cells)]
    order = np.random.default_rng(0).permutation(len(rows))
    obs = pd.DataFrame([rows[place] for place in order], columns=["study", "donor"], dtype=str)
    return obs.astype("category")


def many(studies=40, donors=5, cells=3):
    return {(f"study{s}", f"donor{d}"): cells for s in range(studies) for d in range(donors)}


def groups_of(obs, rows):
    return set(zip(obs["study"].iloc[rows], obs["donor"].iloc[rows], strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_no_donor_is_on_both_sides_and_no_cell_is_lost(seed):
    obs = cells_of(many())
    found = train_validation_split(obs, SplitSettings(seed=seed, validation=0.1))
    assert not groups_of(obs, found.train) & groups_of(obs, found.validation)
    np.testing.assert_array_equal(np.sort(np.concatenate([found.train, found.validation])), np.arange(len(obs)))
    assert 0.02 < len(found.validation) / len(obs) < 0.2
    assert {" | ".join(pair) for pair in groups_of(obs, found.validation)} == set(found.groups)


def test_the_same_seed_gives_the_same_split_and_another_gives_another():
    obs = cells_of(many())
    assert train_validation_split(obs).groups == train_validation_split(obs).groups
    assert train_validation_split(obs).groups != train_validation_split(obs, SplitSettings(seed=1)).groups


def test_adding_a_study_does_not_move_the_others():
    settings = SplitSettings(validation=0.1)
    before = set(train_validation_split(cells_of(many(studies=20)), settings).groups)
    after = set(train_validation_split(cells_of(many(studies=40)), settings).groups)
    assert before <= after
    assert all(int(name.split(" | ")[0].removeprefix("study")) >= 20 for name in after - before)


def test_cells_without_a_donor_stay_with_their_study():
    obs = cells_of({(f"study{number}", ""): 7 for number in range(30)})
    found = train_validation_split(obs, SplitSettings(validation=0.2))
    assert not set(obs["study"].iloc[found.train]) & set(obs["study"].iloc[found.validation])


def test_a_missing_donor_is_no_donor():
    obs = cells_of({(f"study{number}", ""): 7 for number in range(30)})
    missing = obs.assign(donor=pd.Categorical([None] * len(obs)))
    np.testing.assert_array_equal(train_validation_split(obs).validation, train_validation_split(missing).validation)


def test_equal_donor_names_of_two_studies_are_two_donors():
    obs = cells_of({("a", "1"): 5, ("b", "1"): 5})
    assert len(train_validation_split(obs, SplitSettings(largest=1)).groups) == 1


def test_some_cells_are_always_kept_for_validation_and_some_for_learning():
    for seed in range(20):
        for share in (0.001, 0.999):
            found = train_validation_split(
                cells_of({("a", ""): 9, ("b", ""): 1, ("c", ""): 3}), SplitSettings(seed=seed, validation=share)
            )
            assert len(found.train)
            assert len(found.validation)


def test_a_group_that_is_most_of_the_corpus_is_learned_from():
    for seed in range(20):
        found = train_validation_split(
            cells_of({("large", ""): 900, **many(10, 1)}), SplitSettings(seed=seed, validation=0.5)
        )
        assert "large | " not in found.groups
        assert len(found.validation)
    notes = [
        train_validation_split(
            cells_of({("large", ""): 900, **many(10, 1)}), SplitSettings(seed=s, validation=0.5)
        ).note
        for s in range(9)
    ]
    assert any("used for training" in note for note in notes)


def test_overlapping_studies_are_one_group():
    obs = cells_of({("h1", "1"): 5, ("h4", "4"): 5, ("all", "1"): 5, **many(10, 2)})
    for seed in range(10):
        found = train_validation_split(
            obs, SplitSettings(seed=seed, validation=0.3, overlapping={"h1": "baron", "all": "baron"})
        )
        sides = [set(obs["study"].iloc[rows]) & {"h1", "all"} for rows in (found.train, found.validation)]
        assert set() in sides


def test_a_single_group_is_split_by_cell_and_says_so():
    found = train_validation_split(cells_of({("only", ""): 400}))
    assert "single study and donor" in found.note
    assert 5 <= len(found.validation) <= 50
    assert found.groups == ()
    longer = train_validation_split(cells_of({("only", ""): 500}))
    np.testing.assert_array_equal(longer.validation[longer.validation < 400], found.validation)


@pytest.mark.parametrize(("cells", "n_validation"), [(0, 0), (1, 0), (2, 1)])
def test_hardly_any_cells_are_no_trouble(cells, n_validation):
    found = train_validation_split(cells_of({("only", ""): cells}))
    assert (len(found.train), len(found.validation)) == (cells - n_validation, n_validation)


def test_studies_that_are_named_are_held_out_whole_and_a_misspelt_one_is_refused():
    obs = pd.DataFrame({"study": ["a"] * 50 + ["b"] * 50 + ["c"] * 50, "donor": [""] * 150}, dtype="category")
    held = train_validation_split(obs, SplitSettings(studies=("b",), validation=1e-9))
    assert held.validation.tolist() == list(range(50, 100))
    with pytest.raises(InputError, match="no study d"):
        train_validation_split(obs, SplitSettings(studies=("d",)))


def test_a_named_study_takes_those_that_overlap_with_it_along_and_never_all():
    obs = pd.DataFrame({"study": ["a"] * 5 + ["b"] * 5 + ["c"] * 5, "donor": [""] * 15}, dtype="category")
    held = train_validation_split(
        obs, SplitSettings(studies=("a",), overlapping={"a": "one", "b": "one"}, validation=1e-9)
    )
    assert held.train.tolist() == list(range(10, 15))
    with pytest.raises(InputError, match="none is left"):
        train_validation_split(obs, SplitSettings(studies=("a", "b", "c")))


def test_one_cell_is_learned_from_whatever_the_seed():
    obs = pd.DataFrame({"study": ["a"], "donor": [""]}, dtype="category")
    assert all(len(train_validation_split(obs, SplitSettings(seed=seed)).train) == 1 for seed in range(60))


NAMES = ("CL:0000236", "CL:0000084", "CL:0000625", "a word of the author")
"""B cell, T cell, CD8-positive, alpha-beta T cell."""


def test_types_that_are_left_out_are_on_neither_side_and_neither_are_their_kinds():
    obs = cells_of(many())
    kinds = np.random.default_rng(0).integers(-1, 4, len(obs))
    sides = train_validation_split(obs, SplitSettings(validation=0.1))
    found = exclude_types(sides, kinds, NAMES, ["CL:0000084"])
    for rows, before in ((found.train, sides.train), (found.validation, sides.validation)):
        assert rows.tolist() == [row for row in before if kinds[row] not in (1, 2)]
    assert found.left_out_types == ("CL:0000084",)
    assert "left out" in found.note
    assert exclude_types(sides, kinds, NAMES, []) is sides


def test_a_broader_type_stays_when_a_kind_of_it_is_left_out():
    obs = cells_of(many())
    kinds = np.random.default_rng(0).integers(-1, 4, len(obs))
    found = exclude_types(train_validation_split(obs), kinds, NAMES, ["CL:0000625"])
    assert set(kinds[found.train].tolist()) == {-1, 0, 1, 3}


def test_what_is_left_out_must_be_a_type_and_leave_something():
    obs = cells_of(many())
    kinds = np.zeros(len(obs), dtype=np.int64)
    with pytest.raises(InputError, match="not a current Cell Ontology id"):
        exclude_types(train_validation_split(obs), kinds, NAMES, ["B cell"])
    with pytest.raises(InputError, match="no training cell"):
        exclude_types(train_validation_split(obs), kinds, NAMES, ["CL:0000236"])
