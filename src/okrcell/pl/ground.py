"""What every map of cells has: where they lie, their dots, a frame, a legend."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from okrcell.errors import InputError
from okrcell.pl.canvas import UNKNOWN, figure_of, wrapped

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes

LETTERS_AN_INCH = 12
"""Of a heading."""
MANY = 20_000
"""With more cells a vector picture holds the points as an image."""


def places(adata: "AnnData", basis: str) -> NDArray[np.float64]:
    """Return where each cell lies, float64 (cell, 2).

    Raises
    ------
    InputError
        If there is no such map.
    """
    slot = basis if basis in adata.obsm else f"X_{basis}"
    if slot not in adata.obsm:
        raise InputError(
            f"There is no map {basis} in obsm, which has: {', '.join(adata.obsm) or 'nothing'}. To make one: "
            "sc.pp.neighbors(adata, use_rep='X_okrcell'), then sc.tl.umap(adata)."
        )
    lie = np.asarray(adata.obsm[slot], dtype=np.float64)
    if lie.ndim != 2 or lie.shape[1] < 2:
        raise InputError(f"A map needs two columns, but obsm['{slot}'] has the shape {lie.shape}.")
    return lie[:, :2]


def column(adata: "AnnData", key: str) -> "pd.Series":
    """Return a column of ``obs``, or say which verb makes it."""
    if key not in adata.obs:
        verb = {"okrcell_match": "find_cells", "okrcell_cluster": "cluster"}.get(key, "annotate")
        hint = f"Run okrcell.tl.{verb} first, or name" if key.startswith("okrcell_") else "Name"
        raise InputError(f"There is no column '{key}' in obs. {hint} a column that it has.")
    found: Any = adata.obs[key]
    return found


def dots(size: float | None, cells: int) -> dict[str, Any]:
    """Return how a dot is drawn; the more cells, the smaller."""
    return {
        "s": float(np.clip(20_000 / max(cells, 1), 1, 26)) if size is None else size,
        "linewidths": 0,
        "rasterized": cells > MANY,
    }


def grey(ax: "Axes", unknown: NDArray[np.float64], size: float | None, cells: int) -> None:
    """Draw the cells of which nothing is said, before the others."""
    if len(unknown):
        ax.scatter(*unknown.T, color=UNKNOWN, **dots(size, cells))


def frame(ax: "Axes", basis: str, title: str) -> None:
    """Leave the picture to the cells: a map's axes have no unit."""
    name = basis.removeprefix("X_").partition("_")[0].upper()
    ax.set(xticks=[], yticks=[])
    ax.set_xlabel(f"{name} 1", fontsize="small", loc="left")
    ax.set_ylabel(f"{name} 2", fontsize="small", loc="bottom")
    ax.spines[["top", "right"]].set_visible(False)
    letters = int(ax.get_position().width * figure_of(ax).get_figwidth() * LETTERS_AN_INCH)
    ax.set_title(wrapped(title, max(letters, 20)), loc="left", fontsize="medium", fontweight="bold")


def legend(ax: "Axes", entries: list[tuple[str, int]], colours: list[str], *, inside: bool = False) -> None:
    """Say what the colours mean, and of how many cells."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            linestyle="",
            marker="o",
            markersize=7,
            color=colour,
            label=wrapped(f"{name}\N{NO-BREAK SPACE}({count:,})", 34),
        )
        for (name, count), colour in zip(entries, colours, strict=False)
    ]
    where: dict[str, Any] = {"loc": "upper right"} if inside else {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    ax.legend(handles=handles, frameon=False, fontsize="small", handletextpad=0.3, labelspacing=0.7, **where)
