import tracemalloc

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import okrcell as okr
from okrcell.errors import InputError
from okrcell.ontology.decisions import check_overrides, decide_terms, read_overrides, write_decisions
from okrcell.ontology.standardise import candidate_terms, cell_type_term, tissue_term

OBS = pd.DataFrame(
    {
        "cell_type": ["CD14+ Mono", "beta", "Cancer Cycling", "B cell", None, "CD14+ Mono"],
        "cell_type_ontology_term_id": ["", "", "", "cl_0000787", "", "CL:99"],
        "tissue": ["PBMC", "pancreas islet", "lung (tumour)", "blood", "Smith 2020", "PBMC"],
        "disease": ["healthy", "T2D", "lung adenocarcinoma", "NA", "", "healthy"],
        "sex": ["F", "male", "1", "", "woman", "F"],
        "development_stage": ["34 years", "adult", "", "GW16", "x", "34 years"],
        "assay": ["10x 3' v3", "Smart-seq2", "", "inDrop", "", "10x 3' v3"],
    }
)


def test_each_row_gets_its_ids_and_nothing_where_unsure():
    ids = decide_terms(OBS).ids
    assert list(ids["cell_type"]) == ["CL:0001054", "CL:0000169", "", "CL:0000787", "", "CL:0001054"]
    assert list(ids["tissue"][:4]) == ["UBERON:0000178", "UBERON:0000006", "UBERON:0002048", "UBERON:0000178"]
    assert list(ids["disease"]) == ["PATO:0000461", "MONDO:0005148", "MONDO:0005061", "", "", "PATO:0000461"]
    assert list(ids["sex"]) == ["PATO:0000383", "PATO:0000384", "", "", "PATO:0000383", "PATO:0000383"]
    assert list(ids["development_stage"][:4]) == ["HsapDv:0000128", "HsapDv:0000258", "", "HsapDv:0000051"] or (
        ids["development_stage"][2] == "" and all(ids["development_stage"][place] for place in (0, 1, 3))
    )
    assert ids["assay"][0] == "EFO:0009922"


def test_the_american_spelling_is_the_same_function():
    assert okr.standardize is okr.standardise is okr.tl.standardize is okr.tl.standardise
    assert "standardize" in okr.__all__
    assert "standardize" in okr.tl.__all__


def test_the_table_tells_what_was_decided_and_what_else_it_may_be():
    table = decide_terms(OBS).table
    row = table[(table["column"] == "cell_type") & (table["label"] == "CD14+ Mono")].iloc[0]
    assert (row["term_name"], row["how"], row["cells"]) == ("CD14-positive monocyte", "abbreviation", 1)
    assert "CL:" in row["runners_up"]
    own = table[(table["column"] == "cell_type") & (table["label"] == "B cell")].iloc[0]
    assert (own["term_id"], own["how"], own["score"]) == ("CL:0000787", "id", 1.0)


@pytest.mark.parametrize(
    ("column", "label"),
    [
        ("cell_type", "HSC"),
        ("cell_type", "cycling"),
        ("tissue", "Smith lung bank"),
        ("tissue", "hippocampus and prefrontal cortex"),
        ("assay", "10x something"),
    ],
)
def test_a_match_below_the_threshold_is_listed_but_not_written(column: str, label: str):
    best = candidate_terms(column, label)[0]
    assert 0 < best.score < 0.6
    decisions = decide_terms(pd.DataFrame({column: [label]}))
    assert list(decisions.ids[column]) == [""]
    row = decisions.table.iloc[0]
    assert (row["term_id"], row["how"], row["score"]) == ("", "", 0)
    assert row["runners_up"].startswith(f"{best.term.id} ")


def test_a_profile_takes_no_match_below_the_threshold():
    assert cell_type_term("HSC") is None
    assert tissue_term("Smith lung bank") is None


def test_the_table_handed_back_decides(tmp_path):
    table = decide_terms(OBS).table
    cancer = (table["column"] == "cell_type") & (table["label"] == "Cancer Cycling")
    table.loc[cancer, "term_id"] = "CL:0001064"
    table.loc[(table["column"] == "disease") & (table["label"] == "T2D"), "term_id"] = ""
    write_decisions(table, tmp_path / "table.tsv")
    again = decide_terms(OBS, overrides=read_overrides(tmp_path / "table.tsv"))
    assert again.ids["cell_type"][2] == "CL:0001064"
    assert again.ids["disease"][1] == ""
    assert set(again.table.loc[again.table["term_id"] != "", "how"]) == {"override"}
    assert again.table.loc[again.table["label"] == "T2D", "how"].item() == "override"
    first = decide_terms(OBS).ids
    assert list(again.ids["tissue"]) == list(first["tissue"])


def test_an_override_without_a_tissue_holds_everywhere():
    overrides = pd.DataFrame({"column": ["cell_type"], "label": ["CD14+ Mono"], "term_id": ["CL:0000576"]})
    assert decide_terms(OBS, overrides=overrides).ids["cell_type"][0] == "CL:0000576"


def test_a_corrected_tissue_keeps_the_cell_types_that_were_decided_in_it(tmp_path):
    table = decide_terms(OBS).table
    table.loc[table["label"] == "Cancer Cycling", "term_id"] = "CL:0001064"
    table.loc[table["label"] == "lung (tumour)", "term_id"] = "UBERON:0002107"
    write_decisions(table, tmp_path / "table.tsv")
    again = decide_terms(OBS, overrides=read_overrides(tmp_path / "table.tsv"))
    assert again.ids["tissue"][2] == "UBERON:0002107"
    assert again.ids["cell_type"][2] == "CL:0001064"
    assert not again.unused


def test_overrides_that_disagree_or_match_nothing_are_told_and_not_used():
    overrides = pd.DataFrame(
        {
            "column": "cell_type",
            "label": ["beta", "beta", "no such label"],
            "tissue": ["UBERON:0002107", "UBERON:0002048", ""],
            "term_id": ["CL:0000236", "CL:0000084", "CL:0000084"],
        }
    )
    decided = decide_terms(OBS, overrides=overrides)
    assert decided.ids["cell_type"][1] == "CL:0000169"
    assert (decided.overridden, len(decided.unused)) == (0, 3)
    assert "cell_type 'no such label' as CL:0000084" in decided.unused


def test_deciding_takes_few_bytes_a_cell():
    many = OBS.astype("category").iloc[np.arange(200_000) % len(OBS)].reset_index(drop=True)
    tracemalloc.start()
    decide_terms(many)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most / len(many) < 200


def test_a_folder_given_as_overrides_is_refused_in_one_line(tmp_path):
    with pytest.raises(InputError, match=r"\(Is a directory\)") as refused:
        read_overrides(tmp_path)
    assert "Errno" not in str(refused.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"label": ["x"]}, "no column and no term_id"),
        (
            {"column": ["cell_type"], "label": ["x"], "term_id": ["CL:123456789"]},
            "line 2: 'CL:123456789' is not a term",
        ),
        ({"column": ["cell_type"], "label": ["x"], "term_id": ["UBERON:0000178"]}, "not a term of CL"),
        ({"column": ["colour"], "label": ["x"], "term_id": [""]}, "no column 'colour'"),
    ],
)
def test_overrides_that_cannot_be_are_refused_with_the_line(table: dict, message: str):
    with pytest.raises(InputError, match=message):
        check_overrides(pd.DataFrame(table))


def test_overrides_that_are_missing_or_no_table_are_refused(tmp_path):
    with pytest.raises(InputError, match="no file of overrides"):
        read_overrides(tmp_path / "none.tsv")
    (tmp_path / "bad.tsv").write_bytes(b"\xff\xfe\x00bad")
    with pytest.raises(InputError, match="cannot be read"):
        read_overrides(tmp_path / "bad.tsv")
    (tmp_path / "empty.tsv").write_text("")
    with pytest.raises(InputError, match="cannot be read"):
        read_overrides(tmp_path / "empty.tsv")


def test_a_table_without_rows_is_no_trouble():
    decided = decide_terms(OBS.iloc[:0])
    assert list(decided.ids["cell_type"]) == []
    assert len(decided.table) == 0


def test_categories_give_the_same_as_words():
    categories, words = decide_terms(OBS.astype("category")).ids, decide_terms(OBS).ids
    assert {column: list(ids) for column, ids in categories.items()} == {
        column: list(ids) for column, ids in words.items()
    }


def test_two_tissues_are_not_one():
    best = candidate_terms("tissue", "hippocampus and prefrontal cortex")
    assert not best or best[0].term.name not in ("prefrontal cortex",) or best[0].score < 0.6


def test_labels_that_look_like_formulas_are_text_in_the_table_and_come_back(tmp_path):
    labels = ["=HYPERLINK(A1)", "+B cell", "-T", "@x", "'=quoted", "-0.5", "B cell"]
    obs = pd.DataFrame({"cell_type": labels}, index=pd.Index(map(str, range(len(labels)))))
    table = decide_terms(obs).table
    table["term_id"] = "CL:0000236"
    write_decisions(table, tmp_path / "table.tsv")
    written = pd.read_csv(tmp_path / "table.tsv", sep="\t", dtype=str)["label"]
    assert sorted(written) == sorted(["'=HYPERLINK(A1)", "'+B cell", "'-T", "'@x", "''=quoted", "-0.5", "B cell"])
    again = decide_terms(obs, overrides=read_overrides(tmp_path / "table.tsv"))
    assert list(again.ids["cell_type"]) == ["CL:0000236"] * len(labels)
    assert not again.unused


def test_words_that_the_term_does_not_cover_are_in_the_table_and_told():
    adata = ad.AnnData(
        np.zeros((2, 1), dtype=np.float32),
        obs=pd.DataFrame({"cell_type": ["wobbly hepatocyte", "B cell"]}, index=["a", "b"]),
    )
    okr.tl.standardise(adata)
    record = adata.uns["okrcell"]["standardise"]
    assert record["decisions"].set_index("label")["omitted"].to_dict() == {"wobbly hepatocyte": "wobbly", "B cell": ""}
    assert any("wobbly hepatocyte -> hepatocyte, without 'wobbly'" in finding for finding in record["findings"])
