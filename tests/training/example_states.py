"""A memory of cell types that knows their markers, and what is usual from the cells themselves."""

import numpy as np
import torch
from scipy import sparse

from okrcell.cells.genes import TARGET_SUM, GeneTable
from okrcell.model.signatures import SignatureHead
from okrcell.training.cell_type_profiles import KnownTypes, StudyProfiles, build_known_types, build_signature_head


def memory_of(markers, studies, genes) -> tuple[KnownTypes, SignatureHead]:
    """Know the markers of each type; no profile of any study.

    Parameters
    ----------
    markers
        Cell Ontology id to symbols.
    studies
        Objects with ``rows`` (cell, gene of the table).
    genes
        For each gene of the model its row in the table.
    """
    rows = np.concatenate([study.rows.toarray()[:, genes] for study in studies]).astype(float)
    linear = rows / np.maximum(rows.sum(axis=1, keepdims=True), 1) * TARGET_SUM
    logs = np.log1p(linear)
    width = len(genes)
    profiles = StudyProfiles(
        (),
        np.array([], dtype=np.str_),
        np.array([], dtype=np.intp),
        np.zeros((0, width), np.float32),
        np.zeros((0, width), bool),
        logs.mean(axis=0),
        logs.std(axis=0),
        linear.mean(axis=0),
    )
    place = {int(row): number for number, row in enumerate(np.asarray(genes).tolist())}
    strength = np.zeros((len(markers), width), np.float32)
    for number, symbols in enumerate(markers.values()):
        for row in GeneTable.bundled().resolve(list(symbols)).row.tolist():
            if row in place:
                strength[number, place[row]] = 1
    known = build_known_types(profiles, tuple(markers), sparse.csr_matrix(strength))
    return known, build_signature_head(known, example_vectors, lambda pooled: pooled[:, :4])


def example_vectors(texts):
    """A vector for each text, always the same for the same."""
    rows = [np.random.default_rng(sum(map(ord, text)) + 1000 * len(text)).normal(size=8) for text in texts]
    return torch.tensor(np.array(rows), dtype=torch.float32)
