"""Table of the reliability of each pair in each epoch (Parquet)."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from okrcell.files import whole_file
from okrcell.pairs.noise import Noisy
from okrcell.training.memory import Memory


def save_reliability(path: Path, memory: Memory, harmed: Noisy, rows: NDArray[np.int64]) -> None:
    """Write one row per training pair, atomically (Parquet).

    Columns: ``row`` (of the corpus), ``study``, ``cell_type`` (Cell Ontology id, or the author's label, of the text it was
    paired with), ``visits`` (number recorded), ``trust`` (W at the last visit, in [0, 1]), ``wrong`` (whether noise made the
    pair wrong; absent without noise), ``epoch_1`` ... (r, in [0, 1]; NaN where it was not visited or not recorded).
    """
    pairs = harmed.pairs
    rows = rows[pairs.described[rows]]
    kind = pairs.cell_type[pairs.description[rows]]
    names = np.array(pairs.cell_type_names, dtype=object)
    here = torch.from_numpy(rows)
    table = pd.DataFrame(
        {
            "row": rows,
            "study": pairs.corpus.obs["study"].iloc[rows].astype(str).to_numpy(),
            "cell_type": names[kind],
            "visits": memory.table.visits[here].sum(dim=1).numpy(),
            "trust": memory.last_trust[here].numpy(),
        }
    )
    if harmed.wrong.any():
        table["wrong"] = harmed.wrong[rows]
    records = memory.table.records_of(here).numpy()
    for epoch in range(records.shape[1]):
        table[f"epoch_{epoch + 1}"] = records[:, epoch]
    with whole_file(path) as draft:
        table.to_parquet(draft, index=False)
