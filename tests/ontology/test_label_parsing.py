import pytest

from okrcell.ontology.label_parsing import (
    clean_label,
    find_stage,
    label_variants,
    lowercase_words,
    remove_stage,
    running_number,
    split_camel_case,
)


@pytest.mark.parametrize(
    "placeholder",
    [
        "NA", "N/A", "nan", "", " ", "unknown", "Unknown", "Unassigned", "Node1", "Patient1-specific", "7",
        "cluster 12", "Cluster_3", "None", "unknown cells", "not available", "normal?", "-", "doublets",
        None, float("nan"), 3,
    ],
)  # fmt: skip
def test_placeholders_say_nothing(placeholder: object):
    assert clean_label(placeholder) == ""


@pytest.mark.parametrize(
    "label", ["B", "8cell", "T cell", "CD14+ Mono", "alveolar type 1", "L4 IT", "N-cadherin+ cell"]
)
def test_labels_are_no_placeholders(label: str):
    assert clean_label(label) == label


def test_stray_characters_are_tidied():
    assert clean_label(" Neutrophil_DEFA3 high&#10;") == "Neutrophil DEFA3 high"
    assert clean_label("Striated muscle\xa0cell") == "Striated muscle cell"


def test_readings_go_from_all_words_to_fewer():
    assert list(label_variants("Fibroblast_APOD high")) == ["Fibroblast APOD high", "Fibroblast"]
    assert "B cell" in list(label_variants("B cell (Plasmocyte)_IGHG high"))
    assert "B cell" in list(label_variants("B cell 2"))
    assert "pericyte" in list(label_variants("fetal pericyte"))
    assert list(label_variants("unknown")) == []


def test_words_written_together_are_parted():
    assert split_camel_case("AdultBoneMarrow") == "Adult Bone Marrow"
    assert split_camel_case("PBMCs") == "PBMCs"
    assert split_camel_case("AdultLiver2-") == "Adult Liver"


def test_the_stage_of_life_is_told_apart_from_the_tissue():
    assert find_stage("Lung (fetal)") == "fetal"
    assert find_stage("lung") == ""
    assert remove_stage("Lung (fetal)") == "Lung"
    assert lowercase_words("Bone Marrow CD34P") == "bone marrow CD34P"


def test_a_number_that_counts_stands_apart():
    assert (running_number("B cell 1"), running_number("Endothelial_12")) == ("1", "12")
    assert {running_number(label) for label in ("B1 cell", "ILC2", "alveolar type 2", "Th-17", "B cell")} == {""}
