"""Confusion matrix of labels and predicted cell types."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from okrcell.errors import InputError
from okrcell.pl.canvas import axes_for, colour_bar, finish, ink_on, kept_apart, ramp, wrapped

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

UNLABELLED = "unknown"
ROOM_FOR_COUNTS = 14
"""Maximum number of columns with counts; up to twice as many show percentages only, more show no text."""


def confusion(
    adata: "AnnData",
    *,
    truth: str = "cell_type",
    answer: str = "okrcell_cell_type",
    expected: Mapping[str, str] | None = None,
    title: str | None = None,
    color_map: "str | Colormap | None" = None,
    ax: "Axes | None" = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> "Axes":
    """Plot the confusion matrix of labels (rows) and predicted cell types (columns).

    Color and percentage are fractions of the row, which sum to 100 %; the number below is the count of cells. The expected
    prediction of each label is framed.

    Parameters
    ----------
    adata : AnnData
        Cells with labels and predictions in ``obs``.
    truth : str, default "cell_type"
        Column of ``obs`` with the authors' labels. Missing values count as "unknown".
    answer : str, default "okrcell_cell_type"
        Column of ``obs`` with the predicted cell types, as `okrcell.tl.annotate` writes it. Missing values count as
        "unknown".
    expected : mapping of str to str, optional
        Correct prediction by label, where the two columns use different words. Its order is the order of rows and columns.
        None (default): label and prediction are expected to be the same text; rows are sorted by number of cells, other
        columns by the label that most of their cells have.
    title : str, optional
        Title. None (default): "Predictions by" and the name of ``truth``.
    color_map : str or matplotlib.colors.Colormap, optional
        Colormap of the fractions. None (default): a sequential one that suits the background.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on. None (default): the axes of a new figure.
    show : bool, optional
        Whether to show the figure. None (default): as set by ``scanpy.settings.autoshow``, and only for a figure that this
        function created and that is not saved.
    save : str or Path, optional
        Image file to write, at 200 dpi; the extension selects the format, such as .png, .pdf or .svg. The folder must exist.

    Returns
    -------
    matplotlib.axes.Axes
        Axes of the heat map.

    Raises
    ------
    InputError
        If a column is missing, or ``save`` cannot be written.

    Notes
    -----
    With more than 14 columns the counts are left out, with more than 28 the percentages too.

    Examples
    --------
    >>> import scanpy as sc
    >>> import okrcell as okr
    >>> adata = sc.datasets.pbmc68k_reduced()[:100].copy()
    >>> model = okr.load()
    >>> okr.tl.annotate(adata, model, candidates=["B cell", "T cell", "monocyte", "natural killer cell", "dendritic cell"])
    >>> ax = okr.pl.confusion(
    ...     adata,
    ...     truth="bulk_labels",
    ...     expected={"CD19+ B": "B cell", "CD14+ Monocyte": "monocyte", "Dendritic": "dendritic cell"},
    ...     show=False,
    ... )
    >>> [label.get_text() for label in ax.get_xticklabels()][:3]
    ['B cell', 'monocyte', 'dendritic cell']
    """
    table = counts(adata, truth, answer, expected)
    share = table.to_numpy(dtype=np.float64) / np.maximum(table.to_numpy().sum(axis=1, keepdims=True), 1)
    rows, columns = table.shape
    new, ax = ax is None, axes_for(ax, 3.2 + 0.78 * columns, 2.4 + 0.52 * rows)
    image = ax.imshow(
        share, cmap=ramp(ax, "share") if color_map is None else color_map, vmin=0, vmax=1, aspect="auto", zorder=0
    )
    _write(ax, table, share)
    _frame_expected(ax, table, expected)
    names = [wrapped(str(name), 26, lines=2) for name in table.columns]
    ax.set_xticks(range(columns), names, rotation=40, ha="right", rotation_mode="anchor", fontsize="small")
    ax.set_yticks(
        range(rows),
        [f"{wrapped(str(name), 30, lines=2)}  ({total:,})" for name, total in table.sum(axis=1).items()],
        fontsize="small",
    )
    kept_apart(ax, rows, columns)
    ax.set_xlabel("predicted cell type", loc="left", fontsize="small")
    ax.set_ylabel(f"label ({truth})", loc="top", fontsize="small")
    ax.set_title(
        wrapped(f"Predictions by {truth}" if title is None else title, 60),
        loc="left",
        fontsize="medium",
        fontweight="bold",
    )
    colour_bar(ax, image, "fraction of the row").set_ticks([0, 0.5, 1], labels=["0%", "50%", "100%"])
    return finish(ax, new=new, show=show, save=save)


def counts(adata: "AnnData", truth: str, answer: str, expected: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Count cells by label (rows) and prediction (columns), ordered so that expected predictions lie on the diagonal.

    Raises
    ------
    InputError
        If a column is missing.
    """
    for key in (truth, answer):
        if key not in adata.obs:
            raise InputError(f"There is no column '{key}' in obs, which has: {', '.join(map(str, adata.obs.columns))}.")
    labels, given = (adata.obs[key].astype("object").fillna(UNLABELLED).astype(str) for key in (truth, answer))
    table = pd.crosstab(labels, given)
    table = table.loc[table.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    rows = [str(row) for row in table.index]
    if expected is not None:
        rows = [row for row in expected if row in rows] + [row for row in rows if row not in expected]
        wanted = [expected[row] for row in rows if row in expected]
        first = list(dict.fromkeys([*wanted, *(column for column in expected.values() if column in table.columns)]))
        table = table.reindex(
            columns=[*first, *(column for column in table.columns if column not in first)], fill_value=0
        )
        order = [*first, *_by_home(table.loc[rows].drop(columns=first))]
    else:
        order = _by_home(table.loc[rows])
    order = [*(name for name in order if name != UNLABELLED), *(name for name in order if name == UNLABELLED)]
    return table.loc[rows, order]


def _by_home(table: pd.DataFrame) -> list[str]:
    """Order columns by the row of the same name, else by the row in which they have the largest fraction."""
    share = table.to_numpy(dtype=np.float64) / np.maximum(table.to_numpy().sum(axis=1, keepdims=True), 1)
    rows = {str(name): place for place, name in enumerate(table.index)}
    home = {str(name): rows.get(str(name), int(share[:, place].argmax())) for place, name in enumerate(table.columns)}
    return sorted(home, key=lambda name: (home[name], name not in rows))


def _write(ax: "Axes", table: pd.DataFrame, share: np.ndarray) -> None:
    columns = table.shape[1]
    if columns > 2 * ROOM_FOR_COUNTS:
        return
    colour_of = ax.images[0].to_rgba(share)
    for (row, column), number in np.ndenumerate(table.to_numpy()):
        if number == 0:
            continue
        part = share[row, column]
        percent = f"{part:.0%}" if part >= 0.005 else "<1%"
        ink = ink_on(tuple(colour_of[row, column]))
        text = percent if columns > ROOM_FOR_COUNTS else f"{percent}\n{number:,}"
        ax.text(column, row, text, ha="center", va="center", fontsize=7.5, color=ink, linespacing=1.15)


def _frame_expected(ax: "Axes", table: pd.DataFrame, expected: Mapping[str, str] | None) -> None:
    from matplotlib import rcParams
    from matplotlib.patches import Rectangle

    columns: Sequence[str] = [str(name) for name in table.columns]
    for row, label in enumerate(table.index):
        right = str(label) if expected is None else expected.get(str(label))
        if right in columns and right != UNLABELLED:
            corner = (columns.index(right) - 0.47, row - 0.46)
            ax.add_patch(
                Rectangle(corner, 0.94, 0.92, fill=False, edgecolor=rcParams["text.color"], linewidth=1.1, zorder=3)
            )
