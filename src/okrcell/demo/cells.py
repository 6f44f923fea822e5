"""The cells of the demo: what their authors called them, and what is asked of them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anndata import AnnData

LABELS = "bulk_labels"
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
"""Authors' label to the words that a biologist would write for it; only the words are shown to the model.
They were written before the first run and not changed to please it. Their order is that of the pictures."""

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
"""Authors' label to its lineage, for the question whether an error stays in the family."""

SENTENCES = {
    "a cell that presents antigen to T cells": ("Dendritic",),
    "a cytotoxic lymphocyte that kills infected cells": ("CD56+ NK", "CD8+ Cytotoxic T"),
    "a lymphocyte that makes antibodies": ("CD19+ B",),
}
"""What is searched for, and the authors' labels that one would hope to find. None of the words is such a label."""


def blood_cells() -> "AnnData":
    """Return 700 cells from the blood of a healthy donor, as they come with scanpy (Zheng et al. 2017).

    Their ``X`` holds z-scores and ``.raw`` log values of 765 genes; counts are not there.
    """
    import scanpy as sc

    datasets: Any = sc.datasets
    return datasets.pbmc68k_reduced()


def match_key(number: int) -> str:
    """Name the column of ``obs`` with the matches of sentence ``number``, counted from 1."""
    return "okrcell_match" if number == 1 else f"okrcell_match_{number}"
