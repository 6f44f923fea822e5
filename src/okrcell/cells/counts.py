"""Find the raw counts in X, raw or layers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from okrcell.cells.rows import MatrixRows
from okrcell.errors import InputError

Kind = Literal["counts", "log1p", "linear", "scaled", "empty"]
USUAL_LAYERS = ("counts", "raw_counts", "raw", "count", "umi", "umis", "umi_counts", "matrix")
PARTIAL_LAYERS = ("spliced", "unspliced", "ambiguous")
"""Layers that count only part of the molecules; used last, or if selected by name."""
HIGHEST_LOG = 25.0
"""Upper bound of log expression: a million molecules are 13.8 in natural and 19.9 in binary logarithm."""
HIGHEST_NATURAL_LOG = 14.5
"""Upper bound of natural log expression; larger log values are taken to be binary logarithms."""
SPOKEN: Mapping[Kind, str] = {
    "counts": "counts",
    "log1p": "log values",
    "linear": "normalised values, not log",
    "scaled": "z-scores",
    "empty": "only zeros",
}


@dataclass(frozen=True)
class Look:
    """Kind of values in a matrix, inferred from a sample of rows."""

    kind: Kind
    base: float = float(np.e)
    """Base of the logarithm if ``kind`` is log1p."""
    exact: bool = False
    """Whether the values are exactly log1p of counts scaled per cell."""
    seen: tuple[float, ...] = ()
    """A few example values, for messages."""


@dataclass(frozen=True)
class FoundCounts:
    """Matrix that expression is read from."""

    rows: MatrixRows
    var: pd.DataFrame
    source: str
    look: Look
    findings: tuple[str, ...]


def find_counts(adata: AnnData, layer: str | None = None) -> FoundCounts:
    """Choose the matrix closest to raw counts among X, ``raw`` and the layers; ties go to the one with more genes.

    ``layer`` overrides the choice: the name of a layer, or "X" or "raw".

    Raises
    ------
    InputError
        If the file has no cells or genes, if ``layer`` does not exist, or if only z-scores are found.
    """
    places = _places(adata)
    if layer is not None:
        source = layer if layer in ("X", "raw") else f"layers['{layer}']"
        if source not in places:
            raise InputError(f"There is no {source} in this file. There are: {', '.join(places)}.")
        places = {source: places[source]}
    looks = _looks(places)
    rank: dict[Kind, int] = {"counts": 0, "linear": 1, "log1p": 1, "empty": 2, "scaled": 3}
    best = min(looks, key=lambda source: (rank[looks[source].kind], -places[source][0].shape[1]))
    chosen = looks[best]
    if chosen.kind == "scaled":
        raise InputError(_scaled(best, chosen, adata, layer))
    if chosen.kind == "log1p" and not chosen.exact and (told := _told_base(adata)):
        chosen = replace(chosen, base=told)
    rows, var = places[best]
    return FoundCounts(rows, var, best, chosen, tuple(_findings(best, chosen, looks)))


def look(rows: MatrixRows) -> Look:
    """Infer from a sample of rows whether a matrix holds counts, log values, normalised values or z-scores."""
    sample = rows.sample()
    finite = np.isfinite(sample.data)
    values = sample.data[finite & (sample.data != 0)].astype(np.float64)
    if not len(values):
        return Look("empty")
    if values.min() < 0:
        return Look("scaled", seen=tuple(float(value) for value in np.sort(values)[:2]))
    seen = tuple(float(value) for value in values[:2])
    if np.all(np.abs(values - np.round(values)) < 1e-6):
        return Look("counts", seen=seen)
    per_cell = _positive_rows(sample)
    for base in (np.e, 2.0, 10.0):
        if values.max() < HIGHEST_LOG and _are_scaled_counts([np.expm1(row * np.log(base)) for row in per_cell]):
            return Look("log1p", float(base), exact=True, seen=seen)
    if values.max() > HIGHEST_LOG or _are_scaled_counts(per_cell):
        return Look("linear", seen=seen)
    return Look("log1p", 2.0 if values.max() > HIGHEST_NATURAL_LOG else float(np.e), seen=seen)


def _places(adata: AnnData) -> dict[str, tuple[MatrixRows, pd.DataFrame]]:
    """Numeric matrices of the file, in order of preference."""
    if not adata.n_obs:
        raise InputError("The file holds no cells.")
    matrices: list[tuple[str, Any, Any]] = [("X", adata.X, adata.var)]
    raw = cast(Any, adata.raw)
    if raw is not None:
        matrices.append(("raw", raw.X, raw.var))
    usual = [name for name in USUAL_LAYERS if name in adata.layers]
    partial = [name for name in PARTIAL_LAYERS if name in adata.layers]
    other = [name for name in adata.layers if name not in (*usual, *partial)]
    matrices += [(f"layers['{name}']", adata.layers[name], adata.var) for name in (*usual, *other, *partial)]
    places: dict[str, tuple[MatrixRows, pd.DataFrame]] = {}
    refused: list[InputError] = []
    for source, matrix, var in matrices:
        if matrix is None or not matrix.shape[1]:
            continue
        try:
            places[source] = MatrixRows(matrix, source), var
        except InputError as error:
            refused.append(error)
    if not places:
        raise refused[0] if refused else InputError("The file holds no expression: X is empty, as are raw and layers.")
    return places


def _looks(places: Mapping[str, tuple[MatrixRows, pd.DataFrame]]) -> dict[str, Look]:
    """Inspect matrices until one holds counts and has the largest number of genes."""
    looks: dict[str, Look] = {}
    most = max(rows.shape[1] for rows, _ in places.values())
    for source, (rows, _) in places.items():
        looks[source] = look(rows)
        if looks[source].kind == "counts" and rows.shape[1] == most:
            break
    return looks


def _told_base(adata: AnnData) -> float | None:
    told = adata.uns.get("log1p")
    base = told.get("base") if isinstance(told, Mapping) else None
    return float(base) if isinstance(base, int | float | np.number) and base > 1 else None


def _positive_rows(sample: sparse.csr_matrix, at_least: int = 10, at_most: int = 64) -> list[NDArray[np.float64]]:
    """Positive values of up to ``at_most`` rows that have at least ``at_least`` of them."""
    rows: list[NDArray[np.float64]] = []
    for start, stop in zip(sample.indptr[:-1], sample.indptr[1:], strict=True):
        row = sample.data[start:stop].astype(np.float64)
        row = row[row > 0]
        if len(row) >= at_least and np.isfinite(row).all():
            rows.append(row)
        if len(rows) == at_most:
            break
    return rows


def _are_scaled_counts(rows: list[NDArray[np.float64]]) -> bool:
    """Whether the values of most cells are integer multiples of the cell's smallest value."""
    judged = passed = 0
    for row in rows:
        multiple = row / row.min()
        small = multiple[multiple < 50]
        if small.max() < 1.5:
            continue
        judged += 1
        passed += float(np.mean(np.abs(small - np.round(small)) < 0.01)) > 0.95
    return judged > 0 and passed > 0.8 * judged


def _findings(best: str, chosen: Look, looks: Mapping[str, Look]) -> list[str]:
    sentences: list[str] = []
    if best != "X" and "X" in looks:
        more = "fewer genes" if looks["X"].kind == chosen.kind else SPOKEN[looks["X"].kind]
        sentences.append(f"{SPOKEN[chosen.kind]} were found in {best}; X holds {more}")
    if chosen.kind == "log1p":
        base = "natural logarithm" if chosen.base == np.e else f"logarithm of base {chosen.base:g}"
        what = "exactly log1p of scaled counts" if chosen.exact else "assumed to be log1p of normalised expression"
        sentences.append(
            f"{best} holds log values, {what} ({base}); no counts were found, so the logarithm was inverted"
        )
    elif chosen.kind == "linear":
        sentences.append(f"{best} holds normalised values, not log; no counts were found")
    elif chosen.kind == "empty":
        sentences.append(f"{best} holds no expressed gene in the sampled rows")
    return sentences


def _scaled(best: str, scaled: Look, adata: AnnData, layer: str | None) -> str:
    seen = ", ".join(f"{value:.3f}" for value in scaled.seen)
    message = f"{best} must hold counts or log values, but it has negative values such as [{seen}], like z-scores."
    if layer is not None:
        looks = {source: look(rows).kind for source, (rows, _) in _places(adata).items() if source != best}
        if others := [source for source, kind in looks.items() if kind not in ("scaled", "empty")]:
            return f"{message} Use {' or '.join(others)} instead."
    return f"{message} raw and layers hold no other expression: use the data from before sc.pp.scale."
