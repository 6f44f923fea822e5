"""Cell type annotation: zero-shot, few-shot or from a labelled reference."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from okrcell.cells.anndata_checks import check_anndata
from okrcell.cells.groupings import check_grouping
from okrcell.errors import InputError
from okrcell.tl._anndata import (
    EMBEDDING_KEY,
    check_seed,
    embed_and_store,
    get_embeddings,
    get_model,
    read_counts,
    stored_embeddings,
    write_provenance,
)
from okrcell.tl._annotation_slots import write_annotation
from okrcell.tl._docs import doc_params

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.cells.expression import Expression
    from okrcell.model.embedder import Embedder
    from okrcell.progress import ProgressOption
    from okrcell.tasks.candidates import Candidate
    from okrcell.tasks.open_vocabulary import OpenVocabularyPrediction
    from okrcell.tasks.zero_shot import ZeroShotPrediction


def run_zero_shot(
    adata: "AnnData",
    model: "Embedder",
    candidates: Sequence[str] | None,
    *,
    strict: bool = False,
    seed: int = 0,
    layer: str | None,
    orthologs: bool,
    species: str | None,
    progress: "ProgressOption",
) -> None:
    """Annotate among ``candidates``, or among all types the model knows, and write the slots of `okrcell.tl.annotate`."""
    from okrcell.tasks.candidates import resolve_candidates_of
    from okrcell.tasks.marker_tables import added_tables
    from okrcell.tasks.zero_shot import ZeroShotPrediction, outside_types

    # Parse the candidates first, so that a typing error is reported before any cell is embedded.
    obs = pd.DataFrame(adata.obs)
    resolved = None if candidates is None else resolve_candidates_of(obs, candidates, strict=strict)
    expression = read_counts(adata, layer, orthologs=orthologs, species=species)
    embeddings = embed_and_store(adata, model, expression, EMBEDDING_KEY, progress)
    result = predict_cell_types(
        adata, expression, model, None if resolved is None else resolved.candidates, embeddings, seed
    )
    parsed_candidates = result.candidates
    write_annotation(adata, parsed_candidates, result.scores, result.prediction)
    write_provenance(
        adata,
        "annotate",
        model,
        expression,
        method="zero-shot",
        candidates=[candidate.name for candidate in parsed_candidates],
        candidate_ids=[candidate.term_id for candidate in parsed_candidates],
        candidates_named_by="user" if candidates is not None else "the model, out of the types that it knows",
        outside_types=[
            f"{name}: {n_cells:,} cells"
            for name, n_cells in (outside_types(result, model) if isinstance(result, ZeroShotPrediction) else [])
        ],
        candidates_resolved=[] if resolved is None else list(resolved.remarks),
        candidate_texts=_texts_json(parsed_candidates),
        knowledge=added_tables(model),
        **result.facts,
        seed=seed,
        layer=layer or "",
        orthologs=orthologs,
    )


def _texts_json(candidates: "Sequence[Candidate]") -> str:
    return json.dumps({candidate.name: candidate.texts for candidate in candidates}, ensure_ascii=False)


def predict_cell_types(
    adata: "AnnData",
    expression: "Expression",
    model: "Embedder",
    candidates: "Sequence[Candidate] | None",
    embeddings: NDArray[np.float32],
    seed: int,
) -> "ZeroShotPrediction | OpenVocabularyPrediction":
    """Predict the type of each cell, among ``candidates`` or among all types the model knows, with the tissue of the cells."""
    from okrcell.tasks.open_vocabulary import annotate_open_vocabulary, read_tissues
    from okrcell.tasks.zero_shot import annotate_zero_shot

    if candidates is not None:
        return annotate_zero_shot(expression, candidates, model, vectors=embeddings, seed=seed)
    tissue = read_tissues(pd.DataFrame(adata.obs))
    return annotate_open_vocabulary(expression, model, tissue.tolist(), vectors=embeddings, seed=seed)


def run_few_shot(
    adata: "AnnData",
    model: "Embedder",
    key: str,
    *,
    seed: int,
    layer: str | None,
    orthologs: bool,
    species: str | None,
    progress: "ProgressOption",
) -> None:
    """Annotate from the labelled cells in ``obs[key]`` and write the slots of `okrcell.tl.annotate`."""
    from okrcell.tasks.few_shot import annotate_few_shot
    from okrcell.tasks.labels import read_column_labels

    labels = read_column_labels(pd.DataFrame(adata.obs), key, "--examples-key (examples=...)")
    _check_several_labels(labels.labels, key)
    expression = read_counts(adata, layer, orthologs=orthologs, species=species)
    embeddings = get_embeddings(adata, model, expression, progress)
    result = annotate_few_shot(
        expression,
        labels.labels,
        model,
        seed,
        label_texts=labels.texts,
        label_ids=labels.term_ids,
        vectors=embeddings,
    )
    write_annotation(adata, result.candidates, result.probability, result.prediction)
    write_provenance(
        adata,
        "annotate",
        model,
        expression,
        remarks=labels.remarks,
        method="few-shot",
        examples_key=key,
        candidates=list(result.names),
        examples=[int(count) for count in result.n_examples],
        candidate_texts=_texts_json(result.candidates),
        weight_of_words=result.text_weight,
        weight_of_model=result.model_weight,
        seed=seed,
        layer=layer or "",
        orthologs=orthologs,
    )


def _check_several_labels(labels: NDArray[np.str_], key: str) -> None:
    names = np.unique(labels[labels != ""])
    if len(names) == 1:
        raise InputError(
            f"All labels in '{key}' are '{names[0]}', so every cell would get this label. Add cells with other labels, or pass "
            "candidates instead."
        )


def run_label_transfer(
    adata: "AnnData",
    model: "Embedder",
    reference: "AnnData",
    label_key: str,
    *,
    donor_key: str | None,
    method: Literal["head", "encoder", "lora"],
    seed: int,
    layer: str | None,
    orthologs: bool,
    species: str | None,
    progress: "ProgressOption",
) -> None:
    """Annotate from ``reference.obs[label_key]`` and write the slots of `okrcell.tl.annotate`.

    ``reference`` is not changed; its stored embeddings are used if this model computed them from its matrix.
    """
    from okrcell.tasks.label_transfer import annotate_from_reference
    from okrcell.tasks.labels import check_column, column_as_text, read_column_labels

    obs = pd.DataFrame(reference.obs)
    labels = read_column_labels(obs, label_key, "--label-key (label_key=...)")
    _check_several_labels(labels.labels, label_key)
    donors = None
    if donor_key is not None:
        check_column(obs, donor_key, "--donor-key (donor_key=...)")
        check_grouping(obs[donor_key], donor_key, "Pass a column with donors: --donor-key (donor_key=...).")
        donors = column_as_text(obs, donor_key).astype(str)
    reference_expression = read_counts(reference, None, orthologs=orthologs, species=species)
    expression = read_counts(adata, layer, orthologs=orthologs, species=species)
    embeddings = get_embeddings(adata, model, expression, progress)
    result = annotate_from_reference(
        reference_expression,
        labels.labels,
        expression,
        model,
        label_texts=labels.texts,
        label_ids=labels.term_ids,
        method=method,
        donors=donors,
        seed=seed,
        vectors=embeddings,
        reference_vectors=stored_embeddings(reference, model, reference_expression),
    )
    write_annotation(adata, result.candidates, result.probability, result.prediction)
    write_provenance(
        adata,
        "annotate",
        model,
        expression,
        remarks=labels.remarks,
        method=f"reference, {method}",
        reference={"cells": reference.n_obs, "matrix": reference_expression.source, "kind": reference_expression.kind},
        label_key=label_key,
        donor_key=donor_key or "",
        candidates=list(result.names),
        examples=[int(count) for count in result.n_examples],
        learned_from=result.n_train_cells,
        candidate_texts=_texts_json(result.candidates),
        weight_of_words=result.text_weight,
        weight_of_model=result.model_weight,
        seed=seed,
        layer=layer or "",
        orthologs=orthologs,
    )


@doc_params
def annotate(
    adata: "AnnData",
    model: "Embedder | None" = None,
    *,
    candidates: Sequence[str] | None = None,
    reference: "AnnData | None" = None,
    examples: str | None = None,
    label_key: str = "cell_type",
    donor_key: str | None = None,
    method: Literal["head", "encoder", "lora"] = "head",
    strict: bool = False,
    knowledge: str | Path | None = None,
    seed: int = 0,
    layer: str | None = None,
    orthologs: bool = False,
    species: str | None = None,
    progress: "ProgressOption" = None,
) -> None:
    """Assign a cell type to each cell: zero-shot, few-shot, or by label transfer from a labelled reference.

    Parameters
    ----------
    {adata}
    {model}
    candidates : sequence of str, optional
        Zero-shot: the cell types to choose from, as names, Cell Ontology ids such as "CL:0000236", or free text. Names are
        resolved as by `standardise`, in the tissue of the cells if ``obs`` has exactly one; what is no known type is read as
        free text. Numbers and placeholders are left out, and candidates that resolve to the same term are used once. If
        ``candidates``, ``reference`` and ``examples`` are all None, the candidates are the Cell Ontology types known to the
        model that fit the sample. In that case ``obs["tissue"]`` or ``obs["tissue_ontology_term_id"]``, where present, raises
        the prior probability of types known in the tissue; no type is excluded.
    reference : AnnData, optional
        Label transfer: cells of another study with labels in ``reference.obs[label_key]``. The two are compared on the genes
        that both measured. The reference is not changed.
    examples : str, optional
        Few-shot: column of ``obs`` in which some cells have a label; one cell per type is enough to start with. Placeholders
        such as "unknown" or "NA" are not labels. Labelled cells are annotated like all others, so a wrong label can show.
    label_key : str, default "cell_type"
        Column of ``reference.obs`` with the labels. Here and for ``examples``, Cell Ontology ids are read from
        ``<column>_ontology_term_id`` if it exists; otherwise each label is matched to the ontology by its text. The findings of
        the provenance record name the labels that match no term, or of which the term covers only a part.
    donor_key : str, optional
        Column of ``reference.obs`` with the donors. From three donors on, confidence is calibrated on whole donors left out.
    method : {"head", "encoder", "lora"}, default "head"
        How a reference is used. "head" fits a linear head on the embeddings; "encoder" fine-tunes a copy of the whole cell
        encoder; "lora" fine-tunes low-rank additions to it (needs ``okrcell[fine-tuning]``). Only "head" is valid without
        ``reference``.
    strict : bool, default False
        Raise an error if a candidate is no known cell type, instead of reading it as free text.
    knowledge : str or Path, optional
        Zero-shot: folder or URL of marker tables (Cell Marker Accordion, CellMarker 2, PanglaoDB) whose statements are added to
        those of the model on this machine, whatever their licences. By default none is added.
    seed : int, default 0
        Seed of all sampling, and of the approximate search for neighbours in very large samples; from 0 to 2**32 - 1.
    layer : str, optional
        Matrix of ``adata`` to read: the name of a layer, "X" or "raw". By default the matrix that is nearest to raw counts. The
        matrix of the reference is always chosen by default.
    {orthologs}
    {species}
    {progress}

    Returns
    -------
    None
        Sets the following slots of ``adata``:

        ``obs["okrcell_cell_type"]`` : categorical
            The best candidate, or the label as the author of the reference or the examples wrote it; "unknown" for a cell
            without expression.
        ``obs["okrcell_cell_type_ontology_term_id"]`` : categorical
            Cell Ontology id of that type; "" if its text matches no term.
        ``obs["okrcell_confidence"]`` : float32
            Probability in [0, 1] that the type is correct; without candidates, that the cell is of this type or a subtype. With
            a reference or examples it is calibrated on labelled cells that were left out. 0 for a cell without expression.
        ``obs["okrcell_status"]`` : categorical
            "confident" if the confidence is at least 0.5; "broad" if only the broader type below has a probability of at least
            0.5; otherwise "unknown".
        ``obs["okrcell_broader_cell_type_ontology_term_id"]`` : categorical
            Most specific Cell Ontology term above the candidates whose probability is at least 0.5; set where the status is
            "broad", "" elsewhere.
        ``obs["okrcell_broader_cell_type"]`` : categorical
            Name of that term.
        ``obs["okrcell_label"]`` : categorical
            What the status allows to say: the type where it is "confident", the broader type where it is "broad", "unknown"
            elsewhere. Plots and reports use this column.
        ``obsm["okrcell_scores"]`` : DataFrame of float32, shape (cell, candidate)
            Zero-shot: signature score plus weighted cosine similarity, or the cosine similarity alone for a model without
            signatures. With a reference or examples: the probability of each label. In column names "/" becomes "|". NaN for a
            cell without expression.
        ``obsm["X_okrcell"]`` : float32 array, shape (cell, dim)
            Cell embeddings, rows of unit length. A zero-shot annotation computes them anew; with a reference or examples they
            are reused if the same model computed them from the same matrix, genes and cells.
        ``uns["okrcell"]["annotate"]`` : dict
            {provenance} ``candidates_resolved`` has a line for each candidate that was resolved to another name or to nothing.

    Raises
    ------
    InputError
        If more than one of ``candidates``, ``reference`` and ``examples`` is given; if ``method`` needs a reference and there
        is none; if ``knowledge`` has no marker table, comes with a reference or examples, or the model does not say which
        markers it has; if a candidate is empty, an id of another ontology or an id that does not exist, or, with ``strict``, no
        known cell type; if a label column is missing, has fewer than two labels, or holds measurements or barcodes.
        {bad_seed}
        {unreadable}

    See Also
    --------
    explain : Genes behind a zero-shot annotation.
    describe : Cited descriptions of groups of cells.
    audit : Check labels that exist already.
    okrcell.pl.answers : Plot the annotation on an embedding.

    Notes
    -----
    *Zero-shot* (method 11.3 to 11.6, ours): each candidate is mapped to a gene signature; its score is the contrast of the
    signature with those of the other candidates on relative expression, plus the weighted cosine similarity of cell and text.
    Scores are averaged over nearest neighbours in samples of at least 30 cells. Temperature and confidence were calibrated on
    studies left out of training. Where no single candidate is likely enough, probabilities are summed along the Cell Ontology.

    *Few-shot* (ours): a linear head on the embeddings and the principal components of the sample, both averaged over nearest
    neighbours; its starting point is the similarity to the texts of the labels.

    *Label transfer*: "head" (ours) is a linear head after removal of the shift between the studies, combined with a regression
    on single genes; "encoder" is the protocol of the paper [1]_; "lora" is [2]_.

    References
    ----------
    .. [1] OKR-CELL, arXiv:2601.05648.
    .. [2] Hu et al. (2021), LoRA: Low-Rank Adaptation of Large Language Models, arXiv:2106.09685.

    Examples
    --------
    >>> import scanpy as sc
    >>> import okrcell as okr
    >>> adata = sc.datasets.pbmc68k_reduced()[:80].copy()
    >>> model = okr.load()
    >>> b_cells = adata.obs["bulk_labels"] == "CD19+ B"

    Zero-shot, among four candidates:

    >>> okr.tl.annotate(adata, model, candidates=["T cell", "B cell", "monocyte", "CL:0000623"])
    >>> adata.obs.loc[b_cells, "okrcell_cell_type"].value_counts().idxmax()
    'B cell'
    >>> adata.obsm["okrcell_scores"].columns.tolist()
    ['T cell', 'B cell', 'monocyte', 'natural killer cell']

    Few-shot, from a column in which every fourth cell has a label:

    >>> labels = adata.obs["bulk_labels"].astype(str)
    >>> adata.obs["known"] = [label if i % 4 == 0 else "unknown" for i, label in enumerate(labels)]
    >>> okr.tl.annotate(adata, model, examples="known")
    >>> adata.uns["okrcell"]["annotate"]["method"]
    'few-shot'

    Label transfer from other cells with labels:

    >>> reference = sc.datasets.pbmc68k_reduced()[80:200].copy()
    >>> okr.tl.annotate(adata, model, reference=reference, label_key="bulk_labels")
    >>> adata.obs.loc[b_cells, "okrcell_cell_type"].value_counts().idxmax()
    'CD19+ B'
    """
    check_anndata(adata)
    if reference is not None:
        check_anndata(reference, "reference")
    options = {"candidates": candidates, "reference": reference, "examples": examples}
    used = [name for name, value in options.items() if value is not None]
    if len(used) > 1:
        raise InputError(f"{' and '.join(used)} are given, but only one of them can be used. Leave the others out.")
    if method != "head" and reference is None:
        raise InputError(
            f"method='{method}' needs a reference, but reference is None. Pass reference=..., or leave method out."
        )
    if knowledge is not None and (reference is not None or examples is not None):
        raise InputError(
            "--knowledge (knowledge=...) adds marker tables to a zero-shot annotation. Leave it out, or the labelled cells."
        )
    if method not in ("head", "encoder", "lora"):
        raise InputError(f"method must be 'head', 'encoder' or 'lora', but it is '{method}'.")
    check_seed(seed)
    model = get_model(model)
    if reference is not None:
        run_label_transfer(
            adata,
            model,
            reference,
            label_key,
            donor_key=donor_key,
            method=method,
            seed=seed,
            layer=layer,
            orthologs=orthologs,
            species=species,
            progress=progress,
        )
    elif examples is not None:
        run_few_shot(
            adata, model, examples, seed=seed, layer=layer, orthologs=orthologs, species=species, progress=progress
        )
    else:
        if knowledge is not None:
            from okrcell.tasks.marker_tables import add_marker_tables

            model = add_marker_tables(model, knowledge)
        run_zero_shot(
            adata,
            model,
            candidates,
            strict=strict,
            seed=seed,
            layer=layer,
            orthologs=orthologs,
            species=species,
            progress=progress,
        )
