"""Summary of a benchmark: scores by task, case, method and data set."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from okrcell.benchmarking.datasets.datasets import cards, joined_datasets, title_of
from okrcell.benchmarking.datasets.splits import transfers
from okrcell.benchmarking.tasks.annotation import title_of as transfer_title
from okrcell.benchmarking.tasks.zero_shot import MOUSE
from okrcell.metrics.intervals import Estimate, estimate

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
UNMODIFIED_CASE = "as measured"
"""Case of `DOWNSAMPLING_TASKS` without downsampling, which the others are compared with."""
DOWNSAMPLING_TASKS = ("robustness", "annotation_dropout")
"""Tasks of which the change of accuracy by downsampling is reported."""
TASKS_BY_CASE = ("few_shot", "free_text")
"""Tasks of which the cases are columns of one table."""
Record = Mapping[str, Any]
"""One line of the records."""


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
        "No labelled cells: candidates are the Cell Ontology ids of the data set. Seeds differ in which cells are scored. "
        "Genes of mouse are mapped to their one-to-one human orthologs; data sets of mouse are not part of the other means.",
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
    "free_text": TaskInfo(
        "Free-text candidates",
        "Zero-shot annotation with one text for each type of the data set, in five wordings: its Cell Ontology id (a term), "
        "and as free text, which is not resolved to a term, the name, an everyday name (frozen in "
        "datasets/everyday_names.yaml), the definition, and the name in a sentence.",
        ("accuracy", "macro_f1"),
        ("accuracy", "macro_f1"),
    ),
    "unseen_types": TaskInfo(
        "Unseen cell types",
        "Zero-shot annotation with a model that was trained on no cells of ten types (frozen in datasets/left_out_types.yaml) "
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
        "A thousand cells of the first six data sets and their distinct texts. Strict: only the cell's own text counts, other "
        "texts of its type are wrong. Type: any text, or any cell, of the type counts. Chance is the result of constant "
        "scores.",
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
    "annotation_dropout": TaskInfo(
        "Annotation with a reference, under dropout",
        "Annotation of cells from the unchanged labelled cells of another study, after a fraction of the nonzero entries of "
        "the cells to annotate was set to zero (the paper's test of fine-tuned annotation). Change of accuracy against the "
        "same cells as measured, in points, mean over the pairs of studies; at most 1,500 cells on each side.",
        (),
        ("accuracy", "lost"),
    ),
}
"""Tasks by name, in the order of the report."""


def dataset_title(name: str) -> str:
    """Return the title of a data set, a transfer or the pool of all data sets."""
    if name in transfers():
        return transfer_title(name)
    return (
        title_of(name) if name in cards() or name in joined_datasets() else "the first six sets with Cell Ontology ids"
    )


def format_points(value: float) -> str:
    """Format a difference of fractions in points, with a minus sign instead of a hyphen."""
    return f"{value * 100:+.1f}".replace("-", "−")


def format_difference(value: Estimate) -> str:
    """Format a difference with its interval in points, such as "+1.0 [−0.5, +2.5]"."""
    interval = (
        "" if value.low is None or value.high is None else f" [{format_points(value.low)}, {format_points(value.high)}]"
    )
    return f"{format_points(value.mean)}{interval}"


def format_case(case: str) -> str:
    """Format a case as suffix of a metric: " at K = 5", ", dropout 10%"; "" for the case ""."""
    return "" if not case else f" at {case}" if case.startswith("K = ") else f", {case}"


@dataclass(frozen=True)
class MethodScores:
    """Scores of one method in one task and case."""

    method: str
    mean: Mapping[str, Estimate | None]
    """Metric to its mean over data sets."""
    by_set: Mapping[str, Mapping[str, Estimate | None]]
    by_seed: Mapping[str, Mapping[int, float]] = field(repr=False)
    """Metric to seed to the mean over data sets, for paired differences."""
    lacks: tuple[str, ...]
    """Data sets without scores; a method with any of these is never the best."""
    by_coverage: Mapping[str, float]
    """Fraction of the most confident cells to their accuracy, mean over data sets and seeds; empty if the method reports no
    probabilities on a data set."""


@dataclass(frozen=True)
class TaskScores:
    """Scores of all methods in one task and case."""

    task: str
    case: str
    sets: tuple[str, ...]
    lines: tuple[MethodScores, ...]
    chance: Mapping[str, float]
    """Metric to its chance level; empty if unknown."""
    cells: Mapping[str, int]
    """Data set to number of scored cells in the first draw."""
    not_scored: Mapping[str, int]
    """Data set to number of cells that are not scored, because the reference lacks their type."""

    def line(self, method: str) -> MethodScores | None:
        """Return the scores of a method, None if it has none."""
        return next((line for line in self.lines if line.method == method), None)

    def best(self, measure: str, among: Iterable[str] | None = None) -> MethodScores | None:
        """Return the scores of the method with the best mean over all data sets; None if there is none."""
        names = None if among is None else set(among)
        candidates = [
            (value.mean, line)
            for line in self.lines
            if not line.lacks and (names is None or line.method in names) and (value := line.mean.get(measure))
        ]
        sign = -1 if measure in LOWER_IS_BETTER else 1
        return max(candidates, key=lambda pair: sign * pair[0], default=(0, None))[1]


@dataclass(frozen=True)
class MethodCost:
    """Time and memory of one prediction of a method in a task."""

    task: str
    method: str
    seconds: float
    """Median over predictions."""
    peak_memory: int | None
    """Peak memory of the process in bytes."""


@dataclass(frozen=True)
class MethodFailure:
    """Failure of a method on a task and data set."""

    task: str
    set: str
    method: str
    why: str


@dataclass(frozen=True)
class BenchmarkSummary:
    """All scores, costs and failures of a benchmark."""

    tables: tuple[TaskScores, ...]
    costs: tuple[MethodCost, ...]
    failures: tuple[MethodFailure, ...]
    kinds: Mapping[str, str]
    """Method to ours, control or baseline."""
    titles: Mapping[str, str]

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks with scores, in the order of the report."""
        available = {table.task for table in self.tables}
        return tuple(task for task in TASK_INFO if task in available)

    def of_task(self, task: str) -> tuple[TaskScores, ...]:
        """Return the tables of a task, one for each case."""
        return tuple(table for table in self.tables if table.task == task)

    def cost(self, task: str, method: str) -> MethodCost | None:
        """Return the cost of a method in a task, None if it is unknown."""
        return next((cost for cost in self.costs if (cost.task, cost.method) == (task, method)), None)

    def of_kind(self, kind: str) -> list[str]:
        """Return the names of the methods of a kind."""
        return [method for method, method_kind in self.kinds.items() if method_kind == kind]


def paired_difference(scores: MethodScores, reference: MethodScores, measure: str) -> Estimate | None:
    """Return the difference of two methods on a metric, paired by seed."""
    values, reference_values = scores.by_seed.get(measure, {}), reference.by_seed.get(measure, {})
    return estimate([values[seed] - reference_values[seed] for seed in sorted(values.keys() & reference_values.keys())])


def summarize(records: Sequence[Record], methods: Mapping[str, Mapping[str, str]]) -> BenchmarkSummary:
    """Aggregate the records.

    Parameters
    ----------
    records
        Lines of the records: scores and failures.
    methods
        Method to its "title" and "kind", in the order of the report.
    """
    score_records = [*_with_changes([record for record in records if "scores" in record])]
    grouped: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in score_records:
        grouped[record["task"], record["case"]].append(record)
    tables = [_task_scores(task, case, group, list(methods)) for (task, case), group in grouped.items()]
    order = list(TASK_INFO)
    tables.sort(key=lambda table: (order.index(table.task), table.case == MOUSE))
    failures = [
        MethodFailure(entry["task"], entry["set"], entry["method"], entry["failure"])
        for entry in records
        if "failure" in entry
    ]
    return BenchmarkSummary(
        tuple(tables),
        tuple(_method_costs(score_records)),
        tuple(failures),
        {name: entry["kind"] for name, entry in methods.items()},
        {name: entry["title"] for name, entry in methods.items()},
    )


def _with_changes(records: Sequence[Record]) -> Iterable[Record]:
    """Add ``lost`` to the records of `DOWNSAMPLING_TASKS`: change of accuracy against the same cells as measured."""
    keys = ("task", "set", "method", "seed")
    unmodified = {
        tuple(record[key] for key in keys): record["scores"]["accuracy"]
        for record in records
        if record["task"] in DOWNSAMPLING_TASKS and record["case"] == UNMODIFIED_CASE
    }
    for record in records:
        accuracy_before = unmodified.get(tuple(record[key] for key in keys))
        accuracy_after = record["scores"].get("accuracy")
        if accuracy_before is None or accuracy_after is None:
            yield record
        else:
            yield {**record, "scores": {**record["scores"], "lost": accuracy_after - accuracy_before}}


def _task_scores(task: str, case: str, records: Sequence[Record], methods: Sequence[str]) -> TaskScores:
    sets = tuple(dict.fromkeys(record["set"] for record in records))
    by_method: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_method[record["method"]].append(record)
    order = [name for name in methods if name in by_method] + [name for name in by_method if name not in methods]
    return TaskScores(
        task,
        case,
        sets,
        tuple(_method_scores(name, by_method[name], sets) for name in order),
        chance=_means([record["detail"].get("chance", {}) for record in records]),
        cells={record["set"]: record["cells"] for record in reversed(records)},
        not_scored={record["set"]: n for record in reversed(records) if (n := record["detail"].get("not_scored", 0))},
    )


def _method_scores(method: str, records: Sequence[Record], sets: Sequence[str]) -> MethodScores:
    measures = list(dict.fromkeys(name for record in records for name in record["scores"]))
    scored_sets = [name for name in sets if any(record["set"] == name for record in records)]
    value = {(entry["set"], entry["seed"], name): score for entry in records for name, score in entry["scores"].items()}
    seeds = sorted({record["seed"] for record in records})
    by_seed: dict[str, dict[int, float]] = {}
    by_set: dict[str, dict[str, Estimate | None]] = {name: {} for name in scored_sets}
    for measure in measures:
        # A seed counts if every data set has a value: otherwise its mean would be over other data sets.
        values_by_seed = {seed: [value.get((name, seed, measure)) for name in scored_sets] for seed in seeds}
        by_seed[measure] = {
            seed: float(np.mean([entry for entry in values if entry is not None]))
            for seed, values in values_by_seed.items()
            if None not in values
        }
        for name in scored_sets:
            by_set[name][measure] = estimate([value.get((name, seed, measure)) for seed in seeds])
    mean = {measure: estimate(list(values.values())) for measure, values in by_seed.items()}
    lacks = tuple(name for name in sets if name not in scored_sets)
    return MethodScores(method, mean, by_set, by_seed, lacks, _mean_coverage(records, scored_sets))


def _mean_coverage(records: Sequence[Record], sets: Sequence[str]) -> dict[str, float]:
    of_sets = [
        _means([record["detail"].get("accuracy_by_coverage", {}) for record in records if record["set"] == name])
        for name in sets
    ]
    return _means(of_sets) if all(of_sets) else {}


def _means(mappings: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each key over the nonempty mappings."""
    nonempty = [mapping for mapping in mappings if mapping]
    return {name: float(np.mean([mapping[name] for mapping in nonempty])) for name in nonempty[0]} if nonempty else {}


def _method_costs(records: Sequence[Record]) -> Iterable[MethodCost]:
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        groups[record["task"], record["method"]].append(record)
    for (task, method), group in groups.items():
        peaks = [entry["peak_memory"] for entry in group if entry["peak_memory"] is not None]
        yield MethodCost(task, method, statistics.median(entry["seconds"] for entry in group), max(peaks, default=None))
