"""Choice of the Leiden resolution: the finest stable one against the most persistent number of clusters.

    python experiments/clustering_resolution.py [cells.h5ad ...] [--cells 2500]

Labelled files are clustered at every resolution of `okrcell.tl.cluster`, with at most ``--cells`` random cells of each. One
Markdown row is printed per file: number of clusters, adjusted Rand index and normalized mutual information with the labels,
for both rules. The finest stable resolution is the highest whose agreement is at most 0.05 below the best.
"""

import argparse
from pathlib import Path

import anndata
import numpy as np
from real_cells import data_folder
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

import okrcell as okr
from okrcell.cells.expression import read_expression
from okrcell.cells.neighbors import knn_graph
from okrcell.model.embedder import Embedder
from okrcell.tasks.clustering import RESOLUTIONS, Stability, leiden, representation, resolution_stability

LABEL_KEY = "cell_type_ontology_term_id"
FILES = ("zheng_pbmc_facs", "baron_pancreas_h1", "baron_pancreas_h4", "lung_adenocarcinoma_laughney",
         "tirosh_melanoma_chetah", "sadefeldman_melanoma_scfeatures", "zheng_scn_pbmc")  # fmt: skip
FINEST_TOLERANCE = 0.05


def main() -> None:
    """Print a row per file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--cells", type=int, default=2500)
    args = parser.parse_args()
    data = data_folder()
    files = args.files or ([data / "pretrain" / f"{name}.h5ad" for name in FILES] if data else [])
    if not files:
        parser.exit(0, "No labelled files: give some, or set OKRCELL_DATA to a folder with pretrain/*.h5ad.\n")
    print("| file | cells | types | finest: clusters | ARI | NMI | persistent: clusters | ARI | NMI |")
    print("|---|---|---|---|---|---|---|---|---|")
    model = okr.load()
    for file in files:
        print(_row(file, model, args.cells), flush=True)


def _row(file: Path, model: Embedder, max_cells: int) -> str:
    adata = anndata.read_h5ad(file)
    if adata.n_obs > max_cells:
        adata = adata[np.sort(np.random.default_rng(0).choice(adata.n_obs, max_cells, replace=False))].copy()
    points = representation(read_expression(adata), model)
    is_finite = np.isfinite(points).all(axis=1)
    graph = knn_graph(points[is_finite])
    stability = resolution_stability(graph, RESOLUTIONS)
    labels = adata.obs[LABEL_KEY].astype(str).to_numpy()[is_finite]
    cells = [file.stem, f"{adata.n_obs:,}", str(len(set(labels)))]
    for resolution in (_finest(stability), stability.best_resolution):
        found = leiden(graph, resolution, 0)
        scores = adjusted_rand_score(labels, found), normalized_mutual_info_score(labels, found)
        cells += [str(len(set(found.tolist()))), *(f"{score:.3f}" for score in scores)]
    return f"| {' | '.join(cells)} |"


def _finest(stability: Stability) -> float:
    eligible = np.flatnonzero(stability.n_clusters > 1)
    agreement = stability.agreement[eligible]
    return float(stability.resolutions[eligible[agreement >= agreement.max() - FINEST_TOLERANCE].max()])


if __name__ == "__main__":
    main()
