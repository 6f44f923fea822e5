import time

import numpy as np
import pandas as pd
import pytest

from okrcell.ontology.obs_profile import CellProfile, read_profiles


def one(**facts: object) -> CellProfile:
    return read_profiles(pd.DataFrame({name: [value] for name, value in facts.items()})).distinct[0]


def test_a_valid_id_gives_the_ontologys_name_and_the_authors_label_stays():
    profile = one(cell_type="CD14+ Mono", cell_type_ontology_term_id="CL:0001054")
    assert (profile.cell_type, profile.cell_type_id) == ("CD14-positive monocyte", "CL:0001054")
    assert profile.label == "CD14+ Mono"


def test_a_missing_id_is_found_by_name():
    profile = one(cell_type="NK cells", cell_type_ontology_term_id="", tissue="Blood", disease="COPD")
    assert (profile.cell_type_id, profile.tissue_id, profile.disease_id) == (
        "CL:0000623",
        "UBERON:0000178",
        "MONDO:0005002",
    )


@pytest.mark.parametrize("invalid", ["CL:99999999", "unknown", "na", "UBERON:0000178", "", None, np.nan])
def test_an_invalid_id_falls_back_on_the_authors_words(invalid: object):
    profile = one(cell_type="strange cell", cell_type_ontology_term_id=invalid)
    assert profile == CellProfile(cell_type="strange cell", label="strange cell")


def test_a_label_is_read_in_its_tissue():
    assert one(cell_type="Beta cell", tissue="pancreas").cell_type_id == "CL:0000169"
    assert one(cell_type="alpha", tissue="islet of Langerhans").cell_type_id == "CL:0000171"
    assert one(cell_type="Beta cell", tissue="liver").cell_type_id == ""


def test_a_tumour_cell_is_not_taken_for_a_normal_one():
    assert one(cell_type="T cell (leukemia)").cell_type_id == ""
    assert one(cell_type="T cell (activated)").cell_type_id == "CL:0000084"


@pytest.mark.parametrize("placeholder", ["NA", "unknown", "Unassigned", "nan", "Node1", "Patient1-specific", None])
def test_placeholders_count_as_unknown(placeholder: object):
    profile = one(cell_type=placeholder, tissue=placeholder, disease=placeholder, sex=placeholder, assay=placeholder)
    assert profile == CellProfile()
    assert not profile.has_values


def test_healthy_tissue_is_normal():
    words = ("normal", "Healthy", "control", "Healthy donors", "Ctrl", "uninfected", "normal adjacent tissue")
    assert {one(disease=word).disease_id for word in words} == {"PATO:0000461"}


def test_tissues_and_diseases_are_read_as_standardise_reads_them():
    profile = one(tissue="PBMCs", disease="T2D")
    assert (profile.tissue, profile.disease) == ("blood", "type 2 diabetes mellitus")


@pytest.mark.parametrize("label", ["Multiplet clusters_Placenta", "mix cells_Placenta"])
def test_cells_of_several_kinds_are_no_kind(label: str):
    assert one(cell_type=label).cell_type == ""


def test_a_stage_written_into_the_tissue_is_read():
    profile = one(tissue="FetalLung")
    assert (profile.tissue, profile.development_stage) == ("lung", "fetal")


def test_a_name_in_the_tissue_column_that_is_no_place_is_left_out():
    assert one(tissue="Smith 2020").tissue == ""
    assert one(tissue="mixed (brain, skin)").tissue == ""
    assert one(tissue="hippocampus and cortex").tissue == "hippocampus and cortex"


def test_sex_and_assay_are_named_in_full():
    profile = one(sex="F", assay="10X 3' v2", assay_ontology_term_id="EFO:0009899")
    assert (profile.sex, profile.assay) == ("female", "10x 3' v2")
    assert one(sex="1").sex == ""


def test_equal_rows_share_a_profile_and_rows_keep_their_order():
    obs = pd.DataFrame({"cell_type": ["B cell", "T cell", "B cells", "B cell", np.nan]})
    found = read_profiles(obs)
    assert [found.distinct[code].label for code in found.codes] == ["B cell", "T cell", "B cells", "B cell", ""]
    assert found.codes.dtype == np.int32


def test_categories_and_strings_give_the_same():
    obs = pd.DataFrame({"cell_type": ["B cell", "T cell", None, "B cell"], "tissue": ["blood", "lung", "blood", None]})
    as_text, as_categories = read_profiles(obs), read_profiles(obs.astype("category"))
    assert as_text.distinct == as_categories.distinct
    assert (as_text.codes == as_categories.codes).all()


def test_a_table_without_known_columns_or_rows_is_no_trouble():
    assert read_profiles(pd.DataFrame({"n_counts": [1, 2]})).distinct == (CellProfile(),)
    assert len(read_profiles(pd.DataFrame({"cell_type": []})).codes) == 0
    assert read_profiles(pd.DataFrame()).distinct == ()


def test_a_million_rows_take_seconds():
    rng = np.random.default_rng(0)
    types = pd.Categorical.from_codes(rng.integers(0, 3, 1_000_000), ["B cell", "T cell", "monocyte"])
    tissues = pd.Categorical.from_codes(rng.integers(0, 2, 1_000_000), ["blood", "lung"])
    obs = pd.DataFrame({"cell_type": types, "tissue": tissues})
    begin = time.perf_counter()
    found = read_profiles(obs)
    assert time.perf_counter() - begin < 10
    assert len(found.distinct) == 6
