"""Cells of the demo, with author labels, candidate texts, lineages and search texts."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anndata import AnnData

LABEL_KEY = "bulk_labels"
"""Column of ``obs`` with the authors' labels."""

CANDIDATES = {
    "CD14+ Monocyte": "CD14 monocyte",
    "Dendritic": "dendritic cell",
    "CD19+ B": "B cell",
    "CD56+ NK": "natural killer cell",
    "CD8+ Cytotoxic T": "cytotoxic CD8 T cell",
    "CD8+/CD45RA+ Naive Cytotoxic": "naive CD8 T cell",
    "CD4+/CD45RO+ Memory": "memory CD4 T cell",
    "CD4+/CD25 T Reg": "regulatory T cell",
    "CD4+/CD45RA+/CD25- Naive T": "naive CD4 T cell",
    "CD34+": "CD34+ hematopoietic progenitor",
}
"""Candidate text by author label, as a biologist would write it. The model sees the texts, not the labels. They were written
before the first run and not tuned to its results. Their order is the order in the figures."""

LINEAGES = {
    "CD14+ Monocyte": "monocyte",
    "Dendritic": "dendritic cell",
    "CD19+ B": "B cell",
    "CD56+ NK": "natural killer cell",
    "CD8+ Cytotoxic T": "T cell",
    "CD8+/CD45RA+ Naive Cytotoxic": "T cell",
    "CD4+/CD45RO+ Memory": "T cell",
    "CD4+/CD25 T Reg": "T cell",
    "CD4+/CD45RA+/CD25- Naive T": "T cell",
    "CD34+": "progenitor",
}
"""Lineage by author label, for the accuracy at the level of lineages."""

SENTENCES = {
    "a cell that presents antigen to T cells": ("Dendritic",),
    "a cytotoxic lymphocyte that kills infected cells": ("CD56+ NK", "CD8+ Cytotoxic T"),
    "a lymphocyte that makes antibodies": ("CD19+ B",),
}
"""Expected author labels by search text. No text contains such a label."""


def blood_cells() -> "AnnData":
    """Return 700 blood cells of a healthy donor that are bundled with scanpy (Zheng et al. 2017).

    ``X`` holds z-scores and ``.raw`` log-normalised expression of 765 genes; there are no counts.
    """
    import scanpy as sc

    datasets: Any = sc.datasets
    return datasets.pbmc68k_reduced()


def match_key(index: int) -> str:
    """Column of ``obs`` with the scores of search text ``index``, counted from 1."""
    return "okrcell_match" if index == 1 else f"okrcell_match_{index}"
