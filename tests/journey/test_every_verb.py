"""Two hundred real cells go through every verb."""

import json

import anndata
import numpy as np
import pytest
import scanpy as sc

from okrcell.cli._common import app

SETTINGS = """
corpus: unset
output: unset
title: journey
model:
  dim: 32
  tokeniser: {limit: 64}
  cell_encoder: {kind: latent, width: 32, blocks: 1, heads: 4, latents: 4, feed_forward: 32, norm: pre}
  text_encoder: {limit: 32}
stream: {batch_size: 32, balance: 0.5}
schedule: {steps: [20, 5], learning_rate: 1.0e-3}
compute: {accelerator: cpu}
genes_in_cells: 2
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with 200 cells in a file, a corpus, and a model trained on it."""
    folder = tmp_path_factory.mktemp("journey")
    cells = sc.datasets.pbmc68k_reduced()[:200].copy()
    cells.obs["cell_type"] = cells.obs["bulk_labels"].astype(str)
    cells.obs["tissue"] = "blood"
    cells.write_h5ad(folder / "cells.h5ad")
    (folder / "tiny.yaml").write_text(SETTINGS)
    run("prepare", folder / "cells.h5ad", "-o", folder / "corpus")
    run("pretrain", folder / "tiny.yaml", "--corpus", folder / "corpus", "-o", folder / "run")
    return folder


def run(*words):
    app([str(word) for word in words], exit_on_error=False, print_error=False, result_action="return_value")


def test_training_leaves_a_model_with_its_card_and_a_log(folder):
    described = json.loads((folder / "run/model/model.json").read_text())
    assert described["seen"]["studies"] == ["cells"]
    assert described["receipt"]["steps"] == 25
    assert "## Limitations" in (folder / "run/model/README.md").read_text()
    losses = [json.loads(line) for line in (folder / "run/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in losses if "total" in line] == list(range(25))


def test_standardise_gives_labels_their_terms_and_takes_a_persons_word(folder):
    run("standardise", folder / "cells.h5ad", "-o", folder / "terms.h5ad")
    ids = anndata.read_h5ad(folder / "terms.h5ad").obs
    given = dict(zip(ids["cell_type"].astype(str), ids["cell_type_ontology_term_id"].astype(str), strict=True))
    assert given["CD19+ B"] == "CL:0001201"  # B cell, CD19-positive
    assert set(ids["tissue_ontology_term_id"].astype(str)) == {"UBERON:0000178"}
    table = folder / "terms.standardised.tsv"
    table.write_text(table.read_text().replace("CL:0001201", "CL:0000785"))
    run("standardise", folder / "cells.h5ad", "-o", folder / "again.h5ad", "--overrides", table)
    ids = anndata.read_h5ad(folder / "again.h5ad").obs
    assert set(ids.loc[ids["cell_type"] == "CD19+ B", "cell_type_ontology_term_id"].astype(str)) == {"CL:0000785"}


def test_a_model_learns_from_enriched_texts(folder, capsys):
    run("enrich", folder / "corpus", "--sources", "ontologies")
    assert f"Wrote 10 descriptions to {folder / 'corpus/descriptions.parquet'}" in capsys.readouterr().out
    run("enrich", folder / "corpus", "--sources", "ontologies")
    assert "10 of them reused" in capsys.readouterr().out
    texts = f"texts: {{descriptions: '{folder / 'corpus/descriptions.parquet'}', mix: enriched}}\n"
    (folder / "enriched.yaml").write_text(SETTINGS + texts)
    run("pretrain", folder / "enriched.yaml", "--corpus", folder / "corpus", "-o", folder / "enriched")
    made = json.loads((folder / "enriched/model/model.json").read_text())["receipt"]
    assert made["descriptions"]["profiles"] == 10
    assert "Cell Ontology" in made["descriptions"]["sources"]
    assert "descriptions" not in made["settings"]["texts"]


def test_knowledge_tells_what_there_is(folder, capsys):
    run("knowledge", "list", "--knowledge", folder)
    output = capsys.readouterr().out
    assert "ontologies" in output
    assert "gene_summaries" in output
    run("knowledge", "info", "accordion", "--knowledge", folder)
    assert "sha256" in capsys.readouterr().out


def test_embed_gives_each_cell_a_unit_vector(folder):
    run("embed", folder / "cells.h5ad", "-o", folder / "embedded.h5ad", "--model", folder / "run/model")
    vectors = anndata.read_h5ad(folder / "embedded.h5ad").obsm["X_okrcell"]
    assert vectors.shape == (200, 32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_annotate_keeps_every_row_and_fills_the_slots(folder):
    words = folder / "candidates.txt"
    words.write_text("# of blood\nT cell\nCL:0000236\na monocyte that expresses CD14\n")
    run(
        "annotate",
        folder / "cells.h5ad",
        "-o",
        folder / "named.h5ad",
        "--model",
        folder / "run/model",
        "--candidates",
        words,
    )
    before, after = anndata.read_h5ad(folder / "cells.h5ad"), anndata.read_h5ad(folder / "named.h5ad")
    assert after.obs_names.tolist() == before.obs_names.tolist()
    names = ["T cell", "B cell", "a monocyte that expresses CD14"]
    assert after.obsm["okrcell_scores"].columns.tolist() == names
    assert set(after.obs["okrcell_cell_type"]) <= set(names)
    ids = dict(zip(after.obs["okrcell_cell_type"], after.obs["okrcell_cell_type_ontology_term_id"], strict=True))
    assert {"T cell": "CL:0000084", "B cell": "CL:0000236", "a monocyte that expresses CD14": ""}.items() >= ids.items()
    assert after.obs["okrcell_confidence"].between(0, 1).all()
    assert set(after.obs["okrcell_status"]) <= {"confident", "broad", "unknown"}
    best = after.obsm["okrcell_scores"].to_numpy().argmax(axis=1)
    assert [names[place] for place in best] == after.obs["okrcell_cell_type"].tolist()
    record = after.uns["okrcell"]["annotate"]
    assert record["model"] == "model"
    assert list(record["candidates"]) == names
    np.testing.assert_array_equal(after.X, before.X)


def test_without_candidates_the_types_that_the_model_knows_are_tried(folder):
    run("annotate", folder / "cells.h5ad", "-o", folder / "open.h5ad", "--model", folder / "run/model")
    after = anndata.read_h5ad(folder / "open.h5ad")
    assert after.uns["okrcell"]["annotate"]["candidates_named_by"].startswith("the model")
    assert after.obs["okrcell_cell_type_ontology_term_id"].str.startswith("CL:").all()


def test_find_prints_the_best_cells_and_writes_all_scores(folder, capsys):
    words = ("find", folder / "cells.h5ad", "B cell", "--top", 3, "--model", folder / "run/model")
    run(*words, "-o", folder / "found.h5ad")
    header, *printed = capsys.readouterr().out.splitlines()[:4]
    assert header.split("\t")[1] == "cell"
    scores = anndata.read_h5ad(folder / "found.h5ad").obs["okrcell_match"]
    best = scores.sort_values(ascending=False, kind="stable")
    assert [line.split("\t")[1] for line in printed] == best.index[:3].tolist()
    assert scores.between(-1, 1).all()


def test_one_cell_and_one_candidate_are_enough(folder):
    anndata.read_h5ad(folder / "cells.h5ad")[:1].write_h5ad(folder / "one.h5ad")
    run(
        "annotate",
        folder / "one.h5ad",
        "-o",
        folder / "o.h5ad",
        "--model",
        folder / "run/model",
        "--candidates",
        "T cell",
    )
    assert anndata.read_h5ad(folder / "o.h5ad").obs["okrcell_cell_type"].tolist() == ["T cell"]


def test_an_empty_cell_is_unknown_and_stays_in_its_place(folder):
    cells = sc.datasets.pbmc68k_reduced()[:5].raw.to_adata()
    cells.X = cells.X.toarray()
    cells.X[2] = 0
    cells.write_h5ad(folder / "gap.h5ad")
    run(
        "annotate",
        folder / "gap.h5ad",
        "-o",
        folder / "g.h5ad",
        "--model",
        folder / "run/model",
        "--candidates",
        "T cell,B cell",
    )
    after = anndata.read_h5ad(folder / "g.h5ad")
    assert after.obs["okrcell_status"].iloc[2] == "unknown"
    assert after.obs["okrcell_cell_type"].tolist().count("unknown") == 1
    assert after.obs["okrcell_confidence"].iloc[2] == 0
    assert np.isnan(after.obsm["X_okrcell"][2]).all()
    assert np.isfinite(after.obsm["X_okrcell"][[0, 1, 3, 4]]).all()
