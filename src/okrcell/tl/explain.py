"""Gene contributions to zero-shot annotations."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from okrcell.errors import InputError
from okrcell.tl._docs import doc_params
from okrcell.tl.answers_left import CELL_TYPE_KEY, best_candidate_indices, get_or_annotate
from okrcell.tl.explanation_slots import explanation_to_slot
from okrcell.tl.groups import read_groups
from okrcell.tl.tables import slot_name
from okrcell.tl._anndata import get_model, read_counts, write_provenance

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from okrcell.model.embedder import Embedder, Progress

EXPLANATIONS_KEY = "okrcell_explanations"
MAX_CELLS = 1000
"""Maximum number of single cells in one call of `explain`."""


@doc_params
def explain(
    adata: "AnnData",
    model: "Embedder | None" = None,
    groupby: str | None = None,
    *,
    cells: Sequence[str] | None = None,
    candidates: Sequence[str] | None = None,
    top: int = 20,
    knowledge: str | Path | None = None,
    layer: str | None = None,
    orthologs: bool = False,
    progress: "Progress | None" = None,
) -> None:
    """List the genes that support a zero-shot annotation, and those that support the runner-up.

    Parameters
    ----------
    {adata}
    {model}
    groupby : str, optional
        Column of ``obs`` with clusters or labels. By default the annotated cell types, ``obs["okrcell_cell_type"]``.
    cells : sequence of str, optional
        Names of single cells to explain instead of groups, from ``obs_names``; at most 1,000.
    candidates : sequence of str, optional
        Cell types to choose from: names, Cell Ontology ids or free text. By default the candidates of the
        stored annotation.
    top : int, default 20
        Number of genes per group or cell, for and against together; at least 1.
    {knowledge}
    {layer}
    {orthologs}
    progress : callable, optional
        Called as ``progress(done, total)``, with numbers of cells if they are annotated first, then with numbers of groups.

    Returns
    -------
    None
        Sets the following slots of ``adata``:

        ``uns["okrcell_explanations"]`` : dict of dict
            One entry per group or cell. In its key "/" becomes "|", and "(empty)" stands for "". Each entry has:

            - ``cell_type``, ``cell_type_ontology_term_id`` (str): the most frequent annotation; "unknown" and "" if no cell has
              expression
            - ``share`` (float): fraction of the cells with that annotation, in [0, 1]
            - ``confidence`` (float): mean confidence of the cells
            - ``runner_up``, ``runner_up_ontology_term_id`` (str): candidate with the next highest mean score; "" with one
              candidate
            - ``score``, ``runner_up_score`` (float): mean scores of both
            - ``cells``, ``without_expression`` (int): number of cells, and of those without expression
            - ``genes`` (DataFrame): by descending absolute contribution; gene; speaks ("for" or "against"); contribution (above
              0 supports the annotation); relative (mean relative expression, in standard deviations from the background);
              expected, runner_up_expected (weights in the two signatures); inside, outside (fraction of cells in and outside
              the group that express it); source ("marker tables", "cells of the corpus" or "both"); evidence (numbers of
              records, such as "1, 3")
            - ``evidence`` (DataFrame): records of marker tables; number, source, record, snapshot, licence, text, sha256
        ``uns["okrcell"]["explain"]`` : dict
            {provenance}

        If there is no zero-shot annotation by this model, with these candidates and this layer, the cells are annotated first,
        and the slots of `annotate` are written too.

    Raises
    ------
    InputError
        If both ``groupby`` and ``cells`` are given; ``top`` is below 1; the cells were annotated from a reference or examples
        and ``candidates`` is None; the model has no signatures; or the column, the cells, the candidates or the knowledge files
        cannot be read.
        {unreadable}

    See Also
    --------
    annotate : The annotation that is explained.
    okrcell.pl.explanation : Plot the genes of one group.
    explanations_page : The explanations as Markdown.
    explanations_json : The explanations as JSON.

    Notes
    -----
    The contribution of a gene is its relative expression times the difference of its weights in the signatures of the
    annotation and of the runner-up. The signature score is linear, so the contributions of all genes sum to the margin between
    the two (ours, method 11.3). The part of a score that comes from text similarity (method 11.4) or from neighbours (method
    11.5) is not explained.

    Examples
    --------
    >>> import scanpy as sc
    >>> import okrcell as okr
    >>> adata = sc.datasets.pbmc68k_reduced()[:80].copy()
    >>> model = okr.load()
    >>> okr.tl.annotate(adata, model, candidates=["T cell", "B cell", "monocyte"])
    >>> okr.tl.explain(adata, model, top=10)
    >>> explanation = adata.uns["okrcell_explanations"]["B cell"]
    >>> explanation["runner_up"] in {"T cell", "monocyte"}
    True
    >>> "CD79A" in set(explanation["genes"]["gene"])
    True
    """
    from okrcell.knowledge.downloads import KnowledgeFiles
    from okrcell.knowledge.registry import open_sources, unavailable_sources
    from okrcell.tasks.explain import explain_groups

    if top < 1:
        raise InputError(f"top must be at least 1, but it is {top}.")
    if groupby is not None and cells is not None:
        raise InputError(
            "groupby and cells are both given, but either groups or single cells are explained, not both. Leave one out."
        )
    model = get_model(model)
    cell_indices = None if cells is None else _index_cells(adata, cells)
    column = CELL_TYPE_KEY if groupby is None else groupby
    # Check the arguments before the cells are annotated; the default column may not exist until then.
    grouped = read_groups(adata, column) if cell_indices is None and column != CELL_TYPE_KEY else None
    files = KnowledgeFiles(knowledge)
    sources, missing_sources = open_sources(None, files), unavailable_sources(files)
    parsed_candidates = get_or_annotate(adata, model, candidates, layer=layer, orthologs=orthologs, progress=progress)
    scores = np.asarray(adata.obsm["okrcell_scores"], dtype=np.float32)
    best = best_candidate_indices(adata, parsed_candidates)
    if cell_indices is not None:
        group, names = cell_indices, [str(name) for name in cells or ()]
    else:
        group, names = read_groups(adata, column) if grouped is None else grouped
    expression = read_counts(adata, layer, orthologs=orthologs)
    explanations = explain_groups(
        expression, group, names, parsed_candidates, scores, best, model, sources=sources, top=top, progress=progress
    )
    confidence = np.asarray(adata.obs["okrcell_confidence"], dtype=np.float64)
    adata.uns[EXPLANATIONS_KEY] = {
        slot_name(item.group): explanation_to_slot(item, confidence[group == i]) for i, item in enumerate(explanations)
    }
    write_provenance(
        adata,
        "explain",
        model,
        expression,
        groupby=column if cell_indices is None else "",
        explained=names,
        cells_left_out=int((group < 0).sum()),
        candidates=[item.name for item in parsed_candidates],
        top=top,
        sources=[f"{source.name}: {source.snapshot}" for source in sources],
        absent_sources=sorted(missing_sources),
        layer=layer or "",
        orthologs=orthologs,
    )


def _index_cells(adata: "AnnData", cells: Sequence[str]) -> "NDArray[np.intp]":
    """Return for each cell its index in ``cells``, -1 for a cell that is not in it."""
    if isinstance(cells, str):
        raise InputError(f"cells must be a list of names, but it is the string '{cells}'. Pass ['{cells}'].")
    requested = [str(name) for name in cells]
    if not requested:
        raise InputError("cells is an empty list. Pass at least one name, or leave it out.")
    if len(requested) > MAX_CELLS:
        raise InputError(
            f"cells has {len(requested):,} names, but at most {MAX_CELLS:,} single cells can be explained. Use groupby."
        )
    if len(set(requested)) < len(requested):
        duplicate = next(name for name in requested if requested.count(name) > 1)
        raise InputError(f"The cell '{duplicate}' is named twice in cells. Pass each name once.")
    index_of = {name: i for i, name in enumerate(requested)}
    group = np.array([index_of.get(str(name), -1) for name in adata.obs_names], dtype=np.intp)
    counts = np.bincount(group[group >= 0], minlength=len(requested))
    if (counts == 0).any():
        raise InputError(
            f"There is no cell '{requested[int((counts == 0).argmax())]}' in obs_names, which has names such as "
            f"'{adata.obs_names[0] if adata.n_obs else ''}'."
        )
    if (counts > 1).any():
        raise InputError(
            f"The name '{requested[int((counts > 1).argmax())]}' belongs to several cells. Run adata.obs_names_make_unique() first."
        )
    return group
