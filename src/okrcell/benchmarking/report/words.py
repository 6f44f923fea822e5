"""Titles and descriptions of tasks, metrics, cases and data sets in the report."""

from collections.abc import Mapping
from dataclasses import dataclass

from okrcell.benchmarking.tasks.annotation import title_of as transfer_title
from okrcell.benchmarking.sets.card import cards, joined_datasets, title_of
from okrcell.benchmarking.datasets.splits import transfers


@dataclass(frozen=True)
class TaskInfo:
    """Presentation of a task in the report."""

    title: str
    protocol: str
    """Protocol of the task, in a few sentences."""
    main_metrics: tuple[str, ...]
    """Metrics that methods are compared on."""
    metrics: tuple[str, ...]
    """Metrics in the columns of the table, including ``main_metrics``."""
    compared_kind: str = "ours"
    """Kind of the methods that are compared with the best baseline."""


METRIC_TITLES: Mapping[str, str] = {
    "avg_bio": "AvgBIO",
    "avg_batch": "AvgBatch",
    "nmi": "NMI",
    "ari": "ARI",
    "ami": "AMI",
    "asw": "ASW",
    "nmi_fixed": "NMI at 1.0",
    "nmi_stable": "NMI, chosen by stability",
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
    "accuracy_surest_half": "accuracy, most confident half",
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
    "lost": "change of accuracy",
    "accuracy_of_seen": "accuracy, other types",
    "ontology_right": "right",
    "ontology_none": "no prediction",
    "within_one_step_of_types": "within one step, mean over types",
    "auroc_unknown": "AUROC",
    "auroc_by_confidence": "by confidence",
    "auroc_by_best": "by best score",
    "auroc_by_margin": "by margin",
}
LOWER_IS_BETTER = frozenset({"ece", "ontology_wrong", "ontology_sibling", "ontology_broader", "ontology_narrower"})
"""Metrics of which lower values are better."""
NOT_HIGHLIGHTED = frozenset(
    {"ontology_broader", "ontology_narrower", "ontology_sibling", "ontology_wrong", "ontology_none", "accuracy_of_seen"}
)
"""Metrics whose best value is not printed bold."""

TASK_INFO: Mapping[str, TaskInfo] = {
    "clustering": TaskInfo(
        "Clustering",
        "Leiden on the graph of 15 neighbours of each method's embedding. AvgBIO is the mean of NMI and ARI at the resolution "
        "(0.1 to 2.0) with the best NMI, as in the paper, and of the silhouette of the types. That resolution is chosen with "
        "the true types, so NMI is also shown at resolution 1.0, and at the resolution with the most stable clusters, which is "
        "chosen without them.",
        ("avg_bio",),
        ("avg_bio", "nmi", "ari", "ami", "asw", "nmi_fixed", "nmi_stable"),
    ),
    "integration": TaskInfo(
        "Integration",
        "An embedding that is corrected for the batch. AvgBIO is the mean of isolated labels, k-means NMI and ARI, silhouette "
        "label and cLISI (separation of types); AvgBatch is the mean of silhouette batch, graph connectivity and PCR "
        "comparison (mixing of batches). Joined studies are restricted to the genes that all of them measured.",
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
    "annotation": TaskInfo(
        "Annotation with a reference",
        "Cells of one study, or of some donors, are annotated from the labelled cells of others. Labels are Cell Ontology ids, "
        "mapped to types that both sides resolve; cells of types that the reference lacks are not scored. Within one step: the "
        "right type, its parent or its child. ECE and the accuracy of the most confident half need probabilities.",
        ("macro_f1",),
        ("macro_f1", "accuracy", "ontology_within_one_step", "ece", "accuracy_surest_half"),
    ),
    "few_shot": TaskInfo(
        "Few-shot annotation",
        "K cells of each type of a sample are labelled (at most half of its cells), and all other cells are scored. All "
        "methods have the same draws.",
        ("macro_f1",),
        ("macro_f1", "accuracy"),
    ),
    "zero_shot": TaskInfo(
        "Zero-shot annotation",
        "No labelled cells: candidates are the Cell Ontology ids of the data set. Seeds differ in which cells are scored.",
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
    "unseen_types": TaskInfo(
        "Unseen cell types",
        "Zero-shot annotation with a model that was trained on no cells of ten types (frozen in sets/left_out_types.yaml) "
        "or of their descendants; candidates are the Cell Ontology ids of the data set. Macro-F1 is the mean over these "
        "types, over all cells of the data set, so false positives count; accuracy is of the cells of these types. Models "
        "that were trained on cells of these types are excluded.",
        ("macro_f1", "accuracy"),
        ("macro_f1", "accuracy", "accuracy_of_seen"),
        compared_kind="control",
    ),
    "open_types": TaskInfo(
        "Annotation without candidates",
        "Each cell is annotated with any type of the Cell Ontology, once with its tissue given and once without. Within one "
        "step: the right type, its parent or its child. Marker genes do not use the tissue; their candidates are all types "
        "with 40 known markers among the measured genes, at least fifty types.",
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
    "unknown": TaskInfo(
        "Unknown cell types",
        "Zero-shot annotation, once for every type of a data set (of ten cells or more), with this type, its ancestors and its "
        "descendants left out of the candidates. AUROC: the probability that a cell whose type is a candidate has a higher "
        "confidence than a cell of the left-out type; mean over types. Methods that report a confidence are evaluated by it, "
        "others by the best score or the margin above the second, whichever is better.",
        ("auroc_unknown",),
        ("auroc_unknown", "auroc_by_confidence", "auroc_by_best", "auroc_by_margin"),
    ),
    "retrieval": TaskInfo(
        "Retrieval",
        "A thousand cells of all data sets and their distinct texts. Strict: only the cell's own text counts, other texts "
        "of its type are wrong. Type: any text, or any cell, of the type counts. Chance is the result of constant scores.",
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
    "robustness": TaskInfo(
        "Robustness",
        "Zero-shot annotation of downsampled cells: dropout of expression, gene panels, fewer molecules. Change of accuracy "
        "against the same cells as measured, in points, mean over the data sets that have enough genes.",
        (),
        ("accuracy", "lost"),
    ),
}
"""Tasks by name, in the order of the report."""


def dataset_title(name: str) -> str:
    """Return the title of a data set, a transfer or the pool of all data sets."""
    if name in transfers():
        return transfer_title(name)
    return title_of(name) if name in cards() or name in joined_datasets() else "all sets with Cell Ontology ids"


def format_points(value: float) -> str:
    """Format a difference of fractions in points, with a minus sign instead of a hyphen."""
    return f"{value * 100:+.1f}".replace("-", "−")


def format_case(case: str) -> str:
    """Format a case as suffix of a metric: " at K = 5", ", dropout 10%"; "" for the case ""."""
    return "" if not case else f" at {case}" if case.startswith("K = ") else f", {case}"
