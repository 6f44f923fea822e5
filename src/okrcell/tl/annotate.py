"""Name the types of cells."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from okrcell.errors import InputError
from okrcell.tl.seeds import check_seed
from okrcell.tl.vectors import chosen_model

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.model.embedder import Embedder, Progress


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
    seed: int = 0,
    layer: str | None = None,
    orthologs: bool = False,
    progress: "Progress | None" = None,
) -> None:
    """Name the type of each cell: from words, from a few labelled cells, or from a labelled reference.

    Parameters
    ----------
    candidates
        Zero-shot: names, Cell Ontology ids or free text. None, with neither ``reference`` nor ``examples``: the types of the
        Cell Ontology that fit the cells, found by the model; what ``obs["tissue"]`` or ``obs["tissue_ontology_term_id"]``
        tells makes types likelier that are known there, and excludes none.
    reference
        Supervised: another study's cells, labelled in its ``obs[label_key]``. The two are compared on the genes that both
        measured.
    examples
        Few-shot: a column of ``obs`` in which some cells have a label; one of each type already helps. Placeholders
        ("unknown", "NA") are no labels. A labelled cell is named like any other, so that a slip shows.
    label_key
        Column of ``reference.obs`` with the labels. For it as for ``examples``, Cell Ontology ids are read from
        ``{column}_ontology_term_id`` if it is there, else found by the words of each label.
    donor_key
        Column of ``reference.obs`` with the donors: where there are at least three, confidence is calibrated on whole donors
        left out.
    method
        With a reference: "head" learns on top of the model; "encoder" tunes a copy of the whole cell encoder; "lora" tunes
        low-rank additions to it (needs ``okrcell[fine-tuning]``).
    seed
        Of all that is drawn, and of the approximate search for neighbours among very many cells.
    layer
        Matrix of ``adata`` to read; that of the reference is found as ever.
    adata, model, orthologs, progress
        As for `embed`, whose slot is written too. With a reference or examples, vectors that `embed` or `annotate` left, by
        the same model, are used again.

    Returns
    -------
    None; ``obs["okrcell_cell_type"]`` the best candidate, or label as its author wrote it, "unknown" for a cell without
    expression; ``obs["okrcell_cell_type_ontology_term_id"]`` its Cell Ontology id, "" if its words name none;
    ``obs["okrcell_confidence"]`` the probability that it is right (without candidates: that the cell is of this type or a
    kind of it), in [0, 1]; with a reference or examples it was calibrated on cells of these left out;
    ``obs["okrcell_status"]``: "confident" where that is at least one half, "broad" where only
    ``obs["okrcell_broader_cell_type_ontology_term_id"]`` is more likely than not, else "unknown";
    ``obsm["okrcell_scores"]`` DataFrame (cell, candidate; "/" in a name becomes "|"), what the answer was chosen by:
    evidence of genes and similarity, of a model without signatures the cosine similarity alone; or with a reference or
    examples the probability of each label;
    ``uns["okrcell"]["annotate"]`` the receipt.

    Raises
    ------
    InputError
        If counts, genes, candidates or labels cannot be read, or several of candidates, reference and examples are
        given, or the seed is out of range; the message says what to do.
    """
    given = {"candidates": candidates, "reference": reference, "examples": examples}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise InputError(
            f"{' and '.join(named)} are given, but cells are named from one of them. Leave the others out."
        )
    if method != "head" and reference is None:
        raise InputError(
            f"method='{method}' learns from a reference, and there is none. Give reference=..., or leave it out."
        )
    if method not in ("head", "encoder", "lora"):
        raise InputError(f"method must be 'head', 'encoder' or 'lora', but it is '{method}'.")
    check_seed(seed)
    model = chosen_model(model)
    if reference is not None:
        from okrcell.tl.annotate_from_reference import from_reference

        from_reference(
            adata,
            model,
            reference,
            label_key,
            donor_key=donor_key,
            method=method,
            seed=seed,
            layer=layer,
            orthologs=orthologs,
            progress=progress,
        )
    elif examples is not None:
        from okrcell.tl.annotate_from_examples import from_examples

        from_examples(adata, model, examples, seed=seed, layer=layer, orthologs=orthologs, progress=progress)
    else:
        from okrcell.tl.annotate_from_words import from_words

        from_words(adata, model, candidates, seed=seed, layer=layer, orthologs=orthologs, progress=progress)
