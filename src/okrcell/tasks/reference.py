"""Label transfer: annotate cells from the labelled cells of a reference study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from okrcell.cells.expression import Expression
from okrcell.errors import InputError
from okrcell.model.embedder import Embedder, Progress
from okrcell.tasks.candidates import Candidate, candidate_vectors
from okrcell.tasks.confidence import Answer, answer, temperature
from okrcell.tasks.examples.calibration import sharpness
from okrcell.tasks.examples.evenly import evenly
from okrcell.tasks.examples.fine_tuning_settings import FineTuningSettings
from okrcell.tasks.examples.gene_regression import gene_logits
from okrcell.tasks.examples.head import fit_head
from okrcell.tasks.examples.sample_shift import without_shift
from okrcell.tasks.examples.views import views
from okrcell.tasks.examples.words import Labels, read_labels, weight_of_words, word_logits

How = Literal["head", "encoder", "lora"]
MOST_CELLS = 10_000
"""Maximum number of reference cells for the head; common types are subsampled, rare types are kept whole."""
MOST_WORDS = 1.0
"""Maximum text weight: texts may predict the labels of the reference better than those of another study."""
GENES_SAY = 0.3
"""Weight of the gene-wise regression; chosen among 0, 0.3, 0.5 and 1 on thirteen pairs of pretraining sets."""


@dataclass(frozen=True)
class FromReference:
    """Predictions for the cells of a query."""

    names: tuple[str, ...]
    """Distinct labels of the reference, sorted."""
    candidates: tuple[Candidate, ...]
    """The same labels with their texts and Cell Ontology ids."""
    probability: Float[np.ndarray, "cell name"]
    """Rows sum to 1; NaN for a cell without expression."""
    answer: Answer
    method: How
    examples: NDArray[np.intp]
    """Number of reference cells of each label."""
    learned_from: int
    """Number of reference cells used for training."""
    weight_of_words: float
    weight_of_model: float
    """Weight of the model vectors relative to the samples' own components, in [0, 1]; 1 for a fine-tuned encoder."""


def annotate_from_reference(
    reference: Expression,
    labels: Sequence[str] | NDArray[np.str_],
    query: Expression,
    embedder: Embedder,
    *,
    label_texts: Mapping[str, Sequence[str]] | None = None,
    label_ids: Mapping[str, str] | None = None,
    method: How = "head",
    donors: NDArray[np.str_] | None = None,
    seed: int = 0,
    vectors: Float[np.ndarray, "cell dim"] | None = None,
    reference_vectors: Float[np.ndarray, "cell dim"] | None = None,
    fine_tuning: FineTuningSettings | None = None,
    progress: Progress | None = None,
) -> FromReference:
    """Predict the label of every cell of ``query`` from the labelled cells of ``reference``.

    Parameters
    ----------
    reference
        Expression of the cells of another study.
    labels
        Label of each reference cell, "" for an unlabelled cell.
    query
        Expression of the cells to annotate.
    embedder
        Model that embeds cells and label texts.
    label_texts
        Texts of each label; by default those of the ontology term that it names, else the label itself.
    label_ids
        Cell Ontology id of each label; by default that of the term that it names.
    method
        head: a linear head on the samples' own components and the model vectors, after the query was shifted onto the
        reference (`without_shift`), averaged with a gene-wise regression of smaller weight (ours). encoder: the whole cell
        encoder is fine-tuned with a linear head (the paper's protocol). lora: only low-rank adapters of the encoder are
        trained (arXiv 2106.09685; package peft).
    donors
        Donor of each reference cell. With at least three donors, confidence is calibrated on whole left-out donors.
    seed
        Random seed of subsampling, features, folds and fine-tuning.
    vectors
        Model vectors of the query; computed if not passed.
    reference_vectors
        Model vectors of the reference; computed if not passed.
    fine_tuning
        Settings of the methods ``encoder`` and ``lora``.
    progress
        Called with the number of embedded query cells and their total.

    Raises
    ------
    InputError
        If there is not one label per reference cell, no labelled reference cell has expression, or the two samples share
        too few genes.
    """
    read = read_labels(labels, label_texts, label_ids)
    if len(read.given) != reference.n_cells:
        raise InputError(
            f"There are {len(read.given):,} labels for the {reference.n_cells:,} cells of the reference. Pass one per cell."
        )
    if method != "head":
        return _tuned(reference, read, query, embedder, method, donors, seed, fine_tuning, progress)
    taught = embedder.embed_cells(reference) if reference_vectors is None else reference_vectors
    asked = embedder.embed_cells(query, progress) if vectors is None else vectors
    seen = views([reference, query], [taught, asked], seed)
    rows = np.flatnonzero(seen.here[0])
    known = np.flatnonzero(read.given[rows] >= 0)
    if not len(known):
        raise InputError("No labelled cell of the reference expresses a gene of the model's vocabulary.")
    known = evenly(known, read.given[rows], MOST_CELLS, seed)
    is_query = seen.sample == 1
    kept = np.concatenate([known, np.flatnonzero(is_query)])
    given, is_query = read.given[rows][known], is_query[kept]
    genes = min(embedder.measured(reference), embedder.measured(query))
    said = word_logits(
        seen.vectors[kept], candidate_vectors(read.candidates, embedder), temperature(embedder.facts, genes)
    )
    weight = weight_of_words(said[~is_query], given, MOST_WORDS)
    start = weight * said
    features = without_shift(seen.together[kept], given, is_query, start)
    head = fit_head(features[~is_query], given, start[~is_query])
    # Another study is not easier than left-out cells of the reference: the temperature is at least 1.
    sharp = min(
        1.0,
        sharpness(features[~is_query], given, start[~is_query], seed, None if donors is None else donors[rows][known]),
    )
    logits = log_softmax(sharp * head.logits(features[is_query], start[is_query]), axis=1)
    by_gene = gene_logits(reference, rows[known], given, len(read.names), query)[seen.here[1]]
    logits = (1 - GENES_SAY) * logits + GENES_SAY * by_gene
    return _from_logits(logits, seen.here[1], read, len(given), method, weight, seen.model_weight)


def _from_logits(
    logits: Float[np.ndarray, "measured name"],
    here: NDArray[np.bool_],
    read: Labels,
    learned_from: int,
    method: How,
    weight_of_words: float,
    weight_of_model: float,
) -> FromReference:
    probability = np.full((len(here), len(read.names)), np.nan, dtype=np.float32)
    probability[here] = softmax(logits, axis=1)
    return FromReference(
        read.names,
        read.candidates,
        probability,
        answer(probability, read.candidates),
        method,
        np.bincount(read.given[read.given >= 0], minlength=len(read.names)),
        learned_from,
        weight_of_words,
        weight_of_model,
    )


def _tuned(
    reference: Expression,
    read: Labels,
    query: Expression,
    embedder: Embedder,
    method: How,
    donors: NDArray[np.str_] | None,
    seed: int,
    settings: FineTuningSettings | None,
    progress: Progress | None,
) -> FromReference:
    from okrcell.tasks.examples.fine_tuning import fine_tune

    kind = "lora" if method == "lora" else "encoder"
    tuned = fine_tune(reference, read, embedder, method=kind, donors=donors, seed=seed, settings=settings)
    logits = tuned.logits(query, progress)
    here = np.asarray(~np.isnan(logits[:, 0]))
    return _from_logits(logits[here], here, read, tuned.learned_from, method, 1.0, 1.0)
