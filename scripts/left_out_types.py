"""Print the cell types that models are not trained on if they are evaluated on unseen types.

    python scripts/left_out_types.py DATA

DATA holds the evaluated sets in ``evaluate/`` and the training sets in ``pretrain/``. The frozen list of the package is
``src/okrcell/benchmarking/datasets/left_out_types.yaml``; the script fails if the data give another one.
"""

import argparse
from pathlib import Path

import anndata
import numpy as np
from numpy.typing import NDArray

from okrcell.benchmarking.datasets.datasets import load_dataset
from okrcell.benchmarking.datasets.leakage import choose_left_out_types, left_out_types
from okrcell.benchmarking.tasks import unseen_types
from okrcell.ontology.ontology import ontology

TRUE_TYPE_KEY = "cell_type_ontology_term_id"


def main() -> None:
    """Print the chosen types as YAML."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of data sets")
    data = parser.parse_args().data
    chosen = choose_types(data)
    for term_id in chosen:
        print(f"  - {term_id}  # {ontology('CL').term(term_id).name}")
    if chosen != left_out_types():
        parser.exit(1, "The frozen list of the package differs.\n")


def choose_types(data: Path) -> tuple[str, ...]:
    """Choose the types by the rule of the package, from the data sets of a folder."""
    evaluated = [load_dataset(name, data).term_ids for name in unseen_types.SETS]
    return choose_left_out_types(
        evaluated, [training_types(file) for file in sorted((data / "pretrain").glob("*.h5ad"))]
    )


def training_types(file: Path) -> NDArray[np.str_]:
    """Return the current Cell Ontology ids of the types of a training file."""
    obs = anndata.read_h5ad(file, backed="r").obs
    if TRUE_TYPE_KEY not in obs:
        return np.array([], dtype=np.str_)
    return np.array([ontology("CL").current_id(label) or "" for label in obs[TRUE_TYPE_KEY].astype(str).unique()])


if __name__ == "__main__":
    main()
