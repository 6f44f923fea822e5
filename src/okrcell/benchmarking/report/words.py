"""What tasks, measures and cases are called for reading."""

from collections.abc import Mapping
from dataclasses import dataclass

from okrcell.benchmarking.questions.annotation import title_of as transfer_title
from okrcell.benchmarking.sets.card import cards, joined, title_of
from okrcell.benchmarking.sets.transfers import transfers


@dataclass(frozen=True)
class Task:
    """How a task is shown."""

    title: str
    protocol: str
    """What is asked, in a few sentences."""
    goals: tuple[str, ...]
    """Measures that decide who is ahead."""
    measures: tuple[str, ...]
    """Columns of the table, the goals among them."""
    stood_for: str = "ours"
    """Kind of the methods whose figures are held against the best baseline's."""


MEASURES: Mapping[str, str] = {
    "avg_bio": "AvgBIO",
    "avg_batch": "AvgBatch",
    "nmi": "NMI",
    "ari": "ARI",
    "ami": "AMI",
    "asw": "ASW",
    "nmi_fixed": "NMI at 1.0",
    "nmi_stable": "NMI, chosen blind",
    "isolated_labels": "isolated labels",
    "kmeans_nmi": "k-means NMI",
    "kmeans_ari": "k-means ARI",
    "silhouette_label": "silhouette label",
    "clisi": "cLISI",
    "silhouette_batch": "silhouette batch",
    "graph_connectivity": "graph connectivity",
    "pcr_comparison": "PCR comparison",
    "macro_f1": "macro-F1",
    "accuracy": "accuracy",
    "ontology_within_one_step": "within one step",
    "ontology_broader": "broader",
    "ontology_narrower": "narrower",
    "ontology_sibling": "sibling",
    "ontology_wrong": "wrong",
    "auroc": "AUROC",
    "ece": "ECE",
    "accuracy_surest_half": "accuracy, surest half",
    "type_recall_1": "type R@1",
    "type_recall_5": "type R@5",
    "recall_1": "R@1",
    "recall_5": "R@5",
    "recall_10": "R@10",
    "mrr": "MRR",
    "ndcg": "nDCG",
    "text_type_recall_1": "text → cell: type R@1",
    "text_type_recall_5": "text → cell: type R@5",
    "text_recall_1": "text → cell: R@1",
    "text_recall_5": "text → cell: R@5",
    "text_recall_10": "text → cell: R@10",
    "lost": "accuracy lost or won",
    "accuracy_of_seen": "accuracy, other types",
    "ontology_right": "right",
    "ontology_none": "no answer",
    "within_one_step_of_types": "within one step, mean over types",
    "auroc_unknown": "AUROC",
    "auroc_by_confidence": "by confidence",
    "auroc_by_best": "by the best score",
    "auroc_by_margin": "by the margin",
}
LESS_IS_BETTER = frozenset({"ece", "ontology_wrong", "ontology_sibling", "ontology_broader", "ontology_narrower"})
"""Measures whose lowest value is printed bold; of the kinds of wrong answers none is."""
NOT_JUDGED = frozenset(
    {"ontology_broader", "ontology_narrower", "ontology_sibling", "ontology_wrong", "ontology_none", "accuracy_of_seen"}
)

TASKS: Mapping[str, Task] = {
    "clustering": Task(
        "Clustering",
        "Leiden on the graph of 15 neighbours of what each method makes of the cells. AvgBIO is the mean of NMI and ARI at the "
        "resolution (0.1 to 2.0) with the best NMI, as in the paper, and of the silhouette of the types. That resolution is "
        "chosen with the answers in sight, so NMI is also shown at 1.0, and at the one that is chosen blind, by how stably its "
        "groups are found again.",
        ("avg_bio",),
        ("avg_bio", "nmi", "ari", "ami", "asw", "nmi_fixed", "nmi_stable"),
    ),
    "integration": Task(
        "Integration",
        "An embedding in which the named batch no longer matters. AvgBIO is the mean of isolated labels, k-means NMI and ARI, "
        "silhouette label and cLISI (are types still apart?); AvgBatch of silhouette batch, graph connectivity and PCR "
        "comparison (are batches mixed?). Where several studies are joined, every method sees the genes that all measured.",
        ("avg_bio", "avg_batch"),
        (
            "avg_bio",
            "avg_batch",
            "isolated_labels",
            "kmeans_nmi",
            "kmeans_ari",
            "silhouette_label",
            "clisi",
            "silhouette_batch",
            "graph_connectivity",
            "pcr_comparison",
        ),
    ),
    "annotation": Task(
        "Annotation with a reference",
        "Cells of one study, or of some donors, are named by the labelled cells of others. Labels are Cell Ontology ids, led "
        "to types that both sides tell apart; cells of types that the reference lacks are not scored. Within one step: the "
        "right type, its parent or its child. ECE and the accuracy of the surest half where a method gives probabilities.",
        ("macro_f1",),
        ("macro_f1", "accuracy", "ontology_within_one_step", "ece", "accuracy_surest_half"),
    ),
    "few_shot": Task(
        "Few examples",
        "K cells of each type of a sample are named (fewer where that would be more than half), and all its other cells are "
        "scored. The same draws for every method.",
        ("macro_f1",),
        ("macro_f1", "accuracy"),
    ),
    "zero_shot": Task(
        "Words alone",
        "No labelled cell: candidates are the Cell Ontology ids of the set. Seeds differ in which cells are scored.",
        ("macro_f1", "accuracy"),
        (
            "macro_f1",
            "accuracy",
            "ontology_within_one_step",
            "ontology_broader",
            "ontology_narrower",
            "ontology_sibling",
            "ontology_wrong",
            "auroc",
            "ece",
            "accuracy_surest_half",
        ),
    ),
    "unseen_types": Task(
        "Types never seen as cells",
        "Words alone again. The model has learned from no cell of ten types (frozen in sets/left_out_types.yaml) or of their "
        "kinds, and knows them from words; candidates are the Cell Ontology ids of the set. Macro-F1 is the mean over those "
        "types, over all cells of the set, so that giving their names to other cells costs as well; accuracy is of their "
        "cells alone. Models that have seen cells of these types are not asked.",
        ("macro_f1", "accuracy"),
        ("macro_f1", "accuracy", "accuracy_of_seen"),
        stood_for="control",
    ),
    "open_types": Task(
        "Without candidates",
        "Nobody says which types there are: each cell is named out of the whole Cell Ontology, once with its tissue told and "
        "once without. Within one step: the right type, its parent or its child. Marker genes know nothing of tissues; they "
        "try every type with 40 known markers among the measured genes, and fifty types at least.",
        ("ontology_within_one_step",),
        (
            "ontology_within_one_step",
            "within_one_step_of_types",
            "ontology_right",
            "ontology_broader",
            "ontology_narrower",
            "ontology_sibling",
            "ontology_wrong",
        ),
    ),
    "unknown": Task(
        "The right name is not offered",
        "Words alone once more for every type of a set (of ten cells or more), which is taken out of the candidates together "
        "with its kinds and broader types. AUROC: the chance that a cell whose type is offered is surer of its name than a "
        "cell of the missing type; mean over types. A method that tells how sure it is is judged by that, one that only "
        "scores by its best score or the margin above the second, whichever serves it better.",
        ("auroc_unknown",),
        ("auroc_unknown", "auroc_by_confidence", "auroc_by_best", "auroc_by_margin"),
    ),
    "retrieval": Task(
        "Retrieval",
        "A thousand cells of all sets and their different texts (equal texts once). Strict: only the cell's own text "
        "counts, others of its type are wrong. Type: any text, or any cell, of the type counts. Chance is what equal scores "
        "for all give.",
        ("type_recall_1", "type_recall_5", "text_type_recall_1"),
        (
            "type_recall_1",
            "type_recall_5",
            "recall_1",
            "recall_5",
            "recall_10",
            "mrr",
            "ndcg",
            "text_type_recall_1",
            "text_type_recall_5",
            "text_recall_1",
            "text_recall_5",
            "text_recall_10",
        ),
    ),
    "robustness": Task(
        "Less to see",
        "Words alone again, on cells that were spoilt: expression lost at random, fewer genes measured, fewer molecules "
        "counted. Points of accuracy lost against the same cells as measured, mean over the sets that have so many genes.",
        (),
        ("accuracy", "lost"),
    ),
}
"""In the order of the report."""


def set_title(name: str) -> str:
    """Return the words for a set, a transfer or the pool of all sets."""
    if name in transfers():
        return transfer_title(name)
    return title_of(name) if name in cards() or name in joined() else "all sets with Cell Ontology ids"


def points(value: float) -> str:
    """Write a difference of shares in points, with a real minus sign: a hyphen is easily overlooked."""
    return f"{value * 100:+.1f}".replace("-", "−")


def written(case: str) -> str:
    """Write a case behind a measure: "at K = 5", or after a comma; nothing where nothing is varied."""
    return "" if not case else f" at {case}" if case.startswith("K = ") else f", {case}"
