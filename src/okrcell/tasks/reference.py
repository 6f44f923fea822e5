"""Name cells by the labelled cells of another study."""

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
"""Of the reference, the head learns from so many at most: of common types fewer, of rare ones all."""
MOST_WORDS = 1.0
"""A whole reference bears the words out in its own study; in another they may say less."""
GENES_SAY = 0.3
"""Share of a regression on single genes in the answer; chosen among 0, 0.3, 0.5 and 1 on thirteen pairs of pretraining sets."""


@dataclass(frozen=True)
class FromReference:
    """Names for the cells of a query."""

    names: tuple[str, ...]
    """The distinct labels of the reference, sorted."""
    candidates: tuple[Candidate, ...]
    """The same with their texts and Cell Ontology ids."""
    probability: Float[np.ndarray, "cell name"]
    """Rows sum to 1; NaN for a cell without expression."""
    answer: Answer
    method: How
    examples: NDArray[np.intp]
    """How many cells of the reference bear each name."""
    learned_from: int
    """Cells of the reference that were learned from."""
    weight_of_words: float
    weight_of_model: float
    """What the model's vectors count for beside the samples' own components, in [0, 1]; 1 for a tuned encoder."""


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
    """Name every cell of ``query`` by what the labelled cells of ``reference`` teach.

    Parameters
    ----------
    reference, labels
        Another study's cells, and the label of each, "" where it has none.
    label_texts, label_ids
        Texts that stand for a label, and its Cell Ontology id; by default what its words name there, else the label itself.
    method
        head: a linear head on the samples' own components and the model's vectors, the query moved onto the reference by
        what composition does not account for, and a regression on single genes that has the smaller say (ours). encoder:
        the whole cell encoder goes on learning, with a linear head (the paper's protocol). lora: of the encoder only
        low-rank additions learn (arXiv 2106.09685; package peft).
    donors
        Donor of each cell of the reference: where there are at least three, confidence is calibrated on whole donors
        left out.
    vectors, reference_vectors
        The model's vectors of the query and of the reference, if they are there already.
    fine_tuning
        How ``encoder`` and ``lora`` learn.

    Raises
    ------
    InputError
        If no cell of the reference has a label and expression, or the two share too few genes.
    """
    read = read_labels(labels, label_texts, label_ids)
    if len(read.given) != reference.n_cells:
        raise InputError(
            f"There are {len(read.given):,} labels for the {reference.n_cells:,} cells of the reference; give one for each."
        )
    if method != "head":
        return _tuned(reference, read, query, embedder, method, donors, seed, fine_tuning, progress)
    taught = embedder.embed_cells(reference) if reference_vectors is None else reference_vectors
    asked = embedder.embed_cells(query, progress) if vectors is None else vectors
    seen = views([reference, query], [taught, asked], seed)
    rows = np.flatnonzero(seen.here[0])
    known = np.flatnonzero(read.given[rows] >= 0)
    if not len(known):
        raise InputError("None of the reference's labelled cells has expression that the model knows.")
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
    # Another study is no easier than cells left out of this one: the head may be blunted, never sharpened.
    sharp = min(
        1.0,
        sharpness(features[~is_query], given, start[~is_query], seed, None if donors is None else donors[rows][known]),
    )
    logits = log_softmax(sharp * head.logits(features[is_query], start[is_query]), axis=1)
    by_gene = gene_logits(reference, rows[known], given, len(read.names), query)[seen.here[1]]
    logits = (1 - GENES_SAY) * logits + GENES_SAY * by_gene
    return _from_logits(logits, seen.here[1], read, len(given), method, weight, seen.model_weight)


def _from_logits(
    logits: Float[np.ndarray, "here name"],
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
