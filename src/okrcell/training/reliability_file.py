"""Table of the reliability of each pair in each epoch (Parquet)."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from okrcell.storage import atomic_file
from okrcell.data.label_noise import NoisyDataset
from okrcell.training.state import TrainState


def save_reliability(path: Path, state: TrainState, noisy_pairs: NoisyDataset, rows: NDArray[np.int64]) -> None:
    """Write one row per training pair, atomically (Parquet).

    Columns: ``row`` (of the corpus), ``study``, ``cell_type`` (Cell Ontology id, or the author's label, of the text it was
    paired with), ``visits`` (number recorded), ``trust`` (W at the last visit, in [0, 1]), ``wrong`` (whether noise made the
    pair wrong; absent without noise), ``epoch_1`` ... (r, in [0, 1]; NaN where it was not visited or not recorded).
    """
    pairs = noisy_pairs.dataset
    rows = rows[pairs.has_text[rows]]
    cell_type = pairs.cell_type[pairs.description[rows]]
    names = np.array(pairs.cell_type_names, dtype=object)
    row_index = torch.from_numpy(rows)
    table = pd.DataFrame(
        {
            "row": rows,
            "study": pairs.corpus.obs["study"].iloc[rows].astype(str).to_numpy(),
            "cell_type": names[cell_type],
            "visits": state.history.visits[row_index].sum(dim=1).numpy(),
            "trust": state.last_weights[row_index].numpy(),
        }
    )
    if noisy_pairs.is_noisy.any():
        table["wrong"] = noisy_pairs.is_noisy[rows]
    records = state.history.records(row_index).numpy()
    for epoch in range(records.shape[1]):
        table[f"epoch_{epoch + 1}"] = records[:, epoch]
    with atomic_file(path) as draft:
        table.to_parquet(draft, index=False)
