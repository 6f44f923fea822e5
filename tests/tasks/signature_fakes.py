"""Fake model with hand-written signatures."""

import numpy as np
import torch
from scipy import sparse

from okrcell.cells.expression import read_expression
from okrcell.cells.genes import TARGET_SUM, GeneTable, GeneVocabulary
from okrcell.model.embedder import Embedder
from okrcell.model.marker_scores import GenePanel
from okrcell.model.sample_scores import candidate_signatures, score_sample
from okrcell.model.signatures import SignatureHead

TABLES = {
    "CL:0000236": {"CD79A": 1.0, "MS4A1": 1.0, "CD3D": -0.5},
    "CL:0000084": {"CD3D": 1.0, "CD3E": 1.0},
    "CL:0000576": {"LYZ": 1.0, "CST3": 0.8},
    "CL:0000623": {"NKG7": 1.0, "GNLY": 1.0},
}
"""Marker table part of the signatures of B cell, T cell, monocyte and natural killer cell."""
CORPUS_WEIGHTS = {
    "CL:0000236": {"HLA-DRA": 0.7, "CD79A": 0.1},
    "CL:0000084": {"IL32": 1.0, "CD3D": 0.9},
    "CL:0000576": {"FCN1": 0.5, "LYZ": 0.6},
    "CL:0000623": {"PRF1": 0.5},
}
"""Corpus part of the signatures."""


class SignatureModel(Embedder):
    """Embedder with a gene vocabulary and the signatures above, and nothing else."""

    dim, fingerprint, is_linear = 4, "by hand", False

    def __init__(self, adata, signatures=True):
        self.table = GeneTable.bundled()
        expression = read_expression(adata)
        rows = np.unique(expression.resolution.row[expression.resolution.row >= 0])
        self.vocabulary = GeneVocabulary.from_table(self.table, rows, np.ones(len(self.table), np.float32))
        self.name, self.facts, self._rows = "by hand", {}, rows
        self.signatures = self._head(expression) if signatures else None

    def gene_panel(self, expression):
        row = expression.resolution.row
        measured = np.isin(self._rows, row[row >= 0])
        return GenePanel.from_measured(self.signatures, self._rows.astype(np.intp), measured)

    def pool_texts(self, texts):
        """Return the same vector for all texts, nearest to the B cell."""
        return np.tile(np.eye(4, dtype=np.float32)[:1], (len(texts), 1))

    embed_texts = pool_texts

    def embed_cells(self, expression, progress=None):
        """Return the same vector for all cells, so that only genes differ; NaN for a cell without expression."""
        empty = np.concatenate([np.diff(block.indptr) == 0 for block in expression.blocks()])
        return np.where(empty[:, None], np.nan, 0.5).repeat(4, axis=1).astype(np.float32)

    def n_measured_genes(self, expression):
        return int(self.gene_panel(expression).measured.sum()) if self.signatures else 0

    def _head(self, expression):
        values = np.concatenate([block[:, self._rows].toarray() for block in expression.blocks()])
        linear = values / np.maximum(values.sum(axis=1, keepdims=True), 1e-9) * TARGET_SUM
        log_expr = np.log1p(linear)
        column = {symbol: i for i, symbol in enumerate(self.vocabulary.symbol.tolist())}
        parts = []
        for weights in (TABLES, CORPUS_WEIGHTS):
            part = np.zeros((len(weights), len(column)), np.float32)
            for i, genes in enumerate(weights.values()):
                for gene, weight in genes.items():
                    part[i, column[gene]] = weight
            parts.append(sparse.csr_matrix(part))
        background = (log_expr.mean(0), log_expr.std(0), linear.mean(0))
        gene_values = [torch.tensor(values, dtype=torch.float32) for values in background]
        vectors = torch.full((4, 4), 0.5)
        return SignatureHead(tuple(TABLES), torch.eye(4), torch.arange(4), vectors, *parts, *gene_values)


def score_candidates(expression, candidates, model):
    """Score cells for candidates with the signatures of the model, as annotation does; also return the signatures."""
    term_ids = [candidate.term_id for candidate in candidates]
    signatures = candidate_signatures(term_ids, [candidate.texts for candidate in candidates], model)
    panel, head = model.gene_panel(expression), model.signatures
    return score_sample(expression, panel, head, term_ids, signatures.combined, head.combined), signatures
