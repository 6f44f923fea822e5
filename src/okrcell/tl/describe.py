"""Tell what each group of cells is, in cited sentences."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from okrcell.errors import InputError
from okrcell.tl.groups import groups_of
from okrcell.tl.seeds import check_seed
from okrcell.tl.tables import slot_name, table, table_of_records
from okrcell.tl.vectors import chosen_model, expression_of, leave_receipt, vectors_of

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.model.embedder import Embedder, Progress
    from okrcell.tasks.describe import GroupDescription

DESCRIPTIONS = "okrcell_descriptions"


def describe(
    adata: "AnnData",
    model: "Embedder | None" = None,
    groupby: str = "okrcell_cluster",
    *,
    candidates: Sequence[str] | None = None,
    knowledge: str | Path | None = None,
    genes: int = 20,
    seed: int = 0,
    layer: str | None = None,
    orthologs: bool = False,
    progress: "Progress | None" = None,
) -> None:
    """Tell of each group of cells what it likely is, by which genes it differs, and who says so.

    Each cell votes for its nearest candidate. Where most cells match another type that the model knows twice as well as any
    candidate, the group is "unknown"; where known marker genes of the type with most votes were measured and the group has
    none of them, no more is said than a broader type whose marker genes it has. Vectors that `embed` or
    `annotate` left, by the same model, are used again.

    Parameters
    ----------
    groupby
        Column of ``obs`` with clusters or labels; cells without one are left out.
    candidates
        Names, Cell Ontology ids or free text. None: every Cell Ontology type that the model has seen in learning.
    knowledge
        Folder or URL of the knowledge files; by default the environment's OKRCELL_KNOWLEDGE, else what was fetched.
        Without any file the ontologies alone are asked, and no marker genes are known.
    genes
        So many genes are listed for each group at most.
    seed
        Draws the cells whose genes are compared, at most 500 of each group.
    adata, model, layer, orthologs, progress
        As for `embed`; progress counts cells.

    Returns
    -------
    None; ``uns["okrcell_descriptions"]``: by group ("/" in its name becomes "|"; "(empty)" stands for ""):
    ``text`` all sentences, with numbers in brackets that are those of ``evidence``;
    ``cell_type``, ``cell_type_ontology_term_id``, ``status``: "confident" of one candidate, "broad" of some kind of the
    type that is named, or "unknown"; ``share`` of its cells that are nearest to what most of them are nearest to, in [0, 1];
    ``cells``, ``without_expression`` their numbers;
    ``types`` DataFrame of the likeliest candidates: cell_type, cell_type_ontology_term_id, share, probability, match;
    ``genes`` DataFrame of the genes that mark it: gene, log2_fold, inside, outside (shares of cells that have it), p;
    ``sentences`` DataFrame: number, sentence, and which evidence it rests on ("1, 3");
    ``evidence`` DataFrame: number, source, record, snapshot, licence, text, sha256.
    ``uns["okrcell"]["describe"]`` the receipt.

    Raises
    ------
    InputError
        If the column, counts, genes, candidates or knowledge files cannot be read, or a number is out of range; the message
        says what to do.
    """
    from okrcell.knowledge.snapshots import KnowledgeFiles
    from okrcell.knowledge.sources.registry import absent_sources, open_sources
    from okrcell.tasks.candidates import candidates as read_candidates
    from okrcell.tasks.candidates import known_candidates
    from okrcell.tasks.describe import describe_groups
    from okrcell.tasks.ontology_texts import seen_types

    if genes < 1:
        raise InputError(f"genes must be at least 1, but it is {genes}.")
    check_seed(seed)
    model = chosen_model(model)
    # What may hold a slip is read first: it should not cost the time of a million cells.
    group, names = groups_of(adata, groupby)
    some = known_candidates(model) if candidates is None else read_candidates(candidates)
    files = KnowledgeFiles(knowledge)
    sources, absent = open_sources(None, files), absent_sources(files)
    expression = expression_of(adata, layer, orthologs=orthologs)
    cells = vectors_of(adata, model, expression, layer, progress)
    described = describe_groups(
        expression,
        cells,
        group,
        names,
        some,
        model,
        sources,
        known=() if candidates is None else seen_types(model),
        obs=pd.DataFrame(adata.obs),
        most_genes=genes,
        seed=seed,
    )
    adata.uns[DESCRIPTIONS] = {slot_name(each.group): _slot(each) for each in described}
    leave_receipt(
        adata,
        "describe",
        model,
        expression,
        groupby=groupby,
        groups=names,
        cells_without_group=int((group < 0).sum()),
        candidates=[each.name for each in some],
        candidates_named_by="user" if candidates is not None else "the model's own cell types",
        sources=[f"{source.name}: {source.snapshot}" for source in sources],
        absent_sources=sorted(absent),
        seed=seed,
        layer=layer or "",
        orthologs=orthologs,
    )


def _slot(of: "GroupDescription") -> dict[str, Any]:
    """Write a description in forms that an h5ad file can hold."""
    evidence = list(dict.fromkeys(piece for said in of.sentences for piece in said.evidence))
    number = {piece: place for place, piece in enumerate(evidence, start=1)}
    rests_on = [[number[piece] for piece in said.evidence] for said in of.sentences]
    marked = [
        f"{said.text} [{', '.join(map(str, numbers))}]" if numbers else said.text
        for said, numbers in zip(of.sentences, rests_on, strict=True)
    ]
    return {
        "text": " ".join(marked),
        "cell_type": of.name,
        "cell_type_ontology_term_id": of.term_id,
        "status": of.status,
        "share": of.vote.share,
        "cells": of.cells,
        "without_expression": of.without_expression,
        "types": table(
            ("cell_type", "cell_type_ontology_term_id", "share", "probability", "match"),
            [(each.name, each.term_id, each.share, each.probability, each.match) for each in of.types],
        ),
        "genes": table(
            ("gene", "log2_fold", "inside", "outside", "p"),
            [(gene.symbol, gene.log2_fold, gene.inside, gene.outside, gene.p) for gene in of.genes],
        ),
        "sentences": table(
            ("number", "sentence", "evidence"),
            [
                (place, said.text, ", ".join(map(str, numbers)))
                for place, (said, numbers) in enumerate(zip(of.sentences, rests_on, strict=True), start=1)
            ],
        ),
        "evidence": table_of_records(evidence),
    }
