"""Find groups of like cells without labels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from okrcell.errors import InputError
from okrcell.tl.seeds import check_seed
from okrcell.tl.vectors import chosen_model, expression_of, leave_receipt, vectors_of

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.model.embedder import Embedder, Progress

JOINED = "X_okrcell_joined"


def cluster(
    adata: "AnnData",
    model: "Embedder | None" = None,
    *,
    resolution: float | Sequence[float] | None = None,
    use_rep: str | None = None,
    neighbours: int = 15,
    key_added: str = "okrcell_cluster",
    layer: str | None = None,
    orthologs: bool = False,
    seed: int = 0,
    progress: "Progress | None" = None,
) -> None:
    """Group cells by what the model knows of them and what their sample tells by itself.

    Vectors that `embed` or `annotate` left, by the same model, are used again.

    Parameters
    ----------
    resolution
        How fine the groups are. None: of 0.1, 0.2 ... 2.0 the one chosen by how well groups are found again when a
        fifth of the cells is left out; several numbers: chosen among these; one number: that one.
    use_rep
        Slot of ``obsm`` to group cells by instead, such as "X_okrcell_integrated".
    neighbours
        Number of neighbours of a cell, itself counted, at least 2.
    key_added
        Name of the column in ``obs``.
    seed
        The same seed gives the same groups.
    adata, model, layer, orthologs, progress
        As for `embed`, whose slot is written too.

    Returns
    -------
    None; ``obs[key_added]`` categorical "0", "1" ..., "0" the largest, "unknown" for a cell without expression;
    ``obsm["X_okrcell_joined"]`` float32, what cells were compared by (not with ``use_rep``), NaN for such a cell;
    ``uns["okrcell"]["cluster"]`` the receipt, with ``resolutions``, and for each its ``agreement`` (mean adjusted Rand
    index between runs, NaN with one resolution) and number of ``groups``.

    Raises
    ------
    InputError
        If a resolution is not above zero, neighbours or the seed are out of range, there is no such slot, or counts or genes
        cannot be found.
    """
    from okrcell.cells.samples.sample import sample_components
    from okrcell.tasks.cluster import COMPONENTS, RESOLUTIONS, joined
    from okrcell.tasks.cluster import cluster as grouped
    from okrcell.tasks.samples.stability import checked_resolutions

    if neighbours < 2:
        raise InputError(f"A cell needs at least 2 neighbours (itself is counted), but neighbours is {neighbours}.")
    check_seed(seed)
    some = RESOLUTIONS if resolution is None else resolution
    one = not isinstance(some, Sequence | np.ndarray)
    some = checked_resolutions([some] if one else some).tolist()
    expression = None
    model = chosen_model(model)
    if use_rep is None:
        expression = expression_of(adata, layer, orthologs=orthologs)
        vectors = vectors_of(adata, model, expression, layer, progress)
        points = joined(vectors, sample_components(expression, COMPONENTS), seed=seed)
        adata.obsm[JOINED] = points
    else:
        points = _slot(adata, use_rep)
    found = grouped(points, resolutions=some, neighbours=neighbours, seed=seed)
    names = [str(number) for number in range(int(found.label.max(initial=-1)) + 1)]
    label = np.array([*names, "unknown"], dtype=object)[found.label]
    absent = ["unknown"] if (found.label < 0).any() else []
    adata.obs[key_added] = pd.Categorical(label, categories=[*names, *absent])
    leave_receipt(
        adata,
        "cluster",
        model,
        expression,
        key_added=key_added,
        use_rep=use_rep or JOINED,
        resolution=found.resolution,
        resolution_named_by="user" if one else "stability",
        resolutions=found.stability.resolution,
        agreement=found.stability.agreement,
        groups=found.stability.groups,
        neighbours=neighbours,
        seed=seed,
        layer=layer or "",
        orthologs=orthologs,
    )


def _slot(adata: "AnnData", name: str) -> np.ndarray:
    if name not in adata.obsm:
        raise InputError(f"There is no {name} in obsm, which has: {', '.join(adata.obsm) or 'nothing'}.")
    points = np.asarray(adata.obsm[name], dtype=np.float32)
    if points.ndim != 2 or points.shape[1] == 0:
        raise InputError(f"obsm['{name}'] must be a table of numbers, but its shape is {points.shape}.")
    return points
