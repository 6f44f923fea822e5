"""Groups of cells on a map, beside how well they are found again."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from okrcell.errors import InputError
from okrcell.pl.canvas import CATEGORIES, finish, wrapped
from okrcell.pl.maps import answers

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

MAP = "X_umap"


def clusters(
    adata: "AnnData",
    *,
    basis: str | None = None,
    title: str | None = None,
    size: float | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> "tuple[Axes, Axes]":
    """Draw the groups that `okrcell.tl.cluster` found, and how each resolution finds its groups again.

    Parameters
    ----------
    basis
        Slot of ``obsm`` whose first two columns are the map. None: a UMAP of what the cells were grouped by, made for
        this picture only.
    title, size
        Heading, and area of a point in square points.
    show, save
        As for `okrcell.pl.answers`.

    Raises
    ------
    InputError
        If `okrcell.tl.cluster` has not been run, or the map is missing, or ``save`` cannot be written.
    """
    from matplotlib import pyplot as plt

    receipt: Mapping[str, Any] = adata.uns.get("okrcell", {}).get("cluster", {})
    if not receipt or str(receipt["key_added"]) not in adata.obs:
        raise InputError("There are no clusters to draw. Run okr.tl.cluster(adata) first.")
    key = str(receipt["key_added"])
    figure = plt.figure(figsize=(11.5, 4.6), layout="constrained")
    both: Any = figure.subplots(1, 2, width_ratios=[1.55, 1])
    left, right = both
    shown, where = adata, basis
    if basis is None:
        shown, where = laid_out(adata, {MAP: str(receipt["use_rep"])}, [key]), MAP
    # Cells may have been left out since: a group without any has no number on the map.
    present = adata.obs[key].astype("category").cat.remove_unused_categories().cat.categories
    names = [str(name) for name in present if name != "unknown"]
    heading = (
        f"{len(names)} group{'s' * (len(names) != 1)} at resolution {float(receipt['resolution']):g}"
        if title is None
        else title
    )
    palette = {name: CATEGORIES[place % len(CATEGORIES)] for place, name in enumerate(names)}
    answers(shown, key=key, basis=str(where), palette=palette, title=heading, size=size, ax=left, show=False)
    _numbered_by_name(left, names)
    _curve(right, receipt)
    finish(left, new=True, show=show, save=save)
    return left, right


def _numbered_by_name(ax: "Axes", names: list[str]) -> None:
    """A group's name is a number already: let it stand alone, on the map and in the legend."""
    for text in ax.texts:
        text.set_text(names[int(text.get_text()) - 1])
    legend: Any = ax.get_legend()
    for text in legend.get_texts():
        text.set_text(text.get_text().partition("   ")[2])


def laid_out(adata: "AnnData", maps: Mapping[str, str], columns: list[str]) -> "AnnData":
    """Return the same cells with a UMAP of each slot in ``maps`` (name of the map: slot), and nothing else.

    Raises
    ------
    InputError
        If there is no such slot.
    """
    from anndata import AnnData

    from okrcell.cells.samples.neighbours import flat_map

    obs: Any = pd.DataFrame(adata.obs)[columns]
    cells = AnnData(obs=obs.copy())
    for name, slot in maps.items():
        if slot not in adata.obsm:
            raise InputError(f"There is no {slot} in obsm, which has: {', '.join(adata.obsm) or 'nothing'}.")
        cells.obsm[name] = flat_map(np.asarray(adata.obsm[slot], dtype=np.float32))
    return cells


def _curve(ax: "Axes", receipt: Mapping[str, Any]) -> None:
    resolution, agreement = np.asarray(receipt["resolutions"]), np.asarray(receipt["agreement"])
    groups, chosen = np.asarray(receipt["groups"]), float(receipt["resolution"])
    if not np.isfinite(agreement).any():
        ax.axis("off")
        ax.text(0.5, 0.5, "one resolution only:\nnothing was compared", ha="center", va="center", fontsize="medium")
        return
    ax.axvline(chosen, color=CATEGORIES[2], linewidth=1.5, linestyle=(0, (4, 3)), zorder=1)
    ax.plot(resolution, agreement, color=CATEGORIES[0], linewidth=1.8, marker="o", markersize=5, zorder=2)
    place = int(np.argmin(np.abs(resolution - chosen)))
    ax.plot(resolution[place], agreement[place], marker="o", markersize=10, color=CATEGORIES[2], zorder=3)
    low = max(0.0, float(np.nanmin(agreement)) - 0.12)
    for x, y, number in zip(resolution, agreement, groups, strict=True):
        ax.annotate(str(number), (x, y), (0, -17), textcoords="offset points", ha="center", fontsize="x-small")
    ax.set(xlabel="resolution", ylabel="agreement between runs (adjusted Rand)", ylim=(low, 1.02))
    ax.spines[["top", "right"]].set_visible(False)
    heading = wrapped("Found again when a fifth of the cells is left out; numbers of groups below", 46)
    ax.set_title(heading, loc="left", fontsize="medium", fontweight="bold")
