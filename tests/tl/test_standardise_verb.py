import anndata as ad
import numpy as np
import pandas as pd
import pytest

from okrcell.cells.io import open_cells
from okrcell.cli import main
from okrcell.errors import InputError
from okrcell.tl.standardise import standardise


@pytest.fixture
def cells() -> ad.AnnData:
    obs = pd.DataFrame({"cell_type": ["NK", "pDC", "mystery"], "tissue": "blood"}, index=["a", "b", "c"])
    return ad.AnnData(np.ones((3, 2), dtype=np.float32), obs=obs, var=pd.DataFrame(index=["CD3D", "MS4A1"]))


def test_the_columns_of_the_schema_are_written(cells):
    standardise(cells)
    assert list(cells.obs["cell_type_ontology_term_id"]) == ["CL:0000623", "CL:0000784", ""]
    assert set(cells.obs["tissue_ontology_term_id"]) == {"UBERON:0000178"}
    assert "disease_ontology_term_id" not in cells.obs
    written = cells.uns["okrcell"]["standardise"]
    assert written["findings"] == ["1 of 4 labels were left empty, because no term matched well enough."]
    assert "cellxgene-ontology-guide" in written["ontologies"]["CL"]


def test_doing_it_twice_changes_nothing(cells):
    standardise(cells)
    first = cells.obs.copy()
    standardise(cells)
    pd.testing.assert_frame_equal(cells.obs, first)


def test_the_receipt_survives_a_file(cells, tmp_path):
    standardise(cells)
    cells.write_h5ad(tmp_path / "out.h5ad")
    again = ad.read_h5ad(tmp_path / "out.h5ad").uns["okrcell"]["standardise"]["decisions"]
    assert list(again["label"]) == ["NK", "pDC", "mystery", "blood"]


def test_cells_without_any_such_column_are_refused(cells):
    cells.obs = pd.DataFrame({"cluster": [1, 2, 3]}, index=cells.obs_names)
    with pytest.raises(InputError, match="it has cluster"):
        standardise(cells)


def run(*words) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(str(ended.value.code))


def test_the_verb_writes_cells_and_a_table_that_can_be_handed_back(cells, tmp_path, capsys):
    cells.write_h5ad(tmp_path / "in.h5ad")
    assert run("standardise", tmp_path / "in.h5ad", "-o", tmp_path / "out.h5ad") == 0
    assert "review" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "out.standardised.tsv", sep="\t", keep_default_na=False)
    table.loc[table["label"] == "mystery", "term_id"] = "CL:0000084"
    table.to_csv(tmp_path / "mine.tsv", sep="\t", index=False)
    again = tmp_path / "out2.h5ad"
    assert run("standardise", tmp_path / "in.h5ad", "-o", again, "--overrides", tmp_path / "mine.tsv") == 0
    obs = pd.DataFrame(open_cells(again).obs)
    assert obs["cell_type_ontology_term_id"].astype(str).tolist() == ["CL:0000623", "CL:0000784", "CL:0000084"]


def test_the_verb_refuses_a_wrong_table_before_it_reads_cells(tmp_path, capsys):
    (tmp_path / "mine.tsv").write_text("a\tb\n")
    words = ("standardise", tmp_path / "in.h5ad", "-o", tmp_path / "o.h5ad")
    assert run(*words, "--overrides", tmp_path / "mine.tsv") == 2
    assert "no column" in capsys.readouterr().err


def test_the_verb_never_writes_over_the_table_it_was_given(cells, tmp_path, capsys):
    cells.write_h5ad(tmp_path / "in.h5ad")
    words = ("standardise", tmp_path / "in.h5ad", "-o", tmp_path / "out.h5ad")
    assert run(*words) == 0
    overrides = tmp_path / "out.standardised.tsv"
    table = pd.read_csv(overrides, sep="\t", keep_default_na=False)
    table.loc[table["label"] == "NK", "term_id"] = ""
    table.loc[len(table)] = {**table.iloc[0], "label": "no such label", "term_id": "CL:0000084"}
    table.assign(remark="mine").to_csv(overrides, sep="\t", index=False)
    before = overrides.read_bytes()
    assert run(*words, "--overrides", overrides) == 0
    output = capsys.readouterr()
    assert overrides.read_bytes() == before
    assert (tmp_path / "out.standardised-2.tsv").exists()
    assert "out.standardised-2.tsv" in output.out
    assert "1 rows of the overrides decided nothing" in output.err
    assert "1 of 4 labels were left empty" in output.err  # "mystery"; an override leaves "NK" empty


def test_the_receipt_counts_the_overrides_that_were_used(cells):
    overrides = pd.DataFrame({"column": "cell_type", "label": ["NK", "none"], "term_id": ["CL:0000084", "CL:0000084"]})
    standardise(cells, overrides=overrides)
    assert cells.uns["okrcell"]["standardise"]["overrides"] == 1
