"""Pair reliability that was recorded by a training run."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from okrcell.errors import InputError
from okrcell.tasks.label_errors import TRUST_THRESHOLD

RELIABILITY_FILE = "reliability.parquet"


def read_reliability(run_dir: Path) -> pd.DataFrame:
    """Mean reliability of each pair over the epochs of a run (E9); index ``row``, columns ``study``, ``trust``.

    ``trust`` is in [0, 1], NaN for a pair that was never used.

    Raises
    ------
    InputError
        If the run has no table, or it is damaged.
    """
    path = run_dir / RELIABILITY_FILE
    if not path.is_file():
        raise InputError(
            f"{path} does not exist: the run is not finished, or it was trained without reliability weights "
            "(objective: {reliability: {use: true}})."
        )
    try:
        table = pq.read_table(path).to_pandas()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}.") from None
    epochs = [name for name in table if str(name).startswith("epoch_")]
    if not {"row", "study"} <= set(table) or not epochs:
        raise InputError(f"{path} has no columns row, study, epoch_1, ...: it is not a reliability table. Train again.")
    values = table[epochs].to_numpy(dtype=np.float64)
    visited = ~np.isnan(values)
    mean = np.where(visited, values, 0).sum(axis=1) / np.where(visited.any(axis=1), visited.sum(axis=1), np.nan)
    return pd.DataFrame({"study": table["study"].astype(str).to_numpy(), "trust": mean}, index=table["row"].to_numpy())


def use_run_reliability(table: pd.DataFrame, reliability: pd.DataFrame, run_dir: Path) -> pd.DataFrame:
    """Replace the computed trust by that of a training run; NaN for cells outside its training data.

    Raises
    ------
    InputError
        If the run was trained on another corpus.
    """
    rows = table["row"].to_numpy()
    in_run = np.isin(rows, reliability.index.to_numpy())
    run_studies = reliability["study"].reindex(rows[in_run]).to_numpy()
    if not in_run.any() or bool(np.any(run_studies != table["study"].to_numpy()[in_run])):
        raise InputError(
            f"{run_dir} was trained on another corpus: its table has other rows. Pass the corpus of the run."
        )
    updated = table.copy()
    updated["trust"] = reliability["trust"].reindex(rows).to_numpy()
    updated["doubtful"] = (updated["trust"] < TRUST_THRESHOLD) & (updated["relation"] == "other")
    return updated
