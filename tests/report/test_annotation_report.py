"""HTML report of an annotation: its numbers are those of the cells, and it is one self-contained page."""

import base64
import re

import anndata
import numpy as np
import pandas as pd
import pytest

from okrcell.errors import InputError
from okrcell.pl._canvas import DARK_PALETTE, PALETTE
from okrcell.report.annotation import annotation_report, confidence_bins, label_colors, summarize_types
from okrcell.report.page import percent

RECORD = {
    "method": "zero-shot",
    "candidates": ["B cell", "T cell"],
    "candidate_ids": ["CL:0000236", "CL:0000084"],
    "candidates_named_by": "user",
    "findings": ["3 genes were <unknown>"],
    "matrix": "X",
    "kind": "counts",
    "gene_coverage": 0.97,
    "model": "mini",
    "weights_sha256": "0" * 64,
    "model_genes_measured": 900,
    "model_genes": 1000,
    "seed": 0,
    "python": "3.11",
    "versions": {"okrcell": "0"},
    "time": "now",
}


@pytest.fixture
def cells():
    """Thirty cells on a map: 15 T cells, 9 B cells, 4 lymphocytes and 2 unknown."""
    status = np.repeat(["confident", "confident", "broad", "unknown"], [15, 9, 4, 2])
    obs = pd.DataFrame(
        {
            "okrcell_label": np.repeat(["T cell", "B cell", "lymphocyte", "unknown"], [15, 9, 4, 2]),
            "okrcell_cell_type_ontology_term_id": np.repeat(["CL:0000084", "CL:0000236"], [15, 15]),
            "okrcell_broader_cell_type_ontology_term_id": np.where(status == "broad", "CL:0000542", ""),
            "okrcell_confidence": np.repeat([0.95, 0.8, 0.4, 0.1], [15, 9, 4, 2]).astype(np.float32),
            "okrcell_status": pd.Categorical(status, categories=["confident", "broad", "unknown"]),
        },
        index=[f"cell{i}" for i in range(30)],
    )
    adata = anndata.AnnData(np.zeros((30, 1), dtype=np.float32), obs=obs)
    adata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(30, 2))
    adata.uns["okrcell"] = {"annotate": RECORD}
    return adata


def test_labels_are_counted_largest_first_and_unknown_last(cells):
    rows = summarize_types(cells.obs)
    assert [(row.name, row.n_cells, row.term_id, row.status) for row in rows] == [
        ("T cell", 15, "CL:0000084", "confident"),
        ("B cell", 9, "CL:0000236", "confident"),
        ("lymphocyte", 4, "CL:0000542", "broad"),
        ("unknown", 2, "", "unknown"),
    ]
    assert sum(row.fraction for row in rows) == pytest.approx(1)


def test_a_label_has_one_colour_in_table_and_pictures(cells):
    colors = label_colors(cells.obs)
    assert colors == {"T cell": PALETTE[0], "B cell": PALETTE[1], "lymphocyte": PALETTE[2]}
    assert [row.color for row in summarize_types(cells.obs)][:3] == list(colors.values())
    cells.obs["okrcell_label"] = cells.obs["okrcell_label"].where(cells.obs["okrcell_status"] != "confident", "T cell")
    assert label_colors(cells.obs)["T cell"] == PALETTE[0]


def test_bins_of_confidence_hold_every_cell():
    bins = confidence_bins(np.array([0.0, 0.3, 0.5, 0.95, 1.0, np.nan]))
    assert [count for _, count, _ in bins] == [2, 0, 1, 1, 2]
    assert bins[0][0] == "90% to 100%"


def test_the_page_is_self_contained_and_escapes_what_files_say(cells):
    page = annotation_report(cells, "my <b>cells</b>.h5ad")
    assert "my &lt;b&gt;cells&lt;/b&gt;.h5ad" in page
    assert "3 genes were &lt;unknown&gt;" in page
    assert page.count("data:image/svg+xml;base64,") == 4
    assert not re.search(r"(?:src|href|srcset)=\"(?!data:)", page)
    assert '<td class="n">15</td>' in page
    assert "CL:0000542" in page


def test_labels_have_the_dark_colours_in_table_and_picture_of_the_dark_page(cells):
    page = annotation_report(cells, "cells.h5ad")
    light, dark = (
        page.index(f"--{theme}: {palette[0]}") for theme, palette in (("light", PALETTE), ("dark", DARK_PALETTE))
    )
    assert light < dark
    images = re.findall(r'srcset="data:image/svg\+xml;base64,([^"]+)"', page)
    assert DARK_PALETTE[0].lower() in base64.b64decode(images[0]).decode()


def test_the_picture_has_room_for_every_label_in_its_legend(cells):
    def height(adata):
        page = annotation_report(adata, "cells.h5ad")
        svg = base64.b64decode(re.findall(r'<img src="data:image/svg\+xml;base64,([^"]+)"', page)[0]).decode()
        return float(re.search(r'<svg[^>]* height="([\d.]+)pt"', svg).group(1))

    before = height(cells)
    cells.obs["okrcell_label"] = [f"a cell type with quite a long name of its own {i}" for i in range(30)]
    assert height(cells) > 1.3 * before


def test_a_handful_of_cells_has_a_page_without_pictures(cells):
    del cells.obsm["X_umap"]
    assert "<img" not in annotation_report(cells[:3].copy(), "few.h5ad")


def test_cells_without_an_annotation_have_no_report(cells):
    del cells.uns["okrcell"]
    with pytest.raises(InputError, match="annotate first"):
        annotation_report(cells, "cells.h5ad")


def test_nearly_all_is_not_all():
    assert [percent(share) for share in (0, 0.001, 0.5, 0.999, 1)] == ["0%", "< 1%", "50%", "> 99%", "100%"]
