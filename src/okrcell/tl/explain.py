"""Tell which genes spoke for the names of cells, and which against."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from okrcell.errors import InputError
from okrcell.tl.answers_left import ANSWERS, answers_from_words, best_of
from okrcell.tl.explanation_slots import slot
from okrcell.tl.groups import groups_of
from okrcell.tl.tables import slot_name
from okrcell.tl.vectors import chosen_model, expression_of, leave_receipt

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from okrcell.model.embedder import Embedder, Progress

EXPLANATIONS = "okrcell_explanations"
MOST_CELLS = 1000
"""So many single cells can be explained at once."""


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
    """Tell of groups of cells, or of single ones, which genes spoke for their name and which for the next best.

    What is explained is what `annotate` said with the same model; cells that it has not named from words yet, or that are to
    be named from other ``candidates``, are named first. A gene's word is its relative expression times what the two
    names predict of it, so the words of all genes sum to how far the one is ahead of the other in evidence.

    Parameters
    ----------
    groupby
        Column of ``obs`` with clusters or labels; by default the answers themselves.
    cells
        Names of single cells to explain, at most 1,000, instead of groups.
    candidates
        As for `annotate`. None: those that the cells were named from.
    top
        So many genes are told of each group or cell, for and against together.
    knowledge
        Folder or URL of the knowledge files, to say which marker table knows a gene; by default the environment's
        OKRCELL_KNOWLEDGE, else what was fetched. Without any, the kind of source alone is told.
    adata, model, layer, orthologs, progress
        As for `annotate`; progress counts groups.

    Returns
    -------
    None; ``uns["okrcell_explanations"]``: by group or cell ("/" in its name becomes "|"; "(empty)" stands for ""):
    ``cell_type``, ``cell_type_ontology_term_id`` what most of its cells were named, "unknown" and "" where none has expression;
    ``share`` of its cells that were named so, in [0, 1]; ``confidence`` the mean of its cells;
    ``runner_up``, ``runner_up_ontology_term_id`` the next best, "" with one candidate; ``score``, ``runner_up_score``
    mean scores of both; ``cells``, ``without_expression`` their numbers;
    ``genes`` DataFrame, the strongest word first: gene; speaks ("for" or "against"); contribution (above zero is for);
    relative (mean relative expression, above zero is higher than usual); expected, runner_up_expected (signed
    signatures); inside, outside (shares of cells that have it, in [0, 1]); source ("marker tables", "cells of the corpus",
    "both"); evidence (numbers of records, "1, 3");
    ``evidence`` DataFrame of records: number, source, record, snapshot, licence, text, sha256.
    ``uns["okrcell"]["explain"]`` the receipt.

    Raises
    ------
    InputError
        If both ``groupby`` and ``cells`` are given, cells were named from a reference or examples, the model has no
        signatures, or the column, cells, counts, genes, candidates or knowledge files cannot be read; the message says
        what to do.
    """
    from okrcell.knowledge.snapshots import KnowledgeFiles
    from okrcell.knowledge.sources.registry import absent_sources, open_sources
    from okrcell.tasks.explain import explain_groups

    if top < 1:
        raise InputError(f"top must be at least 1, but it is {top}.")
    if groupby is not None and cells is not None:
        raise InputError(
            "groupby and cells are both given, but either groups or single cells are explained. Leave one out."
        )
    model = chosen_model(model)
    places = None if cells is None else _places(adata, cells)
    by = ANSWERS if groupby is None else groupby
    # What may hold a slip is read first; the answers themselves may yet have to be made.
    grouped = groups_of(adata, by) if places is None and by != ANSWERS else None
    files = KnowledgeFiles(knowledge)
    sources, absent = open_sources(None, files), absent_sources(files)
    some = answers_from_words(adata, model, candidates, layer=layer, orthologs=orthologs, progress=progress)
    scores = np.asarray(adata.obsm["okrcell_scores"], dtype=np.float32)
    best = best_of(adata, some)
    if places is not None:
        group, names = places, [str(name) for name in cells or ()]
    else:
        group, names = groups_of(adata, by) if grouped is None else grouped
    expression = expression_of(adata, layer, orthologs=orthologs)
    explained = explain_groups(
        expression, group, names, some, scores, best, model, sources=sources, top=top, progress=progress
    )
    confidence = np.asarray(adata.obs["okrcell_confidence"], dtype=np.float64)
    adata.uns[EXPLANATIONS] = {
        slot_name(each.group): slot(each, confidence[group == place]) for place, each in enumerate(explained)
    }
    leave_receipt(
        adata,
        "explain",
        model,
        expression,
        groupby=by if places is None else "",
        explained=names,
        cells_left_out=int((group < 0).sum()),
        candidates=[each.name for each in some],
        top=top,
        sources=[f"{source.name}: {source.snapshot}" for source in sources],
        absent_sources=sorted(absent),
        layer=layer or "",
        orthologs=orthologs,
    )


def _places(adata: "AnnData", cells: Sequence[str]) -> "NDArray[np.intp]":
    """Number the cells that were asked for, -1 for all others."""
    if isinstance(cells, str):
        raise InputError(f"cells must be a list of names, but it is the text '{cells}'. Write ['{cells}'].")
    asked = [str(name) for name in cells]
    if not asked:
        raise InputError("cells is an empty list. Name at least one cell, or leave it out.")
    if len(asked) > MOST_CELLS:
        raise InputError(
            f"{len(asked):,} cells are named, but at most {MOST_CELLS:,} can be explained singly. Use groupby."
        )
    if len(set(asked)) < len(asked):
        twice = next(name for name in asked if asked.count(name) > 1)
        raise InputError(f"The cell '{twice}' is named twice in cells. Name each once.")
    number = {name: place for place, name in enumerate(asked)}
    group = np.array([number.get(str(name), -1) for name in adata.obs_names], dtype=np.intp)
    found = np.bincount(group[group >= 0], minlength=len(asked))
    if (found == 0).any():
        raise InputError(
            f"There is no cell '{asked[int((found == 0).argmax())]}' in obs_names, which has names such as "
            f"'{adata.obs_names[0] if adata.n_obs else ''}'."
        )
    if (found > 1).any():
        raise InputError(
            f"The name '{asked[int((found > 1).argmax())]}' belongs to several cells. Run adata.obs_names_make_unique() first."
        )
    return group
